"""Groups give the same bits, whatever interrupts them and however many members fit in memory."""

import copy
import os
import re
import signal
import weakref
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rnnlab.core import run_files
from rnnlab.training import gradient_log, group_programs, runner
from rnnlab.training.vectorized import Program
from tests.helpers import trained
from tests.helpers.trained import Recorder
from tests.training.test_vectorized import bits, group, run

exact = pytest.mark.compiled_for_users

DEVICES = jax.devices()[:2]


def jobs(n=5, first=0, **options):
    """Members of one group; member 1 diverges in its first chunk, the others go 40 steps."""
    run = {"checkpoint_seconds": 0.0} | options.pop("run", {})
    options = {"steps": 40} | options  # the program of test_program.py
    return [
        trained.job(
            s,
            learning_rate=1e30 if s == 1 else 0.01 * (1 + s),
            run=run,
            clip_norm=9.0 if s == 1 else np.inf,
            **options,
        )
        for s in range(first, first + n)
    ]


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """A program is compiled once for all tests, and calls are short: there are many of them."""
    monkeypatch.setattr(group_programs, "Program", on(DEVICES))
    monkeypatch.setattr(runner, "_SECONDS_PER_CALL", 0.0)


def on(devices):
    def program(setup, capacity, given=None, mapping="auto"):
        return trained.program(setup, capacity, given or devices, mapping)

    return program


def go(members, folder, before=None, stop_after=None):
    sink = Recorder(before, stop_after)
    runner.train(members, sink.done, folder, "run", sink)
    return sink


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing stops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_programs, "Program", on(DEVICES))
        patch.setattr(runner, "_SECONDS_PER_CALL", 0.0)
        return go(jobs(probes=(0, 20)), tmp_path_factory.mktemp("whole"))


def same(a, b):
    """Results, and each member's metrics in order, to the last bit."""
    assert repr(sorted(a.results.items())) == repr(sorted(b.results.items()))
    assert repr(sorted(a.by_member().items())) == repr(sorted(b.by_member().items()))


# ---- one run -----------------------------------------------------------------------------------


@exact
def test_a_run_logs_every_chunk_and_probe(whole):
    assert whole.rewound == [dict.fromkeys(range(5), 0)]
    for index, records in whole.by_member().items():
        ends = [20, 40] if index != 1 else []
        looks = [r["step"] for r in records if "train_loss" in r]
        probes = [r["step"] for r in records if "adjoint_h" in r]
        assert probes == ([0] if index == 1 else [0, 20])
        assert len(records) == len(looks) + len(probes)
        if index == 1:
            assert len(looks) == 1
            assert looks[0] < 10  # where it diverged
        else:
            assert looks == [10, 20, 30, 40]
        assert set(ends) <= set(looks)
    ended = [whole.results[index]["status"] for index in range(5)]
    assert ended == ["finished", "diverged", "finished", "finished", "finished"]
    assert len({result["sha256"] for result in whole.results.values()}) == 5


@exact
def test_the_tally_counts_members_and_estimates_the_time(whole):
    first, last = whole.tallies[0], whole.tallies[-1]
    assert re.fullmatch(r"5 running, at most \d+\.\d minutes left", first)
    assert last == "4 finished, 1 diverged"
    counts = [[int(n) for n in re.findall(r"(\d+) (?:run|sol|fin|div)", t)] for t in whole.tallies]
    assert all(sum(c) == 5 for c in counts)
    tally = runner.Tally({"running": 2, "solved": 1}, left=300, updates=100)
    tally.started -= 60
    assert str(tally) == "2 running, 1 solved, at most 3.0 minutes left"
    tally.left = 100 * tally.updates  # too few to estimate by
    assert str(tally) == "2 running, 1 solved"


@exact
def test_a_probe_is_of_the_state_before_the_step(whole):
    job = jobs(probes=(0, 20))[2]
    drawn = job.spec.draw(job.key)
    made = trained.program(drawn.setup, 1, DEVICES)
    states, hypers = made.start([drawn])
    for step in (0, 20):
        logged = next(r for r in whole.by_member()[2] if r["step"] == step and "adjoint_h" in r)
        state = jax.tree.map(lambda leaf: np.array(leaf)[0], states)
        assert repr(logged) == repr({"step": step, **gradient_log.probe(made.train, state, ())})
        for _ in range(2):
            states, _ = made.advance(states, hypers, [0])


@exact
def test_one_member_by_itself_is_the_same(whole, tmp_path):
    job, records = jobs(probes=(0, 20))[3], []
    result = runner.run(job.spec.config, job.key, lambda **record: records.append(record))
    assert result["ms_per_step"] > 0
    assert {k: v for k, v in result.items() if k != "ms_per_step"} == whole.results[3]
    assert repr(records) == repr(whole.by_member()[3])


# ---- whatever stops it -------------------------------------------------------------------------


@exact
def test_stopped_after_every_call_it_ends_the_same_and_loses_that_call_alone(whole, tmp_path):
    sink, attempts = None, 0
    while True:
        attempts += 1
        assert attempts < 30  # it comes to an end
        before = sink
        try:
            # the second call of every process: the first is the one that was lost
            sink = Recorder(before, stop_after=2)
            runner.train(jobs(probes=(0, 20)), sink.done, tmp_path, "run", sink)
            break
        except Recorder.Stopped:
            if before is not None:
                again = sink.rewound[0]
                lost = {i: before.steps.get(i, again[i]) - again[i] for i in again}
                assert max(lost.values()) <= 10
                assert sum(map(bool, lost.values())) <= len(DEVICES)
    assert attempts > 4
    same(sink, whole)
    assert not (tmp_path / run_files.CHECKPOINTS).exists()


@exact
def test_a_run_resumes_on_another_number_of_devices(whole, tmp_path, monkeypatch):
    members = jobs(probes=(0, 20))
    sink = Recorder(stop_after=4)
    with pytest.raises(Recorder.Stopped):
        runner.train(members, set(), tmp_path, "run", sink)
    monkeypatch.setattr(group_programs, "Program", on(DEVICES[:1]))
    second = Recorder(sink, stop_after=3)
    with pytest.raises(Recorder.Stopped):
        runner.train(members, second.done, tmp_path, "run", second)
    assert max(second.rewound[0].values()) > 0
    monkeypatch.setattr(group_programs, "Program", on(DEVICES))
    third = go(members, tmp_path, second)
    assert max(third.rewound[0].values()) > 0
    same(third, whole)


@exact
def test_a_signal_is_put_off_until_all_is_saved(whole, tmp_path):
    class Asked(Exception):
        pass

    def handler(*_):
        raise Asked

    class Killed(Recorder):
        def say(self, tally):
            super().say(tally)
            if len(self.tallies) == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    members = jobs(probes=(0, 20), run={"checkpoint_seconds": 1e9})
    sink, old = Killed(), signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Asked):
            runner.train(members, set(), tmp_path, "run", sink)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, old)
    assert len(sink.tallies) == 4
    resumed = go(members, tmp_path, sink)
    assert resumed.rewound[0] == {i: s for i, s in sink.steps.items() if i not in sink.results}
    same(resumed, whole)


@exact
def test_the_other_processes_hear_of_a_signal_before_it_is_obeyed(tmp_path, monkeypatch):
    """One that comes after the exchange waits for the next: alone it would leave them waiting."""

    class Asked(Exception):
        pass

    def handler(*_):
        raise Asked

    flags = []

    def exchange(value):
        if isinstance(value, tuple):  # not the memory
            flags.append(value[1])
            if len(flags) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
        return [value]

    monkeypatch.setattr(runner.distributed, "exchange", exchange)
    old = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(Asked):
            runner.train(jobs(), set(), tmp_path, "run", Recorder())
    finally:
        signal.signal(signal.SIGTERM, old)
    assert flags == [False, False, True]


@exact
def test_a_finished_run_is_not_touched(whole, tmp_path):
    sink = Recorder(whole)
    runner.train(jobs(probes=(0, 20)), sink.done, tmp_path, "run", sink)
    assert sink.tallies == sink.rewound == []


# ---- memory, devices, company ------------------------------------------------------------------


@exact
@pytest.mark.parametrize("at_once", [1, 2])
def test_members_at_once_are_bits_alike(whole, tmp_path, at_once):
    sink = go(jobs(probes=(0, 20), run={"members_at_once": at_once}), tmp_path)
    same(sink, whole)
    assert [sorted(steps) for steps in sink.rewound] == (
        [[0], [1], [2], [3], [4]] if at_once == 1 else [[0, 1], [2, 3], [4]]
    )


@exact
def test_a_program_that_does_not_fit_holds_fewer(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(group_programs, "_memory", lambda: 1)  # none fits: the smallest is tried
    sink = go(jobs(probes=(0, 20)), tmp_path)
    assert [sorted(steps) for steps in sink.rewound] == [[0, 1], [2, 3], [4]]
    same(sink, whole)


class Sized:
    """A program of 100 bytes a member and 50 more on each device."""

    mapping = "lax_map"

    def __init__(self, setup, capacity, devices, mapping):
        self.setup = setup
        devices = np.array(devices)
        self.mesh = SimpleNamespace(size=len(devices), devices=devices, local_devices=devices)
        self.slots = -(-capacity // len(devices))
        self.bytes_per_device = 100 * self.slots + 50


@pytest.mark.parametrize(("members", "room", "slots"), [(8, 450, 4), (8, 449, 3), (8, 150, 1)])
def test_as_many_members_as_the_memory_holds(members, room, slots, monkeypatch):
    """On each of two devices, which share it."""
    monkeypatch.setattr(group_programs, "Program", Sized)
    monkeypatch.setattr(
        group_programs, "_memory", lambda: 2 * (room + 0.5) / group_programs._MEMORY_SHARE
    )
    assert group_programs._fitting(Sized(None, members, DEVICES, "auto"), 1.0).slots == slots
    assert group_programs._fitting(Sized(None, members, DEVICES, "auto"), 0.1).slots == 1


@exact
def test_devices_without_work_are_given_some(whole, tmp_path, monkeypatch):
    """Members 0 … 2 lie on the first device: when two have ended the others are dealt anew."""
    calls = []
    real = Program.advance

    def advance(self, states, hypers, active):
        calls.append(sorted(slot // self.slots for slot in active))
        return real(self, states, hypers, active)

    monkeypatch.setattr(Program, "advance", advance)
    finished = {3, 4}  # both of the second device
    sink = Recorder()
    runner.train(jobs(probes=(0, 20)), finished, tmp_path, "run", sink)
    assert calls[0] == [0]
    assert [0, 1] in calls[1:3]
    for index in (0, 1, 2):
        assert repr(sink.results[index]) == repr(whole.results[index])


def test_groups_are_of_equal_programs_in_order():
    a, b = jobs(2), jobs(2, first=2, hidden_size=6)
    c = jobs(1, first=4, run={"members_at_once": 1})
    found = runner.groups([a[0], b[0], a[1], c[0], b[1]])
    assert [[job.index for job in group] for group in found] == [[0, 1], [2, 3], [4]]


def test_each_group_is_compiled_once(tmp_path, monkeypatch, caplog):
    """Two groups of members, each in three batches: two programs are compiled."""
    monkeypatch.setattr(group_programs, "Program", Program)
    run = {"members_at_once": 1}
    members = jobs(3, steps=10, run=run) + jobs(3, first=3, steps=10, hidden_size=3, run=run)
    with jax.log_compiles():
        sink = go(members, tmp_path)
    assert len(sink.rewound) == 6
    logged = [r.getMessage() for r in caplog.records]
    compiled = [
        line for line in logged if re.match(r"Finished XLA compilation of jit\(_loop", line)
    ]
    assert len(compiled) == 2, logged


@exact
def test_what_a_group_compiled_is_let_go_when_it_is_done(tmp_path, monkeypatch):
    """After each group, whose program is gone by then; between its batches it is kept."""
    events, made = [], []

    class Programs:
        def let_go(self, settle):
            events.append((len(sink.results), [program() is None for program in made]))

    def program(setup, capacity, mapping="auto"):
        one = copy.copy(trained.program(setup, capacity, DEVICES, mapping))
        made.append(weakref.ref(one))
        return one

    monkeypatch.setattr(runner, "CompiledPrograms", Programs)
    monkeypatch.setattr(group_programs, "Program", program)
    sink = Recorder()
    members = jobs(5, first=2) + jobs(2, first=7, run={"members_at_once": 1})
    runner.train(members, set(), tmp_path, "run", sink)
    assert events == [(5, [True]), (7, [True, True])]


def test_solved_members_stop_and_say_when(tmp_path):
    task = {"name": "adding", "length": 4, "solved_at": 0.12}
    easy = [
        trained.job(s, task=task, steps=400, learning_rate=3e-2, hidden_size=8, eval_batch_size=200)
        for s in range(2)
    ]
    sink = go(easy, tmp_path)
    for index, records in sink.by_member().items():
        result = sink.results[index]
        assert result["status"] == "solved"
        assert result["solved_at"] == result["steps"] == records[-1]["step"] < 400
        assert result["loss"] == records[-1]["loss"] <= 0.12 < records[-2]["loss"]
        assert result["diverged_at"] == np.inf
    assert sink.tallies[-1] == "2 solved"


# ---- the program by itself ---------------------------------------------------------------------


@exact
def test_bits_are_the_same_alone_in_pairs_and_on_any_devices():
    members = group()
    whole = bits(members)
    assert len(set(whole)) == len(members)
    assert bits(members, DEVICES[:1]) == whole
    assert [bits([m])[0] for m in members] == whole
    assert bits(members[1:3]) == whole[1:3]
    assert bits(members[::-1]) == whole[::-1]


@exact
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "task": {"name": "copy_memory", "delay": 4}, "window": 8},
        {"regularizer": "omega", "omega": 2.0},
    ],
)
def test_bits_are_the_same_for_other_programs(options):
    members = group(3, **options)
    whole = bits(members)
    assert len(set(whole)) == 3
    assert [bits([m], DEVICES[:1])[0] for m in members] == whole


@exact
def test_a_vmapped_program_agrees():
    members = group()
    (a, told_a), (b, told_b) = (run(members, mapping=m) for m in ("lax_map", "vmap"))
    for x, y in zip(jax.tree.leaves((a, told_a)), jax.tree.leaves((b, told_b)), strict=True):
        np.testing.assert_allclose(x[:5], y[:5], rtol=1e-4, atol=1e-5)


# ---- the boundary ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probes": (5,)}, "probes.at must hold multiples of eval_every=10 below steps=20, got 5"),
        ({"probes": (0, 20)}, "below steps=20, got 20"),
        ({"probes": (-10,)}, "below steps=20, got -10"),
        ({"probes": (0,), "layers": 2}, "probes.at needs one layer, one way"),
        ({"run": {"mapping": "map"}}, "unknown run.mapping 'map'.* .allowed: auto, lax_map, vmap"),
        (
            {"run": {"members_at_once": -1}},
            "run.members_at_once must be a whole number of at least 0, got -1",
        ),
        ({"run": {"keep": 0}}, "run.keep must be a whole number of at least 1, got 0"),
        ({"learning_rate": -1.0}, "training.learning_rate must be a finite number at least 0"),
    ],
)
def test_errors_name_the_key(options, message):
    with pytest.raises(ValueError, match=message):
        runner.check(trained.config(**options))


@exact
def test_another_run_s_checkpoint_is_refused(tmp_path):
    sink = Recorder(stop_after=3)
    with pytest.raises(Recorder.Stopped):
        runner.train(jobs(), set(), tmp_path, "run", sink)
    with pytest.raises(ValueError, match="belongs to another run"):
        runner.train(jobs(), set(), tmp_path, "another", Recorder())
