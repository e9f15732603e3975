"""The leaky unit with one mistake in each copy."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from right import Leaky

import rnnlab
from rnnlab.nn.params import HiddenState


@jax.custom_vjp
def squash(a):
    return jnp.tanh(a)


squash.defvjp(lambda a: (jnp.tanh(a), jnp.tanh(a)), lambda y, g: (g * (1 - y),))  # not 1 - y²


@rnnlab.register_cell("wrong-gradient")
@dataclass(frozen=True)
class WrongGradient(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        h = squash(x @ p["W_x"] + state.h @ p["W_hh"])
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, None


class Counted(NamedTuple):
    h: jax.Array
    steps: jax.Array


@rnnlab.register_cell("one-counter")
@dataclass(frozen=True)
class OneCounter(Leaky):
    def initial_state(self, params, batch_shape, key=None):
        return Counted(jnp.zeros((*batch_shape, self.hidden_size)), jnp.zeros(()))  # of all rows

    def step(self, p, state, x, *, key=None, perturb=None):
        h = jnp.tanh(x @ p["W_x"] + state.h @ p["W_hh"]) / (1 + state.steps)
        return Counted(h, state.steps + 1), h, None


@rnnlab.register_cell("batch-norm")
@dataclass(frozen=True)
class BatchNorm(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        a = x @ p["W_x"] + state.h @ p["W_hh"]
        h = jnp.tanh(a - a.mean(0, keepdims=True) if a.ndim > 1 else a)  # mixes the batch
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, None


@rnnlab.register_cell("traced")
@dataclass(frozen=True)
class Traced(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        gain = 0.9 if isinstance(x, jax.core.Tracer) else 1.0  # another cell once it is compiled
        return super().step(p, HiddenState(gain * state.h), x, perturb=perturb)


@rnnlab.register_cell("list-gates")
@dataclass(frozen=True)
class ListGates(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        state, y, _ = super().step(p, state, x, perturb=perturb)
        return state, y, [y]


@rnnlab.register_cell("thawed")
class Thawed(Leaky):
    __hash__ = None


@rnnlab.register_cell("deaf")
@dataclass(frozen=True)
class Deaf(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        return super().step(p, state, x)  # takes perturb and forgets it


@rnnlab.register_cell("wide")
@dataclass(frozen=True)
class Wide(Leaky):
    output_size = property(lambda self: 2 * self.hidden_size)


@rnnlab.register_cell("noisy")
@dataclass(frozen=True)
class Noisy(Leaky):
    def step(self, p, state, x, *, key=None, perturb=None):
        noise = np.random.default_rng().standard_normal(state.h.shape)
        return super().step(p, HiddenState(state.h + noise.astype("float32")), x, perturb=perturb)


@rnnlab.register_cell("own-draws")
@dataclass(frozen=True)
class OwnDraws(Leaky):
    def init_params(self, key, input_size):  # the schemes of init have no effect
        shapes = {"W_x": (input_size, self.hidden_size), "W_hh": (self.hidden_size,) * 2}
        keys = jax.random.split(key)
        return {n: jax.random.normal(k, s) for (n, s), k in zip(shapes.items(), keys)}


@rnnlab.register_scheme("float_only")
def float_only(gain=1.0):
    return lambda key, shape, dtype=None: gain * jax.random.normal(key, shape, jnp.float32)


@rnnlab.register_scheme("one_draw")
def one_draw():
    return lambda key, shape, dtype=float: jax.random.normal(jax.random.key(0), shape, dtype)
