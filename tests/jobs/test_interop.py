"""Jobs 6 and 8: a layer in one's own loop, and a trained member taken to PyTorch."""

import json
import runpy
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab import cli
from rnnlab.training.params import load_params
from tests.helpers.oracles import assert_close

HERE = Path(__file__).parent
OURS = ("rnnlab", "Linen(", "Recurrent(")


@pytest.mark.parametrize("library", ["linen", "nnx", "equinox"])
def test_a_layer_in_my_own_loop(library, capsys):
    pytest.importorskip("equinox" if library == "equinox" else "flax")
    script = HERE / f"job_06_own_loop/loop_{library}.py"
    lines = script.read_text().splitlines()
    assert sum(any(word in line for word in OURS) for line in lines) <= 3
    with jax.numpy_dtype_promotion("standard"):  # as users have it
        losses = runpy.run_path(str(script))["losses"]
    assert losses[-1] < 0.2 * losses[0]
    assert "loss" in capsys.readouterr().out


def test_to_pytorch_with_the_read_out(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    job = HERE / "job_08_to_pytorch"
    shutil.copy(job / "mine.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    run, export = (line.split()[1:] for line in (job / "commands.sh").read_text().splitlines())
    assert cli.main(run) == 0
    assert cli.main(export) == 0
    assert "for_torch/load.py" in capsys.readouterr().out
    loaded = runpy.run_path("for_torch/load.py")  # asserts that its example's outputs are equal
    assert loaded["difference"] <= 1e-6

    # other inputs than the example's, against the trained member itself
    best = json.loads(Path("for_torch/export.json").read_text())["member"]
    setup, params = load_params("mine", best)
    xs = np.random.default_rng(1).standard_normal((3, 7, 2)).astype(np.float32)
    lengths = np.array([7, 2, 5])
    with jax.default_matmul_precision("highest"):
        expected, _ = setup.model.apply(params, xs, lengths=lengths)
    outputs = loaded["model"](torch.tensor(xs), torch.tensor(lengths)).detach().numpy()
    assert outputs.shape == expected.shape == (3, 1)
    assert_close(outputs, expected, 1e-6)
