"""Top-k by numba: every score where that is cheap, or skipping what cannot matter.

Where a query's words are in many documents, adding up whole rows of scores, many at a time, takes
less than to see what could be left out. Otherwise: MaxScore (Turtle & Flood 1995).

Terms are taken in the order of what they can add at most. Once the k-th best score so far is
above all that the terms left can add together, a document that has none of the earlier terms
cannot be among the best: what is left is looked up for the documents in the running only. The
sums are the very same as without skipping.
"""

from typing import Any

import numba
import numpy as np

# bounds are sums in another order than the scores': room for their rounding
ROOM = 1.0 + 1e-5
# a binary search costs about as much as that many postings read one after the other
SEARCH_COST = 24
PASS = 0.125  # of the time of a posting, to go past a document with all the others
MUCH = 3  # postings: what is skipped saves so many for each of a rarer term's that are read
BLOCK = 1024  # documents whose scores stay in the first-level cache
WIDTH = 64  # of them, looked at together


def pruned(
    postings: Any, queries: Any, num_documents: int, k: int, low: int, high: int
) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`rnnlab.sparse.top_k.dense` returns, from the same arguments."""
    documents = np.empty((high - low, k), np.int32)
    values = np.empty((high - low, k), np.float32)
    _run(
        postings.offsets,
        postings.documents,
        postings.weights,
        postings.low,
        postings.high,
        postings.rows,
        postings.table,
        queries.offsets[low : high + 1],
        queries.terms,
        queries.times,
        queries.base[low:high],
        num_documents,
        documents,
        values,
    )
    return documents, values


@numba.njit(nogil=True)
def _worse(score, document, other_score, other_document):
    return score < other_score or (score == other_score and document > other_document)


@numba.njit(nogil=True)
def _sift_down(scores, documents, size):
    """Restore the heap whose root, the worst of those kept, was replaced."""
    score, document, at = scores[0], documents[0], 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _worse(
            scores[right], documents[right], scores[child], documents[child]
        ):
            child = right
        if not _worse(scores[child], documents[child], score, document):
            break
        scores[at], documents[at] = scores[child], documents[child]
        at = child
    scores[at], documents[at] = score, document


@numba.njit(nogil=True)
def _offer(scores, documents, size, score, document):
    """A document for the heap of the best; returns how many it holds."""
    if size < len(scores):
        at = size
        while at > 0:
            parent = (at - 1) // 2
            if not _worse(score, document, scores[parent], documents[parent]):
                break
            scores[at], documents[at] = scores[parent], documents[parent]
            at = parent
        scores[at], documents[at] = score, document
        return size + 1
    if _worse(scores[0], documents[0], score, document):
        scores[0], documents[0] = score, document
        _sift_down(scores, documents, size)
    return size


@numba.njit(nogil=True)
def _sort(scores, documents):
    """A full heap, sorted best first in place."""
    for size in range(len(scores) - 1, 0, -1):
        scores[0], scores[size] = scores[size], scores[0]
        documents[0], documents[size] = documents[size], documents[0]
        _sift_down(scores, documents, size)


@numba.njit(nogil=True)
def _kth(scores, documents, total, base, running, count):
    """The k-th best score of the first so many documents in the running; overwrites the heap."""
    size = 0
    for i in range(count):
        document = running[i]
        size = _offer(scores, documents, size, total[document] + base, document)
    return scores[0]


@numba.njit(nogil=True)
def _find(documents, start, stop, document):
    """The first posting of a term's sorted range that is not before the document."""
    size = stop - start
    while size > 1:  # no branch on what is found, which no processor could foretell
        half = size // 2
        start += half * (documents[start + half - 1] < document)
        size -= half
    if size == 1 and documents[start] < document:
        start += 1
    return start


@numba.njit(nogil=True)
def whole_is_cheaper(offsets, rows, terms, N):
    """Does it take less to go past every document than to see what can be skipped?"""
    passes, postings = 1, 0
    for term in terms:
        if rows[term] >= 0:
            passes += 1
        else:
            postings += offsets[term + 1] - offsets[term]
    return len(terms) > 0 and (postings == 0 or passes * N * PASS < MUCH * postings)


@numba.njit(nogil=True)
def _whole(
    offsets, documents, weights, rows, table, terms, times, base, total, best_scores, best_documents
):
    """The best by every document's score, which is left at zero."""
    N, k, last = len(total), len(best_scores), len(terms)
    # tabulated terms that come last are added block by block
    while last > 0 and rows[terms[last - 1]] >= 0:
        last -= 1
    for place in range(last):
        term, factor = terms[place], times[place]
        if rows[term] >= 0:
            own = table[rows[term]]
            for document in range(N):
                total[document] += factor * own[document]
        else:
            for posting in range(offsets[term], offsets[term + 1]):
                total[documents[posting]] += factor * weights[posting]
    size = 0
    for start in range(0, N, BLOCK):
        part = total[start : start + BLOCK]
        for place in range(last, len(terms)):
            own, factor = table[rows[terms[place]], start : start + BLOCK], times[place]
            for i in range(len(part)):
                part[i] += factor * own[i]
        for low in range(0, len(part), WIDTH):
            some = part[low : low + WIDTH]
            above = size < k
            if not above:
                least, hits = best_scores[0], np.int32(0)
                for i in range(len(some)):  # no branches: many at a time
                    hits += np.int32(some[i] + base > least)
                above = hits > 0
            if above:
                for i in range(len(some)):
                    document = np.int32(start + low + i)
                    size = _offer(best_scores, best_documents, size, some[i] + base, document)
        part[:] = 0
    _sort(best_scores, best_documents)


@numba.njit(nogil=True)
def _run(
    offsets,
    documents,
    weights,
    low,
    high,
    rows,
    table,
    bounds,
    terms,
    times,
    bases,
    N,
    out_documents,
    out_scores,
):
    k = out_documents.shape[1]
    total = np.zeros(N, np.float32)  # of each document, all zero between queries
    # documents that have one of the terms so far, and a place more to write to
    running = np.empty(N + 1, np.int32)
    for row in range(len(bounds) - 1):
        begin, end, base = bounds[row], bounds[row + 1], bases[row]
        best_scores, best_documents = out_scores[row], out_documents[row]
        # a negative weight makes a partial sum no bound, and zero better than some of what is found
        positive, rest = True, 0.0
        for place in range(begin, end):
            positive = positive and low[terms[place]] >= 0
            rest += high[terms[place]] * times[place]

        if not positive or whole_is_cheaper(offsets, rows, terms[begin:end], N):
            own = terms[begin:end], times[begin:end]
            _whole(
                offsets,
                documents,
                weights,
                rows,
                table,
                *own,
                base,
                total,
                best_scores,
                best_documents,
            )
            continue

        # every document that has one of the first terms …
        count, least, place = 0, -1.0, begin
        while place < end and (base + rest) * ROOM >= least:
            term = terms[place]
            if high[term] == 0:  # nothing is added, by this term or the following ones
                break
            factor = times[place]
            for posting in range(offsets[term], offsets[term + 1]):
                # no branches: whether a document is new could not be foretold
                document = documents[posting]
                before = total[document]
                running[count] = document
                count += before == 0
                total[document] = before + factor * weights[posting]
            rest -= high[term] * times[place]
            place += 1
            # … until the rest cannot bring in another one
            if place < end and count >= k:
                following = terms[place]
                if offsets[following + 1] - offsets[following] > count // 4:
                    least = _kth(best_scores, best_documents, total, base, running, count)

        live = count
        while place < end:
            # those that the rest can still lift to the k-th, in front
            kept, needed = 0, np.float32(least / ROOM - rest - base)
            for i in range(live):
                document = running[i]
                if total[document] >= needed:
                    running[i], running[kept] = running[kept], document
                    kept += 1
            live = kept
            term, factor = terms[place], times[place]
            start, stop = offsets[term], offsets[term + 1]
            if rows[term] >= 0:
                row = table[rows[term]]
                for i in range(live):
                    document = running[i]
                    total[document] += factor * row[document]
            elif live * SEARCH_COST < stop - start:
                for i in range(live):
                    document = running[i]
                    posting = _find(documents, start, stop, document)
                    if posting < stop and documents[posting] == document:
                        total[document] += factor * weights[posting]
            else:
                for posting in range(start, stop):
                    document = documents[posting]
                    known = np.float32(total[document] > 0)
                    total[document] += known * (factor * weights[posting])
            rest -= high[term] * times[place]
            place += 1
            if place < end and live > k:
                least = _kth(best_scores, best_documents, total, base, running, live)

        size = 0
        for i in range(live):
            document = running[i]
            size = _offer(best_scores, best_documents, size, total[document] + base, document)
        # too few: the first of the documents that have no term
        document = 0
        while size < k:
            if total[document] == 0:
                size = _offer(best_scores, best_documents, size, base, document)
            document += 1
        _sort(best_scores, best_documents)
        for i in range(count):
            total[running[i]] = 0
