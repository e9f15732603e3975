"""How much gradient reaches each time step, for every cell and initialization, against theory.

    rnnlab run --config=experiments/gradients/gradient_vanishing.py

Handwritten digits read pixel by pixel and strung together, T = 200; the loss is a classifier's
at the last step and its label belongs to the first image. About 1 minute on 2 cores; ":full" has
H = 128, T = 784 and 10 seeds (about an hour by --dry_run's estimate).

Expected: closed forms to 1e-4 decades; after 199 steps a tanh RNN has 10^-215 of its gradient
left with N(0, 0.01) weights, 10^-43 with PyTorch's uniform ones, 10^-4 with orthogonal ones; an
LSTM has 10^-13 of ∂L/∂C left after 100 steps with b_f = 0, 10^-2 with b_f = 1 and 10^-0.3 with a
forget bias that fits the length (chrono). Other sequences: --config.task.path=FILE (a table or a
text), or --config.task.name=text or noise; any length: --config.task.length=1000.
"""

from collections.abc import Callable

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import gradients, theory
from rnnlab.core.errors import Pooled, Undecided
from rnnlab.lab import gradient_member
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.gradient_member import rounded, seeds_of
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.plotting import gradient_figures, learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru", "bi-rnn-tanh")
ZERO_BIAS = {"lstm": {"init.forget_bias": ("0.0",)}}  # where a cell's own default is not zero
SCHEMES = ("normal(std=0.01)", "torch_uniform", "xavier_uniform", "he_normal")
SCHEMES += ("identity", "orthogonal")
FORGET_BIASES = ("1.0", "3.0", "chrono(t_max={length})")
SIGMAS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
MEAN_FIELD = "mean_field(sigma_w={})"
LINEAR = ("orthogonal(gain=0.9)", "orthogonal", "xavier_normal", "he_normal", "normal(std=0.01)")
GATES_ALONE = {"cell.name": "lstm", "init.w_h": "zeros"}
LAGS = (10, 50, 100)
KEEPS, FAR = 2.0, 100  # "kept": within 2 decades (a factor of 100) at this lag


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" the paper-sized one."""
    full = scale(arg) == "full"
    return gradient_member.config(
        length=784 if full else 200,  # T, steps of a sequence
        batch_size=32 if full else 16,
        hidden_size=128 if full else 64,
        probes={
            "spectrum_lags": (10, 100),  # lags at which singular values are measured (slow)
            "spectrum_seeds": 1,  # seeds whose singular values are measured
        },
        run={
            "seeds": 10 if full else 5,
            "seconds_per_member": 6.0 if full else 0.15,
            "seconds_per_group": 8.0,
        },
    )


def get_sweep(config: Config) -> Sweep:
    """Return cells x schemes; forget biases; σ_w for the heat map; the closed forms."""
    biases = tuple(bias.format(length=config.task.length) for bias in FORGET_BIASES)
    return [
        *(
            {
                "cell.name": (cell,) if cell == CELLS[0] else Only((cell,)),
                **ZERO_BIAS.get(cell, {}),
                "init.w_h": SCHEMES,
                "seed": seeds(config),
            }
            for cell in CELLS
        ),
        {
            "cell.name": Only(("lstm", "gru")),
            "init.w_h": Only(("orthogonal",)),
            "init.forget_bias": biases,
            "seed": seeds(config),
        },
        {
            "cell.name": Only(("rnn-tanh",)),
            "seed": seeds(config),
            "init.w_h": Only(MEAN_FIELD.format(sigma) for sigma in SIGMAS),
        },
        {"cell.name": Only(("rnn-identity",)), "init.w_h": LINEAR, "seed": seeds(config)},
        # nothing recurrent and no input to f: the forget bias alone decides what C keeps
        {
            **{key: Only((value,)) for key, value in GATES_ALONE.items()},
            "init.gates.f.w_x": ("zeros",),
            "init.forget_bias": (biases[0], biases[-1]),
            "seed": seeds(config),
        },
    ]


check = gradient_member.check
PARALLEL = True  # members share nothing: groups run in several processes


def group(config: Config) -> tuple[object, ...]:
    """Return the cell, whose members share their compiled programs: schemes change no shape."""
    return (config.cell.name, config.cell.hidden_size, config.task.length)


# ---- one member --------------------------------------------------------------------------------


def run(config: Config, key: jax.Array, log: Callable[..., None]) -> dict[str, object]:
    """Draw one member and measure it; curves are ordered by lag."""
    del log
    probe = gradient_member.draw(config, key)
    T = config.task.length
    curves, overflowed = gradient_member.adjoints(probe)
    result: dict[str, object] = {"overflowed": overflowed, **probe.record}
    for part, norms in curves.items():
        median, zero = gradient_member.median_over_batch(gradient_member.relative(norms))
        result |= {part: rounded(median), f"{part}_zero": rounded(zero)}
        # the same at a few lags, as numbers for the table of members
        at = {k: -np.inf if zero[k] > 0.5 else round(float(median[k]), 2) for k in LAGS if k < T}
        result |= {f"log10_{part}_at_{k}": value for k, value in at.items()}
    part = "h" if "h" in curves else gradient_member.main_part(curves)
    line = gradient_member.theory_curves(probe, curves[part])
    result |= {k: v if isinstance(v, float) else rounded(v) for k, v in line.items()}
    if probe.W_hh is not None:
        result["spectral_radius"] = gradients.spectral_radius(probe.W_hh)
    if getattr(probe.cell, "activation", "tanh") in ("tanh", "relu"):  # linear: no flat end
        saturated = gradients.saturation(probe.cell, probe.cell_params, probe.xs)
        result |= {f"saturation_{k}": rounded(v.mean(axis=0)) for k, v in saturated.items()}
    if config.seed < config.probes.spectrum_seeds and not probe.both_ways:
        lags = [lag for lag in config.probes.spectrum_lags if lag <= T]
        spectra = gradients.jacobian_spectrum(
            probe.cell, probe.cell_params, probe.xs[0], lags, part=part
        )
        result |= {f"spectrum_{lag}": rounded(s) for lag, s in zip(lags, spectra, strict=True)}
        if probe.W_hh is not None:
            z = np.linalg.eigvals(probe.W_hh)
            result |= {"eigenvalues_re": rounded(z.real), "eigenvalues_im": rounded(z.imag)}
    return result


# ---- figures -----------------------------------------------------------------------------------

TITLES = {
    "rnn-tanh": r"RNN, tanh: $\partial L/\partial h_t$",
    "rnn-relu": r"RNN, ReLU: $\partial L/\partial h_t$",
    "lstm": r"LSTM, $b_f = 0$: $\partial L/\partial C_t$",
    "gru": r"GRU, $b_z = 0$: $\partial L/\partial h_t$",
    "bi-rnn-tanh": "Bi-RNN: forward half",
}


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the figures of the report, each with its caption."""
    drawn = (_gradients, _forget_bias, _critical_line, _linear)
    drawn += (_singular_values, _saturation, _eigenvalues)
    makers = {make.__name__[1:]: make for make in drawn}
    return learning_curves.figures_with_members(table, makers)


def _cells(table: Table) -> list[str]:
    """Return the cells that the members of the main comparison have, others after those of CELLS.

    The linear RNN, which has figures of its own, is one only where it is alone.
    """
    names = base_members(table).values("cell.name")
    others = [n for n in names if n not in CELLS and (n != "rnn-identity" or names == [n])]
    return [*(name for name in CELLS if name in names), *others]


def _schemes(members: Table) -> list[str]:
    """Return the schemes of W_hh that members have, those of SCHEMES first, without σ_w's."""
    own = {*LINEAR, "zeros", *(MEAN_FIELD.format(sigma) for sigma in SIGMAS)}
    return [*dict.fromkeys([*SCHEMES, *(n for n in members.values("init.w_h") if n not in own)])]


def _adjoint(part: str) -> str:
    return rf"$\partial L/\partial {part}_t$" if part.isalpha() else f"∂L/∂{part}"


def _title(cell: str, part: str) -> str:
    title = TITLES.get(cell, f"{cell}: {'forward half' if cell[:3] == 'bi-' else _adjoint(part)}")
    return f"{title.partition(':')[0]}: backward half" if part.endswith("_back") else title


def _gradients(table: Table) -> tuple[Figure, str]:
    base = base_members(table)
    by_cell = {name: base.select({"cell.name": name}) for name in _cells(table)}
    panels = [
        (_title(name, part), part, members)
        for name, members in by_cell.items()
        for part in gradient_member.drawn_parts(members[0].result)
    ]
    return gradient_figures.by_cell(panels, _schemes(base)), (
        f"How much of ‖∂L/∂h_T‖ is left k steps earlier, in decades: {plots.MEDIAN_AND_BAND} over "
        "seeds, by scheme of W_hh. A cross: the last finite value, from there on exactly zero. "
        "Dotted, for the RNNs: theory, mean field’s χ^(k/2) with the measured σ_w and input "
        "variance. For LSTM and GRU there is no such theory: wide dots are the product of the "
        "forget (update) gates alone, one path of the gradient, which may lie decades below it; "
        "for a cell of your own they are of its keep_gate."
    )


def _forget_bias(table: Table) -> tuple[Figure, str]:
    orthogonal = table.select({"init.w_h": "orthogonal"})
    panels = {
        title: (part, members)
        for name, part, title in (
            ("lstm", "C", rf"LSTM: {_adjoint('C')}, $b = b_f$"),
            ("gru", "h", rf"GRU: {_adjoint('h')}, $b = b_z$"),
        )
        if len(members := orthogonal.select({"cell.name": name}))
    }
    if not panels:
        raise Undecided("no LSTM and no GRU with orthogonal kernels")
    return gradient_figures.forget_bias(panels), (
        "The forget bias (b_f of the LSTM, b_z of the GRU) decides: orthogonal kernels, "
        f"{plots.MEDIAN_AND_BAND} over seeds. Wide dots: the product of the gates alone, ∏ f_t, "
        "one of the gradient’s paths."
    )


def _critical_line(table: Table) -> tuple[Figure, str]:
    tanh = table.select({"cell.name": "rnn-tanh"})
    rows = {sigma: tanh.select({"init.w_h": MEAN_FIELD.format(sigma)}) for sigma in SIGMAS}
    rows = {sigma: members for sigma, members in rows.items() if len(members)}
    if len(rows) < 2:
        raise Undecided("no members over σ_w")
    return gradient_figures.critical_line(rows), (
        "Median over seeds of the gradient left, against lag and weight scale. Contours in "
        "decades; colors are linear within ±2 decades and logarithmic beyond. The dashed line is "
        "drawn from theory alone, before any training."
    )


def _linear(table: Table) -> tuple[Figure, str]:
    linear = table.select({"cell.name": "rnn-identity"})
    schemes = [*dict.fromkeys([*LINEAR, *linear.values("init.w_h")])]
    return gradient_figures.closed_forms(linear, schemes, table.select(GATES_ALONE)), (
        f"The closed forms, {plots.MEDIAN_AND_BAND} over seeds. Left: W^k in float64 (dotted) "
        "under the probe's float32 curve, far below float32's smallest number (1e-45). Right: "
        "σ(b_f)^k, and chrono's integral, which tends to 0.1485 at k = T_max."
    )


def _with_spectrum(table: Table, *cells: str) -> Table:
    """Select the base members whose spectrum was measured."""
    base = base_members(table, **{"cell.name": cells})
    members = base.select({"init.w_h": _schemes(base)})
    if measured := [m for m in members if any(r.startswith("spectrum_") for r in m.result)]:
        return Table(measured)
    raise Undecided("no member with a spectrum")


def _singular_values(table: Table) -> tuple[Figure, str]:
    others = [name for name in _cells(table) if name not in CELLS]
    members = _with_spectrum(table, "rnn-tanh", "lstm", *others)
    titles = {cell: title.split(",")[0].split(":")[0] for cell, title in TITLES.items()}
    return gradient_figures.singular_values(members, titles), (
        f"Singular values of ∂h_T/∂h_{{T−k}}, one sequence, {seeds_of(members)}: the directions "
        "that survive. Marks near 0 keep every direction. All panels have the same axis; what lies "
        "to the left of it is counted."
    )


def _saturation(table: Table) -> tuple[Figure, str]:
    base = base_members(table, **{"cell.name": _cells(table)})
    figure = gradient_figures.saturation(base, _schemes(base))
    digits = table.values("task.name") == ["digits"]
    return figure, (
        "How far units and gates are from the flat ends of their functions, where no gradient "
        "passes (0: saturated); each panel has the range of its lines; "
        f"{plots.MEDIAN_AND_BAND} over seeds"
        + ("; the digits' blank and inked pixels show as waves." if digits else ".")
    )


def _eigenvalues(table: Table) -> tuple[Figure, str]:
    members = _with_spectrum(table, "rnn-tanh")
    return gradient_figures.eigenvalues(members), (
        f"Eigenvalues of W_hh before training, {seeds_of(members)}, with the unit circle: a "
        "Gaussian kernel fills a disc of radius σ_w (circular law), an orthogonal one lies on the "
        "circle."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def base_members(table: Table, **criteria: object) -> Table:
    """Select members of the first part of the sweep, whose gates' biases are zero.

    A cell that this file does not name has its own forget bias.
    """
    return table.select({"init.forget_bias": ("", "0.0"), **criteria})


def _decades(table: Table, lag: int, part: str = "h", **criteria: object) -> np.ndarray:
    return gradient_figures.decades_left(table.select(criteria), lag, part)


def _chrono(table: Table) -> Table:
    """Select the members with a chrono forget bias."""
    biases = [b for b in table.values("init.forget_bias") if b.startswith("chrono")]
    if not biases:
        raise Undecided("no member with a chrono forget bias")
    if len(biases) > 1:
        raise Pooled({"init.forget_bias": biases})
    return table.select({"init.forget_bias": biases[0]})


@claim(
    "A linear RNN with W_hh = αQ, Q orthogonal, keeps exactly α^k over k steps",
    source="closed form; Saxe et al. 2013",
    holds_if="α = {alpha:g}, every lag and example: error ≤ {most:g} decades",
    expected="holds",
    closed_form=True,
    alpha=0.9,
    most=0.01,
)
def _scaled_orthogonal(table: Table, alpha: float, most: float) -> tuple[bool, str]:
    curves = table.select(
        {"cell.name": "rnn-identity", "init.w_h": f"orthogonal(gain={alpha:g})"}
    ).stack("h")
    error = np.abs(curves - theory.scaled_orthogonal_log10(alpha, np.arange(curves.shape[1]))).max()
    return bool(error <= most), f"largest difference {error:.1e} decades over all lags"


def _power_of_w(statement: str, holds_if: str) -> Callable[..., Claim]:
    def check(table: Table, scheme: str, most: float) -> tuple[bool, str]:
        members = table.select({"cell.name": "rnn-identity", "init.w_h": scheme})
        error = members.stack("theory_error").max()
        return bool(error <= most), f"largest difference {error:.1e} decades over all lags"

    return claim(
        statement,
        source="closed form: ∂h_T/∂h_t = W^k",
        holds_if=holds_if,
        expected="holds",
        closed_form=True,
        most=0.01,
    )(check)


small_power = _power_of_w(
    "With N(0, 0.01) weights the adjoint is the power of this very W_hh, far below float32",
    "every lag and example within {most:g} decades of the float64 product",
)
he_power = _power_of_w(
    "So it is with He weights, which explode",
    "every lag and example (that has a gradient) within {most:g} decades of the float64 product",
)


@claim(
    "With no recurrent weights ∂C_T/∂C_t = σ(b_f)^k",
    source="closed form; Gers et al. 2000",
    holds_if="b_f = 1, every lag: error ≤ {most:g} decades",
    expected="holds",
    closed_form=True,
    most=0.01,
)
def _gate_retention(table: Table, most: float) -> tuple[bool, str]:
    curves = table.select({**GATES_ALONE, "init.forget_bias": "1.0"}).stack("C")
    error = np.abs(curves - theory.gate_retention_log10(1.0, np.arange(curves.shape[1]))).max()
    return bool(error <= most), (
        f"largest difference {error:.1e} decades; {curves[0, -1]:.2f} at lag {curves.shape[1] - 1}"
    )


@claim(
    "Chrono biases with T_max = T keep E₂(1) = 0.1485 of C, whatever T",
    source="closed form; Tallec & Ollivier 2018",
    holds_if="mean over units and seeds within {most:g} of the integral at lag T − 1",
    expected="holds",
    closed_form=True,
    most=0.05,
)
def _chrono_retention(table: Table, most: float) -> tuple[bool, str]:
    kept = 10.0 ** _chrono(table.select(GATES_ALONE)).stack("log10_retention")
    lag = kept.shape[1] - 1
    exact, measured = float(np.asarray(theory.chrono_retention(lag + 1, lag))), kept[:, lag].mean()
    return bool(abs(measured - exact) <= most), (
        f"{measured:.4f} of C kept over {lag} steps, expected {exact:.4f} (limit 0.1485)"
    )


@claim(
    "Mean field predicts before training whether a tanh RNN's gradient shrinks or grows",
    source="Chen, Pennington & Schoenholz 2018; χ^(k/2) with the data's own input variance",
    holds_if="where it predicts more than {decades:.0f} decades at lag {lag}, the sign is right "
    "for at least {share:.0%} of members",
    expected="holds",
    decades=KEEPS,
    lag=FAR,
    share=0.9,
)
def _mean_field_sign(table: Table, decades: float, lag: int, share: float) -> tuple[bool, str]:
    right, total = 0, 0
    for sigma in SIGMAS:
        members = table.select({"cell.name": "rnn-tanh", "init.w_h": MEAN_FIELD.format(sigma)})
        measured = _decades(members, lag)  # undecided for shorter sequences
        predicted = members.stack("theory")[:, lag]
        clear = np.abs(predicted) >= decades  # nearer to the critical line nothing is predicted
        right += int((np.sign(predicted) == np.sign(measured))[clear].sum())
        total += int(clear.sum())
    if total == 0:
        raise Undecided("no member is two decades away from the critical line")
    return right / total >= share, f"{right} of {total} members on the predicted side"


@claim(
    "RNN gradients vanish or explode over long sequences",
    source="the notes, claim 11",
    holds_if="at lag {lag} at least {share:.0%} of tanh and ReLU members, all schemes, are off by "
    "more than {decades:.0f} decades",
    expected="holds",
    lag=150,
    share=0.75,
    decades=KEEPS,
)
def _rnn_vanishes(table: Table, lag: int, share: float, decades: float) -> tuple[bool, str]:
    simple = {"cell.name": ("rnn-tanh", "rnn-relu"), "init.w_h": SCHEMES}
    gone = ~(np.abs(_decades(base_members(table), lag, **simple)) < decades)
    return bool(gone.mean() >= share), (
        f"{gone.sum()} of {gone.size} tanh and ReLU members changed by more than "
        f"{decades:.0f} decades at lag {lag}"
    )


@claim(
    "Reading both ways does not help: each direction of a Bi-RNN loses as much as a one-way RNN",
    source="the notes, claim 11 and 20",
    holds_if="mean decades lost at lag {lag} within {errors:g} standard errors over seeds, for "
    "every scheme",
    expected="holds",
    lag=FAR,
    errors=5,
)
def _both_ways(table: Table, lag: int, errors: float) -> tuple[bool, str]:
    differences = []
    for scheme in SCHEMES:
        rnn, bi_rnn = (
            base_members(table, **{"cell.name": name, "init.w_h": scheme})
            for name in ("rnn-tanh", "bi-rnn-tanh")
        )
        single = _decades(rnn, lag)
        for part in ("h", "h_back"):
            double = _decades(bi_rnn, lag, part)
            if min(single.size, double.size) < 2:
                raise Undecided("needs at least two seeds")
            error = np.sqrt(single.var(ddof=1) / single.size + double.var(ddof=1) / double.size)
            differences.append((abs(double.mean() - single.mean()) / max(error, 1e-6), scheme))
    most, scheme = max(differences)
    return bool(most <= errors), f"at most {most:.1f} standard errors, with {scheme}"


@claim(
    "The forget bias needs a large positive value",
    source="the notes, claim 15",
    holds_if="median ‖∂L/∂C‖ at lag {lag} rises by {rise:g} decade or more from b_f = 0 to 1 and "
    "from 1 to 3",
    expected="holds",
    lag=FAR,
    rise=1,
)
def _bias_order(table: Table, lag: int, rise: float) -> tuple[bool, str]:
    lstm = table.select({"cell.name": "lstm", "init.w_h": "orthogonal"})
    medians = [
        float(np.median(_decades(lstm, lag, "C", **{"init.forget_bias": bias})))
        for bias in ("0.0", "1.0", "3.0")
    ]
    ordered = medians[1] - medians[0] >= rise and medians[2] - medians[1] >= rise
    return ordered, "log10 kept with b_f = 0, 1, 3: " + ", ".join(f"{m:.1f}" for m in medians)


@claim(
    "Orthogonal and Xavier weights ease the vanishing gradient of a tanh RNN",
    source="the notes, claim 16",
    holds_if="at lag {lag} both keep at least {more:g} decades more than N(0, 0.01)",
    expected="holds",
    lag=FAR,
    more=10,
)
def _eases_vanishing(table: Table, lag: int, more: float) -> tuple[bool, str]:
    rnn = base_members(table, **{"cell.name": "rnn-tanh"})
    small, xavier, orthogonal = (
        float(np.median(_decades(rnn, lag, **{"init.w_h": scheme})))
        for scheme in ("normal(std=0.01)", "xavier_uniform", "orthogonal")
    )
    return bool(min(xavier, orthogonal) - small >= more), (
        f"log10 kept: N(0, 0.01) {small:.1f}, Xavier {xavier:.1f}, orthogonal {orthogonal:.1f}"
    )


@claim(
    "Orthogonal and Xavier weights ease the exploding gradient of a linear RNN",
    source="the notes, claim 16",
    holds_if="at lag {lag}: He above {explodes:g} decades, Xavier within {near:g}, orthogonal "
    "within {exact:g}",
    expected="holds",
    lag=FAR,
    explodes=10,
    near=4,
    exact=0.01,
)
def _eases_exploding(
    table: Table, lag: int, explodes: float, near: float, exact: float
) -> tuple[bool, str]:
    linear = {"cell.name": "rnn-identity"}
    he, xavier, orthogonal = (
        float(np.median(_decades(table, lag, **linear, **{"init.w_h": scheme})))
        for scheme in ("he_normal", "xavier_normal", "orthogonal")
    )
    return bool(he >= explodes and abs(xavier) <= near and abs(orthogonal) <= exact), (
        f"log10 at lag {lag}: He {he:+.1f}, Xavier {xavier:+.1f}, orthogonal {orthogonal:+.3f}"
    )


def _keeps(statement: str, notes: str, expected: str) -> Callable[..., Claim]:
    def check(
        table: Table, cell: str, part: str, bias: str, lag: int, decades: float
    ) -> tuple[bool, str]:
        members = table.select({"cell.name": cell, "init.w_h": "orthogonal"})
        criteria = {"init.forget_bias": bias}
        members = _chrono(members) if bias == "chrono" else members.select(criteria)
        median = float(np.median(_decades(members, lag, part)))
        return bool(abs(median) <= decades), f"median 10^{median:.1f} at lag {lag}"

    return claim(
        statement,
        source=f"the notes, claim {notes}",
        holds_if="median ‖∂L/∂{part}‖ within {decades:.0f} decades of lag 0 at lag {lag}",
        expected=expected,
        decades=KEEPS,
        lag=FAR,
    )(check)


KEEPERS = (  # statement, claim of the notes, expected verdict, (cell, part of the state, bias)
    ("An LSTM avoids the vanishing gradient with b_f = 0", "17", "refuted", ("lstm", "C", "0.0")),
    (
        "An LSTM avoids the vanishing gradient with the usual b_f = 1",
        "17; Jozefowicz et al. 2015",
        "refuted",
        ("lstm", "C", "1.0"),
    ),
    (
        "An LSTM avoids the vanishing gradient with forget biases that fit the length (chrono)",
        "17; Tallec & Ollivier 2018",
        "holds",
        ("lstm", "C", "chrono"),
    ),
    (
        "A GRU with chrono update biases keeps its gradient too",
        "18; Tallec & Ollivier 2018",
        "holds",
        ("gru", "h", "chrono"),
    ),
)


@claim(
    "Orthogonal weights keep the gradient of a tanh RNN over 200 steps",
    source="the notes, claim 16, read strictly",
    holds_if="median ‖∂L/∂h‖ within {decades:g} decade of lag 0 at lag {lag}",
    expected="refuted",
    decades=1,
    lag=199,
)
def _orthogonal_keeps(table: Table, decades: float, lag: int) -> tuple[bool, str]:
    members = base_members(table, **{"cell.name": "rnn-tanh", "init.w_h": "orthogonal"})
    median = float(np.median(_decades(members, lag)))
    return bool(abs(median) <= decades), f"median 10^{median:.1f} at lag {lag}"


def claims(table: Table) -> list[Claim]:
    """List the closed forms, and the gradient half of the notes' claims (11, 15, 16, 17)."""
    return [
        _scaled_orthogonal(table),
        small_power(table, scheme="normal(std=0.01)"),
        he_power(table, scheme="he_normal"),
        _gate_retention(table),
        _chrono_retention(table),
        _mean_field_sign(table),
        _rnn_vanishes(table),
        _both_ways(table),
        _bias_order(table),
        _eases_vanishing(table),
        _eases_exploding(table),
        _orthogonal_keeps(table),
        *(
            _keeps(*words)(table, cell=cell, part=part, bias=bias)
            for *words, (cell, part, bias) in KEEPERS
        ),
    ]
