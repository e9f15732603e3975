"""A table as a figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnlab.plotting import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(headings: Sequence[str], rows: Mapping[str, Sequence[str]]) -> "Figure":
    """Draw rows of text under headings, a row's name before it.

    Args:
        headings: one per column, of two lines at most.
        rows: {name: its cells}, as many cells as headings.
    """
    figure, axes = plots.new_figure(1, 1, size=(11, 0.9 + 0.27 * len(rows)))
    ax = axes[0, 0]
    ax.set_axis_off()
    table = ax.table(
        [list(cells) for cells in rows.values()],
        rowLabels=list(rows),
        colLabels=list(headings),
        loc="center",
        cellLoc="right",
        edges="horizontal",
        bbox=(0.17, 0, 0.83, 1),
    )
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for (row, _), cell in table.get_celld().items():
        cell.set_edgecolor("#dddddd")
        if row == 0:
            cell.set_height(2 * cell.get_height())
    return figure
