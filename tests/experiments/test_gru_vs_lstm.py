"""gru_vs_lstm: claims that can turn, parameters counted by hand, figures of a tiny real run."""

import math
from pathlib import Path
from typing import Any

import jax
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "gru_vs_lstm.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG: Any = LOADED.get_config()
BASE: Any = CONFIG.to_dict()
LENGTHS = CONFIG.run.lengths
# the share of the budget at which a member is solved, at the shortest and at the longest length
SOLVED_AT = {"rnn-tanh": (0.5, 1.2), "gru": (0.2, 0.9), "lstm": (0.4, 0.6)}
MS = {"rnn-tanh": 1.0, "gru": 2.0, "lstm": 3.0}
COUNTS = {"rnn-tanh": 10, "gru": 30, "lstm": 40}


def member(index, overrides, solved_at, ms, counts):
    """A member that learns nothing until it has solved its task."""
    nested = with_overrides(BASE, overrides)
    cell, length = overrides["cell.name"], overrides["task.length"]
    own = nested["training"]
    place = LENGTHS.index(length) / (len(LENGTHS) - 1)
    low, high = solved_at[cell]
    looks = own["steps"] // own["eval_every"]
    at = math.ceil((low + (high - low) * place) * looks)
    solved = at * own["eval_every"] if at <= looks else math.inf
    told = tuple(
        {"step": k * own["eval_every"], "train_loss": 1.0, "loss": 1.0}
        for k in range(1, min(at, looks) + 1)
    )
    result = {
        "status": "solved" if math.isfinite(solved) else "finished",
        "solved_at": solved,
        "diverged_at": math.inf,
        "loss": 1.0,
        "baseline": 1.0,
        "params": counts[cell] + 5,
        "recurrent_params": counts[cell],
        "recurrent_params_predicted": COUNTS[cell],
    }
    if cell == "lstm" and overrides["seed"] == MODULE.TIMED_SEED:
        for name in MODULE.CELLS:
            result[f"ms_{name}"] = ms[name] * length
    return Member(index, dict(overrides), nested, 0.0, result, told)


def table(solved_at=SOLVED_AT, ms=MS, counts=COUNTS):
    return Table(
        member(index, overrides, solved_at, ms, counts)
        for index, overrides in enumerate(sweep.expand(CONFIG, LOADED.get_sweep(CONFIG)))
    )


def verdicts(spoiled):
    return {v.statement: v.verdict for v in claims.decide(MODULE.claims(spoiled))}


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert set(verdicts(table()).values()) == {"holds"}


@pytest.mark.parametrize(
    ("words", "spoilt"),
    [
        ("3/4 of an LSTM's", {"counts": COUNTS | {"gru": 32}}),
        ("A GRU's step is faster than an LSTM's", {"ms": MS | {"gru": 3.1}}),
        ("An LSTM's step is slower than an RNN's", {"ms": MS | {"rnn-tanh": 3.1}}),
        ("A GRU's step is slower than an RNN's", {"ms": MS | {"rnn-tanh": 2.1}}),
        ("on par", {"solved_at": SOLVED_AT | {"gru": (0.5, 0.9)}}),
        ("On short sequences a GRU is better", {"solved_at": SOLVED_AT | {"gru": (0.4, 0.9)}}),
        ("an LSTM is better", {"solved_at": SOLVED_AT | {"lstm": (0.4, 0.9)}}),
        ("what an RNN does not", {"solved_at": SOLVED_AT | {"rnn-tanh": (0.5, 0.9)}}),
    ],
)
def test_a_claim_turns_when_the_members_it_rests_on_are_spoilt(words, spoilt):
    found = verdicts(table(**spoilt))
    (statement,) = [s for s in found if words in s]
    assert found[statement] == "refuted"


def test_a_narrowed_table_leaves_claims_undecided():
    narrowed = table().select({"cell.name": "gru"})
    assert set(verdicts(narrowed).values()) == {"undecided"}
    assert "step_time" not in MODULE.figures(narrowed)


@pytest.mark.parametrize(("cell", "gates"), [("rnn-tanh", 1), ("gru", 3), ("lstm", 4)])
def test_parameters_are_counted_and_predicted_alike(cell, gates):
    own = sweep.apply(CONFIG, {"cell.name": cell, "cell.hidden_size": 7})
    drawn = training.member(own, jax.random.key(0))
    measured = MODULE.measure(
        sweep.apply(own, {"seed": MODULE.TIMED_SEED + 1}), drawn.setup, drawn.params
    )
    by_hand = gates * (2 * 7 + 7 * 7 + 7)  # two inputs: a value, and whether it is marked
    assert measured == {"recurrent_params": by_hand}
    assert MODULE.predict(own) == {"recurrent_params_predicted": by_hand}


def test_figures_of_a_tiny_run(tmp_path):
    changes = {"steps": 4, "eval_every": 2, "batch_size": 2, "eval_batch_size": 4}
    changes = {f"training.{key}": value for key, value in changes.items()}
    few = {"cell.hidden_size": 4, "run.lengths": (40,), "run.seeds": 1, "run.repeats": 31}
    config = sweep.apply(CONFIG, few | changes)
    narrowed = sweep.replace_axes(config, LOADED.get_sweep(config), {"cell.name": ["lstm"]})
    found = rnnlab.run(
        LOADED, config, sweep=narrowed, workdir=tmp_path / "run", progress=False
    ).table
    run = rnnlab.load_run(tmp_path / "run")
    assert list(run.figures) == ["curves", "lengths", "parameters", "step_time"]
    timed = found[0].result
    assert 0 < timed["ms_rnn-tanh"] < timed["ms_lstm"]


def test_full_has_more_and_longer_members():
    full = load_experiment(PATH, "full")
    config = full.get_config()
    members = sweep.expand(config, full.get_sweep(config))
    assert len(members) > len(sweep.expand(CONFIG, LOADED.get_sweep(CONFIG)))
    assert config.run.seconds_per_member > CONFIG.run.seconds_per_member
