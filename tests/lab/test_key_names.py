"""key_names.py: the keys that a mistyped or foreign name means."""

import pytest

from rnnlab.core.errors import UserError
from rnnlab.lab.key_names import check_key, meant

KEYS = [
    "seed",
    "cell.name",
    "cell.hidden_size",
    "init.w_h",
    "init.gates.f.w_h",
    "run.seeds",
    "task.path",
    "training.batch_size",
    "training.learning_rate",
    "training.steps",
]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("lr", ["training.learning_rate"]),
        ("training.lr", ["training.learning_rate"]),
        ("LR", ["training.learning_rate"]),
        ("model.units", ["cell.hidden_size"]),
        ("hidden", ["cell.hidden_size"]),
        ("batch", ["training.batch_size"]),
        ("epochs", ["training.steps"]),
        ("seeds", ["run.seeds", "seed"]),
        ("cell.seed", ["seed"]),
        ("w_h", ["init.w_h", "init.gates.f.w_h"]),
        ("csv", ["task.path"]),
        ("nothing", []),
    ],
)
def test_what_a_name_means(given, expected):
    assert meant(given, KEYS) == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("lr", "unknown config key 'lr'; did you mean 'training.learning_rate'?"),
        (
            "training.lerning_rate",
            "unknown config key 'training.lerning_rate'; did you mean 'training.learning_rate', ",
        ),
        ("zz", "unknown config key 'zz' (`rnnlab run --config=FILE --help` lists all 10)"),
        ("cell", "config key 'cell' is a group; its keys: cell.name, cell.hidden_size"),
    ],
)
def test_an_unknown_key_names_at_most_three(key, message):
    with pytest.raises(UserError) as caught:
        check_key(KEYS, key)
    assert str(caught.value).startswith(message)
    assert str(caught.value).count("'") <= 8


def test_a_large_group_is_not_listed():
    keys = [f"init.key_{n}" for n in range(40)]
    with pytest.raises(UserError) as caught:
        check_key(keys, "init")
    assert str(caught.value) == (
        "config key 'init' is a group; its keys: init.key_0, init.key_1, init.key_2, init.key_3, "
        "init.key_4, init.key_5, … (`rnnlab run --config=FILE --help` lists all 40)"
    )
    check_key(keys, "init.key_39")
