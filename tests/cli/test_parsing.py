"""The spellings of flags, and the refusals."""

import pytest

from rnnlab.cli.parsing import Commands, Parser, cache_switch, names, whole
from rnnlab.core.errors import UserError


def parser(**settings) -> Parser:
    made = Commands("all").add(
        "one", lambda options: 0, usage="DIR", summary="s", description="d", **settings
    )
    made.switch("dry_run", "print only")
    made.value("out", "FILE", "a file [%(default)s]", default="o.html")
    made.value("steps", "N", "how many", type=whole, default=0)
    made.value("only", "NAMES", "these", type=names, default=[])
    made.value("config", "FILE", "the experiment", once=True)
    return made


def read(*args: str, **settings) -> dict:
    made = parser(**settings)
    made.positionals("dirs", "DIR", "a directory")
    return vars(made.read(args))


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ([], False),
        (["--dry_run"], True),
        (["--dry-run"], True),
        (["-dry_run"], True),
        (["--dry_run=True"], True),
        (["--dry-run=1"], True),
        (["--dry_run", "--nodry_run"], False),
        (["--nodry-run"], False),
        (["--no-dry-run"], False),
        (["--dry_run=f"], False),
    ],
)
def test_a_switch_has_every_spelling(args, value):
    assert read(*args)["dry_run"] is value


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ([], True),
        (["--no_cache"], False),
        (["--no-cache"], False),
        (["--nocache"], False),
        (["--cache=false"], False),
        (["--no_cache", "--cache"], True),
    ],
)
def test_a_switch_that_is_on_is_turned_off_and_its_help_says_how(args, value):
    made = parser()
    cache_switch(made)
    assert made.read(args).cache is value
    lines = [line.split()[0] for line in made.format_help().splitlines() if line]
    assert ("--no_cache" in lines, "--cache" in lines) == (True, False)


def test_dashes_and_underscores_are_the_same_in_every_flag():
    made = parser(dotted=True)
    made.value("ray_cpus", "N", "how many", type=whole)
    args = [
        "--ray-cpus=2",
        "--config.training.learning-rate=a-b",
        "--no-config.a-b",
        "--sweep.a-b=c-d",
    ]
    options = made.read(args)
    assert options.ray_cpus == 2
    assert options.dotted == [
        "--config.training.learning_rate=a-b",
        "--noconfig.a_b",
        "--sweep.a_b=c-d",
    ]


def test_a_number_after_an_unknown_flag_is_its_value():
    made = parser(dotted=True)
    made.positionals("names", "NAME", "an experiment", most=1)
    options = made.read(["--lr", "0.5", "mine"])
    assert (list(options.unknown), options.names) == (["lr"], ["mine"])
    with pytest.raises(UserError, match=r"^unexpected argument 'two'"):
        made.read(["one", "two"])


def test_unknown_flags_of_a_command_with_a_config_are_kept_with_the_nearest():
    options = parser(dotted=True).read(["--stepz=3", "--qq=1"])
    assert options.unknown == {"stepz": ["--steps"], "qq": []}


def test_values_follow_an_equals_sign_or_a_space():
    assert read("--steps", "-1")["steps"] == read("--steps=-1")["steps"] == -1
    assert read("--out", "--steps=3")["out"] == "--steps=3"  # as absl reads it
    assert read("--out=a b=c")["out"] == "a b=c"
    assert read("--out=a", "--out=b")["out"] == "b"
    assert read("--only=a, b")["only"] == ["a", "b"]
    assert read()["out"] == "o.html"


def test_help_shows_a_value_after_an_equals_sign_and_a_switch_alone():
    lines = {line.split()[0]: line.split() for line in parser().format_help().splitlines() if line}
    assert lines["--out=FILE"][1:] == ["a", "file", "[o.html]"]
    assert lines["--steps=N"][1:] == ["how", "many"]
    assert lines["--dry_run"][1:] == ["print", "only"]
    assert not any(first.startswith("--nodry") for first in lines)


def test_flags_and_directories_mix():
    assert read("a", "--out=x", "b", "--", "--c")["dirs"] == ["a", "b", "--c"]
    assert read("a", "--dry_run", "b")["dirs"] == ["a", "b"]
    assert read()["dirs"] == []


def test_dotted_flags_are_collected_with_their_values():
    args = ["--config.a.b=1", "-noconfig.c", "--sweep.d", "1,2", "--config.e", "-3", "--dry_run"]
    options = parser(dotted=True).read(args)
    assert options.dotted == ["--config.a.b=1", "--noconfig.c", *args[2:-1]]
    assert options.dry_run
    with pytest.raises(UserError, match=r"unknown flag '--config_?\.a'"):
        parser().read(["--config.a=1"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--stepz=3"], r"unknown flag '--stepz'; did you mean '--steps'\?.*allowed: --out, "),
        (["--steps=x"], "^--steps: expected a whole number, got 'x'$"),
        (["--steps"], "^--steps needs a value: --steps=N$"),
        (["--dry_run=maybe"], "^--dry_run: expected true or false, got 'maybe'$"),
        (["--config=a", "--config", "b"], "^--config is given twice$"),
        (["--step=3"], "unknown flag '--step'"),  # no abbreviations
        (["more"], "^unexpected argument 'more'"),
    ],
)
def test_what_is_refused_is_named(args, message):
    with pytest.raises(UserError, match=message):
        parser().read(args)
