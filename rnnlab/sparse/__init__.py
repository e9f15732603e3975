"""Sparse text features and the models that count: bag of words, TF-IDF, BM25, n-grams."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
