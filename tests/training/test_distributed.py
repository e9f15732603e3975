"""One run in two processes, killed and interrupted, gives the bits of one process."""

import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.training import distributed
from tests.helpers import swept
from tests.scripts import kill


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(file, run_dir, *flags, second=()):
    """Start two processes of one device each; the second has no run directory."""
    port = free_port()
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | kill.compile_cache(file.parent)
    processes = []
    for process_id, folder in enumerate((run_dir, run_dir.with_name("nowhere"))):
        options = [
            f"--coordinator=127.0.0.1:{port}",
            "--num_processes=2",
            f"--process_id={process_id}",
            *flags,
            *(second if process_id else ()),
        ]
        processes.append(
            subprocess.Popen(
                swept.command(file, folder, *options),
                env=env,
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
    return processes


def listening(processes):
    """Return the addresses at which the processes listen, by /proc."""
    sockets = {
        os.readlink(link)
        for process in processes
        for link in Path(f"/proc/{process.pid}/fd").iterdir()
        if link.is_symlink()
    }
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:  # it listens
                address = bytes.fromhex(local.partition(":")[0])
                words = [address[i : i + 4][::-1] for i in range(0, len(address), 4)]
                found.add(ipaddress.ip_address(b"".join(words)))
    return {getattr(address, "ipv4_mapped", None) or address for address in found}


def end(processes):
    """Return [(exit status, stderr)] of the processes."""
    said = [process.communicate(timeout=150)[1] for process in processes]
    return [(process.returncode, words) for process, words in zip(processes, said, strict=True)]


def test_killed_and_interrupted_two_processes_give_the_bits_of_one(tmp_path):
    file = swept.write(tmp_path / "three.py", steps=1500)
    there, here = tmp_path / "there", tmp_path / "here"
    groups = "--sweep.task.length=8,9"

    processes = start(file, there, groups)
    swept.wait(lambda: swept.batches(there), processes[0])
    if sys.platform == "linux":  # nothing is open to other machines
        assert listening(processes) == {ipaddress.ip_address("127.0.0.1")}
    processes[1].kill()
    (status, said), _ = end(processes)
    assert status == 2
    assert said.splitlines()[-1] == (
        "rnnlab: another process of this run was lost; finished members are kept: rerun the "
        "command of every process to resume"
    )

    processes = start(file, there, groups)
    lines = len(json_files.read_jsonl(there / run_files.METRICS))
    swept.wait(
        lambda: len(json_files.read_jsonl(there / run_files.METRICS)) > lines + 4, processes[0]
    )
    processes[1].send_signal(signal.SIGTERM)
    (status, said), (other_status, other_said) = end(processes)
    assert (status, other_status) == (130, 143), said + other_said
    assert swept.batches(there)

    (status, said), (other_status, other_said) = end(start(file, there, groups))
    assert (status, other_status) == (0, 0), said + other_said
    assert not (tmp_path / "nowhere").exists()

    assert cli.main(swept.command(file, here, groups)[3:]) == 0  # one process of two devices
    one = json.loads((here / run_files.CONFIG).read_text())["environment"]["devices"]
    two = json.loads((there / run_files.CONFIG).read_text())["environment"]["devices"]
    assert one == two == 2
    assert swept.outcome_of(there) == swept.outcome_of(here)
    assert len(swept.outcome_of(there)[2]) == 4


def test_two_processes_with_two_configs_are_refused(tmp_path):
    file = swept.write(tmp_path / "three.py")
    ends = end(start(file, tmp_path / "run", second=["--config.training.batch_size=9"]))
    for status, said in ends:
        assert status == 2
        assert "the processes of a run must be given the same command" in said
        assert "Traceback" not in said


def test_one_process_needs_no_other():
    assert distributed.alone()
    assert distributed.leads()
    assert distributed.exchange({"a": 1}) == [{"a": 1}]
    assert distributed.agree("x") == "x"
    tree = {"W": np.ones(3)}
    assert distributed.agree_tree(tree) is tree
    assert distributed.gather(tree)["W"].tolist() == [1, 1, 1]
    distributed.leave(1)  # which would end the tests, if there were others


def test_a_process_that_cannot_join(monkeypatch):
    monkeypatch.setattr(distributed, "_SECONDS_TO_MEET", 0.1)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=f"process 0 does not answer at {address}: .*refused"):
        distributed.initialize(address, 2, 1)
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"process 0 cannot listen at 127.0.0.1:{port}: "):
            distributed.initialize(f"127.0.0.1:{port}", 2, 0)
    with pytest.raises(UserError, match=r"192\.0\.2\.1:1: .*must be an address of its machine"):
        distributed.initialize("192.0.2.1:1", 2, 0)
    with pytest.raises(UserError, match=r"no address of the host 'nowhere\.invalid'"):
        distributed.initialize("nowhere.invalid:1", 2, 0)


def test_process_0_listens_where_it_is_told(monkeypatch):
    assert distributed.bind_address("127.0.0.1", 123) == "127.0.0.1:123"
    assert distributed.bind_address("::1", 123) == "[::1]:123"
    monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", "0.0.0.0:5")
    assert distributed.bind_address("127.0.0.1", 123) == "0.0.0.0:5"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_processes=2"], "--num_processes and --process_id need --coordinator=HOST:PORT"),
        (["--coordinator=a:1"], "--coordinator=HOST:PORT needs --num_processes and --process_id"),
        (
            ["--coordinator=a:1", "--num_processes=2", "--process_id=2"],
            "--process_id must lie in 0 … 1, for --num_processes is 2; got 2",
        ),
        (
            ["--coordinator=a", "--num_processes=2", "--process_id=1"],
            "--coordinator must be HOST:PORT or auto, got 'a'",
        ),
        (["--coordinator=auto"], "--coordinator=auto: cannot join other processes: "),
        (["--coordinator=a:1", "--launcher=ray"], "--coordinator and --launcher=ray exclude each"),
    ],
)
def test_flags_that_do_not_go_together(flags, message, tmp_path, capsys):
    file = swept.write(tmp_path / "three.py")
    assert cli.main(swept.command(file, tmp_path / "run", *flags)[3:]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
