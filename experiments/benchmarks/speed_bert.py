"""A BERT-Tiny beside PyTorch's: one pre-training update, and the time to read a sentence.

    rnnlab run --config=experiments/benchmarks/speed_bert.py

All sides start from the same weights and take the same batch (masked words and next sentence,
AdamW, no dropout), each alone in a process of its own. Outputs, and losses before and after an
update, must agree before anything is timed; then processes take turns for five rounds. rnnlab's
update is timed as a program of its own, and as in training: several in one program, which allocates
its memory once for all of them.
PyTorch has three ways, and the fastest counts: Hugging Face's BertForPreTraining as it is, which
reads out every token; its head on the hidden words only, as in rnnlab; and this one compiled by
torch.compile, where there is a C++ compiler; one that takes over twice as long as the fastest in
round 1 is measured once. One sentence is read, beside a table of word vectors. About 3 minutes on 2
cores with nothing else running, 25 with ":full", which starts new processes each round; needs
torch, transformers.

Bounds: an update 1.1x as fast as PyTorch's fastest way, alone and in training; reading a sentence
takes ten times as long as a table of vectors, or more.
Measured: in training 235 ms an update, PyTorch's 242 and, compiled, 201 (2,200 as Hugging Face has
it); alone 305, for its results are allocated anew. Both bounds are refuted. Reading: 1.6 ms, 3 µs.
By part (each alone): the encoder's operations take as long on both sides; the head over 30,522
words is where they differ. It was slower than PyTorch's before its loss and its gradient were one
pass each over the logits (autodiff scatters into zeros), and before the logits had two axes and a
bias whose gradient is a product.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

import rnnlab  # its parts are loaded by the sides that use them: PyTorch's do without JAX
from rnnlab.core import host
from rnnlab.lab import benchmark
from rnnlab.lab.benchmark import Side, Timed
from rnnlab.lab.config import Config, scale
from rnnlab.lab.sweep import Sweep
from rnnlab.plotting import plots, speed_bars
from rnnlab.plotting.speed_bars import Bar
from rnnlab.results import speed
from rnnlab.results.claims import Claim, claim
from rnnlab.results.speed import Ratio
from rnnlab.results.table import Member, Table

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

TorchModel = Any  # of transformers, whose attributes have no types
Outputs = dict[str, np.ndarray]  # logits of both heads, last hidden states

SAME = 1e-5  # max|a − b| / max|b| of the logits, and of one sentence's hidden states
SAME_LOSS = 1e-4  # relative, of the losses before and after an update
CHUNK = 4  # updates in one program
TORCH = ("torch", "torch_hidden", "torch_compiled")  # ways to make an update
PACKAGES = ("torch", "transformers")
RATE = 1e-4


def get_config(arg: str | None = None) -> ConfigDict:
    """Return the config; with "full" everything is measured longer, in new processes each round."""
    full = scale(arg) == "full"
    rounds, seconds = 5, 3.0 if full else 0.5
    turn = 20.0 if full else 0.9
    expected = benchmark.estimate(sides=7, rounds=rounds, turn=turn, start=10.0)
    config = ConfigDict(
        {
            "seed": 0,
            "encoder": rnnlab.bert.encoder.config(dropout=0.0, attention_dropout=0.0),
            "vocab_size": 30522,  # V, pieces of words
            "batch_size": 32,  # B, sequences of an update
            "length": 128,  # T, pieces of a sequence
            "run": {
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every side has a turn in its process
                "seconds": seconds,  # for which a turn times each pass, back to back
                "threads": 0,  # threads of PyTorch; 0: as many as there are cores to use
                "seconds_per_member": expected,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def get_sweep(config: Config) -> Sweep:
    """Return both published activations."""
    del config
    return {"encoder.activation": ("gelu", "gelu_tanh")}


def check(config: Config) -> None:
    """Refuse dropout, which differs between the sides, and a machine without PyTorch."""
    from rnnlab.lab import bert_case

    bert_case.sizes_of(config)
    if config.encoder.dropout or config.encoder.attention_dropout:
        raise ValueError("speed_bert.py compares losses: dropout must be 0.0 on both sides")
    benchmark.check(config, *PACKAGES)
    benchmark.check_cpu()


def run(config: Config, key: object, log: Callable[..., object]) -> dict[str, object]:
    """Compare the results of all sides, then time them."""
    del key  # the sides draw by config.seed
    return benchmark.measure(sides, config, log, prepare=prepare, renew=config.run.full)


# ---- the sides ---------------------------------------------------------------------------------


def prepare(config: Config, folder: Path) -> None:
    """Write the sizes, the weights and the batch for PyTorch's sides."""
    from rnnlab.lab import bert_case

    bert_case.prepare(config, folder)


def sides(config: Config, folder: Path) -> dict[str, Side]:
    """Return rnnlab's update and PyTorch's ways, and who reads a sentence."""

    def theirs(way: str, programs: tuple[str, ...] = ()) -> Side:
        return Side(
            partial(torch_update, config, folder, way),
            packages=PACKAGES,
            programs=programs,
            tolerance=SAME_LOSS,
            way_of="PyTorch",
        )

    return {
        "rnnlab": Side(partial(our_update, config), tolerance=SAME_LOSS),
        "torch": theirs("all"),
        "torch_hidden": theirs("hidden"),
        "torch_compiled": theirs("compiled", programs=("g++",)),  # by torch.compile
        "rnnlab_read": Side(partial(our_reading, config), tolerance=SAME),
        "torch_read": Side(
            partial(torch_reading, config, folder), packages=PACKAGES, tolerance=SAME
        ),
        "vectors_read": Side(partial(look_up, config, folder), tolerance=None),
    }


def our_update(config: Config) -> dict[str, Timed]:
    """Make an update, and several in one program."""
    from rnnlab.lab.bert_case import Updates

    ours = Updates(config, rate=RATE, chunk=CHUNK)
    return {
        "update": Timed(ours.update, compared=2),  # the second loss is of updated weights
        "chunk": Timed(ours.chunk, outputs=lambda _: ours.update()),
    }


def our_reading(config: Config) -> dict[str, Timed]:
    """Make a reading of one sentence."""
    from rnnlab.lab.bert_case import Updates

    ours = Updates(config, rate=RATE, chunk=CHUNK)
    return {"read": Timed(ours.read, outputs=lambda _: ours.outputs())}


def look_up(config: Config, folder: Path) -> dict[str, Timed]:
    """Make a look-up of a row of a table for each word, as word vectors do."""
    del config
    with np.load(folder / "weights.npz") as file:
        table = file["bert.embeddings.word_embeddings.weight"]
    with np.load(folder / "batch.npz") as file:
        ids = file["ids"][:1]
    return {"read": Timed(lambda: table[ids])}


def torch_update(config: Config, folder: Path, way: str) -> dict[str, Timed]:
    """Make an update of PyTorch's."""
    theirs = Theirs(config, folder)
    if way == "compiled":
        theirs.losses[way] = theirs.torch.compile(theirs.hidden_words)
    return {"update": Timed(partial(theirs.update, way), compared=2)}


def torch_reading(config: Config, folder: Path) -> dict[str, Timed]:
    """Make a reading of one sentence by PyTorch's BertModel."""
    theirs = Theirs(config, folder)
    return {"read": Timed(theirs.read, outputs=lambda _: theirs.outputs())}


class Theirs:
    """Hugging Face's BertForPreTraining with PyTorch's fused AdamW."""

    def __init__(self, config: Config, folder: Path) -> None:
        import torch
        import transformers

        self.torch, sizes = torch, json.loads((folder / "sizes.json").read_text(encoding="utf-8"))
        # its default counts cores that may not be available
        torch.set_num_threads(config.run.threads or host.cores())
        activation = {"gelu": "gelu", "gelu_tanh": "gelu_pytorch_tanh"}[sizes["activation"]]
        module: TorchModel = transformers.BertForPreTraining(
            transformers.BertConfig(
                vocab_size=sizes["vocab_size"],
                hidden_size=sizes["hidden_size"],
                num_hidden_layers=sizes["layers"],
                num_attention_heads=sizes["heads"],
                intermediate_size=sizes["feed_forward_size"],
                hidden_act=activation,
                max_position_embeddings=sizes["max_length"],
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        with np.load(folder / "weights.npz") as file:
            start = {name: torch.tensor(file[name]) for name in file.files}
        module.load_state_dict(start, strict=False)
        self.module, self.optimizer = (
            module,
            torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=0.01, fused=True),
        )
        with np.load(folder / "batch.npz") as file:
            batch = dict(file)

        def int64(a: np.ndarray) -> torch.Tensor:
            return torch.tensor(a, dtype=torch.int64)

        self.inputs = {
            "input_ids": int64(batch["ids"]),
            "token_type_ids": int64(batch["segments"]),
            "attention_mask": int64(batch["mask"]),
        }
        counts = batch["counts"]
        self.rows = int64(np.nonzero(counts)[0])
        self.columns = int64(batch["positions"][counts])
        self.words, self.answer = int64(batch["words"][counts]), int64(batch["next_sentence"])
        self.labels = torch.full(batch["ids"].shape, -100)
        self.labels[self.rows, self.columns] = self.words
        self.losses = {"all": self.all_tokens, "hidden": self.hidden_words}

    def all_tokens(self) -> "torch.Tensor":
        """Return the loss; the head reads out every token."""
        labels = {"labels": self.labels, "next_sentence_label": self.answer}
        return self.module(**self.inputs, **labels).loss

    def hidden_words(self) -> "torch.Tensor":
        """Return the loss; the head reads out the hidden words only."""
        loss_of = self.torch.nn.functional.cross_entropy
        last, pooled = self.module.bert(**self.inputs)[:2]
        words, following = self.module.cls(last[self.rows, self.columns], pooled)
        return loss_of(words, self.words) + loss_of(following, self.answer)

    def update(self, way: str) -> float:
        """Make an update and return the loss before it.

        Args:
            way: "all", "hidden" or "compiled".
        """
        self.optimizer.zero_grad()
        loss = self.losses[way]()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def outputs(self) -> Outputs:
        """Return the outputs of rnnlab's side."""
        with self.torch.inference_mode():
            logits = self.module(**self.inputs)
        words = logits.prediction_logits[self.rows, self.columns]
        return {
            "words": words.numpy(),
            "next_sentence": logits.seq_relationship_logits.numpy(),
            "states": self.read().numpy(),
        }

    def read(self) -> "torch.Tensor":
        """Return the states of PyTorch's BertModel on one sentence."""
        with self.torch.inference_mode():
            return self.module.bert(self.inputs["input_ids"][:1])[0]


# ---- the figure --------------------------------------------------------------------------------

UPDATES = (
    Bar("rnnlab", "rnnlab, alone", plots.COLORS[1]),
    Bar("torch_compiled", "PyTorch, compiled", "#777777"),
    Bar("torch_hidden", "PyTorch, hidden words", "#999999"),
    Bar("torch", "PyTorch, all tokens", "#bbbbbb"),
)
READINGS = (
    Bar("rnnlab_read", "rnnlab", plots.COLORS[1]),
    Bar("torch_read", "PyTorch", "#999999"),
    Bar("vectors_read", "word vectors", "#bbbbbb"),
)


def figures(table: Table) -> "dict[str, tuple[Figure, str]]":
    """Draw the times of an update and of reading a sentence."""
    figure, axes = plots.new_figure(1, 2, size=(10, 1.2 + 1.1 * len(table)))
    rows = [(member.config["encoder"]["activation"], member) for member in table]
    speed_bars.times(axes[0, 0], rows, lambda _: UPDATES, "update", over="rnnlab")
    speed_bars.times(axes[0, 1], rows, lambda _: READINGS, "read", over="rnnlab_read")
    plots.title(axes[0, 0], "an update")
    plots.title(axes[0, 1], "reading a sentence")
    config, sizes = table[0].config, table[0].config["encoder"]
    chunks = {label: speed.median(member, "rnnlab", "chunk") / CHUNK for label, member in rows}
    in_training = ", ".join(f"{speed_bars.milliseconds(ms)} ({a})" for a, ms in chunks.items())
    caption = (
        f"BERT-{sizes['size']}, {config['batch_size']} pairs of {config['length']} tokens, V = "
        f"{config['vocab_size']}. In a program of {CHUNK} updates, as in training, rnnlab's takes "
        f"{in_training}. {speed.conditions(list(table))}"
    )
    return {"speed": (figure, caption)}


# ---- claims: thresholds and expected verdicts, fixed before results ----------------------------


def _ratios(table: Table, ours: str, updates: int) -> dict[str, Ratio]:
    """Return the ratio of PyTorch's fastest update to ours, by activation and that way."""
    ratios = {}
    for member in table:
        best = speed.fastest(member, TORCH, "update")
        ours_ms = speed.times(member, "rnnlab", ours) / updates
        ratio = speed.of_logs(np.log(speed.times(member, best, "update") / ours_ms))
        ratios[f"{member.config['encoder']['activation']}, {best}:"] = ratio
    return ratios


@claim(
    "An update of BERT-{size} is faster than PyTorch's fastest way",
    source="rnnlab",
    holds_if="95% interval of the ratio of times at or above {least:g} for both activations; equal "
    "losses",
    expected="holds",
    least=1.1,
)
def faster(table: Table, least: float) -> tuple[bool, str]:
    """Compare the times of an update."""
    return speed.at_least(_ratios(table, "update", 1), least, table)


@claim(
    "… within a program of several updates, as training runs it",
    source="rnnlab",
    holds_if="95% interval of the ratio at or above {least:g}, by the time of an update in such a "
    "program",
    expected="holds",
    least=1.1,
)
def faster_in_training(table: Table, least: float) -> tuple[bool, str]:
    """Compare the times of an update in a program of several."""
    return speed.at_least(_ratios(table, "chunk", CHUNK), least, table)


def _reading(member: Member) -> Ratio:
    return speed.ratio(member, "rnnlab_read", "vectors_read", "read")


@claim(
    "BERT is slower to run than word vectors",
    source="the notes, claim 9",
    holds_if="reading a sentence takes {factor:g} times as long or more, by the 95% interval",
    expected="holds",
    factor=10.0,
)
def slower_than_vectors(table: Table, factor: float) -> tuple[bool, str]:
    """Compare the times of reading a sentence."""
    ratios = {f"{m.config['encoder']['activation']}:": _reading(m) for m in table}
    return speed.at_least(ratios, factor, table)


def claims(table: Table) -> list[Claim]:
    """List the claims about BERT's speed."""
    size = table[0].config["encoder"]["size"].capitalize()
    return [faster(table, size=size), faster_in_training(table), slower_than_vectors(table)]
