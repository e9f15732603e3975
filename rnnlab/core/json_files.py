"""Strict JSON and JSON-lines files, written atomically.

Everything is strict JSON, so that any tool can read it: −inf (an adjoint that is exactly zero),
inf and nan are written as the strings "-inf", "inf" and "nan". A file that is replaced is replaced
atomically, and a file that grows (JSON lines) may be cut off anywhere: a half-written last line is
dropped on reading.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.core.errors import UserError

_NON_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def encode(value: Any) -> Any:
    """The value as strict JSON can hold it.

    NumPy and JAX scalars and arrays become numbers and lists, tuples and ranges lists, and
    numbers that are not finite the strings "nan", "inf" and "-inf".

    Raises:
        TypeError: for what JSON has no word for, a complex number for instance.

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
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if np.issubdtype(array.dtype, np.complexfloating):
            raise TypeError("a complex number cannot be written as JSON: give .real and .imag")
        if array.dtype != object:
            return encode(array.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r:.80}")


def decode(value: Any) -> Any:
    """The inverse of :func:`encode`: "nan", "inf" and "-inf" are floats again, lists stay lists.

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


def decode_config(value: Any) -> Any:
    """As :func:`decode`, for configs: a list was a tuple, for configs hold tuples only."""
    if isinstance(value, list):
        return tuple(decode_config(item) for item in value)
    if isinstance(value, dict):
        return {key: decode_config(item) for key, item in value.items()}
    return decode(value)


# ---------------------------------------------------------------------------------------- files


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to; what was written takes the file's place at once, when all went well.

    A reader, or a crash, sees the old content or the new, whole.
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
    """Replace a file at once: see :func:`replaced`."""
    with replaced(path) as part:
        part.write_bytes(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file atomically, encoded as :func:`encode` does, indented to be read."""
    text = json.dumps(encode(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file as it stands: see :func:`decode` for the numbers that are not finite.

    Raises:
        UserError: when the file is not JSON, by its name.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def append_jsonl(
    path: str | os.PathLike[str], *records: Mapping[str, Any], durable: bool = False
) -> None:
    """Add the records at the end of a file of JSON lines, and flush them.

    Args:
        durable: wait until they are on the disk, so that a power cut does not take them.
    """
    lines = [json.dumps(encode(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records]
    with open(path, "ab") as file:
        file.write("".join(lines).encode())
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _lines(path: Path) -> Iterable[tuple[bytes, dict[str, Any]]]:
    if not path.exists():
        return
    *whole, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*whole, last] if last else whole, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"expected a record {{...}}, got {record!r:.40}")
        except ValueError as error:
            if number > len(whole):  # no newline yet: the writer was stopped here
                return
            raise UserError(f"{path}, line {number}, is not a JSON record: {error}") from None
        yield line, record


def read_jsonl(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a file of JSON lines, as they stand; none when there is no such file.

    A half-written last line is dropped.

    Raises:
        UserError: for a broken line elsewhere, naming the file and the line.
    """
    return [record for _, record in _lines(Path(path))]


def keep_jsonl(path: str | os.PathLike[str], keep: Callable[[dict[str, Any]], bool]) -> None:
    """Cut a file of JSON lines down to the records to keep, so that it can grow again."""
    path = Path(path)
    kept = b"".join(line + b"\n" for line, record in _lines(path) if keep(record))
    if path.exists() and path.read_bytes() != kept:
        write_bytes(path, kept)
