"""Learning curves: metrics logged during training, read from a table and drawn.

Every function takes the members of one line: a selection that differs in its seeds only, or in keys
that the line is meant to pool (:meth:`rnnlab.results.table.Table.over`).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.core.errors import Pooled, Undecided
from rnnlab.plotting import keys, plots
from rnnlab.results.table import Table, Value


def learning_curves(members: Table, metric: str = "loss") -> tuple[np.ndarray, np.ndarray]:
    """Return a score of the test batch at every evaluation.

    Args:
        members: with equal training.steps and training.eval_every; some may have stopped early.
        metric: one of the task's scores, or "train_loss", "grad_norm", "grad_norm_max".
    Returns:
        (updates (evaluations,), values (members, evaluations)). A member that stopped keeps its
        last value.
    Raises:
        Undecided: no members.
        ValueError: members that were evaluated at different steps.

    >>> from rnnlab.results.table import Member
    >>> config = {"training": {"steps": 30, "eval_every": 10}}
    >>> records = tuple({"step": s, "train_loss": 1.0, "loss": 1 / s} for s in (10, 20))
    >>> learning_curves(Table([Member(0, {}, config, 0.0, {"loss": 0.05}, records)]))[1].tolist()
    [[0.1, 0.05, 0.05]]
    """
    members.stack("loss")  # raises Undecided where there is no member
    grids = {(m.config["training"]["steps"], m.config["training"]["eval_every"]) for m in members}
    if len(grids) > 1:
        raise ValueError(f"members of one line need equal (steps, eval_every), got {grids}")
    ((last, every),) = grids
    steps = np.arange(every, last + 1, every)
    rows = []
    for member in members:
        # measurements of probes (probes.at) are logged beside the scores and have no train_loss
        row = [record[metric] for record in member.metrics if "train_loss" in record]
        rows.append(row + [row[-1]] * (steps.size - len(row)))
    return steps, np.array(rows, float)


def share_left(members: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the loss that is left to learn.

    It is the test loss divided by the loss of an answer without memory, at most 1. After its stop,
    a member that solved its task has 0 left, and one that diverged has 1, from the evaluation that
    noticed it.

    Args:
        members: as :func:`learning_curves`.
    Returns:
        (updates (evaluations,), share (members, evaluations)).
    Raises:
        Undecided: no members.
        ValueError: members that were evaluated at different steps.
    """
    steps, loss = learning_curves(members)
    share = np.nan_to_num(loss / members.stack("baseline")[:, None], nan=1.0, posinf=1.0)
    share = np.minimum(share, 1.0)
    for row, member in zip(share, members, strict=True):
        row[steps > member.result["solved_at"]] = 0
        row[steps > member.result["diverged_at"]] = 1
    return steps, share


def mean_left(members: Table) -> np.ndarray:
    """Return the mean of :func:`share_left` over the budget, (members,).

    It measures how soon and how well a member learned, whether or not it solved its task: 0 if it
    learned all at once, 1 if it learned nothing.

    Args:
        members: as :func:`learning_curves`.
    Raises:
        as :func:`share_left`.
    """
    return share_left(members)[1].mean(axis=1)


def draw(ax: Axes, members: Table, metric: str, label: str, index: int) -> plots.End | None:
    """Draw the median and the band (:func:`rnnlab.plotting.plots.band`) of learning curves.

    Args:
        members, metric: as :func:`learning_curves`.
        label: the name of the line.
        index: which :func:`rnnlab.plotting.plots.look`.
    Returns:
        the line's end, for :func:`rnnlab.plotting.plots.direct_labels`.
    """
    return plots.band(ax, *learning_curves(members, metric), label, index)


def baseline(ax: Axes, level: float, text: str) -> None:
    """Draw a dotted line over the panel's width, with its name.

    Call it after the panel's limits are set.

    Args:
        level: the score of an answer without memory, for instance.
        text: the name; "": the key has it.
    """
    meaning = "" if text else "an answer without memory"
    line, place = np.array(ax.get_xlim()), np.full(2, level)
    plots.theory_line(ax, line, place, label=text, meaning=meaning)
    ax.annotate(text, (ax.get_xlim()[0], level), (4, 2), textcoords="offset points", fontsize=8)


def success_rate(members: Table) -> float:
    """Return the share of members that solved their task.

    Raises:
        Undecided: no members.
    """
    return float(np.mean(members.stack("status") == "solved"))


def best(members: Table, key: str = "training.learning_rate", score: str = "loss") -> Table:
    """Return the members at the best value of ``key``.

    Best is the value with the fewest updates until the task is solved, then with the lowest score;
    medians over members.

    Raises:
        Undecided: no members.
    """
    members.over(key).stack(score)

    def rank(value: Value) -> tuple[float, float]:
        group = members.select({key: value})
        return float(np.median(group.stack("solved_at"))), float(np.median(group.stack(score)))

    return members.select({key: min(members.values(key), key=rank)})


def solved(members: Table) -> str:
    """Say how many members solved their task, and after how many updates in the median.

    Raises:
        Undecided: no members.

    >>> from rnnlab.results.table import Member
    >>> solved_at = (100.0, 300.0, float("inf"))
    >>> solved(Table([Member(i, {}, {}, 0.0, {"solved_at": s}) for i, s in enumerate(solved_at)]))
    '2 of 3 solve it, the median after 300 updates'
    """
    solved_at = members.stack("solved_at")
    count, median = int(np.isfinite(solved_at).sum()), float(np.median(solved_at))
    words = f"{count} of {solved_at.size} solve{'s' * (solved_at.size == 1)} it"
    return words + (f", the median after {median:.0f} updates" if np.isfinite(median) else "")


# ---- against length ----------------------------------------------------------------------------

_NEVER = 1.15  # of the budget: where "never solved" is drawn


def band_with_points(
    ax: Axes, lengths: Sequence[int] | np.ndarray, values: np.ndarray, label: str, index: int
) -> plots.End | None:
    """Draw the band of values (members, lengths), with a point at each length.

    Args:
        lengths: the positions on the x axis.
        values: (members, lengths).
        label: the name of the line.
        index: which :func:`rnnlab.plotting.plots.look`.
    Returns:
        the line's end, for :func:`rnnlab.plotting.plots.direct_labels`.
    """
    x = np.asarray(lengths)
    (dots,) = ax.plot(
        x, np.median(values, axis=0), "o", color=plots.look(index)["color"], markersize=4
    )
    keys.mark(dots, "", guide=True)  # the line's own points
    return plots.band(ax, x, values, label, index)


def drawable(solved_at: np.ndarray, budget: int) -> np.ndarray:
    """Return updates until solved, with "never" (inf) at the height that :func:`updates_axis` has.

    >>> drawable(np.array([50.0, np.inf]), budget=100).tolist()
    [50.0, 115.0]
    """
    return np.where(np.isfinite(solved_at), solved_at, round(_NEVER * budget))


def updates_axis(ax: Axes, budget: int) -> None:
    """Draw a y axis of updates until solved, with a dashed line at the budget and "never" above."""
    ticks = [round(share * budget) for share in (0, 0.25, 0.5, 0.75, 1)]
    never = round(_NEVER * budget)
    line = ax.axhline(budget, color="#777777", linewidth=0.8, linestyle="--")
    keys.mark(line, "the budget of updates", guide=True)
    ax.set_yticks([*ticks, never], [*map(str, ticks), "never"])
    ax.set(ylabel="updates until solved", ylim=(0, 1.06 * never))


def length_axis(ax: Axes, lengths: Sequence[float] | np.ndarray, label: str) -> None:
    """Draw a logarithmic x axis with a tick at each length and nowhere else."""
    ax.set_xscale("log")
    ax.set_xticks(list(lengths), [str(length) for length in lengths])
    ax.minorticks_off()
    ax.set_xlabel(label)


# ---- all figures of an experiment --------------------------------------------------------------


def figures_with_members(
    table: Table, makers: Mapping[str, Callable[[Table], tuple[Figure, str]]]
) -> dict[str, tuple[Figure, str]]:
    """Draw the figures whose members the table has: a narrowed sweep lacks those of others.

    Args:
        table: the members.
        makers: by name, what makes a figure and its caption of the table, or raises ``Undecided``.
    Returns:
        The figures by name, in order.

    >>> figures_with_members(Table([]), {"loss": learning_curves})
    {}
    """
    figures = {}
    for name, make in makers.items():
        try:
            figures[name] = make(table)
        except Pooled:
            raise  # the members are there, of several values: a panel each
        except Undecided:
            continue
    return figures
