"""speed_bars: bars are as long as the medians and ratios that they show."""

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


def test_ratios_have_their_bounds():
    _, axes = plots.new_figure(1, 1, size=(3, 2))
    rows = [("one", Ratio(2.0, 1.5, 2.5), 1.4), ("two", Ratio(3.0, 2.0, 4.0), None)]
    speed_bars.ratios(axes[0, 0], rows, "ratio")
    assert widths(axes[0, 0]) == [2.0, 3.0]
    assert texts(axes[0, 0]) == ["2.00x", "bound 1.4", "3.00x"]


def test_the_default_figure_has_a_panel_per_pass():
    ms = {"forward": {"a": 1.0, "b": 2.0}, "both": {"a": 3.0, "b": 9.0}}
    table = Table([Member(i, {"H": i}, {}, 0.0, benchmarks.result(ms)) for i in range(2)])
    figure, caption = speed_bars.figures(table)["speed"]
    assert [ax.get_title("left") for ax in figure.axes] == ["forward", "both"]
    assert widths(figure.axes[1]) == [3.0, 9.0] * 2
    assert "process of its own" in caption
