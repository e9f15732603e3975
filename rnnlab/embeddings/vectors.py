"""Trained word vectors: neighbors and analogies, saving and loading.

Shapes: V vocabulary, D dimension, N queries.
"""

import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast, overload

import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import UnknownKey, one_edit_away, shown
from rnnlab.core.json_files import replaced
from rnnlab.core.read_only import frozen, sealed
from rnnlab.embeddings import subwords as sub
from rnnlab.embeddings.mean_vectors import DocumentVectors, mean_per_document, odd_one_out
from rnnlab.embeddings.subwords import Subwords
from rnnlab.embeddings.trained import Trained
from rnnlab.embeddings.vector_files import safetensors_package
from rnnlab.text.strings import Documents
from rnnlab.text.tokenizers import AnyTokenizer, tokenize

FORMAT = "rnnlab.vectors/1"
# a word, a vector (D,), or either with its weight, as ("king", 0.5)
Term = str | np.ndarray | tuple[str | np.ndarray, float]


# ---- the equations -----------------------------------------------------------------------------


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return cos(a, b) = a·b / (‖a‖ ‖b‖) for all pairs of rows; 0 if a row is zero.

    Args:
        a: (N, D). b: (V, D).
    Returns:
        (N, V) float32.
    Raises:
        ValueError: a number that is not finite.

    >>> cosine(np.array([[2.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])).tolist()
    [[1.0, 0.0, -1.0]]
    """
    return unit(a) @ unit(b).T


def unit(rows: np.ndarray) -> np.ndarray:
    """Return x / ‖x‖ of each row, (N, D) float32; a row of zeros is unchanged.

    Raises:
        ValueError: a number that is not finite.

    >>> unit(np.array([[0.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rows = np.asarray(rows, np.float32)
    validate.shape("vectors", rows, ("N", "D"))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
    # squares of numbers beyond 1e±19 leave the range of float32; a norm of NaN fails here as well
    usual = (norms > 1e-15) & (norms < 1e18)
    out = np.divide(rows, norms, out=np.zeros_like(rows), where=usual)
    other = np.flatnonzero(~usual[:, 0])
    if len(other):
        wide = rows[other].astype(np.float64)
        finite = np.isfinite(wide).all(axis=1)
        if not finite.all():
            raise ValueError(f"a vector must be finite, row {other[~finite][0]} is not")
        norms = np.linalg.norm(wide, axis=1, keepdims=True)
        out[other] = np.divide(wide, norms, out=wide, where=norms > 0)
    return out


def three_cos_add(cos_a: np.ndarray, cos_b: np.ndarray, cos_c: np.ndarray) -> np.ndarray:
    """Return cos(x, b) − cos(x, a) + cos(x, c), 3CosAdd, for "a is to b as c is to x".

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
    """Return c(x, b)·c(x, c) / (c(x, a) + ε), 3CosMul, with c = (cos + 1)/2 ≥ 0.

    Args:
        cos_a, cos_b, cos_c: (N, V), as in :func:`three_cos_add`.
        epsilon: keeps the quotient finite, above 0; 0.001 in the paper, 1e-6 in gensim.
    Returns:
        (N, V).
    Raises:
        ValueError: an epsilon that is not above 0.
    Source: Levy & Goldberg 2014, eq. 5 and footnote 7.
    """
    epsilon = validate.number("epsilon", epsilon, above=0)
    return (cos_b + 1) / 2 * ((cos_c + 1) / 2) / ((cos_a + 1) / 2 + epsilon)


METHODS = {"3cosadd": three_cos_add, "3cosmul": three_cos_mul}


# ---- the vectors -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector for each word of a vocabulary; with sub-words, for any word.

    ``v["king"]`` is a word's vector, ``v[["king", "queen"]]`` those of several; iteration gives the
    words. ``words``, ``index`` and ``matrix`` are gensim's index_to_key, key_to_index and vectors.

    Arrays are copied, so that later changes to them have no effect; read-only ones are not (see
    :func:`rnnlab.core.read_only.frozen`).

    Args:
        words: (V,), the most frequent first, for the use of ``restrict``.
        matrix: (V, D) float32; FastText: the means of the words' own rows and n-gram rows.
        counts: (V,) int64, occurrences of each word; None: unknown.
        subwords: FastText's rows; None: unseen words have no vector.
    Raises:
        ValueError: sizes that do not fit, a repeated word, a number that is not finite.

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
        words, matrix = tuple(self.words), frozen(self.matrix, np.float32)
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
            repeated = next(w for row, w in enumerate(words) if self.index[w] != row)
            raise ValueError(f"the word {repeated!r} occurs more than once")
        if self.counts is not None:
            counts = frozen(self.counts, np.int64)
            if counts.shape != (len(words),):
                raise ValueError(f"{len(words)} words need as many counts, got {counts.shape}")
            object.__setattr__(self, "counts", counts)
        if self.subwords is not None:
            word_rows, rows = frozen(self.subwords.word_rows), frozen(self.subwords.rows)
            subwords = self.subwords._replace(word_rows=word_rows, rows=rows)
            object.__setattr__(self, "subwords", subwords)
            D = matrix.shape[1]
            if word_rows.shape != matrix.shape or rows.ndim != 2 or rows.shape[1] != D:
                raise ValueError(
                    f"sub-words of a matrix {matrix.shape} need word_rows of that "
                    f"shape and rows (buckets, {D}), got {word_rows.shape} and {rows.shape}"
                )

    @classmethod
    def of(cls, trained: Trained) -> "Vectors":
        """Make vectors of a trainer's result."""
        return cls(trained.words, trained.matrix, trained.counts, trained.subwords)

    @cached_property
    def index(self) -> dict[str, int]:
        """{word: its row}."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def unit_rows(self) -> np.ndarray:
        """The rows (V, D), each divided by its length."""
        return sealed(unit(self.matrix))

    @property
    def dimension(self) -> int:
        """D."""
        return self.matrix.shape[1]

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __repr__(self) -> str:
        rows = "" if self.subwords is None else f", {len(self.subwords.rows)} sub-word rows"
        return f"Vectors({len(self)} words, {self.dimension} dimensions{rows})"

    @overload
    def __getitem__(self, word: str) -> np.ndarray: ...
    @overload
    def __getitem__(self, word: Sequence[str] | np.ndarray) -> np.ndarray: ...
    def __getitem__(self, word: str | Sequence[str] | np.ndarray) -> np.ndarray:
        """Return the word's row (D,) float32, or, if unseen, the mean of its n-grams' rows.

        Args:
            word: or several, whose rows (N, D) are returned.
        Raises:
            KeyError: an unseen word without sub-words, or too short to have any.
        """
        if isinstance(word, list | tuple | np.ndarray):
            return self.rows(list(word))
        row = self.index.get(word) if isinstance(word, str) else None
        if row is not None:
            return self.matrix[row]
        if self.subwords is None or not isinstance(word, str):
            raise UnknownKey(
                f"no vector for {shown(word)}: not among the {len(self)} words{self._near(word)}"
            )
        return sub.vector(word, self.subwords)

    def _near(self, word: object) -> str:
        """Return the part of a message that suggests up to three words, frequent ones first."""
        near = sorted(one_edit_away(str(word), self.index), key=self.index.__getitem__)[:3]
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""

    def has(self, word: str) -> bool:
        """Whether a word has a vector, its own or one of its n-grams."""
        if word in self.index:
            return True
        s = self.subwords
        return s is not None and bool(sub.ngrams(word, s.minn, s.maxn))

    def rows(self, words: Sequence[str]) -> np.ndarray:
        """Return ``self[word]`` of each word, (N, D).

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        rows = np.empty((len(words), self.dimension), np.float32)
        for n, word in enumerate(words):
            rows[n] = self[word]
        return rows

    def table(self, words: Sequence[str], initial: np.ndarray | None = None) -> np.ndarray:
        """Return initial weights (N, D) of a model's embedding layer, ``params["embedding"]``.

        Args:
            words: the model's symbols, in order.
            initial: (N, D), the rows of words without a vector; None: every word must have one.
        Raises:
            ValueError: words without a vector but no ``initial``, or one of another shape.

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
                    f"is {missing[0]!r}: give their rows as initial="
                )
            initial = np.zeros(shape, np.float32)
        if np.shape(initial) != shape:
            raise ValueError(f"initial must be {shape}, got {np.shape(initial)}")
        table = np.array(initial, np.float32)
        table[known] = self.rows([word for word, k in zip(words, known, strict=True) if k])
        return table

    def document_vector(self, words: Sequence[str], *, normalize: bool = False) -> np.ndarray:
        """Return the mean vector of the words that have one, (D,) float32; others are skipped.

        ``sum(w in v for w in words)`` counts the known ones; :meth:`document_vectors` counts both
        kinds for many documents.

        Args:
            words: of a document; a repeated word counts again.
            normalize: divide each word's vector by its length first, as gensim's
                ``get_mean_vector`` does.
        Raises:
            ValueError: no words, or none that has a vector. TypeError: a text instead of words.

        >>> v = Vectors(["a", "b"], np.array([[2.0, 0.0], [0.0, 4.0]]))
        >>> v.document_vector(["a", "b", "unknown"]).tolist()
        [1.0, 2.0]
        """
        if isinstance(words, str):
            raise TypeError(
                f"words must be a list of words, got the text {shown(words, 60)}; "
                "document_vectors([text]) splits texts into words"
            )
        known = [word for word in words if self.has(word)]
        if not known:
            first = f", the first is {shown(words[0])}" if len(words) else ""
            raise ValueError(f"none of the {len(words)} words has a vector{first}")
        rows = self.rows(known)
        return (unit(rows) if normalize else rows).mean(axis=0)

    def document_vectors(
        self,
        documents: Documents,
        tokenizer: AnyTokenizer | None = None,
        *,
        normalize: bool = False,
    ) -> DocumentVectors:
        """Return :meth:`document_vector` of each document, and its numbers of known words.

        A document without a known word has a vector of zeros; their number is said.

        Args:
            documents: N texts or lists of words (:func:`rnnlab.text.tokenizers.tokenize`).
            tokenizer: None: :class:`rnnlab.text.tokenizers.Words`, in lower case.
            normalize: as for :meth:`document_vector`.
        Returns:
            (matrix (N, D) float32, known (N,), skipped (N,)).
        Raises:
            TypeError: a document that is not text.

        >>> v = Vectors(["a", "b"], np.array([[2.0, 0.0], [0.0, 4.0]]))
        >>> means = v.document_vectors(["a a b b", "A cat"])
        >>> means.matrix.tolist(), means.skipped.tolist()
        ([[1.0, 2.0], [2.0, 0.0]], [0, 1])
        """
        tokens = tokenize(documents, tokenizer)
        terms = tokens.terms.to_pylist()
        known = np.array([self.has(term) for term in terms], bool)
        rows = np.zeros((len(terms), self.dimension), np.float32)
        rows[known] = self.rows([term for term, k in zip(terms, known, strict=True) if k])
        return mean_per_document(tokens, unit(rows) if normalize else rows, known)

    # ---- queries

    def similarity(self, a: str, b: str) -> float:
        """Return cos(a, b).

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        return float(cosine(self[a][None], self[b][None])[0, 0])

    def similarities(self, word: str, others: Sequence[str] | None = None) -> np.ndarray:
        """Return cos(word, x) of the other words x, or of all words in order: (N,) float32.

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        units = self.unit_rows if others is None else unit(self.rows(others))
        return units @ unit(self[word][None])[0]

    def n_similarity(self, a: Sequence[str], b: Sequence[str]) -> float:
        """Return the cosine of the mean vectors of two sets of words.

        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: no words. TypeError: a text.
        """
        means = []
        for words in (a, b):
            self._check_words(words)
            means.append(self.rows(words).mean(axis=0))
        return float(cosine(means[0][None], means[1][None])[0, 0])

    def closer_than(self, a: str, b: str) -> list[str]:
        """Return the words that are nearer to ``a`` than ``b`` is, by cosine, in order of rows.

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        scores, row = self.similarities(a), self.index.get(b)
        least = self.similarity(a, b) if row is None else scores[row]
        return [
            self.words[n] for n in np.flatnonzero(scores > least).tolist() if self.words[n] != a
        ]

    def rank(self, a: str, b: str) -> int:
        """Return the place of ``b`` among the neighbors of ``a``, from 1.

        Raises:
            KeyError: see :meth:`__getitem__`.
        """
        return len(self.closer_than(a, b)) + 1

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Return the word least like the others: the smallest cosine with their mean direction.

        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: no words. TypeError: a text.

        >>> v = Vectors(["cat", "dog", "car"], np.array([[1, 0.9], [1, 1], [-1, 0.5]]))
        >>> v.doesnt_match(["cat", "car", "dog"])
        'car'
        """
        self._check_words(words)
        return words[odd_one_out(unit(self.rows(words)))]

    def _check_words(self, words: Sequence[str]) -> None:
        if isinstance(words, str):
            raise TypeError(f"expected a list of words, got the text {shown(words, 60)}")
        if not len(words):
            raise ValueError("no words are given")

    def most_similar(
        self,
        positive: Term | Sequence[Term] | None = None,
        negative: Term | Sequence[Term] | None = None,
        topn: int = 10,
        *,
        restrict: int | None = None,
    ) -> list[tuple[str, float]]:
        """Return the words nearest to a sum of words, [(word, cosine)], nearest first.

        The sum has the words' vectors divided by their lengths: Σ w·x/‖x‖, with weight w = 1 for
        ``positive`` and −1 for ``negative``. Vectors are added as given. The words of the question
        are no answers; equal cosines are in order of rows.

        Args:
            positive, negative: a word, a vector (D,), or a list of both; an item may be a pair
                (word or vector, weight), whose weight replaces ±1. None: nothing.
            topn: number of answers; all, if there are fewer.
            restrict: search the first ``restrict`` words only; None: all.
        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: nothing given; a vector of another size,
                not finite; a sum of zero; topn or restrict below 1.
        Source: gensim's ``KeyedVectors.most_similar``, whose numbers it gives.

        >>> v = Vectors(["man", "king", "woman", "queen"],
        ...             np.array([[1, 0.1], [1, 1], [-1, 0.1], [-1, 1.0]]))
        >>> v.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
        'queen'
        """
        topn, restrict = validate.whole("topn", topn), self._restricted(restrict)
        total, size, excluded = np.zeros(self.dimension), 0.0, []
        given = [(term, 1.0) for term in _terms(positive)]
        given += [(term, -1.0) for term in _terms(negative)]
        if not given:
            raise ValueError("no words are given: most_similar(positive=[...], negative=[...])")
        for term, weight in given:
            if isinstance(term, tuple | list):
                if len(term) != 2:
                    raise ValueError(f"expected a pair (word, weight), got {shown(term)}")
                term, weight = term[0], validate.number("a weight", term[1])
            if isinstance(term, str):
                excluded.append(term)
                row = unit(self[term][None])[0]
            else:
                row = np.asarray(term, np.float32)
                validate.shape("a vector", row, (self.dimension,))
            part = weight * row.astype(np.float64)
            total, size = total + part, size + np.linalg.norm(part)
        if np.linalg.norm(total) <= 1e-7 * size:  # what rounding leaves in float32
            raise ValueError("the words cancel each other: their sum has no direction")
        scores = unit(total[None]) @ self.unit_rows[:restrict].T
        return self._best(scores[0], topn, excluded)

    def neighbors(
        self, query: str | np.ndarray, top: int = 10, *, restrict: int | None = None
    ) -> list[tuple[str, float]]:
        """Return the words nearest by cosine, [(word, cosine)], nearest first.

        Args:
            query: a word, which is not among its neighbors; or a vector (D,).
            top: number of neighbors; all, if there are fewer.
            restrict: search the first ``restrict`` words only; None: all.
        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: a vector of another size, or one that is
                zero or not finite; top or restrict below 1.
        """
        top, restrict = validate.whole("top", top), self._restricted(restrict)
        if isinstance(query, str):
            vector, excluded, named = self[query], [query], f"the vector of {shown(query)}"
        else:
            vector, excluded, named = np.asarray(query, np.float32), [], "the query"
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector must be ({self.dimension},), got {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError(f"{named} must be finite, got NaN or infinity")
        if not vector.any():
            raise ValueError(f"{named} is zero: it has no direction, and so no neighbors")
        scores = unit(vector[None]) @ self.unit_rows[:restrict].T
        return self._best(scores[0], top, excluded)

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
        """Return the words x for "a is to b as c is to x", [(word, score)], best first.

        Args:
            a, b, c: words, which are excluded from the answers.
            method: "3cosadd" (:func:`three_cos_add`) or "3cosmul" (:func:`three_cos_mul`).
            top, restrict: as for :meth:`neighbors`.
        Raises:
            KeyError: see :meth:`__getitem__`. ValueError: an unknown method; top or restrict
                below 1.
        """
        top = validate.whole("top", top)
        scores = self.analogy_scores(self.rows([a, b, c])[:, None], method, restrict)
        return self._best(scores[0], top, [a, b, c])

    def analogy_scores(
        self, abc: np.ndarray, method: str = "3cosadd", restrict: int | None = None
    ) -> np.ndarray:
        """Return the score of every word as answer to each of N analogies, (N, V).

        Args:
            abc: (3, N, D), the vectors of a, b and c.
            method, restrict: as for :meth:`analogy`.
        Raises:
            ValueError: an unknown method; another shape, or a number that is not finite; restrict
                below 1.
        """
        combine = METHODS[validate.choice("method", method, METHODS)]
        validate.shape("abc", abc, (3, "N", self.dimension))
        words = self.unit_rows[: self._restricted(restrict)].T
        return combine(*(unit(rows) @ words for rows in abc))

    def _restricted(self, restrict: int | None) -> int | None:
        return None if restrict is None else validate.whole("restrict", restrict)

    def _best(
        self, scores: np.ndarray, top: int, excluded: Sequence[str]
    ) -> list[tuple[str, float]]:
        rows = {row for word in excluded if (row := self.index.get(word)) is not None}
        excluded_rows = [row for row in rows if row < len(scores)]
        scores = scores.copy()
        scores[excluded_rows] = -np.inf
        top = min(top, len(scores) - len(excluded_rows))
        if top == 0:
            return []
        best = np.argpartition(-scores, top - 1)[:top]
        best = best[np.lexsort((best, -scores[best]))]  # equal scores: more frequent words first
        return [(self.words[int(row)], float(scores[row])) for row in best]

    # ---- files

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, limit: int | None = None, errors: str = "strict"
    ) -> "Vectors":
        """Read vectors in any format: :func:`rnnlab.embeddings.vector_formats.load`."""
        # by name: the formats' modules make vectors, and so import this one
        formats = importlib.import_module("rnnlab.embeddings.vector_formats")
        return formats.load(path, limit=limit, errors=errors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write words, vectors, counts and sub-words as a safetensors file; see :meth:`load`.

        :mod:`rnnlab.embeddings.word2vec_format` writes the files of other tools.

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
            safetensors_package().numpy.save_file(tensors, part, metadata)


def _terms(given: Term | Sequence[Term] | None) -> list[Term]:
    """Return the terms of a question as a list; a pair (word, weight) is one term of a list."""
    if given is None:
        return []
    if isinstance(given, str) or (isinstance(given, np.ndarray) and given.ndim == 1):
        return [given]
    if not isinstance(given, list | tuple | np.ndarray):
        raise TypeError(f"expected words or vectors, got {shown(given, 60)}")
    return cast(list[Term], list(given))
