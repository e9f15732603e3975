"""The report of a run as one HTML page, pages over several runs, and metrics for TensorBoard."""

from types import ModuleType

from rnnlab.core.lazy import submodule


def __getattr__(name: str) -> ModuleType:
    return submodule(__name__, name)
