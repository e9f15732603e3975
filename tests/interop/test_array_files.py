"""array_files.py: arrays shared out over several files, and indexes that do not fit them."""

import json

import numpy as np
import pytest

from rnnlab.core.errors import UserError
from rnnlab.interop.array_files import read_arrays, write_arrays

SHARDS = {
    "model-00001-of-00002.safetensors": {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)},
    "model-00002-of-00002.safetensors": {"c": np.array([7], np.float16)},
}


@pytest.fixture
def index(tmp_path):
    pytest.importorskip("safetensors")
    for file, arrays in SHARDS.items():
        write_arrays(tmp_path / file, arrays)
    return tmp_path / "model.safetensors.index.json"


def written(index, weight_map):
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


WHOLE = {name: file for file, arrays in SHARDS.items() for name in arrays}


def test_shards_are_read_as_one_file(index):
    arrays = read_arrays(written(index, WHOLE))
    expected = {name: a for of_file in SHARDS.values() for name, a in of_file.items()}
    assert arrays.keys() == expected.keys()
    for name, a in expected.items():
        np.testing.assert_array_equal(arrays[name], a)
    assert arrays["c"].dtype == np.float32


FIRST, SECOND = SHARDS


@pytest.mark.parametrize(
    ("weight_map", "words"),
    [
        (WHOLE | {"d": FIRST}, f"2 shards: {FIRST} lacks d"),
        ({"a": FIRST, "c": SECOND}, f"2 shards: {FIRST} has b, unnamed there"),
        (WHOLE | {"a": SECOND}, f"{SECOND} lacks a|{FIRST} has a"),
        (WHOLE | {"c": "model-00003-of-00002.safetensors"}, "names the shard model-00003-of-00002"),
        (WHOLE | {"c": "../c.safetensors"}, "a 'weight_map' of names"),
        (WHOLE | {"c": "c.bin"}, "a 'weight_map' of names"),
        (WHOLE | {"c": 3}, "a 'weight_map' of names"),
        ({}, "a 'weight_map' of names"),
        (["a"], "a 'weight_map' of names"),
    ],
)
def test_an_index_that_does_not_fit_its_shards(weight_map, words, index):
    with pytest.raises(UserError, match=words):
        read_arrays(written(index, weight_map))


def test_an_index_that_cannot_be_read(index):
    for content in ("{", "[1]", '"x"'):
        index.write_text(content)
        with pytest.raises(UserError, match=r"model\.safetensors\.index\.json"):
            read_arrays(index)
