"""Tasks that draw their sequences: the rule of each retyped in NumPy loops over its inputs."""

import dataclasses
import functools
import math
from collections import Counter, defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.tasks.adding import Adding
from rnnlab.tasks.base import Batch, Task
from rnnlab.tasks.copy_memory import CopyMemory, VariableCopy
from rnnlab.tasks.delayed_recall import DelayedRecall
from rnnlab.tasks.parity import Parity
from rnnlab.tasks.synthetic import error
from rnnlab.tasks.temporal_order import TemporalOrder

TASKS = [
    Adding(21),
    CopyMemory(7, alphabet=3, items=4),
    VariableCopy(7, alphabet=3, items=4),
    TemporalOrder(25),
    TemporalOrder(39, relevant=3),
    Parity(9),
    Parity(9, every_step=True),
    DelayedRecall(6, classes=3),
]
each_task = pytest.mark.parametrize("task", TASKS, ids=repr)


@functools.partial(jax.jit, static_argnums=(0, 1))  # compiled as one: op by op takes minutes
def drawn_batch(task, batch_size, key):
    return task.test((), key, batch_size)


@functools.partial(jax.jit, static_argnums=0)
def score_of(task, outputs, batch):
    return task.score(outputs, batch)


@functools.cache
def some(task, batch_size=100):
    """A batch as the task gives it."""
    return drawn_batch(task, batch_size, jax.random.key(0))


@functools.cache
def draw(task, batch_size=4000):
    """Many sequences, in NumPy."""
    return jax.tree.map(np.asarray, some(task, batch_size))


def codes(one_hot):
    """Whole numbers from one-hot rows, which they have to be."""
    assert set(np.unique(one_hot)) == {0, 1}
    assert (one_hot.sum(-1) == 1).all()
    return one_hot.argmax(-1)


def evenly(values, allowed):
    """Every allowed value comes, no other, and all as often up to five standard errors."""
    counts = Counter(np.ravel(values).tolist())
    assert sorted(counts) == sorted(allowed)
    total, share = sum(counts.values()), 1 / len(allowed)
    for value, count in counts.items():
        spread = math.sqrt(total * share * (1 - share))
        assert abs(count - total * share) <= 5 * spread, (value, count)


# ---- what all of them promise ------------------------------------------------------------------


@each_task
def test_keeps_the_protocol(task):
    assert isinstance(task, Task)
    assert task == dataclasses.replace(task)
    assert hash(task) == hash(dataclasses.replace(task))
    assert task != dataclasses.replace(task, solved_at=0.5)
    assert task.load() == ()
    assert task.symbols is False
    inputs, targets, mask = draw(task)
    assert inputs.shape == (4000, task.length, task.input_size)
    assert inputs.dtype == np.float32
    asked = (4000,) if task.many_to_one else (4000, task.length)
    assert mask.shape == asked
    assert mask.dtype == bool
    if task.loss == "mse":
        assert targets.shape == (*asked, task.output_size)
        assert targets.dtype == np.float32
    else:
        assert task.loss == "cross_entropy"
        assert targets.shape == asked
        assert targets.dtype == np.int32
        evenly(np.unique(targets), range(task.output_size))


def test_names():
    names = {type(task): task.name for task in TASKS}
    assert names == {
        Adding: "adding",
        CopyMemory: "copy_memory",
        VariableCopy: "variable_copy",
        TemporalOrder: "temporal_order",
        Parity: "parity",
        DelayedRecall: "delayed_recall",
    }


@each_task
def test_the_same_compiled(task):
    key = jax.random.key(3)
    compiled = jax.jit(lambda key, index: task.batch((), key, index, 8))
    for index in (0, 5):
        for a, b in zip(compiled(key, index), task.batch((), key, index, 8), strict=True):
            assert a.dtype == b.dtype
            # not to the bit: a compiler fuses the scale of Gaussian noise
            np.testing.assert_allclose(a, b, rtol=3e-7)


@each_task
def test_batches_are_told_apart_by_key_and_index_alone(task):
    def inputs(seed, index):
        return np.asarray(task.batch((), jax.random.key(seed), index, 8).inputs)

    first = inputs(0, 0)
    np.testing.assert_array_equal(first, inputs(0, 0))
    assert len({x.tobytes() for x in (first, inputs(0, 1), inputs(0, 2), inputs(1, 0))}) == 4
    folded = jax.random.fold_in(jax.random.key(0), 2)
    np.testing.assert_array_equal(inputs(0, 2), task.test((), folded, 8).inputs)
    # and no sequence of a batch is another's copy
    assert len({x.tobytes() for x in task.sample(jax.random.key(0), 8).inputs}) > 4


@each_task
def test_one_sequence(task):
    assert all(len(part) == 1 for part in draw(task, 1))


@each_task
def test_double_precision_changes_no_type(task, x64):
    inputs, targets, mask = task.sample(jax.random.key(0), 3)
    assert inputs.dtype == jnp.float32
    assert targets.dtype == (jnp.float32 if task.loss == "mse" else jnp.int32)
    assert mask.dtype == bool


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adding(1), "length must be a whole number of at least 2, got 1"),
        (lambda: Adding(10.0), r"length must be a whole number of at least 2, got 10\.0"),
        (lambda: Adding(True), "length must be a whole number of at least 2, got True"),
        (lambda: Adding(solved_at=0.0), r"solved_at must be a finite number above 0, got 0\.0"),
        (lambda: Adding(solved_at=math.inf), "solved_at must be a finite number above 0, got inf"),
        (lambda: CopyMemory(0), "delay must be a whole number of at least 1, got 0"),
        (lambda: CopyMemory(alphabet=1), "alphabet must be a whole number of at least 2, got 1"),
        (lambda: CopyMemory(items=0), "items must be a whole number of at least 1, got 0"),
        (
            lambda: CopyMemory(solved_at=1.5),
            r"solved_at must be a finite number above 0 and at most 1, got 1\.5",
        ),
        (lambda: VariableCopy(0), "delay must be a whole number of at least 1, got 0"),
        (lambda: TemporalOrder(9), "length must be a whole number of at least 10, got 9"),
        (lambda: TemporalOrder(relevant=4), "relevant must be a whole number from 2 to 3, got 4"),
        (
            lambda: TemporalOrder(solved_at=2.0),
            "solved_at must be a finite number above 0 and at most 1",
        ),
        (lambda: Parity(1), "length must be a whole number of at least 2, got 1"),
        (lambda: Parity(every_step=1), "every_step must be True or False, got 1"),
        (lambda: Parity(solved_at=-1.0), "solved_at must be a finite number above 0 and at most 1"),
        (lambda: DelayedRecall(0), "delay must be a whole number of at least 1, got 0"),
        (lambda: DelayedRecall(classes=1), "classes must be a whole number of at least 2, got 1"),
        (lambda: DelayedRecall(noise=-0.1), r"noise must be a finite number at least 0, got -0\.1"),
        (
            lambda: DelayedRecall(noise=math.nan),
            "noise must be a finite number at least 0, got nan",
        ),
        (
            lambda: DelayedRecall(solved_at=math.nan),
            "solved_at must be a finite number above 0 .* got nan",
        ),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "task",
    [
        Adding(2),
        CopyMemory(1, items=1),
        VariableCopy(1),
        TemporalOrder(10),
        Parity(2),
        TemporalOrder(10, relevant=3),
        DelayedRecall(1, classes=2, noise=0.0),
    ],
    ids=repr,
)
def test_the_shortest_can_be_drawn(task):
    inputs, targets, mask = draw(task, 50)
    assert inputs.shape == (50, task.length, task.input_size)
    assert np.isfinite(inputs).all()
    assert np.isfinite(targets).all()
    assert mask.all()


# ---- the rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 20, 21])
def test_adding_adds_what_is_marked(length):
    inputs, targets, _ = draw(Adding(length))
    values, marker = inputs[..., 0], inputs[..., 1]
    assert set(np.unique(marker)) <= {0, 1}
    firsts, seconds = [], []
    for row in range(len(inputs)):
        marked = [t for t in range(length) if marker[row, t] == 1]
        assert len(marked) == 2
        total = sum(float(values[row, t]) for t in marked)
        assert targets[row, 0] == pytest.approx(total, rel=1e-6)
        firsts.append(marked[0])
        seconds.append(marked[1])
    evenly(firsts, range(length // 2))
    evenly(seconds, range(length // 2, length))


def test_adding_draws_its_values_evenly():
    inputs, targets, _ = draw(Adding(20))
    values = inputs[..., 0]
    assert values.min() >= 0
    assert values.max() < 1
    evenly((values * 10).astype(int), range(10))
    # the marked values are independent: the variance of the sum is that of two
    assert targets.var() == pytest.approx(1 / 6, rel=0.05)


@pytest.mark.parametrize(("delay", "alphabet", "items"), [(1, 2, 1), (7, 3, 4), (30, 8, 10)])
def test_copy_memory_asks_for_what_was_shown(delay, alphabet, items):
    task = CopyMemory(delay, alphabet, items)
    inputs, targets, mask = draw(task, 500)
    assert task.length == delay + 2 * items
    assert mask.all()
    blank, delimiter = alphabet, alphabet + 1
    for given, asked in zip(codes(inputs), targets, strict=True):
        shown = given[:items].tolist()
        assert max(shown) < alphabet
        rest = [blank] * (delay - 1) + [delimiter] + [blank] * items
        assert given[items:].tolist() == rest
        assert asked.tolist() == [blank] * (delay + items) + shown
    evenly(codes(inputs)[:, :items], range(alphabet))


def test_copied_symbols_are_independent():
    shown = codes(draw(CopyMemory(2, alphabet=3, items=2)).inputs)[:, :2]
    evenly(shown[:, 0] * 3 + shown[:, 1], range(9))


def test_variable_copy_asks_after_the_delimiter():
    task = VariableCopy(delay=6, alphabet=3, items=4)
    blank, delimiter, n = 3, 4, 4
    inputs, targets, mask = draw(task)
    delays = []
    for given, asked, counts in zip(codes(inputs), targets, mask, strict=True):
        shown = given[:n].tolist()
        assert max(shown) < blank
        (end,) = np.flatnonzero(given == delimiter)
        for t in range(n, task.length):
            assert given[t] == (delimiter if t == end else blank)
        for t in range(task.length):
            recall = end < t <= end + n
            assert asked[t] == (shown[t - end - 1] if recall else blank)
            assert counts[t] == (t <= end + n)
        delays.append(int(end) - n + 1)
    evenly(delays, range(1, 7))


def test_variable_copy_of_the_longest_delay_is_copy_memory():
    inputs, targets, mask = draw(VariableCopy(5, alphabet=3, items=2))
    longest = mask.all(axis=1)
    delimiters = codes(inputs[longest]) == 4
    assert longest.any()
    fixed = codes(draw(CopyMemory(5, alphabet=3, items=2), 1).inputs) == 4
    assert (delimiters == fixed).all()
    assert (targets[longest][:, :-2] == 3).all()


@pytest.mark.parametrize("length", [10, 25, 39, 100])
@pytest.mark.parametrize(("relevant", "tenths"), [(2, [1, 5]), (3, [1, 3, 6])])
def test_temporal_order(length, relevant, tenths):
    inputs, targets, mask = draw(TemporalOrder(length, relevant))
    assert mask.all()
    drawn = codes(inputs)
    places = []
    for row, target in zip(drawn, targets, strict=True):
        found = [t for t in range(length) if row[t] < 2]
        assert len(found) == relevant
        assert target == sum(int(row[t]) * 2**i for i, t in enumerate(found))
        places.append(found)
    for i, tenth in enumerate(tenths):
        start = int(length * tenth / 10)
        evenly(np.array(places)[:, i], range(start, start + length // 10))
    evenly(targets, range(2**relevant))
    evenly(drawn[drawn >= 2], range(2, 6))


def test_parity():
    inputs, targets, mask = draw(Parity(7))
    running_inputs, running, running_mask = draw(Parity(7, every_step=True))
    assert mask.all()
    assert running_mask.all()
    np.testing.assert_array_equal(inputs, running_inputs)
    for row, end, at_each in zip(inputs[..., 0], targets, running, strict=True):
        ones = 0
        for t in range(7):
            assert row[t] in (-1, 1)
            ones += row[t] == 1
            assert at_each[t] == ones % 2
        assert end == ones % 2
    evenly(targets, range(2))
    # all sequences alike: bits are fair and independent
    evenly((inputs[..., 0] > 0) @ 2 ** np.arange(7), range(128))


def test_delayed_recall():
    task = DelayedRecall(delay=6, classes=5, noise=0.3)
    inputs, targets, mask = draw(task)
    assert mask.all()
    np.testing.assert_array_equal(codes(inputs[:, 0]), targets)
    evenly(targets, range(5))
    rest = inputs[:, 1:]
    assert rest.shape == (4000, 6, 5)
    assert task.input_variance == pytest.approx(0.09, rel=1e-12)
    # 120,000 entries: five standard errors of a Gaussian's moments
    count = rest.size
    assert rest.mean() == pytest.approx(0, abs=5 * 0.3 / math.sqrt(count))
    assert np.square(rest).mean() == pytest.approx(0.09, rel=5 * math.sqrt(2 / count))
    assert (rest**4).mean() == pytest.approx(3 * 0.09**2, rel=5 * math.sqrt(96 / 9 / count))
    correlation = np.corrcoef(rest.reshape(4000, -1).T) - np.eye(30)
    assert np.abs(correlation).max() < 5.5 / math.sqrt(4000)


def test_input_variance_is_what_the_mean_field_needs():
    task = DelayedRecall(delay=3, classes=4, noise=0.5)
    noise = draw(task).inputs[:, 1:].reshape(-1, 4)
    W_xh = np.random.default_rng(0).normal(0, 0.7, (4, 5000))
    entries = noise[:200] @ W_xh
    expected = 4 * 0.7**2 * np.square(noise[:200]).mean()
    assert np.square(entries).mean() == pytest.approx(expected, rel=0.02)
    assert np.square(noise).mean() == pytest.approx(task.input_variance, rel=0.03)


def test_blank_instead_of_noise():
    task = DelayedRecall(delay=3, classes=4, noise=0.0)
    assert task.input_variance == 0
    assert not draw(task).inputs[:, 1:].any()


# ---- baselines ---------------------------------------------------------------------------------


def entropy(answers):
    """Nats of the targets given their context, both as drawn: the best answer's loss."""
    seen = defaultdict(Counter)
    for context, target in answers:
        seen[context][int(target)] += 1
    total = sum(sum(counts.values()) for counts in seen.values())
    nats = 0.0
    for counts in seen.values():
        context_total = sum(counts.values())
        nats -= sum(c * math.log(c / context_total) for c in counts.values())
    return nats / total


def test_adding_baseline():
    task = Adding(30)
    batch = some(task, 20000)
    best = float(np.var(np.asarray(batch.targets)))  # of all constants the mean is the best
    assert task.baseline(()) == pytest.approx(best, rel=0.04)
    loss = score_of(task, jnp.ones((20000, 1)), batch)["loss"]
    assert task.baseline(()) == pytest.approx(float(loss), rel=0.04)


def test_copy_memory_baseline():
    assert CopyMemory().baseline(()) == pytest.approx(0.173287, abs=1e-6)  # T = 100
    assert CopyMemory(500).baseline(()) == pytest.approx(0.039989, abs=1e-6)
    task = CopyMemory(5, alphabet=3, items=2)
    inputs, targets, _ = draw(task, 10000)
    given = codes(inputs)
    answers = [
        ((t, given[b, t]), targets[b, t]) for b in range(len(given)) for t in range(task.length)
    ]
    assert task.baseline(()) == pytest.approx(entropy(answers), rel=2e-3)


def test_variable_copy_baseline():
    """Whatever the best answer sees besides the symbols, and all it saw before."""
    task = VariableCopy(5, alphabet=3, items=2)
    inputs, targets, mask = draw(task, 20000)
    hidden = np.where(codes(inputs) < 3, 0, codes(inputs))
    answers = [
        (tuple(hidden[b, : t + 1]), targets[b, t])
        for b in range(len(hidden))
        for t in range(task.length)
        if mask[b, t]
    ]
    # the mean length of 20,000 sequences is 7 ± .01
    assert task.baseline(()) == pytest.approx(entropy(answers), rel=7e-3)
    # and the answer the docstring names has that loss
    recall = targets < 3
    logits = np.where(recall[..., None], [0, 0, 0, -40], [-40, -40, -40, 0]).astype(np.float32)
    loss = score_of(task, jnp.asarray(logits), Batch(*map(jnp.asarray, (inputs, targets, mask))))
    assert float(loss["loss"]) == pytest.approx(task.baseline(()), rel=7e-3)


@pytest.mark.parametrize("relevant", [2, 3])
def test_temporal_order_baseline(relevant):
    task = TemporalOrder(20, relevant)
    inputs, targets, _ = draw(task, 20000)
    assert task.baseline(()) == math.log(2**relevant)
    last = codes(inputs)[:, -1]
    assert task.baseline(()) == pytest.approx(entropy(zip(last, targets, strict=True)), rel=2e-3)


@pytest.mark.parametrize("length", [2, 6])
def test_parity_baseline(length):
    inputs, targets, _ = draw(Parity(length), 20000)
    last = entropy(zip(inputs[:, -1, 0], targets, strict=True))
    assert Parity(length).baseline(()) == pytest.approx(last, rel=2e-3)
    inputs, targets, _ = draw(Parity(length, every_step=True), 20000)
    answers = [
        ((t, inputs[b, t, 0]), targets[b, t]) for b in range(len(inputs)) for t in range(length)
    ]
    expected = Parity(length, every_step=True).baseline(())
    assert expected == pytest.approx(entropy(answers), rel=2e-3)


def test_delayed_recall_baseline():
    task = DelayedRecall(3, classes=5)
    inputs, targets, _ = draw(task, 20000)
    last = inputs[:, -1].argmax(-1)  # of noise: says nothing of the class
    assert task.baseline(()) == pytest.approx(entropy(zip(last, targets, strict=True)), rel=2e-3)
    assert task.baseline(()) == math.log(5)


# ---- scores and goals --------------------------------------------------------------------------


def right(task, batch):
    """Outputs that answer every question, with a logit of 40 where it is a class."""
    if task.loss == "mse":
        return batch.targets
    return 40.0 * jax.nn.one_hot(batch.targets, task.output_size, dtype=jnp.float32)


@each_task
def test_right_answers_reach_the_goal(task):
    batch = some(task)
    score = score_of(task, right(task, batch), batch)
    assert all(value.shape == () for value in score.values())
    assert float(score["loss"]) < 1e-6
    assert task.goal.metric in score
    assert bool(task.goal.reached(score))


@each_task
def test_answers_that_know_nothing_do_not(task):
    batch = some(task, 4000)
    shape = batch.targets.shape if task.loss == "mse" else (*batch.targets.shape, task.output_size)
    score = score_of(task, jnp.ones(shape), batch)
    assert not bool(task.goal.reached(score))
    assert float(score["loss"]) > 0.95 * task.baseline(())


@each_task
def test_the_score_is_compiled_alike(task):
    batch = some(task)
    outputs = right(task, batch) + 0.5
    eager, compiled = task.score(outputs, batch), score_of(task, outputs, batch)
    assert eager.keys() == compiled.keys()
    for name in eager:
        assert float(eager[name]) == pytest.approx(float(compiled[name]), abs=1e-6)


@each_task
def test_goals_take_their_bound(task):
    changed = dataclasses.replace(task, solved_at=0.25)
    assert changed.goal.bound == 0.25
    name = {"adding": "loss", "copy_memory": "recall", "variable_copy": "recall"}
    assert changed.goal.metric == name.get(task.name, "error")
    up = changed.goal.metric == "recall"
    assert bool(changed.goal.reached({changed.goal.metric: jnp.array(0.3)})) == up
    assert bool(changed.goal.reached({changed.goal.metric: jnp.array(0.2)})) != up


@pytest.mark.parametrize(
    "task", [TemporalOrder(20), Parity(5), DelayedRecall(3)], ids=lambda task: task.name
)
def test_one_wrong_in_a_hundred_is_solved_and_two_are_not(task):
    batch = some(task)
    for wrong, solved in ((1, True), (2, False)):
        outputs = right(task, batch)
        outputs = outputs.at[:wrong].set(-outputs[:wrong])
        score = score_of(task, outputs, batch)
        assert float(score["error"]) == pytest.approx(wrong / 100)
        assert bool(task.goal.reached(score)) is solved


def test_every_step_of_parity_is_scored():
    task = Parity(10, every_step=True)
    batch = some(task, 10)
    outputs = right(task, batch)
    outputs = outputs.at[0, :7].set(-outputs[0, :7])
    assert float(score_of(task, outputs, batch)["error"]) == pytest.approx(0.07)


@pytest.mark.parametrize("kind", [CopyMemory, VariableCopy])
def test_recall_counts_the_symbols_alone(kind):
    task = kind(7, alphabet=3, items=4)
    batch = some(task, 25)
    always_blank = jnp.zeros((25, task.length, 4)).at[..., 3].set(40.0)
    assert float(score_of(task, always_blank, batch)["recall"]) == 0
    row, step = np.argwhere(np.asarray(batch.targets) < 3)[0]
    outputs = right(task, batch).at[row, step].set(always_blank[row, step])
    score = score_of(task, outputs, batch)
    assert float(score["recall"]) == pytest.approx(0.99)  # one of 100
    assert float(score["loss"]) == pytest.approx(40 / float(batch.mask.sum()), rel=1e-4)
    never_blank = right(task, batch).at[..., 3].set(-40.0)
    assert float(score_of(task, never_blank, batch)["recall"]) == 1


@each_task
def test_what_is_masked_does_not_count(task):
    batch = some(task)
    batch = batch._replace(mask=batch.mask.at[:30].set(False))
    outputs = right(task, batch)
    counts = batch.mask.reshape(batch.mask.shape + (1,) * (outputs.ndim - batch.mask.ndim))
    kept = score_of(task, outputs, batch)
    spoilt = score_of(task, jnp.where(counts, outputs, jnp.nan), batch)
    for name, value in kept.items():
        assert float(value) == float(spoilt[name]), name


def test_error_is_counted_and_not_a_difference():
    """1 − .95 is above .05 in float32."""
    for total in (20, 100, 10000):
        wrong = total // 20
        targets = jnp.zeros(total, jnp.int32)
        logits = jnp.tile(jnp.array([1.0, 0.0]), (total, 1)).at[:wrong, 1].set(2.0)
        assert bool(error(logits, targets) <= 0.05)
    mask = jnp.arange(4) < 2
    logits = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert float(error(logits, jnp.zeros(4, jnp.int32), mask)) == 0.5
