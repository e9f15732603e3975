"""Shared by the tests of plans and runs: a small experiment that trains nothing."""

SOURCE = '''
"""A fake experiment. One second.

More words.
"""

import jax
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.results.claims import Claim

ran = []  # the members that ran, for the tests to look at
hook = lambda config: None  # and a way to break one


def get_config(arg=None):
    if arg not in (None, "full"):
        raise ValueError(f"unknown scale {arg!r} (allowed: full)")
    return ConfigDict(
        {
            "task": {"T": 100 if arg else 3, "lags": (1, 2), "noise": 0.5, "shuffle": True},
            "cell": {"name": "rnn"},
            "init": {"w_x": "normal", "w_h": "normal"},
            "run": {"seconds_per_member": 30.0, "seconds_per_group": 60.0},
            "seed": 0,
        }
    ).lock()


def get_sweep(config):
    return {"cell.name": ["rnn", "lstm"], "seed": range(2)}


def check(config):
    if config.cell.name not in ("rnn", "lstm", "gru"):
        raise ValueError(f"unknown cell {config.cell.name!r} (allowed: rnn, lstm, gru)")


def group(config):
    return config.cell.name


def run(config, key, log):
    ran.append((config.cell.name, config.seed))
    for t in range(config.task.T):
        log(step=t, loss=1 / (1 + t))
        if t == 1:
            hook(config)
    return {"draw": jax.random.uniform(key), "curve": np.array([-1.0, -np.inf])}


def figures(table):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot(table.select({"cell.name": "rnn"}).stack("draw"))
    return {"draws": (figure, "What was drawn.")}


def claims(table):
    def below_one():
        top = table.each("draw").max()
        return top < 1, f"max {top:.2f}"

    def differ():
        rnn, lstm = (table.select({"cell.name": c}).stack("draw") for c in ("rnn", "lstm"))
        return (rnn != lstm).any(), "seed by seed"

    return [
        Claim("draws are below 1", "jax.random", "max below 1", "holds", below_one, True),
        Claim("cells draw apart", "nobody", "any differs", "refuted", differ),
    ]
'''
