"""The key of a figure: every mark once, in words."""

import numpy as np

from rnnlab.plotting import keys, learning_curves, plots

RNG = np.random.default_rng(0)


def texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_every_mark_is_in_the_key_once():
    figure, axes = plots.new_figure(1, 2, size=(6, 3))
    curves = -np.abs(RNG.normal(size=(5, 6))).cumsum(axis=1)
    zero = np.zeros((5, 6))
    zero[:, 4:] = 1
    for ax in axes.flat:
        for index in range(2):
            plots.gradient_curves(ax, curves, zero, "x", index)
        plots.theory_line(ax, np.arange(6), curves[0], meaning="mean field")
    keys.draw(figure)
    assert sorted(texts(figure)) == sorted([plots.MEDIAN, plots.RANGE, plots.ZERO, "mean field"])
    keys.draw(figure)  # again: it replaces the first one
    assert len(figure.legends) == 1


def test_the_key_shows_marks_as_they_are_drawn():
    figure, axes = plots.new_figure(size=(4, 3))
    ax = axes[0, 0]
    plots.band(ax, np.arange(3), RNG.normal(size=(4, 3)), "x", 1)
    plots.theory_line(ax, np.arange(3), np.arange(3.0), plots.COLORS[2])
    dots = ax.plot([1], [2], "x", color=plots.COLORS[3])[0]
    keys.mark(dots, "a cross")
    keys.draw(figure)
    (legend,) = figure.legends
    by_text = dict(zip(texts(figure), legend.legend_handles, strict=True))
    assert by_text["a cross"].get_marker() == "x"
    assert by_text["theory"].get_linestyle() == ":"
    assert by_text["theory"].get_color() == plots.COLORS[2]
    assert by_text[plots.RANGE].get_facecolor()[3] == 0.15  # as pale as the band


def test_a_single_member_has_no_band_in_the_key():
    figure, axes = plots.new_figure(size=(4, 3))
    plots.band(axes[0, 0], np.arange(3), RNG.normal(size=(1, 3)), "x", 0)
    keys.draw(figure)
    assert not figure.legends


def test_a_cross_says_whether_zero_or_overflow_follows():
    for follows, meaning in ((np.nan, plots.OVERFLOW), (-np.inf, plots.ZERO)):
        figure, axes = plots.new_figure(size=(4, 3))
        curves = np.array([[0.0, -1.5, follows], [0.0, -2.5, follows]])
        end = plots.gradient_curves(axes[0, 0], curves, np.zeros((2, 3)), "x", 0)
        assert end is not None
        cross = axes[0, 0].lines[-1]
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (1.0, -2.0)  # the last finite one
        assert meaning in keys.marks(figure)


def test_a_level_without_a_name_in_its_panel_is_in_the_key():
    figure, axes = plots.new_figure(1, 2, size=(6, 3))
    learning_curves.baseline(axes[0, 0], 0.5, "chance")
    assert not keys.marks(figure)
    learning_curves.baseline(axes[0, 1], 0.5, "")
    assert list(keys.marks(figure)) == ["an answer without memory"]
