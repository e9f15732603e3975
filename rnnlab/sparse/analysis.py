"""From documents to counts of features, for bag of words, TF-IDF and hashing."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from rnnlab.core.validate import choice
from rnnlab.sparse.ngram import check_range, ngrams, word_parts
from rnnlab.text.strings import (
    Documents,
    are_tokens,
    as_arrow,
    as_list,
    compute,
    parallel,
    pieces,
    strings,
)
from rnnlab.text.tokenizers import (
    AnyTokenizer,
    Characters,
    Tokens,
    Whitespace,
    Words,
    is_ascii,
    is_function,
    split_by,
    tokenize,
)

CsrArray = Any  # scipy.sparse.csr_array: scipy has no types, and those inferred from it are wrong

# a name of ANALYZERS, or a function from a document to its features
Analyzer = str | Callable[[Any], Iterable[str]]
ANALYZERS = ("word", "char", "char_wb")
TOKEN_PATTERN = r"(?u)\b\w\w+\b"  # scikit-learn's default: words of two characters or more
# patterns that :class:`rnnlab.text.tokenizers.Words` matches, with its min_length; others go
# through Python's re
_WORDS = {TOKEN_PATTERN: 2, r"\b\w\w+\b": 2, r"(?u)\b\w+\b": 1, r"\b\w+\b": 1, r"\w+": 1}
# the characters of Python's \s, for RE2
_SPACE = (
    r"\t\n\v\f\r\x1c-\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)


class Features(NamedTuple):
    """Counts of each feature in each of N documents."""

    matrix: CsrArray  # (N, F) int64, columns in order within a row
    terms: pa.StringArray  # (F,) the features, in order of their bytes


@dataclass(frozen=True)
class Analysis:
    """The features of documents, with scikit-learn's options, applied in its order.

    Lower case, accents, tokens, stop words, n-grams. Of documents that are lists of tokens, only
    stop words and n-grams remain to be done.

    Args:
        analyzer: "word", "char" (n-grams over the whole text, runs of white space one space) or
            "char_wb" (inside words, with a space before and after); or a function that returns the
            features of one document, of any kind: other options are refused then, and
            ``lowercase`` has no effect.
        ngram_range: (low, high) of n.
        lowercase: apply str.lower.
        strip_accents: None, "unicode" (NFKD without combining marks) or "ascii".
        stop_words: None, "english" (scikit-learn's list) or words; for analyzer "word" only.
        token_pattern: a regular expression of Python's re; with a group, the token is the group.
        tokenizer: replaces the pattern: of :mod:`rnnlab.text.tokenizers`, which has a ``lowercase``
            of its own, or a function of one text, which is put in lower case before.
    Raises:
        ValueError: an option out of its range.
    """

    analyzer: Analyzer = "word"
    ngram_range: tuple[int, int] = (1, 1)
    lowercase: bool = True
    strip_accents: str | None = None
    stop_words: str | Iterable[str] | None = None
    token_pattern: str = TOKEN_PATTERN
    tokenizer: AnyTokenizer | None = None

    def __post_init__(self) -> None:
        if callable(self.analyzer):
            self._check_alone()
            return
        choice("analyzer", self.analyzer, ANALYZERS)
        check_range(*self.ngram_range)
        if self.strip_accents not in (None, "unicode", "ascii"):
            raise ValueError(
                f"strip_accents must be None, 'unicode' or 'ascii', got {self.strip_accents!r}"
            )
        if isinstance(self.stop_words, str) and self.stop_words != "english":
            raise ValueError(
                f"stop_words must be None, 'english' or a list of words, got {self.stop_words!r}"
            )
        if self.tokenizer is None and re.compile(self.token_pattern).groups > 1:
            raise ValueError(f"token_pattern has more than one group: {self.token_pattern!r}")

    def _check_alone(self) -> None:
        """Refuse options that have no effect beside a function as analyzer."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("analyzer", "lowercase") and value != field.default:
                raise ValueError(
                    f"{field.name}={value!r} has no effect: analyzer is a function, which makes "
                    "the features itself"
                )

    def __call__(self, documents: Documents, workers: int | None = None) -> Features:
        """Return the features of all documents.

        Args:
            documents: as for :func:`rnnlab.text.strings.as_arrow`; of any kind for a function as
                analyzer.
            workers: threads; None: as many as there are cores.
        Raises:
            TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`.
        """
        if callable(self.analyzer):
            return merge([count(split_by(self.analyzer, as_list(documents)))])
        array = as_arrow(documents)
        if self.analyzer != "word" and are_tokens(array):
            raise TypeError(f"analyzer {self.analyzer!r} needs texts, got lists of tokens")
        if are_tokens(array):
            return merge([self._of_tokens(tokenize(array))], workers)
        return merge(parallel(self._piece, list(pieces(array)), workers), workers)

    def _piece(self, piece: pa.Array) -> Features:
        """Return the features of a piece of the documents, the terms in no order."""
        piece, lowercase = self._plain(piece)
        if self.analyzer == "word":
            return self._of_tokens(self._split(piece, lowercase))
        runs = f"[{_SPACE}]{{2,}}"
        piece = compute("replace_substring_regex", piece, pattern=runs, replacement=" ")
        low, high = self.ngram_range
        if self.analyzer == "char":
            return count(ngrams(Characters(lowercase)(piece), low, high, ""))
        # (documents x words) times (words x n-grams): each distinct word is split once
        words = count(Whitespace(lowercase)(piece))
        parts = count(word_parts(words.terms, low, high))
        return Features(sp.csr_array(words.matrix @ parts.matrix), parts.terms)

    def _plain(self, piece: pa.Array) -> tuple[pa.Array, bool]:
        """Return (the piece without accents, whether lower case remains to be applied)."""
        if self.strip_accents is None or is_ascii(strings(piece).data):
            return piece, self.lowercase
        texts = [text.lower() if self.lowercase else text for text in piece.to_pylist()]
        return pa.array(
            [_without_accents(t, self.strip_accents) for t in texts], pa.string()
        ), False

    def _split(self, piece: pa.Array, lowercase: bool) -> Tokens:
        if self.tokenizer is not None and not is_function(self.tokenizer):
            return tokenize(piece, self.tokenizer)
        if self.tokenizer is None and self.token_pattern in _WORDS:
            return Words(lowercase, _WORDS[self.token_pattern])(piece)
        find = self.tokenizer or re.compile(self.token_pattern).findall
        texts = piece.to_pylist()
        return split_by(find, [text.lower() if lowercase else text for text in texts])

    def _of_tokens(self, tokens: Tokens) -> Features:
        return count(ngrams(self._without_stop_words(tokens), *self.ngram_range))

    def _without_stop_words(self, tokens: Tokens) -> Tokens:
        if self.stop_words is None:
            return tokens
        stop = pa.array(sorted(_stop_words(self.stop_words)), pa.string())
        keep = ~compute("is_in", tokens.terms, value_set=stop).to_numpy(zero_copy_only=False)
        keep_token = keep[tokens.codes]
        before = np.concatenate([[0], np.cumsum(keep_token)])
        number = np.cumsum(keep) - 1
        return Tokens(
            number[tokens.codes[keep_token]].astype(np.int32),
            before[tokens.offsets],
            tokens.terms.filter(pa.array(keep)),
        )


class DocumentTransformer(TransformerMixin, BaseEstimator):
    """Base of scikit-learn transformers of documents, with the options of :class:`Analysis`."""

    analyzer: Analyzer
    ngram_range: tuple[int, int]
    lowercase: bool
    strip_accents: str | None
    stop_words: str | Iterable[str] | None
    token_pattern: str
    tokenizer: AnyTokenizer | None

    def make_analysis(self) -> Analysis:
        """Return the analysis of the options.

        Raises:
            ValueError: an option out of its range.
        """
        low, high = self.ngram_range
        return Analysis(
            self.analyzer,
            (low, high),
            self.lowercase,
            self.strip_accents,
            self.stop_words,
            self.token_pattern,
            self.tokenizer,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _stop_words(given: str | Iterable[str]) -> Iterable[str]:
    if given == "english":
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return ENGLISH_STOP_WORDS
    return given


def _without_accents(text: str, how: str) -> str:
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    if how == "ascii":
        return parts.encode("ascii", "ignore").decode()
    return "".join(c for c in parts if not unicodedata.combining(c))


# ---- counting ----------------------------------------------------------------------------------


def count(tokens: Tokens) -> Features:
    """Count each term in each document; the terms keep their order."""
    shape = len(tokens.offsets) - 1, len(tokens.terms)
    ones = np.ones(len(tokens.codes), np.int64)
    # a copy, for the sum is in place and the codes are the caller's
    matrix = sp.csr_array((ones, tokens.codes.copy(), _index(tokens.offsets)), shape=shape)
    matrix.sum_duplicates()
    return Features(matrix, tokens.terms)


def _index(offsets: np.ndarray) -> np.ndarray:
    """Return offsets in the smallest type; scipy needs both index arrays of one type."""
    return offsets.astype(np.int32 if offsets[-1] < 2**31 else np.int64)


def merge(parts: list[Features], workers: int | None = None) -> Features:
    """Concatenate the documents of all parts; the terms in order of their bytes."""
    terms = pa.chunked_array([part.terms for part in parts], pa.string()).combine_chunks()
    numbered = terms.dictionary_encode()
    ends = np.cumsum([len(part.terms) for part in parts])
    places = np.split(numbered.indices.to_numpy(), ends[:-1]) if parts else []
    order = compute("array_sort_indices", numbered.dictionary).to_numpy()
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    width = len(order)

    def renumbered(k: int) -> CsrArray:
        return select(parts[k].matrix, rank[places[k]], width)

    matrices = parallel(renumbered, list(range(len(parts))), workers)
    return Features(stack(matrices, width), numbered.dictionary.take(pa.array(order)))


def select(matrix: CsrArray, places: np.ndarray, width: int) -> CsrArray:
    """Move column j to ``places[j]`` of ``width``, or leave it out where that is −1.

    The columns of the result are in order within each row.
    """
    indices, data, offsets = places[matrix.indices], matrix.data, matrix.indptr
    if (places < 0).any():
        keep = indices >= 0
        before = np.concatenate([[0], np.cumsum(keep)])
        indices, data, offsets = indices[keep], data[keep], before[offsets]
    chosen = sp.csr_array(
        (data, indices.astype(np.int32), _index(offsets)), shape=(matrix.shape[0], width)
    )
    chosen.sort_indices()
    return chosen


def stack(matrices: list[CsrArray], width: int) -> CsrArray:
    """Stack the rows of all matrices."""
    if not matrices:
        return sp.csr_array((0, width), dtype=np.int64)
    return matrices[0] if len(matrices) == 1 else sp.csr_array(sp.vstack(matrices, format="csr"))
