"""outputs: flattened, kept and compared."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.lab import outputs


class Params(NamedTuple):
    W: object
    b: object = None


def test_arrays_are_found_by_their_paths_and_kept(tmp_path):
    torch = pytest.importorskip("torch")
    tree = (
        Params(jnp.arange(3.0)),
        {"x": [torch.ones(2, requires_grad=True), 1.5], "half": jnp.bfloat16(0.5)},
    )
    found = outputs.flatten(tree)
    assert {name: a.tolist() for name, a in found.items()} == {
        "0/W": [0, 1, 2],
        "1/x/0": [1, 1],
        "1/x/1": 1.5,
        "1/half": 0.5,
    }
    outputs.save(tmp_path / "a.npz", found)
    kept = outputs.load(tmp_path / "a.npz")
    assert kept.keys() == found.keys()
    assert outputs.largest_difference(kept, tree) == 0
    assert list(outputs.flatten(np.ones(2))) == [""]


def test_the_largest_difference_is_relative_to_each_arrays_largest():
    expected = {"small": np.array([1e-3, -2e-3]), "large": np.array([3, 4])}
    got = {"small": np.array([1e-3, -2.5e-3]), "large": np.array([3, 5])}
    assert outputs.largest_difference(got, expected) == pytest.approx(0.25)
    assert outputs.largest_difference({"a": np.zeros(2)}, {"a": np.zeros(2)}) == 0
    assert outputs.largest_difference({"a": 1.0}, {"a": 0.0}) == np.inf
    assert outputs.largest_difference({"a": np.nan}, {"a": np.nan}) == np.inf


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ({"a": np.ones(2)}, "b on one side only"),
        ({"a": np.ones(2), "b": np.ones(3)}, r"'b' of shape \(2,\), got \(3,\)"),
        ({"a": np.ones(2), "b": "text"}, "arrays, got 'text' at b"),
        ({}, "hold no array"),
    ],
)
def test_outputs_that_cannot_be_compared_are_refused(got, words):
    with pytest.raises(ValueError, match=words):
        outputs.largest_difference(got, {"a": np.ones(2), "b": np.ones(2)})
