"""The files of the C++ fastText: .vec (text) and .bin (models with sub-words).

A .bin file has a magic number, a version, 13 arguments, the dictionary, the input matrix (one row
per word, then one per bucket of n-grams) and the output matrix, all little-endian. Quantized models
(.ftz) hold codes instead of rows and are refused. Both may be compressed (.gz), as published.
"""

import os
import struct
from typing import NoReturn

import numpy as np

from rnnlab.core.read_only import sealed
from rnnlab.embeddings import subwords as sub
from rnnlab.embeddings import word2vec_format
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.vector_files import Opened, first_of_each, opened
from rnnlab.embeddings.vectors import Vectors

MAGIC, VERSIONS = 793712314, (11, 12)
# int32 each; followed by t, a float64
ARGUMENTS: tuple[str, ...] = (
    *("dim", "ws", "epoch", "minCount", "neg", "wordNgrams"),
    *("loss", "model", "bucket", "minn", "maxn", "lrUpdateRate"),
)
_SUPERVISED = 3  # a value of "model"
_WORD = 0  # type of an entry; 1: a label
_AT_ONCE = 2**24  # bytes read at a time


def read_vec(
    path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Read a .vec file: word2vec's text format, without sub-words.

    Args:
        limit, errors: as for :func:`rnnlab.embeddings.word2vec_format.read_text`.
    Raises:
        FileNotFoundError, ValueError: as :func:`rnnlab.embeddings.word2vec_format.read_text`.
    """
    return word2vec_format.read_text(path, limit=limit, errors=errors)


def read_bin(path: str | os.PathLike[str], *, errors: str = "strict") -> Vectors:
    """Read words, counts, sub-words and vectors of a .bin model, unsupervised or supervised.

    A word's vector is the mean of its own row and the rows of its n-grams, that of an unseen word
    the mean of its n-grams' rows, as in ``fasttext.load_model(path).get_word_vector(word)``.

    Args:
        errors: handling of words that are not UTF-8, as for ``bytes.decode``;
            "surrogateescape" preserves their bytes, and so their n-grams. Of words that are the
            same after "replace" or "ignore" the first is kept, with one warning.
    Raises:
        FileNotFoundError: no such file. ValueError: not a fastText model; a quantized or pruned
            one; a truncated file or one with bytes left over; a word that is not UTF-8.
    """
    with opened(path) as file:
        reader = _Reader(file, path)
        arguments = _arguments(reader)
        words, counts = _dictionary(reader)
        if reader.take("?", "whether it is quantized")[0]:
            raise ValueError(
                f"{path} is a quantized model: it holds codes instead of rows; "
                "read the .bin file that it was made from"
            )
        K, D = arguments["bucket"], arguments["dim"]
        rows = sealed(reader.matrix("input", (len(words) + K, D)))
        if reader.take("?", "whether its output is quantized")[0]:
            raise ValueError(f"{path} is a quantized model: its output holds codes")
        reader.skip_matrix("output", D)
        reader.end()
    maxn = arguments["maxn"]
    subwords = Subwords(rows[: len(words)], rows[len(words) :], arguments["minn"], maxn)
    if maxn == 0 or K == 0:
        subwords = subwords._replace(maxn=0)
    matrix = sub.compose(words, subwords)
    decoded = [_decoded(path, word, errors) for word in words]
    kept = first_of_each(path, decoded, "word")
    if len(kept) < len(decoded):
        decoded, matrix, counts = [decoded[row] for row in kept], matrix[kept], counts[kept]
        subwords = subwords._replace(word_rows=subwords.word_rows[kept])
    try:
        return Vectors(decoded, sealed(matrix), counts, subwords if subwords.maxn else None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _decoded(path: object, word: bytes, errors: str) -> str:
    try:
        return word.decode("utf-8", errors)
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: the word {word!r} is not UTF-8 (errors='surrogateescape' reads it)"
        ) from None


def _arguments(reader: "_Reader") -> dict[str, int]:
    (magic,) = reader.take("<i", "the magic number")
    if magic != MAGIC:
        raise ValueError(
            f"{reader.path} is no fastText model: it begins with {magic}, expected {MAGIC}"
        )
    (version,) = reader.take("<i", "the version")
    if version not in VERSIONS:
        raise ValueError(
            f"{reader.path}: version {version} of the format, expected one of {VERSIONS}"
        )
    values = reader.take("<12id", "the arguments")
    arguments = dict(zip(ARGUMENTS, values, strict=False))
    if version == 11 and arguments["model"] == _SUPERVISED:
        arguments["maxn"] = 0  # as in the C++ tool: such models had no character n-grams
    for name, least in (("dim", 1), ("bucket", 0), ("minn", 0), ("maxn", 0)):
        if arguments[name] < least:
            raise ValueError(f"{reader.path} is malformed: {name} = {arguments[name]}")
    return arguments


def _dictionary(reader: "_Reader") -> tuple[list[bytes], np.ndarray]:
    size, nwords, nlabels, _, pruned = reader.take("<3i2q", "the sizes of the dictionary")
    if min(size, nwords, nlabels) < 0 or size != nwords + nlabels:
        raise ValueError(
            f"{reader.path} is malformed: a dictionary of {size} entries, "
            f"{nwords} words and {nlabels} labels"
        )
    if pruned >= 0:
        raise ValueError(
            f"{reader.path} is a pruned model: n-grams were dropped when it was quantized"
        )
    words, counts = [], []
    for entry in range(size):
        text = reader.text(f"entry {entry + 1} of {size} of the dictionary")
        count, kind = reader.take("<qb", f"the count of {text!r}")
        if (kind == _WORD) != (entry < nwords):
            raise ValueError(
                f"{reader.path} is malformed: entry {entry + 1} of the dictionary, "
                f"{text!r}, is of type {kind}"
            )
        if kind == _WORD:
            words.append(text)
            counts.append(count)
    return words, np.array(counts, np.int64)


class _Reader:
    """A file that is read from its start; errors name the missing part."""

    def __init__(self, file: Opened, path: object):
        self.file, self.path = file.stream, path
        self.size, self.exact = file.most, file.exact

    def take(self, form: str, what: str) -> tuple[int, ...]:
        """Read numbers of a ``struct`` format; its only float, t, is not used."""
        data = self.file.read(struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            self._cut_off(what, struct.calcsize(form), len(data))
        return struct.unpack(form, data)

    def text(self, what: str) -> bytes:
        """Read bytes up to a zero."""
        parts = bytearray()
        while (byte := self.file.read(1)) != b"\0":
            if not byte:
                self._cut_off(what, len(parts) + 1, len(parts))
            parts += byte
        return bytes(parts)

    def matrix(self, what: str, shape: tuple[int, int]) -> np.ndarray:
        """Read (rows, D) float32 of the expected shape."""
        got = self._shape(what)
        if got != shape:
            raise ValueError(
                f"{self.path} is malformed: the {what} matrix is {got}, expected {shape}"
            )
        values = np.empty(got[0] * got[1], "<f4")
        rest = values.view(np.uint8).data
        while size := len(rest):
            read = self.file.readinto(rest[:_AT_ONCE])
            if not read:
                self._cut_off(f"the {what} matrix {got}", values.nbytes, values.nbytes - size)
            rest = rest[read:]
        return values.astype(np.float32, copy=False).reshape(got)

    def skip_matrix(self, what: str, columns: int) -> None:
        """Skip a matrix, which must have ``columns`` columns."""
        rows, got = self._shape(what)
        if got != columns:
            raise ValueError(
                f"{self.path} is malformed: the {what} matrix has {got} columns, expected {columns}"
            )
        last = 4 * rows * got - 1  # a byte that is read: a seek may end beyond a file
        self.file.seek(max(last, 0), os.SEEK_CUR)
        if last > 0 and not self.file.read(1):
            self._cut_off(f"the {what} matrix {(rows, got)}", last + 1, 0)

    def end(self) -> None:
        """Refuse a file that continues."""
        left = 0
        while more := self.file.read(_AT_ONCE):
            left += len(more)
        if left:
            raise ValueError(f"{self.path}: {left} bytes are left after the model")

    def _shape(self, what: str) -> tuple[int, int]:
        rows, columns = self.take("<2q", f"the size of the {what} matrix")
        if min(rows, columns) < 0:
            raise ValueError(f"{self.path} is malformed: the {what} matrix is {(rows, columns)}")
        left = self.size - self.file.tell()
        if 4 * rows * columns > left:
            self._cut_off(f"the {what} matrix {(rows, columns)}", 4 * rows * columns, left)
        return rows, columns

    def _cut_off(self, what: str, expected: int, got: int) -> NoReturn:
        raise ValueError(f"{self.path} is cut off: {expected} bytes expected for {what}, got {got}")
