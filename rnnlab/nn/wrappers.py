"""What goes around a cell and is a cell again: zoneout, a residual path, variational dropout.

A wrapper has the parameters and the state of the cell inside, part by part, so that probes,
checkpoints and generation see what they know. Without a key nothing is drawn: a step gives its
expectation, which is what probes look at.

Wrappers nest. The order that reads as it computes is
``Residual(VariationalDropout(Zoneout(cell)))``: zoneout is about the state, dropout about what the
gates see of it, the residual path about the output.

Shapes: D input, H hidden; ``...`` any leading axes.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.errors import unknown
from rnnlab.nn.cells import Cell, Masks

Array = jax.Array


@dataclass(frozen=True)
class _Around:
    """A cell that hands everything on to the one inside."""

    inner: Any

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Cell):
            raise TypeError(
                f"{type(self).__name__} goes around a cell, got {type(self.inner).__name__}"
            )

    @property
    def hidden_size(self) -> int:
        """H of the cell inside."""
        return self.inner.hidden_size

    @property
    def output_size(self) -> int:
        """Features of y_t: those of the cell inside."""
        return self.inner.output_size

    @property
    def gates(self) -> tuple[str, ...]:
        """Letters of the gates inside."""
        return self.inner.gates

    @property
    def state_parts(self) -> tuple[str, ...]:
        """Names of the state's parts, "h" or "h" and "C"."""
        return self.inner.state_parts

    @property
    def activation(self) -> Any:
        """f of a simple RNN inside; another cell has none (AttributeError)."""
        return self.inner.activation

    @property
    def projection(self) -> int | None:
        """P of an LSTM inside that projects, else None."""
        return getattr(self.inner, "projection", None)

    @property
    def stochastic(self) -> bool:
        """Whether a step draws anything."""
        return getattr(self.inner, "stochastic", False)

    def init_params(self, key: Array, input_size: int) -> Any:
        """The parameters of the cell inside: a wrapper has none of its own."""
        return self.inner.init_params(key, input_size)

    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> Any:
        """s_0 of the cell inside."""
        return self.inner.initial_state(params, batch_shape, key)

    def draw_masks(
        self, key: Array, params: Any, batch_shape: tuple[int, ...], input_size: int
    ) -> Masks | None:
        """What is drawn once for a whole sequence; None: nothing is."""
        draw = getattr(self.inner, "draw_masks", None)
        return None if draw is None else draw(key, params, batch_shape, input_size)

    def _inner_step(self, params: Any, state: Any, x: Array, masks: Any, **rest: Any) -> Any:
        # a cell without masks of its own need not know the word
        given = {} if masks is None else {"masks": masks}
        return self.inner.step(params, state, x, **rest, **given)


def _reads(cell: Any, state: Any, x: Array) -> Array:
    """y_t of a cell by its new state: h_t, and x_t as well over a residual path."""
    if isinstance(cell, Residual):
        return x + _reads(cell.inner, state, x)
    return _reads(cell.inner, state, x) if isinstance(cell, _Around) else state.h


# ---- zoneout -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Zoneout(_Around):
    """Each unit of the state keeps its old value with probability ``rate``, drawn step by step.

    s_t = d_t*s_{t−1} + (1 − d_t)*s̃_t, d_t ~ Bernoulli(rate), s̃_t what the cell inside makes of
    s_{t−1} and x_t; every part of the state draws its own d_t, and h̃_t = o_t*tanh(C̃_t) is made of
    the memory before zoneout, as the paper has it. Without a key d_t is its expectation, ``rate``.

    Args:
        inner: a cell whose output is its state's h (any cell and wrapper here).
        rate: of all parts, or a mapping from parts to rates ({"h": 0.05, "C": 0.5} is the paper's
            choice for an LSTM); a part that is not named is left alone. In [0, 1).
    Raises:
        ValueError: a rate out of range, a part that the state does not have. TypeError: no cell.
    Source: Krueger et al. 2017 (arXiv 1606.01305).

    >>> from rnnlab import LSTM
    >>> cell = Zoneout(LSTM(4), {"h": 0.05, "C": 0.5})
    >>> cell.rate, cell.stochastic
    ((('C', 0.5), ('h', 0.05)), True)
    """

    rate: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.rate, Mapping | tuple):
            pairs = tuple(self.rate.items() if isinstance(self.rate, Mapping) else self.rate)
            if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
                raise ValueError(
                    "zoneout: the rate must be a number, or a mapping from parts of "
                    f"the state to numbers, got {self.rate!r}"
                )
            for part, rate in pairs:
                if part not in self.state_parts:
                    raise ValueError(unknown("state part of zoneout:", part, self.state_parts))
                _check_rate(f"zoneout of {part}", rate)
            object.__setattr__(self, "rate", tuple(sorted(pairs)))  # hashable, so that cells are
        else:
            _check_rate("zoneout", self.rate)

    @property
    def stochastic(self) -> bool:
        """Whether a step draws anything."""
        rates = dict(self.rate).values() if isinstance(self.rate, tuple) else (self.rate,)
        return any(rate > 0 for rate in rates) or super().stochastic

    def step(
        self,
        params: Any,
        state: Any,
        x: Array,
        *,
        key: Array | None = None,
        perturb: Any = None,
        masks: Masks | None = None,
    ) -> tuple[Any, Array, Any]:
        """One time step: (new state, output, the inner cell's gates)."""
        parts = state._fields
        *keys, key_inner = (
            (None,) * (len(parts) + 1) if key is None else (jax.random.split(key, len(parts) + 1))
        )
        made, _, gates = self._inner_step(params, state, x, masks, key=key_inner)
        mixed = {
            part: _mix(getattr(state, part), getattr(made, part), self._rate(part), key)
            for part, key in zip(parts, keys, strict=True)
        }
        if perturb is not None:
            mixed = {part: value + getattr(perturb, part) for part, value in mixed.items()}
        new = type(state)(**mixed)
        return new, _reads(self.inner, new, x), gates

    def _rate(self, part: str) -> float:
        return dict(self.rate).get(part, 0.0) if isinstance(self.rate, tuple) else self.rate


def _mix(old: Array, new: Array, rate: float, key: Array | None) -> Array:
    if rate == 0:
        return new
    if key is None:
        return rate * old + (1 - rate) * new
    return jnp.where(jax.random.bernoulli(key, rate, new.shape), old, new)


def _check_rate(name: str, rate: Any) -> None:
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < 1:
        raise ValueError(f"{name}: the rate must lie in [0, 1), got {rate!r}")


# ---- residual ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Residual(_Around):
    """y_t = x_t + the output of the cell inside; its state is fed back as it is.

    Args:
        inner: a cell with as many outputs as it has inputs.
    Raises:
        ValueError: from ``init_params``, where D is not the cell's output size. TypeError: no cell.
    Source: He et al. 2016 (arXiv 1512.03385); between recurrent layers Wu et al. 2016 (arXiv
        1609.08144), §3.1.

    >>> from rnnlab import GRU
    >>> cell = Residual(GRU(3))
    >>> params = cell.init_params(jax.random.key(0), input_size=3)
    >>> state, y, _ = cell.step(params, cell.initial_state(params, ()), jnp.ones(3))
    >>> bool((y == 1 + state.h).all())
    True
    """

    def init_params(self, key: Array, input_size: int) -> Any:
        """The parameters of the cell inside, for D inputs as it has outputs."""
        if input_size != self.output_size:
            raise ValueError(
                f"Residual adds x_t to the output: x has {input_size} features, "
                f"{type(self.inner).__name__} gives {self.output_size}"
            )
        return super().init_params(key, input_size)

    def step(
        self,
        params: Any,
        state: Any,
        x: Array,
        *,
        key: Array | None = None,
        perturb: Any = None,
        masks: Masks | None = None,
    ) -> tuple[Any, Array, Any]:
        """One time step: (the inner cell's new state, x_t + its output, its gates)."""
        new, y, gates = self._inner_step(params, state, x, masks, key=key, perturb=perturb)
        return new, x + y, gates


# ---- variational dropout -----------------------------------------------------------------------


@dataclass(frozen=True)
class VariationalDropout(_Around):
    """Dropout with one mask for all steps of a sequence, on x_t and on h_{t−1}.

    The gates see m_x*x_t and m_h*h_{t−1}, all of them the same; m is 0 with probability ``rate``,
    else 1/(1 − rate). What carries the state on past the gates (the GRU's z_t*h_{t−1}, the LSTM's
    f_t*C_{t−1}) is no product of theirs and is never dropped. Without masks (no key) all is seen.

    Where the masks are: :func:`rnnlab.unroll` draws them by ``draw_masks`` once a call, from
    ``fold_in(key, 2³² − 1)``, a key that no step has, and hands them to every step. Neither more
    padding nor another engine draws others; each window of truncated BPTT is a sequence of its own,
    and so is a whole row of packed episodes.

    Args:
        inner: a cell; for ``recurrent_rate`` one whose step takes ``masks``, as those of
            :mod:`rnnlab.nn.cells` and the wrappers around them.
        input_rate, recurrent_rate: of m_x and of m_h, in [0, 1).
    Raises:
        ValueError: a rate out of range; variational dropout inside already. TypeError: no cell, or
            one that takes no masks.
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
        _check_rate("input_rate", self.input_rate)
        _check_rate("recurrent_rate", self.recurrent_rate)
        inside = self.inner
        while isinstance(inside, _Around):
            if isinstance(inside, VariationalDropout):
                raise ValueError(
                    "VariationalDropout inside VariationalDropout: one of them, with "
                    "the rates of both"
                )
            inside = inside.inner
        if self.recurrent_rate and "masks" not in inspect.signature(inside.step).parameters:
            raise TypeError(
                f"recurrent_rate needs a cell whose step takes masks, "
                f"{type(inside).__name__}.step does not"
            )

    @property
    def stochastic(self) -> bool:
        """Whether a step draws anything."""
        return self.input_rate > 0 or self.recurrent_rate > 0 or super().stochastic

    def draw_masks(
        self, key: Array, params: Any, batch_shape: tuple[int, ...], input_size: int
    ) -> Masks:
        """m_x (*batch_shape, D) and m_h (*batch_shape, H) of one sequence; None at rate 0."""
        h = jax.eval_shape(lambda p: self.inner.initial_state(p, batch_shape), params).h
        key_x, key_h = jax.random.split(key)
        return Masks(
            _mask(key_x, self.input_rate, (*batch_shape, input_size), h.dtype),
            _mask(key_h, self.recurrent_rate, h.shape, h.dtype),
        )

    def step(
        self,
        params: Any,
        state: Any,
        x: Array,
        *,
        key: Array | None = None,
        perturb: Any = None,
        masks: Masks | None = None,
    ) -> tuple[Any, Array, Any]:
        """One time step under ``masks``; (new state, output, gates) of the cell inside."""
        if masks is not None:
            x = x if masks.x is None else x * masks.x.astype(x.dtype)
            masks = None if masks.h is None else Masks(h=masks.h)
        return self._inner_step(params, state, x, masks, key=key, perturb=perturb)


def _mask(key: Array, rate: float, shape: tuple[int, ...], dtype: Any) -> Array | None:
    if rate == 0:
        return None
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(kept, 1 / (1 - rate), 0).astype(dtype)
