"""speed_sparse: both sides do the same, and the bounds can be missed."""

import copy
import io
from pathlib import Path

import pytest
import scipy.sparse as sp

import rnnlab
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_sparse.py"


def small(**changes):
    return sweep.apply(
        load_experiment(FILE).get_config(), {"task.documents": 300, "run.repeats": 2} | changes
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("speed_sparse") / "run"
    rnnlab.run(FILE, small(), workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_small_run_times_both_sides_and_draws(ran):
    module = load_experiment(FILE).module
    assert [m.config["task"]["contest"] for m in ran.table] == list(module.CONTESTS)
    for member in ran.table:
        contest = module.CONTESTS[member.config["task"]["contest"]]
        assert member.result["difference"] <= contest.same
        assert 0 < member.result["ratio_low"] <= member.result["ratio"]
        (logged,) = member.metrics
        assert len(logged["seconds"]["ours"]) == len(logged["seconds"]["theirs"]) == 2
    assert set(ran.figures) == {"speed"}
    assert ran.figures["speed"][0].stat().st_size > 10_000
    assert "undecided" not in {c.verdict for c in ran.claims}


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_figure_is_drawn_whatever_the_times(ran, factor):
    table = copy.deepcopy(ran.table)
    for member in table:
        member.result["ours_s"] *= factor
    (figure, _) = load_experiment(FILE).module.figures(table)["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn


def test_other_outputs_are_seen(monkeypatch):
    module = load_experiment(FILE).module
    one = sp.csr_array([[1.0, 0.0], [0.0, 2.0]])
    assert module.relative_difference(one, one) == 0
    assert module.relative_difference(one, one * (1 + 1e-9)) > module.SAME
    assert module.relative_difference(one, sp.csr_array([[1.0, 1.0], [0.0, 2.0]])) == float("inf")
    wrong = module.Contest(
        "nobody", lambda config: (lambda: one, lambda: 2 * one, module.relative_difference)
    )
    monkeypatch.setitem(module.CONTESTS, "bag of words", wrong)
    with pytest.raises(AssertionError, match=r"bag of words: the sides differ by 5\.0e-01"):
        module.run(small(), None, lambda **_: None)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()
    bounds = [c.bound for c in loaded.module.CONTESTS.values()]
    for factor, expected in ((1.01, True), (0.99, False)):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            ratio = factor * (bounds[index] or 1)
            result = {
                "difference": 0.0,
                "ours_s": 1.0,
                "theirs_s": ratio,
                "ratio": ratio,
                "ratio_low": ratio,
                "ratio_high": ratio,
            }
            nested = with_overrides(config.to_dict(), overrides)
            members.append(Member(index, overrides, nested, 0.0, result))
        claims = loaded.module.claims(Table(members))
        assert [claim.check()[0] for claim in claims] == [expected] * (
            len(bounds) - bounds.count(None)
        )


def test_bad_configs_are_refused():
    for change, message in (
        ({"task.contest": "bag of word"}, "did you mean 'bag of words'"),
        ({"task.documents": 0}, "task.documents must be a whole number of at least 1, got 0"),
        ({"run.repeats": 0}, "run.repeats must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            load_experiment(FILE).module.check(small(**change))
