"""speed_engines: it checks what it times, and the choice can be found wanting."""

from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab.lab import benchmark, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn.engines import auto
from tests.helpers import untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_engines.py"


@pytest.fixture(scope="module")
def module():
    return load_experiment(FILE).module


def test_a_small_run(module):
    config = sweep.apply(
        module.get_config(), {"cell.name": "gru", "task.size": "2x6x3x4", "run.repeats": 5}
    )
    logged = {}
    result = module.run(config, jax.random.key(0), lambda name, ms: logged.update({name: ms}))
    assert set(logged) == set(module.PASSES)
    for which, ms in logged.items():
        assert set(ms) == {"scan", "fused", "newton"}
        medians = {engine: np.median(values) for engine, values in ms.items()}
        best = min(medians, key=medians.get)
        assert result[f"{which}_best"] == best
        assert result[f"{which}_loss"] == medians["fused"] / medians[best]  # what auto takes here


def test_newton_is_for_small_states(module, monkeypatch):
    monkeypatch.setattr(module, "ENGINES", ("scan", "newton"))
    monkeypatch.setattr(module, "choose", lambda cell: "scan")
    config = sweep.apply(
        module.get_config(), {"cell.name": "lstm", "task.size": "1x3x2x9", "run.repeats": 5}
    )
    result = module.run(config, jax.random.key(0), lambda **record: None)
    assert "newton_both_ms" not in result  # 18 features


def test_an_engine_that_is_off_is_not_timed(module, monkeypatch):
    real = benchmark.unroll

    def off(*args, engine, **options):
        ys, state = real(*args, engine=engine, **options)
        return ys * (1.0001 if engine == "fused" else 1), state

    monkeypatch.setattr(benchmark, "unroll", off)
    config = sweep.apply(module.get_config(), {"task.size": "1x3x2x9"})
    with pytest.raises(AssertionError, match=r"fused, forward: off by 1\.0e-04 from scan"):
        module.run(config, jax.random.key(0), lambda **record: None)


def test_the_figure_and_claims_that_can_fail(module):
    loaded = load_experiment(FILE)

    def table(off):
        def describe(index, flat):
            loss = 1.2 if index < off else 1.05
            result = {"device": "cpu", "auto": "fused"}
            for which in module.PASSES:
                result |= {f"scan_{which}_ms": 1.0, f"fused_{which}_ms": loss}
                result |= {f"{which}_loss": loss, f"{which}_best": "scan"}
            return result

        return untrained.measured(loaded, describe)

    assert [claim.check()[0] for claim in module.claims(table(2))] == [True, True]
    assert [claim.check()[0] for claim in module.claims(table(3))] == [False, False]
    assert set(module.figures(table(3))) == {"engines"}


def test_what_auto_takes_is_what_the_claims_judge(module, monkeypatch):
    monkeypatch.setattr(module, "ENGINES", ("scan",))
    monkeypatch.setattr(module, "choose", lambda cell: "scan")
    config = sweep.apply(module.get_config(), {"task.size": "1x3x2x4", "run.repeats": 5})
    assert module.run(config, jax.random.key(0), lambda **record: None)["auto"] == "scan"
    assert auto.choose(module.cells.LSTM(4)) == "fused"
