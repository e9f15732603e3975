"""layer_case: what all sides of a layer's benchmark are given."""

import numpy as np
import pytest

from rnnlab.lab import layer_case


def test_a_case_has_blocks_of_every_gate_with_biases_that_are_not_zero():
    blocks, xs, weights = layer_case.draw("3x4x2x5", "rzh", 7, ("b_hn",))
    expected = {f"{kind}{gate}" for kind in ("W_x", "W_h", "b_") for gate in "rzh"} | {"b_hn"}
    assert blocks.keys() == expected
    assert (xs.shape, weights.shape, blocks["W_xr"].shape) == ((3, 4, 2), (3, 4, 5), (2, 5))
    for name, block in blocks.items():
        assert block.dtype == np.float32
        assert np.abs(block).min() > 0, name
    # 0.9 times orthogonal: every singular value is 0.9
    assert np.linalg.svd(blocks["W_hz"])[1] == pytest.approx(0.9, rel=1e-5)
    assert np.abs(blocks["W_xz"]).max() <= (6 / 7) ** 0.5
    again, *_ = layer_case.draw("3x4x2x5", "rzh", 7, ("b_hn",))
    assert all((again[name] == block).all() for name, block in blocks.items())
    other, *_ = layer_case.draw("3x4x2x5", "rzh", 8, ("b_hn",))
    assert (other["b_r"] != blocks["b_r"]).any()
