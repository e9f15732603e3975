"""The inverted index against counting in Python; what is written, read and refused."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rnnlab.sparse import external_index
from rnnlab.sparse.inverted_index import ARRAYS, InvertedIndex
from rnnlab.text.tokenizers import Whitespace, tokenize

RNG = np.random.default_rng(0)
DOCUMENTS = [
    " ".join(f"w{code}" for code in RNG.zipf(1.3, RNG.integers(0, 30)) % 90) for _ in range(200)
]


@pytest.fixture(scope="module")
def index():
    return InvertedIndex.build(tokenize(DOCUMENTS))


def same(a, b):
    assert a.terms.to_pylist() == b.terms.to_pylist()
    for name, dtype in ARRAYS.items():
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype == dtype


def test_postings_are_the_counts(index):
    counted = [Counter(text.split()) for text in DOCUMENTS]
    assert index.lengths.tolist() == [sum(c.values()) for c in counted]
    assert index.average_length == np.mean(index.lengths)
    assert index.terms.to_pylist() == list(dict.fromkeys(" ".join(DOCUMENTS).split()))
    for place, term in enumerate(index.terms.to_pylist()):
        own = slice(index.offsets[place], index.offsets[place + 1])
        expected = [(d, c[term]) for d, c in enumerate(counted) if term in c]
        found = zip(index.documents[own].tolist(), index.counts[own].tolist(), strict=True)
        assert list(found) == expected
        assert index.document_frequencies[place] == len(expected)


def test_numbers_of_words(index):
    terms = index.terms.to_pylist()
    assert index.numbers([terms[3], "never", terms[0]]).tolist() == [3, -1, 0]


def test_saved_and_loaded(index, tmp_path):
    index.save(tmp_path / "saved")
    for mapped in (True, False):
        same(InvertedIndex.load(tmp_path / "saved", mapped), index)
    with pytest.raises(FileExistsError):
        index.save(tmp_path / "saved")


def test_an_empty_index_is_saved_as_well(tmp_path):
    empty = InvertedIndex.build(tokenize(["", ""]))
    empty.save(tmp_path / "saved")
    same(InvertedIndex.load(tmp_path / "saved"), empty)
    same(external_index.write(tmp_path / "written", [["", ""]]), empty)


@pytest.mark.parametrize(("block_tokens", "range_postings"), [(1, 1), (300, 40), (10**6, 10**6)])
def test_blocks_on_disk_make_the_same_index(index, tmp_path, block_tokens, range_postings):
    chunks = (DOCUMENTS[i : i + 23] for i in range(0, len(DOCUMENTS), 23))
    written = external_index.write(
        tmp_path / "index",
        chunks,
        Whitespace(),
        block_tokens=block_tokens,
        range_postings=range_postings,
    )
    assert written.mapped
    same(written, index)
    expected = {*(f"{name}.npy" for name in ARRAYS), "terms.arrow", "index.json"}
    assert {path.name for path in (tmp_path / "index").iterdir()} == expected


def test_tokens_are_taken_as_chunks(index, tmp_path):
    chunks = [tokenize(DOCUMENTS[:50]), tokenize(DOCUMENTS[50:])]
    same(external_index.write(tmp_path / "index", chunks), index)


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield ["a b"]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        external_index.write(tmp_path / "index", broken())
    assert not (tmp_path / "index").exists()
    with pytest.raises(ValueError, match="block_tokens must be a whole number of at least 1"):
        external_index.write(tmp_path / "index", [], block_tokens=0)


def test_files_that_do_not_fit_are_refused(index, tmp_path):
    folder = tmp_path / "saved"
    with pytest.raises(FileNotFoundError, match=r"no index\.json"):
        InvertedIndex.load(folder)
    index.save(folder)
    about = folder / "index.json"
    header = json.loads(about.read_text())
    about.write_text(json.dumps(header | {"postings": header["postings"] + 1}))
    with pytest.raises(ValueError, match=r"documents\.npy: expected"):
        InvertedIndex.load(folder)
    about.write_text(json.dumps(header | {"version": 99}))
    with pytest.raises(ValueError, match="version"):
        InvertedIndex.load(folder)
    about.write_text(json.dumps(header))
    np.save(folder / "counts.npy", index.counts.astype(np.int64))
    with pytest.raises(ValueError, match="expected int32, got int64"):
        InvertedIndex.load(folder)
    np.save(folder / "counts.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"Python objects|allow_pickle"):
        InvertedIndex.load(folder)


def test_memory_does_not_grow_with_the_documents(tmp_path):
    """250,000 documents: 12.5M tokens, of which 8M are sorted at a time."""
    root = Path(__file__).parents[2]
    script = root / "tests/scripts/index_memory.py"
    command = [sys.executable, str(script), "250000", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    measured = json.loads(done.stdout)
    assert measured["postings"] > 8_000_000
    # all tokens at once would take 40 bytes each, 480 MiB, more than the start
    assert measured["built"] - measured["start"] < 900
