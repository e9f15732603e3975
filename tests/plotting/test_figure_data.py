"""The data of a figure: the numbers that were plotted, of any artist."""

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnlab.plotting import figure_data, panels, plots, tables

RNG = np.random.default_rng(1)


def rows(figure):
    return list(csv.DictReader(io.StringIO(figure_data.to_csv(figure))))


def numbers(found, *names):
    return [[float(row[name]) for row in found] for name in names]


def test_a_band_and_its_line_are_one_series():
    figure, axes = plots.new_figure(1, 2, size=(6, 3))
    x, curves = np.array([1.0, 2.5, 7.0]), RNG.normal(size=(11, 3))
    plots.title(axes[0, 1], r"GRU: $\partial L/\partial h_t$")
    axes[0, 0].set_xlabel("updates")
    plots.band(axes[0, 1], x, curves, "Xavier", 0)
    found = rows(figure)
    assert {row["panel"] for row in found} == {"GRU: partial L/partial h_t"}
    assert {row["series"] for row in found} == {"Xavier"}
    drawn = numbers(found, "x", "y", "low", "high")
    ordered = np.sort(curves, axis=0)
    expected = [x, np.median(curves, axis=0), ordered[1], ordered[9]]
    np.testing.assert_allclose(drawn, expected, rtol=1e-8)


def test_any_figure_has_its_data():
    """A user's own figure, made without a part of ours."""
    figure = Figure()
    ax = figure.subplots()
    y, heights = RNG.normal(size=4), RNG.uniform(1, 2, 3)
    ax.plot(range(4), y, label="a line")
    ax.scatter([1, 2], [3.25, -4], label="dots")
    ax.bar([0, 1, 2], heights, label="bars")
    ax.errorbar([5, 6], [1, 2], yerr=[0.5, 0.25], label="errors")
    ax.axhline(0.125, label="level")
    ax.axvline(3, label="place")
    ax.vlines([8.0], -1, 2, label="range")
    ax.text(2, 3, "a word")
    ax.annotate("a note", (4, 5))
    ax.set_yscale("symlog")
    by = {}
    for row in rows(figure):
        by.setdefault(row["series"], []).append(row)
    np.testing.assert_allclose(numbers(by["a line"], "y")[0], y, rtol=1e-8)
    assert numbers(by["dots"], "x", "y") == [[1, 2], [3.25, -4]]
    np.testing.assert_allclose(numbers(by["bars"], "y", "high"), [heights, heights], rtol=1e-8)
    assert numbers(by["errors"], "x", "y", "low", "high") == [
        [5, 6],
        [1, 2],
        [0.5, 1.75],
        [1.5, 2.25],
    ]
    assert [(row["x"], row["y"]) for row in by["level"]] == [("", "0.125")]
    assert [(row["x"], row["y"]) for row in by["place"]] == [("3", "")]
    assert numbers(by["range"], "x", "low", "high") == [[8], [-1], [2]]
    assert numbers(by["a word"], "x", "y") == [[2], [3]]
    assert numbers(by["a note"], "x", "y") == [[4], [5]]
    expected = ["a line", "dots", "bars", "errors", "level", "place", "range", "a word", "a note"]
    assert sorted(by) == sorted(expected)


def test_names_of_ticks_stand_for_their_places():
    figure, axes = plots.new_figure(size=(4, 3))
    ax = axes[0, 0]
    ax.barh([0, 1], [2.5, 3.5])
    ax.set_yticks([0, 1], ["GRU", "LSTM"])
    ax.set_xticks([0, 2, 4], ["0", "2", "4"])  # numbers stay numbers
    found = rows(figure)
    assert [row["y"] for row in found] == ["GRU", "LSTM"]
    assert numbers(found, "x", "low") == [[2.5, 3.5], [0, 0]]


def test_lines_are_named_by_the_label_at_their_end():
    figure, axes = plots.new_figure(size=(4, 3))
    axes[0, 0].plot([0, 1], [2, 3], color="#000000")
    plots.direct_labels(axes[0, 0], [plots.End(1, 3, "the series", "#000000")])
    assert [row["series"] for row in rows(figure)] == ["the series"] * 2  # and no word of its own


@pytest.mark.parametrize("kind", ["mesh", "image"])
def test_cells_of_a_map_are_a_series_per_row(kind):
    z = RNG.normal(size=(3, 4))
    x, y = np.arange(4.0), np.array([0.5, 0.7, 1.2])
    figure, axes = plots.new_figure(size=(4, 3))
    ax = axes[0, 0]
    ax.set_ylabel("scale")
    if kind == "mesh":
        plots.heat_map(ax, x, y, z, label="decades", limit=5)
    else:
        y = np.arange(3.0)
        ax.imshow(z)
    found = rows(figure)
    assert len(found) == z.size
    for value, line in zip(y, z, strict=True):
        chosen = [row for row in found if row["series"] == f"scale: {value:g}"]
        np.testing.assert_allclose(numbers(chosen, "x", "y"), [x, line], rtol=1e-8)


def test_a_table_is_its_words():
    figure = tables.draw(["accuracy", "F1"], {"GRU": ["0.9", "0.8"], "LSTM": ["0.7", "–"]})
    found = [(row["series"], row["x"], row["y"]) for row in rows(figure)]
    assert ("GRU", "accuracy", "0.9") in found
    assert ("LSTM", "F1", "–") in found
    assert len(found) == 4


def test_guides_are_no_data_and_infinite_values_are_written():
    figure, axes = plots.new_figure(size=(4, 3))
    plots.eigenvalue_disc(axes[0, 0], np.array([0.5 + 0.25j]), "W")
    assert numbers(rows(figure), "x", "y") == [[0.5], [0.25]]  # not the unit circle's points
    figure, axes = plots.new_figure(size=(4, 3))
    axes[0, 0].plot([0, 1, 2], [1.0, -np.inf, np.nan], label="x")
    assert [row["y"] for row in rows(figure)] == ["1", "-inf", "nan"]


def test_a_figure_of_figures_has_the_data_of_all():
    parts = {}
    for rate in (0.1, 0.2):
        parts[f"rate={rate}"], axes = plots.new_figure(size=(3, 2))
        axes[0, 0].plot([0, 1], [rate, 2 * rate], label="loss")
    found = rows(panels.stacked(parts))
    assert [(row["panel"], float(row["y"])) for row in found] == [
        *(("rate=0.1", 0.1), ("rate=0.1", 0.2)),
        *(("rate=0.2", 0.2), ("rate=0.2", 0.4)),
    ]
