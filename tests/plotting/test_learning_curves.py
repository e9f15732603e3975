"""Learning curves against loops over the records; lines drawn against the values read."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from rnnlab.core.errors import Pooled, Undecided
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.table import Member, Table

RNG = np.random.default_rng(3)


def member(index, steps, rate=0.1, solved_at=math.inf, loss=0.5, status="finished", every=10):
    """A member that stopped after ``steps`` of 50, with random scores."""
    records = [
        {"step": s, "train_loss": RNG.random(), "loss": RNG.random(), "error": RNG.random()}
        for s in range(every, steps + 1, every)
    ]
    config = {"training": {"steps": 50, "eval_every": every, "learning_rate": rate}, "seed": index}
    result = {"loss": loss, "solved_at": solved_at, "status": status}
    return Member(index, {}, config, 0.0, result, tuple(records))


def test_a_member_that_stopped_keeps_its_last_value():
    table = Table([member(0, 50), member(1, 20)])
    steps, values = learning_curves.learning_curves(table, "error")
    assert steps.tolist() == [10, 20, 30, 40, 50]
    assert values[0].tolist() == [r["error"] for r in table[0].metrics]
    first, last = (r["error"] for r in table[1].metrics)
    assert values[1].tolist() == [first, last, last, last, last]


def test_measurements_of_probes_are_no_points_of_a_curve():
    probed = member(0, 50)
    probes = ({"step": 0, "adjoint_h": [0.0]}, *probed.metrics, {"step": 30, "adjoint_h": [0.0]})
    with_probes = Member(0, {}, probed.config, 0.0, probed.result, probes)
    plain, same = (learning_curves.learning_curves(Table([m]))[1] for m in (probed, with_probes))
    assert np.array_equal(plain, same)


def test_the_share_that_is_left_to_learn():
    """Loss over the baseline's, at most 1; then 0 for a member that solved, 1 if it diverged."""

    def learner(index, losses, solved_at=math.inf, diverged_at=math.inf):
        records = tuple(
            {"step": 10 * (n + 1), "train_loss": 0.0, "loss": loss} for n, loss in enumerate(losses)
        )
        config = {"training": {"steps": 40, "eval_every": 10}, "seed": index}
        result = {
            "loss": losses[-1],
            "baseline": 0.5,
            "solved_at": solved_at,
            "diverged_at": diverged_at,
        }
        return Member(index, {}, config, 0.0, result, records)

    table = Table(
        [
            learner(0, [0.6, 0.4, 0.2, 0.1]),  # worse than the baseline at first
            learner(1, [0.4, 0.05], solved_at=20),
            learner(2, [math.nan, 0.3], diverged_at=20),
        ]
    )
    steps, share = learning_curves.share_left(table)
    assert steps.tolist() == [10, 20, 30, 40]
    expected = [[1, 0.8, 0.4, 0.2], [0.8, 0.1, 0, 0], [1, 0.6, 1, 1]]
    np.testing.assert_allclose(share, expected)
    np.testing.assert_allclose(learning_curves.mean_left(table), np.mean(expected, axis=1))


def test_members_evaluated_at_different_steps_are_refused():
    table = Table([member(0, 50), member(1, 50, every=25)])
    with pytest.raises(Pooled, match=r"training\.eval_every \(10, 25\)"):
        learning_curves.learning_curves(table)
    with pytest.raises(ValueError, match="eval_every"):
        learning_curves.learning_curves(table.over("training.eval_every"))


def test_without_members_a_curve_is_undecided():
    empty = Table([member(0, 50)]).select(seed=9)
    for ask in (
        learning_curves.learning_curves,
        learning_curves.success_rate,
        learning_curves.best,
        learning_curves.solved,
    ):
        with pytest.raises(Undecided, match="seed=9"):
            ask(empty)


def test_the_line_drawn_is_the_median_over_members():
    table = Table([member(i, 50) for i in range(3)])
    _, axes = plots.new_figure(1, 1, size=(4, 3))
    end = learning_curves.draw(axes[0, 0], table, "loss", "three", 1)
    line = axes[0, 0].lines[0]
    middle = np.median([[r["loss"] for r in m.metrics] for m in table], axis=0)
    assert np.array_equal(line.get_xdata(), [10, 20, 30, 40, 50])
    assert np.allclose(np.asarray(line.get_ydata(), float), middle, rtol=1e-12)
    assert end == plots.End(50.0, middle[-1], "three", plots.COLORS[1])
    assert to_hex(line.get_color()) == plots.COLORS[1].lower()


def test_the_baseline_spans_the_panel_at_its_level():
    _, axes = plots.new_figure(1, 1, size=(4, 3))
    ax = axes[0, 0]
    ax.set(xlim=(0, 700), ylim=(0, 1))
    learning_curves.baseline(ax, 0.25, "1/4")
    assert list(ax.lines[0].get_xdata()) == [0, 700]
    assert list(ax.lines[0].get_ydata()) == [0.25, 0.25]
    assert [t.get_text() for t in ax.texts] == ["1/4"]


def test_the_success_rate_is_the_share_that_solved():
    table = Table([member(i, 50, status=s) for i, s in enumerate(("solved", "diverged", "solved"))])
    assert learning_curves.success_rate(table) == pytest.approx(2 / 3)


def test_best_is_soonest_solved_and_then_lowest():
    inf = math.inf
    table = Table(
        [
            member(0, 50, rate=0.1, solved_at=30.0, loss=0.02),
            member(1, 50, rate=0.1, solved_at=20.0, loss=0.02),
            member(2, 50, rate=0.2, solved_at=40.0, loss=0.01),
            member(3, 50, rate=0.2, solved_at=inf, loss=0.01),
        ]
    )
    assert [m.index for m in learning_curves.best(table)] == [0, 1]
    unsolved = table.select(seed=(0, 3))  # medians 30 and inf
    assert [m.index for m in learning_curves.best(unsolved)] == [0]
    neither = Table([member(0, 50, rate=0.1, loss=0.3), member(1, 50, rate=0.2, loss=0.2)])
    assert learning_curves.best(neither).criteria["training.learning_rate"] == 0.2


def test_how_many_solved_in_words():
    none = Table([member(0, 50), member(1, 50)])
    assert learning_curves.solved(none) == "0 of 2 solve it"
    assert learning_curves.solved(Table([member(0, 50, solved_at=20.0)])) == (
        "1 of 1 solves it, the median after 20 updates"
    )


def test_the_share_left_against_a_loop():
    """Solved: nothing from there on; diverged: everything; a loss above the baseline counts 1."""
    losses_by_status = {
        "finished": [0.8, 0.6, float("nan"), 0.2, float("inf")],
        "solved": [0.5, 0.1],
        "diverged": [0.3],
    }
    at = {"solved": 20.0, "diverged": 4.0}
    members = []
    for i, (status, losses) in enumerate(losses_by_status.items()):
        records = tuple(
            {"step": 10 * (k + 1), "train_loss": 0.0, "loss": loss} for k, loss in enumerate(losses)
        )
        result = {"loss": 0.5, "baseline": 0.5, "status": status}
        result |= {f"{s}_at": at[s] if s == status else math.inf for s in at}
        config = {"training": {"steps": 50, "eval_every": 10}}
        members.append(Member(i, {}, config, 0.0, result, records))
    steps, share = learning_curves.share_left(Table(members))
    assert steps.tolist() == [10, 20, 30, 40, 50]
    assert share.tolist() == [
        pytest.approx([1, 1, 1, 0.4, 1]),
        pytest.approx([1, 0.2, 0, 0, 0]),
        [1, 1, 1, 1, 1],
    ]
    assert learning_curves.mean_left(Table(members)).tolist() == pytest.approx([0.88, 0.24, 1])


def test_never_solved_is_drawn_above_the_budget():
    figure, axes = plots.new_figure(1, 1, size=(4, 3))
    ax = axes[0, 0]
    values = learning_curves.drawable(
        np.array([[10.0, math.inf], [30.0, 40.0], [20.0, math.inf]]), 200
    )
    assert learning_curves.band_with_points(ax, (20, 50), values, "a", 1)
    learning_curves.updates_axis(ax, 200)
    learning_curves.length_axis(ax, (20, 50), "T")
    points = next(line for line in ax.lines if line.get_marker() == "o")
    assert points.get_ydata().tolist() == [20, 230]  # the medians; never is above the budget
    figure.canvas.draw()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["20", "50"]
    ticks = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert (ticks["never"], ticks["200"], ticks["0"]) == (230, 200, 0)
    assert ax.get_ylim()[1] > 230
