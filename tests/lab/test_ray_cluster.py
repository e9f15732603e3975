"""Groups as jobs of a Ray cluster of two nodes, one of which is killed, give the same results."""

import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import ray_cluster
from rnnlab.lab.ray_cluster import Cluster
from rnnlab.training.checkpoints import Checkpoints
from tests.helpers import swept
from tests.scripts import kill

# an address of this machine alone; Ray replaces 127.0.0.1 by one that others can reach
HOST = "127.0.0.2"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """The head of a cluster, and a function that adds a node to it; one CPU per node."""
    if sys.platform != "linux":
        pytest.skip(f"{HOST} is there without being set up on Linux alone")
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in kill.compile_cache(tmp_path_factory.mktemp("ray")).items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        options = {
            "num_cpus": 1,
            "node_ip_address": HOST,
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,
        }
        made = Cluster(initialize_head=True, connect=False, head_node_args=options)
        yield made, lambda: made.add_node(**options)
        made.shutdown()


def start(file, run_dir, address, *flags):
    flags = ["--launcher=ray", f"--ray-address={address}", *flags]
    options = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    return subprocess.Popen(swept.command(file, run_dir, *flags), **options)


def end(process):
    """Return (exit status, stderr)."""
    said = process.communicate(timeout=200)[1]
    return process.returncode, said


def test_interrupted_and_with_a_node_that_dies_a_run_gives_the_same(nodes, tmp_path):
    made, add_node = nodes
    other = add_node()
    file = swept.write(tmp_path / "three.py", steps=15_000)
    there, here = tmp_path / "there", tmp_path / "here"
    groups = "--sweep.task.length=8,9"

    process = start(file, there, made.address, groups)
    swept.wait(lambda: swept.batches(there), process)
    process.send_signal(signal.SIGTERM)
    status, said = end(process)
    assert status == 143, said
    assert "interrupted; finished members are kept; resume with: rnnlab run" in said
    before = len(json_files.read_jsonl(there / run_files.METRICS))
    assert before > 0

    again = time.time()
    process = start(file, there, made.address, groups)
    # both nodes are at work, and have sent checkpoints
    swept.wait(lambda: len(swept.batches(there, again)) >= 2, process)
    made.remove_node(other, allow_graceful=False)
    source = file.read_text()
    file.unlink()  # the nodes have its source
    status, said = end(process)
    assert status == 0, said
    assert "was lost: its node died; it is started again" in said
    assert "(try 2 of 4)" in said
    assert not swept.batches(there)

    file.write_text(source)
    assert cli.main(swept.command(file, here, groups)[3:]) == 0
    (members, metrics, params), local = swept.outcome_of(there), swept.outcome_of(here)
    assert len(members) == len(params) == 4
    assert all(member["result"]["norm"] > 0 for member in members)
    assert members == local[0]
    assert metrics == local[1]
    assert params == local[2]


def test_an_error_on_a_node_is_one_line_and_is_not_tried_again(nodes, tmp_path):
    made, _ = nodes
    file = swept.write(tmp_path / "bad.py", bad=True)
    status, said = end(start(file, tmp_path / "run", made.address))
    assert status == 2
    last = said.splitlines()[-1]
    assert last.startswith("rnnlab: members ")
    assert last.endswith("this member cannot be measured")
    assert "Traceback" not in said
    assert "again" not in said
    status, said = end(start(file, tmp_path / "run", made.address, "--ray_cpus=3"))
    assert (status, said.splitlines()[-1]) == (
        2,
        "rnnlab: no node of the Ray cluster has 3 CPUs for a job",
    )


# ---- without a cluster -------------------------------------------------------------------------


def test_checkpoints_travel(tmp_path):
    here, there = (Checkpoints(tmp_path / name, "run", keep=2) for name in ("here", "there"))
    for step in range(3):
        here.save({"W": np.full((2, 3), step, np.float32)}, {"step": step})
        there.unpack(here.pack(1))
    tree, extra = there.restore({"W": np.zeros((2, 3), np.float32)}) or (None, None)
    assert (tree["W"] == 2).all()
    assert extra == {"step": 2}
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["1", "2"]
    assert list(here.pack(5)) == [1, 2]
    assert Checkpoints(tmp_path / "nowhere", "run").pack(1) == {}


def test_a_node_with_other_versions_refuses():
    order = ray_cluster._Order(b"", Path("x.py"), "run", 1, 0)
    order.versions["jax"] = "0.1"
    [event] = next(ray_cluster._job(order))
    assert isinstance(event, ray_cluster.Failed)
    assert "(here 0.1): install the same" in event.message


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray: pip install 'rnnlab\[cluster\]'"):
        Cluster().connect()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "no Ray cluster at 127.0.0.1:9: .*refused"),
        ("ray://127.0.0.1:9", "--ray_address must be HOST:PORT or auto, got 'ray://"),
        ("127.0.0.1", "--ray_address must be HOST:PORT or auto, got '127.0.0.1'"),
        ("127.0.0.1:99999", "--ray_address must be HOST:PORT or auto, got '127.0.0.1:99999'"),
    ],
)
def test_an_address_where_nothing_answers(address, message):
    begun = time.monotonic()
    with pytest.raises(UserError, match=message):
        Cluster(address).connect()
    assert time.monotonic() - begun < 60  # Ray is imported within, and would try for minutes


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--launcher=slurm"], "unknown launcher 'slurm' (allowed: local, ray)"),
        (["--ray-address=a:1"], "--ray_address has no effect without --launcher=ray"),
        (["--launcher=ray", "--ray_cpus=-1"], "--ray_cpus must be a whole number of at least 0"),
        (["--launcher=ray", "--ray_address=127.0.0.1:9"], "no Ray cluster at 127.0.0.1:9"),
    ],
)
def test_flags_that_cannot_be(flags, message, tmp_path, capsys):
    file = swept.write(tmp_path / "three.py")
    assert cli.main(swept.command(file, tmp_path / "run", *flags)[3:]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_members_that_do_not_train_stay_here(tmp_path, capsys):
    flags = ["--launcher=ray", "--ray_address=127.0.0.1:9"]
    args = swept.command("init_gradients", tmp_path / "run", *flags)[3:]
    assert cli.main(args) == 2
    assert "--launcher=ray takes groups of members that train" in capsys.readouterr().err
