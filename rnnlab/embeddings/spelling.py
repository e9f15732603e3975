"""Spelling repair by FastText: a misspelled word shares most n-grams, so its vector is close.

Among the words with the nearest vectors, the one with the fewest keystrokes is suggested.
Source: the notes, 2.2 and their table; Bojanowski et al. 2017 (arXiv 1607.04606).
"""

import re

from rnnlab.core import validate
from rnnlab.embeddings import corpus, fasttext, fasttext_format
from rnnlab.embeddings.trainer import Settings
from rnnlab.embeddings.vector_files import looks_like_vectors
from rnnlab.embeddings.vector_formats import read_saved
from rnnlab.embeddings.vectors import Vectors


def distance(a: str, b: str) -> int:
    """Count keystrokes from a to b: insert, delete or replace a character, or swap two neighbors.

    d_ij = min(d_{i−1,j} + 1, d_{i,j−1} + 1, d_{i−1,j−1} + [a_i ≠ b_j]), and d_{i−2,j−2} + 1 if
    a_{i−1} a_i is b_j b_{j−1}.
    Source: Damerau 1964; the restricted distance (optimal string alignment).

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
    """Suggest known words for an unknown one: [(word, keystrokes, cosine)], best first.

    Args:
        known: vectors with sub-words (FastText's).
        top: number of suggestions; fewer, if there are not as many candidates.
        candidates: number of nearest vectors that are considered; all, if there are fewer.
    Returns:
        suggestions by keystrokes, then by cosine; for a known word, only itself.
    Raises:
        ValueError: vectors without sub-words; top or candidates below 1. KeyError: a word too
            short to have an n-gram.
    """
    if known.subwords is None:
        raise ValueError(
            "spelling needs vectors with sub-words (FastText's): Word2Vec has no vector of an "
            "unknown word"
        )
    top, candidates = validate.whole("top", top), validate.whole("candidates", candidates)
    if word in known:
        return [(word, 0, 1.0)]
    nearest = known.neighbors(word, candidates)
    ranked = [(neighbor, distance(word, neighbor), cosine) for neighbor, cosine in nearest]
    return sorted(ranked, key=lambda suggestion: (suggestion[1], -suggestion[2]))[:top]


def repair(known: Vectors, text: str, furthest: int = 2, candidates: int = 5000) -> str:
    """Replace each unknown word of a text by its best suggestion, keeping capital letters.

    Args:
        furthest: largest number of keystrokes. Words without a suggestion this near, with a digit
            or of one character are unchanged.
        candidates: as for :func:`suggestions`.
    Raises:
        ValueError: furthest below 0; or as :func:`suggestions`.
    """
    furthest = validate.whole("furthest", furthest, 0)
    candidates = validate.whole("candidates", candidates)

    def repaired(match: re.Match[str]) -> str:
        word = match[0]
        lower = word.lower()
        if len(word) < 2 or lower in known or word in known or not known.has(lower):
            return word
        best, keystrokes, _ = suggestions(known, lower, 1, candidates)[0]
        if keystrokes > furthest:
            return word
        if word.isupper():
            return best.upper()
        return best.capitalize() if word[0].isupper() else best

    if known.subwords is None:
        suggestions(known, text)  # raises
    return re.sub(r"[^\W\d_]+", repaired, text)


def read(path: str) -> Vectors:
    """Read vectors (.safetensors, fastText's .bin or .bin.gz), or train FastText on a text.

    Trained vectors are small: only the form of words matters here.

    Raises:
        ValueError: a broken file, a file of word vectors that has no sub-words (.vec), or a text
            without words.
    """
    if path.endswith(".safetensors"):
        return read_saved(path)
    if path.endswith((".bin", ".bin.gz", ".ftz")):
        return fasttext_format.read_bin(path)
    if looks_like_vectors(path):
        raise ValueError(
            f"{path} is a file of word vectors, which has no sub-words to compare a misspelled "
            "word by: give the .bin file of the same model, or a text to learn from"
        )
    text = corpus.of_file(path, min_count=2)
    return Vectors.of(fasttext.train(text, Settings(size=50, epochs=3, buckets=200_000)))
