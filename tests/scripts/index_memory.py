"""How much memory an index of many synthetic documents takes to build on disk and to search.

    python tests/scripts/index_memory.py DOCUMENTS FOLDER

50 tokens a document by Zipf's law over 100,000 terms, in chunks of 50,000 documents. Prints one
line of JSON: peak resident memory in MiB at the start, after the build, after the search.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from rnnlab.sparse import external_index
from rnnlab.sparse.bm25 import BM25
from rnnlab.text.tokenizers import Tokens

TERMS, LENGTH, CHUNK = 100_000, 50, 50_000


def chunks(documents):
    """Tokenized documents, made as they are asked for."""
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(1 / np.arange(1, TERMS + 1))
    terms = pa.array([f"w{i}" for i in range(TERMS)])
    for first in range(0, documents, CHUNK):
        size = min(CHUNK, documents - first)
        drawn = rng.random(size * LENGTH) * cumulative[-1]
        codes = np.searchsorted(cumulative, drawn).astype(np.int32)
        yield Tokens(codes, np.arange(size + 1, dtype=np.int64) * LENGTH, terms)


def peak():
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(documents, folder):
    """Build, search, tell."""
    report = {"documents": documents, "start": peak()}
    start = time.perf_counter()
    index = external_index.write(Path(folder) / "index", chunks(documents))
    report |= {"build_s": time.perf_counter() - start, "built": peak()}
    report |= {"postings": len(index.documents)}
    BM25("lucene").use(index).search(["w5000 w70000 w900"], threads=1)
    print(json.dumps(report | {"searched": peak()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
