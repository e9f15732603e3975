"""What this process may use of the machine it runs on."""

import os


def cores() -> int:
    """How many cores: what a container or ``taskset`` allows, where that is known.

    >>> cores() >= 1
    True
    """
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
