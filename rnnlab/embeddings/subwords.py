"""Character n-grams of a word, hashed into rows of a table as fastText does.

"<" and ">" mark the word's ends: "her" has the 3-grams <he, her, er>. Bojanowski, Grave, Joulin &
Mikolov 2017, "Enriching Word Vectors with Subword Information", section 3.2; the hash and its
details are those of the C++ tool, so that its files can be read.

Shapes: V vocabulary, D dimension, N n-grams, K buckets.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import UnknownKey, shown

_BASIS, _PRIME = 2166136261, 16777619  # of FNV-1a, 32 bits
_CHUNK = 100_000  # words hashed at a time: bounds the memory, not the result


class Subwords(NamedTuple):
    """The rows whose means are FastText's vectors."""

    word_rows: np.ndarray  # (V, D), of the words themselves
    rows: np.ndarray  # (K, D), of n-grams
    minn: int  # characters of the shortest n-gram
    maxn: int  # characters of the longest; 0: no n-grams


def fnv1a(text: str | bytes) -> int:
    """Hash UTF-8 bytes by FNV-1a, 32 bits: h ← (h ⊕ byte)·16777619, from 2166136261.

    As in fastText, bytes are signed: those above 127 also flip the 24 high bits of h.

    >>> fnv1a("") == 2166136261, fnv1a("a") == 0xE40C292C, fnv1a("é") == 0x3CFA68C1
    (True, True, True)
    """
    h = _BASIS
    for byte in _bytes(text):
        h = ((h ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * _PRIME) & 0xFFFFFFFF
    return h


def ngrams(word: str, minn: int, maxn: int) -> list[str]:
    """List the n-grams of "<word>" by their start, short ones first, without "<" and ">" alone.

    Args:
        word: without marks. minn, maxn: characters of an n-gram.
    Raises:
        ValueError: minn is above maxn, or negative.

    >>> ngrams("her", 3, 4)
    ['<he', '<her', 'her', 'her>', 'er>']
    """
    _check(minn, maxn, 1)
    text = f"<{word}>"
    return [
        text[i : i + n]
        for i in range(len(text))
        for n in range(max(minn, 1), maxn + 1)
        if i + n <= len(text) and not (n == 1 and i in (0, len(text) - 1))
    ]


def buckets(word: str | bytes, minn: int, maxn: int, buckets: int) -> np.ndarray:
    """Return the rows (N,) int32, 0 … K−1, of the n-grams of a word: :func:`fnv1a` mod K.

    >>> buckets("her", 3, 3, 1000).tolist() == [fnv1a(g) % 1000 for g in ngrams("her", 3, 3)]
    True
    """
    return bucket_ids([word], minn, maxn, buckets)[0]


def bucket_ids(
    words: Sequence[str | bytes], minn: int, maxn: int, buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the n-grams of many words.

    Args:
        words: strings or UTF-8 bytes, without marks.
        minn, maxn: characters of an n-gram; maxn 0: no n-grams.
        buckets: K, rows of the table.
    Returns:
        rows (N,) int32 and offsets (V+1,) int64: word v has rows[offsets[v]:offsets[v+1]].
    Raises:
        ValueError: minn is above maxn, or negative; no bucket.

    >>> bucket_ids(["a", "her"], 3, 3, 1000)[1].tolist()
    [0, 1, 4]
    """
    _check(minn, maxn, buckets)
    if not len(words) or maxn == 0:
        return np.zeros(0, np.int32), np.zeros(len(words) + 1, np.int64)
    parts = [
        _hashed(words[start : start + _CHUNK], max(minn, 1), maxn)
        for start in range(0, len(words), _CHUNK)
    ]
    ids = np.concatenate([hashes % np.uint32(buckets) for hashes, _ in parts]).astype(np.int32)
    counts = np.concatenate([counts for _, counts in parts])
    return ids, np.concatenate([[0], np.cumsum(counts)])


def vector(word: str | bytes, subwords: Subwords, row: int | None = None) -> np.ndarray:
    """Return u_w (D,), the mean of the word's own row, if it has one, and its n-grams' rows.

    Args:
        row: the word's index in the vocabulary; None: an unseen word.
    Raises:
        KeyError: an unseen word that is too short to have an n-gram.
    Source: fastText 0.9.2, FastText::getWordVector (eq. 2 of the paper has the sum).
    """
    ids = buckets(word, subwords.minn, subwords.maxn, max(len(subwords.rows), 1))
    if row is None and not len(ids):
        raise UnknownKey(
            f"no vector for {shown(word)}: not in the vocabulary, and without an n-gram of "
            f"{subwords.minn} to {subwords.maxn} characters"
        )
    total = subwords.rows[ids].sum(axis=0)
    if row is None:
        return total / len(ids)
    return (total + subwords.word_rows[row]) / (len(ids) + 1)


def compose(words: Sequence[str | bytes], subwords: Subwords) -> np.ndarray:
    """Return the vectors (V, D) of all words of the vocabulary, as :func:`vector` gives them.

    Args:
        words: (V,), in the order of ``subwords.word_rows``; "</s>", fastText's end of a line,
            has no n-grams.
    """
    matrix = np.array(subwords.word_rows, np.float32)
    step = max(1, 2**22 // max(1, matrix.shape[1]) // 32)  # gathers about 2²² numbers at a time
    for start in range(0, len(words), step):
        chunk = words[start : start + step]
        ids, offsets = bucket_ids(chunk, subwords.minn, subwords.maxn, max(len(subwords.rows), 1))
        counts = np.diff(offsets)
        has_ngrams = counts > 0
        if not has_ngrams.any():
            continue
        sums = np.add.reduceat(subwords.rows[ids], offsets[:-1][has_ngrams], axis=0)
        part = matrix[start : start + step]
        totals = part[has_ngrams] + sums
        part[has_ngrams] = totals / (counts[has_ngrams, None] + 1).astype(np.float32)
    for row, word in enumerate(words):
        if word in ("</s>", b"</s>"):
            matrix[row] = subwords.word_rows[row]
    return matrix


def _check(minn: int, maxn: int, buckets: int) -> None:
    if minn < 0 or (maxn != 0 and minn > maxn):
        raise ValueError(f"n-grams need 0 <= minn <= maxn, or maxn=0, got minn={minn}, maxn={maxn}")
    validate.whole("buckets", buckets)


def _bytes(text: str | bytes) -> bytes:
    # words of a file that is not UTF-8 are decoded as surrogates, which encode to the same bytes
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _hashed(words: Sequence[str | bytes], minn: int, maxn: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash the n-grams of all words at once.

    A character is a byte and the continuation bytes (10xxxxxx) after it. One hash starts at every
    character and is extended by one character per iteration; hashes of n ≥ minn characters count.

    Returns:
        hashes (N,) uint32, and the number of n-grams of each word (V,).
    """
    blob = np.frombuffer(b"".join(b"<" + _bytes(w) + b">" for w in words), np.uint8)
    lengths = np.fromiter((len(_bytes(w)) + 2 for w in words), np.int64, len(words))
    starts = np.flatnonzero((blob & 0xC0) != 0x80)
    sizes = np.diff(starts, append=blob.size)
    word = np.repeat(np.arange(len(words)), lengths)[starts]
    ends = np.searchsorted(word, word, side="right")  # the character after the word
    signed = blob.view(np.int8).astype(np.int64).astype(np.uint32)
    C = len(starts)
    h = np.full(C, _BASIS, np.uint32)
    hashes, counted = np.empty((C, maxn), np.uint32), np.zeros((C, maxn), bool)
    first = np.arange(C)  # of each n-gram
    for n in range(1, maxn + 1):
        first = first[first + n - 1 < ends[first]]  # n-grams that end within their word
        if not first.size:
            break
        last = first + n - 1
        for k in range(int(sizes[last].max())):
            more = sizes[last] > k
            h[first[more]] = (h[first[more]] ^ signed[starts[last[more]] + k]) * np.uint32(_PRIME)
        hashes[first, n - 1] = h[first]
        if n >= minn:
            counted[first, n - 1] = True
        if n == 1:  # the marks alone do not count
            opening = np.flatnonzero(np.diff(word, prepend=-1))
            counted[opening, 0] = counted[ends[opening] - 1, 0] = False
    counts = np.bincount(word, weights=counted.sum(axis=1), minlength=len(words)).astype(np.int64)
    return hashes[counted], counts
