"""Broken experiment files are refused in one line that names the file and the error.

tests/lab/test_run.py loads sound ones.
"""

import hashlib
import sys
from pathlib import Path

import pytest

from rnnlab import cli
from rnnlab.core.errors import UserError
from rnnlab.lab import load
from rnnlab.lab.load import load_experiment
from rnnlab.training import runner

SOURCE = '''"""A least experiment."""
from ml_collections import ConfigDict
from rnnlab.training import runner


def get_config():
    return ConfigDict({"seed": 0})


def get_sweep(config):
    return {"seed": range(2)}


def run(config, key, log): ...
def figures(table): ...
def claims(table): ...
'''


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes experiments/own.py below an empty folder, which is where we are."""
    monkeypatch.chdir(tmp_path)
    file = Path("experiments/own.py")
    file.parent.mkdir()

    def put(source=SOURCE):
        file.write_bytes(source if isinstance(source, bytes) else source.encode())
        return file

    yield put
    sys.modules.pop("rnnlab_experiment_own", None)


BROKEN = {
    "syntax": (SOURCE + "def f(:\n", r"own\.py is not Python: invalid syntax, line \d+$"),
    "null": (SOURCE + "\0", r"own\.py is not Python: .*null bytes"),
    "encoding": (SOURCE.encode() + b"x = '\xe9'\n", r"own\.py is not Python: .*utf-8.* line \d+$"),
    "indent": (SOURCE + "  x = 1\n", r"own\.py is not Python: unexpected indent, line 17$"),
    "module": ("import not_there\n" + SOURCE, r"own\.py cannot be loaded: No module .*'not_there'"),
    "name": ("from rnnlab import no_such\n" + SOURCE, r"own\.py cannot be loaded: .*'?no_such'?"),
    "empty": (
        "",
        r": missing get_config\(arg=None\), get_sweep\(config\), run\(.*\), figures\(table\), ",
    ),
    "check": (SOURCE + "check = 3\n", r"own\.py: check must be a function, got 3$"),
    "value": (SOURCE + "run = 3\n", r"own\.py: missing run\(config, key, log\)$"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_refused_in_one_line(write, what):
    source, words = BROKEN[what]
    write(source)
    with pytest.raises(UserError, match=words) as caught:
        load_experiment("own")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("experiments/own.py")


@pytest.mark.parametrize("what", ["syntax", "module"])
def test_the_command_line_says_it_and_leaves_nothing_behind(write, what, capsys):
    write(BROKEN[what][0])
    assert cli.main(["run", "--config=experiments/own.py", "--workdir=out"]) == 2
    message = capsys.readouterr().err.strip()
    assert "experiments/own.py" in message
    assert "Traceback" not in message
    assert len(message.splitlines()) == 1
    assert not Path("out").exists()


def test_an_error_in_the_file_keeps_its_traceback(write):
    """Its author needs it."""
    write(SOURCE + "1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_experiment("own")


def test_a_file_with_one_scale_refuses_others(write):
    write()
    assert load_experiment("own").get_config().seed == 0
    with pytest.raises(UserError, match=r"^experiments/own\.py has one scale only, got 'full'$"):
        load_experiment("own:full").get_config()


def test_a_type_error_in_a_config_is_not_taken_for_that(write):
    write(SOURCE.replace('{"seed": 0}', '{"seed": 1 + ""}'))
    with pytest.raises(TypeError, match="unsupported operand"):
        load_experiment("own").get_config()


@pytest.mark.parametrize("seed", ["1.0", "True", "None", "'0'", "(0,)"])
def test_a_seed_is_a_whole_number(write, seed):
    write(SOURCE.replace('"seed": 0', f'"seed": {seed}'))
    with pytest.raises(UserError, match="needs an int `seed`"):
        load_experiment("own").get_config()


def test_a_loaded_experiment_has_its_file_s_docstring_and_digest(write):
    file = write()
    own = load_experiment("own")
    assert own.description == "A least experiment."
    assert own.digest == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert not own.trains
    assert list(own.get_sweep(own.get_config())["seed"]) == [0, 1]
    write(SOURCE + "run = runner.run\n")
    assert own.digest == hashlib.sha256(file.read_bytes()).hexdigest()  # of the file as it is now
    trained = load_experiment("own")
    assert trained.trains
    assert trained.functions.run is runner.run


def test_only_the_runner_s_own_run_trains_groups(write):
    """A function of the file around it trains one member."""
    write(SOURCE + "def run(config, key, log): return runner.run(config, key, log)\n")
    assert not load_experiment("own").trains


def test_a_list_of_experiments_shows_broken_files(write):
    write(SOURCE + "\0")
    (own,) = (found for found in load.find() if found.name == "own")
    assert own.description.startswith("(not Python: ")
    assert "None" not in own.description
    assert "own" not in {found.name for found in load.find_shipped()}
