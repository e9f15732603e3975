"""Time one call in this process: warm it up until it is steady, then call it back to back."""

import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.lab.sides import Timed

STEADY = 0.1  # medians of three calls in a row may differ by so much
LEAST_CALLS = 3  # that are timed, if they take no longer than three times the seconds
_WARM_SHARE = 0.2  # of the seconds: how long to warm up at least
_THREE = 3


class Times(NamedTuple):
    """Milliseconds of calls of one process.

    Args:
        ms: of every timed call.
        warm_calls: calls before them.
        steady: whether they had become steady before the first timed one.
    """

    ms: list[float]
    warm_calls: int
    steady: bool

    @property
    def median(self) -> float:
        """The median of the timed calls."""
        return float(np.median(self.ms))


def steady(ms: Sequence[float]) -> bool:
    """Whether the last three calls take as long as the three before them, within 10%.

    The first call, which compiles, does not count.

    >>> steady([900, 5, 4, 4, 4, 4, 4]), steady([900, 9, 8, 7, 6, 5, 4])
    (True, False)
    """
    if len(ms) < 1 + 2 * _THREE:
        return False
    before, last = np.median(ms[-2 * _THREE : -_THREE]), np.median(ms[-_THREE:])
    return bool(abs(last - before) <= STEADY * before)


def measure(timed: Timed, seconds: float) -> Times:
    """Return the times of a call, back to back.

    Warm-up: the first call, which compiles; then calls for a fifth of ``seconds`` at least, until
    :func:`steady`, and for ``seconds`` at most; two calls at least. Timed: calls for ``seconds``,
    three at least if they take no longer than three times that.

    Args:
        timed: the call.
        seconds: of the timed calls together, with what is done before each.
    """
    warm = [_once(timed)]
    start = time.perf_counter()
    spent, is_steady = 0.0, False
    while spent < seconds and not (is_steady and spent >= _WARM_SHARE * seconds):
        warm.append(_once(timed))
        spent, is_steady = time.perf_counter() - start, steady(warm)
    ms: list[float] = []
    start = time.perf_counter()
    spent = 0.0
    while spent < (seconds if len(ms) >= LEAST_CALLS else LEAST_CALLS * seconds):
        ms.append(_once(timed))
        spent = time.perf_counter() - start
    return Times(ms, len(warm), is_steady)


def _once(timed: Timed) -> float:
    """Return the milliseconds of one call, with waiting for its JAX arrays."""
    given = () if timed.before is None else (timed.before(),)
    start = time.perf_counter()
    output = timed.call(*given)
    if "jax" in sys.modules:
        sys.modules["jax"].block_until_ready(output)
    return 1e3 * (time.perf_counter() - start)
