"""Members run by an experiment's own run: one after another, and groups in several processes."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import rnnlab
from rnnlab.core import child, host, signals
from rnnlab.core.errors import UserError
from rnnlab.lab import member_worker, members
from rnnlab.lab.load import load_experiment

SOURCE = '''\
"""Two groups of two members."""

import os
import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

PARALLEL = True


def get_config():
    return ConfigDict({"cell": "rnn", "seed": 0}).lock()


def get_sweep(config):
    return {"cell": ("rnn", "gru"), "seed": (0, 1)}


def group(config):
    return config.cell


def run(config, key, log):
    if Path("wait").exists() and config.cell == "rnn":
        deadline = time.monotonic() + 120
        while not Path("gru-1").exists():  # one after another they would wait for ever
            assert time.monotonic() < deadline
            time.sleep(0.01)
    if Path("act.py").exists():
        exec(Path("act.py").read_text())
    for step in range(3):
        log(step, loss=float(jax.random.normal(jax.random.fold_in(key, step))))
    Path(f"{config.cell}-{config.seed}").write_text(str(os.getpid()))
    A = np.random.default_rng(config.seed).normal(size=(300, 300))
    values = np.linalg.svd(A @ A, compute_uv=False)  # whose last bits depend on BLAS's threads
    return {"value": float(jax.random.normal(key)) + len(config.cell), "values": values[:3]}
'''
EVERYONE = [("rnn", 0), ("rnn", 1), ("gru", 0), ("gru", 1)]


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "cores", lambda: 2)
    monkeypatch.setattr(signals, "in_command", lambda: True)
    Path("mine.py").write_text(SOURCE)
    Path("wait").touch()
    return load_experiment("mine.py")


@pytest.fixture
def processes(monkeypatch):
    """The other processes, which have ended when the run has."""
    started = []

    class Kept(member_worker.Process):
        def __init__(self):
            super().__init__()
            started.append(self._process)

    monkeypatch.setattr(members, "Process", Kept)
    yield started
    assert all(process.returncode is not None for process in started)


def outcome(experiment, folder):
    run = rnnlab.run(experiment, workdir=folder, progress=False)
    return [(m.overrides, m.result, m.metrics) for m in run.table]


def pids():
    """The process that ran each member."""
    return {name: int(Path("{}-{}".format(*name)).read_text()) for name in EVERYONE}


def test_groups_run_at_the_same_time_each_in_one_process(chosen, processes):
    found = outcome(chosen, "out")
    assert [tuple(overrides.values()) for overrides, *_ in found] == EVERYONE
    (other,) = processes
    ran = pids()
    assert {ran["rnn", seed] for seed in (0, 1)} == {os.getpid()}
    assert {ran["gru", seed] for seed in (0, 1)} == {other.pid}


@pytest.mark.parametrize(
    "sequential",
    [
        lambda chosen: (signals, "in_command", lambda: False),
        lambda chosen: (host, "cores", lambda: 1),
    ],
    ids=["no command", "one core"],
)
def test_the_results_are_those_of_one_process(chosen, processes, monkeypatch, sequential):
    parallel = outcome(chosen, "out")
    assert len(set(pids().values())) == 2
    monkeypatch.setattr(*sequential(chosen))
    Path("wait").unlink()
    assert outcome(chosen, "again") == parallel
    assert set(pids().values()) == {os.getpid()}
    assert len(processes) == 1
    assert len({loss["loss"] for _, _, metrics in parallel for loss in metrics}) == 6


def test_a_file_that_does_not_ask_for_it_runs_in_one_process(chosen, processes, monkeypatch):
    Path("wait").unlink()
    monkeypatch.setattr(chosen.module, "PARALLEL", False)
    outcome(chosen, "out")
    assert set(pids().values()) == {os.getpid()}
    assert not processes


def test_an_error_in_the_other_process_names_its_member_and_keeps_the_others(chosen, processes):
    Path("act.py").write_text(
        "if (config.cell, config.seed) == ('gru', 1):\n"
        "    Path('gru-1').touch()\n"
        "    raise ValueError('no such thing') from FileNotFoundError('data.csv')"
    )
    with pytest.raises(ValueError, match="no such thing") as raised:
        outcome(chosen, "out")
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert raised.value.__notes__ == [
        "in member 3 (cell=gru seed=1); the members that are finished are kept in out"
    ]
    kept = Path("out/members.jsonl").read_text()
    assert '"cell": "gru", "seed": 0' in kept
    assert '"cell": "gru", "seed": 1' not in kept
    Path("act.py").unlink()
    Path("wait").unlink()
    again = outcome(chosen, "out")
    assert [len(metrics) for *_, metrics in again] == [3] * 4
    assert again == outcome(chosen, "other")
    assert len(processes) == 3


def test_an_error_here_keeps_what_the_other_process_has_finished(chosen, processes):
    Path("act.py").write_text(
        "if config.cell == 'rnn':\n    time.sleep(0.5)\n    raise RuntimeError('at once')"
    )
    with pytest.raises(RuntimeError, match="at once"):
        outcome(chosen, "out")
    lines = Path("out/members.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert all('"cell": "gru"' in line for line in lines)
    assert len(processes) == 1


def test_a_process_that_dies_costs_nothing_but_time(chosen, processes):
    Path("act.py").write_text(
        f"if os.getpid() != {os.getpid()} and config.seed == 1:\n"
        "    Path('gru-1').touch()\n"
        "    os._exit(3)"
    )
    found = outcome(chosen, "out")
    assert len(found) == 4
    assert pids()["gru", 1] == os.getpid()
    assert processes[0].returncode == 3
    Path("act.py").unlink()
    assert outcome(chosen, "again") == found


def test_a_process_that_is_never_ready_is_not_waited_for(chosen, monkeypatch):
    Path("wait").unlink()
    monkeypatch.setattr(members.Process, "ready", lambda process, work: False)
    assert len(outcome(chosen, "out")) == 4
    assert set(pids().values()) == {os.getpid()}


def test_a_member_that_diverges_elsewhere_raises_here(chosen, processes):
    Path("act.py").write_text(
        "if (config.cell, config.seed) == ('gru', 1):\n"
        "    Path('gru-1').touch()\n"
        "    raise FloatingPointError('not finite')"
    )
    with pytest.raises(FloatingPointError, match="not finite"):
        outcome(chosen, "out")
    assert len(processes) == 1


def test_an_interrupt_keeps_what_the_other_process_has_finished(chosen, processes):
    Path("act.py").write_text(
        "if config.cell == 'rnn':\n    time.sleep(0.5)\n    raise KeyboardInterrupt"
    )
    with pytest.raises(KeyboardInterrupt):
        outcome(chosen, "out")
    lines = Path("out/members.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert all('"cell": "gru"' in line for line in lines)


def test_a_process_imports_what_the_command_imports_not_what_lies_here(chosen, processes):
    Path("queue.py").write_text("raise RuntimeError('not the one of the standard library')")
    outcome(chosen, "out")
    assert len(set(pids().values())) == 2


def test_processes_that_cannot_be_started_are_done_without(chosen, monkeypatch):
    def refuse(*args, **options):
        raise OSError("no more processes")

    Path("wait").unlink()
    monkeypatch.setattr(child, "start", refuse)
    assert len(outcome(chosen, "out")) == 4
    assert set(pids().values()) == {os.getpid()}


def test_a_process_ends_with_its_command(chosen):
    """One in the middle of a long member, whose command is killed."""
    Path("wait").unlink()
    Path("act.py").write_text("Path('begun').touch()\ntime.sleep(300)")
    code = (
        "from rnnlab.lab import load, member_worker\n"
        "loaded = load.load_experiment('mine.py')\n"
        "process = member_worker.Process()\n"
        "assert process.ready(member_worker.Work(loaded.codes, '', False))\n"
        "print(process._process.pid, flush=True)\n"
        "list(process.run([(0, {'cell': 'rnn', 'seed': 0})]))"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(command.stdout.readline())
    deadline = time.monotonic() + 60
    while not Path("begun").exists():
        assert time.monotonic() < deadline, "it does not begin"
        time.sleep(0.05)
    command.kill()
    command.wait()
    command.stdout.close()
    deadline = time.monotonic() + 30
    while "\nState:\tZ" not in state(pid):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)


def state(pid):
    """Return what Linux says of a process; one that is gone is as good as a zombie."""
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "\nState:\tZ"


def test_results_that_json_cannot_hold_are_refused_with_their_member(chosen):
    functions = replace(chosen.functions, run=lambda config, key, log: {"value": object()})
    with pytest.raises(UserError, match="value") as raised:
        outcome(replace(chosen, functions=functions), "out")
    assert "in member" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("PARALLEL = True", "PARALLEL = 1", r"PARALLEL must be True or False, got 1 \(int\)"),
        (
            "def group(",
            "def of_cell(",
            r"mine\.py: PARALLEL = True is for a run of its own with gr",
        ),
    ],
)
def test_a_file_that_cannot_run_its_groups_at_once_is_refused(chosen, before, after, words):
    Path("mine.py").write_text(SOURCE.replace(before, after))
    with pytest.raises(UserError, match=words):
        outcome(load_experiment("mine.py"), "out")
