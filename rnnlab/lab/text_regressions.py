"""Logistic regressions on texts, which networks are compared with: parts that experiments share."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from rnnlab.core.file_cache import read_once
from rnnlab.lab.text_features import data_of
from rnnlab.sparse.analysis import CsrArray
from rnnlab.sparse.bag_of_words import BagOfWords
from rnnlab.sparse.tfidf import TfIdf
from rnnlab.tasks.checks import check_each_class
from rnnlab.tasks.reviews import MovieReviews
from rnnlab.text import tokenizers

Steps = Callable[[], Sequence[Any]]  # makes scikit-learn's transformers, not fitted yet

CHOICES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)  # of C

_KINDS = {  # of regressions on tokens: (whether TF-IDF weighs the counts, n of the largest n-grams)
    "counts of": (False, 1),
    "TF-IDF of": (True, 1),
    "TF-IDF of 1- and 2-grams,": (True, 2),
}


def regression(C: float, labels: np.ndarray) -> LogisticRegression:
    """Return the logistic regression min ½‖w‖² + C Σ log(1 + exp(−y w·x)), not fitted yet.

    Args:
        labels: (N,) to learn from; of more than two classes, log is that of their softmax.
    """
    solver = "liblinear" if len(np.unique(labels)) == 2 else "lbfgs"
    return LogisticRegression(C=C, solver=solver, tol=1e-3, max_iter=1000)


def best_C(
    learn: CsrArray, judge: CsrArray, labels: np.ndarray, choices: Sequence[float] = CHOICES
) -> float:
    """Return the C that is best on features ``judge`` after training on ``learn``.

    Args:
        learn: (N, V). judge: (M, V). labels: (N + M,).
        choices: of C, in rising order; of equally good ones the first is taken.
    """
    before, after = labels[: learn.shape[0]], labels[learn.shape[0] :]
    scores = [regression(C, before).fit(learn, before).score(judge, after) for C in choices]
    return choices[int(np.argmax(scores))]


def choice_of_C(
    steps: Steps, texts: Sequence[Any], labels: np.ndarray, choices: Sequence[float] = CHOICES
) -> float:
    """Return the C that is best on the last fifth of the texts, after training on the others.

    Args:
        steps: makes the features; they are fitted to the first four fifths.
        texts: (N,) strings, or lists of tokens. labels: (N,).
        choices: as of :func:`best_C`.
    """
    cut = first_fifths(len(texts))
    features = make_pipeline(*steps())
    learn, judge = features.fit_transform(texts[:cut]), features.transform(texts[cut:])
    return best_C(learn, judge, labels, choices)


def fitted(
    steps: Steps, texts: Sequence[Any], labels: np.ndarray, choices: Sequence[float] = CHOICES
) -> Pipeline:
    """Fit features and a logistic regression to texts; C is that of :func:`choice_of_C`.

    Args:
        as of :func:`choice_of_C`.
    """
    C = choice_of_C(steps, texts, labels, choices)
    return make_pipeline(*steps(), regression(C, labels)).fit(texts, labels)


def scaled() -> TfIdf:
    """Return scikit-learn's TF-IDF with logarithmic counts and rows of norm 1."""
    return TfIdf("log", "smooth", "l2")


def first_fifths(count: int) -> int:
    """Return how many of so many texts are trained on while C is chosen: four fifths."""
    return count * 4 // 5


def check_regression(labels: np.ndarray, classes: Sequence[str], what: str, least: int = 5) -> None:
    """Check that a regression on texts can be fitted and its C chosen.

    Args:
        labels: (N,) to learn from, places in classes. what: the data.
        least: texts that each class needs.
    Raises:
        ValueError: too few of a class, or none among those that are trained on while C is chosen.

    >>> check_regression(np.array([0, 0, 0, 0, 1]), ["bad", "good"], "a.csv", least=1)
    Traceback (most recent call last):
    ValueError: a.csv: C is chosen on the last fifth of the 5 texts to learn from, and the others \
have none of 'good': more of them are needed
    """
    check_each_class(labels, classes, what, "texts", least)
    counts = np.bincount(labels[: first_fifths(len(labels))], minlength=len(classes))
    if not counts.all():
        missing = classes[int(counts.argmin())]
        raise ValueError(
            f"{what}: C is chosen on the last fifth of the {len(labels)} texts to learn from, and "
            f"the others have none of {missing!r}: more of them are needed"
        )


def check_repeated(texts: Iterable[Sequence[str]], what: str) -> None:
    """Check that a token occurs in two texts, which counts with ``min_df=2`` need.

    Args:
        texts: the tokens of each, of those that are trained on while C is chosen.
        what: the data and the tokens, in words.
    Raises:
        ValueError: none does.
    """
    seen: set[str] = set()
    for tokens in texts:
        if not seen.isdisjoint(tokens):
            return
        seen.update(tokens)
    raise ValueError(f"{what}: no two texts to learn from share one, which counting needs")


def most_frequent(labels: np.ndarray) -> float:
    """Return the share of the most frequent class: the accuracy of an answer without the texts.

    Args:
        labels: (N,) whole numbers, N > 0.

    >>> most_frequent(np.array([2, 0, 2, 1]))
    0.5
    """
    return float(np.bincount(labels).max() / len(labels))


# ---- of characters and of words ----------------------------------------------------------------


@lru_cache(maxsize=2)
def counted(
    task: MovieReviews, words: str, count: int, choices: tuple[float, ...] = CHOICES
) -> dict[str, float]:
    """Return the accuracy of regressions on counts and TF-IDF, of characters and of words.

    Args:
        task: the texts.
        words: the name of the tokenizer of words; they are left out if it is not installed.
        count: held-out texts to score.
        choices: as of :func:`best_C`.
    """
    split, accuracy = task.split(), {}
    for name, tokenizer in _tokenizers(words).items():
        try:
            train, test = (tokenizer(texts).lists() for texts in (split.texts, split.test_texts))
        except ValueError:  # jieba is not installed
            continue
        for kind, (weighted, largest) in _KINDS.items():
            pipeline = fitted(_steps(weighted, largest), train, split.labels, choices)
            score = pipeline.score(test[:count], split.test_labels[:count])
            accuracy[f"{kind} {name}"] = float(score)
    return accuracy


@read_once(4)
def check_counted(task: MovieReviews, words: str) -> None:
    """Check that :func:`counted` can learn from the texts.

    Args:
        as of :func:`counted`.
    Raises:
        ValueError: too few of a class, or no token that two texts share.
    """
    split, data = task.split(), data_of(task)
    check_regression(split.labels, task.classes, data, least=2)
    texts = split.texts[: first_fifths(len(split.texts))]
    for name, tokenizer in _tokenizers(words).items():
        try:
            tokenizer(texts[:1])
        except ValueError:  # jieba is not installed
            continue
        parts = (texts[i : i + 100] for i in range(0, len(texts), 100))  # two soon share a token
        tokens = (one for part in parts for one in tokenizer(part).lists())
        check_repeated(tokens, f"{data}, {name}")


def _tokenizers(words: str) -> dict[str, tokenizers.Tokenizer]:
    named = {"characters": tokenizers.Characters.name, "words": words}
    return {name: tokenizers.by_name(of, lowercase=True) for name, of in named.items()}


def _steps(weighted: bool, largest: int) -> Steps:
    def make() -> list[BagOfWords | TfIdf]:
        counts = BagOfWords(ngram_range=(1, largest), min_df=2)
        return [counts, scaled()] if weighted else [counts]

    return make
