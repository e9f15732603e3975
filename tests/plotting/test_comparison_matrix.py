"""What the matrix of comparisons draws against the verdicts that it is made of."""

import math

from rnnlab.plotting import comparison_matrix
from rnnlab.plotting.comparison_figures import VERDICT_LOOKS
from rnnlab.plotting.comparison_matrix import Column
from rnnlab.results.comparison import Pair
from tests.helpers.comparisons import SCORES, arm, result

TIMES = result(
    [
        arm("plain", (400.0, 500.0, 900.0)),
        arm("fast", (200.0, 300.0), first=2),
        arm("lame", (math.inf, 900.0), first=4),
        arm("most", (200.0, 250.0, math.inf), first=6),
    ],
    [
        Pair("fast", "plain", "better", 0.55, (0.4, 0.7), 2),
        Pair("lame", "plain", "undecided", math.nan, (math.nan, math.nan), 2, "too few seeds"),
        Pair("most", "plain", "better", math.nan, (math.nan, math.nan), 3),
    ],
    reference="plain",
)
LOSSES = result(
    [arm("plain", (0.5, 0.7)), arm("fast", (0.9, 0.8), first=2)],
    [Pair("fast", "plain", "worse", 0.25, (0.1, 0.4), 2)],
    reference="plain",
    **SCORES,
)
ROWS = {"plain": "plain\n(reference)", "fast": "fast", "lame": "lame", "most": "most"}


def columns():
    return [
        Column("group", "times", TIMES, {name: name for name in ROWS}, {"fast": "told ▲"}),
        Column("other", "losses", LOSSES, {"plain": "plain", "fast": "fast"}, {}),
    ]


def test_a_cell_shows_verdict_and_effect_in_its_place_and_color():
    figure, caption = comparison_matrix.draw(columns(), ROWS, lines=(0,))
    (ax,) = figure.axes
    shown = {}
    for text in ax.texts:
        x, y = text.get_position()
        shown.setdefault((x, round(y)), []).append(text.get_text())
    assert shown[0, 0] == ["500 steps"]
    assert shown[0, 1] == ["✓ ×0.55", "told ▲"]
    assert shown[0, 2] == ["? 1 : 2", ""]  # seeds that solve, of the arm and of the reference
    assert shown[0, 3] == ["✓ ×0.5", ""]  # of medians, as one seed never solves
    assert shown[1, 1] == ["✗ +0.25", ""]
    assert (1, 2) not in shown  # not run
    colors = [text.get_color() for text in ax.texts if "×0.55" in text.get_text()]
    assert colors == [VERDICT_LOOKS["better"][0]]
    assert len(ax.patches) == 4
    assert [label.get_text() for label in ax.get_yticklabels()] == list(ROWS.values())
    assert [label.get_text() for label in ax.get_xticklabels()] == ["times", "losses"]
    assert "✓ better, ✗ worse, ≈ equivalent, ? undecided" in caption
    assert "expect a false verdict in at most 0.1 of them" in caption
