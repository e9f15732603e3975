"""gru_vs_lstm: claims that can turn, parameters counted by hand, figures of results and a run."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from rnnlab import training
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from tests.helpers.decided import decided, scatter

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "gru_vs_lstm.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG: Any = LOADED.get_config()
SMALL = sweep.apply(
    CONFIG,
    {"run.rates": (0.01, 0.03), "run.tuning_seeds": 1, "run.judged_seeds": (8,)},
)
# updates until solved, at the shortest and at longer lengths
SOLVED_AT = {"rnn-tanh": (900, math.inf), "gru": (200, 400), "lstm": (400, 200)}
MS = {"rnn-tanh": 1.0, "gru": 2.0, "lstm": 3.0}
COUNTS = {"rnn-tanh": 10, "gru": 30, "lstm": 40}


def outcome_of(solved_at, ms, counts, spread=0.1):
    """What a member leaves that needs these updates, within a few percent of its seed's own."""

    def outcome(flat):
        cell, length = flat["cell.name"], flat["task.length"]
        at = solved_at[cell][length > min(CONFIG.run.lengths)]
        at *= 1 + spread * scatter(flat["seed"], cell)
        result = {
            "status": "solved" if math.isfinite(at) else "finished",
            "solved_at": at,
            "diverged_at": math.inf,
            "loss": 1.0,
            "baseline": 1.0,
            "params": counts[cell] + 5,
            "recurrent_params": counts[cell],
            "recurrent_params_predicted": COUNTS[cell],
        }
        if flat["run.timed"]:
            result |= {f"ms_{name}": ms[name] * length for name in MODULE.CELLS}
        return result, ()

    return outcome


def made(solved_at=SOLVED_AT, ms=MS, counts=COUNTS, **options):
    return decided(LOADED, SMALL, outcome_of(solved_at, ms, counts, **options))


def verdicts(table, comparisons):
    return {v.statement: v.verdict for v in claims.decide(LOADED.get_claims(table, comparisons))}


def test_each_claim_holds_of_members_as_the_notes_have_them():
    found = verdicts(*made())
    # two sources contradict each other at the longest length
    jozefowicz = "A GRU is better than an LSTM where memory is needed (T = 200)"
    assert found.pop(jozefowicz) == "refuted"
    assert set(found.values()) == {"holds"}


@pytest.mark.parametrize(
    ("words", "spoilt"),
    [
        ("3/4 of an LSTM's", {"counts": COUNTS | {"gru": 32}}),
        ("A GRU's step is faster than an LSTM's", {"ms": MS | {"gru": 3.1}}),
        ("An LSTM's step is slower than an RNN's", {"ms": MS | {"rnn-tanh": 3.1}}),
        ("A GRU's step is slower than an RNN's", {"ms": MS | {"rnn-tanh": 2.1}}),
        ("on par", {"solved_at": SOLVED_AT | {"gru": (600, 400)}}),
        (
            "On short sequences (T = 20) a GRU is better",
            {"solved_at": SOLVED_AT | {"gru": (600, 9)}},
        ),
        ("an LSTM is better", {"solved_at": SOLVED_AT | {"lstm": (400, 900)}}),
        ("An RNN learns", {"solved_at": SOLVED_AT | {"rnn-tanh": (math.inf, math.inf)}}),
        ("An RNN does not", {"solved_at": SOLVED_AT | {"rnn-tanh": (900, 900)}}),
        ("A GRU learns", {"solved_at": SOLVED_AT | {"gru": (200, math.inf)}}),
        ("An LSTM learns", {"solved_at": SOLVED_AT | {"lstm": (400, math.inf)}}),
    ],
)
def test_a_claim_turns_when_the_members_it_rests_on_are_spoilt(words, spoilt):
    found = verdicts(*made(**spoilt))
    (statement,) = [s for s in found if words in s]
    assert found[statement] == "refuted"


def test_cells_that_seeds_do_not_tell_apart_leave_claims_undecided():
    alike = dict.fromkeys(MODULE.CELLS, (300, 300))
    found = verdicts(*made(alike, spread=0.6))
    assert {found[s] for s in found if "better" in s or "on par" in s} == {"undecided"}


def test_a_sweep_in_its_place_leaves_claims_on_training_undecided():
    table, _ = made()
    found = claims.decide(LOADED.get_claims(table))
    training_claims = [v for v in found if "(T = " in v.statement]
    assert len(training_claims) == 8
    assert {v.verdict for v in training_claims} == {"undecided"}
    assert {v.verdict for v in found if v not in training_claims} == {"holds"}


def test_every_length_is_one_comparison_with_a_learning_rate_per_cell():
    asked = LOADED.get_comparisons(CONFIG)
    assert [question.name for question in asked] == [f"length_{T}" for T in CONFIG.run.lengths]
    for question, length in zip(asked, CONFIG.run.lengths, strict=True):
        assert question.question == f"On adding T={length}"
        assert {arm["task.length"] for arm in question.arms.values()} == {length}
        cells = {"tanh RNN": "rnn-tanh", "GRU": "gru", "LSTM": "lstm"}
        if length not in CONFIG.run.rnn_lengths:
            del cells["tanh RNN"]
        assert {n: a["cell.name"] for n, a in question.arms.items()} == cells
        assert question.score == "solved_at"
        assert len(question.tune["training.learning_rate"]) == 4
        # eight seeds out of eight are enough: 2/2⁸ lies below the level of a look
        assert question.rule.level > 2 / 2**8


@pytest.mark.parametrize(("cell", "gates"), [("rnn-tanh", 1), ("gru", 3), ("lstm", 4)])
def test_parameters_are_counted_and_predicted_alike(cell, gates):
    own = sweep.apply(CONFIG, {"cell.name": cell, "cell.hidden_size": 7})
    drawn = training.member(own, jax.random.key(0))
    by_hand = gates * (2 * 7 + 7 * 7 + 7)  # two inputs: a value, and whether it is marked
    assert MODULE.measure(own, drawn.setup, drawn.params) == {"recurrent_params": by_hand}
    assert MODULE.predict(own) == {"recurrent_params_predicted": by_hand}


def test_figures_draw_every_cell_at_every_length():
    table, comparisons = made()
    drawn = LOADED.get_figures(table, comparisons)
    assert list(drawn) == ["lengths", "parameters", "step_time"]
    (ax,) = drawn["lengths"][0].axes
    lines = [line for line in ax.get_lines() if line.get_marker() == "o"]
    places = [np.asarray(line.get_xdata()).tolist() for line in lines]
    lengths = list(CONFIG.run.lengths)
    assert places == [list(CONFIG.run.rnn_lengths), lengths, lengths]
    rnn = np.asarray(lines[0].get_ydata())
    never = 1.15 * CONFIG.training.steps
    assert rnn.tolist() == pytest.approx([900, never], rel=0.1)


def test_a_step_of_every_cell_is_timed():
    few = {"cell.hidden_size": 4, "task.length": 30, "run.repeats": 21}
    few |= {"training.batch_size": 2, "training.eval_batch_size": 4}
    ms = MODULE.step_times(sweep.apply(CONFIG, few))
    assert list(ms) == ["ms_rnn-tanh", "ms_gru", "ms_lstm"]
    assert 0 < ms["ms_rnn-tanh"] < ms["ms_lstm"]


def test_full_has_more_and_longer_members():
    config: Any = load_experiment(PATH, "full").get_config()
    assert min(config.run.lengths) > min(CONFIG.run.lengths)
    assert max(config.run.lengths) > max(CONFIG.run.lengths)
    assert config.run.seconds_per_member > CONFIG.run.seconds_per_member
