"""Every engine's passes are lowered for accelerators, without one."""

import jax
import jax.numpy as jnp
import pytest

from rnnlab import GRU, LSTM, RNN
from rnnlab.lab import layer_passes
from rnnlab.nn.engines.split import WHOLE

CELLS = {"rnn": RNN(4), "lstm": LSTM(4), "gru": GRU(4)}


@pytest.mark.parametrize("engine", WHOLE)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_passes_are_lowered_for_gpus_and_tpus(cell, engine):
    passes = layer_passes.passes(cell, engine)
    arguments = (cell.init_params(jax.random.key(0), 3), jnp.ones((2, 8, 3)), jnp.ones((2, 8, 4)))

    def every(*arguments):
        return {name: run(*arguments) for name, run in passes.items()}

    exported = jax.export.export(jax.jit(every), platforms=("cuda", "tpu"))(*arguments)
    assert exported.platforms == ("cuda", "tpu")
    # gradients are like what they are of
    expected = {"both": arguments[:2], "forward": arguments[2]}
    got = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    assert jax.tree.map(jnp.shape, expected) == jax.tree.map(lambda a: a.shape, got)
    # no loop over time is unrolled: Newton's is of corrections, and its scan a tree of halves
    assert "stablehlo.while" in exported.mlir_module()
