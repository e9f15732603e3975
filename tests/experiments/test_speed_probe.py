"""speed_probe: norms are checked before they are timed, and bounds can be missed."""

from pathlib import Path

import jax
import pytest

from rnnlab import gradients
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_probe.py"
SMALL = {
    "task.length": 6,
    "task.batch_size": 3,
    "cell.name": "gru",
    "cell.hidden_size": 5,
    "run.seconds": 1e-6,
}


def run():
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL)
    return loaded.module.run(config, None, lambda **record: None)


def test_a_small_run_times_every_program(monkeypatch):
    benchmarks.in_process(monkeypatch)
    result = run()
    assert result["ms"]["call"].keys() == {"value_and_grad", "probe", "fused", "norms"}
    assert result["difference"]["call"].keys() == {"value_and_grad", "fused", "norms"}
    assert 0 < max(result["difference"]["call"].values()) < 1e-5


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
    loaded = load_experiment(FILE)

    def verdicts(probe=1.29, norms=1.14):
        times = {"value_and_grad": 1.0, "fused": 1.0, "probe": probe, "norms": norms}
        table = untrained.measured(loaded, lambda index, flat: benchmarks.result({"call": times}))
        assert set(loaded.module.figures(table)) == {"ratio"}
        return [v.verdict == "holds" for v in claims.decide(loaded.module.claims(table))]

    assert verdicts() == [True, True]
    assert verdicts(probe=1.31) == [False, True]
    assert verdicts(norms=1.16) == [True, False]
