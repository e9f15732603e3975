"""Claims: statements of a paper or of the notes, checked against the results of a sweep.

A claim fixes its threshold and its expected verdict in the experiment's file, from its source,
before results are seen. A refuted claim is a finding; an *unexpected* verdict is a surprise.
"""

import inspect
import string
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rnnlab.core import terminal
from rnnlab.core.errors import Undecided, unknown
from rnnlab.core.terminal import Paint

EXPECTED = ("holds", "refuted")
MARKS = {"holds": "✓", "refuted": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Claim:
    """A statement that results can decide.

    Args:
        statement: the claim, a sentence.
        source: a paper and its equation, or the number of the claim in the notes.
        threshold: the measurement with which it holds, in words fixed beforehand:
            "median log10 ratio at lag 100 below -2".
        expected: "holds" or "refuted".
        check: returns (whether it holds, the measurement in words with numbers). It may raise
            :class:`rnnlab.core.errors.Undecided`, as ``table.select(...).stack(...)`` does when no
            member was selected.
        closed_form: whether the statement is a theorem, which must hold.

    Raises:
        ValueError: when a part is empty, or the expectation is another word.
    """

    statement: str
    source: str
    threshold: str
    expected: str
    check: Callable[[], tuple[bool, str]]
    closed_form: bool = False

    def __post_init__(self) -> None:
        parts = {
            "statement": self.statement,
            "source": self.source,
            "threshold": self.threshold,
        }
        for part, text in parts.items():
            if not isinstance(text, str) or not text.strip():
                raise ValueError(f"a claim needs a {part} in words, got {text!r}")
        if self.expected not in EXPECTED:
            raise ValueError(
                f"claim {self.statement!r}: {unknown('expectation', self.expected, EXPECTED)}"
            )
        if self.closed_form and self.expected != "holds":
            raise ValueError(f"claim {self.statement!r}: a closed form is expected to hold")
        if not callable(self.check):
            raise ValueError(f"claim {self.statement!r}: check must be callable")


Check = Callable[..., tuple[bool, str]]


def claim(
    statement: str,
    *,
    source: str,
    holds_if: str,
    expected: str,
    closed_form: bool = False,
    **thresholds: object,
) -> Callable[[Check], Callable[..., Claim]]:
    """Turn a function that measures into a claim, with each threshold written once.

    The function takes the table, the thresholds and any other arguments of the call, and returns
    (whether the claim holds, the measurement in words with numbers); it may leave out arguments
    that are only shown. The decorated function returns a :class:`Claim` instead, for the list of
    ``claims(table)``.

    Args:
        statement: the claim; ``{name}`` stands for an argument of the call.
        source: as :class:`Claim`'s.
        holds_if: the threshold in words, in which ``{name}`` stands for a threshold or for an
            argument of the call, so that the number in the words is the number in the check.
        expected: "holds" or "refuted".
        closed_form: whether the statement is a theorem.
        thresholds: the numbers, by name.
    Raises:
        ValueError: a threshold that ``holds_if`` does not show; otherwise as :class:`Claim`.

    >>> @claim(
    ...     "An LSTM keeps the gradient over {lag} steps",
    ...     source="the notes, claim 17",
    ...     holds_if="median at lag {lag} above {least:g} decades",
    ...     expected="holds",
    ...     least=-2.0,
    ... )
    ... def keeps(table, lag, least):
    ...     return table[lag] > least, f"{table[lag]:.1f} decades"
    >>> keeps({50: -0.5}, lag=50).threshold
    'median at lag 50 above -2 decades'
    """
    shown = _fields(holds_if)
    for name in thresholds:
        if name not in shown:
            raise ValueError(f"claim {statement!r}: holds_if does not show the threshold {name!r}")

    def decorate(check: Check) -> Callable[..., Claim]:
        unread = (shown | _fields(statement)) - set(inspect.signature(check).parameters)

        def make(table: object, **arguments: object) -> Claim:
            values = thresholds | arguments
            read = {name: value for name, value in values.items() if name not in unread}
            return Claim(
                statement.format(**values),
                source,
                holds_if.format(**values),
                expected,
                lambda: check(table, **read),
                closed_form,
            )

        make.__name__, make.__doc__ = check.__name__, check.__doc__
        return make

    return decorate


def _fields(text: str) -> set[str]:
    """Return the names in the braces of a format string."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim: a row of claims.json.

    Args:
        statement: as the claim's, like ``source``, ``threshold``, ``expected``, ``closed_form``.
        verdict: "holds", "refuted" or "undecided".
        measured: the measurement, or the reason why there is none.
        as_expected: whether the verdict is the expected one or undecided.
    """

    statement: str
    source: str
    threshold: str
    expected: str
    verdict: str
    measured: str
    closed_form: bool
    as_expected: bool


def decide(claims: Iterable[Claim]) -> list[Verdict]:
    """Check every claim. One that raises ``Undecided`` is undecided; other errors propagate.

    Returns:
        a verdict per claim, in their order.
    Raises:
        TypeError: when a check does not return (bool, words).
    """
    verdicts = []
    for claim in claims:
        try:
            verdict, measured = _check(claim)
        except Undecided as reason:
            verdict, measured = "undecided", str(reason)
        except Exception as error:
            error.add_note(f"while checking the claim {claim.statement!r}")
            raise
        verdicts.append(
            Verdict(
                statement=claim.statement,
                source=claim.source,
                threshold=claim.threshold,
                expected=claim.expected,
                verdict=verdict,
                measured=measured,
                closed_form=claim.closed_form,
                as_expected=verdict in (claim.expected, "undecided"),
            )
        )
    return verdicts


def _check(claim: Claim) -> tuple[str, str]:
    answer = claim.check()
    match answer:
        case (bool() | np.bool_() as holds, str() as measured):
            return ("holds" if holds else "refuted"), measured
    raise TypeError(f"a check returns (bool, the measurement in words), got {answer!r:.80}")


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return one line: how many claims hold, are refuted, undecided and unexpected.

    >>> summary([])
    '0 claims: 0 hold, 0 refuted, 0 undecided; none unexpected'
    """
    verdicts = list(verdicts)
    hold, refuted, undecided = (
        sum(v.verdict == name for v in verdicts) for name in ("holds", "refuted", "undecided")
    )
    unexpected = sum(not v.as_expected for v in verdicts)
    return (
        f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {hold} hold{'s' * (hold == 1)}, "
        f"{refuted} refuted, {undecided} undecided; {unexpected or 'none'} unexpected"
    )


def format_table(verdicts: Iterable[Verdict], width: int | None = None) -> str:
    """Return the verdicts for a terminal, wrapped to its width, with a summary as the last line.

    Args:
        verdicts: as :func:`decide` returns them.
        width: columns; None: the terminal's, at most 100.
    """
    verdicts = list(verdicts)
    columns = _columns(width)
    blocks = []
    for v in verdicts:
        rows = [
            ("", _headline(v)),
            ("holds if", v.threshold),
            ("expected", v.expected + " (closed form)" * v.closed_form),
            ("measured", v.measured),
            ("source", v.source),
        ]
        lines = [
            line
            for label, text in rows
            for line in textwrap.wrap(
                text,
                columns,
                initial_indent=f"    {label:<10}" if label else "",
                subsequent_indent=" " * (14 if label else 4),
            )
        ]
        blocks.append("\n".join(lines))
    return "\n".join([*blocks, summary(verdicts)])


def format_lines(
    verdicts: Iterable[Verdict], width: int | None = None, paint: Paint = terminal.plain
) -> str:
    """Return a line per claim: a mark, the statement and the measurement.

    A measurement that does not fit beside its statement has a line of its own, cut at the width.
    The reason why several claims in a row are undecided stands once, in full, after the last.

    Args:
        verdicts: as :func:`decide` returns them.
        width: columns; None: the terminal's.
        paint: colors.
    """
    verdicts = list(verdicts)
    columns = width or terminal.columns()
    lines = []
    for verdict, following in zip(verdicts, [*verdicts[1:], None], strict=True):
        style = {"holds": "good", "refuted": "bad"}.get(verdict.verdict, "dim")
        mark = paint(MARKS[verdict.verdict], style if verdict.as_expected else "alert")
        surprise = "" if verdict.as_expected else f"UNEXPECTED, {verdict.verdict}: "
        statement = surprise + verdict.statement
        undecided = verdict.verdict == "undecided"
        repeated = undecided and following is not None and following.measured == verdict.measured
        measured = "" if repeated else verdict.measured
        together = f"{statement}: {measured}" if measured else statement
        if terminal.width(together) + 2 <= columns:
            lines.append(f"{mark} {together}")
            continue
        first, *rest = textwrap.wrap(statement, columns - 2)
        lines += [f"{mark} {first}", *(f"  {line}" for line in rest)]
        if undecided and measured:
            reason = textwrap.wrap(measured, columns - 4, break_on_hyphens=False)
            lines += [paint(f"    {line}", "dim") for line in reason]
        elif measured:
            lines.append(paint(f"    {terminal.cut(measured, columns - 4)}", "dim"))
    return "\n".join(lines)


def _headline(v: Verdict) -> str:
    return f"{v.verdict if v.as_expected else f'{v.verdict}, UNEXPECTED'}: {v.statement}"


def _columns(width: int | None) -> int:
    return max(40, width or min(100, terminal.columns()))
