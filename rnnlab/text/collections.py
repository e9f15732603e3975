"""Test collections: documents, queries, and which document answers which query.

Files: the SMART collections as they are distributed (Cranfield, CISI, CACM, MED, ADI: see
:func:`smart`), and TREC's judgments. From installed packages: 50 news documents with graded human
similarities, and movie reviews, each to be retrieved by a few of its words.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.core.errors import listed
from rnnlab.data.files import checked, decoded, existing, packaged, split_lines
from rnnlab.text.corpora import movie_reviews

FIELDS = "TABWKCNX"  # of a SMART file, besides the id I
CRANFIELD = ("cran.all.1400", "cran.qry", "cranqrel")
CRANFIELD_GAINS = {-1: 0.0, 0: 0.0, 1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
_REPEATED = 0.9  # share of the documents whose words begin with the title, for it to be left out
# files of a folder, by their names
_NAMES = {
    "documents": r"\.all(\.\d+)?$",
    "queries": r"\.(qry|que)$|^(query|queries)\b",
    "judgments": r"\.rel$|qrel",
}
_EXAMPLES = {
    "documents": ("cran.all.1400", "CISI.ALL"),
    "queries": ("cran.qry", "CISI.QRY", "query.text"),
    "judgments": ("cranqrel", "CISI.REL", "qrels.text"),
}
# of gensim 4.4.0
_LEE = {
    "lee.cor": "a878f9a58f6743c32985c56c2f2f75988386216b38a4023a01fd3bcf7884d93e",
    "similarities0-1.txt": "23762bc6b728897144dda3d324a2c032dc1e059e1009806226d64b6dd123ed79",
}


class Collection(NamedTuple):
    """Documents, queries, and per query {place of a document: gain ≥ 0}."""

    documents: list[str]
    queries: list[str]
    judgments: list[dict[int, float]]


def read_smart(path: str | os.PathLike[str], fields: str = "TW") -> tuple[list[int], list[str]]:
    """Read a SMART file of documents or queries.

    Args:
        path: the file, UTF-8 or Latin-1.
        fields: letters of the fields whose lines, in the file's order, make up a text: title T,
            author A, source B, words W, keywords K, categories C, entry N, citations X.
    Returns:
        (ids, texts).
    Raises:
        FileNotFoundError: no such file.
        ValueError: text before the first ".I", an id that is not a number or occurs twice, an
            unknown field, or none of the fields in the whole file.
    """
    for field in fields or " ":
        validate.choice("field of a SMART file", field, FIELDS)
    entries = _entries(path)
    if not any(field in fields for entry in entries for field, _ in entry.lines):
        found = "".join(sorted({field for entry in entries for field, _ in entry.lines}))
        raise ValueError(f"{path} has no field of {fields!r}, it has {found!r}")
    return [entry.number for entry in entries], [entry.text(fields) for entry in entries]


class _Entry(NamedTuple):
    """A document or query: its number, and its lines with the letter of their field."""

    number: int
    lines: list[tuple[str, str]]

    def text(self, fields: str) -> str:
        return "\n".join(line for field, line in self.lines if field in fields)


def _entries(path: str | os.PathLike[str]) -> list[_Entry]:
    file = existing(os.fspath(path))
    entries: list[_Entry] = []
    first: dict[int, int] = {}  # line of each id
    field = ""
    for number, line in enumerate(_lines(file), start=1):
        # a field begins with its letter alone on a line, or with text after a space
        head = re.fullmatch(rf"\.([I{FIELDS}])(?:\s+(.*?))?\s*", line)
        if head and head[1] == "I":
            if not (head[2] or "").isdecimal():
                raise ValueError(f"{file}, line {number}: expected an id after .I, got {line!r}")
            this = int(head[2])
            if this in first:
                raise ValueError(
                    f"{file}, line {number}: id {this} occurs again, it is that of line "
                    f"{first[this]}"
                )
            first[this] = number
            entries.append(_Entry(this, []))
            field = ""
        elif not entries:
            if line.strip():
                raise ValueError(f"{file}, line {number}: SMART begins with .I, got {line!r:.60}")
        elif head:
            field = head[1]
            if head[2]:
                entries[-1].lines.append((field, head[2]))
        elif field:
            entries[-1].lines.append((field, line))
        elif line.strip():
            raise ValueError(
                f"{file}, line {number}: a field such as .W expected after .I, got {line!r:.60}"
            )
    if not entries:
        raise ValueError(f"{file} is not a SMART file: it has no line .I")
    return entries


def _lines(file: Path) -> list[str]:
    content = file.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:  # as of CISI
        content = content.decode("latin-1").encode()
    return split_lines(decoded(content, file))


def read_judgments(path: str | os.PathLike[str]) -> list[tuple[int, int, int]]:
    """Read a file of judgments.

    The layouts, which are told apart by the columns of the whole file:

    ========================  ================================================================
    query document            the documents that are relevant: grade 1
    query document grade      Cranfield
    query document 0 0.000    CISI, CACM, ADI: the documents that are relevant: grade 1
    query document 0 grade    the same with grades, in the third or fourth column
    query 0 document grade    TREC (qrels), MED; also with "Q0"; without the grade: grade 1
    ========================  ================================================================

    A header and blank lines are skipped, as are lines that begin with "#".

    Returns:
        (query, document, grade) of each line.
    Raises:
        FileNotFoundError: no such file.
        ValueError: a line of another form; the message names its number.
    """
    file = existing(os.fspath(path))
    rows: list[list[int]] = []
    header = True  # a line of words may come first
    for number, line in enumerate(_lines(file), start=1):
        columns = line.replace(",", " ").replace(";", " ").split()
        if not columns or columns[0].startswith("#"):
            continue
        if header and not any(map(_is_number, columns)):
            header = False
            continue
        header = False
        row = _numbers(columns)
        if row is None or len(row) != len(rows[0] if rows else row):
            raise ValueError(
                f"{file}, line {number}: expected whole numbers 'query 0 document grade' or "
                f"'query document grade', as on the lines before, got {line!r:.60}"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{file} holds no judgment")
    query, second, *rest = (list(column) for column in zip(*rows, strict=True))
    if rest and not any(second):  # TREC's, whose grades may all be 0
        second, *rest = rest
        graded = rest
    else:
        graded = [column for column in rest if any(column)]
    if len(graded) > 1:
        raise ValueError(
            f"{file}: both columns after the document hold numbers, so that the grade is not "
            "known: one column expected"
        )
    grades = graded[0] if graded else [1] * len(rows)
    return list(zip(query, second, grades, strict=True))


def _numbers(columns: list[str]) -> list[int] | None:
    """Return two to four whole numbers, also written as 1.000; None for anything else."""
    if not 2 <= len(columns) <= 4 or not all(map(_is_number, columns)):
        return None
    values = [0.0 if column == "Q0" else float(column) for column in columns]
    return [int(value) for value in values] if all(map(float.is_integer, values)) else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?|Q0", text) is not None


def smart_collection(
    documents: str | os.PathLike[str],
    queries: str | os.PathLike[str],
    judgments: str | os.PathLike[str],
    *,
    gains: dict[int, float] | None = None,
    by_position: bool = True,
    fields: str | None = None,
) -> Collection:
    """Read a collection in SMART format.

    Args:
        documents, queries, judgments: paths.
        gains: of each grade; None: the grade itself, negative ones 0. Cranfield's grade 1 is the
            best, 4 the weakest, −1 not relevant: see :func:`cranfield`.
        by_position: judgments number queries 1, 2, … in the file's order (Cranfield's ``.I`` of
            queries are other numbers); False: by their ``.I``.
        fields: of documents, see :func:`read_smart`; None: title and words, the title once where
            the field of words begins with it (Cranfield).
    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: a judgment of an unknown document or query, or a grade without a gain.
    """
    if fields is None:
        document_ids, texts = _titles_and_words(documents)
    else:
        document_ids, texts = read_smart(documents, fields)
    query_ids, query_texts = read_smart(queries)
    place = {number: i for i, number in enumerate(document_ids)}
    if by_position:
        query_place = {number: number - 1 for number in range(1, len(query_texts) + 1)}
    else:
        query_place = {number: i for i, number in enumerate(query_ids)}
    gains_by_query: list[dict[int, float]] = [{} for _ in query_texts]
    for query, document, grade in read_judgments(judgments):
        for kind, number, places in (
            ("query", query, query_place),
            ("document", document, place),
        ):
            if number not in places:
                raise ValueError(f"{judgments}: judges {kind} {number}, which does not exist")
        if gains is not None and grade not in gains:
            raise ValueError(f"{judgments}: grade {grade} of query {query} has no gain")
        gain = float(max(grade, 0)) if gains is None else gains[grade]
        judged = gains_by_query[query_place[query]]
        judged[place[document]] = max(judged.get(place[document], 0.0), gain)
    return Collection(texts, query_texts, gains_by_query)


def _titles_and_words(path: str | os.PathLike[str]) -> tuple[list[int], list[str]]:
    entries = _entries(path)
    both = [(e.text("T").split(), e.text("W").split()) for e in entries]
    both = [(title, words) for title, words in both if title and words]
    repeated = sum(words[: len(title)] == title for title, words in both)
    # a few of Cranfield's titles are spelled in another way where they are repeated
    once = repeated > _REPEATED * len(both)
    texts = [(once and e.text("W")) or e.text("TW") for e in entries]
    if not any(texts):
        raise ValueError(f"{path} has neither titles (.T) nor words (.W)")
    return [entry.number for entry in entries], texts


def smart(folder: str | os.PathLike[str], *, gains: dict[int, float] | None = None) -> Collection:
    """Read the SMART collection of a folder: Cranfield, CISI, CACM, MED, ADI and others.

    Args:
        folder: with one file each of documents (named .all, as cran.all.1400, CISI.ALL, cacm.all),
            queries (.qry, as cran.qry, CISI.QRY; or query.text) and judgments (.rel or qrel, as
            CISI.REL, cranqrel, qrels.text), in upper or lower case.
        gains: see :func:`smart_collection`; of Cranfield: :data:`CRANFIELD_GAINS`.
    Raises:
        FileNotFoundError: one of them is missing, or there are several; the message names them.
        ValueError: as :func:`smart_collection`.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {str(folder)!r}")
    if all((root / name).is_file() for name in CRANFIELD):
        paths = [root / name for name in CRANFIELD]
    else:
        paths = [_only(root, kind, pattern) for kind, pattern in _NAMES.items()]
    return smart_collection(*paths, gains=gains)


def _only(root: Path, kind: str, pattern: str) -> Path:
    names = [file.name for file in root.iterdir() if file.is_file()]
    found = sorted(name for name in names if re.search(pattern, name, re.IGNORECASE))
    if len(found) != 1:
        got = f"several: {listed(found)}" if found else f"none among {listed(sorted(names))}"
        raise FileNotFoundError(
            f"{root}: one file of {kind} expected, with a name as "
            f"{' or '.join(_EXAMPLES[kind])}, got {got}"
        )
    return root / found[0]


def cranfield(folder: str | os.PathLike[str]) -> Collection:
    """Read the Cranfield collection: 1,400 abstracts, 225 queries, 1,837 graded judgments.

    Grades 1 (a complete answer) to 4 (of minimum interest) become gains 4 to 1, −1 becomes 0.

    Args:
        folder: the folder of cran.all.1400, cran.qry and cranqrel.
    Raises:
        FileNotFoundError: one of them is missing.
    """
    root = Path(folder).expanduser()
    return smart_collection(*(root / name for name in CRANFIELD), gains=CRANFIELD_GAINS)


def lee(least: float = 0.5) -> Collection:
    """Read 50 news documents, each the query for the 49 others, judged by people (Lee et al. 2005).

    The gain is the mean similarity that people gave the two documents, from 0.2 (nothing in
    common) to 1; the document itself is not judged (leave it out of its ranking).

    Args:
        least: similarities below it count as 0, not relevant.
    Raises:
        ValueError: gensim, whose files these are, is not installed; least is no number.
    """
    least = validate.number("least", least)
    folder = packaged("gensim", "test/test_data", "the Lee news documents")
    contents = [
        checked((folder / name).read_bytes(), digest, f"{folder / name} is not gensim 4.4.0's")
        for name, digest in _LEE.items()
    ]
    documents = contents[0].decode("latin-1").splitlines()
    table = np.array([line.split() for line in contents[1].decode().splitlines()], float)
    table = np.maximum(table, table.T)  # the file fills one triangle
    judgments = [
        {j: float(gain) for j, gain in enumerate(row) if j != i and gain >= least}
        for i, row in enumerate(table)
    ]
    return Collection(documents, documents, judgments)


def known_items(
    documents: int = 5000, queries: int = 500, words: int = 6, seed: int = 0
) -> Collection:
    """Make a collection of movie reviews, each query a few words of the review to retrieve.

    A query's words are drawn from its review's distinct words, frequent ones of the review as
    likely as rare ones, and shuffled.

    Args:
        documents: number of reviews.
        queries: number of reviews that have a query.
        words: words per query; reviews with fewer have none.
        seed: of the choices.
    Raises:
        ValueError: rnnlab[data] is not installed; more queries than reviews of that many words; no
            word.
    """
    words = validate.whole("words", words)
    rng = np.random.default_rng(seed)
    texts = movie_reviews().texts
    documents = validate.whole("documents", documents, 1, len(texts))
    chosen = [texts[i] for i in rng.permutation(len(texts))[:documents]]
    vocabularies = [sorted(set(re.findall(r"\w+", text.lower()))) for text in chosen]
    long_enough = [i for i, distinct in enumerate(vocabularies) if len(distinct) >= words]
    queries = validate.whole("queries", queries, 1, len(long_enough))
    answers = rng.choice(long_enough, queries, replace=False).tolist()
    query_texts = [" ".join(rng.choice(vocabularies[i], words, replace=False)) for i in answers]
    return Collection(chosen, query_texts, [{i: 1.0} for i in answers])
