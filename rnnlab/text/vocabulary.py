"""Vocabularies: words with ids, their counts, and probabilities of subsampling."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from rnnlab.core.errors import SUGGESTED, UnknownKey, did_you_mean, edits, shown
from rnnlab.core.validate import choice, number, whole
from rnnlab.data import files
from rnnlab.text.strings import as_arrow, compute
from rnnlab.text.tokenizers import Tokens


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms with ids: specials first, then by falling count, equal counts in order of bytes.

    Args:
        terms: (V,); a term's id is its place.
        counts: (V,) int64, occurrences in the corpus.
        total: tokens of the corpus, those of terms that were left out included.

    >>> from rnnlab.text.tokenizers import Words
    >>> tokens = Words()(["a cat, a dog", "a cat"])
    >>> vocabulary = Vocabulary.build(tokens, min_count=2)
    >>> vocabulary.words(), vocabulary.counts.tolist(), vocabulary.total
    (['a', 'cat'], [3, 2], 6)
    >>> vocabulary.encode(tokens).tolist()
    [0, 1, 0, -1, 0, 1]
    """

    terms: pa.StringArray
    counts: np.ndarray
    total: int

    @classmethod
    def build(
        cls,
        tokens: Tokens | Iterable[Tokens],
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = (),
        min_size: int = 1,
    ) -> "Vocabulary":
        """Build the vocabulary of a corpus, given whole or in parts that are read one by one.

        Args:
            tokens: of the corpus, or an iterable of parts.
            min_count, max_size, specials, min_size: as in :meth:`from_counts`.
        Raises:
            ValueError: as :meth:`from_counts`.
        """
        counted = Counter()
        for part in [tokens] if isinstance(tokens, Tokens) else tokens:
            counted.add(part.terms, part.counts())
        return cls.from_counts(*counted.result(), min_count, max_size, specials, min_size)

    @classmethod
    def from_counts(
        cls,
        terms: Iterable[object],
        counts: ArrayLike,
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = (),
        min_size: int = 1,
    ) -> "Vocabulary":
        """Build the vocabulary of distinct terms (U,) and their numbers of occurrences (U,).

        Args:
            terms: a list of str or an Arrow array.
            counts: whole numbers.
            min_count: occurrences of the rarest term that is kept.
            max_size: number of terms to keep, the most frequent, specials included; None: all.
            specials: terms that get the first ids, whether they occur or not.
            min_size: terms besides the specials that must be left (2 where contexts are learned).
        Raises:
            ValueError: fewer terms are left than ``min_size``; a size out of its range; or
                duplicate terms or specials.
        """
        distinct, counts = as_arrow(terms), np.asarray(counts, np.int64)
        if isinstance(distinct, pa.ChunkedArray):
            distinct = distinct.combine_chunks()
        special = pa.array(list(specials), pa.string())
        if counts.shape != (len(distinct),) or (counts < 0).any():
            raise ValueError(
                f"counts must be {len(distinct)} whole numbers from 0 on, one per term"
            )
        for name, strings in (("terms", distinct), ("specials", special)):
            if len(strings.unique()) != len(strings):
                raise ValueError(f"{name} must differ from each other")
        min_count = whole("min_count", min_count)
        if max_size is not None:
            max_size = whole("max_size", max_size, 1 + len(special))
        if not len(distinct):
            raise ValueError("the corpus has no tokens: every document is empty")

        total = int(counts.sum())
        given = compute("index_in", special, value_set=distinct).fill_null(-1).to_numpy()
        special_counts = np.where(given >= 0, counts[given], 0).astype(np.int64)
        keep = counts >= min_count
        keep[given[given >= 0]] = False
        keep = np.flatnonzero(keep)
        rank = np.empty(len(distinct), np.int64)
        rank[compute("array_sort_indices", distinct).to_numpy()] = np.arange(len(distinct))
        keep = keep[np.lexsort((rank[keep], -counts[keep]))]
        if max_size is not None:
            keep = keep[: max_size - len(special)]
        if len(keep) < min_size:
            raise ValueError(
                f"{len(keep)} terms are left of {len(distinct)}, at least {min_size} needed: the "
                f"most frequent occurs {int(counts.max())} times, min_count is {min_count}"
            )
        chosen = pa.concat_arrays([special, distinct.take(pa.array(keep)).cast(pa.string())])
        return cls(chosen, np.concatenate([special_counts, counts[keep]]), total)

    def __len__(self) -> int:
        return len(self.terms)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} terms of a corpus of {self.total} tokens)"

    def get(self, word: str) -> int | None:
        """Return the word's id, or None if it has none."""
        place = compute("index", self.terms, value=pa.scalar(word, pa.string())).as_py()
        return None if place < 0 else place

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.get(word) is not None

    def __getitem__(self, word: str) -> int:
        place = self.get(word)
        if place is None:
            raise UnknownKey(
                f"{shown(word)} is not in the vocabulary of {len(self)} terms"
                f"{did_you_mean(self._nearest(word))}"
            )
        return place

    def _nearest(self, word: str) -> list[str]:
        # one pass over the terms, as a word that is there takes; the most frequent come first
        found = compute("is_in", self.terms, value_set=pa.array(edits(word), pa.string()))
        places = compute("indices_nonzero", found)
        return self.terms.take(places[:SUGGESTED]).to_pylist()

    def words(self) -> list[str]:
        """Return the terms as Python strings, by id."""
        return self.terms.to_pylist()

    def encode(self, tokens: Tokens, unknown: int = -1) -> np.ndarray:
        """Return the id of every token (T,) int32; ``tokens.offsets`` still bounds the documents.

        Args:
            unknown: id of tokens outside the vocabulary.
        """
        return self.ids_of(tokens.terms, unknown)[tokens.codes]

    def encode_words(self, words: Sequence[str], unknown: int = -1) -> np.ndarray:
        """Return the id of every word of a list: (n,) int32."""
        return self.ids_of(as_arrow(list(words)), unknown)

    def ids_of(self, terms: pa.Array | pa.ChunkedArray, unknown: int = -1) -> np.ndarray:
        """Return the id of every string of an Arrow array: (n,) int32."""
        if not len(terms):
            return np.zeros(0, np.int32)
        ids = compute("index_in", terms.cast(pa.string()), value_set=self.terms)
        return ids.fill_null(unknown).to_numpy().astype(np.int32, copy=False)

    def decode(self, ids: ArrayLike) -> list[str]:
        """Return the words of ids (n,).

        Raises:
            ValueError: an id outside 0 … V−1.
        """
        ids = np.asarray(ids)
        if ids.size and (ids.min() < 0 or ids.max() >= len(self)):
            raise ValueError(f"ids must be 0 to {len(self) - 1}, got {ids.min()} to {ids.max()}")
        return self.terms.take(pa.array(ids.astype(np.int64))).to_pylist()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write UTF-8 lines, "term, tab, count" by id, below a line with the corpus' tokens.

        Raises:
            ValueError: a term with a tab, a line break or a zero byte, which the format cannot
                write.
        """
        words = self.words()
        for word in words:
            if not {"\t", "\n", "\r", "\0"}.isdisjoint(word):
                raise ValueError(f"a vocabulary file cannot hold the term {word!r}")
        lines = [f"# tokens\t{self.total}\n"]
        lines += [f"{word}\t{n}\n" for word, n in zip(words, self.counts.tolist(), strict=True)]
        Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Read a file that :meth:`save` wrote.

        Raises:
            ValueError: another format; the message names the line.
        """
        words, counts = [], []
        lines = files.split_lines(files.decoded(Path(path).read_bytes(), path))
        for place, line in enumerate(lines, 1):
            word, _, count = line.rpartition("\t")
            if not count.isdecimal() or (place == 1) != (word == "# tokens" and not words):
                raise ValueError(f"{path}, line {place}: expected term, tab, count, got {line!r}")
            words.append(word)
            counts.append(int(count))
        if len(words) < 2:
            raise ValueError(f"{path} holds no vocabulary")
        return cls(pa.array(words[1:], pa.string()), np.array(counts[1:], np.int64), counts[0])


class Counter:
    """Counts of terms that are added in parts.

    >>> counter = Counter()
    >>> counter.add(pa.array(["a", "b"]), [2, 1])
    >>> counter.add(pa.array(["b", "c"]), [1, 1])
    >>> [part.tolist() for part in counter.result()]
    [['a', 'b', 'c'], [2, 2, 1]]
    """

    def __init__(self) -> None:
        self._terms: list[pa.StringArray] = [pa.array([], pa.string())]
        self._counts = [np.zeros(0, np.int64)]

    def add(self, terms: pa.StringArray, counts: ArrayLike) -> None:
        """Add counts (U,) to those of distinct terms (U,)."""
        self._terms.append(terms)
        self._counts.append(np.asarray(counts, np.int64))
        # merge only once the parts have doubled in size: each term is visited a few times
        if sum(map(len, self._terms[1:])) > max(1 << 16, len(self._terms[0])):
            self._merge()

    def _merge(self) -> None:
        numbered = pa.chunked_array(self._terms, pa.string()).combine_chunks().dictionary_encode()
        counts, places = np.concatenate(self._counts), numbered.indices.to_numpy()
        summed = np.zeros(len(numbered.dictionary), np.int64)
        np.add.at(summed, places, counts)
        self._terms, self._counts = [numbered.dictionary], [summed]

    def result(self) -> tuple[pa.StringArray, np.ndarray]:
        """Return (the distinct terms (U,), their counts (U,) int64)."""
        self._merge()
        return self._terms[0], self._counts[0]


def keep_probabilities(
    counts: ArrayLike, sample: float = 1e-3, total: int | None = None, formula: str = "word2vec"
) -> np.ndarray:
    """Return the probability that an occurrence of each term survives subsampling.

    With f = count / total and t = ``sample``:

    "paper":    min(1, √(t/f))
    "word2vec": min(1, (√(f/t) + 1)·t/f) = min(1, √(t/f) + t/f), of the C tool, gensim and fastText

    Args:
        counts: (V,).
        sample: t; 0 keeps everything.
        total: tokens of the corpus; None: the sum of counts.
        formula: "word2vec" or "paper".
    Returns:
        (V,) float64.
    Raises:
        ValueError: sample below 0 or not finite, negative counts, an unknown formula.
    Source: Mikolov et al. 2013, "Distributed representations", equation 5; word2vec.c.

    >>> keep_probabilities([1, 99], sample=0.01, formula="paper").round(4).tolist()
    [1.0, 0.1005]
    """
    counts = np.asarray(counts, np.float64)
    sample = number("sample", sample, least=0)
    if (counts < 0).any():
        raise ValueError("counts must be at least 0")
    choice("formula", formula, ("word2vec", "paper"))
    if sample == 0:
        return np.ones(counts.shape)
    tokens = float(counts.sum() if total is None else total)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sample * tokens / counts  # t/f
    ratio = np.where(counts > 0, ratio, np.inf)
    root = np.sqrt(ratio)
    return np.minimum(1, root + ratio if formula == "word2vec" else root)
