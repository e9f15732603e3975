"""flossing: its task against a loop, what is compared, claims that can turn, the figure."""

import math
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from rnnlab.tasks import by_name
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "flossing.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = LOADED.get_config()
PANELS = [(task, delay) for task in MODULE.TASKS for delay in CONFIG.run[task]]


# ---- the task ----------------------------------------------------------------------------------


@pytest.mark.parametrize("xor", [False, True])
def test_answers_are_the_bits_of_before(xor):
    task = by_name("delayed_bits", delay=4, xor=xor)
    batch = task.sample(jax.random.key(3), 50)
    bits = (np.asarray(batch.inputs)[..., 0] > 0).astype(int)
    assert bits.shape == (50, 8)
    assert 0.4 < bits.mean() < 0.6
    for b in range(50):
        for t in range(8):
            assert bool(batch.mask[b, t]) is (t >= 4)
            if t >= 4:
                wanted = bits[b, t - 4] ^ (bits[b, t - 2] if xor else 0)
                assert int(batch.targets[b, t]) == wanted


def test_the_score_counts_wrong_answers_that_count():
    task = by_name("delayed_bits", delay=2)
    batch = task.sample(jax.random.key(0), 5)
    right = 9.0 * jax.nn.one_hot(batch.targets, 2)
    assert float(task.score(right, batch)["error"]) == 0
    wrong = right.at[:, :2].set(right[:, :2, ::-1])  # before there is an answer
    assert float(task.score(wrong, batch)["error"]) == 0
    assert float(task.score(right[..., ::-1], batch)["error"]) == 1
    guess = np.zeros((5, 4, 2), np.float32)
    assert float(task.score(guess, batch)["loss"]) == pytest.approx(task.baseline())


def test_xor_needs_an_even_delay():
    with pytest.raises(ValueError, match="delay must be even where xor is true, got 5"):
        by_name("delayed_bits", delay=5, xor=True)


# ---- claims ------------------------------------------------------------------------------------

TIMES = {MODULE.WITHOUT: 600, MODULE.BEFORE: 200, MODULE.DURING: 210}


def describe(changes):
    """Members whose times are ``changes`` of TIMES by (arm, task, delay)."""

    def of(flat):
        arm = (
            MODULE.DURING
            if flat["training.regularizer"] != "none"
            else MODULE.BEFORE
            if flat["init.floss"]
            else MODULE.WITHOUT
        )
        place = (arm, "xor" if flat["task.xor"] else "copy", flat["task.delay"])
        at = changes.get(place, TIMES[arm]) * (1 + 0.01 * (flat["seed"] % 3))
        at *= 1 + abs(math.log10(flat["training.learning_rate"] / 3e-3))
        return {"status": "solved" if at < math.inf else "finished", "solved_at": at, "loss": 1.0}

    return of


def verdicts(changes=()):
    table, comparisons = untrained.compared(LOADED, describe(dict(changes)))
    return [*untrained.verdicts(LOADED, table, comparisons).values()]


def test_the_arms_differ_in_flossing_alone():
    for question in LOADED.get_comparisons(CONFIG):
        assert [*question.arms] == [MODULE.WITHOUT, MODULE.BEFORE, MODULE.DURING]
        members = [sweep.apply(CONFIG, values) for values in question.arms.values()]
        assert [m.init.floss for m in members] == [0, 100, 100]
        assert [m.training.regularizer for m in members] == [
            "none",
            "none",
            "flossing(exponents=30, sequences=1)",
        ]
        assert len({(m.task.delay, m.task.xor) for m in members}) == 1


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    assert verdicts() == ["holds"] * 2 * len(PANELS)


@pytest.mark.parametrize(
    ("arm", "at", "turned"),
    [
        (MODULE.WITHOUT, 205, {0}),
        (MODULE.BEFORE, math.inf, {0}),
        (MODULE.DURING, 400, {1}),
        (MODULE.DURING, math.inf, {1}),
    ],
)
def test_each_claim_turns_where_members_do_otherwise(arm, at, turned):
    for place, (task, delay) in enumerate(PANELS):
        found = verdicts({(arm, task, delay): at})
        refuted = {i for i, verdict in enumerate(found) if verdict == "refuted"}
        assert refuted == {2 * place + i for i in turned}


def test_without_comparisons_nothing_is_decided():
    table, _ = untrained.compared(LOADED, describe({}))
    found = untrained.verdicts(LOADED, table, Comparisons(()))
    assert set(found.values()) == {"undecided"}


def test_the_figure_shows_the_share_of_seeds_that_learn():
    never = {(MODULE.WITHOUT, "copy", CONFIG.run.copy[-1]): math.inf}
    table, comparisons = untrained.compared(LOADED, describe(never))
    figure, _ = LOADED.get_figures(table, comparisons)["success"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines[MODULE.WITHOUT].get_xdata().tolist() == list(CONFIG.run.copy)
    assert lines[MODULE.WITHOUT].get_ydata().tolist() == [1, 1, 0]
    assert lines[MODULE.BEFORE].get_ydata().tolist() == [1, 1, 1]
