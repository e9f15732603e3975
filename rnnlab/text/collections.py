"""Test collections: documents, queries, and which document answers which query.

Files: the SMART format (cran.all.1400, cran.qry: fields after ``.I``, ``.T``, ``.W``) with
judgments in three columns, and TREC's judgments (qrels: query, 0, document, grade). From installed
packages: 50 news documents with graded human similarities, and movie reviews, each to be
retrieved by a few of its words.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.core.validate import whole
from rnnlab.data.files import checked, existing, packaged
from rnnlab.text.corpora import movie_reviews

CRANFIELD = ("cran.all.1400", "cran.qry", "cranqrel")
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
    """Read a SMART file.

    Args:
        path: the file, UTF-8 or Latin-1.
        fields: letters of the fields whose lines, in the file's order, make up a text: title T,
            author A, source B, words W.
    Returns:
        (ids, texts).
    Raises:
        FileNotFoundError: no such file.
        ValueError: text before the first ".I", or an id that is not a number.
    """
    file = existing(os.fspath(path))
    ids: list[int] = []
    texts: list[list[str]] = []
    field = ""
    for number, line in enumerate(_text(file).splitlines(), start=1):
        head = re.fullmatch(r"\.([A-Z])\s*(.*?)\s*", line)
        if head and head[1] == "I":
            if not head[2].isdigit():
                raise ValueError(f"{file}, line {number}: expected an id after .I, got {line!r}")
            ids.append(int(head[2]))
            texts.append([])
            field = ""
        elif not ids:
            if line.strip():
                raise ValueError(f"{file}, line {number}: SMART begins with .I, got {line!r:.60}")
        elif head and not head[2]:
            field = head[1]
        elif field and field in fields:
            texts[-1].append(line)
    if not ids:
        raise ValueError(f"{file} is not a SMART file: it has no line .I")
    return ids, ["\n".join(lines) for lines in texts]


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_judgments(path: str | os.PathLike[str]) -> list[tuple[int, int, int]]:
    """Read a file of judgments.

    A line has four columns (TREC: query, 0, document, grade) or three (query, document, grade),
    all whole numbers.

    Returns:
        (query, document, grade) of each line.
    Raises:
        FileNotFoundError: no such file.
        ValueError: a line of another form; the message names its number.
    """
    file = existing(os.fspath(path))
    judgments = []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        columns = line.split()
        if not columns:
            continue
        try:
            numbers = [int(column) for column in columns]
            query, document, grade = (
                (numbers[0], *numbers[2:]) if len(numbers) == 4 else tuple(numbers)
            )
        except ValueError:
            raise ValueError(
                f"{file}, line {number}: expected whole numbers 'query 0 document grade' or "
                f"'query document grade', got {line!r:.60}"
            ) from None
        judgments.append((query, document, grade))
    if not judgments:
        raise ValueError(f"{file} holds no judgment")
    return judgments


def smart_collection(
    documents: str | os.PathLike[str],
    queries: str | os.PathLike[str],
    judgments: str | os.PathLike[str],
    *,
    gains: dict[int, float] | None = None,
    by_position: bool = True,
    fields: str = "TW",
) -> Collection:
    """Read a collection in SMART format.

    Args:
        documents, queries, judgments: paths.
        gains: of each grade; None: the grade itself, negative ones 0. Cranfield's grade 1 is the
            best, 4 the weakest, −1 not relevant: see :func:`cranfield`.
        by_position: judgments number queries 1, 2, … in the file's order (Cranfield's ``.I`` of
            queries are other numbers); False: by their ``.I``.
        fields: of documents, see :func:`read_smart`.
    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: a judgment of an unknown document or query, or a grade without a gain.
    """
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


def cranfield(folder: str | os.PathLike[str]) -> Collection:
    """Read the Cranfield collection: 1,400 abstracts, 225 queries, 1,837 graded judgments.

    Grades 1 (a complete answer) to 4 (of minimum interest) become gains 4 to 1, −1 becomes 0.

    Args:
        folder: the folder of cran.all.1400, cran.qry and cranqrel.
    Raises:
        FileNotFoundError: one of them is missing.
    """
    root = Path(folder).expanduser()
    gains = {-1: 0.0, 0: 0.0, 1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    paths = [root / name for name in CRANFIELD]
    # field W of a document begins with its title
    return smart_collection(*paths, gains=gains, fields="W")


def lee(least: float = 0.5) -> Collection:
    """Read 50 news documents, each the query for the 49 others, judged by people (Lee et al. 2005).

    The gain is the mean similarity that people gave the two documents, from 0.2 (nothing in
    common) to 1; the document itself is not judged (leave it out of its ranking).

    Args:
        least: similarities below it count as 0, not relevant.
    Raises:
        ValueError: gensim, whose files these are, is not installed.
    """
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
        ValueError: rnnlab[data] is not installed; more queries than reviews of that many words.
    """
    rng = np.random.default_rng(seed)
    texts = movie_reviews().texts
    documents = whole("documents", documents, 1, len(texts))
    chosen = [texts[i] for i in rng.permutation(len(texts))[:documents]]
    vocabularies = [sorted(set(re.findall(r"\w+", text.lower()))) for text in chosen]
    long_enough = [i for i, distinct in enumerate(vocabularies) if len(distinct) >= words]
    queries = whole("queries", queries, 1, len(long_enough))
    answers = rng.choice(long_enough, queries, replace=False).tolist()
    query_texts = [" ".join(rng.choice(vocabularies[i], words, replace=False)) for i in answers]
    return Collection(chosen, query_texts, [{i: 1.0} for i in answers])
