"""chrono: what is compared, what gates keep, claims that can turn, the figure."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "chrono.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = LOADED.get_config()

# updates until the task is solved, by kind of bias and delay, at the best rate
SOLVED = {
    ("0.0", 20): 600,
    ("1.0", 20): 200,
    ("1.0", 100): 600,
    ("1.0", 200): 950,
    ("chrono", 20): 220,
    ("chrono", 100): 400,
    ("chrono", 200): 450,
}
HOLDS = ["holds"] * 4


def describe(changes, but=lambda kind, delay, seed: False):
    def of(flat):
        kind, delay = flat["init.forget_bias"].split("(")[0], flat["task.delay"]
        at = (SOLVED | changes)[kind, delay]
        at *= 1 + abs(math.log10(flat["training.learning_rate"] / 3e-3))
        at = math.inf if but(kind, delay, flat["seed"]) else at
        return {"status": "solved" if at < math.inf else "finished", "solved_at": at, "loss": 2.0}

    return of


def verdicts(changes=(), **options):
    table, comparisons = untrained.compared(LOADED, describe(dict(changes), **options))
    return list(untrained.verdicts(LOADED, table, comparisons).values())


def test_the_paper_s_scale_is_what_full_asks_for():
    """LSTM-128, RMSprop 1e-3/.9, no clipping; T_max = 3T/2 for a delay, T for a length."""
    full = load_experiment(PATH, "full")
    config = full.get_config()
    assert (config.cell.name, config.cell.hidden_size) == ("lstm", 128)
    own = config.training
    assert (own.optimizer, own.learning_rate) == ("rmsprop(decay=0.9)", 1e-3)
    assert own.clip_norm == math.inf
    t_max = {q.name: q.arms["chrono"]["init.forget_bias"] for q in full.get_comparisons(config)}
    assert t_max == {
        "copy_memory_500": "chrono(t_max=750)",
        "copy_memory_2000": "chrono(t_max=3000)",
        "variable_copy_500": "chrono(t_max=750)",
        "variable_copy_1000": "chrono(t_max=1500)",
        "adding_200": "chrono(t_max=200)",
        "adding_750": "chrono(t_max=750)",
    }


def test_what_gates_keep_is_the_product_of_their_sigmoids():
    for bias in (0.0, 1.0):
        config = sweep.apply(CONFIG, {"task.delay": 50, "init.forget_bias": str(bias)})
        kept = np.prod(np.full(50, 1 / (1 + np.exp(-bias))))
        assert MODULE.predict(config)["retention_log10"] == pytest.approx(np.log10(kept))
    config = sweep.apply(CONFIG, {"task.delay": 50, "init.forget_bias": "chrono(t_max=75)"})
    u = 1 + 73 * (np.arange(200_000) + 0.5) / 200_000  # u ~ U[1, 74], b = log u
    kept = np.mean((u / (1 + u)) ** 50)
    assert MODULE.predict(config)["retention_log10"] == pytest.approx(np.log10(kept), abs=1e-4)
    assert MODULE.predict(config)["span"] == 50
    assert MODULE.predict(CONFIG) == {}


# ---- claims ------------------------------------------------------------------------------------


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert verdicts() == HOLDS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # the claims: b_f = 1 before 0; chrono no later at 20, at 100; sooner at 200
        ({("0.0", 20): 210}, ["refuted", "holds", "holds", "holds"]),
        ({("0.0", 20): math.inf}, HOLDS),
        ({("chrono", 20): 300}, ["holds", "refuted", "holds", "holds"]),
        ({("chrono", 100): 800}, ["holds", "holds", "refuted", "holds"]),
        ({("chrono", 200): 900}, ["holds", "holds", "holds", "refuted"]),
        ({("chrono", 200): math.inf}, ["holds", "holds", "holds", "refuted"]),
        ({("1.0", 200): math.inf}, HOLDS),
        ({("chrono", 200): math.inf, ("1.0", 200): math.inf}, [*HOLDS[:3], "undecided"]),
    ],
)  # fmt: skip
def test_each_claim_turns_where_members_do_otherwise(changes, expected):
    assert verdicts(changes) == expected


def test_seeds_that_disagree_decide_nothing():
    def but(kind, delay, seed):
        return delay == 100 and (kind == "chrono") == bool(seed % 2)

    assert verdicts(but=but) == ["holds", "holds", "undecided", "holds"]


def test_without_comparisons_nothing_is_decided():
    table, _ = untrained.compared(LOADED, describe({}))
    found = untrained.verdicts(LOADED, table, Comparisons(()))
    assert list(found.values()) == ["undecided"] * 4


def test_a_gru_has_a_bias_of_its_own_name():
    config = sweep.apply(CONFIG, {"cell.name": "gru"})
    assert [list(q.arms) for q in LOADED.get_comparisons(config)] == [
        ["b_z = 1", "chrono", "b_z = 0"],
        ["b_z = 1", "chrono"],
        ["b_z = 1", "chrono"],
    ]


# ---- figures -----------------------------------------------------------------------------------


def test_the_figure_has_a_line_per_bias_through_its_median_times():
    table, comparisons = untrained.compared(LOADED, describe({("chrono", 200): math.inf}))
    figure, caption = LOADED.get_figures(table, comparisons)["delayed_recall_span"]
    assert "LSTM by forget bias" in caption
    (ax,) = figure.axes
    drawn = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in drawn] == [[20], [20, 100, 200], [20, 100, 200]]
    never = 1.15 * CONFIG.training.steps
    assert drawn[2].get_ydata() == pytest.approx([220, 400, never])
