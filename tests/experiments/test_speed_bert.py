"""speed_bert: all sides compute the same, and its claims can turn."""

import io
from pathlib import Path

import pytest

from rnnlab.bert import encoder
from rnnlab.core.errors import UserError
from rnnlab.lab import benchmark, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from tests.helpers import benchmarks, untrained

pytest.importorskip("transformers")
FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_bert.py"
SMALL = {
    "vocab_size": 60,
    "batch_size": 3,
    "length": 16,
    "run.seconds": 1e-6,
    "run.threads": 1,
    "encoder.activation": "gelu_tanh",
}


@pytest.fixture
def module(monkeypatch):
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    found = load_experiment(FILE).module
    benchmarks.in_process(monkeypatch, found)
    monkeypatch.setattr(benchmark.shutil, "which", lambda name: None)  # torch.compile takes long
    return found


def small():
    return sweep.apply(load_experiment(FILE).get_config(), SMALL)


def test_a_small_run_compares_losses_and_outputs(module):
    result = module.run(small(), None, lambda **record: None)
    assert result["ms"]["update"].keys() == {"rnnlab", "torch", "torch_hidden"}
    assert result["ms"]["read"].keys() == {"rnnlab_read", "torch_read", "vectors_read"}
    assert result["ms"]["chunk"].keys() == {"rnnlab"}
    assert result["left_out"] == {"torch_compiled": "needs g++"}
    off = result["difference"]
    assert off["update"].keys() == {"rnnlab", "torch", "torch_hidden"}
    assert max(off["update"].values()) < 1e-5  # of two losses, which may be the same floats
    assert 0 < off["read"]["torch_read"] < module.SAME


def test_another_rate_is_seen_by_the_second_loss(module, monkeypatch):
    real = module.torch_update

    def off(config, folder, way):
        monkeypatch.setattr(module, "RATE", 2 * module.RATE)
        return real(config, folder, way)

    monkeypatch.setattr(module, "torch_update", off)
    with pytest.raises(UserError, match="torch, update: its outputs are off those of rnnlab"):
        module.run(small(), None, lambda **record: None)


def table_of(loaded, ours, chunk, read, compiled=12.0):
    def describe(index, flat):
        del index, flat
        return benchmarks.result(
            {
                "update": {
                    "rnnlab": ours,
                    "torch": 30.0,
                    "torch_hidden": 11.0,
                    "torch_compiled": compiled,
                },
                "chunk": {"rnnlab": loaded.module.CHUNK * chunk},
                "read": {"rnnlab_read": read, "torch_read": 0.3, "vectors_read": 0.01},
            }
        )

    return untrained.measured(loaded, describe)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def verdicts(*times):
        table = table_of(loaded, *times)
        return [v.verdict == "holds" for v in claims.decide(loaded.module.claims(table))]

    assert verdicts(9.9, 9.9, 0.2) == [True, True, True]
    assert verdicts(10.1, 10.1, 0.09) == [False, False, False]
    assert verdicts(10.1, 9.9, 0.2) == [False, True, True]
    assert verdicts(9.9, 9.9, 0.2, 10.5) == [False, False, True]  # the compiled one counts


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_figure_is_drawn_whatever_the_times(factor):
    loaded = load_experiment(FILE)
    table = table_of(loaded, 10 * factor, 9.0, 0.2 * factor)
    figure, caption = loaded.module.figures(table)["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn
    assert "9 ms (gelu)" in caption


def test_noise_is_refused():
    config = sweep.apply(load_experiment(FILE).get_config(), {"encoder.dropout": 0.1})
    with pytest.raises(ValueError, match=r"dropout must be 0.0"):
        load_experiment(FILE).module.check(config)
