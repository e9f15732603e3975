"""The backward pass of a recurrence in floating point with a wide exponent.

Over long sequences the adjoint of step t, δ_t = ∂L/∂s_t, leaves float32's range: N(0, 0.01²)
weights give 1e-93 after 100 steps, where a plain backward pass has long been 0. Here each example's
adjoint has an exponent of its own. After every step it is rescaled to order 1 by a power of two,
which is exact: only the vector-Jacobian products round.

Memory: the state before every step where that fits, else the states at √T-spaced checkpoints,
recomputed chunk by chunk. Shapes: B batch, T time, t steps of a chunk, D input, H output.
"""

import math
from functools import partial
from typing import Any, NamedTuple, overload

import jax
import jax.numpy as jnp

from rnnlab.nn import norms
from rnnlab.nn.cells import Cell
from rnnlab.nn.contract import check_step, float_names, floats, part_name, with_floats
from rnnlab.nn.engines.scan import over_features, select
from rnnlab.nn.meshes import varying_alike

Array = jax.Array
PyTree = Any

_LOG10_2 = math.log10(2.0)
_ZERO = -(2**30)  # the exponent of an exact zero: below any that a sequence can reach
_STORE_LIMIT = 256 * 2**20  # bytes of states kept before checkpointing starts


# ---- vectors with an exponent each: x·2^e, x (B, n), e (B,) ------------------------------------


def _flat(x: Array) -> Array:
    """Return the entries of each example side by side, (B, n)."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _exponent(x: Array) -> Array:
    """Return e with max|x| in [2^(e−1), 2^e); _ZERO where x is all zero."""
    largest = jnp.max(jnp.abs(x), axis=-1)
    return jnp.where(largest == 0, _ZERO, jnp.frexp(largest)[1])


def _shift(x: Array, e: Array) -> Array:
    """Return x·2^e of each example."""
    return norms.shift(x, over_features(e, x))


def _log10_norm(x: Array, e: Array) -> Array:
    """Return log10(‖x‖·2^e); −inf where x is all zero."""
    largest = norms.exponent(jnp.max(jnp.abs(x), axis=-1))
    squared = jnp.sum(_shift(x, -largest) ** 2, axis=-1)  # of order 1: no under- or overflow
    return jnp.log10(squared) / 2 + (e + largest).astype(x.dtype) * _LOG10_2


def _joint_exponent(parts: list[Array]) -> Array:
    return jnp.max(jnp.stack([_exponent(_flat(part)) for part in parts]), axis=0)


# ---- forward -----------------------------------------------------------------------------------


def chunk_size(state: PyTree, T: int, limit: int = _STORE_LIMIT) -> int:
    """Return T where the states of all steps fit ``limit`` bytes, else ⌈√T⌉.

    >>> chunk_size({"h": jnp.zeros((10, 5))}, 100), chunk_size({"h": jnp.zeros(5)}, 100, limit=0)
    (100, 10)
    """
    step_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return T if step_bytes * T <= limit else math.isqrt(T - 1) + 1


@overload
def _slice(xs: Array, start: Array | int, size: int) -> Array: ...
@overload
def _slice(xs: None, start: Array | int, size: int) -> None: ...
def _slice(xs: Array | None, start: Array | int, size: int) -> Array | None:
    """Return ``size`` steps from ``start``, time in front: (t, B, …)."""
    if xs is None:
        return None
    return jnp.moveaxis(jax.lax.dynamic_slice_in_dim(xs, start, size, axis=1), 1, 0)


def _run(
    cell: Cell, params: PyTree, xs: Array, mask: Array | None, state: PyTree
) -> tuple[PyTree, Array, PyTree]:
    """Run over xs (t, B, D); return the last state, ys (t, B, H) and the state before each step."""

    def body(state: PyTree, inputs: tuple[Array, Array | None]) -> tuple[PyTree, PyTree]:
        x, keep = inputs
        new, y, _ = cell.step(params, state, x)
        if keep is not None:
            new = select(keep, new, state)
            y = jnp.where(keep[:, None], y, 0)
        return new, (y, state)

    after, (ys, before) = jax.lax.scan(body, state, (xs, mask))
    return after, ys, before


@partial(jax.jit, static_argnames=("cell", "chunk"))
def forward(
    cell: Cell, params: PyTree, xs: Array, mask: Array | None, state: PyTree, chunk: int
) -> tuple[Array, PyTree, Array]:
    """Run the recurrence, keeping the states that :func:`backward` restarts from.

    Args:
        xs: (B, T, D).
        mask: (B, T) or None.
        state: s_0, leaves (B, …).
        chunk: T keeps the state before every step; less, the state before every chunk.
    Returns:
        ys (B, T, H); the states kept, leaves (T or ⌈T/chunk⌉, B, H); overflow_at (B,), the first
        step whose output is not finite, −1 where all are.
    """
    B, T = xs.shape[:2]
    state, _ = varying_alike((state, (params, xs, mask)))
    if chunk >= T:
        _, ys, before = _run(cell, params, _slice(xs, 0, T), _slice(mask, 0, T), state)
        ys = jnp.moveaxis(ys, 0, 1)
        return ys, before, first_overflow(ys)

    def run_chunk(carry: PyTree, start: Array | int, size: int) -> tuple[PyTree, PyTree]:
        state, ys = carry
        x, keep = _slice(xs, start, size), _slice(mask, start, size)
        after, y, _ = _run(cell, params, x, keep, state)
        # written in place: stacking the chunks would cost a second copy to put B in front
        ys = jax.lax.dynamic_update_slice_in_dim(ys, jnp.moveaxis(y, 0, 1), start, axis=1)
        return (after, ys), state

    full, rest = divmod(T, chunk)
    output = check_step(cell, params, state, xs[:, 0]).output
    carry = (state, jnp.zeros((B, T, cell.output_size), output.dtype))
    carry, _ = varying_alike((carry, (params, xs, mask)))
    carry, kept = jax.lax.scan(lambda c, i: run_chunk(c, i * chunk, chunk), carry, jnp.arange(full))
    if rest:
        carry, last = run_chunk(carry, full * chunk, rest)
        kept = jax.tree.map(lambda k, s: jnp.concatenate([k, s[None]]), kept, last)
    return carry[1], kept, first_overflow(carry[1])


def first_overflow(ys: Array, reverse: bool = False) -> Array:
    """Return the index of the first step run whose output is not finite, −1 where all are.

    Args:
        ys: (B…, T, H).
        reverse: whether steps are run from the last to the first.

    >>> first_overflow(jnp.array([[0.0], [jnp.inf], [jnp.nan]])).item()
    1
    """
    finite = jnp.isfinite(ys).all(axis=-1)
    T = finite.shape[-1]
    first = T - 1 - jnp.argmin(finite[..., ::-1], -1) if reverse else jnp.argmin(finite, -1)
    return jnp.where(finite.all(axis=-1), -1, first)


# ---- backward ----------------------------------------------------------------------------------


# an adjoint has a part for each leaf of the state that is made of floats; a step counter has none


def _state_vjp(
    cell: Cell, params: PyTree, before: PyTree, x: Array, cotangents: PyTree
) -> tuple[list[Array], dict[str, Array]]:
    """Return (adjoint of the state before, total derivatives by state part, each (B, n))."""
    nothing = jax.tree.map(jnp.zeros_like, before)

    def step(parts: list[Array], added: list[Array]) -> tuple[list[Array], Array]:
        perturb = with_floats(nothing, added)
        new, y, _ = cell.step(params, with_floats(before, parts), x, perturb=perturb)
        return floats(new), y

    _, pull = jax.vjp(step, floats(before), floats(nothing))
    earlier, totals = pull(cotangents)
    return earlier, dict(zip(float_names(before), map(_flat, totals), strict=True))


def recurrent_kernels(params: PyTree) -> list[Array]:
    """Return the recurrent kernels among the parameters, those called "W_h…".

    Raises:
        ValueError: there is none.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = {part_name(path): leaf for path, leaf in leaves}
    kernels = [leaf for name, leaf in named.items() if name.rpartition(".")[2].startswith("W_h")]
    if not kernels:
        raise ValueError(
            f"weight_contributions needs recurrent kernels, parameters called W_h…: "
            f"there are {', '.join(named) or 'none'}"
        )
    return kernels


def _weight_vjp(
    cell: Cell, params: PyTree, before: PyTree, x: Array, cotangents: PyTree
) -> tuple[list[Array], dict[str, Array]]:
    """Return (adjoint of the state before, norm of the step's share of ∂L/∂W_h· per example)."""

    def one_example(
        before: PyTree, x: Array, cotangents: PyTree
    ) -> tuple[list[Array], dict[str, Array]]:
        def step(params: PyTree, parts: list[Array]) -> tuple[list[Array], Array]:
            new, y, _ = cell.step(params, with_floats(before, parts), x)
            return floats(new), y

        _, pull = jax.vjp(step, params, floats(before))
        d_params, earlier = pull(cotangents)
        block = jnp.concatenate([kernel.ravel() for kernel in recurrent_kernels(d_params)])
        # reduced to one number at once: H² per step and example would be the peak of memory
        return earlier, {"W_h": norms.norm(block)[None]}

    return jax.vmap(one_example)(before, x, cotangents)


class _StepInputs(NamedTuple):
    """Inputs of a step back, each (t, B, ·)."""

    before: PyTree  # s_{t−1}
    x: Array
    keep: Array | None
    g: Array  # ∂L/∂y_t, scaled to order 1
    exponent: Array  # of that scale


@partial(jax.jit, static_argnames=("cell", "chunk", "weights"))
def backward(
    cell: Cell,
    params: PyTree,
    xs: Array,
    mask: Array | None,
    g: Array,
    kept: PyTree,
    chunk: int,
    weights: bool = False,
) -> dict[str, Array]:
    """Return log10 of the norm of every adjoint, from the last step to the first.

    δ_{t−1} = (∂s_t/∂s_{t−1})ᵀ δ_t + (∂y_t/∂s_{t−1})ᵀ g_t, in the running scale of each example.

    Args:
        xs, mask, chunk: as given to :func:`forward`.
        g: ∂L/∂y (B, T, H), zero at padded steps.
        kept: the states that :func:`forward` returned.
        weights: measure each step's share of ∂L/∂W_h· (all recurrent kernels) instead.
    Returns:
        {state part: (B, T)}, or {"W_h": (B, T)} with ``weights``.
    """
    T = xs.shape[1]
    vjp = _weight_vjp if weights else _state_vjp

    def step(carry: tuple[PyTree, Array, Array], inputs: _StepInputs) -> tuple[PyTree, PyTree]:
        adjoint, exponent, shift = carry  # stands for adjoint·2^shift·2^exponent
        before, x, keep, g, g_exponent = inputs
        # the adjoint from later steps and this step's own loss term, brought to one scale
        scale = jnp.maximum(exponent, g_exponent)
        adjoint = [_shift(part, shift + (exponent - scale)) for part in adjoint]
        g = _shift(g, g_exponent - scale)
        earlier, totals = vjp(cell, params, before, x, (adjoint, g))
        if keep is not None:  # nothing is computed at a padded step
            totals = jax.tree.map(lambda a: jnp.where(keep[:, None], a, 0), totals)
        size = _joint_exponent(earlier)
        zero = size == _ZERO
        later = jnp.where(zero, _ZERO, scale + size)
        return (earlier, later, jnp.where(zero, 0, -size)), (totals, scale)

    def steps_back(
        carry: PyTree, start: Array | int, size: int, before: PyTree
    ) -> tuple[PyTree, dict[str, Array]]:
        x, keep, g_T = _slice(xs, start, size), _slice(mask, start, size), _slice(g, start, size)
        exponent = _exponent(g_T)
        g_T = _shift(g_T, jnp.where(exponent == _ZERO, 0, -exponent))
        inputs = _StepInputs(before, x, keep, g_T, exponent)
        carry, (totals, scale) = jax.lax.scan(step, carry, inputs, reverse=True)
        return carry, jax.tree.map(lambda total: _log10_norm(total, scale), totals)

    def chunk_back(
        carry: PyTree, start: Array | int, size: int, state: PyTree
    ) -> tuple[PyTree, dict[str, Array]]:
        x, keep = _slice(xs, start, size), _slice(mask, start, size)
        before = _run(cell, params, x, keep, state)[2]
        return steps_back(carry, start, size, before)

    nothing = [jnp.zeros_like(part[0]) for part in floats(kept)]
    zero = _joint_exponent(nothing)
    carry, _ = varying_alike(((nothing, zero, zero * 0), (params, xs, mask, g, kept)))
    if chunk >= T:
        norms = steps_back(carry, 0, T, kept)[1]
        return jax.tree.map(jnp.transpose, norms)

    full, rest = divmod(T, chunk)
    tails = []
    if rest:
        last = jax.tree.map(lambda k: k[-1], kept)
        carry, tail = chunk_back(carry, full * chunk, rest, last)
        tails = [tail]
    starts = (jnp.arange(full) * chunk, jax.tree.map(lambda k: k[:full], kept))
    _, heads = jax.lax.scan(
        lambda c, inputs: chunk_back(c, inputs[0], chunk, inputs[1]), carry, starts, reverse=True
    )
    heads = jax.tree.map(lambda n: n.reshape(full * chunk, n.shape[-1]), heads)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts).T, heads, *tails)
