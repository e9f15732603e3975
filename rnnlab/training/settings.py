"""From a config to a member ready to train: settings, setup, hyperparameters, parameters.

A member's config is parsed once, by :meth:`MemberSpec.from_config`, into a frozen value that is
checked and handed on: the plan holds it, the runner groups and trains by it.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab import tasks
from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.nn import layers, losses, models, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import Batch, HasModel, Task, sequences_to_score
from rnnlab.tasks.model import model_for_task
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.regularizers import check_omega

Array = jax.Array
PyTree = Any  # parameters, recurrent states and data sets
Config = Any  # an ml_collections ConfigDict, or a group of one: its values have no static type

MAPPINGS = ("auto", "lax_map", "vmap")


@dataclass(frozen=True)
class Settings:
    """The static settings of training; see :class:`~rnnlab.training.optimizers.Hyper` for the rest.

    Args:
        optimizer: see :class:`~rnnlab.training.optimizers.Optimizer`; it holds the number of steps.
        batch_size: B.
        window: steps of truncated BPTT; the state is carried from window to window of a sequence,
            the gradient is not; one update per window. 0: the whole sequence.
        reduction: of the loss, "mean" or "sum_over_time".
        regularizer: "none" or "omega" (Pascanu et al. 2013), whose weight is ``Hyper.omega``.
        eval_every: steps of a chunk; after each chunk the test set is scored.
        eval_batch_size: sequences that are scored at a time; of a task that draws its sequences,
            the number that is scored.
        eval_sample: held-out sequences that are scored; 0: all of them.
        stop_when_solved: stop at the first score that reaches the task's goal.
        engine: of the recurrence.
    Raises:
        ValueError: a number or a name out of its range.
    """

    optimizer: Optimizer = field(default_factory=Optimizer)
    batch_size: int = 32
    window: int = 0
    reduction: str = "mean"
    regularizer: str = "none"
    eval_every: int = 100
    eval_batch_size: int = 500
    eval_sample: int = 0
    stop_when_solved: bool = True
    engine: str = "auto"

    def __post_init__(self) -> None:
        for key, least in (
            ("batch_size", 1),
            ("window", 0),
            ("eval_every", 1),
            ("eval_batch_size", 1),
            ("eval_sample", 0),
        ):
            size = validate.whole(f"training.{key}", getattr(self, key), least)
            object.__setattr__(self, key, size)
        steps = self.optimizer.steps
        if steps % self.eval_every:
            raise ValueError(
                f"training.steps must be a multiple of eval_every={self.eval_every}, got {steps}"
            )
        stop = validate.flag("training.stop_when_solved", self.stop_when_solved)
        object.__setattr__(self, "stop_when_solved", stop)
        validate.choice("training.reduction", self.reduction, losses.REDUCTIONS)
        validate.choice("training.regularizer", self.regularizer, ("none", "omega"))
        validate.choice("training.engine", self.engine, ("auto", *unroll.ENGINES))


DYNAMIC = {"learning_rate": 1e-3, "clip_norm": float("inf"), "weight_decay": 0.0, "omega": 0.0}


def config(**changes: object) -> dict[str, Any]:
    """Return the ``training`` group of a config, every key present.

    Raises:
        ValueError: a key that the group does not have.

    >>> config(steps=500)["steps"], config()["optimizer"], config()["clip_norm"]
    (500, 'adam', inf)
    """
    _check_keys(changes)
    return _DEFAULTS | changes


_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Optimizer)}
_DEFAULTS |= {f.name: f.default for f in fields(Settings) if f.name != "optimizer"} | DYNAMIC
_DEFAULTS["optimizer"] = _DEFAULTS.pop("name")


def _check_keys(group: Iterable[str]) -> None:
    for key in group:
        if key not in _DEFAULTS:
            raise ValueError(unknown("training key", key, _DEFAULTS))


@dataclass(frozen=True)
class Setup:
    """Everything that a compiled program depends on: task, model and settings, equal by value.

    Args:
        task: see :class:`~rnnlab.tasks.base.Task`.
        model: a module of :mod:`rnnlab.nn.models`, or the task's own; best without its schemes
            (:func:`rnnlab.nn.models.without_init`), which would keep equal programs apart.
        settings: how it is trained.
    Raises:
        ValueError: a window that does not divide the sequence or has no target; Ω for a model
            other than one simple RNN.
    """

    task: Task
    model: models.Model
    settings: Settings

    def __post_init__(self) -> None:
        window, length = self.settings.window, self.task.length
        if window and self.task.many_to_one:
            raise ValueError(
                f"training.window={window} needs a target at every step; {self.task} has one per "
                "sequence"
            )
        if window and length % window:
            raise ValueError(
                f"training.window must divide the sequence's {length} steps, got {window}"
            )
        if self.settings.regularizer == "omega":
            check_omega(self.model.layer)

    @property
    def windows(self) -> int:
        """Updates per sequence."""
        return self.task.length // self.settings.window if self.settings.window else 1

    @property
    def cell(self) -> Cell | None:
        """The model's cell, where the model is one cell, one way, without an embedding."""
        model = self.model
        if not isinstance(model, models.Recurrent) or model.embedding_size:
            return None
        return model.layer.cell if isinstance(model.layer, layers.CellLayer) else None


def draw_params(model: models.Model, key: Array, task: Task) -> PyTree:
    """Draw the model's parameters for a task, by the model's own schemes."""
    shape = (1, 1) if task.symbols else (1, 1, task.input_size)
    return model.init(key, jnp.zeros(shape, jnp.int32 if task.symbols else jnp.float32))


# ---- a member, parsed from its config ----------------------------------------------------------


@dataclass(frozen=True)
class RunOptions:
    """The options of running a group: the ``run`` group of a training experiment's config.

    Args:
        mapping: "lax_map", "vmap", or "auto": the first on a CPU.
        members_at_once: in one program; 0: as many as the memory holds.
        checkpoint_seconds: between two checkpoints.
        keep: checkpoints that are kept.
    Raises:
        ValueError: a number or a name out of its range.
    """

    mapping: str = "auto"
    members_at_once: int = 0
    checkpoint_seconds: float = 30.0
    keep: int = 2

    def __post_init__(self) -> None:
        validate.choice("run.mapping", self.mapping, MAPPINGS)
        at_once = validate.whole("run.members_at_once", self.members_at_once, 0)
        seconds = validate.number("run.checkpoint_seconds", self.checkpoint_seconds, least=0)
        object.__setattr__(self, "members_at_once", at_once)
        object.__setattr__(self, "checkpoint_seconds", seconds)
        object.__setattr__(self, "keep", validate.whole("run.keep", self.keep, 1))


class GroupKey(NamedTuple):
    """The key of a group, whose members are trained by one compiled program."""

    setup: Setup
    mapping: str
    members_at_once: int


class Member(NamedTuple):
    """One member, drawn from its config and ready to train."""

    setup: Setup
    hyper: Hyper
    key: Array
    params: PyTree


@dataclass(frozen=True, eq=False)
class MemberSpec:
    """One member's config, parsed and checked; made by :meth:`from_config`.

    Args:
        config: the config itself, for the experiment's ``measure``.
        setup: the static part, equal for all members of a group.
        model: the setup's model with the schemes that draw the member's parameters.
        hyper: the numbers that differ within a group.
        run: the options of running the group.
        probe_steps: the steps before which the gradient is probed: ``probes.at``.
    """

    config: Config
    setup: Setup
    model: models.Model
    hyper: Hyper
    run: RunOptions
    probe_steps: tuple[int, ...]

    @classmethod
    def from_config(cls, config: Config, task: Task | None = None) -> "MemberSpec":
        """Parse a member's config; nothing is drawn.

        Args:
            config: with the groups task (as :func:`rnnlab.tasks.from_config`), cell (as
                :func:`rnnlab.nn.layers.config`; or the groups that the task's own model reads),
                init and training (as :func:`config`); optionally run (as
                :func:`rnnlab.training.runner.config`) and probes.
            task: in place of that of the group task, as a run has stored it.
        Raises:
            ValueError: an unknown key or name, a number out of its range, or values that do not
                go together.
            FileNotFoundError: data that the model's sizes depend on are not there.
        """
        with _path_named():  # sizes of a model may depend on the data
            task = task_of(config) if task is None else task
            model = _model(config, task)
            setup = Setup(task, models.without_init(model), _settings(config.training))
        group = config.run if "run" in config else {}
        run = RunOptions(**{f.name: group[f.name] for f in fields(RunOptions) if f.name in group})
        return cls(
            config, setup, model, hyper_of(config.training), run, _probe_steps(config, setup)
        )

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.setup.settings.optimizer.steps

    @property
    def group_key(self) -> GroupKey:
        """The key of the member's group."""
        return GroupKey(self.setup, self.run.mapping, self.run.members_at_once)

    def check_data(self) -> None:
        """Read the data, and see whether batches of the member's sizes can be had.

        Raises:
            ValueError: data that do not fit.
            FileNotFoundError, ConnectionError: data that are not there.
        """
        settings = self.setup.settings
        with _path_named():
            _check_data(self.setup.task, settings.batch_size, settings.eval_batch_size)

    def draw(self, key: Array) -> Member:
        """Draw the member: parameters from its init, a key for its data."""
        key_params, key_train = jax.random.split(key)
        params = draw_params(self.model, key_params, self.setup.task)
        return Member(self.setup, self.hyper, key_train, params)


def setup_of(config: Config, task: Task | None = None) -> Setup:
    """Return the static part of a member, equal for all members of a group.

    Args:
        config, task: as of :meth:`MemberSpec.from_config`.
    Raises:
        ValueError: see :meth:`MemberSpec.from_config`.
    """
    return MemberSpec.from_config(config, task).setup


def scored(config: Config, task: Task, data: PyTree) -> int:
    """Return the number of sequences that a member is scored on: what ``task.test`` is asked for.

    Args:
        config: of the member. task: of the config. data: of its ``load``.
    """
    group = config.training
    return sequences_to_score(task, data, group.eval_sample, group.eval_batch_size)


def task_of(config: Config) -> Task:
    """Return the task of a config's ``task`` group."""
    return tasks.from_config(config.task)


def check(config: Config) -> None:
    """Refuse a member's config that does not make sense; its data are read, nothing is drawn.

    Raises:
        ValueError: an unknown key or name, a number out of its range, data that do not fit.
        FileNotFoundError, ConnectionError: data that are not there.
    """
    MemberSpec.from_config(config).check_data()


def member(config: Config, key: Array) -> Member:
    """Draw the member that a config describes: parameters from its init, a key for its data."""
    return MemberSpec.from_config(config).draw(key)


def hyper_of(group: Config) -> Hyper:
    """Return the numbers of a config's ``training`` group that may differ within a program.

    Raises:
        ValueError: a negative one, or a bound of 0 on the gradient's norm.

    >>> float(hyper_of(config(learning_rate=0.5)).learning_rate)
    0.5
    """
    numbers = {
        key: validate.number(f"training.{key}", group[key], least=0, finite=key != "clip_norm")
        for key in DYNAMIC
    }
    if numbers["clip_norm"] == 0:
        raise ValueError("training.clip_norm=0.0 would leave no gradient (inf: no clipping)")
    return Hyper(**{key: jnp.asarray(number, jnp.float32) for key, number in numbers.items()})


def _model(config: Config, task: Task) -> models.Model:
    if isinstance(task, HasModel):
        model: Any = task.model(config)
        return model
    init = InitScheme.from_config(config.init)
    return model_for_task(task, layers.from_config(config.cell, init), init)


def _settings(group: Config) -> Settings:
    _check_keys(group)
    names = {f.name for f in fields(Optimizer)} - {"name"}
    optimizer = Optimizer(name=group["optimizer"], **{name: group[name] for name in names})
    others = {f.name: group[f.name] for f in fields(Settings) if f.name != "optimizer"}
    return Settings(optimizer=optimizer, **others)


def _probe_steps(config: Config, setup: Setup) -> tuple[int, ...]:
    steps = config.probes.at if "probes" in config and "at" in config.probes else ()
    if steps and setup.cell is None:
        raise ValueError(
            f"probes.at needs one layer, one way, without an embedding; got {setup.model}"
        )
    every, end = setup.settings.eval_every, setup.settings.optimizer.steps
    for step in steps:
        if step % every or not 0 <= step < end:
            raise ValueError(
                f"probes.at must hold multiples of eval_every={every} below steps={end}, got {step}"
            )
    return tuple(steps)


@contextlib.contextmanager
def _path_named() -> Iterator[None]:
    """Name the key of the config in the error of a missing file."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"task.path: {error}") from error


@lru_cache(maxsize=64)  # a sweep's members share their data
def _check_data(task: Task, batch_size: int, eval_batch_size: int) -> None:
    def batches(data: PyTree) -> tuple[Batch, Batch]:
        key = jax.random.key(0)
        return task.batch(data, key, 0, batch_size), task.test(data, key, eval_batch_size)

    jax.eval_shape(batches, task.load())
