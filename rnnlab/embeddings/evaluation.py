"""How good word vectors are: word similarity against people's, analogies by section.

What the vectors do not know is left out and counted: a score means little without its coverage.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import unknown
from rnnlab.data import files
from rnnlab.embeddings.vectors import Vectors, unit

# the sets that gensim 4.4.0 ships: (their file in the package, its SHA-256)
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
_BLOCK = 2**24  # scores of analogies held at a time


class Pair(NamedTuple):
    """Two words and how similar people find them."""

    a: str
    b: str
    similarity: float


class Question(NamedTuple):
    """a is to b as c is to d."""

    a: str
    b: str
    c: str
    d: str


# ---- the sets ----------------------------------------------------------------------------------


def pairs(source: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a set of word similarity.

    Args:
        source: "wordsim353" (Finkelstein et al. 2002) or "simlex999" (Hill et al. 2015), which
            come with gensim; or a UTF-8 file with lines "word<TAB>word<TAB>number", "#" comments.
    Raises:
        FileNotFoundError: neither. ValueError: gensim is not installed; a line of another form.
    """
    found = []
    for number, line in _lines(source, SIMILARITY):
        if line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        try:
            a, b, similarity = cells
            found.append(Pair(a, b, float(similarity)))
        except ValueError:
            raise ValueError(
                f"{source}, line {number}: word, word and number expected, separated "
                f"by tabs, got {line!r}"
            ) from None
    return found


def questions(source: str | os.PathLike[str] = "questions-words") -> dict[str, list[Question]]:
    """{section: its analogies}.

    Args:
        source: "questions-words" (Mikolov et al. 2013), which comes with gensim; or a UTF-8 file
            with lines ": section" and lines of four words.
    Raises:
        FileNotFoundError: neither. ValueError: gensim is not installed; a line of another form.
    """
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(source, ANALOGIES):
        words = line.split()
        if line.startswith(":"):
            current = sections.setdefault(line[1:].strip(), [])
        elif current is None or len(words) != 4:
            wanted = "': section' first" if current is None else "four words"
            raise ValueError(f"{source}, line {number}: {wanted} expected, got {line!r}")
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
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not UTF-8: {error}") from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


# ---- word similarity ---------------------------------------------------------------------------


class WordSimilarity(NamedTuple):
    """Correlations over the pairs that were scored, and how many could not be."""

    spearman: float
    pearson: float
    scored: int  # pairs that the correlations are over
    unseen: int  # pairs with a word that is not in the vocabulary
    total: int  # pairs of the set

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
    """Spearman's ρ between cosines and people's judgments.

    Args:
        source: see :func:`pairs`.
        unseen: what becomes of a pair with a word that is not in the vocabulary: "skip"; "zero",
            its cosine is 0; "subwords", the word's vector is made of its n-grams.
        fold_case: "King" is "king"; of several spellings the most frequent is taken.
        restrict: only the first so many words are known.
    Raises:
        ValueError: fewer than two pairs can be scored; an unknown ``unseen``; or as
            :func:`pairs`.
    """
    from scipy import stats

    if unseen not in UNSEEN:
        raise ValueError(unknown("unseen", unseen, UNSEEN))
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
    spearman = float(stats.spearmanr(judged, cosines).statistic)  # pyright: ignore
    pearson = float(stats.pearsonr(judged, cosines).statistic)  # pyright: ignore
    return WordSimilarity(spearman, pearson, len(judged), missing, len(all_pairs))


# ---- analogies ---------------------------------------------------------------------------------


class Section(NamedTuple):
    """Analogies of one kind."""

    name: str
    right: int
    asked: int  # those whose four words are all in the vocabulary
    unseen: int  # the others

    @property
    def accuracy(self) -> float:
        """Of those asked; nan where none was."""
        return self.right / self.asked if self.asked else float("nan")

    @property
    def coverage(self) -> float:
        """The share that was asked."""
        return self.asked / max(self.asked + self.unseen, 1)


class Analogies(NamedTuple):
    """The sections in their order."""

    sections: tuple[Section, ...]

    @property
    def total(self) -> Section:
        """All of them as one."""
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
    """How many of "a is to b as c is to ?" are answered by d.

    Args:
        source: see :func:`questions`.
        method: "3cosadd" or "3cosmul", see :mod:`rnnlab.embeddings.vectors`.
        fold_case: "King" is "king"; of several spellings the most frequent is taken, and no
            spelling of a, b or c is an answer.
        restrict: only the first so many words are known, as questions or as answers.
    Raises:
        ValueError: an unknown method; or as :func:`questions`.
    """
    fold = _fold(fold_case)
    rows = _first_rows(vectors, fold, restrict)
    spellings: dict[str, list[int]] = {}
    for row, word in enumerate(vectors.words[:restrict]):
        spellings.setdefault(fold(word), []).append(row)
    sections = []
    for name, asked in questions(source).items():
        folded = [Question(*map(fold, question)) for question in asked]
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
    return str.upper if fold_case else str  # upper: as gensim and word2vec's compute-accuracy


def _first_rows(
    vectors: Vectors, fold: Callable[[str], str], restrict: int | None
) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, word in enumerate(vectors.words[:restrict]):
        rows.setdefault(fold(word), row)
    return rows
