"""speed_long: it checks first what it times, and its bounds can be missed."""

from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab.lab import benchmark, sweep
from rnnlab.lab.load import load_experiment
from tests.helpers import untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_long.py"


def test_a_small_run_times_checks_and_draws(tmp_path):
    config = sweep.apply(load_experiment(FILE).get_config(), {"run.repeats": 3})
    axes = {"cell.name": ("gru",), "cell.hidden_size": (3,), "task.length": (8, 20)}
    rnnlab.run(FILE, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"time_forward", "time_both", "memory"}
    for member in run.table:
        r = member.result
        assert r["newton_both_mib"] > 0
        for record in member.metrics:
            ms = {engine: np.array(values) for engine, values in record["ms"].items()}
            assert set(ms) == {"scan", "fused", "newton"}
            for engine, values in ms.items():
                assert values.shape == (3,)
                assert (values > 0).all()
                name = f"{engine}_{record['name']}"
                assert r[f"{name}_ms"] == np.median(values)
                assert r[f"{name}_ratio"] == np.median(ms["scan"] / values)
                assert r[f"{name}_low"] <= r[f"{name}_ratio"] <= r[f"{name}_high"]
                assert 0 <= r[f"{name}_difference"] < 1e-5
    assert [c.verdict for c in run.claims] == ["holds", *["undecided"] * 3]


def test_an_engine_that_is_off_is_not_timed(monkeypatch):
    module = load_experiment(FILE).module
    real = benchmark.unroll

    def off(*args, engine, **options):
        ys, state = real(*args, engine=engine, **options)
        return ys * (1.0001 if engine == "newton" else 1), state

    monkeypatch.setattr(benchmark, "unroll", off)
    config = sweep.apply(module.get_config(), {"task.length": 5, "cell.hidden_size": 2})
    with pytest.raises(AssertionError, match=r"newton, forward: off by 1\.0e-04 from scan"):
        module.run(config, jax.random.key(0), lambda **record: None)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def claims(platform="cpu", difference=1e-6, newton=0.5, fused=1.5, small=2.0):
        def describe(index, flat):
            ratio = small if flat["cell.hidden_size"] == 4 else newton
            if flat["task.length"] < 10_000:
                ratio = 0.1  # short ones do not count
            return {
                "platform": platform,
                "fused_both_ratio": fused,
                "newton_forward_ratio": 3.0,
                "newton_both_ratio": ratio,
                "newton_forward_difference": 0.0,
                "newton_both_difference": difference,
            }

        return loaded.module.claims(untrained.measured(loaded, describe))

    def verdicts(**changes):
        return [claim.check()[0] for claim in claims(**changes)]

    assert verdicts() == [True, True, False, True]
    assert verdicts(small=0.9, newton=1.1, fused=0.9) == [True, False, True, False]
    assert verdicts(difference=2e-5)[0] is False
    assert [c.expected for c in claims()] == ["holds", "refuted", "refuted", "holds"]
    assert [c.expected for c in claims(platform="gpu")] == ["holds"] * 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "rnn-relu"}, "unknown cell.name"),
        ({"task.length": 0}, "task.length must be a whole number of at least 1"),
        ({"run.repeats": 2}, "run.repeats must be a whole number of at least 3"),
    ],
)
def test_refusals(changes, words):
    loaded = load_experiment(FILE)
    with pytest.raises(ValueError, match=words):
        loaded.module.check(sweep.apply(loaded.get_config(), changes))
