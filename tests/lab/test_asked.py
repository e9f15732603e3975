"""The flags that ask for comparisons: arms of Python, changes of the file's own, and none."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlab.lab.asked import comparison_flags
from rnnlab.lab.comparison import RATE, Comparison

OWN = [
    Comparison({"A": {"arm": "good"}, "B": {"arm": "poor"}}, name="first", question="On one"),
    Comparison({"A": {"arm": "good"}, "C": {"arm": "wide"}}, name="second", reference="A"),
]
CONFIG = {"arm": "good", "size": 1, RATE: 0.1}


def flags(asked, own=(), tune=None, **alone):
    """The flags of comparisons whose arms are all of ``arm`` and have some values in common."""
    arms = {name: {"arm": name} | alone for name in ("good", "poor")}
    questions = [SimpleNamespace(arms=arms, tune=tune or {}) for _ in asked]
    return comparison_flags(own, asked, questions, CONFIG)


@pytest.mark.parametrize(
    ("asked", "alone", "found"),
    [
        ({}, {}, {}),
        ({"tune": {"size": [3]}}, {"size": 3}, {"tune": {"size": [3]}}),
        ({"tune": {}}, {}, {"tune": {RATE: [0.1]}}),  # nothing is tuned: the config's rate
        ({"seeds": (4,), "relative": False}, {}, {"seeds": (4,), "relative": False}),
    ],
)
def test_values_by_key_are_flags(asked, alone, found):
    for arms in ({"arm": ["good", "poor"]}, {"arm": np.array(["good", "poor"])}, "arm"):
        one = Comparison(arms, **asked)
        assert flags([one], OWN, **alone) == {"compare": {"arm": ["good", "poor"]}} | found


def test_tuned_values_are_those_of_the_question_in_its_order():
    one = Comparison({"arm": ["good", "poor"]}, tune={RATE: (0.1, 0.01), "size": (3,)})
    found = flags([one], tune={RATE: (0.01, 0.1)}, size=3)
    assert found["tune"] == {RATE: [0.01, 0.1], "size": [3]}


def test_changes_of_the_files_own_are_flags_where_one_value_is_set_in_all():
    assert flags(OWN, OWN) == {}
    fewer = [dataclasses.replace(one, seeds=(4,), reference="A") for one in OWN]
    assert flags(fewer, OWN) == {"seeds": (4,), "reference": "A"}
    tuned = [dataclasses.replace(one, tune={"size": [3]}) for one in OWN]
    assert flags(tuned, OWN, size=3) == {"tune": {"size": [3]}}


@pytest.mark.parametrize(
    "asked",
    [
        OWN[:1],  # one of two
        [dataclasses.replace(OWN[0], seeds=(4,)), OWN[1]],  # in one alone
        [dataclasses.replace(one, reference=None) for one in OWN],  # taken away
        [Comparison({"A": {"arm": "good"}, "B": {"arm": "poor"}})],  # arms by name
        [Comparison({"arm": ["good", "poor"]}, fixed={"size": 3})],
        [Comparison({"arm": ["good", "poor"]}, question="On two")],
    ],
)
def test_what_no_flags_ask_for(asked):
    assert flags(asked, OWN) is None
