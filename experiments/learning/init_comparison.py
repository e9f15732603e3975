"""Which initialization trains sooner: scheme x cell x task, each decided against PyTorch's own.

    rnnlab run --config=experiments/learning/init_comparison.py

Adding (T = 20), delayed recall (20 steps) and 8x8 digits pixel by pixel (T = 64); RNN with tanh
and with ReLU, LSTM, GRU, H = 32. A panel is a cell on a task, and one comparison: every scheme
against U(−1/√H, 1/√H) for W_hh, which is the default of PyTorch's RNN, LSTM and GRU:
most users ask whether another scheme is worth a line of code. One block
is changed at a time; the others are Xavier (W_xh, W_hy), zero (b) and the cell's own forget bias
(LSTM 1, GRU 0). Every scheme has its own learning rate. About 10 minutes on 2 cores; ":full" has
T = 200, 100 and MNIST's 784 and H = 128, for a GPU or a cluster.

Expected, from the notes' claims 15 and 16: orthogonal and Xavier W_hh keep the gradient and speed
convergence. Mean field, and for gated cells the bias alone, predict what is kept of the gradient
over the span of the task; the predictions are written before anything trains.

Measured: a tanh RNN with an orthogonal W_hh is better than PyTorch's at recall (60 updates against
315) and digits (210 against 540), with Xavier likewise; N(0, 0.01) is worse at adding and digits. A
ReLU RNN with W_hh = I is better at adding (105 against 210), alone solves recall, and never learns
the digits. Mean field is right for 8 of 12 decided pairs of the tanh RNN: it takes identity and He
for good on every task, and they are worse at digits and at adding. W_xh matters, too: He makes
adding easy and digits hard. For gated cells W_hh matters at recall; else most schemes are
equivalent, and a larger b_z speeds a GRU. 48 of 71 pairs and 14 of 19 claims are decided; neither
scheme solves in 7, all of ReLU RNNs. Of 9 arms, most of them worse than the reference, the best
rate lies at the edge of the grid.

With 1,200 updates, 2 minutes more, 53 pairs are decided, and mean field is right for 5 of 7 of the
ReLU RNN.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import theory, training
from rnnlab.core.errors import Undecided
from rnnlab.lab import init_sweep
from rnnlab.lab.comparison import Comparison
from rnnlab.lab.config import Config, scale
from rnnlab.lab.init_sweep import CELLS, GATED, SIMPLE, TASKS
from rnnlab.nn.initializers import InitScheme, make
from rnnlab.plotting import comparison_matrix, keys, learning_curves, plots
from rnnlab.plotting.comparison_matrix import Column
from rnnlab.plotting.gradient_figures import scheme_label
from rnnlab.results import comparison_words as words
from rnnlab.results.claims import Claim, claim
from rnnlab.results.comparison import ComparisonResult, Comparisons, Pair
from rnnlab.results.comparison_claims import better, better_in_most, better_or_worse
from rnnlab.results.statistics import BETTER, EQUIVALENT, UNDECIDED, WORSE
from rnnlab.results.table import Member, Table
from rnnlab.tasks.base import Task

TANH, RELU, LSTM, GRU = CELLS
REFERENCE = "torch_uniform"
UNIFORM = scheme_label(REFERENCE)
TITLES = init_sweep.TITLES | {
    "adding": "adding",
    "delayed_recall": "delayed recall",
    "pixel_digits": "digits pixel by pixel",
}
BLOCKS = {"w_x": "W_xh", "w_y": "W_hy", "b": "b", "forget_bias": "b_f, b_z"}
SYMBOLS = {"lstm": "b_f", "gru": "b_z"}
BIASES = {"lstm": 1.0, "gru": 0.0}  # what the cells draw for an empty init.forget_bias
# of W_hh; a square LeCun kernel is a Xavier one: one of the two stands for both
RECURRENT = ("orthogonal", "identity", "xavier_uniform", "he_normal", "normal(std=0.01)")
FOR_RELU = ("identity", "he_normal")  # made for ReLU, beside tanh; not of gated cells
# the other blocks that are changed, one at a time: (cell, block, scheme)
OTHERS = (
    ("rnn-tanh", "w_x", "he_normal"),
    ("rnn-tanh", "w_y", "he_normal"),
    ("rnn-tanh", "b", "normal(std=0.01)"),
    ("lstm", "forget_bias", "0.0"),
    ("gru", "forget_bias", "1.0"),
    ("lstm", "forget_bias", "3.0"),
    ("gru", "forget_bias", "3.0"),
)
DECADES = 10.0  # "kept": this much more than N(0, 0.01), of some 40
MOST = 2  # of the three tasks
FELT = 1.0  # decades: a smaller difference in what is kept of the gradient predicts none
START = (  # label of an axis
    rf"{plots.LOG} of $\|\partial L/\partial h_1\|\ /\ \|\partial L/\partial h_T\|$ before training"
)
WORST = -90.0  # decades: what is below is drawn here
RIGHT = 0.75  # "predicts": at least this share of what is decided
LEAST = 4  # decided pairs without which a prediction is not judged

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    return init_sweep.config(
        init=InitScheme.config(w_h=REFERENCE),
        training_changes={
            "steps": 10_000 if full else 900,
            "eval_every": 200 if full else 30,
        },
        run={
            # learning rates that are tried for every scheme of a simple RNN
            "rates": (1e-4, 3e-4, 1e-3, 3e-3) if full else (1e-3, 3e-3, 1e-2, 3e-2),
            # learning rates that are tried for every scheme of an LSTM or a GRU
            "gated_rates": (3e-4, 1e-3, 3e-3, 1e-2) if full else (3e-3, 1e-2, 3e-2, 1e-1),
            "tuning_seeds": 3,  # seeds with which learning rates are tried
            # numbers of fresh seeds after which pairs are looked at; at eight pairs per panel no
            # sign test of 8 seeds decides
            "judged_seeds": (10, 20, 40),
            "seconds_per_group": 5.0,
        },
        full=full,
    )


# ---- comparisons -------------------------------------------------------------------------------

# pairs that Henaff et al. compare, neither of them the reference: their members are the panels'
HENAFF = {
    "identity_for_adding": ("rnn-relu", "adding"),
    "orthogonal_for_recall": ("rnn-tanh", "delayed_recall"),
}


def comparison(config: Config) -> list[Comparison]:
    """Return a comparison per cell and task, and those of identity with orthogonal W_hh."""
    panels = [
        _compared(config, panel(cell, task), cell, task, arms(cell), UNIFORM)
        for cell in CELLS
        for task in TASKS
    ]
    two = {scheme: {"init.w_h": scheme} for scheme in ("orthogonal", "identity")}
    return panels + [_compared(config, name, *place, two, None) for name, place in HENAFF.items()]


def _compared(
    config: Config,
    name: str,
    cell: str,
    task: str,
    schemes: Mapping[str, Mapping[str, str]],
    reference: str | None,
) -> Comparison:
    rates = config.run.gated_rates if cell in GATED else config.run.rates
    return Comparison(
        name=name,
        question=f"On {TITLES[task]}, of {TITLES[cell]}s",
        arms=schemes,
        tune={"training.learning_rate": rates},
        score="solved_at",
        reference=reference,
        tuning_seeds=config.run.tuning_seeds,
        seeds=config.run.judged_seeds,
        fixed={"cell.name": cell, "task.name": task} | options(config, task),
    )


def panel(cell: str, task: str) -> str:
    """Return the name of the comparison of a cell on a task."""
    return f"{cell}_{task}"


def arms(cell: str) -> dict[str, dict[str, str]]:
    """Return the schemes of a cell by name: the reference, those of W_hh, those of other blocks."""
    found = {UNIFORM: {"init.w_h": REFERENCE}}
    found |= {scheme_label(w_h): {"init.w_h": w_h} for w_h in recurrent(cell)}
    return found | {
        other_label(block, scheme, cell): {f"init.{block}": scheme}
        for owner, block, scheme in OTHERS
        if owner == cell
    }


def recurrent(cell: str) -> list[str]:
    """Return the schemes of W_hh that a cell is compared with, beside the reference."""
    return [scheme for scheme in RECURRENT if cell in SIMPLE or scheme not in FOR_RELU]


def other_label(block: str, scheme: str, cell: str) -> str:
    """Return the name of an arm that changes another block than W_hh."""
    if block == "forget_bias":
        return f"{SYMBOLS[cell]} = {float(scheme):g}"
    return f"{BLOCKS[block]} {scheme_label(scheme)}"


def options(config: Config, task: str) -> dict[str, object]:
    """Return what a panel's members share: the size of the task, when it counts as solved."""
    found = init_sweep.task_options(config.run.scale, task, delay=20)
    if task == "pixel_digits":
        found["training.keep_best"] = True  # solved by validation images
    return found


# ---- what theory predicts ----------------------------------------------------------------------


def predict(config: Config) -> dict[str, object]:
    """Predict log10 of ‖∂L/∂h_1‖/‖∂L/∂h_T‖ before training, and by which theory.

    Simple RNNs: mean field with the σ_w of the drawn W_hh, ‖W_hh‖_F/√H, and the variance of
    W_xh x_t on a batch of the task. It takes W_hh for random: a ReLU RNN with W_hh = I keeps its
    units on, and so its gradient (Le et al. 2015). Gated cells: retention by the bias alone,
    whatever the scheme of W_hh.
    """
    task, cell, init = training.task_of(config), config.cell.name, config.init
    span = task.length - 1
    if cell in GATED:
        if "(" in init.forget_bias:  # a scheme, such as chrono
            return {}
        bias = float(init.forget_bias) if init.forget_bias else BIASES[cell]
        decades = theory.gate_retention_log10(bias, [span])
    elif cell == "rnn-relu" and init.w_h.startswith("identity"):
        decades = np.zeros(1)
    elif cell in SIMPLE:
        H, D = config.cell.hidden_size, task.input_size
        sigma_w = math.sqrt(_mean_square(init.w_h, (H, H), H) * H)
        v = _mean_square(init.w_x, (D, H), H) * _input_square(task)
        decades = theory.mean_field_adjoint_log10(
            sigma_w, [span], input_variance=v, activation=cell.removeprefix("rnn-")
        )
    else:  # a cell of one's own
        return {}
    return {"kept_predicted": float(decades[0])}


@lru_cache
def _mean_square(scheme: str, shape: tuple[int, int], H: int) -> float:
    """Return the mean square of an entry of a kernel that a scheme draws."""
    return float((np.asarray(make(scheme, hidden_size=H)(jax.random.key(0), shape)) ** 2).mean())


@lru_cache
def _input_square(task: Task) -> float:
    """Return E ‖x_t‖² over steps and sequences."""
    batch = task.batch(task.load(), jax.random.key(0), 0, batch_size=100)
    return float((np.asarray(batch.inputs) ** 2).sum(-1).mean())


def kept(member: Member) -> float:
    """Return log10 of ‖∂L/∂h_1‖ relative to ‖∂L/∂h_T‖, measured before the first update.

    Step 1 is the first whose gradient is not exactly zero for half of the batch: ReLU units are
    off until a digit's first inked pixel. −inf: only the last step has one.
    """
    norms = next(record["adjoint_h"] for record in member.metrics if "adjoint_h" in record)
    first = int(np.argmax(np.isfinite(norms)))
    return norms[first] - norms[-1] if first < len(norms) - 1 else -math.inf


def at_start(table: Table, result: ComparisonResult, arm: str) -> float:
    """Return the median over judged seeds of :func:`kept`."""
    members = result.judged(table, arm)
    if not len(members):
        raise Undecided(f"no judged member of {arm}")
    return float(np.median([kept(member) for member in members]))


def by_theory(table: Table, result: ComparisonResult, arm: str) -> float:
    """Return the decades that theory says are kept."""
    members = result.judged(table, arm)
    if not len(members) or "kept_predicted" not in members[0].result:
        raise Undecided(f"nothing is predicted of {arm}")
    return float(np.median(members.stack("kept_predicted")))


def forecast(decades: float, reference: float) -> str:
    """Return the verdict that a kept gradient predicts: the farther from 0, the worse.

    >>> forecast(-2.0, -8.0), forecast(-2.0, -2.5), forecast(-math.inf, -8.0), forecast(9.0, -1.0)
    ('better', 'equivalent', 'worse', 'worse')
    """
    lost, by = abs(decades), abs(reference)
    if lost == by or abs(lost - by) < FELT:
        return EQUIVALENT
    return WORSE if lost > by else BETTER


# ---- figures -----------------------------------------------------------------------------------

FORECASTS = {BETTER: "▲", WORSE: "▼", EQUIVALENT: "≈"}


def figures(table: Table, comparisons: Comparisons) -> dict[str, tuple[Figure, str]]:
    """Draw the figures of the report, each with its caption."""
    return {
        "matrix": _matrix(table, comparisons),
        "start_and_end": _start_and_end(table, comparisons),
    }


def _matrix(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    rows = {UNIFORM: f"W_hh {UNIFORM}\n(reference)"} | {n: f"W_hh {n}" for n in _recurrent()}
    for cell, block, scheme in OTHERS:
        name = _row(other_label(block, scheme, cell))
        rows[name] = name
    columns = []
    for task in TASKS:
        for cell in CELLS:
            result = comparisons[panel(cell, task)]
            names = [arm.name for arm in result.arms]
            notes = {name: _theory(table, result, name) for name in names}
            by_row = {_row(name): name for name in names}
            columns.append(Column(TITLES[task], TITLES[cell], result, by_row, notes))
    figure, caption = comparison_matrix.draw(columns, rows, lines=(0, len(RECURRENT)))
    return figure, (
        f"{caption} Small: what theory predicts (▲ sooner, ▼ later, ≈ no difference), from the "
        "decades of the gradient that are kept over the task; the number: how many more than with "
        "the reference."
    )


def _row(arm: str) -> str:
    """Return the row of an arm: b_f of an LSTM and b_z of a GRU share theirs."""
    for symbol in SYMBOLS.values():
        if arm.startswith(f"{symbol} = "):
            return BLOCKS["forget_bias"] + arm.removeprefix(symbol)
    return arm


def _theory(table: Table, result: ComparisonResult, arm: str) -> str:
    """Return what theory predicts of an arm, in a few characters."""
    left, by = (by_theory(table, result, name) for name in (arm, UNIFORM))
    predicted = forecast(left, by)
    return f"theory {FORECASTS[predicted]}" + f" {abs(by) - abs(left):+.0f}" * (
        predicted != EQUIVALENT
    )


def _start_and_end(table: Table, comparisons: Comparisons) -> tuple[Figure, str]:
    figure, axes = plots.new_figure(1, len(TASKS), size=(4.2 * len(TASKS), 3.8), share_y=True)
    budget = max(member.config["training"]["steps"] for member in table)
    for ax, task in zip(axes[0], TASKS, strict=True):
        for index, cell in enumerate(CELLS):
            result, schemes = comparisons[panel(cell, task)], [UNIFORM, *_recurrent(cell)]
            at = [words.median(result.arm(name).test, result) for name in schemes]
            ax.plot(
                [max(at_start(table, result, name), WORST) for name in schemes],
                learning_curves.drawable(np.array(at), budget),
                "osD^"[index],
                color=plots.look(index)["color"],
                markersize=6,
                alpha=0.75,
                markeredgewidth=0,
                label=TITLES[cell],
            )
        nothing_lost = ax.axvline(0, color="#777777", linewidth=0.8)
        keys.mark(nothing_lost, "nothing lost", guide=True)
        learning_curves.updates_axis(ax, budget)
        ax.set(xlabel=START, ylabel="")
        plots.title(ax, TITLES[task])
    axes[0, 0].set_ylabel("updates until solved, at its best rate")
    axes[0, -1].legend(fontsize=8, frameon=False)
    return figure, (
        "The gradient left at the first step before any training, and the updates until the task "
        "is solved: a point per scheme of W_hh and cell, medians over seeds. Less than "
        f"10^{WORST:.0f} is drawn there. The vertical line: nothing lost."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------

NOTES, HENAFF_SOURCE = "the notes, claim ", "Henaff, Szlam & LeCun 2016"


def _against(comparisons: Comparisons, cell: str, names: Iterable[str], task: str) -> list[Pair]:
    """Return the verdicts on these arms of a cell, each against the reference."""
    result = comparisons[panel(cell, task)]
    return [result.pair(name, UNIFORM) for name in names]


def _recurrent(cell: str = TANH) -> list[str]:
    return [scheme_label(scheme) for scheme in recurrent(cell)]


@claim(
    "Orthogonal and Xavier W_hh ease the vanishing gradient of a tanh RNN",
    source=NOTES + "16",
    holds_if="at h_1, before training, each keeps at least {decades:g} decades more than "
    "N(0, 0.01), on every task",
    expected="holds",
    decades=DECADES,
)
def _start(table: Table, comparisons: Comparisons, decades: float) -> tuple[bool, str]:
    said, gaps = [], []
    for task in TASKS:
        result = comparisons[panel("rnn-tanh", task)]
        *good, small = (at_start(table, result, n) for n in ("orthogonal", "Xavier", "N(0, 0.01)"))
        gaps.append(min(good) - small)
        said.append(
            "{}: orthogonal {:.1f}, Xavier {:.1f}, N(0, 0.01) {:.1f}".format(
                TITLES[task], *good, small
            )
        )
    return min(gaps) >= decades, "; ".join(said)


def _predicts(
    which: str, source: str, reading: Callable[[Table, ComparisonResult, str], float]
) -> Callable[..., Claim]:
    """Return the claim that a reading of the gradient says which scheme of W_hh is better."""

    def check(
        table: Table, comparisons: Comparisons, cell: str, share: float, felt: float, least: int
    ) -> tuple[bool, str]:
        right, said = [], []
        for task in TASKS:
            result = comparisons[panel(cell, task)]
            by = reading(table, result, UNIFORM)
            for pair in _against(comparisons, cell, _recurrent(), task):
                predicted = forecast(reading(table, result, pair.a), by)
                if pair.verdict != UNDECIDED:
                    right.append(predicted == pair.verdict)
                    if predicted != pair.verdict:
                        said.append(
                            f"{pair.a} on {TITLES[task]} is {pair.verdict}, not {predicted}"
                        )
        found = f"{sum(right)} of {len(right)} decided pairs" + "".join(f"; {s}" for s in said)
        if len(right) < least:
            raise Undecided(found)
        return sum(right) >= share * len(right), found

    return claim(
        f"{which} predicts which scheme of W_hh trains a {{name}} sooner",
        source=source,
        holds_if="right in at least {share:.0%} of the decided pairs of all tasks, at least "
        "{least} of them: the scheme whose gradient at h_1 lies at least {felt:g} decade nearer to "
        "the last step's is better, schemes that are nearer to each other are equivalent",
        expected="holds",
        share=RIGHT,
        felt=FELT,
        least=LEAST,
    )(check)


_gradient = _predicts(
    "The gradient before training", NOTES + "16; Chen, Pennington & Schoenholz 2018", at_start
)
_mean_field = _predicts("Mean field", "Chen, Pennington & Schoenholz 2018", by_theory)


def _matters_less(which: str, source: str) -> Callable[..., Claim]:
    def check(comparisons: Comparisons, cell: str) -> tuple[bool, str]:
        counts = {
            name: better_or_worse(  # of the schemes that all cells have
                pair
                for task in TASKS
                for pair in _against(comparisons, name, _recurrent(LSTM), task)
            )
            for name in (cell, *SIMPLE)
        }
        said = ", ".join(
            f"{TITLES[name]} {low}" + f" to {high}" * (high > low)
            for name, (low, high) in counts.items()
        )
        low, high = counts.pop(cell)
        if high < min(simple for simple, _ in counts.values()):
            return True, said
        if low >= min(simple for _, simple in counts.values()):
            return False, said
        raise Undecided(said)

    return claim(
        f"The scheme of W_hh matters less for {which} than for simple RNNs",
        source=source,
        holds_if="of the schemes of W_hh that both have, fewer are better or worse than the "
        "reference, all tasks together, than of either simple RNN, whatever undecided pairs are",
        expected="holds",
    )(check)


_lstm_less = _matters_less("an LSTM", NOTES + "15 and 17")
_gru_less = _matters_less("a GRU", NOTES + "15 and 18")


@claim(
    "In a tanh RNN W_hh is the block whose scheme matters most",
    source=NOTES + "15",
    holds_if="on more tasks than of W_xh and of W_hy a scheme of W_hh is better or worse than the "
    "reference, whatever undecided pairs are",
    expected="holds",
)
def _matters_most(comparisons: Comparisons) -> tuple[bool, str]:
    others = [other_label(block, "he_normal", "rnn-tanh") for block in ("w_x", "w_y")]
    blocks = {"W_hh": _recurrent(), "W_xh": others[:1], "W_hy": others[1:]}
    counts = {}
    for block, names in blocks.items():
        by_task = [
            better_or_worse(_against(comparisons, "rnn-tanh", names, task)) for task in TASKS
        ]
        counts[block] = sum(low > 0 for low, _ in by_task), sum(high > 0 for _, high in by_task)
    said = ", ".join(
        f"{block} on {low}" + f" to {high}" * (high > low) + f" of {len(TASKS)} tasks"
        for block, (low, high) in counts.items()
    )
    low, high = counts.pop("W_hh")
    if low > max(other for _, other in counts.values()):
        return True, said
    if high <= max(other for other, _ in counts.values()):
        return False, said
    raise Undecided(said)


@claim(
    "Zero or small random biases do not matter to a tanh RNN",
    source=NOTES + "15",
    holds_if="N(0, 0.01) is equivalent to zero on at least {least} tasks, and on none better or "
    "worse",
    expected="holds",
    least=MOST,
)
def _bias(comparisons: Comparisons, least: int) -> tuple[bool, str]:
    name = other_label("b", "normal(std=0.01)", "rnn-tanh")
    pairs = [_against(comparisons, "rnn-tanh", [name], task)[0] for task in TASKS]
    said = "; ".join(
        f"{TITLES[task]}: {pair.verdict}, "
        + words.evidence(comparisons[panel("rnn-tanh", task)], pair)
        for task, pair in zip(TASKS, pairs, strict=True)
    )
    if better_or_worse(pairs)[0]:
        return False, said
    if sum(pair.verdict == EQUIVALENT for pair in pairs) < least:
        raise Undecided(said)
    return True, said


# (statement, source, cell, the better arm, the other)
_SOONER = (
    ("Orthogonal W_hh speeds a tanh RNN", "16; Saxe et al. 2013", TANH, "orthogonal", UNIFORM),
    ("Xavier W_hh speeds a tanh RNN", "16; Glorot & Bengio 2010", TANH, "Xavier", UNIFORM),
    ("Small random W_hh slows a tanh RNN", "16", TANH, UNIFORM, "N(0, 0.01)"),
    ("Identity W_hh speeds a ReLU RNN", "16; Le, Jaitly & Hinton 2015", RELU, "identity", UNIFORM),
    ("A forget bias of 1 speeds an LSTM", "15; Jozefowicz et al. 2015", LSTM, UNIFORM, "b_f = 0"),
    ("A large forget bias (3) speeds an LSTM more", "15", LSTM, "b_f = 3", UNIFORM),
    ("An update bias of 1 speeds a GRU", "15", GRU, "b_z = 1", UNIFORM),
    ("A large update bias (3) speeds a GRU", "15", GRU, "b_z = 3", UNIFORM),
)


def claims(table: Table, comparisons: Comparisons) -> list[Claim]:
    """List the notes' claims 15 and 16; Henaff et al. on identity and orthogonal W_hh."""
    return [
        _start(table, comparisons=comparisons),
        *(
            better_in_most(
                statement,
                comparisons=comparisons,
                names=[panel(cell, task) for task in TASKS],
                arms=(a, b),
                least=MOST,
                source=NOTES + source,
            )
            for statement, source, cell, a, b in _SOONER
        ),
        better(
            "Identity suits adding: a ReLU RNN learns it sooner with W_hh = I than with an "
            "orthogonal one",
            comparisons=comparisons,
            name="identity_for_adding",
            arms=("identity", "orthogonal"),
            source=HENAFF_SOURCE,
        ),
        better(
            "Orthogonal suits copying: a tanh RNN recalls a symbol sooner with an orthogonal W_hh "
            "than with I",
            comparisons=comparisons,
            name="orthogonal_for_recall",
            arms=("orthogonal", "identity"),
            source=f"{HENAFF_SOURCE}; Vorontsov et al. 2017",
        ),
        *(
            predicts(table, comparisons=comparisons, cell=cell, name=TITLES[cell])
            for predicts in (_gradient, _mean_field)
            for cell in SIMPLE
        ),
        _lstm_less(comparisons, cell=LSTM),
        _gru_less(comparisons, cell=GRU),
        _matters_most(comparisons),
        _bias(comparisons),
    ]
