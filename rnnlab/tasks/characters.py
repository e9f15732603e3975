"""Character language modeling: the next character of a text, at every one of it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.data import files, hugging_face
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal, PredictableDefaults

Array = jax.Array


class Text(NamedTuple):
    """A text as places in its alphabet, as few bytes as fit."""

    train: np.ndarray  # (N,) the first part
    test: np.ndarray  # (M,) the rest


@dataclass(frozen=True)
class Characters(PredictableDefaults):
    """A text in parallel streams, each the continuation of itself from window to window.

    A batch is a whole pass over the training text, (B, L); training slices windows of time out
    of it and carries the state. The text is read as a ring that starts elsewhere every pass.

    Args:
        path: a UTF-8 file; a table with a column "text", local (.csv, .jsonl, .parquet, …) or on
            the hub, its rows joined by newlines (:mod:`rnnlab.data.hugging_face`); empty: the State
            of the Union speeches of ``rnnlab[data]``, by year.
        batch_size: B, streams; those that :meth:`batch` is asked for.
        limit: characters of the text to use, from its start; 0: all.
        test_share: the last share of the text is held out.
        test_length: steps of a stream of :meth:`test`, at most.
        solved_at: the bits a character that count as solved.
    Raises:
        FileNotFoundError, ConnectionError, ValueError: where a size or the data are first asked
            for: the text cannot be had or is too short.
    """

    name: ClassVar[str] = "characters"

    path: str = ""
    batch_size: int = 32
    limit: int = 0
    test_share: float = 0.1
    test_length: int = 1000
    solved_at: float = 2.5

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("limit", 0), ("test_length", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.test_share < 1:
            raise ValueError(f"test_share must be between 0 and 1, got {self.test_share}")
        if not self.solved_at > 0:
            raise ValueError(f"solved_at must be above 0, got {self.solved_at}")

    @property
    def alphabet(self) -> str:
        """The distinct characters of the whole text, in order: symbol k is its k-th."""
        return "".join(map(chr, _encoded(self.path, self.limit)[0]))

    @property
    def length(self) -> int:
        """L = ⌊(N − 1) / batch_size⌋, steps of a stream over N characters to train on."""
        return self._streams(self._train_size(), self.batch_size, "training text")

    @property
    def input_size(self) -> int:
        """Characters of the alphabet."""
        return len(_encoded(self.path, self.limit)[0])

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
        """A target every step."""
        return False

    @property
    def goal(self) -> Goal:
        """The bits a character are at most ``solved_at``."""
        return Goal("bits_per_character", self.solved_at)

    def _train_size(self) -> int:
        n = len(_encoded(self.path, self.limit)[1])
        return n - round(n * self.test_share)

    def _streams(self, n: int, batch_size: int, what: str) -> int:
        if n <= batch_size:
            raise ValueError(f"{what} of {n} characters is too short for {batch_size} streams")
        return (n - 1) // batch_size

    def load(self) -> Text:
        """The text, its last part apart."""
        codes, n = _encoded(self.path, self.limit)[1], self._train_size()
        return Text(codes[:n], codes[n:])

    def baseline(self, data: Text) -> float:
        """The entropy of the characters of the training text, in nats."""
        counts = np.bincount(data.train)
        p = counts[counts > 0] / len(data.train)
        return float(-(p * np.log(p)).sum())

    def batch(self, data: Text, key: Array, index: Any, batch_size: int) -> Batch:
        """Pass ``index`` over the text: streams (B, L), each followed by the next.

        Raises:
            ValueError: another batch_size than the task's, for which L is another.
        """
        if batch_size != self.batch_size:
            raise ValueError(f"batch_size must be the task's {self.batch_size}, got {batch_size}")
        n = len(data.train)
        steps = self._streams(n, batch_size, "training text")
        start = jax.random.randint(jax.random.fold_in(key, index), (), 0, n)
        ring = jnp.roll(jnp.asarray(data.train), -start)
        return self._batch(ring[: batch_size * steps + 1], batch_size, steps)

    def test(self, data: Text, key: Array, batch_size: int) -> Batch:
        """Streams that start at even distances over the text held out, cut to ``test_length``."""
        steps = self._streams(len(data.test), batch_size, "held-out text")
        whole = self._batch(jnp.asarray(data.test[: batch_size * steps + 1]), batch_size, steps)
        return Batch(*(part[:, : self.test_length] for part in whole))

    def _batch(self, codes: Array, batch_size: int, steps: int) -> Batch:
        codes = codes.astype(jnp.int32)
        shape = batch_size, steps
        return Batch(codes[:-1].reshape(shape), codes[1:].reshape(shape), jnp.ones(shape, bool))

    # ---- for predictions, see rnnlab.training.predict ----

    def tokens(self, text: str) -> list[str]:
        """Its characters."""
        return list(text)

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Their symbols (T,) int32.

        Raises:
            ValueError: a character that the text it learned from has not.
        """
        place = {c: k for k, c in enumerate(self.alphabet)}
        unknown = sorted({c for c in tokens if c not in place})
        if unknown:
            raise ValueError(
                f"{''.join(unknown)!r} does not occur in the text that was learned "
                f"from, whose characters are {self.alphabet!r}"
            )
        return np.array([place[c] for c in tokens], np.int32)

    def decode(self, values: np.ndarray) -> str:
        """Return the characters of symbols (T,)."""
        return "".join(self.alphabet[int(k)] for k in values)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """How well the text is foretold, each character after the first: from logits (T, V)."""
        if len(tokens) < 2:
            return "one character alone: nothing is foretold"
        nats = losses.cross_entropy(outputs[:-1], jnp.asarray(self.encode(tokens))[1:])
        return f"{float(nats) / np.log(2):.2f} bits a character"

    @property
    def streams(self) -> bool:
        """A next character after every one."""
        return True

    def label(self, output: Array) -> str:
        """The character that is most probable next."""
        return self.alphabet[int(output.argmax())]

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """The "loss" in nats, "bits_per_character" = loss / ln 2, "perplexity" = exp(loss)."""
        loss = losses.cross_entropy(outputs, batch.targets, batch.mask)
        return {
            "loss": loss,
            "bits_per_character": loss / np.log(2).item(),
            "perplexity": jnp.exp(loss),
        }


@lru_cache(maxsize=2)  # sizes are asked for often, and a sweep's members read the same text
def _encoded(path: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """(alphabet, the text as places in it)."""
    if path and (hugging_face.is_table(path) or not Path(path).expanduser().is_file()):
        text = "\n".join(
            row or "" for row in hugging_face.load_text(path)["text"]
        )  # a row may be None
    else:
        text = files.read_text(path)
    if limit > len(text):
        raise ValueError(f"limit {limit} is more than the text has, {len(text)} characters")
    return files.encode(text[: limit or None])
