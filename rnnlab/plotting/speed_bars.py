"""Figures of benchmarks: the times of the sides beside each other, and ratios with intervals.

Bars from zero; where the largest value is many times the smallest, dots on a logarithmic axis.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.plotting import plots
from rnnlab.results import speed
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Member, Table, words

OURS, OTHERS = plots.COLORS[1], "#999999"
_SEEN = 30.0  # largest over smallest value beyond which the smallest one's bar is not seen
_LABEL = 0.15  # of a panel's width, for a number beside a bar
_ROOM = 0.12, 0.8  # inches of a panel's height: for a bar with its label, and beside the bars


class Bar(NamedTuple):
    """A side's bar.

    Args:
        side: its name in the results.
        label: in words. color: of the bar.
    """

    side: str
    label: str
    color: str


def milliseconds(ms: float) -> str:
    """Return a time in words.

    >>> milliseconds(0.0123), milliseconds(4.56), milliseconds(1234.5)
    ('12.3 µs', '4.56 ms', '1.23 s')
    """
    if ms < 1:
        return f"{1e3 * ms:.3g} µs"
    return f"{ms:.3g} ms" if ms < 1e3 else f"{ms / 1e3:.3g} s"


def times(
    ax: Axes,
    rows: Sequence[tuple[str, Member]],
    bars: Callable[[Member], Iterable[Bar]],
    name: str,
    over: str | None = None,
) -> None:
    """Draw the medians of the sides, a group of bars per member.

    Args:
        ax: the panel.
        rows: members with their labels.
        bars: the sides to draw of a member; those that were not measured are left out.
        name: the pass.
        over: a side: the others' times are given as multiples of its, too.
    """
    groups = [
        (label, [bar for bar in bars(member) if bar.side in member.result["ms"][name]], member)
        for label, member in rows
    ]
    medians = [speed.median(member, bar.side, name) for _, drawn, member in groups for bar in drawn]
    longest, left = max(medians), _left(medians)
    y, ticks = 0.0, []
    for label, drawn, member in groups:
        first = y
        for bar in drawn:
            ms = speed.median(member, bar.side, name)
            _mark(ax, ms, y, left, color=bar.color, height=0.9)
            text = milliseconds(ms)
            if over is not None and bar.side != over:
                text += f", {_times(speed.ratio(member, bar.side, over, name).value)}"
            _beside(ax, ms, y, f"{text}  {bar.label}", left, size=6.5)
            y += 1
        ticks.append(((first + y - 1) / 2, label))
        y += 0.7
    ax.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
    # nearly half of the panel is for the label of the longest
    right = 1.9 * longest if left is None else longest * (longest / left) ** 0.8
    ax.set(xlim=(left or 0, right), ylim=(y - 0.6, -0.6), xlabel="ms")
    ax.grid(visible=False, axis="y")
    _make_room(ax, y)


def _left(values: Sequence[float]) -> float | None:
    """Return where a logarithmic axis begins; None where bars on a linear one show every value."""
    smallest, largest = min(values), max(values)
    return smallest / 1.5 if largest >= _SEEN * smallest else None


def _mark(ax: Axes, x: float, y: float, left: float | None, *, color: str, height: float) -> None:
    """Draw a value: a bar, or a dot on a logarithmic axis, where lengths mean nothing."""
    if left is None:
        ax.barh(y, x, color=color, height=height)
        return
    ax.set_xscale("log")
    ax.plot([left, x], [y, y], color=color, linewidth=1, alpha=0.4)
    ax.plot([x], [y], "o", color=color, markersize=5)


def _beside(ax: Axes, x: float, y: float, text: str, left: float | None, size: float = 8) -> None:
    plots.beside(ax, x, y, text if left is None else f" {text}", size=size)  # beyond the dot


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio >= 0.1 else f"{ratio:.2g}x"


def _make_room(ax: Axes, bars: float) -> None:
    """Make the figure higher if labels of so many bars would overlap in this panel."""
    figure, grid = ax.get_figure(root=True), ax.get_gridspec()
    each, more = _ROOM
    if isinstance(figure, Figure) and grid is not None:
        figure.set_figheight(max(figure.get_figheight(), grid.nrows * (more + each * bars)))


def ratios(ax: Axes, rows: Sequence[tuple[str, Ratio, float | None]], xlabel: str) -> None:
    """Draw ratios with their intervals and bounds.

    Args:
        ax: the panel.
        rows: (label, ratio, bound or None).
        xlabel: the ratio in words.
    """
    bounds = [bound for _, _, bound in rows if bound is not None]
    values = [end for _, ratio, _ in rows for end in (ratio.low, ratio.high)] + bounds
    left = _left(values)
    for y, (_, ratio, bound) in enumerate(rows):
        _mark(ax, ratio.value, y, left, color=OURS, height=0.5)
        ax.plot([ratio.low, ratio.high], [y, y], color="black", linewidth=1)
        end = max(ratio.high, ratio.value)
        width = _LABEL * (max(values) if left is None else end)
        if bound is not None and end < bound < end + width:
            end = bound  # or its line would cross the number
        _beside(ax, end, y, _times(ratio.value), left)
    if len(bounds) == len(rows) and len(set(bounds)) == 1:
        _bound(ax, bounds[0], -0.5, len(rows) - 0.5)
    else:
        for y, (_, _, bound) in enumerate(rows):
            if bound is not None:
                _bound(ax, bound, y - 0.4, y + 0.4)
    ax.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    right = max(values) * (1.2 if left is None else 1.8)
    ax.set(xlim=(left or 0, right), ylim=(len(rows) - 0.5, -0.8), xlabel=xlabel)
    ax.grid(visible=False, axis="y")


def _bound(ax: Axes, bound: float, top: float, bottom: float) -> None:
    color = plots.COLORS[2]
    ax.plot([bound, bound], [top, bottom], color=color, linestyle="--")
    text = f"bound {bound:g}"
    ax.text(bound, top - 0.02, text, color=color, fontsize=7, ha="center", va="bottom")


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw every side of every member, a panel per pass; the first side is the reference.

    For a benchmark of your own: ``from rnnlab.plotting.speed_bars import figures``.
    """
    names = list(dict.fromkeys(name for member in table for name in member.result["ms"]))
    rows = [(words(member.overrides) or "", member) for member in table]
    count = sum(len(by_side) for m in table for by_side in m.result["ms"].values()) / len(names)
    figure, axes = plots.new_figure(
        1, len(names), size=(4 + 4 * len(names), 1 + 0.25 * count + 0.2 * len(rows))
    )
    for ax, name in zip(axes[0], names, strict=True):
        having = [(label, member) for label, member in rows if name in member.result["ms"]]
        reference = next(iter(having[0][1].result["ms"][name]))

        def bars(member: Member, name: str = name, reference: str = reference) -> list[Bar]:
            return [
                Bar(side, side, OURS if side == reference else OTHERS)
                for side in member.result["ms"][name]
            ]

        times(ax, having, bars, name, reference)
        plots.title(ax, "" if name == speed.ONLY else name)
    return {"speed": (figure, speed.conditions(list(table)))}
