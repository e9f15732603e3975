"""Files of figures as anybody draws them, with plain matplotlib."""

import csv
import io
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnlab.plotting import figure_data, rendering


def drawn(draw):
    """Return the axes of a figure on which something is drawn, and the figure."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    ax = figure.add_subplot()
    draw(ax)
    return ax, figure


def bars_with_errors(ax):
    ax.bar([1, 2], [3.0, 4.0], yerr=[0.5, 0.25])


def broken_errors(ax):
    ax.errorbar([1, 2, 3], [1.0, np.nan, 2.0], yerr=[0.1, 0.2, np.nan])


def some_errors(ax):
    ax.errorbar([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], yerr=0.5, errorevery=2)


def boxes(ax):
    ax.boxplot([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])


def colored_words(ax):
    ax.text(0.5, 0.5, "word", color=mpl.colormaps["viridis"](np.linspace(0, 1, 3))[1])


def gouraud(ax):
    ax.pcolormesh(np.eye(3), shading="gouraud")


@pytest.mark.parametrize(
    "draw", [bars_with_errors, broken_errors, some_errors, boxes, colored_words, gouraud]
)
def test_any_figure_has_its_pictures(draw):
    _, figure = drawn(draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        files = rendering.render(figure)
    assert files.png.startswith(b"\x89PNG")
    assert b"<svg" in files.svg


def test_error_bars_keep_their_points():
    _, figure = drawn(some_errors)
    found = [(row.x, row.y, row.low, row.high) for row in figure_data.rows(figure)]
    assert found == [(1, 1, 0.5, 1.5), (2, 2, "", ""), (3, 3, 2.5, 3.5), (4, 4, "", "")]
    _, figure = drawn(broken_errors)
    found = [(row.x, row.low, row.high) for row in figure_data.rows(figure)]
    assert found[0] == (1, 0.9, 1.1)
    assert len(found) == 3


def test_cells_of_a_map_are_numbers_whatever_its_rows_are_called():
    def confusion(ax):
        ax.imshow([[1.0, 0.0], [0.5, 1.0]])
        ax.set_yticks([0, 1], ["noun", "verb"])

    _, figure = drawn(confusion)
    rows = list(csv.DictReader(io.StringIO(figure_data.to_csv(figure))))
    assert [(row["series"], float(row["y"])) for row in rows] == [
        ("noun", 1.0),
        ("noun", 0.0),
        ("verb", 0.5),
        ("verb", 1.0),
    ]


def test_words_keep_their_digits_in_svg():
    def ticks(ax):
        ax.plot([0.000312345, 0.00125], [0.123456789, 1])
        ax.set_xticks([0.0003, 0.00125], ["0.0003", "0.00125"])
        ax.set_title("size L 12, rate 0.00125")

    _, figure = drawn(ticks)
    text = rendering.render(figure).svg.decode()
    for words in ("size L 12, rate 0.00125", "0.0003", "0.00125"):
        assert f">{words}<" in text
