"""Members run by an experiment's own ``run``: one after another, or groups at the same time.

In a command, the groups of a file that says ``PARALLEL = True`` run in as many processes as there
are cores: this one takes them from the front, the others (:mod:`rnnlab.lab.member_worker`) from the
end. Threads would not do: most of a small member's time is Python, under one lock. NumPy's products
use one thread each meanwhile.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from rnnlab.core import compilation_cache, host, signals
from rnnlab.core.compiled import CompiledPrograms
from rnnlab.lab import records
from rnnlab.lab.load import Results
from rnnlab.lab.member_worker import Ended, Process, Work, one_blas_thread
from rnnlab.lab.plan import Plan

Write = Callable[[int, records.Record], None]  # of a member and what it logs

_SECONDS_TO_LOG = 5.0  # for which a signal waits until a member logs or ends
_SECONDS_TO_LOOK = 0.1  # between looks for a signal


class Finished(NamedTuple):
    """A member that has ended: its number, the seconds that it took, and its results."""

    member: int
    seconds: float
    results: Results


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
    groups: dict[Hashable, list[int]] = {}
    parallel = plan.experiment.parallel
    if parallel and signals.in_command() and _on_cpu():
        for member in waiting:
            groups.setdefault(plan.experiment.get_group(plan.configs[member]), []).append(member)
    else:
        groups[None] = list(waiting)
    # however many processes there are, so that results are the same to the bit
    threads = one_blas_thread() if parallel else contextlib.nullcontext()
    with threads, _Others(plan, deque(groups.values())) as others:
        try:
            yield from _all(plan, others, write)
        except (MemberError, KeyboardInterrupt):  # members that ended meanwhile are kept
            for run in others.ended():
                if run.results is not None:
                    yield _written(run, write)
            raise


def _on_cpu() -> bool:
    """Whether JAX computes on a CPU; a GPU's memory is not shared by processes."""
    import jax

    return jax.local_devices()[0].platform == "cpu"


def _all(plan: Plan, others: "_Others", write: Write) -> Iterator[Finished]:
    compiled = CompiledPrograms()
    while True:
        members = others.next_group()
        for member in members:
            yield from _taken(plan, others.ended(), write)
            compiled.let_go()
            with signals.deferred(_SECONDS_TO_LOG):
                yield _run(plan, member, write)
        if not members and not others.running:
            return
        yield from _taken(plan, others.ended(wait=not members), write)


def _taken(plan: Plan, runs: Iterable[Ended], write: Write) -> Iterator[Finished]:
    """Yield members that other processes have run; run those again that met an error."""
    for run in runs:
        with signals.deferred(_SECONDS_TO_LOG):
            if run.results is None:
                yield _run(plan, run.member, write)
                continue
            yield _written(run, write)


def _written(run: Ended, write: Write) -> Finished:
    """Write what a member of another process has logged."""
    assert run.results is not None
    for record in run.logged:
        with failing(run.member):
            write(run.member, record)
    return Finished(run.member, run.seconds, run.results)


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


class _Others:
    """The other processes, each with a thread that talks to it. A context: at its end they end.

    Args:
        plan: of the run.
        groups: the numbers of their members.
    """

    def __init__(self, plan: Plan, groups: deque[list[int]]) -> None:
        self._plan, self._groups = plan, groups
        self._lock = threading.Lock()
        self._asked: set[int] = set()  # members that other processes run
        self._said: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()  # None: one has ended
        self._talks: list[tuple[Process, threading.Thread]] = []

    def __enter__(self) -> "_Others":
        for _ in range(min(host.cores(), len(self._groups)) - 1):
            try:
                process = Process()
            except OSError:  # then there are fewer
                break
            thread = threading.Thread(target=self._talk, args=[process], daemon=True)
            self._talks.append((process, thread))
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._groups.clear()
        for process, thread in self._talks:
            process.kill()
            thread.join()
            process.close()

    def next_group(self) -> list[int]:
        """Return the members of a group that nobody runs yet; [] where there is none."""
        with self._lock, contextlib.suppress(IndexError):
            return self._groups.popleft()
        return []

    @property
    def running(self) -> bool:
        """Whether members are left: running elsewhere, or given back by a process that ended."""
        with self._lock:
            return bool(self._asked or self._groups)

    def ended(self, *, wait: bool = False) -> Iterator[Ended]:
        """Yield the members that other processes have run.

        Args:
            wait: for the next one, looking for signals meanwhile.
        """
        while wait or not self._said.empty():
            try:
                said = self._said.get(timeout=_SECONDS_TO_LOOK)
            except queue.Empty:
                signals.check()
                continue
            wait = False
            if said is not None:
                with self._lock:
                    self._asked.discard(said.member)
                yield said

    def _talk(self, process: Process) -> None:
        experiment = self._plan.experiment
        work = Work(experiment.codes, experiment.arg, compilation_cache.wanted())
        alive = process.ready(work)
        while alive:
            with self._lock:
                if not self._groups:
                    return
                members = self._groups.pop()
                self._asked.update(members)
            left = deque(members)
            try:
                configs = [(member, self._plan.configs[member].to_dict()) for member in members]
                for run in process.run(configs):
                    self._said.put(run)
                    left.popleft()
            finally:
                if left:  # the command runs these
                    with self._lock:
                        self._asked.difference_update(left)
                        self._groups.append(list(left))
                    self._said.put(None)
            alive = not left
