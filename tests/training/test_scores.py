"""Scores are of the whole test set, in batches of one shape, or of a sample that is named."""

import jax
import numpy as np
import pytest

from rnnlab.tasks.base import coverage, sequences_to_score
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting
from rnnlab.tasks.pixel_digits import PixelDigits
from rnnlab.training import make_train, results
from rnnlab.training.train import Progress
from tests.helpers import trained

KINDS = ("PER", "LOC")
HELD_OUT = 23  # no multiple of a batch, so that the last one is filled up


def sentences(count: int, seed: int) -> list[list[tuple[str, str]]]:
    """Sentences of 2 to 6 words in IOB2, whose entities are names of one or two words."""
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(count):
        words: list[tuple[str, str]] = []
        for _ in range(rng.integers(1, 4)):
            kind = KINDS[rng.integers(2)]
            words.append((f"w{rng.integers(5)}", "O"))
            words.append((f"{kind.lower()}{rng.integers(4)}", f"B-{kind}"))
            if rng.random() < 0.5:
                words.append(("of", f"I-{kind}"))
        drawn.append(words[:6])
    return drawn


@pytest.fixture(scope="module")
def tagging(tmp_path_factory):
    """Two CoNLL files: options of the task, and the held-out sentences."""
    folder = tmp_path_factory.mktemp("conll")
    parts = {"train": sentences(12, 0), "test": sentences(HELD_OUT, 1)}
    for name, part in parts.items():
        text = "\n".join("".join(f"{w} {tag}\n" for w, tag in sentence) for sentence in part)
        (folder / name).write_text(text)
    options = {
        "name": "tagging",
        "path": str(folder / "train"),
        "test_path": str(folder / "test"),
        "max_length": 6,
        "min_count": 1,
        "embedding_size": 3,
    }
    return options, parts["test"]


def started(task, **settings):
    """A member before its first update, with its task's data."""
    member = trained.member(task=task, init={"w_h": "orthogonal"}, **settings)
    train, data = make_train(member.setup), member.setup.task.load()
    return train, train.start(member.key, member.params, member.hyper), data


def entities(tags: list[str]) -> set[tuple[int, int, str]]:
    """The entities of IOB2 tags, as conlleval reads them."""
    found, start = set(), None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and (tag[0] != "I" or tag[2:] != tags[start][2:]):
            found.add((start, i, tags[start][2:]))
            start = None
        if tag[0] == "B" or (tag[0] == "I" and start is None):
            start = i
    return found


def f1_by_hand(train, state, data, held_out) -> float:
    """F1 of entities, sentence by sentence, each in a pass of its own."""
    task, correct, predicted, actual = train.setup.task, 0, 0, 0
    for row, sentence in enumerate(held_out):
        n = len(sentence)
        outputs, _ = train.setup.model.apply(state.params, data.test[row : row + 1, :n])
        ours = entities([task.labels[int(k)] for k in np.asarray(outputs[0]).argmax(axis=-1)])
        theirs = entities([tag for _, tag in sentence])
        correct, predicted = correct + len(ours & theirs), predicted + len(ours)
        actual += len(theirs)
    return 2 * correct / (predicted + actual)


@pytest.mark.parametrize("size", [4, 23, 100])
def test_the_f1_is_of_every_held_out_sentence(tagging, size):
    options, held_out = tagging
    train, state, data = started(options, eval_batch_size=size)
    expected = f1_by_hand(train, state, data, held_out)
    first = f1_by_hand(train, state, data, held_out[:4])
    assert abs(expected - first) > 0.01, "the first sentences must not stand for all"
    assert float(train.score(state, data)["f1"]) == pytest.approx(expected, abs=1e-6)


def test_a_sample_is_scored_only_if_the_config_asks_for_it(tagging):
    options, held_out = tagging
    train, state, data = started(options, eval_batch_size=4, eval_sample=5)
    expected = f1_by_hand(train, state, data, held_out[:5])
    assert float(train.score(state, data)["f1"]) == pytest.approx(expected, abs=1e-6)
    last = Progress(4, 1.0, 1.0, 1.0, {"f1": 0.5})
    found = results.results(train, jax.tree.map(np.asarray, state), last, data)
    assert (found["scored"], found["held_out"], found["scored_unit"]) == (5, 23, "sequences")


def test_one_batch_is_compiled_however_many_there_are(tagging, monkeypatch):
    options, _ = tagging
    train, state, data = started(options, eval_batch_size=4)
    shapes, model = [], type(train.setup.model)
    apply = model.apply

    def counted(self, params, inputs, **options):
        shapes.append(inputs.shape)
        return apply(self, params, inputs, **options)

    monkeypatch.setattr(model, "apply", counted)
    jax.eval_shape(train.score, state, data)
    assert shapes == [(4, 6)]


def test_how_many_sequences_tasks_hold_out():
    digits = PixelDigits()
    data = digits.load()
    assert sequences_to_score(digits, data, 0, 20) == 359  # all, not the batch
    assert coverage(digits, data, 100, 20) == (100, 359, "sequences")
    series = Forecasting(points=200, window=10, horizon=2)
    held_out = series.load()
    # windows of 10 values whose targets are 2 steps ahead, among 40 held out
    assert sequences_to_score(series, held_out, 0, 5) == 40 - 10 - 2 + 1
    drawn = trained.member().setup.task
    assert sequences_to_score(drawn, (), 0, 8) == 8
    assert coverage(drawn, (), 0, 8) is None


def test_streams_that_are_cut_are_a_sample_of_the_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abcd" * 500)  # 200 characters held out, in 2 streams of 99
    task = Characters(path=str(path), batch_size=2, test_length=30)
    assert coverage(task, task.load(), 0, 2) == (60, 198, "symbols")
    assert task.test(task.load(), jax.random.key(0), 2).targets.size == 60
    whole = Characters(path=str(path), batch_size=2, test_length=1000)
    assert coverage(whole, whole.load(), 0, 2) == (198, 198, "symbols")
