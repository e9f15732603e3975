"""Run directories, with a small experiment written for the tests; its plans are in test_plan.py."""

import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import rnnlab
from rnnlab.core import json_files, progress, run_files, signals
from rnnlab.core.errors import UserError
from rnnlab.lab.finish import rewrite
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.lab.run import run_plan
from rnnlab.report import page
from rnnlab.results.table import read_table
from tests.helpers.fake_experiment import SOURCE


@pytest.fixture(autouse=True)
def light_report(monkeypatch):
    """The report has its own tests: here a page that says how many members there were."""

    def write_report(run_dir):
        table = read_table(run_dir)
        (Path(run_dir) / "report.html").write_text(f"{len(table)} members")
        run_files.write_digests(run_dir)

    monkeypatch.setattr(page, "write_report", write_report)


def break_at(chosen: Experiment, cell: str, seed: int, error: BaseException) -> None:
    """Let one member of the fake experiment raise in its middle."""

    def hook(config):
        if (config.cell.name, config.seed) == (cell, seed):
            raise error

    chosen.module.hook = hook


# ---------------------------------------------------------------------------------------- runs


def test_run_writes_a_run_directory_that_load_run_reads(fake):
    table = rnnlab.run("fake", workdir="out", progress=False).table
    assert len(table) == 4
    run = rnnlab.load_run("out")
    assert run.finished
    assert run.report.read_text() == "4 members"
    assert run.config["task"] == {"T": 3, "lags": (1, 2), "noise": 0.5, "shuffle": True}
    assert list(run.table) == list(table)
    member = run.table[3]
    assert member.overrides == {"cell.name": "lstm", "seed": 1}
    assert member.config["cell"] == {"name": "lstm"}
    assert member.result["curve"] == [-1.0, -math.inf]
    assert member.metrics == tuple({"step": t, "loss": 1 / (1 + t)} for t in range(3))
    # the key of a member is made of its seed
    assert table[0].result == table[2].result != table[1].result
    assert [v.verdict for v in run.claims] == ["holds", "refuted"]
    assert all(v.as_expected for v in run.claims)
    (png, caption) = run.figures["draws"]
    assert caption == "What was drawn."
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20], "big") == 240  # 2 inches at 120 dpi
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "claims.json",
        "config.json",
        "digests.json",
        "figures",
        "figures.json",
        "members.jsonl",
        "metrics.jsonl",
        "report.html",
        "results.csv",
        "used",
    ]


def test_config_json_records_the_run_and_its_environment(fake):
    plan = make_plan("fake:full", sweep={("init.w_x", "seed"): [("zeros", 3)]})
    info = run_plan(plan, "out", progress=False).info
    assert info["experiment"] == "fake"
    assert info["file"] == "experiments/fake.py"
    assert info["arg"] == "full"
    assert info["sweep"] == {"init.w_x,seed": [["zeros", 3]]}
    assert info["members"] == 1
    assert info["hash"] == plan.hash
    assert info["description"].startswith("A fake experiment.")
    environment = info["environment"]
    assert environment["rnnlab"] == rnnlab.__version__
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(environment) == {
        *("rnnlab", "python", "jax", "jaxlib", "flax", "numpy"),
        *("platform", "device", "devices", "cores"),
    }


def test_a_finished_directory_is_read_and_nothing_runs_again(fake):
    chosen = load_experiment("fake")
    first = rnnlab.run(chosen, workdir="out", progress=False).table
    before = {p: p.stat().st_mtime_ns for p in Path("out").rglob("*")}
    assert list(rnnlab.run(chosen, workdir="out", progress=False).table) == list(first)
    assert len(chosen.module.ran) == 4
    assert {p: p.stat().st_mtime_ns for p in Path("out").rglob("*")} == before


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_an_interrupted_run_resumes(fake, error, capsys):
    whole = list(rnnlab.run("fake", workdir="whole", progress=False).table)
    chosen = load_experiment("fake")
    break_at(chosen, "lstm", 0, error)
    with pytest.raises(type(error)) as info:
        rnnlab.run(chosen, workdir="out", progress=False)
    if isinstance(error, RuntimeError):
        assert "in member 2 (cell.name=lstm seed=0)" in info.value.__notes__[0]
    run = rnnlab.load_run("out")
    assert not run.finished
    assert [m.index for m in run.table] == [0, 1]
    assert run.claims == []
    # it was stopped after two records of member 2, and once more in the middle of a line
    metrics = Path("out/metrics.jsonl")
    assert [r["member"] for r in json_files.read_jsonl(metrics)] == [0] * 3 + [1] * 3 + [2] * 2
    with open("out/members.jsonl", "a") as members:
        members.write('{"member": 2, "overr')

    again = load_experiment("fake")
    table = rnnlab.run(again, workdir="out").table
    assert again.module.ran == [("lstm", 0), ("lstm", 1)]
    assert "out: 2 of 4 members are finished" in capsys.readouterr().err
    assert [r["member"] for r in json_files.read_jsonl(metrics)] == [0] * 3 + [1] * 3 + [2] * 3 + [
        3
    ] * 3
    assert [(m.index, m.result, m.metrics) for m in table] == [
        (m.index, m.result, m.metrics) for m in whole
    ]


@pytest.mark.parametrize(("after", "finished", "logged"), [(1, 2, 2), (2, 3, 3)])
def test_a_command_s_members_stop_where_they_log_and_between_them(fake, after, finished, logged):
    """A signal in member 2, before its last call of log or after it: its handler raises nothing."""
    fake.write_text(SOURCE.replace("if t == 1:", f"if t == {after}:"))
    chosen, went_on, ended = load_experiment("fake"), [], []

    def hook(config):
        if (config.cell.name, config.seed) == ("lstm", 0):
            os.kill(os.getpid(), signal.SIGTERM)
            went_on.append(config.seed)

    def command():
        with signals.owned(ended.append):
            rnnlab.run(chosen, workdir="out", progress=False)

    chosen.module.hook = hook
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    with pytest.raises(signals.Interrupted):
        command()
    for number, handler in before.items():
        signal.signal(number, handler)
    assert went_on == [0]
    assert ended == []
    assert len(rnnlab.load_run("out").table) == finished
    metrics = json_files.read_jsonl("out/metrics.jsonl")
    assert [record["member"] for record in metrics].count(2) == logged
    assert len(metrics) == 6 + logged


def test_a_run_stopped_before_its_report_is_only_finished(fake, monkeypatch):
    write_report = page.write_report
    monkeypatch.setattr(page, "write_report", lambda run_dir: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rnnlab.run("fake", workdir="out", progress=False)
    assert not rnnlab.load_run("out").finished
    monkeypatch.setattr(page, "write_report", write_report)
    again = load_experiment("fake")
    rnnlab.run(again, workdir="out", progress=False)
    assert again.module.ran == []
    assert rnnlab.load_run("out").finished


def test_a_directory_of_another_config_shows_the_difference(fake):
    rnnlab.run("fake", workdir="out", progress=False)
    chosen = load_experiment("fake:full")
    config = chosen.get_config()
    config.task.noise = 0.25
    with pytest.raises(UserError, match="out holds a run with another config") as info:
        rnnlab.run(chosen, config, sweep={"seed": [0, 1, 2]}, workdir="out")
    lines = [line.strip() for line in str(info.value).splitlines()[1:]]
    assert lines == [
        "arg:  -> full",
        "task.T: 3 -> 100",
        "task.noise: 0.5 -> 0.25",
        "sweep.cell.name: ['rnn', 'lstm'] -> (none)",
        "sweep.seed: [0, 1] -> [0, 1, 2]",
    ]
    with pytest.raises(UserError, match="another order"):
        rnnlab.run("fake", sweep={"seed": [0, 1], "cell.name": ["rnn", "lstm"]}, workdir="out")
    with pytest.raises(UserError, match=r"sweep\.1\.cell\.name: \(none\) -> \['rnn'\]"):
        rnnlab.run("fake", sweep=[{"seed": [0, 1]}, {"cell.name": ["rnn"]}], workdir="out")


def test_a_directory_that_is_no_run_is_left_alone(fake):
    Path("out").mkdir()
    Path("out/thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="out is not empty and is no run directory"):
        rnnlab.run("fake", workdir="out")
    assert [p.name for p in Path("out").iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match="cannot make the run directory"):
        rnnlab.run("fake", workdir="out/thesis.tex")
    # what a write leaves that was killed in its middle does not count
    Path("killed").mkdir()
    Path("killed/.config.json.1.tmp").write_text("{")
    rnnlab.run("fake", workdir="killed", progress=False)


def test_a_directory_is_run_by_one_process_at_a_time(fake):
    fcntl = pytest.importorskip("fcntl")
    Path("out").mkdir()
    handle = os.open("out", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another process is running in out"):
        rnnlab.run("fake", workdir="out", progress=False)
    os.close(handle)
    rnnlab.run("fake", workdir="out", progress=False)


def test_a_narrowed_sweep_has_undecided_claims_and_says_why_no_figures(fake, capsys):
    rnnlab.run("fake", sweep={"cell.name": ["gru"]}, workdir="out", progress=False)
    run = rnnlab.load_run("out")
    assert [v.verdict for v in run.claims] == ["holds", "undecided"]
    assert run.claims[1].measured == "no member with cell.name=rnn"
    assert run.figures == {}
    assert "no member with cell.name=rnn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"draw": jax', '"draw": 1j, "x": jax', UserError, "result 'draw': .*complex"),
        (
            '    return {"draw"',
            '    return 0, {"draw"',
            UserError,
            "run must return a dict of results",
        ),
        ("log(step=t", "log(member=t", UserError, "`member` is set by the run"),
        ('"What was drawn."', "None", UserError, r"\(matplotlib Figure, caption\) for 'draws'"),
        ('{"draws"', '{"../draws"', UserError, "a figure's name is a file's"),
    ],
)
def test_results_and_figures_of_an_experiment_are_checked(fake, old, new, error, message):
    assert old in SOURCE
    fake.write_text(SOURCE.replace(old, new))
    with pytest.raises(error, match=message):
        rnnlab.run("fake", workdir="out", progress=False)
    assert not Path("draws.png").exists()


def test_a_step_given_first_is_the_member_s_own(fake):
    """rnnlab once took the step for the member's index: members 1 and 2 got the metrics of all."""
    fake.write_text(SOURCE.replace("log(step=t,", "log(t + 1,"))
    table = rnnlab.run("fake", workdir="out", progress=False).table
    curve = ({"step": 1, "loss": 1.0}, {"step": 2, "loss": 1 / 2}, {"step": 3, "loss": 1 / 3})
    assert [member.metrics for member in table] == [curve] * 4


def test_a_wrong_call_of_log_stops_the_first_member_and_spoils_nothing(fake):
    wrong = 'log({"loss": 1}) if not __import__("pathlib").Path("again").exists() else '
    fake.write_text(SOURCE.replace("log(step=t,", wrong + "log(step=t,"))
    chosen = load_experiment("fake")
    with pytest.raises(UserError, match="log takes a step, if there is one, and metrics by name"):
        rnnlab.run(chosen, workdir="out", progress=False)
    assert chosen.module.ran == [("rnn", 0)]
    Path("again").touch()
    rnnlab.run(chosen, workdir="out", progress=False)
    assert rnnlab.load_run("out").finished


def test_a_finished_run_holds_nothing_that_killed_processes_left(fake):
    """Checkpoints of a process that was killed when its last member had finished, halves of files.

    Files that only look alike stay: they are not ours.
    """
    for folder in ("out/checkpoints/members-0-to-3/1", "out/figures", "out/params"):
        Path(folder).mkdir(parents=True)
    killed = ["out/.report.html.12.tmp", "out/figures/.a.png.7.tmp", "out/params/.0.npz.123.tmp"]
    own = ["out/.notes.tmp", "out/params/x.tmp", "out/.12.tmp"]
    chosen = load_experiment("fake")
    shutil.move("out", "remains")
    rnnlab.run(chosen, workdir="out", progress=False)
    for finished in (True, False):
        shutil.copytree("remains", "out", dirs_exist_ok=True)
        if not finished:
            Path("out/report.html").unlink()
        for path in killed + own:
            Path(path).write_text("half")
        rnnlab.run("fake", workdir="out", progress=False)
        assert not Path("out/checkpoints").exists()
        assert [path for path in killed + own if Path(path).exists()] == own


def test_figures_of_pyplot_are_closed(fake):
    plt = pytest.importorskip("matplotlib.pyplot")
    made = "from matplotlib.pyplot import figure as Figure"
    fake.write_text(SOURCE.replace("from matplotlib.figure import Figure", made))
    before = plt.get_fignums()
    rnnlab.run("fake", workdir="out", progress=False)
    assert plt.get_fignums() == before


def test_rewrite_makes_figures_and_claims_anew(fake, capsys):
    chosen = load_experiment("fake")
    break_at(chosen, "lstm", 1, RuntimeError())
    with pytest.raises(RuntimeError):
        rnnlab.run(chosen, workdir="out", progress=False)
    with pytest.raises(UserError, match="3 of 4 members"):
        rewrite("out")
    assert not Path("out/report.html").exists()
    rnnlab.run("fake", workdir="out", progress=False)

    drawn = Path("out/figures/draws.png")
    before = drawn.read_bytes()
    drawn.write_text("old")
    Path("out/report.html").write_text("old")
    run = rewrite("out")
    assert drawn.read_bytes() == before
    assert run.report.read_text() == "4 members"
    assert capsys.readouterr().err == ""


def test_progress_without_a_terminal_is_a_line_now_and_then(fake, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SPARSE_SECONDS", 0)
    rnnlab.run("fake", workdir="out")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "rnnlab: out: 0 of 4 members are finished"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"rnnlab: {n} of 4 members" for n in (1, 2, 3, 4)
    ]
    assert lines[-1].endswith("about 0.0 minutes left")
    monkeypatch.setattr(progress, "_SPARSE_SECONDS", 1000)
    rnnlab.run("fake", workdir="quiet")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_progress_on_a_terminal_is_a_bar_with_the_time_left(fake, monkeypatch):
    pty = pytest.importorskip("pty")
    chosen = load_experiment("fake")
    break_at(chosen, "lstm", 0, RuntimeError())
    with pytest.raises(RuntimeError):
        rnnlab.run(chosen, workdir="out", progress=False)
    screen, terminal = pty.openpty()  # which does not know its size, as in some containers
    with open(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        rnnlab.run("fake", workdir="out")
        monkeypatch.undo()
        drawn = os.read(screen, 10_000).decode()
    os.close(screen)
    assert "2/4 [00:00<" in drawn  # where it went on: elapsed<left
    assert "4/4" in drawn.split("\r")[-2]


def test_metrics_are_strict_json(fake):
    fake.write_text(SOURCE.replace("loss=1 / (1 + t)", "loss=-np.inf, norms=np.ones(2)"))
    table = rnnlab.run("fake", workdir="out", progress=False).table
    line = Path("out/metrics.jsonl").read_text().splitlines()[0]
    assert json.loads(line) == {"member": 0, "step": 0, "loss": "-inf", "norms": [1.0, 1.0]}
    assert table[0].metrics[0] == {"step": 0, "loss": -math.inf, "norms": [1.0, 1.0]}
