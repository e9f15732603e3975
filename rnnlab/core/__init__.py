"""The base of every package: errors, checks, JSON files, the host, signals, progress."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
