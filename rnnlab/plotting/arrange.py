"""A figure made narrower: its panels below each other, text large enough to be read.

The page has a second picture of every wide figure for phones, one panel per row; `rnnlab figure`
fits a figure to the column of a paper.
"""

import re
import textwrap
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine, PlaceHolderLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

from rnnlab.plotting import keys, plots
from rnnlab.plotting.notes import Note

_NARROW = 2.4  # inches that a panel with labels at its lines' ends needs
_TALLEST = 2.6  # inches of a panel in a single column, but for one with a row per name
_FEW = 6  # rows by name that fit any height
_LETTER, _BOLD = 0.54, 0.66  # mean width of a letter, of the font's size
_MARGIN = 0.6  # inches to the left of a panel's title
_TURNED = 40  # degrees, of words that overlap below an axis

_is_table = Note[bool]("is_table")


def keep_width(figure: Figure) -> None:
    """Say that a figure is a table: at another width its columns would overlap."""
    _is_table.put(figure, True)


def can_narrow(figure: Figure) -> bool:
    """Whether :func:`narrow` can fit a figure: with constrained layout, and no words side by side.

    Words stand side by side in panels without axes, and where :func:`keep_width` says so.
    """
    constrained = isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)
    return constrained and not _is_table.of(figure) and all(ax.axison for ax in _shown(figure))


def _shown(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]


class NoRoom(ValueError):
    """The words of a figure leave no room for its panels."""


def lay_out(figure: Figure) -> None:
    """Place all panels, once; what is drawn afterwards does not place them again.

    Args:
        figure: one without constrained layout keeps its places.
    Raises:
        NoRoom: words leave no room for a panel.
    """
    engine = figure.get_layout_engine()
    if engine is None or isinstance(engine, PlaceHolderLayoutEngine):
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "constrained_layout not applied")
        try:
            engine.execute(figure)
        except UserWarning:
            figure.set_layout_engine("none")
            raise NoRoom(
                f"the words of this figure leave its panels no room at a width of "
                f"{figure.get_figwidth():.3g} in: give it a larger one"
            ) from None
    figure.set_layout_engine("none")
    for ax in figure.axes:
        plots.spread_labels(ax)


def narrow(figure: Figure, width: float, least: float, scale: float = 1.0) -> None:
    """Fit a figure to a width: as many panels side by side as can be read, the others below.

    Panels get back the tick labels and axis labels that they had shared with a neighbor. Labels
    and titles are broken into lines, words that would overlap below an axis are turned.

    Args:
        figure: of which :func:`can_narrow` holds, or held before :func:`lay_out`; changed in
            place.
        width: inches. least: the smallest size of text, points.
        scale: how many times as large its text is as on the page: panels grow with it.
    """
    was = figure.get_figwidth(), figure.get_figheight()
    panels, shape = _grid(figure)
    _enlarge(figure, least)
    readable = scale * min(_NARROW, was[0] / shape[1])
    columns = min(shape[1], max(1, int(width / readable)))
    if panels:
        rows = -(-len(panels) // columns)
        heights = [0.0] * rows
        for place, ax in enumerate(panels):
            before = scale * was[1] / shape[0]
            height = _height(ax, before, width / columns, scale * _TALLEST)
            heights[place // columns] = max(heights[place // columns], height)
        if columns < shape[1]:
            _restack(figure, panels, shape, columns, heights)
    else:  # in no grid: as it is arranged
        heights = [was[1] * max(width / was[0], scale)]
    figure.set_size_inches(width, sum(heights))
    for ax in panels or figure.axes:
        _break_lines(ax, width / columns, max(heights))
    _legends_below(figure, least)
    figure.set_layout_engine(ConstrainedLayoutEngine())
    keys.draw(figure, least)
    _turn_words(figure)
    lay_out(figure)


def _enlarge(figure: Figure, least: float) -> None:
    """Give text a least size, points."""
    for text in plots.texts(figure):
        text.set_fontsize(max(least, text.get_fontsize()))
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        size = axis.get_tick_params().get("labelsize", least)
        if isinstance(size, int | float) and size < least:
            axis.set_tick_params(labelsize=least)
        if isinstance(axis.get_major_locator(), FixedLocator):  # its words have sizes of their own
            for label in axis.get_ticklabels():
                label.set_fontsize(max(least, label.get_fontsize()))


def _grid(figure: Figure) -> tuple[list[Axes], tuple[int, int]]:
    """Return the panels in reading order and (rows, columns) of the grid that they stand in.

    No panels where they stand in no single grid with a cell each.
    """
    places, grids = {}, set()
    for ax in _shown(figure):
        spec = ax.get_subplotspec()
        if spec is None or spec.num1 != spec.num2:
            return [], (1, 1)
        places[ax] = spec.num1
        grids.add(spec.get_gridspec())
    twins = len({*places.values()}) < len(places)  # two axes in one place
    if len(grids) != 1 or figure.subfigs or twins:
        return [], (1, 1)
    (grid,) = grids
    return sorted(places, key=lambda ax: places[ax]), (grid.nrows, grid.ncols)


def _restack(
    figure: Figure,
    panels: Sequence[Axes],
    shape: tuple[int, int],
    columns: int,
    heights: Sequence[float],
) -> None:
    """Put the panels into fewer columns, each with its own labels."""
    by_place = {}
    for ax in panels:
        spec = ax.get_subplotspec()
        assert spec is not None
        by_place[divmod(spec.num1, shape[1])] = ax
    for ax in [ax for ax in figure.axes if not ax.get_visible()]:
        figure.delaxes(ax)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=list(heights))
    for (row, column), ax in by_place.items():
        left = [by_place[row, c] for c in range(column) if (row, c) in by_place]
        below = [by_place[r, column] for r in range(row + 1, shape[0]) if (r, column) in by_place]
        _own_labels(ax, left, below[::-1])
    for place, ax in enumerate(panels):
        ax.set_subplotspec(grid[divmod(place, columns)])


def _height(ax: Axes, before: float, width: float, tallest: float) -> float:
    """Return the inches of a panel: its own where it has many rows by name, else fewer."""
    locator = ax.yaxis.get_major_locator()
    named = len(plots.places_of(locator)) if isinstance(locator, FixedLocator) else 0
    if ax.get_aspect() != "auto":
        return width
    return before if named > _FEW else min(before, tallest)


def _own_labels(ax: Axes, left: Sequence[Axes], below: Sequence[Axes]) -> None:
    """Give a panel the labels of the panels to its left, and below it, that it had shared."""
    if not ax.axison:
        return
    for others, shared, which in (
        (left, ax.get_shared_y_axes(), "left"),
        (below, ax.get_shared_x_axes(), "bottom"),
    ):
        for other in others:
            if not shared.joined(ax, other):
                continue
            axis, its = (ax.yaxis, other.yaxis) if which == "left" else (ax.xaxis, other.xaxis)
            labeled = f"label{which}"
            if its.get_tick_params()[labeled] and not axis.get_tick_params()[labeled]:
                ax.tick_params(axis="y" if which == "left" else "x", **{labeled: True})
            break
    if left and not ax.get_ylabel():
        ax.set_ylabel(left[0].get_ylabel(), fontsize=left[0].yaxis.label.get_fontsize())
    if below and not ax.get_xlabel():
        ax.set_xlabel(below[0].get_xlabel(), fontsize=below[0].xaxis.label.get_fontsize())


def broken(text: str, letters: int) -> str:
    r"""Return a text in lines of at most so many letters; maths stays whole.

    >>> broken("lag $k - 1$ of it", 11)
    'lag $k - 1$\nof it'
    """
    kept = re.sub(r"\$[^$]*\$", lambda found: found[0].replace(" ", "\0"), text)
    lines = [textwrap.fill(line, letters, break_long_words=False) for line in kept.split("\n")]
    return "\n".join(lines).replace("\0", " ")


def _break_lines(ax: Axes, width: float, height: float) -> None:
    """Break titles and labels that are longer than their panel."""
    titles = {ax.get_title(loc=side) for side in ("left", "center", "right")} - {""}
    for text in ax.get_children():
        if isinstance(text, Text) and text.get_text() in titles:
            _fill(text, width - _MARGIN, _BOLD)
    _fill(ax.xaxis.label, 0.9 * width, _LETTER)
    _fill(ax.yaxis.label, 0.85 * height, _LETTER)


def _fill(text: Text, room: float, letter: float) -> None:
    letters = int(72 * room / (letter * plots.size_of(text)))
    if len(plots.bare(text.get_text())) > letters:
        text.set_text(broken(text.get_text(), max(letters, 8)))


def _legends_below(figure: Figure, size: float) -> None:
    """Put the legends of a figure, which stood beside its panels, below them."""
    for legend in [legend for legend in figure.legends if not keys.is_key(legend)]:
        handles = legend.legend_handles
        words = [text.get_text() for text in legend.get_texts()]
        heading = legend.get_title().get_text()
        legend.remove()
        columns = keys.columns(words, figure.get_figwidth(), size)
        figure.legend(
            [handle for handle in handles if handle is not None],
            words,
            loc="outside lower right",
            ncols=columns,
            fontsize=size,
            title=heading or None,
            title_fontsize=size,
            frameon=False,
        )


def _turn_words(figure: Figure) -> None:
    """Turn the words below an axis where two of them would overlap."""
    width = figure.get_figwidth()
    for ax in figure.axes:
        locator = ax.xaxis.get_major_locator()
        if not isinstance(locator, FixedLocator) or not ax.get_visible():
            continue
        labels = [label for label in ax.get_xticklabels() if label.get_text()]
        spec = ax.get_subplotspec()
        if len(labels) < 2 or labels[0].get_rotation() or spec is None:
            continue
        share = 0.7 * width / spec.get_gridspec().ncols
        longest = max(len(plots.bare(label.get_text())) for label in labels)
        room = 72 * share / (len(labels) * _LETTER * plots.size_of(labels[0]))
        if longest > room and np.all(np.diff(plots.places_of(locator)) > 0):
            ax.tick_params(axis="x", labelrotation=_TURNED)
            for label in ax.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
