"""Which engine ``engine="auto"`` means."""

from typing import Any

from rnnlab.engines import fused


def choose(cell: Any, *, taps: tuple[str, ...] = ()) -> str:
    """The name of the engine that runs this fastest."""
    return "fused" if fused.supports(cell, taps) else "scan"
