"""catalog.py: what files say of themselves, against Python's own parser."""

import ast
from pathlib import Path

import pytest

from rnnlab.core.errors import UserError
from rnnlab.lab import catalog

ROOT = Path(__file__).parents[2]


def test_shipped_experiments_are_listed_with_the_first_line_of_their_docstrings(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = {one.name: one for one in catalog.find()}
    files = sorted((ROOT / "experiments").rglob("*.py"))
    assert len(files) > 30
    for path in files:
        tree = ast.parse(path.read_bytes())
        first = (ast.get_docstring(tree) or "").splitlines()[0]
        one = found[path.stem]
        assert (one.description, one.file) == (first, path.relative_to(ROOT).as_posix())
        assert one.reproduce == ("REPRODUCE = False" not in map(ast.unparse, tree.body))


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ('"""One.\n\nTwo."""\ndef get_config(): ...\n', "One."),
        ("# a comment\n\n'''\n  Late.  \n'''\ndef get_config(arg=None): ...\n", "Late."),
        ('r"Raw \\d."\ndef get_config(): ...\n', "Raw \\d."),
        ("import os\n'No.'\ndef get_config(): ...\n", "(no description)"),
        ("def get_config(): ...\n", "(no description)"),
        ('f"No."\ndef get_config(): ...\n', "(no description)"),
        ('"""Open.\ndef get_config(): ...\n', "(not Python: "),
        ('"Null."\0\ndef get_config(): ...\n', "(not Python: "),
        ('"""Module."""\nget_config = 3\n', None),
        ('"""Inner."""\nclass A:\n    def get_config(self): ...\n', None),
    ],
)
def test_what_a_file_says_of_itself(text, description, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "shared_dirs", list)
    Path("experiments").mkdir()
    Path("experiments/one.py").write_text(text)
    found = catalog.find()
    if description is None:
        assert found == []
    else:
        assert found[0].description.startswith(description)


def test_an_unknown_experiment_names_the_nearest_and_the_command_that_lists_all():
    with pytest.raises(UserError) as caught:
        catalog.locate("gru_vs_lstn")
    assert str(caught.value) == (
        "no file gru_vs_lstn.py: unknown experiment 'gru_vs_lstn'; did you mean 'gru_vs_lstm'?"
    )
    with pytest.raises(UserError, match=r"'zzz' .`rnnlab list` lists all"):
        catalog.locate("zzz")
