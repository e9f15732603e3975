"""BM25: the relevance of a document to a query, from counts of words.

score(q, d) = Σ_{t∈q} IDF(t) · f(TF(t, d), |d|). A word that occurs twice in the query counts twice
(as in bm25s, rank_bm25 and Lucene; Robertson et al. 1994 saturate it by k3, which makes no
difference for queries of a few words).

Sources: the notes, 1.3; Robertson et al. 1994; Kamphuis et al. 2020 (the variants side by side);
Lv & Zhai 2011 (BM25+, BM25L).

The default is Lucene's: the notes' idf ("robertson") is negative for a word that more than half of
the documents have, so that a document without the word ranks above one with it.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from rnnlab.core.validate import choice, number, share, whole
from rnnlab.sparse import saved, top_k
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import terms_of_rows
from rnnlab.sparse.inverted_index import InvertedIndex, postings
from rnnlab.sparse.postings import Postings, Queries, Ranking
from rnnlab.text.strings import Documents
from rnnlab.text.tokenizers import AnyTokenizer, Words, tokenize

VARIANTS = ("robertson", "robertson_floored", "lucene", "atire", "bm25+", "bm25l")
DEFAULT = "lucene"
_PARAMETERS = "bm25.json"  # beside the index
_LARGE = 2**30  # bytes of an index that is left on disk


def idf(df: ArrayLike, num_documents: int, variant: str = DEFAULT) -> np.ndarray:
    """Return IDF(t), the weight of words that occur in df of N documents.

    ==================  ==============================================
    robertson           log((N − df + 0.5) / (df + 0.5)), negative where df > N/2: the notes'
    robertson_floored   max(0, the same): bm25s's "robertson"
    lucene              log(1 + (N − df + 0.5) / (df + 0.5)): the default, above 0
    atire               log(N / df)
    bm25+               log((N + 1) / df)
    bm25l               log((N + 1) / (df + 0.5))
    ==================  ==============================================

    Finite for every df from 0 to N. ATIRE's and BM25+'s, which divide by df, are 0 at df = 0, where
    the word occurs in no document.

    Args:
        df: (…) number of documents that have the word, 0 … N.
        num_documents: N.
        variant: one of the above.
    Returns:
        (…) float64, nats.
    Raises:
        ValueError: an unknown variant, or df outside 0 … N.

    >>> idf([0, 1, 3], 3).round(2).tolist()
    [2.08, 0.98, 0.13]
    >>> idf([0, 1, 3], 3, "robertson").round(2).tolist()
    [1.95, 0.51, -1.95]
    """
    choice("BM25 variant", variant, VARIANTS)
    df, N = np.asarray(df, np.float64), num_documents
    if df.size and not (df.min() >= 0 and df.max() <= N):  # refuses NaN as well
        raise ValueError(f"df must be 0 to {N}, got {df.min():g} to {df.max():g}")
    with np.errstate(divide="ignore"):
        match variant:
            case "atire":
                return np.where(df > 0, np.log(N / np.where(df > 0, df, 1)), 0.0)
            case "bm25+":
                return np.where(df > 0, np.log((N + 1) / np.where(df > 0, df, 1)), 0.0)
            case "bm25l":
                return np.log((N + 1) / (df + 0.5))
    odds = (N - df + 0.5) / (df + 0.5)
    if variant == "lucene":
        return np.log1p(odds)
    return np.log(odds if variant == "robertson" else np.maximum(odds, 1.0))


def frequency_part(
    tf: ArrayLike,
    length: ArrayLike,
    average_length: float,
    *,
    k1: float = 1.5,
    b: float = 0.75,
    variant: str = DEFAULT,
    delta: float = 0.5,
) -> np.ndarray:
    """Return f(TF, |d|), a word's count, saturated by k1 and normalized for length by b.

    With K = k1·(1 − b + b·|d|/avgdl) and c = TF / (1 − b + b·|d|/avgdl):

    ==========================  ==========================================
    robertson, atire            (k1 + 1)·TF / (TF + K)
    robertson_floored, lucene   TF / (TF + K): the same ranking
    bm25+                       (k1 + 1)·TF / (TF + K) + δ
    bm25l                       (k1 + 1)·(c + δ) / (k1 + c + δ)
    ==========================  ==========================================

    BM25+ and BM25L are above 0 at TF = 0: a document without the word scores IDF times that.

    Args:
        tf: (…) occurrences of the word in the document.
        length: (…) |d|, tokens.
        average_length: avgdl, above 0.
        k1: saturation, at least 0; at 0 only TF > 0 matters.
        b: length normalization, from 0 (none) to 1 (full).
        variant: one of the above.
        delta: δ of BM25+ and BM25L, at least 0.
    Returns:
        (…) float64.
    Raises:
        ValueError: parameters out of range.

    >>> frequency_part([1, 2, 100], 10, 10).round(2).tolist()
    [0.4, 0.57, 0.99]
    >>> frequency_part([1, 2, 100], 10, 10, variant="robertson").round(2).tolist()
    [1.0, 1.43, 2.46]
    """
    check(k1, b, delta, variant)
    average_length = number("average_length", average_length, above=0)
    tf, length = np.asarray(tf, np.float64), np.asarray(length, np.float64)
    norm = 1 - b + b * length / average_length
    if variant == "bm25l":
        # an empty document has no word: c would be 0 / 0 at b = 1
        c = np.divide(tf, norm, out=np.zeros(np.broadcast(tf, norm).shape), where=tf > 0)
        return (k1 + 1) * (c + delta) / np.maximum(k1 + c + delta, np.finfo(float).tiny)
    K = k1 * norm
    part = np.divide(tf, tf + K, out=np.zeros(np.broadcast(tf, K).shape), where=tf > 0)
    if variant in ("robertson_floored", "lucene"):
        return part
    return (k1 + 1) * part + (delta if variant == "bm25+" else 0.0)


def check(k1: float, b: float, delta: float, variant: str) -> None:
    """Refuse parameters out of range.

    Raises:
        ValueError: not numbers, k1 < 0, b outside 0 … 1, δ < 0, or an unknown variant.
    """
    choice("BM25 variant", variant, VARIANTS)
    number("k1", k1, least=0)
    share("b", b)
    number("delta", delta, least=0)


class BM25(TransformerMixin, BaseEstimator):
    """BM25 over an inverted index, with scikit-learn's ``fit`` and parameters.

    Also a transformer: :meth:`transform` gives a document's weights as features.

    The index does not depend on k1, b, δ or the variant: ``set_params(k1=…)`` (or setting the
    attribute) takes effect at the next query, without reading documents again.

    Args:
        variant: see :func:`idf` and :func:`frequency_part`; the notes' is "robertson".
        k1: at least 0.
        b: 0 … 1.
        delta: of BM25+ and BM25L, at least 0.
        tokenizer: of documents and queries, or a function from one text to its words
            (``jieba.lcut``); None: :class:`rnnlab.text.tokenizers.Words`. Documents and queries may
            also be lists of tokens.

    >>> bm25 = BM25().fit(["the cat sat", "the dog ran far", "a cat and a dog"])
    >>> bm25.search(["cat", "far dog"], k=2).documents.tolist()
    [[0, 2], [1, 2]]
    >>> bm25.set_params(k1=0.0).scores("far").round(2)
    array([0.  , 0.98, 0.  ], dtype=float32)
    """

    def __init__(
        self,
        variant: str = DEFAULT,
        *,
        k1: float = 1.5,
        b: float = 0.75,
        delta: float = 0.5,
        tokenizer: AnyTokenizer | None = None,
    ) -> None:
        self.variant = variant
        self.k1 = k1
        self.b = b
        self.delta = delta
        self.tokenizer = tokenizer

    # ---- documents

    def fit(self, documents: Documents, y: object = None) -> "BM25":
        """Index documents; empty ones have length 0 and match no word.

        Args:
            documents: as for :func:`rnnlab.text.tokenizers.tokenize`.
            y: not used.
        Raises:
            TypeError: a document that is not text.
            ValueError: no document has a word.
        """
        del y
        check(self.k1, self.b, self.delta, self.variant)
        return self.use(InvertedIndex.build(tokenize(documents, self.tokenizer or Words())))

    def use(self, index: InvertedIndex) -> "BM25":
        """Score the documents of an existing index, for example a loaded one.

        Raises:
            ValueError: an index without words.
        """
        if not len(index.documents):
            raise ValueError(
                f"no word in any of {index.num_documents} documents: there is nothing to index"
            )
        self.index_ = index
        # (parameters, postings, base) of the last query
        self._weighted_index: tuple[tuple, Postings, np.ndarray] | None = None
        return self

    def transform(self, documents: Documents) -> scipy.sparse.csr_array:
        """Return the weights of the documents' words, IDF(t)·f(TF, |d|): features for a classifier.

        IDF and avgdl are those of the fitted documents; unseen words count for |d| only. The base
        that BM25+ and BM25L give to absent words is left out, so that rows stay sparse.

        Returns:
            (N, V) float32.
        """
        index = self._index()
        tokens = tokenize(documents, self.tokenizer or Words())
        numbers = index.numbers(tokens.terms.to_pylist())
        terms, rows, tf = postings(tokens.codes, tokens.offsets)
        columns = numbers[terms]
        seen = columns >= 0
        idfs = idf(index.document_frequencies, index.num_documents, self.variant)[columns]
        weights = idfs * self._above_absent(tf, np.diff(tokens.offsets)[rows])
        weights = weights.astype(np.float32)
        shape = (len(tokens.offsets) - 1, len(index.terms))
        return scipy.sparse.csr_array((weights[seen], (rows[seen], columns[seen])), shape)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the word of each column of :meth:`transform`: (V,) of str."""
        del input_features
        return np.array(self._index().terms.to_pylist(), object)

    def inverse_transform(self, matrix: ArrayLike | CsrArray) -> list[np.ndarray]:
        """Return the words with a weight other than 0 in each document: N arrays of str.

        Args:
            matrix: (N, V), of :meth:`transform`.
        Raises:
            ValueError: another number of columns.
        """
        return terms_of_rows(matrix, self.get_feature_names_out())

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the parameters and the index into a folder, which is created; see :meth:`load`.

        Raises:
            NotFittedError: nothing is indexed yet. FileExistsError: the path exists.
        """
        self._index().save(path)
        saved.write(Path(path) / _PARAMETERS, "BM25", self.get_params(), {})

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, mapped: bool | None = None, **functions: Any
    ) -> "BM25":
        """Read what :meth:`save` wrote; nothing is unpickled, and scores are bit-identical.

        Args:
            path: the folder.
            mapped: leave the index on disk and read the parts that queries need; False: read it
                into memory, which answers faster; None: leave it if it is larger than 1 GiB.
            functions: ``tokenizer``, where it is a function of yours.
        Raises:
            FileNotFoundError: nothing saved there. ValueError: files that do not fit together, or a
                tokenizer that is missing, by name.
        """
        folder = Path(path)
        if not (folder / _PARAMETERS).is_file():
            raise FileNotFoundError(
                f"{folder} is no saved BM25: it has no {_PARAMETERS}"
                + "; BM25().use(InvertedIndex.load(path)) scores an index alone"
                * (folder / "index.json").is_file()
            )
        options, _ = saved.read(folder / _PARAMETERS, "BM25", functions)
        if mapped is None:
            mapped = sum(file.stat().st_size for file in folder.glob("*.npy")) > _LARGE
        return cls(**options).use(InvertedIndex.load(folder, mapped=mapped))

    # ---- queries

    def score(self, query: object, document: int) -> float:
        """Return the score of one document.

        Args:
            query: a text, or a list of tokens.
            document: its number.
        Raises:
            IndexError: no such document. ValueError: a number that is not whole.
        """
        index, document = self._index(), whole("document", document, None)
        if not 0 <= document < index.num_documents:
            raise IndexError(f"document must be 0 to {index.num_documents - 1}, got {document}")
        weighted, queries = self._prepare([query])
        total = np.float32(0)
        for term, times in zip(queries.terms, queries.times, strict=True):
            low, high = weighted.offsets[term], weighted.offsets[term + 1]
            place = low + np.searchsorted(weighted.documents[low:high], document)
            if place < high and weighted.documents[place] == document:
                total += times * weighted.weights[place]
        return float(total + queries.base[0])

    def scores(self, query: object) -> np.ndarray:
        """Return the score of every document, (N,) float32.

        Args:
            query: a text, or a list of tokens. Unseen words score nothing.
        """
        weighted, queries = self._prepare([query])
        return top_k.scores(weighted, queries, 0, self._index().num_documents)

    def search(
        self,
        queries: Documents,
        k: int = 10,
        *,
        threads: int | None = None,
        compiled: bool | None = None,
    ) -> Ranking:
        """Return the k best documents of every query, best first; equal scores by document order.

        Args:
            queries: texts, or lists of tokens.
            k: number of documents per query; N, if there are fewer.
            threads: that share the queries; None: as many as cores.
            compiled: use numba (``rnnlab[fast]``), bit-identical and faster; None: if installed.
        Returns:
            (documents (Q, k) int32, scores (Q, k) float32).
        Raises:
            TypeError: a query that is not text.
            ValueError: k or threads below 1, or compiled without numba.
        """
        weighted, prepared = self._prepare(queries)
        return top_k.search(weighted, prepared, self._index().num_documents, k, threads, compiled)

    # ---- parts

    def _index(self) -> InvertedIndex:
        check_is_fitted(self, "index_")
        return self.index_

    def _prepare(self, queries: Documents) -> tuple[Postings, Queries]:
        check(self.k1, self.b, self.delta, self.variant)
        index = self._index()
        tokens = tokenize(queries, self.tokenizer or Words())
        terms = index.numbers(tokens.terms.to_pylist())[tokens.codes]
        seen = terms >= 0
        terms = terms[seen]
        offsets = np.concatenate([[0], np.cumsum(seen)])[tokens.offsets]
        weighted, base, terms = self._weighted(terms)
        return weighted, top_k.ordered(weighted, offsets, terms, base)

    def _weighted(self, terms: np.ndarray) -> tuple[Postings, np.ndarray, np.ndarray]:
        """Return (postings, base score of absent terms, the terms' places in the postings).

        The postings of all terms are kept until the parameters change; of a mapped index, only
        those of the given terms are read.
        """
        index = self._index()
        if index.mapped:
            distinct, places = np.unique(terms, return_inverse=True)
            weighted, base = self._postings_of(distinct)
            return weighted, base, places
        key = (self.variant, self.k1, self.b, self.delta)
        if self._weighted_index is None or self._weighted_index[0] != key:
            self._weighted_index = (key, *self._postings_of(np.arange(len(index.terms))))
        return self._weighted_index[1], self._weighted_index[2], terms

    def _postings_of(self, terms: np.ndarray) -> tuple[Postings, np.ndarray]:
        """Return the postings of terms, in their order, and their base scores where absent."""
        index = self._index()
        df = index.document_frequencies[terms]
        offsets = np.concatenate([[0], np.cumsum(df)]).astype(np.int64)
        if len(terms) == len(index.terms):
            documents, counts = index.documents, index.counts
        else:
            ranges = [slice(index.offsets[t], index.offsets[t + 1]) for t in terms]
            none = np.zeros(0, np.int32)
            documents = np.concatenate([none, *(index.documents[r] for r in ranges)])
            counts = np.concatenate([none, *(index.counts[r] for r in ranges)])
        idfs = idf(df, index.num_documents, self.variant)
        weights = self._above_absent(counts, index.lengths[documents])
        weights *= np.repeat(idfs, df)
        weights = weights.astype(np.float32)
        low, high = np.zeros(len(terms), np.float32), np.zeros(len(terms), np.float32)
        occurs = df > 0
        if occurs.any():
            low[occurs] = np.minimum.reduceat(weights, offsets[:-1][occurs])
            high[occurs] = np.maximum.reduceat(weights, offsets[:-1][occurs])
        base = (idfs * self._part(0, 0)).astype(np.float32)
        # the terms of a mapped index are used for one call: no table for them
        size = 0 if index.mapped else index.num_documents
        table = top_k.tabulated(offsets, documents, weights, size)
        return Postings(offsets, np.asarray(documents), weights, low, high, *table), base

    def _part(self, tf: ArrayLike, lengths: ArrayLike) -> np.ndarray:
        return frequency_part(
            tf,
            lengths,
            self._index().average_length,
            k1=self.k1,
            b=self.b,
            variant=self.variant,
            delta=self.delta,
        )

    def _above_absent(self, tf: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the contribution of a posting beyond the base of every document."""
        return self._part(tf, lengths) - self._part(0, 0)
