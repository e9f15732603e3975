"""Character language modeling: the next character of a text, at every character."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.data import files, hugging_face
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal, PredictableDefaults
from rnnlab.tasks.checks import say_limit
from rnnlab.tasks.classification import entropy
from rnnlab.tasks.stored import Record, Stored

Array = jax.Array


class Text(NamedTuple):
    """A text as indices into its alphabet, in the smallest dtype that fits."""

    train: np.ndarray  # (N,) the first part
    validation: np.ndarray  # (K,) the next
    test: np.ndarray  # (M,) the last part


@dataclass(frozen=True)
class Characters(Stored, PredictableDefaults):
    """A text in parallel streams, each continued from window to window.

    A batch is a whole pass over the training text, (B, L); training slices windows of time out
    of it and carries the state. The text is a ring; every pass starts at another character.

    Args:
        path: a UTF-8 file; a table with a column "text", local (.csv, .jsonl, .parquet, …) or on
            the hub, its rows joined by newlines (:mod:`rnnlab.data.hugging_face`); empty: the State
            of the Union speeches of ``rnnlab[data]``, by year.
        batch_size: B, streams; the same as in the calls of :meth:`batch`.
        limit: characters of the text to use, from its start, at most; 0: all.
        test_share: the last share of the text is held out.
        validation_share: the last share of what comes before is the validation set.
        test_length: steps of a stream of :meth:`test` and of :meth:`validation`, at most.
        solved_at: the bits per character that count as solved.
    Raises:
        ValueError: an option out of its range. FileNotFoundError, ConnectionError, ValueError:
            at the first use of a size or of the data, if the text is missing or too short.
    """

    name: ClassVar[str] = "characters"

    path: str = ""
    batch_size: int = 32
    limit: int = 0
    test_share: float = 0.1
    validation_share: float = 0.1
    test_length: int = 1000
    solved_at: float = 2.5

    def __post_init__(self) -> None:
        validate.whole("batch_size", self.batch_size)
        validate.whole("limit", self.limit, 0)
        validate.whole("test_length", self.test_length)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("validation_share", self.validation_share, least=0, below=1)
        validate.number("solved_at", self.solved_at, above=0, finite=False)

    @property
    def alphabet(self) -> str:
        """The distinct characters of the whole text, in order: symbol k is its k-th."""
        if self.kept:
            return self.memory["alphabet"]
        return "".join(map(chr, _encoded(self.path, self.limit)[0]))

    def stored(self) -> Record:
        """Return the alphabet and the number of characters to train on."""
        return {"alphabet": self.alphabet, "train_size": self._train_size()}

    @property
    def length(self) -> int:
        """L = ⌊(N − 1) / batch_size⌋, steps of a stream over N characters to train on."""
        return self._streams(self._train_size(), self.batch_size, "training text")

    @property
    def input_size(self) -> int:
        """Characters of the alphabet."""
        return len(self.alphabet)

    @property
    def output_size(self) -> int:
        """O = :attr:`input_size`."""
        return self.input_size

    @property
    def symbols(self) -> bool:
        """Inputs are whole numbers."""
        return True

    @property
    def loss(self) -> str:
        """Cross-entropy."""
        return "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """False: a target at every step."""
        return False

    @property
    def goal(self) -> Goal:
        """The bits per character are at most ``solved_at``."""
        return Goal("bits_per_character", self.solved_at)

    def _train_size(self) -> int:
        return self.memory["train_size"] if self.kept else self._ends()[0]

    def _ends(self) -> tuple[int, int]:
        """Return where the training text and the validation text end."""
        n = len(_encoded(self.path, self.limit)[1])
        end = n - round(n * self.test_share)
        return end - round(end * self.validation_share), end

    def _streams(self, n: int, batch_size: int, name: str) -> int:
        if n <= batch_size:
            raise ValueError(
                f"{name} of {n} characters is too short for {batch_size} streams: give a longer "
                "text, or smaller task.batch_size and training.batch_size"
            )
        return (n - 1) // batch_size

    def load(self) -> Text:
        """Return the text, split in time."""
        self.check_same()
        codes, (train, end) = _encoded(self.path, self.limit)[1], self._ends()
        return Text(codes[:train], codes[train:end], codes[end:])

    def baseline(self, data: Text) -> float:
        """Return the entropy of the characters of the training text, in nats."""
        return entropy(data.train)

    def batch(self, data: Text, key: Array, index: int | Array, batch_size: int) -> Batch:
        """Return pass ``index`` over the text: streams (B, L), each followed by the next.

        Raises:
            ValueError: another batch_size than the task's, which determines L.
        """
        if batch_size != self.batch_size:
            raise ValueError(f"batch_size must be the task's {self.batch_size}, got {batch_size}")
        n = len(data.train)
        steps = self._streams(n, batch_size, "training text")
        start = jax.random.randint(jax.random.fold_in(key, index), (), 0, n)
        ring = jnp.roll(jnp.asarray(data.train), -start)
        return self._batch(ring[: batch_size * steps + 1], batch_size, steps)

    def test(self, data: Text, key: Array, batch_size: int) -> Batch:
        """Return streams from even distances over the held-out text, cut to ``test_length``.

        At most as many streams as it has steps.
        """
        return self._held_out(data.test, batch_size)

    def validation_size(self, data: Text) -> int:
        """Return the number of characters to predict in the validation text."""
        return max(len(data.validation) - 1, 0)

    def validation(self, data: Text, key: Array, batch_size: int) -> Batch:
        """Return streams of the validation text, as :meth:`test` does of the held-out one."""
        return self._held_out(data.validation, batch_size)

    def _held_out(self, codes: np.ndarray | Array, batch_size: int) -> Batch:
        batch_size = max(min(batch_size, len(codes) - 1), 1)
        steps = self._streams(len(codes), batch_size, "held-out text")
        whole = self._batch(jnp.asarray(codes[: batch_size * steps + 1]), batch_size, steps)
        return Batch(*(part[:, : self.test_length] for part in whole))

    def scored_of(self, data: Text, batch_size: int) -> tuple[int, int]:
        """Return (characters that :meth:`test` scores in so many streams, characters held out)."""
        batch_size = max(min(batch_size, len(data.test) - 1), 1)
        steps = self._streams(len(data.test), batch_size, "held-out text")
        held_out = batch_size * steps  # what does not fill the streams is less than one step
        return batch_size * min(steps, self.test_length), held_out

    def _batch(self, codes: Array, batch_size: int, steps: int) -> Batch:
        codes = codes.astype(jnp.int32)
        shape = batch_size, steps
        return Batch(codes[:-1].reshape(shape), codes[1:].reshape(shape), jnp.ones(shape, bool))

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the characters of a text."""
        return list(text)

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return the symbols (T,) int32 of characters.

        Raises:
            ValueError: a character that does not occur in the text that was learned from.
        """
        number = {c: k for k, c in enumerate(self.alphabet)}
        unknown = sorted({c for c in tokens if c not in number})
        if unknown:
            raise ValueError(
                f"{''.join(unknown)!r} does not occur in the text that was learned "
                f"from, whose characters are {self.alphabet!r}"
            )
        return np.array([number[c] for c in tokens], np.int32)

    def decode(self, values: np.ndarray) -> str:
        """Return the characters of symbols (T,)."""
        return "".join(self.alphabet[int(k)] for k in values)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the bits per character after the first, from logits (T, V)."""
        if len(tokens) < 2:
            return "one character: nothing to predict"
        nats = losses.cross_entropy(outputs[:-1], jnp.asarray(self.encode(tokens))[1:])
        return f"{float(nats) / np.log(2):.2f} bits per character"

    @property
    def streams(self) -> bool:
        """True: a next character after every one."""
        return True

    def label(self, output: Array) -> str:
        """Return the most probable next character."""
        return self.alphabet[int(output.argmax())]

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return "loss" in nats, "bits_per_character" = loss / ln 2, "perplexity" = exp(loss)."""
        loss = losses.cross_entropy(outputs, batch.targets, batch.mask)
        return {
            "loss": loss,
            "bits_per_character": loss / np.log(2).item(),
            "perplexity": jnp.exp(loss),
        }


@read_once(2)  # sizes are asked for often, and a sweep's members read the same text
def _encoded(path: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (alphabet, the text as indices into it)."""
    if path and (hugging_face.is_table(path) or not Path(path).expanduser().is_file()):
        text = "\n".join(
            row or "" for row in hugging_face.load_text(path)["text"]
        )  # a row may be None
    else:
        text = files.read_text(path)
    say_limit(limit, len(text), "characters of the text")
    return files.encode(text[: limit or None])
