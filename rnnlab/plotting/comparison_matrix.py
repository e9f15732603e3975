"""A matrix of comparisons with one reference each: rows of arms, a column per comparison."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rnnlab.plotting import arrange, plots
from rnnlab.plotting.comparison_figures import VERDICT_LOOKS
from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import ComparisonResult, Pair
from rnnlab.results.statistics import VERDICTS

_CENTER: dict[str, Any] = {"ha": "center", "va": "center"}
_LINE = "#777777"


@dataclass(frozen=True)
class Column:
    """A column of the matrix.

    Args:
        group: columns of one group stand side by side, under this title.
        label: below the column.
        result: a comparison with a reference.
        arms: the name of its arm in each row that it has one in.
        notes: a few words below the effect, by the arm's name.
    """

    group: str
    label: str
    result: ComparisonResult
    arms: Mapping[str, str]
    notes: Mapping[str, str]


def effect(result: ComparisonResult, pair: Pair) -> str:
    """Return the size of an effect in a few characters.

    Returns:
        "×0.55" of ratios and "+0.12" of differences; of medians where a seed is not finite (never
        solves, diverges); "3 : 20", the seeds that are, where a median is not.
    """
    difference = pair.difference
    if not math.isfinite(difference):
        sides = words.paired(result, pair)
        a, b = (words.median(side, result) for side in sides)
        if not (math.isfinite(a) and math.isfinite(b)):
            return " : ".join(str(words.finite(side)) for side in sides)
        difference = a / b if result.ratios else a - b
    return f"×{difference:.2g}" if result.ratios else f"{difference:+.2g}"


def draw(
    columns: Sequence[Column], rows: Mapping[str, str], lines: Sequence[int] = ()
) -> tuple[Figure, str]:
    """Draw the verdict on every arm against its comparison's reference, with the effect.

    Args:
        columns: those of a group together.
        rows: their labels by name, from the top; the row of the references is one of them.
        lines: the rows below which a line is drawn, by place.
    Returns:
        (figure, caption).
    """
    size = (1.6 + 1.02 * len(columns), 1.4 + 0.47 * len(rows))
    figure, axes = plots.new_figure(1, 1, size=size)
    arrange.keep_width(figure)
    ax = axes[0, 0]
    for x, column in enumerate(columns):
        for y, row in enumerate(rows):
            if row in column.arms:
                _place(ax, x, y, column, column.arms[row])
    ax.grid(False)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticks(range(len(columns)), [column.label for column in columns], fontsize=8)
    ax.set_yticks(range(len(rows)), list(rows.values()), fontsize=8)
    ax.tick_params(length=0)
    groups = [column.group for column in columns]
    for group in dict.fromkeys(groups):
        first, count = groups.index(group), groups.count(group)
        middle = first + (count - 1) / 2
        ax.text(middle, -0.65, group, fontsize=10, fontweight="bold", ha="center")
        if first:
            ax.axvline(first - 0.5, color=_LINE, linewidth=1.2)
    for row in lines:
        ax.axhline(row + 0.5, color=_LINE, linewidth=0.8)
    ax.spines[:].set_visible(False)
    return figure, _caption([column.result for column in columns])


def _place(ax: Axes, x: int, y: int, column: Column, arm: str) -> None:
    result = column.result
    if arm == result.reference:
        typical = words.median(result.arm(arm).test, result)
        ax.text(x, y, words.score_words(result, typical), fontsize=9, **_CENTER)
        return
    assert result.reference is not None
    pair = result.pair(arm, result.reference)
    color = VERDICT_LOOKS[pair.verdict][0]
    ax.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=color, alpha=0.2))
    text = f"{words.MARKS[pair.verdict]} {effect(result, pair)}"
    lift = 0.14 if column.notes else 0.0
    ax.text(x, y - lift, text, color=color, fontsize=9, fontweight="bold", **_CENTER)
    ax.text(x, y + 0.26, column.notes.get(arm, ""), fontsize=6.5, color="#333333", **_CENTER)


def _caption(results: Sequence[ComparisonResult]) -> str:
    marks = ", ".join(f"{words.MARKS[verdict]} {verdict}" for verdict in VERDICTS)
    first = results[0]
    failed = "never solves" if first.times else "diverges"
    effects = "the ratio to the reference's" if first.ratios else "the difference to it"
    return (
        f"Every arm against the reference of its column: {marks}, within "
        f"{words.margin_words(first)}. The reference's row: {words.score_name(first)}, median over "
        f"seeds. Numbers: {effects}, of medians where a seed {failed}; a : b: seeds of the arm and "
        f"of the reference that {'solve' if first.times else 'do not diverge'}, where most of one "
        "do not. White: not run. "
        f"{words.expected_false(results)}"
    ).strip()
