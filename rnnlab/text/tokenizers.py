"""Tokenizers: whole arrays of documents at once, on bytes, by NumPy and Arrow.

A tokenizer is a frozen dataclass that is called with documents (the input of
:func:`rnnlab.text.strings.as_arrow`) and returns :class:`Tokens`. Threads work on pieces of about a
megabyte: tables over bytes mark letters, the runs of letters become one Arrow array, and Arrow's
hash table numbers them. Python never sees a token.
"""

import functools
import importlib
import itertools
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol, TypeGuard, TypeVar, cast

import numpy as np
import pyarrow as pa

from rnnlab.core.errors import install, unknown
from rnnlab.core.validate import choice, whole
from rnnlab.text.strings import (
    Documents,
    are_tokens,
    as_arrow,
    parallel,
    pieces,
    string_array,
    strings,
)

T = TypeVar("T")  # a document


class Tokens(NamedTuple):
    """Numbered tokens of N documents, one document after the other.

    >>> tokens = Words()(["a cat and a dog", "", "the dog"])
    >>> tokens.terms.to_pylist(), tokens.codes.tolist(), tokens.offsets.tolist()
    (['a', 'cat', 'and', 'dog', 'the'], [0, 1, 2, 0, 3, 4, 3], [0, 5, 5, 7])
    """

    codes: np.ndarray  # (T,) int32, the place of each token in terms
    offsets: np.ndarray  # (N+1,) int64: document i is codes[offsets[i]:offsets[i + 1]]
    terms: pa.StringArray  # (U,) the distinct tokens, in the order of their first occurrence

    def counts(self) -> np.ndarray:
        """Count the occurrences of each term: (U,) int64."""
        return np.bincount(self.codes, minlength=len(self.terms)).astype(np.int64)

    def lists(self) -> list[list[str]]:
        """Return the tokens of each document as Python strings."""
        terms = self.terms.to_pylist()
        words = [terms[code] for code in self.codes.tolist()]
        return [words[i:j] for i, j in itertools.pairwise(self.offsets.tolist())]


class Tokenizer(Protocol):
    """A function from documents to tokens."""

    def __call__(self, documents: Documents) -> Tokens:
        """Return the tokens of the documents."""
        ...


# one of this module, or a function from one text to its tokens: str.split, jieba.lcut, nltk's
AnyTokenizer = Tokenizer | Callable[[str], Iterable[str]]


def is_function(tokenizer: object) -> TypeGuard[Callable[[str], Iterable[str]]]:
    """Whether a tokenizer is called with one text, as scikit-learn's are.

    So are functions, classes and objects, all but those of :data:`TOKENIZERS`.

    >>> is_function(str.split), is_function(list), is_function(Words())
    (True, True, False)
    """
    return callable(tokenizer) and not isinstance(tokenizer, tuple(TOKENIZERS.values()))


def tokenize(documents: Documents, tokenizer: AnyTokenizer | None = None) -> Tokens:
    """Return the tokens of the documents; lists of tokens are used as they are.

    Args:
        documents: as for :func:`rnnlab.text.strings.as_arrow`.
        tokenizer: of this module, or a function that returns the tokens of one text, which it is
            given as it is; None: :class:`Words`.
    Raises:
        TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`; a tokenizer that is none.

    >>> tokenize([["New York", "is"], ["big"]]).terms.to_pylist()
    ['New York', 'is', 'big']
    """
    array = as_arrow(documents)
    if are_tokens(array):
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        return join([_tokens_of_lists(chunk) for chunk in chunks])
    if is_function(tokenizer):
        return split_by(tokenizer, array.to_pylist())
    tokenizer = Words() if tokenizer is None else tokenizer
    if not callable(tokenizer):
        raise TypeError(
            f"tokenizer must be of rnnlab.text.tokenizers, as Words(), or a function of one text; "
            f"got {tokenizer!r:.60}"
        )
    return cast(Tokenizer, tokenizer)(array)


def split_by(function: Callable[[T], Iterable[str]], documents: Iterable[T]) -> Tokens:
    """Return the tokens that a function makes of each document, of any kind.

    Raises:
        TypeError: the function returns a text, whose characters would be the tokens, nothing, or
            something other than strings.

    >>> split_by(str.split, ["a cat", "a"]).lists()
    [['a', 'cat'], ['a']]
    """
    lists = []
    for document in documents:
        tokens = function(document)
        if isinstance(tokens, str | Tokens) or not isinstance(tokens, Iterable):
            name = getattr(function, "__qualname__", type(function).__qualname__)
            got = f"{'the text ' if isinstance(tokens, str) else ''}{tokens!r:.60}"
            raise TypeError(f"{name} must return a list of tokens, got {got}")
        lists.append(list(tokens))
    return tokenize(lists)


def join(parts: Iterable[Tokens]) -> Tokens:
    """Concatenate the documents of all parts, with one list of terms."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64), pa.array([], pa.string()))
    together = pa.chunked_array([part.terms for part in parts], pa.string()).combine_chunks()
    numbered = together.dictionary_encode()
    places = numbered.indices.to_numpy()
    firsts = np.cumsum([0, *(len(part.terms) for part in parts)])
    codes = [
        places[i:j][part.codes]
        for part, (i, j) in zip(parts, itertools.pairwise(firsts), strict=True)
    ]
    starts = np.cumsum([0, *(len(part.codes) for part in parts)])
    offsets = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
    return Tokens(
        np.concatenate(codes), np.concatenate([[0], *offsets]).astype(np.int64), numbered.dictionary
    )


def _number(array: pa.Array, offsets: np.ndarray) -> Tokens:
    """Assign ids to the tokens of an Arrow array."""
    numbered = array.dictionary_encode()
    terms = numbered.dictionary
    if not pa.types.is_string(terms.type):
        terms = terms.cast(pa.string())
    return Tokens(numbered.indices.to_numpy(), offsets, terms)


def _tokens_of_lists(array: pa.Array) -> Tokens:
    lengths = np.diff(array.offsets.to_numpy())
    return _number(array.flatten(), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


# ---- letters -----------------------------------------------------------------------------------


class _Letters:
    """Base of the tokenizers whose tokens are runs of the characters of :meth:`letter`."""

    lowercase: bool
    min_length: int

    def __post_init__(self) -> None:
        whole("min_length", self.min_length)

    def letter(self, character: str) -> bool:
        """Return whether a character belongs to a token."""
        raise NotImplementedError

    def __call__(self, documents: Documents) -> Tokens:
        """Return the tokens of the documents, by as many threads as there are cores."""
        array = as_arrow(documents)
        if are_tokens(array):
            return tokenize(array)
        return join(parallel(self._piece, list(pieces(array))))

    def _piece(self, piece: pa.Array) -> Tokens:
        content, offsets = strings(piece)
        if is_ascii(content):
            content = _lower_ascii(content) if self.lowercase else content
            return _runs(content, offsets, self._mask(content), None, self.min_length)
        return self._piece_of_characters(piece, self.lowercase)

    def _mask(self, content: np.ndarray) -> np.ndarray:
        """Mark the bytes that are ASCII characters of a token."""
        mask = np.zeros(len(content), bool)
        for first, last in _ascii_ranges(self):
            mask |= content - np.uint8(first) <= last - first  # unsigned: below first is far above
        return mask

    def _piece_of_characters(self, piece: pa.Array, lowercase: bool) -> Tokens:
        """Split UTF-8: ASCII by its bytes, the few others by their characters."""
        content, offsets = strings(piece)
        lowered = _lower_ascii(content) if lowercase else content
        mask = self._mask(lowered)
        lead, points = _wide_characters(content)
        distinct, which = np.unique(points, return_inverse=True)
        characters = [chr(point) for point in distinct.tolist()]
        if lowercase and not all(map(_lowers_in_place, characters)):
            texts = [text.lower() for text in piece.to_pylist()]
            return self._piece_of_characters(pa.array(texts, pa.string()), lowercase=False)
        if lowercase:
            for k, character in enumerate(characters):
                lower = character.lower()
                if lower != character:
                    at = lead[which == k]
                    for place, byte in enumerate(lower.encode()):
                        lowered[at + place] = byte
        letter = np.fromiter(map(self.letter, characters), bool, len(characters))[which]
        width = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
        for place in range(4):  # the bytes of a character
            more = width > place
            mask[lead[more] + place] = letter[more]
        extra = (lead[letter], width[letter] - 1)
        return _runs(lowered, offsets, mask, extra, self.min_length)


def is_ascii(content: np.ndarray) -> bool:
    """Return whether UTF-8 bytes are all ASCII."""
    return not content.size or int(content.max()) < 0x80


@functools.cache
def _ascii_ranges(tokenizer: _Letters) -> list[tuple[int, int]]:
    """Return (first, last) of the runs of ASCII characters that belong to a tokenizer's tokens."""
    letter = np.array([False, *(tokenizer.letter(chr(byte)) for byte in range(0x80)), False])
    edges = np.flatnonzero(letter[1:] != letter[:-1])
    return [(int(i), int(j) - 1) for i, j in edges.reshape(-1, 2)]


def _lower_ascii(content: np.ndarray) -> np.ndarray:
    """Return a copy with A to Z in lower case."""
    capital = content - np.uint8(ord("A")) < 26
    return content + (capital.view(np.uint8) << np.uint8(5))


def _lowers_in_place(character: str) -> bool:
    """Return whether a character's lower case depends on it alone and has as many bytes."""
    lower = character.lower()
    return character != "Σ" and len(lower) == 1 and len(lower.encode()) == len(character.encode())


def _wide_characters(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (places, code points) of the characters outside ASCII."""
    lead = np.flatnonzero(content >= 0xC0)
    first = content[lead].astype(np.int32)
    second = content[lead + 1] & 0x3F
    points = (first & 0x1F) << 6 | second
    for least, keep in ((0xE0, 0x0F), (0xF0, 0x07)):  # three bytes, four bytes
        longer = np.flatnonzero(first >= least)
        at = lead[longer]
        points[longer] = (
            (first[longer] & keep) << 12
            | (content[at + 1] & 0x3F).astype(np.int32) << 6
            | content[at + 2] & 0x3F
        )
        if least == 0xF0:
            points[longer] = points[longer] << 6 | content[at + 3] & 0x3F
    return lead, points


def _runs(
    content: np.ndarray,
    offsets: np.ndarray,
    mask: np.ndarray,
    extra: tuple[np.ndarray, np.ndarray] | None,
    min_length: int,
) -> Tokens:
    """Return the runs of marked bytes as tokens; none extends over a document's end.

    Args:
        content: (bytes,) of all documents.
        offsets: (N+1,) of the documents in it.
        mask: (bytes,) whether a byte belongs to a token.
        extra: (places of characters of several bytes within runs, bytes beyond the first of each),
            to count lengths in characters.
        min_length: of a token, in characters.
    """
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    # a run that continues from one document into the next
    inner = offsets[1:-1]
    inner = inner[(inner > 0) & (inner < len(content)) & (np.diff(inner, prepend=-1) > 0)]
    split = inner[mask[inner - 1] & mask[inner]]
    if split.size:
        edges = np.sort(np.concatenate([edges, split, split]))
    starts, ends = edges[::2], edges[1::2]
    sizes = ends - starts  # in bytes
    if min_length > 1:
        characters = sizes
        if extra is not None and extra[0].size:
            run = np.searchsorted(starts, extra[0], side="right") - 1
            characters = sizes - np.bincount(run, extra[1], len(starts)).astype(np.int64)
        keep = characters >= min_length
        for size in np.flatnonzero(np.bincount(sizes[~keep])).tolist():
            short = starts[~keep & (sizes == size)]
            for place in range(size):
                mask[short + place] = False
        starts, sizes = starts[keep], sizes[keep]
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return _number(
        string_array(np.compress(mask, content), bounds), np.searchsorted(starts, offsets)
    )


@dataclass(frozen=True)
class Words(_Letters):
    r"""Words: runs of letters, digits and underscores of any script, as Python's ``\w+``.

    ``Words(min_length=2)`` is scikit-learn's default pattern, ``(?u)\b\w\w+\b``.

    Args:
        lowercase: apply str.lower before splitting.
        min_length: characters of the shortest word that is kept.
    Raises:
        ValueError: min_length below 1.

    >>> Words()(["It's 3 o'clock, Élise!"]).terms.to_pylist()
    ['it', 's', '3', 'o', 'clock', 'élise']
    """

    name: ClassVar[str] = "words"

    lowercase: bool = True
    min_length: int = 1

    def letter(self, character: str) -> bool:
        r"""Return whether ``\w`` matches."""
        return character.isalnum() or character == "_"


@dataclass(frozen=True)
class Whitespace(_Letters):
    """Runs of characters between white space, as str.split: punctuation stays.

    Args:
        lowercase: apply str.lower before splitting.
        min_length: characters of the shortest token that is kept.
    Raises:
        ValueError: min_length below 1.

    >>> Whitespace()(["to be, or not"]).terms.to_pylist()
    ['to', 'be,', 'or', 'not']
    """

    name: ClassVar[str] = "whitespace"

    lowercase: bool = False
    min_length: int = 1

    def letter(self, character: str) -> bool:
        """Return whether a character is not white space."""
        return not character.isspace()


# ---- characters, and scripts without spaces ----------------------------------------------------


@dataclass(frozen=True)
class Characters:
    """Characters (code points), white space included.

    Args:
        lowercase: apply str.lower before splitting.

    >>> Characters()(["abba"]).codes.tolist()
    [0, 1, 1, 0]
    """

    name: ClassVar[str] = "characters"

    lowercase: bool = False

    def __call__(self, documents: Documents) -> Tokens:
        """Return the characters of the documents."""
        array = as_arrow(documents)
        if are_tokens(array):
            return tokenize(array)
        return join(parallel(self._piece, list(pieces(array))))

    def _piece(self, piece: pa.Array) -> Tokens:
        if self.lowercase:
            piece = pa.array([text.lower() for text in piece.to_pylist()], pa.string())
        content, offsets = strings(piece)
        starts = np.flatnonzero((content & 0xC0) != 0x80)  # the first byte of each character
        bounds = np.concatenate([starts, [len(content)]])
        return _number(string_array(content, bounds), np.searchsorted(starts, offsets))


@dataclass(frozen=True)
class Chinese:
    """Words of Chinese text as jieba cuts it (``rnnlab[chinese]``), without white space.

    Args:
        lowercase: apply str.lower before cutting.
    Raises:
        ValueError: when called, where jieba is not installed.
    """

    name: ClassVar[str] = "chinese"

    lowercase: bool = False

    def __call__(self, documents: Documents) -> Tokens:
        """Return the words of the documents; in one thread, for jieba is Python."""
        array = as_arrow(documents)
        if are_tokens(array):
            return tokenize(array)
        cutter = _jieba()
        texts = (text.as_py() for text in array)
        texts = (text.lower() for text in texts) if self.lowercase else texts
        cut = [[word for word in cutter.lcut(text) if not word.isspace()] for text in texts]
        return tokenize(cut)


class _Cutter(Protocol):
    """The part of jieba's tokenizer that is used here."""

    def lcut(self, sentence: str) -> list[str]: ...


@functools.cache
def _jieba() -> _Cutter:
    """Load jieba's tokenizer with its own dictionary, its cache file in a private folder."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's sources use deprecated idioms
            jieba = importlib.import_module("jieba")
    except ImportError:
        raise ValueError(f"Chinese words need jieba: {install('chinese')}") from None
    jieba.setLogLevel(logging.ERROR)
    cutter = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cutter.tmp_dir = folder
        cutter.initialize()
    return cutter


Named = Words | Whitespace | Characters | Chinese
TOKENIZERS: dict[str, type[Named]] = {
    kind.name: kind for kind in (Words, Whitespace, Characters, Chinese)
}


def by_name(name: str, **options: Any) -> Named:
    """Make the tokenizer with a name of :data:`TOKENIZERS`.

    Args:
        options: fields of the tokenizer.
    Raises:
        ValueError: an unknown name or option; the message suggests the nearest.

    >>> by_name("words", lowercase=False)
    Words(lowercase=False, min_length=1)
    """
    kind = TOKENIZERS[choice("tokenizer", name, TOKENIZERS)]
    known = [field.name for field in fields(kind)]
    for option in options:
        if option not in known:
            raise ValueError(unknown(f"option of tokenizer {name!r}:", option, known))
    return kind(**options)
