"""The cells of a layer, each with the sequences that drive it.

A probe takes one cell. In a stack the lower layers' outputs drive the cell above them, and a
backward direction reads each sequence from its end.

Shapes: B batch, T time, D input.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.gradients.lyapunov import lyapunov_exponents
from rnnlab.nn import cells, contract, layers, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, as_layer

Array = jax.Array
PyTree = Any


class Driven(NamedTuple):
    """A cell of a layer, and the sequences that it reads."""

    cell: Cell  # its init stripped
    params: PyTree
    xs: Array  # (B, T, D)
    initial_state: PyTree  # None: the cell's own


def driven_cells(
    layer: Cell | Layer,
    params: PyTree,
    xs: Array,
    *,
    lengths: ArrayLike | None = None,
    initial_state: PyTree = None,
) -> Iterator[Driven]:
    """Yield every cell of a layer with the sequences that drive it, bottom first.

    Args:
        layer: a cell, a layer of one, ``Bidirectional``, ``Stack``, nested in any way.
        params: its parameters.
        xs: (B, T, D).
        lengths: (B,) real steps of each sequence; None: all T.
        initial_state: of the layer; None: its own.
    Raises:
        TypeError: a layer of another class, whose cells are not known.
    """
    layer = as_layer(layer)
    if isinstance(layer, layers.CellLayer):
        yield Driven(layers.cell_of(layer), params, unroll.check_inputs(xs), initial_state)
    elif isinstance(layer, layers.Bidirectional):
        starts = (None, None) if initial_state is None else initial_state
        ways = (layer.forward, xs), (layer.backward, _reversed(unroll.check_inputs(xs), lengths))
        for (one, read), own, start in zip(ways, params, starts, strict=True):
            yield from driven_cells(one, own, read, lengths=lengths, initial_state=start)
    elif isinstance(layer, layers.Stack):
        starts = (None,) * len(layer.layers) if initial_state is None else initial_state
        for one, own, start in zip(layer.layers, params, starts, strict=True):
            yield from driven_cells(one, own, xs, lengths=lengths, initial_state=start)
            # by scan, the definition; the top layer's outputs drive nothing and are not compiled
            xs = one.apply(own, xs, lengths=lengths, initial_state=start, engine="scan")[0]
    else:
        raise TypeError(
            f"a probe finds the cells of CellLayer, Bidirectional and Stack, "
            f"got {type(layer).__name__}"
        )


def layer_exponents(
    layer: Cell | Layer,
    params: PyTree,
    xs: Array,
    count: int = 1,
    *,
    discard: int = 0,
    lengths: ArrayLike | None = None,
    initial_state: PyTree = None,
) -> list[Array]:
    """Measure the first ``count`` Lyapunov exponents of every cell of a layer.

    The Jacobian of a one-way stack is block triangular over its cells, so that its exponents are
    those of the cells.

    Args: as :func:`driven_cells` and :func:`~rnnlab.gradients.lyapunov.lyapunov_exponents`.
    Returns:
        (B, count) for each cell, bottom first.
    """
    return [
        lyapunov_exponents(
            one.cell,
            one.params,
            one.xs,
            count,
            discard=discard,
            lengths=lengths,
            initial_state=one.initial_state,
        )
        for one in driven_cells(layer, params, xs, lengths=lengths, initial_state=initial_state)
    ]


def checked_sequences(
    xs: ArrayLike, lengths: ArrayLike | None, discard: int
) -> tuple[Array, Array | None, int]:
    """Return (xs (B, T, D), real steps (B,) or None, discard), checked.

    Raises:
        TypeError, ValueError: xs or lengths as :func:`rnnlab.unroll` refuses them, another rank, a
            ``discard`` outside 0 … T−1, or no sequence with a step after it.
    """
    xs = unroll.check_inputs(xs)
    B, T, _ = validate.shape("xs", xs, ("B", "T", "D"))
    if T < 1:
        raise ValueError("a probe needs at least one step, got xs with T = 0")
    discard = validate.whole("discard", discard, 0, T - 1)
    steps = None if lengths is None else unroll.real_steps(lengths, (B,), T)
    if B < 1 or (steps is not None and not bool((steps > discard).any())):
        raise ValueError(f"no sequence has a step to measure after the first {discard}")
    return xs, steps, discard


def mean_over_sequences(values: Array, lengths: ArrayLike | None, discard: int = 0) -> Array:
    """Return the mean over sequences that have a step to measure, (B, ...) -> (...)."""
    if lengths is None:
        return values.mean(axis=0)
    counts = (jnp.asarray(lengths) > discard).reshape(-1, *[1] * (values.ndim - 1))
    return jnp.mean(values, axis=0, where=counts)


@lru_cache(maxsize=256)
def state_sizes(layer: Cell | Layer, input_size: int) -> tuple[int, ...]:
    """Return the number of state features of every cell of a layer, bottom first; from shapes.

    >>> from rnnlab import GRU, LSTM, Stack
    >>> state_sizes(Stack([LSTM(4), GRU(3)]), 2)
    (8, 3)
    """
    plain = cells.without_init(as_layer(layer))
    found: list[int] = []

    def look(key: Array, xs: Array) -> None:
        for one in driven_cells(plain, plain.init(key, input_size), xs):
            state = contract.first_state(one.cell, one.params, (1,))
            found.append(sum(contract.features(leaf, 1) for leaf in contract.floats(state)))

    with jax.ensure_compile_time_eval():  # outside any trace in progress
        jax.eval_shape(look, jax.random.key(0), jnp.zeros((1, 1, input_size)))
    return tuple(found)


def _reversed(xs: Array, lengths: ArrayLike | None) -> Array:
    """Return each sequence from its own end to its start; padding stays behind it."""
    T = xs.shape[-2]
    if lengths is None:
        return jnp.flip(xs, -2)
    last = unroll.real_steps(lengths, xs.shape[:-2], T)[..., None] - 1
    steps = jnp.arange(T)
    return jnp.take_along_axis(xs, jnp.where(steps <= last, last - steps, steps)[..., None], -2)
