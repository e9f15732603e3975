"""Learning curves of several runs on one grid of updates, and which metrics are drawn."""

import numpy as np
import pytest

from rnnlab.core.errors import Pooled
from rnnlab.plotting import plots, run_curves
from rnnlab.results.table import Member, Table


def member(index, *records):
    return Member(index, {}, {}, 0.0, {}, tuple({"train_loss": 1.0, **r} for r in records))


def run_of(*members):
    return Table([member(i, *records) for i, records in enumerate(members)])


A = run_of(
    [{"step": 10, "loss": 4.0, "error": 0.5}, {"step": 20, "loss": 2.0, "error": 0.25}],
    [{"step": 15, "loss": 3.0, "error": 0.75}, {"step": 30, "loss": float("nan"), "error": 1.0}],
)
B = run_of([{"step": 10, "loss": 1.0, "norms": [1.0]}])
OTHER = Table([Member(0, {}, {}, 0.0, {}, ({"step": 10, "sides": "ours", "ms": 3.0},))])


def test_members_on_one_grid():
    steps, values = run_curves.curves_of(A, "loss")
    nan = np.nan
    assert steps.tolist() == [10, 15, 20, 30]
    np.testing.assert_array_equal(values, [[4, 4, 2, 2], [nan, 3, 3, nan]])
    assert run_curves.curves_of(B, "error")[0].size == 0


def test_a_grid_begins_where_half_the_members_do():
    late = run_of(
        [{"step": 1, "loss": 1e17}], *[[{"step": 10, "loss": 1.0}, {"step": 20, "loss": 2.0}]] * 3
    )
    steps, values = run_curves.curves_of(late, "loss")
    assert steps.tolist() == [10, 20]
    assert values.tolist() == [[1e17, 1e17], *[[1.0, 2.0]] * 3]
    early, late = [{"step": 1, "loss": 3.0}], [{"step": 10, "loss": 1.0}]
    for members, begins in (([early] * 2 + [late] * 3, 10), ([early] * 3 + [late] * 3, 1)):
        assert run_curves.curves_of(run_of(*members), "loss")[0][0] == begins


def test_metrics_that_runs_share():
    assert run_curves.metrics_of({"a": A, "b": B}) == ["loss", "train_loss"]
    assert run_curves.metrics_of({"a": A, "again": A}) == ["loss", "train_loss", "error"]
    assert run_curves.metrics_of({"a": A, "other": OTHER}) == []


def test_a_panel_has_a_line_per_run():
    figure, caption = run_curves.draw({"a": A, "b": B, "other": OTHER})
    assert caption == f"A line per run: {plots.MEDIAN_AND_BAND} over its seeds."
    first, second = figure.axes
    assert [ax.get_title(loc="left") for ax in (first, second)] == ["test loss", "training loss"]
    assert [text.get_text() for text in first.texts] == ["a", "b"]
    assert first.lines[0].get_xdata().tolist() == [10, 15, 20, 30]
    assert run_curves.draw({"a": A, "other": OTHER}) is None


def test_powers_of_ten_where_values_lie_far_apart():
    wide = run_of([{"step": 10, "loss": 1000.0}, {"step": 20, "loss": 1.0}])
    first, second = run_curves.draw({"a": wide, "b": B})[0].axes
    assert first.get_title(loc="left") == f"{plots.LOG} of test loss"
    assert first.lines[0].get_ydata().tolist() == [3.0, 0.0]
    assert second.get_title(loc="left") == "training loss"


def swept(*rates):
    """A run of these rates and two seeds, whose losses are a rate's multiples."""
    return Table(
        Member(
            2 * i + seed,
            {},
            {"training": {"learning_rate": rate}, "seed": seed},
            0.0,
            {},
            tuple({"train_loss": 1.0, "step": s, "loss": rate * s} for s in (10, 20)),
        )
        for i, rate in enumerate(rates)
        for seed in range(2)
    )


def test_rates_are_not_pooled_but_drawn_in_rows():
    with pytest.raises(Pooled, match=r"training\.learning_rate \(0\.5, 1\.0\)"):
        run_curves.curves_of(swept(0.5, 1.0), "loss")
    figure, caption = run_curves.draw({"a": swept(0.5, 1.0), "b": swept(1.0)})
    assert "A row per setting" in caption
    losses = [ax for ax in figure.axes if ax.get_title(loc="left") == "test loss"]
    assert [ax.get_ylabel() for ax in losses] == [
        "training.learning_rate=0.5",
        "training.learning_rate=1.0",
    ]
    drawn = [[line.get_ydata().tolist() for line in ax.lines] for ax in losses]
    assert drawn == [[[5.0, 10.0]], [[10.0, 20.0], [10.0, 20.0]]]  # not their median, 7.5
    assert [[t.get_text() for t in ax.texts] for ax in losses] == [["a"], ["a", "b"]]


def test_settings_that_are_not_drawn_are_counted(monkeypatch):
    monkeypatch.setattr(run_curves, "MOST_ROWS", 2)
    many = swept(1.0, 2.0, 3.0)
    figure, caption = run_curves.draw({"a": many, "b": many})
    assert len(figure.axes) == 2 * 2
    assert "1 more of 3 are not drawn" in caption
