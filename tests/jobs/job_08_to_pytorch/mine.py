"""My own small run: a simple RNN that adds two marked numbers."""

from ml_collections import ConfigDict

from rnnlab import InitScheme, training
from rnnlab.nn import layers

run = training.run


def get_config(arg=None):
    return ConfigDict(
        {
            "seed": 0,
            "task": {"name": "adding", "length": 10},
            "cell": layers.config("rnn-tanh", 5),
            "init": InitScheme.config(),
            "training": training.config(steps=20, eval_every=10, batch_size=4, eval_batch_size=8),
            "run": training.runner.config(),
        }
    )


def get_sweep(config):
    return {"seed": (0,)}


def figures(table):
    return {}


def claims(table):
    return []
