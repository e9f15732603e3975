"""The text that is executed is the text that was read, with the modules beside it."""

import hashlib
import pickle
import sys
from pathlib import Path

import pytest

from rnnlab.core.errors import UserError
from rnnlab.lab import sources

MAIN = """
from dataclasses import dataclass

import first
from parts.data import rows


@dataclass
class Size:
    rows: int


def late():
    import second
    return first.NAME, rows(), second.NAME, Size(2).rows
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A file that imports modules beside it: of one name, in a package, in a function."""
    (tmp_path / "mine.py").write_text(MAIN)
    (tmp_path / "first.py").write_text("import json, third\nNAME = 'first of ' + third.NAME\n")
    (tmp_path / "second.py").write_text("NAME = 'second'\n")
    (tmp_path / "third.py").write_text("NAME = 'third'\n")
    (tmp_path / "json.py").write_text("1 / 0  # the standard library's is meant\n")
    (tmp_path / "unused.py").write_text("1 / 0\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/__init__.py").write_text("from . import count\n")
    (tmp_path / "parts/count.py").write_text("COUNT = 3\n")
    (tmp_path / "parts/data.py").write_text("from parts.count import COUNT\nrows = lambda: COUNT\n")
    return tmp_path


def test_modules_beside_a_file_are_found_and_imported(folder):
    code = sources.read(folder / "mine.py", "mine.py")
    beside = ["first.py", "parts/__init__.py", "parts/count.py", "parts/data.py"]
    assert [source.name for source in code.beside] == [*beside, "second.py", "third.py"]
    for name, digest in code.digests.items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert code.execute().late() == ("first of third", 3, "second", 2)
    assert {"first", "second", "third", "parts"}.isdisjoint(sys.modules)
    assert not list(folder.rglob("__pycache__"))


def test_what_is_executed_is_what_was_read(folder):
    code = sources.read(folder / "mine.py", "mine.py")
    for path in folder.rglob("*.py"):
        path.write_text("raise SystemExit('what lies there later')")
    assert code.execute().late() == ("first of third", 3, "second", 2)
    again = pickle.loads(pickle.dumps(code))  # as Ray sends it
    assert again == code
    assert again.execute().late() == ("first of third", 3, "second", 2)


def test_modules_of_one_name_in_two_folders_do_not_meet(tmp_path):
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(
            "def late():\n    import helper\n    return helper"
        )
        (tmp_path / name / "helper.py").write_text(f"NAME = {name!r}\n")
        found.append(sources.read(tmp_path / name / "mine.py", f"{name}/mine.py"))
    first, second = (code.execute() for code in found)
    assert (first.late().NAME, second.late().NAME) == ("a", "b")
    assert first.late() is first.late()


def test_a_broken_module_beside_a_file_is_named(folder):
    (folder / "third.py").write_text("def f(:\n")
    with pytest.raises(UserError, match=r"^own/third\.py is not Python: invalid syntax, line 1$"):
        sources.read(folder / "mine.py", "own/mine.py")


def test_copies_of_one_name_lie_apart(tmp_path):
    codes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"NAME = {name!r}\n")
        codes.append(sources.read(tmp_path / name / "mine.py", f"{name}/mine.py"))
    assert sources.copies(codes) == [{"mine.py": "mine.py"}, {"mine.py": "2/mine.py"}]
