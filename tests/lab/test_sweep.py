"""Sweeps: from axes to members."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict, config_dict

from rnnlab.core.errors import UserError
from rnnlab.lab import sweep


@pytest.fixture
def config() -> ConfigDict:
    return ConfigDict(
        {
            "cell": {"name": "rnn", "gain": 1.0, "peephole": False},
            "init": {"w_x": "normal", "w_h": "normal"},
            "task": {"lags": (1, 2), "path": config_dict.placeholder(str), "T": 5},
            "seed": 0,
        }
    ).lock()


def test_a_dict_of_axes_is_multiplied_out(config):
    members = sweep.expand(config, {"cell.name": ["rnn", "lstm"], "seed": range(3)})
    assert members == [{"cell.name": c, "seed": s} for c in ("rnn", "lstm") for s in range(3)]
    assert sweep.expand(config, {}) == [{}]


def test_a_tuple_of_keys_is_zipped(config):
    pairs = [("xavier_uniform", "orthogonal"), ("normal", "identity")]
    members = sweep.expand(config, {("init.w_x", "init.w_h"): pairs, "seed": [7]})
    assert members == [{"init.w_x": x, "init.w_h": h, "seed": 7} for x, h in pairs]


def test_a_list_is_a_union_with_identical_members_once(config):
    parts = [{"cell.name": ["rnn", "gru"]}, {"seed": [0, 1]}, {"cell.name": ["gru"], "seed": [0]}]
    # {"seed": 0} is the base config, as {"cell.name": "rnn"} is
    assert sweep.expand(config, parts) == [{"cell.name": "rnn"}, {"cell.name": "gru"}, {"seed": 1}]


def test_values_become_the_config_s_types(config):
    axes = {
        "cell.gain": [1, np.float32(0.5), np.int64(2)],
        "seed": np.arange(2),
        "cell.peephole": [np.bool_(True)],
        "task.lags": [[3, np.int32(4)], ()],
        "task.path": ["a.csv", None],
    }
    for member in sweep.expand(config, axes):
        assert type(member["cell.gain"]) is float
        assert type(member["seed"]) is int
        assert type(member["cell.peephole"]) is bool
        assert type(member["task.lags"]) is tuple
        assert {type(lag) for lag in member["task.lags"]} <= {int}


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"cell.nam": ["rnn"]}, r"unknown sweep key 'cell\.nam'; did you mean 'cell\.name'"),
        ({"cell": ["rnn"]}, r"'cell' is a group; its keys: cell\.gain, cell\.name"),
        ({("seed", "sed"): [(1, 2)]}, "unknown sweep key 'sed'"),
        ({("seed", "seed"): [(1, 2)]}, "axis seed,seed names a key twice"),
        ({"seed": [0.5]}, "seed: expected int, as 0 is, got 0.5"),
        ({"seed": [True]}, "seed: expected int"),
        ({"cell.peephole": [1]}, "expected bool"),
        ({"cell.name": [1]}, "expected str"),
        ({"cell.gain": ["1"]}, "expected float"),
        ({"task.lags": [(1, "a")]}, r"task\.lags\[1\]: expected int"),
        ({"task.lags": [3]}, "expected tuple"),
        ({"task.path": [1j]}, "expected a plain value"),
        ({"seed": 3}, "axis seed: expected a list of values, got 3"),
        ({"cell.name": "rnn"}, "expected a list of values, got 'rnn'"),
        ({"seed": []}, "axis seed: no values"),
        ({("init.w_x", "init.w_h"): [("normal",)]}, "2 values side by side"),
        ({("init.w_x", "init.w_h"): ["ab"]}, "2 values side by side"),
        ({"seed": [0], ("seed", "task.T"): [(1, 2)]}, "'seed' is set by two axes"),
        ([], "empty list"),
        ("seed", "a sweep is a dict"),
    ],
)
def test_a_wrong_sweep_is_refused_by_name(config, axes, message):
    with pytest.raises(UserError, match=message):
        sweep.expand(config, axes)


def test_apply_makes_a_locked_copy(config):
    member = sweep.apply(config, {"cell.name": "gru", "cell.gain": 2})
    assert (member.cell.name, member.cell.gain, member.seed) == ("gru", 2.0, 0)
    assert config.cell.name == "rnn"
    assert member.is_locked
    assert member.cell.is_locked
    with pytest.raises(UserError, match="did you mean 'seed'"):
        sweep.apply(config, {"sed": 1})
    with pytest.raises(UserError, match="seed: expected int"):
        sweep.apply(config, {"seed": "1"})


def test_an_override_changes_its_own_key_and_no_other():
    config = ConfigDict({"T": 5})
    config.lag = config.get_ref("T")
    assert sweep.apply(config, {"T": 7}).to_dict() == {"T": 7, "lag": 5}


# --------------------------------------------------------------------------------- --sweep.KEY=


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("seed", "0,1, -2", [0, 1, -2]),
        ("cell.gain", "0.9,1,1e-3,inf", [0.9, 1.0, 1e-3, float("inf")]),
        ("cell.peephole", "true,False,1,0", [True, False, True, False]),
        ("cell.name", "rnn", ["rnn"]),
        ("cell.name", "'a,b',\"c\"", ["a,b", "c"]),
        (
            "init.w_h",
            "orthogonal(gain=0.9),sparse(nonzeros=15, spectral_radius=0.95)",
            ["orthogonal(gain=0.9)", "sparse(nonzeros=15, spectral_radius=0.95)"],
        ),
        ("task.lags", "(1,2),(3,)", [(1, 2), (3,)]),
        ("task.path", "a.csv,None", ["a.csv", None]),
    ],
)
def test_parse_values(config, key, text, values):
    parsed = sweep.parse_values(config, key, text)
    assert parsed == values
    assert [type(v) for v in parsed] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("sed", "1", "unknown sweep key 'sed'; did you mean 'seed'"),
        ("seed", "0,a", "--sweep.seed: expected int, as 0 is, got 'a'"),
        ("seed", "0.5", "expected int"),
        ("cell.gain", "high", "expected float"),
        ("cell.peephole", "maybe", "expected bool"),
        ("task.lags", "1", "expected tuple"),
        ("task.lags", "(1,'a')", r"task\.lags\[1\]: expected int"),
        ("task.lags", "(1;2)", "expected tuple"),
        ("seed", "", "a value is missing"),
        ("seed", "0,,1", "a value is missing"),
        ("seed", "0,", "a value is missing"),
        ("init.w_h", "orthogonal(gain=1", "not closed"),
        ("cell.name", "'rnn", "not closed"),
    ],
)
def test_parse_values_refuses(config, key, text, message):
    with pytest.raises(UserError, match=message):
        sweep.parse_values(config, key, text)


def test_an_axis_is_replaced_in_every_part(config):
    parts = [{"seed": range(5), "cell.name": ["rnn"]}, {"seed": [9]}, {"cell.name": ["gru"]}]
    members = sweep.expand(config, sweep.replace_axes(config, parts, {"seed": [1, 2]}))
    assert members == [
        {"seed": 1, "cell.name": "rnn"},
        {"seed": 2, "cell.name": "rnn"},
        {"seed": 1, "cell.name": "gru"},  # its base seed would be none of those asked for
        {"seed": 2, "cell.name": "gru"},
    ]


def test_parts_of_a_union_keep_the_values_that_they_list(config):
    parts = [{"cell.name": ["rnn", "gru"], "seed": [0]}, {"cell.name": ["rnn"], "seed": [1]}]

    def narrowed(*names):
        axes = sweep.replace_axes(config, parts, {"cell.name": list(names)})
        return [(m["cell.name"], m["seed"]) for m in sweep.expand(config, axes)]

    assert narrowed("gru") == [("gru", 0)]  # the second part has no gru: it is dropped
    assert narrowed("rnn") == [("rnn", 0), ("rnn", 1)]
    assert narrowed("mine") == [("mine", 0), ("mine", 1)]  # listed nowhere: taken by all
    assert narrowed("gru", "mine") == [("gru", 0), ("mine", 0), ("mine", 1)]


def test_an_axis_that_no_part_has_is_added_to_every_part(config):
    parts = [{"cell.name": ["rnn"]}, {"cell.name": ["gru"]}]
    members = sweep.expand(config, sweep.replace_axes(config, parts, {"seed": [1, 2]}))
    assert members == [{"cell.name": c, "seed": s} for c in ("rnn", "gru") for s in (1, 2)]


def test_an_axis_of_a_zip_cannot_be_replaced(config):
    with pytest.raises(UserError, match=r"'init\.w_x' is zipped with others"):
        sweep.replace_axes(
            config, {("init.w_x", "init.w_h"): [("normal", "normal")]}, {"init.w_x": ["zeros"]}
        )


def test_as_json_joins_zipped_keys(config):
    axes = {("init.w_x", "init.w_h"): [("a", "b")], "seed": range(2)}
    listed = sweep.parts(config, axes)
    assert sweep.as_json(listed) == [{"init.w_x,init.w_h": [("a", "b")], "seed": [0, 1]}]


CELL_PARTS = [
    {"cell": ["rnn"], "w_h": ["a", "b"]},
    {"cell": sweep.Only(["lstm"]), "w_h": ["a"]},
    {"cell": sweep.Beside(["gru"]), "w_h": ["c"]},
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["mgu"], {("mgu", "a"), ("mgu", "b")}),  # no part that is made for another cell
        (["lstm"], {("lstm", "a")}),
        (["gru"], {("gru", "a"), ("gru", "b"), ("gru", "c")}),  # beside those of other parts
        (["rnn", "mgu"], {(cell, w_h) for cell in ("rnn", "mgu") for w_h in "ab"}),
    ],
)
def test_a_part_that_is_made_for_some_values_takes_no_others(asked, expected):
    base = ConfigDict({"cell": "rnn", "w_h": "a", "seed": 0})
    parts = sweep.replace_axes(base, CELL_PARTS, {"cell": asked})
    got = {(m["cell"], m["w_h"]) for m in sweep.expand(base, parts)}
    assert got == expected
    # what is written to config.json is a plain sweep
    assert json.dumps(sweep.as_json(sweep.parts(base, CELL_PARTS))) == json.dumps(
        [{key: list(values) for key, values in part.items()} for part in CELL_PARTS]
    )
