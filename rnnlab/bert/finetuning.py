"""Fine-tuning: reviews told good from bad, entities tagged, in pieces of words, by a BERT.

Each is the task of recurrent networks (:mod:`rnnlab.tasks`), with its texts, labels, split and
scores, read in WordPieces. A config has the groups ``encoder``, ``init`` and ``start``
(:class:`rnnlab.bert.pretrained.Start`) beside ``task``, ``training`` and ``run``.

Shapes: N texts, T tokens, P words, V pieces.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import encoder, heads, pretrained, wordpiece
from rnnlab.bert.encoder import Tokens
from rnnlab.data.splits import shuffled_indices
from rnnlab.tasks.base import Batch
from rnnlab.tasks.reviews import Encoded, MovieReviews
from rnnlab.tasks.tagging import Tagging
from rnnlab.text import entities

Array = jax.Array


class Pieced(NamedTuple):
    """Sentences in pieces, [CLS] … [SEP], cut to T at a word's end."""

    ids: np.ndarray  # (N, T) int32
    lengths: np.ndarray  # (N,) int32, tokens of each
    places: np.ndarray  # (N, P) int32, of each word its first piece
    words: np.ndarray  # (N,) int32, words of each
    labels: np.ndarray  # (N, P) int32


class TaggedPieces(NamedTuple):
    """What :class:`TagPieces` learns from, and is judged by."""

    train: Pieced
    test: Pieced


def started(model: type, task: Any, config: Any, outputs: int) -> Any:
    """A model of a config's groups ``encoder``, ``init`` and ``start``, for a task in pieces.

    Raises:
        ValueError, UserError: as :meth:`rnnlab.bert.pretrained.Start.check`, and for unknown keys.
    """
    sizes = encoder.from_config(config.encoder, task.input_size, task.length)
    start = pretrained.Start.from_config(config.start)
    if start is not None:
        start.check(sizes)
    return model(sizes, encoder.Init.from_config(config.init), start=start, outputs=outputs)


def _check(task: Any) -> None:
    if task.max_length < 3:
        raise ValueError(
            f"max_length must be at least 3, [CLS] and [SEP] and a piece, got {task.max_length}"
        )
    if task.vocab_size <= len(wordpiece.SPECIALS):
        raise ValueError(
            f"vocab_size must be above {len(wordpiece.SPECIALS)}, the special tokens, "
            f"got {task.vocab_size}"
        )


# ---- classification ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ReviewPieces(MovieReviews):
    """Whether a review of a film is good: [CLS] review [SEP], read by a BERT.

    Args:
        As :class:`rnnlab.tasks.reviews.MovieReviews`, T counting [CLS] and [SEP]; and
        limit: reviews to learn from; 0: all.
        pieces: where the pieces come from, as :func:`rnnlab.bert.pretrained.tokenizer`; empty: at
            most ``vocab_size`` are learned from the reviews to learn from.
        vocab_size: of pieces that are learned.
    Source: Devlin et al. 2019 (arXiv 1810.04805), §4.1.
    """

    name: ClassVar[str] = "review_pieces"

    limit: int = 0
    pieces: str = ""
    vocab_size: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        if self.limit < 0:
            raise ValueError(f"limit must be 0 or more, got {self.limit}")

    @property
    def input_size(self) -> int:
        """V."""
        return self.tokenizer.get_vocab_size()

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces."""
        return _learned(self) if not self.pieces else pretrained.tokenizer(self.pieces)

    @property
    def streams(self) -> bool:
        """False: an answer needs the whole text."""
        return False

    def model(self, config: Any) -> heads.Classifier:
        """See :func:`started`."""
        return started(heads.Classifier, self, config, self.output_size)

    def load(self) -> Encoded:
        """The reviews in pieces.

        Raises:
            ValueError: they are not installed, or fewer than ``limit``.
        """
        return _reviews(self)

    def tokens(self, text: str) -> list[str]:
        """[CLS], pieces, [SEP]: T of them at most; none of a text without a piece."""
        return _tokens(self, text)

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Ids (T,) int32."""
        return np.array([self.tokenizer.token_to_id(t) for t in tokens], np.int32)


@lru_cache(maxsize=4)
def _learned(task: ReviewPieces) -> wordpiece.Tokenizer:
    return wordpiece.train(task.split().texts, task.vocab_size, min_count=task.min_count)


@lru_cache(maxsize=4)
def _reviews(task: ReviewPieces) -> Encoded:
    split = task.split()
    if task.limit > len(split.texts):
        raise ValueError(
            f"limit must be at most {len(split.texts)}, the reviews to learn from, got {task.limit}"
        )
    parts = []
    for texts, labels in (
        (split.texts[: task.limit or None], split.labels[: task.limit or None]),
        (split.test_texts, split.test_labels),
    ):
        read = wordpiece.tokens(task.tokenizer, texts, length=task.max_length)
        parts += [read.ids, np.asarray(read.mask).sum(axis=1, dtype=np.int32), labels]
    return Encoded(*parts)


def _tokens(task: Any, text: str) -> list[str]:
    own = task.tokenizer.encode(text, add_special_tokens=False).tokens[: task.max_length - 2]
    return [wordpiece.CLS, *own, wordpiece.SEP] if own else []


# ---- tagging -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TagPieces(Tagging):
    """Named entities: a BERT reads pieces, and labels a word at its first one.

    Args:
        As :class:`rnnlab.tasks.tagging.Tagging`, T counting pieces, [CLS] and [SEP], and without
        ``crf`` and ``embedding_size``, which are of recurrent taggers; and
        pieces, vocab_size: as of :class:`ReviewPieces`.
    Source: Devlin et al. 2019 (arXiv 1810.04805), §5.3.
    """

    name: ClassVar[str] = "tag_pieces"

    pieces: str = ""
    vocab_size: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)
        if self.crf or self.embedding_size != Tagging.embedding_size:
            raise ValueError("crf and embedding_size are of recurrent taggers, not of tag_pieces")

    @property
    def input_size(self) -> int:
        """V."""
        return self.tokenizer.get_vocab_size()

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces."""
        return _learned_of_words(self) if not self.pieces else pretrained.tokenizer(self.pieces)

    @property
    def streams(self) -> bool:
        """False: a label needs the whole sentence."""
        return False

    def model(self, config: Any) -> heads.Tagger:
        """See :func:`started`."""
        return started(heads.Tagger, self, config, self.output_size)

    def load(self) -> TaggedPieces:  # type: ignore[override]
        """The sentences in pieces.

        Raises:
            FileNotFoundError, ValueError: no such file, no sentences or not so many of them.
        """
        return _tagged(self)

    def baseline(self, data: TaggedPieces) -> float:  # type: ignore[override]
        """H(label) of the sentences to learn from, in nats."""
        inside = np.arange(data.train.labels.shape[1]) < data.train.words[:, None]
        p = np.bincount(data.train.labels[inside]) / inside.sum()
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def lookup(self, data: Any) -> float:
        """The F1 of the most frequent label of each word, as of recurrent taggers."""
        del data
        plain = Tagging(**{f.name: getattr(self, f.name) for f in fields(Tagging)})
        return plain.lookup(plain.load())

    def batch(self, data: Any, key: Array, index: Any, batch_size: int) -> Any:
        """Sentences in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.train.ids), index, batch_size)
        return _words(Pieced(*(jnp.asarray(part)[rows] for part in data.train)))  # type: ignore[arg-type]

    def test(self, data: Any, key: Array, batch_size: int) -> Any:
        """The first ``batch_size`` sentences held out, all where there are fewer."""
        return _words(Pieced(*(jnp.asarray(part[:batch_size]) for part in data.test)))  # type: ignore[arg-type]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Ids (T,) int32 of words: [CLS], their pieces, [SEP]."""
        cut = pieced(
            self.tokenizer,
            [entities.Sentence(tuple(tokens), ("O",) * len(tokens))],
            {"O": 0},
            self.max_length,
        )
        return cut.ids[0, : cut.lengths[0]]

    def say(self, tokens: list[str], outputs: Array) -> str:
        """As :meth:`rnnlab.tasks.tagging.Tagging.say`, from outputs (T, K) at all pieces."""
        cut = pieced(
            self.tokenizer,
            [entities.Sentence(tuple(tokens), ("O",) * len(tokens))],
            {"O": 0},
            self.max_length,
        )
        n = int(cut.words[0])
        return super().say(tokens[:n], outputs[cut.places[0, :n]])


def pieced(
    tokenizer: wordpiece.Tokenizer,
    sentences: list[entities.Sentence],
    names: dict[str, int],
    length: int,
) -> Pieced:
    """Sentences of words as a BERT reads them.

    Args:
        names: the ids of labels. length: T; words past it are left out.

    >>> pieces = wordpiece.train(["low lower lowest"] * 9, vocab_size=20)
    >>> cut = pieced(pieces, [entities.Sentence(("lowest", "low"), ("O", "O"))], {"O": 0}, 9)
    >>> cut.words.tolist(), bool(cut.places[0, 1] > 2)
    ([2], True)
    """
    of = _pieces(tokenizer, {word for sentence in sentences for word in sentence.tokens})
    special: Any = [tokenizer.token_to_id(t) for t in (wordpiece.CLS, wordpiece.SEP, wordpiece.PAD)]
    cls, sep, pad = special
    N = len(sentences)
    ids = np.full((N, length), pad, np.int32)
    places, labels = (np.zeros((N, length - 2), np.int32) for _ in range(2))
    lengths, words = (np.zeros(N, np.int32) for _ in range(2))
    for row, sentence in enumerate(sentences):
        said, firsts = [cls], []
        for word in sentence.tokens:
            if len(said) + len(of[word]) > length - 1:
                break
            firsts.append(len(said))
            said += of[word]
        said.append(sep)
        n = len(firsts)
        ids[row, : len(said)], lengths[row], words[row] = said, len(said), n
        places[row, :n] = firsts
        labels[row, :n] = [names[label] for label in sentence.labels[:n]]
    return Pieced(ids, lengths, places, words, labels)


def _pieces(tokenizer: wordpiece.Tokenizer, words: set[str]) -> dict[str, list[int]]:
    """Of each word its pieces; one of nothing but signs that are dropped is unknown."""
    listed = sorted(words)
    unknown: Any = [tokenizer.token_to_id(wordpiece.UNKNOWN)]
    read = tokenizer.encode_batch(listed, add_special_tokens=False)
    return {word: one.ids or unknown for word, one in zip(listed, read, strict=True)}


def _words(data: Pieced) -> Batch:
    T, P = data.ids.shape[1], data.places.shape[1]
    mask = jnp.arange(T) < jnp.asarray(data.lengths)[:, None]
    inputs: Any = Tokens(data.ids, None, mask, data.places)  # type: ignore[arg-type]
    return Batch(inputs, data.labels, jnp.arange(P) < jnp.asarray(data.words)[:, None])  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _learned_of_words(task: TagPieces) -> wordpiece.Tokenizer:
    texts = [" ".join(sentence.tokens) for sentence in task.sentences()[0]]
    return wordpiece.train(texts, task.vocab_size, min_count=task.min_count)


@lru_cache(maxsize=4)
def _tagged(task: TagPieces) -> TaggedPieces:
    names = {label: i for i, label in enumerate(task.labels)}
    return TaggedPieces(
        *(pieced(task.tokenizer, list(part), names, task.max_length) for part in task.sentences())
    )
