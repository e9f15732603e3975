"""text_classification: methods learn, order is seen or not, every claim can turn."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

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
    "run.seeds": 1,
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
    assert set(ran.figures) == {"summary", "ngrams"}
    assert all(path.stat().st_size > 10_000 for path, _ in ran.figures.values())
    verdicts = {c.statement: c.verdict for c in ran.claims}
    undecided = [s for s, v in verdicts.items() if v == "undecided"]
    assert undecided == [
        "A recurrent network reads in order",
        "An LSTM classifies better than a simple RNN",
        "A GRU classifies better than a simple RNN",
        "Reading both ways classifies better",
        "An LSTM classifies better than bag of words, from 600 reviews (rotten_tomatoes)",
    ]
    assert verdicts["Bag of words ignores order"] == "holds"
    found = {m.config["task"]["method"]: m.result for m in ran.table}
    assert found["bag of words"]["accuracy"] > 0.55
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


def test_the_share_of_common_words_is_that_of_their_columns():
    module = load_experiment(FILE).module
    counts = np.zeros((2, 30), int)
    counts[:, :10] = 5
    counts[0, 10:] = 1
    features = counts.astype(float)
    features[:, :10] *= 0.2
    from scipy.sparse import csr_array

    assert module.common_share(csr_array(counts), csr_array(counts)) == pytest.approx(100 / 120)
    assert module.common_share(csr_array(counts), csr_array(features)) == pytest.approx(20 / 40)


def test_mean_vectors_are_the_means():
    module = load_experiment(FILE).module
    rng = np.random.default_rng(0)
    vectors = module.Vectors(["film", "good", "a"], rng.normal(size=(3, 5)).astype(np.float32))
    means = module.mean_vectors(vectors, ["A good, good film!", "unseen words", "", "film unseen"])
    film, good, a = vectors.matrix.astype(float)
    expected = [(a + 2 * good + film) / 4, 0 * a, 0 * a, film]
    np.testing.assert_allclose(means, expected, rtol=1e-6, atol=0)


def test_unlabeled_reviews_are_others_than_those_held_out():
    module = load_experiment(FILE).module
    split = module.task_of(small()).split()
    other = module.unlabeled(3000)
    assert len(set(other)) == 3000
    assert not set(other) & {*split.texts, *split.test_texts}
    assert module.unlabeled(0) == []


def test_C_is_chosen_without_the_reviews_held_out():
    module = load_experiment(FILE).module
    split = module.task_of(small()).split()
    spoiled = split._replace(test_texts=[], test_labels=split.test_labels[:0])
    short = [s._replace(texts=s.texts[:300], labels=s.labels[:300]) for s in (split, spoiled)]
    steps = lambda: [module.bag()(), module.scaled()]  # noqa: E731
    assert module.choice_of_C(steps, short[0]) == module.choice_of_C(steps, short[1])


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config, module = loaded.get_config(), loaded.module

    def verdicts(**changed):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            method = overrides["task.method"]
            n = module.NGRAMS.get(method, 1)
            result = {
                "accuracy": {
                    "bag of words": 0.75,
                    "words, 2-grams": 0.78,
                    "LSTM": 0.74,
                    "GRU": 0.74,
                    "RNN": 0.7,
                    "Bi-RNN": 0.72,
                    "Word2Vec, mean": 0.7,
                    "FastText, mean": 0.71,
                }.get(method, 0.76),
                "moved": 0.0 if method == "bag of words" or "mean" in method else 0.1,
                "dimension": 100 if "mean" in method else 10_000 * n * n,
                "density": 0.001,
                "deviation": 0.01,
                "common_share": 0.3 if method == "bag of words" else 0.1,
                "fit_s": 2.0 if method == "FastText, mean" else 1.0,
            } | changed.get(method, {})
            nested = with_overrides(config.to_dict(), overrides)
            members.append(Member(index, overrides, nested, 0.0, result))
        claims = module.claims(Table(members))
        return "".join("+-"[not claim.check()[0]] for claim in claims)

    ends = "++-++"  # of the claims on word vectors
    assert verdicts() == "+++++++++++-" + ends
    assert verdicts(**{"bag of words": {"moved": 0.01}}) == "-++++++++++-" + ends
    few = {"bag of words": {"dimension": 10, "accuracy": 0.77}}
    assert verdicts(**few) == "+-+++-+++++-" + "+--++"
    assert verdicts(**{"words, 2-grams": {"moved": 0.0, "accuracy": 0.7}}) == "++-++++-+++-" + ends
    assert verdicts(LSTM={"moved": 0.0, "accuracy": 0.6}) == "+++-++++-++-" + ends
    assert verdicts(LSTM={"accuracy": 0.8}) == "++++++++++++" + ends
    assert verdicts(**{"TF-IDF, the notes'": {"common_share": 0.2}}) == "++++-++++++-" + ends
    assert verdicts(**{"word 2-grams": {"dimension": 15_000}}) == "++++++-++++-" + ends
    assert verdicts(RNN={"accuracy": 0.9}) == "++++++++----" + ends
    first = "+++++++++++-"
    word2vec, fasttext = "Word2Vec, mean", "FastText, mean"
    assert verdicts(**{fasttext: {"moved": 0.01}}) == first + "-+-++"
    assert verdicts(**{word2vec: {"dimension": 300}}) == first + "+--++"
    assert verdicts(**{word2vec: {"accuracy": 0.66}}) == first + "+--++"
    assert verdicts(**{word2vec: {"accuracy": 0.76}}) == first + "+++-+"
    assert verdicts(**{fasttext: {"accuracy": 0.66, "fit_s": 0.9}}) == first + "++---"


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
