"""Which of two symbols came first? Plain SGD, clipping and Pascanu's Ω, each at its own rate.

    rnnlab run --config=experiments/learning/temporal_order.py

Fig. 7 of Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), scaled down: 50 units, batch 20 and SGD
without momentum as there, but lengths 20 and 50 and at most 3000 updates instead of 5 million.
About 3 minutes on 2 cores; ":full" is the paper's scale (weeks on 2 cores, see --dry_run).

Expected, after the figure: clipping is better than plain SGD and Ω no worse than clipping alone at
length 20; at length 50 clipping with Ω learns it, plain SGD does not, and clipping alone is worse;
the smart tanh initialization is better than the basic one, and the sigmoid RNN worse. A linear RNN
at length 20 and rates from 0.1 on diverges, and learns better where its gradient is clipped.

Found: so it is, but that 16 seeds do not decide between the smart and the basic initialization (250
updates each; about 148 would). From basic weights at length 20: SGD 1000 updates (13 of 16 seeds),
clip 500, clip + Ω 250; at length 50 none of 16 seeds, none, and 14 after 2300. The linear RNN is at
an error of 0.001 with clipping, at 0.59 without, each at its best rate.
"""

import math

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.lab.comparison import RATE, Comparison
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import keys, learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import Comparisons
from rnnlab.results.comparison_claims import as_good, better, solves
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
TIMES = (0.3, 1.0, 3.0, 10.0)  # training.learning_rate, to be tuned over
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
                steps=5_000_000 if full else 3000,
                batch_size=20,
                eval_every=5000 if full else 100,
                eval_batch_size=10_000 if full else 500,
            ),
            "run": runner.config(
                seeds=4,  # seeds of the linear model at each rate
                lengths=(20, 50, 100, 150, 200, 250) if full else (20, 50),  # values of T
                # initializations with which methods are compared
                inits=("basic tanh", "smart tanh") if full else ("basic tanh",),
                linear_length=20,  # T of the linear model, which has its own budget
                linear_steps=500,  # updates of the linear model
                linear_eval_every=5,  # updates between two scores of the linear model
                # learning rates of the linear model; the last two are the higher ones
                linear_rates=(0.01, 0.03, 0.1, 0.3),
                seconds_per_member=4500.0 if full else 0.9,
                seconds_per_group=3.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return linear RNNs with or without clipping, to see at which rates they diverge."""
    return {
        **{key: (value,) for key, value in _linear(config).items()},
        RATE: config.run.linear_rates,
        METHOD_KEYS: (METHODS["SGD"], METHODS["clip"]),
        "seed": seeds(config),
    }


def _linear(config: Config) -> dict[str, object]:
    """Return the values that make a linear RNN, and its task."""
    return _init(LINEAR) | {
        "task.length": config.run.linear_length,
        "training.steps": config.run.linear_steps,
        "training.eval_every": config.run.linear_eval_every,
    }


def comparison(config: Config) -> list[Comparison]:
    """Compare methods by length and initialization; initializations; clipping in a linear RNN."""
    rates = tuple(float(f"{times * config.training.learning_rate:.6g}") for times in TIMES)
    tuned = {"tune": {RATE: rates}, "tuning_seeds": 2}
    methods = {name: _method(name) for name in METHODS}
    shortest = min(config.run.lengths)
    return [
        *(
            Comparison(
                methods,
                seeds=(8, 16),
                question=f"In temporal order L={length}, {init}",
                name=methods_at(init, length),
                fixed=_init(INITS[init]) | {"task.length": length},
                **tuned,
            )
            for init in config.run.inits
            for length in config.run.lengths
        ),
        Comparison(
            {name: _init(init) for name, init in INITS.items()},
            seeds=(8, 16),
            question=f"In temporal order L={shortest}, with clip + Ω",
            name=INITS_NAME,
            fixed=_method("clip + Ω") | {"task.length": shortest},
            **tuned,
        ),
        Comparison(
            {name: methods[name] for name in ("SGD", "clip")},
            tune={RATE: config.run.linear_rates},
            tuning_seeds=2,
            seeds=(8, 16),
            score="error",
            equivalent=0.05,
            question=f"In temporal order L={config.run.linear_length}, of a linear RNN",
            name=LINEAR_NAME,
            fixed=_linear(config),
        ),
    ]


INITS_NAME, LINEAR_NAME = "initializations", "linear"


def methods_at(init: str, length: int) -> str:
    """Return the name of the comparison of methods."""
    return f"{init.split()[0]}_{length}"


def _init(init: tuple[str, ...]) -> dict[str, object]:
    return dict(zip(INIT_KEYS, init, strict=True))


def _method(name: str) -> dict[str, object]:
    return dict(zip(METHOD_KEYS, METHODS[name], strict=True))


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw the success rates of Fig. 7, and what clipping prevents."""
    return {
        "success": _success(table, comparisons),
        "clipping": _clipping(_swept(table)),
    }


def _swept(table: Table) -> Table:
    """Select the members beside the comparisons: linear RNNs at every rate."""
    return Table(member for member in table if not member.phase)


def _success(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    own = table[0].config["run"]
    lengths, inits = sorted(own["lengths"]), own["inits"]
    figure, axes = plots.new_figure(1, len(inits), size=(1.6 + 4 * len(inits), 3.6), share_y=True)
    for ax, init in zip(axes[0], inits, strict=True):
        ends = []
        results = [comparisons[methods_at(init, length)] for length in lengths]
        for index, method in enumerate(METHODS):
            shares = np.array([np.isfinite(result.arm(method).test).mean() for result in results])
            # equal rates would hide each other: the methods stand a little apart
            shown = shares + 0.015 * (1 - index)
            style = plots.look(index)
            ax.plot(lengths, shown, marker="o", markersize=4, **style)
            ends.append(plots.End(lengths[-1], shown[-1], method, style["color"]))
        learning_curves.length_axis(ax, lengths, "sequence length")
        ax.set(ylim=(-0.08, 1.08))
        plots.title(ax, init)
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("success rate")
    return figure, (
        "The share of judged seeds that solve the task against length, each method at its own best "
        "learning rate, after Fig. 7 of Pascanu, Mikolov & Bengio 2013: solved is at most "
        f"{table[0].config['task']['solved_at']:.3g} of fresh sequences wrong. Equal rates are "
        "drawn a little apart."
    )


def _clipping(linear: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 2, size=(11, 3.8))
    norms, shares = axes[0]
    ends: list[plots.End | None] = []
    for index, method in enumerate(("SGD", "clip")):
        style, tips = plots.look(index), []
        for member in _of(linear, method, SHOWN):
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
                keys.mark(norms.lines[-1], "last finite value: diverged")
            tips.append(plots.End(x[-1], y[-1], method, style["color"]))
        ends.append(max(tips, key=lambda end: end.x, default=None))
    norms.set(ylim=(-1, BEYOND), xlabel="updates")
    length = linear[0].config["task"]["length"]
    training_of = linear[0].config["training"]
    norms.set_ylabel(f"{plots.LOG} of the gradient norm, largest of {training_of['eval_every']}")
    plots.title(norms, f"Learning rate {SHOWN:g}")
    plots.direct_labels(norms, ends)
    ends = []
    for index, method in enumerate(("SGD", "clip")):
        by_rate = _of(linear, method).group_by(RATE)
        style = plots.look(index)
        share = [np.mean(members.stack("status") == "diverged") for members in by_rate.values()]
        shares.plot(list(by_rate), share, marker="o", markersize=4, **style)
        ends.append(plots.End(list(by_rate)[-1], float(share[-1]), method, style["color"]))
    shares.set(xscale="log", ylim=(-0.05, 1.05), xlabel="learning rate")
    shares.set_ylabel("share of members that diverge")
    rates = linear.values(RATE)
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


def _high(table: Table) -> tuple[float, ...]:
    """Return the higher learning rates of the linear RNN."""
    return table[0].config["run"]["linear_rates"][-2:]


def _of(linear: Table, method: str, *rates: float) -> Table:
    """Select the linear RNNs with a method, at these rates or at all."""
    return linear.select(_method(method) | ({RATE: rates} if rates else {}))


@claim(
    "Clipping keeps a linear RNN from diverging at a higher learning rate",
    source=PASCANU + "§3.2",
    holds_if="at rates {rates} at least {share:.0%} of the members diverge without clipping, and "
    "none with it",
    expected="holds",
    share=0.5,
)
def _keeps_from_diverging(table: Table, share: float) -> tuple[bool, str]:
    high = _high(table)
    sgd, clip = (
        np.mean(_of(_swept(table), method, *high).stack("status") == "diverged")
        for method in ("SGD", "clip")
    )
    return bool(sgd >= share and clip == 0), (
        f"diverged: {sgd:.2f} of the members with plain SGD, {clip:.2f} with clip"
    )


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List what Fig. 7 shows, as far as a small copy can, and the purpose of clipping."""
    own = table[0].config["run"]
    shortest, longest = min(own["lengths"]), max(own["lengths"])
    inits = {"comparisons": comparisons, "name": INITS_NAME, "source": FIG_7}
    listed: list[Claim] = []
    for init in own["inits"]:
        short = {"comparisons": comparisons, "name": methods_at(init, shortest), "source": FIG_7}
        long = {"comparisons": comparisons, "name": methods_at(init, longest), "source": FIG_7}
        listed += [
            better(
                f"Clipping is better than plain SGD, {init}, length {shortest}",
                arms=("clip", "SGD"),
                **short,
            ),
            as_good(
                f"With Ω an RNN learns as well as with clipping alone, {init}, length {shortest}",
                arms=("clip + Ω", "clip"),
                **short,
            ),
            solves(
                f"Plain SGD does not learn length {longest}, {init}",
                arm="SGD",
                never=True,
                **long,
            ),
            solves(
                f"Clipping with Ω learns length {longest}, {init}",
                arm="clip + Ω",
                **long,
            ),
            better(
                f"Ω is better than clipping alone, {init}, length {longest}",
                arms=("clip + Ω", "clip"),
                **long,
            ),
        ]
    return [
        *listed,
        better(
            "The smart tanh initialization is better than the basic one",
            arms=("smart tanh", "basic tanh"),
            **inits,
        ),
        better(
            "The sigmoid RNN is worse than the tanh RNN",
            arms=("basic tanh", "sigmoid"),
            **inits,
        ),
        _keeps_from_diverging(table, rates=" and ".join(f"{rate:g}" for rate in _high(table))),
        better(
            "A linear RNN learns better with clipping, which is no mere brake",
            arms=("clip", "SGD"),
            comparisons=comparisons,
            name=LINEAR_NAME,
            source=PASCANU + "§3.2",
        ),
    ]
