"""Figures of gradient experiments: curves against theory, spectra, saturation, the critical line.

The members of a table have the results that ``experiments/gradients/gradient_vanishing.py``
measures: for every part of the state its curve by lag, the share of exact zeros and theory's curve;
singular values and eigenvalues; saturation by time step.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab import theory
from rnnlab.core.errors import Undecided
from rnnlab.nn.cells import FORGET_BIAS
from rnnlab.nn.initializers import parse
from rnnlab.plotting import keys, plots
from rnnlab.results.table import Table

LEFT, LAG = plots.LEFT, plots.LAG
FLOOR = -32.0  # decades: the lower end of panels whose lines would hide each other otherwise
SCHEMES = {  # labels of initialization schemes
    "normal(std=0.01)": "N(0, 0.01)",
    "standard_normal": "N(0, 1)",
    "torch_uniform": "U(±1/√H)",
    "xavier_uniform": "Xavier",
    "xavier_normal": "Xavier",
    "lecun_normal": "LeCun",
    "he_normal": "He",
    "orthogonal(gain=0.9)": "0.9·orthogonal",
}
_SPECTRUM = "spectrum_"  # results: the singular values at a lag
_THEORIES = (  # a result that members have, what theory it goes with, and the line's style
    ("theory_error", "theory: $W^k$ in float64", ":"),
    ("log10_retention", "gates alone, one part of the gradient", (0, (1, 3))),
    ("sigma_w", r"theory: mean field, $H \to \infty$", ":"),
)
_RETENTION = r"closed form: $\sigma(b_f)^k$, chrono's integral"
_LEAVES = "leaves the panel, to the power at its name"


def scheme_label(scheme: str) -> str:
    """Return the label of an initialization scheme, its name where it has none.

    >>> scheme_label("he_normal"), scheme_label("identity")
    ('He', 'identity')
    """
    return SCHEMES.get(scheme, scheme)


def bias_label(bias: str, symbol: str, default: float = 0.0) -> str:
    """Return the label of a forget bias, a number in words or a scheme.

    Args:
        bias: as ``init.forget_bias`` has it; "": the cell's own.
        symbol: of the bias. default: the cell's own.

    >>> bias_label("1.0", "b_f"), bias_label("chrono(t_max=50)", "b_f")
    ('$b_f$ = 1', 'chrono')
    """
    if bias.startswith("chrono"):
        return "chrono"
    try:
        return f"${symbol}$ = {float(bias or default):g}"
    except ValueError:
        return f"${symbol}$: {scheme_label(bias)}"


def curves(
    ax: Axes, part: str, members: Table, label: str, index: int, floor: float = FLOOR
) -> plots.End | None:
    """Draw the gradient left of a part of the state, and theory's curve, dotted, if there is one.

    The key says of what theory the curve is: of an LSTM or GRU it is the product of the gates
    alone, which some decades may part from the gradient.

    Args:
        ax: the panel.
        part: of the state, "h" or "C".
        members: of one line, which differ in the seed.
        label: the line's; where it ends below ``floor`` (decades), its end is added, and a triangle
            stands where it leaves the panel.
        index: which :func:`rnnlab.plotting.plots.look`.
    Returns:
        The line's end, for :func:`rnnlab.plotting.plots.direct_labels`.
    """
    values, zero = members.stack(part), members.stack(f"{part}_zero")
    end = plots.gradient_curves(ax, values, zero, label, index)
    color = plots.look(index)["color"]
    if end is not None and end.y < floor:
        end = plots.End(end.x, end.y, f"{end.text}: {plots.power(end.y)}", end.color)
        _mark_exit(ax, ax.lines, floor, color)
    forward = not part.endswith("_back")  # which is what the theory is of
    if forward and all("theory" in member.result for member in members):
        line = np.median(members.stack("theory"), axis=0)
        meaning, style = _theory(members)
        at = np.arange(line.size)
        plots.theory_line(ax, at, line, color, label=label, meaning=meaning, linestyle=style)
    return end


def _mark_exit(ax: Axes, lines: Sequence[Line2D], floor: float, color: str) -> None:
    """Mark where the line that was drawn last goes below a panel's lower end."""
    line = [line for line in lines if line.get_marker() in ("None", None)][-1]
    x, y = (np.asarray(values, float) for values in line.get_data())
    at = x[np.flatnonzero(y < floor)[0]]
    style: dict[str, Any] = {"marker": "v", "markersize": 5, "linestyle": "none", "zorder": 5}
    (corner,) = ax.plot(at, floor, color=color, clip_on=False, **style)
    keys.mark(corner, _LEAVES, guide=True)


def _theory(members: Table) -> tuple[str, Any]:
    """Return (what the results' theory is, the style of its line)."""
    has = members[0].result
    return next(
        ((words, style) for name, words, style in _THEORIES if name in has), ("theory", ":")
    )


def decades_left(members: Table, lag: int, part: str = "h") -> np.ndarray:
    """Return log10 of the gradient left at a lag, (members,); −inf: exactly zero.

    Raises:
        Undecided: no members, or shorter sequences.
    """
    values, zero = members.stack(part), members.stack(f"{part}_zero")
    if lag >= values.shape[1]:
        raise Undecided(f"needs task.length above {lag}, got {values.shape[1]}")
    return np.where(zero[:, lag] > 0.5, -np.inf, values[:, lag])


def by_scheme(
    ax: Axes,
    members: Table,
    schemes: Sequence[str],
    draw: Callable[[Table, str, int], plots.End | None],
) -> None:
    """Draw and label a line for each scheme of W_hh that the members have.

    Args:
        ax: the panel, whose limits are set.
        members: of any scheme. schemes: in the order of their looks.
        draw: takes the members of a scheme, its label and its look.
    """
    groups = {scheme: members.select({"init.w_h": scheme}) for scheme in schemes}
    ends = [
        draw(group, scheme_label(scheme), index)
        for index, (scheme, group) in enumerate(groups.items())
        if len(group)
    ]
    plots.direct_labels(ax, ends)


def by_cell(panels: Sequence[tuple[str, str, Table]], schemes: Sequence[str]) -> Figure:
    """Draw the gradient left by scheme of W_hh, a panel per cell and part of its state.

    Args:
        panels: (title, part, members of the cell). schemes: in the order of their looks.
    """
    columns = max(1, min(3, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    size = (13 / 3 * columns, 3.8 * rows)
    figure, axes = plots.new_figure(rows, columns, size=size, share_x=True, share_y=True)
    for ax, (title, part, members) in zip(axes.flat, panels, strict=False):
        plots.title(ax, title)
        ax.set_ylim(FLOOR, 8)
        by_scheme(ax, members, schemes, partial(curves, ax, part))
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel(LAG)
    for ax in axes[:, 0]:
        ax.set_ylabel(LEFT)
    return figure


def forget_bias(panels: Mapping[str, tuple[str, Table]]) -> Figure:
    """Draw the gradient left by forget bias.

    Args:
        panels: by title, the part of the state and the members, of one cell.
    """
    size = (5.5 * len(panels), 4.2)
    figure, axes = plots.new_figure(1, len(panels), size=size, share_y=True)
    for ax, (title, (part, members)) in zip(axes.flat, panels.items(), strict=True):
        ends = [
            curves(ax, part, group, bias_label(bias, "b"), index)
            for index, (bias, group) in enumerate(members.group_by("init.forget_bias").items())
        ]
        plots.title(ax, title)
        ax.set(xlabel=LAG, ylim=(FLOOR, 4))
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel(LEFT)
    return figure


def closed_forms(linear: Table, schemes: Sequence[str], gates: Table) -> Figure:
    """Draw linear RNNs over the powers of their W, and :func:`gates_alone` beside them.

    Args:
        linear: members of the linear RNN. schemes: of their W_hh, in the order of their looks.
        gates: as :func:`gates_alone`.
    Raises:
        Undecided: no linear RNN.
    """
    if not len(linear):
        raise Undecided("no linear RNN")
    figure, axes = plots.new_figure(1, 2, size=(11, 4.2))
    ax, beside = axes[0]
    draw = partial(curves, ax, "h", floor=-math.inf)
    plots.title(ax, "Linear RNN against the powers of its own $W$")
    ax.set(xlabel=LAG, ylabel=LEFT)
    by_scheme(ax, linear, schemes, draw)
    plots.title(beside, r"Gates without recurrence: mean of $\prod f_t$")
    gates_alone(beside, gates)
    return figure


def gates_alone(ax: Axes, members: Table) -> None:
    """Draw the mean of ∏ f_t against lag, by forget bias, over the closed form.

    Args:
        ax: the panel.
        members: LSTMs without recurrent weights whose forget bias is a number or chrono's.
    """
    ends = []
    for index, (bias, group) in enumerate(members.group_by("init.forget_bias").items()):
        kept = group.stack("log10_retention")
        lags = np.arange(kept.shape[1])
        label = bias_label(bias, "b_f", default=FORGET_BIAS)
        if bias.startswith("chrono"):
            t_max = parse(bias)[1]["t_max"]
            label = rf"chrono, $T_\max$ = {t_max:g}"
            exact = np.log10(theory.chrono_retention(t_max, lags))
        else:
            exact = theory.gate_retention_log10(float(bias or FORGET_BIAS), lags)
        ends.append(plots.band(ax, lags, kept, label, index))
        plots.theory_line(ax, lags, exact, plots.COLORS[2], label=label, meaning=_RETENTION)
    ax.set(xlabel=LAG, ylabel=f"{plots.LOG} of the share of $C$ kept")
    plots.direct_labels(ax, ends)


SATURATION = (  # cell, result, title
    ("rnn-tanh", "saturation_h", "RNN, tanh: mean of $1 - |h|$"),
    ("rnn-relu", "saturation_h", "RNN, ReLU: share of units with $h > 0$"),
    ("lstm", "saturation_f", r"LSTM: mean of $\min(f, 1 - f)$"),
    ("gru", "saturation_z", r"GRU: mean of $\min(z, 1 - z)$"),
)


def _saturation_panels(members: Table) -> list[tuple[str, str, str]]:
    """Return the panels of SATURATION whose cells are there, and one per result of other cells."""
    groups = members.group_by("cell.name")
    panels = [panel for panel in SATURATION if panel[0] in groups]
    shown = {cell for cell, *_ in SATURATION}
    for cell, group in groups.items():
        if cell in shown or cell.startswith("bi-"):
            continue
        for result in group[0].result:
            letter = result.removeprefix("saturation_")
            if letter == "h" != result:
                panels.append((cell, result, f"{cell}: mean of $1 - |h|$"))
            elif letter != result:
                words = rf"{cell}: mean of $\min({letter}, 1 - {letter})$"
                panels.append((cell, result, words))
    return panels


def saturation(members: Table, schemes: Sequence[str]) -> Figure:
    """Draw how far units and gates are from their flat ends, against time steps.

    Each panel has the range of its own lines: a gate that is nearly open and shut by turns moves by
    a few hundredths.

    Args:
        members: of any cell; registered ones have a panel per gate. schemes: of W_hh, a line each.
    Raises:
        Undecided: no member with such results.
    """
    panels = _saturation_panels(members)
    if not panels:
        raise Undecided("no member whose saturation was measured")
    rows = max(1, math.ceil(len(panels) / 2))
    figure, axes = plots.new_figure(rows, 2, size=(12, 3.5 * rows), share_x=True)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (cell, result, title) in zip(axes.flat, panels, strict=False):
        plots.title(ax, title)
        draw = partial(_by_step, ax, result)
        by_scheme(ax, members.select({"cell.name": cell}), schemes, draw)
    for ax in axes[-1]:
        ax.set_xlabel("time step $t$")
    return figure


def _by_step(ax: Axes, result: str, members: Table, label: str, index: int) -> plots.End | None:
    values = members.stack(result)
    return plots.band(ax, np.arange(values.shape[1]), values, label, index)


def singular_values(members: Table, titles: Mapping[str, str]) -> Figure:
    """Draw the singular values of ∂h_T/∂h_{T−k}: a panel per cell and lag, a row per scheme.

    The schemes are of W_hh. All panels have the same axis, which ends at FLOOR: what lies below,
    is exactly 0 or overflowed is counted in words.

    Args:
        members: whose spectra were measured. titles: of the cells, by name, which is the title of
            the others.
    """
    lags = sorted(
        int(name.removeprefix(_SPECTRUM))
        for name in members[0].result
        if name.startswith(_SPECTRUM)
    )
    cells, schemes = members.values("cell.name"), members.values("init.w_h")
    size = (5.2 * len(lags) + 1, (0.32 * len(schemes) + 0.5) * len(cells) + 0.7)
    figure, axes = plots.new_figure(len(cells), len(lags), size=size, share_x=True, share_y=True)
    highest = FLOOR
    for line, cell in zip(axes, cells, strict=True):
        for ax, lag in zip(line, lags, strict=True):
            plots.title(ax, f"{titles.get(cell, cell)}, lag $k = {lag}$")
            for index, scheme in enumerate(schemes):
                group = members.select({"cell.name": cell, "init.w_h": scheme})
                if len(group):
                    values = group.stack(f"{_SPECTRUM}{lag}").ravel()
                    highest = max(highest, _spectrum(ax, values, index, scheme_label(scheme)))
    axes[0, 0].set_xlim(FLOOR, highest + 1)
    axes[0, 0].set_yticks(range(len(schemes)), [scheme_label(scheme) for scheme in schemes])
    axes[0, 0].set_ylim(len(schemes) - 0.4, -0.6)
    for ax in axes.flat:
        line = ax.axvline(0, color="#777777", linewidth=0.8, zorder=0.5)
        keys.mark(line, r"$\sigma = 1$: a direction that is kept", guide=True)
    for ax in axes[-1]:
        ax.set_xlabel(rf"{plots.LOG} $\sigma$ of $\partial h_T/\partial h_{{T-k}}$")
    return figure


def _spectrum(ax: Axes, values: np.ndarray, index: int, label: str) -> float:
    """Draw singular values (samples,) in decades as a row; return the largest one drawn."""
    color = plots.look(index)["color"]
    finite = values[np.isfinite(values)]
    shown = finite[finite >= FLOOR]
    (dots,) = ax.plot(shown, np.full(shown.size, index), "|", color=color, markersize=9)
    dots.set(alpha=0.6, label=label)
    keys.mark(dots, "a singular value")
    below = finite.size - shown.size
    words = [
        f"{below} below, to {plots.power(finite.min())}" if below else "",
        f"{count} exactly 0" if (count := int(np.isneginf(values).sum())) else "",
        f"{count} overflowed" if (count := int(np.isnan(values).sum())) else "",
    ]
    if said := ", ".join(filter(None, words)):
        place = (FLOOR, index) if not shown.size else (FLOOR, index + 0.36)
        text = f"◂ {said} (of {values.size})" if below else f"{said} (of {values.size})"
        ax.annotate(
            *(text, place, (3, 0)),
            textcoords="offset points",
            color=plots.ink(color),
            fontsize=8,
            va="center",
        )
    return float(shown.max(initial=FLOOR))


def eigenvalues(members: Table) -> Figure:
    """Draw the eigenvalues of every member's W_hh in the complex plane, by scheme."""
    columns = min(len(members), 4 if len(members) != 6 else 3)
    rows = math.ceil(len(members) / columns)
    figure, axes = plots.new_figure(rows, columns, size=(2.4 * columns, 2.7 * rows + 0.3))
    for ax in axes.flat[len(members) :]:
        ax.set_visible(False)
    for ax, member in zip(axes.flat, members, strict=False):
        real, imaginary = (np.array(member.result[f"eigenvalues_{part}"]) for part in ("re", "im"))
        label = scheme_label(member.config["init"]["w_h"])
        plots.eigenvalue_disc(ax, real + 1j * imaginary, label)
    return figure


def critical_line(groups: Mapping[float, Table]) -> Figure:
    """Draw the gradient of tanh RNNs against lag and σ_w, under mean field's critical line.

    Args:
        groups: the members by σ_w, two groups or more.
    """
    z = np.stack([np.median(members.stack("h"), axis=0) for members in groups.values()])
    variances = [members.stack("input_variance").mean() for members in groups.values()]
    critical = theory.critical_sigma_w(input_variance=float(np.mean(variances)))
    figure, axes = plots.new_figure(1, 1, size=(8, 4.6))
    ax = axes[0, 0]
    plots.heat_map(
        ax,
        np.arange(z.shape[1]),
        np.array(list(groups)),
        z,
        label=LEFT + " (decades)",
        limit=max(10.0, float(np.abs(z[np.isfinite(z)]).max(initial=0.0))),
        linear_within=2.0,
        levels=(-200, -100, -50, -20, -10, -5, -2, 2, 5, 10, 20, 50, 100),
    )
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1}
    for at, style, text, side in (
        (
            *(critical, "--"),
            rf"$\chi = 1$ at $\sigma_w$ = {critical:.2f}: mean field, this input",
            "bottom",
        ),
        (1.0, ":", r"$\sigma_w = 1$: critical without input", "top"),
    ):
        ax.axhline(at, color="black", linestyle=style, linewidth=1.5)
        place, offset = (0.03 * z.shape[1], at), (0, 3 if side == "bottom" else -3)
        ax.annotate(text, place, offset, textcoords="offset points", va=side, fontsize=8, bbox=box)
    ax.set(xlabel=LAG, ylabel=r"$\sigma_w$ of $W_{hh} \sim N(0, \sigma_w^2/H)$")
    plots.title(ax, "tanh RNN: vanishing below, exploding above the critical line")
    return figure
