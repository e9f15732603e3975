"""Figure parts: matplotlib, object API, readable in color, in gray and at half size.

Colors are Okabe & Ito's (safe for color-blind readers), ordered by falling contrast on white;
a line style says the same again. Lines are labeled where they end, never in a far-away legend.
Gradients are drawn in decades: log10 of what is left.
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
_DPI = 150


def look(index: int) -> dict[str, Any]:
    """Color and line style of the index-th thing that is compared.

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
    """A figure of small multiples in the house style.

    Args:
        rows, columns: panels. size: (width, height) of the whole, inches.
        share_x, share_y: as ``Figure.subplots``. widths: of the columns, relative.
    Returns:
        (figure, axes (rows, columns)). No pyplot: nothing stays open behind it.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(
            rows, columns, sharex=share_x, sharey=share_y, squeeze=False, width_ratios=widths
        )
    return figure, axes


def png(figure: Any) -> bytes:
    """The figure as a PNG, by Agg whatever the backend is."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DPI)
    return data.getvalue()


def font_for(text: str) -> str | None:
    """The family of an installed font that has every character of a text; None: there is none.

    matplotlib's own fonts have no Chinese; a figure then has to name its texts elsewhere.

    >>> font_for("h_t")
    'DejaVu Sans'
    """
    return _font_for(frozenset(text) - {"\n", "\t"})


@lru_cache(maxsize=16)
def _font_for(characters: frozenset[str]) -> str | None:
    wanted = {ord(c) for c in characters}
    fonts = {
        f.name: f.fname for f in font_manager.fontManager.ttflist if f.weight in (400, "normal")
    }
    usual = ["DejaVu Sans", *(name for name in sorted(fonts) if "CJK" in name or " SC" in name)]
    for name in dict.fromkeys([*usual, *sorted(fonts)]):
        # the last resort has a box for everything
        if name in fonts and not name.startswith("Last Resort"):
            try:
                if wanted <= set(font_manager.get_font(fonts[name]).get_charmap()):
                    return name
            except (OSError, RuntimeError):  # a font that is listed and cannot be read
                continue
    return None


def beside(ax: Axes, x: float, y: float, text: str, *, size: float = 8) -> None:
    """A bar's number, right of its end (x, y).

    The layout does not make room for it (a stalled run's bar may end anywhere, and a figure must
    be drawn all the same): set the limits of the axis from the longest bar.
    """
    ax.text(x, y, f" {text}", va="center", fontsize=size, in_layout=False)


def title(ax: Axes, text: str) -> None:
    """A panel's title: bold, at the left."""
    ax.set_title(text, loc="left", fontsize=10, fontweight="bold")


@dataclass(frozen=True)
class End:
    """Where a line ends, for its label."""

    x: float
    y: float
    text: str
    color: str


def _quantiles(values: np.ndarray) -> np.ndarray:
    """10%, 50% and 90% over members, (3, points), NaN left out; −inf counts as smallest.

    The outer ones are order statistics without interpolation, which −inf would turn to NaN. The
    median of an even number is the mean of the middle two, −inf where one of them is.
    """
    last = np.maximum(np.sum(~np.isnan(values), axis=0) - 1, 0)
    low, high = (np.round(share * last).astype(int) for share in (0.1, 0.9))
    places = np.stack([low, last // 2, (last + 1) // 2, high])
    low, one, other, high = np.take_along_axis(np.sort(values, axis=0), places, axis=0)  # NaN last
    return np.stack([low, 0.5 * one + 0.5 * other, high])


def gradient_curves(
    ax: Axes, curves: np.ndarray, zero_share: np.ndarray, label: str, index: int
) -> End | None:
    """Median over members and their 10–90% band, of decades against lag.

    A member whose examples are mostly exactly zero counts as −inf, below every other: the line
    ends in a cross where the median is. Members without a value (the forward pass overflowed)
    are left out, and counted in the label.

    Args:
        curves: (members, lags) log10; NaN where a member has no finite value.
        zero_share: (members, lags) share of examples whose adjoint is exactly zero.
        index: which :func:`look`.
    Returns:
        The line's end, for :func:`direct_labels`; None where nothing is finite.
    """
    values = np.where(zero_share > 0.5, -np.inf, curves)
    lost = int(np.isnan(values).any(axis=1).sum())
    if lost:
        label = f"{label} ({lost} of {values.shape[0]} overflow)"
    end = band(ax, np.arange(values.shape[1]), values, label, index)
    if end is not None and end.x < values.shape[1] - 1:
        ax.plot(end.x, end.y, marker="x", color=end.color, markersize=7, markeredgewidth=2)
    return end


def band(ax: Axes, x: np.ndarray, curves: np.ndarray, label: str, index: int) -> End | None:
    """Median and 10–90% band over members (members, points); drawn where the median is finite.

    Returns:
        The line's end, for :func:`direct_labels`; None where nothing is finite.
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
    """A thin dotted line: what theory says, over what was measured."""
    ax.plot(lags, values, color=color, linestyle=":", linewidth=1.1, zorder=4)


def spread(values: Sequence[float], gap: float, low: float, high: float) -> np.ndarray:
    """Positions at least ``gap`` apart within low … high, in order, and near to ``values``.

    Where they cannot all fit, the gap shrinks until they do.

    >>> spread([1.0, 1.0, 5.0], gap=2.0, low=0.0, high=10.0).tolist()
    [0.0, 2.0, 5.0]
    """
    order = np.argsort(values, kind="stable")
    gap = min(gap, (high - low) / max(len(values) - 1, 1))
    blocks: list[tuple[float, int]] = []  # (center, labels): labels that touch move as one
    for value in np.asarray(values, float)[order]:
        blocks.append((float(value), 1))
        while len(blocks) > 1:
            (c1, n1), (c2, n2) = blocks[-2:]
            if c2 - c1 >= gap * (n1 + n2) / 2:
                break
            blocks[-2:] = [((c1 * n1 + c2 * n2) / (n1 + n2), n1 + n2)]
    wanted = [c + gap * (i - (n - 1) / 2) for c, n in blocks for i in range(n)]
    placed = np.empty(len(wanted))
    edge = low
    for i, at in enumerate(wanted):  # up from the bottom …
        placed[i] = edge = max(at, edge)
        edge += gap
    edge = high
    for i in reversed(range(len(wanted))):  # … and down from the top
        placed[i] = edge = min(placed[i], edge)
        edge -= gap
    out = np.empty(len(wanted))
    out[order] = placed
    return out


def direct_labels(ax: Axes, ends: Sequence[End | None], size: float = 8) -> None:
    """Each line's name beside its end, nudged apart, to the right of the panel."""
    known = [end for end in ends if end is not None]
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    figure: Any = ax.get_figure(root=True)
    # the panel's height before layout, in points: near enough, and no drawing is needed
    height = ax.get_position().height * figure.get_figheight() * 72
    gap = (high - low) * size * 1.25 / height
    places = spread([end.y for end in known], gap, low + gap / 2, high - gap / 2)
    for end, y in zip(known, places, strict=True):
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
    """z (len(y), len(x)) in decades, white at 0, with labeled contours for readers in gray.

    Args:
        limit: colors end at ±limit; contours tell what lies beyond.
        label: of the color bar, with unit.
        levels: of the contours. Cells that are not finite stay gray.
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
    figure: Any = ax.get_figure(root=True)
    figure.colorbar(mesh, ax=ax, extend="both", pad=0.02).set_label(label)


def log_histogram(ax: Axes, log10_values: np.ndarray, index: int, label: str = "") -> None:
    """A histogram of decades; exact zeros (−inf) and overflows (NaN) are counted in words."""
    finite = log10_values[np.isfinite(log10_values)]
    if finite.size:
        # equal values (an orthogonal product) still get a bar of visible width
        low, high = finite.min(), finite.max()
        pad = max(0.25, 0.02 * (high - low))
        bins = np.linspace(low - pad, high + pad, 33)
        ax.hist(finite, bins=bins.tolist(), color=look(index)["color"], alpha=0.75)
    words = [label] if label else []
    for count, what in (
        (np.isneginf(log10_values).sum(), "exactly 0"),
        (np.isnan(log10_values).sum(), "overflowed"),
    ):
        if count:
            words.append(f"{count} of {log10_values.size} {what}")
    ax.set_title("\n".join(words), fontsize=8, fontweight="normal")


def eigenvalue_disc(ax: Axes, values: np.ndarray, name: str) -> None:
    """Eigenvalues in the complex plane, the unit circle behind them, ρ in the title."""
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    ax.plot(np.real(circle), np.imag(circle), color="#777777", linewidth=0.8)
    ax.plot(np.real(values), np.imag(values), ".", color=COLORS[1], markersize=3)
    radius = float(np.abs(values).max())
    edge = max(1.15, 1.1 * radius)
    ax.set(xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    ax.set_title(f"{name}\nρ = {radius:.2f}", fontsize=8, fontweight="normal")
