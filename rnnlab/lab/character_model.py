"""Config, sweep and drawn samples of the experiments on character language models."""

import textwrap
from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.core.notices import left_out
from rnnlab.lab.config import seeds
from rnnlab.lab.lines import Labels
from rnnlab.lab.sweep import Only, Sweep
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import plots
from rnnlab.tasks.base import Config
from rnnlab.training import runner

CELLS = Labels({"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"})


def config(full: bool, run: Mapping[str, object], steps: int = 2400) -> ConfigDict:
    """Return the config of a character language model of the State of the Union speeches.

    Args:
        full: all 12 million characters and H = 512, not the first half million and H = 128.
        run: what the experiment adds to its group ``run``, such as the length of samples.
        steps: updates, where not ``full``.

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
                "limit": 12_179_755 if full else 497_780,
                "test_share": 0.1,
                "validation_share": 0.1,  # of what is not held out
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
                steps=40_000 if full else steps,
                eval_every=500 if full else 200,
                eval_batch_size=32,
                stop_when_solved=False,
            ),
            "run": runner.config(seconds_per_group=10.0, **run),
        }
    ).lock()


def axes(config: Config) -> Sweep:
    """Return the axes cells x seeds; the LSTM's forget bias is 1."""
    return [
        {"cell.name": ("rnn-tanh", "gru"), "seed": seeds(config)},
        {"cell.name": Only(("lstm",)), "init.forget_bias": ("1.0",), "seed": seeds(config)},
    ]


class Samples(NamedTuple):
    """How many samples, and their sizes."""

    prompts: int
    prompt: int  # characters
    sample: int  # characters


def fitting(held_out: int, run: Config) -> Samples:
    """Return the samples that a held-out text of so many characters allows.

    Fewer prompts, and if not even one fits, a shorter one of a fifth of the text; what is chosen
    is said.

    >>> fitting(16_000, ConfigDict({"prompts": 32, "prompt": 100, "sample": 400}))
    Samples(prompts=32, prompt=100, sample=400)
    """
    asked = chosen = Samples(run.prompts, run.prompt, run.sample)
    fit = held_out // (run.prompt + run.sample)
    if fit < run.prompts:
        chosen = asked._replace(prompts=fit)
    if not fit:
        prompt = min(run.prompt, max(held_out // 5, 1))
        chosen = Samples(1, prompt, min(run.sample, held_out - prompt))
    if chosen != asked:
        left_out(
            f"{held_out} characters are held out: {chosen.prompts} prompts of {chosen.prompt} "
            f"characters and samples of {chosen.sample} (run.prompts, run.prompt, run.sample)"
        )
    return chosen


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
