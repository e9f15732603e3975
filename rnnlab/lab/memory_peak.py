"""Peak memory of one call."""

import ctypes
import gc
from pathlib import Path

from rnnlab.lab.sides import Timed

_PROCESS = Path("/proc/self")


def of(timed: Timed) -> float | None:
    """Return the MiB by which the resident set grows at most during a call.

    The call was made before, so that nothing is compiled. What earlier calls have freed is given
    back to the system first, and Linux's high-water mark is reset.

    Returns:
        None where Linux's /proc is missing.
    """
    if not (_PROCESS / "clear_refs").exists():
        return None
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else the call reuses what earlier ones freed
        (_PROCESS / "clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):  # not permitted, or not glibc
        return None
    before = _mib("VmRSS:")
    timed.once()
    return _mib("VmHWM:") - before


def _mib(field: str) -> float:
    status = (_PROCESS / "status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024
