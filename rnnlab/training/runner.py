"""Members trained group by group: progress, checkpoints, results; whatever stops it, it goes on.

What is written after every call of the program, in this order: the progress of each member
(metrics), the members that have stopped (parameters, then their line of results), and now and
then a checkpoint of all that still run. So a run that is killed at any moment loses what it did
since the last checkpoint and nothing else, and doing that again gives the same bits.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from rnnlab.core import host as machine
from rnnlab.core.signals import Deferred, deferred
from rnnlab.training import distributed, gradient_log, results, settings
from rnnlab.training.checkpoints import Checkpoints
from rnnlab.training.params import save_params
from rnnlab.training.settings import Setup
from rnnlab.training.train import RUNNING, STATUS, TrainState
from rnnlab.training.vectorized import MAPPINGS, Program

CHECKPOINTS = "checkpoints"  # in a run directory
_SECONDS_A_CALL = 5.0  # between two looks at the world: progress, signals, checkpoints
_MEMORY_SHARE = 0.7  # of the machine's memory that a program may take


def config(**changes: Any) -> dict[str, Any]:
    """The ``run`` group of a training experiment's config, every key present."""
    group = {
        "seconds_per_member": 1.0,  # for --dry_run's estimate
        "seconds_per_group": 5.0,
        "mapping": "auto",  # lax_map, vmap; auto: the first on a CPU
        "members_at_once": 0,  # in one program; 0: as many as the memory holds
        "checkpoint_seconds": 30.0,  # between two checkpoints
        "keep": 2,  # checkpoints
    }
    return group | changes


@dataclass(frozen=True)
class Job:
    """One member to train: its place in the sweep, its config and its key."""

    index: int
    config: Any
    key: Any


@dataclass
class Tally:
    """How far a run is."""

    counts: dict[str, int]
    left: int  # updates to go, if no member stops early
    updates: int = 0  # done by this process
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, jobs: Sequence[Job], done: set[int]) -> "Tally":
        """Before the first update."""
        todo = [job for job in jobs if job.index not in done]
        left = sum(job.config.training.steps for job in todo)
        return cls({"running": len(todo), "finished": len(jobs) - len(todo)}, left)

    def __str__(self) -> str:
        parts = [f"{self.counts[name]} {name}" for name in STATUS if self.counts.get(name)]
        if self.updates and self.left:
            seconds = (time.perf_counter() - self.started) / self.updates * self.left
            parts.append(f"at most {seconds / 60:.1f} minutes left")
        return ", ".join(parts)


class Sink:
    """Where what is found goes; whoever runs members provides one."""

    def log(self, index: int, record: dict[str, Any]) -> None:
        """A line of a member's metrics."""

    def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
        """A member's results: it is done."""

    def rewind(self, steps: dict[int, int]) -> None:
        """Members go on from these steps: what they logged after them is void."""

    def saved(self, name: str, checkpoints: Checkpoints) -> None:
        """A checkpoint of the batch ``name`` has been written."""

    def measure(self, config: Any, setup: Setup, params: Any) -> dict[str, Any]:
        """More results, the experiment's own."""
        return {}

    def say(self, tally: Tally) -> None:
        """How far the run is, after every call of a program."""


def group_key(config: Any) -> Any:
    """What members of one program share: their setup, and how it is run."""
    return settings.setup_of(config), config.run.mapping, config.run.members_at_once


def groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs, those of one program together, in order."""
    found: dict[Any, list[Job]] = {}
    for job in jobs:
        found.setdefault(group_key(job.config), []).append(job)
    return list(found.values())


def check(config: Any) -> None:
    """Raise ValueError where a member's config does not make sense; nothing is drawn."""
    settings.check(config)
    if config.run.mapping not in MAPPINGS:
        raise ValueError(
            f"run.mapping must be one of {', '.join(MAPPINGS)}, got {config.run.mapping!r}"
        )
    if config.run.members_at_once < 0:
        raise ValueError(
            f"run.members_at_once must be 0 (as the memory holds) or more, got "
            f"{config.run.members_at_once}"
        )
    if config.run.keep < 1:
        raise ValueError(f"run.keep must be at least 1, got {config.run.keep}")
    every = config.training.eval_every
    steps = probed(config)
    if steps:
        gradient_log.check_probe(settings.setup_of(config))
    for step in steps:
        if step % every or not 0 <= step < config.training.steps:
            raise ValueError(
                f"probes.at must hold multiples of eval_every={every} below "
                f"steps={config.training.steps}, got {step}"
            )


def probed(config: Any) -> tuple[int, ...]:
    """The steps before which a member is looked into: ``probes.at``, if there is one."""
    return config.probes.at if "probes" in config else ()


def checkpoints_of(run_dir: Path, name: str, identity: str, keep: int) -> Checkpoints:
    """The checkpoints of the batch ``name`` of a run."""
    return Checkpoints(run_dir / CHECKPOINTS / name, f"{identity} {name}", keep)


def train(
    jobs: Sequence[Job],
    done: set[int],
    run_dir: Path,
    identity: str,
    sink: Sink,
    memory_share: float = 1.0,
) -> None:
    """Train the jobs that are not done, group by group, over all devices.

    Args:
        jobs: groups and batches are formed from all of them, so that a run that goes on forms
            the same ones.
        done: the members whose results are there.
        run_dir: for checkpoints and parameters.
        identity: of the run: a checkpoint of another one is refused.
        sink: takes what is found.
        memory_share: of the machine's memory, where others train on it too.
    """
    tally = Tally.of(jobs, done)
    with deferred() as signals:
        for members in groups(jobs):
            if all(job.index in done for job in members):
                continue
            options = members[0].config.run
            setup = settings.setup_of(members[0].config)
            wanted = options.members_at_once or len(members)
            program = Program(setup, min(wanted, len(members)), mapping=options.mapping)
            program = _fitting(program, memory_share)
            size = min(wanted, program.capacity)  # the same on any number of devices
            for first in range(0, len(members), size):
                batch = members[first : first + size]
                if not all(job.index in done for job in batch):
                    _Batch(program, batch, done, run_dir, identity, sink, tally, signals).run()
    if distributed.leads():
        shutil.rmtree(run_dir / CHECKPOINTS, ignore_errors=True)


def _fitting(program: Program, share: float) -> Program:
    """The program, or one with fewer members where the memory would not hold it."""
    room = share * _MEMORY_SHARE * min(distributed.exchange(_memory()))
    if program.mapping == "lax_map":  # every device of a CPU has the same memory
        room /= len(program.mesh.local_devices)
    while program.bytes_a_device > room and program.slots > 1:
        slots = max(1, min(program.slots - 1, int(program.slots * room / program.bytes_a_device)))
        capacity = slots * program.mesh.size
        program = Program(program.setup, capacity, list(program.mesh.devices), program.mapping)
    return program


def _memory() -> int:
    """Bytes of one device's memory, or of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    return machine.memory()


class _Batch:
    """The members that are in a program together, from their first update to their last."""

    def __init__(
        self,
        program: Program,
        jobs: Sequence[Job],
        done: set[int],
        run_dir: Path,
        identity: str,
        sink: Sink,
        tally: Tally,
        signals: Deferred,
    ) -> None:
        self.program, self.run_dir, self.sink = program, run_dir, sink
        self.tally, self.signals = tally, signals
        self.jobs = {job.index: job for job in jobs}
        self.options = jobs[0].config.run
        self.name = f"members-{jobs[0].index}-to-{jobs[-1].index}"
        self.checkpoints = checkpoints_of(run_dir, self.name, identity, self.options.keep)
        self.running = [index for index in self.jobs if index not in done]
        # the member in each slot of the program; −1: none
        self.slots = [*self.jobs, *[-1] * (program.capacity - len(self.jobs))]
        self.steps = dict.fromkeys(self.jobs, 0)
        self.seconds = dict.fromkeys(self.jobs, 0.0)
        self.pace = 0.0  # seconds that one member's chunk takes

    def run(self) -> None:
        """Train until no member runs any more."""
        self._begin()
        saved = time.perf_counter()
        while self.running:
            self._call()
            due = time.perf_counter() - saved > self.options.checkpoint_seconds
            own = self.signals.asked is not None
            told = distributed.exchange((due, own))
            due, asked = told[0][0], any(asked for _, asked in told)
            if self.running and (due or asked):
                self._save()
                saved = time.perf_counter()
            if own:  # one that came since then waits: the others must be told before it is obeyed
                self.signals.check()
            if asked and not distributed.alone():
                raise KeyboardInterrupt  # another process has been asked to stop
            self._balance()
        self.checkpoints.clear()

    # ---- from the start, or from a checkpoint ----

    def _begin(self) -> None:
        members = [settings.member(job.config, job.key) for job in self.jobs.values()]
        self.states, self.hypers = self.program.start(members)
        hosted = self._hosted()
        found = self.checkpoints.restore(hosted) if distributed.leads() else None
        hosted, extra = found or (hosted, None)
        extra = distributed.agree(extra)
        if extra is not None:
            hosted = distributed.agree_tree(hosted)
            self.states = self.program.place(hosted)
            self.steps = dict(zip(self.jobs, hosted.step.tolist(), strict=True))
            self.seconds = dict(zip(self.jobs, extra["seconds"], strict=True))
            self.tally.left -= sum(self.steps[index] for index in self.running)
        self.sink.rewind({index: self.steps[index] for index in self.running})
        for place, index in enumerate(self.jobs):
            if index in self.running and not self.steps[index]:
                self._probe(index, _member(hosted, place))

    def _hosted(self) -> TrainState:
        """The members' states in the order of the jobs: no slot and no device shows in it."""
        places = [self.slots.index(index) for index in self.jobs]
        return jax.tree.map(lambda leaf: leaf[places], distributed.gather(self.states))

    def _save(self) -> None:
        hosted = self._hosted()
        if distributed.leads():
            self.checkpoints.save(hosted, {"seconds": list(self.seconds.values())})
            self.sink.saved(self.name, self.checkpoints)
        distributed.agree(None)  # nobody goes before it is written

    # ---- one call of the program ----

    def _waiting(self) -> list[list[int]]:
        """The running members' slots, device by device, those that are behind first."""
        running, size = set(self.running), self.program.slots
        found = [
            [slot for slot in range(first, first + size) if self.slots[slot] in running]
            for first in range(0, self.program.capacity, size)
        ]
        return [sorted(slots, key=lambda slot: self.steps[self.slots[slot]]) for slots in found]

    def _call(self) -> None:
        waiting = self._waiting()
        most = max(map(len, waiting))
        if self.program.mapping == "lax_map":  # the first call tells the pace
            most = min(most, max(1, int(_SECONDS_A_CALL / self.pace)) if self.pace else 1)
        active = [slot for slots in waiting for slot in slots[:most]]
        start = time.perf_counter()
        if not self.tally.updates:
            self.tally.started = start  # what was compiled until here foretells nothing
        self.states, progress = self.program.advance(self.states, self.hypers, active)
        progress, status = distributed.gather((progress, self.states.status))
        pace = (time.perf_counter() - start) / min(most, max(map(len, waiting)))
        self.pace = distributed.agree(pace)
        host = None
        for slot in active:
            index, told = self.slots[slot], _numbers(progress, slot)
            self.tally.updates += told.step - self.steps[index]
            self.tally.left -= told.step - self.steps[index]
            self.steps[index] = told.step
            self.seconds[index] += self.pace
            record = told._asdict()
            score = record.pop("score")
            self.sink.log(index, record | score)
            stopped = status[slot] != RUNNING
            if stopped or told.step in probed(self.jobs[index].config):
                host = host or distributed.gather(self.states)
                state = _member(host, slot)
                if stopped:
                    self._stop(slot, state, told)
                else:
                    self._probe(index, state)
        self.sink.say(self.tally)

    def _stop(self, slot: int, state: TrainState, told: Any) -> None:
        """A member has come to its end: its parameters are written, then its results."""
        index, train, data = self.slots[slot], self.program.train, self.program.host_data
        job, steps, status = self.jobs[index], int(state.step), STATUS[int(state.status)]
        if distributed.leads():
            result = results.results(train, state, told, data)
            result["ms_per_step"] = 1e3 * self.seconds[index] / max(steps, 1)
            result |= self.sink.measure(job.config, train.setup, state.params)
            save_params(self.run_dir, index, state.params)
            self.sink.finish(index, self.seconds[index], result)
        self.running.remove(index)
        self.tally.left -= job.config.training.steps - steps
        self.tally.counts["running"] -= 1
        self.tally.counts[status] = self.tally.counts.get(status, 0) + 1

    def _probe(self, index: int, state: TrainState) -> None:
        step = int(state.step)
        if step in probed(self.jobs[index].config) and distributed.leads():
            found = gradient_log.probe(self.program.train, state, self.program.host_data)
            self.sink.log(index, {"step": step, **found})

    def _balance(self) -> None:
        """Deal the members out anew where a device has run out of work before the others."""
        counts = [len(slots) for slots in self._waiting()]
        if max(counts) - min(counts) < 2:
            return
        running, devices = set(self.running), len(counts)
        dealt = sorted(range(len(self.slots)), key=lambda slot: self.slots[slot] not in running)
        order = [slot for device in range(devices) for slot in dealt[device::devices]]
        self.slots = [self.slots[slot] for slot in order]
        hosted = distributed.gather((self.states, self.hypers))
        trees = jax.tree.map(lambda leaf: leaf[order], hosted)
        self.states, self.hypers = self.program.place(trees)


def _member(stacked: Any, slot: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[slot], stacked)


def _numbers(progress: Any, slot: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[slot].item(), progress)


def run(config: Any, key: Any, log: Callable[..., None]) -> dict[str, Any]:
    """Train the one member that a config describes.

    An experiment that trains says ``run = runner.run``: its members are then not run one by one
    but as :func:`train` does it, whole groups as one program.
    """

    class One(Sink):
        result: dict[str, Any]

        def log(self, index: int, record: dict[str, Any]) -> None:
            log(**record)

        def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
            self.result = result

    sink = One()
    with tempfile.TemporaryDirectory() as folder:
        train([Job(0, config, key)], set(), Path(folder), "one member", sink)
    return sink.result


run.trains_groups = True  # type: ignore[attr-defined]
