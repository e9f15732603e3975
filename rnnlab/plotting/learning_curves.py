"""Learning curves: what members told while they learned, read from a table and drawn.

Every function takes the members of one line: a selection that agrees in all but its seeds, or in
what the line is not about.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.core.errors import Undecided
from rnnlab.plotting import plots
from rnnlab.results.table import Table


def learning_curves(chosen: Table, metric: str = "loss") -> tuple[np.ndarray, np.ndarray]:
    """A score of the test batch at every look, whose members may have stopped early.

    Args:
        chosen: members with equal training.steps and training.eval_every.
        metric: of the task's scores, or "train_loss", "grad_norm", "grad_norm_max".
    Returns:
        (updates (looks,), values (members, looks)). A member that stopped keeps its last value.
    Raises:
        Undecided: no members. ValueError: members that looked at different steps.

    >>> from rnnlab.results.table import Member
    >>> config = {"training": {"steps": 30, "eval_every": 10}}
    >>> told = tuple({"step": s, "train_loss": 1.0, "loss": 1 / s} for s in (10, 20))
    >>> learning_curves(Table([Member(0, {}, config, 0.0, {"loss": 0.05}, told)]))[1].tolist()
    [[0.1, 0.05, 0.05]]
    """
    chosen.stack("loss")  # raises Undecided where there is no member
    grids = {(m.config["training"]["steps"], m.config["training"]["eval_every"]) for m in chosen}
    if len(grids) > 1:
        raise ValueError(f"members with different (steps, eval_every) make no line: {grids}")
    ((last, every),) = grids
    steps = np.arange(every, last + 1, every)
    rows = []
    for member in chosen:
        # a look inside a member (probes.at) is logged beside the scores and has no train_loss
        row = [record[metric] for record in member.metrics if "train_loss" in record]
        rows.append(row + [row[-1]] * (steps.size - len(row)))
    return steps, np.array(rows, float)


def share_left(chosen: Table) -> tuple[np.ndarray, np.ndarray]:
    """The test loss as a share of the memoryless answer's, at most 1: what is left to learn.

    From its stop on, a member that solved its task has nothing left, 0; one that diverged has
    everything left, 1, from the look at which it was found.

    Args:
        chosen: as :func:`learning_curves`.
    Returns:
        (updates (looks,), share (members, looks)).
    Raises:
        Undecided: no members. ValueError: members that looked at different steps.
    """
    steps, loss = learning_curves(chosen)
    share = np.nan_to_num(loss / chosen.stack("baseline")[:, None], nan=1.0, posinf=1.0)
    share = np.minimum(share, 1.0)
    for row, member in zip(share, chosen, strict=True):
        row[steps > member.result["solved_at"]] = 0
        row[steps > member.result["diverged_at"]] = 1
    return steps, share


def mean_left(chosen: Table) -> np.ndarray:
    """The mean of :func:`share_left` over the budget, (members,): 0, learned at once; 1, never.

    One number for how soon and how well a member learned, whether or not it solved its task.
    """
    return share_left(chosen)[1].mean(axis=1)


def draw(ax: Axes, chosen: Table, metric: str, label: str, index: int) -> plots.End | None:
    """The learning curves as :func:`rnnlab.plotting.plots.band` draws them: median, 10–90% of
    members.

    Args:
        chosen, metric: see :func:`learning_curves`. index: which look.
    Returns:
        the line's end, for :func:`rnnlab.plotting.plots.direct_labels`.
    """
    return plots.band(ax, *learning_curves(chosen, metric), label, index)


def baseline(ax: Axes, level: float, text: str) -> None:
    """A dotted line over the panel's width: what an answer without memory scores, and its name.

    To be drawn when the panel's limits are set.
    """
    plots.theory_line(ax, np.array(ax.get_xlim()), np.full(2, level))
    ax.annotate(text, (ax.get_xlim()[0], level), (4, 2), textcoords="offset points", fontsize=8)


def success_rate(chosen: Table) -> float:
    """The share of members that solved their task.

    Raises:
        Undecided: no members.
    """
    return float(np.mean(chosen.stack("status") == "solved"))


def best(chosen: Table, key: str = "training.learning_rate", score: str = "loss") -> Table:
    """The members at the value of ``key`` that did best.

    Best is to need the fewest updates to solve the task, then the lowest score; medians.

    Raises:
        Undecided: no members.
    """
    chosen.stack(score)

    def rank(value: Any) -> tuple[float, float]:
        at = chosen.select({key: value})
        return float(np.median(at.stack("solved_at"))), float(np.median(at.stack(score)))

    return chosen.select({key: min(chosen.values(key), key=rank)})


def solved(chosen: Table) -> str:
    """How many solved their task, and the median updates that took, in words.

    Raises:
        Undecided: no members.

    >>> from rnnlab.results.table import Member
    >>> found = (100.0, 300.0, float("inf"))
    >>> solved(Table([Member(i, {}, {}, 0.0, {"solved_at": s}) for i, s in enumerate(found)]))
    '2 of 3 solve it, the median after 300 updates'
    """
    at = chosen.stack("solved_at")
    count, median = int(np.isfinite(at).sum()), float(np.median(at))
    words = f"{count} of {at.size} solve{'s' * (at.size == 1)} it"
    return words + (f", the median after {median:.0f} updates" if np.isfinite(median) else "")


# ---- against length ----------------------------------------------------------------------------

_NEVER = 1.15  # of the budget: where what was never solved is drawn


def band_with_points(
    ax: Axes, lengths: Any, values: np.ndarray, label: str, index: int
) -> plots.End | None:
    """Draw the band of values (members, lengths), with a point at each measured length."""
    x = np.asarray(lengths)
    ax.plot(x, np.median(values, axis=0), "o", color=plots.look(index)["color"], markersize=4)
    return plots.band(ax, x, values, label, index)


def drawable(solved_at: np.ndarray, budget: int) -> np.ndarray:
    """Updates until solved, with "never" (inf) where :func:`updates_axis` has it.

    >>> drawable(np.array([50.0, np.inf]), budget=100).tolist()
    [50.0, 115.0]
    """
    return np.where(np.isfinite(solved_at), solved_at, round(_NEVER * budget))


def updates_axis(ax: Axes, budget: int) -> None:
    """A y axis of updates until solved, the budget dashed and "never" above it."""
    ticks = [round(share * budget) for share in (0, 0.25, 0.5, 0.75, 1)]
    never = round(_NEVER * budget)
    ax.axhline(budget, color="#777777", linewidth=0.8, linestyle="--")
    ax.set_yticks([*ticks, never], [*map(str, ticks), "never"])
    ax.set(ylabel="updates until solved", ylim=(0, 1.06 * never))


def length_axis(ax: Axes, lengths: Any, label: str) -> None:
    """A logarithmic x axis with a tick at each length and at no other."""
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
        except Undecided:
            continue
    return figures
