"""The numbers that a figure shows, read from what it draws: one table for any figure.

A row per point: panel, series, x, y, low, high. Low and high are the ends of a band, an error bar
or a bar. Cells of a heat map are a series per row of the map, y their value; cells of a table are a
series per row, x the heading of the column and y the text; words that are placed in a panel are
series of one point.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.table import Table
from matplotlib.text import Annotation, Text

from rnnlab.plotting import keys, plots
from rnnlab.plotting.notes import Note

Value = float | str  # a number, or the label of a tick; "" where there is none

_parts = Note[Mapping[str, Sequence["Row"]]]("parts")


class Row(NamedTuple):
    """A point of a figure."""

    panel: str
    series: str
    x: Value
    y: Value
    low: Value = ""
    high: Value = ""


class _Cell(Row):
    """A cell of a heat map, whose y is a value and no place on the axis."""


def compose(whole: Figure, parts: Mapping[str, Sequence[Row]]) -> None:
    """Say that a figure shows other figures as pictures: its data are theirs.

    Args:
        whole: the figure. parts: their :func:`rows`, read before they are drawn, by label, which
            stands before the name of their panels.
    """
    _parts.put(whole, dict(parts))


def is_composed(figure: Figure) -> bool:
    """Whether a figure shows other figures as pictures: see :func:`compose`."""
    return _parts.of(figure) is not None


def rows(figure: Figure) -> list[Row]:
    """Return the numbers of a figure, panel by panel, in the order in which it draws them.

    Args:
        figure: of any maker.
    Returns:
        A row per point; a band, or an error bar, and the line that it belongs to (of the same
        label and x) share theirs. Guide lines over a panel's whole width have no x.
    """
    parts = _parts.of(figure)
    if parts is not None:
        return [
            row._replace(panel=f"{label}: {row.panel}".removesuffix(": "))
            for label, found in parts.items()
            for row in found
        ]
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]
    return [row for number, ax in enumerate(shown, 1) for row in _panel(ax, number, len(shown))]


def to_csv(figure: Figure) -> str:
    """Return :func:`rows` as CSV, numbers to 9 digits, with a header.

    −inf, inf and nan are written as these words.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(
        [value if isinstance(value, str) else f"{value:.9g}" for value in row]
        for row in rows(figure)
    )
    return text.getvalue()


def plain(text: str) -> str:
    r"""Return a label without the marks of maths, on one line.

    >>> plain("$\\log_{10}$ of\nthe gradient, $b_f$ = 0")
    'log_{10} of the gradient, b_f = 0'
    """
    return " ".join(text.replace("$", "").replace("\\", "").split())


def _panel(ax: Axes, number: int, of: int) -> Iterator[Row]:
    titles = (ax.get_title(loc=side) for side in ("left", "center", "right"))
    name = plain(next(filter(None, titles), ""))
    if not name and of > 1:
        name = plain(ax.get_xlabel() or ax.get_ylabel()) or f"panel {number}"
    across, up = _names(ax.xaxis), _names(ax.yaxis)
    for row in _points(ax):
        x = _named(row.x, across)
        y = row.y if isinstance(row, _Cell) else _named(row.y, up)
        yield Row(name, plain(row.series), x, y, row.low, row.high)


def _points(ax: Axes) -> Iterator[Row]:
    """Yield the rows of a panel without its name."""
    bands = _bands(ax.collections)
    with_errors = {}  # artists of error bars, which are one series
    for container in ax.containers:
        if isinstance(container, BarContainer):
            yield from _bars(container)
        elif isinstance(container, ErrorbarContainer):
            with_errors |= dict.fromkeys(container.get_children())
            yield from _error_bars(container)
    for line in ax.lines:
        if line.get_visible() and line not in with_errors and not keys.is_guide(line):
            yield from _line(line, ax, bands)
    for label, band in bands.items():
        yield from (Row("", label, x, "", low, high) for x, low, high in band)
    for artist in ax.collections:
        if not artist.get_visible() or artist in with_errors:
            continue
        label = _label(artist.get_label())
        if isinstance(artist, PathCollection):
            yield from (Row("", label, *_pair(xy)) for xy in np.asarray(artist.get_offsets()))
        elif isinstance(artist, LineCollection):
            yield from _segments(artist, label)
        elif isinstance(artist, QuadMesh):
            yield from _mesh(artist, ax)
    bars = {bar for c in ax.containers if isinstance(c, BarContainer) for bar in c.patches}
    for patch in ax.patches:
        if isinstance(patch, Rectangle) and patch not in bars and not keys.is_guide(patch):
            yield from _rectangle(patch, ax)
    for image in ax.images:
        yield from _image(image, ax)
    for table in (child for child in ax.get_children() if isinstance(child, Table)):
        yield from _table(table)
    for text in ax.texts:
        yield from _text(text, ax)


def _label(label: object) -> str:
    """Return an artist's label; "" for one that matplotlib made up."""
    text = "" if label is None else str(label)
    return "" if text.startswith("_") else text


def _pair(xy: np.ndarray) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


def _bands(collections: Iterable[object]) -> dict[str, list[tuple[float, float, float]]]:
    """Return (x, low, high) of the bands of a panel, by label."""
    bands: dict[str, list[tuple[float, float, float]]] = {}
    for artist in collections:
        if not isinstance(artist, PolyCollection) or not artist.get_visible():
            continue
        for path in artist.get_paths():
            corners = np.asarray(path.vertices, float)
            n = (len(corners) - 2) // 2
            # from the first x along one edge and back along the other, as fill_between draws
            one, other = corners[1 : n + 1], corners[n + 2 : 2 * n + 2][::-1]
            if n < 1 or not np.array_equal(one[:, 0], other[:, 0]):
                continue  # another polygon
            ends = np.sort(np.stack([one[:, 1], other[:, 1]]), axis=0)
            points = zip(one[:, 0].tolist(), *ends.tolist(), strict=True)
            bands.setdefault(_label(artist.get_label()), []).extend(points)
    return bands


def _line(
    line: Line2D, ax: Axes, bands: dict[str, list[tuple[float, float, float]]]
) -> Iterator[Row]:
    label = _label(line.get_label())
    points = np.asarray(line.get_xydata())
    if not label and len(points):
        label = plots.label_at(ax, *_pair(points[-1]), str(line.get_color()))
    along_x, along_y = line.get_transform().contains_branch_seperately(ax.transData)
    xs, ys = (np.asarray(values).tolist() for values in (line.get_xdata(), line.get_ydata()))
    if along_x and along_y:
        band = bands.get(label, [])
        ends: list[tuple[Value, Value]] = [("", "")] * len(xs)
        if xs and [x for x, _, _ in band] == xs:
            ends = [(low, high) for _, low, high in bands.pop(label)]
        yield from (Row("", label, x, y, *at) for x, y, at in zip(xs, ys, ends, strict=True))
    elif along_y and ys:  # a guide over the whole width
        yield Row("", label or "line", "", ys[0])
    elif along_x and xs:
        yield Row("", label or "line", xs[0], "")


def _bars(bars: BarContainer) -> Iterator[Row]:
    label = _label(bars.get_label())
    for bar in bars.patches:
        low, high = bar.get_y(), bar.get_y() + bar.get_height()
        if bars.orientation == "horizontal":
            middle = (low + high) / 2
            low, high = bar.get_x(), bar.get_x() + bar.get_width()
            yield Row("", label, high, middle, low, high)
        else:
            yield Row("", label, bar.get_x() + bar.get_width() / 2, high, low, high)


def _rectangle(patch: Rectangle, ax: Axes) -> Iterator[Row]:
    """Yield a rectangle of the data: its center, and its upper and lower edge."""
    if all(patch.get_transform().contains_branch_seperately(ax.transData)):
        x, y = (float(part) for part in patch.get_center())
        low, high = y - patch.get_height() / 2, y + patch.get_height() / 2
        yield Row("", _label(patch.get_label()), x, y, low, high)


def _error_bars(bars: ErrorbarContainer) -> Iterator[Row]:
    line, _, intervals = bars.lines
    label = _label(bars.get_label())
    ends: dict[float, list[list[float]]] = {}  # by x: a NaN, or errorevery, leaves some out
    for segment in intervals[-1].get_segments() if bars.has_yerr else ():
        if len(segment) == 2:
            points = np.asarray(segment, float)
            ends.setdefault(float(points[0, 0]), []).append(np.sort(points[:, 1]).tolist())
    if line is None:  # fmt="none", as of bars
        yield from (Row("", label, x, "", *pair) for x, found in ends.items() for pair in found)
        return
    for x, y in np.asarray(line.get_xydata()).tolist():
        yield Row("", label, x, y, *(ends[x].pop(0) if ends.get(x) else ("", "")))


def _segments(lines: LineCollection, label: str) -> Iterator[Row]:
    for segment in lines.get_segments():
        points = np.asarray(segment, float)
        if len(points) == 2 and points[0, 0] == points[1, 0]:  # upright: an interval
            low, high = sorted(points[:, 1].tolist())
            yield Row("", label, float(points[0, 0]), "", low, high)
        else:
            yield from (Row("", label, *_pair(xy)) for xy in points)


def _mesh(mesh: QuadMesh, ax: Axes) -> Iterator[Row]:
    corners = np.asarray(mesh.get_coordinates(), float)
    xs, ys = plots.mesh_centers(mesh) or (
        (corners[0, :-1, 0] + corners[0, 1:, 0]) / 2,
        (corners[:-1, 0, 1] + corners[1:, 0, 1]) / 2,
    )
    values = np.ma.filled(np.ma.asarray(mesh.get_array()).astype(float), np.nan)
    yield from _grid(values.reshape(len(ys), len(xs)), xs, ys, ax)


def _image(image: AxesImage, ax: Axes) -> Iterator[Row]:
    array = image.get_array()
    if array is None or array.ndim != 2:  # colors: a picture, no numbers
        return
    values = np.ma.filled(np.ma.asarray(array).astype(float), np.nan)
    left, right, bottom, top = image.get_extent()
    n_rows, n_columns = values.shape
    xs = left + (np.arange(n_columns) + 0.5) * (right - left) / n_columns
    ys = bottom + (np.arange(n_rows) + 0.5) * (top - bottom) / n_rows
    yield from _grid(values, xs, ys[::-1] if image.origin == "upper" else ys, ax)


def _grid(values: np.ndarray, xs: np.ndarray, ys: np.ndarray, ax: Axes) -> Iterator[Row]:
    """Yield the cells of a heat map: a series per row, x its columns, y the values."""
    names = _names(ax.yaxis)
    head = plain(ax.get_ylabel())
    for y, line in zip(ys.tolist(), values.tolist(), strict=True):
        at = _named(round(y, 9), names)
        series = f"{head}: {at if isinstance(at, str) else f'{at:g}'}".removeprefix(": ")
        yield from (_Cell("", series, x, value) for x, value in zip(xs.tolist(), line, strict=True))


def _table(table: Table) -> Iterator[Row]:
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    for (row, column), text in sorted(cells.items()):
        if column >= 0 and (row > 0 or (0, -1) in cells):
            heading = plain(cells.get((0, column), "")) if row > 0 else str(column)
            yield Row("", cells.get((row, -1), str(row)), heading, plain(text))


def _text(text: Text, ax: Axes) -> Iterator[Row]:
    """Yield a word that stands at a point of the data; labels of lines do not."""
    if not text.get_visible() or not text.get_text().strip() or plots.is_label(ax, text):
        return
    if isinstance(text, Annotation):
        if text.xycoords == "data":
            yield Row("", text.get_text(), *_values(text.xy))
    elif all(text.get_transform().contains_branch_seperately(ax.transData)):
        yield Row("", text.get_text(), *_values(text.get_position()))


def _values(xy: tuple[object, object]) -> tuple[Value, Value]:
    x, y = (value if isinstance(value, str) else float(np.asarray(value)) for value in xy)
    return x, y


def _names(axis: Axis) -> dict[float, str]:
    """Return the words on an axis by place, but for numbers that stand where they belong."""
    words = {at: plain(word) for at, word in plots.tick_words(axis).items()}
    return {at: word for at, word in words.items() if word and not _is_number(word, at)}


def _is_number(word: str, at: float) -> bool:
    """Whether a word is a number, rounded, of its place."""
    try:
        return math.isclose(float(word.replace("−", "-")), at, rel_tol=0.05, abs_tol=1e-12)
    except ValueError:
        return False


def _named(value: object, names: Mapping[float, str]) -> Value:
    """Return a value as it is written: the word at its place, a number, or a word."""
    if isinstance(value, int | float | np.number):
        number = float(value)
        return names.get(number, number)
    return str(value)
