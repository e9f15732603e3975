"""adding_problem: claims that can turn, figures of a tiny real run, the paper's scale."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import flatten
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Table
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
# the update at which each model solves the task at its lower rate; None: it stays at 1/6
SOLVED = {"tanh": None, "irnn": 500, "orthogonal": 900, "lstm": 800}


def model(flat):
    return next(n for n, own in MODELS.items() if all(flat[k] == v for k, v in own.items()))


def describe(solved=SOLVED, stuck=1 / 6, fast=1.0):
    """Results of members that solve the task when ``solved`` says; ``fast``: at the higher rate."""

    def of(flat):
        at = solved[model(flat)]
        if at is None:
            return {"loss": stuck}
        factor = fast if flat["training.learning_rate"] > 1e-3 else 1.0
        return {"status": "solved", "solved_at": float(at) * factor, "loss": 0.005}

    return of


def verdicts(**options):
    return untrained.verdicts(LOADED, untrained.table(LOADED, describe(**options), seeds=3))


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    found = verdicts()
    assert len(found) == 4
    assert set(found.values()) == {"holds"}


SPOILT = {
    "A tanh RNN does not learn": {"solved": SOLVED | {"tanh": 1500}},
    "The IRNN": {"solved": SOLVED | {"irnn": None}},
    "The LSTM": {"solved": SOLVED | {"lstm": None}, "stuck": 0.09},
    "Identity suits adding": {"solved": SOLVED | {"orthogonal": 400}},
}


@pytest.mark.parametrize("words", SPOILT)
def test_a_claim_turns_when_its_members_do(words):
    assert untrained.turned(verdicts(), verdicts(**SPOILT[words]), words) == ("holds", "refuted")


def test_identity_must_be_sooner_not_as_soon():
    tie = verdicts(solved=SOLVED | {"orthogonal": 500})
    assert untrained.turned(tie, tie, "Identity suits adding")[0] == "refuted"


def test_each_model_is_judged_at_its_best_rate_and_the_tanh_rnn_at_every_one():
    # the higher rate halves the updates of whoever solves the task: the order stays
    assert set(verdicts(fast=0.5).values()) == {"holds"}
    config = LOADED.get_config()

    def one_rate(flat):
        if model(flat) == "tanh" and flat["training.learning_rate"] == config.run.rates[0]:
            return {"loss": 0.1}
        return describe()(flat)

    found = untrained.verdicts(LOADED, untrained.table(LOADED, one_rate))
    assert untrained.turned(verdicts(), found, "A tanh RNN") == ("holds", "refuted")


def test_one_model_alone_decides_its_own_claim():
    whole = untrained.table(LOADED, describe(), seeds=1)
    alone = Table(m for m in whole if model(flatten(m.config)) == "irnn")
    found = untrained.verdicts(LOADED, alone)
    decided = [statement for statement, verdict in found.items() if verdict != "undecided"]
    assert len(decided) == 1
    assert "IRNN" in decided[0]


def test_figures_of_a_tiny_run(tmp_path):
    config = LOADED.get_config()
    with config.unlocked():
        config.cell.hidden_size = 4
        config.training.update(steps=20, eval_every=10, eval_batch_size=50)
        config.run.update(seeds=2, lengths=(10,), rates=(1e-3,))
    parts = LOADED.get_sweep(config)[1:3]  # identity and orthogonal W_hh: one program
    rnnlab.run(LOADED, config, sweep=parts, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"models", "identity_orthogonal"}
    assert all(path.stat().st_size > 20_000 for path, _ in run.figures.values())
    assert len(run.claims) == 4
    figure, _ = MODULE.figures(run.table)["models"]
    (ax,) = figure.axes
    irnn = run.table.select(MODULE.IRNN)
    middle = np.mean([[r["loss"] for r in m.metrics] for m in irnn], axis=0)
    low = np.min([[r["loss"] for r in m.metrics] for m in irnn], axis=0)
    drawn = np.asarray(ax.lines[0].get_ydata(), float)
    assert np.all((drawn >= low) & (drawn <= 2 * middle - low)), "between its two seeds"
    assert list(ax.lines[-1].get_ydata()) == [1 / 6, 1 / 6]


def test_full_is_the_scale_of_the_paper():
    config = load_experiment(PATH, "full").get_config()
    assert config.run.lengths == (150, 200, 300, 400)
    assert config.cell.hidden_size == 100
    with pytest.raises(ValueError, match="unknown scale"):
        MODULE.get_config("small")
