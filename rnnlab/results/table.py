"""The finished members of a run as a table, and ways to choose among them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rnnlab.core.errors import CONFIG_HELP, Pooled, Undecided, UnknownKey, UserError, unknown
from rnnlab.core.json_files import decode
from rnnlab.core.nested import flatten
from rnnlab.core.run_files import (
    AGAIN,
    member_of,
    overrides_of,
    read_records,
    scan_metrics,
)

if TYPE_CHECKING:
    import pandas as pd

Value = Any  # of a config: bool, int, float, str, None or a tuple of these
Config = dict[str, Any]  # nested, or by dotted key
Record = dict[str, Any]  # results or metrics by name: numbers, words, lists

# what a member of a run that compares arms was trained for
TUNING, JUDGING = "tuning", "judging"
PHASE = "phase"  # the name of its column


@dataclass(frozen=True)
class Member:
    """One finished member of a sweep.

    Args:
        index: its place in the sweep.
        overrides: the values that the sweep set, by dotted key.
        config: the whole config of the member, nested.
        seconds: the time it took.
        result: the return value of ``run``: numbers, and arrays as lists.
        metrics: the records that it logged, in order.
        phase: what it was trained for, in a run that compares arms: "tuning" or "judging"; "" for
            a member of a sweep.
    """

    index: int
    overrides: Config
    config: Config
    seconds: float
    result: Record
    metrics: tuple[Record, ...] = ()
    phase: str = ""


class Table(Sequence[Member]):
    """The finished members of a sweep, in order, and ways to choose among them.

    A table never pools silently: one result of members that differ in an axis (a config key other
    than ``seed``) is refused unless the axis is named, by a selection, a group or :meth:`over`.

    Args:
        members: the members.
        criteria: the values that they were selected by, for messages.
        keys: config keys that count as known even where no member has them.
        named: config keys that may be pooled, beside those of ``criteria``.

    >>> table = Table([Member(s, {"seed": s}, {"seed": s}, 0.1, {"norm": s / 2}) for s in range(3)])
    >>> table.select(seed=(1, 2)).stack("norm").tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        members: Iterable[Member],
        criteria: Mapping[str, Value] | None = None,
        keys: Iterable[str] = (),
        named: Iterable[str] = (),
    ):
        self._members = tuple(members)
        self._flat = [flatten(member.config) for member in self._members]
        self.criteria = dict(criteria or {})
        self._named = frozenset(named)
        # an empty selection still knows the keys of the table that it was made from
        self._keys = dict.fromkeys([*keys, *(key for flat in self._flat for key in flat)])

    def __len__(self) -> int:
        return len(self._members)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> "Table": ...
    def __getitem__(self, index: int | slice) -> "Member | Table":
        if isinstance(index, slice):
            return Table(self._members[index], self.criteria, self._keys, self._named)
        return self._members[index]

    def __repr__(self) -> str:
        chosen = f" with {words(self.criteria)}" if self.criteria else ""
        return f"Table({len(self)} members{chosen})"

    def _check(self, key: str) -> None:
        if self._keys and key not in self._keys:
            raise UnknownKey(unknown("config key", key, self._keys, listing=CONFIG_HELP))

    def _where(self, matches: Callable[[Config], bool], criteria: Mapping[str, Value]) -> "Table":
        members = [m for m, flat in zip(self._members, self._flat, strict=True) if matches(flat)]
        return Table(members, self.criteria | dict(criteria), self._keys, self._named)

    def select(self, criteria: Mapping[str, Value] | None = None, /, **more: Value) -> "Table":
        """Return the members whose config has these values, possibly none.

        Args:
            criteria: values by dotted key, ``{"cell.name": "lstm"}``; keywords do as well:
                ``select(**{"cell.name": "lstm"}, seed=(0, 1))``.
            more: the same. A tuple, list, range or set is a choice of allowed values.

        Raises:
            UnknownKey: (a KeyError) for a key that no member has, naming the nearest.
        """
        allowed = dict(criteria or {}) | more
        for key in allowed:
            self._check(key)
        return self._where(
            lambda flat: all(k in flat and _matches(flat[k], v) for k, v in allowed.items()),
            allowed,
        )

    def values(self, key: str) -> list[Value]:
        """Return the distinct values that the members' configs have at the key, in order."""
        self._check(key)
        return list(dict.fromkeys(flat[key] for flat in self._flat if key in flat))

    def group_by(self, key: str) -> dict[Value, "Table"]:
        """Return the members by their value at the key, in order.

        >>> cells = ("rnn", "gru", "rnn")
        >>> table = Table(Member(i, {}, {"cell": c}, 0.1, {}) for i, c in enumerate(cells))
        >>> {cell: len(members) for cell, members in table.group_by("cell").items()}
        {'rnn': 2, 'gru': 1}
        """
        return {v: self._where(lambda f, v=v: f.get(key) == v, {key: v}) for v in self.values(key)}

    def over(self, *keys: str) -> "Table":
        """Return the same members as a table that may be pooled over these axes.

        >>> rates = (0.1, 0.1, 0.2)
        >>> table = Table(Member(i, {}, {"rate": r}, 0.1, {"n": i}) for i, r in enumerate(rates))
        >>> table.over("rate").stack("n").tolist()
        [0, 1, 2]

        Raises:
            UnknownKey: (a KeyError) for a key that no member has, naming the nearest.
        """
        for key in keys:
            self._check(key)
        return Table(self._members, self.criteria, self._keys, self._named.union(keys))

    def unnamed(self) -> dict[str, list[Value]]:
        """Return the axes in which the members differ and that are not named, with their values.

        ``seed`` is pooled by nature. A key whose value follows from those of the named ones, as
        the bias that belongs to a cell, is no axis of its own.
        """
        named = [*dict.fromkeys([*self.criteria, *self._named])]
        places = [tuple(flat.get(key) for key in named) for flat in self._flat]
        axes = {}
        for key in self._keys:
            if key == "seed" or key in named:
                continue
            values = [flat.get(key) for flat in self._flat]
            distinct = list(dict.fromkeys(values))
            if len(distinct) < 2:
                continue
            pairs = set(zip(places, values, strict=True))
            if len(pairs) > len(set(places)):
                axes[key] = distinct
        return axes

    def to_frame(self) -> "pd.DataFrame":
        """Return the members as a pandas DataFrame, one row per member.

        Its columns are the config's values by dotted key, the results by name (arrays as lists)
        and ``seconds``, in a run that compares arms also ``phase``; a result with one of these
        names becomes ``result.NAME``. The index is the member's place in the sweep.

        >>> config = {"cell": {"name": "gru"}, "seed": 0}
        >>> frame = Table([Member(4, {}, config, 0.1, {"loss": 0.5})]).to_frame()
        >>> frame.groupby("cell.name")["loss"].median().to_dict()
        {'gru': 0.5}
        >>> list(frame.columns), list(frame.index)
        (['cell.name', 'seed', 'loss', 'seconds'], [4])
        """
        import pandas as pd

        phased = any(member.phase for member in self._members)
        rows, taken = [], {*self._keys, "seconds", PHASE}
        for member, flat in zip(self._members, self._flat, strict=True):
            result = {
                f"result.{name}" if name in taken else name: value
                for name, value in member.result.items()
            }
            phase = {PHASE: member.phase} if phased else {}
            rows.append(flat | result | {"seconds": member.seconds} | phase)
        index = pd.Index([member.index for member in self._members], name="member")
        columns = None if rows else [*self._keys, "seconds"]
        return pd.DataFrame(rows, index=index, columns=columns)

    def metrics_frame(self) -> "pd.DataFrame":
        """Return the logged metrics as a pandas DataFrame, one row per member and logged record.

        Its columns are ``member``, the keys that the sweep set, ``step`` and the metrics by name;
        a metric with one of these names becomes ``metric.NAME``. A record without a step has its
        position.

        >>> logged = ({"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25})
        >>> table = Table([Member(0, {"cell.name": "gru"}, {}, 0.1, {}, logged)])
        >>> frame = table.metrics_frame()
        >>> list(frame.columns), frame["loss"].tolist()
        (['member', 'cell.name', 'step', 'loss'], [0.5, 0.25])
        """
        import pandas as pd

        axes = dict.fromkeys(key for member in self._members for key in member.overrides)
        taken = {"member", "step", *axes}
        rows = []
        for member, flat in zip(self._members, self._flat, strict=True):
            place = {"member": member.index} | {key: flat.get(key) for key in axes}
            for position, record in enumerate(member.metrics):
                metrics = {
                    f"metric.{name}" if name in taken else name: value
                    for name, value in record.items()
                    if name != "step"
                }
                rows.append(place | {"step": record.get("step", position)} | metrics)
        return pd.DataFrame(rows, columns=None if rows else ["member", *axes, "step"])

    def stack(self, name: str) -> np.ndarray:
        """Return one result of members that differ in the seed, stacked along a first axis.

        The array is one to take a median of: the members are repetitions of each other. For
        statements that hold member by member see :meth:`each`.

        Raises:
            Pooled: (an Undecided) when the members differ in an axis that is not named.
            Undecided: when the table is empty, so that a claim about it cannot be decided.
            UnknownKey: (a KeyError) when a member has no such result.
            ValueError: when the shapes differ from member to member.
        """
        if axes := self.unnamed():
            raise Pooled(axes)
        return self.each(name)

    def judged(self) -> "Table":
        """Return the members whose results count: all but those that only tuned a comparison."""
        members = [member for member in self._members if member.phase != TUNING]
        return Table(members, self.criteria, self._keys, self._named)

    def each(self, name: str) -> np.ndarray:
        """Return one result of every member, whatever axes they differ in, along a first axis.

        It is for what holds or is drawn member by member; nothing may be pooled over it.

        Raises:
            as :meth:`stack`, but for ``Pooled``.
        """
        if not self._members:
            chosen = f"no member with {words(self.criteria)}" if self.criteria else "no members"
            raise Undecided(chosen, self.criteria)
        arrays = []
        for member in self._members:
            if name not in member.result and member.result.get("status") == "diverged":
                raise Undecided(f"member {member.index} diverged", self.criteria)
            if name not in member.result:
                raise UnknownKey(
                    f"member {member.index} ({words(member.overrides)}): "
                    + unknown("result", name, member.result)
                )
            try:
                arrays.append(np.asarray(member.result[name]))
            except ValueError as error:
                raise ValueError(f"member {member.index}, result {name!r}: {error}") from None
        shapes = {array.shape: m.index for array, m in zip(arrays, self._members, strict=True)}
        if len(shapes) > 1:
            seen = ", ".join(f"{shape} in member {index}" for shape, index in shapes.items())
            raise ValueError(f"result {name!r} differs in shape: {seen}")
        return np.stack(arrays)


def _matches(value: Value, allowed: Value) -> bool:
    if isinstance(allowed, tuple | list | range | set | frozenset):
        return value in allowed or (isinstance(value, tuple) and value == tuple(allowed))
    return bool(value == allowed)


def words(criteria: Mapping[str, Value]) -> str:
    """Return criteria on one line, as messages show them."""
    return ", ".join(f"{key}={value}" for key, value in criteria.items())


def read_unfinished(run_dir: str | os.PathLike[str]) -> list[Member]:
    """Return the members of a run that are not finished but have logged metrics, in order.

    Their results are empty.

    Raises:
        UserError: as :func:`read_table`.
    """
    info, records = read_records(run_dir)
    done = {record["member"] for record in records}
    logged, _, problems = scan_metrics(run_dir, records)
    if problems:
        raise UserError(f"{problems[0]}; {AGAIN}")
    count = len(overrides_of(info))
    members = []
    for index in sorted(set(logged) - done):
        if 0 <= index < count:
            line = {"member": index, "overrides": info["overrides"][index]}
            line |= {"seconds": 0.0, "result": {}}
            member = member_of(run_dir, info, line)
            members.append(Member(**member, metrics=tuple(map(decode, logged[index]))))
    return members


def read_table(run_dir: str | os.PathLike[str]) -> Table:
    """Return the finished members of a run directory, with the metrics that they logged.

    Raises:
        UserError: when the directory is no run directory, or a file in it is damaged.
    """
    info, records = read_records(run_dir)
    logged, _, problems = scan_metrics(run_dir, records)
    if problems:
        raise UserError(f"{problems[0]}; {AGAIN}")
    return Table(
        Member(
            **member_of(run_dir, info, record),
            metrics=tuple(map(decode, logged.get(record["member"], ()))),
        )
        for record in records
    )
