"""speed_probe: norms are checked before they are timed, and bounds can be missed."""

from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab import gradients
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_probe.py"
SMALL = {
    "task.length": 6,
    "task.batch_size": 3,
    "cell.name": "gru",
    "cell.hidden_size": 5,
    "run.repeats": 3,
}


def run(log=lambda **record: None):
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL)
    return loaded.module.run(config, jax.random.key(0), log)


def test_a_small_run_times_both_ways():
    logged = {}
    result = run(lambda side, ms: logged.update({side: ms}))
    assert set(logged) == {"value_and_grad", "probe", "fused", "norms"}
    for name, over in (("probe", "value_and_grad"), ("norms", "fused")):
        expected = np.median(np.array(logged[name]) / np.array(logged[over]))
        assert result[f"{name}_ratio"] == expected > 0


@pytest.mark.parametrize("name", ["adjoint_norms", "value_grad_and_norms"])
def test_norms_that_are_off_are_not_timed(monkeypatch, name):
    real = getattr(gradients, name)

    def off(*args, **options):
        found = real(*args, **options)
        return jax.tree.map(lambda a: 1.01 * a if a.dtype == "float32" else a, found)

    monkeypatch.setattr(gradients, name, off)
    with pytest.raises(AssertionError, match=r"differ by .* decades"):
        run()


def test_the_bounds_can_be_missed():
    module = load_experiment(FILE).module

    def table(**ratios):
        result = {"probe_ratio": 1.29, "norms_ratio": 1.14} | ratios
        return Table([Member(0, {}, {"cell": {"name": "gru"}}, 0.0, result)])

    def verdicts(**ratios):
        return [claim.check()[0] for claim in module.claims(table(**ratios))]

    assert verdicts() == [True, True]
    assert verdicts(probe_ratio=1.31) == [False, True]
    assert verdicts(norms_ratio=1.16) == [True, False]
