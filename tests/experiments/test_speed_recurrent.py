"""speed_recurrent: every side computes the same, and the bounds can be missed."""

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab.core.errors import Undecided, UserError
from rnnlab.lab import benchmark, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.table import Table
from tests.helpers import untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_recurrent.py"
SIZE = "3x7x2x5"
SMALL = {"task.size": SIZE, "run.repeats": 5, "run.seconds": 0.1}


def small(**changes):
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | changes)


@pytest.fixture(scope="module")
def module():
    return load_experiment(FILE).module


def test_a_small_run_times_every_side(module):
    logged = []
    config = small(**{"cell.name": "gru-reset-after"})
    result = module.run(config, jax.random.key(0), lambda **record: logged.append(record))
    sides = {"fused", "scan", "GRUCell", "torch"}
    for which, record in zip(module.PASSES, logged, strict=True):
        assert record["name"] == which
        assert record["ms"].keys() == sides | ({"products"} if which == "both" else set())
        for side, ms in record["ms"].items():
            assert len(ms) == 5
            assert side == "products" or 0 <= result[f"{side}_{which}_difference"] <= module.SAME
            ratio = np.median(np.array(ms) / np.array(record["ms"]["fused"]))
            assert result[f"{side}_{which}_ratio"] == ratio
        assert result[f"torch_{which}_difference"] > 0


@pytest.mark.parametrize("side", ["fused", "LSTMCell", "OptimizedLSTMCell", "torch"])
def test_a_side_that_computes_something_else_is_seen(module, side):
    def difference(found, expected):
        return benchmark.largest_difference(module.finished(found), expected)

    size = benchmark.parse_size(SIZE)
    case, other = (module.draw("lstm", size, jax.random.key(0)) for _ in range(2))
    other.params = other.params._replace(b_c=other.params.b_c.at[2].add(1e-3))
    for both in (False, True):
        expected = module.sides("lstm")["scan"](case, both)()
        made = module.sides("lstm")[side]
        assert difference(made(case, both)(), expected) <= module.SAME
        assert difference(made(other, both)(), expected) > module.SAME


@pytest.mark.parametrize("name", ["rnn-tanh", "lstm", "gru-reset-after"])
def test_products_alone_are_those_of_the_layer(module, name):
    case = module.draw(name, (8, 3, 40, 64), jax.random.key(0))
    B, T, D, H = 8, 3, 40, 64
    gates = len(module.CELLS[name][2])
    a, d_h, d_W, d_xs = module.products(case, gates)()
    assert a.shape == (B, gates * H)
    assert d_h.shape == (B, H)
    assert d_W.shape == (D + H + 1, gates * H)
    assert d_xs.shape == (T * B, D)
    assert all(np.isfinite(array).all() and np.abs(array).max() > 0 for array in (a, d_h, d_W))


def test_every_gradient_is_compared(module):
    case = module.draw("gru-reset-after", benchmark.parse_size(SIZE), jax.random.key(0))
    blocks, xs = module.sides("gru-reset-after")["torch"](case, True)().read()
    assert blocks.keys() == module.named(case.params).keys()
    short = module.TorchResult(lambda: ({n: a for n, a in blocks.items() if n != "b_hn"}, xs))
    with pytest.raises(ValueError, match="b_hn"):
        benchmark.largest_difference(
            module.finished(short), module.sides("gru-reset-after")["scan"](case, True)()
        )


def table_of(module, ratio, memory=1.0, low=None):
    def describe(index, flat):
        result = {"device": "cpu"}
        for which in module.PASSES:
            for side in module.sides(flat["cell.name"]):
                result[f"{side}_{which}_ms"] = ratio if side != "fused" else 1.0
                result[f"{side}_{which}_ratio"] = result[f"{side}_{which}_ms"]
        result |= {"products_both_ms": 0.5, "products_both_ratio": 0.5}
        if index == 0 and low is not None:
            result["torch_both_ratio"] = low
        result |= {"fused_peak_mib": memory, "torch_peak_mib": 1.0, "scan_long_mib": 10.0}
        return result | {"fused_recompute_long_mib": memory}

    return untrained.measured(load_experiment(FILE), describe)


def test_claims_can_come_out_the_other_way(module):
    def verdicts(*numbers):
        return [claim.check()[0] for claim in module.claims(table_of(module, *numbers))]

    assert verdicts(1.41) == [True] * 6
    assert verdicts(1.39) == [True, False, True, True, True, True]
    assert verdicts(1.24) == [False, False, True, True, True, True]
    assert verdicts(0.99) == [False, False, False, True, True, True]
    assert verdicts(1.5, 1.01, 0.84) == [True, True, True, False, False, False]
    some = Table(list(table_of(module, 2.0))[:-1])
    with pytest.raises(Undecided, match="11 of 12"):
        module.claims(some)[0].check()


def test_figure(module):
    assert set(module.figures(table_of(module, 2.0))) == {"speed"}


def test_memory_of_long_sequences_is_measured(module, monkeypatch):
    monkeypatch.setattr(module, "LONG", (2, 900, 1, 8))
    kept = {e: module.set_aside("lstm", e) for e in ("scan", "fused", "fused_recompute")}
    assert 0 < kept["fused_recompute"] < kept["fused"] / 3 < kept["scan"] / 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "gru"}, "unknown cell.name"),
        ({"task.size": "3x7x2"}, "BxTxDxH.*'3x7x2'"),
        ({"task.size": "3x7x0x5"}, "D of task.size must be a whole number of at least 1, got 0"),
        ({"run.repeats": 4}, "at least 5, got 4"),
    ],
)
def test_refusals(module, changes, words):
    with pytest.raises(ValueError, match=words):
        module.check(small(**changes))


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        make_plan(FILE)
