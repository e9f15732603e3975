"""The data of the explorer: members, their axes, results, curves and logged metrics, compactly.

The page holds them as JSON. A curve is written as whole numbers, each the difference from the one
before, at five significant digits of the curve's largest value (four digits of each value where a
positive curve spans more than two decades): a third of the size of plain numbers. Curves with more
points than fit are thinned, and the page says so.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnlab.core.json_files import Json, encode
from rnnlab.core.metrics import from_json, lookup
from rnnlab.core.nested import flatten
from rnnlab.report import blocks
from rnnlab.results.summary import ABSENT
from rnnlab.results.table import PHASE, Member, Record, Value

RUN, SEED = "run", "seed"
POINTS = 512  # of a curve, before it is thinned
_DIGITS = 5  # significant ones, of a curve's largest value
_DECADES = 1e4  # steps per decade of a curve that is written by its logarithm
_TINY = 1e-290  # below it, multiples of a power of ten would be too small for a float
_MOST_WORDS = 24  # different words of a result that is offered to color and filter by
_ASIDE = ("sha256",)  # says nothing in a chart
_RANKS = ("spectrum", "singular", "eigenvalue")  # in names of results sorted by size


@dataclass(frozen=True)
class Source:
    """A run whose members the explorer shows.

    Args:
        label: its name among several runs.
        info: its config.json.
        members: finished ones, and those still at work with what they have logged.
        at_work: the places of the latter.
    """

    label: str
    info: Record
    members: Sequence[Member]
    at_work: frozenset[int] = frozenset()


def payload(sources: Sequence[Source], points: int = POINTS, too_large: Sequence[str] = ()) -> Json:
    """Return what the explorer shows of one run or several, as JSON holds it.

    Args:
        sources: the runs.
        points: the most points of a curve.
        too_large: names of curves, metrics and arrays to leave out.
    """
    placed = [(source, member) for source in sources for member in source.members]
    flats = [flatten(member.config) for _, member in placed]
    results = [flatten(member.result) for _, member in placed]
    declared = [metric for s in sources for metric in from_json(s.info.get("metrics", ()))]
    thinned: dict[str, int] = {}
    collected = _Quantities(points, thinned)
    left_out: dict[str, None] = {}
    for place, ((_, member), leaves) in enumerate(zip(placed, results, strict=True)):
        for name, value in leaves.items():
            if not collected.add_result(place, name, value, flats[place]):
                left_out[name] = None
        collected.add_metrics(place, member.metrics)
        for record in member.metrics:
            left_out |= {name: None for name, value in record.items() if isinstance(value, list)}
    quantities = [
        q for q in collected.listed(len(placed)) if not q["x"] or q["name"] not in too_large
    ]
    words = [name for name in left_out if _is_word(name, results)]
    for quantity in quantities:
        metric = lookup(quantity["name"], declared)
        quantity |= {"unit": metric.unit, "better": metric.better}
    shown = {quantity["name"] for quantity in quantities} | {*words, *_ASIDE}
    axes = _axes(sources, placed, flats)
    keys = [axis["key"] for axis in axes]
    headlines = [metric.name for metric in declared]
    quantities.sort(key=lambda q: _place(q["name"], headlines))
    return {
        "ids": [member.index for _, member in placed],
        "axes": axes + [_words_axis(name, keys, results) for name in words],
        "quantities": quantities,
        "xs": collected.xs,
        "lists": _lists(flats),
        "diverged": [
            {"member": place, "step": step}
            for place, (_, member) in enumerate(placed)
            if (step := _diverged(member)) is not None
        ],
        "at_work": [place for place, (source, m) in enumerate(placed) if m.index in source.at_work],
        "points": points,
        "thinned": thinned,
        "too_large": list(too_large),
        "left_out": [name for name in left_out if name not in shown],
    }


# ---- axes --------------------------------------------------------------------------------------


def _axes(
    sources: Sequence[Source],
    placed: Sequence[tuple[Source, Member]],
    flats: Sequence[Mapping[str, Value]],
) -> list[Record]:
    """Return what members differ in: the run, the config's keys and the phase; the seed last."""
    axes = []
    if len(sources) > 1:
        axes.append(_axis(RUN, [source.label for source, _ in placed]))
    swept = dict.fromkeys(key for _, member in placed for key in member.overrides)
    keys = dict.fromkeys([*swept, *(key for flat in flats for key in flat)])
    for key in sorted(keys, key=lambda key: key == SEED):
        values = [flat.get(key, ABSENT) for flat in flats]
        if key == SEED or any(value != values[0] for value in values):
            axes.append(_axis(key, values))
    if not axes:
        axes.append(_axis("member", [member.index for _, member in placed]))
    if any(member.phase for _, member in placed):
        axes.append(_axis(PHASE, [member.phase for _, member in placed]))
    return axes


def _axis(key: str, values: Sequence[Value], result: bool = False) -> Record:
    """Return an axis: its values as words and as numbers, and the place of each member's value."""
    texts = [blocks.show(value) for value in values]
    found = dict(zip(texts, values, strict=True))
    numeric = all(_is_number(value) for value in found.values())
    ordered = sorted(found, key=lambda text: found[text]) if numeric else list(found)
    places = {text: place for place, text in enumerate(ordered)}
    return {
        "key": key,
        "text": ordered,
        "number": [found[text] for text in ordered] if numeric else None,
        "of": [places[text] for text in texts],
        "result": result,
    }


def _words_axis(name: str, taken: Sequence[str], results: Sequence[Mapping[str, Value]]) -> Record:
    key = f"result.{name}" if name in taken else name
    return _axis(key, [leaves.get(name, ABSENT) for leaves in results], result=True)


def _is_word(name: str, results: Sequence[Mapping[str, Value]]) -> bool:
    """Whether a result is a word or a truth value of few kinds, which one can filter by."""
    values = {leaves[name] for leaves in results if isinstance(leaves.get(name), str | bool)}
    whole = not any(isinstance(leaves.get(name), list) for leaves in results)
    return name not in _ASIDE and whole and 0 < len(values) <= _MOST_WORDS


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _lists(flats: Sequence[Mapping[str, Value]]) -> dict[str, list[float]]:
    """Return the config's lists of numbers that all members share: a curve may stand over one."""
    shared: dict[str, list[float]] = {}
    for key, value in (flats[0] if flats else {}).items():
        if (
            isinstance(value, tuple)
            and len(set(value)) == len(value) > 1
            and all(_is_number(item) for item in value)
            and list(value) == sorted(value)  # as places on an axis
            and all(flat.get(key) == value for flat in flats)
        ):
            shared[key] = list(value)
    return shared


# ---- results and metrics -----------------------------------------------------------------------


def _place(name: str, headlines: Sequence[str]) -> int:
    return headlines.index(name) if name in headlines else len(headlines)


def _diverged(member: Member) -> float | None:
    """Return the step at which a member diverged; None where it did not.

    A member of an experiment without training's ``status`` counts as diverged where what it logged
    last is not finite.
    """
    status = member.result.get("status")
    last = member.metrics[-1] if member.metrics else {}
    if status == "diverged":
        at = member.result.get("diverged_at")
        step = at if isinstance(at, int | float) else last.get("step", len(member.metrics) - 1)
        return step if math.isfinite(step) else -1
    if status is None and any(
        isinstance(value, float) and not math.isfinite(value) and value != -math.inf
        for value in last.values()
    ):
        return last.get("step", len(member.metrics) - 1)
    return None


class _Quantities:
    """Results, curves, arrays and metrics by name, each with an entry per member that has it."""

    def __init__(self, points: int, thinned: dict[str, int]) -> None:
        self.xs: list[list[float]] = []
        self._points = points
        self._thinned = thinned  # name -> the most points before thinning
        self._places: dict[tuple[float, ...], int] = {}
        self._found: dict[tuple[str, str], Record] = {}

    def listed(self, members: int) -> list[Record]:
        """Return the quantities: metrics first, then curves, results, arrays."""
        kinds = ("metric", "curve", "result", "array")
        found = sorted(self._found.values(), key=lambda q: kinds.index(q["kind"]))
        for quantity in found:
            entries = quantity.pop("entries")
            quantity["of"] = [entries.get(place) for place in range(members)]
        return found

    def _entry(self, kind: str, name: str, x: str = "") -> dict[int, Json]:
        empty = {"kind": kind, "name": name, "x": x, "entries": {}}
        return self._found.setdefault((kind, name), empty)["entries"]

    def add_result(self, place: int, name: str, value: Value, config: Mapping[str, Value]) -> bool:
        """Take a result; False for one that is neither a number nor an array of numbers."""
        if isinstance(value, bool | str) or value is None:
            return False
        if not isinstance(value, list | tuple):
            self._entry("result", name)[place] = value if type(value) is int else _number(value)
            return True
        array = _numbers(value)
        if array is None or array.ndim > 3 or not array.size:
            return False
        if array.ndim == 1:
            x = position(name, array.size, config)
            first = int(x == "rank")
            curve = self._curve(name, np.arange(first, first + array.size), array)
            self._entry("curve", name, x)[place] = curve
        else:
            self._entry("array", name, "lag")[place] = [list(array.shape), *pack(array.ravel())]
        return True

    def add_metrics(self, place: int, records: Iterable[Record]) -> None:
        """Take the records that a member logged."""
        logged: dict[str, list[tuple[float, float]]] = {}
        for at, record in enumerate(records):
            step = record.get("step", at)
            step = step if isinstance(step, int | float) else at
            for name, value in record.items():
                if name != "step" and isinstance(value, int | float):
                    logged.setdefault(name, []).append((step, float(value)))
        for name, pairs in logged.items():
            pairs.sort(key=lambda pair: pair[0])  # a loop of one's own may count each epoch anew
            steps, values = np.array(pairs, np.float64).T
            self._entry("metric", name, "step")[place] = self._curve(name, steps, values)

    def _curve(self, name: str, x: np.ndarray, y: np.ndarray) -> Json:
        """Return [place of x in xs, *packed y], thinned where it has too many points."""
        if x.size > self._points:
            self._thinned[name] = max(self._thinned.get(name, 0), int(x.size))
            kept = np.linspace(0, x.size - 1, self._points).round().astype(int)
            finite = np.flatnonzero(np.isfinite(y))
            ends = finite[-1:] if finite.size else kept[:0]  # where a × may stand
            kept = np.unique(np.concatenate([kept, ends]))
            x, y = x[kept], y[kept]
        key = tuple(x.tolist())
        if key not in self._places:
            self._places[key] = len(self.xs)
            whole = all(float(value).is_integer() for value in key)
            self.xs.append([int(value) if whole else value for value in key])
        return [self._places[key], *pack(y)]


def position(name: str, length: int, config: Mapping[str, Value]) -> str:
    """Return the name of what a list's places count: "lag", "rank", "time step" or "place".

    Spectra are sorted by size, saturation is measured at each time step; a list as long as the
    task's sequences, or of logarithms, is a curve over the lag.

    >>> position("h", 200, {"task.length": 200}), position("spectrum_10", 64, {})
    ('lag', 'rank')
    """
    if any(word in name for word in _RANKS):
        return "rank"
    if name.startswith("saturation"):
        return "time step"
    return "lag" if length == config.get("task.length") or name.startswith("log10_") else "place"


def _numbers(value: Sequence[Value]) -> np.ndarray | None:
    """Return nested lists of numbers as an array; None for words and lists of unequal lengths."""
    try:
        array = np.asarray(value)
        if array.dtype == object:  # None where there is no number
            flat = [item for item in array.ravel() if item is not None]
            if not all(isinstance(item, int | float) for item in flat):
                return None
            array = array.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return array.astype(np.float64) if array.dtype.kind in "fiub" else None


def _number(value: float) -> Json:
    return encode(float(f"{value:.6g}"))


def pack(values: np.ndarray) -> list[Json]:
    """Return numbers as [kind, digits, differences…], which the page unpacks.

    Kind 0: whole multiples of 10^−digits. Kind 1: 10^(whole multiple of 1e-4), for numbers ≥ 0 that
    span more than two decades. Each finite number is the difference from the one before; null, "+"
    and "-" stand for nan, inf and -inf (in kind 1, "-" for an exact zero).

    >>> pack(np.array([0.0, -1.5, -3.25, -np.inf]))
    [0, 4, 0, -15000, -17500, '-']
    """
    finite = np.isfinite(values)
    known = values[finite]
    peak = float(np.abs(known).max()) if known.size else 0.0
    positive = known[known > 0]
    wide = (
        positive.size > 0
        and bool((known >= 0).all())
        and not np.isneginf(values).any()
        and (peak / float(positive.min()) > 100 or peak < _TINY)
    )
    if wide:
        with np.errstate(divide="ignore"):
            values = np.log10(values)
        finite = np.isfinite(values)
        head, whole = [1, 0], np.rint(values[finite] * _DECADES)
    else:
        digits = _DIGITS - 1 - math.floor(math.log10(peak)) if peak else 0
        digits = max(-300, min(300, digits))
        head, whole = [0, digits], np.rint(known * 10.0**digits)
    steps = iter(np.diff(whole, prepend=0).astype(np.int64).tolist())
    if finite.all():
        return [*head, *steps]
    return [*head, *_with_markers(values, finite, steps)]


def _with_markers(values: np.ndarray, finite: np.ndarray, steps: Iterator[int]) -> Iterator[Json]:
    for value, known in zip(values.tolist(), finite.tolist(), strict=True):
        if known:
            yield next(steps)
        else:
            yield None if math.isnan(value) else "+" if value > 0 else "-"
