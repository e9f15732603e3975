"""Spelling repair by FastText: a misspelled word has most of its n-grams, so nearly its vector.

Of the words whose vectors are nearest, the one that takes the fewest keystrokes to become.
Source: the notes, 2.2 and their table; Bojanowski et al. 2017 (arXiv 1607.04606).
"""

import re

from rnnlab.embeddings import corpus, fasttext, fasttext_format
from rnnlab.embeddings import vectors as saved
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vectors import Vectors


def distance(a: str, b: str) -> int:
    """Keystrokes from a to b: insert, delete or replace a character, or swap two neighbors.

    d_ij = min(d_{i−1,j} + 1, d_{i,j−1} + 1, d_{i−1,j−1} + [a_i ≠ b_j], and, where a_i a_{i−1} is
    b_{j−1} b_j turned round, d_{i−2,j−2} + 1).
    Source: Damerau 1964; the restricted one (optimal string alignment).

    >>> distance("goverment", "government"), distance("teh", "the"), distance("a", "")
    (1, 1, 1)
    """
    before, last = [], list(range(len(b) + 1))
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            best = min(last[j + 1] + 1, row[j] + 1, last[j] + (x != y))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                best = min(best, before[j - 1] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def suggestions(
    known: Vectors, word: str, top: int = 5, candidates: int = 5000
) -> list[tuple[str, int, float]]:
    """Known words that an unknown one may stand for: [(word, keystrokes, cosine)], best first.

    Args:
        known: with sub-words (FastText's).
        candidates: how many of the nearest vectors are looked at.
    Returns:
        by keystrokes, then by cosine. A known word is its own and only suggestion.
    Raises:
        ValueError: vectors without sub-words; top or candidates below 1. KeyError: a word too
            short to have an n-gram.
    """
    if known.subwords is None:
        raise ValueError(
            "spelling needs vectors with sub-words (FastText's): Word2Vec has none of "
            "an unknown word"
        )
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    if word in known:
        return [(word, 0, 1.0)]
    near = known.neighbors(word, candidates)
    ranked = [(other, distance(word, other), cosine) for other, cosine in near]
    return sorted(ranked, key=lambda found: (found[1], -found[2]))[:top]


def repair(known: Vectors, text: str, furthest: int = 2, candidates: int = 5000) -> str:
    """The text with each unknown word replaced by its best suggestion, capital letters kept.

    Args:
        furthest: keystrokes; a word without a suggestion as near as that stays, as does one with
            a digit or of one character.
    Raises:
        ValueError: as :func:`suggestions`.
    """

    def repaired(match: re.Match[str]) -> str:
        word = match[0]
        low = word.lower()
        if len(word) < 2 or low in known or word in known or not known.has(low):
            return word
        best, keystrokes, _ = suggestions(known, low, 1, candidates)[0]
        if keystrokes > furthest:
            return word
        if word.isupper():
            return best.upper()
        return best.capitalize() if word[0].isupper() else best

    if known.subwords is None:
        suggestions(known, text)  # raises
    return re.sub(r"[^\W\d_]+", repaired, text)


def read(path: str) -> Vectors:
    """Vectors to repair by: saved ones (.safetensors, fastText's .bin), or FastText's of a text.

    Those are small, since form is all they are asked for.

    Raises:
        ValueError: a broken file, or a text without words.
    """
    if path.endswith(".safetensors"):
        return saved.load(path)
    if path.endswith(".bin"):
        return fasttext_format.read_bin(path)
    text = corpus.of_file(path, min_count=2)
    return Vectors.of(fasttext.train(text, Settings(size=50, epochs=3, buckets=200_000)))
