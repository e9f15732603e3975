"""How often two words are near each other, counted out of core.

    X_ij = Σ over places of i and j at most ``window`` tokens apart in a document, 1/distance

Pairs are gathered in memory until a buffer is full, sorted, summed and written to disk as a run;
runs are merged a few at a time, and the last merge deals its records out to shards at random, so
that a reader that permutes shards, and each shard in memory, sees the records in a random order.
Memory is bounded by the buffer, whatever the corpus; the disk holds a few times the result.

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
from typing import Any

import numpy as np
from scipy import sparse

# what a shard holds: X_ij of a pair that was seen
RECORD = np.dtype([("row", "<i4"), ("column", "<i4"), ("count", "<f4")])
_RUN = np.dtype([("key", "<i8"), ("sum", "<f8")])
_FAN_IN = 8  # runs of one size merged into one
_PAIR_BYTES = 48  # a buffered pair, with what sorting and summing it takes


@dataclass(frozen=True, eq=False)
class Cooccurrences:
    """The pairs that were seen, in shards on disk.

    Args:
        words: V. records: pairs seen, (i, j) and (j, i) apart where both are counted.
        shards: their files, :data:`RECORD` by :data:`RECORD`, dealt out at random.
    """

    words: int
    records: int
    shards: tuple[Path, ...]

    def read(self, shard: int) -> np.ndarray:
        """(N,) of :data:`RECORD`: all of a shard."""
        return np.fromfile(self.shards[shard], RECORD)

    def matrix(self) -> sparse.csr_array:
        """X (V, V), all in memory."""
        parts = [self.read(shard) for shard in range(len(self.shards))]
        records = np.concatenate(parts) if parts else np.zeros(0, RECORD)
        places = (records["row"], records["column"])
        return sparse.csr_array((records["count"], places), shape=(self.words, self.words))


def count(
    corpus: Any,
    window: int = 10,
    *,
    symmetric: bool = True,
    weighted: bool = True,
    memory: int = 512 * 2**20,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> Cooccurrences:
    """Count a corpus.

    Args:
        corpus: :class:`rnnlab.embeddings.corpus.Corpus`, read from its start to its end once.
        window: tokens to each side.
        symmetric: words to both sides are context; else those before only: X_ij has j before i.
        weighted: a pair counts 1/distance; else 1.
        memory: bytes for buffers, about.
        folder: where runs and shards are written; None: a temporary one, which goes with the
            result.
        seed: of the order of records.
    Raises:
        ValueError: a window below 1; memory for fewer than 1000 pairs; a corpus whose documents
            have one word each.

    >>> from rnnlab.embeddings import corpus
    >>> X = count(corpus.of_documents(["a b a"], min_count=1), window=2).matrix()
    >>> X.toarray().tolist()  # a is 2 from a, seen from both sides; b is 1 from each
    [[1.0, 2.0], [2.0, 0.0]]
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    if memory < 1000 * _PAIR_BYTES:
        raise ValueError(f"memory must be at least {1000 * _PAIR_BYTES} bytes, got {memory}")
    V = len(corpus.vocabulary)
    if V * V * window >= 2**63:
        raise ValueError(f"{V} words and a window of {window} are too many for 64 bits")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        return _count(corpus, window, symmetric, weighted, memory, Path(folder), seed)
    place = Path(tempfile.mkdtemp(prefix="rnnlab-"))
    try:
        counts = _count(corpus, window, symmetric, weighted, memory, place, seed)
    except BaseException:
        shutil.rmtree(place)
        raise
    weakref.finalize(counts, shutil.rmtree, place, ignore_errors=True)
    return counts


def _count(
    corpus: Any, window: int, symmetric: bool, weighted: bool, memory: int, folder: Path, seed: int
) -> Cooccurrences:
    V = len(corpus.vocabulary)
    weights = 1 / np.arange(1, window + 1) if weighted else np.ones(window)
    runs = _Runs(folder, memory)
    for pairs in _pairs(corpus, V, window, symmetric, memory // _PAIR_BYTES):
        runs.add(_summed(pairs // window, weights[pairs % window]))
    return Cooccurrences(V, *_dealt(runs.merged(), V, symmetric, folder, memory, seed))


# ---- pairs -------------------------------------------------------------------------------------


def _pairs(
    corpus: Any, V: int, window: int, symmetric: bool, capacity: int
) -> Iterator[np.ndarray]:
    """Sorted buffers of pairs, each one number: (i·V + j)·window + distance − 1.

    Of an unordered pair (symmetric) i ≤ j; else i is the later word.
    """
    step = max(1, min(2**18, capacity // window))  # tokens of a part: its pairs fit the buffer
    buffer, filled = np.empty(capacity + window * step, np.int64), 0
    for start in range(0, corpus.tokens, step):
        stop = min(start + step, corpus.tokens)
        before = min(window, start)  # tokens read again: the left members of pairs across parts
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
    """Of sorted keys (N,): each once, its values summed."""
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    out = np.empty(len(starts), _RUN)
    out["key"], out["sum"] = keys[starts], np.add.reduceat(values, starts) if len(starts) else 0
    return out


# ---- runs --------------------------------------------------------------------------------------


class _Runs:
    """Sorted runs on disk, merged as soon as there are enough of about one size."""

    def __init__(self, folder: Path, memory: int):
        self.folder, self.memory, self.made = folder, memory, 0
        self.levels: list[list[Path]] = []

    def add(self, run: np.ndarray) -> None:
        path = self._new()
        run.tofile(path)
        self._place(path, 0)

    def merged(self) -> Path:
        """All of them as one."""
        paths = [path for level in self.levels for path in level]
        return self._merge(paths) if len(paths) != 1 else paths[0]

    def _place(self, path: Path, level: int) -> None:
        if level == len(self.levels):
            self.levels.append([])
        self.levels[level].append(path)
        if len(self.levels[level]) == _FAN_IN:
            full, self.levels[level] = self.levels[level], []
            self._place(self._merge(full), level + 1)

    def _merge(self, paths: list[Path]) -> Path:
        merged = self._new()
        with open(merged, "wb") as file:
            for part in merge(paths, self.memory):
                part.tofile(file)
        for path in paths:
            path.unlink()
        return merged

    def _new(self) -> Path:
        self.made += 1
        return self.folder / f"run-{self.made}"


def merge(paths: Iterable[Path], memory: int) -> Iterator[np.ndarray]:
    """Sorted runs as one, each key once, in parts.

    Whatever is not above the smallest of the runs' last keys in memory has no equal on disk.
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
        while waiting and waiting[0][0] == bound:  # these are empty now
            _, n = heapq.heappop(waiting)
            heads[n].fill(block)
            if (last := heads[n].last) is not None:
                heapq.heappush(waiting, (last, n))


class _Head:
    """The part of a run that is in memory."""

    def __init__(self, path: Path):
        self.path, self.at, self.rest = path, 0, np.zeros(0, _RUN)

    @property
    def last(self) -> int | None:
        return int(self.rest["key"][-1]) if len(self.rest) else None

    def fill(self, block: int) -> None:
        self.rest = np.fromfile(self.path, _RUN, block, offset=self.at * _RUN.itemsize)
        self.at += len(self.rest)

    def take(self, bound: int) -> np.ndarray:
        n = np.searchsorted(self.rest["key"], bound, side="right")
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken


# ---- shards ------------------------------------------------------------------------------------


def _dealt(
    run: Path, V: int, symmetric: bool, folder: Path, memory: int, seed: int
) -> tuple[int, tuple[Path, ...]]:
    """The records of a run, dealt out to files of which each fits in memory, several times."""
    rng = np.random.default_rng(seed)
    held = run.stat().st_size // _RUN.itemsize * (1 + symmetric)
    if not held:
        raise ValueError("no two words are near each other: every document has one word or none")
    S = 1 + held * RECORD.itemsize * 8 // memory
    paths = tuple(folder / f"shard-{s}" for s in range(S))
    for path in paths:
        path.write_bytes(b"")
    records = 0
    for part in merge([run], memory):
        i, j = np.divmod(part["key"], V)
        one = np.empty(len(part), RECORD)
        one["row"], one["column"], one["count"] = i, j, part["sum"]
        if symmetric:
            one["count"][i == j] *= 2  # seen from either place
            other = one[i != j]
            other["row"], other["column"] = other["column"].copy(), other["row"].copy()
            one = np.concatenate([one, other])
        records += len(one)
        to = rng.integers(S, size=len(one))
        order = np.argsort(to, kind="stable")
        ends = np.cumsum(np.bincount(to, minlength=S))
        for s, path in enumerate(paths):
            with open(path, "ab") as file:
                one[order[ends[s - 1] if s else 0 : ends[s]]].tofile(file)
    run.unlink()
    return records, paths
