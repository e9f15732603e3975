"""Bag of words: counts of each word (or n-gram) of a vocabulary in each document.

Source: the notes, 1.1 and 1.4. Numbers and options equal scikit-learn's CountVectorizer; words
outside the vocabulary are counted as well, in a number per document.
"""

import itertools
import numbers
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import ArrayLike, DTypeLike
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags

from rnnlab.core.validate import whole
from rnnlab.sparse import saved
from rnnlab.sparse.analysis import (
    TOKEN_PATTERN,
    Analysis,
    Analyzer,
    CsrArray,
    DocumentTransformer,
    Features,
    merge,
    select,
)
from rnnlab.text.strings import Documents, compute
from rnnlab.text.tokenizers import AnyTokenizer

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO


class Counts(NamedTuple):
    """Documents as counts of features, those outside the vocabulary in a number per document."""

    matrix: CsrArray  # (N, V), columns in order within a row
    unknown: np.ndarray  # (N,) int64, occurrences of features outside the vocabulary
    lengths: np.ndarray  # (N,) int64, occurrences of any feature


def bag_of_words(
    documents: Documents, vocabulary: Iterable[str], analysis: Analysis | None = None
) -> Counts:
    r"""Return x_ij, the number of occurrences of feature j of the vocabulary in document i.

    Args:
        documents: N texts or lists of tokens (:func:`rnnlab.text.strings.as_arrow`).
        vocabulary: V distinct terms, a sequence of str or an Arrow array.
        analysis: of documents into features; None: words of two characters or more, in lower case.
    Raises:
        TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`; duplicate terms.

    >>> counts = bag_of_words(["猫 喜欢 鱼", "狗 不 喜欢 鱼"], ["猫", "狗", "喜欢", "不", "鱼"],
    ...                       Analysis(token_pattern=r"\w+"))
    >>> counts.matrix.toarray().tolist()
    [[1, 0, 1, 0, 1], [0, 1, 1, 1, 1]]
    """
    terms = _terms(vocabulary)
    return _counts((analysis or Analysis())(documents), terms)


def _terms(vocabulary: Iterable[str]) -> pa.StringArray:
    try:
        is_arrow = isinstance(vocabulary, pa.Array)
        terms: pa.StringArray = vocabulary if is_arrow else pa.array(list(vocabulary), pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):
        raise TypeError("a vocabulary must hold terms (str)") from None
    if not len(terms):
        raise ValueError("the vocabulary is empty")
    if len(terms.unique()) != len(terms):
        raise ValueError("the terms of a vocabulary must differ from each other")
    return terms


def _counts(features: Features, terms: pa.StringArray) -> Counts:
    lengths = _row_sums(features.matrix)
    if len(features.terms):
        places = compute("index_in", features.terms, value_set=terms).fill_null(-1).to_numpy()
    else:
        places = np.zeros(0, np.int32)
    matrix = select(features.matrix, places, len(terms))
    return Counts(matrix, lengths - _row_sums(matrix), lengths)


def _row_sums(matrix: CsrArray) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1), np.int64)


def terms_of_rows(matrix: ArrayLike | CsrArray, terms: np.ndarray) -> list[np.ndarray]:
    """Return the terms of the columns that are not 0, row by row.

    Args:
        matrix: (N, V), sparse or not. terms: (V,) of str.
    Raises:
        ValueError: another number of columns.

    >>> [row.tolist() for row in terms_of_rows([[0, 2], [1, 1]], np.array(["a", "b"]))]
    [['b'], ['a', 'b']]
    """
    dense = None if sp.issparse(matrix) else np.atleast_2d(np.asarray(matrix))
    rows: CsrArray = sp.csr_array(matrix if dense is None else dense)
    if rows.shape[1] != len(terms):
        raise ValueError(f"expected {len(terms)} columns, one per feature, got {rows.shape[1]}")
    rows = rows.copy()
    rows.eliminate_zeros()
    rows.sort_indices()
    return [terms[rows.indices[i:j]] for i, j in itertools.pairwise(rows.indptr.tolist())]


def document_frequency(matrix: CsrArray) -> np.ndarray:
    """Return df_j, the number of documents (rows) with feature j: (V,) int64."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)


def as_bcoo(matrix: CsrArray, dtype: DTypeLike = np.float32) -> "BCOO":
    """Convert a CSR matrix to a ``jax.experimental.sparse.BCOO``, for jitted products.

    Unlike ``BCOO.from_scipy_sparse``, it marks the indices as sorted and unique.

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


class BagOfWords(DocumentTransformer):
    """Counts of the features of a corpus, with the options of scikit-learn's CountVectorizer.

    Args:
        analyzer, ngram_range, lowercase, strip_accents, stop_words, token_pattern, tokenizer: see
            :class:`rnnlab.sparse.analysis.Analysis`.
        max_df, min_df: largest and smallest number (int) or share (float) of documents that have a
            feature.
        max_features: number of features to keep, the most frequent, equal ones by their term;
            None: all.
        vocabulary: the features, as a sequence in order of their columns or a mapping to columns
            0 … V−1; None: those of the documents, in order of their bytes.
        binary: replace every count by 1.
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
        analyzer: Analyzer = "word",
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        strip_accents: str | None = None,
        stop_words: str | Iterable[str] | None = None,
        token_pattern: str = TOKEN_PATTERN,
        tokenizer: AnyTokenizer | None = None,
        max_df: float = 1.0,
        min_df: float = 1,
        max_features: int | None = None,
        vocabulary: Iterable[str] | None = None,
        binary: bool = False,
        dtype: DTypeLike = np.int64,
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

    def fit(self, documents: Documents, y: object = None) -> "BagOfWords":
        """Learn the vocabulary of the documents.

        Raises:
            ValueError: no feature is left, or an option is out of its range.
            TypeError: a document that is not text.
        """
        self.fit_transform(documents, y)
        return self

    def fit_transform(  # type: ignore[override]
        self, documents: Documents, y: object = None
    ) -> CsrArray:
        """Learn the vocabulary and return the counts (N, V), reading the documents once."""
        del y
        features = self.make_analysis()(documents, self.workers)
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

    def transform(self, documents: Documents) -> CsrArray:
        """Return the counts (N, V) of the documents; :meth:`count` has those of unknown words."""
        return self._finish(self.count(documents).matrix)

    def count(self, documents: Documents) -> Counts:
        """Count features (never binary), those outside the vocabulary, and lengths."""
        return _counts(self.make_analysis()(documents, self.workers), self._fitted())

    # ---- corpora larger than memory

    def fit_chunks(self, chunks: Iterable[Documents]) -> "BagOfWords":
        """Learn the vocabulary of a stream of chunks; only the vocabulary is held in memory.

        Args:
            chunks: of documents, as from :func:`rnnlab.text.corpora.documents`.
        Raises:
            ValueError, TypeError: as :meth:`fit`.
        """
        self.make_analysis()
        # two rows: in how many documents each feature is, and how often it occurs
        so_far = Features(sp.csr_array((2, 0), dtype=np.int64), pa.array([], pa.string()))
        documents = 0
        for chunk in chunks:
            matrix, terms = self.make_analysis()(chunk, self.workers)
            documents += matrix.shape[0]
            sums = np.stack([document_frequency(matrix), _column_sums(matrix)])
            both = merge([so_far, Features(sp.csr_array(sums), terms)])
            frequencies, occurrences = both.matrix[[0, 2]], both.matrix[[1, 3]]
            so_far = Features(
                sp.csr_array(np.stack([_column_sums(frequencies), _column_sums(occurrences)])),
                both.terms,
            )
        if self.vocabulary is not None:
            self.terms_ = _of_vocabulary(self.vocabulary)
            return self
        frequency, sums = so_far.matrix.toarray()
        keep = self._chosen(frequency, sums, documents, so_far.terms)
        self.terms_ = so_far.terms.take(pa.array(keep))
        return self

    def transform_chunks(self, chunks: Iterable[Documents]) -> Iterator[CsrArray]:
        """Yield the counts of each chunk of a stream (see :mod:`rnnlab.sparse.storage`)."""
        for chunk in chunks:
            yield self.transform(chunk)

    # ---- scikit-learn's interface

    @property
    def vocabulary_(self) -> dict[str, int]:
        """Column of each feature."""
        return {term: column for column, term in enumerate(self._fitted().to_pylist())}

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the feature of each column: (V,) of str."""
        del input_features
        return np.array(self._fitted().to_pylist(), object)

    def inverse_transform(self, matrix: ArrayLike | CsrArray) -> list[np.ndarray]:
        """Return the features that each document has, in order of columns: N arrays of str.

        Args:
            matrix: (N, V), sparse or not; numbers other than 0 count.
        Raises:
            ValueError: another number of columns.
        """
        return terms_of_rows(matrix, self.get_feature_names_out())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "terms_") or self.vocabulary is not None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.vocabulary is None
        return tags

    def make_analysis(self) -> Analysis:
        """Return the analysis of the options, all of which are checked.

        Raises:
            ValueError: an option out of its range.
        """
        for name, value in (("max_df", self.max_df), ("min_df", self.min_df)):
            share = isinstance(value, float) and not isinstance(value, numbers.Integral)
            if not (0 <= value <= 1 if share else value >= 1):
                raise ValueError(
                    f"{name} must be a share 0.0 to 1.0 or a number of documents "
                    f"from 1 on, got {value!r}"
                )
        if self.max_features is not None:
            whole("max_features", self.max_features)
        return super().make_analysis()

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the options and the vocabulary as a JSON file; see :meth:`load`.

        Raises:
            NotFittedError: no vocabulary yet. UserError: the file's folder is not there.
        """
        saved.write(path, "BagOfWords", self.get_params(), {"terms": self._fitted().to_pylist()})

    @classmethod
    def load(cls, path: str | os.PathLike[str], **functions: Any) -> "BagOfWords":
        """Read what :meth:`save` wrote.

        Args:
            functions: ``analyzer`` and ``tokenizer`` that are functions of yours.
        Raises:
            FileNotFoundError: no such file. ValueError: another kind of file, or a function that is
                missing, by name.
        """
        options, learned = saved.read(path, "BagOfWords", functions)
        bag = cls(**options)
        bag.terms_ = _terms(learned["terms"])
        return bag

    # ---- parts

    def _fitted(self) -> pa.StringArray:
        if not hasattr(self, "terms_"):
            if self.vocabulary is None:
                raise NotFittedError("this BagOfWords has no vocabulary yet: call fit first")
            self.terms_ = _of_vocabulary(self.vocabulary)
        return self.terms_

    def _chosen(
        self, frequency: np.ndarray, sums: np.ndarray, documents: int, terms: pa.StringArray
    ) -> np.ndarray:
        """Return the places of the features to keep, in order."""
        if not len(terms):
            raise ValueError(
                "the vocabulary is empty: the documents are empty or hold stop words only"
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
                f"max_df={self.max_df} excludes all"
            )
        return keep

    def _finish(self, matrix: CsrArray) -> CsrArray:
        if self.binary:
            matrix.data = np.ones_like(matrix.data)
        return matrix.astype(self.dtype, copy=False)


def _column_sums(matrix: CsrArray) -> np.ndarray:
    return np.asarray(matrix.sum(axis=0), np.int64)


def _of_vocabulary(vocabulary: Iterable[str]) -> pa.StringArray:
    if not isinstance(vocabulary, Mapping):
        terms = sorted(vocabulary) if isinstance(vocabulary, set | frozenset) else vocabulary
        return _terms(terms)
    places = sorted(vocabulary.values())
    if places != list(range(len(places))):
        raise ValueError("the columns of a vocabulary must be 0 to V−1, each once")
    return _terms(sorted(vocabulary, key=vocabulary.__getitem__))
