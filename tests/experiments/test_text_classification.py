"""text_classification: methods learn, order is seen or not, every claim can turn."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.errors import UserError
from rnnlab.core.nested import with_overrides
from rnnlab.core.notices import LeftOut
from rnnlab.lab import sweep, text_methods
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.claims import decide
from rnnlab.results.comparison import Comparisons
from rnnlab.results.table import Member, Table
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "text_features" / "text_classification.py"
SMALL = {
    "task.limit": 600,
    "task.min_count": 5,
    "task.max_length": 12,
    "vectors.size": 8,
    "vectors.epochs": 1,
    "vectors.buckets": 500,
    "vectors.unlabeled": 20,
    "cell.hidden_size": 4,
    "cell.embedding_size": 4,
    "training.epochs": 1,
}


PAIRED = {  # on the same texts, not over seeds
    "TF-IDF classifies better than bag of words",
    "Pairs of words classify better than words",
}


def small(**changes):
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | changes)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("text_classification") / "run"
    module = load_experiment(FILE).module
    # the other networks compile as long and show no more
    methods = (*module.COUNTED, *module.VECTORS, "RNN")
    rnnlab.run(FILE, small(), sweep={"task.method": methods}, workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_small_run_draws(ran):
    assert set(ran.figures) == {"summary", "ngrams", "results"}
    assert all(path.stat().st_size > 10_000 for path, _ in ran.figures.values())
    verdicts = {c.statement: c.verdict for c in ran.claims}
    undecided = {s for s, v in verdicts.items() if v == "undecided"}
    assert undecided >= {
        "A recurrent network reads in order",
        "An LSTM classifies better than a simple RNN",
        "A GRU classifies better than a simple RNN",
        "Reading both ways classifies better",
        "An LSTM classifies better than bag of words, from 600 reviews (rotten_tomatoes)",
        "Means of word vectors classify better than bag of words",
        "FastText classifies better than Word2Vec",
    }
    assert all("right alone in" in c.measured for c in ran.claims if c.statement in PAIRED)
    assert verdicts["Bag of words ignores order"] == "holds"
    found = {m.config["task"]["method"]: m.result for m in ran.table}
    assert found["bag of words"]["accuracy"] > 0.55
    for result in found.values():
        assert len(result["right"]) == 1706
        assert np.mean(result["right"]) == pytest.approx(result["accuracy"])
    assert found["words, 2-grams"]["moved"] > 0
    assert found["TF-IDF, the notes'"]["moved"] == 0
    assert found["words, 2-grams"]["dimension"] == (
        found["word 1-grams"]["dimension"] + found["word 2-grams"]["dimension"]
    )
    assert found["RNN"]["accuracy"] > 0.45
    word2vec, fasttext = found["Word2Vec, mean"], found["FastText, mean"]
    assert word2vec["moved"] == fasttext["moved"] == 0
    assert fasttext["parameters"] == word2vec["parameters"] + 500 * 8


def test_permuting_keeps_the_words():
    module = load_experiment(FILE).module
    texts = ["A film about nothing, and all of it.", "", "one"]
    shuffled = module.permuted(texts, 0)
    assert [sorted(t.split()) for t in shuffled] == [
        sorted(["a", "film", "about", "nothing", "and", "all", "of", "it"]),
        [],
        ["one"],
    ]
    assert shuffled[0] != "a film about nothing and all of it"


def test_a_network_is_compiled_once_for_all_seeds_and_rates(monkeypatch):
    module = load_experiment(FILE).module
    made = []
    real = training.make_train
    monkeypatch.setattr(training, "make_train", lambda s: made.append(s) or real(s))
    text_methods.program.cache_clear()
    for seed, rate in ((0, 1e-3), (1, 1e-2)):
        changes = {"task.method": "RNN", "seed": seed, "training.learning_rate": rate}
        module.run(small(**changes), jax.random.key(seed), None)
    text_methods.program.cache_clear()
    assert len(made) == 1


def test_sparse_features_are_swept_once_and_the_rest_is_compared():
    loaded = load_experiment(FILE)
    config = loaded.get_config()
    assert loaded.get_sweep(config)["task.method"] == tuple(loaded.module.COUNTED)
    arms = {q.name: list(q.arms) for q in loaded.get_comparisons(config)}
    assert arms == {
        "cells": ["LSTM", "GRU", "RNN"],
        "ways": ["Bi-RNN", "RNN"],
        "vectors": ["FastText, mean", "Word2Vec, mean"],
    }


def signs(verdicts=lambda name, a, b: "better", **changed):
    """One sign per claim, in order, of sparse features and of judged arms."""
    loaded = load_experiment(FILE)
    config, module = loaded.get_config(), loaded.module
    rights = {"bag of words": 750, "words, 2-grams": 800, "LSTM": 740, "Word2Vec, mean": 700}

    def describe(flat, arm):
        method = flat["task.method"]
        count = changed.get(method, {}).get("count", rights.get(method, 760))
        n = module.NGRAMS.get(method, 1)
        return {
            "right": np.arange(1000) < count,
            "accuracy": count / 1000 + 0.001 * (-1) ** flat["seed"] * (method in module.CELLS),
            "moved": 0.0 if method == "bag of words" or "mean" in method else 0.1,
            "dimension": 100 if "mean" in method else 10_000 * n * n,
            "density": 0.001,
            "deviation": 0.01,
            "chance": 0.5,
            "common_share": 0.3 if method == "bag of words" else 0.1,
            "fit_s": 2.0 if method == "FastText, mean" else 1.0,
        } | changed.get(method, {})

    table, comparisons = judged.compared(loaded, describe, verdicts)
    swept = []
    for overrides in sweep.expand(config, loaded.get_sweep(config)):
        flat = sweep.flat_config(config) | overrides
        nested = sweep.apply(config, overrides).to_dict()
        result = describe(flat, "")
        swept.append(Member(1000 + len(swept), overrides, nested, 0.0, result))
    return judged.signs(loaded, Table([*table, *swept]), comparisons)


def test_claims_can_come_out_the_other_way():
    bag, notes, pairs = "bag of words", "TF-IDF, the notes'", "words, 2-grams"
    word2vec, fasttext = "Word2Vec, mean", "FastText, mean"
    usual = "+++++-++" + "+++-" + "++-++"  # 10 texts of 1,000 more: equivalent
    assert signs() == usual
    assert signs(**{bag: {"moved": 0.01}}) == "-" + usual[1:]
    assert signs(**{bag: {"dimension": 10}})[1] == "-"
    assert signs(**{pairs: {"moved": 0.0}})[2] == "-"
    assert signs(LSTM={"moved": 0.0})[3] == "-"
    assert signs(**{notes: {"common_share": 0.2}})[4] == "-"
    assert signs(**{notes: {"count": 790}})[5] == "+"
    assert signs(**{"word 2-grams": {"dimension": 15_000}})[6] == "-"
    assert signs(**{pairs: {"count": 700}})[7] == "-"
    for name, first, place in (("cells", "LSTM", 8), ("cells", "GRU", 9), ("ways", "Bi-RNN", 10)):
        for verdict, sign in (("worse", "-"), ("equivalent", "-"), ("undecided", "?")):
            found = signs(
                lambda n, a, b, v=verdict, at=(name, first): v if (n, a) == at else "better"
            )
            assert found == usual[:place] + sign + usual[place + 1 :]
    assert signs(LSTM={"count": 800})[11] == "+"
    assert signs(LSTM={"count": 750})[11] == "?"
    assert signs(**{fasttext: {"moved": 0.01}})[12] == "-"
    assert signs(**{word2vec: {"dimension": 300}})[13] == "-"
    for means in (word2vec, fasttext):  # each of them counts
        assert signs(**{means: {"count": 660}})[13] == "-"
    assert signs(**{bag: {"chance": 0.65}})[13] == "-"  # most texts are of one class
    assert signs(**{word2vec: {"count": 800}})[14] == "+"
    assert signs(**{word2vec: {"count": 800}, fasttext: {"count": 740}})[14] == "-"
    assert signs(lambda n, a, b: "worse" if n == "vectors" else "better")[15] == "-"
    assert signs(**{fasttext: {"fit_s": 0.9}})[16] == "-"


def test_two_classifiers_are_undecided_where_the_texts_are_too_few():
    loaded = load_experiment(FILE)
    config, members = loaded.get_config(), []
    right = np.random.default_rng(0).permutation(np.arange(1000) < 750)
    other = right.copy()
    for answer, count in ((True, 60), (False, 50)):
        flipped = np.flatnonzero(right == answer)[:count]
        other[flipped] = not answer
    for method, row in (("bag of words", right), ("TF-IDF, the notes'", other)):
        nested = sweep.apply(config, {"task.method": method}).to_dict()
        members.append(Member(len(members), {"task.method": method}, nested, 0.0, {"right": row}))
    claims = [c for c in loaded.get_claims(Table(members)) if c.statement in PAIRED]
    found = {one.statement: one for one in decide(claims)}
    assert {one.verdict for one in found.values()} == {"undecided"}
    assert "right alone in" in found["TF-IDF classifies better than bag of words"].measured


def judged_rows(rate):
    """The rows of the table of methods, where the second comparison chose a rate for the RNN."""
    loaded = load_experiment(FILE)
    module, config = loaded.module, cast(Any, loaded.get_config())
    first = config.run.rates[0]

    def describe(flat, arm):
        apart = 0.1 * (flat["training.learning_rate"] != first)
        return {name: 0.7 + apart for name in module.COLUMNS} | {"deviation": 0.01, "chance": 0.6}

    table, comparisons = judged.compared(loaded, describe)
    cells, ways = comparisons["cells"], comparisons["ways"]
    arm = ways.arm("RNN")
    chosen = {"training.learning_rate": rate}
    others = [
        Member(
            500 + k,
            member.overrides | chosen,
            with_overrides(member.config, chosen),
            0.0,
            describe({"training.learning_rate": rate}, "RNN"),
        )
        for k, member in enumerate(ways.judged(table, "RNN"))
    ]
    if rate != first:
        places = tuple(member.index for member in others)
        arm = dataclasses.replace(arm, tuned=chosen, members=places)
        table = Table([*table, *others])
    arms = (*ways.arms[:1], arm)
    compared = Comparisons([cells, dataclasses.replace(ways, arms=arms), comparisons["vectors"]])
    rows = module.by_row(table, compared)
    figure, caption = loaded.get_figures(table, compared)["summary"]
    assert "the most frequent class has 60.0% of them" in caption
    (drawn,) = figure.axes[0].tables
    words = [cell.get_text().get_text() for cell in drawn.get_celld().values()]
    return {name: float(np.median(of.stack("accuracy"))) for name, of in rows.items()}, words


def test_an_arm_of_two_comparisons_is_one_row_or_a_row_for_each():
    rates = cast(Any, load_experiment(FILE).get_config()).run.rates
    rows, _ = judged_rows(rates[0])
    assert list(rows)[2:] == ["RNN", "LSTM", "GRU", "Bi-RNN"]
    rows, words = judged_rows(rates[1])
    assert rows["RNN, against LSTM, GRU"] == pytest.approx(0.7)
    assert rows["RNN, against Bi-RNN"] == pytest.approx(0.8)
    assert "RNN" not in rows
    assert "RNN, against Bi-RNN" in words


def write(folder, count, words, classes=("no", "yes", "often")):
    """A file of texts whose first word tells the class; half of them are of the last class."""
    rng = np.random.default_rng(count)
    lines = []
    for k in range(count):
        name = classes[-1] if k % 2 else classes[k // 2 % (len(classes) - 1)]
        more = rng.choice(["a", "film", "it", "is"], words - 2).tolist()
        lines.append(f"{name}\t{' '.join([f'w{name}', *more, f'n{k}'])}")
    path = folder / "mine.tsv"
    path.write_text("\n".join(lines) + "\n")
    return {"task.path": str(path), "task.limit": 0, "task.min_count": 2, "vectors.unlabeled": 0}


def test_a_file_of_ones_own_has_its_own_name_shares_and_lengths(tmp_path):
    """Three classes, half of the texts in one; no text is long enough for 4-grams."""
    loaded = load_experiment(FILE)
    config = small(**write(tmp_path, 200, 3))
    with pytest.warns(LeftOut, match=r"mine\.tsv: without word 4-grams: no text is so long"):
        methods = cast(Any, loaded.get_sweep(config))["task.method"]
    assert set(loaded.module.COUNTED) - set(methods) == {"word 4-grams"}
    found = loaded.module.run(config, jax.random.key(0), None)
    labels = loaded.module.task_of(config).split().test_labels
    assert found["chance"] == max(np.mean(labels == k) for k in range(3)) == 0.5
    assert found["accuracy"] > 0.9  # a word decides
    table = Table([Member(0, {}, config.to_dict(), 0.0, found)])
    said = " ".join(one.statement for one in loaded.get_claims(table))
    assert "from all texts (mine.tsv)" in said
    assert "rotten" not in said
    assert all("rotten" not in one.question for one in loaded.asked_comparisons(config))


def test_a_file_that_methods_cannot_learn_from_is_refused_before_any_member(tmp_path):
    loaded = load_experiment(FILE)
    given = write(tmp_path, 200, 3)
    for method, message in (
        ("word 4-grams", r"mine\.tsv: word 4-grams needs a text with 4 or more words"),
        ("RNN", "min_count is 500"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded.module.check(small(**given | {"task.method": method, "task.min_count": 500}))
    tiny = small(**write(tmp_path, 12, 3, ("no", "yes")))
    with pytest.raises(UserError, match=r"mine\.tsv: at least 5 texts of each class are needed"):
        make_plan(loaded, tiny)


def test_bad_configs_are_refused():
    check = load_experiment(FILE).module.check
    for change, message in (
        ({"task.method": "LSTN"}, "did you mean 'LSTM'"),
        ({"task.limit": -1}, "limit must be a whole number of at least 0"),
        ({"task.limit": 3}, "at least 5 texts of each class are needed"),
        ({"vectors.unlabeled": 10**6}, "vectors.unlabeled must be a whole number from 0 to 24904"),
        ({"task.source": "imdb"}, "vectors.unlabeled must be 0 for imdb"),
        ({"vectors.size": 0}, "size must be a whole number of at least 1"),
        ({"training.epochs": 0}, "training.epochs must be a whole number of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            check(small(**change))
    with pytest.raises(ValueError, match="unknown scale 'fuller'; did you mean 'full'"):
        load_experiment(FILE).module.get_config("fuller")
