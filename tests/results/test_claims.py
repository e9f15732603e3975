"""Claims, their verdicts and the table of them."""

import numpy as np
import pytest

from rnnlab.core.errors import Undecided
from rnnlab.results import claims
from rnnlab.results.claims import Claim, Verdict, decide, format_table, summary
from rnnlab.results.table import Table


def claim(answer=(True, "0.5"), expected="holds", **more) -> Claim:
    def check():
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Claim("norms stay", "notes 16", "ratio above 0.1", expected, check, **more)


@pytest.mark.parametrize(
    "change",
    [
        {"statement": ""},
        {"source": " "},
        {"threshold": None},
        {"expected": "hold"},
        {"check": "holds"},
        {"expected": "refuted", "closed_form": True},
    ],
)
def test_a_claim_says_everything_beforehand(change):
    parts = {
        "statement": "s",
        "source": "s",
        "threshold": "t",
        "expected": "holds",
        "check": lambda: (True, ""),
    }
    Claim(**parts)
    with pytest.raises(ValueError, match=r"claim|needs a"):
        Claim(**(parts | change))


@pytest.mark.parametrize(
    ("answer", "expected", "verdict", "as_expected"),
    [
        ((True, "m"), "holds", "holds", True),
        ((True, "m"), "refuted", "holds", False),
        ((False, "m"), "refuted", "refuted", True),
        ((np.bool_(False), "m"), "holds", "refuted", False),
        ((np.bool_(True), "m"), "holds", "holds", True),
        (Undecided("m"), "holds", "undecided", True),
        (Undecided("m"), "refuted", "undecided", True),
    ],
)
def test_decide(answer, expected, verdict, as_expected):
    (decided,) = decide([claim(answer, expected)])
    assert decided == Verdict(
        "norms stay", "notes 16", "ratio above 0.1", expected, verdict, "m", False, as_expected
    )


def test_a_claim_on_members_that_were_not_run_is_undecided():
    check = Claim("s", "s", "t", "holds", lambda: (Table([]).stack("norm").min() > 0, ""))
    assert decide([check])[0].verdict == "undecided"


@pytest.mark.parametrize("answer", [True, (1, "m"), (True, 0.5), (True,), None])
def test_a_check_must_return_a_verdict_in_words(answer):
    with pytest.raises(TypeError, match="a check returns") as info:
        decide([claim(answer)])
    assert "norms stay" in info.value.__notes__[0]


def test_other_errors_propagate():
    with pytest.raises(ZeroDivisionError):
        decide([claim(ZeroDivisionError())])


def test_the_summary_counts():
    answers = [(True, "")] * 10 + [(False, "")] * 2
    expected = ["holds"] * 10 + ["refuted"] * 2
    twelve = decide(claim(a, e) for a, e in zip(answers, expected, strict=True))
    assert summary(twelve) == "12 claims: 10 hold, 2 refuted, 0 undecided; none unexpected"
    one = decide([claim(expected="refuted")])
    assert summary(one) == "1 claim: 1 holds, 0 refuted, 0 undecided; 1 unexpected"


def test_the_table_wraps_and_shows_what_is_unexpected():
    long = "an adjoint of more than a hundred steps " * 5
    verdicts = decide([claim((False, long), closed_form=True), claim((True, "0.75"))])
    text = format_table(verdicts, width=60)
    assert max(map(len, text.splitlines())) <= 60
    first, second = text.split("holds: norms stay")
    assert "refuted, UNEXPECTED: norms stay" in first
    assert "expected  holds (closed form)" in first
    assert "holds if  ratio above 0.1" in first
    assert " ".join(first.split()).count("an adjoint of more than a hundred steps") == 5
    assert "UNEXPECTED" not in second
    assert "measured  0.75" in second
    assert "source    notes 16" in second
    assert text.endswith("\n2 claims: 1 holds, 1 refuted, 0 undecided; 1 unexpected")
    assert format_table([]) == "0 claims: 0 hold, 0 refuted, 0 undecided; none unexpected"


def test_the_words_of_a_threshold_are_made_from_its_number():
    @claims.claim(
        "Above the line at T = {T}",
        source="nobody",
        holds_if="more than {least:.1f} at T = {T}",
        expected="holds",
        least=0.25,
    )
    def above(table, T, least):
        return table[T] > least, f"{table[T]}"

    made = [above({5: 0.3, 9: 0.2}, T=T) for T in (5, 9)]
    assert [one.statement for one in made] == ["Above the line at T = 5", "Above the line at T = 9"]
    assert made[0].threshold == "more than 0.2 at T = 5"
    assert [one.check() for one in made] == [(True, "0.3"), (False, "0.2")]
    assert above.__name__ == "above"


def test_a_threshold_that_is_not_shown_is_refused():
    with pytest.raises(ValueError, match="does not show the threshold 'least'"):
        claims.claim("A", source="B", holds_if="more", expected="holds", least=1)


def test_a_line_per_claim_with_its_mark_and_measurement():
    verdicts = decide([claim(), claim((False, "0.25")), claim((False, "m"), "refuted")])
    assert claims.format_lines(verdicts, 80).splitlines() == [
        "✓ norms stay: 0.5",
        "✗ UNEXPECTED, refuted: norms stay: 0.25",
        "✗ norms stay: m",
    ]
    narrow = claims.format_lines(decide([claim((True, "a long measurement " * 9))]), 60)
    first, second = narrow.splitlines()
    assert first == "✓ norms stay"
    assert second.strip().startswith("a long measurement a long")
    assert second.endswith("…")
    assert len(second) <= 60


def test_one_reason_for_several_undecided_claims_stands_once_and_in_full():
    reason = "members differ in init.w_h (orthogonal, he_normal), which is not named here"
    verdicts = decide([claim(Undecided(reason))] * 3 + [claim(Undecided("no members"))])
    lines = claims.format_lines(verdicts, 50).splitlines()
    assert [line for line in lines if line[0] == "?"] == ["? norms stay"] * 3 + [
        "? norms stay: no members"
    ]
    assert " ".join(" ".join(lines[3:-1]).split()) == reason
