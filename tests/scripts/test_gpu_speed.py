"""gpu_speed: its sides compute the same, and it counts the operations that XLA counts."""

import json
import sys

import jax
import numpy as np
import pytest

from rnnlab.bert import encoder, heads
from rnnlab.lab import bert_case, sweep
from rnnlab.lab.load import load_experiment
from tests.scripts import gpu_speed

FILE = gpu_speed.ROOT / "experiments/benchmarks/speed_bert.py"


def test_every_side_has_the_gradients_of_scan(monkeypatch):
    pytest.importorskip("torch")
    rows = gpu_speed.layer("2x5x3x4", gpu_speed.ALL, small=True)
    assert [row.side for row in rows] == list(gpu_speed.ALL)
    for row in rows:
        assert row.note.startswith("gradients equal to"), row
        assert row.value > 0
    # one that is off, or fails, has no time, and the others are measured
    real = gpu_speed.by_torch

    def off(case):
        case.blocks["W_hc"][0, 0] += 0.1
        return real(case)

    def fails(case):
        raise MemoryError("out of memory")

    monkeypatch.setattr(gpu_speed, "MAKE", gpu_speed.MAKE | {"torch": off, "cudnn": fails})
    _, failed, different = gpu_speed.layer("2x5x3x4", ("scan", "cudnn", "torch"), small=True)
    assert (failed.value, failed.note) == (None, "MemoryError: out of memory")
    assert different.value is None
    assert "gradients off by" in different.note


def test_operations_are_those_of_xla(monkeypatch):
    monkeypatch.setitem(encoder.SIZES, "tiny", (2, 128))
    module = load_experiment(FILE).module
    config = sweep.apply(
        module.get_config(), {"vocab_size": 400, "batch_size": 4, "length": 32, "seed": 1}
    )
    sizes, batch = bert_case.sizes_of(config), bert_case.batch_of(config)
    model = heads.Pretraining(sizes)
    params = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 1), np.int32))
    tokens = jax.tree.map(np.asarray, batch.tokens)
    cost = jax.jit(lambda p: model.apply(p, tokens)[0]).lower(params).cost_analysis()
    assert gpu_speed.operations(sizes, batch) / 3 == pytest.approx(cost["flops"], rel=0.1)


def test_parts_that_fail_are_lines(monkeypatch, tmp_path, capsys):
    def measure(part, small, seconds):
        assert small
        assert 0 < seconds <= 480
        return [gpu_speed.Row(part, "a case", "a side", 1.5 if part == "bert" else None, "ms", "?")]

    monkeypatch.setattr(gpu_speed, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["gpu_speed.py", "--small", f"--out={tmp_path}/gpu.json"])
    gpu_speed.main()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["device"] == jax.devices()[0].device_kind
    assert [row["part"] for row in found["rows"]] == list(gpu_speed.PARTS)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(gpu_speed.PARTS)
    assert [("1.5 ms" in line) for line in printed] == [part == "bert" for part in gpu_speed.PARTS]
