"""Figures of benchmarks: the times of the sides beside each other, and ratios with intervals."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.plotting import plots
from rnnlab.results import speed
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Member, Table, words

OURS, OTHERS = plots.COLORS[1], "#999999"


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
    y, ticks, longest = 0.0, [], 0.0
    for label, member in rows:
        drawn = [bar for bar in bars(member) if bar.side in member.result["ms"][name]]
        first = y
        for bar in drawn:
            ms = speed.median(member, bar.side, name)
            longest = max(longest, ms)
            ax.barh(y, ms, color=bar.color, height=0.9)
            text = milliseconds(ms)
            if over is not None and bar.side != over:
                text += f", {speed.ratio(member, bar.side, over, name).value:.2f}x"
            plots.beside(ax, ms, y, f"{text}  {bar.label}", size=6.5)
            y += 1
        ticks.append(((first + y - 1) / 2, label))
        y += 0.7
    ax.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
    ax.set(xlim=(0, 1.9 * longest), ylim=(y - 0.6, -0.6), xlabel="ms")
    ax.grid(visible=False, axis="y")


def ratios(ax: Axes, rows: Sequence[tuple[str, Ratio, float | None]], xlabel: str) -> None:
    """Draw ratios with their intervals and bounds.

    Args:
        ax: the panel.
        rows: (label, ratio, bound or None).
        xlabel: the ratio in words.
    """
    bounds = [bound for _, _, bound in rows if bound is not None]
    highest = max([ratio.high for _, ratio, _ in rows] + bounds)
    for y, (_, ratio, bound) in enumerate(rows):
        ax.barh(y, ratio.value, color=OURS, height=0.5)
        ax.plot([ratio.low, ratio.high], [y, y], color="black", linewidth=1)
        plots.beside(ax, max(ratio.high, ratio.value), y, f"{ratio.value:.2f}x")
        if bound is not None:
            ax.plot([bound, bound], [y - 0.4, y + 0.4], color=plots.COLORS[2], linestyle="--")
            ax.text(
                bound,
                y - 0.42,
                f"bound {bound:g}",
                color=plots.COLORS[2],
                fontsize=7,
                ha="center",
                va="bottom",
            )
    ax.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    ax.set(xlim=(0, 1.2 * highest), ylim=(len(rows) - 0.5, -0.8), xlabel=xlabel)
    ax.grid(visible=False, axis="y")


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
