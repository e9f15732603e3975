"""Every number of a config has a range, which is checked before anything runs."""

import math

import pytest

from rnnlab.core import validate
from rnnlab.lab import catalog, load, ranges, sweep


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("seed", (0, 2**32 - 1), (-1, 2**32, 2**64)),
        ("training.steps", (1, 2**31 - 1), (0, -1, 2**31)),
        ("cell.dropout", (0.0, 0.999), (1.0, -0.1, math.nan, math.inf)),
        ("training.clip_norm", (1e-9, math.inf), (0.0, -1.0, math.nan, -math.inf)),
        ("training.learning_rate", (0.0, 3e38), (-1e-9, 1e300, math.inf, math.nan)),
        ("task.test_share", (0.1,), (0.0, 1.0, math.nan)),
        ("run.lengths", ((1, 5),), ((5, 0), (-1,))),
    ],
)
def test_the_table_s_bounds_are_kept(key, inside, outside):
    for value in inside:
        ranges.check_numbers({key: value}, {})
    for value in outside:
        with pytest.raises(ValueError, match=f"^{key} must be a (whole )?number in "):
            ranges.check_numbers({key: value}, {})


def test_a_user_s_own_number_is_finite_where_its_default_is():
    ranges.check_numbers({"mine.a": -3.5, "mine.b": math.inf}, {"mine.a": 1.0, "mine.b": math.nan})
    for value in (math.inf, math.nan, (1.0, -math.inf)):
        with pytest.raises(ValueError, match=r"^mine\.a must be a finite number, got "):
            ranges.check_numbers({"mine.a": value}, {"mine.a": 1.0})


def test_words_and_flags_are_no_numbers():
    ranges.check_numbers({"seed": True, "training.steps": "many", "run.rates": None}, {})


def test_every_number_of_a_shipped_experiment_is_in_the_table():
    numbers = set()
    for found in catalog.find_shipped():
        config = load.load_experiment(found.name).get_config()
        for key, value in sweep.flat_config(config).items():
            items = value if isinstance(value, tuple) else (value,)
            if any(validate.real(item) for item in items):
                numbers.add(key)
    assert numbers - set(ranges.RANGES) == set()
