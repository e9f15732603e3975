"""Advice: its rule on made-up rows, and on cells whose answer is known."""

import math

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab import RNN
from rnnlab.lab import probe_table, sweep
from rnnlab.lab.advice import SEQUENCES, of_config
from rnnlab.lab.load import load_experiment
from rnnlab.results import advice
from rnnlab.results.advice import Row

T = 21


def made(left=-1.0, *, overflowed=0.0, dead=0.0, sensitivity=2.0, bias=math.nan, gain=1.0):
    """A candidate whose gradient falls evenly to ``left`` decades at lag T − 1."""
    curve = tuple(left * lag / (T - 1) if lag else 0.0 for lag in range(T))
    kept = {10: curve[10], T - 1: curve[T - 1]}
    return Row(
        scheme="orthogonal",
        forget_bias=bias,
        searched=False,
        gain=gain,
        kept=kept,
        kept_spread=dict.fromkeys(kept, 0.0),
        curve=curve,
        horizon=math.inf,
        exponent=0.0,
        exponent_spread=0.0,
        sensitivity=sensitivity,
        saturation={},
        dead=dead,
        overflowed=overflowed,
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (made(-advice.LOST), ""),
        (made(advice.GAINED), ""),
        (made(-advice.LOST - 0.01), "vanishes"),
        (made(-math.inf), "vanishes: nothing of the gradient is left at lag 20"),
        (made(advice.GAINED + 0.01), "explodes: 10^"),
        (made(math.nan, overflowed=0.5), "explodes: the state leaves the floats in 50%"),
        (made(dead=1.0), "dead: 100%"),
        (made(math.nan), "dead: the last step has no gradient"),
    ],
)
def test_what_is_predicted_not_to_train_and_why(row, words):
    assert advice.trouble(row, T - 1).startswith(words)
    assert advice.trains(row, T - 1) is (words == "")


def test_a_shorter_span_asks_for_less():
    row = made(-2 * advice.LOST)
    assert not advice.trains(row, T - 1)
    assert advice.trains(row, (T - 1) // 2)


def test_rates_are_multiples_of_one_over_steps_and_sensitivity():
    assert advice.rates(made(sensitivity=2.0)) == pytest.approx(
        [1 / 42, 3 / 42, 10 / 42, 30 / 42], rel=0.05
    )


def test_the_candidate_that_keeps_most_is_recommended(monkeypatch):
    # twice 0.5 decades gained is more than 0.9 lost
    rows = [made(-3, bias=0.0), made(0.5, bias=1.0), made(-0.9, bias=3.0), made(-9, bias=5.0)]
    monkeypatch.setattr(probe_table, "probe_table", lambda *args, **options: rows)
    cell = rnnlab.GRU(4)
    found = rnnlab.advise(cell, np.zeros((2, T, 1), np.float32))
    assert found.best is rows[2]
    assert (found.init.w_h, found.init.forget_bias) == ("orthogonal", "3.0")
    assert "10^-0.9 of the gradient is left 20 steps back" in found.reason
    assert "3 of 4 candidates" in found.reason
    assert found.shown == rows
    assert len([row for row in rows if advice.trains(row, 10)]) == 4


def test_the_recommended_candidate_is_always_shown():
    plain, large = made(-2.0, bias=3.0, gain=1.0), made(0.0, bias=3.0, gain=1.01)
    for rows in ((plain, large), (large, plain)):
        best = advice.recommended(rows, T - 1)
        assert advice.Advice(rows, T - 1, best, (), None).shown == [plain]


@pytest.mark.parametrize("sensitivity", [0.0, math.nan, math.inf])
def test_no_rates_where_the_exponent_does_not_depend_on_the_parameters(sensitivity):
    assert advice.rates(made(sensitivity=sensitivity)) == ()


def test_padding_is_no_part_of_the_span():
    xs = np.random.default_rng(0).standard_normal((3, 30, 1)).astype(np.float32)
    options = {"schemes": ("orthogonal",), "seeds": (0,)}
    found = rnnlab.advise(RNN(4), xs, lengths=[10, 12, 7], **options)
    assert found.span == 11
    assert found.best is not None
    assert len(found.best.curve) == 12
    padded = np.where(np.arange(30)[:, None] < np.array([10, 12, 7])[:, None, None], xs, 99)
    assert rnnlab.advise(RNN(4), padded, lengths=[10, 12, 7], **options) == found
    with pytest.raises(ValueError, match="span must be a whole number from 1 to 11, got 12"):
        rnnlab.advise(RNN(4), xs, lengths=[10, 12, 7], span=12, **options)
    with pytest.raises(ValueError, match="lengths"):
        rnnlab.advise(RNN(4), xs, lengths=[10, 12], **options)


def test_no_candidates_are_refused():
    with pytest.raises(ValueError, match="at least one scheme"):
        rnnlab.advise(RNN(4), np.zeros((2, 30, 1), np.float32), schemes=())


@pytest.mark.parametrize(("bias", "most"), [(math.nan, 1.2), (3.0, 1.0)])
def test_kernels_with_large_gains_are_recommended_only_where_nothing_else_trains(bias, most):
    small, large = made(-2.0, bias=bias, gain=most), made(0.0, bias=bias, gain=most + 0.01)
    assert advice.recommended([large, small], T - 1) is small
    assert advice.recommended([large, made(-99)], T - 1) is large
    assert advice.recommended([made(-99)], T - 1) is None
    named = made(-1.9, bias=bias, gain=math.nan)  # a scheme without a gain is as it is drawn
    assert advice.recommended([large, small, named], T - 1) is named


def test_nothing_is_recommended_where_nothing_trains(monkeypatch):
    rows = [made(-99), made(math.nan, overflowed=1.0)]
    monkeypatch.setattr(probe_table, "probe_table", lambda *args, **options: rows)
    found = rnnlab.advise(RNN(4), np.zeros((2, T, 1), np.float32))
    assert (found.best, found.init, found.rates, found.reason) == (None, None, (), "")


def test_a_linear_network_is_to_keep_every_direction():
    """W_hh = gQ keeps g^k: of these gains only 1 trains over 30 steps."""
    xs = np.random.default_rng(0).standard_normal((2, 31, 1)).astype(np.float32)
    found = rnnlab.advise(
        RNN(6, "identity"),
        xs,
        schemes=("orthogonal(gain='critical')",),
        gains=(0.5, 1.0, 2.0),
        seeds=(0,),
    )
    able = [row for row in found.rows if advice.trains(row, 30)]
    numbers = [float(row.scheme.removeprefix("orthogonal(gain=")[:-1]) for row in able]
    assert numbers == pytest.approx([1.0, 1.0], abs=3e-3)  # and the critical one
    assert found.best in able


@pytest.mark.parametrize("span", [0, 30, 1.5])
def test_a_span_lies_within_the_sequences(span):
    with pytest.raises(ValueError, match="span must be a whole number from 1 to 29"):
        rnnlab.advise(RNN(4), np.zeros((2, 30, 1), np.float32), span=span)


# ---- of a config -------------------------------------------------------------------------------


def of(name, **changes):
    config = load_experiment(name).get_config()
    return sweep.apply(config, {key.replace("__", "."): value for key, value in changes.items()})


def test_the_sequences_are_those_of_the_task():
    config = of("adding_problem", cell__name="gru", cell__hidden_size=5, task__length=12)
    cell, xs, lengths = of_config(config)
    assert cell == rnnlab.GRU(5, init=cell.init)
    assert xs.shape == (SEQUENCES, 12, 2)
    assert lengths is None
    values, marks = np.moveaxis(np.asarray(xs), -1, 0)
    assert values.min() >= 0
    assert values.max() <= 1
    assert marks.sum(axis=1) == pytest.approx(2)


def test_the_schemes_of_the_config_are_kept():
    config = of("adding_problem", cell__name="lstm", init__w_x="he_normal")
    assert of_config(config).cell.init.w_x == "he_normal"
    searched = of("adding_problem", init__w_h="orthogonal(gain='critical')")
    cell, xs, _ = of_config(searched)
    assert cell.init_params(jax.random.key(0), xs.shape[-1]) is not None  # its number is in place


def test_symbols_are_embedded():
    cell, xs, _ = of_config(of("copy_memory", task__delay=5))
    assert (xs.sum(axis=-1) == 1).all()  # one-hot: the model has no embedding
    assert cell.init_params(jax.random.key(0), xs.shape[-1]) is not None


def test_several_cells_are_refused():
    with pytest.raises(ValueError, match="advice is of one cell, and the layer has 2"):
        of_config(of("adding_problem", cell__layers=2))


def test_a_model_without_a_cell_is_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(ValueError, match="advise needs a layer with a read-out"):
        of_config(of("bert_pretraining"))
