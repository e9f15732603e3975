"""The sentences on comparisons, word by word; numbers against NumPy's means and medians."""

import dataclasses
import math

import numpy as np
import pytest

from rnnlab.results import comparison_words as words
from rnnlab.results.comparison import Pair, Point
from tests.helpers.comparisons import KEY, SCORES, arm, grid, result

NAN, INF = math.nan, math.inf
NONE = (NAN, NAN)
SOON = (480.0, 470.0, 505.0, 490.0, 420.0, 500.0, 475.0, 485.0)  # median 482.5
LATE = (1900.0, 2000.0, 1500.0, 1950.0, 2100.0, 1800.0, 1700.0, 1900.0)  # median 1,900
NEVER = (INF, INF, INF, INF, 900.0, INF, INF, INF)


def texts(comparison):
    return [said.text for said in words.sentences(comparison)]


def two(
    a, b, verdict, effect, interval, *, rates=(0.03, 0.01), seeds=8, reason="", needs=None, **more
):
    arms = [arm("A", a, rates[0]), arm("B", b, rates[1], first=len(a))]
    return result(arms, [Pair("A", "B", verdict, effect, interval, seeds, reason, needs)], **more)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (
            two(SOON, LATE, "better", 0.254, (0.189, 0.476)),
            "On adding T=200, A is better than B: solves in 482 steps against 1,900, ratio 3.94 "
            "[98.3% interval 2.1 to 5.29], tuned learning rates 0.03 and 0.01, 8 seeds.",
        ),
        (  # the better arm first
            two(LATE, SOON, "worse", 3.94, (2.1, 5.29), rates=(0.1, 0.1), question=""),
            "B is better than A: solves in 482 steps against 1,900, ratio 3.94 [98.3% interval "
            "2.1 to 5.29], tuned learning rate 0.1 for both, 8 seeds.",
        ),
        (
            two(SOON, NEVER, "better", NAN, NONE),
            "On adding T=200, A is better than B: solves in 482 steps (8 of 8 seeds) against never "
            "(1 of 8), sooner in 8 of 8, tuned learning rates 0.03 and 0.01, 8 seeds.",
        ),
        (  # one value for all is not tuned
            two(SOON, LATE, "better", 0.254, (0.189, 0.476), rates=(0.1, 0.1), tune={KEY: (0.1,)}),
            "On adding T=200, A is better than B: solves in 482 steps against 1,900, ratio 3.94 "
            "[98.3% interval 2.1 to 5.29], learning rate 0.1 for both, 8 seeds.",
        ),
        (
            two(SOON, SOON, "equivalent", 0.98, (0.9, 1.07), rates=(None, None)),
            "On adding T=200, A and B are equivalent: solve in 482 steps against 482, ratio 0.98 "
            "[98.3% interval 0.9 to 1.07], within 25%, 8 seeds.",
        ),
        (
            two(NEVER, (INF,) * 8, "undecided", NAN, NONE, reason="neither solves"),
            "On adding T=200, A and B are undecided after 8 seeds: solve in 1 of 8 seeds "
            "against 0, sooner in 1 of 8, tuned learning rates 0.03 and 0.01; neither solves.",
        ),
        (
            two(LATE, NEVER, "undecided", NAN, NONE, needs=60, question="Who adds?"),
            "Who adds? A and B are undecided after 8 seeds: solve in 1,900 steps (8 of 8 "
            "seeds) against never (1 of 8), sooner in 7 of 8, later in 1, tuned learning rates "
            "0.03 and 0.01; about 60 seeds would probably decide.",
        ),
        (
            two((0.41, 0.43), (0.5, 0.52), "better", -0.09, (-0.13, -0.05), seeds=2, **SCORES),
            "On adding T=200, A is better than B: test loss 0.42 against 0.51, lower by 0.09 "
            "[98.3% interval 0.05 to 0.13], tuned learning rates 0.03 and 0.01, 2 seeds.",
        ),
        (
            two(
                (0.41, 0.43), (0.42, 0.43), "equivalent", -0.005, (-0.012, 0.003), seeds=2, **SCORES
            ),
            "On adding T=200, A and B are equivalent: test loss 0.42 against 0.425, difference "
            "-0.005 [98.3% interval -0.012 to 0.003], within ±0.02, tuned learning rates 0.03 and "
            "0.01, 2 seeds.",
        ),
        (
            two(
                *((0.9, 0.92), (0.8, 0.7), "better", 0.16, (0.1, 0.22)),
                seeds=2,
                **SCORES | {"score": "accuracy", "better": "higher"},
            ),
            "On adding T=200, A is better than B: test accuracy 0.91 against 0.75, higher by 0.16 "
            "[98.3% interval 0.1 to 0.22], tuned learning rates 0.03 and 0.01, 2 seeds.",
        ),
        (  # NaN is worst, whichever side is better
            two(
                *((0.9, 0.92, 0.8), (0.8, NAN, 0.7), "better", NAN, NONE),
                seeds=3,
                **SCORES | {"score": "accuracy", "better": "higher"},
            ),
            "On adding T=200, A is better than B: median test accuracy 0.9 against 0.7, 1 of 3 "
            "seeds of B diverged, higher in 3 of 3, tuned learning rates 0.03 and 0.01, 3 seeds.",
        ),
        (
            two(
                *((1.0, 4.0), (4.0, 9.0), "better", 1 / 3, (0.25, 0.5)),
                seeds=2,
                **SCORES | {"score": "rmse", "relative": True, "equivalent": 0.05},
            ),
            "On adding T=200, A is better than B: test rmse 2 against 6 data units, ratio 3 "
            "[98.3% interval 2 to 4], tuned learning rates 0.03 and 0.01, 2 seeds.",
        ),
    ],
)
def test_a_verdict_in_a_sentence(comparison, expected):
    assert texts(comparison) == [expected]


def test_the_numbers_are_those_of_the_seeds_that_the_verdict_rests_on():
    """An arm is judged on more seeds for another pair; the first ones decided this one."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(100, 999, 16), rng.uniform(1000, 2000, 12)
    pair = Pair("a", "b", "better", 0.3, (0.2, 0.4), 8)
    said = texts(result([arm("a", a.tolist()), arm("b", b.tolist())], [pair]))[0]
    assert f"in {np.median(a[:8]):.3g} steps" in said
    assert f"against {float(f'{np.median(b[:8]):.3g}'):,.0f}," in said
    scored = texts(result([arm("a", a.tolist()), arm("b", b.tolist())], [pair], **SCORES))[0]
    assert f"test loss {a[:8].mean():.3g} against" in scored


def test_edges_of_the_grid_are_named():
    comparison = two(SOON, LATE, "better", 0.25, (0.2, 0.5))
    edged = [arm("A", SOON, 0.1, at_edge=True), arm("B", LATE, 0.001, at_edge=True)]
    assert texts(result(edged, comparison.pairs))[1:] == [
        "Chosen at the edge of the grid, so perhaps not the best: learning rate 0.1 of A; learning "
        "rate 0.001 of B."
    ]


def test_an_arm_that_never_solved_while_it_was_tuned_is_named():
    """Its loss chose its rate; that of an arm which solves once is chosen by its times."""
    solved = grid({0.003: (INF, INF), 0.01: (INF, 900.0), 0.03: (INF, INF)})
    never = grid({0.003: (INF, INF), 0.01: (INF, INF), 0.03: (INF, INF)})
    arms = [
        arm("A", SOON, 0.01, grid=solved, validation=900.0),
        arm("B", LATE, 0.003, grid=never, validation=INF),
    ]
    pairs = two(SOON, LATE, "better", 0.25, (0.2, 0.5)).pairs
    note = "Chosen by the loss, for no tuning seed solved: learning rate 0.003 of B."
    assert texts(result(arms, pairs))[1:] == [note]
    assert len(texts(result(arms, pairs, **SCORES))) == 1  # a score: all diverged


def many(times, verdict, **more):
    """Arms of constant times, every pair with verdict(i, j)."""
    names = "abcdefgh"[: len(times)]
    arms = [
        arm(n, [t] * 4, 0.01, first=4 * i)
        for i, (n, t) in enumerate(zip(names, times, strict=True))
    ]
    pairs = [
        Pair(names[i], names[j], verdict(i, j), times[i] / times[j], (0.5, 0.75), 4)
        for i in range(len(times))
        for j in range(i + 1, len(times))
        if more.get("reference") in (None, names[i])
    ]
    return result(arms, pairs, **more)


def test_of_many_arms_the_winner_stands_first():
    comparison = many([100.0 * (i + 1) for i in range(8)], lambda i, j: "better")
    assert texts(comparison) == [
        "On adding T=200, a is better than each of the 7 others: solves in 100 steps against 200, "
        "ratio 2 [98.3% interval 1.33 to 2], tuned learning rate 0.01 for both, 4 seeds (b, the "
        "next).",
        "Beaten: b (200 steps) by a; c (300 steps) by a and b; d (400 steps) by a, b and c; e "
        "(500 steps) by 4 others; f (600 steps) by 5 others; g (700 steps) by 6 others; h (800 "
        "steps) by 7 others.",
    ]


def test_the_next_best_is_no_arm_that_diverged():
    arms = [
        arm(n, [t] * 2, first=2 * i)
        for i, (n, t) in enumerate(zip("abcd", (9.0, 7.0, NAN, 8.0), strict=True))
    ]
    pairs = [
        Pair(x, y, v, 1.0, (0.5, 1.5), 2)
        for x, y, v in zip("aaabbc", "bcdcdd", ["better"] * 4 + ["worse"] * 2, strict=True)
    ]
    told = texts(result(arms, pairs, **SCORES | {"better": "higher", "tune": {}}))
    assert told[0] == (
        "On adding T=200, a is better than each of the 3 others: test loss 9 against 8, higher by "
        "1 [98.3% interval 0.5 to 1.5], 2 seeds (d, the next)."
    )
    assert told[1].startswith("Beaten: b (7) by a and d; c (diverged) by a, b and d; d (8) by a.")
    assert told[-1] == "Diverged, which counts as worst: 2 of 2 seeds of c."


def test_groups_say_how_many_seeds_would_decide():
    def verdict(i, j):
        return "undecided" if (i, j) in ((0, 1), (2, 3), (2, 4)) else "better"

    comparison = many([100.0, 110.0, 300.0, 400.0, 500.0], verdict)
    needs = {("a", "b"): 64, ("c", "d"): 1200, ("c", "e"): 50}
    pairs = tuple(
        dataclasses.replace(pair, needs=needs.get((pair.a, pair.b))) for pair in comparison.pairs
    )
    told = texts(dataclasses.replace(comparison, pairs=pairs))
    assert told[0].endswith(
        "better than 3 of the 4 others; undecided against b (about 64 seeds would probably decide)."
    )
    assert told[3] == (
        "Also undecided: c and d; c and e (about 50 to 1,200 seeds would probably decide)."
    )


def test_of_several_unbeaten_arms_each_has_a_sentence():
    def verdict(i, j):
        if (i, j) == (0, 1):
            return "equivalent"
        return "better" if i < 2 else ("undecided" if j == 3 else "equivalent")

    told = words.sentences(many([100.0, 110.0, 300.0, 400.0, 500.0], verdict))
    assert [(said.mark, said.text) for said in told] == [
        (
            "✓",
            "On adding T=200, no arm beats a (100 steps, tuned learning rate 0.01, 4 seeds): "
            "better than 3 of the 4 others; equivalent to b.",
        ),
        (
            "✓",
            "On adding T=200, no arm beats b (110 steps, tuned learning rate 0.01, 4 seeds): "
            "better than 3 of the 4 others; equivalent to a.",
        ),
        (
            "✗",
            "Beaten: c (300 steps) by a and b; d (400 steps) by a and b; e (500 steps) by a and b.",
        ),
        ("≈", "Also equivalent: c and e; d and e."),
        ("?", "Also undecided: c and d."),
    ]


def test_pairs_beyond_those_named_are_counted():
    comparison = many([100.0] * 8, lambda i, j: "undecided" if i or j > 1 else "equivalent")
    assert texts(comparison) == [
        "On adding T=200, no arm beats any of these 8: "
        + ", ".join(f"{name} (100 steps)" for name in "abcdefgh")
        + ".",
        "Equivalent: a and b.",
        "Undecided: a and c; a and d; a and e; a and f; a and g; a and h; and 21 more pairs, in "
        "the table of the report.",
    ]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("equivalent", "all 4 arms are equivalent, within 25%"),
        ("undecided", "the 4 arms are undecided after 4 seeds"),
    ],
)
def test_of_one_verdict_for_all_pairs_there_is_one_sentence(verdict, expected):
    told = texts(many([100.0, 110.0, 120.0, INF], lambda i, j: verdict))
    assert told[0] == (
        f"On adding T=200, {expected}: a (100 steps), b (110 steps), c (120 steps), d (never)."
    )
    assert len(told) == 2
    assert told[-1] == "Never solved, which counts as worst: 4 of 4 seeds of d."


def test_arms_beside_a_reference_are_grouped_by_verdict():
    def verdict(i, j):
        return {1: "better", 2: "better", 3: "equivalent"}.get(j, "undecided")

    told = words.sentences(many([100.0, 110.0, 300.0, 400.0, 500.0], verdict, reference="a"))
    assert [said.verdict for said in told] == ["equivalent", "worse", "undecided"]
    assert [said.text for said in told] == [
        "On adding T=200, equivalent to a (100 steps), within 25%: d (400 steps, ratio 4 [1.33 to "
        "2]).",
        "Worse than a (100 steps): b (110 steps, ratio 1.1 [1.33 to 2]); c (300 steps, ratio 3 "
        "[1.33 to 2]).",
        "Undecided against a (100 steps): e (500 steps, ratio 5 [1.33 to 2]).",
    ]


def test_a_value_that_arithmetic_made_reads_as_one_that_people_type():
    chosen = arm("A", SOON, tuned={KEY: 0.01 * 3, "training.optimizer": "adam"})
    assert words.tuned_words(chosen) == "learning rate 0.03, optimizer adam"
    assert Point({KEY: 0.1 * 3}, (), 0.0).values[KEY] != 0.3


@pytest.mark.parametrize(("count", "most"), [(2, "0.1"), (12, "0.6"), (60, "3")])
def test_false_verdicts_to_expect_on_a_page_of_many(count, most):
    assert words.expected_false([result((), ())] * count) == (
        f"Each of these {count} comparisons errs with at most 5%: expect a false verdict in at "
        f"most {most} of them."
    )
    assert words.expected_false([result((), ())]) == ""


def test_lines_for_a_terminal():
    shown = two(SOON, LATE, "better", 0.254, (0.189, 0.476))
    same = two(SOON, SOON, "equivalent", 1.0, (0.9, 1.1), question="On copying")
    painted = words.format_comparisons([shown, same], 60, lambda text, style: f"<{style}:{text}>")
    lines = painted.splitlines()
    assert lines[0] == "<good:✓> <:On adding T=200, A is better than B: solves in 482 steps>"
    assert lines[1].startswith("  <:against 1,900, ratio 3.94")
    assert any(line.startswith("<bold:≈> <:On copying, A and B are equivalent") for line in lines)
    assert " ".join(line.removeprefix("<dim:").removesuffix(">") for line in lines[-2:]) == (
        words.expected_false([shown, same])
    )
    plain = words.format_comparisons([shown, same], 60)
    assert max(map(len, plain.splitlines())) <= 60
    assert plain.replace("\n  ", " ").startswith(f"✓ {texts(shown)[0]}\n≈ ")


def test_counts_of_pairs():
    comparison = many([100.0 * (i + 1) for i in range(3)], lambda i, j: ("better", "equivalent")[i])
    assert words.counts([comparison, two(SOON, LATE, "undecided", NAN, NONE)]) == (
        "2 comparisons: 2 pairs better or worse, 1 equivalent, 1 undecided"
    )
