"""Figures as files: one layout in every format, a panel per row for phones, text to be read."""

import io
import itertools
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from PIL import Image

from rnnlab.plotting import arrange, panels, plots, rendering, tables

RNG = np.random.default_rng(2)
INVERTED = np.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])


def grid(columns=3, rows=1, width=12.0):
    figure, axes = plots.new_figure(rows, columns, size=(width, 3), share_y=True, share_x=True)
    for place, ax in enumerate(axes.flat):
        curves = RNG.normal(size=(4, 5))
        ends = [plots.band(ax, np.arange(5), curves + i, f"scheme {i}", i) for i in range(3)]
        plots.title(ax, f"Panel {place} with a title that is long for a narrow column")
        plots.direct_labels(ax, ends)
    for ax in axes[-1]:
        ax.set_xlabel("lag $k$")
    axes[0, 0].set_ylabel(plots.LEFT)
    return figure


@pytest.fixture(scope="module")
def drawn():
    """A figure of three panels, its files, and how often it was laid out."""
    figure = grid()
    figure.axes[0].text(1, 0, "W_hh", color="#E69F00")
    counts = []
    with pytest.MonkeyPatch.context() as patch:
        execute = ConstrainedLayoutEngine.execute
        patch.setattr(
            ConstrainedLayoutEngine,
            "execute",
            lambda engine, fig: (counts.append(fig.get_figwidth()), execute(engine, fig)),
        )
        files = rendering.render(figure)
    return figure, files, counts


def size(png):
    return Image.open(io.BytesIO(png)).size


def test_a_figure_is_laid_out_once_for_the_page_and_once_for_phones(drawn):
    _, _, counts = drawn
    assert counts == [12.0, rendering.PHONE]


def test_all_formats_have_the_same_layout(drawn):
    _, files, _ = drawn
    assert size(files.png) == (12 * plots.DPI, 3 * plots.DPI)
    width, height = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', files.svg).groups()
    assert (float(width), float(height)) == (12 * 72, 3 * 72)
    assert b"Panel 2" in files.svg  # text is text
    assert b"<dc:date>" not in files.svg


def test_the_picture_for_phones_has_a_panel_per_row_and_text_of_11_pixels(drawn):
    figure, files, _ = drawn
    assert b'viewBox="0 0 230.4 ' in files.phone
    boxes = [ax.get_position() for ax in figure.axes]
    assert all(a.y0 > b.y1 for a, b in itertools.pairwise(boxes))
    assert all(box.x1 - box.x0 > 0.3 for box in boxes)
    pixels = 326 / (72 * rendering.PHONE)  # per point, on a page of 360 pixels
    shown = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in shown) * pixels >= 11
    for ax in figure.axes:  # what was shared is on every panel
        assert ax.get_ylabel().replace("\n", " ") == plots.LEFT
        assert ax.get_xlabel() == "lag $k$"
        assert ax.yaxis.get_tick_params()["labelleft"]
        assert ax.xaxis.get_tick_params()["labelbottom"]


def test_no_text_of_a_narrow_figure_leaves_it_or_covers_another_panel(drawn):
    figure, _, _ = drawn
    whole = figure.bbox
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    for box in boxes:
        assert box.x0 >= whole.x0 - 2
        assert box.x1 <= whole.x1 + 2
    for above, below in itertools.pairwise(boxes):
        assert above.y0 >= below.y1 - 2
    for ax in figure.axes:  # labels at the lines' ends are spread anew
        labels = [Text.get_window_extent(text) for text in ax.texts if "scheme" in text.get_text()]
        for first, second in itertools.pairwise(labels):
            assert first.y1 <= second.y0 + 1


def test_a_narrow_figure_a_table_and_a_layout_of_its_own_have_no_second_picture():
    assert not rendering.render(grid(columns=1, width=3.0)).phone
    assert not rendering.render(tables.draw(["a"], {"x": ["1"]})).phone
    plain = Figure(figsize=(8, 3))
    plain.subplots().plot([0, 1])
    assert not rendering.render(plain).phone


def test_a_figure_of_figures_has_a_picture_for_phones():
    files = rendering.render(panels.stacked({f"rate={r}": grid(columns=2) for r in (0.1, 0.2)}))
    assert size(files.phone)[0] == rendering.PHONE * rendering.PHONE_DPI
    assert size(files.phone)[1] > 2 * size(files.phone)[0]  # four panels


def test_symbols_are_in_maths_and_text_can_be_read(drawn):
    figure, _, _ = drawn
    (word,) = [text for text in figure.axes[0].texts if "W" in text.get_text()]
    assert word.get_text() == "$W_{hh}$"
    assert word.get_color() == plots.ink("#E69F00")


def luminance(color):
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("color", plots.COLORS)
def test_ink_has_the_contrast_of_text_in_light_and_in_the_dark(color):
    rgb = np.array([int(plots.ink(color)[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    assert 1.05 / (luminance(rgb) + 0.05) >= 4.5
    dark = np.clip(INVERTED @ (0.91 - 0.82 * rgb), 0, 1)  # the page's filter
    ground = luminance(np.full(3, 0x17 / 255))
    assert (luminance(dark) + 0.05) / (ground + 0.05) >= 4.5


def test_words_that_would_overlap_below_an_axis_are_turned():
    figure, axes = plots.new_figure(1, 2, size=(12, 3))
    for ax in axes.flat:
        ax.plot(range(6), RNG.normal(size=6))
        ax.set_xticks(range(6), [f"a long name {i}" for i in range(6)])
    arrange.lay_out(figure)
    arrange.narrow(figure, 3.2, 7.8)
    assert figure.axes[0].get_xticklabels()[0].get_rotation() > 0
