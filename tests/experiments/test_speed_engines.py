"""speed_engines: it checks what it times, and the choice can be found wanting."""

from pathlib import Path

import pytest

from rnnlab.core.errors import Undecided, UserError
from rnnlab.lab import layer_passes, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn.engines import auto
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_engines.py"


@pytest.fixture
def module(monkeypatch):
    benchmarks.in_process(monkeypatch)
    return load_experiment(FILE).module


def small(module, **changes):
    return sweep.apply(module.get_config(), {"run.seconds": 1e-6} | changes)


def test_a_small_run(module):
    config = small(module, **{"cell.name": "gru", "task.size": "2x6x3x4"})
    result = module.run(config, None, lambda **record: None)
    for which in module.PASSES:
        assert result["ms"][which].keys() == {"scan", "fused", "newton"}
        assert 0 < result["difference"][which]["newton"] <= module.SAME
    assert result["auto"] == auto.choose(module.cells.GRU(4)) == "fused"


def test_newton_is_for_small_states(module, tmp_path):
    for cell, size, expected in (("lstm", 8, True), ("lstm", 9, False), ("gru", 16, True)):
        config = small(module, **{"cell.name": cell, "task.size": f"1x3x2x{size}"})
        assert ("newton" in module.sides(config, tmp_path)) is expected


def test_an_engine_that_is_off_is_not_timed(module, monkeypatch):
    real = layer_passes.unroll

    def off(*args, engine, **options):
        ys, state = real(*args, engine=engine, **options)
        return ys * (1.0001 if engine == "fused" else 1), state

    monkeypatch.setattr(layer_passes, "unroll", off)
    with pytest.raises(UserError, match=r"fused, forward: .* off those of scan by 1\.0e-04"):
        module.run(small(module, **{"task.size": "1x3x2x9"}), None, None)


def test_the_figure_and_claims_that_can_fail(module):
    loaded = load_experiment(FILE)

    def table(off, loss=1.2, **more):
        def describe(index, flat):
            del flat
            scan = [1.0] * 5
            fused = loss if index < off else 1.05
            times = {"scan": scan, "fused": fused}
            return benchmarks.result({"forward": times, "both": times}, auto="fused", **more)

        return untrained.measured(loaded, describe)

    assert [claim.check()[0] for claim in module.claims(table(2))] == [True, True]
    assert [claim.check()[0] for claim in module.claims(table(3))] == [False, False]
    wide = table(3, [1.0, 1.3, 1.0, 1.3, 1.2])  # an interval with the bound inside
    for undecided in (wide, table(2, others_cpu=0.2)):
        with pytest.raises(Undecided):
            module.claims(undecided)[0].check()
    assert set(module.figures(table(3))) == {"engines"}
