"""Sentiment of texts: good or bad, or the classes of a file, read by characters or by words."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme, make
from rnnlab.tasks.base import Config
from rnnlab.tasks.reviews import CHINESE, UNKNOWN, MovieReviews
from rnnlab.text import tokenizers

Array = jax.Array

VECTORS = ("", "skipgram")
_VECTORS_SEED = 0


@dataclass(frozen=True)
class Sentiment(MovieReviews):
    """The opinion of a text: Chinese reviews by characters, English ones, or a file's classes.

    A symbol that is not in the vocabulary is the symbol 0.

    Args:
        source: "chinese" (17,363 reviews of hotels, books and computers), or a source of
            :class:`rnnlab.tasks.reviews.MovieReviews`; all ``rnnlab[data]``.
        tokenizer_name: one of :data:`rnnlab.text.tokenizers.TOKENIZERS`: "characters", "words",
            "chinese" (words, as jieba splits them; ``rnnlab[chinese]``).
        embedding_size: E, of a symbol's vector.
        vectors: the initial embedding: empty: drawn; "skipgram": vectors trained on the texts to
            learn from, those past the limit and of the validation share too, without their labels
            (:mod:`rnnlab.embeddings.skipgram`).
        pooling: the read-out, as of :class:`rnnlab.nn.models.ManyToOne`.
        path, test_path, validation_path, limit, max_length, min_count, test_share,
            validation_share, solved_at: as of MovieReviews.
    Raises:
        ValueError: an option out of its range.

    >>> task = Sentiment(max_length=30, limit=100)
    >>> task.load().train.shape, task.tokens("很好。")
    ((90, 30), ['很', '好', '。'])
    """

    name: ClassVar[str] = "sentiment"
    sources: ClassVar[tuple[str, ...]] = (CHINESE, *MovieReviews.sources)

    source: str = CHINESE
    max_length: int = 80
    tokenizer_name: str = tokenizers.Characters.name
    embedding_size: int = 64
    vectors: str = ""
    pooling: str = "last"

    def __post_init__(self) -> None:
        validate.choice("tokenizer_name", self.tokenizer_name, tokenizers.TOKENIZERS)
        validate.choice("vectors", self.vectors, VECTORS)
        validate.choice("pooling", self.pooling, models.POOLINGS)
        validate.whole("embedding_size", self.embedding_size)
        super().__post_init__()

    @property
    def tokenizer(self) -> tokenizers.Tokenizer:
        """The tokenizer that ``tokenizer_name`` names, in lower case."""
        return tokenizers.by_name(self.tokenizer_name, lowercase=True)

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
        # members that differ in anything else share the vectors
        known, rows = _vectors(replace(self, limit=0, validation_share=0.0, pooling="last"))
        return jnp.where(known[:, None], jnp.asarray(rows, drawn.dtype), drawn)


@read_once(4)  # a sweep's members start from the same
def _vectors(task: Sentiment) -> tuple[np.ndarray, np.ndarray]:
    """Return (which symbols have a vector (V,), the vectors (V, E))."""
    from rnnlab.embeddings import corpus, skipgram
    from rnnlab.embeddings.trainer import Settings
    from rnnlab.embeddings.vectors import Vectors

    size = task.embedding_size
    text = corpus.of_documents(task.tokenizer(task.whole().texts), min_count=task.min_count)
    vectors = Vectors.of(skipgram.train(text, Settings(size=size), seed=_VECTORS_SEED))
    symbols = task.vocabulary.words()
    known = np.array([symbol != UNKNOWN and vectors.has(symbol) for symbol in symbols])
    return known, vectors.table(symbols, np.zeros((len(symbols), size), np.float32))
