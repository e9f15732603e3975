"""N-gram features without a vocabulary: the column of a feature is its hash.

Source: Weinberger et al. 2009; MurmurHash3 (Appleby), x86, 32 bits. Columns and signs are those of
scikit-learn's HashingVectorizer.
"""

import os
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.utils import Tags

from rnnlab.core.errors import UserError
from rnnlab.core.validate import whole
from rnnlab.sparse import saved
from rnnlab.sparse.analysis import (
    TOKEN_PATTERN,
    Analysis,
    Analyzer,
    CsrArray,
    DocumentTransformer,
    Features,
    stack,
)
from rnnlab.sparse.tfidf import check_norm, normalize
from rnnlab.text.strings import Documents, as_arrow, pieces, strings
from rnnlab.text.tokenizers import AnyTokenizer

_NAMELESS = (
    "HashedNgrams keeps no words: a column is a hash that many of them share; BagOfWords has "
    "get_feature_names_out and inverse_transform"
)


def murmur3(terms: pa.Array, seed: int = 0) -> np.ndarray:
    """Return MurmurHash3_x86_32 of the UTF-8 bytes of each string of an Arrow array: (U,) int32.

    >>> murmur3(pa.array(["", "hello", "hello, world"])).tolist()
    [0, 613153351, 345750399]
    """
    data, offsets = strings(terms)
    data = np.concatenate([data, np.zeros(4, np.uint8)]).astype(np.uint32)
    starts, lengths = offsets[:-1], np.diff(offsets)
    state = np.full(len(starts), seed, np.uint32)
    blocks = lengths // 4
    active = np.arange(len(starts))
    for k in range(int(blocks.max(initial=0))):
        active = active[blocks[active] > k]
        at = starts[active] + 4 * k
        word = data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24
        mixed = _rotate(state[active] ^ _scramble(word), 13)
        state[active] = mixed * np.uint32(5) + np.uint32(0xE6546B64)
    tail, at = lengths % 4, starts + 4 * blocks
    word = np.zeros(len(starts), np.uint32)
    for place in range(3):
        more = tail > place
        word[more] |= data[at[more] + place] << np.uint32(8 * place)
    state ^= np.where(tail > 0, _scramble(word), np.uint32(0))
    state ^= lengths.astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state ^= state >> np.uint32(shift)
        state *= np.uint32(factor)
    return state.view(np.int32)


def _scramble(word: np.ndarray) -> np.ndarray:
    return _rotate(word * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _rotate(word: np.ndarray, bits: int) -> np.ndarray:
    return word << np.uint32(bits) | word >> np.uint32(32 - bits)


def hashed_columns(terms: pa.Array, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (|h| mod buckets, the sign of h) of each string's hash h: (U,) int32 each.

    Raises:
        ValueError: buckets outside 1 … 2³¹ − 1.
    """
    buckets = whole("buckets", buckets, 1, 2**31 - 1)
    hashes = murmur3(terms).astype(np.int64)
    # |−2³¹| is 2³¹ in int64; scikit-learn computes the same column in int32
    columns = np.abs(hashes) % buckets
    return columns.astype(np.int32), np.where(hashes >= 0, 1, -1).astype(np.int32)


class HashedNgrams(DocumentTransformer):
    """Features in a fixed number of columns, without fitting: scikit-learn's HashingVectorizer.

    Args:
        buckets: number of columns; features share them at random.
        signed: count a feature as −1 where its hash is negative, so that features that share a
            column cancel on average.
        norm: of rows: "l2", "l1" or None.
        binary: replace every count by 1, before the norm.
        workers: threads; None: as many as there are cores.
        analyzer, ngram_range, lowercase, strip_accents, stop_words, token_pattern, tokenizer: see
            :class:`rnnlab.sparse.analysis.Analysis`.

    >>> HashedNgrams(buckets=8, norm=None, signed=False).transform(["to be or not to be"]).sum()
    np.float64(6.0)
    """

    def __init__(
        self,
        *,
        buckets: int = 2**20,
        signed: bool = True,
        norm: str | None = "l2",
        binary: bool = False,
        analyzer: Analyzer = "word",
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        strip_accents: str | None = None,
        stop_words: str | Iterable[str] | None = None,
        token_pattern: str = TOKEN_PATTERN,
        tokenizer: AnyTokenizer | None = None,
        workers: int | None = None,
    ) -> None:
        self.buckets = buckets
        self.signed = signed
        self.norm = norm
        self.binary = binary
        self.analyzer = analyzer
        self.ngram_range = ngram_range
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.tokenizer = tokenizer
        self.workers = workers

    def fit(self, documents: object = None, y: object = None) -> "HashedNgrams":
        """Check the options; there is nothing to learn.

        Raises:
            ValueError: an option out of its range.
        """
        del documents, y
        self.make_analysis()
        return self

    def transform(self, documents: Documents) -> CsrArray:
        """Return the documents' hashed features (N, buckets) float64.

        Raises:
            TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`.
        """
        analysis = self.make_analysis()
        if callable(self.analyzer):  # of documents of any kind
            hashed = self._hashed(analysis(documents))
            return hashed.astype(np.float64, copy=False)
        # 16 MiB at a time, so that terms are dropped as soon as they are hashed
        parts = [
            self._hashed(analysis(piece, self.workers))
            for piece in pieces(as_arrow(documents), 1 << 24)
        ]
        return stack(parts, self.buckets).astype(np.float64, copy=False)

    def get_feature_names_out(self, input_features: object = None) -> NoReturn:
        """Refuse: a column has no name.

        Raises:
            UserError: always; the message names the transformer that keeps the names.
        """
        del input_features
        raise UserError(_NAMELESS)

    def inverse_transform(self, matrix: object) -> NoReturn:
        """Refuse: a column does not say which features it counts.

        Raises:
            UserError: always, as :meth:`get_feature_names_out`.
        """
        del matrix
        raise UserError(_NAMELESS)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the options as a JSON file; there is nothing else to keep.

        Raises:
            UserError: the file's folder is not there.
        """
        saved.write(path, "HashedNgrams", self.get_params(), {})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **functions: Any) -> "HashedNgrams":
        """Read what :meth:`save` wrote; as :meth:`rnnlab.sparse.bag_of_words.BagOfWords.load`."""
        return cls(**saved.read(path, "HashedNgrams", functions)[0])

    def make_analysis(self) -> Analysis:
        """Return the analysis of the options, all of which are checked.

        Raises:
            ValueError: an option out of its range.
        """
        check_norm(self.norm)
        hashed_columns(pa.array([], pa.string()), self.buckets)
        return super().make_analysis()

    def _hashed(self, features: Features) -> CsrArray:
        matrix, terms = features
        columns, signs = hashed_columns(terms, self.buckets)
        data = matrix.data.astype(np.float64)
        if self.signed:
            data *= signs[matrix.indices]
        hashed = sp.csr_array(
            (data, columns[matrix.indices], matrix.indptr), shape=(matrix.shape[0], self.buckets)
        )
        hashed.sum_duplicates()
        if self.binary:
            hashed.data[:] = 1
        return normalize(hashed, self.norm)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
