"""The reviews as a task: no review on both sides, words against a loop, padding never matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import tasks, training
from rnnlab.nn import cells, losses, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.model import model_for_task
from rnnlab.tasks.reviews import MovieReviews, padded
from rnnlab.text.tokenizers import Words
from rnnlab.training import gradient_log
from rnnlab.training.optimizers import Hyper, Optimizer
from tests.helpers import trained

TASK = MovieReviews(max_length=12, min_count=30)
HYPER = Hyper(learning_rate=1e-2, clip_norm=1.0, weight_decay=0.0, omega=0.0)


@pytest.mark.parametrize("source", ["rotten_tomatoes", "imdb"])
def test_the_split(source):
    split, whole = (MovieReviews(source=source, validation_share=s).split() for s in (0.1, 0.0))
    parts = [set(split.texts), set(split.test_texts), set(split.validation_texts)]
    assert len(set.union(*parts)) == sum(map(len, parts))  # no review in two
    assert split.test_texts == whole.test_texts
    assert {*split.texts, *split.validation_texts} == {*whole.texts}
    assert len(split.validation_texts) == pytest.approx(0.1 * len(whole.texts), abs=0.51)
    assert not whole.validation_texts
    for labels in (split.labels, split.test_labels, split.validation_labels):
        assert abs(labels.mean() - 0.5) < 0.01
        assert 0.4 < labels[:200].mean() < 0.6  # in random order


def test_ids_equal_a_loop():
    data, words = TASK.load(), TASK.vocabulary.words()
    split = TASK.split()
    assert words[0] == "<unk>"
    for k, texts, rows, lengths in (
        (0, split.texts, data.train, data.lengths),
        (1, split.test_texts, data.test, data.test_lengths),
        (2, split.validation_texts, data.validation, data.validation_lengths),
    ):
        del k
        for i, found in enumerate(Words()(texts[:100]).lists()):
            expected = [w if w in TASK.vocabulary else "<unk>" for w in found][:12]
            assert [words[j] for j in rows[i, : lengths[i]]] == expected
            assert (rows[i, lengths[i] :] == 0).all()
    assert TASK.baseline(data) == pytest.approx(np.log(2), abs=1e-6)
    assert (TASK.length, TASK.output_size, TASK.input_size) == (12, 2, len(words))


def test_the_contract():
    task = tasks.by_name("movie_reviews", max_length=12, min_count=30)
    assert task == TASK
    data = task.load()
    batch = jax.jit(lambda i: task.batch(data, jax.random.key(0), i, 5))(3)
    again = task.batch(data, jax.random.key(0), 3, 5)
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(batch, again, strict=True))
    assert batch.inputs.shape == (5, 12)
    for row, length, target in zip(batch.inputs, batch.lengths, batch.targets, strict=True):
        (place,) = np.flatnonzero((data.train == np.asarray(row)).all(axis=1))[:1]
        assert data.lengths[place] == length
        assert data.labels[place] == target
    assert len(task.test(data, jax.random.key(0), 10**6).inputs) == len(data.test)
    score = task.score(jnp.asarray([[2.0, 0.0]] * 5), batch)
    assert float(score["accuracy"]) == pytest.approx(float((np.asarray(batch.targets) == 0).mean()))


def member():
    model = model_for_task(TASK, cells.GRU(5, init=InitScheme()), InitScheme())
    settings = training.Settings(
        Optimizer(steps=4),
        batch_size=6,
        eval_every=2,
        eval_batch_size=7,
        eval_sample=7,
        stop_when_solved=False,
    )
    setup = training.Setup(TASK, models.without_init(model), settings)
    return training.make_train(setup), training.draw_params(model, jax.random.key(1), TASK)


def test_padding_never_matters_in_training():
    """Loss, gradient, score and probe are those of each review alone, cut to its length."""
    train, params = member()
    data = TASK.load()
    rows = slice(0, 6)
    batch = TASK.batch(data, jax.random.key(0), 0, 6)._replace(
        inputs=jnp.asarray(data.train[rows]),
        lengths=jnp.asarray(data.lengths[rows]),
        targets=jnp.asarray(data.labels[rows]),
    )
    assert len(set(batch.lengths.tolist())) > 1

    def alone(params):
        outputs = [
            train.setup.model.apply(params, batch.inputs[i : i + 1, : batch.lengths[i]])[0]
            for i in range(6)
        ]
        return losses.cross_entropy(jnp.concatenate(outputs), batch.targets, batch.mask)

    expected_loss, expected = jax.value_and_grad(alone)(params)
    loss, _, grads = train.gradient(params, HYPER, batch)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(expected), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1e-3)
    other = batch._replace(
        inputs=jnp.where(jnp.arange(12) < batch.lengths[:, None], batch.inputs, 3)
    )
    assert float(train.gradient(params, HYPER, other)[0]) == float(loss)


def test_the_test_score_is_that_of_reviews_alone():
    train, params = member()
    data = TASK.load()
    state = train.start(jax.random.key(0), params, trained.HYPER)
    score = train.score(state, data)
    right = 0
    for i in range(7):
        words = jnp.asarray(data.test[i : i + 1, : data.test_lengths[i]])
        outputs, _ = train.setup.model.apply(params, words)
        right += int(outputs.argmax() == data.test_labels[i])
    assert float(score["accuracy"]) == pytest.approx(right / 7)


def test_a_look_inside_ends_at_each_review_s_last_word():
    train, params = member()
    data = TASK.load()
    state = train.start(jax.random.key(0), params, trained.HYPER)
    curves, blocks = gradient_log.gradients(train, state, data)
    batch, _ = train.window(state, data)
    assert all(np.isfinite(float(norm)) for norm in blocks.values())
    ends = np.asarray(batch.lengths)
    assert (ends < 12).any()
    for row, end in zip(np.asarray(curves["h"]), ends, strict=True):
        assert np.isfinite(row[:end]).all()
        assert (row[end:] == -np.inf).all()


def test_padded():
    ids, lengths = padded(np.array([7, 8, 9, 5]), np.array([0, 3, 3, 4]), 2)
    assert ids.tolist() == [[7, 8], [0, 0], [5, 0]]
    assert lengths.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "imbd"}, "did you mean 'imdb'"),
        ({"validation_share": 1.0}, r"validation_share must be a finite number at least 0 and b"),
        ({"validation_path": "b"}, "validation_path='b' needs a path to learn from"),
        ({"path": "b", "validation_path": "b"}, "validation_path must be another file than path"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1"),
        ({"min_count": 0}, "min_count must be a whole number of at least 1"),
        ({"test_share": 1.0}, r"test_share must be a finite number above 0 and below 1"),
        ({"solved_at": 0.0}, "solved_at"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        MovieReviews(**options)
