"""benchmark: processes take turns, outputs are compared, a failing side is one line."""

import contextlib
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core import host
from rnnlab.core.errors import UserError
from rnnlab.lab import benchmark, benchmark_process, benchmark_worker, load, sweep, timing
from rnnlab.lab.load import load_experiment
from rnnlab.lab.sides import Timed
from rnnlab.results.table import Member, Table
from tests.helpers.benchmarks import in_process

SOURCE = '''
"""Two sides and some that fail."""
import os
import sys
import time

import numpy as np
from ml_collections import ConfigDict

from rnnlab.lab import benchmark
from rnnlab.lab.benchmark import Side, Timed


def get_config():
    run = {"rounds": 5, "seconds": 1e-6, "seconds_per_member": 1.0, "seconds_per_group": 0.0}
    return ConfigDict({"seed": 0, "sides": ("plain", "env"), "factor": 1.0, "run": run})


def prepare(config, folder):
    np.save(folder / "input.npy", np.arange(1.0, 5.0))


def sides(config, folder):
    def read():
        return np.load(folder / "input.npy")

    def plain():
        x = read()
        return {"square": lambda: {"y": x * x}, "sum": Timed(lambda y: y.sum(), before=lambda: x)}

    def env():
        x = read() * float(os.environ["FACTOR"])
        return {"square": lambda: {"y": x * x}, "sum": lambda: x.sum() * config.factor}

    def part(index):
        x = read()[index::2]
        return lambda: {f"part {index}": x, "process": {f"{index}": float(os.getpid())}}

    def boom():
        raise OSError("no such thing")

    def crash():
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 11)

    def hang():
        print("started", os.getpid(), file=open(folder / "pid", "w"), flush=True)
        time.sleep(600)

    every = {
        "plain": Side(plain),
        "env": Side(env, env={"FACTOR": "1.0"}, tolerance=1e-6),
        "lacking": Side(plain, packages=("no_such_package",)),
        "boom": Side(boom),
        "crash": Side(crash),
        "hang": Side(hang),
        "parts": Side([lambda: part(0), lambda: part(1)], tolerance=None),
    }
    return {name: every[name] for name in config.sides}


def run(config, key, log):
    return benchmark.measure(sides, config, log, prepare=prepare)
'''


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "mine.py"
    path.write_text(SOURCE)
    return load_experiment(path)


def config(loaded, **changes):
    return sweep.apply(loaded.get_config(), changes)


def test_two_sides_in_processes_of_their_own(loaded, monkeypatch):
    """The only test that starts every process of a benchmark."""
    monkeypatch.setattr(benchmark, "LEAST_ROUNDS", 2)
    logged = []
    short = config(loaded, **{"run.rounds": 2})
    result = loaded.module.run(short, None, lambda **record: logged.append(record))
    assert result["difference"] == {"square": {"plain": 0, "env": 0}, "sum": {"plain": 0, "env": 0}}
    for name in ("square", "sum"):
        assert {side: len(ms) for side, ms in result["ms"][name].items()} == {"plain": 2, "env": 2}
        for side, ms in result["ms"][name].items():
            of_side = [r["ms"] for r in logged if r["side"] == side and r["name"] == name]
            assert ms == of_side
            assert result[f"{side}_{name}_ms"] == np.median(ms) > 0
    order = [(r["round"], r["side"]) for r in logged if r["name"] == "sum"]
    assert order == [(r, s) for r in range(2) for s in ("plain", "env")[:: -1 if r % 2 else 1]]
    assert all(r["calls"] >= 1 for r in logged)
    assert result["machine"]["cores"] == host.cores()
    assert {"python", "numpy", "jax"} <= set(result["versions"])
    assert result["others_cpu"] is None or 0 <= result["others_cpu"] <= 1
    assert result["peak_mib"]["sum"] == {"plain": None, "env": None}  # not asked for


def test_parts_work_in_a_process_each_and_end_with_theirs(loaded, tmp_path):
    np.save(tmp_path / "input.npy", np.arange(1.0, 5.0))
    with contextlib.closing(process_of(loaded, tmp_path, "parts")) as process:
        found = outputs_of(process, tmp_path)["call"]
        arrays = dict(np.load(found["file"]))
        parts = {int(arrays[f"/process/{i}"]) for i in "01"}
        # all of them are one group, whose time counts as the benchmark's own
        assert {os.getpgid(pid) for pid in parts} == {process.group}
        assert process.group not in parts
        assert len(parts) == 2
    assert arrays["/part 0"].tolist() == [1, 3]
    assert arrays["/part 1"].tolist() == [2, 4]
    assert all(has_ended(pid) for pid in parts)


def has_ended(pid):
    for _ in range(1000):  # a killed process that has lost its parent is reaped a moment later
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def process_of(loaded, folder, side):
    request = {
        "codes": benchmark_worker.encode_codes(load.codes_of(loaded.module.__name__)),
        "file": "mine.py",
        "config": config(loaded, sides=(side,)).to_dict() | {"sides": [side]},
        "folder": str(folder),
        "sides": "sides",
        "prepare": "prepare",
        "side": side,
    }
    return benchmark_process.Process(request, {})


def outputs_of(process, folder):
    return process.ask("outputs", folder=str(folder), peaks=False)


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (
            "boom",
            r"mine.py: side 'boom' failed while its outputs were computed: "
            r"OSError: no such thing \(mine.py, line 40\)",
        ),
        ("crash", r"side 'crash' failed .*: it was ended by SIGSEGV; its last line: last words"),
    ],
)
def test_a_side_that_fails_is_one_line(loaded, tmp_path, side, words):
    with (
        contextlib.closing(process_of(loaded, tmp_path, side)) as process,
        pytest.raises(UserError, match=words) as error,
    ):
        outputs_of(process, tmp_path)
    assert "\n" not in str(error.value)


def test_an_interrupt_ends_the_process(loaded, tmp_path, monkeypatch):
    pid = tmp_path / "pid"

    def check():
        if pid.exists() and pid.read_text().endswith("\n"):
            raise KeyboardInterrupt

    monkeypatch.setattr(benchmark_process.signals, "check", check)
    monkeypatch.setattr(benchmark_process, "_SECONDS_TO_LOOK", 0.05)
    with (
        pytest.raises(KeyboardInterrupt),
        contextlib.closing(process_of(loaded, tmp_path, "hang")) as process,
    ):
        outputs_of(process, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text().split()[1]), 0)


def test_a_process_stays_for_all_rounds_unless_new_ones_are_asked_for(loaded, monkeypatch):
    in_process(monkeypatch)
    started, ended = [], []
    fake = benchmark.Process

    class Counted(fake):
        def __init__(self, request, env):
            super().__init__(request, env)
            started.append(request["side"])

        def close(self):
            ended.append(self)

    monkeypatch.setattr(benchmark, "Process", Counted)
    module = loaded.module
    benchmark.measure(module.sides, config(loaded), prepare=module.prepare)
    assert started == ["", "plain", "env"]
    assert len(set(ended)) == len(ended) == 3
    started.clear()
    benchmark.measure(module.sides, config(loaded), prepare=module.prepare, renew=True)
    assert sorted(started) == ["", *["env"] * 6, *["plain"] * 6]


def test_a_side_that_does_not_sleep_counts_as_another(loaded, monkeypatch):
    in_process(monkeypatch)
    asked = []
    monkeypatch.setattr(host, "cpu_time", lambda groups=(): asked.append(list(groups)))
    result = loaded.module.run(config(loaded), None, None)
    # in the pause before a round nothing of the benchmark's is own; in the round its processes are
    assert asked == [[], [], [-1, -1], [-1, -1]] * 5
    assert result["others_cpu"] is None  # no time was known


def test_only_the_passes_that_are_asked_for_are_timed(loaded, monkeypatch):
    in_process(monkeypatch)
    module = loaded.module
    result = benchmark.measure(
        module.sides, config(loaded), prepare=module.prepare, passes=("sum",), peaks=True
    )
    assert result["ms"].keys() == {"sum"}
    assert result["difference"].keys() == {"square", "sum"}
    for mib in result["peak_mib"]["square"].values():
        assert mib is None or mib >= 0
    with pytest.raises(ValueError, match="unknown passes 'both'"):
        benchmark.measure(module.sides, config(loaded), prepare=module.prepare, passes=("both",))


def test_a_way_that_loses_by_far_is_measured_once(loaded, monkeypatch):
    in_process(monkeypatch)
    times = {"plain": 1.0, "one": 10.0, "two": 19.0, "three": 21.0}

    def measure(timer, seconds):
        del seconds
        return timing.Times([times[timer.timed.call()]], 0, True)

    def named(config, folder):
        del config, folder
        return {
            name: benchmark.Side(
                lambda name=name: Timed(lambda: name, outputs=lambda _: 1.0),
                way_of=None if name == "plain" else "a tool",
            )
            for name in times
        }

    named.__module__, named.__name__ = loaded.module.__name__, "sides"
    monkeypatch.setattr(loaded.module, "sides", named)
    monkeypatch.setattr(timing.Timer, "measure", measure)
    result = benchmark.measure(named, config(loaded))
    lengths = {side: len(ms) for side, ms in result["ms"]["call"].items()}
    # three is slower than twice one, the tool's fastest; that plain is faster does not matter
    assert lengths == {"plain": 5, "one": 5, "two": 5, "three": 1}
    assert result["once"] == {"call": ["three"]}


def test_other_outputs_are_not_timed(loaded, monkeypatch):
    in_process(monkeypatch)
    with pytest.raises(UserError, match=r"env, sum: .* off those of plain by 5\.0e-01 .* 1e-06"):
        loaded.module.run(config(loaded, factor=1.5), None, None)


def test_a_side_without_its_package_is_left_out_and_the_first_must_not_be(
    loaded, monkeypatch, capsys
):
    in_process(monkeypatch)
    result = loaded.module.run(config(loaded, sides=("plain", "lacking")), None, None)
    assert result["left_out"] == {"lacking": "needs no_such_package"}
    assert result["ms"]["sum"].keys() == {"plain"}
    assert "lacking is left out: it needs no_such_package" in capsys.readouterr().err
    with pytest.raises(UserError, match="lacking needs no_such_package"):
        loaded.module.run(config(loaded, sides=("lacking", "plain")), None, None)


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("KMP_BLOCKTIME", "infinite")]
)
def test_threads_that_never_sleep_are_refused(loaded, monkeypatch, name, value):
    in_process(monkeypatch)
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"mine.py: plain has {name}={value}, .*unset it"):
        loaded.module.run(config(loaded), None, None)
    monkeypatch.setenv(name, "200")
    assert loaded.module.run(config(loaded), None, None)["ms"]


def test_a_busy_machine_is_said(loaded, monkeypatch, capsys):
    in_process(monkeypatch)
    monkeypatch.setattr(host, "others_share", lambda before, after: 0.25)
    result = loaded.module.run(config(loaded, sides=("plain",)), None, None)
    assert result["others_cpu"] == 0.25
    assert "other processes used 25% of its CPU" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run.rounds": 4}, "run.rounds must be a whole number of at least 5, got 4"),
        ({"run.seconds": 0.0}, "run.seconds must be a finite number above 0, got 0.0"),
        ({"sides": ()}, "sides returned no side"),
    ],
)
def test_bad_benchmarks_are_refused(loaded, changes, words):
    with pytest.raises(ValueError, match=words):
        loaded.module.run(config(loaded, **changes), None, None)
    with pytest.raises(ValueError, match="no experiment's file"):
        benchmark.measure(lambda config, folder: {}, config(loaded))
    with pytest.raises(ValueError, match="pip install no_such_package"):
        benchmark.check(config(loaded), "no_such_package")


# ---- timing ------------------------------------------------------------------------------------


def clocked(monkeypatch, durations):
    """A call whose times are given, in seconds; the last one repeats."""
    now = [0.0]
    todo = list(durations)

    def call():
        now[0] += todo.pop(0) if len(todo) > 1 else todo[0]

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return Timed(call)


def test_calls_are_timed_once_they_are_steady(monkeypatch):
    falling = [9.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.3]
    timer = timing.Timer(clocked(monkeypatch, falling))
    found = timer.measure(10.0)
    # the medians of calls 6 to 8 and of 9 to 11 are the first ones within 10%
    assert (found.warm_calls, found.steady) == (11, True)
    assert found.ms == pytest.approx([300] * len(found.ms))
    assert sum(found.ms) == pytest.approx(10_000, rel=0.05)
    # in the next round it is warmed up for a fifth of the seconds
    again = timer.measure(2.9)
    assert (again.warm_calls, again.steady) == (2, True)
    assert len(again.ms) == 10


def test_warming_up_ends(monkeypatch):
    found = timing.Timer(clocked(monkeypatch, [0.01 * 1.3**n for n in range(60)])).measure(1.5)
    assert not found.steady
    assert found.warm_calls > 7


def test_a_call_that_is_longer_than_its_seconds_is_made_once_per_round(monkeypatch):
    slow = timing.Timer(clocked(monkeypatch, [30.0, 3.0]))
    assert slow.measure(1.0) == ([3000.0], 2, True)
    assert slow.measure(1.0) == ([3000.0], 0, True)
    drifting = timing.Timer(clocked(monkeypatch, [30.0, 5.0, 4.0, 2.0]))
    drifting.compare()  # which counts as the first call
    assert drifting.measure(1.0) == ([4000.0], 1, False)


def test_work_before_a_call_is_not_timed(monkeypatch):
    now = [0.0]

    def spend(seconds):
        now[0] += seconds
        return seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    timed = Timed(lambda given: spend(given / 10), before=lambda: spend(5.0))
    assert timing.Timer(timed).measure(6.0).ms == [500.0] * 2
    assert Timed(lambda: 2.0, outputs=lambda y: y + 1, compared=2).compare() == [3.0, 3.0]


def test_the_page_s_experiment_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    page = (Path(__file__).parents[2] / "docs/howto/benchmark.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(page.split("```python\n")[1].split("```")[0])
    in_process(monkeypatch)
    mine = load_experiment(tmp_path / "mine.py")
    result = mine.module.run(config(mine, **{"run.seconds": 1e-6}), None, None)
    assert result["ms"]["call"].keys() == {"rnnlab", "torch", "torch, 1 thread"}
    assert 0 < result["difference"]["call"]["torch"] < 1e-5
    member = Member(0, {}, {}, 0.0, result)
    figure, caption = mine.module.figures(Table([member]))["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn
    assert "process of its own" in caption
