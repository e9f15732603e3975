import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from rnnlab import LSTM
from rnnlab.interop.flax import Linen


class Model(nn.Module):
    @nn.compact
    def __call__(self, xs):
        hs = Linen(LSTM(8))(xs)
        return nn.Dense(1)(hs[:, -1])


xs = jax.random.normal(jax.random.key(0), (16, 6, 2))
targets = xs[:, 0, :1]  # to be remembered
model, optimizer = Model(), optax.adam(0.03)
params = model.init(jax.random.key(1), xs)
opt_state = optimizer.init(params)


def loss_of(params):
    return jnp.mean((model.apply(params, xs) - targets) ** 2)


@jax.jit
def step(params, opt_state):
    loss, grads = jax.value_and_grad(loss_of)(params)
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss


losses = []
for _ in range(60):
    params, opt_state, loss = step(params, opt_state)
    losses.append(float(loss))
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
