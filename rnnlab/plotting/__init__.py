"""Figures: their parts, and learning curves."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
