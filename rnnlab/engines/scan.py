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


# compiled on its own: a scan called outside jit would be compiled anew at every call
@partial(jax.jit, static_argnames=("cell", "reverse", "taps"))
def scan(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
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
        key: step t draws from ``fold_in(key, t)``, so that engines and chunks draw alike.
        reverse: from the last step to the first; outputs keep the order of ``xs``.
        taps: names of states or gates to hand out.
    Returns:
        (ys (T, ..., H), zero where the mask is false; the final state; {tap: (T, ..., H)}).
    """

    def body(state: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        t, x, keep = inputs
        step_key = None if key is None else jax.random.fold_in(key, t)
        new, y, gates = cell.step(params, state, x, key=step_key)
        if keep is not None:
            new, y = select(keep, (new, y), (state, jnp.zeros_like(y)))
        values = {**gates._asdict(), **new._asdict()}
        return new, (y, {tap: values[tap] for tap in taps})

    steps = jnp.arange(xs.shape[0])
    state, (ys, tapped) = jax.lax.scan(body, state, (steps, xs, mask), reverse=reverse)
    return ys, state, tapped
