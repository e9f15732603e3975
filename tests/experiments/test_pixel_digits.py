"""pixel_digits: comparisons share members, the figure shows all of them, and claims can turn."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rnnlab.lab import rounds
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from rnnlab.results.table import Table
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "learning" / "pixel_digits.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module
# what each claim stands on: (comparison, the better arm or arms), in order
STANDS_ON = [
    ("reading", MODULE.IRNN, MODULE.SMALL),
    ("permuted", MODULE.IRNN, MODULE.SMALL),
    ("reading", MODULE.IRNN, MODULE.ORTHOGONAL),
    ("sooner", MODULE.IRNN),
    ("sooner", MODULE.SMALL),
    ("weights", MODULE.ORTHOGONAL, MODULE.SMALL),
    ("sooner", MODULE.ORTHOGONAL, MODULE.SMALL),
    ("reading", MODULE.LSTM, MODULE.IRNN),
    ("permuted", MODULE.LSTM, MODULE.IRNN),
    ("orders_IRNN", "in reading order", "permuted"),
    ("orders_LSTM", "in reading order", "permuted"),
    ("gates", MODULE.GRU, MODULE.LSTM),
]


@cache
def made(solved):
    """Return judged members and their comparisons; solved: of the seeds, by IRNN and SMALL."""
    shares = dict(zip((MODULE.IRNN, MODULE.SMALL), solved, strict=True))

    def describe(flat, arm):
        enough = flat["seed"] % 8 < 8 * shares.get(arm, 1)
        return {"accuracy": 0.9, "solved_at": 300.0 if enough else np.inf}

    return judged.compared(LOADED, describe)


def signs(solved=(1, 1), **verdicts):
    """One sign per claim, in order; verdicts: by comparison, on its pairs as claims name them."""
    table, comparisons = made(solved)
    named = {frozenset(stand[1:]): stand[1] for stand in STANDS_ON if len(stand) == 3}

    def verdict(name, a, b):
        wanted = verdicts.get(name, "better")
        turned = {"better": "worse", "worse": "better"}.get(wanted, wanted)
        return wanted if named.get(frozenset((a, b)), a) == a else turned

    return judged.signs(LOADED, table, judged.decided(comparisons, verdict))


@pytest.mark.parametrize("verdict", ["worse", "equivalent", "undecided"])
@pytest.mark.parametrize("name", ["reading", "permuted", "weights", "gates", "sooner"])
def test_claims_can_come_out_the_other_way(name, verdict):
    usual = "++++-++++++-"
    assert signs() == usual
    sign = "?" if verdict == "undecided" else "-"
    expected = [
        sign if stand[0] == name and len(stand) == 3 else mark
        for stand, mark in zip(STANDS_ON, usual, strict=True)
    ]
    if name == "gates" and verdict == "equivalent":
        expected[-1] = "+"
    assert signs(**{name: verdict}) == "".join(expected)


def test_solved_shares_and_orders_decide_their_claims():
    assert signs((0, 0))[3:5] == "-+"
    assert signs((0.5, 0.5))[3:5] == "??"
    assert signs(orders_IRNN="equivalent", orders_LSTM="worse")[9:11] == "--"


def test_statements_name_the_pixels_of_the_images():
    table, comparisons = made((1, 1))
    config = table[0].config
    mnist = config | {"task": config["task"] | {"source": "mnist", "solved_at": 0.5}}
    claims = LOADED.get_claims(Table([replace(table[0], config=mnist)]), comparisons)
    words = " ".join(claim.statement for claim in claims)
    assert "over 784 steps" in words
    assert "50% of the digits after 784 pixels" in words
    assert [claim.expected for claim in claims].count("refuted") == 1  # at the paper's size
    assert any("over 64 steps" in claim.statement for claim in LOADED.get_claims(table))


def test_comparisons_share_their_members():
    """Two arms of five lines in two orders, and three lines that are timed."""
    questions = LOADED.get_comparisons(LOADED.get_config())
    assert len(questions) == 7
    first = rounds.next_round(questions, ())
    assert len(first) == (5 * 2 + 3) * len(MODULE.RATES) * MODULE.TUNING_SEEDS
    timed = [one.overrides for one in first if "training.keep_best" in one.overrides]
    assert len(timed) == 3 * len(MODULE.RATES) * MODULE.TUNING_SEEDS
    assert all(given["training.stop_when_solved"] for given in timed)


def test_the_figure_has_every_judged_seed_beside_what_is_published():
    figures = LOADED.get_figures(*made((1, 1)))
    assert list(figures) == ["accuracy"]
    (ax,) = figures["accuracy"][0].axes
    assert [text.get_text() for text in ax.get_yticklabels()] == list(MODULE.LINES)
    points = [len(line.get_xdata()) for line in ax.lines]
    assert sorted(points) == [1] * 6 + [MODULE.SEEDS[0]] * 10  # three published, in two orders


def test_a_sweep_draws_what_any_experiment_draws(monkeypatch):
    table, _ = made((1, 1))
    monkeypatch.setattr(MODULE.default_figures, "draw", lambda members: {"all": len(members)})
    assert MODULE.figures(table, Comparisons(())) == {"all": len(table)}
