"""Experiment trackers: a run's metrics and results in W&B, MLflow or TensorBoard while it goes.

Each member is a run of the tracker, with its config, metrics and results; the members of one
run directory are a group.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rnnlab.core import run_files, terminal, validate
from rnnlab.core.errors import UserError, install
from rnnlab.core.json_files import decode_config
from rnnlab.core.nested import flatten, with_overrides
from rnnlab.report import tensorboard
from rnnlab.report.tensorboard import member_names

NAMES = ("wandb", "mlflow", "tensorboard")
_BATCH = 100  # parameters that MLflow takes at a time
_LONGEST = 500  # characters of a parameter that every MLflow server takes


class Tracker(Protocol):
    """A receiver of what members log."""

    def log(self, member: int, record: Mapping[str, object]) -> None:
        """Take a record of metrics."""
        ...

    def finish(self, member: int, results: Mapping[str, object]) -> None:
        """Take the results of a member that has finished."""
        ...

    def close(self) -> None:
        """End; members that are not finished were interrupted."""
        ...


def open_trackers(names: Iterable[str], run_dir: Path) -> list[Tracker]:
    """Return the trackers of a run.

    Args:
        names: of ``NAMES``.
        run_dir: with its config.json.
    Raises:
        UserError: a tracker that is not installed.
    """
    return [_TRACKERS[name](run_dir) for name in dict.fromkeys(names)]


def check(names: Iterable[str]) -> None:
    """Refuse trackers that do not exist or are not installed.

    Raises:
        ValueError: with the command that installs one.
    """
    for name in names:
        validate.choice("tracker", name, NAMES)
        _imported(name)


def _imported(name: str) -> Any:
    """Return the tracker's module."""
    import importlib

    module, package = name, name
    if name == "tensorboard":
        module = package = "tensorboardX"
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name != module:  # it is there, and lacks something itself
            raise UserError(f"--log={name}: {package} cannot be imported: {error}") from None
        line = install("tensorboard") if name == "tensorboard" else install("trackers")
        raise UserError(f"--log={name} needs {package}: {line}") from None


class _Members:
    """Names and configs of a run's members."""

    def __init__(self, run_dir: Path) -> None:
        info = run_files.read_config(run_dir)
        self.project, self.group = str(info["experiment"]), run_dir.resolve().name
        self._config = decode_config(info["config"])
        self._overrides = run_files.overrides_of(info)
        self.names = member_names(self._overrides)

    def config(self, member: int) -> dict[str, object]:
        """Return a member's whole config by dotted key."""
        return flatten(with_overrides(self._config, self._overrides[member]))


def _numbers(record: Mapping[str, object]) -> dict[str, float]:
    return {
        name: value
        for name, value in record.items()
        if name != "step" and isinstance(value, int | float)
    }


class Wandb:
    """Weights & Biases: the project is the experiment's name, the group the run directory's.

    ``WANDB_MODE=offline`` and the other variables of W&B have their effect.

    Args:
        run_dir: the run directory, in which W&B keeps its files.
    """

    def __init__(self, run_dir: Path) -> None:
        self._wandb = _imported("wandb")
        self._members, self._run_dir = _Members(run_dir), run_dir
        self._runs: dict[int, Any] = {}

    def log(self, member: int, record: Mapping[str, object]) -> None:
        """Log the numbers of a record at its step."""
        step = record.get("step")
        self._run(member).log(_numbers(record), **({} if step is None else {"step": step}))

    def finish(self, member: int, results: Mapping[str, object]) -> None:
        """Write the results into the summary, and end the member's run."""
        run = self._run(member)
        run.summary.update({name: value for name, value in results.items() if _plain(value)})
        run.finish()
        del self._runs[member]

    def close(self) -> None:
        """End what is left as failed."""
        for run in self._runs.values():
            run.finish(exit_code=1)

    def _run(self, member: int) -> Any:
        if member not in self._runs:
            self._runs[member] = self._wandb.init(
                project=self._members.project,
                group=self._members.group,
                name=self._members.names[member],
                config=self._members.config(member),
                dir=str(self._run_dir),
                reinit="create_new",  # members of a group are logged side by side
            )
        return self._runs[member]


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str)


class Mlflow:
    """MLflow: the experiment's name, a parent run per run directory, a child run per member.

    ``MLFLOW_TRACKING_URI`` and the other variables of MLflow have their effect. An infinite number
    of a record is left out: MLflow's data bases would hold the largest float in its place.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self._mlflow = _imported("mlflow")
        self._members = _Members(run_dir)
        self._client = self._mlflow.MlflowClient()
        known = self._client.get_experiment_by_name(self._members.project)
        self._experiment = (
            self._client.create_experiment(self._members.project)
            if known is None
            else known.experiment_id
        )
        self._parent = self._start(self._members.group, {})
        self._runs: dict[int, str] = {}
        self._places: dict[int, int] = {}

    def log(self, member: int, record: Mapping[str, object]) -> None:
        """Log the numbers of a record at its step, or at its position."""
        run = self._run(member)
        place = self._places[member]
        self._places[member] += 1
        self._log(run, _numbers(record), record.get("step", place))

    def finish(self, member: int, results: Mapping[str, object]) -> None:
        """Log the results and end the member's run: as metrics ``result/NAME``.

        Words are tags, and so are infinite numbers.
        """
        run = self._run(member)
        numbers = _numbers(results)
        self._log(run, {f"result/{name}": value for name, value in numbers.items()}, 0)
        for name, value in results.items():
            if _plain(value) and (name not in numbers or math.isinf(numbers[name])):
                self._client.set_tag(run, _name(name), str(value))
        self._client.set_terminated(run, "FINISHED")
        del self._runs[member]

    def close(self) -> None:
        """End the group; what is left was killed."""
        for run in self._runs.values():
            self._client.set_terminated(run, "KILLED")
        self._client.set_terminated(self._parent, "KILLED" if self._runs else "FINISHED")

    def _start(self, name: str, tags: dict[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        return run.info.run_id

    def _run(self, member: int) -> str:
        if member not in self._runs:
            tags = {"mlflow.parentRunId": self._parent}
            run = self._runs[member] = self._start(self._members.names[member], tags)
            self._places[member] = 0
            param = self._mlflow.entities.Param
            params = [
                param(_name(key), terminal.cut(str(value), _LONGEST))
                for key, value in self._members.config(member).items()
            ]
            for first in range(0, len(params), _BATCH):
                self._client.log_batch(run, params=params[first : first + _BATCH])
        return self._runs[member]

    def _log(self, run: str, numbers: Mapping[str, float], step: object) -> None:
        metric, now = self._mlflow.entities.Metric, int(1000 * time.time())
        finite = {name: float(v) for name, v in numbers.items() if not math.isinf(v)}
        metrics = [metric(_name(name), v, now, step) for name, v in finite.items()]
        if metrics:
            self._client.log_batch(run, metrics=metrics)


def _name(name: str) -> str:
    """Return a name of letters, digits and the signs that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name)


_TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "wandb": Wandb,
    "mlflow": Mlflow,
    "tensorboard": tensorboard.open_files,
}
