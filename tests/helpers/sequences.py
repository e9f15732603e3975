"""Random sequences and layers for the tests of nn, what runs and what compares them.

What is called outside a compiled function is compiled operation by operation: an unroll is forty
programs. So tests call :func:`unrolled`, :func:`applied` and :func:`compiled`, one program each.
"""

from functools import cache, partial

import jax
import numpy as np

from rnnlab import unroll
from tests.helpers import oracles

OPTIONS = ("deterministic", "reverse", "taps", "engine")
_unroll = jax.jit(unroll, static_argnames=("cell", *OPTIONS))


@partial(jax.jit, static_argnames=("net", *OPTIONS))
def _apply(net, params, inputs, **options):
    return net.apply(params, inputs, **options)


def unrolled(cell, params, xs, **options):
    """Return what ``unroll`` does, in NumPy; compiled once for equal cells, options and shapes."""
    return jax.device_get(_unroll(cell, params, xs, **options))


def applied(net, params, inputs, **options):
    """Return what ``apply`` of a layer or model does, in NumPy; compiled once, as unrolled."""
    return jax.device_get(_apply(net, params, inputs, **options))


def compiled(function, *args):
    """Return what a function does, in NumPy, compiled as one program."""
    return jax.device_get(jax.jit(function)(*args))


def random(shape, seed=5):
    return 0.9 * np.random.default_rng(seed).standard_normal(shape)


def draw(net, input_size, batch, seed=0):
    """Random params and random states of a layer, no entry of either zero."""
    params = oracles.drawn(lambda: net.init(jax.random.key(0), input_size), seed)
    return params, oracles.drawn(lambda: net.initial_state(params, (batch,)), seed + 1)


def arguments_like(cell, input_size, batch, steps):
    """The shapes of an engine's (params, xs (steps, *batch, D), s_0); nothing is drawn."""
    return _arguments_like(cell, input_size, batch, steps, jax.config.x64_enabled)


@cache
def _arguments_like(cell, input_size, batch, steps, double):
    def example():
        params = cell.init_params(jax.random.key(0), input_size)
        xs = jax.numpy.zeros((steps, *batch, input_size), params[0].dtype)
        return params, xs, cell.initial_state(params, batch)

    return jax.eval_shape(example)


def flip(xs, lengths=None):
    """Each sequence back to front, its padding left where it is."""
    out = np.array(xs)
    for n, row in enumerate(out):
        real = row.shape[0] if lengths is None else lengths[n]
        row[:real] = row[:real][::-1].copy()
    return out


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]
