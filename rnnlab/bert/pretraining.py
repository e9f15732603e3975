"""BERT's pre-training, masked words and next sentence: a task that training takes as any other.

Shapes: B batch, T tokens, M tokens of a segment, S segments, P places to predict, V vocabulary.
Source: Devlin et al. 2019 (arXiv 1810.04805), §3.1 and appendix A.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bert import encoder, heads, masking, wordpiece
from rnnlab.bert.encoder import Tokens
from rnnlab.core.errors import unknown
from rnnlab.data import files
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.text import corpora, entities

Array = jax.Array

CORPORA = ("speeches", "reviews", "both", "people_daily")
FOLLOWS, OTHER = 0, 1  # the classes of the second sentence
_SPLIT_SEED = 0
# the ids that learned pieces give to special tokens
_PAD, _CLS, _SEP, _MASK = (
    wordpiece.SPECIALS.index(token)
    for token in (wordpiece.PAD, wordpiece.CLS, wordpiece.SEP, wordpiece.MASK)
)


# ---- losses ------------------------------------------------------------------------------------


class Targets(NamedTuple):
    """What is asked about a batch of pairs."""

    words: Array  # (B, P) int32, the tokens that were hidden
    next_sentence: Array  # (B,) int32, FOLLOWS or OTHER


def masked_word_loss(logits: Array, targets: Array, counts: Array) -> Array:
    """L = −mean log softmax(z_p)[x_p] over the places p that count, of the whole batch. In nats.

    Args:
        logits: (B, P, V). targets: (B, P). counts: (B, P) bool.
    """
    V = logits.shape[-1]
    return _cross_entropy(logits.reshape(-1, V), targets.reshape(-1), counts.reshape(-1))


@jax.custom_vjp
def _cross_entropy(logits: Array, targets: Array, counts: Array) -> Array:
    """As losses.cross_entropy, which goes over a vocabulary's logits several times more often."""
    return _cross_entropy_forward(logits, targets, counts)[0]


def _cross_entropy_forward(logits: Array, targets: Array, counts: Array) -> tuple[Array, Any]:
    """L = mean (lse(z) − z[x]), lse(z) = log Σ exp z; and what its gradient is made of."""
    top = logits.max(axis=-1, keepdims=True)
    lse = top + jnp.log(jnp.exp(logits - top).sum(axis=-1, keepdims=True))
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    n = jnp.maximum(counts.sum(dtype=logits.dtype), 1)
    each = jnp.where(counts[..., None], lse - picked, 0)
    return each.sum() / n, (logits, lse, targets, counts, n)


def _cross_entropy_backward(kept: Any, d: Array) -> tuple[Array, None, None]:
    """∂L/∂z = (softmax(z) − onehot(x)) / n, in one go; autodiff scatters into an array of zeros."""
    logits, lse, targets, counts, n = kept
    classes = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    p = jnp.exp(logits - lse)
    p = jnp.where(classes == targets[..., None], p - 1, p)
    return jnp.where(counts[..., None], p * (d / n), 0), None, None


_cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def next_sentence_loss(logits: Array, targets: Array) -> Array:
    """L = −mean log softmax(z)[y] over the batch: logits (B, 2), y 0 where B follows A. In nats."""
    return losses.cross_entropy(logits, targets)


def loss(outputs: heads.Logits, targets: Targets, counts: Array, reduction: str = "mean") -> Array:
    """L = L_words + L_next_sentence: :func:`masked_word_loss` and :func:`next_sentence_loss`.

    Raises:
        ValueError: another reduction than "mean".
    Source: Devlin et al. 2019, appendix A.2.
    """
    if reduction != "mean":
        raise ValueError(
            f"pre-training averages: training.reduction must be 'mean', got {reduction!r}"
        )
    words = masked_word_loss(outputs.words, targets.words, counts)
    return words + next_sentence_loss(outputs.next_sentence, targets.next_sentence)


# ---- text as segments --------------------------------------------------------------------------


class Segments(NamedTuple):
    """Documents cut into segments of whole sentences, in order."""

    ids: np.ndarray  # (S, M) int32, padded by [PAD]
    lengths: np.ndarray  # (S,) int32
    first: np.ndarray  # (S,) int32, the first segment of its document
    size: np.ndarray  # (S,) int32, how many its document has
    followed: np.ndarray  # (N,) int32, the segments that another one of their document follows


class Corpus(NamedTuple):
    """What :class:`SentencePairs` learns from, and is judged on."""

    train: Segments
    test: Segments
    continues: np.ndarray  # (V,) bool, whether a piece goes on with a word


def sentences(text: str) -> list[str]:
    r"""The sentences of a text, roughly: cut after . ! or ? before white space, 。！？, line ends.

    >>> sentences("We met. At noon?\nYes。好！")
    ['We met.', 'At noon?', 'Yes。', '好！']
    """
    return [part for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])|\n+", text) if part.strip()]


def segments(tokenizer: wordpiece.Tokenizer, documents: Sequence[str], size: int) -> Segments:
    """Cut documents into segments of at most ``size`` tokens, each as many sentences as fit.

    A sentence that is longer is cut. A document without a token is left out.

    Raises:
        ValueError: fewer than two documents, or none with two segments: there are no pairs.
    """
    rows: list[list[int]] = []
    first, count, followed = [], [], []
    used = 0
    for document in documents:
        start = len(rows)
        row: list[int] = []
        for said in tokenizer.encode_batch(sentences(document), add_special_tokens=False):
            ids = said.ids
            while ids:
                room = size - len(row)
                if row and len(ids) > room:
                    rows.append(row)
                    row, room = [], size
                row, ids = row + ids[:room], ids[room:]
        if row:
            rows.append(row)
        own = len(rows) - start
        used += own > 0
        first += [start] * own
        count += [own] * own
        followed += range(start, start + own - 1)
    if used < 2 or not followed:
        raise ValueError(
            f"{used} documents of at most {max(count, default=0)} segments give no "
            "pairs: two documents are needed, and one of two segments"
        )
    lengths = np.array([len(row) for row in rows], np.int32)
    packed = np.full((len(rows), size), _PAD, np.int32)
    packed[np.arange(size) < lengths[:, None]] = np.concatenate(rows)
    return Segments(packed, lengths, *(np.array(a, np.int32) for a in (first, count, followed)))


class Pairs(NamedTuple):
    """[CLS] A [SEP] B [SEP], padded."""

    ids: Array  # (B, T) int32
    segments: Array  # (B, T) int32: 0 up to the first [SEP], 1 up to the second
    mask: Array  # (B, T) bool, true before the padding
    words: Array  # (B, T) bool, true where a token is neither special nor padding


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
    """Two segments (B, M) a row, one after the other; T = ``length``, 2M + 3 or more."""
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
class SentencePairs:
    """Pairs of segments, the second of which follows the first or is of another document.

    Of every epoch's pairs half are real, in expectation; which, what the others are paired with
    and what is hidden is drawn from (key, index) alone, afresh in every epoch, so that a run's
    place in its data is one number. Documents are held out whole.

    Args:
        corpus: "speeches", "reviews", "both" (all speeches and as many characters of reviews;
            ``rnnlab[data]``), "people_daily" (in Chinese, character by character), or the path of
            a UTF-8 text, whose documents are separated by empty lines.
        limit: documents to use, drawn with a fixed seed; 0: all.
        length: T; a segment has M = ⌊(T − 3)/2⌋ tokens at most.
        vocab_size: pieces learned from the training documents, at most.
        lowercase: of the pieces.
        whole_words: hide words, not pieces of them.
        masked_share: of the tokens that are chosen.
        test_share: of the documents that are held out.
        solved_at: the loss that counts as solved, in nats.
    Raises:
        ValueError, FileNotFoundError: an option out of its range; where data are first asked for,
            a text that is not there or gives no pairs.
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
    solved_at: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("limit", 0), ("length", 5), ("vocab_size", 6)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        for name in ("masked_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not self.solved_at > 0:
            raise ValueError(f"solved_at must be above 0, got {self.solved_at}")

    @property
    def segment_size(self) -> int:
        """M."""
        return (self.length - 3) // 2

    @property
    def input_size(self) -> int:
        """V, pieces that were learned."""
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
    def loss(self) -> Any:
        """:func:`loss`."""
        return loss

    @property
    def many_to_one(self) -> bool:
        """True: a pair is read whole, there are no windows of it."""
        return True

    @property
    def goal(self) -> Goal:
        """The loss is at most ``solved_at``."""
        return Goal("loss", self.solved_at)

    def model(self, config: Any) -> heads.Pretraining:
        """The model of a config's groups ``encoder`` and ``init``."""
        sizes = encoder.from_config(config.encoder, self.input_size, self.length)
        return heads.Pretraining(sizes, encoder.Init.from_config(config.init))

    # ---- data ----

    @property
    def _source(self) -> tuple[Any, ...]:
        return self.corpus, self.limit, self.test_share, self.vocab_size, self.lowercase

    @property
    def tokenizer(self) -> wordpiece.Tokenizer:
        """The pieces, learned from the documents to train on."""
        return _learned(*self._source)[0]

    def load(self) -> Corpus:
        """The segments of both parts."""
        return _cut(*self._source, self.segment_size)

    def baseline(self, data: Corpus) -> float:
        """What the frequencies of words in the training text reach, and a guess of what follows.

        −mean log p(x) over the tokens held out, p with one added to every count, plus ln 2.
        """
        return unigram(data) + math.log(2)

    def batch(self, data: Corpus, key: Array, index: Any, batch_size: int) -> Batch:
        """Pairs; an epoch has ⌊N / batch_size⌋ batches, and no first segment twice.

        Raises:
            ValueError: more than there are.
        """
        key_order, key_draw = jax.random.split(key)
        followed = jnp.asarray(data.train.followed)
        batches = len(followed) // batch_size
        if not batches:
            raise ValueError(f"batch_size={batch_size}, but there are {len(followed)} pairs")
        index = jnp.asarray(index, jnp.int32)
        places = index % batches * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
        key_order = jax.random.fold_in(key_order, index // batches)
        rows = masking.shuffled(key_order, len(followed), places)
        return self._batch(data, data.train, followed[rows], jax.random.fold_in(key_draw, index))

    def test(self, data: Corpus, key: Array, batch_size: int) -> Batch:
        """Pairs held out, the same at every look: ``batch_size`` of them, all where fewer."""
        followed = jnp.asarray(data.test.followed)
        chosen = np.random.default_rng(_SPLIT_SEED).permutation(len(followed))[:batch_size]
        # as if it were not known yet: the compiler would draw all of it itself, at its leisure
        key = jax.lax.optimization_barrier(jax.random.key_data(jax.random.key(_SPLIT_SEED)))
        return self._batch(data, data.test, followed[chosen], jax.random.wrap_key_data(key))

    def _batch(self, data: Corpus, of: Segments, rows: Array, key: Array) -> Batch:
        ids, lengths, first, count = (jnp.asarray(a) for a in of[:4])
        key_class, key_other, key_mask = jax.random.split(key, 3)
        answer = jax.random.bernoulli(key_class, 0.5, rows.shape).astype(jnp.int32)
        # any segment but those of the same document, which lie side by side
        other = jax.random.randint(key_other, rows.shape, 0, len(of.lengths) - count[rows])
        other += jnp.where(other >= first[rows], count[rows], 0)
        second = jnp.where(answer == FOLLOWS, rows + 1, other)
        whole = pair(ids[rows], lengths[rows], ids[second], lengths[second], self.length)
        starts = ~jnp.asarray(data.continues)[whole.ids] if self.whole_words else None
        vocab = len(wordpiece.SPECIALS), len(data.continues)
        hidden = masking.hide(
            key_mask, whole.ids, whole.words, _MASK, vocab, starts, self.masked_share
        )
        inputs = Tokens(hidden.ids, whole.segments, whole.mask, hidden.positions)
        return Batch(inputs, Targets(hidden.targets, answer), hidden.counts)  # type: ignore[arg-type]

    def score(self, outputs: heads.Logits, batch: Batch) -> dict[str, Array]:
        """The "loss" in nats and its parts "word_loss" and "next_loss"; both accuracies."""
        words, following = outputs
        targets: Any = batch.targets
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
    """−mean log p(x) over the tokens held out, in nats; p from the training text's counts plus 1.

    The loss of masked words that nothing but the frequency of words reaches.
    """

    def counts(of: Segments) -> np.ndarray:
        shown = np.arange(of.ids.shape[1]) < of.lengths[:, None]
        return np.bincount(of.ids[shown], minlength=len(data.continues))

    p = counts(data.train) + 1.0
    held = counts(data.test)
    return float(-(held * np.log(p / p.sum())).sum() / held.sum())


def documents(corpus: str) -> list[str]:
    """The documents that a task's ``corpus`` names.

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
    text = files.existing(corpus).read_text(encoding="utf-8")
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


@lru_cache(maxsize=4)  # a sweep's members read the same text
def _learned(
    corpus: str, limit: int, test_share: float, vocab_size: int, lowercase: bool
) -> tuple[wordpiece.Tokenizer, list[str], list[str]]:
    """(the tokenizer, the documents to train on, those held out)."""
    texts = documents(corpus)
    if limit > len(texts):
        raise ValueError(f"limit={limit} is more than the {len(texts)} documents there are")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(texts))[: limit or None]
    held = math.ceil(test_share * len(order))
    train, test = ([texts[i] for i in sorted(part)] for part in (order[held:], order[:held]))
    return wordpiece.train(train, vocab_size, lowercase), train, test


@lru_cache(maxsize=4)
def _cut(
    corpus: str, limit: int, test_share: float, vocab_size: int, lowercase: bool, size: int
) -> Corpus:
    tokenizer, train, test = _learned(corpus, limit, test_share, vocab_size, lowercase)
    continues = wordpiece.continues(wordpiece.pieces_of(tokenizer))
    return Corpus(segments(tokenizer, train, size), segments(tokenizer, test, size), continues)
