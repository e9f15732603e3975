"""Groups of members as jobs of a Ray cluster: the results of one machine, from many.

A job is one group, trained by :func:`rnnlab.training.runner.train` on some node, in a process and
a temporary folder of its own. The calls of its sink come back as a stream of events, which the
driver repeats to the sink of the run in the same order. So the run directory, which only the
driver writes, is at every moment one that a local run might have left, checkpoints included. A job
that is lost is started again from its last checkpoint, as a local run would be.

The nodes need the same rnnlab with its dependencies, and the data of the task; the text of the
experiment's file, of the modules beside it and of the files of ``--use`` is sent to them as it was
loaded here.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import logging
import os
import queue
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from rnnlab.core import compilation_cache, json_files, run_files, signals, validate
from rnnlab.core.errors import UserError, install
from rnnlab.core.version import __version__
from rnnlab.lab import load, records
from rnnlab.lab.load import Experiment, Functions
from rnnlab.lab.sources import Code
from rnnlab.training import distributed, runner
from rnnlab.training.checkpoints import Checkpoints, Packed
from rnnlab.training.params import write_params
from rnnlab.training.runner import Job, Record, Sink, Tally
from rnnlab.training.settings import MemberSpec

_TRIES = 4  # of a job, as long as none of its members finishes
_SECONDS_TO_ANSWER = 5.0  # for the cluster's address
_SECONDS_TO_SAY = 3.0  # before a line says what is waited for
_SECONDS_TO_JOIN = 60.0
_SECONDS_TO_WAIT = 0.5  # for events, between two checks of signals


# ---- events of a job ---------------------------------------------------------------------------


class Logged(NamedTuple):
    """See :meth:`rnnlab.training.runner.Sink.log`."""

    member: int
    record: Record


class Finished(NamedTuple):
    """See :meth:`rnnlab.training.runner.Sink.finish`; with the member's parameters, packed."""

    member: int
    seconds: float
    result: Record
    params: bytes


class Rewound(NamedTuple):
    """See :meth:`rnnlab.training.runner.Sink.rewind`."""

    steps: dict[int, int]


class Resumed(NamedTuple):
    """See :meth:`rnnlab.training.runner.Sink.resumed`."""

    logged: Mapping[str, str]


class Saved(NamedTuple):
    """A new checkpoint of the batch ``name``."""

    name: str
    packed: Packed


class Tallied(NamedTuple):
    """See :meth:`rnnlab.training.runner.Sink.say`."""

    tally: Tally


class Failed(NamedTuple):
    """The end of a job by an error that would occur again."""

    node: str
    message: str


Stream = Any  # of lists of events: a Ray ObjectRefGenerator, and Ray is imported lazily
Event = Logged | Finished | Resumed | Rewound | Saved | Tallied | Failed


# ---- the cluster -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cluster:
    """A running Ray cluster, and the CPUs and GPUs of a job.

    Args:
        address: "HOST:PORT" of its head, or "auto": the address in RAY_ADDRESS, or the cluster
            that runs on this machine. This machine must be one of its nodes: Ray's client
            ("ray://") does not stream.
        cpus: per job; without GPUs each of them is a device. 0: the CPUs of all nodes, divided
            among the groups.
        gpus: per job.
    Raises:
        UserError: a negative number.
    """

    address: str = "auto"
    cpus: int = 0
    gpus: int = 0

    def __post_init__(self) -> None:
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            try:
                object.__setattr__(self, name, validate.whole(f"--ray_{name}", value, 0))
            except ValueError as error:
                raise UserError(str(error)) from None

    def connect(self) -> None:
        """Join the cluster, unless this process has joined one.

        Raises:
            UserError: Ray is not installed, or nothing answers at the address.
        """
        try:
            import ray
        except ImportError:
            raise UserError(f"--launcher=ray needs Ray: {install('cluster')}") from None
        if ray.is_initialized():
            return
        address = self.address
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS", address)
        if address != "auto":
            _knock(address)
        failed: list[Exception] = []

        def join() -> None:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except Exception as error:
                failed.append(error)

        # in a thread: it cannot be interrupted, and in this one it would take SIGTERM from Python
        thread = threading.Thread(target=join, daemon=True)
        thread.start()
        thread.join(_SECONDS_TO_SAY)
        if thread.is_alive():
            print(
                f"rnnlab: waiting for the Ray cluster at {address}, at most "
                f"{_SECONDS_TO_JOIN:.0f} seconds",
                file=sys.stderr,
            )
        end = time.monotonic() + _SECONDS_TO_JOIN
        while thread.is_alive() and time.monotonic() < end:
            thread.join(0.1)
        if thread.is_alive():
            raise UserError(
                f"the Ray cluster at {address} did not let this process join within "
                f"{_SECONDS_TO_JOIN:.0f} seconds: `ray status` shows whether it runs, and this "
                "machine must be one of its nodes"
            )
        if failed:
            if not isinstance(failed[0], ConnectionError | RuntimeError | ValueError):
                raise failed[0]
            reason = " ".join(f"{failed[0]}".split())
            raise UserError(f"cannot join the Ray cluster at {address}: {reason}") from None

    def train(
        self,
        experiment: Experiment,
        jobs: Sequence[Job],
        done: set[int],
        run_dir: Path,
        identity: str,
        sink: Sink,
    ) -> None:
        """Train as :func:`rnnlab.training.runner.train` does, each group on some node.

        Args:
            experiment: its ``measure`` is called on the nodes.
        Raises:
            UserError: an error on a node, a job that no node can take, or a job that was lost
                again and again.
        """
        self.connect()
        groups = [g for g in runner.groups(jobs) if not all(job.index in done for job in g)]
        cpus = self._share(len(groups))
        order = _Order(experiment.codes, identity, cpus, self.gpus)
        _Run(groups, jobs, set(done), run_dir, sink, order).run()
        shutil.rmtree(run_dir / run_files.CHECKPOINTS, ignore_errors=True)

    def _share(self, groups: int) -> int:
        """Return the CPUs per job."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        free = [int(node.get("CPU", 0)) for node in nodes if node.get("GPU", 0) >= self.gpus]
        cpus = self.cpus or max(1, min(max(free, default=0), sum(free) // groups))
        if cpus > max(free, default=0):
            gpus = f" and {self.gpus} GPUs" * bool(self.gpus)
            raise UserError(f"no node of the Ray cluster has {cpus} CPUs{gpus} for a job")
        return cpus


def _knock(address: str) -> None:
    """Refuse an address at which nothing listens; Ray would try for minutes.

    Raises:
        UserError: if nothing listens at the address.
    """
    try:
        socket.create_connection(
            distributed.endpoint("--ray_address", address), _SECONDS_TO_ANSWER
        ).close()
    except OSError as error:
        raise UserError(f"no Ray cluster at {address}: {error}") from None


# ---- the driver --------------------------------------------------------------------------------


class _Run:
    """The jobs of a run, from the first to the last."""

    def __init__(
        self,
        groups: list[list[Job]],
        jobs: Sequence[Job],
        done: set[int],
        run_dir: Path,
        sink: Sink,
        order: "_Order",
    ) -> None:
        self.groups, self.done, self.order = groups, done, order
        self.run_dir, self.sink = run_dir, sink
        self.keep = max(job.spec.run.keep for job in jobs)
        self.lost = [0] * len(groups)  # times in a row
        self.tallies = [Tally.of(group, done) for group in groups]
        waiting = {job.index for group in groups for job in group}
        self.before = Tally.of([job for job in jobs if job.index not in waiting], done)
        self.started = time.perf_counter()
        self.streams: dict[Stream, int] = {}  # a job's stream of events, and its group

    def run(self) -> None:
        """Run until every group is finished."""
        import ray

        with signals.watched(), signals.deferred():
            try:
                for group in range(len(self.groups)):
                    self._submit(group)
                while self.streams:
                    ready, _ = ray.wait(
                        list(self.streams), timeout=_SECONDS_TO_WAIT, fetch_local=False
                    )
                    for stream in ready:
                        self._take(stream)
                    signals.check()
            finally:
                for stream in self.streams:
                    with contextlib.suppress(Exception):  # it may be lost already
                        ray.cancel(stream, force=True)

    def _submit(self, group: int) -> None:
        import ray

        remote = ray.remote(
            num_cpus=self.order.cpus,
            num_gpus=self.order.gpus,
            num_returns="streaming",
            max_retries=0,  # _lost retries it, from the last checkpoint
            max_calls=1,  # a process of its own, in which JAX is not initialized
            scheduling_strategy="SPREAD",
        )(_job)
        jobs = self.groups[group]
        indices = {job.index for job in jobs}
        order = dataclasses.replace(
            self.order,
            members=[_Sent.of(job) for job in jobs],
            done=self.done & indices,
            checkpoints=self._checkpoints(indices),
        )
        self.streams[remote.remote(order)] = group

    def _checkpoints(self, indices: set[int]) -> dict[str, Packed]:
        """Return these members' checkpoints by the batch's name, which holds its first and last."""
        packed = {}
        for folder in (self.run_dir / run_files.CHECKPOINTS).glob("*"):
            if {int(number) for number in re.findall(r"\d+", folder.name)} <= indices:
                packed[folder.name] = self._checkpoints_of(folder.name).pack(self.keep)
        return packed

    def _checkpoints_of(self, name: str) -> Checkpoints:
        return runner.checkpoints_of(self.run_dir, name, self.order.identity, self.keep)

    def _take(self, stream: Stream) -> None:
        """Take the next events of a job, or its end."""
        import ray
        from ray.exceptions import RayError

        group = self.streams[stream]
        try:
            events = ray.get(next(stream))
        except StopIteration:
            del self.streams[stream]
            return
        except RayError as error:
            del self.streams[stream]
            self._lost(group, error)
            return
        for event in events:
            self._repeat(group, event)

    def _repeat(self, group: int, event: Event) -> None:
        """Repeat an event of a job to the sink of the run."""
        match event:
            case Logged(index, record):
                self.sink.log(index, record)
            case Finished(index, seconds, result, params):
                write_params(self.run_dir, index, params)
                self.sink.finish(index, seconds, result)
                self.done.add(index)
                self.lost[group] = 0
            case Resumed(logged):
                self.sink.resumed(logged)
            case Rewound(steps):
                self.sink.rewind(steps)
            case Saved(name, packed):
                self._checkpoints_of(name).unpack(packed)
            case Tallied(tally):
                self._say(group, tally)
            case Failed(node, message):
                raise UserError(f"members {self._words(group)}, on node {node}: {message}")

    def _say(self, group: int, tally: Tally) -> None:
        if not any(known.updates for known in self.tallies):
            self.started = time.perf_counter()  # compilation does not count
        self.tallies[group] = tally
        counts = Counter(self.before.counts)
        for known in self.tallies:
            counts.update(known.counts)
        left = sum(known.left for known in self.tallies)
        updates = sum(known.updates for known in self.tallies)
        self.sink.say(Tally(counts, left, updates, self.started))

    def _lost(self, group: int, error: Exception) -> None:
        """Start a job again that ended through no fault of its own.

        Raises:
            UserError: it was lost too often, or its node has no rnnlab. Exception: its own error.
        """
        from ray import exceptions as ray_exceptions

        reasons = {
            ray_exceptions.NodeDiedError: "its node died",
            ray_exceptions.OutOfMemoryError: "its node ran out of memory",
            ray_exceptions.WorkerCrashedError: "its process died",
            ray_exceptions.ObjectLostError: "its events were lost with its node",
        }
        name = f"the job of members {self._words(group)}"
        reason = next((words for kind, words in reasons.items() if isinstance(error, kind)), None)
        if reason is None:
            if "No module named 'rnnlab'" in str(error):
                raise UserError("a node of the Ray cluster has no rnnlab: install it there")
            error.add_note(f"in {name}; finished members are kept in {self.run_dir}")
            raise error
        self.lost[group] += 1
        if self.lost[group] >= _TRIES:
            raise UserError(
                f"{name} was lost {_TRIES} times ({reason}) without finishing a member; finished "
                "members are kept, rerun the command to resume"
            )
        has_checkpoint = bool(self._checkpoints({job.index for job in self.groups[group]}))
        print(
            f"rnnlab: {name} was lost: {reason}; it is started again"
            + " from its last checkpoint" * has_checkpoint
            + f" (try {self.lost[group] + 1} of {_TRIES})",
            file=sys.stderr,
        )
        self._submit(group)

    def _words(self, group: int) -> str:
        first, last = self.groups[group][0].index, self.groups[group][-1].index
        return f"{first} to {last}" if last > first else f"{first}"


# ---- the node ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sent:
    """A :class:`~rnnlab.training.runner.Job` in plain values."""

    index: int
    config: Record
    key: np.ndarray
    impl: str

    @classmethod
    def of(cls, job: Job) -> "_Sent":
        data = np.asarray(jax.random.key_data(job.key))
        config = job.spec.config.to_dict()
        return cls(job.index, config, data, str(jax.random.key_impl(job.key)))

    def job(self) -> Job:
        key = jax.random.wrap_key_data(jax.numpy.asarray(self.key), impl=self.impl)
        return Job(self.index, MemberSpec.from_config(ConfigDict(self.config).lock()), key)


def _versions() -> dict[str, str]:
    """Return the versions that must be the same on all machines for the results to be."""
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        if "_experiments" not in path.parts:
            sources.update(path.read_bytes())
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {name: importlib.metadata.version(name) for name in names} | {
        "rnnlab": f"{__version__} ({sources.hexdigest()[:8]})"
    }


@dataclass(frozen=True)
class _Order:
    """Everything that a node needs for a job."""

    codes: Sequence[Code]  # the files to execute; the last is the experiment's
    identity: str
    cpus: int
    gpus: int
    members: Sequence[_Sent] = ()
    done: set[int] = dataclasses.field(default_factory=set)
    checkpoints: dict[str, Packed] = dataclasses.field(default_factory=dict)
    folder: str = dataclasses.field(default_factory=os.getcwd)
    versions: dict[str, str] = dataclasses.field(default_factory=_versions)
    cache: bool = dataclasses.field(default_factory=compilation_cache.wanted)


class _Mail(Sink):
    """Sends its calls as events, those of one call of the program together."""

    def __init__(self, run_dir: Path, functions: Functions) -> None:
        self.run_dir, self._functions = run_dir, functions
        self.batches: queue.SimpleQueue[list[Event] | None] = queue.SimpleQueue()
        self.events: list[Event] = []
        self._logged: dict[str, str] = {}

    @property
    def measures(self) -> bool:
        return self._functions.measure is not None

    def log(self, index: int, record: Record) -> None:
        line = json_files.to_line({"member": index, **record})
        self._logged[str(index)] = run_files.chained(self._logged.get(str(index), ""), line)
        self.events.append(Logged(index, record))

    def logged(self, members: Sequence[int]) -> dict[str, str]:
        return {str(index): self._logged.get(str(index), "") for index in members}

    def resumed(self, logged: Mapping[str, str]) -> None:
        self._logged = dict(logged)
        self.events.append(Resumed(logged))

    def finish(self, index: int, seconds: float, result: Record) -> None:
        params = run_files.params_file(self.run_dir, index).read_bytes()
        self.events.append(Finished(index, seconds, result, params))

    def rewind(self, steps: dict[int, int]) -> None:
        self.events.append(Rewound(steps))

    def saved(self, name: str, checkpoints: Checkpoints) -> None:
        self.events.append(Saved(name, checkpoints.pack(1)))
        self.send()

    def measure(self, spec: MemberSpec, params: object) -> Mapping[str, object]:
        return records.measured(self._functions, spec, params)

    def say(self, tally: Tally) -> None:
        self.events.append(Tallied(dataclasses.replace(tally, counts=dict(tally.counts))))
        self.send()

    def send(self) -> None:
        """Send the events since the last batch."""
        self.batches.put(self.events)
        self.events = []


def _job(order: _Order) -> Iterator[list[Event]]:
    """Train one group on this node; yield its events as they happen, in batches."""
    node = socket.gethostname()
    ours, theirs = _versions(), order.versions
    different = [f"{k} {ours[k]} (here {theirs[k]})" for k in theirs if ours[k] != theirs[k]]
    if different:
        yield [Failed(node, f"it has {', '.join(different)}: install the same")]
        return
    if Path(order.folder).is_dir():
        os.chdir(order.folder)  # a task's paths may be relative to it
    if not order.gpus:
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", order.cpus)  # before the first use of JAX
    kept = compilation_cache.kept(order.cache)
    with tempfile.TemporaryDirectory(prefix="rnnlab-") as folder, kept:
        module = [load.execute(code) for code in order.codes][-1]
        mail = _Mail(Path(folder), Functions.of(module))
        failed: list[BaseException] = []

        def work() -> None:
            try:
                _train(order, Path(folder), mail)
            except (ValueError, OSError) as error:
                mail.events.append(Failed(node, f"{error}"))
                mail.send()
            except BaseException as error:
                failed.append(error)
            mail.batches.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (events := mail.batches.get()) is not None:
            yield events
        if failed:
            raise failed[0]


def _train(order: _Order, folder: Path, mail: _Mail) -> None:
    import ray

    jobs = [sent.job() for sent in order.members]
    for name, packed in order.checkpoints.items():
        keep = max(len(packed), 1)
        runner.checkpoints_of(folder, name, order.identity, keep).unpack(packed)
    # jobs share the memory in proportion to their CPUs
    node = ray.get_runtime_context().get_node_id()
    cpus = next(n["Resources"]["CPU"] for n in ray.nodes() if n["NodeID"] == node)
    runner.train(jobs, order.done, folder, order.identity, mail, order.cpus / cpus)
    if mail.events:
        mail.send()
