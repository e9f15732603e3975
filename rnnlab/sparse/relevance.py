"""How good a ranking is, given what is relevant: nDCG@k, average precision, recall@k.

One query's ranking against its judgments: (documents in the order found; gain by document).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Gains = Mapping[int, float]


def ndcg(ranked: Sequence[int] | np.ndarray, gains: Gains, k: int = 10) -> float:
    """nDCG@k = DCG@k / its largest possible value, DCG@k = Σ_{i≤k} gain_i / log₂(i + 1).

    Linear gains, as trec_eval and scikit-learn's ``ndcg_score`` have them.
    Source: Järvelin & Kekäläinen 2002.

    Args:
        ranked: documents, best first, each at most once.
        gains: how relevant a document is, ≥ 0; one that is not in it: 0.
    Returns:
        0 … 1; 0 where nothing is relevant.
    Raises:
        ValueError: k below 1, a negative or non-finite gain, a document that stands twice.

    >>> round(ndcg([7, 3, 5], {3: 2, 9: 1}), 3)
    0.48
    """
    ranked = _checked(ranked, gains, k)
    found = [gains.get(document, 0.0) for document in ranked]
    best = sorted(gains.values(), reverse=True)[:k]
    ideal = _dcg(best)
    return _dcg(found) / ideal if ideal else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return float(np.sum(np.asarray(gains, float) / np.log2(np.arange(2, len(gains) + 2))))


def average_precision(
    ranked: Sequence[int] | np.ndarray, gains: Gains, k: int | None = None
) -> float:
    """AP = Σ over ranks i of relevant documents of (relevant among the first i) / i, over R.

    R counts all that are relevant (a gain above 0), found or not; the mean over queries is MAP.

    Args:
        ranked, gains: as :func:`ndcg`. k: looked at; None: the whole ranking.
    Returns:
        0 … 1; 0 where nothing is relevant.
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
    """recall@k: the share of all relevant documents (a gain above 0) that are among the first k.

    Args:
        ranked, gains: as :func:`ndcg`.
    Returns:
        0 … 1; 0 where nothing is relevant.
    Raises:
        ValueError: as :func:`ndcg`.

    >>> recall([7, 3, 5], {3: 2, 9: 1})
    0.5
    """
    ranked = _checked(ranked, gains, k)
    total = sum(gain > 0 for gain in gains.values())
    found = sum(gains.get(document, 0.0) > 0 for document in ranked)
    return found / total if total else 0.0


def reciprocal_rank(
    ranked: Sequence[int] | np.ndarray, gains: Gains, k: int | None = None
) -> float:
    """1 / the rank of the first relevant document; 0 where none is found. Its mean is MRR.

    >>> reciprocal_rank([7, 3, 5], {3: 2, 9: 1})
    0.5
    """
    ranked = _checked(ranked, gains, k)
    ranks = (i for i, document in enumerate(ranked, start=1) if gains.get(document, 0.0) > 0)
    return 1.0 / next(ranks, np.inf)


def evaluate(
    rankings: np.ndarray, judgments: Sequence[Gains], k: int = 10, depth: int | None = None
) -> dict[str, np.ndarray]:
    """Every measure of every query that has a relevant document.

    Args:
        rankings: (Q, at least k) documents, best first. judgments: Q gains by document.
        k: of nDCG, and of recall where depth is not given. depth: of recall; None: k.
    Returns:
        {"ndcg", "average_precision", "recall", "reciprocal_rank": (queries with judgments,)}.
    Raises:
        ValueError: another number of judgments than of queries; none has a relevant document.
    """
    if len(rankings) != len(judgments):
        raise ValueError(f"{len(rankings)} rankings, but judgments of {len(judgments)} queries")
    judged = [
        (ranked, gains)
        for ranked, gains in zip(rankings, judgments, strict=True)
        if any(gain > 0 for gain in gains.values())
    ]
    if not judged:
        raise ValueError("no query has a relevant document")
    measures: dict[str, Any] = {
        "ndcg": lambda ranked, gains: ndcg(ranked, gains, k),
        "average_precision": average_precision,
        "recall": lambda ranked, gains: recall(ranked, gains, depth or k),
        "reciprocal_rank": reciprocal_rank,
    }
    return {
        name: np.array([measure(ranked, gains) for ranked, gains in judged])
        for name, measure in measures.items()
    }


def _checked(ranked: Any, gains: Gains, k: int | None) -> list[int]:
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    for document, gain in gains.items():
        if not 0 <= gain < np.inf:
            raise ValueError(f"a gain must be at least 0 and finite, got {gain} of {document}")
    documents = [int(document) for document in ranked]
    if len(set(documents)) != len(documents):
        raise ValueError("a document stands twice in the ranking")
    return documents[:k]
