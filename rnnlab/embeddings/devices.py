"""The device that JAX would choose, determined without importing JAX if there is only the CPU.

Importing JAX takes memory and seconds, which a training that does not use it need not spend.
"""

import importlib.util
import os
import pkgutil
import sys
from importlib.metadata import entry_points


def default_backend() -> str:
    """Return ``jax.default_backend()``; JAX is imported only if the answer may not be "cpu"."""
    if "jax" not in sys.modules and not accelerator_possible():
        return "cpu"
    import jax

    return jax.default_backend()


def accelerator_possible() -> bool:
    """Whether JAX may have a device other than CPUs here.

    It discovers others (CUDA, ROCm, Metal …) by plugins only: modules in the namespace package
    ``jax_plugins``, entry points of that name, and libraries named in the environment; TPUs by
    ``libtpu``. If JAX_PLATFORMS names another platform, JAX reports itself whether it is missing.
    """
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        return platforms.split(",")[0].strip().lower() != "cpu"
    if any(os.environ.get(name) for name in ("PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH")):
        return True
    if importlib.util.find_spec("libtpu") is not None or entry_points(group="jax_plugins"):
        return True
    plugins = importlib.util.find_spec("jax_plugins")
    paths = plugins.submodule_search_locations if plugins else None
    return any(True for _ in pkgutil.iter_modules(paths or []))
