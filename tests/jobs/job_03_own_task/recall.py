"""How does learning to remember depend on the learning rate?

rnnlab run --config=recall.py
"""

from dataclasses import dataclass

import jax
from ml_collections import ConfigDict

from rnnlab import InitScheme, register_task, tasks
from rnnlab.nn import layers, losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.synthetic import Synthetic
from rnnlab.training import config, run


@register_task("first_number")
@dataclass(frozen=True)
class FirstNumber(Synthetic):
    length: int = 6
    input_size, output_size, loss, many_to_one, goal = 1, 1, "mse", True, Goal("loss", 1e-3)
    baseline = lambda self, data=(): 1.0

    def sample(self, key, batch_size):
        xs = jax.random.normal(key, (batch_size, self.length, 1))
        return Batch(xs, xs[:, 0], jax.numpy.ones(batch_size, bool))

    def score(self, outputs, batch):
        return {"loss": losses.mse(outputs, batch.targets, batch.mask)}


def get_config():
    training = config(steps=20, eval_every=10, batch_size=8, eval_batch_size=16)
    groups = {"task": tasks.config("first_number"), "cell": layers.config("gru", 4)}
    return ConfigDict({"seed": 0, **groups, "init": InitScheme.config(), "training": training})


def get_sweep(config):
    return {"training.learning_rate": [1e-3, 1e-2], "seed": range(3)}
