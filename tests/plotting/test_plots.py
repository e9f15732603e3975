"""Parts of figures: their numbers, labels without overlaps, nothing dropped silently."""

import ast
import io
import re
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from matplotlib.text import Text

from rnnlab.plotting import plots


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(0.01, 5))
def test_spread_keeps_the_distance_the_order_and_the_range(values, gap):
    low, high = -20.0, 20.0
    placed = plots.spread(values, gap, low, high)
    room = min(gap, (high - low) / max(len(values) - 1, 1))
    assert placed.min() >= low - 1e-9
    assert placed.max() <= high + 1e-9
    assert (np.diff(np.sort(placed)) >= room - 1e-9).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(placed[order]) > 0).all()


def test_spread_leaves_positions_with_room_unchanged():
    assert plots.spread([3.0, 1.0, 9.0], 1.0, 0.0, 10.0).tolist() == [3.0, 1.0, 9.0]


def test_labels_do_not_overlap_when_drawn():
    figure, axes = plots.new_figure(1, 2, size=(9, 3))
    ends = [plots.End(10.0, y, f"a scheme at {y}", "#000000") for y in (0, 0.01, 0.02, 0.5, 0.99)]
    for ax in axes.flat:
        ax.plot([0, 10], [0, 1])
        plots.direct_labels(ax, ends)
    figure.savefig(io.BytesIO())
    boxes = [Text.get_window_extent(text) for text in axes[0, 0].texts]  # without the arrow
    for i, first in enumerate(boxes):
        for second in boxes[i + 1 :]:
            assert first.y1 <= second.y0 + 0.5 or second.y1 <= first.y0 + 0.5


def _line(ax):
    return ax.lines[0].get_xdata(), ax.lines[0].get_ydata()


def test_the_median_is_over_all_members_and_zeros_count_as_smallest():
    curves = -np.arange(5.0)[:, None] * np.arange(4.0)  # member m loses m decades a step
    zero = np.zeros((5, 4))
    zero[:2, 2:] = 1  # the two best are exactly zero from lag 2
    _, axes = plots.new_figure(size=(4, 3))
    end = plots.gradient_curves(axes[0, 0], curves, zero, "x", 0)
    x, y = _line(axes[0, 0])
    # of −inf, −inf, −8, −6, −4 (lag 2) the median is −8, not the survivors' −6
    assert x.tolist() == [0, 1, 2, 3]
    assert y.tolist() == [0.0, -2.0, -8.0, -12.0]
    assert end is not None
    assert (end.x, end.text) == (3.0, "x")


def test_a_line_ends_in_a_cross_where_the_median_is_exactly_zero():
    zero = np.zeros((3, 6))
    zero[:, 4:] = 1
    _, axes = plots.new_figure(size=(4, 3))
    end = plots.gradient_curves(axes[0, 0], np.zeros((3, 6)), zero, "x", 0)
    assert end is not None
    assert end.x == 3.0
    assert axes[0, 0].lines[-1].get_marker() == "x"


def test_overflowed_members_are_counted_in_the_label():
    curves = np.zeros((4, 3))
    curves[0] = np.nan
    _, axes = plots.new_figure(size=(4, 3))
    end = plots.gradient_curves(axes[0, 0], curves, np.zeros((4, 3)), "He", 0)
    assert end is not None
    assert end.text == "He (1 of 4 overflow)"
    assert plots.gradient_curves(axes[0, 0], curves * np.nan, np.zeros((4, 3)), "He", 0) is None


def test_the_band_is_the_inner_four_fifths():
    curves = np.arange(11.0)[:, None] * np.ones(2)
    _, axes = plots.new_figure(size=(4, 3))
    plots.band(axes[0, 0], np.arange(2), curves, "x", 0)
    corners = axes[0, 0].collections[0].get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (1.0, 9.0)


def test_captions_say_the_quantiles_that_are_drawn():
    """The words' numbers are NumPy's quantiles of what is drawn, and stand in one file alone."""
    low, high = (float(n) / 100 for n in re.findall(r"[\d.]+", plots.MEDIAN_AND_BAND))
    curves = np.random.default_rng(0).normal(size=(21, 1)) + np.arange(2.0)
    _, axes = plots.new_figure(size=(4, 3))
    plots.band(axes[0, 0], np.arange(2), curves, "x", 0)
    corners = axes[0, 0].collections[0].get_paths()[0].vertices[:, 1]
    assert corners.min() == np.quantile(curves[:, 0], low, method="nearest")
    assert corners.max() == np.quantile(curves[:, 1], high, method="nearest")
    root = Path(__file__).parents[2]
    written = {
        (path.name, node.lineno)
        for folder in ("rnnlab", "experiments")
        for path in sorted((root / folder).rglob("*.py"))
        if "bench" not in str(path.relative_to(root))  # turns of a timing, not seeds
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and ">>>" not in node.value
        and re.search(r"10[–-]90|10% to 90|edian and range", node.value)
    }
    assert written == set()


def test_the_line_is_the_median_of_an_even_number_too():
    curves = np.array([[1.0, -np.inf, 1.0], [4.0, 2.0, np.nan], [2.0, 3.0, np.nan], [9.0, 4.0, 2]])
    _, axes = plots.new_figure(size=(4, 3))
    plots.band(axes[0, 0], np.arange(3), curves, "x", 0)
    assert axes[0, 0].lines[0].get_ydata().tolist() == [3.0, 2.5, 1.5]
    zero = np.array([[-np.inf], [1.0]])
    assert plots.band(axes[0, 0], np.arange(1), zero, "x", 0) is None


def test_disc_names_the_spectral_radius():
    _, axes = plots.new_figure(size=(4, 3))
    plots.eigenvalue_disc(axes[0, 0], np.array([0.5, 1j, -2.0]), "W")
    assert axes[0, 0].get_title() == "W\nρ = 2.00"
    assert axes[0, 0].get_xlim()[1] > 2


def test_heat_map_is_white_at_zero_and_gray_where_nothing_is_finite():
    figure, axes = plots.new_figure(size=(4, 3))
    z = np.array([[0.0, 5.0], [-5.0, -np.inf]])
    plots.heat_map(axes[0, 0], np.arange(2), np.arange(2), z, label="decades", limit=5)
    figure.savefig(io.BytesIO())
    mesh = axes[0, 0].collections[0]
    white, red, blue, none = mesh.get_facecolor()
    assert white[:3] == pytest.approx([1, 1, 1], abs=0.05)
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert none[3] == 0  # the gray behind shows through


def test_seven_looks_differ_in_color_and_in_line():
    looks = [plots.look(i) for i in range(7)]
    assert len({entry["color"] for entry in looks}) == 7
    assert len({str(entry["linestyle"]) for entry in looks}) == 7


def test_a_font_that_has_every_character(monkeypatch):
    """matplotlib's own font has Greek and no Chinese; another installed font may have it."""
    assert plots.font_for("∂L/∂h_t, σ\n") == "DejaVu Sans"
    maps = {"A": {"a"}, "B CJK": {"a", "好"}, "Last Resort": {"a", "好", "龘"}}
    fonts = [SimpleNamespace(name=name, fname=name, weight=400) for name in ("Last Resort", "A")]
    manager = SimpleNamespace(
        fontManager=SimpleNamespace(ttflist=fonts),
        get_font=lambda name: SimpleNamespace(get_charmap=lambda: {ord(c): 1 for c in maps[name]}),
    )
    monkeypatch.setattr(plots, "font_manager", manager)
    plots._font_for.cache_clear()
    assert plots.font_for("a好") is None  # boxes are no characters
    fonts.append(SimpleNamespace(name="B CJK", fname="B CJK", weight=400))
    plots._font_for.cache_clear()
    assert (plots.font_for("a好"), plots.font_for("龘")) == ("B CJK", None)
    plots._font_for.cache_clear()
