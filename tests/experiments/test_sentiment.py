"""sentiment: a tiny run draws its figures, and every claim can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab.core.errors import UserError
from rnnlab.core.notices import LeftOut
from rnnlab.lab import rounds, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.table import Member, Table
from rnnlab.tasks.sentiment import Sentiment
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "language" / "sentiment.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Reviews with a word that decides, and a turn in some."""
    rng = np.random.default_rng(0)
    rows = set()
    for k in range(160):
        word = ("bad", "good")[k % 2]
        filler = rng.choice(["x", "yy", "but", "z"], size=rng.integers(2, 9)).tolist()
        rows.add(f"{word}\t{' '.join([*filler, word])}")
    path = tmp_path_factory.mktemp("sentiment") / "own.txt"
    path.write_text("\n".join(sorted(rows)))
    return path


def small(file, **changes):
    own = {
        "task.path": str(file),
        "task.max_length": 12,
        "task.embedding_size": 3,
        "task.min_count": 1,
        "words": "words",
        "cell.hidden_size": 3,
        "training.steps": 4,
        "training.eval_every": 2,
        "training.batch_size": 4,
        "training.eval_batch_size": 20,
        "run.few_labels": 8,
        "run.few_steps": 2,
    }
    return sweep.apply(LOADED.get_config(), own | changes)


def signs(
    gru=0.84, permuted=0.74, lead=0.03, counts=0.80, pairs=0.90, apart=0.0, refuses=True, **verdicts
):
    """One sign per claim, in order; the first arm is better where nothing is said.

    Args:
        gru: the mean accuracy of the GRU, permuted: on permuted texts.
        lead: by how much more it is ahead of the RNN on the longest texts than on the shortest.
        counts, pairs: accuracies of regressions. apart: of streamed logits.
        refuses: streaming both ways. verdicts: of comparisons, gates_LSTM of one arm.
    """

    def describe(flat, arm):
        both, sign = arm.startswith("Bi-"), (-1) ** flat["seed"]
        longest = 0.8 + 0.01 * sign + (lead + 0.002 * sign) * (arm == "GRU")
        return {
            "accuracy": gru + 0.004 * sign,
            "permuted": permuted,
            "tested": 100,
            "by_length": [0.8, 0.8, 0.8, longest],
            "streams": not (both and refuses),
            "apart": 0.0 if both else apart,
            "counted": {
                "counts of characters": counts,
                **({"TF-IDF of 1- and 2-grams, words": pairs} if pairs else {}),
            },
        }

    def verdict(name, a, b):
        return verdicts.get(f"{name}_{a}", verdicts.get(name, "better"))

    return judged.signs(LOADED, *judged.compared(LOADED, describe, verdict))


def test_claims_can_come_out_the_other_way():
    assert signs() == "+++++++++++-++"
    assert signs(gru=0.79, permuted=0.7) == "-+++++++++--++"
    assert signs(gru=0.8, permuted=0.7) == "?+++++++++?-++"
    assert signs(gates_LSTM="equivalent", gates_GRU="worse") == "+--++++++++-++"
    assert signs(lead=0.005) == "+++-+++++++-++"
    assert signs(lead=0.01) == "+++?+++++++-++"
    assert signs(mean_RNN="worse", mean_LSTM="undecided") == "++++-?+++++-++"
    assert signs(ways_RNN="equivalent", ways_GRU="equivalent") == "++++++--+++-++"
    assert signs(vectors="undecided", vectors_few="worse") == "++++++++?-+-++"
    assert signs(counts=0.85) == "++++++++++--++"
    assert signs(pairs=0.83) == "++++++++++++++"
    assert signs(pairs=None) == "+++++++++++?++"  # jieba is not there
    assert signs(permuted=0.83) == "+++++++++++--+"
    assert signs(apart=1e-3) == signs(refuses=False) == "+++++++++++-+-"


def test_comparisons_share_their_members_and_few_labels_take_fewer_updates():
    config = LOADED.get_config()
    questions = LOADED.get_comparisons(config)
    first = rounds.next_round(questions, ())
    assert len(first) == 10 * len(config.run.rates) * MODULE.TUNING_SEEDS
    for wanted in first:
        few = wanted.overrides["run.few"]
        limit, steps = (wanted.overrides.get(k) for k in ("task.limit", "training.steps"))
        assert (limit, steps) == ((1000, config.run.few_steps) if few else (None, None))


def test_a_tiny_run_draws_what_a_narrowed_sweep_has(file, tmp_path):
    config = small(file)
    axes = [
        {key: (value,) for key, value in MODULE.LINES[line].items()} | {"seed": (0,)}
        for line in ("GRU", "Bi-GRU")
    ]
    rnnlab.run(LOADED, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) >= {"accuracy", "length", "reading"}
    assert all(path.stat().st_size > 10_000 for path, _ in run.figures.values())
    one, both = (m.result for m in run.table)
    assert one["streams"]
    assert one["apart"] < 1e-5
    assert not both["streams"]
    assert "shown" not in both
    assert len(one["counted"]) == 6
    texts = one["shown"]
    assert [t["label"] for t in texts] == ["bad", "bad", "good", "good"]
    assert all(np.allclose(np.sum(t["p"], axis=1), 1, atol=1e-3) for t in texts)
    assert all(len(t["p"]) == len(t["tokens"]) for t in texts)
    (decided,) = (c.statement for c in run.claims if c.verdict != "undecided")
    assert decided.startswith("A network that reads one way answers at each step")


def test_what_is_measured_is_a_count_over_texts(file):
    """Accuracy, by length and permuted, from the model on one text after the other."""
    config = small(file, **{"seed": 1})
    task = Sentiment(path=str(file), max_length=12, embedding_size=3, min_count=1)
    model = models.ManyToOne(
        layers.by_name("gru", 3, InitScheme()),
        2,
        symbols=task.input_size,
        embedding_size=3,
        w_e="normal(std=2.0)",
        w_y="normal(std=2.0)",
    )
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    setup = type("Setup", (), {"task": task, "model": model})
    found = MODULE.measure(config, setup, params)
    apply, split, right = jax.jit(model.apply), task.split(), []
    for text, label in zip(split.test_texts, split.test_labels, strict=True):
        ids = task.encode(task.tokens(text))[:12]
        row = np.full((1, 12), 1)  # what comes after does not matter
        row[0, : len(ids)] = ids
        y, _ = apply(params, row, lengths=np.array([len(ids)]))
        right.append(int(y[0].argmax()) == label)
    right, lengths = np.array(right), np.array([len(t) for t in split.test_texts])
    batch = task.test(task.load(), jax.random.key(0), len(right))
    outputs, _ = apply(params, batch.inputs, lengths=batch.lengths)
    assert float(task.score(outputs, batch)["accuracy"]) == pytest.approx(right.mean())
    assert 0 < right.mean() < 1
    low = -np.inf
    for high, score in zip([*found["edges"], np.inf], found["by_length"], strict=True):
        assert score == pytest.approx(right[(lengths > low) & (lengths <= high)].mean())
        low = high


def test_a_file_of_three_classes_and_of_short_texts(tmp_path):
    """All figures but that of texts as they are read: none has a fitting length."""
    rows = {
        f"{label}\t{word} {k}"
        for k in range(12)
        for label, word in (("no", "bad"), ("so-so", "fair"), ("yes", "good"))
    }
    (tmp_path / "own.txt").write_text("\n".join(sorted(rows)))
    config = small(tmp_path / "own.txt", **{"task.tokenizer_name": "words"})
    axes = {key: (value,) for key, value in MODULE.LINES["RNN"].items()} | {"seed": (0,)}
    rnnlab.run(LOADED, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) >= {"accuracy", "length"}
    assert "reading" not in run.figures
    assert run.table[0].result["counted"]["counts of words"] > 0.9  # a word decides


def test_permuting_moves_the_real_symbols_alone():
    permuted = MODULE.permuted
    rows = np.arange(40).reshape(4, 10) + 1
    lengths = np.array([10, 3, 0, 7])
    mixed = permuted(rows, lengths)
    assert (mixed != rows).any()
    for row, other, n in zip(rows, mixed, lengths, strict=True):
        assert sorted(other[:n]) == row[:n].tolist()
        assert (other[n:] == row[n:]).all()


def few(config):
    """The labels of the comparison with few, and of the others."""
    compared = {one.name: one for one in MODULE.comparison(config)}
    arms = compared["vectors_few"].arms.values()
    assert all("task.limit" not in arm for arm in compared["vectors"].arms.values())
    (labels,) = {arm["task.limit"] for arm in arms}
    return labels


def test_few_labels_are_fewer_than_all(file):
    """By task.limit too, of a file and of a source: a quarter, which is said."""
    count = len(Sentiment(path=str(file), min_count=1).whole().texts)
    assert few(small(file)) == 8
    assert few(small(file, **{"run.few_labels": count})) == count // 4
    assert few(small(file, **{"run.few_labels": 40, "task.limit": 40})) == 10
    own = {"task.path": "", "task.min_count": 2, "run.few_labels": 1000}
    assert few(small(file, **own)) == 1000
    with pytest.warns(LeftOut, match=r"run\.few_labels=1000 is not fewer than the 600 texts"):
        assert few(small(file, **own, **{"task.limit": 600})) == 150
    with pytest.raises(ValueError, match=r"run\.few_labels: fewer than all texts to learn from"):
        few(small(file, **{"task.limit": 1}))


def test_what_would_fail_after_the_first_member_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="unknown words 'jieba'"):
        MODULE.check(small(file, words="jieba"))
    apart = tmp_path / "apart.tsv"
    rows = [f"{('bad', 'good')[k % 2]}\t{chr(0x4E00 + k)}" for k in range(20)]
    apart.write_text("\n".join(rows))
    with pytest.raises(UserError, match=r"apart\.tsv, characters: no two texts to learn"):
        make_plan(LOADED, small(apart))
    MODULE.check(small(apart, **{"run.few": True}))  # members that no regression is beside


@pytest.mark.parametrize("font", [None, "DejaVu Sans"])
def test_a_text_is_spelled_below_its_curve_or_in_the_caption(font, monkeypatch):
    monkeypatch.setattr(plots, "font_for", lambda text: font)
    text = {"tokens": list("not bad"), "label": "good", "p": [[0.4, 0.6]] * 7}
    text["classes"] = ["bad", "good"]
    config = LOADED.get_config().to_dict()
    member = Member(0, {}, config, 0.0, {"shown": [text]}, ())
    figure, caption = MODULE._reading(Table([member]))
    assert "1: not bad" in caption
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == (list("not bad") if font else ["1", "6"])
    assert figure.axes[0].get_ylabel() == "p(good)"
    words = text | {"tokens": ["not", "bad"], "p": [[0.4, 0.6]] * 2}
    member = Member(0, {}, config, 0.0, {"shown": [words]}, ())
    assert "1: not bad" in MODULE._reading(Table([member]))[1]


@pytest.mark.parametrize("labels", [["a", "a"], ["c", "a"], ["b", "c", "a"]])
def test_the_class_whose_probability_is_drawn_is_named_whatever_texts_there_are(labels):
    """By its place among the classes: none of the texts that fit need be of that class."""
    rng = np.random.default_rng(len(labels))
    texts = [
        {"tokens": list("abcd"), "label": label, "classes": ["a", "b", "c"], "p": p.tolist()}
        for label, p in zip(labels, rng.dirichlet(np.ones(3), (len(labels), 4)), strict=True)
    ]
    config = LOADED.get_config().to_dict()
    figure, caption = MODULE._reading(Table([Member(0, {}, config, 0.0, {"shown": texts}, ())]))
    assert figure.axes[0].get_ylabel() == "p(b)"
    assert caption.startswith("The probability of b after each symbol")
    for ax, text in zip(figure.axes, texts, strict=True):
        (line,) = ax.lines  # of three classes there is no half
        assert line.get_ydata().tolist() == [p[1] for p in text["p"]]
        assert ax.get_title(loc="left").endswith(text["label"])
