"""Figures of an experiment that has none: the numbers that are drawn are those of the members."""

import itertools

import numpy as np
import pytest

from rnnlab.plotting import default_figures
from rnnlab.results.table import Member, Table

RNG = np.random.default_rng(0)
NAN = float("nan")


def members(axes, result=None, logged=()):
    """A member per combination of values of the axes and of 3 seeds."""
    made = []
    for values in itertools.product(*axes.values(), range(3)):
        config = dict(zip([*axes, "seed"], values, strict=True))
        drawn = {"loss": float(RNG.uniform(1, 2))} | (result or {})
        records = tuple({"step": s, "loss": float(RNG.uniform(1, 2))} for s in logged)
        made.append(Member(len(made), config, config, 0.1, drawn, records))
    return Table(made)


def medians(table, key, values, **criteria):
    chosen = table.select(criteria)
    return [np.median(chosen.select({key: v}).over(*criteria).each("loss")) for v in values]


def test_results_against_a_swept_number_are_medians_over_seeds():
    table = members({"lr": (1e-3, 1e-2, 1e-1), "cell": ("gru", "lstm"), "size": (8, 16)})
    figure, caption = default_figures.draw(table)["results"]
    assert len(figure.axes) == 2  # a panel per size
    assert "against lr" in caption
    assert "A row per value of size." in caption
    for ax, size in zip(figure.axes, (8, 16), strict=True):
        assert ax.get_xscale() == "log"
        assert ax.get_title("left") == f"size={size}"
        drawn = [line for line in ax.lines if line.get_linestyle() != "None"]
        for line, cell in zip(drawn, ("gru", "lstm"), strict=True):
            expected = medians(table, "lr", (1e-3, 1e-2, 1e-1), cell=cell, size=size)
            np.testing.assert_allclose(line.get_ydata(), expected)
        points = [line for line in ax.lines if line.get_linestyle() == "None"]
        assert sum(line.get_ydata().size for line in points) == 3 * 2 * 3
        assert [text.get_text() for text in ax.texts] == ["gru", "lstm"]


def test_results_by_name_are_points_per_value_and_nothing_is_pooled():
    table = members({"scheme": ("he", "xavier", "identity"), "cell": ("gru", "lstm")})
    figure, caption = default_figures.draw(table)["results"]
    assert "by scheme" in caption
    assert len(figure.axes) == 2
    for ax, cell in zip(figure.axes, ("gru", "lstm"), strict=True):
        assert [t.get_text() for t in ax.get_xticklabels()] == ["he", "xavier", "identity"]
        bars = [float(np.ravel(line.get_ydata())[0]) for line in ax.lines[1::2]]
        expected = medians(table, "scheme", ("he", "xavier", "identity"), cell=cell)
        np.testing.assert_allclose(bars, expected)


def test_metrics_are_drawn_against_steps():
    table = members({"cell": ("gru", "lstm")}, logged=(10, 20, 30))
    figure, caption = default_figures.draw(table)["metrics"]
    (ax,) = figure.axes
    assert caption.startswith("Metrics logged during the run. A line per value of cell")
    for line, cell in zip(ax.lines, ("gru", "lstm"), strict=True):
        chosen = [[r["loss"] for r in m.metrics] for m in table.select(cell=cell)]
        assert line.get_xdata().tolist() == [10, 20, 30]
        np.testing.assert_allclose(line.get_ydata(), np.median(chosen, axis=0))


def test_records_without_a_step_count_by_their_place():
    records = ({"norm": 3.0}, {"norm": 1.5})
    table = Table([Member(0, {}, {"seed": 0}, 0.0, {"word": "a"}, records)])
    ((figure, _),) = default_figures.draw(table).values()
    (line,) = figure.axes[0].lines
    assert line.get_xdata().tolist() == [0, 1]
    assert line.get_ydata().tolist() == [3.0, 1.5]


def test_tied_keys_are_one_axis():
    pairs = (("he", "zeros"), ("xavier", "ones"))
    made = [
        Member(i, {}, {"w": w, "b": b, "seed": s}, 0.0, {"loss": float(i)})
        for i, ((w, b), s) in enumerate(itertools.product(pairs, range(2)))
    ]
    (axis,) = default_figures.axes_of(Table(made))
    assert axis.keys == ("w", "b")
    figure, _ = default_figures.draw(Table(made))["results"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["he, zeros", "xavier, ones"]


def test_what_is_not_drawn_is_said():
    names = {name: 1.0 for name in "abcde"} | {"steps": 20, "ok": True, "word": "x"}
    figure, caption = default_figures.draw(members({"n": (1, 2)}, names))["results"]
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "a", "b", "c"]
    assert caption.endswith("Not drawn: d, e, steps.")
    figure, _ = default_figures.draw(members({"n": (1, 2)}, {"a": NAN}))["results"]
    assert figure.axes[1].texts[0].get_text() == "6 of 6 not finite"


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_result_is_no_figure(count):
    table = Table(Member(0, {}, {"seed": 0}, 0.0, {"loss": 1.0}) for _ in range(count))
    assert default_figures.draw(table) == {}
