"""Sentiment: good or bad, or any classes of a file, read character by character or by words."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import jax
import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.tasks.reviews import UNKNOWN, Encoded, MovieReviews, Split, encoded, parted
from rnnlab.text import corpora, tokenizers
from rnnlab.text.vocabulary import Vocabulary

Array = jax.Array

CHINESE = "chinese"
VECTORS = ("", "skipgram")
_VECTORS_SEED = 0


@dataclass(frozen=True)
class Sentiment(MovieReviews):
    """What a text thinks: Chinese reviews by their characters, English ones, or a file's classes.

    A symbol that is not in the vocabulary is the symbol 0.

    Args:
        source: "chinese" (17,363 reviews of hotels, books and computers), or a source of
            :class:`rnnlab.tasks.reviews.MovieReviews`; all ``rnnlab[data]``.
        path: a file to learn from instead, as :func:`rnnlab.text.corpora.read_labeled` takes it.
        test_path: one to be judged by; empty: ``test_share`` is held out.
        tokenizer_name: of :data:`rnnlab.text.tokenizers.TOKENIZERS`: "characters", "words",
            "chinese" (words, as jieba cuts them; ``rnnlab[chinese]``).
        limit: texts to learn from with their labels; 0: all. The vocabulary, and vectors, are of
            all the others, too.
        embedding_size: E, of a symbol's vector.
        vectors: where the embedding starts: empty: drawn; "skipgram": vectors that are trained on
            the texts to learn from, without their labels (:mod:`rnnlab.embeddings.skipgram`).
        pooling: what is read, of :class:`rnnlab.nn.models.ManyToOne`.
        max_length, min_count, test_share, held_out, solved_at: as of MovieReviews.

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
        from rnnlab.nn import models

        for what, value, known in (
            ("tokenizer_name", self.tokenizer_name, tokenizers.TOKENIZERS),
            ("vectors", self.vectors, VECTORS),
            ("pooling", self.pooling, models.POOLINGS),
        ):
            if value not in known:
                raise ValueError(unknown(what, value, known))
        for what, least in (("limit", 0), ("embedding_size", 1)):
            if getattr(self, what) < least:
                raise ValueError(f"{what} must be at least {least}, got {getattr(self, what)}")
        if self.test_path and not self.path:
            raise ValueError(f"test_path={self.test_path!r} needs a path to learn from")
        super().__post_init__()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that ``tokenizer_name`` names, in lower case."""
        return tokenizers.by_name(self.tokenizer_name, lowercase=True)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, of a file in their order."""
        return _labeled(self.path).names if self.path else super().classes

    @property
    def output_size(self) -> int:
        """O, classes."""
        return len(self.classes)

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the texts to learn from, by falling count; 0: all others."""
        return _encoded(*self._read())[1]

    def split(self) -> Split:
        """The texts themselves, for models that read them in another way.

        Raises:
            FileNotFoundError, ValueError: no such file, not installed, or fewer than ``limit``.
        """
        whole = _split(*self._data())
        if self.limit > len(whole.texts):
            raise ValueError(
                f"limit must be at most {len(whole.texts)}, the texts to learn from, "
                f"got {self.limit}"
            )
        kept = self.limit or None
        return whole._replace(texts=whole.texts[:kept], labels=whole.labels[:kept])

    def load(self) -> Encoded:
        """The texts as ids of symbols.

        Raises:
            As :meth:`split`; ValueError also where no symbol occurs ``min_count`` times.
        """
        n, whole = len(self.split().texts), _encoded(*self._read())[0]
        return whole._replace(
            train=whole.train[:n], lengths=whole.lengths[:n], labels=whole.labels[:n]
        )

    def model(self, config: Any) -> Any:
        """An embedding, the layer of ``config.cell``, a read-out at the end or of the mean.

        Init: ``config.init``.
        """
        from rnnlab.nn import layers, models
        from rnnlab.nn.initializers import InitScheme

        init = InitScheme.from_config(config.init)
        w_e: Any = self._start if self.vectors else models.ManyToOne.w_e
        return models.ManyToOne(
            layers.from_config(config.cell, init),
            self.output_size,
            w_y=init.w_y,
            symbols=self.input_size,
            embedding_size=self.embedding_size,
            pooling=self.pooling,
            w_e=w_e,
        )

    def _start(self, key: Array, shape: tuple[int, ...], dtype: Any = float) -> Array:
        """The embedding's first values: a scheme; symbols without a vector are drawn."""
        from rnnlab.nn import models
        from rnnlab.nn.initializers import make

        drawn = make(models.ManyToOne.w_e)(key, shape, dtype)
        known, rows = _vectors(self._read(), self.embedding_size)
        return jax.numpy.where(known[:, None], jax.numpy.asarray(rows, drawn.dtype), drawn)

    def _data(self) -> tuple[Any, ...]:
        """What the texts depend on."""
        return self.source, self.path, self.test_path, self.test_share, self.held_out

    def _read(self) -> tuple[Any, ...]:
        """What their ids depend on: the model's own fields are left out."""
        return *self._data(), self.tokenizer_name, self.min_count, self.max_length


_labeled = lru_cache(maxsize=4)(corpora.read_labeled)


@lru_cache(maxsize=4)
def _split(source: str, path: str, test_path: str, test_share: float, held_out: str) -> Split:
    if test_path:
        return _two_files(path, test_path)
    if path or source == CHINESE:
        texts, labels, _ = _labeled(path) if path else corpora.chinese_reviews()
        return parted(texts, labels, np.zeros_like(labels), test_share, held_out, (0,))
    return MovieReviews(source=source, test_share=test_share, held_out=held_out).split()


def _two_files(path: str, test_path: str) -> Split:
    learn, judge = _labeled(path), _labeled(test_path)
    strange = sorted({*judge.names} - {*learn.names})
    if strange:
        raise ValueError(f"{test_path} has the classes {strange}, {path} only {list(learn.names)}")
    place = np.array([learn.names.index(name) for name in judge.names], np.int32)
    order = np.random.default_rng(0).permutation(len(learn.texts))
    return Split(
        [learn.texts[i] for i in order], learn.labels[order], judge.texts, place[judge.labels]
    )


@lru_cache(maxsize=4)
def _encoded(*key: Any) -> tuple[Encoded, Vocabulary]:
    *data, name, min_count, max_length = key
    tokenizer = tokenizers.by_name(name, lowercase=True)
    return encoded(_split(*data), tokenizer, min_count, max_length)


@lru_cache(maxsize=4)  # a sweep's members start from the same
def _vectors(key: tuple[Any, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """(which symbols have a vector (V,), the vectors (V, E))."""
    from rnnlab.embeddings import corpus, skipgram
    from rnnlab.embeddings.trainer import Settings
    from rnnlab.embeddings.vectors import Vectors

    *data, name, min_count, _ = key
    tokens = tokenizers.by_name(name, lowercase=True)(_split(*data).texts)
    text = corpus.of_documents(tokens, min_count=min_count)
    vectors = Vectors.of(skipgram.train(text, Settings(size=size), seed=_VECTORS_SEED))
    symbols = _encoded(*key)[1].words()
    known = np.array([symbol != UNKNOWN and vectors.has(symbol) for symbol in symbols])
    return known, vectors.table(symbols, np.zeros((len(symbols), size), np.float32))
