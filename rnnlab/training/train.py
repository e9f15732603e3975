"""One member trained: ``make_train(setup) -> train(key, hyper, params)``, a pure function.

A member is (initial params, hyperparameters, key). Everything else is static and lies in a
:class:`Setup`, which is hashable: members with equal setups share one compiled program
(:mod:`rnnlab.training.vectorized` maps it over them). Training runs in chunks of ``eval_every``
steps inside the program; between chunks the state can be read, saved and resumed. After each chunk
the test set is scored and, where there is one, the validation set: the only one that chooses the
parameters that a member keeps, and when it stops for lack of progress.

Step s reads window s mod n of sequence s div n: the position of a run in its data is one number.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.metrics import VALIDATION
from rnnlab.nn import losses, models, norms
from rnnlab.nn.layers import draws_noise
from rnnlab.tasks.base import (
    Batch,
    HasValidation,
    RaggedBatch,
    lengths_of,
    sequences_to_score,
    sequences_to_validate,
)
from rnnlab.training.optimizers import Hyper
from rnnlab.training.regularizers import flossing_gradient, omega_gradient
from rnnlab.training.settings import Setup, check_validation, draw_params

Array = jax.Array
PyTree = Any  # parameters, states and data sets

RUNNING, SOLVED, FINISHED, DIVERGED, STOPPED = range(5)
STATUS = ("running", "solved", "finished", "diverged", "stopped")


class TrainState(NamedTuple):
    """One member in the middle of its training; a pytree of arrays."""

    step: Array  # () int32, updates done
    status: Array  # () int32, an index of STATUS
    key: Array  # (2,) uint32, the data of the member's key
    params: PyTree
    opt_state: PyTree
    carry: PyTree  # the recurrent state between windows of truncated BPTT, else ()
    best: PyTree = ()  # a :class:`Best`; () where neither keep_best nor patience is set


class Best(NamedTuple):
    """The look with the best validation score; the earliest of equal ones."""

    step: Array  # () int32; 0: none yet
    waited: Array  # () int32, looks since
    score: dict[str, Array]  # all scores of that look
    params: PyTree  # the parameters then; () without keep_best


class Progress(NamedTuple):
    """The progress of one chunk; scalars."""

    step: Array  # updates done by the end of the chunk
    train_loss: Array  # mean over the chunk's updates, before each
    grad_norm: Array  # mean global norm of the gradient, before clipping; inf above 3.4e38
    grad_norm_max: Array
    score: dict[str, Array]  # of the test set, by Task.score; "validation_…": of the validation set


class _Sum(NamedTuple):
    """A sum, and the sum of the terms times :data:`_SMALL`, for where the first overflows."""

    terms: Array
    small: Array

    def plus(self, term: Array) -> "_Sum":
        return _Sum(self.terms + term, self.small + term * _SMALL)

    def over(self, count: Array) -> Array:
        """Return the mean over ``count`` terms: finite where every term is."""
        mean = self.terms / count
        return jnp.where(jnp.isfinite(mean), mean, self.small / count / _SMALL)


_SMALL = 2.0**-40  # a chunk has fewer updates than 2^40
_VALIDATION_KEY = 3  # folded into a member's key; 0, 1 and 2 are of the batches, noise and test


class _Sums(NamedTuple):
    updates: Array
    loss: _Sum
    norm: _Sum
    norm_max: Array


@dataclass(frozen=True)
class Train:
    """The training function of a :class:`Setup`; made by :func:`make_train`."""

    setup: Setup

    def __call__(
        self, key: Array, hyper: Hyper, params: PyTree, data: PyTree = None
    ) -> tuple[TrainState, Progress]:
        """Train one member to its end, all chunks in one scan.

        Args:
            key: draws the batches.
            hyper: the member's numbers.
            params: initial parameters, as ``model.init`` gives them.
            data: of the task's ``load``; loaded here if None.
        Returns:
            (final state, the progress of every chunk, leaves (chunks,)). A member that stops
            early is frozen from there on, its last progress repeated.
        """
        data = self.setup.task.load() if data is None else data
        state = self.start(key, params, hyper)
        chunks = self.setup.settings.optimizer.steps // self.setup.settings.eval_every

        def body(state: TrainState, _: None) -> tuple[TrainState, Progress]:
            return self.advance(state, hyper, data)

        return jax.lax.scan(body, state, None, length=chunks)

    @cached_property
    def _draws(self) -> bool:
        return draws_noise(self.setup.model.layer)

    def start(self, key: Array, params: PyTree, hyper: Hyper) -> TrainState:
        """Return the state before the first update.

        Args:
            key, params, hyper: as of :meth:`__call__`.
        """
        settings = self.setup.settings
        opt_state = settings.optimizer.init(params, hyper, key)
        carry = ()
        if settings.window:
            carry = models.initial_state(self.setup.model, params, settings.batch_size)
        zero = jnp.zeros((), jnp.int32)
        state = TrainState(zero, zero + RUNNING, jax.random.key_data(key), params, opt_state, carry)
        if not settings.chooses:
            return state
        score = jax.tree.map(lambda a: jnp.full(a.shape, jnp.nan, a.dtype), self._score_shapes)
        kept = self.evaluated(state) if settings.keep_best else ()
        return state._replace(best=Best(zero, zero, score, kept))

    @property
    def score_names(self) -> tuple[str, ...]:
        """The names of the scores of a look; nothing is computed for them."""
        return tuple(self._score_shapes)

    @cached_property
    def _score_shapes(self) -> dict[str, Array]:
        """The scores of a look, as shapes."""
        setup = self.setup

        def look(data: PyTree) -> dict[str, Array]:
            key = jax.random.key(0)
            params = draw_params(setup.model, key, setup.task)
            zero = jnp.zeros((), jnp.int32)
            state = TrainState(zero, zero, jax.random.key_data(key), params, (), ())
            return self.score(state, data) | self.validate(state, data)

        return jax.eval_shape(look, setup.task.load())

    def evaluated(self, state: TrainState) -> PyTree:
        """Return the parameters that are scored and stored; see :class:`Optimizer` for averages."""
        return self.setup.settings.optimizer.evaluated(state.opt_state, state.params)

    def advance(self, state: TrainState, hyper: Hyper, data: PyTree) -> tuple[TrainState, Progress]:
        """Train one chunk: up to ``eval_every`` updates, then score the test and validation sets.

        A member with a loss, or an entry of its gradient or parameters, that is no longer finite
        is marked as diverged, keeps its last finite parameters and is frozen. A finite gradient
        is never called diverged, however large its norm.
        """
        settings = self.setup.settings
        ran = state.status == RUNNING
        end = (state.step // settings.eval_every + 1) * settings.eval_every
        zero = jnp.zeros((), jnp.float32)
        empty = _Sum(zero, zero)
        sums = _Sums(jnp.zeros((), jnp.int32), empty, empty, zero)

        def runs(carry: tuple[TrainState, _Sums]) -> Array:
            return (carry[0].status == RUNNING) & (carry[0].step < end)

        def body(carry: tuple[TrainState, _Sums]) -> tuple[TrainState, _Sums]:
            state, sums = carry
            new, loss, norm = self.update(state, hyper, data)
            return new, _Sums(
                sums.updates + 1,
                sums.loss.plus(loss),
                sums.norm.plus(norm),
                jnp.maximum(sums.norm_max, norm),
            )

        state, sums = jax.lax.while_loop(runs, body, (state, sums))
        score, goal = self.score(state, data) | self.validate(state, data), self.setup.task.goal
        judged = score[f"{VALIDATION}{goal.metric}" if settings.chooses else goal.metric]
        solved = goal.reached({goal.metric: judged}) & settings.stop_when_solved
        waiting = jnp.int32(RUNNING)
        if settings.chooses:
            best = self._better(state, score)
            best = jax.tree.map(lambda new, old: jnp.where(ran, new, old), best, state.best)
            state = state._replace(best=best)
            if settings.patience:
                waiting = jnp.where(best.waited >= settings.patience, STOPPED, RUNNING)
        done = jnp.where(state.step >= settings.optimizer.steps, FINISHED, waiting)
        status = jnp.where(solved, SOLVED, done)
        state = state._replace(
            status=jnp.where(state.status == RUNNING, status, state.status).astype(jnp.int32)
        )
        count = jnp.maximum(sums.updates, 1).astype(jnp.float32)
        return state, Progress(
            state.step, sums.loss.over(count), sums.norm.over(count), sums.norm_max, score
        )

    def update(
        self, state: TrainState, hyper: Hyper, data: PyTree
    ) -> tuple[TrainState, Array, Array]:
        """Update once: return (new state, the loss before it, the gradient's global norm)."""
        settings = self.setup.settings
        key_noise = self._keys(state)[1]
        batch, start = self.window(state, data)
        key = jax.random.fold_in(key_noise, state.step) if self._draws else None
        loss, carry, grads = self.gradient(state.params, hyper, batch, start, key)

        def value_fn(params: PyTree) -> Array:
            return self._loss(params, batch, start, key)[0]

        optimizer = settings.optimizer.transform(hyper)
        norm = norms.global_norm(grads)
        updates, opt_state = optimizer.update(
            grads, state.opt_state, state.params, value=loss, value_fn=value_fn
        )
        params = jax.tree.map(jnp.add, state.params, updates)
        finite = jnp.isfinite(loss) & norms.all_finite((grads, params))
        new = state._replace(step=state.step + 1, params=params, opt_state=opt_state, carry=carry)
        stopped = state._replace(status=jnp.full_like(state.status, DIVERGED))
        new = jax.tree.map(lambda n, s: jnp.where(finite, n, s), new, stopped)
        return new, loss, norm

    def gradient(
        self,
        params: PyTree,
        hyper: Hyper,
        batch: Batch,
        start: PyTree = None,
        key: Array | None = None,
    ) -> tuple[Array, PyTree, PyTree]:
        """Return (loss, the final recurrent state, ∂(loss + ω·regularizer)/∂params)."""
        settings, model = self.setup.settings, self.setup.model

        def run(params: PyTree) -> tuple[Array, PyTree]:
            return self._loss(params, batch, start, key)

        (loss, carry), grads = jax.value_and_grad(run, has_aux=True)(params)
        if settings.regularizer == "omega":
            assert isinstance(model, models.Recurrent)  # for the setup has checked its layer
            of_batch = partial(self._loss_of, batch=batch)
            extra = hyper.omega * omega_gradient(model, params, batch.inputs, of_batch, start)
            recurrent = grads["params"]["recurrent"]
            recurrent = recurrent._replace(W_hh=recurrent.W_hh + extra)
            grads = {"params": {**grads["params"], "recurrent": recurrent}}
        if settings.flossing.exponents:
            assert isinstance(model, models.Recurrent)  # for the setup has checked it
            extra = flossing_gradient(
                model, params, batch.inputs, settings.flossing, lengths_of(batch), start
            )
            finite = norms.all_finite(extra)  # else a Jacobian has fewer directions: λ = −inf
            recurrent = jax.tree.map(
                lambda g, e: g + jnp.where(finite, hyper.omega * e, 0),
                grads["params"]["recurrent"],
                extra,
            )
            grads = {"params": {**grads["params"], "recurrent": recurrent}}
        return loss, carry if settings.window else (), grads

    def _loss(
        self, params: PyTree, batch: Batch, start: PyTree, key: Array | None
    ) -> tuple[Array, PyTree]:
        """Return (loss, the final recurrent state) of one batch."""
        outputs, carry = self.setup.model.apply(
            params,
            batch.inputs,
            lengths=lengths_of(batch),
            initial_state=start,
            key=key,
            deterministic=not self._draws,
            engine=self.setup.settings.engine,
        )
        return self._loss_of(outputs, batch), carry

    def _loss_of(self, outputs: Array, batch: Batch) -> Array:
        loss = losses.by_name(self.setup.task.loss)
        return loss(outputs, batch.targets, batch.mask, self.setup.settings.reduction)

    def score(self, state: TrainState, data: PyTree) -> dict[str, Array]:
        """Return the task's scores of the test set; where it is drawn, anew for each chunk."""
        settings, task = self.setup.settings, self.setup.task
        key = jax.random.fold_in(self._keys(state)[2], state.step)
        count = sequences_to_score(task, data, settings.eval_sample, settings.eval_batch_size)
        batch = task.test(data, key, count)
        return task.score(self.answers(self.evaluated(state), batch), batch)

    def validate(self, state: TrainState, data: PyTree) -> dict[str, Array]:
        """Return the task's scores of the validation set, each under "validation_" and its name.

        Where sequences are drawn, it is the same draw at every look of a member, and none is
        scored unless the settings choose by it.

        Raises:
            ValueError: see :func:`rnnlab.training.settings.check_validation`.
        """
        settings, task = self.setup.settings, self.setup.task
        check_validation(task, data, settings)
        sample, size = settings.eval_sample, settings.eval_batch_size
        count = sequences_to_validate(task, data, sample, size)
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), _VALIDATION_KEY)
        if count and isinstance(task, HasValidation):
            batch = task.validation(data, key, count)
        elif settings.chooses:
            batch = task.test(data, key, sequences_to_score(task, data, sample, size))
        else:
            return {}
        score = task.score(self.answers(self.evaluated(state), batch), batch)
        return {f"{VALIDATION}{name}": value for name, value in score.items()}

    def _better(self, state: TrainState, score: dict[str, Array]) -> Best:
        """Return the best look after one that has just been made."""
        best, goal = state.best, self.setup.task.goal
        new, old = (s[f"{VALIDATION}{goal.metric}"] for s in (score, best.score))
        better = (new < old) if goal.at_most else (new > old)
        better |= (best.step == 0) & ~jnp.isnan(new)
        kept = self.evaluated(state) if self.setup.settings.keep_best else ()
        found = Best(state.step, jnp.zeros_like(best.waited), score, kept)
        waiting = best._replace(waited=best.waited + 1)
        return jax.tree.map(lambda n, o: jnp.where(better, n, o), found, waiting)

    def chosen(self, state: TrainState, score: PyTree) -> tuple[PyTree, PyTree]:
        """Return the parameters that a member answers with, and their scores.

        Args:
            state: of a member that has stopped. score: of its last look.
        Returns:
            those of the best look with ``keep_best``, where there was one; else the last ones.
        """
        if self.setup.settings.keep_best and int(state.best.step):
            return state.best.params, jax.tree.map(lambda a: np.asarray(a).item(), state.best.score)
        return self.evaluated(state), score

    def answers(self, params: PyTree, batch: Batch | RaggedBatch) -> PyTree:
        """Return the model's outputs for a test set, ``eval_batch_size`` sequences at a time.

        All batches have one shape: the last is filled up with copies of the last sequence, whose
        outputs are dropped. What is kept of a batch is its outputs.

        Args:
            params: of the model. batch: leaves (B, …).
        Returns:
            outputs, leaves (B, …).
        """
        settings = self.setup.settings

        def apply(part: Batch | RaggedBatch) -> PyTree:
            return self.setup.model.apply(
                params, part.inputs, lengths=lengths_of(part), engine=settings.engine
            )[0]

        count, size = len(batch.mask), settings.eval_batch_size
        if count <= size:
            return apply(batch)
        batches = -(-count // size)
        rows = jnp.minimum(jnp.arange(batches * size), count - 1).reshape(batches, size)
        whole = jax.tree.map(jnp.asarray, batch)
        outputs = jax.lax.map(lambda rows: apply(jax.tree.map(lambda a: a[rows], whole)), rows)
        return jax.tree.map(lambda a: a.reshape(batches * size, *a.shape[2:])[:count], outputs)

    def _keys(self, state: TrainState) -> tuple[Array, Array, Array]:
        """Return the keys of the batches, of noise inside the model, and of the test batches."""
        key_data, key_noise, key_test = jax.random.split(jax.random.wrap_key_data(state.key), 3)
        return key_data, key_noise, key_test

    def window(self, state: TrainState, data: PyTree) -> tuple[Batch, PyTree]:
        """Return the next update's (batch, initial state); None: the layer's own state."""
        settings, task, key = self.setup.settings, self.setup.task, self._keys(state)[0]
        if not self.setup.window:
            return task.batch(data, key, state.step, settings.batch_size), None
        sequence, index = state.step // self.setup.windows, state.step % self.setup.windows
        batch = task.batch(data, key, sequence, settings.batch_size)
        first = index * self.setup.window
        batch = jax.tree.map(
            lambda a: jax.lax.dynamic_slice_in_dim(a, first, self.setup.window, axis=1), batch
        )
        fresh = models.initial_state(self.setup.model, state.params, settings.batch_size)
        start = jax.tree.map(
            lambda f, c: jax.lax.stop_gradient(jnp.where(index == 0, f, c)), fresh, state.carry
        )
        return batch, start


def make_train(setup: Setup) -> Train:
    """Return the training function of a setup: ``train(key, hyper, params) -> (state, progress)``.

    >>> from rnnlab import RNN, InitScheme, tasks
    >>> from rnnlab.tasks.model import model_for_task
    >>> from rnnlab.training import Settings
    >>> from rnnlab.training.optimizers import Optimizer
    >>> task = tasks.by_name("adding", length=10)
    >>> model = model_for_task(task, RNN(8), InitScheme())
    >>> setup = Setup(task, model, Settings(Optimizer(steps=20), eval_every=10))
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 10, 2)))
    >>> hyper = Hyper(learning_rate=1e-2, clip_norm=1.0, weight_decay=0.0, omega=0.0)
    >>> state, progress = make_train(setup)(jax.random.key(1), hyper, params)
    >>> int(state.step), progress.train_loss.shape
    (20, (2,))
    """
    return Train(setup)
