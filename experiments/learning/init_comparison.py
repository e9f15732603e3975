"""Every initialization trained: three tasks, four cells, the gradient at the start beside the end.

    rnnlab run --config=experiments/learning/init_comparison.py

Adding (T = 20), delayed recall (30 steps) and 8x8 digits pixel by pixel (T = 64); RNN with tanh
and with ReLU, LSTM, GRU, H = 32; eight schemes of W_hh, then of W_xh, W_hy and the biases one at a
time; three seeds, 1000 updates of Adam at most. About 3 minutes on 2 cores; ":full" has T = 200,
100 and MNIST's 784, H = 128 and 5 seeds (days by --dry_run's estimate).

Expected, from the notes' claims 15 and 16: orthogonal and Xavier W_hh keep the gradient and speed
convergence. A tanh RNN has 10^-1 to 10^-2 of its gradient left at the first step with them and
10^-24 to 10^-78 with N(0, .01), with which it solves no task; with an orthogonal W_hh it solves
adding in 700 updates, recall in 300 and digits in 200. The rank of the gradient at the start
predicts the outcome of recall alone, where memory is all there is: a kept gradient does not make a
learner (a tanh RNN with W_hh = I does not learn to add), and ReLU units learn to add without one.
Schemes of W_hh matter less for gated cells; for those b_f, b_z = 0 is what fails at recall, and 3
is too much for digits.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from scipy.stats import rankdata

from rnnlab import training
from rnnlab.core.errors import Undecided
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.plotting.learning_curves import baseline, mean_left, share_left
from rnnlab.results.claims import Claim
from rnnlab.results.table import Member, Table
from rnnlab.training import runner

CELLS = ("rnn-tanh", "rnn-relu", "lstm", "gru")
SIMPLE, GATED = CELLS[:2], CELLS[2:]
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
DECADES = 10.0  # "kept": this much more than N(0, .01), of some 40
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
            ),
            "probes": {"at": (0,)},  # the gradient before the first update
            "run": runner.config(
                seeds=5 if full else 3,
                scale="full" if full else "small",  # of the tasks
                seconds_per_member=450.0 if full else 0.25,
                seconds_per_group=8.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """For each task: schemes of W_hh for every cell, then of the other blocks."""
    full = config.run.scale == "full"
    tasks: dict[str, dict[str, tuple[Any]]] = {
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
    blocks: list[dict[str, Sequence[str]]] = [
        {"cell.name": CELLS, "init.w_h": RECURRENT},
        {"cell.name": ("rnn-tanh", "lstm"), "init.w_x": INPUT},
        {"cell.name": ("rnn-tanh", "lstm"), "init.w_y": READOUT},
        {"cell.name": ("rnn-tanh", "lstm"), "init.b": BIAS},
        {"cell.name": GATED, "init.forget_bias": FORGET},
    ]
    return [
        {"task.name": (name,), **options, **block, "seed": seeds(config)}
        for name, options in tasks.items()
        for block in blocks
    ]


# ---- what became of a member -------------------------------------------------------------------


def kept(member: Member) -> float:
    """log10 of ‖∂L/∂h_1‖ relative to ‖∂L/∂h_T‖ before the first update.

    Step 1 is the first whose gradient is not exactly zero for half of the batch: ReLU units are
    off until a digit's first inked pixel. −inf: there is none but the last.
    """
    found = next(record["adjoint_h"] for record in member.metrics if "adjoint_h" in record)
    first = int(np.argmax(np.isfinite(found)))
    return found[first] - found[-1] if first < len(found) - 1 else -math.inf


def _members(table: Table, **criteria: Any) -> Table:
    chosen = table.select(criteria)
    if not len(chosen):
        words = ", ".join(f"{key}={value}" for key, value in criteria.items())
        raise Undecided(f"no member with {words}", criteria)
    return chosen


def _kept(table: Table) -> np.ndarray:
    return np.array([kept(member) for member in table])


def _steps_to_solve(table: Table) -> np.ndarray:
    return table.stack("solved_at")


Reading = Callable[[Table], np.ndarray]  # a number a member


def _medians(
    table: Table, task: str, cell: str, block: str, what: Reading = mean_left
) -> dict[str, float]:
    """The median over seeds of ``what``, by the scheme of one block."""
    chosen = _members(_only(table, block), **{"task.name": task, "cell.name": cell})
    return {
        scheme: float(np.median(what(members)))
        for scheme, members in chosen.group_by(f"init.{block}").items()
    }


def _picked(found: dict[str, float], *schemes: str) -> list[float]:
    for scheme in schemes:
        if scheme not in found:
            raise Undecided(f"no member with the scheme {scheme or 'of b = 0'}")
    return [found[scheme] for scheme in schemes]


def _only(table: Table, block: str) -> Table:
    """The members whose other blocks have the schemes of the default config."""
    usual = InitScheme.config()
    names = ("w_x", "w_h", "w_y", "b", "forget_bias")
    return table.select({f"init.{name}": usual[name] for name in names if name != block})


# ---- figures -----------------------------------------------------------------------------------

SHORT = {
    "normal(std=0.01)": "N(0, .01)",
    "standard_normal": "N(0, 1)",
    "torch_uniform": "U(±1/√H)",
    "xavier_uniform": "Xavier",
    "lecun_normal": "LeCun",
    "he_normal": "He",
    "1.0": "1",
    "3.0": "3",
}
TELLING = ("orthogonal", "identity", "xavier_uniform", "torch_uniform", "normal(std=0.01)")
TITLES = {
    "rnn-tanh": "RNN, tanh",
    "rnn-relu": "RNN, ReLU",
    "lstm": "LSTM",
    "gru": "GRU",
    "adding": "adding",
    "delayed_recall": "delayed recall",
    "pixel_digits": "digits pixel by pixel",
}
BLOCKS = {"w_h": "W_hh", "w_x": "W_xh", "w_y": "W_hy", "b": "b", "forget_bias": "b_f, b_z"}
WORST = -90.0  # decades: what is below is drawn here


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """The figures of the report, each with its caption."""
    by_w_h = _only(table, "w_h")
    if not len(by_w_h):  # a narrowed sweep
        return {"schemes": _schemes(table)}
    out = {f"curves_{task}": _curves(m, task) for task, m in by_w_h.group_by("task.name").items()}
    return out | {"schemes": _schemes(table), "start_and_end": _start_and_end(by_w_h)}


def _curves(chosen: Table, task: str) -> tuple[Figure, str]:
    cells = chosen.values("cell.name")
    figure, axes = plots.new_figure(1, len(cells), size=(14, 3.4), share_y=True)
    last = chosen[0].config["training"]["steps"]
    for ax, cell in zip(axes[0], cells, strict=True):
        ends = []
        for scheme, members in chosen.select({"cell.name": cell}).group_by("init.w_h").items():
            updates, shares = share_left(members)
            if scheme in TELLING:
                label = SHORT.get(scheme, scheme)
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
    """Rows of schemes, columns of cells, a panel a task."""
    rows = [
        (block, scheme)
        for block in BLOCKS
        for scheme in table.values(f"init.{block}")
        if block == "w_h" or scheme != InitScheme.config()[block]
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
    labels = [f"{BLOCKS[block]}  {SHORT.get(scheme, scheme)}" for block, scheme in rows]
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
                mean_left(members),
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
        "What is left of the gradient at the first step before any training, and what became of "
        f"the member; every scheme of W_hh and seed. Less than 10^{WORST:.0f} is drawn there. The "
        "vertical line: nothing lost."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _share_of_steps(table: Table, cell: str, scheme: str) -> tuple[bool, str]:
    """Whether ``scheme`` needs at most a share FASTER of the steps of N(0, .01), on MOST tasks."""
    won, words = 0, []
    for task in TASKS:
        both = scheme, "normal(std=0.01)"
        fast, slow = _picked(_medians(table, task, cell, "w_h", _steps_to_solve), *both)
        budget = _members(table, **{"task.name": task})[0].config["training"]["steps"]
        won += fast <= FASTER * min(slow, budget)
        left = _picked(_medians(table, task, cell, "w_h"), *both)
        words.append(
            "{} {} against {} (mean loss {:.2f} against {:.2f})".format(
                TITLES[task], _steps(fast), _steps(slow), *left
            )
        )
    return won >= MOST, "; ".join(words)


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if values.size else "of none"


def _steps(at: float) -> str:
    return f"{at:.0f}" if math.isfinite(at) else "never"


def _ranges(table: Table, cell: str, block: str) -> np.ndarray:
    """By task, the range over the schemes of a block of the median outcome."""
    found = [_medians(table, task, cell, block) for task in TASKS]
    if min(map(len, found)) < 2:
        raise Undecided(f"{cell}: one scheme of {BLOCKS[block]} only, nothing to compare")
    return np.array([np.ptp(list(medians.values())) for medians in found])


def claims(table: Table) -> list[Claim]:
    """The notes' claims 15 and 16; Henaff et al. on identity and orthogonal W_hh."""
    notes, henaff = "the notes, claim ", "Henaff, Szlam & LeCun 2016"

    def start() -> tuple[bool, str]:
        words, gaps = [], []
        for task in TASKS:
            at = _medians(table, task, "rnn-tanh", "w_h", _kept)
            *good, small = _picked(at, "orthogonal", "xavier_uniform", "normal(std=0.01)")
            gaps.append(min(good) - small)
            words.append(
                "{}: orthogonal {:.1f}, Xavier {:.1f}, N(0, .01) {:.1f}".format(
                    TITLES[task], *good, small
                )
            )
        return min(gaps) >= DECADES, "; ".join(words)

    def predicts(cell: str) -> Any:
        def check() -> tuple[bool, str]:
            won, words = 0, []
            for task in TASKS:
                members = _members(_only(table, "w_h"), **{"task.name": task, "cell.name": cell})
                lost, end = np.abs(_kept(members)), mean_left(members)
                if np.ptp(rankdata(lost)) == 0 or np.ptp(end) == 0:
                    raise Undecided(f"{task}: one value only, no ranks to compare")
                rho = float(np.corrcoef(rankdata(lost), rankdata(end))[0, 1])
                won += rho >= RANKS
                # what a rank correlation hides: a lost gradient spoils, a kept one need not save
                words.append(
                    f"{TITLES[task]} {rho:.2f} (mean loss where over {DECADES:g} decades "
                    f"are lost {_range(end[lost > DECADES])}, elsewhere "
                    f"{_range(end[lost <= DECADES])})"
                )
            return won >= MOST, "; ".join(words)

        return check

    def faster(cell: str, scheme: str) -> Any:
        return lambda: _share_of_steps(table, cell, scheme)

    def suits(task: str, cell: str, scheme: str, other: str, where: str = "") -> Any:
        def check() -> tuple[bool, str]:
            own, others = _picked(_medians(table, task, cell, "w_h"), scheme, other)
            return own < others, f"{scheme} {own:.2f}, {other} {others:.2f}{where}"

        return check

    def matters_less(cell: str) -> Any:
        def check() -> tuple[bool, str]:
            means = {name: _ranges(table, name, "w_h").mean() for name in (cell, *SIMPLE)}
            words = ", ".join(f"{TITLES[name]} {mean:.2f}" for name, mean in means.items())
            own = means.pop(cell)
            return bool(own < min(means.values())), words

        return check

    def most_of_all() -> tuple[bool, str]:
        means = {b: _ranges(table, "rnn-tanh", b).mean() for b in ("w_h", "w_x", "w_y")}
        words = ", ".join(f"{BLOCKS[block]} {mean:.2f}" for block, mean in means.items())
        own = means.pop("w_h")
        return bool(own > max(means.values())), words

    def bias() -> tuple[bool, str]:
        gap = max(_ranges(table, cell, "b").max() for cell in ("rnn-tanh", "lstm"))
        return bool(gap <= NO_MATTER), f"largest difference {gap:.3f}"

    def forget(cell: str, value: str) -> Any:
        def check() -> tuple[bool, str]:
            won, words = 0, []
            for task in TASKS:
                large, zero = _picked(_medians(table, task, cell, "forget_bias"), value, "")
                won += large < zero
                words.append(f"{TITLES[task]} {large:.2f} against {zero:.2f}")
            return won >= MOST, "; ".join(words)

        return check

    most = f"on at least {MOST} of the {len(TASKS)} tasks"
    half = (
        f"median steps to solve at most {FASTER} of N(0, .01)'s, the budget where it never "
        f"solves, {most}"
    )
    rank = (
        f"rank correlation of |log10 ‖∂L/∂h_1‖/‖∂L/∂h_T‖| with the mean loss over the budget "
        f"at least {RANKS}, {most}"
    )
    less = (
        "range over schemes of the median mean loss, averaged over tasks, below that of both "
        "simple RNNs"
    )
    sooner = "median mean loss over the budget below the other's"
    earlier = f"lower median mean loss than b = 0, {most}"
    return [
        Claim(
            "Orthogonal and Xavier W_hh ease the vanishing gradient of a tanh RNN",
            notes + "16",
            f"at h_1, before training, each keeps at least {DECADES:g} decades more than "
            "N(0, .01), on every task",
            "holds",
            start,
        ),
        Claim(
            "The right scheme speeds convergence: tanh RNN, orthogonal W_hh",
            notes + "16",
            half,
            "holds",
            faster("rnn-tanh", "orthogonal"),
        ),
        Claim(
            "The right scheme speeds convergence: tanh RNN, Xavier W_hh",
            notes + "16",
            half,
            "holds",
            faster("rnn-tanh", "xavier_uniform"),
        ),
        Claim(
            "The right scheme speeds convergence: ReLU RNN, identity W_hh (IRNN)",
            notes + "16; Le, Jaitly & Hinton 2015",
            half,
            "holds",
            faster("rnn-relu", "identity"),
        ),
        # Henaff et al. have linear transitions; ReLU keeps a sum as they do, and halves what is
        # rotated, which tanh does not
        Claim(
            "Identity suits adding: a ReLU RNN learns it sooner with W_hh = I than with an "
            "orthogonal one",
            henaff,
            sooner,
            "holds",
            suits("adding", "rnn-relu", "identity", "orthogonal"),
        ),
        Claim(
            "Orthogonal suits copying: a tanh RNN recalls a symbol sooner with an orthogonal "
            "W_hh than with I",
            f"{henaff}; Vorontsov et al. 2017",
            sooner,
            "holds",
            suits(
                "delayed_recall",
                "rnn-tanh",
                "orthogonal",
                "identity",
                "; of one symbol, not of ten in their order as copy_memory.py has it",
            ),
        ),
        Claim(
            "The gradient at the start predicts the outcome: tanh RNN",
            notes + "16; Chen, Pennington & Schoenholz 2018",
            rank,
            "holds",
            predicts("rnn-tanh"),
        ),
        Claim(
            "The gradient at the start predicts the outcome: ReLU RNN",
            notes + "16; Chen, Pennington & Schoenholz 2018",
            rank,
            "holds",
            predicts("rnn-relu"),
        ),
        Claim(
            "The scheme of W_hh matters less for an LSTM than for simple RNNs",
            notes + "15 and 17",
            less,
            "holds",
            matters_less("lstm"),
        ),
        Claim(
            "The scheme of W_hh matters less for a GRU than for simple RNNs",
            notes + "15 and 18",
            less,
            "holds",
            matters_less("gru"),
        ),
        Claim(
            "In a tanh RNN W_hh is the block whose scheme matters most",
            notes + "15",
            "range over schemes of the median mean loss, averaged over tasks, above those of "
            "W_xh and W_hy",
            "holds",
            most_of_all,
        ),
        Claim(
            "Zero or small random biases: no matter",
            notes + "15",
            f"median mean losses within {NO_MATTER} of each other, tanh RNN and LSTM, every task",
            "holds",
            bias,
        ),
        Claim(
            "A forget bias of 1 speeds an LSTM",
            notes + "15; Jozefowicz et al. 2015",
            earlier,
            "holds",
            forget("lstm", "1.0"),
        ),
        Claim(
            "A large positive forget bias (3) speeds an LSTM",
            notes + "15",
            earlier,
            "holds",
            forget("lstm", "3.0"),
        ),
        Claim(
            "A large positive update bias (b_z = 3) speeds a GRU",
            notes + "15",
            earlier,
            "holds",
            forget("gru", "3.0"),
        ),
    ]
