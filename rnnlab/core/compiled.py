"""Memory of compiled programs: let go before there is too much of it.

JAX keeps whatever it has compiled, also each small operation for each shape: some 60 MB per group
of members, which nothing needs when the group is done. Letting go of it after every group would
compile again what groups share, so it waits until the process has grown.
"""

import contextlib
import ctypes
import gc
import sys

from rnnlab.core import host

_BYTES_TO_GROW = 512 * 2**20


class CompiledPrograms:
    """The programs that JAX compiles in this process from now on."""

    def __init__(self) -> None:
        self._before = host.resident()

    def let_go(self) -> bool:
        """Drop JAX's compiled programs if the process has grown by 512 MB since the last time.

        Returns:
            whether they were dropped; those that are needed again are compiled again.
        """
        if "jax" not in sys.modules or host.resident() - self._before < _BYTES_TO_GROW:
            return False
        import jax

        gc.collect()
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)  # or what was freed stays with the process
        self._before = host.resident()
        return True
