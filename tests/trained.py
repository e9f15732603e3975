"""What the tests of training share: small members that train in a second."""

from typing import Any

import jax
from ml_collections import ConfigDict

from rnnlab import runner, training
from rnnlab.initializers import InitScheme


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
    """A member's config; ``settings`` are those of the group training."""
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
    """A member drawn from :func:`config`."""
    made = config(**options)
    return training.member(made, jax.random.key(made.seed))


class Recorder(runner.Sink):
    """Keeps what a run tells; ``stop_after`` calls of the program it raises Stopped."""

    class Stopped(Exception):
        """What stands for a kill."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.metrics: list[tuple[int, dict[str, Any]]] = []
        self.results: dict[int, dict[str, Any]] = {}
        self.rewound: list[dict[int, int]] = []
        self.tallies: list[str] = []
        self.stop_after = stop_after

    def log(self, index: int, record: dict[str, Any]) -> None:
        self.metrics.append((index, record))

    def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
        assert index not in self.results
        self.results[index] = result

    def rewind(self, steps: dict[int, int]) -> None:
        self.rewound.append(steps)

    def say(self, tally: runner.Tally) -> None:
        self.tallies.append(str(tally))
        if self.stop_after is not None and len(self.tallies) >= self.stop_after:
            raise self.Stopped
