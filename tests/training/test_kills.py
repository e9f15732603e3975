"""A training run from the command line ends with the same bits, whatever interrupts it.

Each command is a process of its own: on one device and two, after kill -9, SIGTERM and a full
disk. RNNLAB_KILLS sets the number of kill -9, none by default: tests/scripts/kill_runs.py, which
.ci/run runs, and kill.py make many.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import pytest

from rnnlab import cli
from rnnlab.core import json_files, run_files
from tests.scripts import kill as kill_script

KILLS = int(os.environ.get("RNNLAB_KILLS", "0"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the experiment and of what its runs compile."""
    folder = tmp_path_factory.mktemp("kills")
    kill_script.write_experiment(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """The results of an undisturbed run on two devices."""
    kill_script.finish(kill_script.begin(folder, "whole"))
    return kill_script.left_by(folder / "whole")


def test_the_undisturbed_run_logs_every_chunk_and_probe(whole):
    assert [whole[i]["result"]["status"] for i in range(5)] == ["finished"] * 4 + ["diverged"]
    assert len({whole[i]["result"]["sha256"] for i in whole}) == 5
    for index, member in whole.items():
        steps = [r["step"] for r in member["metrics"] if "train_loss" in r]
        probes = [r["step"] for r in member["metrics"] if "adjoint_h" in r]
        assert len(steps) + len(probes) == len(member["metrics"])
        assert probes == ([0] if index == 4 else [0, 300])
        assert steps == (steps[:1] if index == 4 else list(range(30, 601, 30)))


def test_terminated_and_killed_on_any_devices_it_ends_the_same(folder, whole):
    """SIGTERM on one device, kills if any, the rest on two: results, metrics and parameters."""
    out = folder / "interrupted"
    process = kill_script.begin(folder, out, devices=1)
    # before the first update there is nothing to save, and it would end at once
    while not any("train_loss" in r for r in json_files.read_jsonl(out / run_files.METRICS)):
        assert kill_script.under_way(process, out)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143
    assert said.splitlines()[-1].startswith("rnnlab: interrupted; finished members are kept")
    logged = len(json_files.read_jsonl(out / run_files.METRICS))
    assert logged < sum(len(member["metrics"]) for member in whole.values())
    assert sorted(out.glob("checkpoints/*/*/rnnlab.json"))  # saved before it ended
    kills, seed = 0, 4
    while True:
        killed, _ = kill_script.killed(folder, out, KILLS - kills, seed)
        assert kill_script.left_by(out) == whole
        kills, seed = kills + killed, seed + 1
        if kills >= KILLS:
            break
        out = folder / f"killed-{seed}"


def _has_namespaces() -> bool:
    done = subprocess.run(["unshare", "-r", "-m", "mount", "-t", "tmpfs", "none", "/mnt"])
    return done.returncode == 0


@pytest.mark.skipif(
    not shutil.which("unshare") or not _has_namespaces(), reason="no disk of one's own to fill"
)
def test_a_disk_that_fills_up_costs_nothing(folder, whole):
    """On a disk of 3 MB, which something else fills while members train."""
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    run = f"{shlex.join(kill_script.command(disk / 'run'))} >out 2>err"
    script = f"""
        mount -t tmpfs -o size=3m none {disk}
        {run} & pid=$!
        until ls {disk}/run/checkpoints/*/1 >/dev/null 2>&1; do sleep 0.01; done
        dd if=/dev/zero of={disk}/ballast bs=4k 2>/dev/null
        wait $pid; echo $?; cat err; wc -l < {disk}/run/metrics.jsonl
        rm {disk}/ballast
        {run}; echo $?
        cp -r {disk}/run {kept}
    """
    done = subprocess.run(
        ["unshare", "-r", "-m", "sh", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        env=kill_script.environment(folder, 2),
        timeout=300,
    )
    status, *said, lines, again = done.stdout.splitlines()
    assert (status, again) == ("1", "0"), done
    assert said[-1].startswith("rnnlab: no space left on the disk; ")
    assert len(said) == 2, said  # the other is how the run began
    assert 0 < int(lines) < sum(len(member["metrics"]) for member in whole.values())
    assert kill_script.left_by(kept) == whole


SAVES = """
import pathlib, sys
import numpy as np
from rnnlab.training.checkpoints import Checkpoints
disk = pathlib.Path(sys.argv[1])
kept, tree = Checkpoints(disk / "kept", "a"), {f"w{i}": np.random.randn(12, 200) for i in range(60)}
kept.save(tree, {})
(disk / "ballast").write_bytes(bytes(800_000))
for _ in range(10):
    try:
        kept.save(tree, {})
    except OSError as error:
        print(error.strerror)
"""


@pytest.mark.skipif(
    not shutil.which("unshare") or not _has_namespaces(), reason="no disk of one's own to fill"
)
def test_a_save_without_room_reports_it_once(folder):
    """orbax and tensorstore write the arrays in threads of their own: none repeats the error."""
    disk = folder / "small"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=2m none {disk} && exec "$0" -c "$1" {disk}'
    done = subprocess.run(
        ["unshare", "-r", "-m", "sh", "-c", script, sys.executable, SAVES],
        capture_output=True,
        text=True,
        env=kill_script.environment(folder, 2),
        timeout=300,
    )
    assert done.stdout.splitlines() == ["No space left on device"] * 10, done
    assert "Traceback" not in done.stderr
    assert "RESOURCE_EXHAUSTED" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--config.training.optimizer=adm"], "training.optimizer 'adm'; did you mean 'adam'"),
        (["--config.training.steps=601"], "training.steps must be a multiple of eval_every=30"),
        (["--config.training.window=7"], "training.window must divide the sequence's 24 steps"),
        (
            ["--config.training.clip_norm=-1.0"],
            "training.clip_norm must be a number in (0, inf], got -1.0",
        ),
        (
            ["--sweep.training.learning_rate=0.1,-0.1"],
            "training.learning_rate must be a number in [0, ",
        ),
        (["--config.training.batch_size=0"], "training.batch_size must be a whole number in [1, "),
        (["--config.probes.at=(0,31)"], "probes.at must hold multiples of eval_every=30"),
        (["--config.run.mapping=map"], "unknown run.mapping 'map'"),
        (["--config.run.keep=0"], "run.keep must be a whole number in [1, 2147483647], g"),
        (["--config.task.name=copy"], "unknown task 'copy'"),
        (["--config.task.dely=3"], "unknown config key 'task.dely'; did you mean 'task.delay'"),
        (["--config.task.delay=0"], "task.delay must be a whole number in [1, 2147483647]"),
        (["--config.init.w_h=orthogonl"], "did you mean 'orthogonal'"),
        (["--sweep.cell.name=lsmt"], "did you mean 'lstm'"),
        (["--config.cell.layers=0"], "cell.layers must be a whole number in [1, 2147483647]"),
        (["--sweep.training.learnin_rate=1"], "did you mean 'training.learning_rate'"),
    ],
)
def test_each_config_error_is_one_line_that_names_the_key(
    changes, message, folder, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    args = ["run", "--config=experiments/tiny.py", "--workdir=refused", *changes]
    assert cli.main(args) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "refused").exists()


def test_data_that_are_missing_are_one_line(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    source = kill_script.SOURCE.replace(
        '{"name": "copy_memory", "delay": 4, "solved_at": 1.0}',
        '{"name": "forecasting", "source": "csv", "path": "nowhere.csv", "window": 24}',
    )
    (folder / "experiments/table.py").write_text(source)
    assert cli.main(["run", "--config=experiments/table.py", "--workdir=refused"]) == 2
    said = capsys.readouterr().err
    assert "task.path: no file 'nowhere.csv'" in said
    assert said.count("\n") == 1
    assert not (folder / "refused").exists()


def test_a_checkpoint_of_another_version_is_one_line_and_stays(folder, whole, monkeypatch, capsys):
    """A run is interrupted, its checkpoint becomes one of a later rnnlab: nothing is removed."""
    out = folder / "version"
    shutil.copytree(folder / "whole", out)
    for name in ("report.html", "digests.json"):
        (out / name).unlink()
    lines = (out / "members.jsonl").read_text().splitlines(keepends=True)
    (out / "members.jsonl").write_text("".join(lines[:2]))
    meta = out / "checkpoints/members-0-to-4/3/rnnlab.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"version": 99, "identity": "?"}))
    monkeypatch.chdir(folder)
    assert cli.main(kill_script.command(out)[3:]) == 2
    said = capsys.readouterr().err
    assert "checkpoints/members-0-to-4/3 is a checkpoint of version 99" in said.splitlines()[-1]
    assert len(said.splitlines()) == 2
    assert meta.exists()
    assert (out / "members.jsonl").read_text() == "".join(lines[:2])
    assert (out / "metrics.jsonl").read_bytes() == (folder / "whole/metrics.jsonl").read_bytes()
