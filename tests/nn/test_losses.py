"""Losses against loops over examples, steps and outputs, in NumPy and float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.nn import losses
from tests.helpers.oracles import relative_error

B, T, OUT = 4, 5, 3
EXACT = 1e-12  # float64
NAMES = ("cross_entropy", "mse")

each_loss = pytest.mark.parametrize("name", NAMES)
each_shape = pytest.mark.parametrize("shape", [(B,), (B, T)], ids=["(B,)", "(B, T)"])
both_reductions = pytest.mark.parametrize("reduction", losses.REDUCTIONS)


def draw(name, shape, seed=3):
    """(outputs (..., O), targets, mask (...)): an example where nothing counts among them."""
    rng = np.random.default_rng(seed)
    outputs = 2 * rng.standard_normal((*shape, OUT))
    if name == "mse":
        targets = rng.standard_normal((*shape, OUT))
    else:
        targets = rng.integers(0, OUT, shape)
    mask = rng.random(shape) < 0.6
    mask[0], mask[1] = True, False
    return jnp.asarray(outputs), jnp.asarray(targets), jnp.asarray(mask)


def one(name, outputs, target):
    """(the loss of one target, its derivative by the outputs)."""
    if name == "mse":
        error = outputs - target
        return sum(e * e for e in error) / OUT, 2 * error / OUT
    powers = np.exp(outputs)
    p = powers / sum(powers)
    return -np.log(p[target]), p - np.eye(OUT)[target]


def by_hand(name, reduction, outputs, targets, mask=None):
    outputs, targets = np.asarray(outputs), np.asarray(targets)
    total, count, gradient = 0.0, 0, np.zeros_like(outputs)
    for place in np.ndindex(outputs.shape[:-1]):
        if mask is None or mask[place]:
            value, slope = one(name, outputs[place], targets[place])
            total, count = total + value, count + 1
            gradient[place] = slope
    by = B if reduction == "sum_over_time" else count
    return total / by, gradient / by


@both_reductions
@each_shape
@each_loss
@pytest.mark.parametrize("masked", [False, True])
def test_values_and_gradients(name, shape, reduction, masked, x64):
    outputs, targets, mask = draw(name, shape)
    mask = mask if masked else None

    def loss(outputs):
        return losses.by_name(name)(outputs, targets, mask, reduction)

    expected, gradient = by_hand(name, reduction, outputs, targets, mask)
    value, grad = jax.jit(jax.value_and_grad(loss))(outputs)
    assert relative_error(value, expected) < EXACT
    assert relative_error(grad, gradient) < EXACT


@both_reductions
@each_loss
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_masked_targets_have_no_effect(name, reduction, poison, x64):
    """Out of the value and of the gradient: a NaN times zero would still be one."""
    outputs, targets, mask = draw(name, (B, T))
    loss = losses.by_name(name)
    clean = jax.value_and_grad(loss)(outputs, targets, mask, reduction)
    outputs = jnp.where(mask[..., None], outputs, poison)
    if name == "mse":
        targets = jnp.where(mask[..., None], targets, poison)
    else:
        targets = jnp.where(mask, targets, -100)  # what other libraries mark padding with
    poisoned = jax.value_and_grad(loss)(outputs, targets, mask, reduction)
    jax.tree.map(np.testing.assert_array_equal, poisoned, clean)
    assert np.asarray(clean[1]).any()


@both_reductions
@each_loss
def test_the_loss_is_zero_if_no_target_counts(name, reduction):
    outputs, targets, mask = draw(name, (B, T))
    value, grad = jax.value_and_grad(losses.by_name(name))(outputs, targets, mask & False)
    assert value == 0
    assert not np.asarray(grad).any()


@each_loss
def test_a_nan_that_counts_is_seen(name):
    outputs, targets, mask = draw(name, (B, T))
    assert np.isnan(losses.by_name(name)(outputs.at[0, 0, 0].set(jnp.nan), targets, mask))


def test_an_unknown_class_gives_nan():
    """Never the loss of another class."""
    outputs, targets, _ = draw("cross_entropy", (B,))
    assert np.isnan(losses.cross_entropy(outputs, targets.at[2].set(OUT)))


def test_large_logits_do_not_overflow():
    logits = jnp.array([[1e4, 0.0], [-1e4, 0.0]], jnp.float32)
    value, grad = jax.value_and_grad(losses.cross_entropy)(logits, jnp.array([1, 1]))
    assert value == 5e3
    np.testing.assert_array_equal(grad, [[0.5, -0.5], [0.0, 0.0]])


def test_the_uniform_answer_costs_the_logarithm_of_the_classes(x64):
    _, targets, mask = draw("cross_entropy", (B, T))
    value = losses.cross_entropy(jnp.full((B, T, OUT), 7.0), targets, mask)
    assert relative_error(value, np.log(OUT)) < EXACT


@each_shape
@pytest.mark.parametrize("masked", [False, True])
def test_accuracy(shape, masked, x64):
    outputs, targets, mask = draw("cross_entropy", shape)
    mask = mask if masked else jnp.ones(shape, bool)
    right = [
        max(range(OUT), key=lambda k, n=n: float(outputs[n][k])) == int(targets[n])
        for n in np.ndindex(shape)
        if mask[n]
    ]
    assert 0 < sum(right) < len(right)
    got = losses.accuracy(outputs, targets, mask if masked else None)
    assert relative_error(got, sum(right) / len(right)) < EXACT


def test_many_targets_are_counted_exactly():
    """In float32, where counting up to 2²⁴ is exact and adding up probabilities is not."""
    mask = jnp.ones((2**20 + 1, 1), bool)
    each = jnp.full(mask.shape, 0.5)
    assert losses.reduce(each, mask) == 0.5


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda y, t: losses.cross_entropy(y, t.astype(float)), TypeError, "whole numbers, got fl"),
        (lambda y, t: losses.cross_entropy(y, t[:, 0]), ValueError, r"shape \(4, 5\), got \(4,\)"),
        (lambda y, t: losses.cross_entropy(y, t, t[0] > 0), ValueError, r"mask must be \(4, 5\)"),
        (lambda y, t: losses.mse(y, y[..., :1]), ValueError, r"\(4, 5, 3\) and targets \(4, 5, 1"),
        (lambda y, t: losses.mse(y, y, y > 0), ValueError, r"be \(4, 5\), .*, got \(4, 5, 3\)"),
        (
            lambda y, t: losses.accuracy(y, t[:, 0]),
            ValueError,
            r"accuracy: .* \(4, 5\), got \(4,\)",
        ),
        (lambda y, t: losses.accuracy(y, t, t[0] > 0), ValueError, r"mask must be \(4, 5\)"),
        (lambda y, t: losses.mse(y, y, None, "sum"), ValueError, "unknown reduction 'sum'.*sum_ov"),
        (lambda y, t: losses.by_name("cross_entrop"), ValueError, "did you mean 'cross_entropy'"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, error, words):
    outputs, targets, _ = draw("cross_entropy", (B, T))
    with pytest.raises(error, match=words):
        call(outputs, targets)
