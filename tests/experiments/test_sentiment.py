"""sentiment: a tiny run draws its figures, and every claim can turn."""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import rnnlab
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.table import Member, Table
from rnnlab.tasks.reviews import Split
from rnnlab.tasks.sentiment import Sentiment

FILE = Path(__file__).parents[2] / "experiments" / "language" / "sentiment.py"
GOOD = {
    "RNN": 0.80,
    "LSTM": 0.82,
    "GRU": 0.84,
    "Bi-RNN": 0.82,
    "Bi-LSTM": 0.83,
    "Bi-GRU": 0.86,
    "RNN, mean": 0.82,
    "LSTM, mean": 0.84,
    "GRU, mean": 0.84,
    "GRU, Skip-gram": 0.85,
    "GRU, few labels": 0.70,
    "GRU, Skip-gram, few labels": 0.75,
}


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


def small(loaded, file, **changes):
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
    return sweep.apply(loaded.get_config(), own | changes)


def verdicts(
    permuted=0.1, gaps=(0.0, 0.03), characters=0.80, pairs=0.90, apart=0.0, refuses=True, **accuracy
):
    """One sign a claim, in order.

    Args:
        permuted: what is lost. gaps: of the GRU over the RNN, shortest and longest.
        characters, pairs: of regressions. accuracy: of lines, "Bi-RNN" as Bi_RNN, "," left out.
    """
    loaded = load_experiment(FILE)
    config, members = loaded.get_config(), []
    assert set(GOOD) == set(loaded.module.LINES)
    names = {
        line: line.replace("-", "_").replace(", ", "_").replace(",", "").replace(" ", "_")
        for line in GOOD
    }
    assert set(accuracy) <= set(names.values())
    for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
        (line,) = (
            name for name, own in loaded.module.LINES.items() if own.items() <= overrides.items()
        )
        found, both = accuracy.get(names[line], GOOD[line]), line.startswith("Bi-")
        ends = gaps if line == "GRU" else (0.0, 0.0)
        result = {
            "accuracy": found,
            "permuted": found - permuted,
            "tested": 100,
            "by_length": [0.8 + ends[0], 0.8, 0.8, 0.8 + ends[1]],
            "streams": not (both and refuses),
            "apart": 0.0 if both else apart,
            "counted": {
                "counts of characters": characters,
                "TF-IDF of 1- and 2-grams, words": pairs,
            },
        }
        nested = with_overrides(config.to_dict(), overrides)
        members.append(Member(index, overrides, nested, 0.0, result, ()))
    claims = loaded.module.claims(Table(members))
    return "".join("-+"[bool(claim.check()[0])] for claim in claims)


def test_claims_can_come_out_the_other_way():
    assert verdicts() == "+++++++++++-++"
    assert verdicts(GRU=0.79, permuted=0.0, LSTM=0.84, characters=0.81) == "-+-++-+++++--+"
    assert verdicts(LSTM=0.805) == "+-+++++++++-++"
    assert verdicts(gaps=(0.02, 0.025)) == "+++-+++++++-++"
    assert verdicts(RNN_mean=0.805) == "++++-++++++-++"
    assert verdicts(LSTM_mean=0.825) == "+++++-+++++-++"
    assert verdicts(Bi_RNN=0.805) == "++++++-++++-++"
    assert verdicts(Bi_GRU=0.84) == "+++++++-+++-++"
    assert verdicts(GRU_Skip_gram=0.84) == "++++++++-++-++"
    assert verdicts(GRU_Skip_gram_few_labels=0.71) == "+++++++++-+-++"
    assert verdicts(characters=0.83) == "++++++++++--++"
    assert verdicts(pairs=0.83) == "++++++++++++++"
    assert verdicts(permuted=0.01) == "+++++++++++--+"
    assert verdicts(apart=1e-3) == verdicts(refuses=False) == "+++++++++++-+-"


def test_a_tiny_run_draws_what_a_narrowed_sweep_has(file, tmp_path):
    loaded = load_experiment(FILE)
    config = small(loaded, file)
    axes = [
        {key: (value,) for key, value in loaded.module.LINES[line].items()} | {"seed": (0,)}
        for line in ("GRU", "Bi-GRU")
    ]
    rnnlab.run(loaded, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"accuracy", "curves", "length", "reading"}
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
    decided = {c.statement for c in run.claims if c.verdict != "undecided"}
    assert {"Order counts", "Both ways help a GRU"} <= decided
    assert "Gates help: LSTM against a simple RNN, read at the last step" not in decided


def test_what_is_measured_is_a_count_over_texts(file):
    """Accuracy, by length and permuted, from the model on one text after the other."""
    loaded = load_experiment(FILE)
    config = small(loaded, file, **{"seed": 1})
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
    found = loaded.module.measure(config, setup, params)
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
    loaded = load_experiment(FILE)
    rows = {
        f"{label}\t{word} {k}"
        for k in range(12)
        for label, word in (("no", "bad"), ("so-so", "fair"), ("yes", "good"))
    }
    (tmp_path / "own.txt").write_text("\n".join(sorted(rows)))
    config = small(loaded, tmp_path / "own.txt", **{"task.tokenizer_name": "words"})
    axes = {key: (value,) for key, value in loaded.module.LINES["RNN"].items()} | {"seed": (0,)}
    rnnlab.run(loaded, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"accuracy", "curves", "length"}
    assert run.table[0].result["counted"]["counts of words"] > 0.9  # a word decides


def test_permuting_moves_the_real_symbols_alone():
    permuted = load_experiment(FILE).module.permuted
    rows = np.arange(40).reshape(4, 10) + 1
    lengths = np.array([10, 3, 0, 7])
    mixed = permuted(rows, lengths)
    assert (mixed != rows).any()
    for row, other, n in zip(rows, mixed, lengths, strict=True):
        assert sorted(other[:n]) == row[:n].tolist()
        assert (other[n:] == row[n:]).all()


@pytest.mark.parametrize(("largest", "classes"), [(0, 2), (1, 2), (2, 2), (1, 3)])
def test_regressions_equal_scikit_learn_s(largest, classes):
    rng = np.random.default_rng(largest)
    texts = [rng.choice(list("abcdefgh"), size=rng.integers(2, 12)).tolist() for _ in range(240)]
    labels = np.array([min("abcdefgh".index(t[0]), classes - 1) for t in texts], np.int32)
    split = Split([], labels[:200], [], labels[200:], [], labels[:0])
    module = load_experiment(FILE).module
    found = module.regression(texts[:200], texts[200:], split, largest > 0, max(largest, 1))
    options = {"analyzer": lambda t: t, "min_df": 2}
    if largest == 2:
        options["analyzer"] = lambda t: t + [" ".join(p) for p in itertools.pairwise(t)]
    kind, solver = CountVectorizer, "liblinear" if classes == 2 else "lbfgs"
    if largest:
        kind, options["sublinear_tf"] = TfidfVectorizer, True

    def score(learn, judge, c):
        features = kind(**options)
        xs, ys = features.fit_transform(texts[learn]), features.transform(texts[judge])
        model = LogisticRegression(C=c, solver=solver, tol=1e-3, max_iter=1000)
        model.fit(xs, labels[learn])
        return model.score(ys, labels[judge])

    best = max(module.C, key=lambda c: score(slice(0, 160), slice(160, 200), c))
    assert found == pytest.approx(score(slice(0, 200), slice(200, 240), best))


def test_without_jieba_the_words_are_left_out(file, monkeypatch):
    module = load_experiment(FILE).module
    monkeypatch.setattr(module.tokenizers, "by_name", _no_jieba(module.tokenizers.by_name))
    found = module.counted(Sentiment(path=str(file), min_count=1), "chinese")
    assert set(found) == {
        "counts of characters",
        "TF-IDF of characters",
        "TF-IDF of 1- and 2-grams, characters",
    }


def _no_jieba(by_name):
    def refuse(texts):
        raise ValueError("Chinese words are cut by jieba")

    return lambda name, **options: refuse if name == "chinese" else by_name(name, **options)


@pytest.mark.parametrize("font", [None, "DejaVu Sans"])
def test_a_text_is_spelled_below_its_curve_or_in_the_caption(font, monkeypatch):
    module = load_experiment(FILE).module
    monkeypatch.setattr(plots, "font_for", lambda text: font)
    text = {"tokens": list("not bad"), "label": "good", "p": [[0.4, 0.6]] * 7}
    config = load_experiment(FILE).get_config().to_dict()
    member = Member(0, {}, config, 0.0, {"shown": [text]}, ())
    figure, caption = module._reading(Table([member]))
    assert "1: not bad" in caption
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == (list("not bad") if font else ["1", "6"])
    words = text | {"tokens": ["not", "bad"], "p": [[0.4, 0.6]] * 2}
    member = Member(0, {}, config, 0.0, {"shown": [words]}, ())
    assert "1: not bad" in module._reading(Table([member]))[1]
