"""chrono: what the sweep trains, what gates keep, claims that can turn, figures of tiny runs."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import tasks
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "chrono.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = LOADED.get_config()
MEMBERS = sweep.expand(CONFIG, LOADED.get_sweep(CONFIG))

# the share of the budget after which a member solves its task; 2: never
SOLVES = {"0": 2.0, "1": 0.5, "chrono": 0.2}


def table(spoil=lambda bias, span, seed: None, keep=lambda bias, span, seed: True):
    """Members that learn nothing until they solve their task, when ``SOLVES`` or ``spoil`` says."""
    members = []
    for index, overrides in enumerate(MEMBERS):
        config = sweep.apply(CONFIG, overrides)
        place = (MODULE.kind(config.init.forget_bias), config.task.delay, config.seed)
        if not keep(*place):
            continue
        share = spoil(*place)
        share = SOLVES[place[0]] if share is None else share
        training = config.training
        at = training.eval_every * round(share * training.steps / training.eval_every)
        at = at if share <= 1 else math.inf
        told = tuple(
            {"step": step, "train_loss": 2.0, "loss": 2.0}
            for step in range(training.eval_every, training.steps + 1, training.eval_every)
            if step <= at
        )
        result = MODULE.predict(config) | {
            "status": "solved" if at < math.inf else "finished",
            "solved_at": float(at),
            "diverged_at": math.inf,
            "loss": 2.0,
            "baseline": 2.0,
        }
        members.append(Member(index, overrides, config.to_dict(), 0.0, result, told))
    return Table(members)


def verdicts(of):
    return [v.verdict for v in claims.decide(MODULE.claims(of))]


def test_the_paper_s_scale_is_what_full_asks_for():
    """LSTM-128, RMSprop 1e-3/.9, no clipping; T_max = 3T/2 for a delay, T for a length."""
    full = load_experiment(PATH, "full")
    config = full.get_config()
    assert (config.cell.name, config.cell.hidden_size) == ("lstm", 128)
    own = config.training
    assert (own.optimizer, own.learning_rate) == ("rmsprop(decay=0.9)", 1e-3)
    assert own.clip_norm == math.inf
    found = set()
    for overrides in sweep.expand(config, full.get_sweep(config)):
        one = sweep.apply(config, overrides)
        task = tasks.from_config(one.task)
        found.add((task.name, one.task.delay or one.task.length, one.init.forget_bias))
    spans = {
        ("copy_memory", 500): 750,
        ("copy_memory", 2000): 3000,
        ("variable_copy", 500): 750,
        ("variable_copy", 1000): 1500,
        ("adding", 200): 200,
        ("adding", 750): 750,
    }
    assert found == {
        (*place, bias)
        for place, t_max in spans.items()
        for bias in ("0.0", "1.0", f"chrono(t_max={t_max})")
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


def test_kinds_of_bias():
    assert [MODULE.kind(b) for b in ("0.0", "1.0", "chrono(t_max=30)")] == ["0", "1", "chrono"]


# ---- claims ------------------------------------------------------------------------------------


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert verdicts(table()) == ["holds"] * 3


@pytest.mark.parametrize(
    ("change", "turned"),
    [
        # b_f = 0 as good as 1 where the delay is shortest
        (lambda bias, span, seed: 0.5 if (bias, span) == ("0", 20) else None, [0]),
        # chrono needs more than half of what b_f = 1 needs, at the longest delay alone
        (lambda bias, span, seed: 0.4 if (bias, span) == ("chrono", 200) else None, [1]),
        # two of three seeds do not solve it
        (lambda bias, span, seed: 2.0 if bias == "chrono" and seed else None, [1, 2]),
        # chrono slower where the delay is short
        (lambda bias, span, seed: 0.7 if (bias, span) == ("chrono", 20) else None, [2]),
    ],
)
def test_each_claim_turns_where_members_do_otherwise(change, turned):
    wanted = ["refuted" if index in turned else "holds" for index in range(3)]
    assert verdicts(table(change)) == wanted


def test_one_seed_of_three_decides_nothing():
    assert verdicts(table(lambda bias, span, seed: 2.0 if seed == 0 else None)) == ["holds"] * 3


def test_undecided_without_chrono():
    narrowed = table(keep=lambda bias, span, seed: bias != "chrono")
    assert verdicts(narrowed) == ["holds", "undecided", "undecided"]


# ---- runs --------------------------------------------------------------------------------------


def test_a_tiny_run_draws_a_line_per_bias(tmp_path):
    config = LOADED.get_config()
    with config.unlocked():
        config.cell.hidden_size = 4
        config.training.update(steps=4, eval_every=2, batch_size=2, eval_batch_size=4)
        config.run.update(tasks=(("delayed_recall", "delay", (4, 6)),), seeds=1)
    found = rnnlab.run(PATH, config, workdir=tmp_path / "run", progress=False).table
    assert len(found) == 6
    drawn = MODULE.figures(found)
    assert set(drawn) == {"delayed_recall_span", "delayed_recall_curves"}
    left = drawn["delayed_recall_span"][0].axes[0]
    lines = [line for line in left.lines if line.get_marker() == "o"]
    assert [line.get_xdata().tolist() for line in lines] == [[4, 6]] * 3
    for line, bias in zip(lines, ("0.0", "1.0", "chrono"), strict=True):
        own = [
            m.result["loss"] / m.result["baseline"]
            for m in found
            if m.config["init"]["forget_bias"].startswith(bias)
        ]
        assert line.get_ydata() == pytest.approx(np.minimum(own, 1))


def test_each_task_has_figures_of_its_own():
    renamed = [
        replace(m, config=m.config | {"task": m.config["task"] | {"name": "adding"}})
        for m in table()
        if m.result["span"] == 20
    ]
    drawn = MODULE.figures(Table([*table(), *renamed]))
    assert set(drawn) == {
        f"{task}_{figure}" for task in ("delayed_recall", "adding") for figure in ("span", "curves")
    }
    assert len(drawn["adding_curves"][0].axes) == 1
    assert len(drawn["delayed_recall_curves"][0].axes) == 4
