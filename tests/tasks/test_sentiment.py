"""Opinions as a task: files and packages, what limit leaves alone, embeddings that are started."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import tasks, training
from rnnlab.embeddings import corpus, skipgram
from rnnlab.embeddings.trainer import Settings
from rnnlab.nn import generation, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.reviews import MovieReviews
from rnnlab.tasks.sentiment import Sentiment
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Characters
from rnnlab.training import gradient_log, predict
from rnnlab.training.optimizers import Optimizer
from tests.helpers import trained


def lines(count, classes=("no", "so-so", "yes"), seed=0):
    """A file's lines: texts of letters, of which the last is the class's own."""
    rng = np.random.default_rng(seed)
    texts = {
        "".join(rng.choice(list("ABcd "), size=rng.integers(3, 9))).strip() for _ in range(count)
    }
    return [
        f"{classes[k % len(classes)]}\t{text}{k % len(classes)}"
        for k, text in enumerate(sorted(texts))
    ]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(lines(90)))
    return str(path)


def config_of(task, cell="gru", **changes):
    from ml_collections import ConfigDict

    from rnnlab.nn import layers

    own = {"name": "sentiment", "path": task.path, "embedding_size": 5, "min_count": 1}
    return ConfigDict(
        {
            "task": own | changes,
            "cell": layers.config(cell, 4),
            "init": InitScheme.config(),
            "training": training.config(),
        }
    )


def test_chinese_reviews_are_read_by_their_characters():
    task = tasks.by_name("sentiment", max_length=20)
    data, split, words = task.load(), task.split(), task.vocabulary.words()
    texts, labels, _ = corpora.chinese_reviews()
    known = dict(zip(texts, labels.tolist(), strict=True))
    assert {*split.texts, *split.test_texts, *split.validation_texts} == set(texts)
    assert not set(split.texts) & set(split.test_texts)
    assert len(split.test_texts) == sum(round(0.2 * n) for n in np.bincount(labels).tolist())
    for text, row, n, label in zip(
        split.texts[:200], data.train, data.lengths, data.labels, strict=False
    ):
        own = [c.lower() if c.lower() in task.vocabulary else "<unk>" for c in text][:20]
        assert [words[k] for k in row[:n]] == own
        assert (row[n:] == 0).all()
        assert known[text] == label
    assert (task.classes, task.output_size) == (("bad", "good"), 2)


def test_a_file_s_own_classes(file):
    task = Sentiment(path=file, min_count=1)
    split = task.split()
    assert task.classes == ("no", "so-so", "yes")
    assert task.output_size == 3
    whole = dict(line.split("\t")[::-1] for line in lines(90))
    for texts, labels in ((split.texts, split.labels), (split.test_texts, split.test_labels)):
        assert [whole[text] for text in texts] == [task.classes[k] for k in labels]
    p = np.bincount(task.load().labels) / len(split.texts)
    assert task.baseline(task.load()) == pytest.approx(-(p * np.log(p)).sum())
    assert task.label(jnp.array([0.0, 0.0, 3.0])) == "yes 0.91"


def test_a_file_to_be_judged_by(file, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("yes\tAB\nno\tcd")  # two of the three classes
    task = Sentiment(path=file, test_path=str(other), min_count=1)
    split = task.split()
    learned = len(split.texts) + len(split.validation_texts)
    assert learned == len(corpora.read_labeled(file).texts)
    assert split.test_texts == ["AB", "cd"]
    assert [task.classes[k] for k in split.test_labels] == ["yes", "no"]
    strange = tmp_path / "strange.txt"
    strange.write_text("yes\tAB\nmaybe\tcd")
    with pytest.raises(ValueError, match=r"has the classes \['maybe'\]"):
        Sentiment(path=file, test_path=str(strange)).load()


def test_a_limit_leaves_vocabulary_and_vectors_alone(file):
    options = {"path": file, "min_count": 1, "validation_share": 0.0}
    whole, few = Sentiment(**options), Sentiment(**options, limit=7)
    assert few.vocabulary.words() == whole.vocabulary.words()
    for name in ("train", "lengths", "labels"):
        assert (getattr(few.load(), name) == getattr(whole.load(), name)[:7]).all()
    assert (few.load().test == whole.load().test).all()
    assert few.split().texts == whole.split().texts[:7]
    part = Sentiment(path=file, min_count=1, limit=10).load()
    assert (len(part.train), len(part.validation)) == (9, 1)  # both of the first ten
    assert part.train.shape[1:] == part.validation.shape[1:]


def test_english_reviews_are_those_of_the_other_task():
    task = Sentiment(source="rotten_tomatoes", tokenizer_name="words", max_length=32)
    other = MovieReviews(max_length=32)
    for ours, theirs in zip(task.load(), other.load(), strict=True):
        assert (ours == theirs).all()
    assert task.split().texts == other.split().texts


@pytest.mark.parametrize("limit", [0, 7])
def test_an_embedding_that_starts_from_vectors(file, limit):
    config = config_of(Sentiment(path=file), vectors="skipgram", limit=limit)
    member = training.member(config, jax.random.key(3))
    task = Sentiment(path=file, min_count=1)
    text = corpus.of_documents(Characters(lowercase=True)(task.whole().texts), min_count=1)
    trained = skipgram.train(text, Settings(size=5), seed=0)
    rows = dict(zip(trained.words, trained.matrix, strict=True))
    drawn = training.member(config_of(task, limit=limit), jax.random.key(3)).params["params"]
    found = member.params["params"]
    for symbol, row, other in zip(
        task.vocabulary.words(), found["embedding"], drawn["embedding"], strict=True
    ):
        assert np.allclose(row, rows.get(symbol, other), atol=1e-6)
        assert symbol in rows or symbol == "<unk>"
    assert (found["W_hy"] == drawn["W_hy"]).all()  # nothing else is another
    assert member.setup.model == training.setup_of(config).model  # and compiles once


def test_what_is_said_is_what_the_model_says(file):
    """At once and step by step, in words, against the model itself; both ways are refused."""
    for pooling in models.POOLINGS:
        task = Sentiment(path=file, min_count=1, pooling=pooling, embedding_size=5)
        member = training.member(config_of(task, pooling=pooling), jax.random.key(0))
        assert member.setup.model.pooling == pooling
        params = jax.tree.map(lambda a: a + 0.3, member.params)
        asked = predict.Predictor(0, task, member.setup.model, params)
        ids = task.encode(list("abc d"))
        expected = []
        for t in range(1, 6):
            y, _ = member.setup.model.apply(params, jnp.asarray(ids[None, :t]))
            p = np.exp(np.asarray(y[0])) / np.exp(np.asarray(y[0])).sum()
            expected.append(f"{('no', 'so-so', 'yes')[p.argmax()]} {p.max():.2f}")
        assert predict.answers(asked, ["aBc d"]) == expected[-1:]
        assert list(predict.streamed(asked, "aBc d")) == list(zip("abc d", expected, strict=True))
        both = training.member(config_of(task, "bi-gru", pooling=pooling), jax.random.key(0))
        with pytest.raises(ValueError, match="can't run in real time"):
            generation.stream(both.setup.model)


def test_a_look_inside_of_a_mean(file):
    """∂L/∂h_T of a mean over T steps is (1/T) ∂L/∂h̄ at the last step of each text."""
    task = Sentiment(path=file, min_count=1)
    model = models.ManyToOne(
        training.setup_of(config_of(task)).model.layer, 3, symbols=task.input_size, pooling="mean"
    )
    settings = training.Settings(Optimizer(steps=2), batch_size=5, eval_every=1)
    train = training.make_train(training.Setup(task, models.without_init(model), settings))
    drawn = model.clone(w_y="normal(std=1.0)")
    params = training.draw_params(drawn, jax.random.key(1), task)
    data = task.load()
    state = train.start(jax.random.key(0), params, trained.HYPER)
    curves, _ = gradient_log.gradients(train, state, data)
    batch, _ = train.window(state, data)
    y, _ = model.apply(params, batch.inputs, lengths=batch.lengths)
    error = np.asarray(jax.nn.softmax(y)) - np.eye(3)[np.asarray(batch.targets)]
    at_mean = np.linalg.norm(error @ np.asarray(params["params"]["W_hy"]).T, axis=1) / 5
    for row, n, expected in zip(
        np.asarray(curves["h"]), np.asarray(batch.lengths), at_mean, strict=True
    ):
        assert row[n - 1] == pytest.approx(np.log10(expected / n), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "chinesse"}, "did you mean 'chinese'"),
        ({"tokenizer_name": "letters"}, "unknown tokenizer_name 'letters'"),
        ({"vectors": "skipgramm"}, "did you mean 'skipgram'"),
        ({"pooling": "max"}, "unknown pooling 'max'"),
        ({"limit": -1}, "limit must be a whole number of at least 0"),
        ({"embedding_size": 0}, "embedding_size must be a whole number of at least 1"),
        ({"test_path": "b.txt"}, "needs a path to learn from"),
        ({"max_length": 0}, "max_length must be a whole number of at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Sentiment(**options)
