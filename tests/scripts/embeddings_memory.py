"""Peak memory of training word vectors beside gensim's, each in a process of its own.

    python tests/scripts/embeddings_memory.py --words=100000 --size=300

Both read the same file of Zipf's words and train on it once with one thread; rnnlab on the engine
it chooses itself (rnnlab[fast]: numba). The bar: at most 1.5 times gensim's peak.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BAR = 1.5
METHODS = ("skipgram", "cbow", "fasttext")


def write(path: Path, words: int, tokens: int) -> None:
    """Every word five times, the others by Zipf's law, in lines of 50."""
    rng = np.random.default_rng(0)
    p = 1 / np.arange(1, words + 1)
    drawn = rng.choice(words, max(tokens - 5 * words, 0), p=p / p.sum())
    ids = rng.permutation(np.concatenate([np.repeat(np.arange(words), 5), drawn]))
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(ids), 50):
            file.write(" ".join(f"word{n}" for n in ids[start : start + 50]) + "\n")


def ours(path: str, method: str, size: int, buckets: int) -> int:
    """V."""
    from rnnlab.embeddings import corpus, trainer

    text = corpus.of_file(path, min_count=5)
    settings = trainer.Settings(size=size, epochs=1, buckets=buckets)
    return len(trainer.train(method, text, settings).words)


def gensim(path: str, method: str, size: int, buckets: int) -> int:
    """V."""
    from gensim.models import FastText, Word2Vec

    options: dict = {
        "vector_size": size,
        "sg": int(method != "cbow"),
        "workers": 1,
        "epochs": 1,
        "corpus_file": path,
    }
    model = FastText(bucket=buckets, **options) if method == "fasttext" else Word2Vec(**options)
    return len(model.wv.index_to_key)


def main() -> int:
    """0 if the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--buckets", type=int, default=100_000)
    parser.add_argument("--child", nargs=3, metavar=("SIDE", "METHOD", "FILE"))
    args = parser.parse_args()
    if args.child:
        side, method, file = args.child
        words = {"rnnlab": ours, "gensim": gensim}[side](file, method, args.size, args.buckets)
        print(words, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    good = True
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text.txt"
        write(file, args.words, args.tokens)
        for method in METHODS:
            peaks = []
            for side in ("rnnlab", "gensim"):
                command = [sys.executable, __file__, f"--size={args.size}"]
                command += [f"--buckets={args.buckets}", "--child", side, method, str(file)]
                words, peak = subprocess.check_output(command, text=True).split()
                if int(words) != args.words:
                    raise ValueError(f"{side} has {words} words, not {args.words}")
                peaks.append(float(peak))
            ratio = peaks[0] / peaks[1]
            good &= ratio <= BAR
            print(
                f"{method}: rnnlab {peaks[0]:.0f} MiB, gensim {peaks[1]:.0f} MiB, {ratio:.2f}x",
                flush=True,
            )
    print("holds" if good else "FAILS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
