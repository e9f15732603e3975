"""Strict JSON and JSON-lines files, written atomically.

All files are strict JSON, which any tool can read: −inf (an adjoint that is exactly zero), inf and
nan are written as the strings "-inf", "inf" and "nan". Files are replaced atomically. A JSON-lines
file grows by appending and may be truncated anywhere: a half-written last line is dropped on
reading.
"""

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rnnlab.core.errors import UserError

Json = Any  # None, a bool, an int, a float, a str, or a list or dict of such values
Record = dict[str, Json]

_NON_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@runtime_checkable
class _HasArray(Protocol):
    """An array, or a scalar of NumPy or JAX."""

    def __array__(self) -> np.ndarray: ...


def encode(value: object) -> Json:
    """Return the value as strict JSON holds it.

    NumPy and JAX scalars and arrays become numbers and lists, tuples and ranges become lists, and
    numbers that are not finite become the strings "nan", "inf" and "-inf".

    Raises:
        TypeError: for a value that JSON cannot represent, such as a complex number.

    >>> encode({"log10": np.array([-1.5, -np.inf]), "steps": np.int64(3)})
    {'log10': [-1.5, '-inf'], 'steps': 3}
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a record must be strings, got {list(value)}")
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        if set(map(type, value)) == {float} and all(map(math.isfinite, value)):  # a curve
            return list(value)
        return [encode(item) for item in value]
    if isinstance(value, _HasArray):
        array = np.asarray(value)
        if np.issubdtype(array.dtype, np.complexfloating):
            raise TypeError("a complex number cannot be written as JSON: give .real and .imag")
        if array.dtype != object:
            return encode(array.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r:.80}")


def decode(value: Json) -> Json:
    """Invert :func:`encode`: "nan", "inf" and "-inf" become floats again, lists stay lists.

    >>> decode({"log10": [-1.5, "-inf"], "cell": "lstm"})
    {'log10': [-1.5, -inf], 'cell': 'lstm'}
    """
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    return value


def decode_config(value: Json) -> Json:
    """Decode a config: as :func:`decode`, but lists become tuples, as configs hold tuples only."""
    if isinstance(value, list):
        return tuple(decode_config(item) for item in value)
    if isinstance(value, dict):
        return {key: decode_config(item) for key, item in value.items()}
    return decode(value)


# ---------------------------------------------------------------------------------------- files


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, which replaces the file atomically if no error is raised.

    A reader, also after a crash, sees either the old content or the new, complete. A symbolic link
    stays one, and what is no file, such as /dev/null, is written to and not replaced.

    Raises:
        UserError: the path is a folder, or its folder is not there.
    """
    path = Path(path).resolve()
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file in it")
    if not path.parent.is_dir():
        raise UserError(f"no folder {path.parent} to write {path.name} in: make it first")
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: str | os.PathLike[str], *, below: bool = True) -> None:
    """Remove what :func:`replaced` left in a folder in processes that were killed.

    Args:
        folder: no other process writes there.
        below: whether to look into its folders too.
    """
    for path in Path(folder).glob("**/.*.tmp" if below else ".*.tmp"):
        if re.fullmatch(r"\..+\.\d+\.tmp", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can tell."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file atomically: see :func:`replaced`."""
    with replaced(path) as part:
        part.write_bytes(data)


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Write a JSON file atomically, encoded by :func:`encode` and indented."""
    write_bytes(path, to_text(value))


def to_text(value: object) -> bytes:
    """Return the content of a file that :func:`write_json` writes."""
    text = json.dumps(encode(value), indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def read_json(path: str | os.PathLike[str]) -> Json:
    """Read a JSON file without decoding: see :func:`decode` for numbers that are not finite.

    Raises:
        UserError: the file is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def to_line(record: Mapping[str, object]) -> bytes:
    """Return a record as a line of a JSON-lines file, without the newline."""
    return json.dumps(encode(record), ensure_ascii=False, allow_nan=False).encode()


def sync(path: str | os.PathLike[str]) -> None:
    """Wait until a file, if there is one, is on the disk."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        os.fsync(file.fileno())


def append_lines(path: str | os.PathLike[str], *lines: bytes, durable: bool = False) -> None:
    """Append lines that :func:`to_line` made to a JSON-lines file, and flush them.

    Args:
        path: the file; it is made if there is none.
        lines: without their newlines.
        durable: wait until they are on disk, so that they survive a power failure.
    """
    new = durable and not Path(path).exists()
    with open(path, "ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if new:
        _sync_folder(Path(path).parent)


class Line(NamedTuple):
    """A line of a JSON-lines file, as :func:`scan_jsonl` finds it."""

    number: int  # from 1
    text: bytes  # without the newline
    record: Record | None  # None: it is no record
    problem: str  # why it is none
    written: bool  # false: the last line, in the middle of which its writer was stopped


def scan_jsonl(path: str | os.PathLike[str]) -> Iterator[Line]:
    """Yield every line of a JSON-lines file, broken ones too; none if there is no such file."""
    path = Path(path)
    if not path.exists():
        return
    *complete, last = path.read_bytes().split(b"\n")
    for number, text in enumerate([*complete, last] if last else complete, 1):
        record, problem = None, ""
        try:
            record = json.loads(text)
            if not isinstance(record, dict):
                problem = f"expected a record {{...}}, got {record!r:.40}"
        except (ValueError, RecursionError) as error:
            problem = str(error)
        written = not problem or number <= len(complete)  # else: no newline yet
        yield Line(number, text, None if problem else record, problem, written)


def _lines(path: Path) -> Iterable[tuple[bytes, Record]]:
    for line in scan_jsonl(path):
        if line.record is not None:
            yield line.text, line.record
        elif line.written:
            raise UserError(f"{path}, line {line.number}, is not a JSON record: {line.problem}")


def read_jsonl(path: str | os.PathLike[str]) -> list[Record]:
    """Read the records of a JSON-lines file without decoding; none if there is no such file.

    A half-written last line is dropped.

    Raises:
        UserError: a broken line elsewhere; the message names the file and the line.
    """
    return [record for _, record in _lines(Path(path))]


def keep_jsonl(path: str | os.PathLike[str], keep: Callable[[Record], bool]) -> None:
    """Reduce a JSON-lines file to the records for which ``keep`` is true."""
    path = Path(path)
    content = b"".join(line + b"\n" for line, record in _lines(path) if keep(record))
    if path.exists() and path.read_bytes() != content:
        write_bytes(path, content)
