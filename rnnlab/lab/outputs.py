"""Outputs of the sides of a benchmark: flattened, kept in a file, and compared."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rnnlab.core.errors import listed, shown

Arrays = dict[str, np.ndarray]  # by path: "0/W_hh"


@runtime_checkable
class _Named(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, object]: ...


@runtime_checkable
class _Attached(Protocol):
    """A PyTorch tensor, which may belong to a graph of gradients."""

    def detach(self) -> np.ndarray: ...


def flatten(tree: object) -> Arrays:
    """Return the arrays of nested dicts, tuples and lists by their paths.

    A named tuple counts as a dict of its fields, without those that are None.

    Args:
        tree: of numbers and of arrays of NumPy, JAX or PyTorch.
    Raises:
        ValueError: a leaf that is no array of numbers, or none at all.

    >>> sorted(flatten({"h": np.zeros(2), "params": (1.0, [2.0])}))
    ['h', 'params/0', 'params/1/0']
    """
    arrays = dict(_leaves("", tree))
    if not arrays:
        raise ValueError(f"the outputs hold no array, got {shown(tree)}")
    return arrays


def _leaves(path: str, tree: object) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(tree, tuple) and isinstance(tree, _Named):
        tree = {name: value for name, value in tree._asdict().items() if value is not None}
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(f"{path}/{key}" if path else str(key), value)
        return
    if isinstance(tree, tuple | list):
        for index, value in enumerate(tree):
            yield from _leaves(f"{path}/{index}" if path else str(index), value)
        return
    try:
        array = np.asarray(tree.detach() if isinstance(tree, _Attached) else tree)
        if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
            array = array.astype(np.float64)  # bfloat16 is a number that NumPy does not know
    except (TypeError, ValueError):
        raise ValueError(
            f"outputs are nested dicts, tuples and lists of arrays, got {shown(tree, 80)} "
            f"at {path or 'the top'}"
        ) from None
    yield path, array


def save(path: Path, arrays: Arrays) -> None:
    """Write flattened outputs to an .npz file."""
    with path.open("wb") as file:
        named: dict[str, Any] = {f"/{name}": array for name, array in arrays.items()}
        np.savez(file, **named)


def load(path: Path) -> Arrays:
    """Read what :func:`save` has written."""
    with np.load(path, allow_pickle=False) as file:
        return {name.removeprefix("/"): file[name] for name in file.files}


def largest_difference(got: object, expected: object) -> float:
    """Return max|a − b| / max|b|, the largest over the arrays of two outputs.

    It is inf where a number is not finite, or where b is 0 everywhere and a is not.

    Args:
        got, expected: as of :func:`flatten`.
    Raises:
        ValueError: outputs of different paths or shapes.

    >>> largest_difference({"a": np.array([1.0, 2.5])}, {"a": np.array([1.0, 2.0])})
    0.25
    """
    a, b = flatten(got), flatten(expected)
    if a.keys() != b.keys():
        raise ValueError(
            f"expected outputs {listed(sorted(b))}, got {listed(sorted(a))}: "
            f"{listed(sorted(a.keys() ^ b.keys()))} on one side only"
        )
    return max(_difference(name, a[name], b[name]) for name in a)


def _difference(name: str, a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        raise ValueError(f"expected an output {name!r} of shape {b.shape}, got {a.shape}")
    wide = np.complex128 if np.iscomplexobj(a) or np.iscomplexobj(b) else np.float64
    a, b = a.astype(wide), b.astype(wide)
    if not a.size:
        return 0.0
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    off, largest = float(np.abs(a - b).max()), float(np.abs(b).max())
    return off / largest if largest else float("inf") if off else 0.0
