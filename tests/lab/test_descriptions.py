"""descriptions.py: every key of every experiment is described, from one source."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnlab import cli
from rnnlab.lab import descriptions, key_comments, ranges
from rnnlab.lab.descriptions import describe
from rnnlab.nn import cells, initializers, layers
from rnnlab.tasks import registry
from rnnlab.training import settings

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.py"))

MINE = '''
"""Mine."""
from ml_collections import ConfigDict
from rnnlab import training
from rnnlab.core import validate
from rnnlab.training import runner


def drawn(spread, **more):
    """Return a group.

    Args:
        spread: how far apart draws are.
    """
    return {"spread": spread, "bound": 1.0, **more}  # largest draw


def get_config(arg=None):
    how = {"tries": 3}  # draws per member
    config = ConfigDict(
        {
            # the seed
            # of this file
            "seed": 0,
            "mine": {"kind": "flat", "height": 2.5},  # meters above the sea
            "draws": drawn(0.5, shape=(2, 3)),  # the extent of a draw
            "how": how | {"late": True if arg else False},
            "loose": None,
            "training": training.config(
                steps=20,
                eval_every=10,
                learning_rate=0.5,  # not this
            ),
            "run": runner.config(
                # the most that
                # anybody waits
                patience=3,
            ),
        }
    )
    config.loose = "x"  # set later
    return config


def check(config):
    validate.choice("mine.kind", config.mine.kind, ("flat", "steep", "steeper still"))


def get_sweep(config):
    return {"seed": range(2)}


def run(config, key, log):
    return {"x": 1.0}


figures = claims = lambda table: {}
'''


@pytest.fixture
def mine(tmp_path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_of_every_experiment_has_a_description(path):
    described = describe(path)
    for key in described:
        name = key.name.rpartition(".")[2]
        assert len(re.findall(r"\w\w+", key.text)) >= 2, (key.name, key.text)
        assert key.text.lower().replace("_", " ") != name.replace("_", " "), key.name
        assert "\n" not in key.text
        assert not re.search(r"``|:\w+:`|\s{2}", key.text), (key.name, key.text)
        if key.value is not None:
            assert key.allowed or key.name not in ranges.RANGES, key.name
    shown = described.text(80)
    lines = shown.splitlines()
    for key in described:
        last = re.escape(f"{key.name.rpartition('.')[2]}={key.value!r}")
        assert re.search(rf"^  {last}(  .*)?$", shown, re.MULTILINE), key.name
    # one long default or list of values alone may be wider
    assert not [line for line in lines if len(line) > 80 and line.startswith(" " * 26)]


def test_a_user_s_file_is_described_by_its_comments_and_the_library_s_arguments(mine):
    found = {key.name: key for key in describe(mine)}
    texts = {name: key.text for name, key in found.items()}
    assert texts["seed"] == "The seed of this file"
    assert texts["mine.height"] == "Meters above the sea"
    assert texts["mine.kind"] == ""  # the comment beside is of the last key of the line
    assert texts["draws.spread"] == "How far apart draws are"
    assert texts["draws.bound"] == "Largest draw"
    assert texts["draws.shape"] == "The extent of a draw"
    assert texts["how.tries"] == "Draws per member"
    assert texts["loose"] == "Set later"
    assert texts["run.patience"] == "The most that anybody waits"
    # keys that the library reads are described there, whatever stands beside them
    documented = key_comments.arguments(settings.config.__doc__)
    assert texts["training.learning_rate"].endswith(documented["learning_rate"].lstrip("α"))
    documented = key_comments.arguments(settings.RunOptions.__doc__)
    assert texts["run.keep"].lower() == documented["keep"].lower()


def test_what_a_value_may_be(mine):
    found = {key.name: key.allowed for key in describe(mine)}
    assert found["mine.kind"] == "one of 'flat', 'steep', 'steeper still'"
    assert found["mine.height"] == "a number"
    assert found["draws.shape"] == "whole numbers"
    assert found["how.late"] == "True or False"
    assert found["loose"] == ""
    assert found["run.mapping"] == "one of " + ", ".join(settings.MAPPINGS)
    assert found["training.batch_size"] == "a whole number of at least 1"
    assert found["training.clip_norm"] == "a number above 0"
    found = {key.name: key.allowed for key in describe("char_lm")}
    assert found["cell.name"] == "one of " + ", ".join(layers.names())
    assert found["init.w_h"] == "one of " + ", ".join(initializers.SCHEMES)
    assert found["task.path"] == ""
    assert found["task.name"] == "one of " + ", ".join(registry.TASKS)


def test_what_a_used_file_registers_is_among_the_allowed(tmp_path):
    used = tmp_path / "used.py"
    used.write_text(
        "import rnnlab\n"
        "@rnnlab.register_scheme\n"
        "def halves(value: float = 0.5):\n"
        "    return lambda key, shape, dtype=None: value\n"
    )
    try:
        assert "halves" in describe("gru_vs_lstm", use=[used])["init.w_h"].allowed
    finally:
        initializers.SCHEMES.pop("halves", None)


def test_the_help_of_an_experiment_fits_a_narrow_terminal(mine, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["run", str(mine), "--help"]) == 0
    help, _, keys = capsys.readouterr().out.partition(f"Keys of {mine}")
    assert help.startswith("rnnlab run ")
    assert f"\n{'  height=2.5':26}Meters above the sea. A number.\n" in keys
    assert "--config.mine.KEY=VALUE\n" in keys
    assert keys.endswith("--sweep.KEY=V1,V2,...:\n  --sweep.seed=0,1\n")
    assert max(map(len, keys.splitlines()[1:])) <= 80


def test_gates_of_one_kind_are_shown_once():
    shown = describe("gru_vs_lstm").text(80)
    assert shown.count("--config.init.gates") == 1
    assert "--config.init.gates.{c,f,h,i,o,r,z}.KEY=VALUE\n" in shown
    assert shown.count("xavier_normal") == 1  # a long list is not repeated


def test_arguments_of_a_docstring():
    text = """Do it.

    Args:
        a, b: both. c: see :class:`~x.Y` (:func:`z`); "no: note" stays.
            Empty: the rest.
        W_h: (H, H). kept: no.
    Returns:
        d: not this.
    """
    assert key_comments.arguments(text) == {
        "a": "both",
        "b": "both",
        "c": 'see Y; "no: note" stays. Empty: the rest',
        "W_h": "(H, H)",
        "kept": "no",
    }
    assert key_comments.arguments(text, ["b"]) == {"b": "both"}
    assert key_comments.arguments(None) == {}


@dataclass
class Base:
    """Base.

    Args:
        size: of the base. name: a name.
    """

    size: int = 1
    name: str = ""


@dataclass
class Derived(Base):
    """Derived.

    Args:
        size: another one. more: as of :class:`Other`.
    """

    more: int = 0


@dataclass
class Other:
    """Other.

    Args:
        more: than this.
    """

    more: int = 0


def make(**changes):
    """Return keys; see :class:`Derived`.

    Args:
        name: of the function.
    """
    return changes


def test_options_of_cells_are_described_by_their_classes(tmp_path, monkeypatch):
    """As ``--use`` adds those of registered cells to a config."""
    used = tmp_path / "cell.py"
    used.write_text(
        "from dataclasses import dataclass\n\nfrom rnnlab.nn import cells\n\n\n"
        "@dataclass(frozen=True)\nclass Mine:\n"
        '    """A cell.\n\n    Args:\n        rate: how fast it forgets.\n    """\n\n'
        "    hidden_size: int\n    rate: float = 0.5  # not this\n"
        "    # how many copies\n    # it keeps\n    copies: int = 3\n\n\n"
        'cells.CELLS["mine"] = Mine\n'
    )
    path = tmp_path / "experiment.py"
    path.write_text(
        MINE.replace('"loose": None', '"loose": None, "cell": {"rate": 1.0, "copies": 2}')
    )
    monkeypatch.setattr(cells, "CELLS", {})
    found = describe(path, use=[used])
    assert found["cell.rate"].text == "How fast it forgets"
    assert found["cell.copies"].text == "How many copies it keeps"


def test_a_config_function_takes_the_descriptions_of_the_classes_that_it_names():
    assert descriptions.documented(make) == {
        "size": "another one",
        "name": "of the function",
        "more": "than this",
    }
