"""The files of a run directory, and the table of members."""

import json
import math
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError


def append(path, *records, durable=False):
    """Append records to a JSON-lines file."""
    json_files.append_lines(path, *map(json_files.to_line, records), durable=durable)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(1.5), 1.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        (jnp.array([0.5, -jnp.inf, jnp.nan]), [0.5, "-inf", "nan"]),
        (jnp.bfloat16(2.0), 2.0),
        (float("inf"), "inf"),
        (range(3), [0, 1, 2]),
        ((1, "a", None, {"b": np.float64("nan")}), [1, "a", None, {"b": "nan"}]),
    ],
)
def test_encode_gives_strict_json(value, written):
    encoded = json_files.encode(value)
    assert encoded == written
    json.dumps(encoded, allow_nan=False)


@pytest.mark.parametrize("value", [1j, np.array([1j]), {1: 2}, object(), {1, 2}, np.array([None])])
def test_encode_refuses_what_json_cannot_hold(value):
    with pytest.raises(TypeError):
        json_files.encode(value)


def test_a_complex_number_is_refused_with_a_way_out():
    with pytest.raises(TypeError, match=r"give \.real and \.imag"):
        json_files.encode({"eigenvalues": jnp.array([1j])})


def test_non_finite_numbers_come_back(tmp_path):
    given = {"curve": [-1.5, -math.inf, math.inf], "nan": math.nan, "name": "lstm", "n": 3}
    json_files.write_json(tmp_path / "a.json", given)
    append(tmp_path / "a.jsonl", given)
    text = (tmp_path / "a.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for back in (
        json_files.read_json(tmp_path / "a.json"),
        *json_files.read_jsonl(tmp_path / "a.jsonl"),
    ):
        back = json_files.decode(back)
        assert math.isnan(back.pop("nan"))
        assert back == {k: v for k, v in given.items() if k != "nan"}


def test_a_config_comes_back_with_tuples():
    config = {"task": {"lags": ((1, 2), (3,)), "clip": math.inf}}
    assert json_files.decode_config(json.loads(json.dumps(json_files.encode(config)))) == config


def test_a_half_written_last_line_is_dropped(tmp_path):
    path = tmp_path / "a.jsonl"
    append(path, {"member": 0}, {"member": 1, "name": "∂L"})
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert json_files.read_jsonl(path) == [{"member": 0}]
    # only the newline is missing: the record is whole
    path.write_bytes(whole[:-1])
    assert len(json_files.read_jsonl(path)) == 2
    json_files.keep_jsonl(path, lambda record: True)
    assert path.read_bytes() == whole


def test_a_broken_line_elsewhere_is_an_error_naming_file_and_line(tmp_path):
    path = tmp_path / "members.jsonl"
    path.write_text('{"member": 0}\n{"member": \n{"member": 2}\n')
    with pytest.raises(UserError, match=r"members\.jsonl, line 2"):
        json_files.read_jsonl(path)
    path.write_text('{"member": 0}\n7\n')
    with pytest.raises(UserError, match=r"line 2.*expected a record"):
        json_files.read_jsonl(path)


def test_keep_jsonl_cuts_a_file_so_that_it_can_grow(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append(path, *({"member": i // 2, "step": i % 2} for i in range(4)))
    path.write_bytes(path.read_bytes() + b'{"member": 1, "st')
    json_files.keep_jsonl(path, lambda record: record["member"] == 0)
    append(path, {"member": 5})
    kept = [{"member": 0, "step": 0}, {"member": 0, "step": 1}, {"member": 5}]
    assert json_files.read_jsonl(path) == kept
    json_files.keep_jsonl(tmp_path / "none.jsonl", lambda record: True)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "claims.json"
    json_files.write_json(path, [1])
    os.link(path, tmp_path / "as_it_was")  # a reader who has the old file open
    json_files.write_json(path, [3])
    assert json_files.read_json(tmp_path / "as_it_was") == [1]

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        json_files.write_json(path, [2])
    assert json_files.read_json(path) == [3]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["as_it_was", "claims.json"]


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    json_files.write_bytes("/dev/null", b"page")
    assert Path("/dev/null").is_char_device()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    json_files.write_bytes(tmp_path / "pipe", b"page")
    assert os.read(reader, 9) == b"page"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/page")
    for content in (b"first", b"second"):
        json_files.write_bytes(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real/page").read_bytes() == content
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["page"]


def test_a_folder_is_not_written_over(tmp_path):
    with pytest.raises(UserError, match="is a folder: give a file in it"):
        json_files.write_bytes(tmp_path, b"page")
    with pytest.raises(UserError, match=r"no folder .*/missing to write page in: make it first"):
        json_files.write_bytes(tmp_path / "missing/page", b"page")


def test_read_json_names_the_broken_file(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        json_files.read_json(tmp_path / "config.json")
    with pytest.raises(UserError, match="no run directory"):
        run_files.read_config(tmp_path / "elsewhere")


def test_a_durable_record_is_on_the_disk(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.jsonl", []
    monkeypatch.setattr(json_files.os, "fsync", lambda _: seen.append(path.read_text()))
    append(path, {"member": 0})
    assert seen == []
    append(path, {"member": 1}, durable=True)
    assert [text.count("\n") for text in seen] == [2]


def test_halves_of_files_of_killed_processes_are_removed(tmp_path):
    """Only those that replaced() names so: .NAME.PID.tmp."""
    (tmp_path / "figures").mkdir()
    ours = [tmp_path / ".a.json.12.tmp", tmp_path / "figures/.b.png.7.tmp"]
    others = [tmp_path / name for name in (".a.tmp", "a.json.12.tmp", ".12.tmp", ".a.json.12")]
    for path in ours + others:
        path.touch()
    json_files.remove_parts(tmp_path, below=False)
    assert [path for path in ours if path.exists()] == ours[1:]
    json_files.remove_parts(tmp_path)
    assert [path for path in ours + others if path.exists()] == others
