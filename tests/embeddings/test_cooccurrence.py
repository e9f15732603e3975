"""cooccurrence.py: counts equal to a loop over tokens, in bounded memory."""

import collections
import gc

import numpy as np
import pytest

from rnnlab.embeddings import cooccurrence, corpus
from rnnlab.embeddings.cooccurrence import RECORD

SMALL = 1000 * 48  # the least memory: many parts, runs, merges and shards


def texts(documents=60, words=40, seed=0):
    rng = np.random.default_rng(seed)
    return [
        [f"w{int(n)}" for n in np.minimum(rng.zipf(1.4, size=rng.integers(0, 60)), words)]
        for _ in range(documents)
    ]


def loop(documents, window, symmetric=True, weighted=True):
    """X from the definition: {(i, j): the sum over places}."""
    found = collections.defaultdict(float)
    for document in documents:
        for t, word in enumerate(document):
            for s in range(max(0, t - window), min(len(document), t + window + 1)):
                if s != t and (symmetric or s < t):
                    found[word, document[s]] += 1 / abs(t - s) if weighted else 1
    return found


def as_dict(counts, c):
    words = c.vocabulary.words()
    X = counts.matrix().tocoo()
    return {(words[i], words[j]): x for i, j, x in zip(*X.coords, X.data, strict=True)}


@pytest.mark.parametrize("window", [1, 4, 100])
@pytest.mark.parametrize(("symmetric", "weighted"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("memory", [SMALL, 2**26])
def test_counts_are_the_loops(window, symmetric, weighted, memory):
    documents = texts()
    c = corpus.of_documents(documents, min_count=1)
    counts = cooccurrence.count(c, window, symmetric=symmetric, weighted=weighted, memory=memory)
    expected = loop(documents, window, symmetric, weighted)
    found = as_dict(counts, c)
    assert counts.records == len(expected) == len(found)
    assert found == pytest.approx(expected, rel=1e-6)


def test_runs_are_merged_in_levels_and_records_dealt_out(tmp_path):
    documents = texts(documents=400, words=300)
    c = corpus.of_documents(documents, min_count=1)
    counts = cooccurrence.count(c, 8, memory=SMALL, folder=tmp_path, seed=1)
    assert len(counts.shards) > 3
    assert {p.name.split("-")[0] for p in tmp_path.iterdir()} == {"shard"}  # no run is left
    parts = [counts.read(s) for s in range(len(counts.shards))]
    assert sum(map(len, parts)) == counts.records == len(loop(documents, 8))
    assert max(map(len, parts)) * RECORD.itemsize < SMALL / 4
    means = [p["row"].mean() for p in parts]  # at random: no shard is of some words only
    assert np.ptp(means) < 0.5 * np.mean(means)
    again = cooccurrence.count(c, 8, memory=SMALL, seed=1)
    for shard, part in enumerate(parts):
        np.testing.assert_array_equal(again.read(shard), part)


def test_a_temporary_folder_goes_with_the_counts():
    counts = cooccurrence.count(corpus.of_documents(["a b c"], min_count=1), 2)
    shard = counts.shards[0]
    assert shard.exists()
    del counts
    gc.collect()
    assert not shard.exists()


@pytest.mark.parametrize("memory", [200, 10**6])
def test_merging_is_sorting_and_summing(memory, tmp_path):
    rng = np.random.default_rng(0)
    paths, expected = [], collections.defaultdict(float)
    for n, size in enumerate((0, 1, 50, 300)):
        run = np.empty(size, [("key", "<i8"), ("sum", "<f8")])
        run["key"] = np.sort(rng.choice(400, size, replace=False))
        run["sum"] = rng.normal(size=size)
        for key, value in run.tolist():
            expected[key] += value
        paths.append(tmp_path / str(n))
        run.tofile(paths[-1])
    found = np.concatenate(list(cooccurrence.merge(paths, memory)))
    assert found["key"].tolist() == sorted(expected)
    np.testing.assert_allclose(found["sum"], [expected[k] for k in sorted(expected)], atol=1e-12)


def test_what_cannot_be_counted_is_said():
    c = corpus.of_documents(["a b c"], min_count=1)
    with pytest.raises(ValueError, match="window must be a whole number of at least 1, got 0"):
        cooccurrence.count(c, 0)
    with pytest.raises(ValueError, match="memory must be at least 48000 bytes, got 100"):
        cooccurrence.count(c, memory=100)
    with pytest.raises(ValueError, match="every document has one word or none"):
        cooccurrence.count(corpus.of_documents(["a", "b", ""], min_count=1))
