"""Every initialization trained: three tasks, four cells, the gradient at the start beside the end.

    rnnlab run --config=experiments/learning/init_comparison.py

Adding (T = 20), delayed recall (30 steps) and 8x8 digits pixel by pixel (T = 64); RNN with tanh
and with ReLU, LSTM, GRU, H = 32; eight schemes of W_hh, then of W_xh, W_hy and the biases one at a
time; three seeds, 1000 updates of Adam at most. About 3 minutes on 2 cores; ":full" has T = 200,
100 and MNIST's 784, H = 128 and 5 seeds (days by --dry_run's estimate).

Expected, from the notes' claims 15 and 16: orthogonal and Xavier W_hh keep the gradient and speed
convergence. A tanh RNN has 10^-1 to 10^-2 of its gradient left at the first step with them and
10^-24 to 10^-78 with N(0, 0.01), with which it solves no task; with an orthogonal W_hh it solves
adding in 700 updates, recall in 300 and digits in 200. The rank of the gradient at the start
predicts the outcome of recall alone, where memory is all there is: a kept gradient does not make a
learner (a tanh RNN with W_hh = I does not learn to add), and ReLU units learn to add without one.
Schemes of W_hh matter less for gated cells; for those b_f, b_z = 0 is what fails at recall, and 3
is too much for digits. The figures of digits are from before a tenth of the training images was
held out for validation.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy.stats import rankdata

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.lines import Labels
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.plotting.gradient_figures import scheme_label
from rnnlab.plotting.learning_curves import baseline, mean_left, share_left
from rnnlab.results.claims import Claim, claim
from rnnlab.results.table import Member, Table
from rnnlab.results.table import words as in_words
from rnnlab.training import runner

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
SIMPLE, GATED = CELLS[:2], CELLS[2:]
# the forget bias that is zero: an LSTM's own default is 1
ZERO = dict.fromkeys(CELLS, "") | {"lstm": "0.0"}
# of W_hh; a square LeCun kernel is a Xavier one: one of the two stands for both
RECURRENT = (
    "orthogonal",
    "identity",
    "sparse",
    "xavier_uniform",
    "lecun_normal",
    "he_normal",
    "torch_uniform",
    "normal(std=0.01)",
)
INPUT = ("he_normal", "standard_normal")  # of W_xh, beside Xavier
READOUT = ("he_normal",)  # of W_hy, beside Xavier
BIAS = ("normal(std=0.01)",)  # beside zeros
FORGET = ("1.0", "3.0")  # beside 0
TASKS = ("adding", "delayed_recall", "pixel_digits")
DECADES = 10.0  # "kept": this much more than N(0, 0.01), of some 40
FASTER = 0.5  # "faster": in at most this share of the steps
MOST = 2  # of the three tasks
RANKS = 0.5  # "predicts": at least this rank correlation
NO_MATTER = 0.1  # of what is to be learned

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    config = ConfigDict(
        {
            "seed": 0,
            # None: the task's own; the sweep sets them
            "task": {
                "name": "adding",
                "length": None,
                "delay": None,
                "source": None,
                "solved_at": None,
            },
            "cell": {"name": "rnn-tanh", "hidden_size": 128 if full else 32, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                steps=10_000 if full else 1000,
                learning_rate=1e-3 if full else 3e-3,
                clip_norm=1.0,
                batch_size=32 if full else 16,
                eval_every=200 if full else 50,
                eval_batch_size=1000 if full else 200,
                eval_sample=1000 if full else 200,  # of the digits; the other tasks draw as many
            ),
            # updates before which the gradient is measured; 0: before the first
            "probes": {"at": (0,)},
            "run": runner.config(
                seeds=5 if full else 3,
                scale="full" if full else "small",  # scale of the tasks: small or full
                seconds_per_member=450.0 if full else 0.25,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return for each task the schemes of W_hh for every cell, then of the other blocks."""
    full = config.run.scale == "full"
    tasks: dict[str, dict[str, tuple[object]]] = {
        "adding": {
            # at T = 50 no tanh RNN leaves the baseline in this budget, whatever its scheme
            "task.length": (200 if full else 20,),
            "task.solved_at": (0.01 if full else 0.05,),
        },
        "delayed_recall": {
            "task.delay": (100 if full else 30,),
            "task.solved_at": (0.01 if full else 0.05,),
        },
        "pixel_digits": {
            "task.source": ("mnist" if full else "digits",),
            "task.solved_at": (0.9 if full else 0.7,),
        },
    }
    blocks: list[tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = [
        (CELLS, {"init.w_h": RECURRENT}),
        (("rnn-tanh", "lstm"), {"init.w_x": INPUT}),
        (("rnn-tanh", "lstm"), {"init.w_y": READOUT}),
        (("rnn-tanh", "lstm"), {"init.b": BIAS}),
        (GATED, {"init.forget_bias": FORGET}),
    ]
    return [
        {
            "task.name": (name,),
            **options,
            # a cell that is not named takes part as the tanh RNN does
            "cell.name": (cell,) if cell == "rnn-tanh" else Only((cell,)),
            # the scheme of b draws the forget bias as well
            **({"init.forget_bias": block.get("init.b", (ZERO[cell],))} if ZERO[cell] else {}),
            **block,
            "seed": seeds(config),
        }
        for name, options in tasks.items()
        for cells, block in blocks
        for cell in cells
    ]


# ---- outcomes of members ------------------------------------------------------------------------


def kept(member: Member) -> float:
    """Return log10 of ‖∂L/∂h_1‖ relative to ‖∂L/∂h_T‖ before the first update.

    Step 1 is the first whose gradient is not exactly zero for half of the batch: ReLU units are
    off until a digit's first inked pixel. −inf: only the last step has one.
    """
    norms = next(record["adjoint_h"] for record in member.metrics if "adjoint_h" in record)
    first = int(np.argmax(np.isfinite(norms)))
    return norms[first] - norms[-1] if first < len(norms) - 1 else -math.inf


def _members(table: Table, **criteria: object) -> Table:
    members = table.select(criteria)
    if not len(members):
        raise Undecided(f"no member with {in_words(criteria)}", criteria)
    return members


def _kept(table: Table) -> np.ndarray:
    return np.array([kept(member) for member in table])


def _steps_to_solve(table: Table) -> np.ndarray:
    return table.stack("solved_at")


Reading = Callable[[Table], np.ndarray]  # one number per member


def _medians(
    table: Table, task: str, cell: str, block: str, reading: Reading = mean_left
) -> dict[str, float]:
    """Return the median over seeds of a reading, by the scheme of one block."""
    chosen = _members(_only(table, block), **{"task.name": task, "cell.name": cell})
    return {
        scheme: float(np.median(reading(members)))
        for scheme, members in chosen.group_by(f"init.{block}").items()
    }


def _picked(by_scheme: Mapping[str, float], *schemes: str) -> list[float]:
    for scheme in schemes:
        if scheme not in by_scheme:
            raise Undecided(f"no member with the scheme {scheme or 'of b = 0'}")
    return [by_scheme[scheme] for scheme in schemes]


def _only(table: Table, block: str) -> Table:
    """Select the members whose other blocks have the schemes of the default config."""
    usual = {name: InitScheme.config()[name] for name in ("w_x", "w_h", "w_y", "b")}
    usual["forget_bias"] = (*ZERO.values(), *(BIAS if block == "b" else ()))
    return table.select({f"init.{name}": usual[name] for name in usual if name != block})


# ---- figures -----------------------------------------------------------------------------------

TELLING = ("orthogonal", "identity", "xavier_uniform", "torch_uniform", "normal(std=0.01)")
TITLES = Labels(
    {
        "rnn-tanh": "RNN, tanh",
        "rnn-relu": "RNN, ReLU",
        "lstm": "LSTM",
        "gru": "GRU",
        "adding": "adding",
        "delayed_recall": "delayed recall",
        "pixel_digits": "digits pixel by pixel",
    }
)
BLOCKS = {"w_h": "W_hh", "w_x": "W_xh", "w_y": "W_hy", "b": "b", "forget_bias": "b_f, b_z"}
WORST = -90.0  # decades: what is below is drawn here


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the figures of the report, each with its caption."""
    by_w_h = _only(table, "w_h")
    if not len(by_w_h):  # a narrowed sweep
        return {"schemes": _schemes(table)}
    drawn = {f"curves_{task}": _curves(m, task) for task, m in by_w_h.group_by("task.name").items()}
    return drawn | {"schemes": _schemes(table), "start_and_end": _start_and_end(by_w_h)}


def _curves(chosen: Table, task: str) -> tuple[Figure, str]:
    cells = chosen.values("cell.name")
    figure, axes = plots.new_figure(1, len(cells), size=(14, 3.4), share_y=True)
    last = chosen[0].config["training"]["steps"]
    for ax, cell in zip(axes[0], cells, strict=True):
        ends = []
        for scheme, members in chosen.select({"cell.name": cell}).group_by("init.w_h").items():
            updates, shares = share_left(members)
            if scheme in TELLING:
                label = scheme_label(scheme)
                ends.append(plots.band(ax, updates, shares, label, TELLING.index(scheme)))
            else:
                ax.plot(
                    updates, np.median(shares, axis=0), color="#aaaaaa", linewidth=0.9, zorder=1
                )
        ax.set(xlabel="updates", xlim=(0, last), ylim=(0, 1.05))
        baseline(ax, 1, "")
        plots.title(ax, f"{TITLES[task]}: {TITLES[cell]}")
        plots.direct_labels(ax, ends)
    axes[0, 0].set_ylabel("test loss / memoryless answer's")
    return figure, (
        f"Learning curves, {TITLES[task]}: median and 10–90% band over seeds, by scheme of W_hh; "
        "thin gray lines: the other schemes. A member that has solved the task stops, with "
        "nothing left to learn. Dotted: the best answer that remembers nothing."
    )


def _schemes(table: Table) -> tuple[Figure, str]:
    """Draw rows of schemes, columns of cells, one panel per task."""
    rows = [
        (block, scheme)
        for block in BLOCKS
        for scheme in table.values(f"init.{block}")
        if block == "w_h"
        or scheme
        not in (InitScheme.config()[block], *ZERO.values(), *(() if block == "b" else BIAS))
    ]
    tasks, cells = table.values("task.name"), table.values("cell.name")
    figure, axes = plots.new_figure(
        1, len(tasks), size=(3 + 2.9 * len(tasks), 1.3 + 0.27 * len(rows)), share_y=True
    )
    mesh = None
    for ax, task in zip(axes[0], tasks, strict=True):
        shown = np.full((len(rows), len(cells)), np.nan)
        for y, (block, scheme) in enumerate(rows):
            for x, cell in enumerate(cells):
                members = _only(table, block).select(
                    {"task.name": task, "cell.name": cell, f"init.{block}": scheme}
                )
                if not len(members):
                    continue
                shown[y, x] = np.median(mean_left(members))
                at = np.median(_steps_to_solve(members))
                words = f"{at:.0f}" if np.isfinite(at) else "–"
                ax.text(
                    x,
                    y,
                    words,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if shown[y, x] < 0.45 else "black",
                )
        mesh = ax.imshow(shown, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        ax.grid(False)
        for y in range(1, len(rows)):
            if rows[y][0] != rows[y - 1][0]:
                ax.axhline(y - 0.5, color="white", linewidth=4)
        ax.set_xticks(range(len(cells)), [TITLES[cell].replace(", ", "\n") for cell in cells])
        plots.title(ax, TITLES[task])
    labels = [
        f"{BLOCKS[block]}  {f'{float(s):g}' if block == 'forget_bias' else scheme_label(s)}"
        for block, s in rows
    ]
    axes[0, 0].set_yticks(range(len(rows)), labels)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes[0].tolist(), pad=0.01)
        bar.set_label("mean test loss over the budget / memoryless")
    return figure, (
        "Numbers: updates until the task is solved, median over seeds; –: not within the budget. "
        "Color: the mean test loss over the whole budget as a share of the memoryless answer's, "
        "dark is better. One block is changed at a time, the others being orthogonal (W_hh), "
        "Xavier (W_xh, W_hy) and zero (b). White: not run."
    )


def _start_and_end(chosen: Table) -> tuple[Figure, str]:
    tasks = chosen.values("task.name")
    figure, axes = plots.new_figure(1, len(tasks), size=(4.2 * len(tasks), 3.8), share_y=True)
    for ax, task in zip(axes[0], tasks, strict=True):
        for index, (cell, members) in enumerate(
            chosen.select({"task.name": task}).group_by("cell.name").items()
        ):
            ax.plot(
                np.maximum(_kept(members), WORST),
                mean_left(members.over("init.w_h")),  # a point per member
                "osD^"[index % 4],
                color=plots.look(index)["color"],
                markersize=5,
                alpha=0.65,
                markeredgewidth=0,
                label=TITLES[cell],
            )
        ax.axvline(0, color="#777777", linewidth=0.8)
        ax.set(xlabel="log10 of ‖∂L/∂h_1‖ / ‖∂L/∂h_T‖ before training", ylim=(0, 1.05))
        plots.title(ax, TITLES[task])
    axes[0, 0].set_ylabel("mean test loss over the budget / memoryless")
    axes[0, -1].legend(fontsize=8, frameon=False)
    return figure, (
        "The gradient left at the first step before any training, and the outcome of the "
        f"member; every scheme of W_hh and seed. Less than 10^{WORST:.0f} is drawn there. The "
        "vertical line: nothing lost."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


NOTES, HENAFF = "the notes, claim ", "Henaff, Szlam & LeCun 2016"


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if values.size else "of none"


def _steps(at: float) -> str:
    return f"{at:.0f}" if math.isfinite(at) else "never"


def _ranges(table: Table, cell: str, block: str) -> np.ndarray:
    """Return by task the range over the schemes of a block of the median outcome."""
    medians = [_medians(table, task, cell, block) for task in TASKS]
    if min(map(len, medians)) < 2:
        raise Undecided(f"{cell}: one scheme of {BLOCKS[block]} only, nothing to compare")
    return np.array([np.ptp(list(by_scheme.values())) for by_scheme in medians])


@claim(
    "Orthogonal and Xavier W_hh ease the vanishing gradient of a tanh RNN",
    source=NOTES + "16",
    holds_if="at h_1, before training, each keeps at least {decades:g} decades more than "
    "N(0, 0.01), on every task",
    expected="holds",
    decades=DECADES,
)
def _start(table: Table, decades: float) -> tuple[bool, str]:
    words, gaps = [], []
    for task in TASKS:
        by_scheme = _medians(table, task, "rnn-tanh", "w_h", _kept)
        *good, small = _picked(by_scheme, "orthogonal", "xavier_uniform", "normal(std=0.01)")
        gaps.append(min(good) - small)
        words.append(
            "{}: orthogonal {:.1f}, Xavier {:.1f}, N(0, 0.01) {:.1f}".format(
                TITLES[task], *good, small
            )
        )
    return min(gaps) >= decades, "; ".join(words)


def _faster(which: str, source: str) -> Callable[..., Claim]:
    def check(
        table: Table, cell: str, scheme: str, share: float, least: int, tasks: int
    ) -> tuple[bool, str]:
        won, words = 0, []
        for task in TASKS[:tasks]:
            both = scheme, "normal(std=0.01)"
            fast, slow = _picked(_medians(table, task, cell, "w_h", _steps_to_solve), *both)
            budget = _members(table, **{"task.name": task})[0].config["training"]["steps"]
            won += fast <= share * min(slow, budget)
            left = _picked(_medians(table, task, cell, "w_h"), *both)
            words.append(
                "{} {} against {} (mean loss {:.2f} against {:.2f})".format(
                    TITLES[task], _steps(fast), _steps(slow), *left
                )
            )
        return won >= least, "; ".join(words)

    return claim(
        f"The right scheme speeds convergence: {which}",
        source=source,
        holds_if="median steps to solve at most {share:g} of N(0, 0.01)'s, the budget where it "
        "never solves, on at least {least} of the {tasks} tasks",
        expected="holds",
        share=FASTER,
        least=MOST,
        tasks=len(TASKS),
    )(check)


_tanh_orthogonal = _faster("tanh RNN, orthogonal W_hh", NOTES + "16")
_tanh_xavier = _faster("tanh RNN, Xavier W_hh", NOTES + "16")
_relu_identity = _faster("ReLU RNN, identity W_hh (IRNN)", NOTES + "16; Le, Jaitly & Hinton 2015")


def _suits(statement: str, source: str, remark: str = "") -> Callable[..., Claim]:
    def check(table: Table, task: str, cell: str, scheme: str, other: str) -> tuple[bool, str]:
        better, worse = _picked(_medians(table, task, cell, "w_h"), scheme, other)
        return better < worse, f"{scheme} {better:.2f}, {other} {worse:.2f}{remark}"

    return claim(
        statement,
        source=source,
        holds_if="median mean loss over the budget below the other's",
        expected="holds",
    )(check)


# Henaff et al. have linear transitions; ReLU keeps a sum as they do, and halves what is rotated,
# which tanh does not
_identity_adds = _suits(
    "Identity suits adding: a ReLU RNN learns it sooner with W_hh = I than with an orthogonal one",
    HENAFF,
)
_orthogonal_copies = _suits(
    "Orthogonal suits copying: a tanh RNN recalls a symbol sooner with an orthogonal W_hh than "
    "with I",
    f"{HENAFF}; Vorontsov et al. 2017",
    "; of one symbol, not of ten in their order as copy_memory.py has it",
)


def _predicts(which: str) -> Callable[..., Claim]:
    def check(table: Table, cell: str, rank: float, least: int, tasks: int) -> tuple[bool, str]:
        won, words = 0, []
        for task in TASKS[:tasks]:
            members = _members(_only(table, "w_h"), **{"task.name": task, "cell.name": cell})
            lost, end = np.abs(_kept(members)), mean_left(members.over("init.w_h"))
            if np.ptp(rankdata(lost)) == 0 or np.ptp(end) == 0:
                raise Undecided(f"{task}: one value only, no ranks to compare")
            rho = float(np.corrcoef(rankdata(lost), rankdata(end))[0, 1])
            won += rho >= rank
            # a rank correlation hides that a lost gradient spoils, and a kept one need not save
            words.append(
                f"{TITLES[task]} {rho:.2f} (mean loss where over {DECADES:g} decades "
                f"are lost {_range(end[lost > DECADES])}, elsewhere "
                f"{_range(end[lost <= DECADES])})"
            )
        return won >= least, "; ".join(words)

    return claim(
        f"The gradient at the start predicts the outcome: {which}",
        source=NOTES + "16; Chen, Pennington & Schoenholz 2018",
        holds_if="rank correlation of |log10 ‖∂L/∂h_1‖/‖∂L/∂h_T‖| with the mean loss over the "
        "budget at least {rank:g}, on at least {least} of the {tasks} tasks",
        expected="holds",
        rank=RANKS,
        least=MOST,
        tasks=len(TASKS),
    )(check)


_tanh_predicted, _relu_predicted = _predicts("tanh RNN"), _predicts("ReLU RNN")


def _matters_less(which: str, source: str) -> Callable[..., Claim]:
    def check(table: Table, cell: str) -> tuple[bool, str]:
        means = {name: _ranges(table, name, "w_h").mean() for name in (cell, *SIMPLE)}
        words = ", ".join(f"{TITLES[name]} {mean:.2f}" for name, mean in means.items())
        gated = means.pop(cell)
        return bool(gated < min(means.values())), words

    return claim(
        f"The scheme of W_hh matters less for {which} than for simple RNNs",
        source=source,
        holds_if="range over schemes of the median mean loss, averaged over tasks, below that of "
        "both simple RNNs",
        expected="holds",
    )(check)


_lstm_less = _matters_less("an LSTM", NOTES + "15 and 17")
_gru_less = _matters_less("a GRU", NOTES + "15 and 18")


@claim(
    "In a tanh RNN W_hh is the block whose scheme matters most",
    source=NOTES + "15",
    holds_if="range over schemes of the median mean loss, averaged over tasks, above those of "
    "W_xh and W_hy",
    expected="holds",
)
def _matters_most(table: Table) -> tuple[bool, str]:
    means = {block: _ranges(table, "rnn-tanh", block).mean() for block in ("w_h", "w_x", "w_y")}
    words = ", ".join(f"{BLOCKS[block]} {mean:.2f}" for block, mean in means.items())
    recurrent = means.pop("w_h")
    return bool(recurrent > max(means.values())), words


@claim(
    "Zero or small random biases do not matter",
    source=NOTES + "15",
    holds_if="median mean losses within {most:g} of each other, tanh RNN and LSTM, every task",
    expected="holds",
    most=NO_MATTER,
)
def _bias(table: Table, most: float) -> tuple[bool, str]:
    gap = max(_ranges(table, cell, "b").max() for cell in ("rnn-tanh", "lstm"))
    return bool(gap <= most), f"largest difference {gap:.3f}"


def _forget(statement: str, source: str) -> Callable[..., Claim]:
    def check(table: Table, cell: str, value: str, least: int, tasks: int) -> tuple[bool, str]:
        won, words = 0, []
        for task in TASKS[:tasks]:
            by_bias = _medians(table, task, cell, "forget_bias")
            large, zero = _picked(by_bias, value, ZERO[cell])
            won += large < zero
            words.append(f"{TITLES[task]} {large:.2f} against {zero:.2f}")
        return won >= least, "; ".join(words)

    return claim(
        statement,
        source=source,
        holds_if="lower median mean loss than b = 0, on at least {least} of the {tasks} tasks",
        expected="holds",
        least=MOST,
        tasks=len(TASKS),
    )(check)


_lstm_one = _forget("A forget bias of 1 speeds an LSTM", NOTES + "15; Jozefowicz et al. 2015")
_lstm_large = _forget("A large positive forget bias (3) speeds an LSTM", NOTES + "15")
_gru_large = _forget("A large positive update bias (b_z = 3) speeds a GRU", NOTES + "15")


def claims(table: Table) -> list[Claim]:
    """List the notes' claims 15 and 16; Henaff et al. on identity and orthogonal W_hh."""
    tanh, relu = SIMPLE
    lstm, gru = GATED
    return [
        _start(table),
        _tanh_orthogonal(table, cell=tanh, scheme="orthogonal"),
        _tanh_xavier(table, cell=tanh, scheme="xavier_uniform"),
        _relu_identity(table, cell=relu, scheme="identity"),
        _identity_adds(table, task="adding", cell=relu, scheme="identity", other="orthogonal"),
        _orthogonal_copies(
            table, task="delayed_recall", cell=tanh, scheme="orthogonal", other="identity"
        ),
        _tanh_predicted(table, cell=tanh),
        _relu_predicted(table, cell=relu),
        _lstm_less(table, cell=lstm),
        _gru_less(table, cell=gru),
        _matters_most(table),
        _bias(table),
        _lstm_one(table, cell=lstm, value="1.0"),
        _lstm_large(table, cell=lstm, value="3.0"),
        _gru_large(table, cell=gru, value="3.0"),
    ]
