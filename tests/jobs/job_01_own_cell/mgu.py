"""A minimal gated unit and a scheme of my own.

rnnlab run --use=mgu.py --config=gradient_vanishing --config.task.length=500 \
        --config.run.seeds=3 --sweep.cell.name=mgu,lstm,gru \
        --sweep.init.w_h=near_identity,orthogonal
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import rnnlab
from rnnlab.nn.initializers import make
from rnnlab.nn.params import HiddenState


@rnnlab.register_cell("mgu")
@dataclass(frozen=True)
class MGU:
    hidden_size: int
    init: rnnlab.InitScheme = rnnlab.InitScheme()
    output_size = property(lambda self: self.hidden_size)
    keep_gate = "z"

    def init_params(self, key, input_size):
        blocks = {"W_xf": (self.init.w_x, input_size), "W_hf": (self.init.w_h, self.hidden_size)}
        blocks |= {"W_xh": blocks["W_xf"], "W_hh": blocks["W_hf"]}
        keys = jax.random.split(key, len(blocks))
        draw = lambda k, w, rows: make(w, self.hidden_size)(k, (rows, self.hidden_size))
        return {name: draw(k, *block) for k, (name, block) in zip(keys, blocks.items())}

    def initial_state(self, params, batch_shape, key=None):
        return HiddenState(jnp.zeros((*batch_shape, self.hidden_size)))

    def step(self, p, state, x, *, key=None, perturb=None):
        f = jax.nn.sigmoid(x @ p["W_xf"] + state.h @ p["W_hf"])
        h = (1 - f) * state.h + f * jnp.tanh(x @ p["W_xh"] + (f * state.h) @ p["W_hh"])
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, {"z": 1 - f}


@rnnlab.register_scheme("near_identity")
def near_identity(gain=0.95):
    return lambda key, shape, dtype=float: gain * jnp.eye(*shape, dtype=dtype)
