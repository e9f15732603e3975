"""Trained word vectors, the result of every trainer of this package."""

from typing import NamedTuple

import numpy as np

from rnnlab.embeddings.subwords import Subwords


class Trained(NamedTuple):
    """Word vectors and the other parameters of their training, as NumPy arrays.

    Shapes: V words, D dimension.
    """

    words: list[str]  # the most frequent first
    counts: np.ndarray  # (V,) int64
    matrix: np.ndarray  # (V, D) float32: the vector of each word
    # (V, D): output vectors of negative sampling; (V−1, D): the Huffman tree's inner nodes
    output: np.ndarray
    subwords: Subwords | None = None  # FastText's rows, whose means are in `matrix`
