"""errors.py: messages name what is near, and cost as little of many names as of few."""

import re
import timeit
from pathlib import Path

import pytest

from rnnlab.core import errors

ROOT = Path(__file__).parents[2]
MANY = [f"w{n}" for n in range(50_000)] + ["king"]


def edited(name):
    """Names one edit away, by the definition: over an alphabet of the test's letters."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-_" + name
    found = {name[:i] + name[i + 1 :] for i in range(len(name))}
    found |= {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)}
    found |= {name[:i] + c + name[i + 1 :] for i in range(len(name)) for c in letters}
    found |= {name[:i] + c + name[i:] for i in range(len(name) + 1) for c in letters}
    return (found | {name.lower(), name.upper(), name.capitalize()}) - {name}


@pytest.mark.parametrize("name", ["", "a", "kings", "King", "词语"])
def test_edits_are_those_of_the_definition(name):
    found = errors.edits(name)
    assert set(found) == edited(name)
    assert len(found) == len(set(found))


def test_the_nearest_of_few_and_of_many_names():
    assert errors.nearest("lstn", ["lstm", "gru"]) == "lstm"
    assert errors.nearest("kings", MANY) == "king"
    assert errors.nearest("xyzzy", MANY) is None
    assert errors.nearest("x" * 10_000, MANY) is None
    assert errors.nearest("x" * 10_000, ["lstm"]) is None


def test_a_message_stays_short():
    message = errors.unknown("word", "kings", MANY)
    assert "did you mean 'king'?" in message
    assert message.endswith("w99 and 49,901 more)")
    assert len(errors.unknown("word", "y" * 10**6, ["a"])) < 300
    assert errors.unknown("word", 3, []) == "unknown word 3 (allowed: none)"


def test_a_hint_among_many_costs_no_scan():
    """difflib took 4 µs a name: 0.2 s for these, 100 times what is asked for here."""
    names = set(MANY)
    few = min(timeit.repeat(lambda: errors.one_edit_away("kjng", {"king"}), number=20, repeat=3))
    many = min(timeit.repeat(lambda: errors.one_edit_away("kjng", names), number=20, repeat=3))
    assert many < 10 * few


def test_every_command_that_installs_an_extra_works_from_a_clone():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    assert {"bert", "vectors", "data"} < extras
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *(ROOT / "rnnlab").rglob("*.py"),
        *(ROOT / "experiments").rglob("*.py"),
    ]
    used = set()
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.findall(r"pip install '?rnnlab", text), file
        named = re.findall(r"install\(.(\w+).\)|(?:rnnlab|['.])\[([a-z,]+)\]", text)
        used |= {extra for pair in named for extra in "".join(pair).split(",")}
    assert used <= extras
    assert len(used) > 7
    assert errors.install("bert").startswith("pip install -e '.[bert]'")
