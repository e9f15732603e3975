"""The named cells over time with a hand-written adjoint: the engine for training on CPUs.

In the forward pass the rows [h_{t−1}, x_t, 1] of all steps lie in one array: a step fills in its h,
takes one product with the stacked weights and saves its pre-activations. In the backward pass the
loop carries only the adjoint of the state and overwrites the pre-activations with their adjoints;
then weights and biases get their gradient in one product with those rows, over all steps at once.
So a step's arrays are written once, in place, and no array over time is copied: on CPUs, page
faults and copies cost an LSTM as much as its products do.

``Fused(recompute=True)`` saves all this for √T steps at a time only.

Reverse mode only. Second derivatives are those of ``scan``: both passes declare so to JAX
(``custom_jvp``).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp

from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused_cells import SLOPES, NamedCell, equations_of, is_plain
from rnnlab.nn.engines.scan import ResetOptions, scan, select
from rnnlab.nn.meshes import varying_alike, zeros
from rnnlab.nn.norms import norm

Array = jax.Array
PyTree = Any

SMALL_BATCH = 8  # examples; below, adjoints get arrays of their own (see _backward)


@dataclass(frozen=True)
class Fused:
    """Options of the engine: ``unroll(..., engine=Fused(...))``; "fused" means the defaults.

    Args:
        recompute: save the state only every √T steps or so, and recompute each of these chunks in
            the backward pass: O(√T) memory beyond inputs and outputs, for about 4/3 of the work.
            In configs: "fused_recompute".

    >>> Fused().recompute
    False
    """

    recompute: bool = False

    def __call__(
        self,
        cell: Cell,
        params: PyTree,
        xs: Array,
        state: PyTree,
        **options: Unpack[ResetOptions],
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """Run :func:`fused` with these options."""
        return fused(cell, params, xs, state, recompute=self.recompute, **options)


def supports(cell: Cell, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Return whether :func:`fused` runs this: RNN (named f), LSTM or GRU, without options or taps.

    Exactly these classes: a subclass's step may differ. They draw nothing, so any key will do.

    >>> supports(cells.LSTM(4)), supports(cells.LSTM(4), taps=("f",))
    (True, False)
    >>> supports(cells.RNN(4, "relu")), supports(cells.RNN(4, jax.nn.softplus))
    (True, False)
    >>> supports(cells.LSTM(4, peephole=True)), supports(cells.GRU(4, norm="layer"))
    (False, False)
    """
    del key
    return is_plain(cell) and not taps


# compiled on its own, as scan is
@partial(jax.jit, static_argnames=("cell", "reverse", "taps", "recompute"))
def fused(
    cell: Cell,
    params: PyTree,
    xs: Array,
    state: PyTree,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    recompute: bool = False,
    norms: PyTree = None,
) -> tuple[Array, PyTree, dict[str, Array]]:
    """Run ``cell`` along the first axis; arguments and results are :func:`scan`'s.

    Args:
        recompute: as in :class:`Fused`.
        norms: zeros of the structure of the state, leaves (T, ...). They change nothing; their
            "gradients" are ‖∂L/∂h_t‖, ‖∂L/∂C_t‖ of each step and example, the total derivatives,
            which the backward pass computes anyway (see
            :func:`rnnlab.gradients.adjoint.value_grad_and_norms`).
    Raises:
        ValueError: a cell that :func:`supports` denies; parameters of the other kind of GRU.
        TypeError: from JAX, under forward-mode differentiation (jvp, jacfwd): use scan.

    >>> cell = cells.GRU(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = fused(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    del key
    if not is_plain(cell) or taps:
        raise ValueError(
            f"engine 'fused' runs RNN ({', '.join(SLOPES)}), LSTM and GRU, without wrappers, "
            f"options ({', '.join(cells.OPTIONS)}) or taps, got {cell} with taps={taps}: use "
            "engine 'scan'"
        )
    equations_of(cell, params)  # refuses the parameters of the other GRU
    if not xs.shape[0]:
        return scan(cell, params, xs, state, mask=mask, reverse=reverse)
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    inputs = _Inputs(xs, mask, resets, norms)
    if reverse:
        inputs = jax.tree.map(lambda a: a[::-1], inputs)
    params, state, inputs = varying_alike((params, state, inputs))
    ys, state = (_run_in_chunks if recompute else _run)(cell, params, state, inputs)
    return (ys[::-1] if reverse else ys), state, {}


class _Inputs(NamedTuple):
    """Inputs of all steps, each (T, ..., ·)."""

    xs: Array
    mask: Array | None
    resets: Array | None
    norms: PyTree


def _run_in_chunks(
    cell: NamedCell, params: PyTree, start: PyTree, inputs: _Inputs
) -> tuple[Array, PyTree]:
    """Apply _run to chunks of about √T steps, saving only their first states for the backward pass.

    A chunk length that divides T is taken if there is one: a remainder costs a copy of ys.
    """
    T = inputs.xs.shape[0]
    root = math.isqrt(T)
    divisors = [n for n in range(max(root // 2, 1), 2 * root + 1) if T % n == 0]
    length = min(divisors, key=lambda n: abs(n - root), default=root)
    count, rest = divmod(T, length)
    run = jax.checkpoint(partial(_run, cell))

    def body(state: PyTree, chunk: _Inputs) -> tuple[PyTree, Array]:
        ys, state = run(params, state, chunk)
        return state, ys

    def cut(a: Array) -> Array:
        return a[: count * length].reshape(count, length, *a.shape[1:])

    state, ys = jax.lax.scan(body, start, jax.tree.map(cut, inputs))
    ys = ys.reshape(count * length, *ys.shape[2:])
    if rest:
        remainder = jax.tree.map(lambda a: a[count * length :], inputs)
        ys_rest, state = run(params, state, remainder)
        ys = jnp.concatenate([ys, ys_rest])
    return ys, state


# ---- rows of arrays over time ------------------------------------------------------------------


def _start_of_row(array: Array, t: Array) -> tuple[Array, ...]:
    # unsigned: JAX lets a signed index count from the end, which costs a kernel per step
    return jnp.asarray(t, jnp.uint32), *(jnp.uint32(0),) * (array.ndim - 1)


def _read(array: Array, t: Array) -> Array:
    return jax.lax.dynamic_slice(array, _start_of_row(array, t), (1, *array.shape[1:]))[0]


def _write(array: Array, value: Array, t: Array) -> Array:
    """Write ``value`` into the first features of row t."""
    return jax.lax.dynamic_update_slice(array, value[None], _start_of_row(array, t))


def _empty(like: Array, features: int) -> Array:
    return zeros((*like.shape[:-1], features), like)


def _reset(reset: Array, state: PyTree) -> PyTree:
    """Return s_0 of the named cells, zeros, where ``reset`` is true; also cuts an adjoint there."""
    return jax.tree.map(lambda s: jnp.where(reset[..., None], 0, s), state)


# ---- forward and backward passes of any packed cell --------------------------------------------


def _by_definition(
    cell: NamedCell, params: PyTree, start: PyTree, inputs: _Inputs
) -> tuple[Array, PyTree]:
    """Compute _run's results by scan, for second derivatives."""
    return scan(cell, params, inputs.xs, start, mask=inputs.mask, resets=inputs.resets)[:2]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _forward(
    cell: NamedCell, params: PyTree, start: PyTree, inputs: _Inputs
) -> tuple[tuple[Array, PyTree], tuple[Array, tuple[Array, ...]]]:
    """Return ((ys, final state), (rows, saved)); rows and saved arrays are (T, ..., ·)."""
    equations, H = equations_of(cell, params), cell.hidden_size
    xs, mask, resets, _ = inputs
    weights = equations.pack(params)
    # [·, x_t, 1]: ones on both sides, for a pad is one pass over the array
    sides = [(0, 0, 0)] * (xs.ndim - 1) + [(H, 1, 0)]
    rows = jax.lax.pad(xs, jnp.ones((), xs.dtype), sides)
    saved = tuple(_empty(xs, width * H) for width in equations.widths)
    # a reset state is not the one before it: then the next row does not hold the output
    ys = () if resets is None else (_empty(xs, H),)

    def body(t: Array, carry: PyTree) -> PyTree:
        rows, saved, ys, state = carry
        before = state if resets is None else _reset(_read(resets, t), state)
        rows = _write(rows, before.h, t)
        new, values = equations.step(weights, _read(rows, t), before)
        saved = tuple(_write(array, value, t) for array, value in zip(saved, values, strict=True))
        ys = tuple(_write(array, new.h, t) for array in ys)
        return rows, saved, ys, new if mask is None else select(_read(mask, t), new, state)

    rows, saved, ys, final = jax.lax.fori_loop(0, xs.shape[0], body, (rows, saved, ys, start))
    ys = ys[0] if ys else jnp.concatenate([rows[1:, ..., :H], final.h[None]])
    if mask is not None:
        ys = jnp.where(mask[..., None], ys, 0)
    return (ys, final), (rows, saved)


@_forward.defjvp
def _forward_jvp(
    cell: NamedCell, primals: tuple[PyTree, ...], tangents: tuple[PyTree, ...]
) -> tuple[PyTree, PyTree]:
    params, start, inputs = primals
    results = _forward(cell, *primals)

    def run(params: PyTree, start: PyTree, xs: Array) -> tuple[Array, PyTree]:
        return _by_definition(cell, params, start, inputs._replace(xs=xs))

    moved = (*tangents[:2], tangents[2].xs)
    _, d_results = jax.jvp(run, (params, start, inputs.xs), moved)
    # saved values reach only _backward, whose derivative does not depend on them
    return results, (d_results, jax.tree.map(jnp.zeros_like, results[1]))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _backward(
    cell: NamedCell,
    params: PyTree,
    start: PyTree,
    inputs: _Inputs,
    residuals: PyTree,
    d: tuple[Array, PyTree],
) -> tuple[PyTree, PyTree, Array, PyTree]:
    """Return (∂L/∂params, ∂L/∂s_0, ∂L/∂xs, norms) from d = (∂L/∂ys, ∂L/∂final state).

    Adjoints overwrite the pre-activations, or d_ys where a cell saves none. Not with few examples:
    then XLA:CPU (jaxlib 0.10.2) computes their products in a kernel of its own, which reads what
    has been overwritten once more, and so copies whole arrays in every step.
    """
    equations, H, T = equations_of(cell, params), cell.hidden_size, inputs.xs.shape[0]
    _, mask, resets, norms = inputs
    weights = equations.pack(params)
    ys, rows, saved = residuals
    d_ys, d_final = d
    count, small = len(equations.adjoints), math.prod(d_ys.shape[1:-1]) < SMALL_BATCH
    separate = tuple(_empty(d_ys, width * H) for width in equations.adjoints)
    in_place_of_d_ys = not saved and not small
    pre = separate if small else saved[:count] or (d_ys,)

    def body(k: Array, carry: PyTree) -> PyTree:
        d, pre, norms = carry
        t = T - 1 - k
        # read before it is overwritten
        sources = saved if small else (*pre, *saved[count:])
        values = tuple(_read(array, t) for array in sources)
        d_y = values[0] if in_place_of_d_ys else _read(d_ys, t)
        new = d._replace(h=d.h + d_y)
        h = _read(rows, t)[..., :H]
        d_before, d_pre, total = equations.adjoint(weights, h, _read(ys, t), values, new)
        if resets is not None:
            d_before = _reset(_read(resets, t), d_before)
        if mask is not None:  # where the state does not change, neither does its adjoint
            keep = _read(mask, t)
            d_before = select(keep, d_before, d)
            d_pre, total = jax.tree.map(lambda a: jnp.where(keep[..., None], a, 0), (d_pre, total))
        if norms is not None:
            norms = jax.tree.map(lambda array, a: _write(array, norm(a, axis=-1), t), norms, total)
        pre = tuple(_write(array, value, t) for array, value in zip(pre, d_pre, strict=True))
        return d_before, pre, norms

    d_start, pre, norms = jax.lax.fori_loop(0, T, body, (d_final, pre, norms))
    d_params, d_xs = equations.gradients(params, rows, pre, saved)
    return d_params, d_start, d_xs, norms


@_backward.defjvp
def _backward_jvp(
    cell: NamedCell, primals: tuple[PyTree, ...], tangents: tuple[PyTree, ...]
) -> tuple[PyTree, PyTree]:
    params, start, inputs, _, d = primals

    def pull(params: PyTree, start: PyTree, xs: Array, d: PyTree) -> PyTree:
        def run(params: PyTree, start: PyTree, xs: Array) -> tuple[Array, PyTree]:
            return _by_definition(cell, params, start, inputs._replace(xs=xs))

        return jax.vjp(run, params, start, xs)[1](d)

    results = _backward(cell, *primals)
    moved = (tangents[0], tangents[1], tangents[2].xs, tangents[4])
    _, d_results = jax.jvp(pull, (params, start, inputs.xs, d), moved)
    # norms are measurements: nothing depends on them
    return results, (*d_results, jax.tree.map(jnp.zeros_like, results[3]))


def _run_primal(
    cell: NamedCell, params: PyTree, start: PyTree, inputs: _Inputs
) -> tuple[Array, PyTree]:
    return _forward(cell, params, start, inputs)[0]


def _run_fwd(
    cell: NamedCell, params: PyTree, start: PyTree, inputs: _Inputs
) -> tuple[tuple[Array, PyTree], PyTree]:
    results, (rows, saved) = _forward(cell, params, start, inputs)
    return results, (params, start, inputs, (results[0], rows, saved))


def _run_bwd(
    cell: NamedCell, residuals: PyTree, d: tuple[Array, PyTree]
) -> tuple[PyTree, PyTree, _Inputs]:
    d_params, d_start, d_xs, norms = _backward(cell, *residuals, d)
    return d_params, d_start, _Inputs(d_xs, None, None, norms)


_run = jax.custom_vjp(_run_primal, nondiff_argnums=(0,))
_run.defvjp(_run_fwd, _run_bwd)
