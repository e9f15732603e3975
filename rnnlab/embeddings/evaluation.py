"""Evaluation of word vectors: word similarity against human judgments, analogies by section.

Unknown words are left out and counted: a score means little without its coverage.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.data import files
from rnnlab.embeddings import similarity_sets
from rnnlab.embeddings.vectors import METHODS, Vectors, unit

# the data sets that gensim 4.4.0 ships: (file in the package, its SHA-256)
SIMILARITY = {
    "wordsim353": (
        "wordsim353.tsv",
        "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d",
    ),
    "simlex999": (
        "simlex999.txt",
        "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d",
    ),
}
ANALOGIES = {
    "questions-words": (
        "questions-words.txt",
        "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
    ),
}
UNSEEN = ("skip", "zero", "subwords")
_BLOCK = 2**24  # scores of analogies in memory at a time


class Pair(NamedTuple):
    """Two words and their similarity as judged by people."""

    a: str
    b: str
    similarity: float


class Question(NamedTuple):
    """a is to b as c is to d."""

    a: str
    b: str
    c: str
    d: str


# ---- data sets ---------------------------------------------------------------------------------


def pairs(source: str | os.PathLike[str]) -> list[Pair]:
    """Read the pairs of a word similarity data set, in any of its usual layouts.

    Args:
        source: "wordsim353" (Finkelstein et al. 2002) or "simlex999" (Hill et al. 2015), which
            come with gensim; or a UTF-8 file with a pair per line: see
            :mod:`rnnlab.embeddings.similarity_sets`.
    Raises:
        FileNotFoundError: no such data set or file. ValueError: gensim is not installed; a
            malformed line.
    """
    rows = similarity_sets.rows(str(source), _lines(source, SIMILARITY))
    return [Pair(*row) for row in rows]


def questions(source: str | os.PathLike[str] = "questions-words") -> dict[str, list[Question]]:
    """Read the analogies of a data set as {section: analogies}.

    Args:
        source: "questions-words" (Mikolov et al. 2013), which comes with gensim; or a UTF-8 file
            with lines ": section" and lines of four words; lines that begin with "#" or "//" are
            comments.
    Raises:
        FileNotFoundError: no such data set or file. ValueError: gensim is not installed; a
            malformed line.
    """
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(source, ANALOGIES):
        words = line.split()
        if line.startswith(("#", "//")):
            continue
        if line.startswith(":"):
            current = sections.setdefault(line[1:].strip(), [])
        elif current is None or len(words) != 4:
            expected = "': section' first" if current is None else "four words"
            raise ValueError(f"{source}, line {number}: {expected} expected, got {line!r}")
        else:
            current.append(Question(*words))
    return sections


def _lines(
    source: str | os.PathLike[str], named: dict[str, tuple[str, str]]
) -> list[tuple[int, str]]:
    if source in named:
        inner, digest = named[str(source)]
        path = files.packaged("gensim", f"test/test_data/{inner}", f"the words of {source}")
        data = files.checked(path.read_bytes(), digest, f"{path} is not gensim 4.4.0's")
    elif Path(source).expanduser().is_file():
        data = Path(source).expanduser().read_bytes()
    else:
        raise FileNotFoundError(f"no file {str(source)!r}, and " + unknown("set", source, named))
    lines = files.split_lines(files.decoded(data, source))
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


# ---- word similarity ---------------------------------------------------------------------------


class WordSimilarity(NamedTuple):
    """Correlations over the scored pairs, and the number of other pairs."""

    spearman: float
    pearson: float
    scored: int  # pairs in the correlations
    unseen: int  # pairs with a word that is not in the vocabulary
    total: int  # pairs of the data set

    @property
    def coverage(self) -> float:
        """The share of pairs whose words are both in the vocabulary."""
        return 1 - self.unseen / self.total


def word_similarity(
    vectors: Vectors,
    source: str | os.PathLike[str] = "wordsim353",
    *,
    unseen: str = "skip",
    fold_case: bool = True,
    restrict: int | None = None,
) -> WordSimilarity:
    """Compute the correlations of cosines with human judgments.

    Args:
        source: see :func:`pairs`.
        unseen: how to treat a pair with a word that is not in the vocabulary: "skip" it; "zero":
            its cosine is 0; "subwords": the word's vector is composed of its n-grams.
        fold_case: whether "King" equals "king"; the most frequent spelling is taken.
        restrict: use the first ``restrict`` words only; None: all.
    Raises:
        ValueError: fewer than two pairs can be scored; cosines or judgments that are all the same,
            which have no correlation; an unknown ``unseen``; restrict below 1; or as :func:`pairs`.
    """
    from scipy import stats

    validate.choice("unseen", unseen, UNSEEN)
    if unseen == "subwords" and vectors.subwords is None:
        raise ValueError("unseen='subwords' needs vectors that have sub-words")
    fold = _fold(fold_case)
    rows = _first_rows(vectors, fold, restrict)
    judged, cosines, missing = [], [], 0

    def vector(word: str) -> np.ndarray:
        row = rows.get(fold(word))
        return vectors[word.lower() if fold_case else word] if row is None else vectors.matrix[row]

    all_pairs = pairs(source)
    for a, b, similarity in all_pairs:
        known = fold(a) in rows and fold(b) in rows
        missing += not known
        if known or unseen == "subwords":
            cosines.append(float(np.prod(unit(np.stack([vector(a), vector(b)])), axis=0).sum()))
        elif unseen == "zero":
            cosines.append(0.0)
        else:
            continue
        judged.append(similarity)
    if len(judged) < 2:
        raise ValueError(
            f"{source}: {len(judged)} of {len(all_pairs)} pairs can be scored, "
            "at least 2 are needed"
        )
    for name, values in (("judgments", judged), ("cosines", cosines)):
        if min(values) == max(values):
            raise ValueError(
                f"{source}: the {name} of the {len(values)} pairs are all {values[0]:g}, so that "
                "there is no correlation"
            )
    spearman = float(stats.spearmanr(judged, cosines).statistic)  # pyright: ignore
    pearson = float(stats.pearsonr(judged, cosines).statistic)  # pyright: ignore
    return WordSimilarity(spearman, pearson, len(judged), missing, len(all_pairs))


# ---- analogies ---------------------------------------------------------------------------------


class Section(NamedTuple):
    """The answers to the analogies of one section."""

    name: str
    right: int
    asked: int  # analogies whose four words are all in the vocabulary
    unseen: int  # other analogies

    @property
    def accuracy(self) -> float:
        """The share of right answers among the analogies asked; NaN if there is none."""
        return self.right / self.asked if self.asked else float("nan")

    @property
    def coverage(self) -> float:
        """The share of analogies that was asked."""
        return self.asked / max(self.asked + self.unseen, 1)


class Analogies(NamedTuple):
    """The sections in the order of the file."""

    sections: tuple[Section, ...]

    @property
    def total(self) -> Section:
        """The sums over all sections."""
        return Section(
            "total",
            sum(section.right for section in self.sections),
            sum(section.asked for section in self.sections),
            sum(section.unseen for section in self.sections),
        )


def analogies(
    vectors: Vectors,
    source: str | os.PathLike[str] = "questions-words",
    *,
    method: str = "3cosadd",
    fold_case: bool = True,
    restrict: int | None = 300_000,
) -> Analogies:
    """Answer the analogies "a is to b as c is to ?", whose right answer is d.

    Args:
        source: see :func:`questions`.
        method: "3cosadd" or "3cosmul", see :mod:`rnnlab.embeddings.vectors`.
        fold_case: whether "King" equals "king"; the most frequent spelling is taken, and no
            spelling of a, b or c is an answer.
        restrict: use the first ``restrict`` words only, in questions and answers; None: all.
    Raises:
        ValueError: an unknown method; restrict below 1; or as :func:`questions`.
    """
    validate.choice("method", method, METHODS)
    fold = _fold(fold_case)
    rows = _first_rows(vectors, fold, restrict)
    spellings: dict[str, list[int]] = {}
    for row, word in enumerate(vectors.words[:restrict]):
        spellings.setdefault(fold(word), []).append(row)
    sections = []
    for name, section in questions(source).items():
        folded = [Question(*map(fold, question)) for question in section]
        known = [question for question in folded if all(word in rows for word in question)]
        right = 0
        block = max(1, _BLOCK // len(rows))
        for start in range(0, len(known), block):
            part = known[start : start + block]
            ids = np.array([[rows[word] for word in question] for question in part])
            abc = vectors.matrix[ids[:, :3]].transpose(1, 0, 2)
            scores = vectors.analogy_scores(abc, method, restrict)
            for n, question in enumerate(part):
                for word in question[:3]:
                    scores[n, spellings[word]] = -np.inf
            best = scores.argmax(axis=1)
            right += sum(
                fold(vectors.words[int(row)]) == question.d
                for row, question in zip(best, part, strict=True)
            )
        sections.append(Section(name, right, len(known), len(folded) - len(known)))
    return Analogies(tuple(sections))


def _fold(fold_case: bool) -> Callable[[str], str]:
    return str.upper if fold_case else str  # upper case as in gensim and compute-accuracy.c


def _first_rows(
    vectors: Vectors, fold: Callable[[str], str], restrict: int | None
) -> dict[str, int]:
    if restrict is not None:
        validate.whole("restrict", restrict)
    rows: dict[str, int] = {}
    for row, word in enumerate(vectors.words[:restrict]):
        rows.setdefault(fold(word), row)
    return rows
