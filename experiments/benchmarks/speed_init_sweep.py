"""A sweep of initializations that users run: the time of an update, by cell and task.

    rnnlab run --config=experiments/benchmarks/speed_init_sweep.py

396 small networks at once: adding (T = 20), delayed recall (30 steps) and 8x8 digits pixel by pixel
(T = 64); RNN with tanh and with ReLU, LSTM, GRU, H = 32; eight schemes of W_hh, then of W_xh, W_hy
and the biases one at a time; three seeds, 1000 updates of Adam at most, at one learning rate. These
were the members of experiments/learning/init_comparison.py before it tuned a learning rate per
scheme, kept so that versions of rnnlab can be compared on equal work: they learn what they learned,
and nothing is claimed of it. About 3 minutes on 2 cores with nothing else running; ":full" has
T = 200, 100 and MNIST's 784, H = 128 and 5 seeds.
"""

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.lab import init_sweep
from rnnlab.lab.config import Config, scale, seeds
from rnnlab.lab.init_sweep import CELLS, GATED, TASKS, TITLES
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.results.table import Member, Table

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

run = training.run


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the default config, or with "full" a larger one."""
    full = scale(arg) == "full"
    return init_sweep.config(
        init=InitScheme.config(),
        training_changes={
            "steps": 10_000 if full else 1000,
            "learning_rate": 1e-3 if full else 3e-3,
            "eval_every": 200 if full else 50,
        },
        run={"seeds": 5 if full else 3, "seconds_per_group": 8.0},
        full=full,
    )


def get_sweep(config: Config) -> Sweep:
    """Return for each task the schemes of W_hh for every cell, then of the other blocks."""
    tasks = {
        name: {
            key: (value,)
            for key, value in init_sweep.task_options(config.run.scale, name, delay=30).items()
        }
        for name in TASKS
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


# ---- the figure --------------------------------------------------------------------------------


def updates(member: Member) -> int:
    """Return the updates that a member made: until it was solved, diverged or used its budget."""
    stopped = min(member.result["solved_at"], member.result["diverged_at"])
    return int(min(stopped, member.config["training"]["steps"]))


def ms_per_update(members: Table) -> float:
    """Return the milliseconds of a core that an update takes, evaluations among them."""
    seconds = sum(member.seconds for member in members)
    return 1e3 * seconds / sum(map(updates, members))


def figures(table: Table) -> dict[str, tuple[Figure, str]]:
    """Draw the time of an update by cell and task."""
    tasks = table.values("task.name")
    figure, axes = plots.new_figure(1, len(tasks), size=(3.6 * len(tasks), 2.6), share_x=True)
    slowest = 0.0
    for ax, task in zip(axes[0], tasks, strict=True):
        members = table.select({"task.name": task})
        ms = {cell: ms_per_update(m) for cell, m in members.group_by("cell.name").items()}
        slowest = max(slowest, *ms.values())
        for y, (cell, value) in enumerate(ms.items()):
            color = plots.look(TITLES.place(cell, table))["color"]
            ax.barh(y, value, color=color, height=0.6)
            plots.beside(ax, value, y, f"{value:.2f}")
        ax.set_yticks(range(len(ms)), [TITLES[cell] for cell in ms])
        ax.invert_yaxis()
        ax.set_xlabel("ms of a core per update")
        plots.title(ax, task.replace("_", " "))
    axes[0, 0].set_xlim(0, 1.25 * slowest)
    total = sum(member.seconds for member in table)
    return {
        "speed": (
            figure,
            f"{len(table):,} networks made {sum(map(updates, table)):,} updates in {total:.0f} "
            "seconds of a core, evaluations among them and compiling not.",
        )
    }
