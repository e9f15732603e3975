"""The contract of a cell (:class:`rnnlab.nn.protocols.Cell`), checked at the boundary, by name.

A cell that passes runs in every layer, wrapper, model and task. Every message names the cell's
class, what it returned, and what it must return.

Shapes: D input; ``...`` the batch axes.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.nn.params import PyTree
from rnnlab.nn.protocols import Cell, HasInner

Array = jax.Array
Shapes = PyTree  # jax.ShapeDtypeStruct in place of arrays

_NUMBERS = (jax.Array, np.ndarray, np.generic, bool, int, float)
MEMBERS = ("hidden_size", "output_size", "init_params", "initial_state", "step")


class Stepped(NamedTuple):
    """Shapes and dtypes of what a step returns."""

    state: Shapes
    output: jax.ShapeDtypeStruct
    gates: dict[str, Shapes]


# ---- the cell itself ---------------------------------------------------------------------------


def check_cell(cell: object) -> None:
    """Check members, signatures, sizes and hash of a cell.

    Raises:
        TypeError: a missing member. ValueError: another fault.
    """
    name = type(cell).__name__
    missing = [member for member in MEMBERS if not hasattr(cell, member)]
    if missing:
        raise TypeError(f"{name} is no cell: it has no {', no '.join(missing)}")
    try:
        hash(cell)
    except TypeError:
        raise ValueError(
            f"{name} must be hashable and equal by value: write @dataclass(frozen=True)"
        ) from None
    _check_members(cell)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _check_members(cell: Cell) -> None:
    name = type(cell).__name__
    for size in ("hidden_size", "output_size"):
        validate.whole(f"{name}.{size}", getattr(cell, size))
    _check_call(name, cell.init_params, "init_params(key, input_size)", 2)
    _check_call(name, cell.initial_state, "initial_state(params, batch_shape, key=None)", 3)
    _check_call(name, cell.step, "step(params, state, x, *, key=None, perturb=None)", 3, key=None)


def _check_call(
    cell: str, method: Callable[..., object], expected: str, count: int, **keywords: object
) -> None:
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # a callable without a signature
        return
    try:
        signature.bind(*[None] * count, **keywords)
    except TypeError:
        got = f"{expected.partition('(')[0]}{signature}"
        raise ValueError(f"{cell} must have {expected}, got {got}") from None


def takes(cell: Cell, keyword: str) -> bool:
    """Return whether the step of a cell, and of the cell it wraps, takes a keyword.

    >>> from rnnlab import RNN
    >>> takes(RNN(4), "perturb"), takes(RNN(4), "noise")
    (True, False)
    """
    parameters = inspect.signature(cell.step).parameters.values()
    if not any(p.name == keyword or p.kind is p.VAR_KEYWORD for p in parameters):
        return False
    return not isinstance(cell, HasInner) or takes(cell.inner, keyword)


def check_perturb(cell: Cell, probe: str) -> None:
    """Check that the step of a cell takes ``perturb``.

    Raises:
        ValueError: it does not.
    """
    if not takes(cell, "perturb"):
        raise ValueError(
            f"{probe} needs a cell whose step takes perturb, a state that is added to the new "
            f"state: {type(cell).__name__}.step does not"
        )


# ---- its state ---------------------------------------------------------------------------------


def is_named_tuple(value: PyTree) -> bool:
    """Return whether ``value`` is an instance of a NamedTuple class."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def first_state(cell: Cell, params: PyTree, batch_shape: tuple[int, ...]) -> PyTree:
    """Return the cell's own s_0, checked.

    Raises:
        ValueError: anything but a NamedTuple of arrays.
    """
    state, name = cell.initial_state(params, batch_shape), type(cell).__name__
    if not is_named_tuple(state):
        raise ValueError(
            f"{name}.initial_state must return a NamedTuple, such as HiddenState(h), "
            f"got {type(state).__name__}"
        )
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not isinstance(leaf, _NUMBERS):
            raise ValueError(
                f"{name}.initial_state must return arrays, got {part_name(path)} = {leaf!r:.80}"
            )
    # of a definite dtype: a weak one would change in the first step
    return jax.tree.map(_strong, state)


def _strong(leaf: Any) -> Array:
    if isinstance(leaf, jax.Array) and not getattr(leaf, "weak_type", False):
        return leaf
    return jnp.asarray(leaf, jnp.result_type(leaf))


def part_name(path: jax.tree_util.KeyPath) -> str:
    """Return the name of a leaf, "h", or "inner.h" of a nested state."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def is_float(leaf: Array | jax.ShapeDtypeStruct) -> bool:
    """Return whether a leaf is made of floats, which have a gradient; a step counter is not."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def floats(state: PyTree) -> list[Array]:
    """Return the leaves of a state that are floats, in order."""
    return [leaf for leaf in jax.tree.leaves(state) if is_float(leaf)]


def float_names(state: PyTree) -> list[str]:
    """Return the names of the leaves of a state that are floats, in order."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [part_name(path) for path, leaf in leaves if is_float(leaf)]


def with_floats(state: PyTree, values: list[Array]) -> PyTree:
    """Return a state with its floats replaced, in order."""
    leaves, structure = jax.tree.flatten(state)
    new = iter(values)
    return structure.unflatten([next(new) if is_float(leaf) else leaf for leaf in leaves])


def check_batched(cell: Cell, state: PyTree, batch_shape: tuple[int, ...], why: str) -> None:
    """Check that every leaf of a state starts with the batch axes.

    Args:
        why: what needs it: "lengths need".
    Raises:
        ValueError: a leaf that does not.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if leaf.shape[: len(batch_shape)] != batch_shape:
            raise ValueError(
                f"{why} a state whose parts start with the batch axes {batch_shape}: "
                f"{part_name(path)} of {type(cell).__name__} has shape {leaf.shape}"
            )


# ---- its step ----------------------------------------------------------------------------------


def gate_values(gates: PyTree) -> dict[str, PyTree]:
    """Return the gate values of a step by name: of a NamedTuple, a dict or None.

    >>> gate_values({"z": 1}), gate_values(None)
    ({'z': 1}, {})
    """
    if gates is None:
        return {}
    return dict(gates) if isinstance(gates, Mapping) else gates._asdict()


def check_step(
    cell: Cell, params: PyTree, state: PyTree, x: Array | jax.ShapeDtypeStruct
) -> Stepped:
    """Check what a step returns, from shapes alone; return the shapes.

    Args:
        params, state, x: as of ``cell.step``; x (..., D).
    Raises:
        ValueError: no (state, output, gates); a state of another structure, shape or dtype than
            the one before; an output that is not floats (..., output_size); gates that are neither
            a NamedTuple, a dict nor None.
    """
    leaves, structure = jax.tree.flatten((params, state, x))
    return _check_step(cell, structure, tuple((a.shape, a.dtype) for a in leaves))


@lru_cache(maxsize=256)
def _check_step(cell: Cell, structure: Any, leaves: tuple[tuple[Any, Any], ...]) -> Stepped:
    name = type(cell).__name__
    args = structure.unflatten([jax.ShapeDtypeStruct(*leaf) for leaf in leaves])
    x, returned = args[2], []

    def step(*args: PyTree, key: Array | None) -> None:  # what it returns may be no arrays at all
        returned.append(jax.tree.map(_shape, cell.step(*args, key=key)))

    with jax.ensure_compile_time_eval():  # outside any trace in progress: the shapes outlive it
        try:
            jax.eval_shape(partial(step, key=None), *args)
        except Exception:
            if _runs(step, *args, jax.random.key(0)):
                raise ValueError(
                    f"{name}.step must run without a key too, in expectation; it needs one"
                ) from None
            raise
    result = returned[0]
    if not isinstance(result, tuple) or len(result) != 3:
        size = f" of {len(result)}" if isinstance(result, tuple) else ""
        raise ValueError(
            f"{name}.step must return (state, output, gates), got {type(result).__name__}{size}"
        )
    new, output, gates = result
    _check_state(name, args[1], new)
    expected = (*x.shape[:-1], cell.output_size)
    shaped = isinstance(output, jax.ShapeDtypeStruct) and output.shape == expected
    if not shaped or not is_float(output):
        raise ValueError(
            f"{name}.step must return an output of floats {expected}, as output_size = "
            f"{cell.output_size} says, got {_described(output)}"
        )
    if not (gates is None or isinstance(gates, Mapping) or is_named_tuple(gates)):
        raise ValueError(
            f"{name}.step must return gates as a NamedTuple, a dict or None, "
            f"got {type(gates).__name__}"
        )
    return Stepped(new, output, gate_values(gates))


def _runs(step: Callable[..., None], *args: PyTree) -> bool:
    try:
        jax.eval_shape(lambda *shapes: step(*shapes[:-1], key=shapes[-1]), *args)
    except Exception:
        return False
    return True


def _shape(leaf: object) -> object:
    if isinstance(leaf, _NUMBERS):
        return jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf))
    return leaf


def _check_state(name: str, old: Shapes, new: Shapes) -> None:
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise ValueError(
            f"{name}.step must return a state as it was given, {jax.tree.structure(old)}, "
            f"got {jax.tree.structure(new)}"
        )
    for (path, before), after in zip(
        jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(new), strict=True
    ):
        if _described(before) != _described(after):
            raise ValueError(
                f"{name}.step must not change the shape or dtype of the state: "
                f"{part_name(path)} is {_described(before)} before a step and "
                f"{_described(after)} after it"
            )


def _described(value: object) -> str:
    if not isinstance(value, jax.ShapeDtypeStruct):
        return type(value).__name__
    return f"{value.dtype} {value.shape}"


def features(leaf: Array | jax.ShapeDtypeStruct, batch_axes: int) -> int:
    """Return the number of entries of a leaf per example."""
    return math.prod(leaf.shape[batch_axes:])
