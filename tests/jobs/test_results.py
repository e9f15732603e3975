"""Jobs of a new user: numbers in the terminal, pandas, two runs compared, TensorBoard."""

import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from tests.report.test_tensorboard import events, hparams

HERE = Path(__file__).parent
SHORT = (  # so that the test is cheap; a user trains longer
    "--config.training.steps=4",
    "--config.training.eval_every=2",
    "--config.cell.hidden_size=3",
)


def commands(job: str) -> list[list[str]]:
    """The commands of a job's file, without the program's name."""
    text = (HERE / job / "commands.sh").read_text().replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    assert all(line[0] == "rnnlab" for line in lines if line)
    return [line[1:] for line in lines if line]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with the user's file and the runs that the jobs look at, and what was printed."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copy(HERE / "job_02_schemes_on_a_csv" / "load.csv", folder)
    (run,) = commands("job_02_schemes_on_a_csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "80")
        patch.setattr("rnnlab.lab.facets.draw", lambda *a: {})  # figures have tests of their own
        assert cli.main([*run, *SHORT]) == 0
        yield folder


@pytest.fixture
def here(work, monkeypatch):
    """The folder, as the working directory."""
    monkeypatch.chdir(work)
    monkeypatch.setenv("COLUMNS", "80")
    return work


def test_job_2_three_numbers_with_intervals_by_one_command(here, capsys):
    (run,) = commands("job_02_schemes_on_a_csv")
    assert cli.main([*run, *SHORT]) == 0  # it is finished: this prints it again
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    frame = rnnlab.load_run("runs/load").to_frame()
    heading, units = out.splitlines()[2:4]
    assert heading.split()[:1] == ["rmse"]
    assert units.startswith("init.w_h")
    assert "(units of load)" in units
    assert "median [lowest, highest] over 2 seeds; * best" in out
    for scheme in ("orthogonal", "xavier_uniform", "he_normal"):
        (line,) = (line for line in out.splitlines() if line.startswith(scheme))
        median, low, high = map(float, re.findall(r"[\d.]+", line)[:3])
        losses = frame[frame["init.w_h"] == scheme]["rmse"]
        assert (median, low, high) == pytest.approx(
            (losses.median(), losses.min(), losses.max()), rel=1e-3
        )
    assert out.count("? ") >= 6  # the claims are about other cells, and hide nothing
    assert "table: runs/load/results.csv" in out


def test_job_7_to_pandas_in_one_line(here):
    script = HERE / "job_07_to_pandas" / "to_pandas.py"
    assert sum("import" not in line for line in script.read_text().split("\n") if line) == 1
    frame = runpy.run_path(str(script))["frame"]
    assert len(frame) == 6
    assert set(frame["init.w_h"]) == {"orthogonal", "xavier_uniform", "he_normal"}
    run = rnnlab.load_run("runs/load")
    assert frame["loss"].tolist() == [m.result["loss"] for m in run.table]
    steps = run.metrics_frame()
    assert steps["step"].tolist() == [2, 4] * 6
    assert steps.groupby("member")["loss"].last().tolist() == frame["loss"].tolist()


@pytest.fixture(scope="module")
def longer(work):
    """A second run with other members, and what its callback saw."""
    seen: list = []
    values = {"task.path": "load.csv", "task.column": "load", "cell.hidden_size": 3}
    values |= {"training.steps": 6, "training.eval_every": 2, "cell.name": "gru"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setattr("rnnlab.lab.facets.draw", lambda *a: {})
        run = rnnlab.run(
            "forecasting",
            values,
            sweep={"init.w_h": ("orthogonal",), "seed": (0, 1)},
            workdir="runs/long",
            progress=False,
            on_metrics=lambda *call: seen.append(call),
        )
    return run, seen


def test_a_callback_sees_members_that_train_as_one_program_at_every_look(longer):
    run, seen = longer
    assert [(member, record["step"]) for member, _, record in seen] == [
        (member, step) for step in (2, 4, 6) for member in (0, 1)
    ]
    assert [overrides["seed"] for _, overrides, _ in seen] == [0, 1] * 3
    assert {member: dict(record) for member, _, record in seen} == {
        m.index: m.metrics[-1] for m in run.table
    }


def test_job_9_two_runs_compared(longer, here, capsys):
    for command in commands("job_09_two_runs"):
        assert cli.main(command) == 0
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith("orthogonal")]
    assert rows == [["orthogonal", "4"], ["orthogonal", "6"]] * 2
    assert out.endswith("comparison: compare.html\n")
    assert "training.steps" in Path("compare.html").read_text()


def test_job_10_tensorboard_has_names_and_hparams(here, capsys):
    (command,) = commands("job_10_tensorboard")
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "tensorboard --logdir=runs/load/tensorboard\n"
    folder = here / "runs/load/tensorboard"
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    assert set(names) == {
        f"init.w_h={scheme},seed={seed}"
        for seed in (0, 1)
        for scheme in ("orthogonal", "xavier_uniform", "he_normal")
    }
    found = hparams(folder)
    experiment = found["."]["experiment"].experiment
    assert {info.name for info in experiment.hparam_infos} >= {"init.w_h", "seed"}
    assert "result/loss" in {info.name.tag for info in experiment.metric_infos}
    losses = {tag: value for tag, _, value in events(folder)[names[0]]}
    assert losses["result/loss"] == losses["loss"]
