"""speed_bars: bars are as long as the medians and ratios that they show."""

import itertools

import numpy as np

from rnnlab.plotting import plots, speed_bars
from rnnlab.plotting.speed_bars import Bar
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Member, Table
from tests.helpers import benchmarks


def widths(ax):
    return [patch.get_width() for patch in ax.patches]


def texts(ax):
    return [text.get_text().strip() for text in ax.texts]


def test_times_are_medians_and_a_side_left_out_has_no_bar():
    ms = {"a": [1.0, 3.0, 2.0], "b": [6.0, 6.0, 12.0]}
    rows = [("H = 4", Member(0, {"H": 4}, {}, 0.0, benchmarks.result({"both": ms})))]
    _, axes = plots.new_figure(1, 1, size=(3, 2))
    bars = [Bar(side, side.upper(), "#000000") for side in ("a", "absent", "b")]
    speed_bars.times(axes[0, 0], rows, lambda _: bars, "both", over="a")
    assert widths(axes[0, 0]) == [2.0, 6.0]
    ratio = np.exp(np.log([6 / 1, 6 / 3, 12 / 2]).mean())
    assert texts(axes[0, 0]) == ["2 ms  A", f"6 ms, {ratio:.2f}x  B"]


def test_a_time_too_short_for_a_bar_is_a_dot_on_a_logarithmic_axis():
    ms = {"a": [1.0, 3.0, 2.0], "b": [59.0, 59.0, 59.0], "c": [60.0, 60.0, 60.0]}
    rows = [("H = 4", Member(0, {"H": 4}, {}, 0.0, benchmarks.result({"both": ms})))]
    for sides, dots in (("ab", False), ("ac", True)):
        _, axes = plots.new_figure(1, 1, size=(3, 2))
        bars = [Bar(side, side, "#000000") for side in sides]
        speed_bars.times(axes[0, 0], rows, lambda _, bars=bars: bars, "both")
        assert axes[0, 0].get_xscale() == ("log" if dots else "linear")
        drawn = [line.get_xdata()[-1] for line in axes[0, 0].lines if line.get_marker() == "o"]
        assert drawn == ([2.0, 60.0] if dots else [])
        assert widths(axes[0, 0]) == ([] if dots else [2.0, 59.0])


def test_labels_of_many_bars_do_not_overlap():
    ms = {side: [1.0, 1.0, 1.0] for side in "abcdefgh"}
    rows = [
        (f"H = {i}", Member(i, {"H": i}, {}, 0.0, benchmarks.result({"both": ms})))
        for i in range(3)
    ]
    figure, axes = plots.new_figure(2, 1, size=(4, 2))
    bars = [Bar(side, side, "#000000") for side in ms]
    for ax in axes[:, 0]:
        speed_bars.times(ax, rows, lambda _: bars, "both")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for ax in axes[:, 0] for text in ax.texts]
    assert len(boxes) == 48
    for above, below in itertools.pairwise(boxes):
        assert above.y0 > below.y0 + 0.8 * (above.y1 - above.y0)


def test_ratios_have_their_bounds():
    _, axes = plots.new_figure(1, 1, size=(3, 2))
    rows = [("one", Ratio(2.0, 1.5, 2.5), 1.4), ("two", Ratio(3.0, 2.0, 4.0), None)]
    speed_bars.ratios(axes[0, 0], rows, "ratio")
    assert widths(axes[0, 0]) == [2.0, 3.0]
    assert texts(axes[0, 0]) == ["2.00x", "3.00x", "bound 1.4"]
    _, axes = plots.new_figure(1, 1, size=(3, 2))
    speed_bars.ratios(axes[0, 0], [(label, ratio, 1.4) for label, ratio, _ in rows], "ratio")
    assert texts(axes[0, 0]) == ["2.00x", "3.00x", "bound 1.4"]  # of both
    _, axes = plots.new_figure(1, 1, size=(3, 2))
    rows = [("one", Ratio(2.0, 1.5, 2.5), 1.4), ("two", Ratio(90.0, 80.0, 95.0), None)]
    speed_bars.ratios(axes[0, 0], rows, "ratio")
    drawn = [line.get_xdata()[-1] for line in axes[0, 0].lines if line.get_marker() == "o"]
    assert drawn == [2.0, 90.0]
    assert axes[0, 0].get_xscale() == "log"


def test_no_bound_crosses_a_number():
    def beside(value, bound):
        _, axes = plots.new_figure(1, 1, size=(3, 2))
        rows = [("a", Ratio(value, value, value), bound), ("b", Ratio(5.0, 5.0, 5.0), None)]
        speed_bars.ratios(axes[0, 0], rows, "ratio")
        return next(t for t in axes[0, 0].texts if t.get_text().strip() == f"{value:.2f}x")

    assert beside(1.0, 1.5).get_position()[0] == 1.5  # beyond the bound
    assert beside(1.0, 4.0).get_position()[0] == 1.0  # there is room before it
    assert beside(2.0, 1.5).get_position()[0] == 2.0


def test_the_default_figure_has_a_panel_per_pass():
    ms = {"forward": {"a": 1.0, "b": 2.0}, "both": {"a": 3.0, "b": 9.0}}
    table = Table([Member(i, {"H": i}, {}, 0.0, benchmarks.result(ms)) for i in range(2)])
    figure, caption = speed_bars.figures(table)["speed"]
    assert [ax.get_title("left") for ax in figure.axes] == ["forward", "both"]
    assert widths(figure.axes[1]) == [3.0, 9.0] * 2
    assert "process of its own" in caption
