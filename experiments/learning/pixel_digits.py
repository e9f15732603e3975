"""Digits pixel by pixel, in reading order and permuted: tanh RNN, IRNN, LSTM and GRU.

    rnnlab run --config=experiments/learning/pixel_digits.py

scikit-learn's 8x8 digits, 64 steps of one pixel, H = 64, 2,000 updates. About 3 minutes on 2
cores. ":full" is MNIST's size, 784 pixels and 100 units, on the 5,000 images of rnnlab[data].

Expected, test accuracy on 28x28 MNIST in reading order and permuted (Cooijmans et al. 2017, Table
1): tanh RNN 35.0 and 35.0%, IRNN 97.0 and 82.0 (Le, Jaitly & Hinton 2015), LSTM 98.9 and 90.2.
64 steps are short: there Adam makes small weights large before gradients vanish, and a tanh RNN
with orthogonal weights is the best of all.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.lines import axes_of_line
from rnnlab.lab.sweep import Sweep
from rnnlab.nn import layers
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Table
from rnnlab.training import runner

# what is compared: its config, and the published accuracies in reading order and permuted.
# N(0, 0.001) draws both kernels, as Le et al. have it; their IRNN has it for W_xh, too, from where
# it needs far more updates than these.
LINES: dict[str, tuple[dict[str, str], tuple[float, float] | None]] = {
    "tanh RNN, N(0, 0.001)": (
        {"cell.name": "rnn-tanh", "init.w_h": "normal(std=0.001)", "init.w_x": "normal(std=0.001)"},
        (0.350, 0.350),
    ),
    "tanh RNN, orthogonal": (
        {"cell.name": "rnn-tanh", "init.w_h": "orthogonal", "init.w_x": "xavier_uniform"},
        None,
    ),
    "IRNN": (
        {"cell.name": "rnn-relu", "init.w_h": "identity", "init.w_x": "xavier_uniform"},
        (0.970, 0.820),
    ),
    "LSTM": ({"cell.name": "lstm", "init.forget_bias": "1.0"}, (0.989, 0.902)),
    "GRU": ({"cell.name": "gru"}, None),
}
SMALL, ORTHOGONAL, IRNN, LSTM, GRU = LINES
ORDERS = {False: "Pixels in reading order", True: "Pixels permuted"}
PIXELS = {"digits": 64, "mnist": 784, "fashion": 784}
MARGIN = 0.2  # of accuracy: learned against not learned
HARDER = 0.01  # of accuracy: what counts as a difference between two that learn
PAR = 0.03
LEARNED = 0.75  # accuracy by which convergence is timed


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" the paper's size."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "pixel_digits",
                "source": "mnist" if full else "digits",  # or "fashion"
                "permuted": False,
                "validation_share": 0.1,  # of the images to learn from
            },
            "cell": layers.config("lstm", 100 if full else 64),
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=1e-3,
                schedule="linear",
                clip_norm=1.0,
                batch_size=32,
                steps=50_000 if full else 2000,
                eval_every=500 if full else 50,
                eval_batch_size=1000 if full else 359,
                stop_when_solved=False,
            ),
            "run": runner.config(
                seeds=5 if full else 3,
                rates=(1e-4, 1e-3) if full else (1e-3, 4e-3),  # learning rates of the RNNs
                gated_rates=(1e-3,) if full else (4e-3,),  # learning rates of LSTM and GRU
                seconds_per_member=3000.0 if full else 2.0,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return lines x learning rates x orders x seeds."""
    axes = {"task.permuted": tuple(ORDERS), "seed": seeds(config)}
    return [
        axes_of_line(values)
        | {"training.learning_rate": config.run.gated_rates if gated(line) else config.run.rates}
        | axes
        for line, (values, _) in LINES.items()
    ]


def gated(line: str) -> bool:
    """Return whether a line's cell has gates, which make it slow to search."""
    return LINES[line][0]["cell.name"] in ("lstm", "gru")


run = training.run


def of(table: Table, line: str, permuted: bool) -> Table:
    """Select the members of a line at the best of its learning rates, one per seed.

    Raises:
        Undecided: no members.
    """
    return learning_curves.best(table.select(LINES[line][0] | {"task.permuted": permuted}))


def there(table: Table, line: str, permuted: bool) -> bool:
    """Return whether a narrowed sweep still has the line."""
    return len(table.select(LINES[line][0] | {"task.permuted": permuted})) > 0


def reached(chosen: Table, least: float) -> np.ndarray:
    """Return the updates until a test accuracy of at least ``least``, (members,); inf: never."""
    steps, accuracy = learning_curves.learning_curves(chosen, "accuracy")
    enough = accuracy >= least
    return np.where(enough.any(axis=1), steps[enough.argmax(axis=1)], np.inf)


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw learning curves, and the last accuracy beside the published one."""
    return {"curves": _curves(table), "accuracy": _accuracy(table)}


def _curves(table: Table) -> tuple[Figure, str]:
    orders = table.values("task.permuted")
    figure, axes = plots.new_figure(1, len(orders), size=(5.6 * len(orders), 3.8), share_y=True)
    for ax, permuted in zip(axes[0], orders, strict=True):
        ends = [
            learning_curves.draw(ax, of(table, line, permuted), "accuracy", line, index)
            for index, line in enumerate(LINES)
            if there(table, line, permuted)
        ]
        ax.set(xlabel="updates", ylim=(0, 1.02))
        learning_curves.baseline(ax, 0.1, "guessing")
        plots.title(ax, ORDERS[permuted])
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("accuracy on held-out images")
    return figure, (
        "Accuracy after the last pixel against updates, each line at the best of its learning "
        "rates (by test loss): median and 10–90% band over seeds. After "
        "Le, Jaitly & Hinton 2015, Fig. 3, and Cooijmans et al. 2017, Fig. 2."
    )


def _accuracy(table: Table) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, 1, size=(7.4, 3.2))
    ax, shown = axes[0, 0], []
    for line, (_, published) in LINES.items():
        orders = [permuted for permuted in ORDERS if there(table, line, permuted)]
        if not orders:
            continue
        y = -len(shown)
        shown.append(line)
        for permuted in orders:
            at, color = y + 0.15 - 0.3 * permuted, plots.COLORS[1 + permuted]
            scores = of(table, line, permuted).stack("accuracy")
            ax.plot(scores, np.full(scores.size, at), "o", color=color, markersize=5)
            if published:
                ax.plot(published[permuted], at, "D", color=color, markersize=5, fillstyle="none")
    ax.set_yticks(-np.arange(len(shown)), shown)
    ax.set(xlabel="accuracy", xlim=(0, 1.02), ylim=(0.5 - len(shown), 1.1))
    for place, words in enumerate(("reading order", "permuted")):
        ax.text(0.02 + 0.23 * place, 0.75, f"● {words}", color=plots.COLORS[1 + place])
    ax.text(0.44, 0.75, "◇ published, on 28x28 MNIST", color="#555555")
    source = table[0].config["task"]["source"]
    others = "" if source == "mnist" else ": other images" + f", {PIXELS[source]} here"
    return figure, (
        "The last accuracy of every seed, beside what Cooijmans et al. 2017, Table 1, report of "
        f"784 pixels of MNIST{others}."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


LE = "Le, Jaitly & Hinton 2015"
TABLE_1 = "Cooijmans et al. 2017 (arXiv 1603.09025), Table 1"
ACCURACY = "median test accuracy over seeds "


def _median(table: Table, line: str, permuted: bool) -> float:
    return float(np.median(of(table, line, permuted).stack("accuracy")))


def _words(table: Table, lines: tuple[str, ...], permuted: bool) -> str:
    scores = ", ".join(f"{line} {100 * _median(table, line, permuted):.1f}%" for line in lines)
    return f"{scores} ({_pixels(table)} pixels)"


def _pixels(table: Table) -> int:
    return PIXELS[table[0].config["task"]["source"]]


def _above(
    statement: str, source: str, expected: str, margin: float, than: str = ""
) -> Callable[..., Claim]:
    def check(
        table: Table, line: str, other: str, permuted: bool, margin: float
    ) -> tuple[bool, str]:
        gained = _median(table, line, permuted) - _median(table, other, permuted)
        return gained >= margin, _words(table, (line, other), permuted)

    return claim(
        statement,
        source=source,
        holds_if=ACCURACY + "higher by at least {margin:g}" + than,
        expected=expected,
        margin=margin,
    )(check)


def _higher(statement: str, accuracies: str) -> Callable[..., Claim]:
    def check(table: Table, line: str, other: str, permuted: bool) -> tuple[bool, str]:
        higher = _median(table, line, permuted) > _median(table, other, permuted)
        return higher, _words(table, (line, other), permuted)

    return claim(
        statement,
        source=f"{TABLE_1}: {accuracies}",
        holds_if=ACCURACY + "higher",
        expected="holds",
    )(check)


def _harder(line: str, accuracies: str) -> Callable[..., Claim]:
    def check(table: Table, lower: float) -> tuple[bool, str]:
        ordered, permuted = (_median(table, line, order) for order in (False, True))
        return ordered - permuted >= lower, (
            f"{line} {100 * ordered:.1f}% in reading order, {100 * permuted:.1f}% permuted"
        )

    return claim(
        f"Permuted pixels are harder for an {line}",
        source=f"{TABLE_1}: {accuracies}",
        holds_if=ACCURACY + "lower by at least {lower:g}",
        expected="holds",
        lower=HARDER,
    )(check)


@claim(
    "Orthogonal weights speed the convergence of a tanh RNN",
    source="the notes, claim 16",
    holds_if="median over seeds of the updates until a test accuracy of {accuracy:g}: at most "
    "{share:g} of those with N(0, 0.001)",
    expected="holds",
    accuracy=LEARNED,
    share=0.5,
)
def _sooner(table: Table, accuracy: float, share: float) -> tuple[bool, str]:
    orthogonal, small = (
        float(np.median(reached(of(table, line, False), accuracy))) for line in (ORTHOGONAL, SMALL)
    )
    return orthogonal < np.inf and orthogonal <= share * small, (
        f"updates until {accuracy:g}: {ORTHOGONAL} {orthogonal:.0f}, {SMALL} {small:.0f}"
    )


@claim(
    "A GRU is on par with an LSTM",
    source="the notes, claim 18",
    holds_if=ACCURACY + "within {most:g} of each other, in reading order",
    expected="holds",
    most=PAR,
)
def _on_par(table: Table, most: float) -> tuple[bool, str]:
    difference = abs(_median(table, GRU, False) - _median(table, LSTM, False))
    return difference <= most, _words(table, (GRU, LSTM), False)


def claims(table: Table) -> list[Claim]:
    """List Le et al.'s and Cooijmans et al.'s comparisons, and the notes' 16 to 18."""
    # Thresholds and verdicts were written before any run, "holds" but for the third. Runs on
    # another seed, meant to find learning rates, showed that 64 steps are too few for the IRNN's
    # advantage and for so wide a margin of the orthogonal weights: expected since, still before
    # the run that decides, "refuted" there. They also showed how convergence can be timed.
    long_only = "refuted" if table[0].config["task"]["source"] == "digits" else "holds"
    return [
        _above(
            "Pixel by pixel, an IRNN learns what a tanh RNN of small random weights does not",
            f"{LE} (arXiv 1504.00941), §4.2; {TABLE_1}: 97.0% against 35.0%",
            long_only,
            MARGIN,
        )(table, line=IRNN, other=SMALL, permuted=False),
        _above(
            "Pixels permuted, an IRNN learns what a tanh RNN of small random weights does not",
            f"{LE}, §4.2; {TABLE_1}: 82.0% against 35.0%",
            long_only,
            MARGIN,
        )(table, line=IRNN, other=SMALL, permuted=True),
        _above(
            "An IRNN reads pixels better than a tanh RNN, however it is initialized",
            LE,
            "refuted",
            HARDER,
            " than that of the tanh RNN with orthogonal weights",
        )(table, line=IRNN, other=ORTHOGONAL, permuted=False),
        _above(
            f"Orthogonal weights let a tanh RNN learn over {_pixels(table)} steps",
            "the notes, claim 16",
            long_only,
            MARGIN,
            " than with N(0, 0.001)",
        )(table, line=ORTHOGONAL, other=SMALL, permuted=False),
        _sooner(table),
        _higher(
            "Pixel by pixel, an LSTM is better than an IRNN",
            "98.9% against 97.0%",
        )(table, line=LSTM, other=IRNN, permuted=False),
        _higher(
            "Pixels permuted, an LSTM is better than an IRNN",
            "90.2% against 82.0%",
        )(table, line=LSTM, other=IRNN, permuted=True),
        _harder(IRNN, "97.0% and 82.0%")(table),
        _harder(LSTM, "98.9% and 90.2%")(table),
        _on_par(table),
    ]
