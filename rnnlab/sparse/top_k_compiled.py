"""Top-k by numba: all scores where that is cheap, otherwise skipping postings without influence.

If the words of a query are in many documents, adding whole rows of scores is cheaper than skipping.
Otherwise: MaxScore (Turtle & Flood 1995).

Terms come in falling order of their largest contribution. Once the k-th best score so far is above
the sum of the largest contributions of the remaining terms, a document that has none of the earlier
terms cannot be among the best: the remaining terms are looked up for the candidates only. The sums
are bit-identical to those without skipping.
"""

import numba
import numpy as np

from rnnlab.sparse.postings import Postings, Queries

# bounds are summed in another order than the scores: a margin for rounding
ROOM = 1.0 + 1e-5
# postings that can be read one after the other in the time of a binary search
SEARCH_COST = 24
PASS = 0.125  # time to pass a document in a dense row, relative to that of reading a posting
MUCH = 3  # postings that skipping saves for each posting of a rarer term that is read
BLOCK = 1024  # documents whose scores fit into the first-level cache
WIDTH = 64  # documents of a block that are compared together


def pruned(
    postings: Postings, queries: Queries, num_documents: int, k: int, low: int, high: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranking of :func:`rnnlab.sparse.top_k.dense`, from the same arguments."""
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
    """Restore a heap whose root, the worst entry, was replaced."""
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
    """Add a document to the heap of the best if it belongs there; return the heap's size."""
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
    """Sort a full heap in place, best first."""
    for size in range(len(scores) - 1, 0, -1):
        scores[0], scores[size] = scores[size], scores[0]
        documents[0], documents[size] = documents[size], documents[0]
        _sift_down(scores, documents, size)


@numba.njit(nogil=True)
def _kth(scores, documents, total, base, candidates, count):
    """Return the k-th best score of the first ``count`` candidates; overwrites the heap."""
    size = 0
    for i in range(count):
        document = candidates[i]
        score = total[document] + base
        if size < len(scores) or score >= scores[0]:  # most are worse: a call for each is slow
            size = _offer(scores, documents, size, score, document)
    return scores[0]


@numba.njit(nogil=True)
def _find(documents, start, stop, document):
    """Return the first posting of a term's sorted range that is not before the document."""
    size = stop - start
    while size > 1:  # without a branch on the comparison, which the processor would mispredict
        half = size // 2
        start += half * (documents[start + half - 1] < document)
        size -= half
    if size == 1 and documents[start] < document:
        start += 1
    return start


@numba.njit(nogil=True)
def whole_is_cheaper(offsets, rows, terms, N):
    """Return whether computing every score is cheaper than skipping."""
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
    """Write the best documents by computing every score; ``total`` is left at zero."""
    N, k, last = len(total), len(best_scores), len(terms)
    # tabulated terms at the end are added block by block
    while last > 0 and rows[terms[last - 1]] >= 0:
        last -= 1
    for place in range(last):
        term, factor = terms[place], times[place]
        if rows[term] >= 0:
            term_weights = table[rows[term]]
            for document in range(N):
                total[document] += factor * term_weights[document]
        else:
            for posting in range(offsets[term], offsets[term + 1]):
                total[documents[posting]] += factor * weights[posting]
    size = 0
    for start in range(0, N, BLOCK):
        part = total[start : start + BLOCK]
        for place in range(last, len(terms)):
            part_weights = table[rows[terms[place]], start : start + BLOCK]
            factor = times[place]
            for i in range(len(part)):
                part[i] += factor * part_weights[i]
        for low in range(0, len(part), WIDTH):
            group = part[low : low + WIDTH]
            above = size < k
            if not above:
                least, hits = best_scores[0], np.int32(0)
                for i in range(len(group)):  # without branches, so that it is vectorized
                    hits += np.int32(group[i] + base > least)
                above = hits > 0
            if above:
                for i in range(len(group)):
                    score = group[i] + base
                    if size < k or score > best_scores[0]:
                        document = np.int32(start + low + i)
                        size = _offer(best_scores, best_documents, size, score, document)
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
    # documents that have one of the terms so far, and one place more to write to
    candidates = np.empty(N + 1, np.int32)
    for row in range(len(bounds) - 1):
        begin, end, base = bounds[row], bounds[row + 1], bases[row]
        best_scores, best_documents = out_scores[row], out_documents[row]
        # with a negative weight, a partial sum is no bound, and 0 may beat the score of a match
        positive, rest = True, 0.0
        for place in range(begin, end):
            positive = positive and low[terms[place]] >= 0
            rest += high[terms[place]] * times[place]

        if not positive or whole_is_cheaper(offsets, rows, terms[begin:end], N):
            _whole(
                offsets,
                documents,
                weights,
                rows,
                table,
                terms[begin:end],
                times[begin:end],
                base,
                total,
                best_scores,
                best_documents,
            )
            continue

        # collect every document that has one of the first terms …
        count, least, place = 0, -1.0, begin
        while place < end and (base + rest) * ROOM >= least:
            term = terms[place]
            if high[term] == 0:  # neither this term nor the following ones contribute
                break
            factor = times[place]
            for posting in range(offsets[term], offsets[term + 1]):
                # without a branch on whether the document is new, which would be mispredicted
                document = documents[posting]
                before = total[document]
                candidates[count] = document
                count += before == 0
                total[document] = before + factor * weights[posting]
            rest -= high[term] * times[place]
            place += 1
            # … until the remaining terms cannot bring in another one
            if place < end and count >= k:
                following = terms[place]
                if offsets[following + 1] - offsets[following] > count // 4:
                    least = _kth(best_scores, best_documents, total, base, candidates, count)

        live = count
        while place < end:
            # move the candidates that can still reach the k-th score to the front
            front, needed = 0, np.float32(least / ROOM - rest - base)
            for i in range(live):
                document = candidates[i]
                if total[document] >= needed:
                    candidates[i], candidates[front] = candidates[front], document
                    front += 1
            live = front
            term, factor = terms[place], times[place]
            start, stop = offsets[term], offsets[term + 1]
            if rows[term] >= 0:
                term_weights = table[rows[term]]
                for i in range(live):
                    document = candidates[i]
                    total[document] += factor * term_weights[document]
            elif live * SEARCH_COST < stop - start:
                for i in range(live):
                    document = candidates[i]
                    posting = _find(documents, start, stop, document)
                    if posting < stop and documents[posting] == document:
                        total[document] += factor * weights[posting]
            else:
                for posting in range(start, stop):
                    document = documents[posting]
                    is_candidate = np.float32(total[document] > 0)
                    total[document] += is_candidate * (factor * weights[posting])
            rest -= high[term] * times[place]
            place += 1
            if place < end and live > k:
                least = _kth(best_scores, best_documents, total, base, candidates, live)

        size = 0
        for i in range(live):
            document = candidates[i]
            score = total[document] + base
            if size < k or score >= best_scores[0]:
                size = _offer(best_scores, best_documents, size, score, document)
        # fewer than k: fill up with the first documents that have no term
        document = 0
        while size < k:
            if total[document] == 0:
                size = _offer(best_scores, best_documents, size, base, document)
            document += 1
        _sort(best_scores, best_documents)
        for i in range(count):
            total[candidates[i]] = 0
