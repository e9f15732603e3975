"""The definition of a recurrence: ``lax.scan`` over a cell's step, gradients by autodiff.

Every other engine equals this one to rounding. Engines run time-major and know only cells;
lengths reach them as a mask.
"""

from functools import partial
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp

from rnnlab.nn.cells import Cell
from rnnlab.nn.contract import gate_values
from rnnlab.nn.meshes import varying_alike
from rnnlab.nn.params import Masks
from rnnlab.nn.protocols import DrawsMasks

Array = jax.Array
PyTree = Any


class RunOptions(TypedDict, total=False):
    """Keywords that every engine takes; :func:`scan` documents them."""

    mask: Array | None
    key: Array | None
    reverse: bool
    taps: tuple[str, ...]


class ResetOptions(RunOptions, total=False):
    """Keywords of the engines that can reset the state within a sequence."""

    resets: Array | None


def select(keep: Array, new: PyTree, old: PyTree) -> PyTree:
    """Return ``new`` where ``keep`` (batch axes, no feature axis) is true, else ``old``."""
    return jax.tree.map(lambda n, o: jnp.where(over_features(keep, n), n, o), new, old)


def over_features(keep: Array, like: Array) -> Array:
    """Return ``keep`` with an axis of 1 for each feature axis of ``like``."""
    return jnp.expand_dims(keep, range(keep.ndim, like.ndim))


def sequence_masks(cell: Cell, params: PyTree, xs: Array, key: Array | None) -> dict[str, Masks]:
    """Return the keyword ``masks`` of the cell's steps over xs (T, ..., D), or no keyword.

    Masks are drawn once per sequence, from a key that no step uses.
    """
    if key is None or not isinstance(cell, DrawsMasks):
        return {}
    key = jax.random.fold_in(key, 2**32 - 1)
    masks = cell.draw_masks(key, params, xs.shape[1:-1], xs.shape[-1])
    return {} if masks is None else {"masks": masks}


class _StepInputs(NamedTuple):
    t: Array
    x: Array
    keep: Array | None
    reset: Array | None


# compiled on its own: a scan called outside jit would be compiled anew at every call
@partial(jax.jit, static_argnames=("cell", "reverse", "taps"))
def scan(
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
) -> tuple[Array, PyTree, dict[str, Array]]:
    """Run ``cell`` along the first axis.

    s_t, y_t = step(s_{t−1}, x_t), and s_t = s_{t−1} where the mask is false.

    Args:
        cell: any cell; static, so hashable and best without its init.
        xs: (T, ..., D).
        state: s_0, leaves (..., H).
        mask: (T, ...) true where a step is real; elsewhere the state does not change.
        resets: (T, ...) true where the state before step t is set to the cell's own s_0; without
            effect where the mask is false.
        key: step t draws from ``fold_in(key, t)``, so that engines and chunks draw alike; a cell's
            draws per sequence come from :func:`sequence_masks`.
        reverse: run from the last step to the first; outputs keep the order of ``xs``.
        taps: names of states or gates to return.
    Returns:
        (ys (T, ..., H), zero where the mask is false; the final state; {tap: (T, ..., H)}).

    >>> from rnnlab import GRU
    >>> cell = GRU(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = scan(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    xs, state, mask, resets, _ = varying_alike((xs, state, mask, resets, (params, key)))
    masks = sequence_masks(cell, params, xs, key)
    start = None if resets is None else cell.initial_state(params, xs.shape[1:-1])

    def body(state: PyTree, inputs: _StepInputs) -> tuple[PyTree, PyTree]:
        t, x, keep, reset = inputs
        step_key = None if key is None else jax.random.fold_in(key, t)
        before = state if reset is None else select(reset, start, state)
        new, y, gates = cell.step(params, before, x, key=step_key, **masks)
        if keep is not None:
            new, y = select(keep, (new, y), (state, jnp.zeros_like(y)))
        values = gate_values(gates) | new._asdict()
        return new, (y, {tap: values[tap] for tap in taps})

    steps = _StepInputs(jnp.arange(xs.shape[0]), xs, mask, resets)
    state, (ys, tapped) = jax.lax.scan(body, state, steps, reverse=reverse)
    return ys, state, tapped
