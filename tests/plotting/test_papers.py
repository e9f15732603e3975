"""Figures for papers and talks: width, size of text, fonts, and what cannot be made."""

import io
import re

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from rnnlab.plotting import papers, plots, tables

RNG = np.random.default_rng(3)


def grid():
    figure, axes = plots.new_figure(1, 3, size=(13, 3.8), share_y=True)
    for place, ax in enumerate(axes.flat):
        ends = [plots.band(ax, np.arange(4), RNG.normal(size=(3, 4)), f"s{i}", i) for i in range(2)]
        plots.title(ax, f"Gates without recurrence: the mean of $\\prod f_t$, {place}")
        ax.set(xlabel=plots.LAG, ylabel=plots.LEFT)
        plots.direct_labels(ax, ends)
    return figure


def shown(figure):
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


@pytest.mark.parametrize(("style", "width", "least"), [("paper", 3.3, 7), ("talk", 10.0, 14)])
def test_width_and_text(style, width, least):
    figure = grid()
    page = papers.make(figure, "pdf", style)
    box = [float(number) for number in re.search(rb"/MediaBox \[([\d. ]+)\]", page)[1].split()]
    assert box[2] == pytest.approx(72 * width, abs=0.1)
    assert min(text.get_fontsize() for text in shown(figure)) >= least
    titles = [Text.get_window_extent(text) for text in shown(figure) if "Gates" in text.get_text()]
    assert len(titles) == 3
    for i, first in enumerate(titles):
        assert first.x1 <= figure.bbox.x1 + 1
        assert not any(first.overlaps(second) for second in titles[i + 1 :])


def test_fonts_of_a_pdf_are_type_42():
    page = papers.make(grid(), "pdf")
    assert b"/Type3" not in page
    assert b"/CIDFontType2" in page or b"/TrueType" in page


def test_png_and_svg():
    png = Image.open(io.BytesIO(papers.make(grid(), "png", width=2.5)))
    assert png.size[0] == 750  # 300 dots per inch
    svg = papers.make(grid(), "svg", width=7.0)
    assert re.search(rb'viewBox="0 0 ([\d.]+)', svg)[1] == b"504"


def test_panels_stand_side_by_side_as_the_width_allows():
    for width, columns in ((3.3, 1), (7.0, 3), (5.0, 2)):
        figure = grid()
        papers.make(figure, "svg", width=width)
        assert len({round(ax.get_position().x0, 2) for ax in figure.axes}) == columns


def test_what_cannot_be_made_is_said():
    for wrong, words in (
        ({"form": "gif"}, "unknown format 'gif'"),
        ({"form": "pdf", "style": "poster"}, "unknown style 'poster'"),
        ({"form": "pdf", "width": 0.5}, r"width, inches, must be .*2.*40.*got 0.5"),
    ):
        with pytest.raises(ValueError, match=words):
            papers.make(grid(), **wrong)
    table = tables.draw(["a"], {"x": ["1"]})
    with pytest.raises(ValueError, match=r"scaled as a whole, .* takes 9\.7 in .* --width=9\.7in"):
        papers.make(table, "pdf")


def test_a_table_is_set_as_a_whole():
    table = tables.draw(["a"], {"x": ["1"]})
    papers.make(table, "pdf", width=22.0)
    assert {text.get_fontsize() for text in plots.texts(table) if text.get_text()} == {16.0}
