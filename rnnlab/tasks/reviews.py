"""Movie reviews: good or bad, read word by word."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.data.splits import shuffled_indices
from rnnlab.nn import losses
from rnnlab.tasks.base import Goal, PredictableDefaults, RaggedBatch
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Words
from rnnlab.text.vocabulary import Vocabulary

Array = jax.Array

SOURCES = (*corpora.SOURCES, "both")
HELD_OUT = ("test", "validation")
UNKNOWN = "<unk>"  # id 0
_SPLIT_SEED = 0


class Split(NamedTuple):
    """Texts to learn from and texts to be judged by, both in random order."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32, 1: good
    test_texts: list[str]
    test_labels: np.ndarray  # (M,) int32


class Encoded(NamedTuple):
    """The texts as ids of words, cut to T."""

    train: np.ndarray  # (N, T) int32
    lengths: np.ndarray  # (N,) int32
    labels: np.ndarray  # (N,) int32
    test: np.ndarray  # (M, T) int32
    test_lengths: np.ndarray  # (M,) int32
    test_labels: np.ndarray  # (M,) int32


@dataclass(frozen=True)
class MovieReviews(PredictableDefaults):
    """Whether a review of a film is good, from its words (``rnnlab[data]``).

    Half of the reviews of each source and split are good, to rounding. A word that is not in the
    vocabulary is the symbol 0; a review without words is judged by the state before the first.

    Args:
        source: "rotten_tomatoes" (8,530 sentences), "imdb" (24,904 long reviews) or "both".
        max_length: T; words past it are cut off.
        min_count: occurrences among the reviews to learn from that a word has at least.
        test_share: the share held out, drawn with a fixed seed, class by class.
        held_out: "test", or "validation": another share of ``test_share``, drawn from what is left
            without the test reviews, to choose numbers by.
        solved_at: the accuracy that counts as solved.

    >>> task = MovieReviews(max_length=30)
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=4).inputs.shape
    (4, 30)
    >>> len(data.train), len(data.test)
    (6824, 1706)
    """

    name: ClassVar[str] = "movie_reviews"
    sources: ClassVar[tuple[str, ...]] = SOURCES

    source: str = "rotten_tomatoes"
    max_length: int = 40
    min_count: int = 2
    test_share: float = 0.2
    held_out: str = "test"
    solved_at: float = 0.9

    def __post_init__(self) -> None:
        for what, value, known in (
            ("source", self.source, self.sources),
            ("held_out", self.held_out, HELD_OUT),
        ):
            if value not in known:
                raise ValueError(unknown(what, value, known))
        for what in ("max_length", "min_count"):
            if getattr(self, what) < 1:
                raise ValueError(f"{what} must be at least 1, got {getattr(self, what)}")
        if not 0 < self.test_share < 0.5:
            raise ValueError(f"test_share must be between 0 and 0.5, got {self.test_share}")
        if not 0 < self.solved_at <= 1:
            raise ValueError(f"solved_at must be above 0 and at most 1, got {self.solved_at}")

    @property
    def length(self) -> int:
        """T."""
        return self.max_length

    @property
    def input_size(self) -> int:
        """Words of the vocabulary."""
        return len(self.vocabulary)

    @property
    def output_size(self) -> int:
        """O, good or bad."""
        return 2

    @property
    def symbols(self) -> bool:
        """Ids of words."""
        return True

    @property
    def loss(self) -> str:
        """Cross-entropy."""
        return "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """One answer a review."""
        return True

    @property
    def goal(self) -> Goal:
        """The accuracy reaches ``solved_at``."""
        return Goal("accuracy", self.solved_at, at_most=False)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the reviews to learn from, by falling count; 0: all others."""
        return _encoded(self)[1]

    @property
    def tokenizer(self) -> Any:
        """What cuts a text into the symbols that are read."""
        return Words()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return "bad", "good"

    def split(self) -> Split:
        """The texts themselves, for models that read them in another way.

        Raises:
            ValueError: the reviews are not installed.
        """
        return _split(self.source, self.test_share, self.held_out)

    def load(self) -> Encoded:
        """The reviews as ids of words.

        Raises:
            ValueError: the reviews are not installed, or no word occurs ``min_count`` times.
        """
        return _encoded(self)[0]

    def baseline(self, data: Encoded) -> float:
        """H(class) of the reviews to learn from, in nats."""
        p = np.bincount(data.labels) / len(data.labels)
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def batch(self, data: Encoded, key: Array, index: Any, batch_size: int) -> RaggedBatch:
        """Reviews in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.train), index, batch_size)
        return _batch(*(jnp.asarray(part)[rows] for part in data[:3]))

    def test(self, data: Encoded, key: Array, batch_size: int) -> RaggedBatch:
        """The first ``batch_size`` reviews held out, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[3:]))

    # ---- for predictions, see rnnlab.training.predict ----

    def tokens(self, text: str) -> list[str]:
        """The words of a text."""
        return self.tokenizer([text]).lists()[0]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Ids (T,) int32; 0: unknown."""
        return self.vocabulary.encode_words(tokens, unknown=0)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Good or bad, and how sure: from logits (2,)."""
        del tokens
        return self.label(outputs)

    @property
    def streams(self) -> bool:
        """A class after every word."""
        return True

    def label(self, output: Array) -> str:
        """Good or bad so far, and how sure.

        >>> MovieReviews().label(jnp.array([0.0, 1.0]))
        'good 0.73'
        """
        p = jax.nn.softmax(output)
        return f"{self.classes[int(p.argmax())]} {float(p.max()):.2f}"

    def score(self, outputs: Array, batch: RaggedBatch) -> dict[str, Array]:  # type: ignore[override]
        """The "loss" in nats and "accuracy" of logits (B, 2)."""
        return {
            "loss": losses.cross_entropy(outputs, batch.targets, batch.mask),
            "accuracy": losses.accuracy(outputs, batch.targets, batch.mask),
        }


def _batch(words: Array, lengths: Array, labels: Array) -> RaggedBatch:
    return RaggedBatch(words, labels, jnp.ones(labels.shape, bool), lengths)


@lru_cache(maxsize=4)  # every method and member reads the same reviews
def _split(source: str, test_share: float, held_out: str) -> Split:
    texts, labels, sources = corpora.movie_reviews()
    wanted = range(len(corpora.SOURCES)) if source == "both" else [corpora.SOURCES.index(source)]
    return parted(texts, labels, sources, test_share, held_out, wanted)


def parted(
    texts: list[str],
    labels: np.ndarray,
    groups: np.ndarray,
    test_share: float,
    held_out: str,
    wanted: Collection[int],
) -> Split:
    """Texts parted at random, group by group and class by class, with a fixed seed.

    Args:
        labels: (N,) classes. groups: (N,) where each text is from.
        test_share, held_out: as of :class:`MovieReviews`.
        wanted: the groups to keep; what is drawn for one does not depend on the others kept.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    train, test = [], []
    for place in range(int(groups.max()) + 1):
        for label in range(int(labels.max()) + 1):
            rows = rng.permutation(np.flatnonzero((groups == place) & (labels == label)))
            if place in wanted:
                share = round(test_share * len(rows))
                held, left = rows[:share], rows[share:]
                if held_out == "validation":
                    held, left = left[:share], left[share:]
                test.append(held)
                train.append(left)
    learn, judge = (rng.permutation(np.concatenate(rows)) for rows in (train, test))
    return Split([texts[i] for i in learn], labels[learn], [texts[i] for i in judge], labels[judge])


@lru_cache(maxsize=4)
def _encoded(task: MovieReviews) -> tuple[Encoded, Vocabulary]:
    return encoded(task.split(), task.tokenizer, task.min_count, task.max_length)


def encoded(
    split: Split, tokenizer: Any, min_count: int, max_length: int
) -> tuple[Encoded, Vocabulary]:
    """The texts as ids, and the vocabulary of those to learn from; its symbol 0 is all others."""
    tokens = tokenizer(split.texts)
    vocabulary = Vocabulary.build(tokens, min_count, specials=(UNKNOWN,))
    parts = []
    for read, labels in ((tokens, split.labels), (tokenizer(split.test_texts), split.test_labels)):
        parts += [*padded(vocabulary.encode(read, unknown=0), read.offsets, max_length), labels]
    return Encoded(*parts), vocabulary


def padded(ids: np.ndarray, offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents cut or filled up with 0 to T: (the ids (N, T) int32, their lengths (N,) int32).

    >>> padded(np.array([7, 8, 9, 5]), np.array([0, 3, 3, 4]), 2)[0].tolist()
    [[7, 8], [0, 0], [5, 0]]
    """
    lengths = np.minimum(np.diff(offsets), length)
    steps = np.arange(length)
    inside = steps < lengths[:, None]
    rows = np.zeros(inside.shape, np.int32)
    rows[inside] = ids[(offsets[:-1, None] + steps)[inside]]
    return rows, lengths.astype(np.int32)
