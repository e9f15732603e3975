"""Which words get a number, and which of their occurrences are kept."""

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rnnlab.text.strings import as_arrow, compute
from rnnlab.text.tokenizers import Tokens


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Terms with numbers: specials first, then by falling count, equal counts in order of bytes.

    Args:
        terms: pa.StringArray (V,), a term's id is its place.
        counts: (V,) int64, how often each occurs in the corpus.
        total: tokens of the corpus, those of terms that were left out as well.

    >>> from rnnlab.text.tokenizers import Words
    >>> tokens = Words()(["a cat, a dog", "a cat"])
    >>> vocabulary = Vocabulary.build(tokens, min_count=2)
    >>> vocabulary.words(), vocabulary.counts.tolist(), vocabulary.total
    (['a', 'cat'], [3, 2], 6)
    >>> vocabulary.encode(tokens).tolist()
    [0, 1, 0, -1, 0, 1]
    """

    terms: Any
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
        """The vocabulary of a corpus, given whole or in parts that need not fit in memory together.

        Args and raises as :meth:`from_counts`.
        """
        counted = Counter()
        for part in [tokens] if isinstance(tokens, Tokens) else tokens:
            counted.add(part.terms, part.counts())
        return cls.from_counts(*counted.result(), min_count, max_size, specials, min_size)

    @classmethod
    def from_counts(
        cls,
        terms: Any,
        counts: Any,
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] = (),
        min_size: int = 1,
    ) -> "Vocabulary":
        """The vocabulary of distinct terms (U,) and how often each occurs (U,).

        Args:
            min_count: occurrences that a term has at least.
            max_size: terms to keep, the most frequent, specials included; None: all.
            specials: terms that get the first ids, whether they occur or not.
            min_size: terms besides the specials that must be left (2: what has context to learn).
        Raises:
            ValueError: fewer terms are left than ``min_size``; or a size out of
                its range, or terms or specials twice.
        """
        terms, counts = as_arrow(terms), np.asarray(counts, np.int64)
        if isinstance(terms, pa.ChunkedArray):
            terms = terms.combine_chunks()
        special = pa.array(list(specials), pa.string())
        if counts.shape != (len(terms),) or (counts < 0).any():
            raise ValueError(f"counts must be {len(terms)} whole numbers from 0 on, one a term")
        for name, some in (("terms", terms), ("specials", special)):
            if len(some.unique()) != len(some):
                raise ValueError(f"{name} must differ from each other")
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        if max_size is not None and max_size < 1 + len(special):
            raise ValueError(f"max_size must be at least {1 + len(special)}, got {max_size}")
        if not len(terms):
            raise ValueError("the corpus has no tokens: every document is empty")

        total = int(counts.sum())
        given = compute("index_in", special, value_set=terms).fill_null(-1).to_numpy()
        special_counts = np.where(given >= 0, counts[given], 0).astype(np.int64)
        keep = counts >= min_count
        keep[given[given >= 0]] = False
        keep = np.flatnonzero(keep)
        rank = np.empty(len(terms), np.int64)
        rank[compute("array_sort_indices", terms).to_numpy()] = np.arange(len(terms))
        keep = keep[np.lexsort((rank[keep], -counts[keep]))]
        if max_size is not None:
            keep = keep[: max_size - len(special)]
        if len(keep) < min_size:
            raise ValueError(
                f"{len(keep)} terms are left of {len(terms)}, at least {min_size} needed: the most "
                f"frequent occurs {int(counts.max())} times, min_count is {min_count}"
            )
        kept = pa.concat_arrays([special, terms.take(pa.array(keep)).cast(pa.string())])
        return cls(kept, np.concatenate([special_counts, counts[keep]]), total)

    def __len__(self) -> int:
        return len(self.terms)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} terms of a corpus of {self.total} tokens)"

    def get(self, word: str) -> int | None:
        """The word's id; None where it has none."""
        place = compute("index", self.terms, value=pa.scalar(word, pa.string())).as_py()
        return None if place < 0 else place

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.get(word) is not None

    def __getitem__(self, word: str) -> int:
        place = self.get(word)
        if place is None:
            near = difflib.get_close_matches(word, self.words(), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise KeyError(f"{word!r} is not in the vocabulary of {len(self)} terms{hint}")
        return place

    def words(self) -> list[str]:
        """The terms as Python strings, by id."""
        return self.terms.to_pylist()

    def encode(self, tokens: Tokens, unknown: int = -1) -> np.ndarray:
        """The id of every token (T,) int32; the documents' bounds stay ``tokens.offsets``.

        Args:
            unknown: what a token outside the vocabulary becomes.
        """
        return self.ids_of(tokens.terms, unknown)[tokens.codes]

    def encode_words(self, words: Sequence[str], unknown: int = -1) -> np.ndarray:
        """The id of every word of a list: (n,) int32."""
        return self.ids_of(as_arrow(list(words)), unknown)

    def ids_of(self, terms: Any, unknown: int = -1) -> np.ndarray:
        """The id of every string of an Arrow array: (n,) int32."""
        if not len(terms):
            return np.zeros(0, np.int32)
        found = compute("index_in", terms.cast(pa.string()), value_set=self.terms)
        return found.fill_null(unknown).to_numpy().astype(np.int32, copy=False)

    def decode(self, ids: Any) -> list[str]:
        """The words of ids (n,).

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
            ValueError: a term with a tab or a line break, which the format has no way to write.
        """
        words = self.words()
        for word in words:
            if "\t" in word or "\n" in word or "\r" in word:
                raise ValueError(f"a vocabulary file has no way to write the term {word!r}")
        lines = [f"# tokens\t{self.total}\n"]
        lines += [f"{word}\t{n}\n" for word, n in zip(words, self.counts.tolist(), strict=True)]
        Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: another format, the line named.
        """
        try:
            content = Path(path).read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}") from None
        words, counts = [], []
        lines = content.split("\n")
        for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
            word, _, count = line.rpartition("\t")
            if not count.isdecimal() or (number == 1) != (word == "# tokens" and not words):
                raise ValueError(f"{path}, line {number}: term, tab, count expected, got {line!r}")
            words.append(word)
            counts.append(int(count))
        if len(words) < 2:
            raise ValueError(f"{path} holds no vocabulary")
        return cls(pa.array(words[1:], pa.string()), np.array(counts[1:], np.int64), counts[0])


class Counter:
    """Counts of terms that come in parts.

    >>> counter = Counter()
    >>> counter.add(pa.array(["a", "b"]), [2, 1])
    >>> counter.add(pa.array(["b", "c"]), [1, 1])
    >>> [part.tolist() for part in counter.result()]
    [['a', 'b', 'c'], [2, 2, 1]]
    """

    def __init__(self) -> None:
        self._terms: list[Any] = [pa.array([], pa.string())]
        self._counts = [np.zeros(0, np.int64)]

    def add(self, terms: Any, counts: Any) -> None:
        """Count distinct terms (U,) so many times (U,) more."""
        self._terms.append(terms)
        self._counts.append(np.asarray(counts, np.int64))
        # merged when there is twice as much as before: each term is looked at a few times only
        if sum(map(len, self._terms[1:])) > max(1 << 16, len(self._terms[0])):
            self._merge()

    def _merge(self) -> None:
        numbered = pa.chunked_array(self._terms, pa.string()).combine_chunks().dictionary_encode()
        counts, places = np.concatenate(self._counts), numbered.indices.to_numpy()
        summed = np.zeros(len(numbered.dictionary), np.int64)
        np.add.at(summed, places, counts)
        self._terms, self._counts = [numbered.dictionary], [summed]

    def result(self) -> tuple[Any, np.ndarray]:
        """(the distinct terms (U,), their counts (U,) int64)."""
        self._merge()
        return self._terms[0], self._counts[0]


def keep_probabilities(
    counts: Any, sample: float = 1e-3, total: int | None = None, formula: str = "word2vec"
) -> np.ndarray:
    """How likely an occurrence of each term is kept when frequent ones are thinned out.

    With f = count / total and t = ``sample``:

    "paper":    min(1, √(t/f))
    "word2vec": min(1, (√(f/t) + 1)·t/f) = min(1, √(t/f) + t/f), of the C tool, gensim and fastText

    Args:
        counts: (V,).
        sample: t; 0: everything is kept.
        total: tokens of the corpus; None: the sum of counts.
    Returns:
        (V,) float64.
    Raises:
        ValueError: sample below 0 or not finite, negative counts, an unknown formula.
    Source: Mikolov et al. 2013, "Distributed representations", equation 5; word2vec.c.

    >>> keep_probabilities([1, 99], sample=0.01, formula="paper").round(4).tolist()
    [1.0, 0.1005]
    """
    counts = np.asarray(counts, np.float64)
    if not 0 <= sample < np.inf:
        raise ValueError(f"sample must be at least 0 and finite, got {sample}")
    if (counts < 0).any():
        raise ValueError("counts must be at least 0")
    if formula not in ("word2vec", "paper"):
        raise ValueError(f"formula must be 'word2vec' or 'paper', got {formula!r}")
    if sample == 0:
        return np.ones(counts.shape)
    tokens = float(counts.sum() if total is None else total)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sample * tokens / counts  # t/f; a term that never occurs: kept
    ratio = np.where(counts > 0, ratio, np.inf)
    kept = np.sqrt(ratio)
    return np.minimum(1, kept + ratio if formula == "word2vec" else kept)
