"""From a config to a member ready to train: settings, setup, hyperparameters, parameters.

A member's config is parsed once, by :meth:`MemberSpec.from_config`, into a frozen value that is
checked and handed on: the plan holds it, the runner groups and trains by it.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab import tasks
from rnnlab.core import validate
from rnnlab.core.errors import CONFIG_HELP, unknown
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.gradients.criticality import with_init
from rnnlab.gradients.preparation import Preparation, check_exponents
from rnnlab.nn import layers, losses, models, unroll
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.split import Split
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import (
    Batch,
    HasModel,
    HasValidation,
    Streams,
    Task,
    holds_out,
    sequences_to_score,
    sequences_to_validate,
)
from rnnlab.tasks.model import model_for_task
from rnnlab.training import regularizers
from rnnlab.training.layer_sequences import sequences
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
        batch_size: B, sequences per update.
        window: steps of truncated BPTT; the state is carried from window to window of a sequence,
            the gradient is not; one update per window. 0: the whole sequence.
        reduction: how a sequence's losses become one: their "mean" or "sum_over_time".
        regularizer: "none", "omega" (Pascanu et al. 2013) or "flossing" (Engelken 2023), whose
            weight is ``omega``; "flossing(exponents=8)" squares the first 8 Lyapunov exponents, and
            "flossing(exponents=8, sequences=1)" measures them on one sequence of a batch.
        eval_every: steps of a chunk; after each chunk the test set is scored.
        eval_batch_size: sequences that are scored at a time; of a task that draws its sequences,
            the number that is scored.
        eval_sample: held-out sequences that are scored; 0: all of them.
        stop_when_solved: stop at the first score that reaches the task's goal: of the test set, or
            of the validation set where ``keep_best`` or ``patience`` chooses by it.
        keep_best: answer with, score and store the parameters of the look with the best
            validation score (of :attr:`rnnlab.tasks.base.Task.goal`'s metric; of equal ones the
            earliest), not the last ones.
        patience: looks in a row without a better validation score after which a member stops; 0:
            it never does.
        engine: the code that runs the recurrence; "auto": the fastest that can.
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
    keep_best: bool = False
    patience: int = 0
    engine: str = "auto"

    def __post_init__(self) -> None:
        for key, least in (
            ("batch_size", 1),
            ("window", 0),
            ("eval_every", 1),
            ("eval_batch_size", 1),
            ("eval_sample", 0),
            ("patience", 0),
        ):
            size = validate.whole(f"training.{key}", getattr(self, key), least)
            object.__setattr__(self, key, size)
        steps = self.optimizer.steps
        if steps % self.eval_every:
            raise ValueError(
                f"training.steps must be a multiple of eval_every={self.eval_every}, got {steps}"
            )
        for key in ("stop_when_solved", "keep_best"):
            flag = validate.flag(f"training.{key}", getattr(self, key))
            object.__setattr__(self, key, flag)
        validate.choice("training.reduction", self.reduction, losses.REDUCTIONS)
        object.__setattr__(self, "regularizer", regularizers.normalized(self.regularizer))
        validate.whole(
            "training.regularizer: sequences", self.flossing.sequences, 0, self.batch_size
        )
        validate.choice("training.engine", self.engine, ("auto", *unroll.ENGINES))

    @property
    def chooses(self) -> bool:
        """Whether validation scores choose the parameters, or when to stop."""
        return self.keep_best or self.patience > 0

    @property
    def flossing(self) -> regularizers.Regularizer:
        """The regularizer and its options; its ``exponents`` are 0 unless it is flossing."""
        return regularizers.parse(self.regularizer)


DYNAMIC = {"learning_rate": 1e-3, "clip_norm": float("inf"), "weight_decay": 0.0, "omega": 0.0}


def config(**changes: object) -> dict[str, Any]:
    """Return the ``training`` group of a config, every key present.

    Its keys are the fields of :class:`Settings` and :class:`Optimizer`, and those below.

    Args:
        optimizer: the update rule.
        learning_rate: α, the size of an update.
        clip_norm: bound on the gradient's global norm; inf: no clipping.
        weight_decay: λ, the share of the parameters that an update of size 1 takes away.
        omega: ω, weight of the regularizer, where one is on.
    Raises:
        ValueError: a key that the group does not have.

    >>> config(steps=500)["steps"], config()["optimizer"], config()["clip_norm"]
    (500, 'adam', inf)
    """
    _check_keys(changes)
    return _DEFAULTS | changes


_OPTIMIZER_KEYS = {f.name for f in fields(Optimizer)} - {"stand_ins"}
_DEFAULTS: dict[str, Any] = {
    f.name: f.default for f in fields(Optimizer) if f.name in _OPTIMIZER_KEYS
}
_DEFAULTS |= {f.name: f.default for f in fields(Settings) if f.name != "optimizer"} | DYNAMIC
_DEFAULTS["optimizer"] = _DEFAULTS.pop("name")


def _check_keys(group: Iterable[str]) -> None:
    for key in group:
        if key not in _DEFAULTS:
            raise ValueError(unknown("training key", key, _DEFAULTS, listing=CONFIG_HELP))


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
            other than one simple RNN; flossing for a task's own model, or of more exponents than
            a state has.
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
        if window and length % window and not isinstance(self.task, Streams):
            raise ValueError(
                f"training.window must divide the sequence's {length} steps, got {window}"
            )
        if self.settings.regularizer == "omega":
            check_omega(self.model.layer)
        if self.settings.flossing.exponents:
            asked = f"training.regularizer={self.settings.regularizer!r}"
            check_exponents(
                "exponents of training.regularizer",
                self.settings.flossing.exponents,
                checked_layer(asked, self.model),
                layer_input_size(self.model, self.task),
            )

    @property
    def window(self) -> int:
        """Steps of an update: those of the settings, or of a whole stream that is shorter."""
        window = self.settings.window
        return min(window, self.task.length) if isinstance(self.task, Streams) else window

    @property
    def windows(self) -> int:
        """Updates per sequence; what is left of a stream is less than a window."""
        return self.task.length // self.window if self.window else 1

    @property
    def cell(self) -> Cell | None:
        """The model's cell, where the model is one cell, one way, without an embedding."""
        model = self.model
        if not isinstance(model, models.Recurrent) or model.embedding_size:
            return None
        return model.layer.cell if isinstance(model.layer, layers.CellLayer) else None


def checked_layer(asked: str, model: models.Model) -> layers.Layer:
    """Return the layer of a model that is a layer with a read-out; refuse a task's own model.

    Args:
        asked: the option that needs it, for the message.
    Raises:
        ValueError: another model.
    """
    if not isinstance(model, models.Recurrent):
        raise ValueError(
            f"{asked} needs a layer with a read-out (rnnlab.nn.models); "
            f"the task's own model is {type(model).__name__}"
        )
    return model.layer


def layer_input_size(model: models.Model, task: Task) -> int:
    """Return D of a model's layer: the task's features, or those of its embedding."""
    return getattr(model, "embedding_size", 0) or task.input_size


def draw_params(model: models.Model, key: Array, task: Task) -> PyTree:
    """Draw the model's parameters for a task, by the model's own schemes."""
    shape = (1, 1) if task.symbols else (1, 1, task.input_size)
    return model.init(key, jnp.zeros(shape, jnp.int32 if task.symbols else jnp.float32))


# ---- a member, parsed from its config ----------------------------------------------------------


@dataclass(frozen=True)
class RunOptions:
    """The options of running a group: the ``run`` group of a training experiment's config.

    Args:
        mapping: how members share a program: one after another ("lax_map") or side by side
            ("vmap"); "auto": the first on a CPU.
        members_at_once: members in one program; 0: as many as the memory holds.
        checkpoint_seconds: seconds between two checkpoints.
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
    record: dict[str, Any]  # results of preparing the parameters, for the member's row


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
        preparation: what the ``init`` group asks to be done on sequences; None: nothing.
    """

    config: Config
    setup: Setup
    model: models.Model
    hyper: Hyper
    run: RunOptions
    probe_steps: tuple[int, ...]
    preparation: Preparation | None = None

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
            settings = _settings(config.training)
        settings = replace(settings, optimizer=settings.optimizer.static())
        setup = Setup(task, models.without_init(model), settings)
        hyper = hyper_of(config.training)
        group = config.run if "run" in config else {}
        run = RunOptions(**{f.name: group[f.name] for f in fields(RunOptions) if f.name in group})
        preparation = _preparation(config, model, task)
        return cls(config, setup, model, hyper, run, _probe_steps(config, setup), preparation)

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.setup.settings.optimizer.steps

    @property
    def group_key(self) -> GroupKey:
        """The key of the member's group."""
        return GroupKey(self.setup, self.run.mapping, self.run.members_at_once)

    def check_data(self) -> None:
        """Read the data, and see whether batches of the member's sizes can be had in a run.

        Raises:
            ValueError: data that do not fit; an engine that splits batches over the devices, which
                the members of a run use.
            FileNotFoundError, ConnectionError: data that are not there.
        """
        engine = self.setup.settings.engine
        if isinstance(unroll.ENGINES.get(engine), Split):
            raise ValueError(
                f"training.engine={engine!r} splits a batch over the CPU devices, which the "
                "members of a run use already: use 'auto'"
            )
        with _path_named():
            _check_data(self.setup.task, self.setup.settings)

    def draw(self, key: Array, *, prepare: bool = True) -> Member:
        """Draw the member: parameters from its init, a key for its data.

        A gain that is 'critical' is searched, and exponents are flossed, on the member's first
        batch: of truncated BPTT on its first window.

        Args:
            key: of the member.
            prepare: whether to do that; a member that is finished only fills its place.
        """
        key_params, key_train = jax.random.split(key)
        if self.preparation is None:
            params, record = draw_params(self.model, key_params, self.setup.task), {}
        elif prepare:
            params, record = self._prepared(self.preparation, key_params, key_train)
        else:
            init = self.preparation.init.with_number(1.0)
            params, record = self._drawn(init, key_params), {}
        return Member(self.setup, self.hyper, key_train, params, record)

    def _drawn(self, init: InitScheme, key: Array) -> PyTree:
        model = self.model
        assert isinstance(model, models.Recurrent)  # for _preparation has checked it
        return draw_params(model.clone(layer=with_init(model.layer, init)), key, self.setup.task)

    def _prepared(
        self, preparation: Preparation, key: Array, key_train: Array
    ) -> tuple[PyTree, dict[str, Any]]:
        setup, model = self.setup, self.model
        assert isinstance(model, models.Recurrent)  # for _preparation has checked it
        draw = partial(self._drawn, key=key)
        key_data = jax.random.split(key_train, 3)[0]  # as Train.window draws batch 0
        params = draw(preparation.init.with_number(1.0))
        xs, lengths = sequences(setup, model, params, key_data, setup.settings.batch_size)
        prepared = preparation.run(
            lambda init: draw(init)["params"]["recurrent"], model.layer, xs, lengths
        )
        own = draw(prepared.init)["params"]
        return {"params": {**own, "recurrent": prepared.params}}, prepared.record


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

    Those in the strings of its optimizer and schedule are among them, where the group has these.

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
    scalars = {key: jnp.asarray(number, jnp.float32) for key, number in numbers.items()}
    return Hyper(**scalars, numbers=_optimizer(group).numbers() if "optimizer" in group else {})


def _model(config: Config, task: Task) -> models.Model:
    if isinstance(task, HasModel):
        model: Any = task.model(config)
        return model
    init = InitScheme.from_config(config.init)
    return model_for_task(task, layers.from_config(config.cell, init), init)


def _preparation(config: Config, model: models.Model, task: Task) -> Preparation | None:
    """Return what is to be done to the drawn parameters on sequences; None: nothing.

    Raises:
        ValueError: a number out of its range, or something to do for a task's own model.
    """
    group = config.init if "init" in config else {}
    if "w_h" not in group and isinstance(task, HasModel):  # BERT, whose layers are not recurrent
        return None
    preparation = Preparation.from_config(group)
    if not preparation.needed:
        return None
    asked = "init.floss" if preparation.floss else "a number that is 'critical'"
    preparation.check(
        checked_layer(asked, model), layer_input_size(model, task), config.training.batch_size
    )
    return preparation


def _optimizer(group: Config) -> Optimizer:
    names = _OPTIMIZER_KEYS - {"name"}
    return Optimizer(name=group["optimizer"], **{name: group[name] for name in names})


def _settings(group: Config) -> Settings:
    _check_keys(group)
    optimizer = _optimizer(group)
    optimizer.check_decay(group["weight_decay"])
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


@read_once(64)  # a sweep's members share their data
def _check_data(task: Task, settings: Settings) -> None:
    """Check that batches can be had, and say which sizes follow from the data."""
    data, size = task.load(), settings.batch_size

    def batches(data: PyTree) -> tuple[Batch, Batch]:
        key = jax.random.key(0)
        return task.batch(data, key, 0, size), task.test(data, key, settings.eval_batch_size)

    train, _ = jax.eval_shape(batches, data)
    check_validation(task, data, settings)
    examples = len(train.mask)
    if examples < size and settings.window:
        raise ValueError(
            f"training.batch_size must be at most {examples}, the sequences to learn from, where "
            f"training.window={settings.window} carries states from batch to batch; got {size}"
        )
    if examples < size:
        left_out(
            f"training.batch_size={size} is more than the {examples} sequences to learn from: "
            f"each batch has all {examples}"
        )
    if settings.window and isinstance(task, Streams):
        window = min(settings.window, task.length)
        if window < settings.window:
            left_out(
                f"training.window={settings.window} is more than the {task.length} steps of a "
                f"stream: windows have {window}"
            )
        if rest := task.length % window:
            left_out(
                f"windows of {window} steps leave out {rest} of the {task.length} steps of a "
                "stream, others in every pass"
            )


def check_validation(task: Task, data: PyTree, settings: Settings) -> None:
    """Check that a task has the validation set by which its settings choose.

    Raises:
        ValueError: ``keep_best`` or ``patience`` for a task that holds out a test set and no
            validation set.
    """
    if not settings.chooses or not holds_out(task) or sequences_to_validate(task, data, 0, 1):
        return
    asked = "keep_best=True" if settings.keep_best else f"patience={settings.patience}"
    raise ValueError(
        f"training.{asked} chooses by validation sequences, and {task} holds out none: "
        + (
            "raise task.validation_share"
            if isinstance(task, HasValidation)
            else "its class needs validation(data, key, batch_size) and validation_size(data)"
        )
    )
