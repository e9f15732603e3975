import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from rnnlab import LSTM
from rnnlab.interop.equinox import Recurrent


class Model(eqx.Module):
    recurrent: eqx.Module
    output: eqx.nn.Linear

    def __init__(self, key):
        self.recurrent = Recurrent(LSTM(8), 2, key=key)
        self.output = eqx.nn.Linear(8, 1, key=key)

    def __call__(self, xs):  # of one sequence
        return self.output(self.recurrent(xs)[-1])


xs = jax.random.normal(jax.random.key(0), (16, 6, 2))
targets = xs[:, 0, :1]  # to be remembered
model, optimizer = Model(jax.random.key(1)), optax.adam(0.03)
opt_state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))


def loss_of(model):
    return jnp.mean((jax.vmap(model)(xs) - targets) ** 2)


@eqx.filter_jit
def step(model, opt_state):
    loss, grads = eqx.filter_value_and_grad(loss_of)(model)
    updates, opt_state = optimizer.update(grads, opt_state)
    return eqx.apply_updates(model, updates), opt_state, loss


losses = []
for _ in range(60):
    model, opt_state, loss = step(model, opt_state)
    losses.append(float(loss))
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
