"""Measure speed as a user meets it: each side alone in a process of its own.

A side is a call, made in its own process by its own library, with the environment that it is
fastest in. First every side computes its outputs, in a process that is not timed, and they must
agree. Then the processes of the sides take turns for at least five rounds, in an order that
rotates: each warms up until it is steady (:func:`rnnlab.lab.timing.measure`), calls back to back
for so many seconds, and reports its median. :mod:`rnnlab.results.speed` reads the results: the
ratio of two sides' medians in each round, and an interval of their geometric mean.

Two libraries in one process slow each other: PyTorch's LSTM at 32x100x64x128 takes 14 ms alone and
23 to 31 ms beside JAX. So do other programs: the share of the CPU that they use is measured, and a
run beside busy ones says so and decides nothing.
"""

import contextlib
import importlib.metadata
import importlib.util
import math
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from rnnlab.core import host, json_files, validate
from rnnlab.core.errors import UserError
from rnnlab.core.notices import say
from rnnlab.lab import benchmark_process, benchmark_worker, load, outputs, timing
from rnnlab.lab.benchmark_worker import Request
from rnnlab.lab.config import Config
from rnnlab.lab.sides import Side, Timed
from rnnlab.results import speed
from rnnlab.results.speed import ONLY

__all__ = [
    "LEAST_ROUNDS",
    "Side",
    "Timed",
    "check",
    "compare",
    "estimate",
    "measure",
    "ratio",
    "turns",
]

LEAST_ROUNDS = 5
PAUSE = 0.5  # seconds before a round, in which the load of other processes is measured
Sides = Callable[[Config, Path], Mapping[str, Side]]
Prepare = Callable[[Config, Path], None]
Log = Callable[..., object]
_BySide = dict[str, dict[str, float | None]]  # by pass and side


def check(config: Config, *packages: str) -> None:
    """Check the rounds and seconds of a benchmark, and that packages are installed.

    Args:
        config: with ``run.rounds`` and ``run.seconds``.
        packages: that a benchmark cannot do without.
    Raises:
        ValueError: a number out of its range, or a package that is missing.
    """
    validate.whole("run.rounds", config.run.rounds, LEAST_ROUNDS)
    validate.number("run.seconds", config.run.seconds, above=0)
    for package in packages:
        if not _installed(package):
            raise ValueError(f"measuring against {package} needs it: pip install {package}")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def estimate(
    *, sides: float, passes: int = 1, rounds: int, seconds: float, start: float = 6.0
) -> float:
    """Return the estimated seconds of one member's benchmark, for ``run.seconds_per_member``.

    Args:
        sides: sides, in the mean over the members.
        passes: passes of each side.
        rounds, seconds: the config's.
        start: seconds to start a process, make its side and compile.

    >>> estimate(sides=2, passes=1, rounds=5, seconds=1.0, start=4.0)
    75.0
    """
    return sides * ((rounds + 1) * start + 2 * passes * rounds * seconds) + rounds * PAUSE + 0.5


def measure(
    sides: Sides, config: Config, log: Log | None = None, *, prepare: Prepare | None = None
) -> dict[str, object]:
    """Compare the outputs of all sides, then time them in processes that take turns.

    A side that lacks a package is left out; the first one must not.

    Args:
        sides: a function of the experiment's file: (config, folder) -> its sides by name. The
            outputs of a pass are compared with those of the first side that has it.
        config: the member's; ``run.rounds`` and ``run.seconds``, for which a process times each
            pass, are read.
        log: called with the times of each process.
        prepare: a function of the same file: (config, folder); called first, in a process of its
            own, to write what all sides read into the folder.
    Returns:
        the results of a member: those of :func:`compare`; "ms" {pass: {side: the median of each
        round's process}}, and a median "SIDE_PASS_ms" for each of them; "unsteady" (passes of
        processes that were timed before they were steady); "others_cpu" (the share of the CPU that
        other processes used, the largest of all rounds; None where it is unknown).
    Raises:
        UserError: outputs that differ, or a side that fails.
        ValueError: a number out of its range; no side.
    """
    check(config)
    with _started(sides, config, prepare) as run:
        result = run.compare(peaks=True)
        ms, unsteady, others = run.time(log)
    busy = max(others, default=None)
    if speed.is_busy(busy):
        say(f"{speed.busy_words(busy)}; close them and measure again: its claims are undecided")
    medians = {
        f"{side}_ms" if name == ONLY else f"{side}_{name}_ms": statistics.median(values)
        for name, by_side in ms.items()
        for side, values in by_side.items()
    }
    return medians | {"ms": ms, "unsteady": unsteady, "others_cpu": busy} | result


def compare(sides: Sides, config: Config, *, prepare: Prepare | None = None) -> dict[str, object]:
    """Compare the outputs of all sides, and time nothing.

    Args:
        sides, config, prepare: as of :func:`measure`.
    Returns:
        "difference" {pass: {side: max|a − b| / max|b|}}, "reported" {side: {pass: the numbers among
        outputs that are not compared}}, "peak_mib" {pass: {side: MiB}} of :func:`measure`,
        "left_out" {side: why}, "machine" and "versions".
    Raises:
        UserError: outputs that differ, or a side that fails.
        ValueError: no side.
    """
    with _started(sides, config, prepare) as run:
        return run.compare(peaks=False)


@contextlib.contextmanager
def _started(sides: Sides, config: Config, prepare: Prepare | None) -> Iterator["_Run"]:
    with tempfile.TemporaryDirectory(prefix="rnnlab-") as folder:
        yield _Run(sides, config, Path(folder), prepare)


def _machine() -> dict[str, object]:
    return {
        "processor": host.processor() or platform.processor() or platform.machine(),
        "cores": host.cores(),
        "governor": host.governor(),
        "load": host.load(),
    }


class _Run:
    """One benchmark: its sides, and the requests to their processes."""

    def __init__(self, sides: Sides, config: Config, folder: Path, prepare: Prepare | None) -> None:
        codes = load.codes_of(sides.__module__)
        self.file, self.folder, self.asked = codes[-1].file, folder, 0
        self.request: Request = {
            "codes": benchmark_worker.encode_codes(codes),
            "file": self.file,
            "config": json_files.encode(config.to_dict()),
            "folder": str(folder),
            "sides": sides.__name__,
            "prepare": "" if prepare is None else prepare.__name__,
            "side": "",
            "seconds": config.run.seconds,
        }
        self.rounds = config.run.rounds
        every = dict(sides(config, folder))
        if not every:
            raise ValueError(f"{self.file}: {sides.__name__} returned no side to measure")
        self.first = next(iter(every))
        self.left_out: dict[str, str] = {}
        for name, side in every.items():
            if missing := [package for package in side.packages if not _installed(package)]:
                self.left_out[name] = f"needs {', '.join(missing)}"
                say(f"{self.file}: {name} is left out: it {self.left_out[name]}")
        if self.first in self.left_out:
            raise UserError(f"{self.file}: {self.first} {self.left_out[self.first]}")
        self.sides = {name: side for name, side in every.items() if name not in self.left_out}
        if prepare is not None:
            self._ask("", benchmark_worker.PREPARE)

    def _ask(self, side: str, task: str) -> Request:
        """Return the answer of a side's process."""
        self.asked += 1
        answer = self.folder / f".answer{self.asked}"
        request = self.request | {"side": side, "task": task, "answer": str(answer)}
        if task == benchmark_worker.OUTPUTS:
            request["outputs"] = f"{answer}.outputs"
            Path(request["outputs"]).mkdir()
        return benchmark_process.ask(request, self.sides[side].env if side else {})

    def compare(self, *, peaks: bool) -> dict[str, object]:
        """Return the results of :func:`compare`, with the peaks of memory or without."""
        self.request["peaks"] = peaks
        machine = _machine()  # with its load before this benchmark's own
        differences: _BySide = {}
        peak_mib: _BySide = {}
        reported: dict[str, dict[str, dict[str, float]]] = {}
        expected: dict[str, tuple[str, outputs.Arrays]] = {}  # by pass: the side that has it first
        for name, side in self.sides.items():
            answer = self._ask(name, benchmark_worker.OUTPUTS)
            for each, found in answer.items():
                peak_mib.setdefault(each, {})[name] = found["peak_mib"]
                got = outputs.load(Path(found["file"]))
                Path(found["file"]).unlink()
                if side.tolerance is None:
                    numbers = {path: a.item() for path, a in got.items() if a.size == 1}
                    reported.setdefault(name, {})[each] = numbers
                    continue
                first, right = expected.setdefault(each, (name, got))
                off = self._difference(name, f"{name}, {each}", got, right, first)
                differences.setdefault(each, {})[name] = off
        return {
            "difference": differences,
            "reported": reported,
            "peak_mib": peak_mib,
            "left_out": self.left_out,
            "machine": machine,
            "versions": self.versions(),
        }

    def _difference(
        self, name: str, where: str, got: outputs.Arrays, expected: outputs.Arrays, first: str
    ) -> float:
        """Return how far the outputs of a side are off, which must be within its tolerance."""
        try:
            off = outputs.largest_difference(got, expected)
        except ValueError as error:
            raise UserError(f"{self.file}: {where}: {error}") from None
        tolerance = self.sides[name].tolerance
        if tolerance is not None and not off <= tolerance:
            raise UserError(
                f"{self.file}: {where}: its outputs are off those of {first} by {off:.1e} of the "
                f"largest, and may be by {tolerance:g}: nothing is timed"
            )
        return off

    def time(self, log: Log | None) -> tuple[dict[str, dict[str, list[float]]], int, list[float]]:
        """Return the medians of the processes, how many were not steady, and the others' shares."""
        names = list(self.sides)
        ms: dict[str, dict[str, list[float]]] = {}
        unsteady, shares = 0, []
        for number in range(self.rounds):
            before = host.cpu_time()
            time.sleep(PAUSE)
            idle = host.cpu_time()
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                for each, found in self._ask(name, benchmark_worker.TIME).items():
                    times = timing.Times(**found)
                    unsteady += not times.steady
                    ms.setdefault(each, {}).setdefault(name, []).append(times.median)
                    if log is not None:
                        low, high = np.quantile(times.ms, (0.1, 0.9)).tolist()
                        log(
                            name=each,
                            side=name,
                            round=number,
                            ms=times.median,
                            low=low,
                            high=high,
                            calls=len(times.ms),
                            warm_calls=times.warm_calls,
                        )
            for start, end in ((before, idle), (idle, host.cpu_time())):
                share = host.others_share(start, end)
                shares += [] if share is None else [share]
        return ms, unsteady, shares

    def versions(self) -> dict[str, str]:
        """Return the versions of Python and of every package that the sides use."""
        used = dict.fromkeys(["rnnlab", "jax", "jaxlib", "numpy"])
        used |= dict.fromkeys(p for side in self.sides.values() for p in side.packages)
        distributions = importlib.metadata.packages_distributions()
        found = {"python": platform.python_version()}
        for package in used:
            for name in distributions.get(package, [package])[:1]:
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    found[package] = importlib.metadata.version(name)
        return found


# ---- one library -------------------------------------------------------------------------------


def turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    seconds: float = math.inf,
    least: int = 3,
    pause: float = 0.02,
) -> dict[str, list[float]]:
    """Return the milliseconds of calls of one library, in turns in this process.

    For programs of one library, such as a cell beside another: two libraries slow each other, so
    that they need :func:`measure`. One round warms up. Other load on the machine meets all calls
    alike, so divide times of the same turn. The time of a call includes waiting for its JAX arrays.

    Args:
        calls: by name.
        repeats: turns of each call.
        seconds: no turn begins later than this, except for the first ``least`` turns.
        least: turns that are always taken.
        pause: seconds before each call, in which another library's threads stop spinning.
    Returns:
        the times of each call, one per turn.

    >>> ms = turns({"one": lambda: 1, "two": lambda: 2}, repeats=4)
    >>> [len(values) for values in ms.values()]
    [4, 4]
    """
    import jax  # which the processes of other libraries' sides do without

    ms: dict[str, list[float]] = {name: [] for name in calls}
    first_start = time.perf_counter()
    for turn in range(-1, repeats):
        if turn >= least and time.perf_counter() - first_start > seconds:
            break
        for name, call in calls.items():
            time.sleep(pause)
            start = time.perf_counter()
            jax.block_until_ready(call())
            if turn >= 0:
                ms[name].append(1e3 * (time.perf_counter() - start))
    return ms


def ratio(ms: Mapping[str, list[float]], side: str, over: str) -> tuple[float, float, float]:
    """Return the median of the turns' ratios of two calls' times, with their 10% and 90% quantiles.

    A turn's ratio compares what ran back to back, so that a machine that slows down for a while
    changes both of its times.

    Args:
        ms: as :func:`turns` returns it.
        side: the name of the numerator.
        over: the name of the denominator.

    >>> ratio({"a": [2.0, 4.0, 3.0], "b": [1.0, 2.0, 1.0]}, "a", "b")[0]
    2.0
    """
    low, middle, high = np.quantile(np.array(ms[side]) / np.array(ms[over]), (0.1, 0.5, 0.9))
    return float(middle), float(low), float(high)
