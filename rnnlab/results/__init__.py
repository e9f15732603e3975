"""The results of a run: the run directory, the table of members, claims."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
