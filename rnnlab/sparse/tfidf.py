"""TF-IDF: counts weighted down by the number of documents that have the word.

The notes, 1.2: tf(t, d) = count(t, d) / |d|, idf(t) = log(N / (1 + df(t))), tf·idf; and the
variants of scikit-learn by keyword.
"""

import os

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import normalize as normalize_rows
from sklearn.utils.validation import check_is_fitted

from rnnlab.core.validate import choice, whole
from rnnlab.sparse import saved
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import document_frequency

TFS = ("share", "count", "log")
IDFS = ("notes", "smooth", "plain", "none")
NORMS = (None, "l1", "l2")
_UNFITTED = "this TfIdf has no document frequencies yet: call fit first"


def inverse_document_frequency(df: ArrayLike, documents: int, kind: str = "notes") -> np.ndarray:
    """Return the weight of words that occur in df of N documents.

    "notes":  log(N / (1 + df)), below 0 for a word of all documents
    "smooth": log((1 + N) / (1 + df)) + 1, scikit-learn's default
    "plain":  log(N / df) + 1, scikit-learn's ``smooth_idf=False``; df = 0 counts as 1
              (there it is infinite)
    "none":   1

    Args:
        df: (V,), from 0 to N.
        documents: N.
        kind: one of the above.
    Returns:
        (V,) float64, always finite.
    Raises:
        ValueError: no documents, df outside 0 … N, an unknown kind.
    Source: the notes, 1.2; scikit-learn's TfidfTransformer.

    >>> inverse_document_frequency([0, 1, 2], 2).round(4).tolist()
    [0.6931, 0.0, -0.4055]
    """
    df = np.asarray(df, np.float64)
    choice("idf", kind, IDFS)
    documents = whole("documents", documents)
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


def term_frequency(
    matrix: CsrArray,
    kind: str = "share",
    lengths: ArrayLike | None = None,
) -> CsrArray:
    """Return the term frequency of counts c in documents of length |d|.

    "share": c / |d|, the notes'. "count": c. "log": 1 + log c (scikit-learn's ``sublinear_tf``).

    Args:
        matrix: counts (N, V), sparse.
        kind: one of the above.
        lengths: (N,), |d|; None: the sums of the rows, which miss words without a column.
    Returns:
        csr_array (N, V) float64.
    Raises:
        ValueError: an unknown kind, counts below 0, lengths that are not N or below the counts.
    """
    choice("tf", kind, TFS)
    counts: CsrArray = sp.csr_array(matrix)
    data = counts.data.astype(np.float64)
    if data.size and not (data.min() >= 0 and data.max() < np.inf):  # refuses NaN as well
        raise ValueError(f"counts must be at least 0 and finite, got {data.min()} to {data.max()}")
    if kind == "log":
        positive = data > 0
        data[positive] = 1 + np.log(data[positive])
    elif kind == "share":
        rows = np.repeat(np.arange(counts.shape[0], dtype=np.int32), np.diff(counts.indptr))
        sums = np.bincount(rows, data, counts.shape[0])
        lengths = sums if lengths is None else np.asarray(lengths, np.float64)
        within = lengths.shape == sums.shape and (lengths >= sums) & (lengths < np.inf)
        if not np.all(within):
            raise ValueError(
                f"lengths must be {len(sums)} numbers, finite and none below its document's counts"
            )
        data /= np.where(lengths > 0, lengths, 1)[rows]
    return _with_data(counts, data)


def _with_data(matrix: CsrArray, data: np.ndarray) -> CsrArray:
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def check_norm(norm: str | None) -> None:
    """Refuse an unknown norm.

    Raises:
        ValueError: neither None nor one of "l1", "l2".
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be None, 'l1' or 'l2', got {norm!r}")


def normalize(matrix: CsrArray, norm: str | None) -> CsrArray:
    """Divide each row by its norm, "l2" √Σx² or "l1" Σ|x|; None: leave it. Empty rows stay."""
    check_norm(norm)
    if norm is None or not matrix.nnz:  # scikit-learn refuses a matrix without rows or columns
        return matrix
    normalized: CsrArray = normalize_rows(matrix, norm)
    return normalized


def tf_idf(
    matrix: CsrArray,
    idf: ArrayLike,
    tf: str = "share",
    norm: str | None = None,
    lengths: ArrayLike | None = None,
) -> CsrArray:
    """Return x_ij = tf(j, i)·idf(j), the rows normalized.

    Args:
        matrix: counts (N, V), sparse.
        idf: (V,), of :func:`inverse_document_frequency`.
        tf, lengths: see :func:`term_frequency`.
        norm: see :func:`normalize`.
    Returns:
        csr_array (N, V) float64.
    Raises:
        ValueError: another number of columns than idf has; errors of the functions named above.

    >>> counts = sp.csr_array([[1, 0, 1, 0, 1], [0, 1, 1, 1, 1]])  # 猫 狗 喜欢 不 鱼
    >>> tf_idf(counts, inverse_document_frequency([1, 1, 2, 1, 2], 2)).toarray().round(3).tolist()
    [[0.0, 0.0, -0.135, 0.0, -0.135], [0.0, 0.0, -0.101, 0.0, -0.101]]
    """
    weighted = term_frequency(matrix, tf, lengths)
    idf = np.asarray(idf, np.float64)
    if idf.shape != (weighted.shape[1],):
        raise ValueError(
            f"idf must be {weighted.shape[1]} numbers, one per column, got shape {idf.shape}"
        )
    return normalize(_with_data(weighted, weighted.data * idf[weighted.indices]), norm)


class TfIdf(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """TF-IDF of count matrices, a step after :class:`rnnlab.sparse.bag_of_words.BagOfWords`.

    The defaults are the notes' formula; scikit-learn's TfidfTransformer is
    ``TfIdf(tf="count", idf="smooth", norm="l2")``, its ``sublinear_tf`` ``tf="log"``, its
    ``smooth_idf=False`` ``idf="plain"``, its ``use_idf=False`` ``idf="none"``.

    Args:
        tf: see :func:`term_frequency`.
        idf: see :func:`inverse_document_frequency`.
        norm: see :func:`normalize`.

    Attributes:
        idf_: (V,) float64.
        df_: (V,) int64, number of documents with each feature.

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

    def fit(self, matrix: CsrArray, y: object = None) -> "TfIdf":
        """Count the documents that have each feature.

        Args:
            matrix: counts (N, V), sparse.
        Raises:
            ValueError: an unknown variant, or no documents.
        """
        del y
        self._check()
        counts: CsrArray = sp.csr_array(matrix)
        self.df_ = document_frequency(counts)
        self.idf_ = inverse_document_frequency(self.df_, counts.shape[0], self.idf)
        self.n_features_in_ = counts.shape[1]
        return self

    def transform(
        self,
        matrix: CsrArray,
        lengths: ArrayLike | None = None,
    ) -> CsrArray:
        """Return the weighted counts (N, V) float64.

        Args:
            matrix: counts (N, V), sparse.
            lengths: (N,), tokens of each document, unknown ones included (see
                ``BagOfWords.count``).
        """
        check_is_fitted(self, "idf_", msg=_UNFITTED)
        self._check()
        return tf_idf(matrix, self.idf_, self.tf, self.norm, lengths)

    def inverse_transform(self, matrix: CsrArray) -> CsrArray:
        """Return x_ij / idf(j), the term frequencies, (N, V) float64.

        With it, a pipeline's ``inverse_transform`` lists the words of each document. With a norm,
        a row is a multiple of its term frequencies.

        Args:
            matrix: (N, V), sparse.
        Raises:
            ValueError: another number of columns, or a weight in a column whose idf is 0, where the
                term frequency is lost ("notes" gives 0 to a word of all documents but one).
        """
        check_is_fitted(self, "idf_", msg=_UNFITTED)
        weights: CsrArray = sp.csr_array(matrix)
        if weights.shape[1] != len(self.idf_):
            raise ValueError(f"expected {len(self.idf_)} columns, got {weights.shape[1]}")
        idf = self.idf_[weights.indices]
        if not idf.all():
            raise ValueError(
                f"column {weights.indices[idf == 0][0]} has idf 0: its term frequencies are lost; "
                "fit with idf='smooth' to invert the weights"
            )
        return _with_data(weights, weights.data / idf)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the options and the document frequencies as a JSON file; see :meth:`load`.

        Raises:
            NotFittedError: nothing is learned yet. UserError: the file's folder is not there.
        """
        check_is_fitted(self, "idf_", msg=_UNFITTED)
        saved.write(path, "TfIdf", self.get_params(), {"idf": self.idf_, "df": self.df_})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TfIdf":
        """Read what :meth:`save` wrote; the weights are bit-identical.

        Raises:
            FileNotFoundError: no such file. ValueError: another kind of file.
        """
        options, learned = saved.read(path, "TfIdf", {})
        tfidf = cls(**options)
        tfidf.idf_ = np.array(learned["idf"], np.float64)
        tfidf.df_ = np.array(learned["df"], np.int64)
        tfidf.n_features_in_ = len(tfidf.idf_)
        return tfidf

    def _check(self) -> None:
        choice("tf", self.tf, TFS)
        choice("idf", self.idf, IDFS)
        check_norm(self.norm)
