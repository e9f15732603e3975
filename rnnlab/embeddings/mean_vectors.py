"""Means of word vectors: of the words of a question, and of the words of a document.

Shapes: N words or documents, U distinct words, D dimension.
"""

from typing import NamedTuple

import numpy as np

from rnnlab.core.notices import left_out
from rnnlab.text.tokenizers import Tokens


class DocumentVectors(NamedTuple):
    """The mean vector of each document's known words."""

    matrix: np.ndarray  # (N, D) float32; zeros for a document without a known word
    known: np.ndarray  # (N,) int64, words that have a vector
    skipped: np.ndarray  # (N,) int64, words that have none


def odd_one_out(units: np.ndarray) -> int:
    """Return argmin_n x_n·m, m the mean of the rows: the row least like the others.

    Args:
        units: (N, D), rows of length 1; of equal answers the first is returned.

    >>> odd_one_out(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    1
    """
    return int(np.argmin(units @ units.mean(axis=0)))


def mean_per_document(tokens: Tokens, rows: np.ndarray, known: np.ndarray) -> DocumentVectors:
    """Return (1/n) Σ x_w over the n known words w of each document; a repeated word counts again.

    A notice says how many documents have no known word.

    Args:
        tokens: of N documents.
        rows: (U, D), the vector of each term; those of unknown terms are not used.
        known: (U,) bool.
    """
    from scipy.sparse import csr_array  # lazily: it costs 0.1 s

    N, U = len(tokens.offsets) - 1, len(tokens.terms)
    lengths = np.diff(tokens.offsets)
    ones = known[tokens.codes].astype(np.float32)  # 0 for an unknown word
    counts = csr_array((ones, tokens.codes, tokens.offsets), shape=(N, U))
    documents = np.repeat(np.arange(N), lengths)
    used = np.bincount(documents, ones, N).astype(np.int64)
    matrix = (counts @ rows) / np.maximum(used, 1)[:, None].astype(np.float32)
    without = int((used == 0).sum())
    if without:
        left_out(f"{without} of {N} documents have no known word: their vectors are zero")
    return DocumentVectors(np.asarray(matrix, np.float32), used, lengths - used)
