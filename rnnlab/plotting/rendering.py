"""Figures as files: PNG, SVG and their data for a run directory; PDF, SVG or PNG for a paper.

A figure is laid out once and drawn from that layout in every format; only the picture for phones,
whose panels stand below each other, is laid out again.
"""

import io
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter
from PIL import Image

from rnnlab.plotting import arrange, figure_data, keys, plots

PHONE = 3.2  # inches: at the 326 pixels that a phone's page has, 7.8 points are 11 pixels
_LEAST = 7.8  # points, of text in the picture for phones
PHONE_DPI = 200
SAVED: dict[str, Any] = {  # rcParams of files
    "svg.fonttype": "none",  # text as text: small, and found by a search
    "svg.hashsalt": "rnnlab",  # the same names inside a file at every run
    "pdf.fonttype": 42,  # TrueType: what journals take
    "ps.fonttype": 42,
}
_phones: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


@dataclass(frozen=True)
class Rendering:
    """A figure as the files of a run directory.

    Args:
        png, svg: pictures of the same layout.
        phone: a PNG with a panel per row; b"" for a figure that is as narrow, or a table of words.
        csv: the data, as :func:`rnnlab.plotting.figure_data.to_csv`.
    """

    png: bytes
    svg: bytes
    phone: bytes
    csv: bytes


def render(figure: Figure) -> Rendering:
    """Draw a figure for a run directory.

    Args:
        figure: changed in place: afterwards it is arranged for phones.
    """
    csv = figure_data.to_csv(figure).encode()
    narrows = arrange.can_narrow(figure)
    prepare(figure)
    picture, vector = png(figure), svg(figure)
    phone = _phones.get(figure, b"")
    if not phone and narrows and figure.get_figwidth() > 1.1 * PHONE:
        phone = png(for_phone(figure), PHONE_DPI)
    return Rendering(picture, vector, phone, csv)


def prepare(figure: Figure) -> None:
    """Make a figure ready to be drawn: its key, its layout, text that can be read.

    Symbols are written in maths, and colored text that is too light on white is darkened.
    """
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        if isinstance(formatter := axis.get_major_formatter(), FixedFormatter):
            formatter.seq = [plots.maths(word) for word in formatter.seq]
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_text(plots.maths(text.get_text()))
        if isinstance(text, Text) and plots.is_colored(text.get_color()):
            text.set_color(plots.ink(text.get_color()))
    keys.draw(figure)
    arrange.lay_out(figure)


def for_phone(figure: Figure) -> Figure:
    """Arrange a figure for phones: one panel per row, text of 11 pixels at least."""
    arrange.narrow(figure, PHONE, _LEAST)
    return figure


def keep_phone(figure: Figure, picture: bytes) -> None:
    """Give a figure that is made of pictures its picture for phones."""
    _phones[figure] = picture


def png(figure: Figure, dpi: float = plots.DPI) -> bytes:
    """Return a figure as a PNG, drawn by Agg whatever the backend is."""
    data = io.BytesIO()
    Image.fromarray(pixels(figure, dpi)).save(data, "png", dpi=(dpi, dpi))
    return data.getvalue()


def pixels(figure: Figure, dpi: float = plots.DPI) -> np.ndarray:
    """Return a figure's pixels, (height, width, 3) of uint8."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, with text as text; the same bytes whenever it is drawn."""
    text = io.StringIO()
    with mpl.rc_context(SAVED):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    return text.getvalue().encode()
