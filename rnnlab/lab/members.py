"""Members run by an experiment's own ``run``: one after another, or groups at the same time.

In a command, the groups of a file that says ``PARALLEL = True`` run in threads, one per core: JAX
compiles and computes outside of Python's lock. What members log and return comes to the thread that
asked.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rnnlab.core import host, signals
from rnnlab.core.compiled import CompiledPrograms
from rnnlab.lab import records
from rnnlab.lab.load import Results
from rnnlab.lab.plan import Plan

Write = Callable[[int, records.Record], None]  # of a member and what it logs

_SECONDS_TO_LOG = 5.0  # for which a signal waits until a member logs or ends
_SECONDS_TO_LOOK = 0.1  # between looks for a signal


class Finished(NamedTuple):
    """A member that has ended: its number, the seconds that it took, and its results."""

    member: int
    seconds: float
    results: Results


class Logged(NamedTuple):
    """A record of a member's metrics."""

    member: int
    record: records.Record


class MemberError(Exception):
    """An error, with the member that raised it."""

    def __init__(self, member: int, error: Exception) -> None:
        super().__init__(member, error)
        self.member, self.error = member, error


@contextlib.contextmanager
def failing(member: int) -> Iterator[None]:
    """Raise a :class:`MemberError` in place of an error."""
    try:
        yield
    except Exception as error:
        raise MemberError(member, error) from error


def finished(plan: Plan, waiting: Sequence[int], write: Write) -> Iterator[Finished]:
    """Run members, and yield each as it ends.

    Args:
        plan: of the run. waiting: the members to run.
        write: called in this thread with what a member logs, before it is yielded.
    Raises:
        MemberError: at the first error of a member.
    """
    if plan.experiment.parallel and signals.in_command():
        groups: dict[Hashable, list[int]] = {}
        for member in waiting:
            groups.setdefault(plan.experiment.get_group(plan.configs[member]), []).append(member)
        yield from _Threads(plan, groups.values(), write).finished()
        return
    compiled = CompiledPrograms()
    for member in waiting:
        compiled.let_go()
        with signals.deferred(_SECONDS_TO_LOG):
            yield _run(plan, member, write)


def _run(plan: Plan, member: int, write: Write) -> Finished:
    import jax

    config: Any = plan.configs[member]  # whose values have no static types
    log = records.make_log(lambda record: write(member, record))
    start = time.perf_counter()
    with failing(member):
        try:
            found = plan.experiment.functions.run(config, jax.random.key(config.seed), log)
        except FloatingPointError:
            if not plan.phases[member]:
                raise
            found = {"status": "diverged"}  # the worst score of its comparison
    return Finished(member, time.perf_counter() - start, found)


class _Threads:
    """Threads that run groups of members, each the next one that is left.

    Args:
        plan, write: as of :func:`finished`.
        groups: the numbers of their members.
    """

    def __init__(self, plan: Plan, groups: Iterable[list[int]], write: Write) -> None:
        self._plan, self._write = plan, write
        self._groups = deque(groups)
        self._said: queue.SimpleQueue[Logged | Finished | BaseException] = queue.SimpleQueue()
        self._stop = threading.Event()

    def finished(self) -> Iterator[Finished]:
        """Run all members, and yield each as it ends."""
        left = sum(map(len, self._groups))
        count = min(host.cores(), len(self._groups))
        threads = [threading.Thread(target=self._work) for _ in range(count)]
        error = None
        try:
            for thread in threads:
                thread.start()
            while left and error is None:
                with signals.deferred(_SECONDS_TO_LOG):
                    said = self._next()
                    if isinstance(said, Finished):
                        left -= 1
                        yield said
                    elif isinstance(said, Logged):
                        self._take(said)
                    else:
                        error = said
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if error is None:
            return
        while not self._said.empty():  # members that ended meanwhile are kept
            said = self._said.get()
            if isinstance(said, Finished):
                yield said
            elif isinstance(said, Logged):
                self._take(said)
        raise error

    def _take(self, said: Logged) -> None:
        with failing(said.member):
            self._write(*said)

    def _next(self) -> "Logged | Finished | BaseException":
        while True:
            try:
                return self._said.get(timeout=_SECONDS_TO_LOOK)
            except queue.Empty:
                signals.check()

    def _work(self) -> None:
        with contextlib.suppress(IndexError):  # no group is left
            while True:
                members = self._groups.popleft()
                try:
                    for member in members:
                        if self._stop.is_set():
                            return
                        self._said.put(_run(self._plan, member, self._log))
                except BaseException as error:
                    self._said.put(error)
                    return

    def _log(self, member: int, record: records.Record) -> None:
        if self._stop.is_set():
            raise SystemExit  # of this thread, within a member that logs
        self._said.put(Logged(member, record))
