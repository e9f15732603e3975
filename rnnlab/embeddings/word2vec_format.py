"""The text and binary files of word2vec, which gensim, fastText (.vec) and GloVe also write.

Both begin with a line "V D". Text: one line "word x_1 … x_D" per word. Binary: the word, a space
and D little-endian float32, with or without a newline. Neither has counts or sub-words, which
:meth:`rnnlab.embeddings.vectors.Vectors.save` writes as well.

Shapes: V vocabulary, D dimension.
"""

import mmap
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rnnlab.core.json_files import replaced
from rnnlab.embeddings.vectors import Vectors

_LONGEST = 2**16  # bytes of a word: limits the search for a space in a file of another kind


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
        limit: read the first ``limit`` words only; None: all.
        errors: handling of words that are not UTF-8, as for ``bytes.decode``; "surrogateescape"
            preserves their bytes.
    Raises:
        FileNotFoundError: no such file. ValueError: a malformed header or line, with its number;
            fewer or more lines than the header says; a repeated word; a number that is not finite.
    """
    words: list[str] = []
    with _opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # fromstring's, for malformed numbers
        size = os.fstat(file.fileno()).st_size
        if header:
            V, D = _header(path, file, size, number_bytes=2)
            rows = V if limit is None else min(V, limit)
            matrix = np.empty((rows, D), np.float32)
        else:
            first = file.readline()
            file.seek(0)
            V, D = None, len(first.rstrip().split(b" ")) - 1
            if D < 1:
                raise ValueError(f"{path}, line 1: a word and numbers expected, got {first[:60]!r}")
            rows = size // (1 + 2 * D) + 1 if limit is None else limit
            matrix = np.empty((min(rows, 1024), D), np.float32)
        for number, line in enumerate(file, start=1 + header):
            if len(words) == rows:
                if limit is None and line.strip():
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
    return Vectors(words, matrix[: len(words)])


def read_binary(
    path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Read the vectors of a binary file.

    Args:
        limit, errors: as for :func:`read_text`.
    Raises:
        FileNotFoundError: no such file. ValueError: a malformed header, bytes missing or left
            over; a repeated word; a number that is not finite.
    """
    words = []
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        V, D = _header(path, file, size, number_bytes=4)
        rows = V if limit is None else min(V, limit)
        matrix = np.empty((rows, D), np.float32)
        position = file.tell()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for row in range(rows):
                if data[position : position + 1] == b"\n":  # written by the C tool after a vector
                    position += 1
                space = data.find(b" ", position, position + _LONGEST)
                start, end = space + 1, space + 1 + 4 * D
                if space < 0 or end > size:
                    raise ValueError(
                        f"{path} is cut off or no binary file: word {row + 1} of {V} begins at "
                        f"byte {position} of {size}; expected a word, a space and {4 * D} bytes"
                    )
                words.append(_decoded(path, f"byte {position}", data[position:space], errors))
                matrix[row] = np.frombuffer(data[start:end], "<f4")
                position = end
            if rows == V and data[position:].strip(b"\n"):
                raise ValueError(f"{path}: {size - position} bytes are left after {V} words")
    return Vectors(words, matrix)


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    return open(path, "rb")


def _header(path: object, file: BinaryIO, size: int, number_bytes: int) -> tuple[int, int]:
    line = file.readline(100)
    try:
        V, D = map(int, line.split())
    except ValueError:
        V = D = 0
    if V < 1 or D < 1 or not line.endswith(b"\n"):
        raise ValueError(
            f"{path}: a first line 'V D' (words, dimensions) expected, got {line[:60]!r}"
        )
    if V * (1 + number_bytes * D) > size:
        raise ValueError(
            f"{path} is cut off: {V} words of {D} dimensions need more than its {size} bytes"
        )
    return V, D


def _parsed(path: object, number: int, line: bytes, D: int) -> tuple[bytes, np.ndarray]:
    line = line.rstrip()
    word, _, rest = line.partition(b" ")
    if rest.count(b" ") + 1 != D:  # a word that contains spaces, or a malformed line
        parts = line.rsplit(b" ", D)
        word, rest = parts[0], b" ".join(parts[1:])
    try:
        values = np.fromstring(rest, np.float32, sep=" ")
    except (DeprecationWarning, ValueError):
        values = np.empty(0)
    if len(values) != D or not word:
        raise ValueError(
            f"{path}, line {number}: a word and {D} numbers expected, got {line[:60]!r}"
        )
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
        header: whether the first line is "V D"; GloVe's files have none.
    Raises:
        ValueError: a word that is empty or contains white space, which readers cannot parse.
    """
    with replaced(path) as part, open(part, "wb") as file:
        if header:
            file.write(b"%d %d\n" % vectors.matrix.shape)
        for word, row in _rows(vectors):
            file.write(word + b" " + " ".join(row.astype(str)).encode() + b"\n")


def write_binary(vectors: Vectors, path: str | os.PathLike[str]) -> None:
    """Write a binary file, with a newline after each vector as in the C tool.

    Raises:
        ValueError: a word that is empty or contains white space, which readers cannot parse.
    """
    with replaced(path) as part, open(part, "wb") as file:
        file.write(b"%d %d\n" % vectors.matrix.shape)
        for word, row in _rows(vectors):
            file.write(word + b" " + row.astype("<f4").tobytes() + b"\n")


def _rows(vectors: Vectors) -> Iterator[tuple[bytes, np.ndarray]]:
    for word, row in zip(vectors.words, vectors.matrix, strict=True):
        if word.split() != [word]:
            raise ValueError(
                f"the format cannot represent the word {word!r}: it is empty or contains white "
                "space"
            )
        yield word.encode("utf-8", "surrogateescape"), row
