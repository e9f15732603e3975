"""Parts of figures, drawn by matplotlib; readable in color, in gray and at half size.

Colors are Okabe & Ito's (safe for color-blind readers), ordered by falling contrast on white;
each has a line style of its own besides. Lines are labeled at their ends, not in a legend.
Gradients are drawn in decades: log10 of the share that is left.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, SymLogNorm, TwoSlopeNorm, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.table import Table as MplTable
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from rnnlab.plotting import keys
from rnnlab.plotting.notes import Note
from rnnlab.results.statistics import BAND, band_words

# black, blue, vermilion, green, purple, orange, sky
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.2)),
    (0, (3, 1)),  # no plain dots: those are theory's
    (0, (5, 1, 1, 1)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (10, 1, 2, 1)),
)
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
}
DPI = 120  # of PNG files; the SVG beside has every detail
LOG = r"$\log_{10}$"  # before what is drawn in decades
LEFT = rf"{LOG} of the gradient left"
LAG = "lag $k$ (steps before the read-out)"
MEDIAN, RANGE = "median", f"{band_words()} range"  # meanings of marks, for the key
MEDIAN_AND_BAND = f"median and {band_words()} band"  # what :func:`band` draws, for captions
ZERO = "last finite value: exactly zero from there on"
OVERFLOW = "last finite value: overflow from there on"
_MISSING = "#bbbbbb"  # cells without a finite value
_CONTRAST = 5.0  # of colored text on white; 4.5 is WCAG's least


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(decades: float) -> str:
    """Return a power of ten in words, which cost less to draw than maths.

    >>> power(-215.4)
    '10⁻²¹⁵'
    """
    return "10" + f"{decades:.0f}".translate(_RAISED)


_SYMBOLS = re.compile(
    r"(?<!\w)(?:(W)_(hh|xh|hy|[xh][ifocrz])|(b)_([fizhocry])|([hC])_([tT1])|(σ)_(w)|(T)_(max))(?!\w)"
)


def maths(text: str) -> str:
    """Return a text with the notation's symbols in maths; one that has maths stays as it is.

    >>> maths("W_hh N(0, 0.01), b_f = 1")
    '$W_{hh}$ N(0, 0.01), $b_{f}$ = 1'
    """

    def written(found: re.Match[str]) -> str:
        letter, index = filter(None, found.groups())
        letter = letter.replace("σ", r"\sigma")
        index = index.replace("max", r"\max")
        return f"${letter}_{{{index}}}$"

    return text if "$" in text else _SYMBOLS.sub(written, text)


def bare(text: str) -> str:
    r"""Return about what a label shows, for its length: maths without its commands.

    >>> bare(r"$\log_{10}$ of $\partial L/\partial h_t$")
    'log10 of ∂ L/∂ ht'
    """
    text = text.replace("\\partial", "∂").replace("\\", "")
    return text.translate(dict.fromkeys(map(ord, "${}_^")))


@lru_cache(maxsize=256)
def ink(color: Any) -> str:
    """Return a color as text can have it on white: darker, of the same hue, where it is too light.

    >>> ink("#000000"), ink("#E69F00")
    ('#000000', '#936600')
    """
    parts = to_rgb(color)
    for step in range(100, -1, -1):
        darker = (parts[0] * step / 100, parts[1] * step / 100, parts[2] * step / 100)
        if 1.05 / (_luminance(darker) + 0.05) >= _CONTRAST:
            return to_hex(darker)
    raise AssertionError("black has the largest contrast")


def is_colored(color: Any) -> bool:
    """Whether text of a color is meant for white ground: neither gray nor nearly white."""
    parts = to_rgb(color)
    return max(parts) - min(parts) > 0.02 and _luminance(parts) < 0.8


def _luminance(color: Sequence[float]) -> float:
    """Return the relative luminance of an sRGB color, as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def look(index: int) -> dict[str, Any]:
    """Return color and line style of the index-th line of a comparison.

    >>> look(0)["color"]
    '#000000'
    """
    return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index % len(LINES)]}


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float],
    share_x: bool = False,
    share_y: bool = False,
    widths: Sequence[float] | None = None,
) -> tuple[Figure, np.ndarray]:
    """Return a figure with a grid of panels in the house style.

    It is made without pyplot, so that no figure stays open.

    Args:
        rows, columns: the panels.
        size: (width, height) of the whole, inches.
        share_x, share_y: as ``Figure.subplots``.
        widths: relative widths of the columns.
    Returns:
        (figure, axes (rows, columns)).
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(
            rows, columns, sharex=share_x, sharey=share_y, squeeze=False, width_ratios=widths
        )
        for ax in axes.flat:
            ax.set_title("", y=1.0)  # see title
    return figure, axes


def font_for(text: str) -> str | None:
    """Return the family of an installed font that has every character of a text, or None.

    matplotlib's own fonts have no Chinese; without such a font a figure has to name its texts
    elsewhere.

    >>> font_for("h_t")
    'DejaVu Sans'
    """
    return _font_for(frozenset(text) - {"\n", "\t"})


@lru_cache(maxsize=16)
def _font_for(characters: frozenset[str]) -> str | None:
    needed = {ord(character) for character in characters}
    fonts = {
        f.name: f.fname for f in font_manager.fontManager.ttflist if f.weight in (400, "normal")
    }
    usual = ["DejaVu Sans", *(name for name in sorted(fonts) if "CJK" in name or " SC" in name)]
    for name in dict.fromkeys([*usual, *sorted(fonts)]):
        # the Last Resort font has a box for every character
        if name in fonts and not name.startswith("Last Resort"):
            try:
                if needed <= set(font_manager.get_font(fonts[name]).get_charmap()):
                    return name
            except (OSError, RuntimeError):  # listed, but unreadable
                continue
    return None


def beside(ax: Axes, x: float, y: float, text: str, *, size: float = 8) -> None:
    """Write a bar's number to the right of its end (x, y).

    The layout makes no room for it, since a stalled run's bar may end anywhere: set the limits of
    the axis from the longest bar.
    """
    ax.text(x, y, f" {text}", va="center", fontsize=size, in_layout=False)


def title(ax: Axes, text: str) -> None:
    """Give a panel a title: bold, at the left."""
    # with a place of its own, so that no drawing has to measure the ticks for it
    ax.set_title(text, loc="left", fontsize=10, fontweight="bold", y=1.0)


@dataclass(frozen=True)
class End:
    """The end of a line, for its label."""

    x: float
    y: float
    text: str
    color: str


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return the quantiles of the band and the median over members, (3, points), without NaN.

    −inf counts as smallest. The outer quantiles are order statistics without interpolation, which
    would turn −inf to NaN. The median of an even number is the mean of the middle two, −inf where
    one of them is.
    """
    last = np.maximum(np.sum(~np.isnan(values), axis=0) - 1, 0)
    low, high = (np.round(share * last).astype(int) for share in BAND)
    places = np.stack([low, last // 2, (last + 1) // 2, high])
    ordered = np.sort(values, axis=0)  # NaN last
    low, below, above, high = np.take_along_axis(ordered, places, axis=0)
    return np.stack([low, 0.5 * below + 0.5 * above, high])


def gradient_curves(
    ax: Axes, curves: np.ndarray, zero_share: np.ndarray, label: str, index: int
) -> End | None:
    """Draw the median over members and their band (:func:`band`), in decades against lag.

    A member whose examples are mostly exactly zero counts as −inf, below every other; where the
    median is −inf the line ends in a cross. Members without a value (the forward pass overflowed)
    are left out and counted in the label.

    Args:
        curves: (members, lags) log10; NaN where a member has no finite value.
        zero_share: (members, lags) share of examples whose adjoint is exactly zero.
        label: the name of the line.
        index: which :func:`look`.
    Returns:
        the line's end, for :func:`direct_labels`; None where nothing is finite.
    """
    values = np.where(zero_share > 0.5, -np.inf, curves)
    overflowed = int(np.isnan(values).any(axis=1).sum())
    if overflowed:
        label = f"{label} ({overflowed} of {values.shape[0]} overflow)"
    end = band(ax, np.arange(values.shape[1]), values, label, index)
    if end is not None and end.x < values.shape[1] - 1:
        style: Any = {"marker": "x", "markersize": 7, "markeredgewidth": 2, "linestyle": "none"}
        (cross,) = ax.plot(end.x, end.y, color=end.color, label=f"{label}: last finite", **style)
        beyond = values[:, int(end.x) + 1]
        keys.mark(cross, OVERFLOW if np.isnan(beyond).all() else ZERO)
    return end


def band(ax: Axes, x: np.ndarray, curves: np.ndarray, label: str, index: int) -> End | None:
    """Draw the median and a band over members, where the median is finite.

    The band's ends are the quantiles :data:`rnnlab.results.statistics.BAND`; a caption says what is
    drawn by MEDIAN_AND_BAND.

    Args:
        x: (points,).
        curves: (members, points).
        label: the name of the line.
        index: which :func:`look`.
    Returns:
        the line's end, for :func:`direct_labels`; None where nothing is finite.
    """
    style = look(index)
    low, middle, high = _quantiles(curves)
    shown = np.isfinite(middle)
    if not shown.any():
        return None
    # a band that reaches −inf is drawn down to the lowest finite value
    low = np.where(np.isfinite(low), low, curves[np.isfinite(curves)].min())
    color, several = style["color"], len(curves) > 1
    (line,) = ax.plot(x[shown], middle[shown], **style, label=label)
    if several:
        fill = ax.fill_between(x[shown], low[shown], high[shown], color=color, alpha=0.15)
        fill.set(linewidth=0, label=label)
        keys.mark(line, MEDIAN)
        keys.mark(fill, RANGE)
    return End(float(x[shown][-1]), float(middle[shown][-1]), label, style["color"])


def theory_line(
    ax: Axes,
    lags: np.ndarray,
    values: np.ndarray,
    color: str = "#000000",
    *,
    label: str = "",
    meaning: str = "theory",
    linestyle: Any = ":",
) -> None:
    """Draw theory over measurements, as a thin dotted line.

    Args:
        label: the series' name in the figure's data; its meaning is added.
        meaning: for the key, with the condition under which it applies; "": not in the key.
        linestyle: another one for another meaning in the same figure.
    """
    style: dict[str, Any] = {"color": color, "linestyle": linestyle, "linewidth": 1.1, "zorder": 4}
    (line,) = ax.plot(lags, values, **style)
    line.set_label(", ".join(filter(None, (label, meaning))))
    keys.mark(line, meaning)


def spread(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Return positions near ``values``, in their order and at least ``gap`` apart.

    They lie within low … high; where they do not all fit, the gap shrinks until they do.

    >>> spread([1.0, 1.0, 5.0], gap=2.0, low=0.0, high=10.0).tolist()
    [0.0, 2.0, 5.0]
    """
    order = np.argsort(values, kind="stable")
    gap = min(gap, (high - low) / max(len(values) - 1, 1))
    blocks: list[tuple[float, int]] = []  # (center, count of labels): touching labels move as one
    for value in np.asarray(values, float)[order]:
        blocks.append((float(value), 1))
        while len(blocks) > 1:
            (c1, n1), (c2, n2) = blocks[-2:]
            if c2 - c1 >= gap * (n1 + n2) / 2:
                break
            blocks[-2:] = [((c1 * n1 + c2 * n2) / (n1 + n2), n1 + n2)]
    centered = [c + gap * (i - (n - 1) / 2) for c, n in blocks for i in range(n)]
    placed = np.empty(len(centered))
    edge = low
    for i, position in enumerate(centered):  # up from the bottom …
        placed[i] = edge = max(position, edge)
        edge += gap
    edge = high
    for i in reversed(range(len(centered))):  # … and down from the top
        placed[i] = edge = min(placed[i], edge)
        edge -= gap
    positions = np.empty(len(centered))
    positions[order] = placed
    return positions


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


@dataclass(frozen=True)
class _Labels:
    """The direct labels of a panel."""

    ends: list[End]
    notes: list[Annotation]


_labels = Note[_Labels]("labels")
_LONGEST = 40  # characters of a label at a line's end


def _short(text: str) -> str:
    """Return a label whose middle is left out where it is long: paths differ at their ends."""
    return text if len(text) <= _LONGEST else f"{text[:19]}…{text[-20:]}"


def direct_labels(ax: Axes, ends: Sequence[End | None], size: float = 8) -> None:
    """Write each line's name beside its end, to the right of the panel, without overlaps."""
    drawn = [end for end in ends if end is not None]
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    notes = []
    for end in drawn:
        note = ax.annotate(
            _short(end.text),
            (end.x, min(max(end.y, low), high)),
            (right + 0.02 * (right - left), end.y),
            color=ink(end.color),
            fontsize=size,
            va="center",
            ha="left",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": end.color,
                "linewidth": 0.5,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (-0.03, 0.5),  # to the label's left edge, not through other labels
                "patchA": None,  # which is not to be cut at the label: that takes long
            },
        )
        notes.append(note)
    _labels.put(ax, _Labels(drawn, notes))
    ax.set_ylim(low, high)
    spread_labels(ax)


def texts(figure: Figure) -> Iterator[Text]:
    """Yield the texts of a figure but for those of its ticks, which are many and costly to make."""
    yield from figure.texts
    for legend in (*figure.legends, *(ax.get_legend() for ax in figure.axes)):
        yield from legend.get_texts() if legend is not None else ()
    for ax in figure.axes:
        yield from (ax.xaxis.label, ax.yaxis.label)
        for child in ax.get_children():  # titles too
            if isinstance(child, Text):
                yield child
            elif isinstance(child, MplTable):
                yield from (cell.get_text() for cell in child.get_celld().values())


def size_of(text: Text) -> float:
    """Return the size of a text in points; matplotlib's types allow words."""
    return float(text.get_fontsize())


def places_of(locator: FixedLocator) -> list[float]:
    """Return the places of ticks that were given."""
    places: Any = locator
    return [float(at) for at in places.locs]


def tick_words(axis: Axis) -> dict[float, str]:
    """Return the words that were given to the ticks of an axis, by place; {} where none were."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    given = isinstance(formatter, FixedFormatter | FuncFormatter)
    if not isinstance(locator, FixedLocator) or not given:
        return {}
    return {at: str(formatter(at, place)) for place, at in enumerate(places_of(locator))}


def spread_labels(ax: Axes) -> None:
    """Move the direct labels of a panel apart, for the height that it has now."""
    labels = _labels.of(ax)
    if labels is None or not labels.notes:
        return
    low, high = ax.get_ylim()
    # before layout the panel's height in points is near enough
    height = ax.get_position().height * _figure_of(ax).get_figheight() * 72
    gap = (high - low) * size_of(labels.notes[0]) * 1.25 / height
    places = spread([end.y for end in labels.ends], gap, low + gap / 2, high - gap / 2)
    for note, y in zip(labels.notes, places, strict=True):
        note.xyann = (note.xyann[0], y)


def is_label(ax: Axes, text: object) -> bool:
    """Whether a text of a panel is a direct label of one of its lines."""
    labels = _labels.of(ax)
    return labels is not None and text in labels.notes


def label_at(ax: Axes, x: float, y: float, color: str) -> str:
    """Return the direct label of the line that ends at (x, y), or has a color; "" for none."""
    labels = _labels.of(ax)
    ends = labels.ends if labels is not None else []
    here = [end.text for end in ends if (end.x, end.y) == (x, y)]
    same = [end.text for end in ends if end.color == color]
    return next(iter([*here, *(same if len(same) == 1 else [])]), "")


_centers = Note[tuple[np.ndarray, np.ndarray]]("centers")


def mesh_centers(mesh: QuadMesh) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the centers (x, y) that a heat map's cells were given; None for another mesh.

    The cells' edges lie midway between them, so that edges alone do not tell uneven centers.
    """
    return _centers.of(mesh)


def _signed(value: float, _: float) -> str:
    """Return the label of a tick; a function of the module, so that figures can be pickled."""
    return f"{value:+g}" if value else "0"


def heat_map(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    *,
    label: str,
    limit: float,
    linear_within: float | None = None,
    levels: Sequence[float] = (),
) -> None:
    """Draw values in decades as colors, white at 0, with labeled contours for readers in gray.

    Args:
        x, y: the centers of the cells.
        z: (len(y), len(x)); cells that are not finite stay gray, which the key says.
        label: the color bar's, with unit.
        limit: colors end at ±limit; an arrow of the color bar says that values lie beyond.
        linear_within: colors are linear within ± this and logarithmic beyond; None: all linear.
        levels: the contours' values.
    """
    finite = np.isfinite(z)
    norm: Normalize = TwoSlopeNorm(0, -limit, limit)
    if linear_within is not None:
        norm = SymLogNorm(linear_within, vmin=-limit, vmax=limit)
    ax.grid(False)
    if not finite.all():
        ax.set_facecolor(_MISSING)
        missing = ax.add_patch(Rectangle((x[0], y[0]), 0, 0, facecolor=_MISSING, linewidth=0))
        keys.mark(missing, "no finite value", guide=True)
    shown = np.where(finite, z, np.nan)
    mesh = ax.pcolormesh(x, y, shown, cmap="RdBu_r", norm=norm, shading="nearest", rasterized=True)
    _centers.put(mesh, (np.asarray(x, float), np.asarray(y, float)))
    if levels:
        lines = ax.contour(x, y, z, levels=sorted(levels), colors="#333333", linewidths=0.7)
        for text in ax.clabel(lines, fmt="%+g", fontsize=8):
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    beyond = np.abs(z[finite]).max(initial=0.0) > limit
    bar = _figure_of(ax).colorbar(mesh, ax=ax, extend="both" if beyond else "neither", pad=0.02)
    if linear_within is not None:
        powers = [10.0**p for p in range(math.ceil(math.log10(limit)))]
        ends = [tick for tick in (linear_within, *powers) if linear_within <= tick <= limit]
        bar.set_ticks(sorted({0.0, *ends, *(-tick for tick in ends)}))
        bar.ax.yaxis.set_major_formatter(_signed)
        bar.ax.minorticks_off()
    bar.set_label(label)


def eigenvalue_disc(ax: Axes, values: np.ndarray, name: str) -> None:
    """Draw eigenvalues in the complex plane, with the unit circle, and ρ in the title.

    Args:
        values: (H,) complex.
        name: the title's first line.
    """
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    (line,) = ax.plot(np.real(circle), np.imag(circle), color="#777777", linewidth=0.8)
    keys.mark(line, "unit circle", guide=True)
    (dots,) = ax.plot(np.real(values), np.imag(values), ".", color=COLORS[1], markersize=3)
    dots.set_label("eigenvalues")
    keys.mark(dots, "an eigenvalue")
    radius = float(np.abs(values).max())
    edge = max(1.15, 1.1 * radius)
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    ax.set_title(f"{name}\nρ = {radius:.2f}", fontsize=8, fontweight="normal")
