"""Figures as files: PNG, SVG and their data for a run directory; PDF, SVG or PNG for a paper.

A figure is laid out once and drawn from that layout in every format; only the picture for phones,
whose panels stand below each other, is laid out again.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Transform
from PIL import Image

from rnnlab.core.notices import say
from rnnlab.plotting import arrange, figure_data, keys, plots
from rnnlab.plotting.notes import Note

PHONE = 3.2  # inches: at the 326 pixels that a phone's page has, 7.8 points are 11 pixels
_LEAST = 7.8  # points, of text in the picture for phones
PHONE_DPI = 200
_PIXELS = 0.2  # by which a band's edge may be off
_FAMILIES = "'DejaVu Sans',Verdana,sans-serif"
_MANY = 32  # corners of a band, from which on some may be left out
_LARGE = 300_000  # bytes of an SVG, from which on pixels take less
SAVED: Any = {  # rcParams of files
    "svg.fonttype": "none",  # text as text: small, and found by a search
    "svg.hashsalt": "rnnlab",  # the same names inside a file at every run
    "pdf.fonttype": 42,  # TrueType: what journals take
    "ps.fonttype": 42,
}
_phone = Note[bytes]("phone")


@dataclass(frozen=True)
class Rendering:
    """A figure as the files of a run directory.

    Args:
        png, svg: pictures of the same layout.
        phone: an SVG, or where that is large a PNG, with a panel per row; b"" for a figure that is
            as narrow, or a table of words.
        csv: the data, as :func:`rnnlab.plotting.figure_data.to_csv`.
    """

    png: bytes
    svg: bytes
    phone: bytes
    csv: bytes


@contextlib.contextmanager
def _one_font() -> Iterator[None]:
    """Look for each text's font once, and not in each family of matplotlib's list.

    A list of the user's own, which may name a font for other scripts, stays.
    """
    usual = mpl.rcParamsDefault["font.sans-serif"]
    own = mpl.rcParams["font.sans-serif"] != usual
    with mpl.rc_context({} if own else {"font.sans-serif": usual[:1]}):
        yield


@_one_font()
def render(figure: Figure) -> Rendering:
    """Draw a figure for a run directory.

    Args:
        figure: changed in place: afterwards it is arranged for phones.
    """
    try:
        csv = figure_data.to_csv(figure).encode()
    except (AttributeError, IndexError, TypeError, ValueError) as error:  # of any maker
        say(f"a figure has no CSV: its numbers cannot be read from what it draws ({error})")
        csv = b""
    narrows = arrange.can_narrow(figure)
    prepare(figure)
    picture, vector = png(figure), svg(figure)
    phone = _phone.of(figure) or b""
    if not phone and narrows and figure.get_figwidth() > 1.02 * PHONE:
        with contextlib.suppress(arrange.NoRoom):  # then a phone shows the other picture
            phone = svg(for_phone(figure))
            if len(phone) > _LARGE:
                phone = png(figure, PHONE_DPI)
    return Rendering(picture, vector, phone, csv)


def prepare(figure: Figure) -> None:
    """Make a figure ready to be drawn: its key, its layout, text that can be read.

    Symbols are written in maths, and colored text that is too light on white is darkened.
    """
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        words = list(plots.tick_words(axis).values())
        if (written := [plots.maths(word) for word in words]) != words:
            axis.set_ticklabels(written)
    for text in plots.texts(figure):
        if (written := plots.maths(text.get_text())) != text.get_text():
            text.set_text(written)
        if plots.is_colored(text.get_color()):
            text.set_color(plots.ink(to_hex(text.get_color())))
    keys.draw(figure)
    figure.set_dpi(plots.DPI)
    with contextlib.suppress(arrange.NoRoom):  # it is drawn as it stands
        arrange.lay_out(figure)
    _thin(figure)


def _thin(figure: Figure) -> None:
    """Leave out the corners of bands that no reader sees, at the figure's dpi."""
    for ax in figure.axes:
        for band in ax.collections:
            if isinstance(band, PolyCollection):
                transform = band.get_transform()
                back = transform.inverted()
                corners = [_corners(path, transform) for path in band.get_paths()]
                band.set_verts([back.transform(path) for path in corners])


def _corners(path: Path, transform: Transform) -> np.ndarray:
    """Return the corners of a polygon, in pixels, without those that lie on a straight edge."""
    corners = np.asarray(path.vertices, float)
    if len(corners) < _MANY or not np.isfinite(corners).all():
        return transform.transform(corners)
    whole = Path(corners)
    whole.simplify_threshold = _PIXELS
    clean = whole.cleaned(transform, simplify=True)
    assert clean.codes is not None
    return np.asarray(clean.vertices)[np.isin(clean.codes, (Path.MOVETO, Path.LINETO))]


def for_phone(figure: Figure) -> Figure:
    """Arrange a figure for phones: one panel per row, text of 11 pixels at least."""
    figure.set_dpi(72)
    FigureCanvasSVG(figure)  # measures texts as it draws them, so that maths is read once
    arrange.narrow(figure, PHONE, _LEAST)
    _thin(figure)
    figure.set_dpi(PHONE_DPI)
    return figure


def keep_phone(figure: Figure, picture: bytes) -> None:
    """Give a figure that is made of pictures its picture for phones."""
    _phone.put(figure, picture)


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
    return _compact(text.getvalue()).encode()


def _compact(text: str) -> str:
    """Return an SVG without what no reader sees, at less than half the length."""
    text = re.sub(r"<[^>]+>", _shorter, text)  # tags alone: words have digits of their own
    text = re.sub(r"\n +", "\n", text)
    text = text.replace('; stroke-linejoin: miter"', '"').replace("stroke-linejoin: miter; ", "")
    text = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", text)
    return re.sub(r"font-family: 'DejaVu Sans'[^;\"]*", "font-family: " + _FAMILIES, text)


def _shorter(tag: re.Match[str]) -> str:
    """Return a tag with numbers to a hundredth of a point, and paths without spare blanks."""
    text = re.sub(r"(?<=\.\d\d)\d+", "", tag[0])
    text = re.sub(r" ?\n(?=[LQCz])", "", text)
    text = re.sub(r"(?<=[MLQC]) (?=[-\d.])", "", text)
    return re.sub(r' d="[^"]*"', lambda d: re.sub(r"(?<=\d) (?=[-\d.])", ",", d[0]), text)
