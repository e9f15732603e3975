"""Tagging, one label per token: entities of the People's Daily, or of CoNLL's columns."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.data.splits import shuffled_indices, validation_rows
from rnnlab.nn import crf, layers, losses, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import Config, Goal, PredictableDefaults, RaggedBatch
from rnnlab.tasks.checks import check_corpus, check_paths, say_cut, say_limit, without
from rnnlab.tasks.classification import entropy
from rnnlab.tasks.reviews import padded
from rnnlab.tasks.stored import Record, Stored, missing, vocabulary_of, vocabulary_record
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
    validation: np.ndarray  # (K, T) int32
    validation_lengths: np.ndarray  # (K,) int32
    validation_labels: np.ndarray  # (K, T) int32


class _Known(NamedTuple):
    vocabulary: Vocabulary
    labels: tuple[str, ...]


class _Read(NamedTuple):
    data: Tagged
    known: _Known


@dataclass(frozen=True)
class Tagging(Stored, PredictableDefaults):
    """Named entities: the tokens that name a person, a place, an organization, and so on.

    Labels are in IOB2 (O is 0); a token that is not in the vocabulary is the symbol 0.

    Args:
        path: a file in CoNLL's columns to learn from (IOB1, IOB2 or IOBES); empty: the
            characters of the People's Daily (``rnnlab[data]``).
        test_path: a file of held-out sentences; empty: a share of ``path`` is held out. Those that
            ``path`` has too are not learned from.
        validation_path: a file of validation sentences; empty: ``validation_share`` is held out.
            Those of the test set are left out of it, and those that ``path`` has too are not
            learned from.
        test_share: that share of the sentences, each taken once, drawn with a fixed seed.
        validation_share: the share of the sentences to learn from that is the validation set;
            their tokens count for the vocabulary.
        limit: sentences to learn from, at most, those of the validation share included; 0: all.
        max_length: T; longer sentences are cut off.
        min_count: least number of occurrences of a token among the sentences to learn from.
        embedding_size: E, of a token's vector.
        crf: whether transitions from label to label are on top (:mod:`rnnlab.nn.crf`).
        solved_at: the F1 that counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> task = Tagging(limit=100, max_length=30)
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=4).targets.shape, task.labels[:3]
    ((4, 30), ('O', 'B-LOC', 'I-LOC'))
    """

    name: ClassVar[str] = "tagging"

    path: str = ""
    test_path: str = ""
    validation_path: str = ""
    test_share: float = 0.1
    validation_share: float = 0.1
    limit: int = 0
    max_length: int = 60
    min_count: int = 2
    embedding_size: int = 64
    crf: bool = False
    solved_at: float = 0.95

    def __post_init__(self) -> None:
        check_corpus(
            limit=self.limit,
            max_length=self.max_length,
            min_count=self.min_count,
            embedding_size=self.embedding_size,
            test_share=self.test_share,
            validation_share=self.validation_share,
        )
        validate.number("solved_at", self.solved_at, above=0, most=1)
        validate.flag("crf", self.crf)
        check_paths(self.path, self.test_path, self.validation_path)

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
        """K, labels: two per kind of entity, and O."""
        return len(self.labels)

    @property
    def symbols(self) -> bool:
        """Ids of tokens."""
        return True

    @property
    def loss(self) -> str | Callable[..., Array]:
        """Cross-entropy per token: of each label, or of the whole sentence with a CRF."""
        return crf.negative_log_likelihood if self.crf else "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """False: one label per token."""
        return False

    @property
    def goal(self) -> Goal:
        """F1 reaches ``solved_at``."""
        return Goal("f1", self.solved_at, at_most=False)

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the sentences to learn from, by falling count; 0: all others."""
        return self._known.vocabulary

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, O the first; then B- and I- of each kind."""
        return self._known.labels

    @property
    def _known(self) -> _Known:
        return _remembered(self.kept) if self.kept else _read(_reading(self)).known

    def stored(self) -> Record:
        """Return the vocabulary and the labels."""
        return {"vocabulary": vocabulary_record(self.vocabulary), "labels": self.labels}

    def model(self, config: Config) -> nn.Module:
        """Return an embedding, the layer of ``config.cell``, a read-out at each step, a CRF.

        Initialization: ``config.init``.
        """
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
        """Return the sentences as ids of tokens and of labels.

        Raises:
            FileNotFoundError, ValueError: no such file, or too few sentences; data that have
                changed since a run stored the task.
        """
        self.check_same()
        return _read(_reading(self)).data

    def sentences(self) -> "Parts":
        """Return the sentences of each part, for models of other inputs.

        Raises:
            As :meth:`load`.
        """
        return _sentences(_reading(self).source)

    def baseline(self, data: Tagged) -> float:
        """Return H(label) of the sentences to learn from, in nats."""
        inside = np.arange(data.labels.shape[1]) < data.lengths[:, None]
        return entropy(data.labels[inside])

    def lookup(self, data: Tagged) -> float:
        """Return the F1 of the most frequent label of each token, the best without context."""
        inside = np.arange(data.labels.shape[1]) < data.lengths[:, None]
        counts = np.zeros((self.input_size, self.output_size), np.int64)
        np.add.at(counts, (data.train[inside], data.labels[inside]), 1)
        mask = np.arange(data.test.shape[1]) < data.test_lengths[:, None]
        correct, predicted, actual = entity_counts(
            jnp.asarray(counts.argmax(axis=1)[data.test]),
            jnp.asarray(data.test_labels),
            jnp.asarray(mask),
        )
        return float(2 * correct / jnp.maximum(predicted + actual, 1))

    def batch(self, data: Tagged, key: Array, index: int | Array, batch_size: int) -> RaggedBatch:
        """Return sentences in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.train), index, min(batch_size, len(data.train)))
        return _batch(*(jnp.asarray(part)[rows] for part in data[:3]))

    def test_size(self, data: Tagged) -> int:
        """Return the number of held-out sentences."""
        return len(data.test)

    def test(self, data: Tagged, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` held-out sentences, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[3:6]))

    def validation_size(self, data: Tagged) -> int:
        """Return the number of validation sentences."""
        return len(data.validation)

    def validation(self, data: Tagged, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` validation sentences, all where there are fewer."""
        return _batch(*(jnp.asarray(part[:batch_size]) for part in data[6:]))

    def predict(self, outputs: Array, mask: Array) -> Array:
        """Return the labels (B, T) of outputs (B, T, K), or of a CRF's (B, T, K, K)."""
        return crf.viterbi(outputs, mask) if self.crf else outputs.argmax(axis=-1)

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the characters of a text for the People's Daily, else its words by blanks.

        White space is no token, and answers have none (between words a blank).
        """
        return text.split() if self.path else [c for c in text if not c.isspace()]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return ids (T,) int32; 0: unknown."""
        return self.vocabulary.encode_words(tokens, unknown=0)

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the tokens that are not in the vocabulary."""
        return missing(self.vocabulary, tokens)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the text with its entities in brackets, from outputs (T, …).

        >>> Tagging(limit=100).say(list("在北京"), jax.nn.one_hot(jnp.array([0, 1, 2]), 7))
        '在[北京 LOC]'
        """
        if self.crf:
            ids = self.predict(outputs[None], jnp.ones((1, len(tokens)), bool))[0]
        else:  # by NumPy: JAX would compile a program for every length
            ids = np.asarray(outputs).argmax(axis=-1)
        spans = entities.spans([self.labels[int(i)] for i in ids])
        for first, end, kind in reversed(spans):
            name = (" " if self.path else "").join(tokens[first:end])
            tokens = [*tokens[:first], f"[{name} {kind}]", *tokens[end:]]
        return (" " if self.path else "").join(tokens)

    @property
    def streams(self) -> bool:
        """Whether there is no CRF, with which labels depend on the whole sentence."""
        return not self.crf

    def label(self, output: Array) -> str:
        """Return one step's label."""
        return self.labels[int(output.argmax())]

    def score(self, outputs: Array, batch: RaggedBatch) -> dict[str, Array]:
        """Return "loss", "accuracy" of labels, and "precision", "recall", "f1" of entities."""
        labels = self.predict(outputs, batch.mask)
        correct, predicted, actual = entity_counts(labels, batch.targets, batch.mask)
        hit = (labels == batch.targets).astype(jnp.float32)
        return {
            "loss": losses.by_name(self.loss)(outputs, batch.targets, batch.mask),
            "accuracy": losses.reduce(hit, batch.mask),
            "precision": correct / jnp.maximum(predicted, 1),
            "recall": correct / jnp.maximum(actual, 1),
            "f1": 2 * correct / jnp.maximum(predicted + actual, 1),
        }


def entity_counts(predicted: Array, labels: Array, mask: Array) -> tuple[Array, Array, Array]:
    """Return (correct, predicted, actual) numbers of entities as conlleval counts them.

    Args:
        predicted, labels: (B, T) ids in the order of :func:`rnnlab.text.entities.names`.
        mask: (B, T), true at the first steps of each sentence.
    Returns:
        float32 scalars.
    """
    (start, end, kind), (starts, ends, kinds) = (
        _spans(jnp.where(mask, ids, 0)) for ids in (predicted, labels)
    )
    correct = start & starts & (kind == kinds) & (end == ends)
    return (
        correct.sum(dtype=jnp.float32),
        start.sum(dtype=jnp.float32),
        starts.sum(dtype=jnp.float32),
    )


def _spans(ids: Array) -> tuple[Array, Array, Array]:
    """Return where entities begin, the last step of the current one, its kind; all (B, T)."""
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


class _Source(NamedTuple):
    path: str
    test_path: str
    validation_path: str
    test_share: float
    validation_share: float
    limit: int


class _Reading(NamedTuple):
    source: _Source
    max_length: int
    min_count: int


def _reading(task: Tagging) -> _Reading:
    """Return the fields that the data depend on."""
    paths = task.path, task.test_path, task.validation_path
    source = _Source(*paths, task.test_share, task.validation_share, task.limit)
    return _Reading(source, task.max_length, task.min_count)


Sentences = Sequence[entities.Sentence]


class Parts(NamedTuple):
    """Sentences: to learn from, of the test set, and of the validation set."""

    train: Sentences
    test: Sentences
    validation: Sentences
    known: Sentences  # whose tokens are the vocabulary: train, and a share held out of it


@lru_cache(maxsize=1)
def _daily() -> list[entities.Sentence]:
    return entities.people_daily()


def _without(
    sentences: Sentences, path: str, others: Sentences, held_out: str
) -> list[entities.Sentence]:
    """Leave out the sentences of a file that another one holds out, whatever their labels."""
    tokens, elsewhere = ([sentence.tokens for sentence in part] for part in (sentences, others))
    rows = without(tokens, path, elsewhere, held_out, "sentences")
    return [sentences[row] for row in rows]


def _sentences(of: _Source) -> Parts:
    train = entities.read_columns(of.path) if of.path else _daily()
    if of.test_path:
        test = entities.read_columns(of.test_path)
        train = _without(train, of.path, test, of.test_path)
    else:
        every = len(train)
        train = list(dict.fromkeys(train))  # no sentence on both sides
        if len(train) < every:
            left_out(
                f"{of.path}: left out {every - len(train)} of {every} sentences, repeated ones"
            )
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(train))
        held = max(1, round(of.test_share * len(train)))
        train, test = ([train[i] for i in rows] for rows in (order[held:], order[:held]))
    if not train:
        raise ValueError(
            f"{of.path}: two different sentences are needed to hold one out, got {len(test)}"
        )
    validation: Sentences = ()
    if of.validation_path:
        validation = entities.read_columns(of.validation_path)
        validation = _without(validation, of.validation_path, test, of.test_path or of.path)
        train = _without(train, of.path, validation, of.validation_path)
    say_limit(of.limit, len(train), "sentences to learn from")
    known = train[: of.limit or None]
    if of.validation_path:
        return Parts(known, test, validation, known)
    rows, held = validation_rows(np.zeros(len(known)), of.validation_share)
    return Parts([known[i] for i in rows], test, [known[i] for i in held], known)


@read_once(4)
def _read(reading: _Reading) -> _Read:
    parts = _sentences(reading.source)
    named = ("to learn from", "held out", "of the validation set")
    kinds = {kind for part in parts for s in part for _, _, kind in entities.spans(s.labels)}
    labels = tuple(entities.names(kinds))
    tokens, counts = np.unique([t for s in parts.known for t in s.tokens], return_counts=True)
    vocabulary = Vocabulary.from_counts(
        tokens.tolist(), counts, reading.min_count, specials=(UNKNOWN,)
    )
    number = {label: i for i, label in enumerate(labels)}
    arrays = []
    for part, name in zip(parts[:3], named, strict=True):
        offsets = np.cumsum([0, *(len(s.tokens) for s in part)])
        say_cut(np.diff(offsets), reading.max_length, f"sentences {name}", "tokens")
        ids = vocabulary.encode_words([t for s in part for t in s.tokens], unknown=0)
        tags = np.array([number[label] for s in part for label in s.labels], int)
        arrays += [
            *padded(ids, offsets, reading.max_length),
            padded(tags, offsets, reading.max_length)[0],
        ]
    return _Read(Tagged(*arrays), _Known(vocabulary, labels))


@lru_cache(maxsize=4)
def _remembered(kept: str) -> _Known:
    record = json.loads(kept)
    return _Known(vocabulary_of(record["vocabulary"]), tuple(record["labels"]))
