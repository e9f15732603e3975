"""Checkpoints of a run, by orbax: written whole or not at all, the last few kept.

Each lies in a directory of its own, named by a number that only grows. A checkpoint that is
damaged, or was cut off while it was written, is passed over with a warning and the one before is
taken.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.core import json_files
from rnnlab.core.errors import NO_SPACE, UserError

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
        self._saves = 0
        self._passed_over: list[int] = []  # they count for nothing, and go with the next save

    def save(self, tree: Any, extra: dict[str, Any]) -> None:
        """Write ``tree`` (arrays) and ``extra`` (JSON) as the newest; drop the oldest.

        Raises:
            OSError: nothing is written then, and the checkpoints there were are still there.
        """
        numbers = self._numbers()
        target = self._directory / str(numbers[-1] + 1 if numbers else 0)
        for left in self._directory.glob("*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        # a name of its own: a save that failed may go on writing for a while, see _failing_quietly
        self._saves += 1
        part = self._directory / f"{target.name}-{self._saves}.tmp"
        part.mkdir(parents=True)
        try:
            self._write(part, tree, extra)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        good = [number for number in numbers if number not in self._passed_over]
        for number in [*self._passed_over, *good[: max(0, len(good) + 1 - self._keep)]]:
            shutil.rmtree(self._directory / str(number))
        self._passed_over = []

    def _write(self, folder: Path, tree: Any, extra: dict[str, Any]) -> None:
        try:
            with _failing_quietly(), _orbax() as checkpointer:
                checkpointer.save((folder / "tree").absolute(), jax.tree.map(np.asarray, tree))
        except ValueError as error:  # tensorstore's, which quotes the system's
            for number in NO_SPACE:
                if f"os_error_code='{number}'" in str(error):
                    raise OSError(number, os.strerror(number), str(folder)) from error
            raise
        meta = {
            "version": VERSION,
            "identity": self._identity,
            "files": _digests(folder),
            "extra": extra,
        }
        json_files.write_json(folder / _META, meta | {"meta_sha256": _meta_digest(meta)})

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
                version, written = meta["version"], meta.pop("meta_sha256", None)
                if version == VERSION and written != _meta_digest(meta):
                    raise ValueError(f"{_META} is not what was written")
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                self._pass_over(number, error)
                continue
            if version != VERSION:
                raise UserError(
                    f"{path} is a checkpoint of version {version}; this rnnlab reads version "
                    f"{VERSION}: go on with the rnnlab that wrote it, or choose another --workdir"
                )
            if meta["identity"] != self._identity:
                raise UserError(f"{path} belongs to another run: choose another --workdir")
            try:
                if _digests(path) != meta["files"]:  # before orbax reads, which is loud in failing
                    raise ValueError("its files are not what was written")
                return self._read(path, like), meta["extra"]
            except Exception as error:  # whatever a damaged file makes orbax say
                self._pass_over(number, error)
        return None

    def pack(self, last: int) -> dict[int, dict[str, bytes]]:
        """The files of the ``last`` newest, by number and path, to be sent somewhere else."""
        found = {}
        for number in self._numbers()[-last:]:
            root = self._directory / str(number)
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            found[number] = {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
        return found

    def unpack(self, packed: dict[int, dict[str, bytes]]) -> None:
        """Add what :meth:`pack` gave elsewhere, each whole or not at all; drop the oldest."""
        for number, files in packed.items():
            target = self._directory / str(number)
            part = target.with_name(f"{number}.tmp")
            shutil.rmtree(part, ignore_errors=True)
            for name, content in files.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).write_bytes(content)
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        for number in self._numbers()[: -self._keep]:
            shutil.rmtree(self._directory / str(number))

    def _pass_over(self, number: int, error: Exception) -> None:
        reason = str(error).splitlines()[0] if str(error) else ""
        before = [n for n in self._numbers() if n < number]
        print(
            f"rnnlab: {self._directory / str(number)} cannot be read ({type(error).__name__}: "
            f"{reason:.200}); going on from "
            + ("the checkpoint before" if before else "the start: there is none before it"),
            file=sys.stderr,
        )
        self._passed_over.append(number)

    def _read(self, path: Path, like: Any) -> Any:
        import orbax.checkpoint as ocp

        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
        args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        with _orbax() as checkpointer:
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


def _orbax() -> Any:
    """What writes and reads trees, in process 0 alone where a run has more."""
    import orbax.checkpoint as ocp

    options = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=options)
    return ocp.Checkpointer(handler, multiprocessing_options=options)


@contextlib.contextmanager
def _failing_quietly() -> Iterator[None]:
    """A save that fails says so by what it raises, and by nothing else.

    orbax and tensorstore repeat the error in threads of their own, by a log and, for each array
    still under way, by a traceback of the event loop that is closed by then. Some of it comes
    after the save has raised: so this is undone after a save that succeeds, and only then.
    """
    before, loggers = sys.unraisablehook, [logging.getLogger(name) for name in ("absl", "asyncio")]

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook
    for logger in loggers:
        logger.addFilter(_is_no_repeat)
    yield
    sys.unraisablehook = before
    for logger in loggers:
        logger.removeFilter(_is_no_repeat)


def _is_no_repeat(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return "raised an exception" not in said and "exception was never retrieved" not in said


def digest(tree: Any) -> str:
    """The SHA-256 of a tree's arrays, bit by bit: equal for equal parameters only."""
    found = hashlib.sha256()
    for place, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(place)} {array.dtype} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of the tree, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "tree").rglob("*"))
        if path.is_file()
    }


def _meta_digest(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(json_files.encode(meta), sort_keys=True).encode()).hexdigest()
