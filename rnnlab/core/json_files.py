"""Strict JSON and JSON-lines files, written atomically.

All files are strict JSON, which any tool can read: −inf (an adjoint that is exactly zero), inf and
nan are written as the strings "-inf", "inf" and "nan". Files are replaced atomically. A JSON-lines
file grows by appending and may be truncated anywhere: a half-written last line is dropped on
reading.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

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
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a record must be strings, got {list(value)}")
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
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


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, which replaces the file atomically if no error is raised.

    A reader, also after a crash, sees either the old content or the new, complete.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file atomically: see :func:`replaced`."""
    with replaced(path) as part:
        part.write_bytes(data)


def write_json(path: str | os.PathLike[str], value: object) -> None:
    """Write a JSON file atomically, encoded by :func:`encode` and indented."""
    text = json.dumps(encode(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | os.PathLike[str]) -> Json:
    """Read a JSON file without decoding: see :func:`decode` for numbers that are not finite.

    Raises:
        UserError: the file is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def append_jsonl(
    path: str | os.PathLike[str], *records: Mapping[str, object], durable: bool = False
) -> None:
    """Append records to a JSON-lines file and flush them.

    Args:
        durable: wait until they are on disk, so that they survive a power failure.
    """
    lines = [json.dumps(encode(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records]
    with open(path, "ab") as file:
        file.write("".join(lines).encode())
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _lines(path: Path) -> Iterable[tuple[bytes, Record]]:
    if not path.exists():
        return
    *complete, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*complete, last] if last else complete, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"expected a record {{...}}, got {record!r:.40}")
        except ValueError as error:
            if number > len(complete):  # no newline yet: the writer was stopped here
                return
            raise UserError(f"{path}, line {number}, is not a JSON record: {error}") from None
        yield line, record


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
