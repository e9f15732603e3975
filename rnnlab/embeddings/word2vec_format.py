"""The text and binary files of word2vec, which gensim, fastText (.vec) and GloVe also write.

Both begin with a line "V D". Text: one line "word x_1 … x_D" per word. Binary: the word, a space
and D little-endian float32, with or without a newline. Neither has counts or sub-words, which
:meth:`rnnlab.embeddings.vectors.Vectors.save` writes as well. Both may be compressed (.gz).

Of a word that occurs again the first vector is kept, with one warning.

Shapes: V vocabulary, D dimension.
"""

import gzip
import itertools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from rnnlab.core.json_files import replaced
from rnnlab.core.read_only import sealed
from rnnlab.core.validate import whole
from rnnlab.embeddings.vector_files import Opened, first_of_each, opened
from rnnlab.embeddings.vectors import Vectors

_LONGEST = 2**16  # bytes of a word: limits the search for a space in a file of another kind
_AT_ONCE = 2**20  # bytes of a binary file that are read at a time


# ---- reading -----------------------------------------------------------------------------------


def read_text(
    path: str | os.PathLike[str],
    *,
    header: bool = True,
    limit: int | None = None,
    errors: str = "strict",
) -> Vectors:
    """Read the vectors of a text file.

    Args:
        header: whether the first line is "V D"; GloVe's files have none.
        limit: read the first ``limit`` words only, all if there are fewer; None: all.
        errors: handling of words that are not UTF-8, as for ``bytes.decode``; "surrogateescape"
            preserves their bytes.
    Raises:
        FileNotFoundError: no such file. ValueError: a malformed header or line, with its number;
            fewer or more lines than the header says; a number that is not finite; a compressed file
            that is cut off or damaged; limit below 1.
    """
    words: list[str] = []
    limit = _checked(limit)
    with opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # fromstring's, for malformed numbers
        lines = enumerate(file.stream, start=1 + header)
        if header:
            V, D = _header(path, file, number_bytes=2)
            rows = V if limit is None else min(V, limit)
            matrix = np.empty((rows, D), np.float32)
        else:
            number, first = next(lines, (1, b""))
            lines = itertools.chain([(number, first)], lines)
            V, D = None, len(_spaced(first).split(b" ")) - 1
            if D < 1:
                raise ValueError(f"{path}, line 1: a word and numbers expected, got {first[:60]!r}")
            rows = file.most // (1 + 2 * D) + 1 if limit is None else limit
            matrix = np.empty((min(rows, 1024), D), np.float32)
        blank = 0
        for number, line in lines:
            if not line.strip():  # may end a file, no more
                blank = blank or number
                continue
            if blank:
                raise _malformed(path, blank, b"", D)
            if len(words) == rows:
                if limit is None:
                    raise ValueError(
                        f"{path}, line {number}: {V} words expected, got more: {line[:60]!r}"
                    )
                break
            if len(words) == len(matrix):
                matrix = np.concatenate([matrix, np.empty_like(matrix)])
            word, matrix[len(words)] = _parsed(path, number, line, D)
            words.append(_decoded(path, f"line {number}", word, errors))
    if V is not None and len(words) < rows:
        raise ValueError(f"{path} is cut off: {V} words expected, got {len(words)}")
    return _vectors(path, words, matrix[: len(words)], "line", 1 + header)


def read_binary(
    path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Read the vectors of a binary file.

    Args:
        limit, errors: as for :func:`read_text`.
    Raises:
        FileNotFoundError: no such file. ValueError: a malformed header, bytes missing or left
            over; a number that is not finite; a compressed file that is cut off or damaged; limit
            below 1.
    """
    words = []
    limit = _checked(limit)
    with opened(path) as file:
        V, D = _header(path, file, number_bytes=4)
        rows = V if limit is None else min(V, limit)
        matrix = np.empty((rows, D), np.float32)
        before, data, position = file.stream.tell(), b"", 0  # bytes before the data; in the data
        for row in range(rows):
            # a newline (of the C tool), a word, a space and the numbers
            while True:
                start = position + (data[position : position + 1] == b"\n")
                space = data.find(b" ", start, start + _LONGEST)
                end = space + 1 + 4 * D
                if space >= 0 and end <= len(data):
                    break
                more = file.stream.read(max(_AT_ONCE, 4 * D))
                if not more or len(data) - start > _LONGEST + 4 * D:
                    raise ValueError(
                        f"{path} is cut off or no binary file: word {row + 1} of {V} begins at "
                        f"byte {before + start}; expected a word, a space and {4 * D} bytes, got "
                        f"{data[start : start + 60]!r}"
                    )
                before, data, position = before + position, data[position:] + more, 0
            words.append(_decoded(path, f"byte {before + start}", data[start:space], errors))
            matrix[row] = np.frombuffer(data, "<f4", D, space + 1)
            position = end
        left = len(data[position:].lstrip(b"\n"))
        while rows == V and (more := file.stream.read(_AT_ONCE)):
            left += len(more if left else more.lstrip(b"\n"))
        if rows == V and left:
            raise ValueError(f"{path}: {left} bytes are left after {V} words")
    return _vectors(path, words, matrix, "word", 1)


def _vectors(
    path: str | os.PathLike[str], words: Sequence[str], matrix: np.ndarray, place: str, first: int
) -> Vectors:
    kept = first_of_each(path, words, place, first)
    if len(kept) < len(words):
        rows: list[int] = kept.tolist()
        words, matrix = [words[row] for row in rows], matrix[rows]
    try:
        return Vectors(words, sealed(matrix))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _checked(limit: int | None) -> int | None:
    return None if limit is None else whole("limit", limit)


def _header(path: object, file: Opened, number_bytes: int) -> tuple[int, int]:
    line = file.stream.readline(100)
    try:
        V, D = map(int, line.split())
    except ValueError:
        V = D = 0
    if V < 1 or D < 1 or not line.endswith(b"\n"):
        raise ValueError(
            f"{path}: a first line 'V D' (words, dimensions) expected, got {line[:60]!r}"
        )
    if V * (1 + number_bytes * D) > file.most:
        size = f"its {file.most}" if file.exact else f"the {file.most} that it can hold"
        raise ValueError(
            f"{path} is cut off: {V} words of {D} dimensions need more than {size} bytes"
        )
    return V, D


def _spaced(line: bytes) -> bytes:
    return line.rstrip().replace(b"\t", b" ")


def _malformed(path: object, number: int, line: bytes, D: int) -> ValueError:
    return ValueError(f"{path}, line {number}: a word and {D} numbers expected, got {line[:60]!r}")


def _parsed(path: object, number: int, line: bytes, D: int) -> tuple[bytes, np.ndarray]:
    line = _spaced(line)
    word, _, rest = line.partition(b" ")
    if rest.count(b" ") + 1 != D:  # a word that contains spaces, or a malformed line
        parts = line.rsplit(b" ", D)
        word, rest = parts[0], b" ".join(parts[1:])
    try:
        values = np.fromstring(rest, np.float32, sep=" ")
    except (DeprecationWarning, ValueError):
        values = np.empty(0)
    if len(values) != D or not word:
        raise _malformed(path, number, line, D)
    return word, values


def _decoded(path: object, place: str, word: bytes, errors: str) -> str:
    try:
        return word.decode("utf-8", errors)
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}, {place}: {word!r} is not UTF-8 (errors='surrogateescape' reads it)"
        ) from None


# ---- writing -----------------------------------------------------------------------------------


def write_text(vectors: Vectors, path: str | os.PathLike[str], *, header: bool = True) -> None:
    """Write a text file, whose numbers are read back bit-identical.

    Args:
        path: compressed if it ends with ".gz".
        header: whether the first line is "V D"; GloVe's files have none.
    Raises:
        ValueError: a word that is empty or contains white space, which readers cannot parse.
    """
    with _written(path) as file:
        if header:
            file.write(b"%d %d\n" % vectors.matrix.shape)
        for word, row in _rows(vectors):
            file.write(word + b" " + " ".join(row.astype(str)).encode() + b"\n")


def write_binary(vectors: Vectors, path: str | os.PathLike[str]) -> None:
    """Write a binary file, with a newline after each vector as in the C tool.

    Args:
        path: compressed if it ends with ".gz".
    Raises:
        ValueError: a word that is empty or contains white space, which readers cannot parse.
    """
    with _written(path) as file:
        file.write(b"%d %d\n" % vectors.matrix.shape)
        for word, row in _rows(vectors):
            file.write(word + b" " + row.astype("<f4").tobytes() + b"\n")


@contextmanager
def _written(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    packed = Path(path).suffix == ".gz"
    with replaced(path) as part, open(part, "wb") as file:
        if not packed:
            yield file
            return
        # no time and no name: the same vectors give the same bytes
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as out:
            yield cast(BinaryIO, out)


def _rows(vectors: Vectors) -> Iterator[tuple[bytes, np.ndarray]]:
    for word, row in zip(vectors.words, vectors.matrix, strict=True):
        if word.split() != [word]:
            raise ValueError(
                f"the format cannot represent the word {word!r}: it is empty or contains white "
                "space"
            )
        yield word.encode("utf-8", "surrogateescape"), row
