"""speed_bert: both sides compute the same, and its claims can turn."""

import io
from pathlib import Path

import pytest

import rnnlab
from rnnlab.bert import encoder
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

pytest.importorskip("transformers")
FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_bert.py"
SMALL = {"vocab_size": 60, "batch_size": 3, "length": 16, "run.repeats": 1, "run.threads": 1}


def test_a_small_run_compares_equal_losses(tmp_path, monkeypatch):
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    config = sweep.apply(load_experiment(FILE).get_config(), SMALL)
    sides = {"encoder.activation": ("gelu_tanh",)}  # PyTorch's GELU is another test's
    rnnlab.run(FILE, config, sweep=sides, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"speed"}
    assert "undecided" not in {c.verdict for c in run.claims}
    for member in run.table:
        assert member.result["loss_difference"] < 1e-5
        assert member.result["outputs_difference"] < 1e-5
        assert member.result["best_torch_ms"] == min(
            member.result["torch_ms"], member.result["torch_hidden_ms"]
        )


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()

    def verdicts(ours, chunk, read):
        result = {
            "rnnlab_ms": ours,
            "best_torch_ms": 10.0,
            "ratio": 10 / ours,
            "loss_difference": 0.0,
            "rnnlab_chunk_ms": chunk,
            "chunk_ratio": 10 / chunk,
            "rnnlab_read_ms": read,
            "vectors_read_ms": 0.01,
        }
        table = Table([Member(0, {}, config.to_dict(), 0.0, result)])
        return [claim.check()[0] for claim in loaded.module.claims(table)]

    assert verdicts(9.0, 9.0, 0.2) == [True, True, True]
    assert verdicts(11.0, 11.0, 0.05) == [False, False, False]
    assert verdicts(11.0, 9.0, 0.2) == [False, True, True]


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_the_figure_is_drawn_whatever_the_times(factor):
    loaded = load_experiment(FILE)
    sides = (
        "rnnlab",
        "rnnlab_chunk",
        "torch",
        "torch_hidden",
        "rnnlab_read",
        "torch_read",
        "vectors_read",
    )
    result = {f"{side}_ms": 10.0 for side in sides}
    result |= {"rnnlab_ms": 10 * factor, "vectors_read_ms": 10 * factor}
    member = Member(0, {}, loaded.get_config().to_dict(), 0.0, result)
    figure, _ = loaded.module.figures(Table([member]))["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn


def test_noise_is_refused():
    config = sweep.apply(load_experiment(FILE).get_config(), {"encoder.dropout": 0.1})
    with pytest.raises(ValueError, match=r"dropout must be 0.0"):
        load_experiment(FILE).module.check(config)
