"""BERT's pre-training task: masked words and next sentence.

Shapes: B batch, T tokens, M tokens of a segment, S segments, P places to predict, V vocabulary.
Source: Devlin et al. 2019 (arXiv 1810.04805), §3.1 and appendix A.
"""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import encoder, heads, masking, wordpiece
from rnnlab.bert.encoder import ConfigGroup, Tokens
from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.data import files
from rnnlab.data.splits import validation_rows
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.checks import say_limit
from rnnlab.tasks.stored import Record, Stored
from rnnlab.text import corpora, entities

if TYPE_CHECKING:
    from collections.abc import Callable

Array = jax.Array

CORPORA = ("speeches", "reviews", "both", "people_daily")
FOLLOWS, OTHER = 0, 1  # the classes of the second sentence
_SPLIT_SEED = 0
# the ids of special tokens among learned pieces
_PAD, _CLS, _SEP, _MASK = (
    wordpiece.SPECIALS.index(token)
    for token in (wordpiece.PAD, wordpiece.CLS, wordpiece.SEP, wordpiece.MASK)
)


# ---- losses ------------------------------------------------------------------------------------


class Targets(NamedTuple):
    """The answers to a batch of pairs."""

    words: Array  # (B, P) int32, the hidden tokens
    next_sentence: Array  # (B,) int32, FOLLOWS or OTHER


def masked_word_loss(logits: Array, targets: Array, counts: Array) -> Array:
    """Return L = −mean log softmax(z_p)[x_p] over the places p that count in the batch, in nats.

    Args:
        logits: (B, P, V). targets: (B, P). counts: (B, P) bool.
    """
    V = logits.shape[-1]
    return _cross_entropy(logits.reshape(-1, V), targets.reshape(-1), counts.reshape(-1))


@jax.custom_vjp
def _cross_entropy(logits: Array, targets: Array, counts: Array) -> Array:
    """Return losses.cross_entropy, with fewer passes over a vocabulary's logits."""
    return _cross_entropy_forward(logits, targets, counts)[0]


_Saved = tuple[Array, Array, Array, Array, Array]  # logits, lse, targets, counts, n


def _cross_entropy_forward(logits: Array, targets: Array, counts: Array) -> tuple[Array, _Saved]:
    """Return L = mean (lse(z) − z[x]), lse(z) = log Σ exp z, and the inputs of its gradient."""
    top = logits.max(axis=-1, keepdims=True)
    lse = top + jnp.log(jnp.exp(logits - top).sum(axis=-1, keepdims=True))
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    n = jnp.maximum(counts.sum(dtype=logits.dtype), 1)
    each = jnp.where(counts[..., None], lse - picked, 0)
    return each.sum() / n, (logits, lse, targets, counts, n)


def _cross_entropy_backward(saved: _Saved, d: Array) -> tuple[Array, None, None]:
    """Return ∂L/∂z = (softmax(z) − onehot(x)) / n in one pass; autodiff scatters into zeros."""
    logits, lse, targets, counts, n = saved
    classes = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    p = jnp.exp(logits - lse)
    p = jnp.where(classes == targets[..., None], p - 1, p)
    return jnp.where(counts[..., None], p * (d / n), 0), None, None


_cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def next_sentence_loss(logits: Array, targets: Array) -> Array:
    """Return L = −mean log softmax(z)[y] over the batch, in nats.

    Args:
        logits: (B, 2). targets: (B,), 0 where the second segment follows the first.
    """
    return losses.cross_entropy(logits, targets)


def loss(outputs: heads.Logits, targets: Targets, counts: Array, reduction: str = "mean") -> Array:
    """Return L = L_words + L_next_sentence: masked words and next sentence, in nats.

    Raises:
        ValueError: another reduction than "mean".
    Source: Devlin et al. 2019, appendix A.2.
    """
    if reduction != "mean":
        raise ValueError(f"training.reduction must be 'mean' in pre-training, got {reduction!r}")
    words = masked_word_loss(outputs.words, targets.words, counts)
    return words + next_sentence_loss(outputs.next_sentence, targets.next_sentence)


# ---- text as segments --------------------------------------------------------------------------


class Segments(NamedTuple):
    """Documents cut into segments of whole sentences, in order."""

    ids: np.ndarray  # (S, M) int32, padded by [PAD]
    lengths: np.ndarray  # (S,) int32
    first: np.ndarray  # (S,) int32, the first segment of the same document
    size: np.ndarray  # (S,) int32, the number of segments of the same document
    followed: np.ndarray  # (N,) int32, segments that are not the last of their document


class Corpus(NamedTuple):
    """Data of :class:`SentencePairs`: to learn from, of the test set, of the validation set."""

    train: Segments
    test: Segments
    validation: Segments | None  # None: too few documents to hold some out
    continues: np.ndarray  # (V,) bool, whether a piece continues a word


def sentences(text: str) -> list[str]:
    r"""Cut a text roughly into sentences: after .!? before white space, after 。！？, at line ends.

    >>> sentences("We met. At noon?\nYes。好！")
    ['We met.', 'At noon?', 'Yes。', '好！']
    """
    return [part for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n+", text) if part.strip()]


def segments(tokenizer: wordpiece.Tokenizer, documents: Sequence[str], size: int) -> Segments:
    """Cut documents into segments of at most ``size`` tokens, each as many sentences as fit.

    A longer sentence is cut. A document without a token is left out.

    Raises:
        ValueError: fewer than two documents, or none with two segments: there are no pairs.
    """
    rows: list[list[int]] = []
    first, count, followed = [], [], []
    used = 0
    cut = [sentences(document) for document in documents]
    # one call for all: the tokenizer spreads them over the cores
    pieces = iter(wordpiece.piece_ids(tokenizer, list(itertools.chain.from_iterable(cut))))
    for document in cut:
        start = len(rows)
        row: list[int] = []
        for ids in itertools.islice(pieces, len(document)):
            while ids:
                room = size - len(row)
                if row and len(ids) > room:
                    rows.append(row)
                    row, room = [], size
                row, ids = row + ids[:room], ids[room:]
        if row:
            rows.append(row)
        added = len(rows) - start
        used += added > 0
        first += [start] * added
        count += [added] * added
        followed += range(start, start + added - 1)
    if used < 2 or not followed:
        raise ValueError(
            f"{used} documents of at most {max(count, default=0)} segments give no "
            "pairs: two documents are needed, and one of two segments"
        )
    if used < len(documents):
        left_out(f"{len(documents) - used} of {len(documents)} documents have no token: left out")
    lengths = np.array([len(row) for row in rows], np.int32)
    packed = np.full((len(rows), size), _PAD, np.int32)
    packed[np.arange(size) < lengths[:, None]] = np.concatenate(rows)
    return Segments(packed, lengths, *(np.array(a, np.int32) for a in (first, count, followed)))


class Pairs(NamedTuple):
    """[CLS] A [SEP] B [SEP], padded."""

    ids: Array  # (B, T) int32
    segments: Array  # (B, T) int32: 0 up to the first [SEP], 1 up to the second
    mask: Array  # (B, T) bool, true before the padding
    words: Array  # (B, T) bool, true for tokens that are neither special nor padding


def pair(
    a: Array,
    a_lengths: Array,
    b: Array,
    b_lengths: Array,
    length: int,
    cls: int = _CLS,
    sep: int = _SEP,
    pad: int = _PAD,
) -> Pairs:
    """Join two segments per row.

    Args:
        a, b: (B, M) ids. a_lengths, b_lengths: (B,).
        length: T, at least 2M + 3.
        cls, sep, pad: ids of special tokens.
    """
    M = a.shape[1]
    t = jnp.arange(length)
    n, m = a_lengths[:, None], b_lengths[:, None]
    of_a, of_b = (t >= 1) & (t <= n), (t >= n + 2) & (t < n + 2 + m)
    ids = jnp.where(of_a, a[:, jnp.clip(t - 1, 0, M - 1)], pad)
    from_b = jnp.take_along_axis(b, jnp.clip(t - n - 2, 0, M - 1), axis=1)
    ids = jnp.where(of_b, from_b, ids)
    ids = jnp.where(t == 0, cls, ids)
    ids = jnp.where((t == n + 1) | (t == n + 2 + m), sep, ids)
    mask = t <= n + 2 + m
    return Pairs(ids, (mask & (t >= n + 2)).astype(jnp.int32), mask, of_a | of_b)


# ---- the task ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentencePairs(Stored):
    """Pairs of segments: the second follows the first, or is of another document.

    In expectation half of every epoch's pairs are real. Which are, the partners of the others and
    the hidden words are drawn from (key, index) alone, anew in every epoch, so that a run's place
    in its data is one number. Documents are held out whole.

    Args:
        corpus: "speeches", "reviews", "both" (all speeches and as many characters of reviews;
            ``rnnlab[data]``), "people_daily" (in Chinese, character by character), or the path of
            a UTF-8 text whose documents are separated by empty lines.
        limit: documents to use, drawn with a fixed seed; 0: all.
        length: T; a segment has at most M = ⌊(T − 3)/2⌋ tokens.
        vocab_size: pieces learned from the training documents, at most.
        lowercase: whether pieces are in lower case, without accents.
        whole_words: hide whole words instead of single pieces.
        masked_share: of the tokens, to be chosen.
        test_share: the share of the documents that is held out.
        validation_share: the share of the other documents that is the validation set; their pieces
            count for the vocabulary.
        solved_at: the loss that counts as solved, in nats.
    Raises:
        ValueError, FileNotFoundError: an option out of its range; on first use of the data, a text
            that does not exist or gives no pairs.
    """

    name: ClassVar[str] = "sentence_pairs"

    corpus: str = "speeches"
    limit: int = 0
    length: int = 128
    vocab_size: int = 8192
    lowercase: bool = True
    whole_words: bool = False
    masked_share: float = masking.SHARE
    test_share: float = 0.1
    validation_share: float = 0.1
    solved_at: float = 1.0

    def __post_init__(self) -> None:
        checked: dict[str, float] = {}
        for name, least in (("limit", 0), ("length", 5), ("vocab_size", 6)):
            checked[name] = validate.whole(name, getattr(self, name), least)
        for name in ("masked_share", "test_share"):
            checked[name] = validate.number(name, getattr(self, name), above=0, below=1)
        checked["validation_share"] = validate.number(
            "validation_share", self.validation_share, least=0, below=1
        )
        checked["solved_at"] = validate.number("solved_at", self.solved_at, above=0)
        for name in ("lowercase", "whole_words"):
            checked[name] = validate.flag(name, getattr(self, name))
        for name, value in checked.items():  # NumPy's numbers as Python's
            object.__setattr__(self, name, value)

    @property
    def segment_size(self) -> int:
        """M."""
        return (self.length - 3) // 2

    @property
    def input_size(self) -> int:
        """V, the number of learned pieces."""
        return self.tokenizer.get_vocab_size()

    @property
    def output_size(self) -> int:
        """V."""
        return self.input_size

    @property
    def symbols(self) -> bool:
        """Inputs are whole numbers."""
        return True

    @property
    def loss(self) -> "Callable[..., Array]":
        """The sum of both losses, :func:`loss`."""
        return loss

    @property
    def many_to_one(self) -> bool:
        """True: a pair is read whole, without windows."""
        return True

    @property
    def goal(self) -> Goal:
        """The loss is at most ``solved_at``."""
        return Goal("loss", self.solved_at)

    def model(self, config: ConfigGroup) -> heads.Pretraining:
        """Make the model of a config's groups ``encoder`` and ``init``."""
        sizes = encoder.from_config(config.encoder, self.input_size, self.length)
        return heads.Pretraining(sizes, encoder.Init.from_config(config.init))

    # ---- data ----

    @property
    def _source(self) -> "_Source":
        return _Source(self.corpus, self.limit, self.test_share, self.vocab_size, self.lowercase)

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces, learned from the training documents."""
        if self.kept:
            return wordpiece.from_text(self.memory["pieces"])
        return _learned(self._source)[0]

    def stored(self) -> Record:
        """Return the pieces, as a tokenizer.json's text."""
        return {"pieces": self.tokenizer.to_str()}

    def load(self) -> Corpus:
        """Return the segments of both parts.

        Raises:
            ValueError, FileNotFoundError: as :func:`documents`; data that have changed since a
                run stored the task.
        """
        self.check_same()
        return _segmented(self._source, self.segment_size, self.validation_share)

    def baseline(self, data: Corpus) -> float:
        """Return :func:`unigram` plus ln 2, a guess of the next sentence."""
        return unigram(data) + math.log(2)

    def batch(self, data: Corpus, key: Array, index: Array | int, batch_size: int) -> Batch:
        """Draw pairs; an epoch has ⌊N / batch_size⌋ batches, and no first segment twice.

        At most as many pairs as there are.
        """
        key_order, key_draw = jax.random.split(key)
        followed = jnp.asarray(data.train.followed)
        batch_size = min(batch_size, len(followed))
        batches = len(followed) // batch_size
        index = jnp.asarray(index, jnp.int32)
        places = index % batches * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
        key_order = jax.random.fold_in(key_order, index // batches)
        rows = masking.shuffled(key_order, len(followed), places)
        return self._batch(data, data.train, followed[rows], jax.random.fold_in(key_draw, index))

    def test_size(self, data: Corpus) -> int:
        """Return the number of held-out pairs."""
        return len(data.test.followed)

    def test(self, data: Corpus, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` pairs held out, or all if there are fewer; always the same."""
        return self._held_out(data, data.test, batch_size)

    def validation_size(self, data: Corpus) -> int:
        """Return the number of validation pairs."""
        return 0 if data.validation is None else len(data.validation.followed)

    def validation(self, data: Corpus, key: Array, batch_size: int) -> Batch:
        """Return ``batch_size`` validation pairs, or all if there are fewer; always the same."""
        assert data.validation is not None  # for validation_size is not 0
        return self._held_out(data, data.validation, batch_size)

    def _held_out(self, data: Corpus, part: Segments, batch_size: int) -> Batch:
        followed = jnp.asarray(part.followed)
        chosen = np.random.default_rng(_SPLIT_SEED).permutation(len(followed))[:batch_size]
        # the barrier hides the constant, which the compiler would otherwise fold, slowly
        key = jax.lax.optimization_barrier(jax.random.key_data(jax.random.key(_SPLIT_SEED)))
        return self._batch(data, part, followed[chosen], jax.random.wrap_key_data(key))

    def _batch(self, data: Corpus, part: Segments, rows: Array, key: Array) -> Batch:
        ids, lengths, first, count = (jnp.asarray(a) for a in part[:4])
        key_class, key_other, key_mask = jax.random.split(key, 3)
        answer = jax.random.bernoulli(key_class, 0.5, rows.shape).astype(jnp.int32)
        # any segment but those of the same document, which lie side by side
        other = jax.random.randint(key_other, rows.shape, 0, len(part.lengths) - count[rows])
        other += jnp.where(other >= first[rows], count[rows], 0)
        second = jnp.where(answer == FOLLOWS, rows + 1, other)
        pairs = pair(ids[rows], lengths[rows], ids[second], lengths[second], self.length)
        starts = ~jnp.asarray(data.continues)[pairs.ids] if self.whole_words else None
        vocab = len(wordpiece.SPECIALS), len(data.continues)
        hidden = masking.hide(
            key_mask, pairs.ids, pairs.words, _MASK, vocab, starts, self.masked_share
        )
        inputs = Tokens(hidden.ids, pairs.segments, pairs.mask, hidden.positions)
        targets = Targets(hidden.targets, answer)
        # what a BERT's model reads, and what :func:`loss` compares its logits with
        return Batch(cast(Array, inputs), cast(Array, targets), hidden.counts)

    def score(self, outputs: heads.Logits, batch: Batch) -> dict[str, Array]:  # type: ignore[override]
        """Return "loss" in nats, its parts "word_loss" and "next_loss", and both accuracies."""
        words, following = outputs
        targets = cast(Targets, batch.targets)
        word_loss = masked_word_loss(words, targets.words, batch.mask)
        next_loss = next_sentence_loss(following, targets.next_sentence)
        return {
            "loss": word_loss + next_loss,
            "word_loss": word_loss,
            "next_loss": next_loss,
            "word_accuracy": losses.accuracy(words, targets.words, batch.mask),
            "next_accuracy": losses.accuracy(following, targets.next_sentence),
        }


def unigram(data: Corpus) -> float:
    """Return −mean log p(x) over the tokens held out, in nats.

    p has the training text's counts, each plus 1. This is the loss on masked words of a model that
    knows only the frequencies of words.
    """

    def counts(part: Segments) -> np.ndarray:
        inside = np.arange(part.ids.shape[1]) < part.lengths[:, None]
        return np.bincount(part.ids[inside], minlength=len(data.continues))

    p = counts(data.train) + 1.0
    tested = counts(data.test)
    return float(-(tested * np.log(p / p.sum())).sum() / tested.sum())


class _Source(NamedTuple):
    """The settings that pieces and documents depend on."""

    corpus: str
    limit: int
    test_share: float
    vocab_size: int
    lowercase: bool


def documents(corpus: str) -> list[str]:
    """Read the documents of a task's ``corpus``.

    Raises:
        ValueError, FileNotFoundError: neither a name nor a file.
    """
    if corpus == "speeches":
        return corpora.speeches()
    if corpus == "reviews":
        return corpora.movie_reviews().texts
    if corpus == "both":
        speeches, reviews = corpora.speeches(), corpora.movie_reviews().texts
        size = np.cumsum([len(text) for text in reviews])
        return speeches + reviews[: np.searchsorted(size, sum(map(len, speeches)), "right")]
    if corpus == "people_daily":
        return entities.people_daily_texts()
    if "/" not in corpus and "." not in corpus:
        raise ValueError(unknown("task.corpus", corpus, CORPORA))
    text = files.read_text(str(files.existing(corpus)))
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


@read_once(4)  # the members of a sweep read the same text
def _learned(source: _Source) -> tuple[wordpiece.Tokenizer, list[str], list[str]]:
    """Return the tokenizer, the training documents, and those held out."""
    texts = documents(source.corpus)
    say_limit(source.limit, len(texts), "documents")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(texts))[: source.limit or None]
    held = math.ceil(source.test_share * len(order))
    train, test = ([texts[i] for i in sorted(part)] for part in (order[held:], order[:held]))
    return wordpiece.train(train, source.vocab_size, source.lowercase), train, test


@read_once(4)
def _segmented(source: _Source, size: int, validation_share: float) -> Corpus:
    tokenizer, known, test = _learned(source)
    continues = wordpiece.continues(wordpiece.pieces_of(tokenizer))
    rows, held = validation_rows(np.zeros(len(known)), validation_share)
    train, chosen = ([known[i] for i in sorted(part)] for part in (rows, held))
    try:
        validation = segments(tokenizer, chosen, size)
    except ValueError:  # too few documents give no pairs: they are learned from
        train, validation = known, None
        if chosen:
            left_out(
                f"no validation set: {len(chosen)} documents of {len(known)} give no pairs of "
                "segments, and are learned from as well"
            )
    learn, judge = (segments(tokenizer, part, size) for part in (train, test))
    return Corpus(learn, judge, validation, continues)
