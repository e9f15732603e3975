"""Figures of a decided comparison: how arms were tuned, their pairs, their learning curves."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnnlab.core.metrics import HIGHER
from rnnlab.plotting import keys, plots
from rnnlab.plotting.run_curves import curves_of, spans_decades
from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import FIGURES, Arm, ComparisonResult, Pair, Point
from rnnlab.results.statistics import BETTER, EQUIVALENT, UNDECIDED, WORSE
from rnnlab.results.table import Table, Value

VERDICT_LOOKS: dict[str, tuple[str, str]] = {  # color and marker
    BETTER: (plots.COLORS[1], "^"),
    WORSE: (plots.COLORS[2], "v"),
    EQUIVALENT: (plots.COLORS[3], "s"),
    UNDECIDED: ("#666666", "o"),
}
_OTHERS = "#c4c4c4"
_OWN: dict[str, Any] = {"color": plots.COLORS[1], "linestyle": "-"}
_ADDED, _INTERVAL = "added to the grid", "interval of the effect"
_MOST_COLUMNS = 4  # panels side by side
_MOST_LINES = 6  # learning curves in one panel
_MOST_PAIRS = 100  # of a forest plot
_MOST_TICKS = 5
_LOG_SCALE = 8  # the ratio of the tuned values from which their axis is logarithmic


def draw(result: ComparisonResult, table: Table) -> dict[str, tuple[Figure, str]]:
    """Return the figures of a comparison by the names that they are saved by, with captions.

    They are ``<name>_tuning``, where something was tuned, ``<name>_pairs``, and ``<name>_curves``,
    where the judged members logged their score or a loss.

    Args:
        result: the comparison.
        table: the members of its run.
    """
    makers = {"tuning": _tuning(result), "pairs": _forest(result), "curves": _curves(result, table)}
    return {
        f"{result.name}_{part}": drawn for part in FIGURES if (drawn := makers[part]) is not None
    }


# ---- axes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """An axis of scores with a band of its own for those that are not finite, at the worst side.

    Args:
        low, high: the ends of the finite part.
        log: whether it is logarithmic.
        band: the ends of the band; None: every score is finite.
    """

    low: float
    high: float
    log: bool
    band: tuple[float, float] | None

    def at(self, score: float, share: float = 0.5) -> float:
        """Return where a score is drawn; one that is not finite at a share of the band's height."""
        if math.isfinite(score):
            return score
        assert self.band is not None
        low, high = self.band
        return low * (high / low) ** share if self.log else low + share * (high - low)


def scale(scores: Iterable[float], better: str) -> Scale:
    """Return the axis that holds scores: logarithmic where they are positive and span decades.

    Args:
        scores: some may be infinite or NaN.
        better: "lower" or "higher": the band lies at the other side.
    """
    values = np.array(list(scores), float)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Scale(0.0, 1.0, False, (1.0, 1.15) if better != HIGHER else (-0.15, 0.0))
    log = bool(finite.min() > 0 and finite.max() > 8 * finite.min())
    low, high = (float(f(finite)) for f in (np.min, np.max))
    a, b = (math.log10(low), math.log10(high)) if log else (low, high)
    pad = 0.06 * (b - a) or 0.05 * abs(b) or 0.05
    a, b, height = a - pad, b + pad, max(0.16 * (b - a), pad)
    ends = (a, b, (a - height, a) if better == HIGHER else (b, b + height))

    def back(value: float) -> float:
        return 10**value if log else value

    band = (back(ends[2][0]), back(ends[2][1])) if finite.size < values.size else None
    return Scale(back(a), back(b), log, band)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two, few enough to be read."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * 10.0**p for p in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= _MOST_TICKS + 2:
            break
    return ticks[:: math.ceil(len(ticks) / (_MOST_TICKS + 2))] or [low, high]


def _score_axis(ax: Axes, axis: Scale, word: str) -> None:
    """Give a panel its y axis: ticks in the finite part, the band shaded and named."""
    if axis.log:
        ax.set_yscale("log")
        ticks = _log_ticks(axis.low, axis.high)
    else:
        located = MaxNLocator(_MOST_TICKS).tick_values(axis.low, axis.high)
        ticks = [float(tick) for tick in located if axis.low <= tick <= axis.high]
    labels = [words.digits(tick) for tick in ticks]
    ends = [axis.low, axis.high]
    if axis.band is not None:
        band = ax.axhspan(*axis.band, color="#f3e3da", linewidth=0, zorder=0.5)
        keys.mark(band, word, guide=True)
        ticks, labels = [*ticks, axis.at(math.inf)], [*labels, word]
        ends += axis.band
    ax.minorticks_off()
    ax.set_yticks(ticks, labels)
    ax.set_ylim(min(ends), max(ends))


def _grid(count: int, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure with a panel per arm, on equal axes."""
    columns = min(count, _MOST_COLUMNS if count != 5 else 3)
    rows = math.ceil(count / columns)
    size = (2.5 * columns + 0.8, height * rows + 0.5)
    figure, axes = plots.new_figure(rows, columns, size=size, share_x=True, share_y=True)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    for column in range(columns):  # the lowest panel of a column has its numbers
        last = [ax for ax in axes[:, column] if ax.get_visible()][-1]
        last.tick_params(labelbottom=True)
    return figure, axes.flat[:count]


# ---- tuning ------------------------------------------------------------------------------------


def _tuning(result: ComparisonResult) -> tuple[Figure, str] | None:
    """Draw the validation score of every arm against the tuned value, and what was chosen."""
    arms = [arm for arm in result.arms if arm.grid]
    tuned = list(dict.fromkeys(key for arm in arms for point in arm.grid for key in point.values))
    columns = {key: values for key in tuned if len(values := _values(arms, key)) > 1}
    if not columns:
        return None
    x = next((key for key in columns if _numeric(columns[key])), next(iter(columns)))
    others = [key for key in columns if key != x]
    axis = scale((s for arm in arms for p in arm.grid for s in p.scores), result.better)
    places = _places(columns[x])
    figure, panels = _grid(len(arms), 2.2)
    asked = [places[value] for value in result.tune.get(x, ()) if value in places]
    for ax, arm in zip(panels, arms, strict=True):
        for other in arms:
            if other is not arm and not others:
                at, means = _means(result, other.grid, x, places, axis)
                gray = ax.plot(at, means, color=_OTHERS, linewidth=0.8, zorder=1)[0]
                keys.mark(gray, "another arm", guide=True)  # which has a panel of its own
        for index, (setting, points) in enumerate(_settings(arm.grid, others).items()):
            look = plots.look(index + 1) if others else _OWN
            at, means = _means(result, points, x, places, axis)
            line = ax.plot(at, means, **look, label=setting)[0]
            keys.mark(line, "mean over seeds" if not others else "")
            for place, point in zip(at, points, strict=True):
                shares = np.linspace(0.25, 0.75, len(point.scores))
                scores = map(axis.at, point.scores, shares)
                xs = [place] * len(point.scores)
                dots = ax.plot(xs, list(scores), "o", color=look["color"], markersize=3)[0]
                dots.set(alpha=0.7, label=f"{setting}, seeds".removeprefix(", "))
                keys.mark(dots, "a seed")
            for place, mean, point in zip(at, means, points, strict=True):
                if point.values == arm.tuned:
                    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6}
                    circle = ax.plot(place, mean, "o", color=plots.COLORS[0], **ring)[0]
                    circle.set_label("chosen")
                    keys.mark(circle, "chosen")
        _score_axis(ax, axis, words.failed(result))
        _value_axis(ax, places, asked or list(places.values()))
        chosen = words.tuned_words(arm) + ", at the edge" * arm.at_edge
        ax.set_title(
            f"{textwrap.fill(arm.name, 30)}\n{textwrap.fill(chosen, 34)}", loc="left", fontsize=8
        )
    name = words.score_name(result)
    label = name if result.times else f"validation {name.removeprefix('test ')}{words.unit(result)}"
    figure.supylabel(label, fontsize=9)
    figure.supxlabel(words.key_words(x), fontsize=9)
    if others:
        handles, labels = panels[0].get_legend_handles_labels()
        shown = [
            (h, n)
            for h, n in zip(handles, labels, strict=True)
            if n in _settings(arms[0].grid, others)
        ]
        figure.legend(*zip(*shown, strict=True), loc="outside right upper", fontsize=8)
    return figure, _tuning_caption(result, x, others, axis, places, asked)


def _tuning_caption(
    result: ComparisonResult,
    x: str,
    others: Sequence[str],
    axis: Scale,
    places: dict[Value, float],
    asked: Sequence[float],
) -> str:
    seeds = len(result.tuning_seeds)
    parts = [
        f"Validation score of every arm against {words.key_words(x)}: a point for each of "
        f"{words.seeds_words(seeds)}, a line through their means, a ring around the chosen value."
    ]
    if others:
        parts.append(f"A line per {' and '.join(map(words.key_words, others))}.")
    else:
        parts.append("Gray: the other arms.")
    if asked and not min(asked) <= min(places.values()) <= max(places.values()) <= max(asked):
        parts.append("Gray ground: values that were added to the grid.")
    if axis.band is not None:
        side = "top" if result.better != HIGHER else "bottom"
        parts.append(f"Band at the {side}: {words.failed(result)}.")
    return " ".join(parts)


def _values(arms: Sequence[Arm], key: str) -> list[Value]:
    """Return the distinct values of a tuned key, numbers in rising order."""
    found = list(dict.fromkeys(point.values[key] for arm in arms for point in arm.grid))
    return sorted(found) if _numeric(found) else found


def _numeric(values: Sequence[Value]) -> bool:
    return all(type(value) in (int, float) for value in values)


def _places(values: Sequence[Value]) -> dict[Value, float]:
    """Return where values are drawn: numbers where they are, others side by side."""
    if _numeric(values):
        return {value: float(value) for value in values}
    return {value: float(place) for place, value in enumerate(values)}


def _settings(grid: Sequence[Point], keys: Sequence[str]) -> dict[str, list[Point]]:
    """Return the points by the values of the tuned keys that have no axis."""
    settings: dict[str, list[Point]] = {}
    for point in grid:
        text = ", ".join(
            f"{words.key_words(key)} {words.config_words(point.values[key])}" for key in keys
        )
        settings.setdefault(text, []).append(point)
    return settings


def _means(
    result: ComparisonResult, grid: Sequence[Point], x: str, places: dict[Value, float], axis: Scale
) -> tuple[list[float], list[float]]:
    """Return (positions, mean scores over seeds) of an arm; in the band where a seed failed."""
    at = [places[point.values[x]] for point in grid]
    means = [axis.at(words.mean(point.scores, ratio=result.ratios)) for point in grid]
    return at, means


def _value_axis(ax: Axes, places: dict[Value, float], asked: Sequence[float]) -> None:
    """Give a panel its x axis, with a gray ground beyond the grid that was asked for."""
    at = sorted(places.values())
    numeric = _numeric(list(places))
    log = numeric and at[0] > 0 and at[-1] >= _LOG_SCALE * at[0]
    drawn = np.log10(at) if log else np.array(at)
    step = float(np.min(np.diff(drawn))) if len(at) > 1 else 1.0

    def back(value: float) -> float:
        return 10**value if log else value

    low, high = back(drawn[0] - 0.6 * step), back(drawn[-1] + 0.6 * step)
    first, last = (drawn[at.index(end)] for end in (min(asked), max(asked)))
    if at[0] < min(asked):
        added = ax.axvspan(low, back(first - 0.5 * step), color="#eeeeee", linewidth=0, zorder=0)
        keys.mark(added, _ADDED, guide=True)
    if at[-1] > max(asked):
        added = ax.axvspan(back(last + 0.5 * step), high, color="#eeeeee", linewidth=0, zorder=0)
        keys.mark(added, _ADDED, guide=True)
    if log:
        ax.set_xscale("log")
    ax.minorticks_off()
    ticks = at[:: math.ceil(len(at) / _MOST_TICKS)] if numeric else at
    names = {place: words.config_words(value) for value, place in places.items()}
    turned: dict[str, Any] = {} if numeric else {"rotation": 30, "ha": "right"}
    ax.set_xticks(ticks, [names[tick] for tick in ticks], fontsize=8, **turned)
    ax.set_xlim(low, high)


# ---- pairs -------------------------------------------------------------------------------------


def _forest(result: ComparisonResult) -> tuple[Figure, str] | None:
    """Draw the effect of every pair with its interval, and the zone of equivalence."""
    pairs = result.pairs
    if not pairs:
        return None
    if result.reference is not None:
        others = [arm.name for arm in result.arms if arm.name != result.reference]
        pairs = tuple(result.pair(name, result.reference) for name in others)
    left_out = len(pairs) - _MOST_PAIRS
    pairs = pairs[:_MOST_PAIRS]
    size = 8 if len(pairs) <= 16 else 7
    figure, axes = plots.new_figure(size=(7.6, 0.022 * size * 1.6 * len(pairs) + 1.3))
    ax = axes[0, 0]
    none = 1.0 if result.ratios else 0.0
    ends = _forest_ends(result, pairs)
    if result.ratios:
        ax.set_xscale("log")
    zone = ax.axvspan(*words.zone(result), color="#dcefe8", linewidth=0, zorder=0)
    keys.mark(
        zone, f"equivalent: {'within ' * result.ratios}{words.margin_words(result)}", guide=True
    )
    ax.axvline(none, color="#777777", linewidth=0.8, zorder=1)
    for row, pair in enumerate(pairs):
        color, marker = VERDICT_LOOKS[pair.verdict]
        if _drawable(pair):
            _interval(ax, pair, row, ends, color, marker)
        else:
            text = words.ahead_words(result, pair) or pair.reason or "no effect"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            style: dict[str, Any] = {"va": "center", "ha": "center", "fontsize": size, "bbox": box}
            ax.text(none, row, text, color=color, **style)
        mark = words.MARKS[pair.verdict]
        ax.text(
            *(1.02, row, f"{mark} {pair.verdict}, {words.seeds_words(pair.seeds)}"),
            transform=ax.get_yaxis_transform(),
            color=color,
            fontsize=size,
            va="center",
        )
    names = [pair.a if result.reference is not None else f"{pair.a} vs {pair.b}" for pair in pairs]
    ax.set_yticks(range(len(pairs)), names, fontsize=size)
    ax.set(xlim=ends, ylim=(len(pairs) - 0.4, -0.6))
    ax.grid(False, axis="y")
    _effect_axis(ax, result, ends)
    caption = _forest_caption(result, pairs)
    if left_out > 0:
        caption += f" The first {len(pairs)} pairs; {left_out} more stand in the table."
    return figure, caption


def _drawable(pair: Pair) -> bool:
    return math.isfinite(pair.difference) and not any(map(math.isnan, pair.interval))


def _forest_ends(result: ComparisonResult, pairs: Sequence[Pair]) -> tuple[float, float]:
    """Return the limits of the axis of effects: around every number, as far to either side."""
    numbers = [n for pair in pairs if _drawable(pair) for n in (pair.difference, *pair.interval)]
    numbers = [n for n in [*numbers, *words.zone(result)] if math.isfinite(n)]
    if result.ratios:
        logs = [math.log(n) for n in numbers if n > 0]
        low, high = min(logs), max(logs)
        pad = 0.08 * (high - low)
        return math.exp(low - pad), math.exp(high + pad)
    low, high = min(numbers), max(numbers)
    pad = 0.08 * (high - low) or 1.0
    return low - pad, high + pad


def _interval(
    ax: Axes, pair: Pair, row: int, ends: tuple[float, float], color: str, marker: str
) -> None:
    """Draw an interval, with an arrow where it has no end."""
    low, high = pair.interval
    line = ax.plot([max(low, ends[0]), min(high, ends[1])], [row, row], color=color, linewidth=2)[0]
    line.set_label("interval")
    keys.mark(line, _INTERVAL)
    for end, limit, arrow in ((low, ends[0], "<"), (high, ends[1], ">")):
        if not ends[0] <= end <= ends[1]:
            tip = ax.plot(limit, row, arrow, color=color, markersize=6, clip_on=False)[0]
            keys.mark(tip, "the interval goes on", guide=True)
    face = "white" if pair.verdict == UNDECIDED else color
    point = ax.plot(pair.difference, row, marker, color=color, markerfacecolor=face)[0]
    point.set(markersize=6.5, label=pair.verdict)
    keys.mark(point, pair.verdict)


def _effect_axis(ax: Axes, result: ComparisonResult, ends: tuple[float, float]) -> None:
    if result.ratios:
        ticks = _log_ticks(*ends)
        if len(ticks) < 3:
            located = MaxNLocator(_MOST_TICKS).tick_values(*ends)
            ticks = [float(tick) for tick in located if ends[0] <= tick <= ends[1]]
        ax.minorticks_off()
        ax.set_xticks(ticks, [words.digits(tick) for tick in ticks])
    versus = result.reference is not None
    first, second = ("arm", result.reference) if versus else ("first", "second")
    if result.ratios:
        ax.set_xlabel(f"ratio of {words.score_name(result)}: {first} / {second}")
    else:
        name = f"{words.score_name(result)}{words.unit(result)}"
        ax.set_xlabel(f"difference of {name}: {first} − {second}")
    sides = (f"← {first} better", f"{first} worse →")
    if result.better == HIGHER:
        sides = (f"← {first} worse", f"{first} better →")
    for x, text, side in ((0, sides[0], "left"), (1, sides[1], "right")):
        ax.text(x, 1.01, text, transform=ax.transAxes, fontsize=8, ha=side, va="bottom")


def _forest_caption(result: ComparisonResult, pairs: Sequence[Pair]) -> str:
    kind = "Ratio" if result.ratios else "Difference"
    versus = f" to {result.reference}" if result.reference is not None else ""
    parts = [
        f"{kind} of every {'arm' if versus else 'pair'}{versus}, with its "
        f"{words.percent(result.level)} interval; green ground: the zone of equivalence, "
        f"{'within ' * result.ratios}{words.margin_words(result)}."
    ]
    if not all(map(_drawable, pairs)):
        parts.append("Words in place of an interval: some seeds have no finite score.")
    return " ".join(parts)


# ---- learning curves ---------------------------------------------------------------------------


def _curves(result: ComparisonResult, table: Table) -> tuple[Figure, str] | None:
    """Draw the learning curves of the judged members of every arm, at the chosen values."""
    judged = {arm.name: result.judged(table, arm.name) for arm in result.arms}
    logged = {name for members in judged.values() for m in members for r in m.metrics for name in r}
    metric = next((name for name in (result.score, "loss", "train_loss") if name in logged), None)
    if metric is None:
        return None
    curves = {name: curves_of(members, metric) for name, members in judged.items()}
    curves = {name: curve for name, curve in curves.items() if curve[0].size}
    if not curves:  # logged without a step, or no numbers
        return None
    log = spans_decades(values for _, values in curves.values())
    shown = {name: (x, np.log10(y) if log else y) for name, (x, y) in curves.items()}
    if len(shown) <= _MOST_LINES:
        figure, axes = plots.new_figure(size=(6.4, 3.6))
        ax = axes[0, 0]
        ends = [
            plots.band(ax, *curve, name, index) for index, (name, curve) in enumerate(shown.items())
        ]
        _metric_axis(ax, log)
        plots.direct_labels(ax, ends)
        ax.set(xlabel="updates", ylabel=_metric_words(metric))
    else:
        figure, panels = _grid(len(shown), 2.0)
        for ax, (name, curve) in zip(panels, shown.items(), strict=True):
            for other, (x, y) in shown.items():
                if other != name:
                    gray = ax.plot(x, np.nanmedian(y, axis=0), color=_OTHERS, linewidth=0.8)[0]
                    gray.set_zorder(1)
                    keys.mark(gray, "another arm", guide=True)
            plots.band(ax, *curve, name, 0)
            ax.set_title(textwrap.fill(name, 30), loc="left", fontsize=8)
        _metric_axis(panels[0], log)
        figure.supxlabel("updates", fontsize=9)
        figure.supylabel(_metric_words(metric), fontsize=9)
    return figure, _curves_caption(result, metric, curves, grid=len(shown) > _MOST_LINES)


def _metric_axis(ax: Axes, log: bool) -> None:
    """Name the ticks of an axis of decades by the numbers they stand for."""
    if log:
        low, high = ax.get_ylim()
        ticks = _log_ticks(10**low, 10**high)
        ax.set_yticks(np.log10(ticks).tolist(), [words.digits(tick) for tick in ticks])
        ax.set_ylim(low, high)


def _metric_words(metric: str) -> str:
    if metric == "train_loss":
        return "training loss"
    return f"test {metric.removeprefix('test_').replace('_', ' ')}"


def _curves_caption(
    result: ComparisonResult,
    metric: str,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    *,
    grid: bool,
) -> str:
    tuned = " at the chosen values" * any(arm.tuned for arm in result.arms)
    parts = [
        f"{_metric_words(metric)[0].upper()}{_metric_words(metric)[1:]} of the judged members"
        f"{tuned}: {plots.MEDIAN_AND_BAND} over seeds; a member that stopped keeps its last value."
    ]
    if grid:
        parts.append("Gray: the other arms.")
    broken = {
        name: int(np.any(~np.isfinite(values), axis=1).sum())
        for name, (_, values) in curves.items()
    }
    if left := [f"{words.seeds_words(count)} of {name}" for name, count in broken.items() if count]:
        parts.append(f"Left out where not finite: {', '.join(left)}.")
    return " ".join(parts)
