"""A member with every option of its cell and layers: it trains, and resumes bit-identically."""

import jax
import numpy as np
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.nn import layers
from rnnlab.training.checkpoints import Checkpoints
from tests.helpers import trained
from tests.nn.test_cell_config import EVERY


def test_it_trains_and_resumes_bit_identically(tmp_path):
    config = trained.config(cell="lstm", layers=2)
    with config.unlocked():
        config.cell = ConfigDict(layers.config("lstm", 6, 2, **{**EVERY, "projection": 4}))
    member = training.member(config, jax.random.key(0))
    train = training.make_train(member.setup)
    data = member.setup.task.load()
    advance = jax.jit(train.advance)
    start = train.start(member.key, member.params, member.hyper)
    first, progress = advance(start, member.hyper, data)
    assert int(first.step) == member.setup.settings.eval_every
    assert np.isfinite(progress.train_loss)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), first.params, start.params)
    still = [
        jax.tree_util.keystr(path)
        for path, has_moved in jax.tree_util.tree_leaves_with_path(moved)
        if not has_moved
    ]
    assert not still, "every gain, peephole and projection learns"
    # saved and restored between two chunks: the same bits as without a break
    checkpoints = Checkpoints(tmp_path, "run")
    checkpoints.save(jax.tree.map(np.asarray, first), {})
    restored = checkpoints.restore(jax.eval_shape(lambda: first))
    assert restored is not None
    resumed, straight = (advance(s, member.hyper, data)[0] for s in (restored[0], first))
    for a, b in zip(jax.tree.leaves(resumed), jax.tree.leaves(straight), strict=True):
        np.testing.assert_array_equal(a, b)
