"""speed_embeddings: every side trains, and the bars can be missed."""

import importlib.util
from pathlib import Path

import pytest

from rnnlab.core.errors import UserError
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_embeddings.py"
SMALL = {
    "text.reviews": 60,
    "text.min_count": 3,
    "training.size": 8,
    "training.buckets": 500,
    "run.repeats": 1,
}


def test_every_side_trains_on_the_same_words(tmp_path):
    pytest.importorskip("numba")
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL | {"method": "cbow"})
    logged = []
    result = loaded.module.run(config, None, lambda **record: logged.append(record))
    assert set(result["words_a_second"]) == {"rnnlab, 1 thread", "rnnlab, 2 threads", "gensim"}
    assert len(logged) == 3
    assert min(result["words_a_second"].values()) > 0
    pairs = {side: scores["wordsim353_pairs"] for side, scores in result["quality"].items()}
    assert len(set(pairs.values())) == 1  # the same vocabulary
    assert pairs["gensim"] > 0
    member = Member(0, {}, config.to_dict() | {"method": "cbow"}, 0.0, result)
    assert set(loaded.module.figures(Table([member]))) == {"speed", "quality"}


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()

    def verdicts(ratio, ours=0.2, seeds=1):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            bound = loaded.module.METHODS[overrides["method"]]
            result = {
                "ratio": ratio * bound,
                "ratio_one_thread": 1.0,
                "quality": {
                    "gensim": {"wordsim353": 0.2, "simlex999": 0.1},
                    "rnnlab, 1 thread": {"wordsim353": ours, "simlex999": 0.1},
                },
            }
            nested = with_overrides(config.to_dict(), overrides | {"run.seeds": seeds})
            members.append(Member(index, overrides, nested, 0.0, result))
        return [claim.check()[0] for claim in loaded.module.claims(Table(members))]

    assert verdicts(1.01) == [True] * 3
    assert verdicts(0.99) == [False] * 3
    assert verdicts(1.01, 0.181, 5) == [True] * 6
    assert verdicts(1.01, 0.179, 5) == [True] * 3 + [False] * 3


def test_without_gensim_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gensim"):
        make_plan(FILE)
