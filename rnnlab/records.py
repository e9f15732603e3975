"""The files of a run directory, and the table of members that is read back from them.

Everything is strict JSON, so that any tool can read it: −inf (an adjoint that is exactly zero),
inf and nan are written as the strings "-inf", "inf" and "nan". This is the one place that knows.
A file that is replaced is replaced atomically, and a file that grows (JSON lines) may be cut off
anywhere: a half-written last line is dropped on reading.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from rnnlab.errors import unknown

CONFIG, MEMBERS, METRICS = "config.json", "members.jsonl", "metrics.jsonl"
CLAIMS, FIGURES, REPORT = "claims.json", "figures.json", "report.html"
PREDICTIONS = "predictions.json"  # of each member, written before anything runs

_NON_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class UserError(ValueError):
    """What was asked for cannot be done; the message is for the person who asked."""


class UnknownKey(KeyError):
    """A KeyError whose message prints as it was written, without quotes around it."""

    def __str__(self) -> str:
        return str(self.args[0])


class Undecided(Exception):
    """A claim cannot be decided from this table: the members it needs are not in it.

    Args:
        message: what is missing.
        criteria: what was selected, as in ``{"cell.name": "lstm"}``.
    """

    def __init__(self, message: str, criteria: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.criteria = dict(criteria or {})


def encode(value: Any) -> Any:
    """The value as strict JSON can hold it.

    NumPy and JAX scalars and arrays become numbers and lists, tuples and ranges lists, and
    numbers that are not finite the strings "nan", "inf" and "-inf".

    Raises:
        TypeError: for what JSON has no word for, a complex number for instance.

    >>> encode({"log10": np.array([-1.5, -np.inf]), "steps": np.int64(3)})
    {'log10': [-1.5, '-inf'], 'steps': 3}
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a record must be strings, got {list(value)}")
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [encode(item) for item in value]
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if np.issubdtype(array.dtype, np.complexfloating):
            raise TypeError("a complex number cannot be written as JSON: give .real and .imag")
        if array.dtype != object:
            return encode(array.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r:.80}")


def decode(value: Any) -> Any:
    """The inverse of :func:`encode`: "nan", "inf" and "-inf" are floats again, lists stay lists.

    >>> decode({"log10": [-1.5, "-inf"], "cell": "lstm"})
    {'log10': [-1.5, -inf], 'cell': 'lstm'}
    """
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    return value


def decode_config(value: Any) -> Any:
    """As :func:`decode`, for configs: a list was a tuple, for configs hold tuples only."""
    if isinstance(value, list):
        return tuple(decode_config(item) for item in value)
    if isinstance(value, dict):
        return {key: decode_config(item) for key, item in value.items()}
    return decode(value)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dict with dotted keys.

    >>> flatten({"cell": {"name": "gru"}, "seed": 0})
    {'cell.name': 'gru', 'seed': 0}
    """
    flat = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def with_overrides(nested: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested dict in which the dotted keys have other values.

    >>> with_overrides({"cell": {"name": "gru", "hidden_size": 8}}, {"cell.name": "rnn"})
    {'cell': {'name': 'rnn', 'hidden_size': 8}}
    """
    changed = dict(nested)
    for dotted, value in overrides.items():
        key, _, rest = dotted.partition(".")
        changed[key] = with_overrides(changed[key], {rest: value}) if rest else value
    return changed


# ---------------------------------------------------------------------------------------- files


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to; what was written takes the file's place at once, when all went well.

    A reader, or a crash, sees the old content or the new, whole.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file at once: see :func:`replaced`."""
    with replaced(path) as part:
        part.write_bytes(data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file atomically, encoded as :func:`encode` does, indented to be read."""
    text = json.dumps(encode(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file as it stands: see :func:`decode` for the numbers that are not finite.

    Raises:
        UserError: when the file is not JSON, by its name.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def append_jsonl(
    path: str | os.PathLike[str], *records: Mapping[str, Any], durable: bool = False
) -> None:
    """Add the records at the end of a file of JSON lines, and flush them.

    Args:
        durable: wait until they are on the disk, so that a power cut does not take them.
    """
    lines = [json.dumps(encode(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records]
    with open(path, "ab") as file:
        file.write("".join(lines).encode())
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _lines(path: Path) -> Iterable[tuple[bytes, dict[str, Any]]]:
    if not path.exists():
        return
    *whole, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*whole, last] if last else whole, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"expected a record {{...}}, got {record!r:.40}")
        except ValueError as error:
            if number > len(whole):  # no newline yet: the writer was stopped here
                return
            raise UserError(f"{path}, line {number}, is not a JSON record: {error}") from None
        yield line, record


def read_jsonl(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a file of JSON lines, as they stand; none when there is no such file.

    A half-written last line is dropped.

    Raises:
        UserError: for a broken line elsewhere, naming the file and the line.
    """
    return [record for _, record in _lines(Path(path))]


def keep_jsonl(path: str | os.PathLike[str], keep: Callable[[dict[str, Any]], bool]) -> None:
    """Cut a file of JSON lines down to the records to keep, so that it can grow again."""
    path = Path(path)
    kept = b"".join(line + b"\n" for line, record in _lines(path) if keep(record))
    if path.exists() and path.read_bytes() != kept:
        write_bytes(path, kept)


# -------------------------------------------------------------------------------------- members


@dataclass(frozen=True)
class Member:
    """One finished member of a sweep.

    Args:
        index: its place in the sweep.
        overrides: what the sweep set, by dotted key.
        config: the whole config of the member, nested.
        seconds: the time it took.
        result: what ``run`` returned: numbers, and arrays as lists.
        metrics: what it logged, a record each.
    """

    index: int
    overrides: dict[str, Any]
    config: dict[str, Any]
    seconds: float
    result: dict[str, Any]
    metrics: tuple[dict[str, Any], ...] = ()


class Table(Sequence[Member]):
    """The finished members of a sweep, in order, and ways to choose among them.

    >>> table = Table([Member(s, {"seed": s}, {"seed": s}, 0.1, {"norm": s / 2}) for s in range(3)])
    >>> table.select(seed=(1, 2)).stack("norm").tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        members: Iterable[Member],
        criteria: Mapping[str, Any] | None = None,
        keys: Iterable[str] = (),
    ):
        self._members = tuple(members)
        self._flat = [flatten(member.config) for member in self._members]
        self.criteria = dict(criteria or {})
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
            return Table(self._members[index], self.criteria, self._keys)
        return self._members[index]

    def __repr__(self) -> str:
        chosen = f" with {_words(self.criteria)}" if self.criteria else ""
        return f"Table({len(self)} members{chosen})"

    def _check(self, key: str) -> None:
        if self._keys and key not in self._keys:
            raise UnknownKey(unknown("config key", key, self._keys))

    def _where(self, test: Callable[[dict[str, Any]], bool], chosen: Mapping[str, Any]) -> "Table":
        members = [m for m, flat in zip(self._members, self._flat, strict=True) if test(flat)]
        return Table(members, self.criteria | dict(chosen), self._keys)

    def select(self, criteria: Mapping[str, Any] | None = None, /, **more: Any) -> "Table":
        """The members whose config has these values, none being a possible answer.

        Args:
            criteria: values by dotted key, ``{"cell.name": "lstm"}``; keywords do as well:
                ``select(**{"cell.name": "lstm"}, seed=(0, 1))``.
            more: the same. A tuple, list, range or set is a choice of allowed values.

        Raises:
            UnknownKey: (a KeyError) for a key that no member has, naming the nearest.
        """
        wanted = dict(criteria or {}) | more
        for key in wanted:
            self._check(key)
        return self._where(
            lambda flat: all(k in flat and _matches(flat[k], v) for k, v in wanted.items()), wanted
        )

    def values(self, key: str) -> list[Any]:
        """The distinct values that the members' configs have at the key, in order."""
        self._check(key)
        return list(dict.fromkeys(flat[key] for flat in self._flat if key in flat))

    def group_by(self, key: str) -> dict[Any, "Table"]:
        """The members by their value at the key, in order."""
        return {v: self._where(lambda f, v=v: f.get(key) == v, {key: v}) for v in self.values(key)}

    def stack(self, name: str) -> np.ndarray:
        """One result of every member, stacked along a first axis of members.

        Raises:
            Undecided: when the table is empty: a claim made of it cannot be decided.
            UnknownKey: (a KeyError) when a member has no such result.
            ValueError: when the shapes differ from member to member.
        """
        if not self._members:
            chosen = f"no member with {_words(self.criteria)}" if self.criteria else "no members"
            raise Undecided(chosen, self.criteria)
        arrays = []
        for member in self._members:
            if name not in member.result:
                raise UnknownKey(
                    f"member {member.index} ({_words(member.overrides)}): "
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


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple | list | range | set | frozenset):
        return value in wanted or (isinstance(value, tuple) and value == tuple(wanted))
    return bool(value == wanted)


def _words(criteria: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in criteria.items())


def read_table(run_dir: str | os.PathLike[str]) -> Table:
    """The finished members of a run directory, with what they logged.

    Raises:
        UserError: when the directory is no run directory, or a file in it is broken.
    """
    run_dir = Path(run_dir)
    base = decode_config(read_config(run_dir)["config"])
    logged: dict[int, list[dict[str, Any]]] = {}
    for record in read_jsonl(run_dir / METRICS):
        logged.setdefault(record.pop("member"), []).append(decode(record))
    members = []
    for record in sorted(read_jsonl(run_dir / MEMBERS), key=lambda record: record["member"]):
        overrides = decode_config(record["overrides"])
        members.append(
            Member(
                index=record["member"],
                overrides=overrides,
                config=with_overrides(base, overrides),
                seconds=record["seconds"],
                result=decode(record["result"]),
                metrics=tuple(logged.get(record["member"], ())),
            )
        )
    return Table(members)


def read_config(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """config.json of a run directory, as it stands.

    Raises:
        UserError: when there is none.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise UserError(f"{run_dir} is no run directory: it has no {CONFIG}")
    return read_json(path)
