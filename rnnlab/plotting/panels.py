"""Whole figures as the panels of one, each under its label."""

import io
import math
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

from rnnlab.plotting import plots

_HEADER = 36  # pixels above a panel, for its label
_MOST_ROWS = 8  # one below the other


def stacked(figures: Mapping[str, Figure]) -> Figure:
    """Return one figure with a panel per figure, drawn as it is, one below the other.

    Args:
        figures: by the label of the panel.
    Raises:
        ValueError: no figures.

    >>> one, _ = plots.new_figure(1, 2, size=(3, 1))
    >>> len(stacked({"rate=0.1": one, "rate=0.2": one}).axes)
    2
    """
    if not figures:
        raise ValueError("no figures to put into panels")
    images = {label: _pixels(figure) for label, figure in figures.items()}
    columns = math.ceil(len(images) / _MOST_ROWS)
    rows = math.ceil(len(images) / columns)
    height = max(image.shape[0] for image in images.values()) + _HEADER
    width = max(image.shape[1] for image in images.values())
    size = columns * width, rows * height
    with mpl.rc_context(plots.STYLE):
        whole = Figure(figsize=(size[0] / plots.DPI, size[1] / plots.DPI))
        for place, (label, image) in enumerate(images.items()):
            row, column = divmod(place, columns)
            left, top = column * width, row * height + _HEADER
            box = (
                left / size[0],
                1 - (top + image.shape[0]) / size[1],
                image.shape[1] / size[0],
                image.shape[0] / size[1],
            )
            ax = whole.add_axes(box)
            ax.imshow(image, aspect="auto")
            ax.set_axis_off()
            plots.title(ax, label)
    return whole


def _pixels(figure: Figure) -> np.ndarray:
    return imread(io.BytesIO(plots.png(figure)), format="png")
