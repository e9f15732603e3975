"""adding_problem: claims that can turn, the figure, the paper's scale."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "adding_problem.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
MODELS = {
    "tanh": MODULE.TANH,
    "irnn": MODULE.IRNN,
    "orthogonal": MODULE.ORTHOGONAL,
    "lstm": MODULE.LSTM,
}
# the updates until each model solves the task at its best rate, and that rate
SOLVED = {"tanh": math.inf, "irnn": 500, "orthogonal": 900, "lstm": 800}
BEST = {"tanh": 3e-3, "irnn": 3e-3, "orthogonal": 3e-3, "lstm": 1e-2}
STATEMENTS = ("A tanh RNN", "The IRNN (", "The LSTM", "The IRNN learns it in as few", "Identity")


def describe(solved=SOLVED, but=lambda model, seed: False):
    """Members that solve the task as ``solved`` says, later at other rates; never if ``but``."""

    def of(flat):
        model = next(n for n, own in MODELS.items() if all(flat[k] == v for k, v in own.items()))
        decades = abs(math.log10(flat["training.learning_rate"] / BEST[model]))
        at = math.inf if but(model, flat["seed"]) else solved[model] * (1 + decades)
        return {
            "status": "solved" if at < math.inf else "finished",
            "solved_at": float(at),
            "loss": 0.005 if at < math.inf else 1 / 6 + decades,
        }

    return of


def verdicts(**options):
    found = untrained.verdicts(LOADED, *untrained.compared(LOADED, describe(**options)))
    assert len(found) == len(STATEMENTS)
    return [next(v for s, v in found.items() if s.startswith(words)) for words in STATEMENTS]


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert verdicts() == ["holds"] * 5


@pytest.mark.parametrize(
    ("solved", "expected"),
    [
        ({"tanh": 1500}, ["refuted", "holds", "holds", "holds", "holds"]),
        ({"irnn": math.inf}, ["holds", "refuted", "holds", "refuted", "refuted"]),
        ({"lstm": 900, "irnn": 1000}, ["holds", "holds", "holds", "holds", "refuted"]),
        ({"irnn": 1200}, ["holds", "holds", "holds", "refuted", "refuted"]),
        ({"lstm": math.inf}, ["holds", "holds", "refuted", "holds", "holds"]),
        ({"irnn": math.inf, "orthogonal": math.inf, "lstm": math.inf},
         ["holds", "refuted", "refuted", "undecided", "undecided"]),
    ],
)  # fmt: skip
def test_a_claim_turns_when_its_members_do(solved, expected):
    assert verdicts(solved=SOLVED | solved) == expected


def test_seeds_that_disagree_decide_nothing():
    def but(model, seed):
        return (model == "irnn" and seed % 2) or (model == "lstm" and not seed % 2)

    assert verdicts(but=but) == ["holds"] + ["undecided"] * 4


def test_a_run_that_compares_nothing_decides_nothing():
    table, _ = untrained.compared(LOADED, describe())
    assert set(untrained.verdicts(LOADED, table, Comparisons(())).values()) == {"undecided"}


def test_both_comparisons_share_the_members_of_the_irnn():
    table, comparisons = untrained.compared(LOADED, describe())
    models, kernels = comparisons["models_100"], comparisons["kernels_100"]
    assert models.arm("IRNN").members[:8] == kernels.arm("identity").members[:8]
    assert len(table.select(MODULE.TANH)) == 8, "hopeless members cost the whole budget"


def test_the_figure_has_a_line_per_model_and_the_baseline():
    table, comparisons = untrained.compared(LOADED, describe())
    figure, caption = LOADED.get_figures(table, comparisons)["models"]
    assert "error 0.01" in caption
    (ax,) = figure.axes
    irnn = comparisons["models_100"].judged(table, "IRNN")
    middle = np.median([[r["loss"] for r in m.metrics] for m in irnn], axis=0)
    assert list(ax.lines[1].get_ydata())[: len(middle)] == pytest.approx(list(middle))
    assert list(ax.lines[-1].get_ydata()) == [1 / 6, 1 / 6]
    labels = {text.get_text() for text in ax.texts}
    assert {"tanh RNN, rate 0.003: 0 of 8", "LSTM, rate 0.01: 8 of 8", "1/6"} <= labels


def test_full_is_the_scale_of_the_paper():
    full = load_experiment(PATH, "full")
    config = full.get_config()
    assert config.run.lengths == (150, 200, 300, 400)
    assert config.cell.hidden_size == 100
    names = [asked.name for asked in full.asked_comparisons(config)]
    assert names[:3] == ["models_150", "kernels_150", "models_200"]
    with pytest.raises(ValueError, match="unknown scale"):
        MODULE.get_config("small")
