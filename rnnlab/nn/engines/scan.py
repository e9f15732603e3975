"""The definition of a recurrence: ``lax.scan`` over a cell's step, gradients by autodiff.

Every other engine equals this one to rounding. Engines run time-major and know cells only;
lengths reach them as a mask.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


def select(keep: Array, new: Any, old: Any) -> Any:
    """``new`` where ``keep`` (batch axes, no feature axis) is true, leaf by leaf."""
    return jax.tree.map(lambda n, o: jnp.where(keep[..., None], n, o), new, old)


def varying_alike(tree: Any) -> Any:
    """The same values, each made to vary over every mesh axis that any of them varies over.

    shard_map wants the cotangents of a hand-written derivative to vary just as its arguments do,
    and all of them depend on all of these. The sum of no elements varies as its array does; XLA
    removes it. Booleans stay as they are.
    """
    leaves = jax.tree.leaves(tree)
    nothing = sum(leaf.ravel()[:0].sum().astype(leaves[0].dtype) for leaf in leaves)
    return jax.tree.map(lambda a: a if a.dtype == jnp.bool_ else a + nothing, tree)


def sequence_masks(cell: Any, params: Any, xs: Array, key: Array | None) -> dict[str, Any]:
    """The keyword ``masks`` of the cell's steps over xs (T, ..., D), or nothing.

    Drawn once a sequence, by a key that no step has.
    """
    draw = getattr(cell, "draw_masks", None)
    if key is None or draw is None:
        return {}
    masks = draw(jax.random.fold_in(key, 2**32 - 1), params, xs.shape[1:-1], xs.shape[-1])
    return {} if masks is None else {"masks": masks}


# compiled on its own: a scan called outside jit would be compiled anew at every call
@partial(jax.jit, static_argnames=("cell", "reverse", "taps"))
def scan(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
) -> tuple[Array, Any, dict[str, Array]]:
    """Run ``cell`` along the first axis.

    s_t, y_t = step(s_{t−1}, x_t), and s_t = s_{t−1} where the mask is false.

    Args:
        cell: any cell; static, so hashable and best without its init.
        xs: (T, ..., D).
        state: s_0, leaves (..., H).
        mask: (T, ...) true where a step is real; a state stands still elsewhere.
        resets: (T, ...) true where the state before step t is set to the cell's own s_0; without
            effect where the mask is false.
        key: step t draws from ``fold_in(key, t)``, so that engines and chunks draw alike; what a
            cell draws once a sequence comes from :func:`sequence_masks`.
        reverse: from the last step to the first; outputs keep the order of ``xs``.
        taps: names of states or gates to hand out.
    Returns:
        (ys (T, ..., H), zero where the mask is false; the final state; {tap: (T, ..., H)}).
    """
    masks = sequence_masks(cell, params, xs, key)
    start = None if resets is None else cell.initial_state(params, xs.shape[1:-1])

    def body(state: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        t, x, keep, reset = inputs
        step_key = None if key is None else jax.random.fold_in(key, t)
        before = state if reset is None else select(reset, start, state)
        new, y, gates = cell.step(params, before, x, key=step_key, **masks)
        if keep is not None:
            new, y = select(keep, (new, y), (state, jnp.zeros_like(y)))
        values = {**gates._asdict(), **new._asdict()}
        return new, (y, {tap: values[tap] for tap in taps})

    steps = jnp.arange(xs.shape[0])
    state, (ys, tapped) = jax.lax.scan(body, state, (steps, xs, mask, resets), reverse=reverse)
    return ys, state, tapped
