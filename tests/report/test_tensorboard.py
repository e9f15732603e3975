"""The event files for TensorBoard, read back record by record."""

import struct
import sys

import pytest

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.report import tensorboard

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


OVERRIDES = [{"cell.name": cell, "seed": seed} for cell in ("gru", "rnn") for seed in range(6)]


def make_run(run_dir, *metrics, overrides=OVERRIDES, results=None):
    """A run of which members have logged metrics; those with results are finished."""
    run_dir.mkdir(parents=True)
    config = {"cell": {"name": "gru"}, "lags": [1, 2], "seed": 0}
    info = {"members": len(overrides), "overrides": overrides, "config": config, "hash": "run"}
    run_files.write_config(run_dir, info)
    digests = {}
    for record in metrics:
        line = json_files.to_line(record)
        json_files.append_lines(run_dir / run_files.METRICS, line)
        digests[record["member"]] = run_files.chained(digests.get(record["member"], ""), line)
    for member, result in (results or {}).items():
        line = {"member": member, "overrides": overrides[member], "seconds": 0.5}
        line |= {"result": result, "logged": digests.get(member, "")}
        run_files.append_member(run_dir, "run", line)
    return run_dir


def summaries(folder):
    """{folder: [(step, value)]} by the format's definition: length, check, data, check."""
    values = {}
    for path in sorted(folder.rglob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += length + 16
            found = values.setdefault(path.parent.relative_to(folder).as_posix(), [])
            found.extend((event.step, value) for value in event.summary.value)
    return values


def events(folder):
    """{member: [(tag, step, number)]}, the scalars."""
    return {
        name: [
            (value.tag, step, value.simple_value)
            for step, value in found
            if not value.tag.startswith("_hparams_")
        ]
        for name, found in summaries(folder).items()
        if name != "."
    }


def hparams(folder):
    """{folder: {tag: what TensorBoard's HPARAMS tab reads}}."""
    plugin = pytest.importorskip("tensorboardX.proto.plugin_hparams_pb2")
    return {
        name: {
            value.tag.removeprefix("_hparams_/"): plugin.HParamsPluginData.FromString(
                value.metadata.plugin_data.content
            )
            for _, value in found
            if value.tag.startswith("_hparams_")
        }
        for name, found in summaries(folder).items()
    }


def test_every_number_at_its_step(tmp_path):
    run = make_run(
        tmp_path / "run",
        {"member": 0, "step": 10, "loss": 0.5, "solved": False, "norms": [1.0, 2.0], "at": "end"},
        {"member": 11, "step": 10, "loss": 0.25},
        {"member": 0, "step": 20, "loss": float("inf")},
        results={0: {"loss": "inf", "status": "finished", "steps": 20, "curve": [1.0]}},
    )
    assert tensorboard.write(run) == run / "tensorboard"
    assert events(run / "tensorboard") == {
        "cell.name=gru,seed=0": [
            ("loss", 10, 0.5),
            ("solved", 10, 0.0),
            ("loss", 20, float("inf")),
            ("result/loss", 0, float("inf")),
            ("result/steps", 0, 20.0),
        ],
        "cell.name=rnn,seed=5": [("loss", 10, 0.25)],
    }


def test_the_hparams_tab_has_the_swept_axes_and_the_results(tmp_path):
    overrides = [{"cell.name": "rnn", "seed": 1}, {"seed": 2, "lags": [3]}]
    results = {0: {"loss": 0.25, "status": "finished"}, 1: {"loss": 0.5}}
    run = make_run(tmp_path / "run", overrides=overrides, results=results)
    found = hparams(tensorboard.write(run))
    experiment = found["."]["experiment"].experiment
    assert [info.name for info in experiment.hparam_infos] == ["cell.name", "seed", "lags"]
    assert [info.name.tag for info in experiment.metric_infos] == ["result/loss"]
    start = found["cell.name=rnn,seed=1"]["session_start_info"].session_start_info.hparams
    assert (start["cell.name"].string_value, start["seed"].number_value) == ("rnn", 1)
    assert start["lags"].string_value == "(1, 2)"  # the base config's
    start = found["seed=2,lags=(3,)"]["session_start_info"].session_start_info.hparams
    assert (start["cell.name"].string_value, start["lags"].string_value) == ("gru", "(3,)")
    for name in ("cell.name=rnn,seed=1", "seed=2,lags=(3,)"):
        assert found[name]["session_end_info"].session_end_info.status == 1  # STATUS_SUCCESS


def test_names_that_a_folder_can_have(tmp_path):
    paths = [{"path": "a/b:c"}, {"path": "a_b_c"}, {}, {"text": "x" * 300}]
    names = tensorboard.member_names(paths)
    assert names[:3] == ["member-0,path=a_b_c", "member-1,path=a_b_c", "member-2"]
    assert names[3].startswith("member-3,text=xxx")
    assert len(names[3]) == 150
    assert len(set(tensorboard.member_names([{"a": str(i) * 200} for i in range(12)]))) == 12


def test_written_anew_after_a_step_back(tmp_path):
    one = [{}]
    run = make_run(tmp_path / "run", {"member": 0, "step": 10, "loss": 1.0}, overrides=one)
    out = tmp_path / "seen"
    tensorboard.write(run, out)
    (run / run_files.METRICS).unlink()
    lines = [json_files.to_line({"member": 0, "loss": loss}) for loss in (2.0, 3.0)]
    json_files.append_lines(run / run_files.METRICS, *lines)
    tensorboard.write(run, out)
    assert events(out) == {"member-0": [("loss", 0, 2.0), ("loss", 1, 3.0)]}


def test_nothing_else_is_removed(tmp_path):
    run = make_run(tmp_path / "run", {"member": 0, "loss": 1.0})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"which is no event file: choose another folder"):
        tensorboard.write(run, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_at_work_keeps_finished_members_and_adds_to_them(tmp_path):
    run = make_run(
        tmp_path / "run",
        {"member": 0, "step": 10, "loss": 1.0},
        {"member": 1, "step": 10, "loss": 2.0},
        results={0: {"loss": 1.0}},
    )
    files = tensorboard.open_files(run)
    files.log(1, {"step": 10, "loss": 2.0})
    files.finish(1, {"loss": 2.0})
    files.close()
    assert events(run / "tensorboard") == {
        "cell.name=gru,seed=0": [("loss", 10, 1.0), ("result/loss", 0, 1.0)],
        "cell.name=gru,seed=1": [("loss", 10, 2.0), ("result/loss", 0, 2.0)],
    }


def test_what_cannot_be_shown(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="logged nothing"):
        tensorboard.write(make_run(tmp_path / "run"))
    with pytest.raises(UserError, match=r"config\.json"):
        tensorboard.write(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[tensorboard\]'"):
        tensorboard.write(tmp_path)


def test_a_run_that_does_not_list_its_members_is_refused(tmp_path):
    run = make_run(tmp_path / "run", {"member": 0, "step": 10, "loss": 1.0})
    info = run_files.read_config(run)
    run_files.write_config(run, {k: v for k, v in info.items() if k not in ("overrides", "sha256")})
    with pytest.raises(UserError, match=r"an earlier rnnlab made this run.*--workdir, or --rerun"):
        tensorboard.write(run)
