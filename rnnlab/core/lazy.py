"""Modules of a package that are imported when they are asked for: ``rnnlab.interop.torch``."""

import importlib
import importlib.util
from types import ModuleType


def submodule(package: str, name: str) -> ModuleType:
    """Import a module of a package, for the package's ``__getattr__``.

    Raises:
        AttributeError: there is none.

    >>> submodule("rnnlab.core", "host").__name__
    'rnnlab.core.host'
    """
    whole = f"{package}.{name}"
    if name.startswith("_") or importlib.util.find_spec(whole) is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return importlib.import_module(whole)
