"""sides: what a factory may make."""

import pytest

from rnnlab.lab import sides
from rnnlab.lab.sides import Timed


def test_a_factory_makes_one_call_or_several_by_name():
    timed = Timed(lambda: 2)
    assert sides.passes(timed) == {"call": timed}
    made = sides.passes({"forward": timed, "both": lambda: 3})
    assert {name: call.once() for name, call in made.items()} == {"forward": 2, "both": 3}


@pytest.mark.parametrize(
    ("made", "words"), [(3.0, "got 3.0 for 'call'"), ({"a": None}, "for 'a'"), ({}, "no call")]
)
def test_anything_else_is_refused(made, words):
    with pytest.raises(ValueError, match=words):
        sides.passes(made)


def test_at_least_one_call_is_compared():
    with pytest.raises(ValueError, match="compared must be a whole number of at least 1, got 0"):
        Timed(lambda: 1, compared=0)
