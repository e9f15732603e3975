"""Checks at the boundary: what is a number, what is within bounds, and what the message says."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.core import validate


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.array(3), jnp.int32(3)], ids=repr
)
def test_whole_numbers_are_ints(value):
    found = validate.whole("steps", value)
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize(
    "value", [True, np.True_, 3.0, np.float32(3), "3", None, [3], np.array([3, 4])], ids=repr
)
def test_other_values_are_not_whole_numbers(value):
    with pytest.raises(ValueError, match=r"^steps must be a whole number of at least 1, got "):
        validate.whole("steps", value)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((1, None), "a whole number of at least 1, got 0"),
        ((None, -1), "a whole number of at most -1, got 0"),
        ((1, 5), "a whole number from 1 to 5, got 0"),
    ],
)
def test_whole_numbers_have_bounds(bounds, words):
    with pytest.raises(ValueError, match=words):
        validate.whole("k", 0, *bounds)
    assert validate.whole("k", 0, least=None) == 0
    assert validate.whole("k", 1, 1, 1) == 1


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), jnp.float32(0.5), np.int8(1)], ids=repr)
def test_numbers_are_floats(value):
    found = validate.number("learning_rate", value, above=0, most=1)
    assert found == float(value)
    assert type(found) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", None, True, 1j], ids=repr)
def test_other_values_are_not_finite_numbers(value):
    with pytest.raises(ValueError, match=r"^a must be a finite number, got "):
        validate.number("a", value)
    if value == math.inf:
        assert validate.number("a", value, finite=False) == math.inf


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        ({"least": 1}, 1, 0.99, "at least 1"),
        ({"above": 1}, 1.01, 1, "above 1"),
        ({"most": 1}, 1, 1.01, "at most 1"),
        ({"below": 1}, 0.99, 1, "below 1"),
        ({"above": 0, "most": 2}, 2, 0, "above 0 and at most 2"),
    ],
)
def test_numbers_have_bounds(bounds, inside, outside, words):
    assert validate.number("a", inside, **bounds) == inside
    with pytest.raises(ValueError, match=rf"^a must be a finite number {words}, got {outside}$"):
        validate.number("a", outside, **bounds)


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan, "0", True], ids=repr)
def test_rates(value):
    assert validate.rate("dropout", np.float32(0)) == 0
    with pytest.raises(ValueError, match=r"^dropout must lie in \[0, 1\), got "):
        validate.rate("dropout", value)
    if value == 1 and value is not True:
        assert validate.share("s", value) == 1
    else:
        with pytest.raises(ValueError, match=r"^s must lie in \[0, 1\], got "):
            validate.share("s", value)


@pytest.mark.parametrize("value", [0, 1, "True", None], ids=repr)
def test_flags(value):
    assert validate.flag("peephole", np.True_) is True
    with pytest.raises(ValueError, match=r"^peephole must be True or False, got "):
        validate.flag("peephole", value)


def test_choices():
    assert validate.choice("merge", "sum", ("concat", "sum")) == "sum"
    with pytest.raises(ValueError, match=r"merge 'summ'.*'sum'"):
        validate.choice("merge", "summ", ("concat", "sum"))


def test_shapes():
    assert validate.shape("xs", [[1, 2, 3]], ("B", 3)) == (1, 3)
    for value in (np.zeros(3), np.zeros((2, 4)), np.zeros((1, 2, 3))):
        with pytest.raises(ValueError, match=r"^xs must have shape \(B, 3\), got \("):
            validate.shape("xs", value, ("B", 3))
    with pytest.raises(ValueError, match=r"\(3,\), got \(4,\)"):
        validate.shape("b", np.zeros(4), (3,))
    # traced arrays have shapes too
    jax.eval_shape(lambda a: validate.shape("a", a, ("B", 2)) and a, jnp.zeros((5, 2)))
