"""text_classification: methods learn, order is seen or not, every claim can turn."""

from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.claims import decide
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


def test_C_is_chosen_without_the_reviews_held_out():
    module = load_experiment(FILE).module
    split = module.task_of(small()).split()
    spoiled = split._replace(test_texts=[], test_labels=split.test_labels[:0])
    short = [s._replace(texts=s.texts[:300], labels=s.labels[:300]) for s in (split, spoiled)]
    steps = lambda: [module.bag()(), module.scaled()]  # noqa: E731
    assert module.choice_of_C(steps, short[0]) == module.choice_of_C(steps, short[1])


def test_a_network_is_compiled_once_for_all_seeds_and_rates(monkeypatch):
    module = load_experiment(FILE).module
    made = []
    real = module.training.make_train
    monkeypatch.setattr(module.training, "make_train", lambda s: made.append(s) or real(s))
    module.program.cache_clear()
    for seed, rate in ((0, 1e-3), (1, 1e-2)):
        changes = {"task.method": "RNN", "seed": seed, "training.learning_rate": rate}
        module.run(small(**changes), jax.random.key(seed), None)
    module.program.cache_clear()
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
    assert signs(**{word2vec: {"count": 660}})[13] == "-"
    assert signs(**{word2vec: {"count": 800}})[14] == "+"
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
