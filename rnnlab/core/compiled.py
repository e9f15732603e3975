"""Memory of compiled programs: let go before there is too much of it.

JAX keeps whatever it has compiled, also each small operation for each shape: some 60 MB per group
of members, which nothing needs when the group is done. Letting go of it after every group would
compile again what groups share, and in a run of several rounds the groups themselves, so it waits
until the process has grown.
"""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Callable

from rnnlab.core import host

_BYTES_TO_GROW = 512 * 2**20  # at least
_SHARE_TO_GROW = 1 / 8  # of the memory


class CompiledPrograms:
    """The programs that JAX compiles in this process from now on.

    Args:
        processes: that share the memory.
    """

    def __init__(self, processes: int = 1) -> None:
        self._before = host.resident()
        self._most = max(_BYTES_TO_GROW, int(_SHARE_TO_GROW * host.memory() / processes))

    def let_go(self, settle: Callable[[], None] | None = None) -> bool:
        """Drop JAX's compiled programs if the process has grown since the last time.

        It may grow by an eighth of the memory, and by 512 MB at least.

        Args:
            settle: called before, to wait until nothing is being compiled.
        Returns:
            whether they were dropped; those that are needed again are compiled again.
        """
        if "jax" not in sys.modules or host.resident() - self._before < self._most:
            return False
        import jax

        if settle is not None:
            settle()
        gc.collect()
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)  # or what was freed stays with the process
        self._before = host.resident()
        return True
