"""Euclidean norms without overflow and underflow of the squares.

‖x‖ = 2^e·‖x·2^−e‖, with 2^e just above the largest |x|. The scale is a power of two, so it changes
no digit: where the squares of x are in range, the result is bit-identical to √Σx². Half precision
is computed in float32.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
PyTree = Any  # arrays of floats


def wide(x: Array) -> Array:
    """Return the array in float32 where it has less precision, else as it is."""
    return x.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x


def exponent(largest: Array) -> Array:
    """Return e with ``largest`` in [2^(e−1), 2^e); 0 where it is 0, infinite or NaN.

    >>> exponent(jnp.array([6.0, 0.0])).tolist()
    [3, 0]
    """
    ordinary = (largest > 0) & jnp.isfinite(largest)
    return jnp.where(ordinary, jnp.frexp(largest)[1], 0)


def shift(x: Array, e: Array) -> Array:
    """Return x·2^e, multiplied in two halves: 2^e alone leaves the floats where x is tiny.

    >>> float(shift(jnp.float32(3), jnp.int32(2)))
    12.0
    """
    e = jnp.clip(e, -2000, 2000)
    one = jnp.ones((), x.dtype)
    return x * jnp.ldexp(one, e // 2) * jnp.ldexp(one, e - e // 2)


def norm(x: Array, axis: int | None = None) -> Array:
    """Return ‖x‖ = √Σx² along an axis, or over all entries.

    Infinite only where an entry is, or where the norm itself exceeds the largest float.

    >>> [f"{float(norm(jnp.array([3.0, 4.0]) * size)):.3g}" for size in (1e30, 1e-30)]
    ['5e+30', '5e-30']
    """
    x = wide(x)
    e = exponent(jnp.max(jnp.abs(x), axis, keepdims=True, initial=0))
    root = jnp.sqrt(jnp.sum(jnp.square(shift(x, -e)), axis, keepdims=True))
    result = shift(root, e)
    return result.reshape(()) if axis is None else result.squeeze(axis)


class Scaled(NamedTuple):
    """A tree of arrays as ``tree``·2^``exponent``, with its norm as ``norm``·2^``exponent``."""

    tree: PyTree
    norm: Array  # () of order 1
    exponent: Array  # () int32


def scaled(tree: PyTree) -> Scaled:
    """Return all arrays of a tree, scaled together by one power of two, and their global norm."""
    tree = jax.tree.map(wide, tree)
    dtype = max((leaf.dtype for leaf in jax.tree.leaves(tree)), key=lambda d: jnp.finfo(d).bits)
    parts = [jnp.max(jnp.abs(leaf), initial=0).astype(dtype) for leaf in jax.tree.leaves(tree)]
    e = exponent(jnp.max(jnp.stack(parts)))
    small = jax.tree.map(lambda leaf: shift(leaf, -e), tree)
    squares = [jnp.sum(jnp.square(leaf)).astype(dtype) for leaf in jax.tree.leaves(small)]
    return Scaled(small, jnp.sqrt(sum(squares[1:], squares[0])), e)


def global_norm(tree: PyTree) -> Array:
    """Return ‖x‖ over all arrays of a tree.

    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0])}))
    5.0
    """
    of_all = scaled(tree)
    return shift(of_all.norm, of_all.exponent)


def all_finite(tree: PyTree) -> Array:
    """Return whether every entry of every array is finite."""
    finite = jnp.array(True)
    for leaf in jax.tree.leaves(tree):
        finite &= jnp.isfinite(leaf).all()
    return finite


def clip(tree: PyTree, most: Array | float) -> PyTree:
    """Return the arrays times ``most``/‖·‖ where their global norm is larger, else as they are.

    Bit-identical to ``optax.clip_by_global_norm`` where no square leaves the floats.

    Args:
        most: c, positive; inf: no clipping.
    Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), algorithm 1.

    >>> clip({"a": jnp.array([3e30, 4e30])}, 1.0)["a"].round(6).tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    of_all = scaled(tree)
    within = (shift(of_all.norm, of_all.exponent) < most) | jnp.isinf(most)

    def clipped(leaf: Array, small: Array) -> Array:
        cut = small / of_all.norm.astype(small.dtype) * jnp.asarray(most, small.dtype)
        return jnp.where(within, leaf, cut.astype(leaf.dtype))

    return jax.tree.map(clipped, tree, of_all.tree)
