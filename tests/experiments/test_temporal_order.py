"""temporal_order: claims that can turn, success rates against a loop, the figures."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core.nested import flatten
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "temporal_order.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
NEVER = math.inf
# updates until it is solved, by initialization, method and length
SOLVED = {
    ("basic tanh", "SGD", 20): 1500,
    ("basic tanh", "clip", 20): 1000,
    ("basic tanh", "clip + Ω", 20): 800,
    ("basic tanh", "SGD", 50): NEVER,
    ("basic tanh", "clip", 50): 2900,
    ("basic tanh", "clip + Ω", 50): 2000,
    ("smart tanh", "clip + Ω", 20): 400,
    ("sigmoid", "clip + Ω", 20): NEVER,
}
ERROR = {"SGD": 0.7, "clip": 0.3}  # of the linear RNN
CLAIMS = (
    *("clip", "Ω", "SGD never", "Ω solves", "Ω longer"),
    *("smart", "sigmoid", "diverges", "linear"),
)


def kind(flat):
    """(initialization, method) of a member."""
    inits = {"linear": MODULE.LINEAR} | MODULE.INITS
    (init,) = (n for n, v in inits.items() if v == tuple(flat[k] for k in MODULE.INIT_KEYS))
    values = tuple(flat[key] for key in MODULE.METHOD_KEYS)
    (method,) = (n for n, v in MODULE.METHODS.items() if v == values)
    return init, method


def describe(changes=(), error=ERROR, diverges="SGD", but=lambda place, seed: False):
    solved = SOLVED | dict(changes)

    def of(flat):
        init, method = kind(flat)
        rate, seed = flat["training.learning_rate"], flat["seed"]
        away = abs(math.log10(rate / 0.3))
        if init == "linear":
            lost = method == diverges and rate >= 0.1
            status = "diverged" if lost else "finished"
            return {"status": status, "error": error[method] + 0.01 * (seed % 3) + 0.01 * away}
        place = (init, method, flat["task.length"])
        at = NEVER if but(place, seed) else solved[place] * (1 + away)
        status = "solved" if at < NEVER else "finished"
        return {"status": status, "solved_at": at, "error": 0.0 if at < NEVER else 0.7, "loss": 1.0}

    return of


def verdicts(*args, **options):
    found = untrained.verdicts(LOADED, *untrained.compared(LOADED, describe(*args, **options)))
    return dict(zip(CLAIMS, found.values(), strict=True))


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert set(verdicts().values()) == {"holds"}


@pytest.mark.parametrize(
    ("options", "refuted"),
    [
        ({"changes": {("basic tanh", "SGD", 50): 2500}}, {"SGD never"}),
        ({"changes": {("basic tanh", "clip + Ω", 50): NEVER}}, {"Ω solves", "Ω longer"}),
        ({"changes": {("basic tanh", "clip + Ω", 50): 2800}}, {"Ω longer"}),
        ({"changes": {("basic tanh", "clip", 20): 1400}}, {"clip"}),
        ({"changes": {("basic tanh", "clip", 20): NEVER}}, {"clip"}),
        ({"changes": {("basic tanh", "clip", 20): 500}}, {"Ω"}),
        ({"changes": {("smart tanh", "clip + Ω", 20): 900}}, {"smart"}),
        ({"changes": {("sigmoid", "clip + Ω", 20): 300}}, {"sigmoid"}),
        ({"error": {"SGD": 0.3, "clip": 0.3}}, {"linear"}),
        ({"diverges": "clip"}, {"diverges"}),
        ({"diverges": ""}, {"diverges"}),
    ],
)
def test_a_claim_turns_when_its_members_do(options, refuted):
    expected = {name: "refuted" if name in refuted else "holds" for name in CLAIMS}
    assert verdicts(**options) == expected


def test_seeds_that_disagree_decide_nothing():
    def but(place, seed):
        return place[:2] in (("basic tanh", "clip"), ("basic tanh", "clip + Ω")) and (
            (place[1] == "clip") == bool(seed % 2)
        )

    found = verdicts(but=but)
    assert {name for name, verdict in found.items() if verdict == "undecided"} >= {
        "Ω solves",
        "Ω",
    }


def test_without_comparisons_divergence_alone_is_decided():
    table, _ = untrained.compared(LOADED, describe())
    found = dict(
        zip(CLAIMS, untrained.verdicts(LOADED, table, Comparisons(())).values(), strict=True)
    )
    assert found == {name: "holds" if name == "diverges" else "undecided" for name in CLAIMS}


def test_the_success_rate_is_that_of_a_loop():
    table, comparisons = untrained.compared(
        LOADED, describe(but=lambda place, seed: place == ("basic tanh", "clip", 50) and seed % 4)
    )
    figure, _ = LOADED.get_figures(table, comparisons)["success"]
    for init, ax in zip(["basic tanh"], figure.axes, strict=True):
        for line, method in zip(ax.lines, MODULE.METHODS, strict=True):
            rates = []
            for length in (20, 50):
                arm = comparisons[MODULE.methods_at(init, length)].arm(method)
                own = [m for m in table if m.index in arm.members]
                assert {kind(flatten(m.config)) for m in own} == {(init, method)}
                rates.append(sum(m.result["status"] == "solved" for m in own) / len(own))
            assert list(line.get_xdata()) == [20, 50]
            assert np.allclose(np.asarray(line.get_ydata(), float), rates, atol=0.02)


def test_divergence_is_drawn_of_the_members_beside_the_comparisons():
    table, comparisons = untrained.compared(LOADED, describe())
    norms, shares = LOADED.get_figures(table, comparisons)["clipping"][0].axes
    assert [list(line.get_ydata()) for line in shares.lines] == [[0, 0, 1, 1], [0, 0, 0, 0]]
    crosses = [line for line in norms.lines if line.get_marker() == "x"]
    assert len(crosses) == LOADED.get_config().run.seeds


def test_full_is_the_scale_of_the_paper():
    full = load_experiment(PATH, "full")
    config = full.get_config()
    own = config.training
    assert (own.steps, own.learning_rate, own.batch_size) == (5_000_000, 0.01, 20)
    assert own.eval_batch_size == 10_000
    assert max(config.run.lengths) == 250
    assert config.task.solved_at == 0.01
    assert config.run.seconds_per_member > 3600
    assert full.asked_comparisons(config)[0].tune == {
        "training.learning_rate": (0.003, 0.01, 0.03, 0.1)
    }
    with pytest.raises(ValueError, match="unknown scale"):
        LOADED.module.get_config("small")
