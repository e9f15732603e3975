"""speed_recurrent: every side computes the same, and the bounds can be missed."""

import importlib.util
from pathlib import Path

import jax
import pytest

from rnnlab.core.errors import Undecided, UserError
from rnnlab.lab import outputs, sides, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results import claims
from rnnlab.results.table import Table
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_recurrent.py"
SMALL = {"task.size": "4x7x2x5", "run.seconds": 1e-6}


def small(**changes):
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | changes)


@pytest.fixture(scope="module")
def module():
    return load_experiment(FILE).module


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru-reset-after"])
def test_a_small_run_times_every_side(module, monkeypatch, cell):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("needs keras")
    benchmarks.in_process(monkeypatch)
    # Keras has keys of the old kind and mixes types
    with jax.numpy_dtype_promotion("standard"), jax.legacy_prng_key("allow"):
        result = module.run(small(**{"cell.name": cell}), None, lambda **record: None)
    expected = {"fused", "fused_split", "keras", *module.TORCH, *module.CELLS[cell][1]}
    assert result["ms"].keys() == {"both"}  # what the bounds are of
    assert result["ms"]["both"].keys() == expected
    assert result["torch_both_ms"] > 0
    for which in module.PASSES:
        assert 0 < result["difference"][which]["torch"] <= module.SAME


def test_a_side_that_computes_something_else_is_seen(module, monkeypatch):
    config = small(**{"cell.name": "gru-reset-after"})
    expected = {n: p.compare() for n, p in sides.passes(module.ours(config)).items()}
    real = module.draw
    for block in ("b_hn", "b_z"):

        def off(config, size=None, block=block):
            case = real(config, size)
            case.blocks[block][2] += 1e-3
            return case

        monkeypatch.setattr(module, "draw", off)
        for name, call in module.torch(config, 1).items():
            assert outputs.largest_difference(call.compare(), expected[name]) > module.SAME


def test_layouts_of_other_libraries_are_inverted(module):
    for cell, (_, flax_cells, _, _, keras_gates) in module.CELLS.items():
        blocks = module.draw(small(**{"cell.name": cell})).blocks
        for name in flax_cells:
            assert (
                outputs.largest_difference(
                    module.from_flax(name, module.to_flax(name, blocks)), blocks
                )
                == 0
            )
        weights = module.to_keras(keras_gates, blocks)
        assert outputs.largest_difference(module.from_keras(keras_gates, weights), blocks) == 0


def test_as_many_parts_as_cores_and_batch_allow(module, monkeypatch):
    for cores, sizes in ((1, {4: 1}), (2, {4: 2, 3: 1}), (12, {32: 8, 5: 5, 13: 1})):
        monkeypatch.setattr(module.host, "cores", lambda cores=cores: cores)
        for batch, expected in sizes.items():
            size = f"{batch}x7x2x5"
            assert module.batch_parts(size) == expected
            side = module.sides(small(**{"task.size": size}), None).get("fused_split")
            assert (side and side.env) == (
                {"JAX_NUM_CPU_DEVICES": str(expected)} if expected > 1 else None
            )


def table_of(module, ratio, memory=1.0, low=None, split=None, **more):
    def describe(index, flat):
        case = (flat["cell.name"], flat["task.size"])
        times = dict.fromkeys(["torch", "keras", *module.CELLS[flat["cell.name"]][1]], ratio)
        times |= {"fused": 1.0, "torch_1_thread": 2 * ratio}
        if split is not None:
            times["fused_split"] = split
        if low is not None and index == low[0]:
            times["torch"] = low[1]
        if case == module.HARD:
            times["torch"] = max(0.6, times["torch"] - 0.1)
        memory_of = {"fused": memory, "torch": 1.0}
        return benchmarks.result(
            {"forward": times, "both": times},
            peak_mib={"forward": memory_of, "both": memory_of},
            scan_long_mib=10.0,
            fused_long_mib=5.0,
            fused_recompute_long_mib=memory,
            **more,
        )

    return untrained.measured(load_experiment(FILE), describe)


def test_claims_can_come_out_the_other_way(module):
    def verdicts(*arguments, **more):
        decided = claims.decide(module.claims(table_of(module, *arguments, **more)))
        return [v.verdict == "holds" for v in decided if v.verdict != "undecided"]

    assert verdicts(1.4) == [True] * 7
    assert verdicts(1.3) == [False, True, True, True, True, True, True]
    assert verdicts(1.2) == [False, False, False, True, True, True, True]
    assert verdicts(0.9) == [False, False, False, False, True, True, True]
    assert verdicts(1.5, 1.01, (0, 0.79)) == [True, True, True, True, False, False, False]
    # against PyTorch the faster of our ways counts, against the others the default
    assert verdicts(1.2, split=0.8) == [True, False, False, True, True, True, True]
    assert verdicts(1.4, split=5.0) == [True] * 7
    assert verdicts(1.4, others_cpu=0.5) == [True, True]  # memory alone is decided
    some = Table(list(table_of(module, 2.0))[:-1])
    with pytest.raises(Undecided, match="11 of 12"):
        module.claims(some)[0].check()


def test_figure(module):
    figure, caption = module.figures(table_of(module, 2.0))["speed"]
    assert len(figure.axes) == 6
    assert "process of its own" in caption


def test_memory_of_long_sequences_is_measured(module, monkeypatch):
    monkeypatch.setattr(module, "LONG", "2x900x1x8")
    config = small(**{"cell.name": "lstm"})
    kept = {e: module.set_aside(config, e) for e in ("scan", "fused", "fused_recompute")}
    assert 0 < kept["fused_recompute"] < kept["fused"] / 3 < kept["scan"] / 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "gru"}, "unknown cell.name"),
        ({"task.size": "3x7x2"}, "BxTxDxH.*'3x7x2'"),
        ({"task.size": "3x7x0x5"}, "D of task.size must be a whole number of at least 1, got 0"),
        ({"run.rounds": 4}, "at least 5, got 4"),
    ],
)
def test_refusals(module, changes, words):
    with pytest.raises(ValueError, match=words):
        module.check(small(**changes))


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        make_plan(FILE)
