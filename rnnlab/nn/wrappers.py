"""Wrappers: cells around a cell, for zoneout, a residual path and variational dropout.

A wrapper has the parameters and the state of the cell inside, so that probes, checkpoints and
generation work unchanged. Without a key nothing is drawn: a step computes its expectation, which
is also what probes see.

Wrappers nest, most readably as ``Residual(VariationalDropout(Zoneout(cell)))``: zoneout acts on the
state, dropout on the gates' inputs, the residual path on the output.

Shapes: D input, H hidden; ``...`` any leading axes.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import unknown
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
        # a cell whose step does not take masks never gets any
        options = {} if masks is None else {"masks": masks}
        return self.inner.step(params, state, x, key=key, perturb=perturb, **options)


def _output(cell: Cell, state: PyTree, x: Array) -> Array:
    """y_t of a cell from its new state: h_t, plus x_t over a residual path."""
    if isinstance(cell, Residual):
        return x + _output(cell.inner, state, x)
    return _output(cell.inner, state, x) if isinstance(cell, _Around) else state.h


# ---- zoneout -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Zoneout(_Around):
    """A cell whose state units keep their old value with probability ``rate``, drawn per step.

    s_t = d_t*s_{t−1} + (1 − d_t)*s̃_t, d_t ~ Bernoulli(rate), where s̃_t is the new state of the cell
    inside. Every part of the state draws its own d_t, and h̃_t = o_t*tanh(C̃_t) uses the memory
    before zoneout, as in the paper. Without a key d_t is its expectation, ``rate``.

    Args:
        inner: a cell whose output is its state's h (any cell or wrapper of this package).
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
            for part, _ in pairs:
                if part not in self.state_parts:
                    raise ValueError(unknown("state part of zoneout:", part, self.state_parts))
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
        rates = (self._rate(part) for part in self.state_parts or ("h",))
        return any(rate > 0 for rate in rates) or super().stochastic

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
        """Run one time step; return (new state, output, gate values of the cell inside)."""
        parts = state._fields
        *keys, key_inner = (
            (None,) * (len(parts) + 1) if key is None else (jax.random.split(key, len(parts) + 1))
        )
        proposed, _, gates = super().step(params, state, x, key=key_inner, masks=masks)
        mixed = {
            part: _mix(getattr(state, part), getattr(proposed, part), self._rate(part), key)
            for part, key in zip(parts, keys, strict=True)
        }
        if perturb is not None:
            mixed = {part: value + getattr(perturb, part) for part, value in mixed.items()}
        new = type(state)(**mixed)
        return new, _output(self.inner, new, x), gates

    def _rate(self, part: str) -> float:
        if isinstance(self.rate, Mapping | tuple):
            return dict(self.rate).get(part, 0.0)
        return self.rate


def _mix(old: Array, new: Array, rate: float, key: Array | None) -> Array:
    if rate == 0:
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
        """Run one time step; return (new state, x_t + the output inside, gate values)."""
        new, y, gates = super().step(params, state, x, key=key, perturb=perturb, masks=masks)
        return new, x + y, gates


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
        h = jax.eval_shape(lambda p: self.inner.initial_state(p, batch_shape), params).h
        key_x, key_h = jax.random.split(key)
        return Masks(
            _mask(key_x, self.input_rate, (*batch_shape, input_size), h.dtype),
            _mask(key_h, self.recurrent_rate, h.shape, h.dtype),
        )

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
        """Run one time step under ``masks``; return (new state, output, gate values)."""
        if masks is not None:
            x = x if masks.x is None else x * masks.x.astype(x.dtype)
            masks = None if masks.h is None else Masks(h=masks.h)
        return super().step(params, state, x, key=key, perturb=perturb, masks=masks)


def _mask(key: Array, rate: float, shape: tuple[int, ...], dtype: np.dtype) -> Array | None:
    if rate == 0:
        return None
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(kept, 1 / (1 - rate), 0).astype(dtype)
