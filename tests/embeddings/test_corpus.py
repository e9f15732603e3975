"""corpus.py: parts of a corpus, in memory and on disk, are the same."""

import gc

import numpy as np
import pytest

from rnnlab.embeddings import corpus
from rnnlab.text.tokenizers import Whitespace

LINES = ["b a b", "", "a rare b", "a a c c", "c"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return str(path)


def test_parts(file):
    memory = corpus.of_documents(LINES, Whitespace(), min_count=2)
    disk = corpus.of_file(file, Whitespace(), min_count=2)
    assert memory.tokens == disk.tokens == 10
    assert memory.vocabulary.words() == ["a", "b", "c"]
    expected = np.array([1, 0, 1, 0, 1, 0, 0, 2, 2, 2])
    for start in range(10):
        for stop in range(start + 1, 11):
            for some in (memory, disk):
                part = some.read(start, stop)
                assert part.ids.tolist() == expected[start:stop].tolist()
                bounds = {0, 3, 5, 9, 10}
                inside = [b - start for b in sorted(bounds) if start < b < stop]
                assert sorted(set(part.offsets.tolist())) == [0, *inside, stop - start]


def test_the_temporary_file_goes_with_the_corpus(file):
    disk = corpus.of_file(file, Whitespace(), min_count=2)
    ids = disk.path
    assert ids.stat().st_size == 40
    del disk
    gc.collect()
    assert not ids.parent.exists()


def test_the_file_can_be_kept(file, tmp_path):
    cache = tmp_path / "ids"
    kept = corpus.of_file(file, Whitespace(), min_count=2, cache=cache)
    assert cache.stat().st_size == 40
    again = corpus.Corpus(kept.vocabulary, cache, kept.offsets)
    assert again.read(2, 9).ids.tolist() == kept.read(2, 9).ids.tolist()
    with pytest.raises(ValueError, match="documents of 9 tokens, but 10 ids"):
        corpus.Corpus(kept.vocabulary, cache, kept.offsets[:-1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"one one one", "1 terms are left of 1, at least 2"),
        (b"a b \xff a b", "not UTF-8"),
        (b"\n\n", "no tokens"),
    ],
)
def test_refusals(tmp_path, content, words):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        corpus.of_file(str(path), min_count=1)
