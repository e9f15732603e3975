"""Bag of words of a corpus larger than the memory it may take.

    python tests/scripts/counting_memory.py --gigabytes=1

Repeats the movie reviews (rnnlab[data]) to a file of the size asked for, one review a line, streams
it twice (the vocabulary, then the counts, written to disk a part at a time) and checks that the
matrix is one copy's, again and again, and that the peak of the process's memory over that of its
start stays under --limit (MiB). Measured with 0.23 GB, 234,038 documents, on one core: 317 MiB, all
of them by the end of the first pass (36 s; the second, 38 s, took no more).
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rnnlab.sparse import storage
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.text import corpora


def peak():
    """The largest resident size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    """0 if both hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=2**24, help="bytes that are read at a time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text, one = Path(folder) / "text.txt", Path(folder) / "one.txt"
        block = "\n".join(" ".join(t.split()) for t in corpora.movie_reviews().texts) + "\n"
        one.write_text(block, encoding="utf-8")
        copies = max(1, round(args.gigabytes * 1e9 / one.stat().st_size))
        with text.open("wb") as file:
            for _ in range(copies):
                file.write(block.encode())
        del block
        start = peak()
        size = text.stat().st_size
        print(f"{size / 1e9:.2f} GB, {copies} copies; peak so far {start:.0f} MiB", flush=True)
        begun = time.perf_counter()
        bag = BagOfWords().fit_chunks(corpora.lines(str(text), args.chunk))
        fitted = time.perf_counter()
        print(f"{len(bag.terms_):,} words, {fitted - begun:.0f} s; {peak():.0f} MiB", flush=True)
        shape = storage.write_csr(
            Path(folder) / "counts", bag.transform_chunks(corpora.lines(str(text), args.chunk))
        )
        used = peak()
        seconds = time.perf_counter() - fitted
        print(f"counts {shape}, {seconds:.0f} s; {used:.0f} MiB", flush=True)
        # after the peak was taken: the same as of one copy in memory
        single = BagOfWords()
        texts = [t for part in corpora.lines(str(one)) for t in part.to_pylist()]
        expected = single.fit_transform(texts)
        whole, rows = storage.read_csr(Path(folder) / "counts"), expected.shape[0]
        same = bag.terms_.equals(single.terms_) and whole.shape[0] == copies * rows
        for copy in range(copies):
            part = whole[copy * rows : (copy + 1) * rows]
            same &= part.nnz == expected.nnz and bool(np.array_equal(part.data, expected.data))
            same &= bool(np.array_equal(part.indices, expected.indices))
        print(f"equal: {same}; {used - start:.0f} MiB more than at the start")
        good = same and used - start < args.limit
        print("holds" if good else "FAILS")
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
