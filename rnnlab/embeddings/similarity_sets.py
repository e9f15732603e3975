"""Files of word similarity: two words and a number per line, in the layouts that are published.

Columns are separated by tabs, semicolons, commas or white space; blank lines and lines that begin
with "#" are skipped. There may be a header, and columns besides the three::

    tiger   cat     7.35                              WordSim-353, RG-65, MEN
    Word 1,Word 2,Human (mean)                        WordSim-353's combined.csv
    word1   word2   POS     SimLex999   conc(w1) …    SimLex-999
    take    remove  V       6.81        SYNONYMS      SimVerb-3500
    squishing  squirt  5.88  5  7  …                  Rare Words, with each person's number

A header names the columns. Without one the words come first, and the number is in the third
column, or after a column of part-of-speech tags in capital letters.
"""

import csv
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

_DELIMITERS = "\t;,"
_WORD = re.compile(r"(word|term|w)[ _-]?[\dab]?|(first|second) word", re.IGNORECASE)
_NUMBER = re.compile(
    r"human( ?\(mean\))?|(avg|mean|average)[ _.-]?\w*|(similarity|sim|relatedness)([ _.-]?score)?"
    r"|(gold|human)?[ _.-]?(score|rating|judge?ment)s?|gold|simlex999|simlex",
    re.IGNORECASE,
)
_TAG = re.compile(r"[A-Z]{1,5}")


class Row(NamedTuple):
    """A line's two words and number."""

    a: str
    b: str
    number: float


class _Columns(NamedTuple):
    """The places of both words and the number."""

    a: int
    b: int
    number: int


def rows(source: str, lines: Sequence[tuple[int, str]]) -> list[Row]:
    """Return the pairs of a file's lines, in order.

    Args:
        source: the path in messages.
        lines: (number, text) of each line that is not blank.
    Raises:
        ValueError: no pair; or a line of another form, with its number.

    >>> rows("", [(1, "word1,word2,score"), (2, "tiger,cat,7.35")])
    [Row(a='tiger', b='cat', number=7.35)]
    """
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    most = (d for d in _DELIMITERS if 2 * sum(d in line for _, line in lines) > len(lines))
    delimiter = next(most, "")
    table = [(number, line, _cells(line, delimiter)) for number, line in lines]
    columns = _Columns(0, 1, 2)
    if table and _is_header(table[0][2]):
        number, line, names = table.pop(0)
        if delimiter or all(len(cells) == len(names) for _, _, cells in table):
            columns = _named(source, number, line, names)
    elif table and _has_tag(table[0][2]):
        columns = _Columns(0, 1, 3)
    if not table:
        raise ValueError(f"{source} holds no pair of words: lines 'word, word, number' expected")
    width = len(table[0][2])
    found = []
    for number, line, cells in table:
        if len(cells) != width or width <= max(columns) or not _is_number(cells[columns.number]):
            raise ValueError(
                f"{source}, line {number}: word, word and number expected, separated by tabs, "
                f"commas or spaces and as many columns as on the lines before, got {line!r}; a "
                "header has names such as 'word1 word2 score'"
            )
        a, b = cells[columns.a], cells[columns.b]
        if not a or not b:
            raise ValueError(f"{source}, line {number}: a word is empty, got {line!r}")
        found.append(Row(a, b, float(cells[columns.number])))
    return found


def _cells(line: str, delimiter: str) -> list[str]:
    if not delimiter:
        return line.split()
    if delimiter == "\t":
        cells = line.split("\t")
    else:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    cells = [cell.strip() for cell in cells]
    while len(cells) > 3 and not cells[-1]:  # a delimiter at the end of the line
        cells.pop()
    return cells


def _is_header(cells: Sequence[str]) -> bool:
    if len(cells) < 3 or _is_number(cells[2]) or _has_tag(cells):
        return False
    return any(map(_WORD.fullmatch, cells)) or any(map(_NUMBER.fullmatch, cells[2:]))


def _has_tag(cells: Sequence[str]) -> bool:
    """Return whether a part of speech stands between the words and the number."""
    return len(cells) > 3 and bool(_TAG.fullmatch(cells[2])) and _is_number(cells[3])


def _named(source: str, number: int, line: str, names: Sequence[str]) -> _Columns:
    """Return the places that a header names; what it does not name is where it is without one."""
    words = [place for place, name in enumerate(names) if _WORD.fullmatch(name)]
    numbers = [place for place, name in enumerate(names) if _NUMBER.fullmatch(name)]
    a, b = words if len(words) == 2 else (0, 1)
    if not numbers and len(names) == 3:
        numbers = [2]
    if not numbers:
        raise ValueError(
            f"{source}, line {number}: the header names no column 'score', 'similarity' or "
            f"'Human (mean)', got {line!r}"
        )
    return _Columns(a, b, numbers[0])


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
