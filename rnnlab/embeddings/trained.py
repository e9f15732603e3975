"""What every trainer of word vectors returns."""

from typing import NamedTuple

import numpy as np

from rnnlab.embeddings.subwords import Subwords


class Trained(NamedTuple):
    """Vectors and what they came from; arrays on the host.

    Shapes: V words, D dimension.
    """

    words: list[str]  # the most frequent first
    counts: np.ndarray  # (V,) int64
    matrix: np.ndarray  # (V, D) float32: the vector of each word
    # (V, D): output vectors of negative sampling; (V−1, D): the Huffman tree's inner nodes
    output: np.ndarray
    subwords: Subwords | None = None  # FastText's rows, of which `matrix` holds the means
