import jax
import jax.numpy as jnp
import optax
from flax import nnx

from rnnlab import LSTM
from rnnlab.interop.flax import Recurrent


class Model(nnx.Module):
    def __init__(self, rngs):
        self.recurrent = Recurrent(LSTM(8), 2, rngs=rngs)
        self.output = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, xs):
        return self.output(self.recurrent(xs)[:, -1])


xs = jax.random.normal(jax.random.key(0), (16, 6, 2))
targets = xs[:, 0, :1]  # to be remembered
model = Model(nnx.Rngs(1))
optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)


def loss_of(model):
    return jnp.mean((model(xs) - targets) ** 2)


@nnx.jit
def step(model, optimizer):
    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, grads)
    return loss


losses = [float(step(model, optimizer)) for _ in range(60)]
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
