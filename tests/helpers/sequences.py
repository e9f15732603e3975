"""Random sequences and layers for the tests of nn, and what compares them."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.helpers import oracles


def random(shape, seed=5):
    return jnp.asarray(0.9 * np.random.default_rng(seed).standard_normal(shape))


def draw(net, input_size, batch, seed=0):
    """Random params and random states of a layer, no entry of either zero."""
    params = oracles.drawn(lambda: net.init(jax.random.key(0), input_size), seed)
    return params, oracles.drawn(lambda: net.initial_state(params, (batch,)), seed + 1)


def flip(xs, lengths=None):
    """Each sequence back to front, its padding left where it is."""
    out = np.array(xs)
    for n, row in enumerate(out):
        real = row.shape[0] if lengths is None else lengths[n]
        row[:real] = row[:real][::-1].copy()
    return out


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]
