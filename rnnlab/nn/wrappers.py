"""Wrappers: cells around a cell, for zoneout, a residual path and variational dropout.

A wrapper has the parameters and the state of the cell inside, so that probes, checkpoints and
generation work unchanged. Without a key nothing is drawn: a step computes its expectation, which
is also what probes see.

Wrappers nest, most readably as ``Residual(VariationalDropout(Zoneout(cell)))``: zoneout acts on the
state, dropout on the gates' inputs, the residual path on the output.

Shapes: D input, H hidden; ``...`` any leading axes.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.nn import contract
from rnnlab.nn.activations import Activation
from rnnlab.nn.params import Masks, PyTree
from rnnlab.nn.protocols import (
    Cell,
    DrawsMasks,
    HasActivation,
    HasProjection,
    NamesParts,
    Stochastic,
)

Array = jax.Array
Stepped = tuple[PyTree, Array, PyTree]  # (new state, output, gate values)


@dataclass(frozen=True)
class _Around:
    """A cell that delegates everything to the cell inside."""

    inner: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Cell):
            raise TypeError(f"{type(self).__name__} wraps a cell, got {type(self.inner).__name__}")
        contract.check_cell(self.inner)

    @property
    def hidden_size(self) -> int:
        """H of the cell inside."""
        return self.inner.hidden_size

    @property
    def output_size(self) -> int:
        """Features of y_t of the cell inside."""
        return self.inner.output_size

    @property
    def gates(self) -> tuple[str, ...]:
        """Letters of the gates inside; () if the cell does not name them."""
        return self.inner.gates if isinstance(self.inner, NamesParts) else ()

    @property
    def state_parts(self) -> tuple[str, ...]:
        """Names of the state's parts, "h" or "h" and "C"; () if the cell does not name them."""
        return self.inner.state_parts if isinstance(self.inner, NamesParts) else ()

    @property
    def activation(self) -> Activation:
        """Activation f of a simple RNN inside; AttributeError for other cells."""
        if not isinstance(self.inner, HasActivation):
            raise AttributeError(f"{type(self.inner).__name__} has no activation")
        return self.inner.activation

    @property
    def projection(self) -> int | None:
        """P of an LSTM with a projection inside, else None."""
        return self.inner.projection if isinstance(self.inner, HasProjection) else None

    @property
    def stochastic(self) -> bool:
        """Whether a step draws random numbers."""
        return isinstance(self.inner, Stochastic) and self.inner.stochastic

    def init_params(self, key: Array, input_size: int) -> PyTree:
        """Draw the parameters of the cell inside; a wrapper adds none."""
        return self.inner.init_params(key, input_size)

    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> PyTree:
        """Return s_0 of the cell inside."""
        return self.inner.initial_state(params, batch_shape, key)

    def draw_masks(
        self, key: Array, params: PyTree, batch_shape: tuple[int, ...], input_size: int
    ) -> Masks | None:
        """Draw the masks of a whole sequence, if the cell inside has any; else return None."""
        if not isinstance(self.inner, DrawsMasks):
            return None
        return self.inner.draw_masks(key, params, batch_shape, input_size)

    def step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        *,
        key: Array | None = None,
        perturb: PyTree = None,
        masks: Masks | None = None,
    ) -> Stepped:
        """Run one time step of the cell inside; return (new state, output, gate values)."""
        new, y, added, gates = self._step(params, state, x, key, perturb, masks)
        for term in added:
            y = term + y
        return new, y, gates

    def _step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        key: Array | None,
        perturb: PyTree,
        masks: Masks | None,
    ) -> "_Parts":
        """Run one time step, with what residual paths add to the output kept apart."""
        if isinstance(self.inner, _Around):
            return self.inner._step(params, state, x, key, perturb, masks)
        # a cell whose step does not take one of these never gets any
        options = {} if masks is None else {"masks": masks}
        options |= {} if perturb is None else {"perturb": perturb}
        new, y, gates = self.inner.step(params, state, x, key=key, **options)
        return _Parts(new, y, (), gates)


class _Parts(NamedTuple):
    """Result of a step: the output is ``output`` plus the terms ``added``, in this order."""

    state: PyTree
    output: Array  # of the innermost cell
    added: tuple[Array, ...]
    gates: PyTree


# ---- zoneout -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Zoneout(_Around):
    """A cell whose state units keep their old value with probability ``rate``, drawn per step.

    s_t = d_t*s_{t−1} + (1 − d_t)*s̃_t, d_t ~ Bernoulli(rate), where s̃_t is the new state of the cell
    inside. Every part of the state draws its own d_t, and h̃_t = o_t*tanh(C̃_t) uses the memory
    before zoneout, as in the paper. Without a key d_t is its expectation, ``rate``. A part that is
    not made of floats, such as a step counter, always takes its new value.

    Args:
        inner: a cell. Where its output is a part of its new state, the very array (as in all cells
            of this package), the output is that part after zoneout; else it is the cell's own,
            computed before zoneout.
        rate: one rate for all parts, or a mapping from parts to rates ({"h": 0.05, "C": 0.5} is the
            paper's choice for an LSTM), 0 for the other parts. In [0, 1).
    Raises:
        ValueError: a rate out of range, a part that the state does not have.
        TypeError: ``inner`` is no cell.
    Source: Krueger et al. 2017 (arXiv 1606.01305).

    >>> from rnnlab import LSTM
    >>> cell = Zoneout(LSTM(4), {"h": 0.05, "C": 0.5})
    >>> cell.rate, cell.stochastic
    ((('C', 0.5), ('h', 0.05)), True)
    """

    rate: float | Mapping[str, float] | tuple[tuple[str, float], ...] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        rate: object = self.rate
        if isinstance(self.rate, Mapping | tuple):
            pairs = tuple(self.rate.items() if isinstance(self.rate, Mapping) else self.rate)
            if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
                raise ValueError(
                    "zoneout: the rate must be a number, or a mapping from parts of "
                    f"the state to numbers, got {self.rate!r}"
                )
            if self.state_parts:  # otherwise the first state tells
                _check_parts(pairs, self.state_parts)
            checked = {
                part: validate.rate(f"zoneout rate of {part}", share) for part, share in pairs
            }
            rate = tuple(sorted(checked.items()))  # hashable, as a cell must be
        else:
            rate = validate.rate("zoneout rate", self.rate)
        object.__setattr__(self, "rate", rate)

    @property
    def stochastic(self) -> bool:
        """Whether a step draws random numbers."""
        if isinstance(self.rate, Mapping | tuple):
            return any(rate > 0 for rate in dict(self.rate).values()) or super().stochastic
        return self.rate > 0 or super().stochastic

    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> PyTree:
        """Return s_0 of the cell inside.

        Raises:
            ValueError: a rate of a part that the state does not have.
        """
        state = super().initial_state(params, batch_shape, key)
        if isinstance(self.rate, tuple) and contract.is_named_tuple(state):
            _check_parts(self.rate, state._fields)
        return state

    def _step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        key: Array | None,
        perturb: PyTree,
        masks: Masks | None,
    ) -> _Parts:
        parts = state._fields
        *keys, key_inner = (
            (None,) * (len(parts) + 1) if key is None else (jax.random.split(key, len(parts) + 1))
        )
        proposed, y, added, gates = super()._step(params, state, x, key_inner, None, masks)
        new = type(state)(
            *(
                _mix(old, moved, self._rate(part), key)
                for part, old, moved, key in zip(parts, state, proposed, keys, strict=True)
            )
        )
        if perturb is not None:
            new = jax.tree.map(jnp.add, new, perturb)
        for before, after in zip(jax.tree.leaves(proposed), jax.tree.leaves(new), strict=True):
            if y is before:
                return _Parts(new, after, added, gates)
        return _Parts(new, y, added, gates)

    def _rate(self, part: str) -> float:
        if isinstance(self.rate, Mapping | tuple):
            return dict(self.rate).get(part, 0.0)
        return self.rate


def _check_parts(pairs: Iterable[tuple[str, object]], parts: tuple[str, ...]) -> None:
    for part, _ in pairs:
        if part not in parts:
            raise ValueError(unknown("state part of zoneout:", part, parts))


def _mix(old: PyTree, new: PyTree, rate: float, key: Array | None) -> PyTree:
    """Mix one part of the state; the arrays of a nested part draw from keys of their own."""
    if rate == 0:
        return new
    leaves, structure = jax.tree.flatten(new)
    count = len(leaves)
    keys = [key] * count if key is None or count == 1 else jax.random.split(key, count)
    mixed = map(_mix_array, jax.tree.leaves(old), leaves, [rate] * count, keys)
    return structure.unflatten(list(mixed))


def _mix_array(old: Array, new: Array, rate: float, key: Array | None) -> Array:
    if not contract.is_float(new):
        return new
    if key is None:
        return rate * old + (1 - rate) * new
    return jnp.where(jax.random.bernoulli(key, rate, new.shape), old, new)


# ---- residual ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Residual(_Around):
    """A cell that adds its input to the output: y_t = x_t + the output of the cell inside.

    The state that is fed back is the inner cell's own, unchanged.

    Args:
        inner: a cell with as many outputs as inputs.
    Raises:
        ValueError: in ``init_params``, if D is not the cell's output size.
        TypeError: ``inner`` is no cell.
    Source: He et al. 2016 (arXiv 1512.03385); between recurrent layers Wu et al. 2016 (arXiv
        1609.08144), §3.1.

    >>> from rnnlab import GRU
    >>> cell = Residual(GRU(3))
    >>> params = cell.init_params(jax.random.key(0), input_size=3)
    >>> state, y, _ = cell.step(params, cell.initial_state(params, ()), jnp.ones(3))
    >>> bool((y == 1 + state.h).all())
    True
    """

    def init_params(self, key: Array, input_size: int) -> PyTree:
        """Draw the parameters of the cell inside, for as many inputs as it has outputs."""
        if input_size != self.output_size:
            raise ValueError(
                f"Residual adds x_t to the output: x has {input_size} features, "
                f"{type(self.inner).__name__} gives {self.output_size}"
            )
        return super().init_params(key, input_size)

    def _step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        key: Array | None,
        perturb: PyTree,
        masks: Masks | None,
    ) -> _Parts:
        parts = super()._step(params, state, x, key, perturb, masks)
        return parts._replace(added=(*parts.added, x))


# ---- variational dropout -----------------------------------------------------------------------


@dataclass(frozen=True)
class VariationalDropout(_Around):
    """A cell with dropout on x_t and h_{t−1}, with one mask for all steps of a sequence.

    All gates see the same m_x*x_t and m_h*h_{t−1}; m is 0 with probability ``rate``, else
    1/(1 − rate). The state that bypasses the gates (the GRU's z_t*h_{t−1}, the LSTM's f_t*C_{t−1})
    is never dropped. Without a key there are no masks and nothing is dropped.

    :func:`rnnlab.unroll` draws the masks once per call with ``draw_masks``, from
    ``fold_in(key, 2³² − 1)``, a key that no step uses, and passes them to every step. They do not
    depend on padding or on the engine; each window of truncated BPTT counts as a sequence, and so
    does a whole row of packed episodes.

    Args:
        inner: a cell; ``recurrent_rate`` needs one whose step takes ``masks``, such as the cells of
            :mod:`rnnlab.nn.cells` and wrappers around them.
        input_rate, recurrent_rate: dropout rates of m_x and m_h, in [0, 1).
    Raises:
        ValueError: a rate out of range; another VariationalDropout inside.
        TypeError: ``inner`` is no cell, or its step does not take masks.
    Source: Gal & Ghahramani 2016 (arXiv 1512.05287), the variant with tied masks.

    >>> from rnnlab import LSTM, unroll
    >>> cell = VariationalDropout(LSTM(4), input_rate=0.2, recurrent_rate=0.3)
    >>> params = cell.init_params(jax.random.key(0), input_size=2)
    >>> xs = jnp.ones((3, 5, 2))
    >>> ys, state = unroll(cell, params, xs, key=jax.random.key(1), deterministic=False)
    >>> ys.shape
    (3, 5, 4)
    """

    input_rate: float = 0.0
    recurrent_rate: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_rate", "recurrent_rate"):
            object.__setattr__(self, name, validate.rate(name, getattr(self, name)))
        innermost = self.inner
        while isinstance(innermost, _Around):
            if isinstance(innermost, VariationalDropout):
                raise ValueError(
                    "VariationalDropout inside VariationalDropout: use one, with both rates"
                )
            innermost = innermost.inner
        if self.recurrent_rate and "masks" not in inspect.signature(innermost.step).parameters:
            raise TypeError(
                f"recurrent_rate needs a cell whose step takes masks, "
                f"{type(innermost).__name__}.step does not"
            )

    @property
    def stochastic(self) -> bool:
        """Whether masks are drawn here, or random numbers inside."""
        return self.input_rate > 0 or self.recurrent_rate > 0 or super().stochastic

    def draw_masks(
        self, key: Array, params: PyTree, batch_shape: tuple[int, ...], input_size: int
    ) -> Masks:
        """Draw m_x (*batch_shape, D) and m_h (*batch_shape, H) of one sequence; None at rate 0."""
        key_x, key_h = jax.random.split(key)
        state = jax.eval_shape(lambda p: self.inner.initial_state(p, batch_shape), params)
        if self.recurrent_rate and "h" not in state._fields:
            raise ValueError(
                f"recurrent_rate needs a state with a part h, got {type(state).__name__}"
                f"{state._fields}"
            )
        dtype = next((part.dtype for part in contract.floats(state)), np.dtype(np.float32))
        m_x = _mask(key_x, self.input_rate, (*batch_shape, input_size), dtype)
        if not self.recurrent_rate:
            return Masks(m_x)
        return Masks(m_x, _mask(key_h, self.recurrent_rate, state.h.shape, state.h.dtype))

    def _step(
        self,
        params: PyTree,
        state: PyTree,
        x: Array,
        key: Array | None,
        perturb: PyTree,
        masks: Masks | None,
    ) -> _Parts:
        if masks is not None:
            x = x if masks.x is None else x * masks.x.astype(x.dtype)
            masks = None if masks.h is None else Masks(h=masks.h)
        return super()._step(params, state, x, key, perturb, masks)


def _mask(key: Array, rate: float, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
    if rate == 0:
        return None
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(kept, 1 / (1 - rate), 0).astype(dtype)
