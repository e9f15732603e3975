"""CPU cores and memory available to this process, and what else the machine is doing."""

import contextlib
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # cgroup versions 2 and 1
_PROC = Path("/proc")
_STAT = Path("/proc/stat")
_CPU_INFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def cores() -> int:
    """Return the number of CPU cores, limited by a container or ``taskset`` where known.

    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Give JAX one CPU device per core, so that a sweep fills them.

    It has to be called before the first use of JAX. JAX_NUM_CPU_DEVICES sets another number.
    """
    if "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    import jax

    with contextlib.suppress(RuntimeError):  # JAX is running already
        jax.config.update("jax_num_cpu_devices", cores())


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


# ---- what else the machine is doing ------------------------------------------------------------


def processor() -> str | None:
    """Return the name of the processor; None where Linux's /proc does not tell."""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*: *(.*)$", _CPU_INFO.read_text(), re.MULTILINE)
        return found[1] if found else None
    return None


def governor() -> str | None:
    """Return the CPU's frequency governor, such as "performance"; None where it is unknown."""
    with contextlib.suppress(OSError):
        return _GOVERNOR.read_text().strip()
    return None


def load() -> float | None:
    """Return the load average of the last minute; None where it is unknown."""
    with contextlib.suppress(OSError, AttributeError):
        return os.getloadavg()[0]
    return None


class CpuTime(NamedTuple):
    """Seconds of CPU since the machine started, over the cores that this process may use.

    Args:
        busy: spent by any process, or taken by another virtual machine.
        total: of all cores together.
        own: of this process, of its children that have ended, and of groups of processes.
    """

    busy: float
    total: float
    own: float


def cpu_time(groups: Collection[int] = ()) -> CpuTime | None:
    """Return the CPU's time so far; None where Linux's /proc/stat is missing.

    Args:
        groups: numbers of groups of processes that count as own.
    """
    try:
        lines = _STAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    usable = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    tick = os.sysconf("SC_CLK_TCK")
    busy = total = 0
    for name, *fields in (line.split() for line in lines if line.startswith("cpu")):
        if name in usable:
            # user, nice, system, idle, iowait, irq, softirq, steal; guests count as user already
            ticks = [int(field) for field in fields[:8]]
            total += sum(ticks)
            busy += sum(ticks) - sum(ticks[3:5])
    own = sum(os.times()[:4]) + _ticks_of(groups) / tick
    return CpuTime(busy / tick, total / tick, own) if total else None


def _ticks_of(groups: Collection[int]) -> int:
    """Return the ticks of CPU of all processes of groups, and of their children that have ended."""
    ticks = 0
    for folder in _PROC.iterdir() if groups else ():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended
            # after the command's name in parentheses: state, parent, group, …
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) in groups:
                ticks += sum(map(int, fields[11:15]))  # user, system, both of its children
    return ticks


def others_share(before: CpuTime | None, after: CpuTime | None) -> float | None:
    """Return the share of the CPU that other processes used between two times, in [0, 1].

    Args:
        before, after: as :func:`cpu_time` returns them.
    Returns:
        None where either is unknown.

    >>> others_share(CpuTime(1.0, 10.0, 0.5), CpuTime(4.0, 20.0, 1.5))
    0.2
    """
    if before is None or after is None or after.total <= before.total:
        return None
    others = (after.busy - before.busy) - (after.own - before.own)
    return min(1.0, max(0.0, others / (after.total - before.total)))
