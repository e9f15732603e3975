"""One member trained: ``make_train(setup) -> train(key, hyper, params)``, a pure function.

A member is (initial params, hyper-parameters, key). Everything else is static and lies in a
:class:`Setup`, which is hashable: members with equal setups share one compiled program
(:mod:`rnnlab.program` maps it over them). Training goes in chunks of ``eval_every`` steps, all
inside the program; between chunks the state can be looked at, saved and resumed.

Step s reads window s mod n of sequence s div n, so that where a run is in its data is one number.
"""

from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab import losses, models, recurrence, tasks
from rnnlab.errors import unknown
from rnnlab.initializers import InitScheme
from rnnlab.optimizers import Hyper, Optimizer
from rnnlab.regularisers import check_omega, omega_gradient
from rnnlab.tasks.base import Batch, Task, lengths_of

Array = jax.Array

RUNNING, SOLVED, FINISHED, DIVERGED = range(4)
STATUS = ("running", "solved", "finished", "diverged")


@dataclass(frozen=True)
class Settings:
    """How a member is trained, apart from its :class:`~rnnlab.optimizers.Hyper`.

    Args:
        optimizer: see :class:`~rnnlab.optimizers.Optimizer`; it holds the number of steps.
        batch_size: B.
        window: steps of truncated BPTT; the state is carried from window to window of a sequence,
            the gradient is not; one update a window. 0: the whole sequence.
        reduction: of the loss, "mean" or "sum_over_time".
        regulariser: "none" or "omega" (Pascanu et al. 2013), whose weight is ``Hyper.omega``.
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
    regulariser: str = "none"
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
            raise ValueError(f"training.steps must be a multiple of eval_every="
                             f"{self.eval_every}, got {steps}")  # fmt: skip
        if self.window < 0:
            raise ValueError(f"training.window must be 0 (no truncation) or more, got "
                             f"{self.window}")  # fmt: skip
        for key, allowed in (
            ("reduction", losses.REDUCTIONS),
            ("regulariser", ("none", "omega")),
            ("engine", ("auto", *recurrence.ENGINES)),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(unknown(f"training.{key}", getattr(self, key), allowed))


_DYNAMIC = {"learning_rate": 1e-3, "clip_norm": float("inf"), "weight_decay": 0.0, "omega": 0.0}


def config(**changes: Any) -> dict[str, Any]:
    """The ``training`` group of a config, every key present.

    >>> config(steps=500)["steps"], config()["optimizer"], config()["clip_norm"]
    (500, 'adam', inf)
    """
    own = {f.name: f.default for f in fields(Settings) if f.name != "optimizer"}
    group = {f.name: f.default for f in fields(Optimizer)} | own | _DYNAMIC
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
        model: a module of :mod:`rnnlab.models`, best without its init.
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
            raise ValueError(f"training.window must divide the sequence's {length} steps, got "
                             f"{window}")  # fmt: skip
        if self.settings.regulariser == "omega":
            check_omega(self.model.layer)

    @property
    def windows(self) -> int:
        """Updates a sequence gives."""
        return self.task.length // self.settings.window if self.settings.window else 1


class TrainState(NamedTuple):
    """One member in the middle of its training; a pytree of arrays."""

    step: Array  # () int32, updates done
    status: Array  # () int32, an index of STATUS
    key: Array  # (2,) uint32, the data of the member's key
    params: Any
    opt_state: Any
    carry: Any  # the recurrent state between windows of truncated BPTT, else ()


class Progress(NamedTuple):
    """What a chunk tells of itself; scalars."""

    step: Array  # updates done by the end of the chunk
    train_loss: Array  # mean over the chunk's updates, before each
    grad_norm: Array  # mean global norm of the gradient, before clipping
    grad_norm_max: Array
    score: dict[str, Array]  # of the test batch, by Task.score


class _Sums(NamedTuple):
    updates: Array
    loss: Array
    norm: Array
    norm_max: Array


@dataclass(frozen=True)
class Train:
    """The training function of a :class:`Setup`; made by :func:`make_train`."""

    setup: Setup

    def __call__(
        self, key: Array, hyper: Hyper, params: Any, data: Any = None
    ) -> tuple[TrainState, Progress]:
        """Train one member to its end: all chunks in one scan.

        Args:
            key: draws the batches.
            hyper: the member's numbers.
            params: initial parameters, as ``model.init`` gives them.
            data: of the task's ``load``; loaded here if None.
        Returns:
            (final state, the progress of every chunk, leaves (chunks,)). A member that stopped
            early stands still from there on, its last progress repeated.
        """
        data = self.setup.task.load() if data is None else data
        state = self.start(key, params)
        chunks = self.setup.settings.optimizer.steps // self.setup.settings.eval_every

        def body(state: TrainState, _: None) -> tuple[TrainState, Progress]:
            return self.advance(state, hyper, data)

        return jax.lax.scan(body, state, None, length=chunks)

    @cached_property
    def _draws(self) -> bool:
        return _stochastic(self.setup.model.layer)

    def start(self, key: Array, params: Any) -> TrainState:
        """The state before the first update."""
        settings = self.setup.settings
        # the structure of an optimiser's state does not depend on the numbers
        optimizer = settings.optimizer.transform(Hyper(**_DYNAMIC))
        carry = ()
        if settings.window:
            carry = models.initial_state(self.setup.model, params, settings.batch_size)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            zero, zero + RUNNING, jax.random.key_data(key), params, optimizer.init(params), carry
        )

    def advance(self, state: TrainState, hyper: Hyper, data: Any) -> tuple[TrainState, Progress]:
        """One chunk: up to ``eval_every`` updates, then a look at the test batch.

        A member whose loss, gradient or parameters are not finite any more is marked as diverged,
        keeps the last finite parameters and does nothing from there on.
        """
        settings = self.setup.settings
        end = (state.step // settings.eval_every + 1) * settings.eval_every
        first = jnp.zeros((), jnp.float32)
        sums = _Sums(jnp.zeros((), jnp.int32), first, first, first)

        def going(carry: tuple[TrainState, _Sums]) -> Array:
            return (carry[0].status == RUNNING) & (carry[0].step < end)

        def body(carry: tuple[TrainState, _Sums]) -> tuple[TrainState, _Sums]:
            state, sums = carry
            new, loss, norm = self.update(state, hyper, data)
            return new, _Sums(
                sums.updates + 1,
                sums.loss + loss,
                sums.norm + norm,
                jnp.maximum(sums.norm_max, norm),
            )

        state, sums = jax.lax.while_loop(going, body, (state, sums))
        score = self.score(state, data)
        solved = self.setup.task.goal.reached(score) & settings.stop_when_solved
        done = jnp.where(state.step >= settings.optimizer.steps, FINISHED, RUNNING)
        status = jnp.where(solved, SOLVED, done)
        state = state._replace(
            status=jnp.where(state.status == RUNNING, status, state.status).astype(jnp.int32)
        )
        count = jnp.maximum(sums.updates, 1).astype(jnp.float32)
        return state, Progress(
            state.step, sums.loss / count, sums.norm / count, sums.norm_max, score
        )

    def update(self, state: TrainState, hyper: Hyper, data: Any) -> tuple[TrainState, Array, Array]:
        """One update: (new state, the loss before it, the gradient's global norm)."""
        settings = self.setup.settings
        key_noise = self._keys(state)[1]
        batch, start = self.window(state, data)
        key = jax.random.fold_in(key_noise, state.step) if self._draws else None
        loss, carry, grads = self.gradient(state.params, hyper, batch, start, key)
        optimizer = settings.optimizer.transform(hyper)
        norm = _global_norm(grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = jax.tree.map(jnp.add, state.params, updates)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        for leaf in jax.tree.leaves(params):
            finite &= jnp.isfinite(leaf).all()
        new = TrainState(state.step + 1, state.status, state.key, params, opt_state, carry)
        stopped = state._replace(status=jnp.full_like(state.status, DIVERGED))
        new = jax.tree.map(lambda n, s: jnp.where(finite, n, s), new, stopped)
        return new, loss, norm

    def gradient(
        self, params: Any, hyper: Hyper, batch: Batch, start: Any = None, key: Array | None = None
    ) -> tuple[Array, Any, Any]:
        """(loss, the recurrent state at the end, ∂(loss + ω Ω)/∂params) of one batch."""
        settings, model = self.setup.settings, self.setup.model

        def loss_of(outputs: Array) -> Array:
            loss = losses.by_name(self.setup.task.loss)
            return loss(outputs, batch.targets, batch.mask, settings.reduction)

        def run(params: Any) -> tuple[Array, Any]:
            outputs, carry = model.apply(
                params, batch.inputs, lengths=lengths_of(batch), initial_state=start, key=key,
                deterministic=not self._draws, engine=settings.engine,
            )  # fmt: skip
            return loss_of(outputs), carry

        (loss, carry), grads = jax.value_and_grad(run, has_aux=True)(params)
        if settings.regulariser == "omega":
            extra = hyper.omega * omega_gradient(model, params, batch.inputs, loss_of, start)
            recurrent = grads["params"]["recurrent"]
            recurrent = recurrent._replace(W_hh=recurrent.W_hh + extra)
            grads = {"params": {**grads["params"], "recurrent": recurrent}}
        return loss, carry if settings.window else (), grads

    def score(self, state: TrainState, data: Any) -> dict[str, Array]:
        """The task's scores of the test batch, drawn anew for every look at fresh sequences."""
        settings = self.setup.settings
        key = jax.random.fold_in(self._keys(state)[2], state.step)
        batch = self.setup.task.test(data, key, settings.eval_batch_size)
        outputs, _ = self.setup.model.apply(
            state.params, batch.inputs, lengths=lengths_of(batch), engine=settings.engine
        )
        return self.setup.task.score(outputs, batch)

    def _keys(self, state: TrainState) -> tuple[Array, Array, Array]:
        """For the batches, for noise inside the model, for the test batches."""
        key_data, key_noise, key_test = jax.random.split(jax.random.wrap_key_data(state.key), 3)
        return key_data, key_noise, key_test

    def window(self, state: TrainState, data: Any) -> tuple[Batch, Any]:
        """What the next update reads: (batch, the state to start from; None: the layer's own)."""
        settings, task, key = self.setup.settings, self.setup.task, self._keys(state)[0]
        if not settings.window:
            return task.batch(data, key, state.step, settings.batch_size), None
        sequence, index = state.step // self.setup.windows, state.step % self.setup.windows
        batch = task.batch(data, key, sequence, settings.batch_size)
        first = index * settings.window
        batch = jax.tree.map(
            lambda a: jax.lax.dynamic_slice_in_dim(a, first, settings.window, axis=1), batch
        )
        fresh = models.initial_state(self.setup.model, state.params, settings.batch_size)
        start = jax.tree.map(
            lambda f, c: jax.lax.stop_gradient(jnp.where(index == 0, f, c)), fresh, state.carry
        )
        return batch, start


def _stochastic(layer: Any) -> bool:
    """Whether the layer draws anything at a step: dropout, or a stochastic cell in it."""
    inner = getattr(layer, "layers", None) or [
        getattr(layer, name) for name in ("forward", "backward", "cell") if hasattr(layer, name)
    ]
    own = getattr(layer, "dropout", 0) > 0 or getattr(layer, "stochastic", False)
    return own or any(map(_stochastic, inner))


def draw_params(model: Any, key: Array, task: Task) -> Any:
    """The model's parameters for a task, drawn by its own schemes."""
    shape = (1, 1) if task.symbols else (1, 1, task.input_size)
    return model.init(key, jnp.zeros(shape, jnp.int32 if task.symbols else jnp.float32))


def _global_norm(tree: Any) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


def make_train(setup: Setup) -> Train:
    """The training function of a setup: ``train(key, hyper, params) -> (state, progress)``.

    >>> import jax
    >>> from rnnlab import rnn, layer
    >>> from rnnlab.tasks.adding import Adding
    >>> task = Adding(length=10)
    >>> model = models.for_task(task, layer(rnn(8)), InitScheme())
    >>> setup = Setup(task, model, Settings(Optimizer(steps=20), eval_every=10))
    >>> params = model.init(jax.random.key(0), jax.numpy.zeros((1, 10, 2)))
    >>> hyper = Hyper(learning_rate=1e-2, clip_norm=1.0, weight_decay=0.0, omega=0.0)
    >>> state, progress = make_train(setup)(jax.random.key(1), hyper, params)
    >>> int(state.step), progress.train_loss.shape
    (20, (2,))
    """
    return Train(setup)


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
            :func:`rnnlab.recurrence.config`; or what the task's own model is made of), init and
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
    if hasattr(task, "model"):
        return task.model(config)  # type: ignore[attr-defined]
    init = InitScheme.from_config(config.init)
    return models.for_task(task, recurrence.from_config(config.cell, init), init)


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
    for key in _DYNAMIC:
        if not group[key] >= 0:
            raise ValueError(f"training.{key} must not be negative, got {group[key]}")
    if group["clip_norm"] == 0:
        raise ValueError("training.clip_norm=0.0 would leave no gradient (inf: no clipping)")
    return Hyper(**{key: jnp.asarray(group[key], jnp.float32) for key in _DYNAMIC})


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
