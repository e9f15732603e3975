"""speed_init_sweep: version 1's members, and the time of an update as it is drawn."""

import math
from pathlib import Path
from typing import Any

import pytest

from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

PATH = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_init_sweep.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG: Any = LOADED.get_config()
MEMBERS = sweep.expand(CONFIG, LOADED.get_sweep(CONFIG))


def made(index, overrides, seconds, solved_at=math.inf, diverged_at=math.inf):
    nested = with_overrides(CONFIG.to_dict(), overrides)
    result = {"solved_at": solved_at, "diverged_at": diverged_at}
    return Member(index, overrides, nested, seconds, result)


def test_its_members_are_those_of_version_1():
    # eight schemes of W_hh for four cells, then 2 of W_xh, 1 of W_hy, 1 of b, and 2 of the bias
    # that keeps the past, for two cells each, one of W_hh's being the default of the others
    by_task = 4 * 8 + 2 * (2 + 1 + 1) + 2 * 2
    assert len(MEMBERS) == 3 * by_task * 3
    assert {member["seed"] for member in MEMBERS} == {0, 1, 2}
    assert CONFIG.training.steps == 1000
    assert CONFIG.training.learning_rate == pytest.approx(3e-3)
    assert {(m["task.name"], m.get("task.length"), m.get("task.delay")) for m in MEMBERS} == {
        ("adding", 20, None),
        ("delayed_recall", None, 30),
        ("pixel_digits", None, None),
    }


def test_updates_are_counted_to_where_a_member_stopped():
    table = Table(
        [
            made(0, MEMBERS[0], 0.5, solved_at=200),
            made(1, MEMBERS[0], 0.3, diverged_at=100),
            made(2, MEMBERS[0], 1.0),
        ]
    )
    assert [MODULE.updates(member) for member in table] == [200, 100, 1000]
    assert MODULE.ms_per_update(table) == pytest.approx(1e3 * 1.8 / 1300)


def test_the_figure_has_a_bar_per_cell_and_task():
    table = Table(made(i, overrides, 0.1) for i, overrides in enumerate(MEMBERS))
    figure, caption = LOADED.get_figures(table)["speed"]
    assert len(figure.axes) == 3
    assert [len(ax.patches) for ax in figure.axes] == [4, 4, 4]
    bar: Any = figure.axes[0].patches[0]
    assert bar.get_width() == pytest.approx(0.1)  # 100 ms for 1000 updates
    assert caption.startswith("396 networks made 396,000 updates in 40 seconds")
