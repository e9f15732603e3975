"""Norms of ∂L/∂h_t and of each step's share of ∂L/∂W, at every step.

Shapes: B batch (any leading axes), T time, D input, H hidden.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp

from rnnlab.core.validate import whole
from rnnlab.gradients import wide_exponent
from rnnlab.nn import contract, layers, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused import fused
from rnnlab.nn.layers import Layer, cell_of
from rnnlab.nn.norms import wide

Array = jax.Array
PyTree = Any
Loss = Callable[[Array], Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AdjointCurve:
    """Result of :func:`adjoint_norms`.

    ``curve.h``, and ``curve.C`` for an LSTM (any part the cell's state has), is log10 ‖∂L/∂h_t‖ at
    index t, (B, T); ``curve.norms["inner.h"]`` of a nested state. −inf: exactly zero. It may be NaN
    where the forward pass overflowed.
    """

    norms: dict[str, Array]
    overflow_at: Array  # (B,) first step (0-based) whose output is not finite; −1: none

    def __getattr__(self, part: str) -> Array:
        norms = self.__dict__.get("norms", {})
        if part not in norms:
            raise AttributeError(f"the state has no part {part!r} (measured: {', '.join(norms)})")
        return norms[part]


class _Sequences(TypedDict, total=False):
    """Keywords that :func:`adjoint_norms` documents."""

    lengths: Array | None
    initial_state: PyTree
    reverse: bool
    chunk: int | None


def adjoint_norms(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: PyTree = None,
    reverse: bool = False,
    chunk: int | None = None,
) -> PyTree:
    """Measure log10 ‖∂L/∂h_t‖ (and ‖∂L/∂C_t‖) for every step and example, in one backward pass.

    δ_t = (∂s_{t+1}/∂s_t)ᵀ δ_{t+1} + ∂L/∂s_t, the total derivative: every path from the state made
    at step t to the loss, its own output included. Exact where float32 underflows or overflows:
    each example's adjoint carries an exponent of its own (:mod:`rnnlab.gradients.wide_exponent`).

    Args:
        cell: a cell, a layer of one cell, or ``Bidirectional`` of those.
        params: its parameters.
        xs: (B, T, D).
        loss: ys (B, T, H) ↦ scalar; outputs past a sequence's length are zero.
        lengths: (B,) real steps of each sequence.
        initial_state: s_0; None: the cell's own.
        reverse: the recurrence runs from the end to the start; index t stays the step's place.
        chunk: steps between checkpoints; None: all states where they fit 256 MiB, else √T.
    Returns:
        An :class:`AdjointCurve`; for a bidirectional layer ``BothWays`` of two. Padded steps
        are −inf: nothing is computed there.
    Raises:
        TypeError: a stack of layers; probe one of its cells, the others inside ``loss``.
        ValueError: no steps, a chunk below 1; a cell whose step does not take ``perturb``.
    Source: the recursion is Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), eqs 3–5.

    >>> import jax
    >>> from rnnlab import InitScheme, RNN
    >>> cell = RNN(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.1)"))
    >>> params = cell.init_params(jax.random.key(0), input_size=1)
    >>> xs = jax.numpy.zeros((1, 101, 1))
    >>> curve = adjoint_norms(cell, params, xs, lambda ys: ys[0, -1, 0])
    >>> round(float(curve.h[0, 0]), 2)  # α^k: 0.1 to the power of 100
    -100.0
    """
    options: _Sequences = {
        "lengths": lengths,
        "initial_state": initial_state,
        "reverse": reverse,
        "chunk": chunk,
    }
    if isinstance(cell, layers.Bidirectional):
        return _both_ways(cell, params, xs, loss, options)
    contract.check_perturb(cell_of(cell), "adjoint_norms")
    run = _ForwardPass(cell, params, xs, loss, **options)
    return AdjointCurve(run.backward(weights=False), run.overflow_at)


def weight_contributions(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: PyTree = None,
    reverse: bool = False,
    chunk: int | None = None,
) -> Array:
    """Measure log10 of the norm of each step's share of ∂L/∂W_hh.

    ∂L/∂W_hh = Σ_t δ_t ∂⁺s_t/∂W_hh, ∂⁺ the immediate derivative, h_{t−1} held fixed. With the loss
    on the last step, the term at index t is the contribution of lag T−1−t.

    Args: as :func:`adjoint_norms`, one cell only; its step need not take ``perturb``.
    Returns:
        (B, T), the Frobenius norm over all recurrent kernels ("W_h…") together; −inf where the
        share is exactly zero.
    Raises:
        TypeError, ValueError: as :func:`adjoint_norms`; parameters none of which is called "W_h…".
    Source: Pascanu, Mikolov & Bengio 2013, eqs 4–5.

    >>> from rnnlab import GRU
    >>> params, xs = GRU(4).init_params(jax.random.key(0), 3), jax.numpy.ones((2, 5, 3))
    >>> weight_contributions(GRU(4), params, xs, lambda ys: ys[:, -1].sum()).shape
    (2, 5)
    """
    wide_exponent.recurrent_kernels(params)  # refuses parameters without any
    run = _ForwardPass(
        cell,
        params,
        xs,
        loss,
        lengths=lengths,
        initial_state=initial_state,
        reverse=reverse,
        chunk=chunk,
    )
    return run.backward(weights=True)["W_h"]


def value_grad_and_norms(
    cell: Cell | Layer,
    params: PyTree,
    xs: Array,
    loss: Loss,
    *,
    lengths: Array | None = None,
    initial_state: PyTree = None,
    reverse: bool = False,
) -> tuple[Array, PyTree, AdjointCurve]:
    """Return the loss, ∂L/∂params and :func:`adjoint_norms` from one backward pass, for training.

    The fused engine computes ∂L/∂s_t at every step anyway; its norm costs next to nothing. The
    range is that of the parameters' dtype: below 1e-38 (float32; not its square, 1e-19) a norm is 0
    and its logarithm −inf. ``adjoint_norms`` has no such bounds, and takes any cell.

    Args: as :func:`adjoint_norms`.
    Returns:
        (L, gradients of the structure of params, :class:`AdjointCurve`).
    Raises:
        ValueError: a cell that the fused engine does not run.

    >>> from rnnlab import LSTM
    >>> cell = LSTM(4)
    >>> params, xs = cell.init_params(jax.random.key(0), 3), jax.numpy.ones((2, 5, 3))
    >>> value, grads, curve = value_grad_and_norms(cell, params, xs, lambda ys: ys[:, -1].sum())
    >>> grads.W_hf.shape, curve.h.shape, curve.C.shape
    ((4, 4), (2, 5), (2, 5))
    """
    inner: Cell = cell_of(cell)
    _, xs, state, mask = unroll.checked(inner, params, xs, lengths, initial_state)
    T = xs.shape[-2]
    time_major_mask = None if mask is None else jnp.moveaxis(mask, -1, 0)
    # the logs of half precision are in float32
    zero_norms = jax.tree.map(lambda s: jnp.zeros((T, *s.shape[:-1]), wide(s).dtype), state)

    def loss_and_outputs(params: PyTree, norms: PyTree) -> tuple[Array, Array]:
        ys, _, _ = fused(
            inner,
            unroll.promoted(params, xs)[0],
            jnp.moveaxis(xs, -2, 0),
            state,
            mask=time_major_mask,
            reverse=reverse,
            norms=norms,
        )
        ys = jnp.moveaxis(ys, 0, -2)
        return loss(ys), ys

    value_and_grads = jax.value_and_grad(loss_and_outputs, (0, 1), has_aux=True)
    (value, ys), (grads, norms) = value_and_grads(params, zero_norms)
    logs = {part: jnp.log10(jnp.moveaxis(norm, 0, -1)) for part, norm in norms._asdict().items()}
    return value, grads, AdjointCurve(logs, wide_exponent.first_overflow(ys, reverse=reverse))


class _ForwardPass:
    """A forward pass of one cell, ready for a backward one; batch axes flattened to B."""

    def __init__(
        self,
        cell: Cell | Layer,
        params: PyTree,
        xs: Array,
        loss: Loss,
        **options: Unpack[_Sequences],
    ) -> None:
        inner: Cell = cell_of(cell)
        reverse, chunk = options.get("reverse", False), options.get("chunk")
        params, xs, state, mask = unroll.checked(
            inner,
            params,
            xs,
            options.get("lengths"),
            options.get("initial_state"),
            measured=True,
        )
        *batch, T, _ = xs.shape
        contract.check_batched(inner, state, tuple(batch), "a probe needs")
        if T < 1:
            raise ValueError("a probe needs at least one step, got xs with T = 0")

        def flat(x: Array) -> Array:
            return x.reshape(math.prod(batch), *x.shape[len(batch) :])

        xs, state = flat(xs), jax.tree.map(flat, state)
        mask = None if mask is None else flat(mask)
        if reverse:  # the same pass over flipped time
            xs, mask = jnp.flip(xs, 1), None if mask is None else jnp.flip(mask, 1)
        chunk = wide_exponent.chunk_size(state, T) if chunk is None else whole("chunk", chunk)
        self.cell, self.params, self.xs, self.mask = inner, params, xs, mask
        self.chunk, self.reverse, self.batch = min(chunk, T), reverse, batch

        with jax.default_matmul_precision("highest"):
            ys, self.kept, overflow_at = wide_exponent.forward(
                inner, params, xs, mask, state, self.chunk
            )
            ys = jnp.flip(ys, 1) if reverse else ys
            g = jax.grad(loss)(ys.reshape(*batch, *ys.shape[1:])).reshape(ys.shape)
        del ys  # at T = 100,000 this buffer decides the peak
        if reverse:
            g = jnp.flip(g, 1)
            overflow_at = jnp.where(overflow_at < 0, -1, T - 1 - overflow_at)
        self.g = g if mask is None else jnp.where(mask[..., None], g, 0)
        self.overflow_at = overflow_at.reshape(batch)

    def backward(self, *, weights: bool) -> dict[str, Array]:
        """Return :func:`wide_exponent.backward`'s norms, with the batch axes and order of xs."""
        with jax.default_matmul_precision("highest"):
            norms = wide_exponent.backward(
                self.cell, self.params, self.xs, self.mask, self.g, self.kept, self.chunk, weights
            )
        flip = partial(jnp.flip, axis=1) if self.reverse else lambda n: n
        return {name: flip(n).reshape(*self.batch, n.shape[-1]) for name, n in norms.items()}


def _both_ways(
    layer: layers.Bidirectional,
    params: layers.BothWays,
    xs: Array,
    loss: Loss,
    options: _Sequences,
) -> layers.BothWays:
    """Return each direction's curve, the other direction's outputs held fixed."""
    params, xs = unroll.promoted(params, unroll.check_inputs(xs), measured=True)
    start_f, start_b = options.get("initial_state") or (None, None)
    merge = layers.MERGES[layer.merge]
    lengths, reverse = options.get("lengths"), options.get("reverse", False)
    with jax.default_matmul_precision("highest"):
        ys_f, *_ = layer.forward.apply(
            params.forward, xs, initial_state=start_f, reverse=reverse, lengths=lengths
        )
        ys_b, *_ = layer.backward.apply(
            params.backward, xs, initial_state=start_b, reverse=not reverse, lengths=lengths
        )
    options_f: _Sequences = {**options, "initial_state": start_f}
    options_b: _Sequences = {**options, "initial_state": start_b, "reverse": not reverse}
    forward = adjoint_norms(
        layer.forward, params.forward, xs, lambda ys: loss(merge(ys, ys_b)), **options_f
    )
    backward = adjoint_norms(
        layer.backward, params.backward, xs, lambda ys: loss(merge(ys_f, ys)), **options_b
    )
    return layers.BothWays(forward, backward)
