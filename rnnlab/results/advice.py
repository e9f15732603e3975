"""Advice before training: how to initialize a cell for given sequences, and whether it will train.

From :func:`rnnlab.lab.probe_table.probe_table`, which trains nothing. With

    k(L) = log10 ‖∂L/∂s_{T−L}‖ / ‖∂L/∂s_T‖   the decades of the gradient that are left L steps back,
    S    = ‖∂λ_1/∂θ‖₁                        nats per step that λ_1 moves by, per unit of every θ,

a candidate is predicted to train where its state stays finite, less than DEAD of its units do not
respond, and −LOST ≤ k(L) ≤ GAINED at the span L of the task. Of those the one with the lowest cost
is recommended: −k(L) where the gradient shrinks, 2 k(L) where it grows. Kernels whose columns have
norms above 1.2 are left to the last, and above 1 where a forget bias can keep the state instead: a
gated cell that is brought to λ_1 = 0 by large kernels has saturated gates, and learns late; a
scheme without a gain counts as it is drawn. Learning rates to try are 1, 3, 10 and 30 times
1/(T·S): at 1/(T·S) one sign step of every parameter, as Adam's first ones are, changes what is kept
over T steps by a factor e at most.

The rule was chosen on adding and delayed recall over 20 and 50 steps, and then held against other
tasks: copying, the order of symbols, digits pixel by pixel, a chaotic series
(experiments/learning/advice.py; five cells, eight or nine candidates, each at its own learning
rate; the flossed one is compared and not ranked). On the 14 held-out settings that any candidate
solves, the one that the rule ranks first needs at most twice the updates of the best, in 10 of them
at most 1.1 times. By sign tests on 10 seeds it is better than PyTorch's default in 7 of 20 settings
and worse in none, than Keras's in 1 and none (in 6 it is Keras's), than flax's in 3 and 1; the
others are undecided: in 6 no candidate solves the task, elsewhere 10 seeds are too few. The best of
the tried learning rates lies between the least and the greatest that it names for 105 of 115
candidates (they span a factor of 30, those that were tried 10, or more where an edge was best).
It predicts poorly which candidates train: balanced 60% (64% where
it was chosen), for at a rate of its own a gated cell trains from nearly anywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnlab.nn.initializers import InitScheme

LOST, GAINED = 6.0, 1.0  # decades over the span
STEEP = 2.0  # how much worse a decade gained is than one lost
MOST_GAIN = 1.2  # norm of the kernels' columns, of a cell without a forget bias
MOST_GATED_GAIN = 1.0  # of one with it
TRUST = (
    "the rule was tried on tasks that played no part in choosing it (five cells; copying, order, "
    "digits, a series). Of eight or nine candidates, the one that it ranks first needed at most "
    "twice the updates of the best in all 14 settings that any solved, at most 1.1 times in 10. "
    "Against PyTorch's default it was better in 7 of 20 settings and worse in none, against "
    "Keras's in 1 and none, against flax's in 3 and 1; 10 seeds do not decide the others. Its word "
    "on what will not train is hardly better than chance (balanced 60%)."
)
DEAD = 0.9  # share of units without any response from which on nothing is learned
_RATES = (1, 3, 10, 30)  # times 1/(T·S)


@dataclass(frozen=True)
class Row:
    """The probes of one candidate, each the mean over the seeds.

    Args:
        scheme: of W_h, its number in place.
        forget_bias: NaN: the cell's own.
        searched: whether the number is the one at which λ_1 on these sequences is just below 0.
        gain: its number over the one at which the columns of the kernels have norm 1; NaN: none.
        kept: lag → log10 ‖∂L/∂s_{T−k}‖ − log10 ‖∂L/∂s_T‖, the median over the sequences, of the
            part of the state that keeps the memory; −inf: exactly zero.
        kept_spread: lag → standard deviation over the seeds; NaN where a value is not finite.
        curve: kept at every lag 0 … T−1.
        horizon: the first lag at which a decade is lost or gained; inf: none within T.
        exponent: λ_1, nats per step. exponent_spread: over the seeds.
        sensitivity: ‖∂λ_1/∂θ‖₁ over the cell's parameters θ: how much λ_1 changes when every
            parameter moves by 1, as far as sign steps such as Adam's first ones can change it.
        saturation: distance of units ("h") and gates from the flat ends of their functions; see
            :func:`rnnlab.gradients.saturation`. {} for activations without flat ends.
        dead: share of the units whose output is the same at every step of every sequence.
        overflowed: share of the sequences whose state leaves the floats.
    """

    scheme: str
    forget_bias: float
    searched: bool
    gain: float
    kept: dict[int, float]
    kept_spread: dict[int, float]
    curve: tuple[float, ...]
    horizon: float
    exponent: float
    exponent_spread: float
    sensitivity: float
    saturation: dict[str, float]
    dead: float
    overflowed: float

    @property
    def kind(self) -> tuple[str, float | None]:
        """The scheme without its number, and the forget bias; None: the cell's own."""
        bias = None if math.isnan(self.forget_bias) else self.forget_bias
        return self.scheme.partition("(")[0], bias

    def as_record(self) -> dict[str, Any]:
        """Return the row as a flat dict, with "kept_10", "saturation_h" and so on, but no curve."""
        record = asdict(self)
        del record["curve"]
        for name in ("kept", "kept_spread", "saturation"):
            record |= {f"{name}_{key}": value for key, value in record.pop(name).items()}
        return record


def trains(row: Row, span: int) -> bool:
    """Return whether a candidate is predicted to train on a task whose answers wait ``span`` steps.

    Args:
        row: of the candidate. span: at most T − 1.
    """
    return trouble(row, span) == ""


def trouble(row: Row, span: int) -> str:
    """Return why a candidate is predicted not to train, "" where it is."""
    left = row.curve[span]
    if row.overflowed > 0:
        return f"explodes: the state leaves the floats in {row.overflowed:.0%} of the sequences"
    if row.dead >= DEAD:
        return f"dead: {row.dead:.0%} of the units do not respond"
    if math.isnan(left):
        return "dead: the last step has no gradient"
    if left < -LOST:
        return f"vanishes: {power(left)} of the gradient is left at lag {span}"
    if left > GAINED:
        return f"explodes: {power(left)} of the gradient at lag {span}"
    return ""


@dataclass(frozen=True)
class Advice:
    """A recommended initialization of a cell, and the probes that it was chosen by.

    Args:
        rows: the probes of every candidate.
        span: L, the lag over which the gradient has to be kept.
        best: the recommended candidate; None where none is predicted to train.
        rates: learning rates to try with it, ascending; () without a recommendation.
        init: the schemes of the cell with the recommended ones; None without.
    """

    rows: tuple[Row, ...]
    span: int
    best: Row | None
    rates: tuple[float, ...]
    init: "InitScheme | None"

    @property
    def reason(self) -> str:
        """Why the candidate is recommended, in words; "" without a recommendation."""
        if self.best is None:
            return ""
        able = sum(trains(row, self.span) for row in self.rows)
        return (
            f"{power(self.best.curve[self.span])} of the gradient is left {self.span} steps back; "
            f"{able} of {len(self.rows)} candidates are predicted to train"
        )

    @property
    def shown(self) -> list[Row]:
        """The best candidate of every scheme and forget bias, in the order of the rows."""
        kinds: dict[tuple[str, float | None], Row] = {}
        for row in self.rows:
            both = kinds.get(row.kind, row), row
            kinds[row.kind] = min(
                both, key=lambda one: (one is not self.best, cost(one, self.span))
            )
        return list(kinds.values())


def cost(row: Row, span: int) -> float:
    """Return the decades lost, or twice those gained; inf where the state leaves the floats."""
    left = row.curve[span]
    if math.isnan(left) or row.overflowed > 0:
        return math.inf
    return STEEP * left if left > 0 else -left


def recommended(rows: Sequence[Row], span: int) -> Row | None:
    """Return the candidate that is recommended; None where none is predicted to train."""
    able = [row for row in rows if trains(row, span)]
    plain = [row for row in able if not is_large(row)]
    return min(plain or able, key=lambda row: cost(row, span), default=None)


def is_large(row: Row) -> bool:
    """Return whether the kernels are larger than a recommended candidate's should be."""
    return row.gain > (MOST_GAIN if math.isnan(row.forget_bias) else MOST_GATED_GAIN)  # not if NaN


def power(decades: float) -> str:
    """Return a number of decades in words.

    >>> power(-1.25), power(-math.inf)
    ('10^-1.2', 'nothing')
    """
    if math.isnan(decades):
        return "overflow"
    return f"10^{decades:.1f}" if math.isfinite(decades) else "nothing"


def rates(row: Row) -> tuple[float, ...]:
    """Return the learning rates to try with a candidate, ascending; two digits each.

    () where λ_1 does not depend on the parameters, or is not finite.
    """
    if not 0 < row.sensitivity < math.inf:
        return ()
    least = 1 / (len(row.curve) * row.sensitivity)
    return tuple(float(f"{least * factor:.1e}") for factor in _RATES)
