"""benchmark: processes take turns, outputs are compared, a failing side is one line."""

import io
import os
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
    assert all(r["calls"] >= 1 and r["warm_calls"] >= 2 for r in logged)
    assert result["machine"]["cores"] == host.cores()
    assert {"python", "numpy", "jax"} <= set(result["versions"])
    assert result["others_cpu"] is None or 0 <= result["others_cpu"] <= 1
    assert result["peak_mib"]["sum"].keys() == {"plain", "env"}


def test_parts_work_in_a_process_each(loaded, tmp_path):
    request = request_of(loaded, tmp_path, ("parts",))
    np.save(tmp_path / "input.npy", np.arange(1.0, 5.0))
    found = benchmark_process.ask(request, {})["call"]
    arrays = dict(np.load(found["file"]))
    assert arrays["/part 0"].tolist() == [1, 3]
    assert arrays["/part 1"].tolist() == [2, 4]
    assert len({os.getpid(), *(float(arrays[f"/process/{i}"]) for i in "01")}) == 3


def request_of(loaded, folder, names):
    (folder / "outputs").mkdir()
    return {
        "codes": benchmark_worker.encode_codes(load.codes_of(loaded.module.__name__)),
        "file": "mine.py",
        "config": config(loaded, sides=names).to_dict() | {"sides": list(names)},
        "folder": str(folder),
        "sides": "sides",
        "prepare": "prepare",
        "side": names[0],
        "seconds": 1e-6,
        "task": "outputs",
        "peaks": False,
        "outputs": str(folder / "outputs"),
        "answer": str(folder / "answer"),
    }


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
    with pytest.raises(UserError, match=words) as error:
        benchmark_process.ask(request_of(loaded, tmp_path, (side,)), {})
    assert "\n" not in str(error.value)


def test_an_interrupt_ends_the_process(loaded, tmp_path, monkeypatch):
    request = request_of(loaded, tmp_path, ("hang",))
    pid = tmp_path / "pid"

    def check():
        if pid.exists() and pid.read_text().endswith("\n"):
            raise KeyboardInterrupt

    monkeypatch.setattr(benchmark_process.signals, "check", check)
    monkeypatch.setattr(benchmark_process, "_SECONDS_TO_LOOK", 0.05)
    with pytest.raises(KeyboardInterrupt):
        benchmark_process.ask(request, {})
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text().split()[1]), 0)


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
    found = timing.measure(clocked(monkeypatch, falling), 10.0)
    # the medians of calls 6 to 8 and of 9 to 11 are the first ones within 10%
    assert (found.warm_calls, found.steady) == (11, True)
    assert found.ms == pytest.approx([300] * len(found.ms))
    assert sum(found.ms) == pytest.approx(10_000, rel=0.05)


def test_warming_up_ends(monkeypatch):
    found = timing.measure(clocked(monkeypatch, [0.01 * 1.3**n for n in range(60)]), 1.5)
    assert not found.steady
    assert found.warm_calls > 7
    slow = timing.measure(clocked(monkeypatch, [3.0]), 1.0)
    assert (slow.warm_calls, slow.steady, slow.ms) == (2, False, [3000.0])


def test_work_before_a_call_is_not_timed(monkeypatch):
    now = [0.0]

    def spend(seconds):
        now[0] += seconds
        return seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    timed = Timed(lambda given: spend(given / 10), before=lambda: spend(5.0))
    assert timing.measure(timed, 6.0).ms == [500.0] * 3
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
