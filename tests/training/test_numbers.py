"""Traced numbers: arithmetic as of constants, comparisons by stand-ins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.training import numbers
from rnnlab.training.numbers import Number

VALUES = (0.999, 0.1, 1e-8, 3.0, -0.25)


def number(pair, compared=None):
    return Number(pair, "x", 0.5, compared)


def arithmetic(x, a):
    return jnp.stack(
        [x + a, a + x, x - a, a - x, x * a, a * x, x / a, a / x, x**2, a**x, -x, 1 - x, 1.0 - x]
    )


@pytest.mark.parametrize("x", VALUES)
def test_arithmetic_has_the_bits_of_a_constant(x):
    a = jnp.float32(1.7)
    traced = jax.jit(lambda pair: arithmetic(number(pair), a))(numbers.pair(x))
    constant = jax.jit(lambda a: arithmetic(x, a))(a)
    np.testing.assert_allclose(traced, constant, rtol=3e-7)
    assert (traced[-2:] == np.float32(1 - x)).all()  # rounded once
    passed = jax.jit(lambda n, a: n * a)(number(numbers.pair(x)), a)  # through a jitted function
    assert passed == np.float32(x) * np.float32(1.7)


def test_comparisons_are_of_the_stand_in_and_noted():
    noted = set()
    x = number(numbers.pair(0.9), noted)
    assert [x > 0, x < 1, x == 0, x != 1, x >= 0, x <= 0, bool(x)] == [True] * 2 + [False] + [
        True,
        True,
        False,
        True,
    ]
    assert noted == {"x"}
    with pytest.raises(TypeError, match=r"x is compared with 0\.3: it must be static"):
        x > 0.3  # noqa: B015
    with pytest.raises(TypeError, match="compared in an update"):
        number(numbers.pair(0.9)) > 0  # noqa: B015


def test_numbers_of_nested_options():
    options = {"a": (0.1, 2), "b": {5: 0.3}, "c": "x", "d": None, "e": True}
    assert numbers.numbers(options) == {"a.0": 0.1, "b.5": 0.3}
    assert numbers.replaced(options, lambda path, x: path) == options | {
        "a": ("a.0", 2),
        "b": {5: "b.5"},
    }
