"""The contract of a cell, and its optional members.

Shapes: D input, H hidden; ``...`` any leading axes.
"""

from typing import Protocol, runtime_checkable

import jax

from rnnlab.nn.activations import Activation
from rnnlab.nn.params import Masks, PyTree

Array = jax.Array


@runtime_checkable
class Cell(Protocol):
    """A recurrent cell: any hashable object with these members.

    ``step`` takes ``perturb``, a state that is added to each part of the new state at the moment
    it is computed (None: nothing is added). The cotangent of ``perturb`` is the *total* derivative
    with respect to that part: ∂L/∂C_t includes the path through h_t = o_t*tanh(C_t).

    ``initial_state`` returns a NamedTuple of arrays, nested ones allowed. Each has the batch axes
    in front: ``batch_shape`` of a step counter, (*batch_shape, H) of a vector. ``step`` returns a
    state of the same structure, shapes and dtypes, an output of floats (..., output_size), and
    gates: a NamedTuple, a dict by name, or None. It takes ``key``; without ``perturb`` the probes
    of adjoints raise an error. :mod:`rnnlab.nn.contract` checks all this.

    Optional members: :class:`Stochastic`, :class:`DrawsMasks`, :class:`NamesParts`,
    :class:`HasActivation`, :class:`HasProjection`, :class:`HasInner`, :class:`KeepsByGate`.
    """

    @property
    def hidden_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    def init_params(self, key: Array, input_size: int) -> PyTree: ...
    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> PyTree: ...
    def step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        *,
        key: Array | None = None,
        perturb: PyTree = None,
    ) -> tuple[PyTree, Array, PyTree]: ...


@runtime_checkable
class Stochastic(Protocol):
    """A cell that draws random numbers if ``stochastic``; without a key it steps in expectation."""

    @property
    def stochastic(self) -> bool: ...


@runtime_checkable
class DrawsMasks(Protocol):
    """A cell that draws masks once per sequence; its step takes them as ``masks``."""

    def draw_masks(
        self, key: Array, params: PyTree, batch_shape: tuple[int, ...], input_size: int
    ) -> Masks | None: ...


@runtime_checkable
class NamesParts(Protocol):
    """A cell that names its gates ("f", "i", …) and the parts of its state ("h", "C")."""

    @property
    def gates(self) -> tuple[str, ...]: ...
    @property
    def state_parts(self) -> tuple[str, ...]: ...


@runtime_checkable
class HasActivation(Protocol):
    """A cell with one activation function f, as a simple RNN has."""

    @property
    def activation(self) -> Activation: ...


@runtime_checkable
class HasProjection(Protocol):
    """A cell whose output may be projected to P units."""

    @property
    def projection(self) -> int | None: ...


@runtime_checkable
class HasInner(Protocol):
    """A cell around another cell."""

    @property
    def inner(self) -> Cell: ...


@runtime_checkable
class KeepsByGate(Protocol):
    """A cell that names the gate g by which it keeps its state, s_t = g*s_{t−1} + new parts.

    The gate is one of those that ``step`` returns: "f" of an LSTM, "z" of a GRU. Figures of
    gradients draw the product of its values as theory's line.
    """

    @property
    def keep_gate(self) -> str: ...
