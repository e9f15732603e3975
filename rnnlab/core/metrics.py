"""Metrics by name: their units, and whether lower or higher values are better."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rnnlab.core.errors import unknown

LOWER, HIGHER = "lower", "higher"
VALIDATION = "validation_"  # begins the names of scores of the validation set


@dataclass(frozen=True)
class Metric:
    """How a metric or result is read.

    Args:
        name: as it is logged or returned.
        unit: in words, such as "bits"; "" for a number without one.
        better: "lower", "higher", or "" where neither is better.
        infinite: the word for an infinite value.
    Raises:
        ValueError: an empty name, or another word for ``better``.

    >>> Metric("rmse", "°C", better="lower").unit
    '°C'
    """

    name: str
    unit: str = ""
    better: str = ""
    infinite: str = "inf"

    def __post_init__(self) -> None:
        for field, text in asdict(self).items():
            if not isinstance(text, str):
                raise ValueError(f"a metric's {field} is a text, got {text!r:.80}")
        if not self.name.strip():
            raise ValueError(f"a metric needs a name, got {self.name!r}")
        if self.better not in ("", LOWER, HIGHER):
            words = unknown(f"better of metric {self.name!r}:", self.better, (LOWER, HIGHER))
            raise ValueError(words)


_SHARE = "share"

BUILT_IN: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss", better=LOWER),
        Metric("rmse", "data units", LOWER),
        Metric("mae", "data units", LOWER),
        Metric("nrmse", "standard deviations", LOWER),
        Metric("accuracy", _SHARE, HIGHER),
        Metric("error", _SHARE, LOWER),
        Metric("token_error", _SHARE, LOWER),
        Metric("sequence_error", _SHARE, LOWER),
        Metric("precision", _SHARE, HIGHER),
        Metric("recall", _SHARE, HIGHER),
        Metric("f1", "", HIGHER),
        Metric("bits_per_character", "bits", LOWER),
        Metric("bits", "bits", LOWER),
        Metric("perplexity", "", LOWER),
        Metric("status"),
        Metric("solved_at", "steps", LOWER, infinite="never"),
        Metric("diverged_at", "steps", infinite="never"),
        Metric("steps", "steps"),
        Metric("step", "steps"),
        Metric("grad_norm"),
        Metric("ms_per_step", "ms"),  # of members trained together: no measure of one of them
        Metric("seconds", "s"),
        Metric("ndcg", "", HIGHER),
        Metric("average_precision", "", HIGHER),
        Metric("reciprocal_rank", "", HIGHER),
        Metric("spectral_radius"),
    )
}
_PREFIXES = ("train_", VALIDATION, "test_", "best_", "next_", "word_")
_SUFFIXES = {"_ms": "ms", "_us": "µs", "_s": "s", "_mib": "MiB"}


def lookup(name: str, declared: Iterable[Metric] = ()) -> Metric:
    """Return the metric of a name: a declared one, a built-in one, or one without unit.

    Of declared ones of one name the first counts. A prefix such as ``validation_`` keeps the unit
    and the direction of the metric after it.

    >>> lookup("validation_accuracy").better, lookup("fit_ms").unit, lookup("norm").unit
    ('higher', 'ms', '')
    """
    known = BUILT_IN | {metric.name: metric for metric in reversed(list(declared))}
    if name in known:
        return known[name]
    for prefix in _PREFIXES:
        base = known.get(name.removeprefix(prefix))
        if name.startswith(prefix) and base is not None:
            return Metric(name, base.unit, base.better, base.infinite)
    for suffix, unit in _SUFFIXES.items():
        if name.endswith(suffix):
            return Metric(name, unit, LOWER)
    return Metric(name, "decades" if name.startswith("log10_") else "")


def as_json(metrics: Iterable[Metric]) -> list[dict[str, str]]:
    """Return metrics as config.json holds them; the first of a name counts."""
    named: dict[str, dict[str, str]] = {}
    for metric in metrics:
        named.setdefault(metric.name, asdict(metric))
    return list(named.values())


def from_json(entries: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Return the metrics that :func:`as_json` wrote."""
    return [Metric(**entry) for entry in entries]
