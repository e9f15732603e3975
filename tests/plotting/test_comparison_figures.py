"""What figures of comparisons draw against the comparison's numbers."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from rnnlab.plotting import comparison_figures as figures
from rnnlab.plotting import plots
from rnnlab.results.comparison import Pair, Point
from rnnlab.results.table import Member, Table
from tests.helpers.comparisons import KEY, SCORES, arm, grid, result

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(5)
A = grid({0.01: (400.0, 500.0), 0.03: (200.0, 300.0), 0.1: (150.0, INF)}, extended=(0.1,))
B = grid({0.01: (900.0, 800.0), 0.03: (700.0, 750.0), 0.1: (INF, INF)}, extended=(0.1,))
TUNE = {KEY: (0.01, 0.03)}
TWO = result(
    [arm("a", (200.0, 300.0), 0.03, grid=A), arm("b", (700.0, 600.0), 0.03, grid=B, first=2)],
    [Pair("a", "b", "better", 0.3, (0.2, 0.5), 2)],
    tune=TUNE,
    tuning_seeds=(8, 9),
)


def drawn(comparison, part, table=None):
    return figures.draw(comparison, table or Table([]))[f"{comparison.name}_{part}"]


def points(ax, marker="o", size=3.0):
    lines = (ln for ln in ax.lines if ln.get_marker() == marker and ln.get_markersize() == size)
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True)]


# ---- tuning ------------------------------------------------------------------------------------


def test_tuning_shows_every_score_and_the_chosen_value():
    figure, caption = drawn(TWO, "tuning")
    panel, other = figure.axes
    band = panel.get_ylim()[1]
    finite = [(p.values[KEY], s) for p in A for s in p.scores if math.isfinite(s)]
    assert [point for point in points(panel) if point[1] <= 900] == finite
    (never,) = [point for point in points(panel) if point[1] > 900]
    assert never[0] == 0.1
    assert 900 < never[1] < band
    assert panel.get_yticklabels()[-1].get_text() == "never"
    ((x, y),) = points(panel, size=11)
    assert (x, y) == (0.03, pytest.approx(math.sqrt(200 * 300)))  # the mean of logs
    line = next(ln for ln in panel.lines if ln.get_color() == plots.COLORS[1])
    assert list(line.get_xdata()) == [0.01, 0.03, 0.1]
    assert line.get_ydata()[0] == pytest.approx(math.sqrt(400 * 500))
    assert 900 < line.get_ydata()[2] < band  # a seed that failed makes the mean worst
    assert panel.get_xscale() == "log"
    assert panel.get_title(loc="left") == "a\nlearning rate 0.03"
    assert other.get_ylim() == panel.get_ylim()
    assert "Band at the top: never." in caption
    assert "Gray ground: values that were added to the grid." in caption


def test_the_ground_is_gray_beyond_the_grid_that_was_asked_for():
    def grounds(comparison):
        ax = drawn(comparison, "tuning")[0].axes[0]
        return [p for p in ax.patches if to_hex(p.get_facecolor()) == "#eeeeee"]

    (ground,) = grounds(TWO)
    left = ground.get_x()
    assert 0.03 < left < 0.1 < left + ground.get_width()
    both = {KEY: (0.03,)}
    assert len(grounds(result(TWO.arms, TWO.pairs, tune=both))) == 2
    assert grounds(result(TWO.arms, TWO.pairs, tune={KEY: (0.01, 0.03, 0.1)})) == []


def test_diverged_scores_lie_below_where_higher_is_better():
    g = grid({0.01: (0.7, 0.8), 0.03: (0.9, NAN), 0.1: (0.5, 0.6)})
    scores = SCORES | {"score": "accuracy", "better": "higher"}
    two = result([arm("a", (0.9,), 0.03, grid=g), arm("b", (0.8,), 0.01, grid=g)], (), **scores)
    figure, caption = drawn(two, "tuning")
    ax = figure.axes[0]
    (low,) = [y for x, y in points(ax) if y < 0.5]
    assert ax.get_ylim()[0] < low < 0.5
    assert ax.get_yticklabels()[-1].get_text() == "diverged"
    assert "Band at the bottom: diverged." in caption


def test_a_second_tuned_key_has_a_line_per_value():
    clip, rates = "training.clip_norm", (0.01, 0.03)
    g = tuple(Point({KEY: r, clip: c}, (r * c,), 0.0) for r in rates for c in (1.0, 5.0))
    chosen = {KEY: 0.03, clip: 5.0}
    arms = [arm(n, (0.1,), tuned=chosen, grid=g) for n in "ab"]
    tune = {KEY: rates, clip: (1.0, 5.0)}
    figure, caption = drawn(result(arms, (), **SCORES | {"tune": tune}), "tuning")
    ax = figure.axes[0]
    lines = {ln.get_label(): ln.get_ydata() for ln in ax.lines if ln.get_label()[0] == "c"}
    assert lines["clip norm 5"].tolist() == pytest.approx([0.05, 0.15])
    assert lines["clip norm 1"].tolist() == pytest.approx([0.01, 0.03])
    assert points(ax, size=11) == [(0.03, pytest.approx(0.15))]
    assert "A line per clip norm." in caption


def test_values_that_are_no_numbers_stand_side_by_side():
    """And a key of one value has no axis, though it is a number."""
    scores = {"lion": 0.2, "adam": 0.1}
    g = tuple(Point({KEY: 0.01, "optimizer": o}, (s, s), s) for o, s in scores.items())
    arms = [arm(n, (0.1,), tuned={KEY: 0.01, "optimizer": "adam"}, grid=g) for n in "ab"]
    figure, _ = drawn(result(arms, (), **SCORES | {"tune": {"optimizer": ("lion",)}}), "tuning")
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["lion", "adam"]
    assert points(ax, size=11) == [(1.0, 0.1)]


def test_what_tuned_nothing_has_no_figure_of_it():
    arms = [arm("a", (1.0, 2.0)), arm("b", (3.0, 4.0))]
    pairs = [Pair("a", "b", "undecided", 0.3, (0.1, 2.0), 2)]
    assert list(figures.draw(result(arms, pairs, tune={}), Table([]))) == ["adding_pairs"]
    one = [arm(n, (1.0, 2.0), 0.01, grid=A[:1]) for n in "ab"]
    assert list(figures.draw(result(one, pairs, tune={KEY: (0.01,)}), Table([]))) == [
        "adding_pairs"
    ]


# ---- pairs -------------------------------------------------------------------------------------


def segments(ax):
    """The ends and the color of each interval, by row."""
    return {
        line.get_ydata()[0]: (*line.get_xdata(), to_hex(line.get_color()))
        for line in ax.lines
        if line.get_linewidth() == 2
    }


def test_a_forest_draws_effects_intervals_and_the_zone():
    names = "abcd"
    verdicts = ["better", "worse", "equivalent", "undecided", "better", "worse"]
    effects = RNG.uniform(-1, 1, 6)
    pairs = [
        Pair(x, y, verdict, e, (e - 0.1, e + 0.2), 8 * (1 + k % 2))
        for k, ((x, y), verdict, e) in enumerate(
            zip(["ab", "ac", "ad", "bc", "bd", "cd"], verdicts, effects.tolist(), strict=True)
        )
    ]
    figure, caption = drawn(result([arm(n, (0.1,)) for n in names], pairs, **SCORES), "pairs")
    (ax,) = figure.axes
    colors = [figures.VERDICT_LOOKS[verdict][0].lower() for verdict in verdicts]
    assert segments(ax) == {
        row: (e - 0.1, e + 0.2, color)
        for row, (e, color) in enumerate(zip(effects.tolist(), colors, strict=True))
    }
    markers = {ln.get_ydata()[0]: (ln.get_xdata()[0], ln.get_marker()) for ln in ax.lines[2::2]}
    looks = [figures.VERDICT_LOOKS[verdict][1] for verdict in verdicts]
    assert markers == dict(enumerate(zip(effects.tolist(), looks, strict=True)))
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == ["a vs b", "a vs c"]
    texts = [t.get_text() for t in ax.texts]
    assert texts[:4] == [
        *("✓ better, 8 seeds", "✗ worse, 16 seeds", "≈ equivalent, 8 seeds"),
        "? undecided, 16 seeds",
    ]
    assert texts[-2:] == ["← first better", "first worse →"]
    zone = ax.patches[0]
    assert (zone.get_x(), zone.get_x() + zone.get_width()) == pytest.approx((-0.02, 0.02))
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first pair at the top
    assert "zone of equivalence, ±0.02." in caption


def test_ratios_have_a_logarithmic_axis_and_a_zone_around_one():
    pairs = [
        Pair("a", "b", "better", 0.3, (0.2, 0.5), 8),
        Pair("a", "c", "better", NAN, (NAN, NAN), 2),
        Pair("b", "c", "undecided", 2.0, (1.5, INF), 8),
    ]
    arms = [arm("a", (5.0, 9.0)), arm("b", (7.0, 8.0)), arm("c", (INF, 10.0))]
    figure, caption = drawn(result(arms, pairs), "pairs")
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    zone = ax.patches[0]
    assert (zone.get_x(), zone.get_x() + zone.get_width()) == pytest.approx((0.8, 1.25))
    shown = segments(ax)
    assert shown[0][:2] == (0.2, 0.5)
    assert 1 not in shown
    assert "sooner in 2 of 2" in [t.get_text() for t in ax.texts]
    assert shown[2][:2] == (1.5, ax.get_xlim()[1])
    (arrow,) = [ln for ln in ax.lines if ln.get_marker() == ">"]
    assert (arrow.get_xdata()[0], arrow.get_ydata()[0]) == (ax.get_xlim()[1], 2)
    assert "Words in place of an interval" in caption


def test_beside_a_reference_each_row_is_an_arm():
    pairs = [
        Pair("a", "b", "better", -0.1, (-0.2, -0.05), 8),
        Pair("a", "c", "worse", 0.3, (0.1, 0.5), 8),
    ]
    higher = SCORES | {"better": "higher", "reference": "a"}
    figure, _ = drawn(result([arm(n, (0.1,)) for n in "abc"], pairs, **higher), "pairs")
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c"]
    assert segments(ax)[0][:2] == (0.05, 0.2)
    assert segments(ax)[1][:2] == (-0.5, -0.1)
    assert [t.get_text() for t in ax.texts][:2] == ["✗ worse, 8 seeds", "✓ better, 8 seeds"]
    assert [t.get_text() for t in ax.texts][-2:] == ["← arm worse", "arm better →"]
    assert ax.get_xlabel() == "difference of test loss: arm − a"


# ---- learning curves ---------------------------------------------------------------------------


def members(arms, names=("loss",)):
    return Table(
        Member(
            index,
            {},
            {"init": {"w_h": a.name}, "seed": seed},
            0.0,
            {},
            tuple(
                {"step": step, "train_loss": 1.0, **{n: float(RNG.uniform(1, 2)) for n in names}}
                for step in (10, 20, 30)
            ),
        )
        for a in arms
        for index, seed in zip(a.members, a.seeds, strict=True)
    )


@pytest.mark.parametrize(("logged", "metric"), [(("loss",), "loss"), (("loss", "f1"), "f1")])
def test_curves_are_of_the_judged_members(logged, metric):
    comparison = result(TWO.arms, TWO.pairs, **SCORES | {"score": "f1"})
    table = members(comparison.arms, logged)
    extra = Member(9, {}, {"init": {"w_h": "a"}, "seed": 9}, 0.0, {}, table[0].metrics)
    figure, caption = drawn(comparison, "curves", Table([*table, extra]))
    (ax,) = figure.axes
    for line, a in zip(ax.lines, comparison.arms, strict=True):
        rows = [[r[metric] for r in m.metrics] for m in table if m.index in a.members]
        assert list(line.get_xdata()) == [10, 20, 30]
        np.testing.assert_allclose(line.get_ydata(), np.median(rows, axis=0), rtol=1e-12)
    assert [t.get_text() for t in ax.texts] == ["a", "b"]
    assert ax.get_ylabel() == f"test {metric}"
    assert caption.startswith(f"Test {metric} of the judged members at the chosen values")


def test_many_arms_have_a_panel_each():
    arms = [arm(f"arm {i}", (0.1, 0.2), first=2 * i) for i in range(8)]
    table = members(arms)
    figure, _ = drawn(result(arms, (), **SCORES), "curves", table)
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in panels] == [a.name for a in arms]
    own = panels[3].lines[-1].get_ydata()
    rows = [[r["loss"] for r in m.metrics] for m in table if m.index in arms[3].members]
    np.testing.assert_allclose(own, np.median(rows, axis=0), rtol=1e-12)


def test_what_diverged_is_said_below_the_curves():
    table = members(TWO.arms)
    broken = ({"step": 10, "train_loss": 1.0, "loss": NAN},)
    table = Table([Member(0, {}, table[0].config, 0.0, {}, broken), *table[1:]])
    assert "Left out where not finite: 1 seed of a." in drawn(TWO, "curves", table)[1]
