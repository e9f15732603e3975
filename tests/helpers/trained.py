"""Shared by the tests of training: small members that train in a second."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.nn.initializers import InitScheme
from rnnlab.training import runner
from rnnlab.training.optimizers import Hyper
from rnnlab.training.vectorized import Program

HYPER = Hyper(learning_rate=1e-2, clip_norm=1.0, weight_decay=0.0, omega=0.0)


def config(
    seed: int = 0,
    cell: str = "rnn-tanh",
    task: dict[str, Any] | None = None,
    init: dict[str, str] | None = None,
    run: dict[str, Any] | None = None,
    probes: tuple[int, ...] = (),
    hidden_size: int = 5,
    layers: int = 1,
    **settings: Any,
) -> ConfigDict:
    """Return a member's config; ``settings`` are those of the group training."""
    settings = {"steps": 20, "eval_every": 10, "batch_size": 4, "eval_batch_size": 8} | settings
    return ConfigDict(
        {
            "seed": seed,
            "task": task or {"name": "adding", "length": 10},
            "cell": {"name": cell, "hidden_size": hidden_size, "layers": layers},
            "init": InitScheme.config(**(init or {})),
            "training": training.config(**settings),
            "probes": {"at": probes},
            "run": runner.config(**(run or {})),
        }
    ).lock()


def member(**options: Any) -> training.Member:
    """Draw a member of :func:`config`."""
    made: Any = config(**options)
    return training.member(made, jax.random.key(made.seed))


def job(index: int, **options: Any) -> runner.Job:
    """Make the job of a member of :func:`config` whose index is its seed."""
    spec = training.MemberSpec.from_config(config(seed=index, **options))
    return runner.Job(index, spec, jax.random.key(index))


def program(
    setup: training.Setup, capacity: int, devices: Sequence[Any], mapping: str = "auto"
) -> Program:
    """Return the program of a group; an equal one is not compiled again."""
    mapping = "lax_map" if mapping == "auto" else mapping  # as on every CPU
    return _program(setup, capacity, tuple(devices), mapping)


_program = lru_cache(Program)


class Recorder(runner.Sink):
    """Keeps the records of a run, after those of an interrupted one.

    Args:
        before: the records of the interrupted run that this one resumes.
        stop_after: calls of the program after which Stopped is raised: before its checkpoint.
    """

    class Stopped(Exception):
        """Stands for a kill."""

    def __init__(self, before: "Recorder | None" = None, stop_after: int | None = None) -> None:
        self.metrics: list[tuple[int, dict[str, Any]]] = list(before.metrics) if before else []
        self.results: dict[int, dict[str, Any]] = dict(before.results) if before else {}
        self.steps: dict[int, int] = {}  # the last that each member has logged
        self.rewound: list[dict[int, int]] = []
        self.tallies: list[str] = []
        self.stop_after = stop_after

    @property
    def done(self) -> set[int]:
        """Members that have stopped."""
        return set(self.results)

    def log(self, index: int, record: dict[str, Any]) -> None:
        self.metrics.append((index, record))
        self.steps[index] = record["step"]

    def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
        assert index not in self.results
        self.results[index] = {k: v for k, v in result.items() if k != "ms_per_step"}

    def rewind(self, steps: dict[int, int]) -> None:
        self.rewound.append(steps)
        self.metrics = [
            (index, record)
            for index, record in self.metrics
            if index not in steps or 0 < steps[index] >= record["step"]
        ]

    def say(self, tally: runner.Tally) -> None:
        self.tallies.append(str(tally))
        if self.stop_after is not None and len(self.tallies) >= self.stop_after:
            raise self.Stopped

    def by_member(self) -> dict[int, list[dict[str, Any]]]:
        """Return each member's metrics, in order."""
        by_member: dict[int, list[dict[str, Any]]] = {}
        for index, record in self.metrics:
            by_member.setdefault(index, []).append(record)
        return by_member


def blocks(own: dict[str, Any]) -> dict[str, Any]:
    """Return each array of a one-layer member by its block's name; ``own``: params["params"]."""
    recurrent = {n: a for n, a in own["recurrent"]._asdict().items() if a is not None}
    return recurrent | {name: block for name, block in own.items() if name != "recurrent"}
