"""From a config to a verdict: load, plan, run, reproduce, benchmark."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
