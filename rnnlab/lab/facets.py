"""Figures and claims of a sweep with axes that the experiment's file does not name.

A file's figures and claims are written for its own sweep. Another axis (``--sweep.KEY=V1,V2``)
would be pooled by them, or hidden behind the first member. So figures are drawn once for every
value of such an axis, a panel each, and claims are undecided.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rnnlab.core.errors import Pooled, UserError
from rnnlab.core.json_files import decode_config
from rnnlab.core.nested import flatten
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import Experiment
from rnnlab.results.claims import Claim, Verdict, decide
from rnnlab.results.table import Record, Table, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Flat = Mapping[str, sweeps.Value]  # a member's config by dotted key
Axes = dict[str, list[sweeps.Value]]  # values by dotted key
Draw = Callable[[Table], "Mapping[str, tuple[Figure, str]]"]


def added_axes(experiment: Experiment, info: Record, table: Table) -> Axes:
    """Return the axes of a run that its experiment's own sweep does not have.

    Args:
        experiment: the file.
        info: config.json of the run.
        table: the members of the run.
    Returns:
        values by config key: of keys that the own sweep keeps fixed, and of keys that it ties to
        others, as a bias to its cell, and that the run crosses with them.
    """
    own = _own_members(experiment, info)
    ours = [flatten(member.config) for member in table]
    if not own or not ours:
        return {}
    usual, usual_crossed, crossed = _varying(own), _crossed(own), _crossed(ours)
    return {
        key: values
        for key, values in _varying(ours).items()
        if key not in usual or (key in crossed and key not in usual_crossed)
    }


def added_names(experiment: Experiment, info: Record, table: Table) -> dict[str, list[str]]:
    """Return the names on an axis of the experiment's own sweep that only this run has.

    A cell, a scheme or a task of one's own is one: figures made for named lines leave it out.

    Args:
        as :func:`added_axes`.
    Returns:
        names by config key.
    """
    own = _varying(_own_members(experiment, info))
    ours = _varying([flatten(member.config) for member in table])
    added = {
        key: [name for name in values if isinstance(name, str) and name not in own[key]]
        for key, values in ours.items()
        if key in own
    }
    return {key: names for key, names in added.items() if names}


def _own_members(experiment: Experiment, info: Record) -> list[Flat]:
    """Return the members of the file's own sweep; [] where the file cannot say so any more."""
    given = flatten(decode_config(info["config"]))
    try:
        base = experiment.get_config()
        default = sweeps.flat_config(base)
        if given.keys() != default.keys():
            return []
        config = sweeps.apply(base, {k: v for k, v in given.items() if v != default[k]})
        members = sweeps.expand(config, experiment.get_sweep(config))
    except (UserError, ValueError):  # the file has changed since the run began
        return []
    return [given | overrides for overrides in members]


def _varying(flats: Sequence[Flat]) -> Axes:
    """Return the keys, but for the seed, in which members differ, with their values."""
    keys = dict.fromkeys(key for flat in flats for key in flat)
    values = {key: list(dict.fromkeys(flat.get(key) for flat in flats)) for key in keys}
    return {key: v for key, v in values.items() if len(v) > 1 and key != "seed"}


def _crossed(flats: Sequence[Flat]) -> set[str]:
    """Return the keys in which two members differ that agree in all others but the seed."""
    keys = list(_varying(flats))
    crossed = set()
    for key in keys:
        others = [k for k in keys if k != key]
        seen: dict[tuple[sweeps.Value, ...], sweeps.Value] = {}
        for flat in flats:
            place = tuple(flat.get(k) for k in others)
            if seen.setdefault(place, flat.get(key)) != flat.get(key):
                crossed.add(key)
                break
    return crossed


def facets(table: Table, axes: Iterable[str]) -> Iterator[tuple[dict[str, sweeps.Value], Table]]:
    """Yield (values, members) for every combination of values of the axes that members have."""
    key, *others = axes
    for value, members in table.group_by(key).items():
        if not others:
            yield {key: value}, members
            continue
        for values, chosen in facets(members, others):
            yield {key: value} | values, chosen


def draw(figures: Draw, table: Table, axes: Axes) -> "dict[str, tuple[Figure, str]]":
    """Draw an experiment's figures; with axes that it does not name, a panel per value of these.

    Args:
        figures: the experiment's.
        table: the members of the run.
        axes: as :func:`added_axes` returns them.
    Raises:
        Undecided: members that the figures show are missing.
    """
    if not axes:
        try:
            return dict(figures(table))
        except Pooled as reason:  # of the file's own axes
            axes = reason.axes
    from rnnlab.plotting import panels  # matplotlib, which a run without axes may not need

    by_name: dict[str, dict[str, tuple[Figure, str]]] = {}
    for values, members in facets(table, axes):
        for name, drawn in draw(figures, members, {}).items():
            by_name.setdefault(name, {})[words(values)] = drawn
    return {
        name: (
            panels.stacked({label: figure for label, (figure, _) in drawn.items()}),
            _caption(list(axes), {label: caption for label, (_, caption) in drawn.items()}),
        )
        for name, drawn in by_name.items()
    }


def _caption(keys: Sequence[str], by_label: Mapping[str, str]) -> str:
    """Return the caption of a figure with a panel per value: once where all say the same."""
    texts = list(dict.fromkeys(by_label.values()))
    panels = f"A panel per value of {' and '.join(keys)}."
    if len(texts) == 1:
        return f"{texts[0]} {panels}"
    return " ".join([panels, *(f"{label}: {caption}" for label, caption in by_label.items())])


def verdicts(claims: Callable[[Table], Iterable[Claim]], table: Table, axes: Axes) -> list[Verdict]:
    """Decide an experiment's claims; with axes that they do not name all are undecided.

    Args:
        claims: the experiment's.
        table: the members of the run.
        axes: as :func:`added_axes` returns them.
    """
    if not axes:
        return decide(claims(table))
    reason = Pooled(axes)

    def undecided() -> tuple[bool, str]:
        raise reason

    _, first = next(facets(table, axes))  # statements are made from members of one value
    return decide(dataclasses.replace(claim, check=undecided) for claim in claims(first))
