"""Quality of a ranking, given relevance judgments: nDCG@k, average precision, recall@k.

Each measure compares one query's ranking, documents best first, with its gains by document.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnlab.core.validate import whole

Gains = Mapping[int, float]


def ndcg(ranked: Sequence[int] | np.ndarray, gains: Gains, k: int = 10) -> float:
    """Return nDCG@k = DCG@k / its largest possible value, DCG@k = Σ_{i≤k} gain_i / log₂(i + 1).

    Gains are linear, as in trec_eval and scikit-learn's ``ndcg_score``.

    Args:
        ranked: documents, best first, each at most once.
        gains: relevance of documents, at least 0; 0 for a document without a gain.
        k: number of ranks that count.
    Returns:
        0 … 1; 0 if no document is relevant.
    Raises:
        ValueError: k below 1, a negative or non-finite gain, a document ranked twice or whose
            number is not whole.
    Source: Järvelin & Kekäläinen 2002.

    >>> round(ndcg([7, 3, 5], {3: 2, 9: 1}), 3)
    0.48
    """
    ranked = _checked(ranked, gains, k)
    ideal = _dcg(sorted(gains.values(), reverse=True)[:k])
    return _dcg([gains.get(document, 0.0) for document in ranked]) / ideal if ideal else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return float(np.sum(np.asarray(gains, float) / np.log2(np.arange(2, len(gains) + 2))))


def average_precision(
    ranked: Sequence[int] | np.ndarray, gains: Gains, k: int | None = None
) -> float:
    """Return AP = (1/R) Σ over ranks i of relevant documents of (relevant among the first i) / i.

    R counts all relevant documents (a gain above 0), ranked or not; the mean over queries is MAP.

    Args:
        ranked, gains: as in :func:`ndcg`.
        k: number of ranks that count; None: the whole ranking.
    Returns:
        0 … 1; 0 if no document is relevant.
    Raises:
        ValueError: as :func:`ndcg`.

    >>> average_precision([7, 3, 5, 9], {3: 2, 9: 1})
    0.5
    """
    ranked = _checked(ranked, gains, k)
    relevant = np.array([gains.get(document, 0.0) > 0 for document in ranked], bool)
    total = sum(gain > 0 for gain in gains.values())
    precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
    return float(precision[relevant].sum() / total) if total else 0.0


def recall(ranked: Sequence[int] | np.ndarray, gains: Gains, k: int = 10) -> float:
    """Return recall@k, the share of all relevant documents (a gain above 0) among the first k.

    Args:
        ranked, gains: as in :func:`ndcg`.
        k: number of ranks that count.
    Returns:
        0 … 1; 0 if no document is relevant.
    Raises:
        ValueError: as :func:`ndcg`.

    >>> recall([7, 3, 5], {3: 2, 9: 1})
    0.5
    """
    ranked = _checked(ranked, gains, k)
    total = sum(gain > 0 for gain in gains.values())
    relevant = sum(gains.get(document, 0.0) > 0 for document in ranked)
    return relevant / total if total else 0.0


def reciprocal_rank(
    ranked: Sequence[int] | np.ndarray, gains: Gains, k: int | None = None
) -> float:
    """Return 1 / the rank of the first relevant document, 0 if there is none; its mean is MRR.

    Args:
        ranked, gains: as in :func:`ndcg`.
        k: number of ranks that count; None: the whole ranking.
    Raises:
        ValueError: as :func:`ndcg`.

    >>> reciprocal_rank([7, 3, 5], {3: 2, 9: 1})
    0.5
    """
    ranked = _checked(ranked, gains, k)
    ranks = (i for i, document in enumerate(ranked, start=1) if gains.get(document, 0.0) > 0)
    return 1.0 / next(ranks, np.inf)


def evaluate(
    rankings: np.ndarray, judgments: Sequence[Gains], k: int = 10, depth: int | None = None
) -> dict[str, np.ndarray]:
    """Compute every measure of every query that has a relevant document.

    Args:
        rankings: (Q, at least k) documents, best first.
        judgments: gains by document of each of the Q queries.
        k: ranks that count for nDCG.
        depth: ranks that count for recall; None: k.
    Returns:
        {"ndcg", "average_precision", "recall", "reciprocal_rank": (queries with judgments,)}.
    Raises:
        ValueError: different numbers of rankings and judgments; no query has a relevant document; k
            or depth below 1; or as :func:`ndcg`.
    """
    k, depth = whole("k", k), whole("depth", k if depth is None else depth)
    if len(rankings) != len(judgments):
        raise ValueError(f"{len(rankings)} rankings, but judgments of {len(judgments)} queries")
    judged = [
        (ranked, gains)
        for ranked, gains in zip(rankings, judgments, strict=True)
        if any(gain > 0 for gain in gains.values())
    ]
    if not judged:
        raise ValueError("no query has a relevant document")
    measures: dict[str, Callable[[np.ndarray, Gains], float]] = {
        "ndcg": lambda ranked, gains: ndcg(ranked, gains, k),
        "average_precision": average_precision,
        "recall": lambda ranked, gains: recall(ranked, gains, depth),
        "reciprocal_rank": reciprocal_rank,
    }
    return {
        name: np.array([measure(ranked, gains) for ranked, gains in judged])
        for name, measure in measures.items()
    }


def _checked(ranked: Sequence[int] | np.ndarray, gains: Gains, k: int | None) -> list[int]:
    k = None if k is None else whole("k", k)
    for document, gain in gains.items():
        if not 0 <= gain < np.inf:
            raise ValueError(f"a gain must be at least 0 and finite, got {gain} of {document}")
    numbers = np.asarray(ranked)
    if numbers.size and numbers.dtype.kind not in "iu":
        raise ValueError(f"documents are ranked by their numbers, got {numbers.dtype}")
    documents = numbers.tolist()
    if len(set(documents)) != len(documents):
        raise ValueError("a document occurs twice in the ranking")
    return documents[:k]
