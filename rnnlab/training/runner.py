"""Members trained group by group: progress, checkpoints, results; an interrupted run resumes.

After every call of the compiled program these are written, in this order: the progress of each
member (metrics), the members that have stopped (parameters, then their line of results), and, when
it is due, a checkpoint of all that still run. So a run that is killed at any moment loses its work
since the last checkpoint and nothing else, and doing that work again gives the same bits.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import jax

from rnnlab.core import run_files, signals
from rnnlab.core.compiled import CompiledPrograms
from rnnlab.core.nested import joined
from rnnlab.training import distributed, gradient_log, group_programs, results
from rnnlab.training.checkpoints import Checkpoints
from rnnlab.training.params import save_params
from rnnlab.training.settings import Config, GroupKey, MemberSpec, RunOptions
from rnnlab.training.train import RUNNING, STATUS, Progress, TrainState
from rnnlab.training.vectorized import Program

PyTree = Any  # parameters and states
Record = dict[str, Any]  # metrics, results or config values, by name

_SECONDS_PER_CALL = 5.0  # between two pauses for progress, signals and checkpoints
_TELLING = 0.01  # share of all updates after which the time left is estimated
_PROGRAMS = 32  # that are kept for members of the same groups
_AHEAD = 2  # programs that are compiled while a group trains


def config(**changes: object) -> Record:
    """Return the ``run`` group of a training experiment's config, every key present.

    Its keys are the fields of :class:`RunOptions`, the seconds that ``--dry_run`` estimates by,
    and the experiment's own.

    >>> config(keep=3)["keep"], config()["mapping"]
    (3, 'auto')
    """
    group: Record = {
        "seconds_per_member": 1.0,
        "seconds_per_group": 5.0,
    }
    return group | {f.name: f.default for f in fields(RunOptions)} | changes


@dataclass(frozen=True, eq=False)
class Job:
    """One member to train: its place in the sweep, its parsed config and its key."""

    index: int
    spec: MemberSpec
    key: jax.Array


@dataclass
class Tally:
    """The progress of a run: members by status, updates that are left."""

    counts: dict[str, int]
    left: int  # updates, if no member stops early
    updates: int = 0  # done by this process
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, jobs: Sequence[Job], done: set[int]) -> "Tally":
        """Return the tally before the first update."""
        waiting = [job for job in jobs if job.index not in done]
        left = sum(job.spec.steps for job in waiting)
        return cls({"running": len(waiting), "finished": len(jobs) - len(waiting)}, left)

    def __str__(self) -> str:
        parts = [f"{self.counts[name]} {name}" for name in STATUS if self.counts.get(name)]
        # the first updates alone say nothing: members that only measure a step's time are quick
        if self.left and self.updates > _TELLING * (self.updates + self.left):
            seconds = (time.perf_counter() - self.started) / self.updates * self.left
            parts.append(f"at most {seconds / 60:.1f} minutes left")
        return ", ".join(parts)


class Sink:
    """The receiver of a run's records; each method does nothing unless overridden."""

    @property
    def measures(self) -> bool:
        """Whether :meth:`measure` may take times: then nothing is compiled meanwhile."""
        return True

    def log(self, index: int, record: Record) -> None:
        """Take a line of a member's metrics."""

    def finish(self, index: int, seconds: float, result: Record) -> None:
        """Take the results of a member that has stopped."""

    def rewind(self, steps: dict[int, int]) -> None:
        """Drop the metrics that members logged after these steps, from which they resume."""

    def logged(self, members: Sequence[int]) -> dict[str, str]:
        """Return digests of the metrics that members have logged, for a checkpoint."""
        del members
        return {}

    def resumed(self, logged: Mapping[str, str]) -> None:
        """Cut the metrics to those of a checkpoint, by the digests of :meth:`logged`."""

    def saved(self, name: str, checkpoints: Checkpoints) -> None:
        """Take note of a new checkpoint of the batch ``name``."""

    def measure(self, spec: MemberSpec, params: PyTree) -> Mapping[str, object]:
        """Return the experiment's own results of a trained member."""
        return {}

    def say(self, tally: Tally) -> None:
        """Report the progress of the run, after every call of a program."""


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs, those of one program together, in order."""
    by_key: dict[GroupKey, list[Job]] = {}
    for job in jobs:
        by_key.setdefault(job.spec.group_key, []).append(job)
    return list(by_key.values())


def check(config: Config) -> None:
    """Refuse a member's config that does not make sense; its data are read, nothing is drawn.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: see
            :func:`rnnlab.training.settings.check`.
    """
    MemberSpec.from_config(config).check_data()


def checkpoints_of(run_dir: Path, name: str, identity: str, keep: int) -> Checkpoints:
    """Return the checkpoints of the batch ``name`` of a run."""
    return Checkpoints(run_dir / run_files.CHECKPOINTS / name, f"{identity} {name}", keep)


def train(
    jobs: Sequence[Job],
    done: set[int],
    run_dir: Path,
    identity: str,
    sink: Sink,
    memory_share: float = 1.0,
    programs: dict[GroupKey, Program] | None = None,
) -> None:
    """Train the jobs that are not done, group by group, over all devices.

    Args:
        jobs: groups and batches are formed from all of them, so that a resumed run forms the
            same ones.
        done: the members that have results already.
        run_dir: for checkpoints and parameters.
        identity: of the run; a checkpoint of another run is refused.
        sink: takes metrics and results.
        memory_share: of the machine's memory, where other jobs train on it too.
        programs: compiled by earlier calls of the same run, whose groups come again; those of
            this call are added, and the last few kept. None: no group comes again.
    """
    kept = {} if programs is None else programs
    tally = Tally.of(jobs, done)
    waiting = [g for g in groups(jobs) if any(job.index not in done for job in g)]
    # a process of several stops only where the others hear of it: see _Batch.run
    deferred = contextlib.nullcontext if distributed.alone() else signals.deferred
    with signals.watched(), deferred(), group_programs.Ahead(memory_share) as ahead:
        compiled = CompiledPrograms()
        for place, members in enumerate(waiting):
            key, count = members[0].spec.group_key, len(members)
            for following in waiting[place + 1 : place + 1 + _AHEAD]:
                then = following[0].spec.group_key
                ahead.begin(then, len(following), kept.get(then))
            program = ahead.take(key, count, kept.pop(key, None))
            most = min(key.members_at_once or count, program.capacity)  # on any number of devices
            for first in range(0, count, most):
                batch = members[first : first + most]
                if not all(job.index in done for job in batch):
                    _Batch(program, batch, done, run_dir, identity, sink, tally, ahead.wait).run()
            if programs is not None:
                programs[key] = program
                if len(programs) > _PROGRAMS:
                    del programs[next(iter(programs))]  # the one that was used first
            del program
            # all processes keep the same ones
            if any(distributed.exchange(compiled.let_go(ahead.wait))):
                kept.clear()
    if distributed.leads():
        shutil.rmtree(run_dir / run_files.CHECKPOINTS, ignore_errors=True)


class _Batch:
    """The members that a program holds together, from their first update to their last."""

    def __init__(
        self,
        program: Program,
        jobs: Sequence[Job],
        done: set[int],
        run_dir: Path,
        identity: str,
        sink: Sink,
        tally: Tally,
        settle: Callable[[], None],
    ) -> None:
        self.program, self.run_dir, self.settle = program, run_dir, settle
        self.sink, self.tally = sink, tally
        self.jobs = {job.index: job for job in jobs}
        self.options = jobs[0].spec.run
        self.name = f"members-{jobs[0].index}-to-{jobs[-1].index}"
        self.checkpoints = checkpoints_of(run_dir, self.name, identity, self.options.keep)
        self.running = [index for index in self.jobs if index not in done]
        # the member in each slot of the program; −1: none
        self.slots = [*self.jobs, *[-1] * (program.capacity - len(self.jobs))]
        self.steps = dict.fromkeys(self.jobs, 0)
        self.seconds = dict.fromkeys(self.jobs, 0.0)
        self.pace = 0.0  # seconds per chunk of one member

    def run(self) -> None:
        """Train until every member has stopped."""
        self._begin()
        with signals.deferred():
            self._train()
        self.checkpoints.clear()

    def _train(self) -> None:
        saved = time.perf_counter()
        while self.running:
            self._call()
            due = time.perf_counter() - saved > self.options.checkpoint_seconds
            asked_here = signals.asked()
            answers = distributed.exchange((due, asked_here))
            due, asked = answers[0][0], any(asked for _, asked in answers)
            if self.running and (due or asked):
                self._save()
                saved = time.perf_counter()
            if asked_here:  # a later signal waits: the other processes must hear of it first
                signals.check()
            if asked and not distributed.alone():
                raise KeyboardInterrupt  # another process has been asked to stop
            self._balance()

    # ---- from the start, or from a checkpoint ----

    def _begin(self) -> None:
        members = [
            job.spec.draw(job.key, prepare=index in self.running)
            for index, job in self.jobs.items()
        ]
        self.records = dict(zip(self.jobs, (member.record for member in members), strict=True))
        self.states, self.hypers = self.program.start(members)
        hosted = self._hosted()
        restored = self.checkpoints.restore(hosted) if distributed.leads() else None
        hosted, extra = restored or (hosted, None)
        extra = distributed.agree(extra)
        if extra is not None:
            hosted = distributed.agree_tree(hosted)
            self.states = self.program.place(hosted)
            self.steps = dict(zip(self.jobs, hosted.step.tolist(), strict=True))
            self.seconds = dict(zip(self.jobs, extra["seconds"], strict=True))
            self.tally.left -= sum(self.steps[index] for index in self.running)
            self.sink.resumed(extra["logged"])
        self.sink.rewind({index: self.steps[index] for index in self.running})
        for place, index in enumerate(self.jobs):
            if index in self.running and not self.steps[index]:
                self._probe(index, _member(hosted, place))

    def _hosted(self) -> TrainState:
        """Return the members' states in the order of the jobs, whatever slots they are in."""
        places = [self.slots.index(index) for index in self.jobs]
        return jax.tree.map(lambda leaf: leaf[places], distributed.gather(self.states))

    def _save(self) -> None:
        hosted = self._hosted()
        if distributed.leads():
            logged = self.sink.logged(self.running)
            extra = {"seconds": list(self.seconds.values()), "logged": logged}
            self.checkpoints.save(hosted, extra)
            self.sink.saved(self.name, self.checkpoints)
        distributed.agree(None)  # every process waits until it is written

    # ---- one call of the program ----

    def _waiting(self) -> list[list[int]]:
        """Return the running members' slots, device by device, the fewest steps first."""
        running, size = set(self.running), self.program.slots
        by_device = [
            [slot for slot in range(first, first + size) if self.slots[slot] in running]
            for first in range(0, self.program.capacity, size)
        ]
        return [sorted(slots, key=lambda slot: self.steps[self.slots[slot]]) for slots in by_device]

    def _call(self) -> None:
        waiting = self._waiting()
        most = max(map(len, waiting))
        if self.program.mapping == "lax_map":  # the first call measures the pace
            most = min(most, max(1, int(_SECONDS_PER_CALL / self.pace)) if self.pace else 1)
        active = [slot for slots in waiting for slot in slots[:most]]
        start = time.perf_counter()
        if not self.tally.updates:
            self.tally.started = start  # compilation does not count
        self.states, progress = self.program.advance(self.states, self.hypers, active)
        progress, status = distributed.gather((progress, self.states.status))
        pace = (time.perf_counter() - start) / min(most, max(map(len, waiting)))
        self.pace = distributed.agree(pace)
        host = None
        for slot in active:
            index, chunk = self.slots[slot], _numbers(progress, slot)
            step = int(chunk.step)
            self.tally.updates += step - self.steps[index]
            self.tally.left -= step - self.steps[index]
            self.steps[index] = step
            self.seconds[index] += self.pace
            record = chunk._asdict()
            score = record.pop("score")
            self.sink.log(index, joined(record, score))
            stopped = status[slot] != RUNNING
            if stopped or step in self.jobs[index].spec.probe_steps:
                host = host or distributed.gather(self.states)
                state = _member(host, slot)
                if stopped:
                    self._stop(slot, state, chunk)
                else:
                    self._probe(index, state)
        self.sink.say(self.tally)

    def _stop(self, slot: int, state: TrainState, chunk: Progress) -> None:
        """Write the parameters of a member that has stopped, then its results."""
        index, train, data = self.slots[slot], self.program.train, self.program.host_data
        job, steps, status = self.jobs[index], int(state.step), STATUS[int(state.status)]
        if distributed.leads():
            result = results.results(train, state, chunk, data)
            result["ms_per_step"] = 1e3 * self.seconds[index] / max(steps, 1)
            params, _ = train.chosen(state, chunk.score)
            if self.sink.measures:
                self.settle()
            result = joined(result, self.records[index], self.sink.measure(job.spec, params))
            save_params(self.run_dir, index, params)
            self.sink.finish(index, self.seconds[index], result)
        self.running.remove(index)
        self.tally.left -= job.spec.steps - steps
        self.tally.counts["running"] -= 1
        self.tally.counts[status] = self.tally.counts.get(status, 0) + 1

    def _probe(self, index: int, state: TrainState) -> None:
        step = int(state.step)
        if step in self.jobs[index].spec.probe_steps and distributed.leads():
            gradients = gradient_log.probe(self.program.train, state, self.program.host_data)
            self.sink.log(index, {"step": step, **gradients})

    def _balance(self) -> None:
        """Spread the running members anew where a device has run out of work."""
        counts = [len(slots) for slots in self._waiting()]
        if max(counts) - min(counts) < 2:
            return
        running, devices = set(self.running), len(counts)
        waiting = sorted(range(len(self.slots)), key=lambda slot: self.slots[slot] not in running)
        order = [slot for device in range(devices) for slot in waiting[device::devices]]
        self.slots = [self.slots[slot] for slot in order]
        hosted = distributed.gather((self.states, self.hypers))
        trees = jax.tree.map(lambda leaf: leaf[order], hosted)
        self.states, self.hypers = self.program.place(trees)


def _member(stacked: TrainState, slot: int) -> TrainState:
    return jax.tree.map(lambda leaf: leaf[slot], stacked)


def _numbers(progress: Progress, slot: int) -> Progress:
    """Return one member's progress in Python numbers."""
    return jax.tree.map(lambda leaf: leaf[slot].item(), progress)


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> Record:
    """Train the one member that a config describes, and return its results.

    An experiment that trains says ``run = runner.run``: its members are then trained by
    :func:`train`, whole groups as one program, instead of one by one.
    """

    class One(Sink):
        result: Record

        def log(self, index: int, record: Record) -> None:
            log(**record)

        def finish(self, index: int, seconds: float, result: Record) -> None:
            self.result = result

    sink = One()
    job = Job(0, MemberSpec.from_config(config), key)
    with tempfile.TemporaryDirectory() as folder:
        train([job], set(), Path(folder), "one member", sink)
    return sink.result
