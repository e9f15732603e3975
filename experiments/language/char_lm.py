"""A character language model on the State of the Union speeches, against counting n-grams.

    rnnlab run --config=experiments/language/char_lm.py

The first half million characters (packages of rnnlab[data]), 81 of them distinct, the last tenth
held out; tanh RNN, LSTM and GRU of H = 128 by BPTT truncated to 50 characters, the state carried
from window to window. About 2 minutes on 2 cores; ":full" has all 12 million and H = 512.

Expected: an interpolated (Witten–Bell) n-gram needs 4.29, 3.33, 2.55, 1.93 and 1.65 bits a
character at n = 1 to 5; the LSTM beats it up to n = 3, and more text and units are needed beyond.
For comparison, 1.40 bits and more on Penn Treebank with 150 steps (Kerg et al. 2019).
"""

import textwrap
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from rnnlab import training
from rnnlab.nn import generation, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.plotting import learning_curves, plots
from rnnlab.results.claims import Claim
from rnnlab.results.table import Table
from rnnlab.tasks.ngram_baseline import ngram_probabilities
from rnnlab.training import runner

CELLS = {"rnn-tanh": "RNN", "gru": "GRU", "lstm": "LSTM"}
BLOCKS = {"rnn-tanh": 1, "gru": 3, "lstm": 4}  # kernels over [h, x]
ORDERS = (1, 2, 3, 4, 5)
BEATEN = 3  # the order up to which the LSTM is expected to be better, at this scale
LENGTHS = (1, 50, 1000)  # at which parameters are counted
PROMPT = "The people of the "
PAR = 0.05  # bits
# a whole pass and one step at a time round apart; logits are of the order 10
ROUNDING = 1e-3


def get_config(arg: str | None = None) -> ml_collections.ConfigDict:
    """The default, or with "full" the whole text."""
    if arg not in (None, "", "full"):
        raise ValueError(f"char_lm.py takes no argument or :full, got {arg!r}")
    full = arg == "full"
    config = ml_collections.ConfigDict(
        {
            "seed": 0,
            "task": {
                "name": "characters",
                "path": "",
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
            "run": runner.config(
                sample=300,  # characters to generate
                temperature=0.7,
                seeds=2,
                seconds_per_member=20_000.0 if full else 20.0,
                seconds_per_group=10.0,
            ),
        }
    )
    return config.lock()


def get_sweep(config: Any) -> list[dict[Any, Any]]:
    """Cells x seeds."""
    axes = {"seed": tuple(range(config.run.seeds))}
    return [
        {"cell.name": ("rnn-tanh", "gru"), **axes},
        {"cell.name": ("lstm",), "init.forget_bias": ("1.0",), **axes},
    ]


run = runner.run


def predict(config: Any) -> dict[str, Any]:
    """What counting reaches on the same characters, and the model's parameters in closed form."""
    H, V = config.cell.hidden_size, training.task_of(config).input_size
    recurrent = BLOCKS[config.cell.name] * H * (H + V + 1)
    return {
        "params_predicted": recurrent + H * V + V,
        **{f"ngram_{order}": bits for order, bits in counted(training.task_of(config)).items()},
    }


@lru_cache(maxsize=2)  # members share their text
def counted(task: Any) -> dict[int, float]:
    """Bits a character of the n-gram of each order, on the characters that models are scored on."""
    data, V = task.load(), task.input_size
    scored = task.test(data, jax.random.key(0), task.batch_size).targets.size
    known = data.test[: scored + 1]  # the first is given to a model, too, and not scored
    return {
        n: float(-np.log2(ngram_probabilities(data.train, known, n, V)[1:]).mean()) for n in ORDERS
    }


def measure(config: Any, setup: Any, params: Any) -> dict[str, Any]:
    """Samples, what the whole pass says of the greedy one, and parameters at several lengths."""
    alphabet = setup.task.alphabet
    prompt = jnp.array([[alphabet.index(c) for c in PROMPT if c in alphabet]], jnp.int32)
    key, steps = jax.random.key(config.seed), config.run.sample
    greedy = generation.generate(setup.model, params, prompt, steps, temperature=0)
    drawn = generation.generate(
        setup.model, params, prompt, steps, key, temperature=config.run.temperature
    )

    def text(symbols: Any) -> str:
        return "".join(alphabet[int(k)] for k in symbols[0])

    return {
        "prompt": text(prompt),
        "greedy": text(greedy),
        "drawn": text(drawn),
        "fed_back": fed_back(setup.model, params, prompt, greedy),
        "params_by_length": [_count(setup.model, length) for length in LENGTHS],
    }


def fed_back(model: Any, params: Any, prompt: Any, greedy: Any) -> float:
    """The share of a greedy sample that one pass over prompt and sample names most probable."""
    logits, _ = model.apply(params, jnp.concatenate([prompt, greedy[:, :-1]], axis=1))
    own = logits[:, prompt.shape[1] - 1 :]
    named = jnp.take_along_axis(own, greedy[..., None], axis=-1)[..., 0]
    return float((named >= own.max(axis=-1) - ROUNDING).mean())


def _count(model: Any, length: int) -> int:
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, length), jnp.int32))
    return models.count_params(shapes)


# ---- figures -----------------------------------------------------------------------------------


def figures(table: Table) -> dict[str, Any]:
    """Learning curves over the n-grams' bits, and what the models write."""
    return {"bits": _bits(table), "samples": _samples(table)}


def _bits(table: Table) -> tuple[Any, str]:
    figure, axes = plots.new_figure(1, 1, size=(7.4, 4.4))
    ax = axes[0, 0]
    ends = [
        learning_curves.draw(
            ax, members, "bits_per_character", CELLS[cell], list(CELLS).index(cell)
        )
        for cell, members in table.group_by("cell.name").items()
    ]
    result = table[0].result
    levels = [result[f"ngram_{order}"] for order in ORDERS]
    ax.set(
        xlabel="updates",
        ylabel="bits a character, held-out text",
        xlim=(0, table[0].config["training"]["steps"]),
        ylim=(min(levels) - 0.3, max(levels) + 0.3),
    )
    for order, level in zip(ORDERS, levels, strict=True):
        learning_curves.baseline(ax, level, f"{order}-gram {level:.2f}")
    plots.title(ax, "State of the Union, character by character")
    plots.direct_labels(ax, ends)
    return figure, (
        "Bits a character of the text held out against updates: median and range over seeds. "
        "Dotted: interpolated (Witten–Bell) character n-grams on the same split."
    )


def _samples(table: Table) -> tuple[Any, str]:
    cells = [members[0] for members in table.group_by("cell.name").values()]
    figure, axes = plots.new_figure(len(cells), 1, size=(9, 2.1 * len(cells)))
    for ax, member in zip(axes[:, 0], cells, strict=True):
        result, name = member.result, CELLS[member.config["cell"]["name"]]
        plots.title(ax, f"{name}, {result['bits_per_character']:.2f} bits a character")
        ax.set_axis_off()
        temperature = member.config["run"]["temperature"]
        for top, how, part in (
            (0.97, "greedy", "greedy"),
            (0.47, f"temperature {temperature}", "drawn"),
        ):
            ax.text(
                0, top, how, fontsize=8, va="top", color=plots.COLORS[1], transform=ax.transAxes
            )
            written = (result["prompt"] + result[part]).replace("\n", "↵ ")
            lines = textwrap.wrap(written, 110)
            ax.text(
                0.13,
                top,
                "\n".join(lines),
                fontsize=8,
                va="top",
                family="monospace",
                transform=ax.transAxes,
                parse_math=False,
            )
    return figure, (
        f"What the first seed of each cell writes after {cells[0].result['prompt']!r}: always the "
        "most probable character, and drawn at a temperature; y_t is fed back as x_{t+1}."
    )


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def claims(table: Table) -> list[Claim]:
    """Against counting, between cells, and the notes' 10 and 14."""

    def bits(cell: str) -> float:
        return float(np.median(table.select({"cell.name": cell}).stack("bits_per_character")))

    def beats(order: int) -> Any:
        def check() -> tuple[bool, str]:
            counted = table.select({"cell.name": "lstm"}).stack(f"ngram_{order}")[0]
            config = table[0].config
            return bool(bits("lstm") < counted), (
                f"LSTM {bits('lstm'):.2f}, {order}-gram {counted:.2f} bits a character ("
                f"{config['task']['limit'] / 1e6:.1f}M characters, H = "
                f"{config['cell']['hidden_size']}, {config['training']['steps']} updates)"
            )

        return check

    def better_than_rnn() -> tuple[bool, str]:
        return bits("lstm") < bits("rnn-tanh"), (
            f"LSTM {bits('lstm'):.2f}, RNN {bits('rnn-tanh'):.2f} bits a character"
        )

    def on_par() -> tuple[bool, str]:
        return abs(bits("gru") - bits("lstm")) <= PAR, (
            f"GRU {bits('gru'):.2f}, LSTM {bits('lstm'):.2f} bits a character"
        )

    def same_count() -> tuple[bool, str]:
        counts, predicted = table.stack("params_by_length"), table.stack("params_predicted")
        learned = table.stack("params")
        same = (counts == predicted[:, None]).all() and (learned == predicted).all()
        words = ", ".join(
            f"{CELLS[cell]} {sorted(set(members.stack('params_by_length').ravel().tolist()))}"
            for cell, members in table.group_by("cell.name").items()
        )
        return bool(same), f"at T = {', '.join(map(str, LENGTHS))}: {words}"

    def feeds_back() -> tuple[bool, str]:
        shares, sample = table.stack("fed_back"), table[0].config["run"]["sample"]
        return bool((shares == 1).all()), (
            f"{100 * shares.min():.1f}% or more of {sample} characters, {shares.size} models"
        )

    notes = "the notes, claim "
    median = "median over seeds of the bits a character of the text held out "
    against = [
        Claim(
            f"An LSTM predicts characters better than an interpolated {order}-gram",
            notes + "5, n-gram language model against RNN; Witten & Bell 1991",
            median + "below the n-gram's on the same split",
            "holds" if order <= BEATEN else "refuted",
            beats(order),
        )
        for order in ORDERS
    ]
    return [
        *against,
        Claim(
            "An LSTM predicts characters better than a simple RNN",
            notes + "11 and 17",
            median + "below the RNN's",
            "holds",
            better_than_rnn,
        ),
        Claim(
            "A GRU and an LSTM predict characters equally well",
            notes + "18",
            median + f"within {PAR} of each other",
            "holds",
            on_par,
        ),
        Claim(
            "The number of parameters does not depend on the length of the text",
            notes + "10",
            "counted at every length: g·H(H + V + 1) + HV + V, as many as were trained",
            "holds",
            same_count,
            closed_form=True,
        ),
        Claim(
            "Generation is the forward pass with y_t fed back as x_{t+1}",
            notes + "14",
            "one "
            "pass over prompt and greedy sample finds every character of it the most probable "
            f"next one, to {ROUNDING} of its logit",
            "holds",
            feeds_back,
            closed_form=True,
        ),
    ]
