"""errors.py: messages name what is near, and cost as little of many names as of few."""

import difflib
import re
import timeit
from pathlib import Path

import pytest

from rnnlab.core import errors

ROOT = Path(__file__).parents[2]
KEYS = ("w_h", "learning_rate", "hidden_size", "dropout")
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
    assert errors.nearest("lstn", ["lstm", "gru"]) == ["lstm"]
    assert errors.nearest("kings", MANY) == ["king"]
    assert errors.nearest("LSTM", ["gru", "lstm"]) == ["lstm"]  # another case only
    assert errors.nearest("xyzzy", MANY) == []
    assert errors.nearest("x" * 10_000, MANY) == []
    assert errors.nearest("x" * 10_000, ["lstm"]) == []


@pytest.mark.parametrize("name", ["training.lerning_rate", "cel.hiden_size", "init.gats.f.w_h"])
def test_the_nearest_three_are_difflib_s(name):
    keys = [f"{group}.{key}" for group in ("training", "cell", "init.gates.f") for key in KEYS]
    expected = difflib.get_close_matches(name, keys, 3)
    assert len(expected) == 3
    assert errors.nearest(name, keys) == expected


def test_two_edits_away_among_many_names():
    keys = [f"group{n}.{key}" for n in range(100) for key in ("learning_rate", "dropout")]
    (best, *others) = errors.nearest("group7.lerning_ratee", [*keys, "unrelated"])
    assert best == "group7.learning_rate"
    assert len(others) == 2


def test_a_message_suggests_three_names_and_lists_only_a_few():
    keys = [f"key_{n}" for n in range(40)]
    listing = "rnnlab run --config=FILE --help"
    near = errors.unknown("config key", "key_1x", keys, listing=listing)
    assert near.startswith("unknown config key 'key_1x'; did you mean 'key_1'")
    assert near.count("'") == 8  # the name and three others
    assert near.endswith("?")
    far = errors.unknown("config key", "zzz", keys, listing=listing)
    assert far == f"unknown config key 'zzz' (`{listing}` lists all 40)"
    far = errors.unknown("scheme", "zzz", keys)
    assert (
        far
        == "unknown scheme 'zzz' (allowed: key_0, key_1, key_2, key_3, key_4, key_5 and 34 more)"
    )
    message = errors.unknown("key", "lr", [*keys, "learning_rate"], first=["learning_rate"])
    assert message == "unknown key 'lr'; did you mean 'learning_rate'?"


def test_a_message_stays_short():
    assert errors.unknown("word", "kings", MANY) == "unknown word 'kings'; did you mean 'king'?"
    assert len(errors.unknown("word", "xyzzy", MANY)) < 100
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
