"""Config, sweep and drawn samples of the experiments on character language models."""

import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core import validate
from rnnlab.lab.config import seeds
from rnnlab.lab.sweep import Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.tasks.base import Config
from rnnlab.training import runner

CELLS = {"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"}


def config(full: bool, run: Mapping[str, object]) -> ConfigDict:
    """Return the config of a character language model of the State of the Union speeches.

    Args:
        full: all 12 million characters and H = 512, not the first half million and H = 128.
        run: what the experiment adds to its group ``run``, such as the length of samples.

    >>> config(full=False, run={"sample": 300}).cell.hidden_size
    128
    """
    return ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "characters",
                "path": "",  # a text of your own
                "batch_size": 32,
                # windows of 50 (100) characters fill a stream of the training text exactly
                "limit": 12_181_340 if full else 497_780,
                "test_share": 0.1,
                "test_length": 2000,  # longer than the streams held out: all of it is scored
            },
            "cell": {"name": "lstm", "hidden_size": 512 if full else 128, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                learning_rate=2e-3 if full else 5e-3,
                schedule="cosine",
                clip_norm=1.0,
                batch_size=32,
                window=100 if full else 50,
                steps=40_000 if full else 2400,
                eval_every=500 if full else 200,
                eval_batch_size=32,
                stop_when_solved=False,
            ),
            "run": runner.config(seeds=2, seconds_per_group=10.0, **run),
        }
    ).lock()


def axes(config: Config) -> Sweep:
    """Return the axes cells x seeds; the LSTM's forget bias is 1."""
    return [
        {"cell.name": ("rnn-tanh", "gru"), "seed": seeds(config)},
        {"cell.name": ("lstm",), "init.forget_bias": ("1.0",), "seed": seeds(config)},
    ]


def check(config: Config) -> None:
    """Refuse a cell that the experiments do not compare."""
    validate.choice("cell.name", config.cell.name, CELLS)


def draw_sample(
    ax: Axes, top: float, name: str, text: str, *, x: float, width: int, lines: int, size: float
) -> None:
    """Write a sample and its name on axes.

    Args:
        top: the upper edge, 0 … 1. x: the left edge of the text, right of the name.
        width: characters per line. lines: at most. size: of the font of the text.
    """
    ax.text(0, top, name, fontsize=8, va="top", color=plots.COLORS[1], transform=ax.transAxes)
    ax.text(
        x,
        top,
        "\n".join(textwrap.wrap(text.replace("\n", "↵ "), width)[:lines]),
        fontsize=size,
        va="top",
        family="monospace",
        transform=ax.transAxes,
        parse_math=False,
    )
