"""Text into tokens: whole arrays of documents at once, on bytes, by NumPy and Arrow.

A tokenizer is a frozen dataclass, called with documents (what :func:`rnnlab.text.strings.as_arrow`
accepts) and returning :class:`Tokens`. Documents are cut into pieces of a few megabytes that
threads work on: letters are told from the rest by tables over bytes, the runs of letters become
one Arrow array, and Arrow's hash table numbers them. Python never sees a token.
"""

import functools
import importlib
import itertools
import logging
import tempfile
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from rnnlab.core.errors import unknown
from rnnlab.text.strings import as_arrow, parallel, pieces, string_array, strings


class Tokens(NamedTuple):
    """N documents as numbered tokens, one document after the other.

    >>> tokens = Words()(["a cat and a dog", "", "the dog"])
    >>> tokens.terms.to_pylist(), tokens.codes.tolist(), tokens.offsets.tolist()
    (['a', 'cat', 'and', 'dog', 'the'], [0, 1, 2, 0, 3, 4, 3], [0, 5, 5, 7])
    """

    codes: np.ndarray  # (T,) int32, the place of each token in terms
    offsets: np.ndarray  # (N+1,) int64: document i is codes[offsets[i]:offsets[i + 1]]
    terms: Any  # pa.StringArray (U,), the distinct tokens, in the order of their first occurrence

    def counts(self) -> np.ndarray:
        """How often each term occurs: (U,) int64."""
        return np.bincount(self.codes, minlength=len(self.terms)).astype(np.int64)

    def lists(self) -> list[list[str]]:
        """The tokens of each document as Python strings."""
        terms = self.terms.to_pylist()
        words = [terms[code] for code in self.codes.tolist()]
        return [words[i:j] for i, j in itertools.pairwise(self.offsets.tolist())]


class Tokenizer(Protocol):
    """What turns documents into tokens."""

    def __call__(self, documents: Any) -> Tokens:
        """The documents' tokens."""
        ...


def tokenize(documents: Any, tokenizer: Tokenizer | None = None) -> Tokens:
    """The tokens of the documents; lists of tokens are taken as they are.

    Args:
        documents: what :func:`rnnlab.text.strings.as_arrow` accepts.
        tokenizer: None: :class:`Words`.
    Raises:
        TypeError, ValueError: as :func:`rnnlab.text.strings.as_arrow`.

    >>> tokenize([["New York", "is"], ["big"]]).terms.to_pylist()
    ['New York', 'is', 'big']
    """
    array = as_arrow(documents)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
        return join([_tokens_of_lists(chunk) for chunk in chunks])
    return (tokenizer or Words())(array)


def join(parts: Iterable[Tokens]) -> Tokens:
    """The documents of all parts, one after the other, with one list of terms."""
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
    """Tokens of an Arrow array of all of them."""
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
    """Base of the tokenizers that take runs of characters of one kind; subclasses say which."""

    lowercase: bool
    min_length: int

    def letter(self, character: str) -> bool:
        """Whether a character belongs to a token."""
        raise NotImplementedError

    def __call__(self, documents: Any) -> Tokens:
        """The tokens of the documents, by as many threads as there are cores."""
        array = as_arrow(documents)
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            return tokenize(array)
        return join(parallel(self._piece, list(pieces(array))))

    def _piece(self, piece: pa.Array) -> Tokens:
        content, offsets = strings(piece)
        if is_ascii(content):
            content = _lower_ascii(content) if self.lowercase else content
            return _runs(content, offsets, self._mask(content), None, self.min_length)
        return self._piece_of_characters(piece, self.lowercase)

    def _mask(self, content: np.ndarray) -> np.ndarray:
        """Which bytes are characters of ASCII that belong to a token."""
        mask = np.zeros(len(content), bool)
        for first, last in _ascii_ranges(type(self)):
            mask |= content - np.uint8(first) <= last - first  # unsigned: below first is far above
        return mask

    def _piece_of_characters(self, piece: pa.Array, lowercase: bool) -> Tokens:
        """UTF-8 in which ASCII goes by its bytes, and the few others by their character."""
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
        for place in range(4):  # the bytes that a character has
            more = width > place
            mask[lead[more] + place] = letter[more]
        extra = (lead[letter], width[letter] - 1)
        return _runs(lowered, offsets, mask, extra, self.min_length)


def is_ascii(content: np.ndarray) -> bool:
    """Whether UTF-8 bytes are all ASCII."""
    return not content.size or int(content.max()) < 0x80


@functools.cache
def _ascii_ranges(kind: Any) -> list[tuple[int, int]]:
    """(first, last) of the runs of ASCII characters that belong to a tokenizer's tokens."""
    letter = np.array([False, *(kind.letter(kind, chr(byte)) for byte in range(0x80)), False])
    edges = np.flatnonzero(letter[1:] != letter[:-1])
    return [(int(i), int(j) - 1) for i, j in edges.reshape(-1, 2)]


def _lower_ascii(content: np.ndarray) -> np.ndarray:
    """A copy with A to Z in lower case."""
    capital = content - np.uint8(ord("A")) < 26
    return content + (capital.view(np.uint8) << np.uint8(5))


def _lowers_in_place(character: str) -> bool:
    """Whether the lower case of a character depends on it alone and is as many bytes."""
    lower = character.lower()
    return character != "Σ" and len(lower) == 1 and len(lower.encode()) == len(character.encode())


def _wide_characters(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places, code points) of the characters that are no ASCII."""
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
    """The runs of bytes that the mask marks, none of them over a document's end, as tokens.

    Args:
        extra: (places of characters of several bytes within runs, bytes more than one of each):
            lengths are counted in characters.
        min_length: of a token, in characters.
    """
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    # a document that begins as the one before it ends, inside a run
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
        lowercase: as str.lower does, before splitting.
        min_length: characters that a word has at least.

    >>> Words()(["It's 3 o'clock, Élise!"]).terms.to_pylist()
    ['it', 's', '3', 'o', 'clock', 'élise']
    """

    name: ClassVar[str] = "words"

    lowercase: bool = True
    min_length: int = 1

    def __post_init__(self) -> None:
        if self.min_length < 1:
            raise ValueError(f"min_length must be at least 1, got {self.min_length}")

    def letter(self, character: str) -> bool:
        r"""What ``\w`` matches."""
        return character.isalnum() or character == "_"


@dataclass(frozen=True)
class Whitespace(_Letters):
    """What stands between white space, as str.split: punctuation stays.

    >>> Whitespace()(["to be, or not"]).terms.to_pylist()
    ['to', 'be,', 'or', 'not']
    """

    name: ClassVar[str] = "whitespace"

    lowercase: bool = False
    min_length: int = 1

    def __post_init__(self) -> None:
        if self.min_length < 1:
            raise ValueError(f"min_length must be at least 1, got {self.min_length}")

    def letter(self, character: str) -> bool:
        """All but white space."""
        return not character.isspace()


# ---- characters, and scripts without spaces ----------------------------------------------------


@dataclass(frozen=True)
class Characters:
    """Every character (code point) a token, white space too.

    >>> Characters()(["abba"]).codes.tolist()
    [0, 1, 1, 0]
    """

    name: ClassVar[str] = "characters"

    lowercase: bool = False

    def __call__(self, documents: Any) -> Tokens:
        """The characters of the documents."""
        array = as_arrow(documents)
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            return tokenize(array)
        return join(parallel(self._piece, list(pieces(array))))

    def _piece(self, piece: pa.Array) -> Tokens:
        if self.lowercase:
            piece = pa.array([text.lower() for text in piece.to_pylist()], pa.string())
        content, offsets = strings(piece)
        starts = np.flatnonzero((content & 0xC0) != 0x80)  # not the middle of a character
        bounds = np.concatenate([starts, [len(content)]])
        return _number(string_array(content, bounds), np.searchsorted(starts, offsets))


@dataclass(frozen=True)
class Chinese:
    """Words of Chinese text, as jieba cuts it (``rnnlab[chinese]``); white space is left out.

    Args:
        lowercase: of letters among the characters.
    Raises:
        ValueError: when called, where jieba is not installed.
    """

    name: ClassVar[str] = "chinese"

    lowercase: bool = False

    def __call__(self, documents: Any) -> Tokens:
        """The words of the documents, one thread: jieba is Python."""
        array = as_arrow(documents)
        if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
            return tokenize(array)
        cutter = _jieba()
        texts = (text.as_py() for text in array)
        texts = (text.lower() for text in texts) if self.lowercase else texts
        cut = [[word for word in cutter.lcut(text) if not word.isspace()] for text in texts]
        return tokenize(cut)


@functools.cache
def _jieba() -> Any:
    """jieba's tokenizer with its own dictionary, read without the cache file in a public place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own old idioms
            jieba = importlib.import_module("jieba")
    except ImportError:
        raise ValueError("Chinese words are cut by jieba: pip install 'rnnlab[chinese]'") from None
    jieba.setLogLevel(logging.ERROR)
    cutter = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cutter.tmp_dir = folder
        cutter.initialize()
    return cutter


TOKENISERS: dict[str, Any] = {kind.name: kind for kind in (Words, Whitespace, Characters, Chinese)}


def by_name(name: str, **options: Any) -> Any:
    """The tokenizer a config names.

    Raises:
        ValueError: an unknown name or option, the nearest named.

    >>> by_name("words", lowercase=False)
    Words(lowercase=False, min_length=1)
    """
    if name not in TOKENISERS:
        raise ValueError(unknown("tokenizer", name, TOKENISERS))
    known = [field.name for field in fields(TOKENISERS[name])]
    for option in options:
        if option not in known:
            raise ValueError(unknown(f"option of tokenizer {name!r}:", option, known))
    return TOKENISERS[name](**options)
