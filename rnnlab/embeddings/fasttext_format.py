"""The files of the C++ fastText: .vec (text) and .bin (models, with their sub-words).

A .bin file is a magic number, a version, 13 arguments, the dictionary, the input matrix (a row a
word, then a row a bucket of n-grams) and the output matrix; all little-endian. Quantized models
(.ftz) hold codes instead of rows, and are refused.
"""

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rnnlab.embeddings import subwords as sub
from rnnlab.embeddings import word2vec_format
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.vectors import Vectors

MAGIC, VERSIONS = 793712314, (11, 12)
# int32 each; then t, a float64
ARGUMENTS: tuple[str, ...] = (
    *("dim", "ws", "epoch", "minCount", "neg", "wordNgrams"),
    *("loss", "model", "bucket", "minn", "maxn", "lrUpdateRate"),
)
_SUPERVISED = 3  # of "model"
_WORD = 0  # the type of an entry; 1: a label


def read_vec(
    path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
) -> Vectors:
    """Vectors of a .vec file: word2vec's text format, without sub-words.

    Args:
        limit, errors: as in :func:`rnnlab.embeddings.word2vec_format.read_text`.
    Raises:
        FileNotFoundError, ValueError: as there.
    """
    return word2vec_format.read_text(path, limit=limit, errors=errors)


def read_bin(path: str | os.PathLike[str], *, errors: str = "strict") -> Vectors:
    """Words, counts, sub-words and vectors of a .bin model, unsupervised or supervised.

    A word's vector is the mean of its own row and its n-grams' rows, an unseen word's that of
    its n-grams' rows: those of ``fasttext.load_model(path).get_word_vector(word)``.

    Args:
        errors: what to do with words that are not UTF-8, as for ``bytes.decode``;
            "surrogateescape" keeps their bytes, and so their n-grams.
    Raises:
        FileNotFoundError: no such file. ValueError: it is no fastText model, quantized, pruned,
            cut off or longer than it says; a word that is not UTF-8.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    with open(path, "rb") as file:
        reader = _Reader(file, path)
        arguments = _arguments(reader)
        words, counts = _dictionary(reader)
        if reader.take("?", "whether it is quantized")[0]:
            raise ValueError(
                f"{path} is a quantized model: it holds codes instead of rows; "
                "the .bin file it was made from can be read"
            )
        K, D = arguments["bucket"], arguments["dim"]
        rows = reader.matrix("input", (len(words) + K, D))
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
    return Vectors(decoded, matrix, counts, subwords if subwords.maxn else None)


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
        arguments["maxn"] = 0  # as the C++ tool: such models had no n-grams of characters
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
    """A file read from its start; what is missing is named."""

    def __init__(self, file: BinaryIO, path: object):
        self.file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size

    def take(self, form: str, what: str) -> tuple[Any, ...]:
        data = self.file.read(struct.calcsize(form))
        if len(data) < struct.calcsize(form):
            self._cut_off(what, struct.calcsize(form), len(data))
        return struct.unpack(form, data)

    def text(self, what: str) -> bytes:
        """Bytes up to a zero."""
        parts = bytearray()
        while (byte := self.file.read(1)) != b"\0":
            if not byte:
                self._cut_off(what, len(parts) + 1, len(parts))
            parts += byte
        return bytes(parts)

    def matrix(self, what: str, shape: tuple[int, int]) -> np.ndarray:
        """(rows, D) float32; its size in the file must be the one expected."""
        got = self._shape(what)
        if got != shape:
            raise ValueError(
                f"{self.path} is malformed: the {what} matrix is {got}, expected {shape}"
            )
        values = np.fromfile(self.file, "<f4", got[0] * got[1])
        return values.astype(np.float32, copy=False).reshape(got)

    def skip_matrix(self, what: str, columns: int) -> None:
        rows, got = self._shape(what)
        if got != columns:
            raise ValueError(
                f"{self.path} is malformed: the {what} matrix has {got} columns, expected {columns}"
            )
        self.file.seek(4 * rows * got, os.SEEK_CUR)

    def end(self) -> None:
        if self.file.tell() != self.size:
            raise ValueError(
                f"{self.path}: {self.size - self.file.tell()} bytes are left after the model"
            )

    def _shape(self, what: str) -> tuple[int, int]:
        rows, columns = self.take("<2q", f"the size of the {what} matrix")
        if min(rows, columns) < 0:
            raise ValueError(f"{self.path} is malformed: the {what} matrix is {(rows, columns)}")
        left = self.size - self.file.tell()
        if 4 * rows * columns > left:
            self._cut_off(f"the {what} matrix {(rows, columns)}", 4 * rows * columns, left)
        return rows, columns

    def _cut_off(self, what: str, expected: int, got: int) -> None:
        raise ValueError(f"{self.path} is cut off: {expected} bytes expected for {what}, got {got}")
