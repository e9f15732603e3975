"""Groups as jobs of a Ray cluster of two nodes, one of which is killed, give the same results."""

import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import ray_cluster, repair
from rnnlab.lab.load import load_experiment
from rnnlab.lab.ray_cluster import Cluster
from rnnlab.results.comparison import read_comparisons
from rnnlab.training.checkpoints import Checkpoints
from tests.helpers import swept
from tests.helpers.compiling import FOR_USERS
from tests.lab.test_load import SOURCE
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
        cache = kill.compile_cache(tmp_path_factory.mktemp("ray"))
        for name, value in (cache | FOR_USERS).items():  # exact bits are compared
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
    subprocess.run(swept.command(file, here, groups), check=True)
    (members, metrics, params), local = swept.outcome_of(there), swept.outcome_of(here)
    assert len(members) == len(params) == 4
    assert all(member["result"]["norm"] > 0 for member in members)
    assert members == local[0]
    assert metrics == local[1]
    assert params == local[2]


def test_a_comparison_comes_to_the_same_verdicts_round_by_round(nodes, tmp_path):
    made, _ = nodes
    file = swept.write(tmp_path / "three.py")
    asked = ["--compare.init.w_h=thirds,orthogonal", "--tune.training.learning_rate=0.01"]
    asked += ["--seeds=2,3", "--equivalent=1e-9"]  # two rounds
    there, here = tmp_path / "there", tmp_path / "here"
    status, said = end(start(file, there, made.address, *asked))
    assert status == 0, said
    subprocess.run(swept.command(file, here, *asked), check=True)
    assert read_comparisons(there) == read_comparisons(here) != []
    assert swept.outcome_of(there) == swept.outcome_of(here)


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
    order = ray_cluster._Order((), "run", 1, 0)
    order.versions["jax"] = "0.1"
    [event] = next(ray_cluster._job(order))
    assert isinstance(event, ray_cluster.Failed)
    assert "(here 0.1): install the same" in event.message


def test_nodes_get_the_text_that_was_loaded(monkeypatch, tmp_path):
    """Not what lies there when the job is sent: of the file, of a module beside it, of --use."""
    texts = {"mine.py": "import helper\n" + SOURCE, "helper.py": "A = 1\n", "used.py": "B = 2\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    loaded = load_experiment(tmp_path / "mine.py", use=[tmp_path / "used.py"])
    for name in texts:
        (tmp_path / name).unlink()
    orders = []

    class Run:
        def __init__(self, *args):
            orders.append(args[-1])

        def run(self):
            pass

    monkeypatch.setattr(ray_cluster, "_Run", Run)
    monkeypatch.setattr(Cluster, "connect", lambda self: None)
    monkeypatch.setattr(Cluster, "_share", lambda self, groups: 1)
    Cluster().train(loaded, [], set(), tmp_path, "run", ray_cluster.Sink())
    used, own = pickle.loads(pickle.dumps(orders[0].codes))
    assert used.execute().B == 2
    module = own.execute()
    assert module.helper.A == 1
    assert module.get_config().seed == 0


def test_a_node_and_the_driver_agree_on_what_was_logged(tmp_path):
    functions: Any = None  # which are called at the end of a member only
    mail, metrics = ray_cluster._Mail(tmp_path, functions), repair.Metrics(tmp_path)
    records = [{"step": step, "loss": loss} for step, loss in enumerate((0.1, np.inf, 1 / 3))]
    for record in records[:2]:
        mail.log(3, record)
        metrics.append(3, record)
    assert mail.logged([3, 4]) == {"3": metrics.digest(3), "4": ""}
    again = ray_cluster._Mail(tmp_path, functions)  # another job resumes from its checkpoint
    again.resumed(mail.logged([3]))
    again.log(3, records[2])
    metrics.append(3, records[2])
    assert again.logged([3]) == {"3": metrics.digest(3)}


def test_a_job_that_no_node_can_take_is_refused(monkeypatch):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 1.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}},
    ]
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(nodes=lambda: nodes))
    assert [Cluster()._share(groups) for groups in (1, 2, 9)] == [2, 1, 1]
    assert Cluster(cpus=2)._share(9) == 2
    with pytest.raises(UserError, match="no node of the Ray cluster has 3 CPUs for a job"):
        Cluster(cpus=3)._share(1)
    with pytest.raises(UserError, match="has 2 CPUs and 1 GPUs for a job"):
        Cluster(cpus=2, gpus=1)._share(1)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"needs Ray: pip install -e '\.\[cluster\]'"):
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


def joining(monkeypatch, init):
    """Let a Ray that joins a cluster by ``init`` stand for Ray; no waiting is said at once."""
    fake = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_cluster, "_SECONDS_TO_SAY", 0.05)
    return Cluster()


def test_a_cluster_that_does_not_let_one_join_is_waited_for_with_a_word(monkeypatch, capsys):
    """Ray waited 4.6 minutes without a word."""
    monkeypatch.setattr(ray_cluster, "_SECONDS_TO_JOIN", 0.3)
    over = threading.Event()
    begun = time.monotonic()
    with pytest.raises(UserError, match="auto did not let this process join within 0 seconds: `ra"):
        joining(monkeypatch, lambda **_: over.wait()).connect()
    over.set()
    assert time.monotonic() - begun < 30
    said = "rnnlab: waiting for the Ray cluster at auto, at most 0 seconds\n"
    assert capsys.readouterr().err == said


def test_joining_leaves_the_handler_of_sigterm_alone_and_its_errors_are_one_line(monkeypatch):
    before, threads = signal.getsignal(signal.SIGTERM), []

    def init(**_):
        threads.append(threading.current_thread() is threading.main_thread())
        raise ConnectionError("nothing\n  there")

    with pytest.raises(UserError, match="cannot join the Ray cluster at auto: nothing there"):
        joining(monkeypatch, init).connect()
    assert threads == [False]  # in the main thread Ray installs a handler of its own
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--launcher=slurm"], "unknown launcher 'slurm' (allowed: local, ray)"),
        (["--ray-address=a:1"], "--ray_address has no effect without --launcher=ray"),
        (["--launcher=ray", "--ray_cpus=-1"], "--ray_cpus: expected a whole number of at least 0"),
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
