"""Weighted postings, queries and their ranking, as the searches for the k best share them."""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """The best documents of each query, best first."""

    documents: np.ndarray  # (Q, k) int32, their numbers
    scores: np.ndarray  # (Q, k) float32


class Postings(NamedTuple):
    """Weighted postings of terms, and their bounds."""

    offsets: np.ndarray  # (V+1,) int64
    documents: np.ndarray  # (P,) int32
    weights: np.ndarray  # (P,) float32, contribution of a posting to its document's score
    low: np.ndarray  # (V,) float32, smallest weight of each term, 0 without postings
    high: np.ndarray  # (V,) float32, largest weight of each term, 0 without postings
    # a copy of the weights of the F most frequent terms, dense, for fast look-ups; F may be 0
    rows: np.ndarray  # (V,) int32, row of the term in the table, −1: none
    table: np.ndarray  # (F, N) float32


class Queries(NamedTuple):
    """Q queries as terms in the order in which their weights are added up."""

    offsets: np.ndarray  # (Q+1,) int64
    terms: np.ndarray  # (M,) int64, places in the postings' offsets
    times: np.ndarray  # (M,) float32, occurrences of the term in the query
    base: np.ndarray  # (Q,) float32, score of a document that has none of the terms
