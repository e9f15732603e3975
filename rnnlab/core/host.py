"""What this process may use of the machine it runs on."""

import contextlib
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of version 2, and of version 1


def cores() -> int:
    """How many cores: what a container or ``taskset`` allows, where that is known.

    >>> cores() >= 1
    True
    """
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def memory() -> int:
    """How many bytes: what there is, or what a container allows where that is less.

    >>> memory() > 2**20
    True
    """
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([there, *_container_limits()])


def _container_limits() -> list[int]:
    found = []
    for name in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int((_CGROUP / name).read_text()))
    return found
