"""Tokens, vocabularies, corpora and labeled text, shared by sparse, embeddings and bert."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
