"""Gradient flossing: Lyapunov exponents pushed to zero by gradient descent.

Source: Engelken 2023 (arXiv 2312.17306).
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.gradients.driven import (
    checked_sequences,
    layer_exponents,
    mean_over_sequences,
    state_sizes,
)
from rnnlab.nn import cells, norms
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Layer, as_layer

if TYPE_CHECKING:
    import optax

Array = jax.Array
PyTree = Any


class Flossed(NamedTuple):
    """Result of :func:`floss`."""

    params: PyTree
    loss: np.ndarray  # (steps + 1,) before each update and after the last
    exponents: np.ndarray  # (steps + 1, cells, k) mean over the sequences, nats per step
    skipped: int  # updates left out, whose gradient was not finite


def flossing_loss(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    k: int,
    *,
    discard: int = 0,
    lengths: ArrayLike | None = None,
    initial_state: PyTree = None,
) -> tuple[Array, Array]:
    """Return Σ_{i≤k} λ_i², the mean over the sequences, summed over the cells of a layer.

    Args:
        cell: a cell, or a layer of cells.
        params: its parameters.
        xs: (B, T, D).
        k: exponents of every cell that count, from the top.
        discard, lengths, initial_state: as :func:`~rnnlab.gradients.lyapunov.lyapunov_exponents`.
    Returns:
        (the loss, λ_i (cells, k), the mean over the sequences).
    Source: Engelken 2023 (arXiv 2312.17306); the sum in place of the mean over i.
    """
    found = layer_exponents(
        cell, params, xs, k, discard=discard, lengths=lengths, initial_state=initial_state
    )
    mean = partial(mean_over_sequences, lengths=lengths, discard=discard)
    means = jnp.stack([mean(exponents) for exponents in found])
    squares = jnp.stack([mean(jnp.square(exponents)) for exponents in found])
    return jnp.sum(squares), means


def floss(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    steps: int,
    k: int = 8,
    learning_rate: float = 1e-3,
    *,
    discard: int = 0,
    lengths: ArrayLike | None = None,
) -> Flossed:
    """Push the first k Lyapunov exponents to zero on these sequences, by Adam.

    Minimizes Σ_{i≤k} λ_i² of :func:`flossing_loss` over all parameters of the cell. Gradients then
    neither vanish nor explode along k directions of the state.

    Args:
        cell: any cell, or a layer of cells.
        params: its parameters.
        xs: (B, T, D); every step reads all of them.
        steps: updates; 0: measure only.
        k: exponents of every cell, from 1 to its state's features. Where the Jacobians have fewer
            directions than k (saturated or dead units), an exponent is −inf and nothing is updated.
        learning_rate: of Adam.
        discard, lengths: as :func:`~rnnlab.gradients.lyapunov.lyapunov_exponents`.
    Returns:
        A :class:`Flossed`.
    Raises:
        ValueError: a number out of its range, shapes that do not fit.
    Source: Engelken 2023 (arXiv 2312.17306).

    >>> from rnnlab import RNN
    >>> key = jax.random.key(0)
    >>> params, xs = RNN(4).init_params(key, 2), jax.random.normal(key, (3, 20, 2))
    >>> flossed = floss(RNN(4), params, xs, steps=20, k=2, learning_rate=1e-2)
    >>> bool(flossed.loss[-1] < flossed.loss[0] / 2), flossed.skipped
    (True, 0)
    """
    steps = validate.whole("steps", steps, 0)
    learning_rate = validate.number("learning_rate", learning_rate, above=0)
    xs, real, discard = checked_sequences(xs, lengths, discard)
    plain = cells.without_init(as_layer(cell))
    k = validate.whole("k", k, 1, min(state_sizes(plain, xs.shape[-1])))
    after, (loss, exponents, skipped) = _floss(
        plain, params, xs, real, learning_rate, steps, k, discard
    )
    return Flossed(after, np.asarray(loss), np.asarray(exponents), int(skipped.sum()))


@partial(jax.jit, static_argnames=("layer", "steps", "k", "discard"))
def _floss(
    layer: Layer,
    params: PyTree,
    xs: Array,
    lengths: Array | None,
    learning_rate: Array | float,
    steps: int,
    k: int,
    discard: int,
) -> tuple[PyTree, tuple[Array, Array, Array]]:
    import optax  # not before it is needed: the probes do without

    adam = optax.adam(learning_rate)

    def loss(params: PyTree) -> tuple[Array, Array]:
        return flossing_loss(layer, params, xs, k, discard=discard, lengths=lengths)

    def update(
        carry: tuple[PyTree, "optax.OptState"], last: Array
    ) -> tuple[tuple[PyTree, "optax.OptState"], tuple[Array, Array, Array]]:
        (value, exponents), grads = jax.value_and_grad(loss, has_aux=True)(carry[0])
        with jax.numpy_dtype_promotion("standard"):  # which optax counts on
            updates, state = adam.update(grads, carry[1], carry[0])
        new = jax.tree.map(jnp.add, carry[0], updates), state
        finite = jnp.isfinite(value) & norms.all_finite((grads, new[0]))
        kept = jax.tree.map(lambda n, o: jnp.where(finite & ~last, n, o), new, carry)
        return kept, (value, exponents, ~finite & ~last)

    start = params, adam.init(params)
    (params, _), history = jax.lax.scan(update, start, jnp.arange(steps + 1) == steps)
    return params, history
