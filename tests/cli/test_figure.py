"""``rnnlab figure``: a figure of a run as a file, and requests that are refused in one line."""

import re
from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from tests.lab.test_run import light_report  # noqa: F401

SOURCE = '''
"""One."""
from ml_collections import ConfigDict
from rnnlab.plotting import plots

def get_config(arg=None):
    return ConfigDict({"seed": 0}).lock()

def get_sweep(config):
    return {"seed": [0, 1, 2]}

def run(config, key, log):
    return {"draw": 1.5 + config.seed}

def figures(table):
    figure, axes = plots.new_figure(1, 2, size=(9, 3))
    for ax in axes.flat:
        ax.plot(table.each("draw"))
    other, _ = plots.new_figure(size=(3, 2))
    return {"draws": (figure, "What was drawn. And more."), "other": (other, "Nothing.")}
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A working directory with a finished run."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(SOURCE)
    rnnlab.run("mine.py", workdir="out", progress=False)


def test_figures_are_listed_and_made(run, capsys):
    assert cli.main(["figure", "out"]) == 0
    assert capsys.readouterr().out == "draws  What was drawn\nother  Nothing\n"
    assert cli.main(["figure", "out", "draws", "--width=84mm"]) == 0
    assert capsys.readouterr().out == "figure: draws.pdf\n"
    box = re.search(rb"/MediaBox \[ ?([\d. ]+)\]", Path("draws.pdf").read_bytes())
    assert box is not None
    assert float(box[1].split()[2]) == pytest.approx(84 / 25.4 * 72, abs=0.1)
    assert cli.main(["figure", "out", "draws", "--style=talk", "--out=x.svg"]) == 0  # by its ending
    assert Path("x.svg").read_bytes().startswith(b"<?xml")

    Path("mine.py").write_text(SOURCE + "\n")  # another file by now
    assert cli.main(["figure", "out", "draws"]) == 2
    assert "mine.py has changed since the run began; --trust" in capsys.readouterr().err
    assert cli.main(["figure", "out", "draws", "--trust", "--format=png"]) == 0
    assert Path("draws.png").read_bytes().startswith(b"\x89PNG")


def test_requests_that_cannot_be_met_are_refused_in_one_line(run, capsys):
    for args, said in (
        ((), "figure takes a run directory and a name"),
        (("none",), "none is not a finished run"),
        (("out", "drows"), "unknown figure 'drows'; did you mean 'draws'?"),
        (("out", "draws", "--format=gif"), "unknown format 'gif'"),
        (("out", "draws", "--out=x.jpg"), "unknown format 'jpg'"),
        (("out", "draws", "--style=poster"), "unknown style 'poster'"),
        (("out", "draws", "--width=wide"), "a width such as 3.3in or 84mm, got 'wide'"),
        (("out", "draws", "--width=0.1in"), "at least 2 and at most 40, got 0.1"),
        (("out", "draws", "more"), "unexpected argument 'more'"),
        (("out", "draws", "--out=none/x.pdf"), "make it first"),
    ):
        assert cli.main(["figure", *args]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert said in err
    assert sorted(path.name for path in Path().iterdir()) == ["mine.py", "out"]
