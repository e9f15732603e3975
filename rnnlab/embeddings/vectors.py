"""Trained word vectors: asked for neighbors and analogies, saved and loaded.

Shapes: V vocabulary, D dimension, N queries.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rnnlab.core.errors import UnknownKey, unknown
from rnnlab.core.json_files import replaced
from rnnlab.embeddings import subwords as sub
from rnnlab.embeddings.subwords import Subwords

FORMAT = "rnnlab.vectors/1"


# ---- the equations -----------------------------------------------------------------------------


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """cos(a, b) = a·b / (‖a‖ ‖b‖), of every row with every row; 0 where one of them is zero.

    Args:
        a: (N, D). b: (V, D).
    Returns:
        (N, V) float32.

    >>> cosine(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])).tolist()
    [[1.0, 0.0, -1.0]]
    """
    return unit(a) @ unit(b).T


def unit(rows: np.ndarray) -> np.ndarray:
    """(N, D) float32: x / ‖x‖, row by row; a row of zeros stays.

    >>> unit(np.array([[0.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = np.asarray(rows, np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def three_cos_add(cos_a: np.ndarray, cos_b: np.ndarray, cos_c: np.ndarray) -> np.ndarray:
    """3CosAdd: cos(x, b) − cos(x, a) + cos(x, c), for "a is to b as c is to x".

    Args:
        cos_a, cos_b, cos_c: (N, V) cosines of every word x with a, b and c.
    Returns:
        (N, V); the answer is the argmax over words other than a, b, c.
    Source: Levy & Goldberg 2014, "Linguistic Regularities in Sparse and Explicit Word
        Representations", eq. 3 (their a : a* :: b : b* is our a : b :: c : x).
    """
    return cos_b - cos_a + cos_c


def three_cos_mul(
    cos_a: np.ndarray, cos_b: np.ndarray, cos_c: np.ndarray, epsilon: float = 1e-3
) -> np.ndarray:
    """3CosMul: c(x, b)·c(x, c) / (c(x, a) + ε), with c = (cos + 1)/2, so that none is negative.

    Args:
        cos_a, cos_b, cos_c: (N, V), as in :func:`three_cos_add`.
        epsilon: keeps the quotient finite; .001 in the paper, 1e-6 in gensim.
    Returns:
        (N, V).
    Source: Levy & Goldberg 2014, eq. 5 and footnote 7.
    """
    return (cos_b + 1) / 2 * ((cos_c + 1) / 2) / ((cos_a + 1) / 2 + epsilon)


METHODS = {"3cosadd": three_cos_add, "3cosmul": three_cos_mul}


# ---- the vectors -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector for each word of a vocabulary; with sub-words, for any word.

    Args:
        words: (V,), the most frequent first, for ``restrict`` to mean something.
        matrix: (V, D) float32; FastText: the means of the words' own and their n-grams' rows.
        counts: (V,) int64, how often each word was seen; None: not known.
        subwords: FastText's rows; None: unseen words have no vector.
    Raises:
        ValueError: sizes that do not fit, a word twice, a number that is not finite.

    >>> v = Vectors(["king", "queen", "car"], np.array([[1, 0.9], [1, 1], [-1, 0.5]]))
    >>> v["queen"].tolist(), "bus" in v, len(v)
    ([1.0, 1.0], False, 3)
    >>> [(word, round(cosine, 2)) for word, cosine in v.neighbors("king", top=1)]
    [('queen', 1.0)]
    """

    words: Sequence[str]
    matrix: np.ndarray
    counts: np.ndarray | None = None
    subwords: Subwords | None = None

    def __post_init__(self) -> None:
        words, matrix = tuple(self.words), np.asarray(self.matrix, np.float32).view()
        matrix.flags.writeable = False  # its unit rows are kept
        if not words:
            raise ValueError("vectors of no words")
        if matrix.ndim != 2 or len(matrix) != len(words):
            raise ValueError(
                f"{len(words)} words need a matrix of as many rows, got {matrix.shape}"
            )
        if not np.isfinite(matrix).all():
            row = int(np.argwhere(~np.isfinite(matrix))[0, 0])
            raise ValueError(f"the vector of {words[row]!r} (row {row}) is not finite")
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "matrix", matrix)
        if len(self.index) != len(words):
            twice = next(w for row, w in enumerate(words) if self.index[w] != row)
            raise ValueError(f"the word {twice!r} is there more than once")
        if self.counts is not None:
            counts = np.asarray(self.counts, np.int64)
            if counts.shape != (len(words),):
                raise ValueError(f"{len(words)} words need as many counts, got {counts.shape}")
            object.__setattr__(self, "counts", counts)
        if self.subwords is not None:
            own, rows = self.subwords.word_rows, self.subwords.rows
            if own.shape != matrix.shape or rows.ndim != 2 or rows.shape[1] != matrix.shape[1]:
                raise ValueError(
                    f"sub-words of a matrix {matrix.shape} need word_rows of that "
                    f"shape and rows (buckets, {matrix.shape[1]}), "
                    f"got {own.shape} and {rows.shape}"
                )

    @classmethod
    def of(cls, trained: Any) -> "Vectors":
        """The vectors of what a trainer returns: its words, matrix, counts and subwords."""
        return cls(trained.words, trained.matrix, trained.counts, trained.subwords)

    @cached_property
    def index(self) -> dict[str, int]:
        """{word: its row}."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def unit_rows(self) -> np.ndarray:
        """(V, D): the rows, each of length 1."""
        return unit(self.matrix)

    @property
    def dimension(self) -> int:
        """D."""
        return self.matrix.shape[1]

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def __repr__(self) -> str:
        rows = "" if self.subwords is None else f", {len(self.subwords.rows)} sub-word rows"
        return f"Vectors({len(self)} words, {self.dimension} dimensions{rows})"

    def __getitem__(self, word: str) -> np.ndarray:
        """(D,) float32: the word's row; of an unseen word, the mean of its n-grams' rows.

        Raises:
            KeyError: an unseen word, and no sub-words; or too short to have any.
        """
        row = self.index.get(word)
        if row is not None:
            return self.matrix[row]
        if self.subwords is None:
            near = difflib.get_close_matches(word, self.words[:50_000], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownKey(f"no vector for {word!r}: not among the {len(self)} words{hint}")
        return sub.vector(word, self.subwords)

    def has(self, word: str) -> bool:
        """Whether there is a vector for it, of its own or by its n-grams."""
        if word in self.index:
            return True
        s = self.subwords
        return s is not None and bool(sub.ngrams(word, s.minn, s.maxn))

    def rows(self, words: Sequence[str]) -> np.ndarray:
        """(N, D): ``self[word]`` of each.

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        out = np.empty((len(words), self.dimension), np.float32)
        for n, word in enumerate(words):
            out[n] = self[word]
        return out

    def table(self, words: Sequence[str], initial: np.ndarray | None = None) -> np.ndarray:
        """(N, D): what a model's embedding layer starts from, ``params["embedding"]``.

        Args:
            words: the model's symbols, in their order.
            initial: (N, D), whose rows stay for words without a vector; None: there must be none.
        Raises:
            ValueError: words without a vector and no ``initial``, or one of another shape.

        >>> v = Vectors(["a"], np.array([[1.0, 2.0]]))
        >>> v.table(["<unknown>", "a"], initial=np.zeros((2, 2))).tolist()
        [[0.0, 0.0], [1.0, 2.0]]
        """
        known = np.array([self.has(word) for word in words], bool)
        shape = (len(words), self.dimension)
        if initial is None:
            if not known.all():
                missing = [word for word, k in zip(words, known, strict=True) if not k]
                raise ValueError(
                    f"{len(missing)} of {len(words)} words have no vector, the first "
                    f"is {missing[0]!r}: give the rows they start from"
                )
            initial = np.zeros(shape, np.float32)
        if np.shape(initial) != shape:
            raise ValueError(f"initial must be {shape}, got {np.shape(initial)}")
        out = np.array(initial, np.float32)
        out[known] = self.rows([word for word, k in zip(words, known, strict=True) if k])
        return out

    # ---- queries

    def similarity(self, a: str, b: str) -> float:
        """cos(a, b).

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        return float(cosine(self[a][None], self[b][None])[0, 0])

    def neighbors(
        self, query: str | np.ndarray, top: int = 10, *, restrict: int | None = None
    ) -> list[tuple[str, float]]:
        """The words nearest by cosine, [(word, cosine)], nearest first.

        Args:
            query: a word, which is not among its neighbors; or a vector (D,).
            top: how many.
            restrict: among the first so many words only.
        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: a vector of another size; top below 1.
        """
        if isinstance(query, str):
            vector, left_out = self[query], [query]
        else:
            vector, left_out = np.asarray(query, np.float32), []
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector must be ({self.dimension},), got {vector.shape}")
        scores = unit(vector[None]) @ self.unit_rows[:restrict].T
        return self._best(scores[0], top, left_out)

    def analogy(
        self,
        a: str,
        b: str,
        c: str,
        top: int = 1,
        *,
        method: str = "3cosadd",
        restrict: int | None = None,
    ) -> list[tuple[str, float]]:
        """The words x that answer "a is to b as c is to x", [(word, score)], best first.

        Args:
            a, b, c: words, which are no answers.
            method: "3cosadd" (:func:`three_cos_add`) or "3cosmul" (:func:`three_cos_mul`).
            top, restrict: as in :meth:`neighbors`.
        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: an unknown method; top below 1.
        """
        scores = self.analogy_scores(self.rows([a, b, c])[:, None], method, restrict)
        return self._best(scores[0], top, [a, b, c])

    def analogy_scores(
        self, abc: np.ndarray, method: str = "3cosadd", restrict: int | None = None
    ) -> np.ndarray:
        """(N, V): the score of every word as the answer to each of N analogies.

        Args:
            abc: (3, N, D), the vectors of a, of b and of c.
            method, restrict: as in :meth:`analogy`.
        """
        if method not in METHODS:
            raise ValueError(unknown("method", method, METHODS))
        words = self.unit_rows[:restrict].T
        return METHODS[method](*(unit(rows) @ words for rows in abc))

    def _best(
        self, scores: np.ndarray, top: int, left_out: Sequence[str]
    ) -> list[tuple[str, float]]:
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        gone = [row for word in left_out if (row := self.index.get(word)) is not None]
        gone = [row for row in set(gone) if row < len(scores)]
        scores = scores.copy()
        scores[gone] = -np.inf
        top = min(top, len(scores) - len(gone))
        if top == 0:
            return []
        best = np.argpartition(-scores, top - 1)[:top]
        best = best[np.lexsort((best, -scores[best]))]  # equal scores: the more frequent first
        return [(self.words[int(row)], float(scores[row])) for row in best]

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything, sub-words included, as a safetensors file that :func:`load` reads.

        Raises:
            ImportError: safetensors is not installed.
        """
        encoded = [word.encode("utf-8", "surrogateescape") for word in self.words]
        tensors = {
            "matrix": self.matrix,
            "words": np.frombuffer(b"".join(encoded), np.uint8),
            "word_ends": np.cumsum([len(e) for e in encoded], dtype=np.int64),
        }
        metadata = {"format": FORMAT}
        if self.counts is not None:
            tensors["counts"] = self.counts
        if (s := self.subwords) is not None:
            tensors |= {"word_rows": s.word_rows, "subword_rows": s.rows}
            metadata |= {"minn": str(s.minn), "maxn": str(s.maxn)}
        tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        with replaced(path) as part:
            _safetensors().numpy.save_file(tensors, part, metadata)


def load(path: str | os.PathLike[str]) -> Vectors:
    """The vectors that :meth:`Vectors.save` wrote.

    Raises:
        FileNotFoundError: no such file. ValueError: it is none of these, or cut off.
        ImportError: safetensors is not installed.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    safetensors = _safetensors()
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format {FORMAT!r} expected, got {metadata.get('format')!r} "
            f"with the tensors {sorted(tensors)}"
        )
    blob, ends = tensors["words"].tobytes(), tensors["word_ends"].tolist()
    words = [
        blob[start:end].decode("utf-8", "surrogateescape")
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
    subwords = None
    if "subword_rows" in tensors:
        subwords = Subwords(
            tensors["word_rows"],
            tensors["subword_rows"],
            int(metadata["minn"]),
            int(metadata["maxn"]),
        )
    return Vectors(words, tensors["matrix"], tensors.get("counts"), subwords)


def _safetensors() -> ModuleType:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "saved vectors are safetensors files: pip install 'rnnlab[vectors]'"
        ) from None
    return safetensors
