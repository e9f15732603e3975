"""Movie reviews: good or bad, read word by word."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.tasks.checks import say_cut
from rnnlab.tasks.classification import Classification, Sequences
from rnnlab.tasks.stored import Record, Stored, missing, vocabulary_of, vocabulary_record
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Tokenizer, Words
from rnnlab.text.vocabulary import Vocabulary

SOURCES = (*corpora.SOURCES, "both")
HELD_OUT = ("test", "validation")
UNKNOWN = "<unk>"  # id 0
_SPLIT_SEED = 0


class Split(NamedTuple):
    """Texts to learn from and held-out texts, both in random order."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32, 1: good
    test_texts: list[str]
    test_labels: np.ndarray  # (M,) int32


Encoded = Sequences  # the texts as ids of words, cut to T


@dataclass(frozen=True)
class MovieReviews(Stored, Classification):
    """Whether a review of a film is good, from its words (``rnnlab[data]``).

    Half of the reviews of each source and split are good, to rounding. A word that is not in the
    vocabulary is the symbol 0; the class of a review without words is read from the initial state.

    Args:
        source: "rotten_tomatoes" (8,530 sentences), "imdb" (24,904 long reviews) or "both".
        max_length: T; words past it are cut off.
        min_count: least number of occurrences of a word among the reviews to learn from.
        test_share: the share held out, drawn with a fixed seed, class by class.
        held_out: "test", or "validation": another share of ``test_share``, drawn from the reviews
            that are not of the test, to choose hyperparameters by.
        solved_at: the accuracy that counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> import jax
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
        validate.choice("source", self.source, self.sources)
        validate.choice("held_out", self.held_out, HELD_OUT)
        validate.whole("max_length", self.max_length)
        validate.whole("min_count", self.min_count)
        validate.number("test_share", self.test_share, above=0, below=0.5)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def length(self) -> int:
        """T."""
        return self.max_length

    @property
    def input_size(self) -> int:
        """Words of the vocabulary."""
        return len(self.vocabulary)

    @property
    def symbols(self) -> bool:
        """Ids of words."""
        return True

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the reviews to learn from, by falling count; 0: all others."""
        return remembered(self.kept) if self.kept else _encoded(self)[1]

    def stored(self) -> Record:
        """Return the vocabulary and the names of the classes."""
        return {"vocabulary": vocabulary_record(self.vocabulary), "classes": self.classes}

    @property
    def tokenizer(self) -> Any:  # a subclass may have one of another kind
        """The tokenizer that splits a text into symbols."""
        return Words()

    @property
    def classes(self) -> tuple[str, ...]:
        """Bad and good."""
        return "bad", "good"

    def split(self) -> Split:
        """Return the texts themselves, for models that read them in another way.

        Raises:
            ValueError: the reviews are not installed.
        """
        return _split(self.source, self.test_share, self.held_out)

    def load(self) -> Encoded:
        """Return the reviews as ids of words.

        Raises:
            ValueError: the reviews are not installed, or no word occurs ``min_count`` times.
        """
        self.check_same()
        return _encoded(self)[0]

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the words of a text."""
        return self.tokenizer([text]).lists()[0]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return ids (T,) int32; 0: unknown."""
        return self.vocabulary.encode_words(tokens, unknown=0)

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the tokens that are not in the vocabulary."""
        return missing(self.vocabulary, tokens)


@lru_cache(maxsize=4)  # every method and member reads the same reviews
def _split(source: str, test_share: float, held_out: str) -> Split:
    texts, labels, sources = corpora.movie_reviews()
    groups = range(len(corpora.SOURCES)) if source == "both" else [corpora.SOURCES.index(source)]
    return parted(texts, labels, sources, test_share, held_out, groups)


def parted(
    texts: list[str],
    labels: np.ndarray,
    groups: np.ndarray,
    test_share: float,
    held_out: str,
    kept: Collection[int],
) -> Split:
    """Split texts at random, group by group and class by class, with a fixed seed.

    Args:
        labels: (N,) classes. groups: (N,) the source of each text.
        test_share, held_out: as of :class:`MovieReviews`.
        kept: the groups to keep; the draw of a group does not depend on the others kept.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    train, test = [], []
    for group in range(int(groups.max()) + 1):
        for label in range(int(labels.max()) + 1):
            rows = rng.permutation(np.flatnonzero((groups == group) & (labels == label)))
            if group in kept:
                count = round(test_share * len(rows))
                held, left = rows[:count], rows[count:]
                if held_out == "validation":
                    held, left = left[:count], left[count:]
                test.append(held)
                train.append(left)
    train, test = (rng.permutation(np.concatenate(rows)) for rows in (train, test))
    return Split([texts[i] for i in train], labels[train], [texts[i] for i in test], labels[test])


@lru_cache(maxsize=4)
def remembered(kept: str) -> Vocabulary:
    """Return the vocabulary that a run stored."""
    return vocabulary_of(json.loads(kept)["vocabulary"])


@lru_cache(maxsize=4)
def _encoded(task: MovieReviews) -> tuple[Encoded, Vocabulary]:
    return encoded(task.split(), task.tokenizer, task.min_count, task.max_length)


def encoded(
    split: Split, tokenizer: Tokenizer, min_count: int, max_length: int
) -> tuple[Encoded, Vocabulary]:
    """Return the texts as ids, and the vocabulary of those to learn from; 0 is all other words."""
    tokens = tokenizer(split.texts)
    vocabulary = Vocabulary.build(tokens, min_count, specials=(UNKNOWN,))
    parts = []
    test_tokens = tokenizer(split.test_texts)
    for part, labels, name in (
        (tokens, split.labels, "to learn from"),
        (test_tokens, split.test_labels, "held out"),
    ):
        say_cut(np.diff(part.offsets), max_length, f"texts {name}", "tokens")
        parts += [*padded(vocabulary.encode(part, unknown=0), part.offsets, max_length), labels]
    return Encoded(*parts), vocabulary


def padded(ids: np.ndarray, offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return documents cut or filled with 0 to T: (ids (N, T) int32, lengths (N,) int32).

    >>> padded(np.array([7, 8, 9, 5]), np.array([0, 3, 3, 4]), 2)[0].tolist()
    [[7, 8], [0, 0], [5, 0]]
    """
    lengths = np.minimum(np.diff(offsets), length)
    steps = np.arange(length)
    inside = steps < lengths[:, None]
    rows = np.zeros(inside.shape, np.int32)
    rows[inside] = ids[(offsets[:-1, None] + steps)[inside]]
    return rows, lengths.astype(np.int32)
