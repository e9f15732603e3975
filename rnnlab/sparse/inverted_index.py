"""Inverted index: the documents that hold each term, and how often; the index of BM25.

Built by one sort of packed (term, document) codes; saved as plain arrays, mapped into memory when
loaded. For collections beyond memory, :mod:`rnnlab.sparse.external_index` writes the same files.
"""

import functools
import itertools
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from rnnlab.core.read_only import frozen, sealed
from rnnlab.text.tokenizers import Tokens

FORMAT = "rnnlab inverted index"
VERSION = 1
ARRAYS = {
    "offsets": np.dtype(np.int64),
    "documents": np.dtype(np.int32),
    "counts": np.dtype(np.int32),
    "lengths": np.dtype(np.int32),
}


@dataclass(frozen=True, eq=False)
class InvertedIndex:
    """N documents, V terms and P postings; a posting is a term in a document.

    Arrays are copied, so that later changes to them have no effect; read-only ones are not.

    Args:
        terms: (V,), distinct; a term's number is its place.
        offsets: (V+1,) int64: term t has the postings offsets[t] … offsets[t+1].
        documents: (P,) int32, rising within a term.
        counts: (P,) int32, TF(t, d), occurrences of the term in the document.
        lengths: (N,) int32, |d|, tokens of each document.
        mapped: whether the arrays are files mapped into memory, to be read in parts.

    >>> from rnnlab.text.tokenizers import tokenize
    >>> index = InvertedIndex.build(tokenize(["a rose is a rose", "a name"]))
    >>> index.terms.to_pylist(), index.document_frequencies.tolist()
    (['a', 'rose', 'is', 'name'], [2, 1, 1, 1])
    >>> index.documents.tolist(), index.counts.tolist(), index.lengths.tolist()
    ([0, 1, 0, 0, 1], [2, 1, 2, 1, 1], [5, 2])
    """

    terms: pa.StringArray
    offsets: np.ndarray
    documents: np.ndarray
    counts: np.ndarray
    lengths: np.ndarray
    mapped: bool = False

    def __post_init__(self) -> None:
        for name in ARRAYS:  # what a query needs is computed from them once
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @classmethod
    def build(cls, tokens: Tokens) -> "InvertedIndex":
        """Build the index of tokenized documents.

        Raises:
            ValueError: more than 2³¹−1 documents.
        """
        term_ids, documents, counts = postings(tokens.codes, tokens.offsets)
        offsets = np.zeros(len(tokens.terms) + 1, np.int64)
        np.cumsum(np.bincount(term_ids, minlength=len(tokens.terms)), out=offsets[1:])
        lengths = np.diff(tokens.offsets).astype(np.int32)
        for array in (offsets, documents, counts, lengths):
            sealed(array)
        return cls(tokens.terms, offsets, documents, counts, lengths)

    @property
    def num_documents(self) -> int:
        """Number of documents N, empty ones included."""
        return len(self.lengths)

    @functools.cached_property
    def document_frequencies(self) -> np.ndarray:
        """Number of documents that have each term: (V,) int64."""
        return np.diff(self.offsets)

    @functools.cached_property
    def average_length(self) -> float:
        """Mean number of tokens per document, avgdl; 1 if there is no token at all."""
        total = float(np.sum(self.lengths, dtype=np.int64))
        return total / self.num_documents if total else 1.0

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return dict(zip(self.terms.to_pylist(), range(len(self.terms)), strict=True))

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """Return the numbers of words, (n,) int64, −1 for a word of no document."""
        return np.fromiter(map(self._places.get, words, itertools.repeat(-1)), np.int64)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index into a folder, which is created.

        Raises:
            FileExistsError: the path exists.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=False)
        for name, dtype in ARRAYS.items():
            np.save(folder / f"{name}.npy", np.asarray(getattr(self, name), dtype))
        finish(folder, self.terms, self.num_documents, len(self.documents))

    @classmethod
    def load(cls, path: str | os.PathLike[str], mapped: bool = True) -> "InvertedIndex":
        """Load an index that :meth:`save` or the external build wrote; nothing is unpickled.

        Args:
            path: the folder.
            mapped: leave the arrays on disk and read the parts that queries need; False: read all.
        Raises:
            FileNotFoundError: no index there.
            ValueError: files that do not fit together.
        """
        folder = Path(path)
        about = folder / "index.json"
        if not about.is_file():
            raise FileNotFoundError(f"{folder} is not a saved index: it has no index.json")
        header = json.loads(about.read_text(encoding="utf-8"))
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise ValueError(
                f"{about}: expected format {FORMAT!r}, version {VERSION}, got "
                f"{header.get('format')!r}, {header.get('version')!r}"
            )
        mode = "r" if mapped else None
        arrays = {
            name: _loaded(folder / f"{name}.npy", dtype, mode) for name, dtype in ARRAYS.items()
        }
        with pa.memory_map(str(folder / "terms.arrow"), "r") as file:
            terms = pa.ipc.open_file(file).read_all().column("term").combine_chunks()
        expected = {
            "offsets": header["terms"] + 1,
            "documents": header["postings"],
            "counts": header["postings"],
            "lengths": header["documents"],
        }
        for name, size in expected.items():
            if arrays[name].shape != (size,):
                raise ValueError(f"{folder}/{name}.npy: expected {size}, got {arrays[name].shape}")
        if len(terms) != header["terms"]:
            raise ValueError(f"{folder}/terms.arrow: expected {header['terms']}, got {len(terms)}")
        return cls(terms, **arrays, mapped=mapped)


def _loaded(path: Path, dtype: np.dtype, mode: Literal["r"] | None) -> np.ndarray:
    empty = path.stat().st_size <= 128  # an empty array cannot be mapped
    array = np.load(path, mmap_mode=None if empty else mode, allow_pickle=False)
    if array.dtype != dtype:
        raise ValueError(f"{path}: expected {dtype}, got {array.dtype}")
    return sealed(array)


def finish(folder: Path, terms: pa.StringArray, documents: int, postings: int) -> None:
    """Write the terms and, last, index.json, without which the index does not load."""
    table = pa.table({"term": terms})
    sink = pa.OSFile(str(folder / "terms.arrow"), "wb")
    with sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "documents": documents,
        "terms": len(terms),
        "postings": postings,
    }
    (folder / "index.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def postings(codes: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct (term, document) pairs in order, and the occurrences of each.

    Args:
        codes: (T,) terms of N documents, one after the other.
        offsets: (N+1,), document i is codes[offsets[i]:offsets[i + 1]].
    Returns:
        (terms (P,) int64, documents (P,) int32, counts (P,) int32), by term, then document.
    Raises:
        ValueError: more than 2³¹−1 documents.
    """
    N = len(offsets) - 1
    if N >= 2**31:
        raise ValueError(f"an index has at most 2³¹−1 documents, got {N}")
    # both numbers packed into one: sorting whole numbers is many times as fast as by two keys
    shift = max(N - 1, 1).bit_length()
    packed = codes.astype(np.int64) << shift
    packed |= np.repeat(np.arange(N), np.diff(offsets))
    packed.sort()
    first = np.flatnonzero(np.diff(packed, prepend=-1))
    counts = np.diff(first, append=len(packed)).astype(np.int32)
    pairs = packed[first]
    return pairs >> shift, (pairs & ((1 << shift) - 1)).astype(np.int32), counts
