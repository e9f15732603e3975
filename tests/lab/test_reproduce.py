"""The set of experiments as one command and one page."""

import json
import shutil
from pathlib import Path

import pytest

from rnnlab import cli
from rnnlab.core.errors import UserError
from rnnlab.lab import catalog, reproduce
from rnnlab.report import page as report
from rnnlab.report.saved_run import load_finished
from tests.helpers.browser import in_browser
from tests.lab.test_run import SOURCE
from tests.report.test_page import HOLDS, REFUTED, make_run, on_a_phone


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """Two experiments that come with rnnlab, one that measures speed, and an empty ./experiments.

    ``bad`` expects the other verdict of its second claim.
    """
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "good.py").write_text(SOURCE)
    (folder / "bad.py").write_text(SOURCE.replace('"refuted", differ', '"holds", differ'))
    (folder / "speed_it.py").write_text(SOURCE)
    monkeypatch.setattr(catalog, "shared_dirs", lambda: [folder])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.py").write_text(SOURCE)
    return folder


def spoil(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_set_is_what_ships_but_for_speed(shipped):
    assert reproduce.names() == ["bad", "good"]
    assert [part.name for part in reproduce.plan(["good"])] == ["good"]
    with pytest.raises(UserError, match="unknown experiment 'god'; did you mean 'good'"):
        reproduce.plan(["god"])


def test_a_long_one_runs_when_asked(shipped, capsys):
    (shipped / "long.py").write_text(SOURCE + "\nREPRODUCE = False  # an hour\n")

    def named(*args, **keywords):
        return [part.name for part in reproduce.plan(*args, **keywords)]

    assert named() == ["bad", "good"]
    assert named(everything=True) == ["bad", "good", "long"]
    assert named(["long"]) == ["long"]
    assert cli.main(["reproduce", "--dry_run"]) == 0
    assert capsys.readouterr().out.endswith("\nleft out for time (--all): long\n")
    for option in ("--all", "--only=good"):
        assert cli.main(["reproduce", "--dry_run", option]) == 0
        assert "left out" not in capsys.readouterr().out


def test_the_real_set_has_no_speed_and_can_be_planned():
    parts = reproduce.plan()
    assert {"adding_problem", "gradient_vanishing", "trainability"} <= {p.name for p in parts}
    assert not any(part.name.startswith("speed") for part in parts)
    assert all(part.plan or "pip install" in part.reason for part in parts)
    minutes = sum(part.plan.seconds or 0 for part in parts if part.plan) / 60
    assert 0 < minutes < 40, "on 2 cores"


def test_one_command_one_page(shipped, capsys):
    assert cli.main(["reproduce"]) == 0
    out, err = capsys.readouterr()
    assert "rnnlab: bad\n" in err
    assert "✗ UNEXPECTED, refuted: cells draw apart: seed by seed\n" in out
    *_, summary, where = out.splitlines()
    assert summary.startswith("2 experiments in 0.")
    assert summary.endswith("4 claims: 2 hold, 2 refuted, 0 undecided; 1 unexpected")
    assert where == "page: runs/reproduce/reproduce.html"
    page = Path("runs/reproduce/reproduce.html").read_text("utf-8")
    assert page.count('<img src="data:image/') == 2
    assert page.count('<tr role="row" id="good-') == 2
    assert 'href="good/report.html"' in page
    assert Path("runs/reproduce/good/report.html").is_file()
    seconds = json.loads(Path("runs/reproduce/reproduce.json").read_text())
    assert set(seconds) == {"good", "bad"}

    # again: nothing runs, and the time is that of the run
    def times():
        return {p: p.stat().st_mtime_ns for p in Path("runs/reproduce").glob("*/*")}

    before = times()
    assert cli.main(["reproduce", "--strict"]) == 1
    assert "did not run" not in capsys.readouterr().out
    assert json.loads(Path("runs/reproduce/reproduce.json").read_text()) == seconds
    assert times() == before

    # a file that has changed is said; --rerun is the way on
    spoil(shipped / "good.py", "max below 1", "largest below 1")
    Path("runs/reproduce/reproduce.json").write_text("[]")
    assert cli.main(["reproduce"]) == 0
    out, err = capsys.readouterr()
    assert "good did not run: experiments/good.py has changed since the run" in out
    assert "reproduce.json is damaged: the times before now are lost" in err
    assert cli.main(["reproduce", "--only=good", "--rerun"]) == 0
    assert "did not run" not in capsys.readouterr().out
    assert "largest below 1" in Path("runs/reproduce/good/claims.json").read_text()


def test_dry_run_writes_nothing(shipped, capsys, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["reproduce", "--dry_run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "bad                   4 members, about 4.0 minutes",
        "good                  4 members, about 4.0 minutes",
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_experiment_that_cannot_run_is_named_and_the_others_run(shipped, capsys):
    spoil(
        shipped / "bad.py", "def check(config):", "def check(config):\n    raise ValueError('hm')"
    )
    shutil.copy(shipped / "good.py", shipped / "crash.py")
    spoil(shipped / "crash.py", "hook = lambda config: None", "hook = lambda config: 1 / 0")
    assert cli.main(["reproduce"]) == 0
    out, err = capsys.readouterr()
    assert "bad did not run: member 0 (cell.name=rnn seed=0): hm" in out
    assert "crash did not run: it failed: ZeroDivisionError: division by zero" in out
    assert "Traceback" in err
    assert "1 experiments in" in out
    page = Path("runs/reproduce/reproduce.html").read_text("utf-8")
    assert "crash did not run: it failed: ZeroDivisionError" in page
    assert "bad did not run: member 0" in page
    assert cli.main(["reproduce", "--strict"]) == 1


def test_when_nothing_can_run_there_is_a_page_that_says_so(shipped):
    for name in ("bad", "good"):
        spoil(
            shipped / f"{name}.py", "def check(config):", "def check(config):\n    raise ValueError"
        )
    assert cli.main(["reproduce"]) == 0
    page = Path("runs/reproduce/reproduce.html").read_text("utf-8")
    assert "good did not run" in page
    assert "0 claims" in page


def test_an_interrupted_set_resumes(shipped, capsys):
    spoil(shipped / "good.py", "hook = lambda config: None", "hook = lambda config: stop(config)")
    with (shipped / "good.py").open("a") as file:
        file.write("\n\ndef stop(config):\n    from pathlib import Path\n")
        file.write("    if config.cell.name == 'lstm' and not Path('again').exists():\n")
        file.write("        raise KeyboardInterrupt\n")
    assert cli.main(["reproduce"]) == 130
    assert "resume with: rnnlab reproduce" in capsys.readouterr().err
    page = Path("runs/reproduce/reproduce.html").read_text("utf-8")
    assert 'id="bad-1"' in page  # the finished one is on the page
    assert 'id="good-1"' not in page
    spent = json.loads(Path("runs/reproduce/reproduce.json").read_text())["good"]
    Path("again").touch()
    assert cli.main(["reproduce"]) == 0
    assert "2 experiments in" in capsys.readouterr().out
    assert json.loads(Path("runs/reproduce/reproduce.json").read_text())["good"] > spent


@in_browser
def test_the_page_on_a_phone(tmp_path):
    long = "w" * 120
    surprise = REFUTED | {"statement": long, "measured": long, "as_expected": False}
    environment = {"device": "cpu", "cores": 2, "jax": "1", "rnnlab": "1"}
    make_run(
        tmp_path / "one",
        claims=[HOLDS, surprise],
        experiment="one_" + "x" * 60,
        environment=environment,
    )
    make_run(tmp_path / "two", environment=environment)
    runs = {name: load_finished(tmp_path / name) for name in ("one", "two")}
    page = report.reproduction_report(tmp_path, runs, {"one": 90.0}, {"three": long})
    shown = on_a_phone(page)
    assert shown["inner"] == 360
    assert (shown["drawn"], shown["images"]) == ("2", "2")
    assert int(shown["overflow"]) <= 0
