"""Notices: lines for the user beside the results, on stderr."""

import sys
import warnings


class LeftOut(UserWarning):
    """A part of the user's data is not used, or not as it stands; the message says how much."""


def left_out(message: str) -> None:
    """Say once what of the user's data is not used: a :class:`LeftOut` warning, in one line."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda text, *_, **__: f"rnnlab: {text}\n"
    try:
        warnings.warn(message, LeftOut, stacklevel=3)
    finally:
        warnings.formatwarning = before


def say(message: str) -> None:
    """Print a line to stderr."""
    print(f"rnnlab: {message}", file=sys.stderr)
