"""N-grams as features: sequences of n tokens, or of n characters, in each document.

Source: the notes, 1.4. The n-gram language model is in language_model.py.
"""

import numpy as np
import pyarrow as pa

from rnnlab.core.validate import whole
from rnnlab.text.strings import compute, string_array, strings
from rnnlab.text.tokenizers import Characters, Tokens


def ngrams(tokens: Tokens, low: int, high: int, separator: str = " ") -> Tokens:
    """Return all sequences of ``low`` to ``high`` neighboring tokens of each document.

    They are numbered by sorting: a sequence is a number in base U + 1 whose digits are the tokens'
    places.

    Args:
        tokens: of N documents.
        low, high: smallest and largest n, from 1.
        separator: between the tokens of an n-gram's term.
    Returns:
        per document first the low-grams, then the longer ones; the terms in order of the tokens'
        places, a shorter n-gram before those that begin with it.
    Raises:
        ValueError: not 1 ≤ low ≤ high.

    >>> from rnnlab.text.tokenizers import Whitespace
    >>> ngrams(Whitespace()(["猫 喜欢 吃 鱼"]), 2, 2).terms.to_pylist()
    ['猫 喜欢', '喜欢 吃', '吃 鱼']
    """
    check_range(low, high)
    if low == high == 1:
        return tokens
    codes, offsets, terms = tokens
    lengths = np.diff(offsets)
    starts, sizes = _windows(offsets, low, high)

    base, bound = len(terms) + 1, 1
    number = np.zeros(len(starts), np.int64)
    for k in range(high):
        if bound * base >= 1 << 62:
            distinct, number = np.unique(number, return_inverse=True)
            bound = len(distinct)
        inside = k < sizes
        digit = np.zeros(len(starts), np.int64)
        digit[inside] = codes[starts[inside] + k] + 1
        number = number * base + digit
        bound *= base
    _, first, places = np.unique(number, return_index=True, return_inverse=True)

    names = _names(codes, terms, starts[first], sizes[first], separator)
    per_document = sum(np.maximum(lengths - n + 1, 0) for n in range(low, high + 1))
    bounds = np.concatenate([[0], np.cumsum(per_document)]).astype(np.int64)
    grams = Tokens(places.astype(np.int32), bounds, names)
    return merge_equal(grams) if _ambiguous(terms, separator) else grams


def _ambiguous(terms: pa.StringArray, separator: str) -> bool:
    """Return whether two n-grams may be one string: "new york" as one token or as two."""
    if not separator:
        lengths = compute("utf8_length", terms)
        return len(terms) > 0 and compute("max", lengths).as_py() > 1
    return bool(compute("any", compute("match_substring", terms, pattern=separator)).as_py())


def _windows(offsets: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (first token, number of tokens) of each n-gram, document by document."""
    lengths = np.diff(offsets)
    counts = np.stack([np.maximum(lengths - n + 1, 0) for n in range(low, high + 1)], axis=1)
    counts = counts.ravel()  # documents x n
    total = int(counts.sum())
    ends = np.cumsum(counts)
    within = np.arange(total) - np.repeat(ends - counts, counts)
    first = np.repeat(np.repeat(offsets[:-1], high - low + 1), counts)
    sizes = np.repeat(np.tile(np.arange(low, high + 1), len(lengths)), counts)
    return first + within, sizes


def _names(
    codes: np.ndarray, terms: pa.StringArray, starts: np.ndarray, sizes: np.ndarray, separator: str
) -> pa.StringArray:
    """Return the term of each n-gram, its tokens joined by the separator."""
    order, parts = [], []
    for n in np.unique(sizes).tolist():
        which = np.flatnonzero(sizes == n)
        columns = [terms.take(pa.array(codes[starts[which] + k])) for k in range(n)]
        order.append(which)
        parts.append(compute("binary_join_element_wise", *columns, separator))
    if not parts:
        return pa.array([], pa.string())
    place = np.empty(len(sizes), np.int64)
    place[np.concatenate(order)] = np.arange(len(sizes))
    return pa.concat_arrays(parts).take(pa.array(place))


def merge_equal(tokens: Tokens) -> Tokens:
    """Give equal terms one place."""
    numbered = tokens.terms.dictionary_encode()
    if len(numbered.dictionary) == len(tokens.terms):
        return tokens
    return Tokens(numbered.indices.to_numpy()[tokens.codes], tokens.offsets, numbered.dictionary)


def check_range(low: int, high: int) -> None:
    """Refuse an invalid range of n.

    Raises:
        ValueError: not 1 ≤ low ≤ high.
    """
    if not 1 <= whole("low", low, None) <= whole("high", high, None):
        raise ValueError(f"n must run from low to high with 1 ≤ low ≤ high, got {low} to {high}")


def word_parts(words: pa.StringArray, low: int, high: int) -> Tokens:
    """Return the character n-grams of each word with a space before and after it.

    Each word is a document. A word that is shorter than ``low`` with its spaces is its only n-gram
    (as in scikit-learn's ``analyzer="char_wb"``).

    Args:
        words: (U,).
        low, high: smallest and largest n, from 1.
    Raises:
        ValueError: not 1 ≤ low ≤ high.

    >>> word_parts(pa.array(["cat", "a"]), 4, 9).lists()
    [[' cat', 'cat ', ' cat '], [' a ']]
    """
    check_range(low, high)
    data, offsets = strings(words)
    # each word between two spaces
    wider = np.full(len(data) + 2 * len(words), ord(" "), np.uint8)
    bounds = offsets + 2 * np.arange(len(offsets))
    inside = np.ones(len(wider), bool)
    inside[bounds[:-1]] = inside[bounds[1:] - 1] = False
    wider[inside] = data
    padded = string_array(wider, bounds)

    codes, offsets, terms = Characters()(padded)
    lengths = np.diff(offsets)
    short = np.flatnonzero(lengths < low)
    grams = ngrams(Tokens(codes, offsets, terms), low, high, "")
    if not len(short):
        return grams
    # a short word is inserted where its n-grams would be
    number = np.full(len(words), -1)
    number[short] = np.arange(len(short)) + len(grams.terms)
    bounds = np.concatenate([[0], np.cumsum(np.diff(grams.offsets) + (lengths < low))])
    whole = np.insert(grams.codes, grams.offsets[short], number[short]).astype(np.int32)
    names = pa.concat_arrays([grams.terms, padded.take(pa.array(short))])
    return merge_equal(Tokens(whole, bounds, names))
