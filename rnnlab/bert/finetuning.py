"""Fine-tuning: a BERT classifies reviews or tags entities, reading pieces of words.

Each task is one of :mod:`rnnlab.tasks`, with its texts, labels, split and scores, read in
WordPieces. A config has the groups ``encoder``, ``init`` and ``start``
(:class:`rnnlab.bert.pretrained.Start`) beside ``task``, ``training`` and ``run``.

Shapes: N texts, T tokens, P words, V pieces.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, NamedTuple, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import encoder, heads, pretrained, wordpiece
from rnnlab.bert.encoder import ConfigGroup, HostOrDevice, Tokens
from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.data.splits import shuffled_indices
from rnnlab.tasks.base import Batch
from rnnlab.tasks.checks import say_limit
from rnnlab.tasks.reviews import Encoded, MovieReviews
from rnnlab.tasks.stored import Record
from rnnlab.tasks.tagging import Tagging
from rnnlab.text import entities

Array = jax.Array


class Pieced(NamedTuple):
    """Sentences in pieces, [CLS] … [SEP], cut to at most T at the end of a word."""

    ids: HostOrDevice  # (N, T) int32
    lengths: HostOrDevice  # (N,) int32, tokens of each sentence
    places: HostOrDevice  # (N, P) int32, the first piece of each word
    words: HostOrDevice  # (N,) int32, words of each sentence
    labels: HostOrDevice  # (N, P) int32


class TaggedPieces(NamedTuple):
    """Data of :class:`TagPieces`: to learn from, of the test set, and of the validation set."""

    train: Pieced
    test: Pieced
    validation: Pieced


class _TaskInPieces(Protocol):
    """The fields that tasks in pieces share."""

    @property
    def max_length(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def input_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    @property
    def tokenizer(self) -> wordpiece.Tokenizer: ...
    @property
    def kept(self) -> str: ...


Model = TypeVar("Model", heads.Classifier, heads.Tagger)


def make_model(kind: type[Model], task: _TaskInPieces, config: ConfigGroup) -> Model:
    """Make the model of a config's groups ``encoder``, ``init`` and ``start`` for a task.

    Args:
        kind: the class of the model.
    Raises:
        ValueError, UserError: as :meth:`rnnlab.bert.pretrained.Start.check`; unknown keys.
    """
    sizes = encoder.from_config(config.encoder, task.input_size, task.length)
    # a restored task's member has weights of its own, and its start may be gone
    start = None if task.kept else pretrained.Start.from_config(config.start)
    if start is not None:
        start.check(sizes)
    init = encoder.Init.from_config(config.init)
    return kind(sizes, init, start=start, outputs=task.output_size)


def _check(task: _TaskInPieces) -> None:
    if task.max_length < 3:
        raise ValueError(
            f"max_length must be at least 3, [CLS] and [SEP] and a piece, got {task.max_length}"
        )
    if validate.whole("vocab_size", task.vocab_size, least=None) <= len(wordpiece.SPECIALS):
        raise ValueError(
            f"vocab_size must be above {len(wordpiece.SPECIALS)}, the special tokens, "
            f"got {task.vocab_size}"
        )


# ---- classification ----------------------------------------------------------------------------


@dataclass(frozen=True)
class ReviewPieces(MovieReviews):
    """Whether a review of a film is good, or a text's class: [CLS] text [SEP], read by a BERT.

    Options are those of :class:`rnnlab.tasks.reviews.MovieReviews`, T counting [CLS] and [SEP], and
    these.

    Args:
        pieces: the path of pieces, see :func:`rnnlab.bert.pretrained.tokenizer`; empty: at most
            ``vocab_size`` pieces are learned from all texts to learn from.
        vocab_size: most pieces that are learned.
    Source: Devlin et al. 2019 (arXiv 1810.04805), §4.1.
    """

    name: ClassVar[str] = "review_pieces"

    pieces: str = ""
    vocab_size: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    @property
    def input_size(self) -> int:
        """V."""
        return self.tokenizer.get_vocab_size()

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces."""
        if self.kept:
            return wordpiece.from_text(self.memory["pieces"])
        if self.pieces:
            return pretrained.tokenizer(self.pieces)
        # members that differ in anything else share the pieces
        shared = ("source", "path", "test_path", "validation_path", "min_count", "test_share")
        return _learned(
            MovieReviews(**{name: getattr(self, name) for name in shared}), self.vocab_size
        )

    def stored(self) -> Record:
        """Return the pieces, as a tokenizer.json's text, and the names of the classes."""
        return {"pieces": self.tokenizer.to_str(), "classes": self.classes}

    @property
    def streams(self) -> bool:
        """False: an answer needs the whole text."""
        return False

    def model(self, config: ConfigGroup) -> heads.Classifier:
        """Make the model of a config; see :func:`make_model`."""
        return make_model(heads.Classifier, self, config)

    def load(self) -> Encoded:
        """Return the reviews in pieces.

        Raises:
            FileNotFoundError, ValueError: as :meth:`rnnlab.tasks.reviews.MovieReviews.whole`;
                data that have changed since a run stored the task.
        """
        self.check_same()
        reviews = _reviews(replace(self, limit=0, validation_share=0.0))
        say_limit(self.limit, len(reviews.labels), "texts to learn from")
        return reviews.with_validation(self.validation_share, self.limit)

    def tokens(self, text: str) -> list[str]:
        """Cut a text into pieces, however many; [] if it has none."""
        return self.tokenizer.encode(text, add_special_tokens=False).tokens

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return the ids (T,) int32 of [CLS], pieces, [SEP].

        Raises:
            ValueError: more pieces than the model reads at once.
        """
        _check_room(len(tokens), self.max_length)
        pieces = [wordpiece.CLS, *tokens, wordpiece.SEP]
        return np.array([self.tokenizer.token_to_id(piece) for piece in pieces], np.int32)

    def passes(self, tokens: list[str]) -> list[np.ndarray]:
        """Return the pieces in parts of at most T − 2, one after the other."""
        room = self.max_length - 2
        return [self.encode(tokens[i : i + room]) for i in range(0, len(tokens), room)]

    def answer(self, tokens: list[str], outputs: list[Array]) -> str:
        """Return the class and its probability: p = Σ_i n_i p_i / Σ_i n_i over the parts.

        Part i has n_i pieces and the probabilities p_i. A text that the model reads at once has
        one part.
        """
        sizes = np.array([len(ids) - 2 for ids in self.passes(tokens)], np.float32)
        p = np.stack([jax.nn.softmax(output) for output in outputs])
        return self.label(jnp.log(sizes / sizes.sum() @ p))

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return each [UNK], which stands for characters that no piece has."""
        return [token for token in tokens if token == wordpiece.UNKNOWN]


@read_once(4)
def _learned(task: MovieReviews, vocab_size: int) -> wordpiece.Tokenizer:
    return wordpiece.train(task.whole().texts, vocab_size, min_count=task.min_count)


@read_once(4)
def _reviews(task: ReviewPieces) -> Encoded:
    """Read all texts; limits and the validation share are taken of the result."""
    whole, parts = task.whole(), []
    for texts, labels in (
        (whole.texts, whole.labels),
        (whole.test_texts, whole.test_labels),
        (whole.validation_texts, whole.validation_labels),
    ):
        if not texts:
            continue  # no file of validation texts
        tokens = wordpiece.tokens(task.tokenizer, texts, length=task.max_length)
        parts += [tokens.ids, np.asarray(tokens.mask).sum(axis=1, dtype=np.int32), labels]
    return Encoded.of(*parts)


# ---- tagging -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TagPieces(Tagging):
    """Named entities: a BERT reads pieces, and labels each word at its first piece.

    Options are those of :class:`rnnlab.tasks.tagging.Tagging`, T counting pieces, [CLS] and [SEP],
    and these; ``crf`` and ``embedding_size``, of recurrent taggers only, keep their defaults.

    Args:
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
            raise ValueError("crf and embedding_size belong to recurrent taggers, not tag_pieces")

    @property
    def input_size(self) -> int:
        """V."""
        return self.tokenizer.get_vocab_size()

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces."""
        if self.kept:
            return wordpiece.from_text(self.memory["pieces"])
        return _learned_of_words(self) if not self.pieces else pretrained.tokenizer(self.pieces)

    def stored(self) -> Record:
        """Return what a recurrent tagger stores, and the pieces as a tokenizer.json's text."""
        return super().stored() | {"pieces": self.tokenizer.to_str()}

    @property
    def streams(self) -> bool:
        """False: a label needs the whole sentence."""
        return False

    def model(self, config: ConfigGroup) -> heads.Tagger:
        """Make the model of a config; see :func:`make_model`."""
        return make_model(heads.Tagger, self, config)

    def load(self) -> TaggedPieces:  # type: ignore[override]
        """Return the sentences in pieces.

        Raises:
            FileNotFoundError, ValueError: no such file, or too few sentences; data that have
                changed since a run stored the task.
        """
        self.check_same()
        return _tagged(self)

    def baseline(self, data: TaggedPieces) -> float:  # type: ignore[override]
        """Return H(label) of the training sentences, in nats."""
        inside = np.arange(data.train.labels.shape[1]) < np.asarray(data.train.words)[:, None]
        p = np.bincount(np.asarray(data.train.labels)[inside]) / inside.sum()
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def lookup(self, data: object = None) -> float:
        """Return the F1 of each word's most frequent label, as for recurrent taggers."""
        del data
        recurrent = Tagging(**{f.name: getattr(self, f.name) for f in fields(Tagging) if f.init})
        return recurrent.lookup(recurrent.load())

    def batch(  # type: ignore[override]
        self, data: TaggedPieces, key: Array, index: Array | int, batch_size: int
    ) -> Batch:
        """Return sentences in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        count = min(batch_size, len(data.train.ids))
        rows = shuffled_indices(key, len(data.train.ids), index, count)
        return _batch(Pieced(*(jnp.asarray(part)[rows] for part in data.train)))

    def test_size(self, data: TaggedPieces) -> int:  # type: ignore[override]
        """Return the number of held-out sentences."""
        return len(data.test.ids)

    def test(self, data: TaggedPieces, key: Array, batch_size: int) -> Batch:  # type: ignore[override]
        """Return the first ``batch_size`` sentences held out, or all if there are fewer."""
        return _batch(Pieced(*(jnp.asarray(part[:batch_size]) for part in data.test)))

    def validation_size(self, data: TaggedPieces) -> int:  # type: ignore[override]
        """Return the number of validation sentences."""
        return len(data.validation.ids)

    def validation(  # type: ignore[override]
        self, data: TaggedPieces, key: Array, batch_size: int
    ) -> Batch:
        """Return the first ``batch_size`` validation sentences, or all if there are fewer."""
        return _batch(Pieced(*(jnp.asarray(part[:batch_size]) for part in data.validation)))

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return the ids (T,) int32 of words: [CLS], their pieces, [SEP].

        Raises:
            ValueError: more pieces than the model reads at once.
        """
        return self._encoded(self._pieces_of(tokens))

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Mark entities as :meth:`rnnlab.tasks.tagging.Tagging.say`, from outputs (T, K)."""
        firsts = _firsts(self._pieces_of(tokens))
        return super().say(tokens, jnp.asarray(np.asarray(outputs)[firsts]))

    def passes(self, tokens: list[str]) -> list[np.ndarray]:
        """Return overlapping windows of words: see :func:`windows`.

        Of a word with more than T − 2 pieces the first T − 2 are read; its label is that of the
        first.
        """
        pieces = self._pieces_of(tokens)
        parts = windows([len(ids) for ids in pieces], self.max_length - 2)
        return [self._encoded(pieces[part.first : part.end]) for part in parts]

    def answer(self, tokens: list[str], outputs: list[Array]) -> str:
        """Mark entities; a word's label is from the window with the most words around it."""
        pieces = self._pieces_of(tokens)
        parts = windows([len(ids) for ids in pieces], self.max_length - 2)
        kept = [
            np.asarray(output)[_firsts(pieces[part.first : part.end])][part.kept]
            for part, output in zip(parts, outputs, strict=True)
        ]
        return super().say(tokens, jnp.asarray(np.concatenate(kept)))

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the words with a piece [UNK]."""
        (number,) = wordpiece.special_ids(self.tokenizer, wordpiece.UNKNOWN)
        pieces = self._pieces_of(tokens)
        return [word for word, ids in zip(tokens, pieces, strict=True) if number in ids]

    def _pieces_of(self, tokens: list[str]) -> list[list[int]]:
        pieces = _pieces(self.tokenizer, set(tokens))
        return [pieces[word][: self.max_length - 2] for word in tokens]

    def _encoded(self, pieces: list[list[int]]) -> np.ndarray:
        _check_room(sum(map(len, pieces)), self.max_length)
        cls, sep = wordpiece.special_ids(self.tokenizer, wordpiece.CLS, wordpiece.SEP)
        return np.array([cls, *itertools.chain.from_iterable(pieces), sep], np.int32)


def _check_room(pieces: int, max_length: int) -> None:
    if pieces > max_length - 2:
        raise ValueError(
            f"at most {max_length - 2} pieces are read at once (task.max_length={max_length} with "
            f"[CLS] and [SEP]), got {pieces}"
        )


def _firsts(pieces: list[list[int]]) -> np.ndarray:
    """Return the place of each word's first piece after [CLS]."""
    return np.cumsum([1, *map(len, pieces)])[:-1]


class Window(NamedTuple):
    """Words that are read at once: first … end − 1."""

    first: int
    end: int
    kept: slice  # of the window, the words whose labels count


def windows(sizes: Sequence[int], room: int) -> list[Window]:
    """Cut words into windows that overlap by half, each word kept in one of them.

    A window holds as many words as fit. Of the words that two windows share, the first half is
    kept in the earlier one and the second in the later, where more words lie around them.

    Args:
        sizes: of each word, at most ``room``.
        room: the most that a window holds.

    >>> [(w.first, w.end, w.kept) for w in windows([1] * 7, 4)]
    [(0, 4, slice(0, 3, None)), (2, 6, slice(1, 3, None)), (4, 7, slice(1, 3, None))]
    """
    bounds: list[tuple[int, int]] = []
    first, end, used = 0, 0, 0
    while end < len(sizes) or not bounds:
        while end < len(sizes) and used + sizes[end] <= room:
            used += sizes[end]
            end += 1
        bounds.append((first, end))
        if end < len(sizes):
            while used > min(room // 2, room - sizes[end]):
                used -= sizes[first]
                first += 1
    cuts = [0, *((left + right) // 2 for (_, right), (left, _) in itertools.pairwise(bounds))]
    return [
        Window(first, end, slice(start - first, stop - first))
        for (first, end), start, stop in zip(bounds, cuts, [*cuts[1:], len(sizes)], strict=True)
    ]


def pieced(
    tokenizer: wordpiece.Tokenizer,
    sentences: list[entities.Sentence],
    names: dict[str, int],
    length: int,
) -> Pieced:
    """Encode sentences of words as a BERT reads them.

    Args:
        names: the ids of labels. length: T; words that do not fit are left out.

    >>> pieces = wordpiece.train(["low lower lowest"] * 9, vocab_size=20)
    >>> cut = pieced(pieces, [entities.Sentence(("lowest", "low"), ("O", "O"))], {"O": 0}, 9)
    >>> cut.words.tolist(), bool(cut.places[0, 1] > 2)
    ([2], True)
    """
    pieces = _pieces(tokenizer, {word for sentence in sentences for word in sentence.tokens})
    cls, sep, pad = wordpiece.special_ids(tokenizer, wordpiece.CLS, wordpiece.SEP, wordpiece.PAD)
    N = len(sentences)
    ids = np.full((N, length), pad, np.int32)
    places, labels = (np.zeros((N, length - 2), np.int32) for _ in range(2))
    lengths, words = (np.zeros(N, np.int32) for _ in range(2))
    for row, sentence in enumerate(sentences):
        tokens, firsts = [cls], []
        for word in sentence.tokens:
            if len(tokens) + len(pieces[word]) > length - 1:
                break
            firsts.append(len(tokens))
            tokens += pieces[word]
        tokens.append(sep)
        n = len(firsts)
        ids[row, : len(tokens)], lengths[row], words[row] = tokens, len(tokens), n
        places[row, :n] = firsts
        labels[row, :n] = [names[label] for label in sentence.labels[:n]]
    return Pieced(ids, lengths, places, words, labels)


def _pieces(tokenizer: wordpiece.Tokenizer, words: set[str]) -> dict[str, list[int]]:
    """Return the pieces of each word; a word of nothing but dropped characters is unknown."""
    ordered = sorted(words)
    unknown = wordpiece.special_ids(tokenizer, wordpiece.UNKNOWN)
    ids = wordpiece.piece_ids(tokenizer, ordered)
    return {word: pieces or unknown for word, pieces in zip(ordered, ids, strict=True)}


def _batch(data: Pieced) -> Batch:
    T, P = data.ids.shape[1], data.places.shape[1]
    mask = jnp.arange(T) < jnp.asarray(data.lengths)[:, None]
    inputs = cast(Array, Tokens(data.ids, None, mask, data.places))  # what a BERT's model reads
    known = jnp.arange(P) < jnp.asarray(data.words)[:, None]
    return Batch(inputs, jnp.asarray(data.labels), known)


@read_once(4)
def _learned_of_words(task: TagPieces) -> wordpiece.Tokenizer:
    texts = [" ".join(sentence.tokens) for sentence in task.sentences().known]
    return wordpiece.train(texts, task.vocab_size, min_count=task.min_count)


@read_once(4)
def _tagged(task: TagPieces) -> TaggedPieces:
    names = {label: i for i, label in enumerate(task.labels)}
    read = []
    named = ("to learn from", "held out", "of the validation set")
    for part, name in zip(task.sentences()[:3], named, strict=True):
        read.append(pieced(task.tokenizer, list(part), names, task.max_length))
        words, kept = sum(len(sentence.tokens) for sentence in part), int(np.sum(read[-1].words))
        if kept < words:
            left_out(
                f"{words - kept} of {words} words of the sentences {name} are left out, past the "
                f"{task.max_length} pieces of task.max_length"
            )
    return TaggedPieces(*read)
