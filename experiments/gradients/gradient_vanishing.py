"""How much gradient reaches each time step, for every cell and initialization, against theory.

    rnnlab run --config=experiments/gradients/gradient_vanishing.py

Handwritten digits read pixel by pixel and strung together, T = 200; the loss is a classifier's
at the last step and its label belongs to the first image. About 1 minute on 2 cores; ":full" has
H = 128, T = 784 and 10 seeds (about an hour by --dry_run's estimate).

Expected: closed forms to 1e-4 decades; after 199 steps a tanh RNN has 10^-215 of its gradient
left with N(0, .01) weights, 10^-43 with PyTorch's uniform ones, 10^-4 with orthogonal ones; an
LSTM has 10^-13 of ∂L/∂C left after 100 steps with b_f = 0, 10^-2 with b_f = 1 and 10^-0.3 with a
forget bias that fits the length (chrono). Other sequences: --config.task.name=text, noise, or csv
with --config.task.path=FILE; any length: --config.task.length=1000.
"""

from typing import Any

import jax
import ml_collections
import numpy as np

from rnnlab import gradients, theory
from rnnlab.core.errors import Undecided
from rnnlab.lab import gradient_member
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru", "bi-rnn-tanh")
SCHEMES = (
    "normal(std=0.01)",
    "torch_uniform",
    "xavier_uniform",
    "he_normal",
    "identity",
    "orthogonal",
)
FORGET_BIASES = ("1.0", "3.0", "chrono(t_max={length})")
SIGMAS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
LINEAR = ("orthogonal(gain=0.9)", "orthogonal", "xavier_normal", "he_normal", "normal(std=0.01)")
LAGS = (10, 50, 100)
KEEPS, FAR = 2.0, 100  # "kept": within 2 decades (a factor of 100) at this lag


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the paper-sized one."""
    if arg not in (None, "", "full"):
        raise ValueError(f"gradient_vanishing.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "digits",  # digits, text, csv, noise
                "length": 784 if full else 200,  # T
                "batch_size": 32 if full else 16,
                "path": "",  # the file of csv, or of a text of your own
            },
            "cell": {"name": "rnn-tanh", "hidden_size": 128 if full else 64},
            "init": InitScheme.config(),
            "probes": {
                "spectrum_lags": (10, 100),
                "spectrum_seeds": 1,  # seeds whose singular values are measured (slow)
            },
            "run": {
                "seeds": 10 if full else 5,
                "seconds_per_member": 6.0 if full else 0.15,
                "seconds_per_group": 8.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Cells x schemes; forget biases; σ_w for the heat map; the closed forms."""
    seeds = tuple(range(config.run.seeds))
    biases = tuple(bias.format(length=config.task.length) for bias in FORGET_BIASES)
    return [
        {"cell.name": CELLS, "init.w_h": SCHEMES, "seed": seeds},
        {
            "cell.name": ("lstm", "gru"),
            "init.w_h": ("orthogonal",),
            "init.forget_bias": biases,
            "seed": seeds,
        },
        {
            "cell.name": ("rnn-tanh",),
            "seed": seeds,
            "init.w_h": tuple(f"mean_field(sigma_w={sigma})" for sigma in SIGMAS),
        },
        {"cell.name": ("rnn-identity",), "init.w_h": LINEAR, "seed": seeds},
        # nothing recurrent and no input to f: the forget bias alone decides what C keeps
        {
            "cell.name": ("lstm",),
            "init.w_h": ("zeros",),
            "init.gates.f.w_x": ("zeros",),
            "init.forget_bias": (biases[0], biases[-1]),
            "seed": seeds,
        },
    ]


check = gradient_member.check


def group(config: Any) -> Any:
    """Members of one cell share their compiled programs: schemes only change the parameters."""
    return (config.cell.name, config.cell.hidden_size, config.task.length)


# ---- one member --------------------------------------------------------------------------------


def run(config: Any, key: jax.Array, log: Any) -> dict[str, Any]:
    """Draw one member and measure it; curves are ordered by lag."""
    del log
    probe = gradient_member.draw(config, key)
    T = config.task.length
    curves, overflowed = gradient_member.adjoints(probe)
    result: dict[str, Any] = {"overflowed": overflowed}
    for part, norms in curves.items():
        median, zero = gradient_member.median_over_batch(gradient_member.relative(norms))
        result |= {part: _round(median), f"{part}_zero": _round(zero)}
        # the same at a few lags, as numbers for the table of members
        at = {k: -np.inf if zero[k] > 0.5 else round(float(median[k]), 2) for k in LAGS if k < T}
        result |= {f"log10_{part}_at_{k}": value for k, value in at.items()}
    result |= _theory(config, probe, curves["h"], T)
    result["spectral_radius"] = gradients.spectral_radius(probe.W_hh)
    if getattr(probe.cell, "activation", "tanh") != "identity":  # which has no flat end
        saturated = gradients.saturation(probe.cell, probe.cell_params, probe.xs)
        result |= {f"saturation_{k}": _round(v.mean(axis=0)) for k, v in saturated.items()}
    if config.seed < config.probes.spectrum_seeds and not probe.both_ways:
        lags = [lag for lag in config.probes.spectrum_lags if lag <= T]
        spectra = gradients.jacobian_spectrum(
            probe.cell, probe.cell_params, probe.xs[0], lags, part="h"
        )
        result |= {f"spectrum_{lag}": _round(s) for lag, s in zip(lags, spectra, strict=True)}
        values = np.linalg.eigvals(probe.W_hh)
        result |= {"eigenvalues_re": _round(values.real), "eigenvalues_im": _round(values.imag)}
    return result


def _theory(
    config: Any, probe: gradient_member.GradientMember, norms: np.ndarray, T: int
) -> dict[str, Any]:
    """The line that theory draws for this member, in decades relative to lag 0."""
    lags = np.arange(T)
    name = config.cell.name
    if name == "rnn-identity":
        g = _last_adjoint(probe)
        exact = gradient_member.relative(theory.linear_adjoint_log10(probe.W_hh, g, lags))
        error = np.nanmax(
            np.abs(exact - gradient_member.relative(norms))
        )  # NaN: no gradient at all
        return {"theory": _round(np.median(exact, axis=0)), "theory_error": float(error)}
    path = gradient_member.gate_path(probe)
    if path is not None:
        retained = 10.0**path
        rms = np.log10(np.sqrt(np.mean(retained**2, axis=(0, 2))))
        mean = np.log10(retained.mean(axis=(0, 2)))
        return {"theory": _round(rms), "log10_retention": _round(mean)}
    sigma_w, variance = (
        gradient_member.effective_sigma_w(probe.W_hh),
        gradient_member.input_variance(probe),
    )
    activation = name.rpartition("-")[2]
    line = theory.mean_field_adjoint_log10(
        sigma_w, lags, input_variance=variance, activation=activation
    )
    return {"theory": _round(line), "sigma_w": sigma_w, "input_variance": variance}


def _last_adjoint(probe: gradient_member.GradientMember) -> np.ndarray:
    """∂L/∂h_T (B, H), from the read-out alone."""
    from rnnlab.nn.unroll import unroll

    ys, _ = unroll(probe.cell, probe.cell_params, probe.xs)
    loss = gradient_member.last_step_loss(
        probe.readout, probe.labels, False, probe.cell.hidden_size
    )
    return np.asarray(jax.grad(loss)(ys)[:, -1], np.float64)


def _round(values: Any) -> list[Any]:
    return np.round(np.asarray(values, np.float64), 4).tolist()


# ---- figures -----------------------------------------------------------------------------------

SHORT = {
    "normal(std=0.01)": "N(0, .01)",
    "torch_uniform": "U(±1/√H)",
    "xavier_uniform": "Xavier",
    "xavier_normal": "Xavier",
    "he_normal": "He",
    "identity": "identity",
    "orthogonal": "orthogonal",
    "orthogonal(gain=0.9)": "0.9·orthogonal",
}
TITLES = {
    "rnn-tanh": "RNN, tanh",
    "rnn-relu": "RNN, ReLU",
    "lstm": "LSTM, b_f = 0: ∂L/∂C",
    "gru": "GRU, b_z = 0",
    "bi-rnn-tanh": "Bi-RNN: forward half",
}
LEFT = "log10 of the gradient left"
LAG = "lag k (steps before the read-out)"


def figures(table: Table) -> dict[str, Any]:
    """The figures of the report, each with its caption."""
    drawn = {
        "gradients": _gradients,
        "forget_bias": _forget_bias,
        "critical_line": _critical_line,
        "linear": _linear,
        "singular_values": _singular_values,
        "saturation": _saturation,
        "eigenvalues": _eigenvalues,
    }
    out = {}
    for name, draw in drawn.items():
        try:
            out[name] = draw(table)
        except Undecided:  # a narrowed sweep lacks the members of this figure
            continue
    return out


def _curves(ax: Any, chosen: Table, part: str, label: str, index: int, floor: float) -> Any:
    """One scheme's band and theory line; a label that ends below ``floor`` says where."""
    end = plots.gradient_curves(ax, chosen.stack(part), chosen.stack(f"{part}_zero"), label, index)
    if end is not None and end.y < floor:
        end = plots.End(end.x, end.y, f"{label} (to 10^{end.y:.0f})", end.color)
    line = np.median(chosen.stack("theory"), axis=0)
    plots.theory_line(ax, np.arange(line.size), line, plots.look(index)["color"])
    return end


def _gradients(table: Table) -> tuple[Any, str]:
    base = _base(table)
    names = [name for name in CELLS if len(base.select({"cell.name": name}))]
    figure, axes = plots.new_figure(2, 3, size=(13, 7.6), share_x=True)
    panels = [(name, "h" if name != "lstm" else "C", TITLES[name]) for name in names]
    if "bi-rnn-tanh" in names:
        panels.append(("bi-rnn-tanh", "h_back", "Bi-RNN: backward half"))
    for ax, (name, part, title) in zip(axes.flat, panels, strict=False):
        ends = []
        for index, scheme in enumerate(SCHEMES):
            chosen = base.select({"cell.name": name, "init.w_h": scheme})
            if len(chosen):
                ends.append(_curves(ax, chosen, part, SHORT[scheme], index, -32))
        plots.title(ax, title)
        ax.set(ylim=(-32, 8), ylabel=LEFT)
        plots.direct_labels(ax, ends)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel(LAG)
    return figure, (
        "How much of ‖∂L/∂h_T‖ is left k steps earlier, in decades: median and 10–90% band over "
        "seeds, by scheme of W_hh. A cross: from there on exactly zero. Dotted: theory; for the "
        "RNNs mean field, χ^(k/2) with the measured σ_w and input variance, for LSTM and GRU the "
        "product of the forget (update) gates alone."
    )


def _forget_bias(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(11, 4.2), share_y=True)
    for ax, (name, part, title) in zip(
        axes.flat, (("lstm", "C", "LSTM: ∂L/∂C"), ("gru", "h", "GRU: ∂L/∂h")), strict=True
    ):
        chosen = table.select({"cell.name": name, "init.w_h": "orthogonal"})
        ends = []
        for index, bias in enumerate(chosen.values("init.forget_bias")):
            words = f"b = {float(bias or 0):g}" if not bias.startswith("chrono") else "chrono"
            one = chosen.select({"init.forget_bias": bias})
            ends.append(_curves(ax, one, part, words, index, -32))
        plots.title(ax, title)
        ax.set(xlabel=LAG, ylim=(-32, 4))
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel(LEFT)
    return figure, (
        "The forget bias (b_f of the LSTM, b_z of the GRU) decides: orthogonal kernels, median "
        "and 10–90% band over seeds. Dotted: the product of the gates alone, ∏ f_t."
    )


def _critical_line(table: Table) -> tuple[Any, str]:
    rows, variances, sigmas = [], [], []
    for sigma in SIGMAS:
        chosen = table.select({"cell.name": "rnn-tanh", "init.w_h": f"mean_field(sigma_w={sigma})"})
        if len(chosen):
            rows.append(np.median(chosen.stack("h"), axis=0))
            variances.append(chosen.stack("input_variance").mean())
            sigmas.append(sigma)
    if len(rows) < 2:
        raise Undecided("no members over σ_w")
    z = np.stack(rows)
    critical = theory.critical_sigma_w(input_variance=float(np.mean(variances)))
    figure, axes = plots.new_figure(1, 1, size=(8, 4.6))
    ax = axes[0, 0]
    plots.heat_map(
        ax,
        np.arange(z.shape[1]),
        np.array(sigmas),
        z,
        label=LEFT + " (decades)",
        limit=10,
        levels=(-50, -20, -10, -5, -2, 2, 5, 10),
    )
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1}
    for at, line, text, side in (
        (critical, "--", f"χ = 1 at σ_w = {critical:.2f}: mean field, this input", "bottom"),
        (1.0, ":", "σ_w = 1: critical without input", "top"),
    ):
        ax.axhline(at, color="black", linestyle=line, linewidth=1.5)
        ax.annotate(
            text,
            (0.03 * z.shape[1], at),
            (0, 3 if side == "bottom" else -3),
            textcoords="offset points",
            va=side,
            fontsize=8,
            bbox=box,
        )
    ax.set(xlabel=LAG, ylabel="σ_w of W_hh ~ N(0, σ_w²/H)")
    plots.title(ax, "tanh RNN: vanishing below, exploding above the critical line")
    return figure, (
        "Median over seeds of the gradient left, against lag and weight scale. Contours in "
        "decades. The dashed line is drawn from theory alone, before any training."
    )


def _linear(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 2, size=(11, 4.2))
    ax, gates = axes[0]
    ends = []
    for index, scheme in enumerate(LINEAR):
        chosen = table.select({"cell.name": "rnn-identity", "init.w_h": scheme})
        ends.append(_curves(ax, chosen, "h", SHORT[scheme], index, -1e9))
    plots.title(ax, "Linear RNN against the powers of its own W")
    ax.set(xlabel=LAG, ylabel=LEFT)
    plots.direct_labels(ax, ends)
    chosen = table.select({"cell.name": "lstm", "init.w_h": "zeros"})
    ends = []
    for index, bias in enumerate(chosen.values("init.forget_bias")):
        one = chosen.select({"init.forget_bias": bias})
        kept = one.stack("log10_retention")
        lags = np.arange(kept.shape[1])
        words = "b_f = 1" if not bias.startswith("chrono") else f"chrono, T_max = {lags.size}"
        ends.append(plots.band(gates, lags, kept, words, index))
        exact = (
            theory.gate_retention_log10(1.0, lags)
            if not bias.startswith("chrono")
            else np.log10(theory.chrono_retention(lags.size, lags))
        )
        plots.theory_line(gates, lags, exact, plots.COLORS[2])
    plots.title(gates, "Gates without recurrence: mean of ∏ f_t")
    gates.set(xlabel=LAG, ylabel="log10 of the share of C kept")
    plots.direct_labels(gates, ends)
    return figure, (
        "The closed forms. Left: W^k in float64 (dotted) under the probe's float32 curve, far "
        "below float32's smallest number (1e-45). Right: σ(b_f)^k, and chrono's integral, which "
        "tends to .1485 at k = T_max."
    )


def _singular_values(table: Table) -> tuple[Any, str]:
    chosen = _base(table, **{"cell.name": ("rnn-tanh", "lstm"), "init.w_h": SCHEMES})
    chosen = Table([member for member in chosen if "eigenvalues_re" in member.result])
    if not len(chosen):
        raise Undecided("no member with a spectrum")
    lags = sorted(
        int(k.removeprefix("spectrum_")) for k in chosen[0].result if k.startswith("spectrum_")
    )
    rows = [(cell, lag) for cell in chosen.values("cell.name") for lag in lags]
    schemes = chosen.values("init.w_h")
    figure, axes = plots.new_figure(len(rows), len(schemes), size=(13, 1.9 * len(rows)))
    for row, (cell, lag) in zip(axes, rows, strict=True):
        for index, (ax, scheme) in enumerate(zip(row, schemes, strict=True)):
            one = chosen.select({"cell.name": cell, "init.w_h": scheme})
            if len(one):
                label = SHORT.get(scheme, str(scheme)) if (cell, lag) == rows[0] else ""
                plots.log_histogram(ax, one.stack(f"spectrum_{lag}").ravel(), index, label)
        row[0].set_ylabel(f"{TITLES[cell].split(',')[0]}\nlag {lag}: count")
    for ax in axes[-1]:
        ax.set_xlabel("log10 σ")
    return figure, (
        "Singular values of ∂h_T/∂h_{T−k}, one sequence and seed: the directions that survive. A "
        "narrow peak near 0 would keep every direction; each panel has its own scale of decades."
    )


def _saturation(table: Table) -> tuple[Any, str]:
    base = _base(table)
    panels = (
        ("rnn-tanh", "saturation_h", "RNN, tanh: mean of 1 − |h|"),
        ("rnn-relu", "saturation_h", "RNN, ReLU: share of units with h > 0"),
        ("lstm", "saturation_f", "LSTM: mean of min(f, 1 − f)"),
        ("gru", "saturation_z", "GRU: mean of min(z, 1 − z)"),
    )
    figure, axes = plots.new_figure(2, 2, size=(12, 7), share_x=True)
    for ax, (name, key, title) in zip(axes.flat, panels, strict=True):
        ends = []
        for index, scheme in enumerate(SCHEMES):
            chosen = base.select({"cell.name": name, "init.w_h": scheme})
            if len(chosen):
                curves = chosen.stack(key)
                steps = np.arange(curves.shape[1])
                ends.append(plots.band(ax, steps, curves, SHORT[scheme], index))
        plots.title(ax, title)
        ax.set(ylim=(0, 1.02 if "rnn" in name else 0.52))
        plots.direct_labels(ax, ends)
    for ax in axes[-1]:
        ax.set_xlabel("time step t")
    return figure, (
        "How far units and gates are from the flat ends of their functions, where no gradient "
        "passes (0: saturated). Median and 10–90% band over seeds; the digits' blank and inked "
        "pixels show as waves."
    )


def _eigenvalues(table: Table) -> tuple[Any, str]:
    chosen = _base(table, **{"cell.name": "rnn-tanh", "init.w_h": SCHEMES})
    chosen = Table([member for member in chosen if "eigenvalues_re" in member.result])
    if not len(chosen):
        raise Undecided("no member with eigenvalues")
    figure, axes = plots.new_figure(1, len(chosen), size=(2.2 * len(chosen), 2.8))
    for ax, member in zip(axes[0], chosen, strict=True):
        values = np.array(member.result["eigenvalues_re"]) + 1j * np.array(
            member.result["eigenvalues_im"]
        )
        plots.eigenvalue_disc(ax, values, SHORT[member.config["init"]["w_h"]])
    return figure, (
        "Eigenvalues of W_hh before training, one seed, with the unit circle: a Gaussian kernel "
        "fills a disc of radius σ_w (circular law), an orthogonal one lies on the circle."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _decades(table: Table, lag: int, part: str = "h", **criteria: Any) -> np.ndarray:
    """log10 of what is left of the gradient at ``lag``, one a member; −inf: exactly zero."""
    chosen = table.select(criteria)
    curves, zero = chosen.stack(part), chosen.stack(f"{part}_zero")
    if lag >= curves.shape[1]:
        raise Undecided(f"needs task.length above {lag}, got {curves.shape[1]}")
    return np.where(zero[:, lag] > 0.5, -np.inf, curves[:, lag])


def _base(table: Table, **criteria: Any) -> Table:
    """Members of the first part of the sweep."""
    return table.select({"init.forget_bias": "", **criteria})


def claims(table: Table) -> list[Claim]:
    """Closed forms, and the notes' claims 11, 15, 16, 17 (CLAIMS of the notes, gradient half)."""
    notes = "the notes, claim "

    def linear(scheme: str) -> Any:
        def check() -> tuple[bool, str]:
            worst = table.select({"cell.name": "rnn-identity", "init.w_h": scheme})
            error = worst.stack("theory_error").max()
            return bool(error <= 0.01), f"largest difference {error:.1e} decades over all lags"

        return check

    def alpha() -> tuple[bool, str]:
        chosen = table.select({"cell.name": "rnn-identity", "init.w_h": "orthogonal(gain=0.9)"})
        curves = chosen.stack("h")
        exact = theory.scaled_orthogonal_log10(0.9, np.arange(curves.shape[1]))
        error = np.abs(curves - exact).max()
        return bool(error <= 0.01), f"largest difference {error:.1e} decades over all lags"

    def retention() -> tuple[bool, str]:
        curves = table.select(
            {"cell.name": "lstm", "init.w_h": "zeros", "init.forget_bias": "1.0"}
        ).stack("C")
        exact = theory.gate_retention_log10(1.0, np.arange(curves.shape[1]))
        error = np.abs(curves - exact).max()
        return bool(error <= 0.01), (
            f"largest difference {error:.1e} decades; {curves[0, -1]:.2f} at lag "
            f"{curves.shape[1] - 1}"
        )

    def chrono_retention() -> tuple[bool, str]:
        chosen = table.select({"cell.name": "lstm", "init.w_h": "zeros"})
        chosen = chosen.select({"init.forget_bias": _chrono(chosen)})
        kept = 10.0 ** chosen.stack("log10_retention")
        lag = kept.shape[1] - 1
        exact = float(np.asarray(theory.chrono_retention(lag + 1, lag)))
        measured = kept[:, lag].mean()
        return bool(abs(measured - exact) <= 0.05), (
            f"{measured:.4f} of C kept over {lag} steps, expected {exact:.4f} (limit .1485)"
        )

    def rnn_vanishes() -> tuple[bool, str]:
        left = _decades(
            _base(table), 150, **{"cell.name": ("rnn-tanh", "rnn-relu"), "init.w_h": SCHEMES}
        )
        gone = ~(np.abs(left) < KEEPS)  # exact zeros and overflows count
        return bool(gone.mean() >= 0.75), (
            f"{gone.sum()} of {gone.size} tanh and ReLU members changed by more than "
            f"{KEEPS:.0f} decades at lag 150"
        )

    def both_ways() -> tuple[bool, str]:
        worst = []
        for scheme in SCHEMES:
            one = _decades(_base(table), FAR, **{"cell.name": "rnn-tanh", "init.w_h": scheme})
            bi = {"cell.name": "bi-rnn-tanh", "init.w_h": scheme}
            for part in ("h", "h_back"):
                two = _decades(_base(table), FAR, part, **bi)
                if min(one.size, two.size) < 2:
                    raise Undecided("needs at least two seeds")
                error = np.sqrt(one.var(ddof=1) / one.size + two.var(ddof=1) / two.size)
                worst.append((abs(two.mean() - one.mean()) / max(error, 1e-6), scheme))
        errors, scheme = max(worst)
        return bool(errors <= 5), f"at most {errors:.1f} standard errors, with {scheme}"

    def bias_order() -> tuple[bool, str]:
        lstm = table.select({"cell.name": "lstm", "init.w_h": "orthogonal"})
        medians = [
            float(np.median(_decades(lstm, FAR, "C", **{"init.forget_bias": bias})))
            for bias in ("", "1.0", "3.0")
        ]
        ordered = medians[1] - medians[0] >= 1 and medians[2] - medians[1] >= 1
        return bool(ordered), "log10 kept with b_f = 0, 1, 3: " + _numbers(medians)

    def eases() -> tuple[bool, str]:
        rnn = _base(table, **{"cell.name": "rnn-tanh"})
        small, xavier, orthogonal = (
            float(np.median(_decades(rnn, FAR, **{"init.w_h": scheme})))
            for scheme in ("normal(std=0.01)", "xavier_uniform", "orthogonal")
        )
        return bool(min(xavier, orthogonal) - small >= 10), (
            f"log10 kept: N(0, .01) {small:.1f}, Xavier {xavier:.1f}, orthogonal {orthogonal:.1f}"
        )

    def eases_exploding() -> tuple[bool, str]:
        linear = table.select({"cell.name": "rnn-identity"})
        he, xavier, orthogonal = (
            float(np.median(_decades(linear, FAR, **{"init.w_h": scheme})))
            for scheme in ("he_normal", "xavier_normal", "orthogonal")
        )
        return bool(he >= 10 and abs(xavier) <= 4 and abs(orthogonal) <= 0.01), (
            f"log10 at lag {FAR}: He {he:+.1f}, Xavier {xavier:+.1f}, orthogonal {orthogonal:+.3f}"
        )

    def orthogonal_keeps() -> tuple[bool, str]:
        left = _decades(_base(table), 199, **{"cell.name": "rnn-tanh", "init.w_h": "orthogonal"})
        median = float(np.median(left))
        return bool(abs(median) <= 1), f"median 10^{median:.1f} at lag 199"

    def lstm_keeps(cell: str, part: str, bias: str | None) -> Any:
        def check() -> tuple[bool, str]:
            chosen = table.select({"cell.name": cell, "init.w_h": "orthogonal"})
            chosen = chosen.select({"init.forget_bias": _chrono(chosen) if bias is None else bias})
            median = float(np.median(_decades(chosen, FAR, part)))
            return bool(abs(median) <= KEEPS), f"median 10^{median:.1f} at lag {FAR}"

        return check

    def mean_field() -> tuple[bool, str]:
        right, total = 0, 0
        for sigma in SIGMAS:
            chosen = table.select(
                {"cell.name": "rnn-tanh", "init.w_h": f"mean_field(sigma_w={sigma})"}
            )
            predicted = chosen.stack("theory")[:, FAR]
            measured = _decades(chosen, FAR)
            told = np.abs(predicted) >= KEEPS  # nearer to the critical line nothing is predicted
            right += int((np.sign(predicted) == np.sign(measured))[told].sum())
            total += int(told.sum())
        if total == 0:
            raise Undecided("no member is two decades away from the critical line")
        return right / total >= 0.9, f"{right} of {total} members on the predicted side"

    kept = f"median ‖∂L/∂C‖ within {KEEPS:.0f} decades of lag 0 at lag {FAR}"
    avoid = notes + "17"
    return [
        Claim(
            "A linear RNN with W_hh = αQ, Q orthogonal, keeps exactly α^k over k steps",
            "closed form; Saxe et al. 2013",
            "α = 0.9, every lag and example: error ≤ 0.01 decades",
            "holds",
            alpha,
            closed_form=True,
        ),
        Claim(
            "With N(0, .01) weights the adjoint is the power of this very W_hh, far below float32",
            "closed form: ∂h_T/∂h_t = W^k",
            "every lag and example within 0.01 decades of the float64 product",
            "holds",
            linear("normal(std=0.01)"),
            closed_form=True,
        ),
        Claim(
            "So it is with He weights, which explode",
            "closed form: ∂h_T/∂h_t = W^k",
            "every lag and example (that has a gradient) within 0.01 decades of the "
            "float64 product",
            "holds",
            linear("he_normal"),
            closed_form=True,
        ),
        Claim(
            "With no recurrent weights ∂C_T/∂C_t = σ(b_f)^k",
            "closed form; Gers et al. 2000",
            "b_f = 1, every lag: error ≤ 0.01 decades",
            "holds",
            retention,
            closed_form=True,
        ),
        Claim(
            "Chrono biases with T_max = T keep E₂(1) = .1485 of C, whatever T",
            "closed form; Tallec & Ollivier 2018",
            "mean over units and seeds within 0.05 of the integral at lag T − 1",
            "holds",
            chrono_retention,
            closed_form=True,
        ),
        Claim(
            "Mean field tells before training whether a tanh RNN's gradient shrinks or grows",
            "Chen, Pennington & Schoenholz 2018; χ^(k/2) with the data's own input variance",
            f"where it predicts more than {KEEPS:.0f} decades at lag {FAR}, the sign is right "
            "for at least 90% of members",
            "holds",
            mean_field,
        ),
        Claim(
            "RNN gradients vanish or explode over long sequences",
            notes + "11",
            "at lag 150 at least 75% of tanh and ReLU members, all schemes, are off by more "
            f"than {KEEPS:.0f} decades",
            "holds",
            rnn_vanishes,
        ),
        Claim(
            "Reading both ways does not help: each direction of a Bi-RNN loses what a one-way "
            "RNN loses",
            notes + "11 and 20",
            f"mean decades lost at lag {FAR} within 5 standard errors over seeds, for every scheme",
            "holds",
            both_ways,
        ),
        Claim(
            "The forget bias wants a large positive value",
            notes + "15",
            f"median ‖∂L/∂C‖ at lag {FAR} rises by a decade or more from b_f = 0 to 1 and "
            "from 1 to 3",
            "holds",
            bias_order,
        ),
        Claim(
            "Orthogonal and Xavier weights ease the vanishing gradient of a tanh RNN",
            notes + "16",
            f"at lag {FAR} both keep at least 10 decades more than N(0, .01)",
            "holds",
            eases,
        ),
        Claim(
            "Orthogonal and Xavier weights ease the exploding gradient of a linear RNN",
            notes + "16",
            f"at lag {FAR}: He above 10 decades, Xavier within 4, orthogonal within 0.01",
            "holds",
            eases_exploding,
        ),
        Claim(
            "Orthogonal weights keep the gradient of a tanh RNN over 200 steps",
            notes + "16, read strictly",
            "median ‖∂L/∂h‖ within 1 decade of lag 0 at lag 199",
            "refuted",
            orthogonal_keeps,
        ),
        Claim(
            "An LSTM avoids the vanishing gradient with b_f = 0",
            avoid,
            kept,
            "refuted",
            lstm_keeps("lstm", "C", ""),
        ),
        Claim(
            "An LSTM avoids the vanishing gradient with the usual b_f = 1",
            avoid + "; Jozefowicz et al. 2015",
            kept,
            "refuted",
            lstm_keeps("lstm", "C", "1.0"),
        ),
        Claim(
            "An LSTM avoids the vanishing gradient with forget biases that fit the length (chrono)",
            avoid + "; Tallec & Ollivier 2018",
            kept,
            "holds",
            lstm_keeps("lstm", "C", None),
        ),
        Claim(
            "A GRU with chrono update biases keeps its gradient too",
            notes + "18; Tallec & Ollivier 2018",
            kept.replace("∂C", "∂h"),
            "holds",
            lstm_keeps("gru", "h", None),
        ),
    ]


def _chrono(table: Table) -> str:
    found = [b for b in table.values("init.forget_bias") if b.startswith("chrono")]
    if not found:
        raise Undecided("no member with a chrono forget bias")
    return found[0]


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
