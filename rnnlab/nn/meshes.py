"""Arrays on a mesh of devices: types inside ``jax.shard_map``, and explicit axes."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

Array = jax.Array
PyTree = Any
Result = TypeVar("Result")

# ---- types inside shard_map --------------------------------------------------------------------


def varying_alike(tree: PyTree) -> PyTree:
    """Return the same values, each varying over every mesh axis that any of them varies over.

    Inside ``jax.shard_map`` a loop keeps the types of its carry, and the cotangents of a
    hand-written derivative have those of its arguments. Outside, nothing changes.
    """
    axes = frozenset[str]().union(*map(_varying, jax.tree.leaves(tree)))
    return jax.tree.map(lambda leaf: _vary(leaf, axes - _varying(leaf)), tree)


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the dtype of ``like``, which vary over the mesh axes that it varies over."""
    return _vary(jnp.zeros(shape, like.dtype), _varying(like))


def on_a_mesh(tree: PyTree) -> bool:
    """Return whether a mesh applies: in ``shard_map`` or ``jax.set_mesh``, or on explicit axes."""
    types = map(jax.typeof, jax.tree.leaves(tree))
    return not jax.sharding.get_abstract_mesh().empty or any(
        kind.sharding.mesh.explicit_axes for kind in types
    )


def _varying(leaf: Array) -> frozenset[str]:
    """Return the names of the mesh axes over which an array varies."""
    kind: Any = jax.typeof(leaf)
    return kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying  # vma: JAX 0.8


def _vary(leaf: Array, axes: frozenset[str]) -> Array:
    if not axes:
        return leaf
    lax: Any = jax.lax  # pvary is JAX 0.8's name
    if hasattr(lax, "pcast"):
        return lax.pcast(leaf, tuple(axes), to="varying")
    return lax.pvary(leaf, tuple(axes))


# ---- explicit axes -----------------------------------------------------------------------------


def automatic(f: Callable[..., Result], *args: PyTree, out: Callable[[], PyTree]) -> Result:
    """Return f(*args), computed with the explicit axes of a mesh turned to automatic ones.

    On explicit axes the carry of a loop and the result of a gather need a sharding in their type;
    inside f, XLA finds one as it does on a mesh with automatic axes.

    Args:
        args: arrays. Without explicit axes among their types, f is called as it is.
        out: () -> the specs of the result, a pytree prefix of it: see :func:`batch_spec`.
    """
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(args))
    mesh = next((mesh for mesh in meshes if mesh.explicit_axes), None)
    if mesh is None:
        return f(*args)
    shardings = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec), out(), is_leaf=lambda node: isinstance(node, P)
    )
    inside: Any = jax.sharding.auto_axes(f, out_sharding=shardings)
    return inside(*args)


def batch_spec(x: Array, axes: int = 1) -> tuple[Any, ...]:
    """Return the mesh axes over which the leading axes of an array are split, one per axis."""
    return tuple(jax.typeof(x).sharding.spec)[:axes]


def take_rows(table: Array, indices: Array) -> Array:
    """Return the rows of a table (V, E) at whole numbers (...), clipped to the table."""

    def rows(table: Array, indices: Array) -> Array:
        return jnp.take(table, indices, axis=0, mode="clip")

    return automatic(rows, table, indices, out=lambda: P(*batch_spec(indices, indices.ndim)))
