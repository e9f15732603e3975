"""The k best documents of many queries at once.

The ranking is :func:`best` of dense scores: falling score, equal scores by document order,
documents without a word of the query included (score 0, or the base of BM25+ and BM25L).
:func:`dense` computes it with NumPy. If numba is installed (``rnnlab[fast]``),
:func:`rnnlab.sparse.top_k_compiled.pruned` computes the same bits from fewer postings. Threads
share the queries.
"""

import importlib.util
from collections.abc import Callable

import numpy as np

from rnnlab.core.errors import install
from rnnlab.core.host import cores
from rnnlab.core.validate import whole
from rnnlab.sparse.postings import Postings, Queries, Ranking
from rnnlab.text.strings import parallel

FREQUENT = 0.25  # weights of terms in at least this share of the documents are tabulated
BLOCK = 64  # queries per thread at a time


def tabulated(
    offsets: np.ndarray, documents: np.ndarray, weights: np.ndarray, num_documents: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, table) of :class:`Postings`, for terms in a quarter of the documents or more.

    The table takes at most twice the memory of these terms' postings. With 0 documents it is empty.
    """
    df = np.diff(offsets)
    frequent = np.flatnonzero((df >= max(FREQUENT * num_documents, 1)) & (num_documents > 0))
    rows = np.full(len(df), -1, np.int32)
    rows[frequent] = np.arange(len(frequent))
    table = np.zeros((len(frequent), num_documents), np.float32)
    for row, term in zip(table, frequent.tolist(), strict=True):
        of_term = slice(offsets[term], offsets[term + 1])
        row[documents[of_term]] = weights[of_term]
    return rows, table


def ordered(
    postings: Postings, offsets: np.ndarray, terms: np.ndarray, base: np.ndarray
) -> Queries:
    """Return queries with distinct terms, those with the largest bounds first.

    The order is the same for every document, so that equal documents have equal scores to the
    last bit, whatever is skipped.

    Args:
        postings: of V terms.
        offsets: (Q+1,) of the queries in terms.
        terms: (M′,) of all queries, each as often as it occurs.
        base: (V,) float32, score of each term where it is absent.
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
    """Return the score of every document: (N,) float32."""
    out = np.zeros(num_documents, np.float32)
    for place in range(queries.offsets[query], queries.offsets[query + 1]):
        term = queries.terms[place]
        of_term = slice(postings.offsets[term], postings.offsets[term + 1])
        out[postings.documents[of_term]] += queries.times[place] * postings.weights[of_term]
    return out + queries.base[query]


def best(values: np.ndarray, k: int) -> np.ndarray:
    """Return the places of the k largest values, largest first, equal ones in order of place.

    Args:
        values: (N,).
        k: number of places; all, if there are fewer.
    Raises:
        ValueError: k below 1, or a value that is NaN, which has no place in an order.

    >>> best(np.array([1.0, 3.0, 2.0, 3.0, 3.0]), 2).tolist()
    [1, 3]
    """
    k = whole("k", k)
    if k < len(values):
        # those above the k-th value, and the first of those equal to it
        largest = np.partition(values, len(values) - k)[len(values) - k :]
        least = largest[0]
        above = np.flatnonzero(values > least)
        equal = np.flatnonzero(values == least)[: k - len(above)]
        places = np.concatenate([above, equal])
    else:
        largest, places = values, np.arange(len(values))
    if np.isnan(largest).any():  # NaN is sorted above every number
        raise ValueError(f"values must be numbers, number {np.isnan(values).argmax()} is NaN")
    return places[np.lexsort((places, -values[places]))]


def dense(
    postings: Postings, queries: Queries, num_documents: int, k: int, low: int, high: int
) -> Ranking:
    """Return the k best documents of queries low … high−1, computing every score."""
    documents = np.empty((high - low, k), np.int32)
    values = np.empty((high - low, k), np.float32)
    for row in range(high - low):
        by_document = scores(postings, queries, low + row, num_documents)
        documents[row] = best(by_document, k)
        values[row] = by_document[documents[row]]
    return Ranking(documents, values)


def search(
    postings: Postings,
    queries: Queries,
    num_documents: int,
    k: int,
    threads: int | None = None,
    compiled: bool | None = None,
) -> Ranking:
    """Return the k best documents of every query.

    Args:
        postings: of V terms.
        queries: as :func:`ordered` returns them.
        num_documents: N.
        k: number of documents per query; N, if there are fewer.
        threads: None: as many as there are cores for this process.
        compiled: use numba; None: if it is installed.
    Raises:
        ValueError: k or threads below 1, or compiled without numba.
    """
    threads = whole("threads", cores() if threads is None else threads)
    k = min(whole("k", k), num_documents)
    run: Callable[..., tuple[np.ndarray, np.ndarray]] = dense
    installed = importlib.util.find_spec("numba") is not None
    if compiled and not installed:
        raise ValueError(f"compiled=True needs numba: {install('fast')}")
    if installed and compiled is not False:
        from rnnlab.sparse.top_k_compiled import pruned as run
    Q = len(queries.offsets) - 1
    # blocks: small enough for every thread to have some, large enough to outweigh their overhead
    step = max(1, min(BLOCK, -(-Q // (4 * threads)))) if threads > 1 else max(Q, 1)

    def block(low: int) -> tuple[np.ndarray, np.ndarray]:
        return run(postings, queries, num_documents, k, low, min(low + step, Q))

    parts = parallel(block, list(range(0, Q, step)), threads)
    if not parts:
        return Ranking(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Ranking(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
