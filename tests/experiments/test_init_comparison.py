"""init_comparison: claims that can turn, theory against closed forms, the matrix of results."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlab.core.errors import Undecided
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from rnnlab.results.comparison import Comparisons
from rnnlab.results.table import Member
from tests.helpers.decided import decided, scatter

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "init_comparison.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG: Any = LOADED.get_config()
SMALL = sweep.apply(
    CONFIG,
    {
        "run.rates": (0.003, 0.01),
        "run.gated_rates": (0.003, 0.01),
        "run.tuning_seeds": 1,
        "run.judged_seeds": (10,),
    },
)
# what is kept of the gradient, in decades, and the updates of members of whom all claims are true
KEPT = {"torch_uniform": -8.0, "normal(std=0.01)": -40.0}
SOONER = {
    ("rnn-relu", "adding", "identity"): 120,
    ("rnn-tanh", "delayed_recall", "identity"): 300,
}


def outcome(flat):
    """What a member leaves if theory and all papers are right."""
    cell, task, w_h = flat["cell.name"], flat["task.name"], flat["init.w_h"]
    kept = -3.0 if cell in MODULE.GATED else KEPT.get(w_h, -2.0)
    at = 400.0
    if cell in MODULE.SIMPLE and w_h != "torch_uniform":
        at = math.inf if w_h in KEPT else SOONER.get((cell, task, w_h), 200.0)
    if cell in MODULE.GATED:
        bias = float(flat["init.forget_bias"] or MODULE.BIASES[cell])
        at, kept = 400.0 / 2**bias, -6.0 + bias
    at *= 1 + 0.02 * scatter(flat["seed"], w_h + flat["init.forget_bias"])
    result = {
        "status": "solved" if math.isfinite(at) else "finished",
        "solved_at": at,
        "validation_loss": 1.0,
        "loss": 1.0,
        "kept_predicted": kept,
    }
    return result, ({"step": 0, "adjoint_h": [kept, kept / 2, 0.0]},)


@pytest.fixture(scope="module")
def made():
    return decided(LOADED, SMALL, outcome)


def turned(comparisons, cell, verdict, *arms, tasks=MODULE.TASKS):
    """The comparisons with another verdict on these arms against the reference."""
    results = dict(comparisons)
    for name in (MODULE.panel(cell, task) for task in tasks):
        pairs = [
            dataclasses.replace(pair, verdict=verdict) if pair.a in arms else pair
            for pair in results[name].pairs
        ]
        results[name] = dataclasses.replace(results[name], pairs=tuple(pairs))
    return Comparisons(results.values())


def verdicts(table, comparisons):
    return {v.statement: v.verdict for v in claims.decide(LOADED.get_claims(table, comparisons))}


def test_each_claim_holds_of_members_as_they_are_claimed_to_be(made):
    found = verdicts(*made)
    assert set(found.values()) == {"holds"}
    assert len(found) == 19


ALL = ("orthogonal", "identity", "Xavier", "He", "N(0, 0.01)")


@pytest.mark.parametrize(
    ("words", "cell", "verdict", "arms"),
    [
        ("Orthogonal W_hh speeds", "rnn-tanh", "equivalent", ("orthogonal",)),
        ("Xavier W_hh speeds", "rnn-tanh", "worse", ("Xavier",)),
        ("Small random W_hh", "rnn-tanh", "equivalent", ("N(0, 0.01)",)),
        ("Identity W_hh speeds", "rnn-relu", "worse", ("identity",)),
        ("A forget bias of 1", "lstm", "better", ("b_f = 0",)),
        ("A large forget bias", "lstm", "equivalent", ("b_f = 3",)),
        ("An update bias of 1", "gru", "worse", ("b_z = 1",)),
        ("A large update bias", "gru", "worse", ("b_z = 3",)),
        ("The gradient before training predicts", "rnn-tanh", "worse", ALL[:2]),
        ("Mean field predicts", "rnn-relu", "equivalent", ALL),
        ("less for an LSTM", "lstm", "better", ALL),
        ("less for a GRU", "rnn-relu", "equivalent", ALL),
        ("matters most", "rnn-tanh", "worse", ("W_xh He",)),
        ("random biases", "rnn-tanh", "better", ("b N(0, 0.01)",)),
    ],
)
def test_a_claim_turns_with_the_verdicts_that_it_rests_on(made, words, cell, verdict, arms):
    table, comparisons = made
    found = verdicts(table, turned(comparisons, cell, verdict, *arms))
    title = MODULE.TITLES[cell] if "predicts" in words else ""
    (statement,) = [s for s in found if words in s and title in s]
    assert found[statement] == "refuted"
    if not words.startswith(("The gradient", "Mean field")):
        found = verdicts(table, turned(comparisons, cell, "undecided", *arms))
        assert found[statement] == "undecided"


def test_most_tasks_are_two_of_three(made):
    table, comparisons = made
    (statement,) = [s for s in verdicts(*made) if s.startswith("Orthogonal W_hh")]

    def after(*verdict_by_task):
        changed = comparisons
        for task, verdict in zip(MODULE.TASKS, verdict_by_task, strict=True):
            changed = turned(changed, "rnn-tanh", verdict, "orthogonal", tasks=(task,))
        return verdicts(table, changed)[statement]

    assert after("better", "better", "worse") == "holds"
    assert after("better", "undecided", "worse") == "undecided"
    assert after("better", "equivalent", "worse") == "refuted"
    assert after("undecided", "undecided", "worse") == "undecided"
    assert after("undecided", "worse", "worse") == "refuted"


def test_without_comparisons_claims_are_undecided(made):
    found = claims.decide(LOADED.get_claims(made[0]))
    assert {v.verdict for v in found} == {"undecided"}


@pytest.fixture(scope="module")
def asked():
    return {question.name: question for question in LOADED.get_comparisons(CONFIG)}


def test_every_panel_compares_its_schemes_with_one_reference_at_tuned_rates(asked):
    panels = {MODULE.panel(cell, task) for cell in MODULE.CELLS for task in MODULE.TASKS}
    assert set(asked) == panels | set(MODULE.HENAFF)
    for name in panels:
        question = asked[name]
        assert question.reference == "U(±1/√H)"
        assert question.arms[question.reference]["init.w_h"] == "torch_uniform"
        assert len(question.tune["training.learning_rate"]) == 4
        assert question.score == "solved_at"
        # ten seeds out of ten decide, at as many pairs and looks
        assert question.rule.level > 2 / 2**10
        blocks = [
            {key: value for key, value in arm.items() if key.startswith("init.")}
            for arm in question.arms.values()
        ]
        assert all(len(block) == 1 for block in blocks), "one block is changed at a time"


def test_members_of_henaff_s_pairs_are_those_of_the_panels(asked):
    for name, place in MODULE.HENAFF.items():
        mine, whole = asked[name], asked[MODULE.panel(*place)]
        assert (mine.tune, mine.seeds, mine.tuning_seeds) == (
            whole.tune,
            whole.seeds,
            whole.tuning_seeds,
        )
        assert all(whole.arms[arm] == values for arm, values in mine.arms.items())


def predicted(cell, task="delayed_recall", **init):
    changes = {f"init.{key}": value for key, value in init.items()}
    own = sweep.apply(
        CONFIG,
        {"cell.name": cell, "task.name": task} | MODULE.options(CONFIG, task) | changes,
    )
    return MODULE.predict(own)["kept_predicted"]


def test_theory_is_mean_field_for_simple_cells_and_retention_for_gated_ones():
    # ReLU halves the squares: χ = σ_w²/2, over 20 steps
    assert predicted("rnn-relu", w_h="orthogonal") == pytest.approx(10 * math.log10(0.5), abs=1e-4)
    uniform = predicted("rnn-relu", w_h="torch_uniform")
    assert uniform == pytest.approx(10 * math.log10(1 / 6), abs=0.7)  # of one draw of W
    assert predicted("rnn-relu", w_h="identity") == 0.0
    for cell, own in (("lstm", 1.0), ("gru", 0.0)):
        for text, bias in (("", own), ("3.0", 3.0)):
            expected = 20 * math.log10(1 / (1 + math.exp(-bias)))
            assert predicted(cell, forget_bias=text) == pytest.approx(expected, rel=1e-6)
    assert predicted("lstm", w_h="orthogonal") == predicted("lstm", w_h="normal(std=0.01)")
    # tanh without input would keep all with an orthogonal matrix; noise saturates it a little
    assert -3 < predicted("rnn-tanh", w_h="orthogonal") < 0
    assert predicted("rnn-tanh", w_h="normal(std=0.01)") < -20


def test_what_is_kept_starts_at_the_first_gradient_that_is_not_zero():
    def kept(adjoint):
        told = ({"train_loss": 1.0}, {"step": 0, "adjoint_h": adjoint})
        return MODULE.kept(Member(0, {}, {}, 0.0, {}, told))

    assert kept([-5.0, -3.0, -1.0]) == -4.0
    assert kept([-math.inf, -3.0, -1.0]) == -2.0
    assert kept([-math.inf, -math.inf, -1.0]) == -math.inf
    assert kept([2.0, 1.0, 0.5]) == 1.5  # it grows backwards: explodes


def test_a_reading_of_an_arm_is_the_median_of_its_judged_members(made):
    table, comparisons = made
    result = comparisons["rnn-tanh_adding"]
    members = [table[i] for i in range(len(table)) if table[i].index in result.arm("He").members]
    expected = np.median([m.metrics[0]["adjoint_h"][0] for m in members])
    assert MODULE.at_start(table, result, "He") == expected == -2.0
    assert MODULE.by_theory(table, result, "N(0, 0.01)") == -40.0
    with pytest.raises(Undecided, match="no judged member"):
        MODULE.at_start(table[:0], result, "He")


def test_figures_are_the_matrix_and_the_gradient_beside_the_outcome(made):
    drawn = LOADED.get_figures(*made)
    assert list(drawn) == ["matrix", "start_and_end"]
    (ax,) = drawn["matrix"][0].axes
    assert [t.get_text() for t in ax.get_xticklabels()] == [
        "tanh RNN",
        "ReLU RNN",
        "LSTM",
        "GRU",
    ] * 3
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert rows[1:6] == [f"W_hh {name}" for name in ALL]
    assert rows[-3:] == ["b_f, b_z = 0", "b_f, b_z = 1", "b_f, b_z = 3"]
    shown = {(t.get_position()[0], round(t.get_position()[1])): [] for t in ax.texts}
    for text in ax.texts:
        shown[text.get_position()[0], round(text.get_position()[1])].append(text.get_text())
    assert shown[0, 1] == ["✓ ×0.5", "theory ▲ +6"]
    assert shown[0, 5] == ["✗ 0 : 10", "theory ▼ -32"]
    assert "at most 0.6 of them" in drawn["matrix"][1]


def test_full_has_longer_members():
    full: Any = load_experiment(PATH, "full").get_config()
    assert full.run.seconds_per_member > CONFIG.run.seconds_per_member
    assert MODULE.options(full, "adding")["task.length"] == 200
