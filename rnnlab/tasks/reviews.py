"""Movie reviews, good or bad, or the labeled texts of a file: read word by word."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.data.files import short
from rnnlab.data.splits import validation_rows
from rnnlab.tasks.checks import check_paths, say_cut, say_limit
from rnnlab.tasks.classification import Classification, Sequences
from rnnlab.tasks.stored import Record, Stored, missing, vocabulary_of, vocabulary_record
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Tokenizer, Words
from rnnlab.text.vocabulary import Vocabulary

SOURCES = (*corpora.SOURCES, "both")
CHINESE = "chinese"
UNKNOWN = "<unk>"  # id 0
_SPLIT_SEED = 0


class Split(NamedTuple):
    """Texts to learn from, and those of the test and of the validation set, in random order."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32, places in the classes
    test_texts: list[str]
    test_labels: np.ndarray  # (M,) int32
    validation_texts: list[str]
    validation_labels: np.ndarray  # (K,) int32

    def with_validation(self, share: float, limit: int) -> "Split":
        """Move a share of the texts to the validation set, if that is empty.

        Args:
            as of :meth:`rnnlab.tasks.classification.Sequences.with_validation`, with the same rows.
        """
        texts, labels = self.texts[: limit or None], self.labels[: limit or None]
        if self.validation_texts:
            return self._replace(texts=texts, labels=labels)
        rows, held = validation_rows(labels, share)
        learn, chosen = ([texts[i] for i in part] for part in (rows, held))
        return Split(learn, labels[rows], self.test_texts, self.test_labels, chosen, labels[held])


Encoded = Sequences  # the texts as ids of words, cut to T


@dataclass(frozen=True)
class MovieReviews(Stored, Classification):
    """Whether a review of a film is good, from its words (``rnnlab[data]``); or a file's classes.

    Half of the reviews of each source and split are good, to rounding. A word that is not in the
    vocabulary is the symbol 0; the class of a review without words is read from the initial state.

    Args:
        source: "rotten_tomatoes" (8,530 sentences), "imdb" (24,904 long reviews) or "both".
        path: a file to learn from instead, as :func:`rnnlab.text.corpora.read_labeled` takes it.
        test_path: a file of held-out texts; empty: ``test_share`` is held out.
        validation_path: a file of validation texts; empty: ``validation_share`` is held out.
        limit: texts to learn from with their labels, at most; 0: all. The vocabulary is still
            that of all of them.
        max_length: T; words past it are cut off.
        min_count: least number of occurrences of a word among the reviews to learn from.
        test_share: the share held out, drawn with a fixed seed, class by class.
        validation_share: the share of the texts to learn from that is the validation set, class by
            class; their words count for the vocabulary.
        solved_at: the accuracy that counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> import jax
    >>> task = MovieReviews(max_length=30)
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=4).inputs.shape
    (4, 30)
    >>> len(data.train), len(data.test), len(data.validation)
    (6142, 1706, 682)
    """

    name: ClassVar[str] = "movie_reviews"
    sources: ClassVar[tuple[str, ...]] = SOURCES

    source: str = "rotten_tomatoes"
    path: str = ""
    test_path: str = ""
    validation_path: str = ""
    limit: int = 0
    max_length: int = 40
    min_count: int = 2
    test_share: float = 0.2
    validation_share: float = 0.1
    solved_at: float = 0.9

    def __post_init__(self) -> None:
        validate.choice("source", self.source, self.sources)
        check_paths(self.path, self.test_path, self.validation_path)
        object.__setattr__(self, "limit", validate.whole("limit", self.limit, least=0))
        validate.whole("max_length", self.max_length)
        validate.whole("min_count", self.min_count)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("validation_share", self.validation_share, least=0, below=1)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def length(self) -> int:
        """T."""
        return self.max_length

    @property
    def input_size(self) -> int:
        """Words of the vocabulary."""
        return len(self.vocabulary)

    @property
    def symbols(self) -> bool:
        """Ids of words."""
        return True

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the texts to learn from, by falling count; 0: all others."""
        return remembered(self.kept) if self.kept else self._encoded[1]

    def stored(self) -> Record:
        """Return the vocabulary and the names of the classes."""
        return {"vocabulary": vocabulary_record(self.vocabulary), "classes": self.classes}

    @property
    def tokenizer(self) -> Any:  # a subclass may have one of another kind
        """The tokenizer that splits a text into symbols."""
        return Words()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes: bad and good, or those of a file in their order."""
        if self.kept:
            return tuple(self.memory["classes"])
        return _labeled(self.path).names if self.path else ("bad", "good")

    def whole(self) -> Split:
        """Return the texts before a limit and the validation share are taken of them.

        Raises:
            FileNotFoundError, ValueError: no such file, not installed, or no text to hold out.
        """
        return _whole(self._source)

    def split(self) -> Split:
        """Return the texts themselves, for models that read them in another way.

        Raises:
            As :meth:`whole`.
        """
        whole = self.whole()
        say_limit(self.limit, len(whole.texts), "texts to learn from")
        return whole.with_validation(self.validation_share, self.limit)

    def load(self) -> Encoded:
        """Return the texts as ids of symbols.

        Raises:
            As :meth:`whole`; ValueError also where no symbol occurs ``min_count`` times, or the
                data have changed since a run stored the task.
        """
        self.check_same()
        say_limit(self.limit, len(self.whole().texts), "texts to learn from")
        whole = self._encoded[0]
        return whole.with_validation(self.validation_share, self.limit)

    @property
    def _source(self) -> "_Source":
        """The fields that the texts depend on."""
        paths = self.path, self.test_path, self.validation_path
        return _Source(self.source, *paths, self.test_share)

    @property
    def _encoded(self) -> tuple[Encoded, Vocabulary]:
        return _encoded(self._source, self.tokenizer, self.min_count, self.max_length)

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the words of a text."""
        return self.tokenizer([text]).lists()[0]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return ids (T,) int32; 0: unknown."""
        return self.vocabulary.encode_words(tokens, unknown=0)

    def unknown(self, tokens: list[str]) -> list[str]:
        """Return the tokens that are not in the vocabulary."""
        return missing(self.vocabulary, tokens)


class _Source(NamedTuple):
    source: str
    path: str
    test_path: str
    validation_path: str
    test_share: float


_labeled = read_once(4)(corpora.read_labeled)


@read_once(4)  # every method and member reads the same texts
def _whole(of: _Source) -> Split:
    if of.path:
        texts, labels, _ = _labeled(of.path)
        held_out = {name: _texts_of(of, path) for name, path in _files(of).items()}
        texts, labels = _apart(of, texts, labels, held_out)
        none = held_out.get("validation", ([], labels[:0]))
        if "test" in held_out:
            order = np.random.default_rng(_SPLIT_SEED).permutation(len(texts))
            return Split([texts[i] for i in order], labels[order], *held_out["test"], *none)
        split = _parted(texts, labels, np.zeros_like(labels), of.test_share, (0,))
        if not split.test_texts:
            raise ValueError(
                f"{of.path}: {len(texts)} texts are too few to hold out a share of "
                f"{of.test_share:g} of each class (task.test_share)"
            )
        return split._replace(validation_texts=none[0], validation_labels=none[1])
    if of.source == CHINESE:
        texts, labels, _ = corpora.chinese_reviews()
        return _parted(texts, labels, np.zeros_like(labels), of.test_share, (0,))
    texts, labels, sources = corpora.movie_reviews()
    groups = [*range(len(corpora.SOURCES))]
    kept = groups if of.source == "both" else [corpora.SOURCES.index(of.source)]
    return _parted(texts, labels, sources, of.test_share, kept)


def _files(of: _Source) -> dict[str, str]:
    """Return the files of held-out texts that are given, by the set's name."""
    given = {"test": of.test_path, "validation": of.validation_path}
    return {name: path for name, path in given.items() if path}


def _texts_of(of: _Source, path: str) -> tuple[list[str], np.ndarray]:
    """Return the texts of a held-out file, and their places in the classes of the first file."""
    names, found = _labeled(of.path).names, _labeled(path)
    if unknown := sorted({*found.names} - {*names}):
        raise ValueError(f"{path} has the classes {unknown}, {of.path} only {list(names)}")
    number = np.array([names.index(name) for name in found.names], np.int32)
    return found.texts, number[found.labels]


def _apart(
    of: _Source,
    texts: list[str],
    labels: np.ndarray,
    held_out: Mapping[str, tuple[list[str], np.ndarray]],
) -> tuple[list[str], np.ndarray]:
    """Leave out the texts to learn from that a held-out file has too."""
    elsewhere = {text for part, _ in held_out.values() for text in part}
    rows = [i for i, text in enumerate(texts) if text not in elsewhere]
    if len(rows) < len(texts):
        left_out(
            f"{of.path}: left out {len(texts) - len(rows)} of {len(texts)} texts, which are held "
            f"out in {' or '.join(_files(of).values())}"
        )
    if not rows:
        raise ValueError(f"{of.path}: every text is held out, so none is left to learn from")
    if len(held_out) == 2:
        both = {*held_out["test"][0]} & {*held_out["validation"][0]}
        if both:
            raise ValueError(
                f"{of.validation_path} and {of.test_path} share {len(both)} texts, such as "
                f"{short(min(both))}: a validation text must not be a test text"
            )
    return [texts[i] for i in rows], labels[rows]


def _parted(
    texts: list[str],
    labels: np.ndarray,
    groups: np.ndarray,
    test_share: float,
    kept: Collection[int],
) -> Split:
    """Split texts at random, group by group and class by class, with a fixed seed.

    Args:
        labels: (N,) classes. groups: (N,) the source of each text.
        test_share: as of :class:`MovieReviews`.
        kept: the groups to keep; the draw of a group does not depend on the others kept.
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    train, test = [], []
    for group in range(int(groups.max()) + 1):
        for label in range(int(labels.max()) + 1):
            rows = rng.permutation(np.flatnonzero((groups == group) & (labels == label)))
            if group in kept:
                count = round(test_share * len(rows))
                test.append(rows[:count])
                train.append(rows[count:])
    train, test = (rng.permutation(np.concatenate(rows)) for rows in (train, test))
    parts = [([texts[i] for i in rows], labels[rows]) for rows in (train, test, test[:0])]
    return Split(*parts[0], *parts[1], *parts[2])


@lru_cache(maxsize=4)
def remembered(kept: str) -> Vocabulary:
    """Return the vocabulary that a run stored."""
    return vocabulary_of(json.loads(kept)["vocabulary"])


@read_once(4)
def _encoded(
    source: _Source, tokenizer: Tokenizer, min_count: int, max_length: int
) -> tuple[Encoded, Vocabulary]:
    """Return the texts as ids, and the vocabulary of those to learn from; 0 is all other words."""
    whole = _whole(source)
    tokens = tokenizer(whole.texts)
    vocabulary = Vocabulary.build(tokens, min_count, specials=(UNKNOWN,))
    arrays: list[np.ndarray] = []
    for part, labels, name in (
        (tokens, whole.labels, "to learn from"),
        (tokenizer(whole.test_texts), whole.test_labels, "held out"),
        (tokenizer(whole.validation_texts), whole.validation_labels, "of the validation set"),
    ):
        say_cut(np.diff(part.offsets), max_length, f"texts {name}", "tokens")
        ids = vocabulary.encode(part, unknown=0)
        arrays += [*padded(ids, part.offsets, max_length), labels]
    return Encoded(*arrays), vocabulary


def padded(ids: np.ndarray, offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return documents cut or filled with 0 to T: (ids (N, T) int32, lengths (N,) int32).

    >>> padded(np.array([7, 8, 9, 5]), np.array([0, 3, 3, 4]), 2)[0].tolist()
    [[7, 8], [0, 0], [5, 0]]
    """
    lengths = np.minimum(np.diff(offsets), length)
    steps = np.arange(length)
    inside = steps < lengths[:, None]
    rows = np.zeros(inside.shape, np.int32)
    rows[inside] = ids[(offsets[:-1, None] + steps)[inside]]
    return rows, lengths.astype(np.int32)


def permuted(texts: list[str], seed: int) -> list[str]:
    """Return texts with their words in random order."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.permutation(words)) if words else "" for words in Words()(texts).lists()]
