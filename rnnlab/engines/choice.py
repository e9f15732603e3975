"""Which engine ``engine="auto"`` means."""

from typing import Any

from rnnlab.engines import fused


def choose(cell: Any, *, taps: tuple[str, ...] = ()) -> str:
    """The engine "fused" where it can run this, else "scan".

    One rule, not yet a table of measured crossovers: in the twelve cases of
    ``experiments/speed_recurrent.py`` fused trains at .98 to 1.7 times the speed of scan.
    """
    return "fused" if fused.supports(cell, taps) else "scan"
