"""speed_embeddings: every side trains, and the bars can be missed."""

import importlib.util
import math
from pathlib import Path

import pytest

from rnnlab.core.errors import UserError
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results import claims
from rnnlab.results.table import Member, Table
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_embeddings.py"
SMALL = {
    "text.reviews": 60,
    "text.min_count": 3,
    "training.size": 8,
    "training.buckets": 500,
    "run.seconds": 1e-6,
}


def test_every_side_trains_on_the_same_words(monkeypatch):
    pytest.importorskip("numba")
    benchmarks.in_process(monkeypatch)
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL | {"method": "cbow"})
    result = loaded.module.run(config, None, lambda **record: None)
    assert set(result["words_a_second"]) == {"rnnlab, 1 thread", "rnnlab, 2 threads", "gensim"}
    assert min(result["words_a_second"].values()) > 0
    pairs = {side: scores["wordsim353_pairs"] for side, scores in result["quality"].items()}
    assert len(set(pairs.values())) == 1  # the same vocabulary
    assert pairs["gensim"] > 0
    tokens = {scores["tokens"] for scores in result["quality"].values()}
    assert tokens == {result["tokens"]}
    member = Member(0, {}, config.to_dict() | {"method": "cbow"}, 0.0, result)
    assert set(loaded.module.figures(Table([member]))) == {"speed", "quality"}


def test_quality_is_compared_without_timing(monkeypatch):
    pytest.importorskip("numba")
    benchmarks.in_process(monkeypatch)
    loaded = load_experiment(FILE, "quality")
    config = sweep.apply(loaded.get_config(), SMALL | {"training.epochs": 1})
    loaded.module.check(config)
    result = loaded.module.run(config, None, lambda **record: None)
    assert result["words_a_second"] == {}
    assert result["quality"].keys() == {"rnnlab, 1 thread", "gensim"}
    member = Member(0, {}, config.to_dict(), 0.0, result)
    assert set(loaded.module.figures(Table([member]))) == {"quality"}


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def verdicts(ratio, ours=0.2, seeds=1, trained=0, **left_out):
        def describe(index, flat):
            del index
            bound, tool = loaded.module.METHODS[flat["method"]]
            times = {"rnnlab, 1 thread": 1.5, "rnnlab, 2 threads": 1.0, "gensim": 9.0}
            times[tool] = ratio * bound
            times = {side: ms for side, ms in times.items() if side not in left_out}
            quality = {
                "gensim": {"wordsim353": 0.2, "simlex999": 0.1},
                "rnnlab, 1 thread": {"wordsim353": ours, "simlex999": 0.1},
                "rnnlab, 2 threads": {"wordsim353": ours, "simlex999": 0.1},
            }
            return benchmarks.result(
                {"call": times},
                tokens=100,
                quality=quality,
                words_a_second={"gensim": 1.0},
                left_out=left_out,
            )

        members = []
        for seed in range(trained or seeds):
            for member in untrained.measured(loaded, describe):
                member.config["run"]["seeds"], member.config["seed"] = seeds, seed
                members.append(member)
        table = Table(members)
        return [v.verdict for v in claims.decide(loaded.module.claims(table))]

    assert verdicts(1.01) == ["holds"] * 3
    assert verdicts(0.99) == ["refuted"] * 3
    assert verdicts(1.01, 0.181, 5) == ["holds"] * 6
    assert verdicts(1.01, 0.179, 5) == ["holds"] * 3 + ["refuted"] * 3
    assert verdicts(1.01, math.nan, 5) == ["holds"] * 3 + ["undecided"] * 3
    assert verdicts(1.01, 0.179, 5, trained=1) == ["holds"] * 3 + ["undecided"] * 3
    assert verdicts(1.01, fasttext="needs fasttext") == ["holds", "holds", "undecided"]


def test_without_gensim_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gensim"):
        make_plan(FILE)
