"""``rnnlab table``: runs in the terminal, side by side, and as CSV."""

import io
from pathlib import Path

import pandas as pd
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.lab.load import load_experiment
from tests.lab.test_run import SOURCE, break_at, light_report  # noqa: F401


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """A working directory with two finished runs, of the base config and of shorter members."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    source = SOURCE.replace("jax.random.uniform(key)", "config.task.T + jax.random.uniform(key)")
    Path("fake.py").write_text(source)
    rnnlab.run("fake.py", workdir="a", progress=False)
    rnnlab.run("fake.py", {"task.T": 2}, workdir="b", progress=False)


def table(capsys, *args: str) -> str:
    """Return the output of ``rnnlab table``."""
    assert cli.main(["table", *args]) == 0
    return capsys.readouterr().out


def test_one_run(capsys):
    out = table(capsys, "a")
    assert out.startswith("fake: median [lowest, highest] over 2 seeds\n")
    frame = rnnlab.load_run("a").to_frame()
    for cell in ("rnn", "lstm"):
        draws = sorted(frame[frame["cell.name"] == cell]["draw"])
        expected = f"{sum(draws) / 2:.4g} [{draws[0]:.4g}, {draws[1]:.4g}]"
        (line,) = (line for line in out.splitlines() if line.startswith(cell))
        assert expected in " ".join(line.split())


def test_several_runs_are_named_by_what_differs(capsys):
    lines = table(capsys, "a", "b", "--metric=draw").splitlines()
    assert lines[2].split() == ["cell.name", "task.T", "draw"]
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["rnn", "3"],
        ["rnn", "2"],
        ["lstm", "3"],
        ["lstm", "2"],
    ]
    # equal members of two runs are no repetitions of each other
    Path("a").rename("other")
    rnnlab.run("fake.py", workdir="a", progress=False)
    frame = pd.read_csv(io.StringIO(table(capsys, "a", "other", "--csv=-")))
    assert list(frame.columns[:3]) == ["cell.name", "directory", "members"]
    assert frame["directory"].tolist() == ["a", "other"] * 2
    assert frame["members"].tolist() == [2] * 4


def test_runs_of_two_experiments(capsys):
    Path("fake.py").rename("other.py")
    rnnlab.run("other.py", workdir="c", progress=False)
    frame = pd.read_csv(io.StringIO(table(capsys, "a", "c", "--csv=-", "--metric=draw")))
    assert list(frame.columns[:3]) == ["experiment", "cell.name", "members"]
    assert frame["experiment"].tolist() == ["fake"] * 2 + ["other"] * 2
    assert frame["draw"].tolist()[:2] == frame["draw"].tolist()[2:]  # the same seeds


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a", "b", "--by=cell.name"], "members differ in task.T (3, 2), which --by does not name"),
        (["a", "--by=seed"], "--by=seed,cell.name"),
        (["a", "--by=seeds"], "unknown axis 'seeds'"),
        (["a", "--metric=draws"], "unknown result 'draws'; did you mean 'draw'"),
        (["a", "--metric=curve"], "the result curve is a list"),
        ([], "table takes a run directory or more"),
        (["c"], "c is no run directory"),
        (["a", "--csv=none/x.csv"], "make it first"),
    ],
)
def test_what_is_refused(capsys, args, message):
    assert cli.main(["table", *args]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_rows_per_seed_and_a_file(capsys):
    assert table(capsys, "a", "--by=cell.name,seed", "--csv=all.csv") == "table: all.csv\n"
    frame = pd.read_csv("all.csv").set_index(["cell.name", "seed"])["draw"]
    expected = rnnlab.load_run("a").to_frame().set_index(["cell.name", "seed"])["draw"]
    assert frame.to_dict() == expected.to_dict()


def test_an_unfinished_run_shows_what_it_has(capsys):
    chosen = load_experiment("fake.py")
    break_at(chosen, "lstm", 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rnnlab.run(chosen, workdir="c", progress=False)
    assert "fake (2 of 4 members are finished): median" in table(capsys, "c")
    run = rnnlab.load_run("c")
    assert repr(run) == "Run(fake: 2 of 4 members, not finished; c)"
    frame = run.metrics_frame()
    assert frame["member"].tolist() == [0] * 3 + [1] * 3 + [2] * 2
    assert frame["cell.name"].tolist() == ["rnn"] * 6 + ["lstm"] * 2
    break_at(chosen, "rnn", 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        rnnlab.run(chosen, workdir="d", progress=False)
    out = table(capsys, "d")
    assert "no member is finished: the last metrics" in out
    assert "loss  0.5" in out
    assert "seconds" not in out  # they are not known yet
