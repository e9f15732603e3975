"""A figure as a paper or a talk takes it: PDF, SVG or PNG of a given width and size of text."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from rnnlab.core import validate
from rnnlab.plotting import arrange, figure_data, plots, rendering

FORMATS = ("pdf", "svg", "png")
WIDTHS = 2.0, 40.0  # inches, both inclusive
_PNG_DPI = 300
_USUAL = 9.0  # points, of text in figures as they are drawn for the page


@dataclass(frozen=True)
class Style:
    """How a figure is set.

    Args:
        text: points of the usual text. least: of the smallest.
        lines: how many times as thick lines and as large marks are as on the page.
        width: inches, where none is given.
    """

    text: float
    least: float
    lines: float
    width: float


STYLES: Mapping[str, Style] = {
    "paper": Style(text=8.0, least=7.0, lines=0.8, width=3.3),  # a column of two
    "talk": Style(text=16.0, least=14.0, lines=1.8, width=10.0),
}


def make(figure: Figure, form: str, style: str = "paper", width: float | None = None) -> bytes:
    """Return a figure as a file of a format, at a width and in a style.

    Panels that would be too narrow stand below each other; titles and labels are broken into lines.
    Fonts of a PDF are TrueType (type 42), which journals ask for; text of an SVG is text.

    Args:
        figure: as an experiment draws it; changed in place.
        form: of FORMATS. style: of STYLES.
        width: inches; None: the style's.
    Raises:
        ValueError: an unknown format or style; a width that is none, or too small for a figure
            whose words stand side by side.
    """
    check(form, style, width)
    if figure_data.is_composed(figure):
        raise ValueError(
            "this figure has a picture per value of an axis that the experiment's file does not "
            "name: make it from a run with one value, --sweep.KEY=VALUE"
        )
    chosen = STYLES[style]
    width = chosen.width if width is None else width
    narrows = arrange.can_narrow(figure)
    rendering.prepare(figure)
    if narrows:
        _restyle(figure, chosen, width)
    else:
        _enlarge(figure, chosen, width)
    figure.set_dpi(_PNG_DPI)  # of heat maps, which are pixels in every format
    write = {"pdf": _pdf, "svg": rendering.svg, "png": _png}[form]
    return write(figure)


def check(form: str, style: str, width: float | None) -> None:
    """Refuse an unknown format or style, and a width that is none.

    Raises:
        ValueError: one of these.
    """
    validate.choice("format", form, FORMATS)
    validate.choice("style", style, STYLES)
    if width is not None:
        least, most = WIDTHS
        validate.number("width, inches,", width, least=least, most=most)


def _restyle(figure: Figure, style: Style, width: float) -> None:
    """Set sizes of text and lines, and arrange the panels for the width."""
    scale = style.text / _USUAL
    for text in _texts(figure):
        text.set_fontsize(max(style.least, scale * plots.size_of(text)))
    for artist in figure.findobj():
        _scale(artist, style.lines)
    arrange.narrow(figure, width, style.least, scale)


def _enlarge(figure: Figure, style: Style, width: float) -> None:
    """Set a figure whose arrangement is fixed to a width, with all that it holds."""
    own, height = figure.get_figwidth(), figure.get_figheight()
    texts = [text for text in _texts(figure) if text.get_text().strip()]
    smallest = min((plots.size_of(text) for text in texts), default=style.least)
    needed = math.ceil(10 * own * style.least / smallest - 1e-9) / 10  # in words and in the check
    if width < needed - 1e-9:
        advice = f"use --width={needed:g}in" if needed <= WIDTHS[1] else "use --style=paper"
        raise ValueError(
            f"this figure can only be scaled as a whole, as tables are, and takes {needed:.1f} in "
            f"at {style.least:g} points; got a width of {width:g} in: {advice}"
        )
    factor = width / own
    figure.set_size_inches(width, factor * height)
    for text in _texts(figure):
        text.set_fontsize(factor * plots.size_of(text))
    for artist in figure.findobj():
        _scale(artist, factor)


def _texts(figure: Figure) -> list[Text]:
    """Return all texts of a figure, those of its ticks and tables too."""
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return list(dict.fromkeys([*found, *plots.texts(figure)]))


def _scale(artist: object, factor: float) -> None:
    if isinstance(artist, Line2D):
        artist.set_linewidth(factor * artist.get_linewidth())
        artist.set_markersize(factor * artist.get_markersize())
    elif isinstance(artist, PathCollection):
        artist.set_sizes(factor**2 * artist.get_sizes())
    elif isinstance(artist, LineCollection):
        widths: Any = artist.get_linewidth()
        artist.set_linewidth([factor * width for width in widths])


def _png(figure: Figure) -> bytes:
    return rendering.png(figure, _PNG_DPI)


def _pdf(figure: Figure) -> bytes:
    data = io.BytesIO()
    with mpl.rc_context(rendering.SAVED):
        FigureCanvasPdf(figure).print_pdf(data, metadata={"CreationDate": None})
    return data.getvalue()
