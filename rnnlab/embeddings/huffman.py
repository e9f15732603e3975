"""The Huffman tree of hierarchical softmax: frequent words have short paths.

Source: Huffman 1952; Mikolov et al. 2013 (arXiv 1301.3781), section 2; the ids as in word2vec.c.
"""

import heapq
from typing import NamedTuple

import numpy as np


class Paths(NamedTuple):
    """The paths from the root: word w passes nodes[offsets[w]:offsets[w+1]].

    Inner nodes are numbered 0 to V−2, the root last. ``signs`` is 1 where the path turns left
    (the lighter child), −1 right: p(w) = Π_l σ(s_l u_l·h).
    """

    nodes: np.ndarray  # (Σ lengths,) int32
    signs: np.ndarray  # (Σ lengths,) int8
    offsets: np.ndarray  # (V+1,) int64

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """Return nodes (V, P) int32 and signs (V, P) int8, padded by 0 to the longest path P."""
        lengths = np.diff(self.offsets)
        inside = np.arange(lengths.max()) < lengths[:, None]
        nodes, signs = np.zeros(inside.shape, np.int32), np.zeros(inside.shape, np.int8)
        nodes[inside], signs[inside] = self.nodes, self.signs
        return nodes, signs


def paths(counts: np.ndarray) -> Paths:
    """Compute the paths of the tree that minimizes Σ_w count_w · length_w.

    Args:
        counts: (V,), V at least 2.
    Raises:
        ValueError: fewer than two words.

    >>> np.diff(paths(np.array([8, 4, 2, 1])).offsets).tolist()
    [1, 2, 3, 3]
    """
    V = len(counts)
    if V < 2:
        raise ValueError(f"a Huffman tree needs at least 2 words, got {V}")
    heap = [(int(count), word) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    parent, sign = np.zeros(2 * V - 1, np.int64), np.zeros(2 * V - 1, np.int8)
    for node in range(V, 2 * V - 1):
        (light, left), (heavy, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[[left, right]], sign[left], sign[right] = node, 1, -1
        heapq.heappush(heap, (light + heavy, node))
    # all words climb together, one level per round, from their leaf to the root
    node, words = np.arange(V), np.arange(V)
    levels = []
    while len(words):
        levels.append((words, parent[node] - V, sign[node]))
        node = parent[node]
        words, node = words[node < 2 * V - 2], node[node < 2 * V - 2]
    word = np.concatenate([w for w, _, _ in levels])
    depth = np.concatenate([np.full(len(w), k) for k, (w, _, _) in enumerate(levels)])
    order = np.lexsort((-depth, word))  # the root first
    nodes = np.concatenate([n for _, n, _ in levels])[order].astype(np.int32)
    signs = np.concatenate([s for _, _, s in levels])[order]
    lengths = np.bincount(word, minlength=V)
    return Paths(nodes, signs, np.concatenate([[0], np.cumsum(lengths)]))
