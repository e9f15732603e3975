"""What a value of the config or of a sweep reaches: every member, or it is refused with the truth.

Planned for every experiment that is shipped; nothing runs and no data are read.
"""

import re
from pathlib import Path

import pytest

from rnnlab.core.errors import UserError
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import check_effect, make_plan, partial_effects

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.py"))
BASES = (  # keys that say what a member is, where an experiment has them
    "cell.name",
    "cell.hidden_size",
    "training.learning_rate",
    "training.steps",
    "training.batch_size",
    "task.limit",
    "task.length",
    "task.delay",
    "init.w_h",
    "init.w_x",
    "init.forget_bias",
    "seed",
)


def other(key, value):
    """Another value of the key."""
    if isinstance(value, str):
        others = {
            "init.w_h": "he_uniform",
            "init.w_x": "normal(std=0.25)",
            "init.forget_bias": "1.5",
        }
        others["cell.name"] = "lstm" if value == "gru" else "gru"
        return others.get(key, "another")
    return value * 2 + 1


def cases():
    for path in FILES:
        loaded = load_experiment(path)
        flat = sweeps.flat_config(loaded.get_config())
        for key in BASES:
            if flat.get(key) is not None:
                yield pytest.param(loaded, key, id=f"{path.stem}-{key}")


CASES = list(cases())


def members_of(loaded, config):
    flat = sweeps.flat_config(config)
    return [flat | member for member in sweeps.expand(config, loaded.get_sweep(config))]


@pytest.mark.parametrize(("loaded", "key"), CASES)
def test_a_swept_value_reaches_every_member(loaded, key):
    config = loaded.get_config()
    value = other(key, sweeps.flat_config(config)[key])
    parts = sweeps.parts(config, loaded.get_sweep(config))
    axes = {key: [value]}
    if any(key in keys and len(keys) > 1 for part in parts for keys in part):
        with pytest.raises(UserError, match="is zipped with others"):
            sweeps.replace_axes(config, parts, axes)
        return
    members = sweeps.expand(config, sweeps.replace_axes(config, parts, axes))
    assert members
    assert [member[key] for member in members] == [value] * len(members)


@pytest.mark.parametrize(("loaded", "key"), CASES)
def test_a_value_of_the_config_reaches_members_or_truly_has_no_effect(loaded, key):
    default = loaded.get_config()
    value = other(key, sweeps.flat_config(default)[key])
    config = sweeps.apply(default, {key: value})
    members = members_of(loaded, config)
    if members == members_of(loaded, default):  # the sweep sets the key everywhere
        with pytest.raises(UserError, match=re.escape(f"{key}={value} has no effect")):
            check_effect(loaded, [key], config, {})
        return
    check_effect(loaded, [key], config, {})
    reached = sum(member[key] == value for member in members)
    assert reached
    # what keeps a value of its own is said
    notes = partial_effects([key], config, sweeps.expand(config, loaded.get_sweep(config)))
    assert len(notes) == (reached < len(members))
    if notes:
        assert f"reaches {reached} of {len(members)} members" in notes[0]


def run_cell(name, flag):
    loaded = load_experiment(ROOT / "experiments" / "gradients" / "init_gradients.py")
    config = loaded.get_config()
    if flag == "config":
        config = sweeps.apply(config, {"cell.name": name})
        return make_plan(loaded, config)
    sweep = sweeps.replace_axes(config, loaded.get_sweep(config), {"cell.name": [name]})
    return make_plan(loaded, config, sweep=sweep)


def test_the_schemes_of_a_gru_are_a_gru_s():
    """48 of these 58 members were tanh RNNs; the IRNN and the LSTM's biases keep their cells."""
    swept = {config.cell.name for config in run_cell("gru", "sweep").configs}
    assert swept == {"gru"}
    plan = run_cell("gru", "config")
    names = [config.cell.name for config in plan.configs]
    assert {name: names.count(name) for name in set(names)} == {
        "gru": 5 * 24,  # 18 schemes of W_hh, 4 more of W_xh, 2 more of b
        "rnn-relu": 5,
        "lstm": 20,
    }
    (note,) = plan.notes
    assert "cell.name=gru reaches 120 of 145 members" in note


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("language/sentiment", "training.steps", 700),
        ("language/sentiment", "task.limit", 2500),
        ("bert/bert_tagging", "task.limit", 500),
        ("bert/bert_finetuning", "training.steps", 64),
        ("gradients/init_gradients", "cell.name", "rnn-tanh"),  # the default, given
        ("language/sentiment", "training.steps", 900),
    ],
)
def test_values_that_were_refused_though_they_have_an_effect(name, key, value):
    loaded = load_experiment(ROOT / "experiments" / f"{name}.py")
    config = sweeps.apply(loaded.get_config(), {key: value})
    check_effect(loaded, [key], config, {})
    assert any(member[key] == value for member in members_of(loaded, config))


def test_a_default_that_the_sweep_replaces_everywhere_is_refused_too():
    loaded = load_experiment(ROOT / "experiments" / "language" / "generation.py")
    with pytest.raises(UserError, match=r"cell\.name=lstm has no effect.*--sweep\.cell\.name=lstm"):
        check_effect(loaded, ["cell.name"], loaded.get_config(), {})
