"""From a config to a member ready to train: settings, setup, hyperparameters, parameters."""

from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab import tasks
from rnnlab.core.errors import unknown
from rnnlab.nn import layers, losses, models, unroll
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import Batch, HasModel, Task
from rnnlab.tasks.model import model_for_task
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.regularizers import check_omega

Array = jax.Array


@dataclass(frozen=True)
class Settings:
    """How a member is trained, apart from its :class:`~rnnlab.training.optimizers.Hyper`.

    Args:
        optimizer: see :class:`~rnnlab.training.optimizers.Optimizer`; it holds the number of steps.
        batch_size: B.
        window: steps of truncated BPTT; the state is carried from window to window of a sequence,
            the gradient is not; one update a window. 0: the whole sequence.
        reduction: of the loss, "mean" or "sum_over_time".
        regularizer: "none" or "omega" (Pascanu et al. 2013), whose weight is ``Hyper.omega``.
        eval_every: steps between two looks at the test batch: a chunk.
        eval_batch_size: sequences of that batch.
        stop_when_solved: stop at the first look at which the task's goal is reached.
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
    stop_when_solved: bool = True
    engine: str = "auto"

    def __post_init__(self) -> None:
        for key in ("batch_size", "eval_every", "eval_batch_size"):
            if getattr(self, key) < 1:
                raise ValueError(f"training.{key} must be at least 1, got {getattr(self, key)}")
        steps = self.optimizer.steps
        if steps < 1 or steps % self.eval_every:
            raise ValueError(
                f"training.steps must be a multiple of eval_every={self.eval_every}, got {steps}"
            )
        if self.window < 0:
            raise ValueError(
                f"training.window must be 0 (no truncation) or more, got {self.window}"
            )
        for key, allowed in (
            ("reduction", losses.REDUCTIONS),
            ("regularizer", ("none", "omega")),
            ("engine", ("auto", *unroll.ENGINES)),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(unknown(f"training.{key}", getattr(self, key), allowed))


DYNAMIC = {"learning_rate": 1e-3, "clip_norm": float("inf"), "weight_decay": 0.0, "omega": 0.0}


def config(**changes: Any) -> dict[str, Any]:
    """The ``training`` group of a config, every key present.

    >>> config(steps=500)["steps"], config()["optimizer"], config()["clip_norm"]
    (500, 'adam', inf)
    """
    own = {f.name: f.default for f in fields(Settings) if f.name != "optimizer"}
    group = {f.name: f.default for f in fields(Optimizer)} | own | DYNAMIC
    group["optimizer"] = group.pop("name")
    for key in changes:
        if key not in group:
            raise ValueError(unknown("training key", key, group))
    return group | changes


@dataclass(frozen=True)
class Setup:
    """What a compiled program depends on: task, model and settings, equal by value.

    Args:
        task: see :class:`~rnnlab.tasks.base.Task`.
        model: a module of :mod:`rnnlab.nn.models`, best without its init.
        settings: how it is trained.
    Raises:
        ValueError: a window that does not divide the sequence or has no target; Ω for a model
            that is no simple RNN.
    """

    task: Task
    model: Any
    settings: Settings

    def __post_init__(self) -> None:
        window, length = self.settings.window, self.task.length
        if window and self.task.many_to_one:
            raise ValueError(
                f"training.window={window} needs a target at every step; {self.task} has one a "
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
        """Updates a sequence gives."""
        return self.task.length // self.settings.window if self.settings.window else 1


def draw_params(model: Any, key: Array, task: Task) -> Any:
    """The model's parameters for a task, drawn by its own schemes."""
    shape = (1, 1) if task.symbols else (1, 1, task.input_size)
    return model.init(key, jnp.zeros(shape, jnp.int32 if task.symbols else jnp.float32))


# ---- from a config -----------------------------------------------------------------------------


class Member(NamedTuple):
    """One member, drawn from its config and ready to train."""

    setup: Setup
    hyper: Hyper
    key: Array
    params: Any


def setup_of(config: Any) -> Setup:
    """The static part of a member: equal for all members of a group.

    Args:
        config: with the groups task (as :func:`rnnlab.tasks.from_config`), cell (as
            :func:`rnnlab.nn.layers.config`; or what the task's own model is made of), init and
            training (as :func:`config` lays it out).
    Raises:
        ValueError: an unknown key or name, or values that do not go together.
    """
    return Setup(task_of(config), models.without_init(_model(config)), _settings(config.training))


def task_of(config: Any) -> Task:
    """The task of a config's ``task`` group."""
    return tasks.from_config(config.task)


def _model(config: Any) -> Any:
    task = task_of(config)
    if isinstance(task, HasModel):
        return task.model(config)
    init = InitScheme.from_config(config.init)
    return model_for_task(task, layers.from_config(config.cell, init), init)


def _settings(group: Any) -> Settings:
    known = globals()["config"]()
    for key in group:
        if key not in known:
            raise ValueError(unknown("training key", key, known))
    names = {f.name for f in fields(Optimizer)} - {"name"}
    optimizer = Optimizer(name=group.optimizer, **{name: group[name] for name in names})
    own = {f.name: group[f.name] for f in fields(Settings) if f.name != "optimizer"}
    return Settings(optimizer=optimizer, **own)


def hyper_of(group: Any) -> Hyper:
    """The numbers of a config's ``training`` group that may differ within a program.

    Raises:
        ValueError: a negative one, or a bound of 0 on the gradient's norm.
    """
    for key in DYNAMIC:
        if not group[key] >= 0:
            raise ValueError(f"training.{key} must not be negative, got {group[key]}")
    if group["clip_norm"] == 0:
        raise ValueError("training.clip_norm=0.0 would leave no gradient (inf: no clipping)")
    return Hyper(**{key: jnp.asarray(group[key], jnp.float32) for key in DYNAMIC})


def check(config: Any) -> None:
    """Refuse a member's config that does not make sense; its data are read, nothing is drawn.

    Raises:
        ValueError: an unknown key or name, a number out of its range, data that do not fit.
        FileNotFoundError, ConnectionError: data that are not there.
    """
    try:
        setup = setup_of(config)
        _check_data(setup.task, setup.settings.batch_size, setup.settings.eval_batch_size)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"task.path: {error}") from error
    hyper_of(config.training)


@lru_cache(maxsize=64)  # a sweep's members share their data
def _check_data(task: Task, batch_size: int, eval_batch_size: int) -> None:
    """Read the data, and see whether batches of these sizes can be had."""

    def batches(data: Any) -> tuple[Batch, Batch]:
        key = jax.random.key(0)
        return task.batch(data, key, 0, batch_size), task.test(data, key, eval_batch_size)

    jax.eval_shape(batches, task.load())


def member(config: Any, key: Array) -> Member:
    """Draw the member that a config describes: parameters from its init, a key for its data."""
    setup = setup_of(config)
    key_params, key_train = jax.random.split(key)
    params = draw_params(_model(config), key_params, setup.task)
    return Member(setup, hyper_of(config.training), key_train, params)
