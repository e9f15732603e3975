"""init_comparison: claims that can turn, readings against loops, figures of a tiny real run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "init_comparison.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = sweep.apply(LOADED.get_config(), {"run.seeds": 1})
BASE: Any = CONFIG.to_dict()
FLAT = sweep.flat_config(CONFIG)
MEMBERS = sweep.expand(CONFIG, LOADED.get_sweep(CONFIG))
NESTED = [with_overrides(BASE, overrides) for overrides in MEMBERS]


def losses(config):
    """The share left at the looks of a member of whom everything that is claimed is true."""
    init, cell = config["init"], config["cell"]["name"]
    at, size = 0.4, 0.5
    if init["w_h"] == "normal(std=0.01)":
        at, size = 0.9, 1.0
    if init["w_h"] == "identity" and cell == "rnn-relu":
        at = 0.2
    if init["w_h"] == "identity" and cell == "rnn-tanh":
        at = 0.6
    if cell in ("lstm", "gru"):
        at = 0.4 + 0.1 * size
    for block, scheme in (("w_x", "he_normal"), ("w_y", "he_normal")):
        at += 0.01 * (init[block] == scheme)
    at -= {"": 0, "0.0": 0, "normal(std=0.01)": 0, "1.0": 0.1, "3.0": 0.2}[init["forget_bias"]]
    return at


def member(index, overrides, at=None, first=None):
    """A member that solves its task at a share ``at`` of its budget, and learns nothing before."""
    nested = NESTED[index]
    own = nested["training"]
    at = losses(nested) if at is None else at
    looks = own["steps"] // own["eval_every"]
    solved = own["eval_every"] * max(1, math.ceil(at * looks))
    if at > 0.85:
        solved = math.inf
    lost = -40.0 * at if first is None else first
    told = [{"step": 0, "adjoint_h": [lost, lost / 2, 0.0]}]
    told += [
        {"step": step, "train_loss": 1.0, "loss": 1.0}
        for step in range(own["eval_every"], own["steps"] + 1, own["eval_every"])
        if step <= solved
    ]
    result = {
        "status": "solved" if math.isfinite(solved) else "finished",
        "solved_at": solved,
        "diverged_at": math.inf,
        "loss": 1.0,
        "baseline": 1.0,
    }
    return Member(index, dict(overrides), nested, 0.0, result, tuple(told))


def table(spoil=lambda flat: {}):
    """Every member, one seed; ``spoil`` gives some of them another ``at`` or ``first``."""
    return Table(
        member(index, overrides, **spoil(FLAT | overrides))
        for index, overrides in enumerate(MEMBERS)
    )


def verdicts(spoiled):
    return {v.statement: v.verdict for v in claims.decide(MODULE.claims(spoiled))}


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert set(verdicts(table()).values()) == {"holds"}


def when(**criteria):
    def test(flat):
        return all(flat[key.replace("__", ".")] == value for key, value in criteria.items())

    return test


@pytest.mark.parametrize(
    ("words", "chosen", "change"),
    [
        (
            "ease the vanishing",
            when(init__w_h="xavier_uniform", task__name="adding"),
            {"first": -36.0},
        ),
        ("tanh RNN, orthogonal", when(init__w_h="orthogonal", cell__name="rnn-tanh"), {"at": 0.8}),
        ("tanh RNN, Xavier", when(init__w_h="xavier_uniform", cell__name="rnn-tanh"), {"at": 0.8}),
        ("(IRNN)", when(init__w_h="identity", cell__name="rnn-relu"), {"at": 0.8}),
        (
            "Identity suits",
            when(task__name="adding", init__w_h="orthogonal", cell__name="rnn-relu"),
            {"at": 0.1},
        ),
        (
            "Orthogonal suits",
            when(task__name="delayed_recall", init__w_h="identity", cell__name="rnn-tanh"),
            {"at": 0.1},
        ),
        (
            "outcome: tanh",
            when(init__w_h="normal(std=0.01)", cell__name="rnn-tanh"),
            {"first": 0.0},
        ),
        (
            "outcome: ReLU",
            when(init__w_h="normal(std=0.01)", cell__name="rnn-relu"),
            {"first": 0.0},
        ),
        ("less for an LSTM", when(cell__name="rnn-tanh"), {"at": 0.4}),
        ("less for a GRU", when(cell__name="rnn-relu"), {"at": 0.4}),
        ("matters most", when(init__w_y="he_normal", cell__name="rnn-tanh"), {"at": 1.2}),
        (
            "random biases",
            when(init__b="normal(std=0.01)", cell__name="lstm", task__name="adding"),
            {"at": 0.9},
        ),
        ("forget bias of 1", when(init__forget_bias="1.0", cell__name="lstm"), {"at": 0.9}),
        ("forget bias (3)", when(init__forget_bias="3.0", cell__name="lstm"), {"at": 0.9}),
        ("update bias", when(init__forget_bias="3.0", cell__name="gru"), {"at": 0.9}),
    ],
)
def test_a_claim_turns_when_the_members_it_rests_on_are_spoilt(words, chosen, change):
    found = verdicts(table(lambda flat: change if chosen(flat) else {}))
    (statement,) = [s for s in found if words in s]
    assert found[statement] == "refuted"


def test_a_narrowed_table_leaves_claims_undecided():
    found = verdicts(table().select({"cell.name": "gru"}))
    (decided,) = [statement for statement, verdict in found.items() if verdict != "undecided"]
    assert decided == "A large positive update bias (b_z = 3) speeds a GRU"
    assert set(verdicts(table().select({"init.w_h": "sparse"})).values()) == {"undecided"}


def test_what_is_kept_starts_at_the_first_gradient_that_is_not_zero():
    def kept(adjoint):
        told = ({"train_loss": 1.0}, {"step": 0, "adjoint_h": adjoint})
        return MODULE.kept(Member(0, {}, BASE, 0.0, {}, told))

    assert kept([-5.0, -3.0, -1.0]) == -4.0
    assert kept([-math.inf, -3.0, -1.0]) == -2.0
    assert kept([-math.inf, -math.inf, -1.0]) == -math.inf
    assert kept([2.0, 1.0, 0.5]) == 1.5  # it grows backwards: explodes


def test_medians_are_of_one_block_alone():
    found = MODULE._medians(table(), "adding", "lstm", "forget_bias")
    assert set(found) == {"0.0", "1.0", "3.0"}
    assert found["3.0"] < found["1.0"] < found["0.0"]
    by_w_h = MODULE._medians(table(), "adding", "lstm", "w_h")
    assert set(by_w_h) == set(MODULE.RECURRENT)
    # whatever becomes of the members that differ in another block, six of orthogonal's seven
    usual = {f"init.{block}": BASE["init"][block] for block in MODULE.BLOCKS if block != "w_h"}
    usual["init.forget_bias"] = "0.0"  # of an LSTM
    other = table(lambda flat: {} if usual.items() <= flat.items() else {"at": 1.2})
    assert MODULE._medians(other, "adding", "lstm", "w_h") == by_w_h


def test_figures_of_a_tiny_run(tmp_path):
    changes = {"steps": 4, "eval_every": 2, "batch_size": 2, "eval_batch_size": 4}
    changes = {f"training.{key}": value for key, value in changes.items()}
    config = sweep.apply(CONFIG, {"cell.hidden_size": 4} | changes)
    axes = {
        "task.name": ["pixel_digits"],
        "cell.name": ["rnn-tanh"],
        "init.w_h": ["orthogonal", "identity"],
        "init.w_x": ["xavier_uniform"],
        "seed": [0],
    }
    narrowed = sweep.replace_axes(config, LOADED.get_sweep(config), axes)
    found = rnnlab.run(
        LOADED, config, sweep=narrowed, workdir=tmp_path / "run", progress=False
    ).table
    run = rnnlab.load_run(tmp_path / "run")
    assert list(run.figures) == ["curves_pixel_digits", "schemes", "start_and_end"]
    assert {v.verdict for v in run.claims} == {"undecided"}
    probes = [r["adjoint_h"] for m in found for r in m.metrics if "adjoint_h" in r]
    assert [len(p) for p in probes] == [64] * len(found)
    assert all(np.isfinite(MODULE.kept(m)) for m in found)


def test_full_has_more_and_longer_members():
    full = load_experiment(PATH, "full")
    small, config = LOADED.get_config(), full.get_config()
    members = sweep.expand(config, full.get_sweep(config))
    assert len(members) > len(sweep.expand(small, LOADED.get_sweep(small)))
    assert config.run.seconds_per_member > small.run.seconds_per_member
