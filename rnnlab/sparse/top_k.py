"""The k best documents of many queries at once.

The meaning is given by :func:`best` of dense scores: falling score, equal scores by document
order, documents that hold no word of the query among them (score 0, or BM25+'s and BM25L's base).
:func:`dense` computes that with NumPy. Where numba is installed (``rnnlab[fast]``),
:func:`rnnlab.sparse.top_k_compiled.pruned` finds the same bits and looks at fewer postings.
Threads share the queries.
"""

import importlib.util
from typing import Any, NamedTuple

import numpy as np

from rnnlab.core.host import cores
from rnnlab.text.strings import parallel

FREQUENT = 0.25  # of the documents have a term whose weights are tabulated
BLOCK = 64  # queries that a thread takes at a time


class Ranking(NamedTuple):
    """The best documents of each query, best first."""

    documents: np.ndarray  # (Q, k) int32, their numbers
    scores: np.ndarray  # (Q, k) float32


class Postings(NamedTuple):
    """Weighted postings of terms, and what bounds them."""

    offsets: np.ndarray  # (V+1,) int64
    documents: np.ndarray  # (P,) int32
    weights: np.ndarray  # (P,) float32, what a posting adds to its document's score
    low: np.ndarray  # (V,) float32, the least and …
    high: np.ndarray  # (V,) float32, … the largest weight of each term, 0 of one without postings
    # of the F most frequent terms the weight in every document, to be looked up: no meaning of
    # its own, and F may be 0
    rows: np.ndarray  # (V,) int32, −1: none
    table: np.ndarray  # (F, N) float32


def tabulated(
    offsets: np.ndarray, documents: np.ndarray, weights: np.ndarray, num_documents: int
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, table) of :class:`Postings`: of terms in a quarter of the documents or more.

    The table takes at most twice the memory of these terms' postings. With 0 documents it is empty.
    """
    df = np.diff(offsets)
    frequent = np.flatnonzero((df >= max(FREQUENT * num_documents, 1)) & (num_documents > 0))
    rows = np.full(len(df), -1, np.int32)
    rows[frequent] = np.arange(len(frequent))
    table = np.zeros((len(frequent), num_documents), np.float32)
    for row, term in zip(table, frequent.tolist(), strict=True):
        own = slice(offsets[term], offsets[term + 1])
        row[documents[own]] = weights[own]
    return rows, table


class Queries(NamedTuple):
    """Q queries as terms in the order in which their weights are added up."""

    offsets: np.ndarray  # (Q+1,) int64
    terms: np.ndarray  # (M,) int64, places in the postings' offsets
    times: np.ndarray  # (M,) float32, how often the query has the term
    base: np.ndarray  # (Q,) float32, the score of a document that has none of them


def ordered(
    postings: Postings, offsets: np.ndarray, terms: np.ndarray, base: np.ndarray
) -> Queries:
    """Queries whose terms stand once, those that can add most first.

    The order is the same for every document, so that equal documents have equal scores to the
    last bit, whatever is skipped.

    Args:
        offsets (Q+1,), terms (M′,): as the queries have them, a term as often as it occurs.
        base: (V,) float32, of each term.
    """
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    V = max(len(postings.high), 1)
    pairs, times = np.unique(query * V + terms, return_counts=True)
    query, terms = pairs // V, pairs % V
    times = times.astype(np.float32)
    reach = np.maximum(postings.high, -postings.low)[terms] * times
    order = np.lexsort((terms, -reach, query))
    bounds = np.searchsorted(query, np.arange(len(offsets)))
    total = np.bincount(query, base[terms] * times, len(offsets) - 1)
    return Queries(bounds.astype(np.int64), terms[order], times[order], total.astype(np.float32))


def scores(postings: Postings, queries: Queries, query: int, num_documents: int) -> np.ndarray:
    """The score of every document: (N,) float32."""
    out = np.zeros(num_documents, np.float32)
    for place in range(queries.offsets[query], queries.offsets[query + 1]):
        term = queries.terms[place]
        own = slice(postings.offsets[term], postings.offsets[term + 1])
        out[postings.documents[own]] += queries.times[place] * postings.weights[own]
    return out + queries.base[query]


def best(values: np.ndarray, k: int) -> np.ndarray:
    """The places of the k largest values, largest first, equal ones in order of place.

    >>> best(np.array([1.0, 3.0, 2.0, 3.0, 3.0]), 2).tolist()
    [1, 3]
    """
    if k < len(values):
        # as many as needed of those equal to the k-th, the first of them
        least = np.partition(values, len(values) - k)[len(values) - k]
        above = np.flatnonzero(values > least)
        equal = np.flatnonzero(values == least)[: k - len(above)]
        places = np.concatenate([above, equal])
    else:
        places = np.arange(len(values))
    return places[np.lexsort((places, -values[places]))]


def dense(
    postings: Postings, queries: Queries, num_documents: int, k: int, low: int, high: int
) -> Ranking:
    """The k best documents of queries low … high, every score computed."""
    documents = np.empty((high - low, k), np.int32)
    values = np.empty((high - low, k), np.float32)
    for row in range(high - low):
        own = scores(postings, queries, low + row, num_documents)
        documents[row] = best(own, k)
        values[row] = own[documents[row]]
    return Ranking(documents, values)


def search(
    postings: Postings,
    queries: Queries,
    num_documents: int,
    k: int,
    threads: int | None = None,
    compiled: bool | None = None,
) -> Ranking:
    """The k best documents of every query.

    Args:
        threads: None: as many as there are cores for this process.
        compiled: use numba; None: where it is installed.
    Raises:
        ValueError: k or threads below 1, or compiled and no numba.
    """
    threads = cores() if threads is None else threads
    for name, value in (("k", k), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    k = min(k, num_documents)
    run: Any = dense
    installed = importlib.util.find_spec("numba") is not None
    if compiled and not installed:
        raise ValueError("compiled=True needs numba: pip install 'rnnlab[fast]'")
    if installed and compiled is not False:
        from rnnlab.sparse.top_k_compiled import pruned as run
    Q = len(queries.offsets) - 1
    # blocks small enough for every thread to have some, large enough for their overhead not to show
    step = max(1, min(BLOCK, -(-Q // (4 * threads)))) if threads > 1 else max(Q, 1)

    def block(low: int) -> tuple[np.ndarray, np.ndarray]:
        return run(postings, queries, num_documents, k, low, min(low + step, Q))

    parts = parallel(block, list(range(0, Q, step)), threads)
    if not parts:
        return Ranking(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Ranking(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
