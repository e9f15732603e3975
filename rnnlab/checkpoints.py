"""Checkpoints of a run, by orbax: written whole or not at all, the last few kept.

Each lies in a directory of its own, named by a number that only grows. A checkpoint that is
damaged, or was cut off while it was written, is passed over with a warning and the one before is
taken.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab import records
from rnnlab.records import UserError

VERSION = 1
_META = "rnnlab.json"  # written last: a directory without it was never finished


class Checkpoints:
    """The checkpoints in one directory.

    Args:
        directory: made when first needed.
        identity: what a checkpoint must belong to, the hash of the run and group for instance.
        keep: how many to keep, at least 1.
    """

    def __init__(self, directory: Path, identity: str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self._directory, self._identity, self._keep = Path(directory), identity, keep

    def save(self, tree: Any, extra: dict[str, Any]) -> None:
        """Write ``tree`` (arrays) and ``extra`` (JSON) as the newest; drop the oldest."""
        import orbax.checkpoint as ocp

        numbers = self._numbers()
        target = self._directory / str(numbers[-1] + 1 if numbers else 0)
        self._directory.mkdir(parents=True, exist_ok=True)
        part = self._directory / f"{target.name}.tmp"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save((part / "tree").absolute(), jax.tree.map(np.asarray, tree))
        meta = {
            "version": VERSION,
            "identity": self._identity,
            "sha256": digest(tree),
            "extra": extra,
        }
        records.write_json(part / _META, meta)
        part.rename(target)
        for number in numbers[: len(numbers) + 1 - self._keep]:
            shutil.rmtree(self._directory / str(number))

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """The newest checkpoint that can be read: (tree, extra); None when there is none.

        Args:
            like: a tree of arrays or shapes: what the checkpoint must hold.
        Raises:
            UserError: a checkpoint of another version, or of another run.
        """
        for number in reversed(self._numbers()):
            path = self._directory / str(number)
            try:
                meta = json.loads((path / _META).read_bytes())
                version = meta["version"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                _warn(path, error)
                continue
            if version != VERSION:
                raise UserError(
                    f"{path} is a checkpoint of version {version}; this rnnlab reads version "
                    f"{VERSION}: go on with the rnnlab that wrote it, or choose another --workdir"
                )
            if meta["identity"] != self._identity:
                raise UserError(f"{path} belongs to another run: choose another --workdir")
            try:
                tree = self._read(path, like)
                if digest(tree) != meta["sha256"]:
                    raise ValueError("its SHA-256 is another than when it was written")
                return tree, meta["extra"]
            except Exception as error:  # whatever a damaged file makes orbax say
                _warn(path, error)
        return None

    def _read(self, path: Path, like: Any) -> Any:
        import orbax.checkpoint as ocp

        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
        args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.restore((path / "tree").absolute(), item=shapes, restore_args=args)
        for got, want in zip(jax.tree.leaves(tree), jax.tree.leaves(shapes), strict=True):
            if got.shape != want.shape or got.dtype != want.dtype:
                raise ValueError(f"it holds {got.dtype}{got.shape} in place of {want}")
        return tree

    def clear(self) -> None:
        """Remove them all: what they were for is finished."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _numbers(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        return sorted(int(p.name) for p in self._directory.iterdir() if p.name.isdecimal())


def digest(tree: Any) -> str:
    """The SHA-256 of a tree's arrays, bit by bit: equal for equal parameters only."""
    found = hashlib.sha256()
    for place, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(place)} {array.dtype} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _warn(path: Path, error: Exception) -> None:
    reason = str(error).splitlines()[0] if str(error) else ""
    print(
        f"rnnlab: {path} cannot be read ({type(error).__name__}: {reason:.200}); "
        "going on from the checkpoint before",
        file=sys.stderr,
    )
