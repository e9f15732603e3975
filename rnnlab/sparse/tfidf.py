"""TF-IDF: counts in which a word weighs less the more documents it is in.

The notes, 1.2: tf(t, d) = count(t, d) / |d|, idf(t) = log(N / (1 + df(t))), tf·idf; and the
variants of scikit-learn by keyword.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from rnnlab.core.errors import unknown
from rnnlab.sparse.bag_of_words import document_frequency

TFS = ("share", "count", "log")
IDFS = ("notes", "smooth", "plain", "none")
NORMS = (None, "l1", "l2")


def inverse_document_frequency(df: Any, documents: int, kind: str = "notes") -> np.ndarray:
    """How much a word says that is in df of N documents.

    "notes":  log(N / (1 + df)), below 0 for a word that is in all
    "smooth": log((1 + N) / (1 + df)) + 1, scikit-learn's default
    "plain":  log(N / df) + 1, scikit-learn's ``smooth_idf=False``; a word that is in none counts
              as if it were in one (there it is infinite)
    "none":   1

    Args:
        df: (V,), from 0 to N. documents: N.
    Returns:
        (V,) float64, always finite.
    Raises:
        ValueError: no documents, df outside 0 … N, an unknown kind.
    Source: the notes, 1.2; scikit-learn's TfidfTransformer.

    >>> inverse_document_frequency([0, 1, 2], 2).round(4).tolist()
    [0.6931, 0.0, -0.4055]
    """
    df = np.asarray(df, np.float64)
    if kind not in IDFS:
        raise ValueError(unknown("idf", kind, IDFS))
    if documents < 1:
        raise ValueError(f"at least 1 document expected, got {documents}")
    if df.size and not (df.min() >= 0 and df.max() <= documents):
        raise ValueError(
            f"df must be 0 to {documents}, the documents, got {df.min()} to {df.max()}"
        )
    if kind == "notes":
        return np.log(documents / (1 + df))
    if kind == "smooth":
        return np.log((1 + documents) / (1 + df)) + 1
    if kind == "plain":
        return np.log(documents / np.maximum(df, 1)) + 1
    return np.ones(df.shape)


def term_frequency(matrix: Any, kind: str = "share", lengths: Any = None) -> Any:
    """How much a word occurs in a document, from its count c in one of length |d|.

    "share": c / |d|, the notes'. "count": c. "log": 1 + log c (scikit-learn's ``sublinear_tf``).

    Args:
        matrix: counts (N, V), sparse.
        lengths: (N,), |d|; None: the sums of the rows, which leave out words that have no column.
    Returns:
        csr_array (N, V) float64.
    Raises:
        ValueError: an unknown kind, counts below 0, lengths that are not N or below the counts.
    """
    if kind not in TFS:
        raise ValueError(unknown("tf", kind, TFS))
    counts: Any = sp.csr_array(matrix)
    data = counts.data.astype(np.float64)
    if data.size and not data.min() >= 0:
        raise ValueError(f"counts must be at least 0, got {data.min()}")
    if kind == "log":
        positive = data > 0
        data[positive] = 1 + np.log(data[positive])
    elif kind == "share":
        rows = _rows(counts)
        sums = np.bincount(rows, data, counts.shape[0])
        lengths = sums if lengths is None else np.asarray(lengths, np.float64)
        if lengths.shape != sums.shape or not (lengths >= sums).all():
            raise ValueError(
                f"lengths must be {len(sums)} numbers, none below its document's counts"
            )
        data /= np.where(lengths > 0, lengths, 1)[rows]
    return _with_data(counts, data)


def _rows(matrix: Any) -> np.ndarray:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))


def _with_data(matrix: Any, data: np.ndarray) -> Any:
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def normalize(matrix: Any, norm: str | None) -> Any:
    """Each row divided by its length: "l2" √Σx², "l1" Σ|x|; None: as it is. Empty rows stay."""
    if norm not in NORMS:
        raise ValueError(f"norm must be None, 'l1' or 'l2', got {norm!r}")
    if norm is None:
        return matrix
    rows = _rows(matrix)
    data = matrix.data
    sums = np.bincount(rows, data * data if norm == "l2" else np.abs(data), matrix.shape[0])
    scale = np.sqrt(sums) if norm == "l2" else sums
    return _with_data(matrix, data / np.where(scale > 0, scale, 1)[rows])


def tf_idf(
    matrix: Any, idf: Any, tf: str = "share", norm: str | None = None, lengths: Any = None
) -> Any:
    """x_ij = tf(j, i)·idf(j), the rows normalized.

    Args:
        matrix: counts (N, V), sparse. idf: (V,), of :func:`inverse_document_frequency`.
        tf, lengths: see :func:`term_frequency`. norm: see :func:`normalize`.
    Returns:
        csr_array (N, V) float64.
    Raises:
        ValueError: another number of columns than idf has; the others' errors.

    >>> counts = sp.csr_array([[1, 0, 1, 0, 1], [0, 1, 1, 1, 1]])  # 猫 狗 喜欢 不 鱼
    >>> tf_idf(counts, inverse_document_frequency([1, 1, 2, 1, 2], 2)).toarray().round(3).tolist()
    [[0.0, 0.0, -0.135, 0.0, -0.135], [0.0, 0.0, -0.101, 0.0, -0.101]]
    """
    weighted = term_frequency(matrix, tf, lengths)
    idf = np.asarray(idf, np.float64)
    if idf.shape != (weighted.shape[1],):
        raise ValueError(f"idf must be {weighted.shape[1]} numbers, one a column, got {idf.shape}")
    return normalize(_with_data(weighted, weighted.data * idf[weighted.indices]), norm)


class TfIdf(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """TF-IDF of count matrices, to follow :class:`rnnlab.sparse.bag_of_words.BagOfWords`.

    The defaults are the notes' formula; scikit-learn's TfidfTransformer is
    ``TfIdf(tf="count", idf="smooth", norm="l2")``, its ``sublinear_tf`` ``tf="log"``, its
    ``smooth_idf=False`` ``idf="plain"``, its ``use_idf=False`` ``idf="none"``.

    Args:
        tf: see :func:`term_frequency`. idf: see :func:`inverse_document_frequency`.
        norm: see :func:`normalize`.

    Attributes:
        idf_: (V,) float64. df_: (V,) int64, documents with each feature.

    >>> from sklearn.pipeline import make_pipeline
    >>> from rnnlab.sparse.bag_of_words import BagOfWords
    >>> pipeline = make_pipeline(BagOfWords(), TfIdf(tf="count", idf="smooth", norm="l2"))
    >>> pipeline.fit_transform(["the cat", "the dog"]).toarray().round(4).tolist()
    [[0.8148, 0.0, 0.5797], [0.0, 0.8148, 0.5797]]
    """

    def __init__(self, tf: str = "share", idf: str = "notes", norm: str | None = None) -> None:
        self.tf = tf
        self.idf = idf
        self.norm = norm

    def fit(self, matrix: Any, y: Any = None) -> "TfIdf":
        """Count in how many documents each feature is.

        Args:
            matrix: counts (N, V), sparse.
        Raises:
            ValueError: an unknown variant, or no documents.
        """
        del y
        self._check()
        counts: Any = sp.csr_array(matrix)
        self.df_ = document_frequency(counts)
        self.idf_ = inverse_document_frequency(self.df_, counts.shape[0], self.idf)
        self.n_features_in_ = counts.shape[1]
        return self

    def transform(self, matrix: Any, lengths: Any = None) -> Any:
        """The counts weighted: csr_array (N, V) float64.

        Args:
            lengths: (N,), of the documents with all their words (``BagOfWords.count`` has them).
        """
        if not hasattr(self, "idf_"):
            raise NotFittedError("this TfIdf has no document frequencies yet: call fit first")
        self._check()
        return tf_idf(matrix, self.idf_, self.tf, self.norm, lengths)

    def _check(self) -> None:
        for name, value, known in (("tf", self.tf, TFS), ("idf", self.idf, IDFS)):
            if value not in known:
                raise ValueError(unknown(name, value, known))
        if self.norm not in NORMS:
            raise ValueError(f"norm must be None, 'l1' or 'l2', got {self.norm!r}")
