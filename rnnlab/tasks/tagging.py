"""Tagging: one label a token; entities of the People's Daily, or of CoNLL's columns."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.data.splits import shuffled_indices
from rnnlab.nn import crf, losses
from rnnlab.tasks.base import Goal, PredictableDefaults, RaggedBatch
from rnnlab.tasks.reviews import padded
from rnnlab.text import entities
from rnnlab.text.vocabulary import Vocabulary

Array = jax.Array

UNKNOWN = "<unk>"  # id 0
_SPLIT_SEED = 0


class Tagged(NamedTuple):
    """Sentences as ids, cut to T."""

    train: np.ndarray  # (N, T) int32
    lengths: np.ndarray  # (N,) int32
    labels: np.ndarray  # (N, T) int32
    test: np.ndarray  # (M, T) int32
    test_lengths: np.ndarray  # (M,) int32
    test_labels: np.ndarray  # (M, T) int32


class _Read(NamedTuple):
    data: Tagged
    vocabulary: Vocabulary
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Tagging(PredictableDefaults):
    """Named entities: which tokens name a person, a place, an organization, and so on.

    Labels are in IOB2 (O is 0); a token that is not in the vocabulary is the symbol 0.

    Args:
        path: a file in CoNLL's columns to learn from (IOB1, IOB2 or IOBES); empty: the
            characters of the People's Daily (``rnnlab[data]``).
        test_path: one to be judged by; empty: a share of ``path`` is held out.
        test_share: that share of the sentences, drawn with a fixed seed.
        limit: sentences to learn from; 0: all.
        max_length: T; what a sentence has past it is cut off.
        min_count: occurrences among the sentences to learn from that a token has at least.
        embedding_size: E, of a token's vector.
        crf: transitions from label to label on top (:mod:`rnnlab.nn.crf`).
        solved_at: the F1 that counts as solved.

    >>> task = Tagging(limit=100, max_length=30)
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=4).targets.shape, task.labels[:3]
    ((4, 30), ('O', 'B-LOC', 'I-LOC'))
    """

    name: ClassVar[str] = "tagging"

    path: str = ""
    test_path: str = ""
    test_share: float = 0.1
    limit: int = 0
    max_length: int = 60
    min_count: int = 2
    embedding_size: int = 64
    crf: bool = False
    solved_at: float = 0.95

    def __post_init__(self) -> None:
        for what, least in (
            ("limit", 0),
            ("max_length", 1),
            ("min_count", 1),
            ("embedding_size", 1),
        ):
            if getattr(self, what) < least:
                raise ValueError(f"{what} must be at least {least}, got {getattr(self, what)}")
        if not 0 < self.test_share < 1:
            raise ValueError(f"test_share must be between 0 and 1, got {self.test_share}")
        if not 0 < self.solved_at <= 1:
            raise ValueError(f"solved_at must be above 0 and at most 1, got {self.solved_at}")
        if self.test_path and not self.path:
            raise ValueError(f"test_path={self.test_path!r} needs a path to learn from")

    @property
    def length(self) -> int:
        """T."""
        return self.max_length

    @property
    def input_size(self) -> int:
        """Tokens of the vocabulary."""
        return len(self.vocabulary)

    @property
    def output_size(self) -> int:
        """K, labels: two a kind of entity, and O."""
        return len(self.labels)

    @property
    def symbols(self) -> bool:
        """Ids of tokens."""
        return True

    @property
    def loss(self) -> Any:
        """Cross-entropy of each label, or of the whole sentence with a CRF; a token's share."""
        return crf.negative_log_likelihood if self.crf else "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """One label a token."""
        return False

    @property
    def goal(self) -> Goal:
        """F1 reaches ``solved_at``."""
        return Goal("f1", self.solved_at, at_most=False)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the sentences to learn from, by falling count; 0: all others."""
        return _read(_data_of(self)).vocabulary

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, O the first; then B- and I- of each kind."""
        return _read(_data_of(self)).labels

    def model(self, config: Any) -> Any:
        """An embedding, the layer of ``config.cell``, a read-out at each step; with a CRF or not.

        Init: ``config.init``.
        """
        from rnnlab.nn import layers, models
        from rnnlab.nn.initializers import InitScheme

        init = InitScheme.from_config(config.init)
        return models.ManyToMany(
            layers.from_config(config.cell, init),
            self.output_size,
            w_y=init.w_y,
            symbols=self.input_size,
            embedding_size=self.embedding_size,
            crf=self.crf,
        )

    def load(self) -> Tagged:
        """The sentences as ids of tokens and of labels.

        Raises:
            FileNotFoundError, ValueError: no such file, no sentences or not so many of them.
        """
        return _read(_data_of(self)).data

    def sentences(self) -> tuple[Any, Any]:
        """The sentences to learn from and those held out, for models that read them otherwise.

        Raises:
            As :meth:`load`.
        """
        return _sentences(*_data_of(self)[:4])

    def baseline(self, data: Tagged) -> float:
        """H(label) of the sentences to learn from, in nats."""
        inside = np.arange(data.labels.shape[1]) < data.lengths[:, None]
        p = np.bincount(data.labels[inside]) / inside.sum()
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def lookup(self, data: Tagged) -> float:
        """The F1 of the most frequent label of each token: what no context can do."""
        inside = np.arange(data.labels.shape[1]) < data.lengths[:, None]
        counts = np.zeros((self.input_size, self.output_size), np.int64)
        np.add.at(counts, (data.train[inside], data.labels[inside]), 1)
        mask = np.arange(data.test.shape[1]) < data.test_lengths[:, None]
        right, found, there = entity_counts(
            jnp.asarray(counts.argmax(axis=1)[data.test]),
            jnp.asarray(data.test_labels),
            jnp.asarray(mask),
        )
        return float(2 * right / jnp.maximum(found + there, 1))

    def batch(self, data: Tagged, key: Array, index: Any, batch_size: int) -> RaggedBatch:
        """Sentences in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.train), index, batch_size)
        return _batch(*(jnp.asarray(part)[rows] for part in data[:3]))

    def test(self, data: Tagged, key: Array, batch_size: int) -> RaggedBatch:
        """The first ``batch_size`` sentences held out, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[3:]))

    def predict(self, outputs: Array, mask: Array) -> Array:
        """The labels (B, T) that outputs (B, T, K), or a CRF's (B, T, K, K), name."""
        return crf.viterbi(outputs, mask) if self.crf else outputs.argmax(axis=-1)

    # ---- for predictions, see rnnlab.training.predict ----

    def tokens(self, text: str) -> list[str]:
        """The characters of a text for the People's Daily, else what blanks part."""
        return text.split() if self.path else [c for c in text if not c.isspace()]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Ids (T,) int32; 0: unknown."""
        return self.vocabulary.encode_words(tokens, unknown=0)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """The text with its entities in brackets, from outputs (T, …).

        >>> Tagging(limit=100).say(list("在北京"), jax.nn.one_hot(jnp.array([0, 1, 2]), 7))
        '在[北京 LOC]'
        """
        ids = self.predict(outputs[None], jnp.ones((1, len(tokens)), bool))[0]
        spans = entities.spans([self.labels[int(i)] for i in ids])
        for first, end, kind in reversed(spans):
            name = (" " if self.path else "").join(tokens[first:end])
            tokens = [*tokens[:first], f"[{name} {kind}]", *tokens[end:]]
        return (" " if self.path else "").join(tokens)

    @property
    def streams(self) -> bool:
        """A label after every token; with a CRF all depend on the whole sentence."""
        return not self.crf

    def label(self, output: Array) -> str:
        """One step's label."""
        return self.labels[int(output.argmax())]

    def score(self, outputs: Array, batch: RaggedBatch) -> dict[str, Array]:  # type: ignore[override]
        """The "loss", "accuracy" of labels, and "precision", "recall", "f1" of whole entities."""
        predicted = self.predict(outputs, batch.mask)
        right, found, there = entity_counts(predicted, batch.targets, batch.mask)
        hit = (predicted == batch.targets).astype(jnp.float32)
        return {
            "loss": losses.by_name(self.loss)(outputs, batch.targets, batch.mask),
            "accuracy": losses.reduce(hit, batch.mask),
            "precision": right / jnp.maximum(found, 1),
            "recall": right / jnp.maximum(there, 1),
            "f1": 2 * right / jnp.maximum(found + there, 1),
        }


def entity_counts(predicted: Array, labels: Array, mask: Array) -> tuple[Array, Array, Array]:
    """(right, found, there): entities as conlleval counts them, float32 scalars.

    Args:
        predicted, labels: (B, T) ids in the order of :func:`rnnlab.text.entities.names`.
        mask: (B, T), true at the first steps of each sentence.
    """
    (start, end, kind), (starts, ends, kinds) = (
        _spans(jnp.where(mask, ids, 0)) for ids in (predicted, labels)
    )
    right = start & starts & (kind == kinds) & (end == ends)
    return tuple(of.sum(dtype=jnp.float32) for of in (right, start, starts))  # type: ignore[return-value]


def _spans(ids: Array) -> tuple[Array, Array, Array]:
    """Where entities begin, the last step of the one under way, its kind; all (B, T)."""
    inside, kind = ids > 0, (ids - 1) // 2
    nothing = jnp.zeros_like(ids[:, :1])
    before = jnp.concatenate([nothing, ids[:, :-1]], axis=1)
    begins = inside & ((ids % 2 == 1) | (before == 0) | ((before - 1) // 2 != kind))
    after = jnp.concatenate([begins[:, 1:] | ~inside[:, 1:], nothing == 0], axis=1)
    steps = jnp.arange(ids.shape[1])
    last = jnp.where(inside & after, steps, ids.shape[1])
    return begins, jax.lax.cummin(last, axis=1, reverse=True), kind


def _batch(tokens: Array, lengths: Array, labels: Array) -> RaggedBatch:
    mask = jnp.arange(tokens.shape[1]) < lengths[:, None]
    return RaggedBatch(tokens, labels, mask, lengths)


def _data_of(task: Tagging) -> tuple[Any, ...]:
    """What the data depend on: the model's own fields are left out."""
    return (task.path, task.test_path, task.test_share, task.limit, task.max_length, task.min_count)


@lru_cache(maxsize=1)
def _daily() -> list[entities.Sentence]:
    return entities.people_daily()


def _sentences(path: str, test_path: str, share: float, limit: int) -> tuple[Any, Any]:
    learn = entities.read_columns(path) if path else _daily()
    if test_path:
        judge = entities.read_columns(test_path)
    else:
        learn = list(dict.fromkeys(learn))  # no sentence on both sides
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(learn))
        held = max(1, round(share * len(learn)))
        learn, judge = ([learn[i] for i in rows] for rows in (order[held:], order[:held]))
    if not limit <= len(learn):
        raise ValueError(
            f"limit must be at most {len(learn)}, the sentences to learn from, got {limit}"
        )
    return learn[:limit] if limit else learn, judge


@lru_cache(maxsize=4)
def _read(key: tuple[Any, ...]) -> _Read:
    *source, length, min_count = key
    parts = _sentences(*source)
    kinds = {kind for part in parts for s in part for _, _, kind in entities.spans(s.labels)}
    labels = tuple(entities.names(kinds))
    tokens, counts = np.unique([t for s in parts[0] for t in s.tokens], return_counts=True)
    vocabulary = Vocabulary.from_counts(tokens.tolist(), counts, min_count, specials=(UNKNOWN,))
    place = {label: i for i, label in enumerate(labels)}
    found = []
    for part in parts:
        offsets = np.cumsum([0, *(len(s.tokens) for s in part)])
        ids = vocabulary.encode_words([t for s in part for t in s.tokens], unknown=0)
        tags = np.array([place[label] for s in part for label in s.labels])
        found += [*padded(ids, offsets, length), padded(tags, offsets, length)[0]]
    return _Read(Tagged(*found), vocabulary, labels)
