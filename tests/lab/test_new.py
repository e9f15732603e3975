"""Starting files: what is written works as it is."""

import re
from pathlib import Path

import pytest

from rnnlab import cli
from rnnlab.core.errors import UserError
from rnnlab.lab import check, new
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name", "file"),
    [
        ("cell", "my-cell", "my_cell.py"),
        ("task", "recall", "recall.py"),
        ("scheme", "near", "near.py"),
    ],
)
def test_what_is_written_passes_its_check(kind, name, file, capsys):
    assert cli.main(["new", kind, name]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"wrote {file}\nnext: rnnlab check {file}\n")
    (checked,) = check.check_files([file])
    assert checked.registered == (kind, name, file)
    assert checked.passed, checked.outcomes
    left = re.findall(r"NAME|CLASS|SNAKE|FILE", Path(file).read_text() + printed)
    assert not left


def test_a_written_cell_enters_the_built_in_figure_with_its_options():
    new.write("cell", "mine")
    loaded = load_experiment("gradient_vanishing", use=["mine.py"])
    assert loaded.get_config().cell.alpha == 1.0
    sweep = {"cell.name": ["mine"], "cell.alpha": [0.5, 1.0]}
    assert len(make_plan(loaded, sweep=sweep).members) == 2


def test_a_written_experiment_is_planned_as_one():
    written = new.write("experiment", "study", "mine/study_2.py")
    assert written.commands[-1] == "rnnlab run --config=mine/study_2.py"
    plan = make_plan("mine/study_2.py")
    assert len(plan.members) == 6
    assert plan.groups == 2
    assert plan.experiment.description.startswith("What does study ask?")


def test_nothing_is_overwritten():
    Path("mgu.py").write_text("precious")
    with pytest.raises(UserError, match=r"mgu\.py exists and is not overwritten: give another --o"):
        new.write("cell", "mgu")
    assert Path("mgu.py").read_text() == "precious"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["cel", "mgu"], "unknown kind 'cel'; did you mean 'cell'"),
        (["cell", "lstm"], "cell 'lstm' comes with rnnlab"),
        (["task", "adding"], "task 'adding' comes with rnnlab"),
        (["scheme", "a-b"], "the name of a scheme is made of letters, digits"),
        (["scheme", "class"], "'class' is a word of Python"),
        (["scheme", "jnp"], "the file itself uses the name 'jnp'"),
        (["cell", "params"], "the file itself uses the name 'Params'"),
        (["task", "batch"], "the file itself uses the name 'Batch'"),
        (["experiment", "my study"], "the name of an experiment is a file's"),
        (["cell", "mgu", "--out=mgu.txt"], "--out must end with .py"),
        (["cell"], "new takes a kind and a name"),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(args, words, capsys, folder):
    assert cli.main(["new", *args]) == 2
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert not list(folder.iterdir())
