"""Comparisons for tests: arms with given scores, and verdicts as the test states them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.results.comparison import Arm, ComparisonResult, Pair, Point

KEY = "training.learning_rate"


def arm(name: str, test: Sequence[float], rate: float | None = None, **more: Any) -> Arm:
    """Return an arm with test scores on seeds 0, 1, …; members follow from ``first``."""
    first = more.pop("first", 0)
    values = {
        "overrides": {"init.w_h": name},
        "tuned": {} if rate is None else {KEY: rate},
        "grid": (),
        "at_edge": False,
        "validation": math.nan,
        "seeds": tuple(range(len(test))),
        "members": tuple(range(first, first + len(test))),
    }
    return Arm(name=name, test=tuple(test), **values | more)


def result(arms: Sequence[Arm], pairs: Sequence[Pair], **more: Any) -> ComparisonResult:
    """Return a comparison of times to solve; ``more`` replaces its fields."""
    values: dict[str, Any] = {
        "name": "adding",
        "question": "On adding T=200",
        "score": "solved_at",
        "better": "lower",
        "equivalent": 0.25,
        "relative": False,
        "times": True,
        "reference": None,
        "tune": {KEY: (0.003, 0.01, 0.03)},
        "tuning_seeds": (100, 101, 102),
        "looks": (8, 16, 32),
        "level": 1 - 0.05 / 3,
    }
    return ComparisonResult(arms=tuple(arms), pairs=tuple(pairs), **values | more)


SCORES = {"score": "loss", "times": False, "equivalent": 0.02}


def grid(
    scores: Mapping[float, Sequence[float]], extended: Sequence[float] = ()
) -> tuple[Point, ...]:
    """Return the points of a tuning: validation scores by rate, means over neighbors."""
    rates = sorted(scores)
    means = [np.mean(scores[rate]) for rate in rates]
    return tuple(
        Point(
            {KEY: rate},
            tuple(scores[rate]),
            float(np.mean(means[max(i - 1, 0) : i + 2])),
            rate in extended,
        )
        for i, rate in enumerate(rates)
    )
