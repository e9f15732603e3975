"""Products over any number of decades, against NumPy's SVD and against exact cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.gradients.log_svd import LogProduct


def _product(matrices, start=None):
    product = LogProduct(np.eye(matrices[0].shape[1]) if start is None else start)
    for A in matrices:
        product = product.then(A)
    return product.log10_singular_values()


@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))
def test_short_products_equal_numpy(n, k, seed):
    rng = np.random.default_rng(seed)
    matrices = [rng.normal(size=(n, n)) for _ in range(k)]
    plain = np.eye(n)
    for A in matrices:
        plain = A @ plain
    values = np.linalg.svd(plain, compute_uv=False)
    seen = values > 1e-11 * values[0]
    np.testing.assert_allclose(_product(matrices)[seen], np.log10(values[seen]), atol=5e-3)


def test_rectangles():
    rng = np.random.default_rng(0)
    A, B, C = rng.normal(size=(7, 3)), rng.normal(size=(5, 7)), rng.normal(size=(2, 5))
    for matrices, plain in (([B], B @ A), ([B, C], C @ B @ A)):
        values = np.linalg.svd(plain, compute_uv=False)
        got = _product(matrices, A)
        np.testing.assert_allclose(got[: values.size], np.log10(values), atol=1e-3)
        assert (got[values.size :] < -10).all()


@pytest.mark.parametrize("steps", [10, 2000])
def test_exact_far_beyond_float64(steps):
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    scales = np.array([3.0, 1.0, 0.5, 1e-1, 1e-2, 1e-3])
    similar = Q @ np.diag(scales) @ Q.T  # symmetric: its powers have the powers' singular values
    got = _product([similar] * steps)
    np.testing.assert_allclose(got, steps * np.log10(scales), rtol=1e-9, atol=1e-6)


def test_zeros_are_minus_infinity():
    dead = np.diag([2.0, 0.0, 1.0])
    got = _product([dead, np.eye(3) * 0.5])
    np.testing.assert_allclose(got[:2], [0.0, np.log10(0.5)], atol=1e-9)
    assert np.isneginf(got[2])
    assert np.isneginf(_product([np.zeros((3, 3))])).all()
