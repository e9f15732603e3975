"""Which of two symbols came first? Success against length: plain SGD, clipping, Pascanu's Ω.

    rnnlab run --config=experiments/learning/temporal_order.py

Fig. 7 of Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), scaled down: 50 units, batch 20 and SGD
without momentum as there, but lengths 10 to 50, at most 5000 updates instead of 5 million, learning
rate 0.1 instead of 0.01, 4 seeds, and 1000 test sequences instead of 10,000. About 3 minutes on
2 cores; ":full" is the paper's scale (over two weeks on 2 cores, see --dry_run).

Expected, after the figure: plain SGD fails first, from length 20 on; clipping solves 30 and at
times 50; with Ω as well both tanh initializations solve 50, and the sigmoid RNN 10, which it does
not without. In the paper, with a thousand times the updates, plain SGD fails past 20 to 50 steps
and clipping with Ω holds to 200. A linear RNN at length 20 and rates from 0.1 on diverges, and
learns the task where its gradient is clipped.
"""

import math
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.training import runner

SMALL, WIDE = "normal(std=0.01)", "normal(std=0.1)"  # standard deviations, as in the paper's code
INIT_KEYS = ("cell.name", "init.w_h", "init.w_x", "init.w_y")
INITS = {
    "sigmoid": ("rnn-sigmoid", SMALL, SMALL, SMALL),
    "basic tanh": ("rnn-tanh", WIDE, WIDE, WIDE),
    "smart tanh": ("rnn-tanh", "sparse", SMALL, SMALL),
}
METHOD_KEYS = ("training.clip_norm", "training.regularizer", "training.omega")
METHODS = {
    "SGD": (math.inf, "none", 0.0),
    "clip": (1.0, "none", 0.0),
    "clip + Ω": (1.0, "omega", 4.0),
}
# the linear model of the paper's §2.1, on the edge: W_hh = I
LINEAR = ("rnn-identity", "identity", SMALL, SMALL)
SHOWN = 0.1  # the learning rate whose gradient norms are drawn
BEYOND = 6  # decades: the top of the axis of gradient norms, and where what is not finite is drawn

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" the paper's."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {"name": "temporal_order", "length": 20, "solved_at": 0.01},
            "cell": {"name": "rnn-tanh", "hidden_size": 50, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                optimizer="sgd",
                learning_rate=0.01 if full else 0.1,
                steps=5_000_000 if full else 5000,
                batch_size=20,
                eval_every=5000 if full else 250,
                eval_batch_size=10_000 if full else 1000,
            ),
            "run": runner.config(
                seeds=5 if full else 4,
                lengths=(20, 50, 100, 150, 200, 250) if full else (10, 20, 30, 50),  # values of T
                linear_length=20,  # T of the linear model, which has its own budget
                linear_steps=500,  # updates of the linear model
                linear_eval_every=5,  # updates between two scores of the linear model
                # learning rates of the linear model; the last two are the higher ones
                linear_rates=(0.01, 0.03, 0.1, 0.3),
                seconds_per_member=4500.0 if full else 0.6,
                seconds_per_group=3.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return lengths x initializations x methods (Fig. 7); linear RNNs with or without clipping."""
    return [
        {
            "task.length": config.run.lengths,
            INIT_KEYS: tuple(INITS.values()),
            METHOD_KEYS: tuple(METHODS.values()),
            "seed": seeds(config),
        },
        {
            INIT_KEYS: (LINEAR,),
            "task.length": (config.run.linear_length,),
            "training.steps": (config.run.linear_steps,),
            "training.eval_every": (config.run.linear_eval_every,),
            "training.learning_rate": config.run.linear_rates,
            METHOD_KEYS: (METHODS["SGD"], METHODS["clip"]),
            "seed": seeds(config),
        },
    ]


def _of(table: Table, init: tuple[str, ...], method: str, **more: object) -> Table:
    criteria: dict[str, object] = dict(zip(INIT_KEYS, init, strict=True))
    criteria |= dict(zip(METHOD_KEYS, METHODS[method], strict=True))
    return table.select(criteria | more)


def _rates(table: Table, init: str, method: str) -> dict[int, float]:
    """Return the success rate by length."""
    by_length = _of(table, INITS[init], method).group_by("task.length")
    return {length: learning_curves.success_rate(members) for length, members in by_length.items()}


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw Fig. 7, how the error fell, and what clipping prevents."""
    makers = {"success": _success, "learning": _learning, "clipping": _clipping}
    return learning_curves.figures_with_members(table, makers)


def _panels(table: Table, size: tuple[float, float]) -> tuple[Figure, dict[str, Axes]]:
    names = [name for name, init in INITS.items() if len(_of(table, init, "SGD"))]
    if not names:
        raise Undecided("no member of Fig. 7")
    figure, axes = plots.new_figure(1, len(names), size=size, share_y=True)
    for ax, name in zip(axes[0], names, strict=True):
        plots.title(ax, name)
    return figure, dict(zip(names, axes[0], strict=True))


def _success(table: Table) -> tuple[Figure, str]:
    figure, panels = _panels(table, (11, 3.6))
    for name, ax in panels.items():
        ends = []
        for index, method in enumerate(METHODS):
            rates = _rates(table, name, method)
            if not rates:
                continue
            lengths = np.array(list(rates))
            # equal rates would hide each other: the methods stand a little apart
            shown = np.array(list(rates.values())) + 0.015 * (1 - index)
            style = plots.look(index)
            ax.plot(lengths, shown, marker="o", markersize=4, **style)
            ends.append(plots.End(lengths[-1], shown[-1], method, style["color"]))
        ax.set(xscale="log", ylim=(-0.08, 1.08), xlabel="sequence length")
        ticks = table.values("task.length")
        ax.set_xticks(ticks, [str(length) for length in ticks])
        ax.minorticks_off()
        plots.direct_labels(ax, ends)
    next(iter(panels.values())).set_ylabel("success rate")
    return figure, (
        "Success rate over seeds against sequence length (log axis), as Fig. 7 of Pascanu, Mikolov "
        f"& Bengio 2013: solved is at most {table[0].config['task']['solved_at']:.3g} of fresh "
        "sequences wrong. Equal rates are drawn a little apart."
    )


def _learning(table: Table) -> tuple[Figure, str]:
    fig7 = table.select({"cell.name": [init[0] for init in INITS.values()]})
    if not len(fig7):
        raise Undecided("no member of Fig. 7")
    length = sorted(fig7.values("task.length"))[len(fig7.values("task.length")) // 2]
    members = fig7.select({"task.length": length})
    figure, panels = _panels(members, (11, 3.6))
    for name, ax in panels.items():
        ends = []
        for index, method in enumerate(METHODS):
            style = plots.look(index)
            end = None
            for member in _of(members, INITS[name], method):
                x = [record["step"] for record in member.metrics]
                y = [record["error"] for record in member.metrics]
                ax.plot(
                    x,
                    y,
                    alpha=0.8,
                    color=style["color"],
                    linestyle=style["linestyle"],
                    linewidth=1.1,
                )
                if member.result["status"] == "solved":
                    ax.plot(x[-1], y[-1], "o", color=style["color"], markersize=4)
                if end is None or x[-1] > end.x:
                    end = plots.End(x[-1], y[-1], method, style["color"])
            ends.append(end)
        ax.axhline(0.75, color="#777777", linewidth=0.8)
        ax.set(xlabel="updates", ylim=(-0.03, 0.9))
        plots.direct_labels(ax, ends)
    next(iter(panels.values())).set_ylabel("share of fresh sequences wrong")
    return figure, (
        f"How the error fell at length {length}, one line per seed; a dot: solved, training "
        "stopped. Gray: guessing. Half-way, at 0.5, one of the two symbols is known."
    )


def _clipping(table: Table) -> tuple[Figure, str]:
    linear = table.select(dict(zip(INIT_KEYS, LINEAR, strict=True)))
    if not len(linear):
        raise Undecided("no linear RNN")
    figure, axes = plots.new_figure(1, 2, size=(11, 3.8))
    norms, shares = axes[0]
    ends: list[plots.End | None] = []
    for index, method in enumerate(("SGD", "clip")):
        style, tips = plots.look(index), []
        for member in _of(linear, LINEAR, method, **{"training.learning_rate": SHOWN}):
            x, y = _norms(member)
            norms.plot(
                x, y, alpha=0.8, color=style["color"], linestyle=style["linestyle"], linewidth=1.1
            )
            if member.result["status"] == "diverged":
                norms.plot(
                    x[-1],
                    y[-1],
                    "x",
                    color=style["color"],
                    markersize=8,
                    markeredgewidth=2,
                    clip_on=False,
                )
            tips.append(plots.End(x[-1], y[-1], method, style["color"]))
        ends.append(max(tips, key=lambda end: end.x, default=None))
    norms.set(ylim=(-1, BEYOND), xlabel="updates")
    length = linear[0].config["task"]["length"]
    training_of = linear[0].config["training"]
    norms.set_ylabel(f"log10 of the gradient norm, largest of {training_of['eval_every']}")
    plots.title(norms, f"Learning rate {SHOWN:g}")
    plots.direct_labels(norms, ends)
    ends = []
    for index, method in enumerate(("SGD", "clip")):
        by_rate = _of(linear, LINEAR, method).group_by("training.learning_rate")
        if not by_rate:
            continue
        style = plots.look(index)
        share = [np.mean(members.stack("status") == "diverged") for members in by_rate.values()]
        shares.plot(list(by_rate), share, marker="o", markersize=4, **style)
        ends.append(plots.End(list(by_rate)[-1], float(share[-1]), method, style["color"]))
    shares.set(xscale="log", ylim=(-0.05, 1.05), xlabel="learning rate")
    shares.set_ylabel("share of members that diverge")
    rates = linear.values("training.learning_rate")
    shares.set_xticks(rates, [f"{rate:g}" for rate in rates])
    shares.minorticks_off()
    plots.title(shares, f"Not finite within {training_of['steps']} updates")
    plots.direct_labels(shares, ends)
    return figure, (
        f"A linear RNN with W_hh = I at length {length}: an update that lifts an eigenvalue "
        "above 1 is met by a gradient that grows like its powers. Left: one line per seed; a "
        "cross: loss, gradient or parameters are not finite from here on. Clipping at norm 1 "
        "(Pascanu et al. 2013, §3.2) does not keep the gradient small but the step it causes."
    )


def _norms(member: Member) -> tuple[np.ndarray, np.ndarray]:
    """Return (updates, log10 of the largest gradient norm since the last look), to divergence."""
    x, y = np.array([(r["step"], r["grad_norm_max"]) for r in member.metrics], float).T
    y = np.log10(np.where(np.isfinite(y), y, np.inf))
    if member.result["status"] == "diverged":
        x[-1], y[-1] = member.result["diverged_at"], np.inf
    return x, np.minimum(y, BEYOND)


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


PASCANU = "Pascanu, Mikolov & Bengio 2013, "
FIG_7 = PASCANU + "§4.1.1, Fig. 7"
BOTH_TANH = ("basic tanh", "smart tanh")


def _longest(table: Table, init: str, method: str, share: float) -> int:
    """Return the longest length that more than a share of the seeds solves; 0: none."""
    rates = _rates(table, init, method)
    if not rates:
        raise Undecided(f"no member with {init}, {method}")
    return max((length for length, rate in rates.items() if rate > share), default=0)


def _pairs(table: Table, method: str, share: float) -> tuple[list[tuple[int, int]], str]:
    """Return the longest lengths (by a method, with Ω) per initialization, and the words."""
    pairs = {
        name: (_longest(table, name, method, share), _longest(table, name, "clip + Ω", share))
        for name in INITS
    }
    words = "; ".join(f"{n}: {method} {one}, clip + Ω {omega}" for n, (one, omega) in pairs.items())
    return list(pairs.values()), f"longest solved: {words}"


def _solved(table: Table, inits: Iterable[str], methods: Iterable[str]) -> float:
    """Return the success rate over all lengths, the mean over initializations and methods."""
    groups = [
        _of(table, INITS[init], method).over("task.length") for init in inits for method in methods
    ]
    return float(np.mean([learning_curves.success_rate(members) for members in groups]))


@claim(
    "Plain SGD fails at a length that clipping with Ω solves",
    source=FIG_7,
    holds_if="for at least one initialization the longest length that more than {share:.0%} of "
    "the seeds solve is greater with clip + Ω",
    expected="holds",
    share=0.5,
)
def _reaches(table: Table, share: float) -> tuple[bool, str]:
    pairs, words = _pairs(table, "SGD", share)
    return any(omega > sgd for sgd, omega in pairs), words


@claim(
    "With Ω an RNN solves sequences at least as long as with clipping alone",
    source=FIG_7,
    holds_if="for every initialization the longest length that more than {share:.0%} of the seeds "
    "solve is no smaller with clip + Ω",
    expected="holds",
    share=0.5,
)
def _at_least(table: Table, share: float) -> tuple[bool, str]:
    pairs, words = _pairs(table, "clip", share)
    return all(omega >= clip for clip, omega in pairs), words


@claim(
    "Clipping alone raises the success rate of a tanh RNN",
    source=FIG_7,
    holds_if="more members solved than with plain SGD, both tanh initializations and all lengths "
    "together",
    expected="holds",
)
def _clip_helps(table: Table) -> tuple[bool, str]:
    sgd, clip = (_solved(table, BOTH_TANH, (method,)) for method in ("SGD", "clip"))
    return clip > sgd, f"{sgd:.2f} of tanh members solved with SGD, {clip:.2f} with clip"


@claim(
    "The smart tanh initialization solves more than the basic one",
    source=FIG_7,
    holds_if="greater success rate over all lengths and methods",
    expected="holds",
)
def _smart(table: Table) -> tuple[bool, str]:
    basic, smart = (_solved(table, (name,), METHODS) for name in BOTH_TANH)
    return smart > basic, f"basic tanh {basic:.2f}, smart tanh {smart:.2f}"


@claim(
    "The sigmoid RNN is the worst",
    source=FIG_7,
    holds_if="success rate over all lengths and methods below both tanh initializations",
    expected="holds",
)
def _sigmoid_worst(table: Table) -> tuple[bool, str]:
    rates = {name: _solved(table, (name,), METHODS) for name in INITS}
    others = min(rates[name] for name in BOTH_TANH)
    return rates["sigmoid"] < others, ", ".join(f"{n} {rate:.2f}" for n, rate in rates.items())


def _high(table: Table) -> tuple[float, ...]:
    """Return the higher learning rates of the linear RNN."""
    return table[0].config["run"]["linear_rates"][-2:]


def _at_high_rates(table: Table, method: str) -> Table:
    return _of(table, LINEAR, method, **{"training.learning_rate": _high(table)})


@claim(
    "Clipping keeps a linear RNN from diverging at a higher learning rate",
    source=PASCANU + "§3.2",
    holds_if="at rates {rates} at least {share:.0%} of the members diverge without clipping, and "
    "none with it",
    expected="holds",
    share=0.5,
)
def _keeps_from_diverging(table: Table, share: float) -> tuple[bool, str]:
    sgd, clip = (
        np.mean(_at_high_rates(table, method).stack("status") == "diverged")
        for method in ("SGD", "clip")
    )
    return bool(sgd >= share and clip == 0), (
        f"diverged: {sgd:.2f} of the members with plain SGD, {clip:.2f} with clip"
    )


@claim(
    "Members that do not diverge learn: clipping is no mere brake",
    source=PASCANU + "§3.2",
    holds_if="at these rates the median over members of the lowest error is at most {error:g} (one "
    "symbol known) with clipping, above it without",
    expected="holds",
    error=0.5,
)
def _learns(table: Table, error: float) -> tuple[bool, str]:
    lowest = [
        np.median([min(r["error"] for r in member.metrics) for member in members])
        for members in (_at_high_rates(table, "SGD"), _at_high_rates(table, "clip"))
        if len(members)
    ]
    if len(lowest) < 2:
        raise Undecided("members with and without clipping are needed")
    return bool(lowest[1] <= error < lowest[0]), (
        f"median of the lowest error: {lowest[0]:.3f} with plain SGD, {lowest[1]:.3f} with clip"
    )


def claims(table: Table) -> list[Claim]:
    """List what Fig. 7 shows, as far as a small copy can, and the purpose of clipping."""
    return [
        _reaches(table),
        _at_least(table),
        _clip_helps(table),
        _smart(table),
        _sigmoid_worst(table),
        _keeps_from_diverging(table, rates=" and ".join(f"{rate:g}" for rate in _high(table))),
        _learns(table),
    ]
