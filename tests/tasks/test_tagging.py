"""Tagging as a task: ids against a loop, F1 against conlleval's rules, files, a CRF on top."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import tasks, training
from rnnlab.core.notices import LeftOut
from rnnlab.data.splits import validation_rows
from rnnlab.nn import crf, layers, losses
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.tagging import Tagging, entity_counts
from rnnlab.text import entities
from tests.helpers.oracles import assert_close

TASK = Tagging(limit=60, max_length=12, embedding_size=3)


def test_ids_equal_a_loop():
    data, words = TASK.load(), TASK.vocabulary.words()
    sentences = entities.people_daily()
    order = np.random.default_rng(0).permutation(len(sentences))
    held = round(0.1 * len(sentences))
    assert len(data.test) == held
    learn, chosen = validation_rows(np.zeros(60), 0.1)
    assert len(chosen) == 6
    for rows, lengths, labels, places in (
        (data.train, data.lengths, data.labels, order[held:][learn]),
        (data.validation, data.validation_lengths, data.validation_labels, order[held:][chosen]),
        (data.test, data.test_lengths, data.test_labels, order[:60]),
    ):
        for i, place in enumerate(places):
            tokens, wanted = (part[:12] for part in sentences[place])
            assert [words[j] for j in rows[i, : lengths[i]]] == [
                token if token in TASK.vocabulary else "<unk>" for token in tokens
            ]
            assert tuple(TASK.labels[j] for j in labels[i, : lengths[i]]) == wanted
            assert not rows[i, lengths[i] :].any()


@pytest.mark.parametrize("own", [False, True])
def test_score_is_of_whole_entities(own):
    """Random outputs, with a CRF and without, against spans of names in Python."""
    task = Tagging(limit=60, max_length=12, crf=own)
    batch = task.test(task.load(), jax.random.key(0), 300)
    K, right = task.output_size, jax.nn.one_hot(batch.targets, task.output_size)
    outputs = 3 * right + jax.random.normal(jax.random.key(1), right.shape)
    loss = losses.cross_entropy(outputs, batch.targets, batch.mask)
    if own:
        outputs = crf.edges(outputs, jax.random.normal(jax.random.key(2), (K + 1, K)))
        loss = crf.negative_log_likelihood(outputs, batch.targets, batch.mask)
    found = jax.jit(task.score)(outputs, batch)
    ids = np.asarray(crf.viterbi(outputs, batch.mask) if own else outputs.argmax(-1))
    lists = [
        [[task.labels[j] for j in row[:n]] for row, n in zip(rows, batch.lengths, strict=True)]
        for rows in (ids, np.asarray(batch.targets))
    ]
    expected = entities.score(*lists)
    assert 0.2 < expected.f1 < 0.95
    for name in ("precision", "recall", "f1"):
        assert float(found[name]) == pytest.approx(getattr(expected, name), abs=1e-6)
    hits = [a == b for one, two in zip(*lists, strict=True) for a, b in zip(one, two, strict=True)]
    assert float(found["accuracy"]) == pytest.approx(np.mean(hits), abs=1e-6)
    assert_close(found["loss"], loss, 1e-6)


def test_counts_of_labels_that_are_not_sound():
    """I- after O or after another kind begins an entity; what is padded does not count."""
    rng = np.random.default_rng(0)
    names = entities.names(["LOC", "PER"])
    ids, targets = rng.integers(0, 5, (2, 400, 7))
    targets = np.where(rng.random(targets.shape) < 0.7, ids, targets)
    lengths = rng.integers(0, 8, 400)
    mask = np.arange(7) < lengths[:, None]
    found = entity_counts(jnp.asarray(ids), jnp.asarray(targets), jnp.asarray(mask))
    lists = [
        [[names[j] for j in row[:n]] for row, n in zip(rows, lengths, strict=True)]
        for rows in (ids, targets)
    ]
    assert tuple(map(int, found)) == entities.score(*lists)


def test_lookup_is_the_commonest_label_of_each_token():
    data = TASK.load()
    counts = {}
    for row, labels, n in zip(data.train, data.labels, data.lengths, strict=True):
        for token, label in zip(row[:n], labels[:n], strict=True):
            counts.setdefault(token, np.zeros(len(TASK.labels)))[label] += 1
    predicted, wanted = [], []
    for row, labels, n in zip(data.test, data.test_labels, data.test_lengths, strict=True):
        best = [counts.get(token, np.zeros(1)).argmax() for token in row[:n]]
        predicted.append([TASK.labels[j] for j in best])
        wanted.append([TASK.labels[j] for j in labels[:n]])
    assert TASK.lookup(data) == pytest.approx(entities.score(predicted, wanted).f1, abs=1e-6)


def test_files(tmp_path):
    for name, content in (
        ("a", "x O\nann B-PER\n\nann B-PER\nlee I-PER\n\n"),
        ("b", "x O\nbern B-LOC\n\n"),
    ):
        (tmp_path / name).write_text(content)
    path, test_path = str(tmp_path / "a"), str(tmp_path / "b")
    task: Any = tasks.by_name("tagging", path=path, test_path=test_path, max_length=3, min_count=1)
    data = task.load()
    assert task.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert data.labels.tolist() == [[0, 3, 0], [3, 4, 0]]
    assert data.test_labels.tolist() == [[0, 1, 0]]
    assert data.test[0, 1] == 0  # bern is unknown
    p = np.array([1, 2, 1]) / 4  # of O, B-PER, I-PER
    assert task.baseline(data) == pytest.approx(-(p * np.log(p)).sum())


def test_no_sentence_is_in_two_parts(tmp_path):
    def write(name, words):
        (tmp_path / name).write_text("".join(f"{word} O\n\n" for word in words))
        return str(tmp_path / name)

    path, test_path = write("a", "abcdefgh"), write("b", "ab")
    validation_path = write("c", "bcx")
    task = Tagging(path=path, test_path=test_path, validation_path=validation_path)
    with pytest.warns(LeftOut) as said:
        parts = task.sentences()
    assert ["".join(s.tokens[0] for s in part) for part in parts] == ["defgh", "ab", "cx", "defgh"]
    assert [str(warning.message) for warning in said] == [
        f"{path}: left out 2 of 8 sentences, which are held out in {test_path}",
        f"{validation_path}: left out 1 of 3 sentences, which are held out in {test_path}",
        f"{path}: left out 1 of 6 sentences, which are held out in {validation_path}",
    ]
    with pytest.raises(ValueError, match="c: no sentences are left, all of them are held out in"):
        Tagging(path=path, test_path=write("d", "bcx"), validation_path=validation_path).sentences()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "max_length must be a whole number of at least 1, got 0"),
        ({"test_share": 1.0}, r"test_share must be a finite number above 0 and below 1"),
        ({"test_path": "b"}, "test_path='b' needs a path to learn from"),
        ({"solved_at": 0.0}, "solved_at must be a finite number above 0"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Tagging(**options)


def test_more_sentences_than_there_are(tmp_path):
    path = tmp_path / "a"
    path.write_text("".join(f"w{i} O\n\n" for i in range(10)))
    with pytest.warns(LeftOut, match=r"task\.limit=99 is more than the 9 sentences to learn from"):
        assert len(Tagging(path=str(path), limit=99, min_count=1).load().train) == 8


def test_it_learns_through_the_training_of_all_models():
    member = training.member(_config(), jax.random.key(0))
    assert member.setup.model.crf
    _, progress = jax.jit(training.make_train(member.setup))(
        member.key, member.hyper, member.params, member.setup.task.load()
    )
    assert progress.train_loss[-1] < 0.5 * progress.train_loss[0]
    assert np.isfinite(progress.score["f1"]).all()


def _config():
    import ml_collections

    return ml_collections.ConfigDict(
        {
            "task": {
                "name": "tagging",
                "limit": 60,
                "max_length": 12,
                "embedding_size": 8,
                "crf": True,
            },
            "cell": layers.config("bi-rnn-tanh", 8),
            "init": InitScheme.config(),
            "training": training.config(
                steps=60,
                eval_every=10,
                batch_size=8,
                eval_batch_size=50,
                eval_sample=50,
                learning_rate=2e-2,
            ),
        }
    )
