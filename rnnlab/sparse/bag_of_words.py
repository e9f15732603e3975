"""Bag of words: how often each word (or n-gram) of a vocabulary occurs in each document.

Source: the notes, 1.1 and 1.4. Numbers and options are scikit-learn's CountVectorizer's; words
outside the vocabulary are counted apart instead of being lost.
"""

import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from rnnlab.sparse.analysis import TOKEN_PATTERN, Analysis, Features, merge, select
from rnnlab.text.strings import compute


class Counts(NamedTuple):
    """Documents as counts of features, and what the vocabulary has no column for."""

    matrix: Any  # scipy.sparse.csr_array (N, V), columns in order within a row
    unknown: np.ndarray  # (N,) int64, occurrences of features outside the vocabulary
    lengths: np.ndarray  # (N,) int64, occurrences of any feature


def bag_of_words(documents: Any, vocabulary: Any, analysis: Analysis | None = None) -> Counts:
    r"""x_ij = how often feature j of the vocabulary occurs in document i.

    Args:
        documents: N texts or lists of tokens (:func:`rnnlab.text.strings.as_arrow`).
        vocabulary: V distinct terms, a sequence of str or an Arrow array.
        analysis: what a feature is; None: words of two characters or more, in lower case.
    Raises:
        TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`; a term twice.

    >>> counts = bag_of_words(["猫 喜欢 鱼", "狗 不 喜欢 鱼"], ["猫", "狗", "喜欢", "不", "鱼"],
    ...                       Analysis(token_pattern=r"\w+"))
    >>> counts.matrix.toarray().tolist()
    [[1, 0, 1, 0, 1], [0, 1, 1, 1, 1]]
    """
    terms = _terms(vocabulary)
    return _counts((analysis or Analysis())(documents), terms)


def _terms(vocabulary: Any) -> Any:
    terms = vocabulary
    if not isinstance(terms, pa.Array):
        try:
            terms = pa.array(list(vocabulary), pa.string())
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
            raise TypeError("a vocabulary must hold terms (str)") from None
    if not len(terms):
        raise ValueError("the vocabulary is empty")
    if len(terms.unique()) != len(terms):
        raise ValueError("the terms of a vocabulary must differ from each other")
    return terms


def _counts(features: Features, terms: Any) -> Counts:
    lengths = _row_sums(features.matrix)
    if len(features.terms):
        places = compute("index_in", features.terms, value_set=terms).fill_null(-1).to_numpy()
    else:
        places = np.zeros(0, np.int32)
    matrix = select(features.matrix, places, len(terms))
    return Counts(matrix, lengths - _row_sums(matrix), lengths)


def _row_sums(matrix: Any) -> np.ndarray:
    before = np.concatenate([[0], np.cumsum(matrix.data)])
    return np.diff(before[matrix.indptr]).astype(np.int64)


def document_frequency(matrix: Any) -> np.ndarray:
    """df_j = the number of documents (rows) with feature j: (V,) int64."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)


def as_bcoo(matrix: Any, dtype: Any = np.float32) -> Any:
    """A CSR matrix as a ``jax.experimental.sparse.BCOO``: what jitted functions multiply by.

    >>> as_bcoo(sp.csr_array(np.eye(3))).todense()[1].tolist()
    [0.0, 1.0, 0.0]
    """
    import jax.numpy as jnp
    from jax.experimental.sparse import BCOO

    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    indices = np.stack([rows, matrix.indices.astype(np.int32)], axis=1)
    values = jnp.asarray(matrix.data.astype(dtype))
    return BCOO(
        (values, jnp.asarray(indices)), shape=matrix.shape, indices_sorted=True, unique_indices=True
    )


class BagOfWords(TransformerMixin, BaseEstimator):
    """Counts of the features of a corpus, as scikit-learn's CountVectorizer and with its options.

    Args:
        analyzer, ngram_range, lowercase, strip_accents, stop_words, token_pattern, tokenizer: see
            :class:`rnnlab.sparse.analysis.Analysis`.
        max_df, min_df: how many documents (int), or which share of them (float), a feature is in
            at most and at least.
        max_features: only so many, those that occur most often, equals by their term; None: all.
        vocabulary: features to use, as a sequence in order of their columns or a mapping to
            columns 0 … V−1; None: those of the documents, in order of their bytes.
        binary: 1 for every count.
        dtype: of the matrix.
        workers: threads; None: as many as there are cores.

    Attributes:
        terms_: pa.StringArray (V,), the feature of each column.

    >>> bag = BagOfWords().fit(["the cat sat", "the dog"])
    >>> bag.get_feature_names_out().tolist()
    ['cat', 'dog', 'sat', 'the']
    >>> counts = bag.count(["the bird and the cat"])
    >>> counts.matrix.toarray().tolist(), counts.unknown.tolist(), counts.lengths.tolist()
    ([[1, 0, 0, 2]], [2], [5])
    """

    def __init__(
        self,
        *,
        analyzer: str = "word",
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        strip_accents: str | None = None,
        stop_words: Any = None,
        token_pattern: str = TOKEN_PATTERN,
        tokenizer: Any = None,
        max_df: float = 1.0,
        min_df: float = 1,
        max_features: int | None = None,
        vocabulary: Any = None,
        binary: bool = False,
        dtype: Any = np.int64,
        workers: int | None = None,
    ) -> None:
        self.analyzer = analyzer
        self.ngram_range = ngram_range
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.tokenizer = tokenizer
        self.max_df = max_df
        self.min_df = min_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.binary = binary
        self.dtype = dtype
        self.workers = workers

    # ---- whole corpora

    def fit(self, documents: Any, y: Any = None) -> "BagOfWords":
        """Take the vocabulary of the documents.

        Raises:
            ValueError: no feature is left, or an option is out of its range. TypeError: something
                among the documents is no text.
        """
        self.fit_transform(documents, y)
        return self

    def fit_transform(self, documents: Any, y: Any = None) -> Any:  # type: ignore[override]
        """:meth:`fit` and :meth:`transform` in one reading: csr_array (N, V)."""
        del y
        features = self._analysis()(documents, self.workers)
        if self.vocabulary is not None:
            self.terms_ = _of_vocabulary(self.vocabulary)
            return self._finish(_counts(features, self.terms_).matrix)
        matrix = features.matrix
        keep = self._chosen(
            document_frequency(matrix), _column_sums(matrix), matrix.shape[0], features.terms
        )
        self.terms_ = features.terms.take(pa.array(keep))
        if len(keep) < matrix.shape[1]:
            places = np.full(matrix.shape[1], -1, np.int32)
            places[keep] = np.arange(len(keep))
            matrix = select(matrix, places, len(keep))
        return self._finish(matrix)

    def transform(self, documents: Any) -> Any:
        """The counts of the documents: csr_array (N, V); for what is unknown see :meth:`count`."""
        return self._finish(self.count(documents).matrix)

    def count(self, documents: Any) -> Counts:
        """Counts (never binary), with those of features outside the vocabulary, and lengths."""
        return _counts(self._analysis()(documents, self.workers), self._fitted())

    # ---- corpora larger than memory

    def fit_chunks(self, chunks: Iterable[Any]) -> "BagOfWords":
        """:meth:`fit` of a stream of chunks of documents: the vocabulary is all that is kept.

        Args:
            chunks: as from :func:`rnnlab.text.corpora.documents`.
        """
        self._analysis()
        kept = Features(sp.csr_array((2, 0), dtype=np.int64), pa.array([], pa.string()))
        documents = 0
        for chunk in chunks:
            matrix, terms = self._analysis()(chunk, self.workers)
            documents += matrix.shape[0]
            sums = np.stack([document_frequency(matrix), _column_sums(matrix)])
            # two rows: in how many documents a feature is, and how often it occurs
            both = merge([kept, Features(sp.csr_array(sums), terms)])
            top, bottom = both.matrix[[0, 2]], both.matrix[[1, 3]]
            kept = Features(
                sp.csr_array(np.stack([_column_sums(top), _column_sums(bottom)])), both.terms
            )
        if self.vocabulary is not None:
            self.terms_ = _of_vocabulary(self.vocabulary)
            return self
        frequency, sums = kept.matrix.toarray()
        keep = self._chosen(frequency, sums, documents, kept.terms)
        self.terms_ = kept.terms.take(pa.array(keep))
        return self

    def transform_chunks(self, chunks: Iterable[Any]) -> Iterator[Any]:
        """:meth:`transform` of a stream: a csr_array a chunk (see :mod:`rnnlab.sparse.storage`)."""
        for chunk in chunks:
            yield self.transform(chunk)

    # ---- what scikit-learn asks for

    @property
    def vocabulary_(self) -> dict[str, int]:
        """The column of each feature."""
        return {term: column for column, term in enumerate(self._fitted().to_pylist())}

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The feature of each column: (V,) of str."""
        del input_features
        return np.array(self._fitted().to_pylist(), object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "terms_") or self.vocabulary is not None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = self.vocabulary is None
        return tags

    # ---- inside

    def _analysis(self) -> Analysis:
        for name in ("max_df", "min_df"):
            value = getattr(self, name)
            share = isinstance(value, float) and not isinstance(value, numbers.Integral)
            if not (0 <= value <= 1 if share else value >= 1):
                raise ValueError(
                    f"{name} must be a share 0.0 to 1.0 or a number of documents "
                    f"from 1 on, got {value!r}"
                )
        if self.max_features is not None and self.max_features < 1:
            raise ValueError(f"max_features must be at least 1, got {self.max_features}")
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

    def _fitted(self) -> Any:
        if not hasattr(self, "terms_"):
            if self.vocabulary is None:
                raise NotFittedError("this BagOfWords has no vocabulary yet: call fit first")
            self.terms_ = _of_vocabulary(self.vocabulary)
        return self.terms_

    def _chosen(self, frequency: Any, sums: Any, documents: int, terms: Any) -> np.ndarray:
        """The places of the features to keep, in order."""
        if not len(terms):
            raise ValueError(
                "the vocabulary is empty: the documents are, or they hold stop words only"
            )
        most, least = (
            value if isinstance(value, numbers.Integral) else value * documents
            for value in (self.max_df, self.min_df)
        )
        if most < least:
            raise ValueError(
                f"max_df ({most:g} of {documents} documents) is below min_df ({least:g})"
            )
        keep = np.flatnonzero((frequency <= most) & (frequency >= least))
        if self.max_features is not None:
            keep = np.sort(keep[np.argsort(-sums[keep], kind="stable")[: self.max_features]])
        if not len(keep):
            raise ValueError(
                f"none of {len(terms)} features is left: min_df={self.min_df} or "
                f"max_df={self.max_df} leave out all"
            )
        return keep

    def _finish(self, matrix: Any) -> Any:
        if self.binary:
            matrix.data = np.ones_like(matrix.data)
        return matrix.astype(self.dtype, copy=False)


def _column_sums(matrix: Any) -> np.ndarray:
    """(V,) int64; exact below 2⁵³."""
    sums = np.bincount(matrix.indices, matrix.data, matrix.shape[1])
    return sums.astype(np.int64)


def _of_vocabulary(vocabulary: Any) -> Any:
    if not isinstance(vocabulary, Mapping):
        terms = sorted(vocabulary) if isinstance(vocabulary, set | frozenset) else vocabulary
        return _terms(terms)
    places = sorted(vocabulary.values())
    if places != list(range(len(places))):
        raise ValueError("the columns of a vocabulary must be 0 to V−1, each once")
    return _terms(sorted(vocabulary, key=vocabulary.__getitem__))
