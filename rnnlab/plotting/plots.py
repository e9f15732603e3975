"""Parts of figures, drawn by matplotlib; readable in color, in gray and at half size.

Colors are Okabe & Ito's (safe for color-blind readers), ordered by falling contrast on white;
each has a line style of its own besides. Lines are labeled at their ends, not in a legend.
Gradients are drawn in decades: log10 of the share that is left.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

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
DPI = 150
MEDIAN_AND_BAND = f"median and {band_words()} band"  # what :func:`band` draws, for captions


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
    return figure, axes


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG, drawn by Agg whatever the backend is."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI)
    return data.getvalue()


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
    ax.set_title(text, loc="left", fontsize=10, fontweight="bold")


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
        ax.plot(end.x, end.y, marker="x", color=end.color, markersize=7, markeredgewidth=2)
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
    color = style["color"]
    ax.fill_between(x[shown], low[shown], high[shown], color=color, alpha=0.15, linewidth=0)
    ax.plot(x[shown], middle[shown], **style)
    return End(float(x[shown][-1]), float(middle[shown][-1]), label, style["color"])


def theory_line(ax: Axes, lags: np.ndarray, values: np.ndarray, color: str = "#000000") -> None:
    """Draw theory over measurements, as a thin dotted line."""
    ax.plot(lags, values, color=color, linestyle=":", linewidth=1.1, zorder=4)


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


def direct_labels(ax: Axes, ends: Sequence[End | None], size: float = 8) -> None:
    """Write each line's name beside its end, to the right of the panel, without overlaps."""
    drawn = [end for end in ends if end is not None]
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    # the panel's height before layout, in points: near enough without drawing
    height = ax.get_position().height * _figure_of(ax).get_figheight() * 72
    gap = (high - low) * size * 1.25 / height
    places = spread([end.y for end in drawn], gap, low + gap / 2, high - gap / 2)
    for end, y in zip(drawn, places, strict=True):
        ax.annotate(
            end.text,
            (end.x, min(max(end.y, low), high)),
            (right + 0.02 * (right - left), y),
            color=end.color,
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
                "relpos": (0, 0.5),  # to the label's left edge, not through other labels
            },
        )
    ax.set_ylim(low, high)


def heat_map(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    *,
    label: str,
    limit: float,
    levels: Sequence[float] = (),
) -> None:
    """Draw values in decades as colors, white at 0, with labeled contours for readers in gray.

    Args:
        x, y: the centers of the cells.
        z: (len(y), len(x)); cells that are not finite stay gray.
        label: the color bar's, with unit.
        limit: colors end at ±limit; contours show what lies beyond.
        levels: the contours' values.
    """
    norm = TwoSlopeNorm(0, -limit, limit)
    ax.grid(False)
    ax.set_facecolor("#bbbbbb")
    shown = np.where(np.isfinite(z), z, np.nan)
    mesh = ax.pcolormesh(x, y, shown, cmap="RdBu_r", norm=norm, shading="nearest", rasterized=True)
    if levels:
        lines = ax.contour(x, y, z, levels=sorted(levels), colors="#333333", linewidths=0.7)
        for text in ax.clabel(lines, fmt=lambda v: f"{v:+g}", fontsize=8):
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    _figure_of(ax).colorbar(mesh, ax=ax, extend="both", pad=0.02).set_label(label)


def log_histogram(ax: Axes, log10_values: np.ndarray, index: int, label: str = "") -> None:
    """Draw a histogram of decades, with counts of exact zeros (−inf) and overflows (NaN) above it.

    Args:
        log10_values: (samples,).
        index: which :func:`look`.
        label: the first line above it.
    """
    finite = log10_values[np.isfinite(log10_values)]
    if finite.size:
        # equal values (an orthogonal product) still get a bar of visible width
        low, high = finite.min(), finite.max()
        pad = max(0.25, 0.02 * (high - low))
        bins = np.linspace(low - pad, high + pad, 33)
        ax.hist(finite, bins=bins.tolist(), color=look(index)["color"], alpha=0.75)
    words = [label] if label else []
    for count, kind in (
        (np.isneginf(log10_values).sum(), "exactly 0"),
        (np.isnan(log10_values).sum(), "overflowed"),
    ):
        if count:
            words.append(f"{count} of {log10_values.size} {kind}")
    ax.set_title("\n".join(words), fontsize=8, fontweight="normal")


def eigenvalue_disc(ax: Axes, values: np.ndarray, name: str) -> None:
    """Draw eigenvalues in the complex plane, with the unit circle, and ρ in the title.

    Args:
        values: (H,) complex.
        name: the title's first line.
    """
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    ax.plot(np.real(circle), np.imag(circle), color="#777777", linewidth=0.8)
    ax.plot(np.real(values), np.imag(values), ".", color=COLORS[1], markersize=3)
    radius = float(np.abs(values).max())
    edge = max(1.15, 1.1 * radius)
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    ax.set_title(f"{name}\nρ = {radius:.2f}", fontsize=8, fontweight="normal")
