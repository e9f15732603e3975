"""fasttext_oov: letters are changed at their rate, and every claim can turn."""

from pathlib import Path

import numpy as np
import pytest

from rnnlab.core.errors import Undecided
from rnnlab.core.nested import with_overrides
from rnnlab.embeddings import subwords
from rnnlab.embeddings.vectors import Vectors
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "text_features" / "fasttext_oov.py"
module = load_experiment(FILE).module


def test_letters_are_changed_at_the_rate():
    rng = np.random.default_rng(0)
    assert module.misspelled("government", 0.0, rng) == "government"
    drawn = [module.misspelled("government", 0.1, rng) for _ in range(2000)]
    # a swap takes the next letter with it, and swaps no equal ones here
    assert np.mean([m == "government" for m in drawn]) == pytest.approx(0.9**10, abs=0.05)
    lengths = np.array([len(m) for m in drawn])
    assert lengths.mean() == pytest.approx(10, abs=0.1)  # as many left out as doubled
    assert np.mean([sorted(m) == sorted("government") for m in drawn]) > 0.9**10 + 0.05


def drawn(with_subwords):
    rng = np.random.default_rng(0)
    words = ["walking", "walker", "walked", "talking", "talked", "houses", "garden", "gardens"]
    sub = subwords.Subwords(rng.normal(size=(8, 6)) * 0.1, rng.normal(size=(500, 6)), 3, 6)
    return Vectors(words, subwords.compose(words, sub), subwords=sub if with_subwords else None)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_what_is_left_is_the_definition(rate):
    words = list(drawn(True).words)
    for v in (drawn(True), drawn(False)):
        got = module.after_misspelling(v, words, rate, 3, seed=4)
        rng = np.random.default_rng([4, round(rate * 1000)])
        kept, found, vector, unseen = [], [], [], 0
        for word in words:
            became = module.misspelled(word, rate, rng)
            if became == word:
                kept.append(1.0)
                found.append(1)
            elif became not in v:
                unseen += 1
                vector.append(v.has(became))
                if not v.has(became):
                    kept.append(0.0)
                    found.append(0)
                    continue
                near = [w for w, _ in v.neighbors(v[became], 8)]
                others = [w for w in near if w != word][:3]
                kept.append(len({w for w, _ in v.neighbors(word, 3)} & set(others)) / 3)
                found.append(word in near[:3])
        assert got["kept"] == pytest.approx(np.mean(kept))
        assert got["found"] == pytest.approx(np.mean(found))
        assert got["unseen"] == unseen
        assert got["vector"] == pytest.approx(np.mean(vector) if vector else np.nan, nan_ok=True)


def test_forms_are_counted_and_figures_drawn(tmp_path):
    rng = np.random.default_rng(0)
    words = ["walk", "walking", "dancing", "dance", "quickly", "quick", "house", "houses"]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(" ".join(rng.choice(words, 9)) for _ in range(200)))
    small = {
        "corpus.name": str(text),
        "training.size": 4,
        "training.epochs": 1,
        "training.buckets": 50,
        "training.engine": "jax",
        "probe.first_rank": 0,
        "probe.words": 5,
        "probe.top": 3,
        "run.seeds": 1,
    }
    config = sweep.apply(load_experiment(FILE).get_config(), small)
    v = module.Vectors.of(
        module.fasttext.train(module._corpus(str(text), 5), module._settings(config))
    )
    found = module.forms(v, 3)
    assert found["pairs_known"] >= 3
    assert np.isnan(found["forms_unseen"]) == (found["pairs_unseen"] == 0)
    members = []
    for index, method in enumerate(("word2vec", "fasttext")):
        result = fake()[method] | {"examples": {"wlak": ["walk"]} if index else {}}
        nested = with_overrides(config.to_dict(), {"method": method})
        members.append(Member(index, {"method": method}, nested, 0.0, result))
    assert set(module.figures(Table(members))) == {
        "misspelled",
        "forms_and_cost",
        "examples",
    }


def fake(**changes):
    ours = {
        "kept": [1.0, 0.8, 0.6, 0.4, 0.3],
        "found": [1.0, 0.9, 0.85, 0.6, 0.4],
        "vector": [np.nan, 1, 1, 1, 1],
        "forms_known": 0.6,
        "forms_unseen": 0.4,
        "syntactic": 0.3,
        "seconds": 20.0,
        "parameters": 100,
        "words_per_second": 1e5,
    }
    theirs = {
        "kept": [1.0, 0.7, 0.4, 0.2, 0.1],
        "found": [1.0, 0.7, 0.4, 0.2, 0.1],
        "vector": [np.nan, 0, 0, 0, 0],
        "forms_known": 0.2,
        "forms_unseen": 0.0,
        "syntactic": 0.1,
        "seconds": 10.0,
        "parameters": 20,
        "words_per_second": 2e5,
    }
    return {"fasttext": ours | changes, "word2vec": theirs}


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()

    def verdicts(**changes):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            nested = with_overrides(config.to_dict(), overrides)
            result = fake(**changes)[overrides["method"]]
            members.append(Member(index, overrides, nested, 0.0, result))
        table = Table(members)
        for claim in loaded.module.claims(table.select({"method": "fasttext"})):
            with pytest.raises(Undecided):
                claim.check()
        return "".join("-+"[claim.check()[0]] for claim in loaded.module.claims(table))

    assert verdicts() == "++++++++++"
    assert verdicts(kept=[0.9, 0.5, 0.3, 0.2, 0.1]) == "-+--++++++"
    assert verdicts(vector=[np.nan, 1, 0.9, 1, 1]) == "+-++++++++"
    assert verdicts(found=[1, 1, 0.7, 1, 1]) == "++++-+++++"
    assert verdicts(forms_known=0.1, forms_unseen=0.1, syntactic=0.1) == "+++++---++"
    assert verdicts(seconds=14.0, parameters=30) == "++++++++--"


def test_a_config_that_cannot_be_is_refused():
    for changes, words in (
        ({"method": "glove"}, "method.*glove"),
        ({"probe.rates": (0.1, 2.0)}, r"probe\.rates must lie in \[0, 1\], got 2.0"),
    ):
        config = sweep.apply(load_experiment(FILE).get_config(), changes)
        with pytest.raises(ValueError, match=words):
            module.check(config)
