"""Experiment files and plans, with a small experiment written for the tests."""

import re
import sys
from pathlib import Path

import pytest

import rnnlab
from rnnlab.core.errors import UserError
from rnnlab.lab import catalog
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.training import settings
from tests.helpers import swept
from tests.helpers.fake_experiment import SOURCE

# --------------------------------------------------------------------------------------- files


def test_load(fake, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    chosen = load_experiment("experiments/fake.py:full")
    assert (chosen.name, chosen.file, chosen.arg) == ("fake", "experiments/fake.py", "full")
    assert chosen.description.startswith("A fake experiment. One second.\n\nMore")
    assert chosen.get_config().task.T == 100
    assert chosen.get_config().is_locked
    for text in ("fake", "fake:full", fake, fake.resolve()):
        assert load_experiment(text).name == "fake"
    assert load_experiment("fake", "full").arg == "full"
    assert load_experiment(fake.resolve()).file == str(fake.resolve())
    assert [p.name for p in Path("experiments").iterdir()] == ["fake.py"]  # no __pycache__


def test_load_reads_the_file_as_it_is_now(fake):
    load_experiment("fake")
    fake.write_text(SOURCE.replace('"T": 100 if arg else 3', '"T": 100 if arg else 4'))
    assert load_experiment("fake").get_config().task.T == 4


@pytest.mark.parametrize("text", ["fakee", "experiments/fakee.py", "fakee.py:full"])
def test_a_missing_experiment_is_named_with_the_nearest(fake, text):
    with pytest.raises(UserError, match=r"no file experiments/fakee\.py|no file fakee\.py") as info:
        load_experiment(text)
    assert "did you mean 'fake'" in str(info.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def claims", "def claim", r"run does not call claim: did you mean claims\(table\)\?$"),
        ("def run", "def runs", r"fake\.py: missing run\(config, key, log\)$"),
        ('"lags": (1, 2)', '"lags": [1, 2]', r"task\.lags is \[1, 2\]: a config holds .* tuples"),
        ('"noise": 0.5', '"noise": np.int64(1)', r"task\.noise is np\.int64\(1\): a config"),
        ('"seed": 0,', "", "needs an int `seed`"),
        ("    return ConfigDict(", "    return dict(", "must return a ConfigDict"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused(fake, old, new, message):
    source = SOURCE.replace("    ).lock()", "    )") if "dict(" in new else SOURCE
    assert old in source
    fake.write_text(source.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_experiment("fake").get_config()


def test_find_reads_descriptions_without_running_anything(fake, monkeypatch):
    shared = Path("shared")
    shared.mkdir()
    (shared / "fake.py").write_text('"""Hidden by ./experiments."""\ndef get_config(): ...\n')
    (shared / "boom.py").write_text('"""Boom.\n\nLong."""\n1 / 0\ndef get_config(): ...\n')
    (shared / "helper.py").write_text('"""No experiment."""\n')
    (shared / "broken.py").write_text("def get_config(:\n")
    (shared / "mute.py").write_text("def get_config(): ...\n")
    monkeypatch.setattr(catalog, "shared_dirs", lambda: [shared])
    assert {e.name: e.description for e in catalog.find()} == {
        "fake": "A fake experiment. One second.",
        "boom": "Boom.",
        "broken": "(no description)",  # files are not compiled: a list has to be quick
        "mute": "(no description)",
    }
    # the shared ones are found by name, and by the path that they have in the repository
    (shared / "other.py").write_text(SOURCE)
    for text in ("other", "experiments/other.py"):
        assert load_experiment(text).file == "experiments/other.py"
        assert load_experiment(text).path == shared / "other.py"


# --------------------------------------------------------------------------------------- plans


def test_plan(fake):
    plan = make_plan("fake")
    assert plan.members == [{"cell.name": c, "seed": s} for c in ("rnn", "lstm") for s in (0, 1)]
    assert [(c.cell.name, c.seed) for c in plan.configs] == [
        (m["cell.name"], m["seed"]) for m in plan.members
    ]
    assert plan.groups == 2
    assert plan.seconds == 4 * 30 + 2 * 60
    assert re.fullmatch(r"runs/fake-[0-9a-f]{8}", plan.run_dir.as_posix())
    assert [p.name for p in Path().iterdir()] == ["experiments"]


def test_the_hash_is_of_experiment_arg_config_and_sweep(fake):
    chosen = load_experiment("fake")
    config = chosen.get_config()
    config.task.noise = 0.25
    axes = {"cell.name": ["rnn", "lstm"], "seed": range(2)}
    hashes = [
        make_plan(chosen).hash,
        make_plan(chosen, config).hash,
        make_plan(chosen, sweep={"seed": [0, 1], "cell.name": ["rnn", "lstm"]}).hash,
        make_plan(chosen, sweep={"seed": [0, 1]}).hash,
        make_plan("fake:full").hash,
    ]
    fake.with_name("other.py").write_text(SOURCE)
    hashes.append(make_plan("other").hash)
    assert len(set(hashes)) == len(hashes)
    assert make_plan(chosen, sweep=axes).hash == hashes[0]
    assert make_plan(fake.resolve()).hash == hashes[0]


def test_a_value_that_the_sweep_would_overwrite_is_refused(fake):
    chosen = load_experiment("fake")
    config = chosen.get_config()
    config.seed = 7
    with pytest.raises(
        UserError, match=r"seed=7 has no effect: seed is swept; use --sweep\.seed=7"
    ):
        make_plan(chosen, config)
    assert make_plan(chosen, config, sweep={"cell.name": ["gru"]}).configs[0].seed == 7


def test_every_member_is_checked_before_anything_runs(fake):
    chosen = load_experiment("fake")
    with pytest.raises(UserError, match=r"member 2 \(cell\.name=gruu\): unknown cell 'gruu'"):
        rnnlab.run(chosen, sweep={"cell.name": ["rnn", "gru", "gruu"]})
    assert chosen.module.ran == []
    assert not Path("runs").exists()


def test_each_config_is_parsed_once_to_plan_and_run(tmp_path, monkeypatch):
    setups, check = [], settings.Setup.__post_init__

    def counted(setup):
        setups.append(setup)
        check(setup)

    monkeypatch.setattr(settings.Setup, "__post_init__", counted)
    file = swept.write(tmp_path / "three.py", steps=100)
    plan = make_plan(file)
    assert len(setups) == len(plan.specs) == 6
    assert [spec.config for spec in plan.specs] == plan.configs
    assert plan.groups == 3
    setups.clear()
    rnnlab.run(file, sweep={"seed": range(2)}, workdir=tmp_path / "run", progress=False)
    assert len(setups) == 2


def test_an_argument_that_the_file_refuses(fake):
    with pytest.raises(UserError, match=r"fake\.py: unknown scale 'ful' \(allowed: full\)"):
        make_plan("fake:ful")
