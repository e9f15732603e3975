"""Time one call in this process: warm it up until it is steady, then call it back to back."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.lab.sides import Timed, waited

STEADY = 0.1  # medians of three calls in a row may differ by so much
_FIRST = 2  # calls of a process that are never timed: one compiles, one is the first after it
_WARM_SHARE = 0.2  # of the seconds: how long to warm up at least
_THREE = 3


class Times(NamedTuple):
    """Milliseconds of calls of one process.

    Args:
        ms: of every timed call.
        warm_calls: calls to warm up, before them.
        steady: whether they had become steady before the first timed one.
    """

    ms: list[float]
    warm_calls: int
    steady: bool

    @property
    def median(self) -> float:
        """The median of the timed calls."""
        return float(np.median(self.ms))


def steady(ms: Sequence[float], calls: int = _THREE) -> bool:
    """Whether the last three calls take as long as the three before them, within 10%.

    The first call, which compiles, does not count.

    Args:
        ms: of all calls.
        calls: to compare, if not three.

    >>> steady([900, 5, 4, 4, 4, 4, 4]), steady([900, 9, 8, 7, 6, 5, 4])
    (True, False)
    """
    if len(ms) < 1 + 2 * calls:
        return False
    before, last = np.median(ms[-2 * calls : -calls]), np.median(ms[-calls:])
    return bool(abs(last - before) <= STEADY * before)


class Timer:
    """The calls of one pass in its process, over several rounds.

    Args:
        timed: the call.
    """

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        self._ms: list[float] = []  # of all calls
        self._steady = False

    def compare(self) -> object:
        """Return the outputs of the first calls, which warm up too."""
        output = self.timed.compare()
        self._ms += [np.nan] * self.timed.compared
        return output

    def measure(self, seconds: float) -> Times:
        """Return the times of a round's calls, back to back.

        Warm-up: two calls of the process; then calls for a fifth of ``seconds`` at least and until
        they have once been :func:`steady`, for ``seconds`` at most. Timed: calls for ``seconds``.
        A call that takes longer than ``seconds`` needs no warm-up but the first two, and is made
        once per round.

        Args:
            seconds: of the timed calls together, with what is done before each.
        """
        warm = 0
        while len(self._ms) < _FIRST:
            self._once()
            warm += 1
        start = time.perf_counter()
        spent = 0.0
        while spent < seconds and not (self._steady and spent >= _WARM_SHARE * seconds):
            ms = self._once()
            if min(self._ms[-2:]) > 1e3 * seconds:  # one hiccup is no long call
                return Times([ms], warm, steady(self._ms, calls=1))
            warm += 1
            spent = time.perf_counter() - start
            self._steady = self._steady or steady(self._ms)
        found: list[float] = []
        start = time.perf_counter()
        while not found or time.perf_counter() - start < seconds:
            found.append(self._once())
        return Times(found, warm, self._steady)

    def _once(self) -> float:
        """Return the milliseconds of one call, with waiting for its JAX arrays."""
        given = () if self.timed.before is None else (self.timed.before(),)
        start = time.perf_counter()
        waited(self.timed.call(*given))
        ms = 1e3 * (time.perf_counter() - start)
        self._ms.append(ms)
        return ms
