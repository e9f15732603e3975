"""BM25: how well a document answers a query, by counting.

score(q, d) = Σ_{t∈q} IDF(t) · f(TF(t, d), |d|). The sum goes over the words of the query as often
as they stand in it: a word asked twice counts twice (as in bm25s, rank_bm25 and Lucene; Robertson
et al. 1994 would saturate it by k3, which for queries of a few words is the same).

Sources: the notes, 1.3; Robertson et al. 1994; Kamphuis et al. 2020 (the variants side by side);
Lv & Zhai 2011 (BM25+, BM25L).

The default is Lucene's: the notes' idf ("robertson") is negative for a word that more than half of
the documents have, so that one without the word ranks above one with it.
"""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from rnnlab.core.errors import unknown
from rnnlab.sparse import top_k
from rnnlab.sparse.inverted_index import InvertedIndex, postings
from rnnlab.sparse.top_k import Postings, Queries, Ranking
from rnnlab.text.tokenizers import Tokenizer, Words, tokenize

VARIANTS = ("robertson", "robertson_floored", "lucene", "atire", "bm25+", "bm25l")
DEFAULT = "lucene"


def idf(df: Any, num_documents: int, variant: str = DEFAULT) -> np.ndarray:
    """IDF(t), how much a word tells, from the df of N documents that have it.

    ==================  ==============================================
    robertson           log((N − df + .5) / (df + .5)), negative where df > N/2: the notes'
    robertson_floored   max(0, the same): bm25s's "robertson"
    lucene              log(1 + (N − df + .5) / (df + .5)): the default, above 0
    atire               log(N / df)
    bm25+               log((N + 1) / df)
    bm25l               log((N + 1) / (df + .5))
    ==================  ==============================================

    Finite for every df from 0 to N. ATIRE's and BM25+'s, which divide by df, are 0 at df = 0: a
    word that no document has tells nothing about any.

    Args:
        df: (…) documents that have the word, 0 … N. num_documents: N.
    Returns:
        (…) float64, nats.
    Raises:
        ValueError: an unknown variant, or df outside 0 … N.

    >>> idf([0, 1, 3], 3).round(2).tolist()
    [2.08, 0.98, 0.13]
    >>> idf([0, 1, 3], 3, "robertson").round(2).tolist()
    [1.95, 0.51, -1.95]
    """
    _check_variant(variant)
    df, N = np.asarray(df, np.float64), num_documents
    if df.size and not (df.min() >= 0 and df.max() <= N):  # NaN is refused as well
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
    tf: Any,
    length: Any,
    average_length: float,
    *,
    k1: float = 1.5,
    b: float = 0.75,
    variant: str = DEFAULT,
    delta: float = 0.5,
) -> np.ndarray:
    """f(TF, |d|): a word's count, saturated by k1, the document's length normalized by b.

    With K = k1·(1 − b + b·|d|/avgdl) and c = TF / (1 − b + b·|d|/avgdl):

    ==========================  ==========================================
    robertson, atire            (k1 + 1)·TF / (TF + K)
    robertson_floored, lucene   TF / (TF + K): the same ranking
    bm25+                       (k1 + 1)·TF / (TF + K) + δ
    bm25l                       (k1 + 1)·(c + δ) / (k1 + c + δ)
    ==========================  ==========================================

    BM25+ and BM25L are above 0 at TF = 0: a document without the word scores IDF times that.

    Args:
        tf: (…) occurrences of the word in the document. length: (…) |d|, tokens.
        average_length: avgdl. k1: ≥ 0, where it saturates; 0: TF > 0 is all that counts.
        b: 0 … 1, how far lengths are normalized. delta: δ, of BM25+ and BM25L.
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
    if not average_length > 0:
        raise ValueError(f"average_length must be above 0, got {average_length}")
    tf, length = np.asarray(tf, np.float64), np.asarray(length, np.float64)
    norm = 1 - b + b * length / average_length
    if variant == "bm25l":
        # c of an empty document, which has no word: 0 / 0 at b = 1
        c = np.divide(tf, norm, out=np.zeros(np.broadcast(tf, norm).shape), where=tf > 0)
        return (k1 + 1) * (c + delta) / np.maximum(k1 + c + delta, np.finfo(float).tiny)
    K = k1 * norm
    part = np.divide(tf, tf + K, out=np.zeros(np.broadcast(tf, K).shape), where=tf > 0)
    if variant in ("robertson_floored", "lucene"):
        return part
    return (k1 + 1) * part + (delta if variant == "bm25+" else 0.0)


def check(k1: float, b: float, delta: float, variant: str) -> None:
    """Refuse parameters without meaning.

    Raises:
        TypeError: no number. ValueError: k1 < 0, b outside 0 … 1, δ < 0, or an unknown variant.
    """
    _check_variant(variant)
    for name, value in (("k1", k1), ("b", b), ("delta", delta)):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if not (0 <= k1 < np.inf):
        raise ValueError(f"k1 must be at least 0 and finite, got {k1}")
    if not (0 <= b <= 1):
        raise ValueError(f"b must be 0 to 1, got {b}")
    if not (0 <= delta < np.inf):
        raise ValueError(f"delta must be at least 0 and finite, got {delta}")


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise ValueError(unknown("BM25 variant", variant, VARIANTS))


class BM25(BaseEstimator):
    """BM25 over an inverted index, with scikit-learn's ``fit`` and parameters.

    Nothing of k1, b, δ or the variant is in the index: ``set_params(k1=…)`` (or setting the
    attribute) takes effect at the next query, without reading documents again.

    Args:
        variant: see :func:`idf` and :func:`frequency_part`; the notes' is "robertson".
        k1: ≥ 0. b: 0 … 1. delta: of BM25+ and BM25L.
        tokenizer: of documents and queries; None: :class:`rnnlab.text.tokenizers.Words`.
            Documents and queries may also be lists of tokens.

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
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.variant = variant
        self.k1 = k1
        self.b = b
        self.delta = delta
        self.tokenizer = tokenizer

    # ---- documents

    def fit(self, documents: Any, y: Any = None) -> "BM25":
        """Index documents; empty ones have length 0 and are found by no word.

        Args:
            documents: as :func:`rnnlab.text.tokenizers.tokenize` takes them. y: not used.
        Raises:
            TypeError: a document that is no text. ValueError: none of them has a word.
        """
        del y
        check(self.k1, self.b, self.delta, self.variant)
        return self.use(InvertedIndex.build(tokenize(documents, self.tokenizer or Words())))

    def use(self, index: InvertedIndex) -> "BM25":
        """Score the documents of an index, one that was loaded for example.

        Raises:
            ValueError: an index without a word.
        """
        if not len(index.documents):
            raise ValueError(
                f"no word in any of {index.num_documents} documents: there is nothing to index"
            )
        self.index_ = index
        self._known: Any = None  # (parameters, postings, base)
        return self

    def transform(self, documents: Any) -> scipy.sparse.csr_array:
        """Documents as their words' weights, IDF(t)·f(TF, |d|): features for a classifier.

        IDF and avgdl are those of the fitted documents; unseen words count for |d| only.
        BM25+ and BM25L keep their base for absent words out of it: rows stay sparse.

        Returns:
            (N, V) float32.
        """
        index = self._index()
        tokens = tokenize(documents, self.tokenizer or Words())
        numbers = index.numbers(tokens.terms.to_pylist())
        terms, rows, tf = postings(tokens.codes, tokens.offsets)
        columns = numbers[terms]
        seen = columns >= 0
        told = idf(index.document_frequencies, index.num_documents, self.variant)[columns]
        weights = told * self._above_absent(tf, np.diff(tokens.offsets)[rows])
        weights = weights.astype(np.float32)
        shape = (len(tokens.offsets) - 1, len(index.terms))
        return scipy.sparse.csr_array((weights[seen], (rows[seen], columns[seen])), shape)

    # ---- queries

    def score(self, query: Any, document: int) -> float:
        """The score of one document.

        Args:
            query: a text, or a list of tokens. document: its number.
        Raises:
            IndexError: no such document.
        """
        index = self._index()
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

    def scores(self, query: Any) -> np.ndarray:
        """The score of every document, (N,) float32.

        Args:
            query: a text, or a list of tokens. Unseen words score nothing.
        """
        weighted, queries = self._prepare([query])
        return top_k.scores(weighted, queries, 0, self._index().num_documents)

    def search(
        self,
        queries: Any,
        k: int = 10,
        *,
        threads: int | None = None,
        compiled: bool | None = None,
    ) -> Ranking:
        """The k best documents of every query, best first; equal scores by document order.

        Args:
            queries: texts, or lists of tokens. k: at most N come back.
            threads: that share the queries; None: as many as cores.
            compiled: by numba (``rnnlab[fast]``), the same bits sooner; None: where installed.
        Returns:
            (documents (Q, k) int32, scores (Q, k) float32).
        Raises:
            TypeError: a query that is no text. ValueError: k or threads below 1.
        """
        weighted, prepared = self._prepare(queries)
        return top_k.search(weighted, prepared, self._index().num_documents, k, threads, compiled)

    # ---- inside

    def _index(self) -> InvertedIndex:
        check_is_fitted(self, "index_")
        return self.index_

    def _prepare(self, queries: Any) -> tuple[Postings, Queries]:
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
        """(postings, what an absent word scores, the terms' places in the postings).

        All of them, kept while the parameters stay; of a mapped index, what the terms need.
        """
        index = self._index()
        if index.mapped:
            asked, places = np.unique(terms, return_inverse=True)
            weighted, base = self._postings_of(asked)
            return weighted, base, places
        key = (self.variant, self.k1, self.b, self.delta)
        if self._known is None or self._known[0] != key:
            self._known = (key, *self._postings_of(np.arange(len(index.terms))))
        return self._known[1], self._known[2], terms

    def _postings_of(self, terms: np.ndarray) -> tuple[Postings, np.ndarray]:
        """Postings of some terms, in their order, and what each scores where it is absent."""
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
        told = idf(df, index.num_documents, self.variant)
        weights = self._above_absent(counts, index.lengths[documents])
        weights *= np.repeat(told, df)
        weights = weights.astype(np.float32)
        low, high = np.zeros(len(terms), np.float32), np.zeros(len(terms), np.float32)
        some = df > 0
        if some.any():
            low[some] = np.minimum.reduceat(weights, offsets[:-1][some])
            high[some] = np.maximum.reduceat(weights, offsets[:-1][some])
        base = (told * self._part(0, 0)).astype(np.float32)
        # a few terms of a mapped index are asked for once: no table for them
        size = 0 if index.mapped else index.num_documents
        table = top_k.tabulated(offsets, documents, weights, size)
        return Postings(offsets, np.asarray(documents), weights, low, high, *table), base

    def _part(self, tf: Any, lengths: Any) -> np.ndarray:
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
        """What a posting adds to the base that every document has."""
        return self._part(tf, lengths) - self._part(0, 0)
