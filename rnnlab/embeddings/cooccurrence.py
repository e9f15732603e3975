"""Co-occurrence counts of words, computed out of core.

    X_ij = Σ 1/distance, over positions of i and j at most ``window`` tokens apart in a document

Pairs are collected in memory until a buffer is full, then sorted, summed and written to disk as a
run. Runs are merged a few at a time. The last merge distributes its records over shards at random:
a reader that permutes the shards, and the records of each shard, sees all records in a random
order. Memory is bounded by the buffer for any corpus; the disk holds a few times the result.

Source: Pennington, Socher & Manning 2014, "GloVe: Global Vectors for Word Representation",
section 4.2 (windows and the weight 1/distance).
"""

import heapq
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from rnnlab.core import signals, validate
from rnnlab.embeddings.corpus import Corpus

# an entry of a shard: X_ij of a pair that occurs
RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<f4")])
_RUN = np.dtype([("key", "<i8"), ("sum", "<f8")])
_FAN_IN = 8  # runs of about one size that are merged into one
_PAIR_BYTES = 48  # of a buffered pair, memory for sorting and summing included


@dataclass(frozen=True, eq=False)
class Cooccurrences:
    """The counts of all pairs that occur, in shards on disk.

    Args:
        words: V. records: number of pairs; (i, j) and (j, i) are two if both are counted.
        shards: files of :data:`RECORD` entries, distributed at random.
    """

    words: int
    records: int
    shards: tuple[Path, ...]

    def read(self, shard: int) -> np.ndarray:
        """Return all entries of a shard, (N,) of :data:`RECORD`."""
        return np.fromfile(self.shards[shard], RECORD)

    def matrix(self) -> sparse.csr_array:
        """Return X (V, V), all in memory."""
        parts = [self.read(shard) for shard in range(len(self.shards))]
        records = np.concatenate(parts) if parts else np.zeros(0, RECORD)
        indices = (records["row"], records["column"])
        return sparse.csr_array((records["count"], indices), shape=(self.words, self.words))


def count(
    corpus: Corpus,
    window: int = 10,
    *,
    symmetric: bool = True,
    weighted: bool = True,
    memory: int = 512 * 2**20,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Cooccurrences:
    """Count the co-occurrences of a corpus.

    Args:
        corpus: :class:`rnnlab.embeddings.corpus.Corpus`, read once.
        window: tokens on each side.
        symmetric: whether words on both sides are context; else only those before a word: X_ij
            counts j before i.
        weighted: whether a pair counts 1/distance; else 1.
        memory: bytes for buffers, approximately.
        folder: for runs and shards; None: a temporary one, removed with the result.
        seed: of the order of records.
    Raises:
        ValueError: a window below 1; memory for fewer than 1000 pairs; a corpus whose documents
            have one word each.

    >>> from rnnlab.embeddings import corpus
    >>> X = count(corpus.of_documents(["a b a"], min_count=1), window=2).matrix()
    >>> X.toarray().tolist()  # the two a are 2 apart, counted from both; b is 1 from each
    [[1.0, 2.0], [2.0, 0.0]]
    """
    window = validate.whole("window", window)
    if memory < 1000 * _PAIR_BYTES:
        raise ValueError(f"memory must be at least {1000 * _PAIR_BYTES} bytes, got {memory}")
    V = len(corpus.vocabulary)
    if V * V * window >= 2**63:
        raise ValueError(f"{V} words and a window of {window} are too many for 64 bits")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return _count(corpus, window, symmetric, weighted, memory, Path(folder), seed)
    temporary = Path(tempfile.mkdtemp(prefix="rnnlab-"))
    try:
        counts = _count(corpus, window, symmetric, weighted, memory, temporary, seed)
    except BaseException:
        shutil.rmtree(temporary)
        raise
    weakref.finalize(counts, shutil.rmtree, temporary, ignore_errors=True)
    return counts


def _count(
    corpus: Corpus,
    window: int,
    symmetric: bool,
    weighted: bool,
    memory: int,
    folder: Path,
    seed: int,
) -> Cooccurrences:
    V = len(corpus.vocabulary)
    weights = 1 / np.arange(1, window + 1) if weighted else np.ones(window)
    runs = _Runs(folder, memory)
    for pairs in _pairs(corpus, V, window, symmetric, memory // _PAIR_BYTES):
        signals.check()
        runs.add(_summed(pairs // window, weights[pairs % window]))
    return Cooccurrences(V, *_sharded(runs.merged(), V, symmetric, folder, memory, seed))


# ---- pairs -------------------------------------------------------------------------------------


def _pairs(
    corpus: Corpus, V: int, window: int, symmetric: bool, capacity: int
) -> Iterator[np.ndarray]:
    """Yield sorted buffers of pairs, each as the number (i·V + j)·window + distance − 1.

    Unordered pairs (symmetric) have i ≤ j; in others i is the later word.
    """
    step = max(1, min(2**18, capacity // window))  # tokens of a part whose pairs fit the buffer
    buffer, filled = np.empty(capacity + window * step, np.int64), 0
    for start in range(0, corpus.tokens, step):
        stop = min(start + step, corpus.tokens)
        before = min(window, start)  # tokens read again, for pairs across parts
        part = corpus.read(start - before, stop)
        ids = part.ids.astype(np.int64)
        document = np.repeat(np.arange(len(part.offsets) - 1), np.diff(part.offsets))
        for distance in range(1, min(window, len(ids) - 1) + 1):
            first = max(before, distance)
            later, earlier = ids[first:], ids[first - distance : len(ids) - distance]
            same = document[first:] == document[first - distance : len(ids) - distance]
            i, j = later[same], earlier[same]
            if symmetric:
                i, j = np.minimum(i, j), np.maximum(i, j)
            buffer[filled : filled + len(i)] = (i * V + j) * window + distance - 1
            filled += len(i)
        if filled > capacity:
            buffer[:filled].sort()
            yield buffer[:filled]
            filled = 0
    if filled:
        buffer[:filled].sort()
        yield buffer[:filled]


def _summed(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum the values of equal keys; keys (N,) are sorted."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    run = np.empty(len(starts), _RUN)
    run["key"], run["sum"] = keys[starts], np.add.reduceat(values, starts) if len(starts) else 0
    return run


# ---- runs --------------------------------------------------------------------------------------


class _Runs:
    """Sorted runs on disk; runs of about one size are merged once there are enough of them."""

    def __init__(self, folder: Path, memory: int):
        self.folder, self.memory, self.created = folder, memory, 0
        self.levels: list[list[Path]] = []

    def add(self, run: np.ndarray) -> None:
        """Write a run to disk."""
        path = self._new_path()
        run.tofile(path)
        self._add_to_level(path, 0)

    def merged(self) -> Path:
        """Merge all runs into one."""
        paths = [path for level in self.levels for path in level]
        return self._merge(paths) if len(paths) != 1 else paths[0]

    def _add_to_level(self, path: Path, level: int) -> None:
        if level == len(self.levels):
            self.levels.append([])
        self.levels[level].append(path)
        if len(self.levels[level]) == _FAN_IN:
            full, self.levels[level] = self.levels[level], []
            self._add_to_level(self._merge(full), level + 1)

    def _merge(self, paths: list[Path]) -> Path:
        merged = self._new_path()
        with open(merged, "wb") as file:
            for part in merge(paths, self.memory):
                part.tofile(file)
        for path in paths:
            path.unlink()
        return merged

    def _new_path(self) -> Path:
        self.created += 1
        return self.folder / f"run-{self.created}"


def merge(paths: Iterable[Path], memory: int) -> Iterator[np.ndarray]:
    """Merge sorted runs, each key once, and yield the result in parts.

    Every run has a block in memory. Keys up to the smallest last key of the blocks have no equal
    among the keys still on disk, so they can be summed and yielded.
    """
    heads = [_Head(path) for path in paths]
    block = max(1, memory // (4 * _RUN.itemsize * max(1, len(heads))))
    for head in heads:
        head.fill(block)
    waiting = [(last, n) for n, head in enumerate(heads) if (last := head.last) is not None]
    heapq.heapify(waiting)
    while waiting:
        bound = waiting[0][0]
        part = np.concatenate([head.take(bound) for head in heads])
        part = part[np.argsort(part["key"], kind="stable")]
        yield _summed(part["key"], part["sum"])
        while waiting and waiting[0][0] == bound:  # blocks that are empty now
            _, n = heapq.heappop(waiting)
            heads[n].fill(block)
            if (last := heads[n].last) is not None:
                heapq.heappush(waiting, (last, n))


class _Head:
    """The block of a run that is in memory."""

    def __init__(self, path: Path):
        self.path, self.position, self.rest = path, 0, np.zeros(0, _RUN)

    @property
    def last(self) -> int | None:
        """The last key; None if the block is empty."""
        return int(self.rest["key"][-1]) if len(self.rest) else None

    def fill(self, block: int) -> None:
        """Read the next block."""
        self.rest = np.fromfile(self.path, _RUN, block, offset=self.position * _RUN.itemsize)
        self.position += len(self.rest)

    def take(self, bound: int) -> np.ndarray:
        """Remove and return the entries with keys up to ``bound``."""
        n = np.searchsorted(self.rest["key"], bound, side="right")
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken


# ---- shards ------------------------------------------------------------------------------------


def _sharded(
    run: Path, V: int, symmetric: bool, folder: Path, memory: int, seed: int
) -> tuple[int, tuple[Path, ...]]:
    """Distribute a run's records at random over files that each fit in memory several times."""
    rng = np.random.default_rng(seed)
    records_at_most = run.stat().st_size // _RUN.itemsize * (1 + symmetric)
    if not records_at_most:
        raise ValueError("no two words are near each other: every document has one word or none")
    S = 1 + records_at_most * RECORD.itemsize * 8 // memory
    paths = tuple(folder / f"shard-{s}" for s in range(S))
    for path in paths:
        path.write_bytes(b"")
    records = 0
    for part in merge([run], memory):
        i, j = np.divmod(part["key"], V)
        entries = np.empty(len(part), RECORD)
        entries["row"], entries["column"], entries["count"] = i, j, part["sum"]
        if symmetric:
            entries["count"][i == j] *= 2  # counted from both positions
            mirrored = entries[i != j]
            mirrored["row"], mirrored["column"] = mirrored["column"].copy(), mirrored["row"].copy()
            entries = np.concatenate([entries, mirrored])
        records += len(entries)
        shard = rng.integers(S, size=len(entries))
        order = np.argsort(shard, kind="stable")
        ends = np.cumsum(np.bincount(shard, minlength=S))
        for s, path in enumerate(paths):
            with open(path, "ab") as file:
                entries[order[ends[s - 1] if s else 0 : ends[s]]].tofile(file)
    run.unlink()
    return records, paths
