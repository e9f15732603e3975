"""The event files for TensorBoard, read back record by record."""

import struct
import sys

import pytest

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.report import tensorboard

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def make_run(run_dir, *metrics, members=12):
    run_dir.mkdir(parents=True)
    run_files.write_config(run_dir, {"members": members, "config": {}})
    json_files.append_jsonl(run_dir / run_files.METRICS, *metrics)
    return run_dir


def events(folder):
    """{member: [(tag, step, value)]} by the format's definition: length, check, data, check."""
    records = {}
    for path in sorted(folder.glob("*/*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += length + 16
            records.setdefault(path.parent.name, []).extend(
                (value.tag, event.step, value.simple_value) for value in event.summary.value
            )
    return records


def test_every_number_at_its_step(tmp_path):
    run = make_run(
        tmp_path / "run",
        {"member": 0, "step": 10, "loss": 0.5, "solved": False, "norms": [1.0, 2.0], "at": "end"},
        {"member": 11, "step": 10, "loss": 0.25},
        {"member": 0, "step": 20, "loss": float("inf")},
    )
    assert tensorboard.write(run) == run / "tensorboard"
    assert events(run / "tensorboard") == {
        "member-00": [("loss", 10, 0.5), ("solved", 10, 0.0), ("loss", 20, float("inf"))],
        "member-11": [("loss", 10, 0.25)],
    }


def test_written_anew_after_a_step_back(tmp_path):
    run = make_run(tmp_path / "run", {"member": 0, "step": 10, "loss": 1.0}, members=1)
    out = tmp_path / "seen"
    tensorboard.write(run, out)
    (run / run_files.METRICS).unlink()
    json_files.append_jsonl(
        run / run_files.METRICS, {"member": 0, "loss": 2.0}, {"member": 0, "loss": 3.0}
    )
    tensorboard.write(run, out)
    assert events(out) == {"member-0": [("loss", 0, 2.0), ("loss", 1, 3.0)]}


def test_nothing_else_is_removed(tmp_path):
    run = make_run(tmp_path / "run", {"member": 0, "loss": 1.0})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes\.txt, which is no member"):
        tensorboard.write(run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_cannot_be_shown(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="logged nothing"):
        tensorboard.write(make_run(tmp_path / "run"))
    with pytest.raises(UserError, match=r"config\.json"):
        tensorboard.write(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[tensorboard\]'"):
        tensorboard.write(tmp_path)
