"""Groups of members as jobs of a Ray cluster: the results of one machine, from many.

A job is one group, trained by :func:`rnnlab.training.runner.train` in a process of its own on some
node,
in a folder that goes with it. Whatever its sink is told comes back as a stream of events, which
the driver plays to the sink of the run in the order in which they happened: so the run directory,
which only the driver writes, is at every moment one that a local run might have left, checkpoints
included. A job that is lost is started again from the last of those, as a local run would be.

The nodes need the same rnnlab with what it depends on, and the data that a task reads; the
experiment's file is sent to them.
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
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from rnnlab.core.errors import UserError
from rnnlab.core.signals import deferred
from rnnlab.core.version import __version__
from rnnlab.lab import load
from rnnlab.lab.load import Experiment
from rnnlab.training import distributed, runner
from rnnlab.training.checkpoints import Checkpoints
from rnnlab.training.params import params_file, write_params
from rnnlab.training.runner import Job, Sink, Tally

_TRIES = 4  # of a job, between two of its members' ends
_SECONDS_TO_ANSWER = 5.0  # that an address is given
_SECONDS_A_LOOK = 0.5  # between two looks at signals

Event = tuple[str, tuple[Any, ...]]  # what happened, and what to say of it


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that is running, and what a job takes of it.

    Args:
        address: "HOST:PORT" of its head, or "auto": that of RAY_ADDRESS, or the one that runs on
            this machine. This machine must be one of its nodes: Ray's client ("ray://") does
            not stream.
        cpus: of a job; on a CPU each of them is a device. 0: the CPUs of all nodes, dealt out
            to the groups.
        gpus: of a job.
    Raises:
        UserError: a negative number.
    """

    address: str = "auto"
    cpus: int = 0
    gpus: int = 0

    def __post_init__(self) -> None:
        for name in ("cpus", "gpus"):
            if getattr(self, name) < 0:
                raise UserError(f"--ray_{name} must not be negative, got {getattr(self, name)}")

    def connect(self) -> None:
        """Join the cluster, or do nothing where this process has joined one.

        Raises:
            UserError: Ray is not installed, or nothing answers at the address.
        """
        try:
            import ray
        except ImportError:
            raise UserError("--launcher=ray needs Ray: pip install 'rnnlab[cluster]'") from None
        if ray.is_initialized():
            return
        address = self.address
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS", address)
        if address != "auto":
            _knock(address)
        with _own_sigterm():
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                reason = " ".join(f"{error}".split())
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
        """As :func:`rnnlab.training.runner.train`, each group on some node.

        Args:
            experiment: whose ``measure`` looks at trained members, there and not here.
        Raises:
            UserError: what went wrong on a node, a job that no node can take, or one that was
                lost again and again.
        """
        self.connect()
        groups = [g for g in runner.groups(jobs) if not all(job.index in done for job in g)]
        cpus = self._share(len(groups))
        order = _Order(experiment.path.read_bytes(), experiment.path, identity, cpus, self.gpus)
        _Run(groups, jobs, set(done), run_dir, sink, order).run()
        shutil.rmtree(run_dir / runner.CHECKPOINTS, ignore_errors=True)

    def _share(self, groups: int) -> int:
        """CPUs a job."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        free = [int(node.get("CPU", 0)) for node in nodes if node.get("GPU", 0) >= self.gpus]
        cpus = self.cpus or max(1, min(max(free, default=0), sum(free) // groups))
        if cpus > max(free, default=0):
            gpus = f" and {self.gpus} GPUs" * bool(self.gpus)
            raise UserError(f"no node of the Ray cluster has {cpus} CPUs{gpus} for a job")
        return cpus


def _knock(address: str) -> None:
    """Refuse an address where nothing answers; Ray would try for minutes.

    Raises:
        UserError: so.
    """
    try:
        socket.create_connection(
            distributed.endpoint("--ray_address", address), _SECONDS_TO_ANSWER
        ).close()
    except OSError as error:
        raise UserError(f"no Ray cluster at {address}: {error}") from None


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
        self.keep = max(job.config.run.keep for job in jobs)
        self.lost = [0] * len(groups)  # times in a row
        self.tallies = [Tally.of(group, done) for group in groups]
        here = {job.index for group in groups for job in group}
        self.before = Tally.of([job for job in jobs if job.index not in here], done)
        self.started = time.perf_counter()
        self.streams: dict[Any, int] = {}  # of events, and the group that it is of

    def run(self) -> None:
        """Until every group has come to its end."""
        import ray

        with deferred() as signals:
            try:
                for group in range(len(self.groups)):
                    self._submit(group)
                while self.streams:
                    ready, _ = ray.wait(
                        list(self.streams), timeout=_SECONDS_A_LOOK, fetch_local=False
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
            max_retries=0,  # by us, from the last checkpoint
            max_calls=1,  # a process of its own, in which JAX has not begun
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

    def _checkpoints(self, indices: set[int]) -> "dict[str, _Packed]":
        """What there is of these members, by the batch's name, which says its ends."""
        found = {}
        for folder in (self.run_dir / runner.CHECKPOINTS).glob("*"):
            if {int(number) for number in re.findall(r"\d+", folder.name)} <= indices:
                found[folder.name] = self._checkpoints_of(folder.name).pack(self.keep)
        return found

    def _checkpoints_of(self, name: str) -> Checkpoints:
        return runner.checkpoints_of(self.run_dir, name, self.order.identity, self.keep)

    def _take(self, stream: Any) -> None:
        """The next events of a job, or its end."""
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
        for what, told in events:
            getattr(self, f"_on_{what}")(group, *told)

    def _lost(self, group: int, error: Exception) -> None:
        """Start a job again, if it was not the job's own doing that it came to an end."""
        from ray import exceptions as ray_exceptions

        reasons = {
            ray_exceptions.NodeDiedError: "its node died",
            ray_exceptions.OutOfMemoryError: "its node ran out of memory",
            ray_exceptions.WorkerCrashedError: "its process died",
            ray_exceptions.ObjectLostError: "what it sent was lost with its node",
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
                "members are kept, the same command goes on"
            )
        there_is = self._checkpoints({job.index for job in self.groups[group]})
        print(
            f"rnnlab: {name} was lost: {reason}; it is started again"
            + " from its last checkpoint" * bool(there_is)
            + f" (try {self.lost[group] + 1} of {_TRIES})",
            file=sys.stderr,
        )
        self._submit(group)

    def _words(self, group: int) -> str:
        first, last = self.groups[group][0].index, self.groups[group][-1].index
        return f"{first} to {last}" if last > first else f"{first}"

    # ---- what a job tells ----

    def _on_log(self, group: int, index: int, record: dict[str, Any]) -> None:
        self.sink.log(index, record)

    def _on_finish(
        self, group: int, index: int, seconds: float, result: dict[str, Any], params: bytes
    ) -> None:
        write_params(self.run_dir, index, params)
        self.sink.finish(index, seconds, result)
        self.done.add(index)
        self.lost[group] = 0

    def _on_rewind(self, group: int, steps: dict[int, int]) -> None:
        self.sink.rewind(steps)

    def _on_saved(self, group: int, name: str, packed: "_Packed") -> None:
        self._checkpoints_of(name).unpack(packed)

    def _on_say(self, group: int, tally: Tally) -> None:
        if not any(one.updates for one in self.tallies):
            self.started = time.perf_counter()  # what was compiled until here foretells nothing
        self.tallies[group] = tally
        counts = Counter(self.before.counts)
        for one in self.tallies:
            counts.update(one.counts)
        left, updates = (sum(getattr(t, k) for t in self.tallies) for k in ("left", "updates"))
        self.sink.say(Tally(counts, left, updates, self.started))

    def _on_failed(self, group: int, node: str, message: str) -> None:
        raise UserError(f"members {self._words(group)}, on node {node}: {message}")


# ---- the node ----------------------------------------------------------------------------------

_Packed = dict[int, dict[str, bytes]]  # Checkpoints.pack


@dataclass(frozen=True)
class _Sent:
    """A :class:`~rnnlab.training.runner.Job` in plain values."""

    index: int
    config: dict[str, Any]
    key: Any
    impl: str

    @classmethod
    def of(cls, job: Job) -> "_Sent":
        import numpy as np

        data = np.asarray(jax.random.key_data(job.key))
        return cls(job.index, job.config.to_dict(), data, str(jax.random.key_impl(job.key)))

    def job(self) -> Job:
        key = jax.random.wrap_key_data(self.key, impl=self.impl)
        return Job(self.index, ConfigDict(self.config).lock(), key)


def _versions() -> dict[str, str]:
    """What has to be the same here and there for the results to be."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        if "_experiments" not in path.parts:
            found.update(path.read_bytes())
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {name: importlib.metadata.version(name) for name in names} | {
        "rnnlab": f"{__version__} ({found.hexdigest()[:8]})"
    }


@dataclass(frozen=True)
class _Order:
    """All that a node has to know of a job."""

    source: bytes  # of the experiment's file
    path: Path
    identity: str
    cpus: int
    gpus: int
    members: Sequence[_Sent] = ()
    done: set[int] = dataclasses.field(default_factory=set)
    checkpoints: dict[str, _Packed] = dataclasses.field(default_factory=dict)
    folder: str = dataclasses.field(default_factory=os.getcwd)
    versions: dict[str, str] = dataclasses.field(default_factory=_versions)


class _Mail(Sink):
    """Sends what it is told, in lots that end with a call of the program."""

    def __init__(self, run_dir: Path, measure: Any) -> None:
        self.run_dir, self._measure = run_dir, measure
        self.lots: queue.SimpleQueue[list[Event] | None] = queue.SimpleQueue()
        self.events: list[Event] = []

    def log(self, index: int, record: dict[str, Any]) -> None:
        self.events.append(("log", (index, record)))

    def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
        params = params_file(self.run_dir, index).read_bytes()
        self.events.append(("finish", (index, seconds, result, params)))

    def rewind(self, steps: dict[int, int]) -> None:
        self.events.append(("rewind", (steps,)))

    def saved(self, name: str, checkpoints: Checkpoints) -> None:
        self.events.append(("saved", (name, checkpoints.pack(1))))
        self.send()

    def measure(self, config: Any, setup: Any, params: Any) -> dict[str, Any]:
        return {} if self._measure is None else self._measure(config, setup, params)

    def say(self, tally: Tally) -> None:
        self.events.append(("say", (dataclasses.replace(tally, counts=dict(tally.counts)),)))
        self.send()

    def send(self) -> None:
        """What has come since the last lot."""
        self.lots.put(self.events)
        self.events = []


def _job(order: _Order) -> Iterator[list[Event]]:
    """One group on this node: a generator of lots of events, as they happen."""
    node = socket.gethostname()
    ours, theirs = _versions(), order.versions
    different = [f"{k} {ours[k]} (here {theirs[k]})" for k in theirs if ours[k] != theirs[k]]
    if different:
        yield [("failed", (node, f"it has {', '.join(different)}: install the same"))]
        return
    if Path(order.folder).is_dir():
        os.chdir(order.folder)  # where a task's relative paths lead
    if not order.gpus:
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", order.cpus)  # before the first use of JAX
    with tempfile.TemporaryDirectory(prefix="rnnlab-") as folder:
        module = load.execute(order.source, order.path)
        mail = _Mail(Path(folder), getattr(module, "measure", None))
        failed: list[BaseException] = []

        def work() -> None:
            try:
                _train(order, Path(folder), mail)
            except (ValueError, OSError) as error:
                mail.events.append(("failed", (node, f"{error}")))
                mail.send()
            except BaseException as error:
                failed.append(error)
            mail.lots.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (lot := mail.lots.get()) is not None:
            yield lot
        if failed:
            raise failed[0]


def _train(order: _Order, folder: Path, mail: _Mail) -> None:
    import ray

    jobs = [sent.job() for sent in order.members]
    for name, packed in order.checkpoints.items():
        keep = max(len(packed), 1)
        runner.checkpoints_of(folder, name, order.identity, keep).unpack(packed)
    # the memory is shared as the CPUs are
    node = ray.get_runtime_context().get_node_id()
    whole = next(n["Resources"]["CPU"] for n in ray.nodes() if n["NodeID"] == node)
    runner.train(jobs, order.done, folder, order.identity, mail, order.cpus / whole)
    if mail.events:
        mail.send()
