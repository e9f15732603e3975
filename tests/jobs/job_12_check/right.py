"""A leaky unit, as its user wrote it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import rnnlab
from rnnlab.nn.initializers import make
from rnnlab.nn.params import HiddenState


@rnnlab.register_cell("leaky")
@dataclass(frozen=True)
class Leaky:
    hidden_size: int
    init: rnnlab.InitScheme = rnnlab.InitScheme()
    alpha: float = 0.5
    output_size = property(lambda self: self.hidden_size)

    def init_params(self, key, input_size):
        k, H = jax.random.split(key), self.hidden_size
        return {
            "W_x": make(self.init.w_x, H)(k[0], (input_size, H)),
            "W_hh": make(self.init.w_h, H)(k[1], (H, H)),
        }

    def initial_state(self, params, batch_shape, key=None):
        return HiddenState(jnp.zeros((*batch_shape, self.hidden_size)))

    def step(self, p, state, x, *, key=None, perturb=None):
        new = jnp.tanh(x @ p["W_x"] + state.h @ p["W_hh"])
        h = (1 - self.alpha) * state.h + self.alpha * new
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, None
