"""forecasting: the other answers by hand, a tiny run, and claims that can turn."""

import warnings
from pathlib import Path

import numpy as np

import rnnlab
from rnnlab.core.metrics import Metric
from rnnlab.core.notices import LeftOut
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.comparison import read_comparisons
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "learning" / "forecasting.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module
SMALL = {
    "task.points": 400,
    "cell.hidden_size": 3,
    "training.steps": 4,
    "training.eval_every": 2,
    "training.batch_size": 4,
    "training.eval_batch_size": 9,
    "training.eval_sample": 9,
}
# arm ↦ root mean squared error, one step ahead and twenty
GOOD = {"RNN": (0.05, 0.3), "GRU": (0.05, 0.2), "LSTM": (0.05, 0.2)}
OTHERS = {"naive": (0.2, 1.4), "last": (0.2, 0.9), "linear": (0.01, 0.5)}


def signs(others=None, verdicts=None, **errors):
    """One sign per claim, in order; errors and others: as GOOD and OTHERS, in place of theirs."""

    def describe(flat, arm):
        far = int(flat["task.horizon"] == MODULE.FAR)
        found = {f"nrmse_{k}": pair[far] for k, pair in (OTHERS | (others or {})).items()}
        wobble = 1 + 0.1 * (-1) ** flat["seed"]
        error = (GOOD | errors)[arm][far] * wobble
        return found | {"rmse": error, "nrmse_network": error}

    return judged.signs(LOADED, *judged.compared(LOADED, describe, verdicts or judged.against()))


def test_claims_can_come_out_the_other_way():
    assert signs() == "++-++++"
    assert signs(RNN=(0.3, 0.3)) == "-+-++++"
    assert signs(RNN=(0.19, 0.3)) == "?+-++++"
    assert signs(others={"last": (0.2, 0.1)}) == "+--++++"
    assert signs(others={"linear": (0.09, 0.5)}) == "+++++++"
    assert signs(others={"linear": (0.01, 0.1)}) == "++--+++"
    assert signs(verdicts=judged.against(ahead_1="worse")) == "++-+--+"
    assert signs(verdicts=judged.against(ahead_1="equivalent", ahead_20="worse")) == "++-+++-"
    assert signs(verdicts=judged.against(ahead_1="undecided", ahead_20="equivalent")) == "++-+??+"


def test_the_other_answers_equal_loops():
    rng, horizon, lags = np.random.default_rng(0), 3, MODULE.LAGS
    train, xs = rng.normal(size=80).cumsum(), rng.normal(size=(2, 24))
    found = MODULE.column_answers(train, xs, horizon, lags)
    rows = range(lags - 1, len(train) - horizon)
    for name, width in (("last", 1), ("linear", lags)):
        design = np.array([[1.0, *train[t - width + 1 : t + 1]] for t in rows])
        b = np.linalg.pinv(design) @ np.array([train[t + horizon] for t in rows])
        for n in range(2):
            for t in range(lags - 1, 24):
                expected = b[0] + b[1:] @ xs[n, t - width + 1 : t + 1]
                assert np.isclose(found[name][n, t - lags + 1], expected)
    assert np.array_equal(found["naive"], xs[:, lags - 1 :])


def test_a_tiny_run_compares_and_draws_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(MODULE, "SEEDS", (2,))
    arms = {"RNN": {"cell.name": "rnn-tanh"}, "ReLU": {"cell.name": "rnn-relu"}}
    monkeypatch.setattr(MODULE, "ARMS", arms)  # which compile fastest
    monkeypatch.setattr("rnnlab.plotting.comparison_figures.draw", lambda *a: {})
    config = sweep.apply(LOADED.get_config(), SMALL | {"run.rates": (1e-2,), "run.horizons": (20,)})
    run = rnnlab.run(LOADED, config, workdir=tmp_path / "run", progress=False)
    assert set(run.figures) == {"errors", "series"}
    (far,) = read_comparisons(tmp_path / "run")
    assert (far.name, far.question) == ("ahead_20", "On Mackey–Glass, 20 steps ahead")
    assert (far.score, far.relative, far.equivalent) == ("rmse", True, MODULE.PAR)
    members = far.judged(run.table, "RNN")
    assert members.each("nrmse_naive").shape == members.stack("nrmse_network").shape == (2,)
    decided = [claim.statement for claim in run.claims if claim.verdict != "undecided"]
    assert all("20 steps ahead" in statement for statement in decided)
    missing = [claim.measured for claim in run.claims if "1 step ahead" in claim.statement]
    assert len(missing) == 4
    assert all("'ahead_1', and this run compares ahead_20" in words for words in missing)


def test_a_short_table_plans_with_horizons_that_fit(tmp_path):
    """Of 40 rows 8 are held out: two windows of 3 steps leave 3 to look ahead."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["x", *(str(i * i % 11) for i in range(40))]))
    config = sweep.apply(LOADED.get_config(), {**SMALL, "task.path": str(path)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)
        plan = make_plan(LOADED, config)
    assert [question.name for question in plan.questions] == ["ahead_1", "ahead_3"]
    assert plan.questions[1].question == "On a.csv, 3 steps ahead"
    assert {member.task.horizon for member in plan.configs} == {1, 3}
    assert plan.metrics[0] == Metric("rmse", "units of x", "lower")


def test_of_several_columns_all_count(tmp_path):
    path = tmp_path / "two.csv"
    rows = np.random.default_rng(0).normal(size=(300, 2)).cumsum(axis=0)
    np.savetxt(path, rows, delimiter=",", header="a,b", comments="")
    given = {"task.path": str(path), "task.column": "a,b", "run.horizons": (2,)}
    (question,) = LOADED.get_comparisons(sweep.apply(LOADED.get_config(), SMALL | given))
    assert (question.score, question.rule.higher) == ("nrmse", False)
