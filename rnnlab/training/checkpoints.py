"""Checkpoints of a run, by orbax: written whole or not at all, the last few kept.

Each lies in a directory of its own, named by a number that only grows. A checkpoint that is
corrupt, or was cut off while it was written, is skipped with a warning, and the one before it is
restored.

orbax's ``CheckpointManager`` is not used: it keeps no digests of its files, so that a bit that
flips on the disk comes back as a parameter, and it restores the step that it is asked for or
fails, without falling back to the one before.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from rnnlab.core import json_files, validate
from rnnlab.core.errors import NO_SPACE, UserError
from rnnlab.core.run_files import ANEW

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

PyTree = Any  # of arrays
Packed = dict[int, dict[str, bytes]]  # files of checkpoints, by number and path

VERSION = 1
_META = "rnnlab.json"  # written last: a directory without it was never finished


class Checkpoints:
    """The checkpoints in one directory.

    Args:
        directory: made when first needed.
        identity: the owner of the checkpoints, for instance the hash of the run and group.
        keep: checkpoints that are kept, at least 1.
    Raises:
        ValueError: no checkpoint to keep.
    """

    def __init__(self, directory: Path, identity: str, keep: int = 2) -> None:
        self._directory, self._identity = Path(directory), identity
        self._keep = validate.whole("keep", keep, 1)
        self._saves = 0
        self._skipped: list[int] = []  # corrupt ones: the next save removes them

    def save(self, tree: PyTree, extra: dict[str, object]) -> None:
        """Write ``tree`` (arrays) and ``extra`` (JSON) as the newest; remove the oldest.

        Raises:
            OSError: nothing is written then, and the earlier checkpoints are still there.
        """
        numbers = self._numbers()
        target = self._directory / str(numbers[-1] + 1 if numbers else 0)
        for unfinished in self._directory.glob("*.tmp"):
            shutil.rmtree(unfinished, ignore_errors=True)
        # a new name: a failed save may continue writing for a while, see _failing_quietly
        self._saves += 1
        part = self._directory / f"{target.name}-{self._saves}.tmp"
        part.mkdir(parents=True)
        try:
            self._write(part, tree, extra)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        good = [number for number in numbers if number not in self._skipped]
        for number in [*self._skipped, *good[: max(0, len(good) + 1 - self._keep)]]:
            shutil.rmtree(self._directory / str(number))
        self._skipped = []

    def _write(self, folder: Path, tree: PyTree, extra: dict[str, object]) -> None:
        try:
            with _failing_quietly(), _orbax() as checkpointer:
                checkpointer.save((folder / "tree").absolute(), jax.tree.map(np.asarray, tree))
        except ValueError as error:  # tensorstore's, which quotes the system's error
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

    def restore(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """Return (tree, extra) of the newest checkpoint that can be read; None if there is none.

        Args:
            like: a tree of arrays or shapes, those that the checkpoint must hold.
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
                self._skip(number, error)
                continue
            if version != VERSION:
                raise UserError(
                    f"{path} is a checkpoint of version {version}; this rnnlab reads version "
                    f"{VERSION}: resume with the rnnlab that wrote it, {ANEW}"
                )
            if meta["identity"] != self._identity:
                raise UserError(f"{path} belongs to another run: {ANEW}")
            try:
                if _digests(path) != meta["files"]:  # before orbax reads: its failures are verbose
                    raise ValueError("its files are not what was written")
                return self._read(path, like), meta["extra"]
            except Exception as error:  # whatever orbax raises for a corrupt file
                self._skip(number, error)
        return None

    def drop_unless(self, fits: Callable[[dict[str, Any]], bool]) -> list[int]:
        """Remove the checkpoints whose ``extra`` does not fit; return their numbers.

        A corrupt one stays: :meth:`restore` skips it.
        """
        dropped = []
        for number in self._numbers():
            try:
                meta = json.loads((self._directory / str(number) / _META).read_bytes())
                unfit = meta["identity"] == self._identity and not fits(meta["extra"])
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
            if unfit:
                shutil.rmtree(self._directory / str(number))
                dropped.append(number)
        return dropped

    def pack(self, last: int) -> Packed:
        """Return the files of the ``last`` newest, by number and path, to be sent elsewhere."""
        packed = {}
        for number in self._numbers()[-last:]:
            root = self._directory / str(number)
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            packed[number] = {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
        return packed

    def unpack(self, packed: Packed) -> None:
        """Add the checkpoints that :meth:`pack` returned elsewhere; remove the oldest."""
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

    def _skip(self, number: int, error: Exception) -> None:
        reason = str(error).splitlines()[0] if str(error) else ""
        before = [n for n in self._numbers() if n < number]
        print(
            f"rnnlab: {self._directory / str(number)} cannot be read ({type(error).__name__}: "
            f"{reason:.200}); resuming from "
            + ("the checkpoint before it" if before else "the start: there is none before it"),
            file=sys.stderr,
        )
        self._skipped.append(number)

    def _read(self, path: Path, like: PyTree) -> PyTree:
        import orbax.checkpoint as ocp

        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
        args = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        with _orbax() as checkpointer:
            tree = checkpointer.restore((path / "tree").absolute(), item=shapes, restore_args=args)
        for leaf, expected in zip(jax.tree.leaves(tree), jax.tree.leaves(shapes), strict=True):
            if leaf.shape != expected.shape or leaf.dtype != expected.dtype:
                raise ValueError(f"it holds {leaf.dtype}{leaf.shape} in place of {expected}")
        return tree

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _numbers(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        return sorted(int(p.name) for p in self._directory.iterdir() if p.name.isdecimal())


def _orbax() -> "ocp.Checkpointer":
    """Return the writer and reader of trees; of several processes only process 0 works."""
    import orbax.checkpoint as ocp

    options = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=options)
    return ocp.Checkpointer(handler, multiprocessing_options=options)


@contextlib.contextmanager
def _failing_quietly() -> Iterator[None]:
    """Let a failed save say so by its exception, and by nothing else.

    orbax and tensorstore repeat the error in threads of their own: in the log and, for each array
    that is being written, as a traceback of the event loop that is closed by then. Some of that
    comes after the save has raised, so the filters are removed only after a save that succeeds.
    """
    before, loggers = sys.unraisablehook, [logging.getLogger(name) for name in ("absl", "asyncio")]

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
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
    message = record.getMessage()
    return "raised an exception" not in message and "exception was never retrieved" not in message


def digest(tree: PyTree) -> str:
    """Return the SHA-256 of a tree's arrays, bit by bit: equal for equal parameters only."""
    sha256 = hashlib.sha256()
    for place, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        sha256.update(f"{jax.tree_util.keystr(place)} {array.dtype} {array.shape} ".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of the tree, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "tree").rglob("*"))
        if path.is_file()
    }


def _meta_digest(meta: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(json_files.encode(meta), sort_keys=True).encode()).hexdigest()
