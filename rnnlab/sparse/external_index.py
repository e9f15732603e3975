"""An inverted index of more documents than fit into memory: sorted in blocks, merged on disk.

Blocks of documents are sorted and written; then, one range of terms at a time, the postings of
every block are read in order and written to their final place. Memory is bounded by the block, the
range, the vocabulary and 4 bytes per document; files are read and written sequentially.
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from rnnlab.core.validate import whole
from rnnlab.sparse.inverted_index import ARRAYS, InvertedIndex, finish, postings
from rnnlab.text.strings import Documents
from rnnlab.text.tokenizers import AnyTokenizer, Tokens, tokenize

BLOCK_TOKENS = 2**23  # sorted at a time
RANGE_POSTINGS = 2**23  # merged at a time; a term with more is merged alone


def write(
    path: str | os.PathLike[str],
    chunks: Iterable[Documents | Tokens],
    tokenizer: AnyTokenizer | None = None,
    *,
    block_tokens: int = BLOCK_TOKENS,
    range_postings: int = RANGE_POSTINGS,
) -> InvertedIndex:
    """Index documents in chunks, into a folder; the index equals one built in memory.

    Args:
        path: the folder, which is created; inside it, temporary files of about the same size.
        chunks: documents as for :func:`rnnlab.text.tokenizers.tokenize`, or :class:`Tokens`; each
            chunk fits into memory.
        tokenizer: see :func:`rnnlab.text.tokenizers.tokenize`.
        block_tokens: tokens sorted at a time, 40 bytes each.
        range_postings: postings merged at a time.
    Returns:
        the index, mapped into memory.
    Raises:
        FileExistsError: the path exists.
        ValueError: block_tokens or range_postings below 1; more than 2³¹−1 documents.
    """
    block_tokens = whole("block_tokens", block_tokens)
    range_postings = whole("range_postings", range_postings)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=False)
    try:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            _write(folder, Path(temporary), chunks, tokenizer, block_tokens, range_postings)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return InvertedIndex.load(folder)


def _write(
    folder: Path,
    temporary: Path,
    chunks: Iterable[Documents | Tokens],
    tokenizer: AnyTokenizer | None,
    block_tokens: int,
    range_postings: int,
) -> None:
    numbers: dict[str, int] = {}
    lengths, blocks, first = [], [], 0
    for codes, offsets in _blocks(chunks, tokenizer, numbers, block_tokens):
        term_ids, documents, counts = postings(codes, offsets)
        documents += np.int32(first)
        np.save(temporary / f"{len(blocks)}.documents.npy", documents)
        np.save(temporary / f"{len(blocks)}.counts.npy", counts)
        blocks.append(np.bincount(term_ids, minlength=len(numbers)).astype(np.int32))
        lengths.append(np.diff(offsets).astype(np.int32))
        first += len(offsets) - 1
        if first >= 2**31:
            raise ValueError(f"an index has at most 2³¹−1 documents, got {first}")

    V = len(numbers)
    frequencies = np.zeros((len(blocks), V), np.int32)  # of each term in each block
    for row, block in zip(frequencies, blocks, strict=True):
        row[: len(block)] = block
    offsets = np.zeros(V + 1, np.int64)
    np.cumsum(frequencies.sum(axis=0, dtype=np.int64), out=offsets[1:])
    np.save(folder / "lengths.npy", np.concatenate([np.zeros(0, np.int32), *lengths]))
    np.save(folder / "offsets.npy", offsets)
    for name in ("documents", "counts"):
        with (folder / f"{name}.npy").open("wb") as out:
            _header(out, int(offsets[-1]), ARRAYS[name])
            for merged in _merged(temporary, name, frequencies, offsets, range_postings):
                merged.tofile(out)
    terms = pa.array(list(numbers), pa.string())
    finish(folder, terms, first, int(offsets[-1]))


def _blocks(
    chunks: Iterable[Documents | Tokens],
    tokenizer: AnyTokenizer | None,
    numbers: dict[str, int],
    block_tokens: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (codes, offsets) of about block_tokens each; new terms get the next number."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for chunk in chunks:
        tokens = chunk if isinstance(chunk, Tokens) else tokenize(chunk, tokenizer)
        renumbered = [numbers.setdefault(term, len(numbers)) for term in tokens.terms.to_pylist()]
        parts.append((np.array(renumbered, np.int32)[tokens.codes], np.diff(tokens.offsets)))
        if sum(len(codes) for codes, _ in parts) >= block_tokens:
            yield _joined(parts)
            parts.clear()
    if parts:
        yield _joined(parts)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.concatenate([lengths for _, lengths in parts])
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return np.concatenate([codes for codes, _ in parts]), offsets


def _header(out: IO[bytes], size: int, dtype: np.dtype) -> None:
    described = {"descr": dtype.str, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(out, described)


def _merged(
    temporary: Path,
    name: str,
    frequencies: np.ndarray,
    offsets: np.ndarray,
    range_postings: int,
) -> Iterator[np.ndarray]:
    """Yield the final array by ranges of terms: the postings of each term, block after block."""
    files = [(temporary / f"{block}.{name}.npy").open("rb") for block in range(len(frequencies))]
    try:
        for file in files:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
        # a range ends before the term that would exceed its size, and has at least one term
        edges, V = [0], len(offsets) - 1
        while edges[-1] < V:
            room = offsets[edges[-1]] + range_postings
            edges.append(max(edges[-1] + 1, int(np.searchsorted(offsets, room, "right")) - 1))
        for low, high in itertools.pairwise(edges):
            out = np.empty(offsets[high] - offsets[low], ARRAYS[name])
            place = offsets[low:high] - offsets[low]  # of the next posting of each term
            for file, sizes in zip(files, frequencies[:, low:high], strict=True):
                part = np.fromfile(file, ARRAYS[name], int(sizes.sum(dtype=np.int64)))
                starts = np.cumsum(sizes, dtype=np.int64) - sizes
                out[np.arange(len(part)) + np.repeat(place - starts, sizes)] = part
                place = place + sizes
            yield out
    finally:
        for file in files:
            file.close()
