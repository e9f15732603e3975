"""CPU cores and memory available to this process."""

import contextlib
import os
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # cgroup versions 2 and 1


def cores() -> int:
    """Return the number of CPU cores, limited by a container or ``taskset`` where known.

    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Return the memory in bytes, the machine's or a container's limit if that is lower.

    >>> memory() > 2**20
    True
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_container_limits()])


def resident() -> int:
    """Return the bytes of memory that this process holds; where unknown, the most it has held.

    >>> 2**20 < resident() < memory()
    True
    """
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _container_limits() -> list[int]:
    limits = []
    for name in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int((_CGROUP / name).read_text()))
    return limits
