"""GloVe's counts of a large corpus in bounded memory.

    python tests/scripts/glove_memory.py --gigabytes=1 --memory=256

Repeats the movie reviews (rnnlab[data]) to a file of the size asked for, streams it to ids, counts
it with the buffer asked for (MiB) and checks two things: X of the repeated corpus is so many times
the X of one copy, and the peak of the process's memory stays under --limit (MiB).
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rnnlab.embeddings import cooccurrence, corpus
from rnnlab.text import corpora


def peak() -> float:
    """The largest resident size so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """0 if both hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--memory", type=int, default=256, help="MiB of the buffer")
    parser.add_argument("--limit", type=int, default=1500, help="MiB of the whole process")
    parser.add_argument("--window", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        block = (
            "\n".join(" ".join(t.split()) for t in corpora.movie_reviews().texts).encode() + b"\n"
        )
        copies = max(1, round(args.gigabytes * 1e9 / len(block)))
        with text.open("wb") as file:
            for _ in range(copies):
                file.write(block)
        one = Path(folder) / "one.txt"
        one.write_bytes(block)
        del block
        say(f"{text.stat().st_size / 1e9:.2f} GB, {copies} copies; before anything is read")
        single = corpus.of_file(str(one), min_count=5)
        say(f"one copy: {single}")
        X = cooccurrence.count(single, args.window, memory=args.memory * 2**20).matrix()
        say(f"counted: {X.nnz} pairs")
        begun = time.perf_counter()
        whole = corpus.of_file(str(text), min_count=5 * copies)
        say(f"all: {whole}, {time.perf_counter() - begun:.0f} s")
        begun = time.perf_counter()
        counts = cooccurrence.count(whole, args.window, memory=args.memory * 2**20)
        say(f"counted: {counts.records} pairs, {time.perf_counter() - begun:.0f} s")
        used = peak()
        same = whole.vocabulary.words() == single.vocabulary.words() and counts.records == X.nnz
        worst = 0.0
        for shard in range(len(counts.shards)):
            part = counts.read(shard)
            expected = copies * X[part["row"], part["column"]]
            worst = max(worst, float(np.abs(part["count"] / expected - 1).max()))
        say(f"largest relative error {worst:.1e}; peak memory before the check {used:.0f} MiB")
        good = same and worst < 1e-5 and used < args.limit
        print("holds" if good else "FAILS")
        return 0 if good else 1


def say(words: str) -> None:
    """With the memory so far."""
    print(f"{peak():6.0f} MiB  {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
