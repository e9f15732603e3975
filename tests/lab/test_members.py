"""Members run by an experiment's own run: one after another, and groups at the same time."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import rnnlab
from rnnlab.core import host, signals
from rnnlab.core.errors import UserError
from rnnlab.lab.load import load_experiment

SOURCE = '''\
"""Two groups of two members."""

import jax
from ml_collections import ConfigDict

PARALLEL = True
hook = lambda config: None


def get_config():
    return ConfigDict({"cell": "rnn", "seed": 0}).lock()


def get_sweep(config):
    return {"cell": ("rnn", "gru"), "seed": (0, 1)}


def group(config):
    return config.cell


def run(config, key, log):
    hook(config)
    for step in range(3):
        log(step, loss=float(jax.random.normal(jax.random.fold_in(key, step))))
    return {"value": float(jax.random.normal(key)) + len(config.cell)}
'''


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "cores", lambda: 2)
    monkeypatch.setattr(signals, "in_command", lambda: True)
    Path("mine.py").write_text(SOURCE)
    return load_experiment("mine.py")


def outcome(experiment, folder):
    run = rnnlab.run(experiment, workdir=folder, progress=False)
    return [(m.overrides, m.result, m.metrics) for m in run.table]


def test_groups_run_at_the_same_time_and_members_of_a_group_in_turn(chosen):
    both, seen = threading.Barrier(2, timeout=30), []

    def hook(config):
        seen.append((config.cell, config.seed))
        if config.seed == 0:
            both.wait()  # one after another they would wait for ever

    chosen.module.hook = hook
    found = outcome(chosen, "out")
    assert [overrides for overrides, *_ in found] == [
        {"cell": cell, "seed": seed} for cell in ("rnn", "gru") for seed in (0, 1)
    ]
    for cell in ("rnn", "gru"):
        assert [seed for name, seed in seen if name == cell] == [0, 1]


@pytest.mark.parametrize(
    "sequential",
    [
        lambda chosen: (chosen.module, "PARALLEL", False),
        lambda chosen: (signals, "in_command", lambda: False),
    ],
)
def test_the_results_are_those_of_one_thread(chosen, monkeypatch, sequential):
    parallel = outcome(chosen, "out")
    monkeypatch.setattr(*sequential(chosen))
    main = []
    chosen.module.hook = lambda config: main.append(threading.current_thread())
    assert outcome(chosen, "again") == parallel
    assert set(main) == {threading.main_thread()}
    assert len({loss["loss"] for _, _, metrics in parallel for loss in metrics}) == 6


def test_an_error_names_its_member_and_keeps_those_that_are_finished(chosen):
    finished = threading.Event()

    def hook(config):
        if (config.cell, config.seed) == ("gru", 1):
            assert finished.wait(30)
            raise ValueError("no such thing")
        if (config.cell, config.seed) == ("rnn", 1):
            finished.set()

    chosen.module.hook = hook
    before = threading.active_count()
    with pytest.raises(ValueError, match="no such thing") as raised:
        outcome(chosen, "out")
    assert raised.value.__notes__ == [
        "in member 3 (cell=gru seed=1); the members that are finished are kept in out"
    ]
    assert threading.active_count() == before
    ran = []
    chosen.module.hook = lambda config: ran.append((config.cell, config.seed))
    again = outcome(chosen, "out")
    assert ("gru", 1) in ran
    assert ("gru", 0) not in ran
    assert [len(metrics) for *_, metrics in again] == [3] * 4
    assert again == outcome(chosen, "other")


def test_the_other_threads_stop_where_they_log(chosen):
    def hook(config):
        if config.cell == "gru":
            raise RuntimeError("at once")
        time.sleep(1)  # by when the run knows

    chosen.module.hook = hook
    with pytest.raises(RuntimeError, match="at once"):
        outcome(chosen, "out")
    assert not any(Path("out", name).is_file() for name in ("members.jsonl", "metrics.jsonl"))


def test_results_that_json_cannot_hold_are_refused_with_their_member(chosen):
    functions = replace(chosen.functions, run=lambda config, key, log: {"value": object()})
    with pytest.raises(UserError, match="value") as raised:
        outcome(replace(chosen, functions=functions), "out")
    assert "in member" in raised.value.__notes__[0]


def test_members_that_end_after_an_error_are_kept(chosen):
    raised = threading.Event()

    def hook(config):
        if config.cell == "gru":
            raised.set()
            raise RuntimeError("at once")

    def run(config, key, log):
        del key, log
        if config.cell == "rnn":
            assert raised.wait(30)
            time.sleep(0.5)  # by when the run waits for this thread
        hook(config)
        return {"value": config.seed}

    functions = replace(chosen.functions, run=run)
    with pytest.raises(RuntimeError, match="at once"):
        outcome(replace(chosen, functions=functions), "out")
    lines = Path("out/members.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert '"cell": "rnn", "seed": 0' in lines[0]


def test_the_cause_of_an_error_is_kept(chosen):
    def hook(config):
        raise RuntimeError("cannot read") from FileNotFoundError("data.csv")

    chosen.module.hook = hook
    with pytest.raises(RuntimeError, match="cannot read") as raised:
        outcome(chosen, "out")
    assert isinstance(raised.value.__cause__, FileNotFoundError)


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
