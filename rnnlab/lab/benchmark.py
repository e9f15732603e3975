"""Measure speed as a user meets it: each side alone in a process of its own.

A side is a call, made in its own process by its own library, with the environment that it is
fastest in. First every side computes its outputs, and they must agree; nothing is timed. Then the
processes of the sides take turns for at least five rounds, in an order that rotates: each warms up
until it is steady (:class:`rnnlab.lab.timing.Timer`), calls back to back for so many seconds,
reports its median, and sleeps until its next turn. :mod:`rnnlab.results.speed` reads the results:
the ratio of two sides' medians in each round, and an interval of their geometric mean.

Two libraries in one process slow each other: PyTorch's LSTM at 32x100x64x128 takes 14 ms alone and
23 to 31 ms beside JAX. So do other programs: the share of the CPU that they use is measured, and a
run beside busy ones says so and decides nothing. A process of a side that computes while it should
sleep counts among them.
"""

import contextlib
import importlib.metadata
import importlib.util
import math
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core import host, json_files, validate
from rnnlab.core.errors import UserError
from rnnlab.core.notices import say
from rnnlab.lab import benchmark_process, benchmark_worker, load, outputs, timing
from rnnlab.lab.benchmark_process import Process
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
PAUSE = 0.3  # seconds before a round, in which the load of other processes is measured
SETTLE = 0.1  # seconds before a turn, in which the threads of the one before stop spinning
Sides = Callable[[Config, Path], Mapping[str, Side]]
Prepare = Callable[[Config, Path], None]
Log = Callable[..., object]


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


def estimate(*, sides: float, rounds: int, turn: float, start: float = 6.0) -> float:
    """Return the estimated seconds of one member's benchmark, for ``run.seconds_per_member``.

    Args:
        sides: sides, in the mean over the members.
        rounds: the config's.
        turn: seconds of a side's turn: its passes, each with its warm-up.
        start: seconds to start a process, make its side and compute its outputs; two start at a
            time.

    >>> estimate(sides=4, rounds=5, turn=1.0, start=6.0)
    35.0
    """
    return start * (1 + sides) / 2 + rounds * sides * turn


def measure(
    sides: Sides,
    config: Config,
    log: Log | None = None,
    *,
    prepare: Prepare | None = None,
    passes: Sequence[str] | None = None,
    peaks: bool = False,
    renew: bool = False,
) -> dict[str, object]:
    """Compare the outputs of all sides, then time them in processes that take turns.

    A side that lacks a package is left out; the first one must not. Of sides that are ways of one
    tool (``Side.way_of``), one that takes more than :data:`rnnlab.results.speed.TOO_SLOW` times as
    long as the fastest in round 1 is measured in that round only.

    Args:
        sides: a function of the experiment's file: (config, folder) -> its sides by name. The
            outputs of a pass are compared with those of the first side that has it.
        config: the member's; ``run.rounds`` and ``run.seconds``, for which a process times each
            pass, are read.
        log: called with the times of each turn.
        prepare: a function of the same file: (config, folder); called in a process of its own,
            before any side is made, to write what their ``make`` reads from the folder.
        passes: names of the passes to time; None: all. All are compared.
        peaks: whether to measure the peak of memory of a call, too.
        renew: whether each round has new processes, or one process per side stays for all of them
            and sleeps while others have their turn.
    Returns:
        the results of a member: those of :func:`compare`; "ms" {pass: {side: the median of each
        round}}, and a median "SIDE_PASS_ms" for each of them; "once" {pass: the sides that were
        measured in round 1 only}; "unsteady" (turns that were timed before the calls were steady);
        "others_cpu" (the share of the CPU that other processes used: the largest of all rounds and
        of the pauses before them; None where it is unknown).
    Raises:
        UserError: outputs that differ, or a side that fails.
        ValueError: a number out of its range; no side; no such pass.
    """
    check(config)
    with _started(sides, config, prepare) as run:
        result = run.compare(peaks=peaks)
        for name in passes or ():
            validate.choice("passes", name, run.passes)
        timed = run.time(log, passes, renew=renew)
    busy = max(timed.shares, default=None)
    if busy is None:
        say("what other processes use of the CPU is unknown here: see that nothing else runs")
    if speed.is_busy(busy):
        say(f"{speed.busy_words(busy)}; close them and measure again: its claims are undecided")
    medians = {
        f"{side}_ms" if name == ONLY else f"{side}_{name}_ms": statistics.median(values)
        for name, by_side in timed.ms.items()
        for side, values in by_side.items()
    }
    found = {"ms": timed.ms, "once": timed.once, "unsteady": timed.unsteady, "others_cpu": busy}
    return medians | found | result


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
        run = _Run(sides, config, Path(folder), prepare)
        try:
            run.prepare()
            yield run
        finally:
            run.close()


def _machine() -> dict[str, object]:
    return {
        "processor": host.processor() or platform.processor() or platform.machine(),
        "cores": host.cores(),
        "governor": host.governor(),
        "load": host.load(),
    }


def _spins(env: Mapping[str, str]) -> str | None:
    """Return the setting by which threads of OpenMP compute while they wait, if there is one."""
    for name, value in (("OMP_WAIT_POLICY", "active"), ("KMP_BLOCKTIME", "infinite")):
        if env.get(name, "").lower() == value:
            return f"{name}={env[name]}"
    return None


class _Timed(NamedTuple):
    """Results of all rounds."""

    ms: dict[str, dict[str, list[float]]]  # by pass and side, of each round
    once: dict[str, list[str]]  # by pass, the sides that were too slow
    unsteady: int
    shares: list[float]  # of the CPU, that other processes used


def check_cpu() -> None:
    """Refuse JAX on another device than the CPU, where the other library's sides compute.

    Raises:
        ValueError: JAX computes elsewhere.
    """
    import jax

    if (platform := jax.default_backend()) != "cpu":
        raise ValueError(
            f"all sides are compared on the CPU, and JAX computes on {platform!r}: set "
            "JAX_PLATFORMS=cpu"
        )


class _Run:
    """One benchmark: its sides and their processes."""

    def __init__(self, sides: Sides, config: Config, folder: Path, prepare: Prepare | None) -> None:
        codes = load.codes_of(sides.__module__)
        self.file, self.folder = codes[-1].file, folder
        self.processes: dict[str, Process] = {}
        self.passes: tuple[str, ...] = ()  # of all sides, known once they were compared
        self.request: Request = {
            "codes": benchmark_worker.encode_codes(codes),
            "file": self.file,
            "config": json_files.encode(config.to_dict()),
            "folder": str(folder),
            "sides": sides.__name__,
            "prepare": "" if prepare is None else prepare.__name__,
            "side": "",
        }
        self.rounds, self.seconds = config.run.rounds, config.run.seconds
        every = dict(sides(config, folder))
        if not every:
            raise ValueError(f"{self.file}: {sides.__name__} returned no side to measure")
        for name, side in every.items():
            if not isinstance(side, Side):
                raise ValueError(f"{self.file}: {name} must be a benchmark.Side, got {side!r:.80}")
        self.first = next(iter(every))
        self.left_out: dict[str, str] = {}
        for name, side in every.items():
            missing = [package for package in side.packages if not _installed(package)]
            missing += [program for program in side.programs if shutil.which(program) is None]
            if missing:
                self.left_out[name] = f"needs {', '.join(missing)}"
                say(f"{self.file}: {name} is left out: it {self.left_out[name]}")
        if self.first in self.left_out:
            raise UserError(f"{self.file}: {self.first} {self.left_out[self.first]}")
        self.sides = {name: side for name, side in every.items() if name not in self.left_out}
        for name, side in self.sides.items():
            if found := _spins(os.environ | dict(side.env)):
                raise UserError(
                    f"{self.file}: {name} has {found}, by which its threads would compute while "
                    "other sides are timed: unset it"
                )

    def prepare(self) -> None:
        """Call the experiment's function that writes what all sides read."""
        if self.request["prepare"]:
            self._process("").ask(benchmark_worker.PREPARE)
            self._end("")

    def close(self) -> None:
        """End all processes."""
        for name in list(self.processes):
            self._end(name)

    def _process(self, side: str) -> Process:
        """Return the process of a side, started if there is none."""
        if side not in self.processes:
            env = self.sides[side].env if side else {}
            self.processes[side] = Process(self.request | {"side": side}, env)
        return self.processes[side]

    def _end(self, side: str) -> None:
        self.processes.pop(side).close()

    def compare(self, *, peaks: bool) -> dict[str, object]:
        """Return the results of :func:`compare`, with the peaks of memory or without."""
        machine = _machine()  # with its load before this benchmark's own
        differences: dict[str, dict[str, float]] = {}
        peak_mib: dict[str, dict[str, float | None]] = {}
        reported: dict[str, dict[str, dict[str, float]]] = {}
        expected: dict[str, tuple[str, outputs.Arrays]] = {}  # by pass: the side that has it first
        for name, answer in self._outputs(peaks=peaks).items():
            for each, found in answer.items():
                peak_mib.setdefault(each, {})[name] = found["peak_mib"]
                got = outputs.load(Path(found["file"]))
                Path(found["file"]).unlink()
                if self.sides[name].tolerance is None:
                    numbers = {path: a.item() for path, a in got.items() if a.size == 1}
                    reported.setdefault(name, {})[each] = numbers
                    continue
                first, right = expected.setdefault(each, (name, got))
                off = self._difference(name, f"{name}, {each}", got, right, first)
                differences.setdefault(each, {})[name] = off
        self.passes = tuple(peak_mib)
        return {
            "difference": differences,
            "reported": reported,
            "peak_mib": peak_mib,
            "left_out": self.left_out,
            "machine": machine,
            "versions": self.versions(),
        }

    def _outputs(self, *, peaks: bool) -> dict[str, Request]:
        """Return the answers of all sides, as many computing at a time as there are cores."""
        todo = list(self.sides)
        running: dict[str, Process] = {}
        answers: dict[str, Request] = {}
        while todo or running:
            while todo and len(running) < host.cores():
                name = todo.pop(0)
                folder = self.folder / f".outputs{len(todo)}"
                folder.mkdir()
                running[name] = self._process(name)
                running[name].send(benchmark_worker.OUTPUTS, folder=str(folder), peaks=peaks)
            name = benchmark_process.wait(running)
            answers[name] = running.pop(name).receive()
        return {name: answers[name] for name in self.sides}

    def _difference(
        self, name: str, where: str, got: outputs.Arrays, expected: outputs.Arrays, first: str
    ) -> float:
        """Return how far the outputs of a side are off, which must be within its tolerance."""
        if not all(np.isfinite(a).all() for a in got.values()):
            raise UserError(f"{self.file}: {where}: its outputs have numbers that are not finite")
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

    def time(self, log: Log | None, passes: Sequence[str] | None, *, renew: bool) -> _Timed:
        """Time the passes in rounds."""
        names = list(self.sides)
        ms: dict[str, dict[str, list[float]]] = {}
        once: dict[str, list[str]] = {}
        unsteady, windows, pauses = 0, [], []
        todo = dict.fromkeys(names, None if passes is None else list(passes))
        for number in range(self.rounds):
            if renew:
                self.close()
            before = host.cpu_time()  # our sides do not count as own while they should sleep
            time.sleep(PAUSE)
            idle = host.cpu_time()
            start = host.cpu_time(self._groups())
            first = number % len(names)
            for name in [*names[first:], *names[:first]]:
                if todo[name] == []:
                    continue
                process = self._process(name)
                time.sleep(SETTLE)
                task = {"seconds": self.seconds, "passes": todo[name]}
                for each, found in process.ask(benchmark_worker.TIME, **task).items():
                    times = timing.Times(**found)
                    unsteady += not times.steady
                    ms.setdefault(each, {}).setdefault(name, []).append(times.median)
                    if log is not None:
                        _log(log, times, name=each, side=name, round=number)
            windows.append((start, host.cpu_time(self._groups())))
            pauses.append((before, idle))
            # processes end between the rounds: the time of parts that have ended is not seen
            if number == 0:
                once = self._too_slow(ms)
                todo = {n: [p for p in ms if n in ms[p] and n not in once[p]] for n in names}
                once = {each: sides for each, sides in once.items() if sides}
                for name in names:
                    if not todo[name]:
                        self._end(name)
        # in the order of the sides, whichever had the first turn
        ms = {each: {n: by_side[n] for n in names if n in by_side} for each, by_side in ms.items()}
        windows.append((_sum(a for a, _ in pauses), _sum(b for _, b in pauses)))  # one is too short
        shares = [host.others_share(earlier, later) for earlier, later in windows]
        return _Timed(ms, once, unsteady, [share for share in shares if share is not None])

    def _groups(self) -> list[int]:
        return [process.group for process in self.processes.values()]

    def _too_slow(self, ms: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[str]]:
        """Return by pass the ways of a tool that another way of it beats by far in a round."""
        slow: dict[str, list[str]] = {each: [] for each in ms}
        for each, by_side in ms.items():
            for name, (value, *_) in by_side.items():
                tool = self.sides[name].way_of
                ways = [n for n in by_side if tool and self.sides[n].way_of == tool]
                if ways and value > speed.TOO_SLOW * min(by_side[way][0] for way in ways):
                    slow[each].append(name)
        return slow

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


def _sum(times: Iterable[host.CpuTime | None]) -> host.CpuTime | None:
    known = [each for each in times if each is not None]
    return host.CpuTime(*np.sum(known, axis=0).tolist()) if known else None


def _log(log: Log, times: timing.Times, **where: object) -> None:
    low, high = np.quantile(times.ms, (0.1, 0.9)).tolist()
    calls = {"calls": len(times.ms), "warm_calls": times.warm_calls}
    log(**where, ms=times.median, low=low, high=high, **calls)


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
