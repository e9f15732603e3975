"""Text for a terminal: its width, and colors where they are shown."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable

Paint = Callable[[str, str], str]  # (text, style) -> text

_CODES = {"bold": "1", "dim": "2", "good": "32;1", "bad": "33", "alert": "31;1"}


def columns() -> int:
    """Return the width of the terminal; COLUMNS sets another; 100 without a terminal."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def plain(text: str, style: str) -> str:
    """Return the text without its style."""
    del style
    return text


def color(text: str, style: str) -> str:
    """Return the text in a style, as terminals read it; blank text, and style "", stay plain."""
    return f"\033[{_CODES[style]}m{text}\033[0m" if style and text.strip() else text


def paint() -> Paint:
    """Return :func:`color` where stdout shows colors, else :func:`plain`.

    Colors are for terminals; a NO_COLOR that is not empty, or TERM=dumb, turns them off.
    """
    off = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return color if sys.stdout.isatty() and not off else plain


def width(text: str) -> int:
    """Return the number of columns that a text takes; Chinese characters take two.

    >>> width("loss"), width("词")
    (4, 2)
    """
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def padded(text: str, columns: int) -> str:
    """Return the text with spaces after it, up to a width."""
    return text + " " * (columns - width(text))


def cut(text: str, columns: int) -> str:
    """Return the text, or its beginning and an ellipsis where it is wider than so many columns.

    >>> cut("a long measurement", 9)
    'a long m…'
    """
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"
