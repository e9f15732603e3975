"""huffman.py: prefix codes of least length, against a heap of nested pairs."""

import heapq
import itertools

import numpy as np
import pytest

from rnnlab.embeddings import huffman


def optimum(counts):
    """Σ count · length of Huffman's tree: the sum of all merged weights."""
    heap = [int(c) for c in counts]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


@pytest.mark.parametrize("V", [2, 3, 17, 400])
def test_paths(V):
    counts = np.random.default_rng(V).zipf(1.3, V).clip(max=10**6)
    found = huffman.paths(counts)
    lengths = np.diff(found.offsets)
    assert (counts * lengths).sum() == optimum(counts)
    codes = set()
    for w in range(V):
        part = slice(found.offsets[w], found.offsets[w + 1])
        nodes, signs = found.nodes[part], found.signs[part]
        assert nodes[0] == V - 2  # the root
        assert len(set(nodes)) == len(nodes)
        codes.add(tuple(signs))
    assert len(codes) == V
    for a, b in itertools.permutations(list(codes)[:60], 2):
        assert a != b[: len(a)]  # no code begins another
    assert set(found.nodes) == set(range(V - 1))


def test_the_words_probabilities_add_up_to_one():
    rng = np.random.default_rng(0)
    found = huffman.paths(np.array([9, 5, 3, 3, 2, 1]))
    u, h = rng.normal(size=(5, 4)), rng.normal(size=4)
    nodes, signs = found.padded()
    p = np.where(signs != 0, 1 / (1 + np.exp(-signs * (u[nodes] @ h))), 1).prod(axis=1)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() > 0


def test_padded():
    found = huffman.paths(np.array([8, 4, 2, 1]))
    nodes, signs = found.padded()
    assert nodes.shape == (4, 3)
    assert (signs != 0).sum(axis=1).tolist() == [1, 2, 3, 3]


def test_one_word_has_no_tree():
    with pytest.raises(ValueError, match="at least 2 words, got 1"):
        huffman.paths(np.array([3]))
