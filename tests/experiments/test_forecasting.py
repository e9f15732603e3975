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
from rnnlab.results.table import Table
from tests.helpers import untrained

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
# cell ↦ root mean squared error, one step ahead and twenty
GOOD = {"rnn-tanh": (0.05, 0.3), "gru": (0.05, 0.2), "lstm": (0.05, 0.2)}
OTHERS = {"naive": (0.2, 1.4), "last": (0.2, 0.9), "linear": (0.01, 0.5)}


def verdicts(others=None, **errors):
    """One sign a claim, in order; errors and others: as GOOD and OTHERS, in place of theirs."""
    cells = GOOD | {name.replace("_", "-"): pair for name, pair in errors.items()}

    def of(flat):
        far = int(flat["task.horizon"] == MODULE.FAR)
        said = {f"nrmse_{k}": pair[far] for k, pair in (OTHERS | (others or {})).items()}
        return said | {"loss": 1.0, "lags": 20, "nrmse_network": cells[flat["cell.name"]][far]}

    found = untrained.verdicts(LOADED, untrained.table(LOADED, of)).values()
    return "".join({"holds": "+", "refuted": "-"}[verdict] for verdict in found)


def test_claims_can_come_out_the_other_way():
    assert verdicts() == "++-+++"
    assert verdicts(rnn_tanh=(0.21, 0.3))[0] == "-"
    assert verdicts(others={"last": (0.2, 0.25)})[1] == "-"
    assert verdicts(others={"linear": (0.06, 0.5)})[2] == "+"
    assert verdicts(others={"linear": (0.01, 0.25)})[3] == "-"
    assert verdicts(gru=(0.03, 0.2))[4] == "-"
    assert verdicts(gru=(0.05, 0.26))[5] == "-"


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


def test_a_tiny_run_draws_its_figures(tmp_path):
    config = sweep.apply(LOADED.get_config(), SMALL)
    axes = {"cell.name": ("rnn-tanh",), "task.horizon": (1, 20), "seed": (0,)}
    table = rnnlab.run(LOADED, config, sweep=axes, workdir=tmp_path / "run", progress=False).table
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"errors", "curves", "series"}
    naive = table.each("nrmse_naive")
    assert naive[0] < naive[1], "one step ahead less has changed than twenty"
    assert Table(table).each("nrmse_network").shape == (2,)


def test_a_short_table_plans_with_horizons_that_fit(tmp_path):
    """Of 40 rows 8 are held out: two windows of 3 steps leave 3 to look ahead."""
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["x", *(str(i * i % 11) for i in range(40))]))
    config = sweep.apply(LOADED.get_config(), {**SMALL, "task.path": str(path)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)
        plan = make_plan(LOADED, config)
    assert {member.task.horizon for member in plan.configs} == {1, 3}
    assert plan.metrics[0] == Metric("rmse", "units of x", "lower")
