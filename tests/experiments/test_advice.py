"""advice: what is compared, what is predicted before training, claims that can turn, figures."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.core.nested import flatten
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import advice
from rnnlab.results.advice import Row
from rnnlab.results.comparison import Comparisons
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "advice.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = LOADED.get_config()
FEW = {"run.tasks": ("copy_20",)}


# updates until solved by candidate, and the decades that it keeps
TIMES = {
    "PyTorch": 200,
    "Keras": 150,
    "flax": 160,
    "gain 0.5": 240,
    "gain 1.5": 180,
    "critical": 120,
    "flossed": 140,
    "N(0, 0.01)": math.inf,
    "bias 3": 130,
}
LEFT = {name: -at / 100 if at < math.inf else -30.0 for name, at in TIMES.items()}


def candidate(flat):
    """Return the name of a member's candidate."""
    arms = MODULE.arms(flat["cell.name"])
    keys = set().union(*arms.values())
    plain = {key: value for key, value in flatten(CONFIG.to_dict()).items() if key in keys}
    given = {key: flat[key] for key in keys}
    return next(name for name, values in arms.items() if given == plain | values)


def describe(changes=(), predictions=()):
    times, predictions = TIMES | dict(changes), dict(predictions)

    def of(flat):
        name = candidate(flat)
        at = times[name] * (1 + 0.02 * (flat["seed"] % 3))
        at *= 1 + abs(math.log10(flat["training.learning_rate"] / 1e-2))
        left = LEFT[name]
        predicted = {
            "predicted": left > -6,
            "cost": -left,
            "large": False,
            "flossed": name == "flossed",
            "left": left,
            "mean_field": 5.0,
            "spectral_radius": 0.1,
            "rates": [1e-3, 3e-3, 1e-2, 3e-2],
        }
        solved = math.isfinite(at)
        return {
            "status": "solved" if solved else "finished",
            "solved_at": at,
            "loss": 2.0,
            **predicted,
            **predictions.get(name, {}),
        }

    return of


def decided(changes=(), predictions=()):
    table, comparisons = untrained.compared(LOADED, describe(changes, predictions), FEW)
    return [*untrained.verdicts(LOADED, table, comparisons).values()]


HOLD = ["holds"] * 7
KEPT, NEAR, ORDER, RATES, PYTORCH, KERAS, FLAX = range(7)


def test_the_held_out_tasks_are_none_of_the_development_s():
    names = [
        {task["task.name"] for task in tasks.values()}
        for tasks in (MODULE.HELD_OUT, MODULE.DEVELOP)
    ]
    assert not names[0] & names[1]
    assert LOADED.get_config().run.tasks == tuple(MODULE.HELD_OUT)
    assert load_experiment(PATH, "develop").get_config().run.tasks == tuple(MODULE.DEVELOP)


def test_what_is_predicted_of_a_member_depends_on_its_candidate_not_on_its_rate_or_seed():
    changes = {"cell.name": "rnn-tanh", "cell.hidden_size": 6, **MODULE.HELD_OUT["copy_20"]}
    small = sweep.apply(CONFIG, changes)
    found = MODULE.predict(small)
    assert found == MODULE.predict(sweep.apply(small, {"seed": 5, "training.learning_rate": 0.1}))
    assert found["span"] == 20 + 2 * 3 - 1  # three symbols, the delay, three answers
    assert found["spectral_radius"] == pytest.approx(1.0, abs=1e-5)
    assert found["left"] == found["curve"][-1]
    other = MODULE.predict(sweep.apply(small, {"init.w_h": "orthogonal(gain=0.5)"}))
    assert other["left"] < found["left"] - 1
    assert other["mean_field"] < found["mean_field"] - 1


def test_the_cell_of_this_file_is_its_equation():
    cell = MODULE.UGRNN(3)
    params = cell.init_params(jax.random.key(0), 2)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    h, x = np.array([0.2, -0.4, 0.1]), np.array([0.5, -1.0])
    new, ys, _ = cell.step(params, cell.initial_state(params, ())._replace(h=jnp.array(h)), x)
    p = jax.tree.map(np.asarray, params)
    g = 1 / (1 + np.exp(-(h @ p.W_hg + x @ p.W_xg + p.b_g)))
    wanted = g * h + (1 - g) * np.tanh(h @ p.W_hc + x @ p.W_xc + p.b_c)
    np.testing.assert_allclose(ys, wanted, rtol=1e-6)
    np.testing.assert_allclose(new.h, wanted, rtol=1e-6)


# ---- claims ------------------------------------------------------------------------------------


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert decided() == HOLD


@pytest.mark.parametrize(
    ("changes", "predictions", "turned"),
    [
        ({"gain 0.5": math.inf, "Keras": math.inf}, {}, {KEPT}),
        ({}, {n: {"spectral_radius": 9.0 if "N" in n else 1.0} for n in TIMES}, {KEPT}),
        ({"critical": 200}, {}, {NEAR, KERAS, FLAX}),
        ({"critical": 145}, {}, {NEAR}),
        ({}, {name: {"cost": 50 + LEFT[name]} for name in TIMES if name != "critical"}, {ORDER}),
        ({}, {name: {"rates": [1e-1, 1.0]} for name in TIMES}, {RATES}),
        ({"critical": math.inf}, {}, {KEPT, NEAR, ORDER, PYTORCH, KERAS, FLAX}),
    ],
)  # fmt: skip
def test_each_claim_turns_where_members_do_otherwise(changes, predictions, turned):
    found = decided(changes, predictions)
    assert {i for i, verdict in enumerate(found) if verdict == "refuted"} == turned
    assert {found[i] for i in set(range(7)) - turned} == {"holds"}


def test_nothing_is_recommended_where_nothing_is_predicted_to_train():
    nothing = {name: {"predicted": False} for name in TIMES}
    found = decided({}, nothing)
    assert found[NEAR] == "refuted"
    assert found[PYTORCH:] == ["holds"] * 3  # no recommendation is worse than a default


def test_without_comparisons_nothing_is_decided():
    table, _ = untrained.compared(LOADED, describe(), FEW)
    found = untrained.verdicts(LOADED, table, Comparisons(()))
    assert [*found.values()] == ["undecided"] * 7


@pytest.mark.parametrize("seed", range(20))
def test_it_judges_the_rule_of_the_command(seed):
    rng = np.random.default_rng(seed)
    names = list(MODULE.arms("lstm"))
    rows = {
        name: Row(
            scheme=name,
            forget_bias=0.0,
            searched=False,
            gain=float(rng.choice([0.5, 1.0, 1.5])),
            kept={},
            kept_spread={},
            curve=(0.0, float(rng.normal(scale=4.0))),
            horizon=math.inf,
            exponent=0.0,
            exponent_spread=0.0,
            sensitivity=1.0,
            saturation={},
            dead=0.0,
            overflowed=0.0,
        )
        for name in names
    }
    predicted = {
        name: {
            "predicted": advice.trains(row, 1),
            "cost": advice.cost(row, 1),
            "large": advice.is_large(row),
            "flossed": False,
        }
        for name, row in rows.items()
    }
    best = advice.recommended(list(rows.values()), 1)
    setting = MODULE.Setting("lstm", "copy_20", None, predicted)
    assert setting.recommended == (None if best is None else best.scheme)


# ---- figures -----------------------------------------------------------------------------------


def test_the_star_stands_at_the_recommended_candidate_s_median():
    table, comparisons = untrained.compared(LOADED, describe(), FEW)
    drawn = LOADED.get_figures(table, comparisons)
    assert list(drawn) == ["recommended", "who_trains"]
    figure, _ = drawn["recommended"]
    stars = [line for ax in figure.axes for line in ax.lines if line.get_marker() == "*"]
    assert len(stars) == len(MODULE.CELLS)
    best = np.median(comparisons[MODULE.place("gru", "copy_20")].arm("critical").test)
    assert stars[MODULE.CELLS.index("gru")].get_ydata() == pytest.approx([best])
    figure, _ = drawn["who_trains"]
    points = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert sum(len(line.get_xdata()) for line in points) == sum(
        len(MODULE.arms(cell)) for cell in MODULE.CELLS
    )
