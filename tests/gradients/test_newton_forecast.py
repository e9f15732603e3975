"""Newton's predicted iterations: the recursion by hand, its limits, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import RNN, InitScheme, gradients
from rnnlab.gradients.newton_forecast import iterations_for_exponent


def counted_by_hand(exponent, steps, tolerance=2.4e-5, error=0.5, curvature=4 / 9):
    v, k = [error**2] * steps, 1
    while max(v) > tolerance**2:
        new, before = [], 0.0
        for t in range(steps):
            missed = curvature * (v[t - 1] if t else 0.0) ** 2
            before = min(np.exp(2 * exponent) * before + missed, error**2)
            new.append(before)
        v, k = new, k + 1
    return k


@pytest.mark.parametrize("exponent", [-2.0, -0.3, -0.04, 0.0, 0.1])
@pytest.mark.parametrize(
    "options", [{}, {"tolerance": 3.7e-11}, {"error": 0.3, "curvature": 0.8}], ids=str
)
def test_the_prediction_is_its_recursion(exponent, options):
    assert iterations_for_exponent(exponent, 60, **options) == counted_by_hand(
        exponent, 60, **options
    )


def test_limits_of_the_prediction():
    assert iterations_for_exponent(-3.0, 10) == iterations_for_exponent(-3.0, 10_000)
    assert iterations_for_exponent(50.0, 1) == 2
    counts = [iterations_for_exponent(x, 100) for x in (-1.0, -0.1, 0.0, 0.3, 2.0, 50.0)]
    assert counts == sorted(counts)
    assert counts[-1] <= 101
    # in the basin each correction squares: 2^k of what is left in decades
    counts = [iterations_for_exponent(-1.0, 100, tolerance=t) for t in (1e-4, 1e-8, 1e-16)]
    assert np.diff(counts).tolist() == [1, 1]


def test_the_prediction_of_a_cell_is_that_of_its_exponent():
    cell = RNN(4, "identity", init=InitScheme(w_h="orthogonal(gain=0.7)"))
    params = cell.init_params(jax.random.key(0), 1)
    xs = jnp.zeros((2, 30, 1))
    got = gradients.newton_iterations(cell, params, xs, 500)
    assert got.tolist() == [iterations_for_exponent(np.log(0.7), 500)] * 2
    one = gradients.newton_iterations(cell, params, xs[0], tolerance=1e-2)
    assert one.shape == ()
    assert one == iterations_for_exponent(np.log(0.7), 30, tolerance=1e-2)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        ((0.1, 0), {}, "steps must be a whole number of at least 1, got 0"),
        ((float("nan"), 3), {}, "exponent must be a finite number, got nan"),
        ((0.1, 3), {"tolerance": 0.0}, "tolerance must be a finite number above 0, got 0.0"),
    ],
)
def test_bad_predictions_are_refused(args, options, words):
    with pytest.raises(ValueError, match=words):
        iterations_for_exponent(*args, **options)
