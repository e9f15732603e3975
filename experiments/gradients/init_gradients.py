"""Every initialization scheme for one cell side by side: spectrum, Lyapunov exponent, gradient.

    rnnlab run --config=experiments/gradients/init_gradients.py [--sweep.cell.name=gru]

Digits pixel by pixel, T = 128, H = 64. Half a minute on 2 cores; ":full" has H = 128, T = 512 and
10 seeds (about 15 minutes by --dry_run's estimate). The verdict, by log10 of the gradient left at
lag 100: below −2 "vanishes", above 2 "explodes", between "keeps".

Expected for the tanh RNN: Gaussian kernels follow the circular law (ρ ≈ σ_w), the top Lyapunov
exponent is the slope of the gradient, the choice of W_hh decides and W_xh and biases matter less.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import gradients
from rnnlab.core import validate
from rnnlab.core.errors import Pooled, Undecided
from rnnlab.lab import gradient_member
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.lines import cell_in_words
from rnnlab.lab.sweep import Beside, Only, Sweep
from rnnlab.nn.cells import CELLS
from rnnlab.plotting import keys, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table

RECURRENT = (
    "zeros",
    "normal(std=0.01)",
    "standard_normal",
    "uniform(bound=0.1)",
    "torch_uniform",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "orthogonal(gain=0.9)",
    "identity",
    "sparse",
    "mean_field(sigma_w=2.0)",
    "critical",
    "critical(input_variance=0.05)",
)
INPUT = ("xavier_uniform", "he_normal", "lecun_normal", "standard_normal", "normal(std=0.01)")
BIAS = ("zeros", "normal(std=0.01)", "uniform(bound=0.01)")
FORGET = ("0.0", "1.0", "3.0", "chrono(t_max=100)")
GAUSSIAN = ("xavier_normal", "he_normal", "lecun_normal", "standard_normal")
KEPT = ("orthogonal", "xavier_uniform", "he_normal", "normal(std=0.01)")  # and what they beat
ORTHOGONAL_OR_XAVIER = ("orthogonal", "xavier_uniform", "xavier_normal")
# the blocks that a part of the sweep may change, beside W_hh
BLOCKS = ("init.w_x", "init.b", "init.forget_bias")
LAGS = (10, 50, 100)
BOUND = 2.0  # decades at lag 100


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    return gradient_member.config(
        length=512 if full else 128,  # T, steps of a sequence
        batch_size=32 if full else 16,
        hidden_size=128 if full else 64,
        probes={"lyapunov_sequences": 4},  # sequences of the batch averaged over
        run={
            "seeds": 10 if full else 5,
            "seconds_per_member": 3.0 if full else 0.15,
            "seconds_per_group": 6.0,
        },
    )


def get_sweep(config: Config) -> Sweep:
    """Return schemes of W_hh, of W_xh, of b for the config's cell; the IRNN; the LSTM's bias."""
    cell = {"cell.name": (config.cell.name,)}
    return [
        {**cell, "init.w_h": RECURRENT, "seed": seeds(config)},
        {**cell, "init.w_x": INPUT, "seed": seeds(config)},
        {**cell, "init.b": BIAS, "seed": seeds(config)},
        {
            "cell.name": Beside(("rnn-relu",)),
            "init.w_h": Only(("identity",)),
            "seed": seeds(config),
        },
        {"cell.name": Beside(("lstm",)), "init.forget_bias": FORGET, "seed": seeds(config)},
    ]


check = gradient_member.check
PARALLEL = True  # members share nothing: groups run in several processes


def group(config: Config) -> tuple[object, ...]:
    """Return the cell, whose members share their compiled programs."""
    return (config.cell.name, config.cell.hidden_size, config.task.length)


def verdict(decades: float, overflowed: bool) -> str:
    """Return "explodes", "vanishes" or "keeps", for the gradient at lag 100."""
    if overflowed or decades > BOUND:
        return "explodes"
    return "vanishes" if decades < -BOUND or np.isnan(decades) else "keeps"


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Draw one member and measure it."""
    del log
    validate.whole("task.length", config.task.length, max(LAGS) + 1)
    probe = gradient_member.draw(config, key)
    curves, overflowed = gradient_member.adjoints(probe)
    part = gradient_member.main_part(curves)
    left = gradient_member.relative(curves[part])
    median, zero = gradient_member.median_over_batch(left)
    at = {lag: -np.inf if zero[lag] > 0.5 else float(median[lag]) for lag in LAGS}
    some = overflowed > 0
    slope = (at[100] - at[10]) / 90 if np.isfinite(at[100] - at[10]) else np.nan
    kernel = {}
    if probe.W_hh is not None:
        kernel = {
            "spectral_radius": gradients.spectral_radius(probe.W_hh),
            "largest_singular_value": float(np.linalg.norm(probe.W_hh, 2)),
            "sigma_w": gradient_member.effective_sigma_w(probe.W_hh),
        }
    return {
        **kernel,
        **probe.record,
        "lyapunov_log10": gradient_member.top_lyapunov(probe, config.probes.lyapunov_sequences)
        / np.log(10),
        "slope_log10": float(slope),
        **{f"log10_at_{lag}": value for lag, value in at.items()},
        "worst_log10_at_100": float(np.max(left[:, 100])),
        "overflowed": overflowed,
        "verdict": verdict(at[100], some),
        "log10_curve": np.round(np.where(zero > 0.5, -np.inf, median), 4),
    }


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the table of schemes, and their gradients beside their Lyapunov exponents."""
    cells = _compared(table)
    if len(cells) > 1:
        raise Pooled({"cell.name": table.values("cell.name")})  # a panel per cell
    out = {"schemes": _scheme_table(table, cells[0])}
    if len(_by_w_h(table, cells[0])):
        out["slopes"] = _slopes(_by_w_h(table, cells[0]))
    return out


def _compared(table: Table) -> list[str]:
    """Return the cells whose schemes are compared; of no such cell, the one of most members."""
    blocks = ("init.w_h", "init.w_x", "init.b")
    by_cell = table.group_by("cell.name")
    cells = [
        cell
        for cell, members in by_cell.items()
        if any(len(members.values(block)) > 1 for block in blocks)
    ]
    return cells or [max(by_cell, key=lambda cell: len(by_cell[cell]))]


def _by_w_h(table: Table, cell: str) -> Table:
    """Select the members of a cell that differ in W_hh alone."""
    return table.select({key: _base(table, key) for key in BLOCKS} | {"cell.name": cell})


def _base(table: Table, key: str) -> str:
    """Return the config's value of a block: of the members whose sweep does not change it.

    Raises:
        Pooled: there is none, and the block has several values.
    """
    unchanged = [member for member in table if key not in member.overrides] or list(table)
    swept = key in unchanged[0].overrides and key != "init.w_h"  # whose values are the rows
    if swept and len(values := table.values(key)) > 1:
        raise Pooled({key: values})
    group, name = key.split(".")
    return unchanged[0].config[group][name]


def _scheme_table(table: Table, usual: str) -> tuple[Figure, str]:
    """Draw rows of schemes, medians over seeds, a bar for the gradient at lag 100."""
    # a cell is named where it is another one
    rows: dict[str, list[Member]] = {}
    for member in table:
        shown = {k: v for k, v in member.overrides.items() if (k, v) != ("cell.name", usual)}
        rows.setdefault(_label(shown), []).append(member)
    figure, axes = plots.new_figure(
        1, 2, size=(12, 0.27 * len(rows) + 1.2), share_y=True, widths=(1.35, 1)
    )
    numbers, bars = axes[0]
    columns = ("spectral_radius", "lyapunov_log10", "log10_at_10", "log10_at_50", "log10_at_100")
    heads = ("spectral\nradius", "$\\lambda_1/\\ln 10$\n(per step)")
    heads += ("lag 10", "lag 50", "lag 100", "verdict")
    numbers.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    numbers.axis("off")
    for x, head in zip((0.5, 0.62, 0.71, 0.8, 0.89, 0.91), heads, strict=True):
        numbers.text(
            x,
            -0.7,
            head,
            ha="left" if head == "verdict" else "right",
            va="bottom",
            fontsize=8,
            fontweight="bold",
        )
    marks = {"vanishes": "▼", "keeps": "●", "explodes": "▲"}
    colors = {
        "vanishes": plots.COLORS[1],
        "keeps": plots.COLORS[3],
        "explodes": plots.COLORS[2],
    }
    for y, (name, members) in enumerate(rows.items()):
        # a cell without a matrix W_hh has no spectral radius
        values = [float(np.median([m.result.get(c, np.nan) for m in members])) for c in columns]
        verdicts = [m.result["verdict"] for m in members]
        most = max(set(verdicts), key=verdicts.count)
        numbers.text(0, y, name, va="center", fontsize=8, family="monospace")
        for x, value in zip((0.5, 0.62, 0.71, 0.8, 0.89), values, strict=True):
            words = {-np.inf: "−∞"}.get(value, f"{value:.2f}").replace("nan", "–")
            numbers.text(x, y, words, va="center", ha="right", fontsize=8)
        share = f"{verdicts.count(most)}/{len(verdicts)}"
        numbers.text(
            0.91, y, f"{marks[most]} {most} {share}", va="center", fontsize=8, color=colors[most]
        )
        bars.barh(y, max(values[-1], -200), color=colors[most], height=0.7)
    bars.set_xscale("symlog", linthresh=2)
    bars.axvspan(-BOUND, BOUND, color="#eeeeee", zorder=0)
    bars.set_xticks([-100, -10, -2, 0, 2, 10, 100], ["−100", "−10", "−2", "0", "2", "10", "100"])
    bars.set(xlabel=f"{plots.LEFT} at lag 100 (gray: kept)")
    bars.tick_params(left=False, labelleft=False)
    return figure, (
        f"Every scheme of {cell_in_words(usual)} side by side, medians over seeds; gradients in "
        "decades relative to lag 0 (∂L/∂C for an LSTM). −∞: exactly zero. The fraction: members "
        "with that verdict."
    )


def _label(overrides: Mapping[str, object]) -> str:
    keys = {
        "cell.name": "",
        "init.w_h": "W_hh ",
        "init.w_x": "W_xh ",
        "init.b": "b ",
        "init.forget_bias": "b_f ",
    }
    return ", ".join(f"{keys.get(k, k + ' ')}{v}" for k, v in overrides.items() if k != "seed")


def _slopes(chosen: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(12, 4.6))
    curves, scatter = axes[0]
    ends = []
    own = [s for s in chosen.values("init.w_h") if s not in RECURRENT]
    picked = (
        *own,
        "standard_normal",
        "he_normal",
        "identity",
        "xavier_normal",
        "orthogonal",
        "sparse",
        "torch_uniform",
    )
    for index, scheme in enumerate(s for s in picked if s in chosen.values("init.w_h")):
        y = chosen.select({"init.w_h": scheme}).stack("log10_curve")
        ends.append(plots.gradient_curves(curves, y, np.isneginf(y), scheme, index))
    curves.set(xlabel=plots.LAG, ylabel=plots.LEFT)
    plots.title(curves, "Gradient against lag")
    plots.direct_labels(curves, ends)
    x, y = chosen.each("lyapunov_log10"), chosen.each("slope_log10")
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise Undecided("no member has both a slope and a Lyapunov exponent")
    edge = [min(x[known].min(), y[known].min()), max(x[known].max(), y[known].max())]
    (line,) = scatter.plot(edge, edge, color="#777777", linewidth=0.8)
    keys.mark(line, "equality", guide=True)
    (dots,) = scatter.plot(
        *(x[known], y[known], "o"), color=plots.COLORS[1], markersize=4, alpha=0.6
    )
    keys.mark(dots, "a member")
    scatter.set(xlabel=r"top Lyapunov exponent $\lambda_1/\ln 10$ (decades per step)")
    scatter.set_ylabel("slope of the gradient, lags 10–100 (decades per step)")
    plots.title(scatter, "One predicts the other")
    return figure, (
        "Left: the gradient left against lag for some schemes of W_hh, "
        f"{plots.MEDIAN_AND_BAND} over seeds. Right: each member's slope against its top Lyapunov "
        "exponent; the line is equality."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _usual(table: Table, cell: str) -> dict[str, object]:
    """Return the config's values of all blocks, of a cell."""
    values: dict[str, object] = {key: _base(table, key) for key in (*BLOCKS, "init.w_h")}
    return values | {"cell.name": cell}


def _at_100(table: Table, **criteria: object) -> float:
    return float(np.median(table.select(criteria).stack("log10_at_100")))


@claim(
    "Orthogonal and identity kernels have spectral radius 1, the sparse one 0.95",
    source="closed form",
    holds_if="all seeds within {most:g}",
    expected="holds",
    closed_form=True,
    most=1e-4,
)
def _radii(by_w_h: Table, most: float) -> tuple[bool, str]:
    unit = by_w_h.select({"init.w_h": ("orthogonal", "identity")}).stack("spectral_radius")
    sparse = by_w_h.select({"init.w_h": "sparse"}).stack("spectral_radius")
    errors = np.abs(unit - 1).max(), np.abs(sparse - 0.95).max()
    return bool(max(errors) <= most), f"errors {errors[0]:.1e} and {errors[1]:.1e}"


@claim(
    "The gradient of {name} is below σ_max^k where the largest singular value σ_max < 1",
    source="closed form; Pascanu, Mikolov & Bengio 2013",
    holds_if="every example at lag {lag}, to {most:g} decades",
    expected="holds",
    closed_form=True,
    lag=100,
    most=0.01,
)
def _bounded(by_w_h: Table, cell: str, lag: int, most: float) -> tuple[bool, str]:
    del cell
    sizes = by_w_h.each("largest_singular_value")
    small = (sizes < 1) & (sizes > 0)
    if not small.any():
        raise Undecided("no member with a largest singular value below 1")
    worst = by_w_h.each(f"worst_log10_at_{lag}")[small] - lag * np.log10(sizes[small])
    return bool(worst.max() <= most), (
        f"{small.sum()} members; nearest to the bound: {-worst.max():.2f} decades below it"
    )


@claim(
    "A Gaussian kernel's spectral radius is σ_w = std·√H",
    source="circular law: Ginibre 1965, Girko 1984",
    holds_if="every member within {most:.0%}",
    expected="holds",
    most=0.2,
)
def _circular(by_w_h: Table, most: float) -> tuple[bool, str]:
    members = by_w_h.select({"init.w_h": GAUSSIAN})
    ratio = members.stack("spectral_radius") / members.stack("sigma_w")
    return bool(np.abs(ratio - 1).max() <= most), (
        f"ρ/σ_w from {ratio.min():.2f} to {ratio.max():.2f}"
    )


@claim(
    "The top Lyapunov exponent is the slope of the gradient",
    source="Engelken, Wolf & Abbott 2023 (arXiv 2006.02427)",
    holds_if="|slope between lags 10 and 100 − λ₁/ln 10| ≤ {absolute:g} + {relative:.0%} for at "
    "least {share:.0%} of members",
    expected="holds",
    absolute=0.02,
    relative=0.05,
    share=0.9,
)
def _slope(by_w_h: Table, absolute: float, relative: float, share: float) -> tuple[bool, str]:
    slopes, exponents = by_w_h.each("slope_log10"), by_w_h.each("lyapunov_log10")
    known = np.isfinite(slopes) & np.isfinite(exponents)
    if not known.any():
        raise Undecided("no member has both a slope and a Lyapunov exponent")
    error = np.abs(slopes - exponents)[known]
    near = error <= absolute + relative * np.abs(exponents[known])
    return bool(near.mean() >= share), (
        f"{near.sum()} of {near.size} members; median difference "
        f"{np.median(error):.3f} decades per step"
    )


@claim(
    "Orthogonal, Xavier and He are schemes for W_hh",
    source="the notes, claim 15",
    holds_if="at lag 100 each keeps at least {more:g} decades more than N(0, 0.01)",
    expected="holds",
    more=10,
)
def _recommended(by_w_h: Table, more: float) -> tuple[bool, str]:
    left = {scheme: _at_100(by_w_h, **{"init.w_h": scheme}) for scheme in KEPT}
    small = left.pop("normal(std=0.01)")
    return min(left.values()) > small + more, (
        ", ".join(f"{scheme} {value:.1f}" for scheme, value in left.items())
        + f"; N(0, 0.01) {small:.1f}"
    )


@claim(
    "W_hh affects the gradient more than W_xh",
    source="the notes, claim 15",
    holds_if="at lag 100 the medians range over fewer decades across W_xh schemes than across "
    "W_hh schemes",
    expected="holds",
)
def _input_matters_less(table: Table, by_w_h: Table, cell: str) -> tuple[bool, str]:
    usual = _usual(table, cell)
    by_x = [_at_100(table, **(usual | {"init.w_x": scheme})) for scheme in INPUT]
    by_h = [_at_100(by_w_h, **{"init.w_h": scheme}) for scheme in RECURRENT if scheme != "zeros"]
    ranges = np.ptp(by_x), np.ptp(by_h)
    return bool(ranges[0] < ranges[1]), (
        f"range of the medians at lag 100: {ranges[0]:.1f} decades over W_xh schemes, "
        f"{ranges[1]:.1f} over W_hh schemes"
    )


@claim(
    "Zero or small random biases do not matter",
    source="the notes, claim 15",
    holds_if="medians at lag 100 within {most:g} decade of each other",
    expected="holds",
    most=1,
)
def _bias_matters_little(table: Table, cell: str, most: float) -> tuple[bool, str]:
    usual = _usual(table, cell)
    medians = [_at_100(table, **(usual | {"init.b": scheme})) for scheme in BIAS]
    return bool(np.ptp(medians) < most), f"range of the medians {np.ptp(medians):.2f} decades"


# "refuted" was expected at first, from what 200 steps do to the gradient; over 100 it is kept, if
# barely
@claim(
    "With orthogonal or Xavier W_hh the gradient of {name} is kept over 100 steps",
    source="the notes, claim 16",
    holds_if='verdict "keeps" for at least {share:.0%} of the members',
    expected="holds",
    share=0.5,
)
def _keeps(by_w_h: Table, share: float) -> tuple[bool, str]:
    members = by_w_h.select({"init.w_h": ORTHOGONAL_OR_XAVIER})
    kept = [member.result["verdict"] == "keeps" for member in members]
    return bool(np.mean(kept) >= share), f"{sum(kept)} of {len(kept)} members keep"


def _within(statement: str, source: str, expected: str) -> Callable[..., Claim]:
    def check(table: Table, criteria: dict[str, object], most: float) -> tuple[bool, str]:
        left = _at_100(table, **criteria)
        return abs(left) <= most, f"median 10^{left:.2f} at lag 100"

    return claim(
        statement,
        source=source,
        holds_if="median within {most:.0f} decades at lag 100",
        expected=expected,
        most=BOUND,
    )(check)


SINGLE = (  # statement, source, expected verdict, members
    (
        "The IRNN (ReLU, W_hh = I) keeps its gradient",
        "Le, Jaitly & Hinton 2015",
        "holds",
        {"cell.name": "rnn-relu", "init.w_h": "identity"},
    ),
    (
        "An LSTM with b_f = 0 keeps its gradient",
        "the notes, claim 17",
        "refuted",
        {"cell.name": "lstm", "init.forget_bias": "0.0"},
    ),
    (
        "An LSTM with b_f = 1 keeps its gradient",
        "the notes, claim 17; Jozefowicz et al. 2015",
        "refuted",
        {"cell.name": "lstm", "init.forget_bias": "1.0"},
    ),
    (
        "An LSTM with chrono(t_max=100) keeps its gradient",
        "the notes, claim 17; Tallec & Ollivier 2018",
        "holds",
        {"cell.name": "lstm", "init.forget_bias": "chrono(t_max=100)"},
    ),
)


def claims(table: Table) -> list[Claim]:
    """List exact properties, published predictions, and the notes' claims 15, 16, 17.

    They are of the cells and schemes that were swept: a claim whose members were not asked for is
    left out.
    """
    made: list[Claim] = []
    cells = _compared(table)
    for cell in cells:
        own = _claims_of(table, cell)
        if len(cells) > 1:
            name = cell_in_words(cell)
            own = [
                c if name in c.statement else replace(c, statement=f"{c.statement} ({name})")
                for c in own
            ]
        made += own
    singles = [row for row in SINGLE if len(table.select(row[-1]))]
    return made + [_within(*words)(table, criteria=criteria) for *words, criteria in singles]


def _claims_of(table: Table, cell: str) -> list[Claim]:
    """Return the claims about the schemes of a cell that have members."""
    by_w_h = _by_w_h(table, cell)
    usual = {k: v for k, v in _usual(table, cell).items() if len(table.select({k: v}))}
    names, name = by_w_h.values("init.w_h"), cell_in_words(cell)
    kernels = bool(len(by_w_h)) and all("sigma_w" in m.result for m in by_w_h)
    simple = cell in CELLS and cell.startswith("rnn-") and kernels

    def swept(key: str, schemes: tuple[str, ...]) -> bool:
        """Whether members that differ in this block alone have all these schemes."""
        others = {k: v for k, v in usual.items() if k != key}
        return set(schemes) <= set(table.select(others).values(key))

    all_w_h = swept("init.w_h", RECURRENT)
    rows: list[tuple[bool, Callable[[], Claim]]] = [
        (kernels and {"orthogonal", "identity", "sparse"} <= set(names), lambda: _radii(by_w_h)),
        (simple and _some_small(by_w_h), lambda: _bounded(by_w_h, cell=cell, name=name)),
        (kernels and set(GAUSSIAN) <= set(names), lambda: _circular(by_w_h)),
        (len(by_w_h) > 0, lambda: _slope(by_w_h)),
        (set(KEPT) <= set(names), lambda: _recommended(by_w_h)),
        (
            all_w_h and swept("init.w_x", INPUT),
            lambda: _input_matters_less(table, by_w_h=by_w_h, cell=cell),
        ),
        (swept("init.b", BIAS), lambda: _bias_matters_little(table, cell=cell)),
        (bool(set(ORTHOGONAL_OR_XAVIER) & set(names)), lambda: _keeps(by_w_h, name=name)),
    ]
    return [make() for there, make in rows if there]


def _some_small(by_w_h: Table) -> bool:
    """Whether a member has a largest singular value between 0 and 1."""
    sizes = by_w_h.each("largest_singular_value")
    return bool(((sizes > 0) & (sizes < 1)).any())
