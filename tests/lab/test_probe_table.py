"""The table of probes of untrained cells, against each probe called alone."""

import math

import jax
import numpy as np
import pytest

from rnnlab import GRU, RNN, InitScheme, gradients
from rnnlab.lab import probe_table

B, T, D, H = 3, 15, 2, 5
XS = np.random.default_rng(0).standard_normal((B, T, D)).astype(np.float32)
LENGTHS = np.array([15, 9, 12])


def mean_exponent(cell, params):
    """λ_1 over the sequences."""
    return float(gradients.lyapunov_exponents(cell, params, XS, 1, lengths=LENGTHS).mean())


def slope_of(function, params, step=5e-3):
    """‖∂f/∂θ‖₁ by central differences, entry by entry."""
    leaves, tree = jax.tree.flatten(jax.tree.map(lambda leaf: np.array(leaf), params))
    total = 0.0
    for leaf in leaves:
        for place in np.ndindex(leaf.shape):
            before, values = leaf[place], []
            for sign in (1, -1):
                leaf[place] = before + sign * step
                values.append(function(jax.tree.unflatten(tree, leaves)))
            leaf[place] = before
            total += abs(values[0] - values[1]) / (2 * step)
    return total


def test_a_row_holds_what_each_probe_finds():
    rows = probe_table.probe_table(
        GRU(H),
        XS,
        lengths=LENGTHS,
        schemes=("orthogonal(gain='critical')", "xavier_uniform"),
        gains=(0.5, 2.0),
        biases=(0.0, 3.0),
        seeds=(0, 4),
        lags=(3,),
    )
    named = [(row.scheme, row.forget_bias) for row in rows]
    # gains of 1/2 and 2, then the critical one, for each bias
    assert [bias for _, bias in named] == [0.0] * 3 + [3.0] * 3 + [0.0, 3.0]
    assert [scheme.partition("(")[0] for scheme, _ in named] == ["orthogonal"] * 6 + [
        "xavier_uniform"
    ] * 2
    assert [row.searched for row in rows] == [False, False, True] * 2 + [False] * 2
    assert [row.gain for row in rows[:2]] == [0.5, 2.0]
    assert rows[2].gain == pytest.approx(float(rows[2].scheme[16:-1]), rel=1e-3)  # 1: norm 1
    assert math.isnan(rows[6].gain)
    for row in (rows[2], rows[5]):
        assert abs(row.exponent) < 0.003
    row = rows[4]
    gain = float(row.scheme.removeprefix("orthogonal(gain=")[:-1])
    assert gain == pytest.approx(2, rel=1e-4)
    cell = GRU(H, init=InitScheme(w_h=row.scheme, forget_bias="3.0"))
    g = jax.random.normal(jax.random.key(1), (H,))
    kept, exponents, gates, slopes = [], [], [], []
    for seed in (0, 4):
        params = cell.init_params(jax.random.key(seed), D)

        def loss(ys):
            return sum(ys[b, n - 1] @ g for b, n in enumerate(LENGTHS))

        norms = np.asarray(gradients.adjoint_norms(cell, params, XS, loss, lengths=LENGTHS).h)
        at = {k: [norms[b, n - 1 - k] for b, n in enumerate(LENGTHS) if k < n] for k in (0, 3, 14)}
        first = np.array(at[0])
        kept.append([np.median(at[3] - first), at[14][0] - first[0]])
        exponents.append(gradients.lyapunov_exponents(cell, params, XS, 1, lengths=LENGTHS).mean())
        slopes.append(slope_of(lambda p: mean_exponent(cell, p), params))
        gates.append(np.nanmean(gradients.saturation(cell, params, XS, lengths=LENGTHS)["z"]))
    assert [row.kept[3], row.kept[14]] == pytest.approx(np.mean(kept, axis=0), abs=1e-4)
    assert row.kept_spread[3] == pytest.approx(np.std(kept, axis=0)[0], abs=1e-4)
    assert row.exponent == pytest.approx(np.mean(exponents), abs=1e-5)
    assert row.exponent_spread == pytest.approx(np.std(exponents), abs=1e-5)
    assert row.sensitivity == pytest.approx(np.mean(slopes), rel=5e-3)
    assert row.saturation["z"] == pytest.approx(np.mean(gates), abs=1e-5)
    assert (row.dead, row.overflowed) == (0, 0)
    assert row.as_record()["kept_3"] == row.kept[3]


def test_dead_units_overflow_and_a_closed_form():
    linear = RNN(H, "identity")
    [row] = probe_table.probe_table(
        linear, XS, schemes=("orthogonal(gain=0.1)",), seeds=(0,), lags=(4,)
    )
    assert row.kept == pytest.approx({4: -4, 14: -14}, abs=1e-3)
    assert (row.horizon, row.saturation) == (1, {})
    assert math.isnan(row.forget_bias)
    relu = RNN(H, "relu", init=InitScheme(b="-100.0"))
    [row] = probe_table.probe_table(relu, XS, schemes=("identity",), seeds=(0,))
    assert row.dead == 1
    assert row.kept[14] == -math.inf
    wild = RNN(H, "relu", init=InitScheme(b="1.0"))
    [row] = probe_table.probe_table(wild, XS, schemes=("identity(gain=1e9)",), seeds=(0,))
    assert row.overflowed == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": ()}, "needs at least one seed"),
        ({"lags": (15,)}, "each lag must be a whole number from 1 to 14, got 15"),
        ({"schemes": ("orthogonl",)}, "did you mean 'orthogonal'"),
    ],
)
def test_bad_requests_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        probe_table.probe_table(RNN(H), XS, **options)
