"""Sentiment of texts: good or bad, or the classes of a file, read by characters or by words."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme, make
from rnnlab.tasks.base import Config
from rnnlab.tasks.checks import check_test_path, say_limit
from rnnlab.tasks.reviews import (
    UNKNOWN,
    Encoded,
    MovieReviews,
    Split,
    encoded,
    parted,
    remembered,
)
from rnnlab.text import corpora, tokenizers
from rnnlab.text.vocabulary import Vocabulary

Array = jax.Array

CHINESE = "chinese"
VECTORS = ("", "skipgram")
_VECTORS_SEED = 0


@dataclass(frozen=True)
class Sentiment(MovieReviews):
    """The opinion of a text: Chinese reviews by characters, English ones, or a file's classes.

    A symbol that is not in the vocabulary is the symbol 0.

    Args:
        source: "chinese" (17,363 reviews of hotels, books and computers), or a source of
            :class:`rnnlab.tasks.reviews.MovieReviews`; all ``rnnlab[data]``.
        path: a file to learn from instead, as :func:`rnnlab.text.corpora.read_labeled` takes it.
        test_path: a file of held-out texts; empty: ``test_share`` is held out.
        tokenizer_name: of :data:`rnnlab.text.tokenizers.TOKENIZERS`: "characters", "words",
            "chinese" (words, as jieba splits them; ``rnnlab[chinese]``).
        limit: texts to learn from with their labels; 0: all. The vocabulary, and vectors, are
            still those of all texts to learn from.
        embedding_size: E, of a symbol's vector.
        vectors: the initial embedding: empty: drawn; "skipgram": vectors trained on the texts to
            learn from, without their labels (:mod:`rnnlab.embeddings.skipgram`).
        pooling: the read-out, as of :class:`rnnlab.nn.models.ManyToOne`.
        max_length, min_count, test_share, held_out, solved_at: as of MovieReviews.
    Raises:
        ValueError: an option out of its range.

    >>> task = Sentiment(max_length=30, limit=100)
    >>> task.load().train.shape, task.tokens("很好。")
    ((100, 30), ['很', '好', '。'])
    """

    name: ClassVar[str] = "sentiment"
    sources: ClassVar[tuple[str, ...]] = (CHINESE, *MovieReviews.sources)

    source: str = CHINESE
    max_length: int = 80
    path: str = ""
    test_path: str = ""
    tokenizer_name: str = tokenizers.Characters.name
    limit: int = 0
    embedding_size: int = 64
    vectors: str = ""
    pooling: str = "last"

    def __post_init__(self) -> None:
        validate.choice("tokenizer_name", self.tokenizer_name, tokenizers.TOKENIZERS)
        validate.choice("vectors", self.vectors, VECTORS)
        validate.choice("pooling", self.pooling, models.POOLINGS)
        validate.whole("limit", self.limit, 0)
        validate.whole("embedding_size", self.embedding_size)
        check_test_path(self.path, self.test_path)
        super().__post_init__()

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """The tokenizer that ``tokenizer_name`` names, in lower case."""
        return tokenizers.by_name(self.tokenizer_name, lowercase=True)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; of a file in their order."""
        if self.kept:
            return tuple(self.memory["classes"])
        return _labeled(self.path).names if self.path else super().classes

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the texts to learn from, by falling count; 0: all others."""
        return remembered(self.kept) if self.kept else _encoded(self._reading)[1]

    def split(self) -> Split:
        """Return the texts themselves, for models that read them in another way.

        Raises:
            FileNotFoundError, ValueError: no such file, not installed, or fewer than ``limit``.
        """
        whole = _split(self._reading.source)
        if self.limit > len(whole.texts):
            raise ValueError(
                f"limit must be at most {len(whole.texts)}, the texts to learn from, "
                f"got {self.limit}"
            )
        say_limit(self.limit, len(whole.texts), "texts to learn from")
        count = self.limit or None
        return whole._replace(texts=whole.texts[:count], labels=whole.labels[:count])

    def load(self) -> Encoded:
        """Return the texts as ids of symbols.

        Raises:
            As :meth:`split`; ValueError also where no symbol occurs ``min_count`` times, or the
                data have changed since a run stored the task.
        """
        self.check_same()
        n, whole = len(self.split().texts), _encoded(self._reading)[0]
        return whole._replace(
            train=whole.train[:n], lengths=whole.lengths[:n], labels=whole.labels[:n]
        )

    def model(self, config: Config) -> models.ManyToOne:
        """Return an embedding, the layer of ``config.cell`` and a read-out.

        Initialization: ``config.init``.
        """
        init = InitScheme.from_config(config.init)
        return models.ManyToOne(
            layers.from_config(config.cell, init),
            self.output_size,
            w_y=init.w_y,
            symbols=self.input_size,
            embedding_size=self.embedding_size,
            pooling=self.pooling,
            w_e=self._start if self.vectors else models.ManyToOne.w_e,
        )

    def _start(self, key: Array, shape: tuple[int, ...], dtype: type = float) -> Array:
        """Return the initial embedding: a scheme; symbols without a vector are drawn."""
        drawn = make(models.ManyToOne.w_e)(key, shape, dtype)
        known, rows = _vectors(self._reading, self.embedding_size)
        return jnp.where(known[:, None], jnp.asarray(rows, drawn.dtype), drawn)

    @property
    def _reading(self) -> "_Reading":
        """The fields that the texts and their ids depend on."""
        source = _Source(self.source, self.path, self.test_path, self.test_share, self.held_out)
        return _Reading(source, self.tokenizer_name, self.min_count, self.max_length)


class _Source(NamedTuple):
    source: str
    path: str
    test_path: str
    test_share: float
    held_out: str


class _Reading(NamedTuple):
    source: _Source
    tokenizer_name: str
    min_count: int
    max_length: int


_labeled = lru_cache(maxsize=4)(corpora.read_labeled)


@lru_cache(maxsize=4)
def _split(of: _Source) -> Split:
    if of.test_path:
        return _two_files(of.path, of.test_path)
    if of.path or of.source == CHINESE:
        texts, labels, _ = _labeled(of.path) if of.path else corpora.chinese_reviews()
        return parted(texts, labels, np.zeros_like(labels), of.test_share, of.held_out, (0,))
    return MovieReviews(source=of.source, test_share=of.test_share, held_out=of.held_out).split()


def _two_files(path: str, test_path: str) -> Split:
    train, test = _labeled(path), _labeled(test_path)
    unknown = sorted({*test.names} - {*train.names})
    if unknown:
        raise ValueError(f"{test_path} has the classes {unknown}, {path} only {list(train.names)}")
    number = np.array([train.names.index(name) for name in test.names], np.int32)
    order = np.random.default_rng(0).permutation(len(train.texts))
    return Split(
        [train.texts[i] for i in order], train.labels[order], test.texts, number[test.labels]
    )


@lru_cache(maxsize=4)
def _encoded(reading: _Reading) -> tuple[Encoded, Vocabulary]:
    tokenizer = tokenizers.by_name(reading.tokenizer_name, lowercase=True)
    return encoded(_split(reading.source), tokenizer, reading.min_count, reading.max_length)


@lru_cache(maxsize=4)  # a sweep's members start from the same
def _vectors(reading: _Reading, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (which symbols have a vector (V,), the vectors (V, E))."""
    from rnnlab.embeddings import corpus, skipgram
    from rnnlab.embeddings.trainer import Settings
    from rnnlab.embeddings.vectors import Vectors

    tokenizer = tokenizers.by_name(reading.tokenizer_name, lowercase=True)
    tokens = tokenizer(_split(reading.source).texts)
    text = corpus.of_documents(tokens, min_count=reading.min_count)
    vectors = Vectors.of(skipgram.train(text, Settings(size=size), seed=_VECTORS_SEED))
    symbols = _encoded(reading)[1].words()
    known = np.array([symbol != UNKNOWN and vectors.has(symbol) for symbol in symbols])
    return known, vectors.table(symbols, np.zeros((len(symbols), size), np.float32))
