"""Broken experiment files are refused in one line that names the file and the error.

tests/lab/test_plan.py loads sound ones.
"""

import hashlib
import re
import sys
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from rnnlab import InitScheme, cli, tasks
from rnnlab.core import validate
from rnnlab.core.errors import UserError
from rnnlab.lab import catalog
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.nn import layers
from rnnlab.results.table import Member, Table
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

CONFIG = ConfigDict({"seed": 0})


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
        r": missing get_config\(arg=None\), run\(config, key, log\)$",
    ),
    "check": (
        SOURCE + "check = 3\n",
        r"check must be a function, check\(config\), got 3 ",
    ),
    "value": (SOURCE + "run = 3\n", r"run must be a function, run\(config, key, log\), got 3"),
    "list": (
        SOURCE + "claims = []\n",
        r"claims must be a function, claims\(table\), got \[\] \(list\)",
    ),
    "too few": (
        SOURCE + "def figures(): ...\n",
        r"own\.py: figures is called as figures\(table\), got figures\(\)$",
    ),
    "too many": (
        SOURCE + "def measure(config, params, setup, more): ...\n",
        r"measure is called as measure\(config, setup, params\), got measure\(config, params, ",
    ),
    "two arguments": (
        SOURCE + "def get_config(arg, more): ...\n",
        r"get_config is called as get_config\(arg=None\), got get_config\(arg, more\)$",
    ),
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


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("None", r"get_config\(arg=None\) must return a ConfigDict, got None \(NoneType\)"),
        ("{'seed': 0}", r"must return a ConfigDict, got {'seed': 0} \(dict\)"),
        ("ConfigDict({1: 2, 'seed': 0})", "a key .*must be a name, .*, got 'a number'"),
        (
            "ConfigDict({'task': {3: 4}, 'seed': 0})",
            "a key .*must be a name, .*, got 3",
        ),
        ("ConfigDict({'a b': 2, 'seed': 0})", "a key of the config must be a name, .*, got 'a b'"),
        ("ConfigDict({'a': [1], 'seed': 0})", r"a is \[1\]: a config holds bool"),
    ],
)
def test_a_config_that_flags_could_not_name_is_refused(write, config, words):
    write(SOURCE.replace('ConfigDict({"seed": 0})', config))
    with pytest.raises(UserError, match=rf"^experiments/own\.py: .*{words}"):
        load_experiment("own").get_config()


@pytest.mark.parametrize(
    ("name", "returned", "words"),
    [
        (
            "get_sweep",
            "None",
            "get_sweep: a sweep is a dict of axes or a list of such dicts, got N",
        ),
        ("get_sweep", "{'sed': [1]}", "get_sweep: unknown sweep key 'sed'; did you mean 'seed'"),
        ("get_sweep", "[1]", "get_sweep: a sweep is a dict of axes or a list of such dicts"),
        ("group", "[1]", r"group\(config\) must return a key, .* got \[1\] \(list\)"),
        ("figures", "None", r"figures\(table\) must return a dict of \(matplotlib Figure, capt"),
        ("figures", "[]", r"figures\(table\) must return a dict .*, got \[\] \(list\)"),
        (
            "figures",
            "{'a': 1}",
            r".*must return \(matplotlib Figure, caption\) for 'a', got 1 ",
        ),
        ("figures", "{1: 1}", "a figure's name is a file's, .*; got 1"),
        ("figures", "{'../a': 1}", r"a figure's name is a file's, .*; got '\.\./a'"),
        (
            "claims",
            "None",
            r"claims\(table\) must return a list of claims, .* got None \(NoneType\)",
        ),
        ("claims", "[True]", r"claims\(table\) must return a list of claims, .* got True \(bool\)"),
        ("claims", "{'a': 1}", r"claims\(table\) must return a list of claims, .* \(dict\)"),
    ],
)
def test_what_a_function_returns_is_refused_by_its_name(write, name, returned, words):
    arguments = {"get_sweep": "config", "group": "config"}.get(name, "table")
    write(SOURCE + f"def {name}({arguments}): return {returned}\n")
    with pytest.raises(UserError, match=rf"^experiments/own\.py: {words}") as caught:
        getattr(load_experiment("own"), f"get_{name.removeprefix('get_')}")(CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", -1, "seed must be a whole number in [0, 4294967295], got -1"),
        ("seed", 2**32, "seed must be a whole number in [0, 4294967295], got 4294967296"),
        ("seed", 2**64, "seed must be a whole number in [0, 4294967295], got 1844674407370955"),
        ("run.seeds", 0, "run.seeds must be a whole number in [1, 100000], got 0"),
        ("run.seconds_per_member", -5.0, "must be a number in [0, 3.4e+38], got -5.0"),
        ("run.seconds_per_group", float("nan"), "must be a number in [0, 3.4e+38], got nan"),
    ],
)
def test_seeds_and_estimates_have_a_range_before_anything_runs(write, key, value, words):
    run = "'run': {'seeds': 1, 'seconds_per_member': 1.0, 'seconds_per_group': 1.0}"
    write(SOURCE.replace('"seed": 0', f'"seed": 0, {run}'))
    with pytest.raises(UserError, match=re.escape(words)):
        make_plan("own", sweep={key: [value]})


def test_seeds_that_jax_takes_for_the_same_are_not_both_allowed():
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 4294967295"):
        validate.seed("seed", 2**32)
    keys = {jax.random.key_data(jax.random.key(validate.seed("", s))).tobytes() for s in EDGES}
    assert len(keys) == len(EDGES)


EDGES = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)


@pytest.mark.parametrize("seed", ["1.0", "True", "None", "'0'", "(0,)"])
def test_a_seed_is_a_whole_number(write, seed):
    write(SOURCE.replace('"seed": 0', f'"seed": {seed}'))
    with pytest.raises(UserError, match="needs an int `seed`"):
        load_experiment("own").get_config()


def test_a_loaded_experiment_has_its_file_s_docstring_and_digest(write):
    write()
    own = load_experiment("own")
    assert own.description == "A least experiment."
    assert own.digest == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert not own.trains
    assert list(own.get_sweep(own.get_config())["seed"]) == [0, 1]
    write(SOURCE + "run = runner.run\n")
    assert own.digest == hashlib.sha256(SOURCE.encode()).hexdigest()  # of what was loaded
    trained = load_experiment("own")
    assert trained.trains
    assert trained.functions.run is runner.run


def test_only_get_config_and_run_are_required(write):
    """One member, no claims; the figures are the default ones."""
    head, _, _ = SOURCE.partition("def get_sweep")
    write(head + "def run(config, key, log): return {'norm': float(config.seed)}\n")
    own = load_experiment("own")
    assert make_plan(own).members == [{}]
    assert len(make_plan(own, sweep={"seed": [3, 4]}).members) == 2
    table = Table(Member(s, {"seed": s}, {"seed": s}, 0.0, {"norm": s + 0.5}) for s in range(3))
    assert own.get_claims(table) == []
    ((figure, _),) = own.get_figures(table).values()
    (ax,) = figure.axes
    assert ax.lines[0].get_ydata().tolist() == [0.5, 1.5, 2.5]


MINE = """
from dataclasses import dataclass
import rnnlab
from rnnlab.tasks.adding import Adding


@rnnlab.register_cell("mine")
@dataclass(frozen=True)
class Mine(rnnlab.GRU):
    alpha: float = 0.5


@rnnlab.register_scheme("ours")
def constant(value=1.0):
    return lambda key, shape, dtype=float: 0


@rnnlab.register_task
@dataclass(frozen=True)
class LongSum(Adding):
    delay: int = 3
"""


def test_what_a_used_file_registers_has_a_name_and_its_options_a_key(write, tmp_path):
    head, _, _ = SOURCE.partition("def get_sweep")
    trained = '"seed": 0, "cell": {"name": "gru", "hidden_size": 4}, "task": {"name": "adding"}'
    write(head.replace('"seed": 0', trained) + "run = runner.run\n")
    Path("mine.py").write_text(MINE)
    own = load_experiment("own", use="mine.py")  # one file, or several
    assert own.registered == (
        ("cell", "mine", "mine.py"),
        ("scheme", "ours", "mine.py"),
        ("task", "long_sum", "mine.py"),
    )
    config = own.get_config()
    assert (config.cell.alpha, config.task.delay) == (0.5, 3)
    assert tasks.from_config(config.task) == tasks.by_name("adding", **ADDING)  # no delay there
    with config.unlocked():
        config.cell.update(name="mine", alpha=0.25)
    assert layers.from_config(config.cell, InitScheme()).cell.alpha == 0.25
    with config.unlocked():
        config.cell.name = "lstm"
    with pytest.raises(ValueError, match=r"cell.alpha=0.25 has no effect: cell 'lstm' has no such"):
        layers.from_config(config.cell, InitScheme())
    assert "alpha" not in load_experiment("own").get_config().cell


ADDING = {"length": 100, "solved_at": 0.01}


def test_two_files_of_one_command_do_not_share_a_name(write):
    write()
    for name in ("mine.py", "yours.py"):
        Path(name).write_text(MINE)
    load_experiment("own", use=["mine.py"])
    load_experiment("own", use=["mine.py", "mine.py"])  # the same file, executed again
    with pytest.raises(
        UserError, match=r"cell 'mine' is registered by mine\.py and yours\.py: rename one"
    ):
        load_experiment("own", use=["mine.py", "yours.py"])
    Path("mine.py").write_text(MINE + MINE)
    with pytest.raises(UserError, match=r"cell 'mine' is registered by mine\.py, twice"):
        load_experiment("own", use=["mine.py"])


def test_only_the_runner_s_own_run_trains_groups(write):
    """A function of the file around it trains one member."""
    write(SOURCE + "def run(config, key, log): return runner.run(config, key, log)\n")
    assert not load_experiment("own").trains


def test_a_list_of_experiments_shows_broken_files(write):
    write(SOURCE + "\0")
    (own,) = (found for found in catalog.find() if found.name == "own")
    assert own.description.startswith("(not Python: ")
    assert "None" not in own.description
    assert "own" not in {found.name for found in catalog.find_shipped()}
