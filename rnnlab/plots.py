"""Parts that the figures of experiments are made of, in one style.

Everything draws on axes that it is given (matplotlib's object interface, no pyplot state), takes
values in decades where gradients are concerned, and drops nothing silently: a gradient that is
exactly zero (−inf) or that overflowed (nan, inf) is left out of medians and marked in words.
Colours are Okabe and Ito's, which colour-blind readers tell apart; in grey, line styles do.

    figure, axes = new_figure(1, 2, width=8, height=3, xlabel="lag (steps)", ylabel="decades")
    for ax, curves in zip(axes.flat, panels):
        ends = []
        for name, look in series(curves).items():
            end = gradient_curves(ax, lags, curves[name], label=name, **look)
            ends.append((*end, name, look["color"]))
        direct_labels(ax, ends)
"""

import io
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colors, patheffects, ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.text import Text
from matplotlib.transforms import (
    Bbox,
    IdentityTransform,
    ScaledTranslation,
    blended_transform_factory,
)
from numpy.typing import ArrayLike

# Okabe & Ito 2008. Yellow is left out: it cannot be seen on white. Neighbours in this order
# differ in lightness, and any two that are nearly equal in grey have another line style.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "vermillion": "#D55E00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "purple": "#CC79A7",
    "black": "#000000",
}
LINESTYLES = ("-", (0, (7, 1.5, 1.5, 1.5)), (0, (1.2, 1.2)), (0, (4.5, 1.8)))
_STYLE_OF = (0, 0, 1, 1, 2, 3, 2)  # palette's place -> its line style's
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_INK, _FAINT, _GRID = "#262626", "#6b6b6b", "#e4e4e4"
_SMALL, _TINY = 7.5, 6.5  # points

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, and has the mathematical letters
    "font.size": 8.5,
    "mathtext.fontset": "dejavusans",
    "text.color": _INK,
    "figure.facecolor": "white",
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "axes.facecolor": "white",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": _SMALL,
    **{
        f"{axis}tick.{key}": value
        for axis in "xy"
        for key, value in {
            "color": _FAINT,
            "labelcolor": _INK,
            "labelsize": _SMALL,
            "direction": "out",
            "major.size": 3,
            "major.width": 0.6,
            "minor.size": 0,
        }.items()
    },
}


def style() -> AbstractContextManager[None]:
    """The style as a context, for artists that a caller adds: ``with style(): ...``."""
    return matplotlib.rc_context(STYLE)


class _Figure(Figure):
    # Ticks are made, and hatches stroked, when the figure is drawn: the style must hold then.
    def draw(self, renderer: RendererBase) -> None:
        with style():
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """How a notebook shows the figure, which pyplot does not know."""
        png = io.BytesIO()
        self.savefig(png, format="png", dpi=110)
        return png.getvalue()


def new_figure(
    rows: int = 1,
    cols: int = 1,
    width: float = 7.0,
    height: float = 4.0,
    sharex: bool = False,
    sharey: bool = False,
    *,
    title: str = "",
    titles: Iterable[str] = (),
    xlabel: str = "",
    ylabel: str = "",
) -> tuple[Figure, np.ndarray]:
    """A figure of small multiples in the style of this project.

    Args:
        rows, cols: the grid of panels.
        width, height: of the whole figure, in inches.
        sharex, sharey: whether panels share their axes; inner ones then go without tick labels.
        title: of the whole figure.
        titles: of the panels, row by row.
        xlabel, ylabel: with units, "lag (steps)"; on the bottom row and on the left column.

    Returns:
        the figure, and its axes as an array (rows, cols).

    Raises:
        ValueError: for more titles than panels.
    """
    titles = list(titles)
    if len(titles) > rows * cols:
        raise ValueError(f"{len(titles)} titles for {rows} x {cols} panels")
    with style():
        figure = _Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, cols, sharex=sharex, sharey=sharey, squeeze=False)
        for ax, text in zip(axes.flat, titles, strict=False):
            ax.set_title(text)
        for ax in axes[-1]:
            ax.set_xlabel(xlabel)
        for ax in axes[:, 0]:
            ax.set_ylabel(ylabel)
        if title:
            figure.suptitle(title, x=0.01, ha="left")
    return figure, axes


def series(names: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """A look for each name, {"color", "linestyle"}, to be used alike in all panels of a figure.

    Names past the seventh have colours again with other line styles.
    """
    hues, styles = list(PALETTE.values()), len(LINESTYLES)
    return {
        name: {
            "color": hues[i % len(hues)],
            "linestyle": LINESTYLES[(_STYLE_OF[i % len(hues)] + i // len(hues)) % styles],
        }
        for i, name in enumerate(names)
    }


# --------------------------------------------------------------------------- curves and bands


def finite_quantiles(values: ArrayLike, q: ArrayLike = (0.1, 0.5, 0.9)) -> np.ndarray:
    """Quantiles over the finite members of each column.

    Args:
        values: (members, n).
        q: (k,) within [0, 1].

    Returns:
        (k, n); nan in a column where no member is finite.

    Raises:
        ValueError: when values do not have two axes.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ValueError(f"values must be (members, n), got the shape {values.shape}")
    found = np.full((len(np.atleast_1d(q)), values.shape[1]), np.nan)
    some = np.isfinite(values).any(axis=0)
    if some.any():
        finite = np.where(np.isfinite(values), values, np.nan)[:, some]
        found[:, some] = np.nanquantile(finite, np.atleast_1d(q), axis=0)
    return found


def band(
    ax: Axes,
    x: ArrayLike,
    values: ArrayLike,
    *,
    label: str = "",
    color: str = PALETTE["blue"],
    linestyle: Any = "-",
    marker: str = "",
    low: str = "−∞",
    high: str = "not finite",
) -> tuple[float, float]:
    """Median and 10–90% band over members.

    The line is dotted and thin where fewer than half of the members are finite. Shares of
    members at −inf stand as bars along the bottom, shares at nan or inf along the top, with the
    largest count in words.

    Args:
        ax: where to draw.
        x: (n,).
        values: (members, n).
        label: of the line, for a legend.
        color, linestyle, marker: of the line.
        low, high: what −inf, and what nan or inf mean, in words.

    Returns:
        the median's last finite point (x, y), for :func:`direct_labels`; nan if there is none.

    Raises:
        ValueError: when the shapes do not fit.
    """
    x, values = np.asarray(x, np.float64), np.asarray(values, np.float64)
    if values.ndim != 2 or x.shape != values.shape[1:]:
        raise ValueError(f"expected x (n,) and values (members, n), got {x.shape}, {values.shape}")
    if not len(values):
        raise ValueError("values has no members")
    lower, median, upper = finite_quantiles(values)
    most = np.isfinite(values).mean(axis=0) >= 0.5
    with style():
        ax.fill_between(x, lower, upper, color=color, alpha=0.18, linewidth=0)
        ax.plot(
            x,
            np.where(most, median, np.nan),
            color=color,
            linestyle=linestyle,
            marker=marker,
            markersize=3.5,
            markevery=max(1, len(x) // 8),
            label=label,
        )
        if (np.isfinite(median) & ~most).any():
            # one point more on each side, so that the two lines meet
            near = ~most | np.r_[~most[1:], False] | np.r_[False, ~most[:-1]]
            ax.plot(x, np.where(near, median, np.nan), color=color, linestyle=":", linewidth=0.8)
        _mark(ax, x, np.isneginf(values), low, color, top=False)
        _mark(ax, x, np.isnan(values) | np.isposinf(values), high, color, top=True)
    finite = np.flatnonzero(np.isfinite(median))
    return (float(x[finite[-1]]), float(median[finite[-1]])) if len(finite) else (np.nan, np.nan)


def gradient_curves(
    ax: Axes,
    lags: ArrayLike,
    curves: ArrayLike,
    *,
    label: str = "",
    color: str = PALETTE["blue"],
    linestyle: Any = "-",
    marker: str = "",
) -> tuple[float, float]:
    """log10 of gradient norms against lag: median and 10–90% band over the finite members.

    Args:
        ax: where to draw.
        lags: (n,) in steps.
        curves: (members, n) in decades; −inf: exactly zero; nan or inf: overflowed. Both are
            marked, at the bottom and at the top: see :func:`band`.
        label, color, linestyle, marker: of the line.

    Returns:
        the median's last finite point (lag, decades), for :func:`direct_labels`.

    Raises:
        ValueError: when the shapes do not fit.
    """
    look = {"label": label, "color": color, "linestyle": linestyle, "marker": marker}
    return band(ax, lags, curves, **look, low="exactly 0", high="overflow")


def _rows_taken(ax: Axes, gid: str) -> int:
    return sum(artist.get_gid() == gid for artist in ax.get_children())


def _edge_inches(ax: Axes, top: bool, row: int, height: float) -> Any:
    """A y transform: inches upwards from the row-th strip inside the bottom or the top edge."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    offset = -(row + 1) * height if top else row * height
    lift = ScaledTranslation(0, offset, figure.dpi_scale_trans)
    return figure.dpi_scale_trans + ScaledTranslation(0, float(top), ax.transAxes) + lift


def _mark(ax: Axes, x: np.ndarray, hit: np.ndarray, words: str, color: str, top: bool) -> None:
    """A strip at the edge: how large a share of members (members, n) is hit at each x."""
    share = hit.mean(axis=0)
    if not share.any():
        return
    gid = "marked-top" if top else "marked-bottom"
    height = 8 / 72
    y_in = _edge_inches(ax, top, _rows_taken(ax, gid), height)
    where = blended_transform_factory(ax.transData, y_in)
    strip = ax.fill_between(
        x, 0, share * 0.7 * height, step="mid", color=color, alpha=0.6, linewidth=0, transform=where
    )
    strip.set_gid(gid)
    first = np.flatnonzero(share)[0]
    right = len(x) > 1 and first > 0.6 * (len(x) - 1)
    note = ax.text(
        x[first],
        0.5 * height,
        f" {words}: {hit.sum(axis=0).max()} of {len(hit)} ",
        transform=where,
        ha="right" if right else "left",
        va="center",
        fontsize=_TINY,
        color=_ink(color),
        path_effects=_HALO,
    )
    note.set_in_layout(False)


def theory_line(
    ax: Axes, lags: ArrayLike, values: ArrayLike, label: str = "theory"
) -> tuple[float, float]:
    """What theory says, as a black dashed line with its label at the end.

    Args:
        ax: where to draw.
        lags: (n,) in steps.
        values: (n,) in the unit of the axis.
        label: at the line's end, kept clear of other :func:`direct_labels`; "" for none.

    Returns:
        the line's last finite point.

    Raises:
        ValueError: when the shapes do not fit, or nothing is finite.
    """
    lags, values = np.asarray(lags, np.float64), np.asarray(values, np.float64)
    if lags.shape != values.shape or lags.ndim != 1:
        raise ValueError(f"expected lags and values (n,), got {lags.shape} and {values.shape}")
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        raise ValueError(f"the line {label!r} has no finite value")
    ax.plot(
        lags,
        np.where(np.isfinite(values), values, np.nan),
        color="black",
        linestyle=(0, (3.5, 2.5)),
        linewidth=1,
        zorder=3,
        label=label or None,
    )
    end = float(lags[finite[-1]]), float(values[finite[-1]])
    if label:
        direct_labels(ax, [(*end, label, "black")])
    return end


# ------------------------------------------------------------------------------ direct labels


def spread(centres: ArrayLike, sizes: ArrayLike, low: float, high: float) -> np.ndarray:
    """Move intervals as little as possible (least squares) so that none overlap.

    Args:
        centres: (n,) where the intervals would like to be.
        sizes: (n,) their lengths.
        low, high: bounds that they keep to while they fit in; else they are centred on them.

    Returns:
        (n,) centres, in the order given.

    >>> spread([5.0, 5.0, 9.0], [2.0, 2.0, 2.0], 0.0, 10.0).tolist()
    [4.0, 6.0, 9.0]
    """
    centres, sizes = np.asarray(centres, np.float64), np.asarray(sizes, np.float64)
    order = np.argsort(centres, kind="stable")
    # With the room taken by those below subtracted, "no overlap" reads "not decreasing": the
    # nearest such sequence pools neighbours that violate it (isotonic regression).
    room = np.cumsum(sizes[order]) - sizes[order] / 2
    pools: list[list[float]] = []  # sum, count
    for value in centres[order] - room:
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    start = np.concatenate([np.full(int(n), total / n) for total, n in pools] or [[]])
    last = high - sizes.sum()
    start = np.clip(start, low, last) if last >= low else np.full_like(start, (low + last) / 2)
    moved = np.empty_like(centres)
    moved[order] = start + room
    return moved


class _EndLabels(Artist):
    """Labels right of the axes, placed when drawn: only then are limits and sizes final."""

    def __init__(self, ax: Axes):
        super().__init__()
        self.ends: list[tuple[float, float, str]] = []
        self.labels: list[Text] = []
        self.leaders: list[Line2D] = []
        self.set_zorder(4)
        ax.add_artist(self)
        self.set_clip_on(False)

    def add(self, x: float, y: float, text: str, color: str) -> Text:
        figure = self.get_figure()
        assert figure is not None
        with style():
            label = Text(0, 0, text, fontsize=_SMALL, color=_ink(color), va="center", ha="left")
        leader = Line2D([], [], color=color, linewidth=0.6)
        for artist in (label, leader):
            artist.set_figure(figure)
            artist.set_transform(IdentityTransform())
        self.ends.append((x, y, text))
        self.labels.append(label)
        self.leaders.append(leader)
        return label

    def _place(self, renderer: RendererBase) -> None:
        ax = self.axes
        assert ax is not None
        box, point = ax.bbox, renderer.points_to_pixels(1)
        starts = ax.transData.transform([(x, y) for x, y, _ in self.ends])
        wanted = np.clip(starts[:, 1], box.y0, box.y1)
        for label, (_, y, text), at, inside in zip(
            self.labels, self.ends, starts[:, 1], wanted, strict=True
        ):
            if abs(at - inside) > 1:  # the line has left the axes: say where it went
                text = f"{text} {'↑' if at > inside else '↓'} {y:.3g}".replace("-", "−")
            label.set_text(text)
        heights = [label.get_window_extent(renderer).height for label in self.labels]
        # a label may stand half above an end at the very top
        slack = max(heights) / 2
        moved = spread(wanted, heights, box.y0 - slack, box.y1 + slack)
        left = box.x1 + 7 * point
        for label, leader, start, aim, y in zip(
            self.labels, self.leaders, starts, wanted, moved, strict=True
        ):
            label.set_position((left, y))
            x = min(start[0], box.x1)
            leader.set_data([x + point, left - 1.5 * point], [aim, y])
            leader.set_linewidth(0.6 if box.x1 - x < 6 * point else 0.4)
            leader.set_linestyle("-" if box.x1 - x < 6 * point else ":")

    def get_window_extent(self, renderer: RendererBase | None = None) -> Bbox:
        if renderer is None:
            figure = self.get_figure(root=True)
            assert figure is not None
            renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        assert renderer is not None
        self._place(renderer)
        return Bbox.union([label.get_window_extent(renderer) for label in self.labels])

    def get_tightbbox(self, renderer: RendererBase | None = None) -> Bbox:
        return self.get_window_extent(renderer)

    def draw(self, renderer: RendererBase) -> None:
        self._place(renderer)
        for artist in (*self.leaders, *self.labels):
            artist.draw(renderer)


def direct_labels(ax: Axes, labels: Iterable[tuple[float, float, str, str]]) -> list[Text]:
    """Name lines at their ends, right of the axes, moved apart so that no two overlap.

    The layout keeps room for them. The label of a line that left the axes says where it went,
    as in "N(0, .01) ↓ −394". May be called several times for the same axes.

    Args:
        ax: where to draw.
        labels: (x, y, text, color) each, in data coordinates; ends that are nan are skipped.
            Light colours are darkened until they can be read.

    Returns:
        the texts, which have their places once the figure is drawn.
    """
    wanted = [end for end in labels if np.isfinite(end[:2]).all()]
    if not wanted:
        return []
    here = [child for child in ax.get_children() if isinstance(child, _EndLabels)]
    column = here[0] if here else _EndLabels(ax)
    return [column.add(x, y, text, color) for x, y, text, color in wanted]


def _ink(color: str) -> str:
    """The colour, darkened until text in it has a contrast of 4.5 with white (WCAG AA)."""
    rgb = np.array(colors.to_rgb(color))
    while _luminance(rgb) > 1.05 / 4.5 - 0.05:
        rgb *= 0.96
    return colors.to_hex(rgb)


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


_HALO = [patheffects.withStroke(linewidth=2, foreground="white")]


# ----------------------------------------------------------------------------------- heat maps


def _diverging(steps: int = 256) -> colors.ListedColormap:
    """Blue, white, orange-brown: even steps in OKLab (Ottosson 2020), as dark on either side."""

    def side(hue: float) -> np.ndarray:
        stops = np.array([[0.33, 0.10], [0.62, 0.13], [0.975, 0.0]])  # lightness, chroma
        angle = np.deg2rad(hue)
        corners = np.stack(
            [stops[:, 0], stops[:, 1] * np.cos(angle), stops[:, 1] * np.sin(angle)], axis=1
        )
        way = np.r_[0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))]
        at = np.linspace(0, way[-1], steps // 2)
        return np.stack([np.interp(at, way, corners[:, i]) for i in range(3)], axis=1)

    lab = np.concatenate([side(250), side(52)[::-1]])
    lms = (
        lab
        @ np.array(
            [
                [1, 0.3963377774, 0.2158037573],
                [1, -0.1055613458, -0.0638541728],
                [1, -0.0894841775, -1.2914855480],
            ]
        ).T
    ) ** 3
    linear = (
        lms
        @ np.array(
            [
                [4.0767416621, -3.3077115913, 0.2309699292],
                [-1.2684380046, 2.6097574011, -0.3413193965],
                [-0.0041960863, -0.7034186147, 1.7076147010],
            ]
        ).T
    ).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return colors.ListedColormap(rgb.clip(0, 1), "rnnlab_diverging")


DIVERGING = _diverging()


def heat_map(
    ax: Axes,
    fig: Figure,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    xlabel: str = "",
    ylabel: str = "",
    zlabel: str = "",
    limits: tuple[float, float] | None = None,
) -> QuadMesh:
    """Values centred on zero as colours, with labelled contours that can be read without them.

    Zero is white and both sides darken at the same rate, whatever the limits; contours below
    zero are dashed and the one at zero is thick. Cells at −inf ("exactly 0") and at nan or inf
    ("overflow") are hatched, and explained above the axes.

    Args:
        ax: where to draw.
        fig: its figure, which gets the colour bar.
        x: (n,) and y: (m,), the cells' centres, increasing, not necessarily evenly.
        z: (m, n) in decades.
        xlabel, ylabel, zlabel: with units.
        limits: (lowest, highest) value with a colour of its own, on either side of 0; the
            range of the finite values, and 0, if None.

    Raises:
        ValueError: when shapes do not fit, x or y do not increase, or limits exclude 0.
    """
    x, y, z = (np.asarray(v, np.float64) for v in (x, y, z))
    if x.ndim != 1 or y.ndim != 1 or z.shape != (len(y), len(x)) or not z.size:
        raise ValueError(f"expected x (n,), y (m,), z (m, n), got {x.shape}, {y.shape}, {z.shape}")
    if not ((np.diff(x) > 0).all() and (np.diff(y) > 0).all()):
        raise ValueError("x and y must increase")
    known = np.ma.masked_invalid(z)
    values = known.compressed()
    low, high = limits or (values.min(initial=0), values.max(initial=0))
    if not low <= 0 <= high or low == high:
        if limits:
            raise ValueError(f"limits must be (low, high) with 0 between them, got {limits}")
        low, high = -1.0, 1.0
    half = max(-low, high)
    shown = np.linspace(0.5 + low / half / 2, 0.5 + high / half / 2, 256)
    with style():
        ax.grid(False)
        mesh = ax.pcolormesh(
            x,
            y,
            known,
            cmap=colors.ListedColormap(DIVERGING(shown)),
            vmin=low,
            vmax=high,
            shading="nearest",
            rasterized=True,
        )
        _contours(ax, x, y, known, low, high)
        _hatch(ax, x, y, z)
        below = bool(len(values)) and values.min() < low
        above = bool(len(values)) and values.max() > high
        bar = fig.colorbar(
            mesh,
            ax=ax,
            label=zlabel,
            aspect=30,
            pad=0.02,
            extend={(0, 0): "neither", (1, 0): "min", (0, 1): "max"}.get((below, above), "both"),
        )
        bar.outline.set_visible(False)  # type: ignore[operator]
        ax.set(xlabel=xlabel, ylabel=ylabel)
    return mesh


def _contours(
    ax: Axes, x: np.ndarray, y: np.ndarray, z: np.ma.MaskedArray, low: float, high: float
) -> None:
    values = z.compressed()
    if min(z.shape) < 2 or not len(values):
        return
    inside = max(low, values.min()), min(high, values.max())
    levels = [v for v in ticker.MaxNLocator(6).tick_values(*inside) if inside[0] < v < inside[1]]
    if not levels:
        return
    lines = ax.contour(
        x,
        y,
        z,
        levels,
        colors=_INK,
        linewidths=[1.4 if v == 0 else 0.6 for v in levels],
        linestyles=["--" if v < 0 else "-" for v in levels],
    )
    texts = ax.clabel(lines, fmt=lambda v: f"{v:+g}".replace("-", "−"), fontsize=_TINY)
    for text in texts:
        text.set_path_effects(_HALO)


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.r_[first, middles, last]


def _hatch(ax: Axes, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
    x_edges, y_edges = _edges(x), _edges(y)
    keys = []
    for hit, words, hatch in (
        (np.isneginf(z), "exactly 0", "/////"),
        (np.isnan(z) | np.isposinf(z), "overflow", "xxxxx"),
    ):
        cells = [
            [
                (x_edges[j], y_edges[i]),
                (x_edges[j + 1], y_edges[i]),
                (x_edges[j + 1], y_edges[i + 1]),
                (x_edges[j], y_edges[i + 1]),
            ]
            for i, j in np.argwhere(hit)
        ]
        if not cells:
            continue
        look: dict[str, Any] = {"facecolor": "#f4f4f4", "edgecolor": _FAINT, "linewidth": 0}
        ax.add_collection(PolyCollection(cells, hatch=hatch, **look), autolim=False)
        keys.append(Patch(hatch=hatch, label=words, **look))
    if keys:
        ax.legend(
            handles=keys,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=len(keys),
            borderaxespad=0.3,
            handlelength=1.6,
        )


def critical_line(
    ax: Axes, *, x: ArrayLike | None = None, y: ArrayLike | None = None, label: str = ""
) -> None:
    """A border between regimes, drawn over a map, with its name beside it.

    Args:
        ax: where to draw, its limits final.
        x: a number alone: a vertical line there.
        y: a number alone: a horizontal line there. With x, both (n,): a curve.
        label: near the right or upper end of the line.

    Raises:
        ValueError: when neither is given, or both and of different shapes.
    """
    cased = [patheffects.Stroke(linewidth=3.2, foreground="white"), patheffects.Normal()]
    line: dict[str, Any] = {"color": "black", "linewidth": 1.6, "path_effects": cased, "zorder": 4}
    text: dict[str, Any] = {"fontsize": _SMALL, "zorder": 5, "path_effects": _HALO}
    text |= {"textcoords": "offset points", "annotation_clip": False}
    limits = (ax.get_xlim(), ax.get_ylim())
    with style():
        if x is None and y is not None and np.ndim(y) == 0:
            ax.axhline(float(np.asarray(y)), **line)
            at = {"xy": (1, float(np.asarray(y))), "xycoords": ax.get_yaxis_transform()}
            ax.annotate(label, **at, xytext=(-3, 3), ha="right", va="bottom", **text)
        elif y is None and x is not None and np.ndim(x) == 0:
            ax.axvline(float(np.asarray(x)), **line)
            at = {"xy": (float(np.asarray(x)), 1), "xycoords": ax.get_xaxis_transform()}
            ax.annotate(label, **at, xytext=(4, -3), ha="left", va="top", **text)
        elif x is not None and y is not None and np.shape(x) == np.shape(y) and np.ndim(x) == 1:
            xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
            ax.plot(xs, ys, **line)
            ax.set(xlim=limits[0], ylim=limits[1])
            seen = (xs >= min(limits[0])) & (xs <= max(limits[0]))
            seen &= (ys >= min(limits[1])) & (ys <= max(limits[1]))
            if seen.any():
                last = np.flatnonzero(seen)[np.argmax((xs + 0 * ys)[seen])]
                high = ys[last] > sum(limits[1]) / 2
                side = {"xytext": (-4, -4 if high else 4), "va": "top" if high else "bottom"}
                ax.annotate(label, xy=(xs[last], ys[last]), ha="right", **side, **text)
        else:
            raise ValueError(
                "a critical line has a number for x or for y, or arrays (n,) for both, got "
                f"x {np.shape(x) if x is not None else None}, "
                f"y {np.shape(y) if y is not None else None}"
            )


# ------------------------------------------------------------------------------------ spectra


def log_histogram(
    ax: Axes,
    log10_values: ArrayLike,
    *,
    label: str = "",
    color: str = PALETTE["blue"],
    linestyle: Any = "-",
    bins: int | ArrayLike = 24,
) -> np.ndarray:
    """A histogram of values in decades, singular values for instance.

    Values that are exactly zero (−inf) or overflowed (nan, inf) are counted in words instead.

    Args:
        ax: where to draw.
        log10_values: any shape, in decades.
        label: above the highest bar.
        color, linestyle: of the outline.
        bins: how many, or edges (k + 1,), as returned by a call before.

    Returns:
        the edges of the bins.
    """
    values = np.asarray(log10_values, np.float64).ravel()
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, bins=bins)  # type: ignore[arg-type]
    with style():
        if len(finite):
            ax.stairs(counts, edges, fill=True, color=color, alpha=0.22, linewidth=0)
            ax.stairs(counts, edges, color=color, linestyle=linestyle, linewidth=1.2)
            peak = int(np.argmax(counts))
            at = (edges[peak] + edges[peak + 1]) / 2, counts[peak]
            ax.annotate(
                label,
                at,
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=_SMALL,
                color=_ink(color),
                path_effects=_HALO,
            )
            ax.margins(y=0.12)
            ax.set_ylim(bottom=0)
        for words, hit in (
            ("exactly 0", np.isneginf(values)),
            ("overflow", np.isnan(values) | np.isposinf(values)),
        ):
            if hit.any():
                name = f"{label}: " if label else ""
                _corner_note(ax, f"{name}{hit.sum()} of {values.size} {words}", _ink(color))
    return edges


def _corner_note(ax: Axes, words: str, color: str) -> None:
    """A line of text in the upper left corner, below those already there."""
    gid = "corner-note"
    row = _rows_taken(ax, gid)
    text = ax.annotate(
        words,
        (0, 1),
        xycoords="axes fraction",
        xytext=(3, -2 - 8.5 * row),
        textcoords="offset points",
        va="top",
        fontsize=_TINY,
        color=color,
        path_effects=_HALO,
    )
    text.set_gid(gid)


def eigenvalue_disc(ax: Axes, eigenvalues: ArrayLike, title: str = "") -> float:
    """Eigenvalues in the complex plane, with the unit circle and the spectral radius.

    Args:
        ax: where to draw; its aspect becomes equal.
        eigenvalues: (n,) complex, of a matrix.
        title: above.

    Returns:
        the spectral radius ρ = max|λ|.

    Raises:
        ValueError: when there are none, or one is not finite.
    """
    values = np.asarray(eigenvalues, np.complex128).ravel()
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected finite eigenvalues, got {values!r:.80}")
    radius = float(np.abs(values).max())
    with style():
        ax.set_axisbelow(True)
        ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor=_INK, linewidth=0.9, zorder=1.5))
        ax.plot(
            values.real,
            values.imag,
            linestyle="",
            marker="o",
            markersize=3,
            markerfacecolor=PALETTE["blue"],
            markeredgecolor="white",
            markeredgewidth=0.3,
        )
        span = 1.12 * max(1, radius)
        ax.set(xlim=(-span, span), ylim=(-span, span), title=title)
        ax.set_aspect("equal", adjustable="box")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(3, symmetric=True))
        _corner_note(ax, f"ρ = {radius:.3g}", _INK)
    return radius
