"""N-gram features without a vocabulary: a feature's column is its hash.

Source: Weinberger et al. 2009; MurmurHash3 (Appleby), x86, 32 bits. Columns and signs are those of
scikit-learn's HashingVectorizer.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin

from rnnlab.sparse.analysis import TOKEN_PATTERN, Analysis, stack
from rnnlab.sparse.tfidf import NORMS, normalize
from rnnlab.text.strings import as_arrow, pieces, strings


def murmur3(terms: Any, seed: int = 0) -> np.ndarray:
    """MurmurHash3_x86_32 of the UTF-8 bytes of each string of an Arrow array: (U,) int32.

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


def hashed_columns(terms: Any, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """(|h| mod buckets, the sign of h) of each string's hash h: (U,) int32 each.

    Raises:
        ValueError: buckets outside 1 … 2³¹ − 1.
    """
    if not 1 <= buckets < 2**31:
        raise ValueError(f"buckets must be 1 to 2³¹ − 1, got {buckets}")
    hashes = murmur3(terms).astype(np.int64)
    # scikit-learn takes |−2³¹| to be 2³¹ mod buckets in its own way, which is the same number
    columns = np.abs(hashes) % buckets
    return columns.astype(np.int32), np.where(hashes >= 0, 1, -1).astype(np.int32)


class HashedNgrams(TransformerMixin, BaseEstimator):
    """Features in a fixed number of columns, nothing to fit: scikit-learn's HashingVectorizer.

    Args:
        buckets: columns; two features share one at random.
        signed: a feature counts −1 where its hash says so, so that what shares a column cancels
            on average.
        norm: of rows: "l2", "l1" or None.
        binary: 1 for every count, before the norm.
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
        analyzer: str = "word",
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        strip_accents: str | None = None,
        stop_words: Any = None,
        token_pattern: str = TOKEN_PATTERN,
        tokenizer: Any = None,
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

    def fit(self, documents: Any = None, y: Any = None) -> "HashedNgrams":
        """Check the options; there is nothing to learn.

        Raises:
            ValueError: an option out of its range.
        """
        del documents, y
        self._check()
        return self

    def transform(self, documents: Any) -> Any:
        """The documents' hashed features: csr_array (N, buckets) float64.

        Raises:
            TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`.
        """
        analysis = self._check()
        # some pieces at a time: their features are kept, their terms are not
        parts = [
            self._hashed(analysis(piece, self.workers))
            for piece in pieces(as_arrow(documents), 1 << 24)
        ]
        return stack(parts, self.buckets).astype(np.float64, copy=False)

    def _check(self) -> Analysis:
        if self.norm not in NORMS:
            raise ValueError(f"norm must be None, 'l1' or 'l2', got {self.norm!r}")
        hashed_columns(pa.array([], pa.string()), self.buckets)
        low, high = self.ngram_range
        return Analysis(
            self.analyzer,
            (low, high),
            self.lowercase,
            self.strip_accents,
            self.stop_words,
            self.token_pattern,
            self.tokenizer,
        )

    def _hashed(self, features: Any) -> Any:
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags
