"""Whole figures as the panels of one, each under its label."""

import contextlib
import math
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rnnlab.plotting import arrange, figure_data, plots, rendering

_HEADER = 0.24  # inches above a panel, for its label
_MOST_ROWS = 8  # one below the other


def stacked(figures: Mapping[str, Figure]) -> Figure:
    """Return one figure with a panel per figure, drawn as it is, one below the other.

    Args:
        figures: by the label of the panel; they are arranged for phones afterwards.
    Raises:
        ValueError: no figures.

    >>> one, _ = plots.new_figure(1, 2, size=(3, 1))
    >>> len(stacked({"rate=0.1": one, "rate=0.2": one}).axes)
    2
    """
    if not figures:
        raise ValueError("no figures to put into panels")
    narrows = {label: arrange.can_narrow(figure) for label, figure in figures.items()}
    data = {label: figure_data.rows(figure) for label, figure in figures.items()}
    for figure in figures.values():
        rendering.prepare(figure)
    images = {label: rendering.pixels(figure) for label, figure in figures.items()}
    whole = _stack(images, plots.DPI, columns=math.ceil(len(images) / _MOST_ROWS))
    figure_data.compose(whole, data)
    if all(narrows.values()):
        with contextlib.suppress(arrange.NoRoom):
            images = {
                label: rendering.pixels(rendering.for_phone(figure), rendering.PHONE_DPI)
                for label, figure in figures.items()
            }
            phone = _stack(images, rendering.PHONE_DPI, columns=1)
            rendering.keep_phone(whole, rendering.png(phone, rendering.PHONE_DPI))
    return whole


def _stack(images: Mapping[str, np.ndarray], dpi: float, columns: int) -> Figure:
    """Return a figure of pictures, each under its label, pixel by pixel."""
    rows = math.ceil(len(images) / columns)
    header = round(_HEADER * dpi)
    height = max(image.shape[0] for image in images.values()) + header
    width = max(image.shape[1] for image in images.values())
    size = columns * width, rows * height
    with mpl.rc_context(plots.STYLE):
        whole = Figure(figsize=(size[0] / dpi, size[1] / dpi))
        for place, (label, image) in enumerate(images.items()):
            row, column = divmod(place, columns)
            left, top = column * width, row * height + header
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
