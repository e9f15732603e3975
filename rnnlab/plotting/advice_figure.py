"""The figure of advice: what candidates keep of the gradient, by lag and by gain."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.nn.initializers import parse
from rnnlab.plotting import keys, plots
from rnnlab.plotting.gradient_figures import scheme_label
from rnnlab.results import advice
from rnnlab.results.advice import Advice, Row

_FLOOR, _CEILING = -32.0, 16.0  # decades that are drawn
_STYLES = ("-", "--", ":", "-.")  # of forget biases, in their order


def draw(found: Advice) -> Figure:
    """Draw the gradient left by lag, of the best of each scheme, and at the span by gain."""
    figure, axes = plots.new_figure(1, 2, size=(11, 4.2))
    _by_lag(axes[0, 0], found)
    _by_gain(axes[0, 1], found)
    return figure


def _zone(ax: Axes) -> None:
    band = ax.axhspan(-advice.LOST, advice.GAINED, color="#009E73", alpha=0.08, linewidth=0)
    keys.mark(band, "predicted to train, at the span", guide=True)


def _looks(found: Advice) -> dict[tuple[str, float | None], dict[str, Any]]:
    """Return a color per scheme and a line style per forget bias, for each kind of candidate."""
    kinds = [row.kind for row in found.rows]
    names, biases = ([*dict.fromkeys(parts)] for parts in zip(*kinds, strict=True))
    return {
        (name, bias): {
            "color": plots.look(names.index(name))["color"],
            "linestyle": _STYLES[biases.index(bias) % len(_STYLES)],
        }
        for name, bias in kinds
    }


def _label(row: Row) -> str:
    name = row.scheme.partition("(")[0]
    label = "critical " * row.searched + (
        scheme_label(row.scheme) if "(" not in row.scheme else name
    )
    return label if math.isnan(row.forget_bias) else f"{label}, b = {row.forget_bias:g}"


def _by_lag(ax: Axes, found: Advice) -> None:
    _zone(ax)
    ends, looks = [], _looks(found)
    for row in found.shown:
        values = np.array(row.curve)
        shown = np.isfinite(values)
        if not shown.any():
            continue
        style = looks[row.kind]
        wide = 2.6 if row is found.best else 1.3
        ax.plot(np.flatnonzero(shown), values[shown], **style, linewidth=wide, label=_label(row))
        last = int(np.flatnonzero(shown)[-1])
        ends.append(plots.End(last, float(values[last]), _label(row), style["color"]))
    span = ax.axvline(found.span, color="#777777", linewidth=0.8)
    keys.mark(span, "the span", guide=True)
    ax.set(xlabel=plots.LAG, ylabel=plots.LEFT, xlim=(0, len(found.rows[0].curve) - 1))
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, _FLOOR), min(high, _CEILING))
    plots.title(ax, "the best of each scheme")
    plots.direct_labels(ax, ends)


def _by_gain(ax: Axes, found: Advice) -> None:
    _zone(ax)
    lines: dict[tuple[str, float | None], list[tuple[float, float]]] = {}
    looks = _looks(found)
    for row in found.rows:
        number = _number(row.scheme)
        left = row.curve[found.span]
        if number is None or not math.isfinite(left):
            continue
        lines.setdefault(row.kind, []).append((number, left))
    for (name, bias), points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        label = name if bias is None else f"{name}, b = {bias:g}"
        ax.plot(x, y, **looks[name, bias], marker="o", markersize=3, label=label)
    if found.best is not None and (number := _number(found.best.scheme)) is not None:
        star = ax.plot(number, found.best.curve[found.span], "*", color="#000000", markersize=13)[0]
        keys.mark(star, "recommended", guide=True)
    ax.set(xscale="log", xlabel="the scheme's number: gain or σ_w", ylabel="")
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, _FLOOR), min(high, _CEILING))
    plots.title(ax, f"left at lag {found.span}, by gain")
    if lines:
        _legend(ax, {kind: looks[kind] for kind in lines})


def _legend(ax: Axes, looks: dict[tuple[str, float | None], dict[str, Any]]) -> None:
    """Say which color is which scheme, and which line which forget bias."""
    schemes = {name: Line2D([], [], color=look["color"]) for (name, _), look in looks.items()}
    biases = {
        f"b = {bias:g}": Line2D([], [], color="#444444", linestyle=look["linestyle"])
        for (_, bias), look in looks.items()
        if bias is not None
    }
    handles = schemes | biases
    ax.legend(list(handles.values()), list(handles), fontsize=8, frameon=False)


def _number(scheme: str) -> float | None:
    """Return the only number of a scheme; None: it has none."""
    numbers = [value for value in parse(scheme)[1].values() if isinstance(value, float)]
    return numbers[0] if len(numbers) == 1 else None
