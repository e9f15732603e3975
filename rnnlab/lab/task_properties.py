"""Properties that every task has, ours and registered ones.

Shapes: B batch, T time, D input, O output.
"""

import math
from dataclasses import is_dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.lab.properties import Broken, Property, Skipped, expect_equal, expect_finite, identical
from rnnlab.nn import losses
from rnnlab.nn.cells import GRU
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import Batch, HasModel, HasTestSet, RaggedBatch, Task, lengths_of
from rnnlab.tasks.model import model_for_task

Array = jax.Array
PyTree = Any

B, MANY = 4, 256  # sequences of a batch, and of a score to compare
_SURE = 50.0  # logit of the right answer
_BETTER = 0.75  # of the baseline: a constant answer below it shows that the baseline is too high


def of_task(task: Task) -> list[Property]:
    """Return the properties of a task, in order; its data are read."""
    of = _Task(task)
    return [
        Property("hashable", "It is hashable: @dataclass(frozen=True).", of.hashable, basic=True),
        Property("equal by value", "Two tasks of the same options are equal.", of.equal),
        Property("sizes", "length, input_size and output_size are whole.", of.sizes, basic=True),
        Property("data", "load returns a pytree of arrays.", of.data_loads, basic=True),
        Property("batch", "A batch has the shapes and dtypes of the task.", of.batch, basic=True),
        Property("ranges", "Symbols and classes are in range, numbers finite.", of.ranges),
        Property("pure", "A batch depends on data, key and index alone.", of.pure),
        Property("jit", "A compiled batch, of a traced index, agrees with it.", of.compiled),
        Property("indices", "Batches of other indices and keys differ.", of.indices),
        Property("test", "test has the shapes of a batch and is pure.", of.test),
        Property("score", 'score has finite numbers, "loss" among them.', of.score, basic=True),
        Property("loss", "The loss is the masked mean of the task's loss.", of.loss),
        Property("mask", "Outputs that the mask hides have no effect.", of.mask),
        Property("goal", "Perfect answers reach the goal, random ones do not.", of.goal),
        Property("baseline", "The baseline is the loss of a memoryless answer.", of.baseline),
        Property("model", "A model of it has finite gradients.", of.model),
    ]


class _Task:
    """One task, its data, and batches to check it on."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.key = jax.random.key(3)
        self.size = int(getattr(task, "batch_size", B))  # of a task that fixes it, as of streams

    @cached_property
    def data(self) -> PyTree:
        return self.task.load()

    @cached_property
    def drawn(self) -> Any:
        return self.task.batch(self.data, self.key, 0, self.size)

    @cached_property
    def tested(self) -> Any:
        many = MANY if self.size == B else self.size
        if isinstance(self.task, HasTestSet):
            many = min(MANY, self.task.test_size(self.data))
        return self.task.test(self.data, self.key, many)

    @property
    def classes(self) -> bool:
        return self.task.loss == "cross_entropy"

    def hashable(self) -> None:
        try:
            hash(self.task)
        except TypeError as error:
            raise Broken(
                f"{error}: write @dataclass(frozen=True), with fields of plain values"
            ) from None

    def equal(self) -> None:
        other = replace(self.task) if is_dataclass(self.task) else type(self.task)()
        if self.task != other or hash(self.task) != hash(other):
            raise Broken("two of the same options are not equal: write @dataclass(frozen=True)")

    def sizes(self) -> None:
        for name in ("length", "input_size", "output_size"):
            size = getattr(self.task, name)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise Broken(f"{name} is {size!r}, expected a whole number of at least 1")
        losses.by_name(self.task.loss)

    def data_loads(self) -> None:
        for leaf in jax.tree.leaves(self.data):
            if not isinstance(leaf, np.ndarray | np.generic | jax.Array | int | float):
                raise Broken(f"load returns a {type(leaf).__name__}; keep texts out of the data")

    def _expect_batch(self, batch: Any, count: int, source: str) -> None:
        if not isinstance(batch, Batch | RaggedBatch):
            raise Broken(
                f"{source} returns a {type(batch).__name__}, expected Batch or RaggedBatch"
            )
        if isinstance(self.task, HasModel):  # it reads its own inputs
            return
        T, D, O = self.task.length, self.task.input_size, self.task.output_size  # noqa: E741
        inputs = (count, T) if self.task.symbols else (count, T, D)
        steps = (count,) if self.task.many_to_one else (count, T)
        targets = steps if self.classes else (*steps, O)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            "inputs": (inputs, jnp.integer if self.task.symbols else jnp.floating),
            "mask": (steps, jnp.bool_),
        }
        if isinstance(self.task.loss, str):
            expected["targets"] = (targets, jnp.integer if self.classes else jnp.floating)
        if isinstance(batch, RaggedBatch):
            expected["lengths"] = ((count,), jnp.integer)
        for name, (shape, kind) in expected.items():
            value = getattr(batch, name)
            if jnp.shape(value) != shape:
                raise Broken(f"{name} of {source} have shape {jnp.shape(value)}, expected {shape}")
            dtype = jnp.result_type(value)
            if not jnp.issubdtype(dtype, kind):
                words = {
                    jnp.integer: "whole numbers",
                    jnp.floating: "floats",
                    jnp.bool_: "booleans",
                }
                raise Broken(f"{name} of {source} are {dtype}, expected {words[kind]}")

    def batch(self) -> None:
        self._expect_batch(self.drawn, self.size, "batch")

    def ranges(self) -> None:
        for source, batch in (("batch", self.drawn), ("test", self.tested)):
            expect_finite((batch.inputs, batch.targets), f"{source}: inputs or targets")
            if isinstance(self.task, HasModel):
                continue
            if self.task.symbols:
                _expect_range(batch.inputs, self.task.input_size, f"input symbols of {source}")
            if self.classes:
                counted = np.asarray(batch.targets)[np.asarray(batch.mask)]
                _expect_range(counted, self.task.output_size, f"targets of {source}")
            lengths = lengths_of(batch)
            if lengths is not None:
                _expect_range(lengths, self.task.length + 1, f"lengths of {source}")
            if not np.asarray(batch.mask).any():
                raise Broken(f"the mask of {source} hides every target")

    def pure(self) -> None:
        again = self.task.batch(self.data, self.key, 0, self.size)
        expect_equal(
            again,
            self.drawn,
            "the same data, key and index give another batch, so that a resumed run would differ",
        )

    def compiled(self) -> None:
        draw = jax.jit(self.task.batch, static_argnums=3)
        # an index that is traced, as in a scan over updates
        expect_equal(draw(self.data, self.key, 0, self.size), self.drawn, "jax.jit of batch", 1e-6)

    def indices(self) -> None:
        if identical(self.task.batch(self.data, self.key, 1, self.size), self.drawn):
            raise Broken("batch gives the same for index 0 and 1: fold the index into the key")
        if identical(self.task.batch(self.data, jax.random.key(4), 0, self.size), self.drawn):
            raise Broken("batch gives the same for another key, so that all seeds see one order")

    def test(self) -> None:
        self._expect_batch(self.tested, len(np.asarray(self.tested.mask)), "test")
        again = self.task.test(self.data, self.key, len(np.asarray(self.tested.mask)))
        expect_equal(again, self.tested, "the same data and key give another test batch")

    def _outputs(self, batch: Any) -> Array:
        """Return random outputs of the model's shape."""
        steps = np.shape(batch.mask)
        shape = (*steps, self.task.output_size)
        return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)

    def _scored(self, outputs: Array) -> dict[str, Array]:
        return self.task.score(outputs, self.tested)

    def score(self) -> None:
        if isinstance(self.task, HasModel):
            raise Skipped("the task makes its own model, whose outputs only it can read")
        score = self._scored(self._outputs(self.tested))
        if not isinstance(score, dict) or "loss" not in score:
            names = ", ".join(score) if isinstance(score, dict) else type(score).__name__
            raise Broken(f'score must return a dict with "loss" in it, got {names}')
        for name, value in score.items():
            if jnp.shape(value) != ():
                raise Broken(f"{name} has shape {jnp.shape(value)}, expected a single number")
        expect_finite(score, "score")
        if self.task.goal.metric not in score:
            raise Broken(f"goal names {self.task.goal.metric!r}; score has {', '.join(score)}")

    def _own_model(self) -> None:
        if isinstance(self.task, HasModel):
            raise Skipped("the task makes its own model, whose outputs only it can read")

    def loss(self) -> None:
        self._own_model()
        outputs, batch = self._outputs(self.tested), self.tested
        loss = losses.by_name(self.task.loss)(outputs, batch.targets, batch.mask)
        expect_equal(self._scored(outputs)["loss"], loss, "score's loss against loss", 1e-4)

    def mask(self) -> None:
        self._own_model()
        outputs, hidden = self._outputs(self.tested), ~np.asarray(self.tested.mask)
        if not hidden.any():
            raise Skipped("every target counts")
        other = jnp.where(hidden[..., None], outputs + 3, outputs)
        expect_equal(self._scored(other), self._scored(outputs), "other outputs there", 1e-6)

    def _perfect(self) -> Array:
        targets = self.tested.targets
        if not self.classes:
            return jnp.asarray(targets)
        return _SURE * jax.nn.one_hot(targets, self.task.output_size, dtype=jnp.float32)

    def goal(self) -> None:
        self._own_model()
        if not isinstance(self.task.loss, str):
            raise Skipped("the loss is a function: what answers it perfectly is not known")
        goal, best = self.task.goal, self._scored(self._perfect())
        if not bool(goal.reached(best)):
            raise Broken(
                f"perfect answers give {goal.metric} = {float(best[goal.metric]):.4g}, which does "
                f"not reach the goal of {goal.bound:g}"
            )
        random = self._scored(self._outputs(self.tested))
        if bool(goal.reached(random)) and math.isfinite(goal.bound):
            raise Broken(
                f"random answers give {goal.metric} = {float(random[goal.metric]):.4g}, which "
                f"already reaches the goal of {goal.bound:g}"
            )

    def baseline(self) -> None:
        baseline = float(self.task.baseline(self.data))
        if not math.isfinite(baseline) or baseline < 0:
            raise Broken(f"the baseline is {baseline}, expected a finite loss of at least 0")
        if isinstance(self.task, HasModel) or not isinstance(self.task.loss, str):
            return
        perfect = float(self._scored(self._perfect())["loss"])
        if not perfect < baseline:
            raise Broken(f"perfect answers have loss {perfect:.4g}, the baseline is {baseline:.4g}")
        constant = float(self._scored(self._constant())["loss"])
        if constant < _BETTER * baseline:
            raise Broken(
                f"one constant answer has loss {constant:.4g}, the baseline is {baseline:.4g}: it "
                "must be the loss of the best answer that remembers nothing"
            )

    def _constant(self) -> Array:
        """Return the best answer that is the same everywhere."""
        counted = np.asarray(self.tested.targets)[np.asarray(self.tested.mask)]
        shape = (*np.shape(self.tested.mask), self.task.output_size)
        if self.classes:
            count = np.bincount(counted.ravel(), minlength=self.task.output_size) + 0.5
            answer = np.log(count / count.sum())
        else:
            answer = counted.reshape(-1, self.task.output_size).mean(axis=0)
        return jnp.broadcast_to(jnp.asarray(answer, jnp.float32), shape)

    def model(self) -> None:
        self._own_model()
        task, batch = self.task, self.drawn
        model: Any = model_for_task(task, GRU(2), InitScheme())
        params = model.init(self.key, batch.inputs, lengths=lengths_of(batch))

        def loss(params: PyTree) -> Array:
            outputs, _ = model.apply(params, batch.inputs, lengths=lengths_of(batch))
            return losses.by_name(task.loss)(outputs, batch.targets, batch.mask)

        expect_finite(jax.jit(jax.grad(loss))(params), "the gradient of a GRU on a batch")


def _expect_range(values: Any, size: int, what: str) -> None:
    values = np.asarray(values)
    if values.size and (values.min() < 0 or values.max() >= size):
        raise Broken(f"{what} lie in {values.min()} … {values.max()}, expected 0 … {size - 1}")
