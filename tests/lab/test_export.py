"""Exports of a run's members: the folder, what it holds, and what is refused."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rnnlab import cli, training
from rnnlab.bert import heads
from rnnlab.bert.encoder import Config
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import export as exports
from rnnlab.lab import recorded
from rnnlab.lab.load import load_experiment
from rnnlab.nn import cells
from rnnlab.training.params import load_params
from tests.helpers import small_data, trained
from tests.training.test_stored import make_run


def config_of(kind, folder, cell="lstm", **options):
    group = small_data.task_group(kind, small_data.write(kind, folder)) | options
    return trained.config(task=group, hidden_size=3, cell=cell)


def run_of(folder, *configs):
    return make_run(folder / "run", *configs), folder / "run"


def test_a_member_of_every_kind_as_safetensors(tmp_path):
    """An encoder-decoder, which no other library has, and a tagger: back as they were trained."""
    pytest.importorskip("safetensors")
    configs = config_of("translation", tmp_path), config_of("tagging", tmp_path, crf=True)
    _, run = run_of(tmp_path, *configs)
    for member in range(2):
        folder = exports.export(run, "safetensors", member=member)
        assert folder == run / f"export/safetensors_{member}"
        setup, params = load_params(run, member)
        model, back = exports.read(folder)
        assert model == setup.model
        assert jax.tree.structure(back) == jax.tree.structure(params)
        jax.tree.map(np.testing.assert_array_equal, back, params)
        stored = json.loads((folder / "stored.json").read_text())
        assert stored == json.loads(json.dumps(setup.task.stored()))
    runpy.run_path(str(run / "export/safetensors_1/load.py"))
    words = json.loads((run / "export/safetensors_1/stored.json").read_text())
    assert set(words["vocabulary"]["terms"]) >= {"nan", "saw"}
    with pytest.raises(UserError, match=r"PyTorch has no EncoderDecoder: export it with --to=safe"):
        exports.export(run, "torch", member=0)
    (run / "export/safetensors_1/weights.safetensors").unlink()
    with pytest.raises(UserError, match="is no export with --to=safetensors"):
        exports.read(run / "export/safetensors_1")


CELL = """
from dataclasses import dataclass
import rnnlab


@rnnlab.register_cell("mine")
@dataclass(frozen=True)
class Mine(rnnlab.GRU):
    alpha: float = 0.5
"""
EXPERIMENT = """
def get_config(arg=None): ...
def get_sweep(config): ...
def run(config, key, log): ...
"""


def test_a_cell_with_options_comes_from_the_run_s_own_file(tmp_path, monkeypatch, capsys):
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    Path("cell.py").write_text(CELL)
    Path("experiment.py").write_text(EXPERIMENT)
    loaded = load_experiment("experiment.py", use=["cell.py"])
    config = config_of("forecasting", tmp_path, "mine")
    with config.unlocked():
        config.cell.alpha = 0.25
    _, run = run_of(tmp_path, config)
    info = run_files.read_config(run)
    run_files.write_config(run, info | {"arg": "", "files": recorded.record_of(loaded)})
    del cells.CELLS["mine"]  # as in another process
    folder = exports.export(run, "safetensors")
    model, _ = exports.read(folder)
    assert model.layer.cell.alpha == 0.25
    del cells.CELLS["mine"]
    assert cli.main(["predict", "run", "--text=1 2 3 4 5 6 7 8"]) == 0, capsys.readouterr().err
    assert "mine" in cells.CELLS


def test_the_command(tmp_path, capsys, monkeypatch):
    """The best member, of a GRU that reads a series, for Flax; its scale goes along."""
    configs = [config_of("forecasting", tmp_path, "bi-gru-reset-after")]
    specs, _ = run_of(tmp_path, *configs)
    monkeypatch.chdir(tmp_path)
    args = ["export", "run", "--to=flax", "--member=best", "--out=there"]
    assert cli.main(args) == 0
    out = capsys.readouterr().out
    assert out.startswith("exported: python there/load.py loads it")
    assert "note: nnx's GRUCell has no bias b_hn" in out
    names = {path.name for path in (tmp_path / "there").iterdir()}
    assert names == {"load.py", "weights.npz", "example.npz", "stored.json", "export.json"}
    stored = json.loads(json.dumps(json_files.encode(specs[0].setup.task.stored())))
    assert json.loads((tmp_path / "there/stored.json").read_text()) == stored
    with jax.disable_jit(), jax.numpy_dtype_promotion("standard"):
        runpy.run_path("there/load.py")
    (tmp_path / "there/load_nnx.py").write_text("of an export before")
    assert cli.main(args) == 0  # written again
    assert {path.name for path in (tmp_path / "there").iterdir()} == names
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/load.py").write_text("mine")
    capsys.readouterr()
    for wrong, reason in (
        (["run"], "export needs --to=LIBRARY: torch, keras, flax or safetensors"),
        (["--to=torch"], "export takes one run directory, got 0"),
        (["run", "--to=pytorch"], "unknown library 'pytorch'; did you mean 'torch'?"),
        (["run", "--to=torch", "--member=5"], "run has no finished member 5"),
        (["run", "--to=torch", "--out=mine"], "mine holds other files: choose another --out"),
        (["gone", "--to=torch"], "gone is no run directory"),
        (
            ["run", "--to=torch", "--member=first"],
            "or best, got 'first'",
        ),
    ):
        assert cli.main(["export", *wrong]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert reason in err
    assert (tmp_path / "mine/load.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("cell", "options", "to", "reason"),
    [
        ("gru", {}, "torch", "--config.cell.name=gru-reset-after"),
        ("bi-gru", {}, "flax", "--config.cell.name=bi-gru-reset-after"),
        ("rnn-identity", {}, "torch", "no RNN of activation 'identity': train with --config"),
        ("lstm", {"norm": "layer"}, "keras", "no place for norm='layer' of the LSTM: train with"),
        ("lstm", {"peephole": True}, "torch", "no peepholes in its LSTM: train with --config.cell"),
        ("lstm", {"projection": 2}, "keras", "no projection in its LSTM: train with --config.cell"),
        ("lstm", {"zoneout_h": 0.1}, "torch", "no Zoneout, which acts after training too: train w"),
        ("lstm", {"layers": 2, "residual": True}, "flax", "no Residual: train with --config.cell"),
    ],
)
def test_what_a_library_lacks_is_said_before_training(cell, options, to, reason):
    config = trained.config(cell=cell)
    with config.unlocked():
        config.cell.update(options)
    spec = training.MemberSpec.from_config(config)
    exports.check([spec], "safetensors")
    with pytest.raises(UserError, match=r"^member 0 cannot be exported: ") as caught:
        exports.check([spec], to)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("export it with --to=safetensors, which takes every member")


def test_a_bert_is_referred_to_transformers():
    model = heads.Classifier(Config.named("tiny", vocab_size=9), outputs=2)
    spec = SimpleNamespace(setup=SimpleNamespace(model=model))
    with pytest.raises(UserError, match=r"a BERT .*: rnnlab.bert.huggingface.save writes it"):
        exports.check([spec], "torch")


def test_run_says_it_before_anything_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["run", "--config=chrono", "--dry_run", "--sweep.cell.name=gru,gru-reset-after"]
    assert cli.main(args) == 0
    note = "members of cell.name=gru cannot be exported to PyTorch or Flax"
    out = capsys.readouterr().out
    assert note in out
    assert "--sweep.cell.name=gru-reset-after can" in out
    assert cli.main([*args, "--export=torch"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "member 0 cannot be exported: PyTorch has a GRU that resets after" in err
    assert "train with --config.cell.name=gru-reset-after" in err
    assert cli.main([*args[:-1], "--sweep.cell.name=gru-reset-after", "--export=torch"]) == 0
    assert note not in capsys.readouterr().out
    assert cli.main(["run", "--config=gradient_vanishing", "--dry_run", "--export=torch"]) == 2
    assert "--export is for members that train" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
