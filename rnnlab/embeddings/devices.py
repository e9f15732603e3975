"""Which device JAX would choose, found out without JAX where there is only the CPU.

JAX takes memory and seconds as it starts; a training that never uses it should not pay for asking.
"""

import importlib.util
import os
import pkgutil
import sys
from importlib.metadata import entry_points


def default_backend() -> str:
    """``jax.default_backend()``; JAX is imported only where it may be other than "cpu"."""
    if "jax" not in sys.modules and not accelerator_possible():
        return "cpu"
    import jax

    return jax.default_backend()


def accelerator_possible() -> bool:
    """Can JAX have any device but CPUs here?

    It finds others (CUDA, ROCm, Metal …) by plugins only: modules in the namespace package
    ``jax_plugins``, entry points of that name, libraries named in the environment; and TPUs by
    ``libtpu``. Where JAX_PLATFORMS names something else, JAX is to say itself that it is not there.
    """
    asked = os.environ.get("JAX_PLATFORMS")
    if asked:
        return asked.split(",")[0].strip().lower() != "cpu"
    if any(os.environ.get(name) for name in ("PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH")):
        return True
    if importlib.util.find_spec("libtpu") is not None or entry_points(group="jax_plugins"):
        return True
    plugins = importlib.util.find_spec("jax_plugins")
    places = plugins.submodule_search_locations if plugins else None
    return any(True for _ in pkgutil.iter_modules(places or []))
