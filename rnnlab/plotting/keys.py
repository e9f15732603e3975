"""The key of a figure: what its marks mean (bands, dotted lines, crosses).

A part of a figure that means something says so once, by :func:`mark`; :func:`draw` writes each
meaning once, below the panels.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rnnlab.plotting.notes import Note

_NEUTRAL = "#444444"  # of a mark that lines of several colors have
_SIZE = 8.0
_HANDLE = 34.0  # points from one entry's mark to its text, and to the next entry
_LETTER = 0.56  # mean width of a letter, of the font's size

_meaning = Note[str]("meaning")
_guide = Note[bool]("guide")
_key = Note[Legend]("key")  # of a figure
_is_key = Note[bool]("is_key")  # of a legend


def mark(artist: Artist, meaning: str, *, guide: bool = False) -> None:
    """Say what an artist means, for the figure's key.

    Args:
        artist: a line or markers, a band or another patch.
        meaning: a few words, without a full stop; "": it is not in the key.
        guide: whether it guides the eye and is no datum of the figure.
    """
    if meaning:
        _meaning.put(artist, meaning)
    if guide:
        _guide.put(artist, True)


def is_guide(artist: Artist) -> bool:
    """Whether an artist guides the eye and is no datum of its figure."""
    return bool(_guide.of(artist))


def marks(figure: Figure) -> dict[str, list[Artist]]:
    """Return the marked artists that a figure shows, by meaning, in the order of its panels."""
    found: dict[str, list[Artist]] = {}
    for ax in figure.axes:
        for artist in (*ax.lines, *ax.collections, *ax.patches):
            meaning = _meaning.of(artist)
            if meaning and artist.get_visible() and ax.get_visible():
                found.setdefault(meaning, []).append(artist)
    return found


def draw(figure: Figure, size: float = _SIZE) -> None:
    """Write the key below the panels; a second call replaces the first one's.

    Args:
        figure: whose width decides how many entries stand side by side.
        size: of the text, points.
    """
    earlier = _key.of(figure)
    if earlier is not None:
        earlier.remove()
        _key.drop(figure)
    found = marks(figure)
    if not found:
        return
    outside = isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)
    key = figure.legend(
        [_sample(artists) for artists in found.values()],
        list(found),
        loc="outside lower left" if outside else "lower left",
        ncols=columns(list(found), figure.get_figwidth(), size),
        fontsize=size,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.4,
        borderpad=0.2,
    )
    _key.put(figure, key)
    _is_key.put(key, True)


def is_key(legend: Legend) -> bool:
    """Whether a legend was made by :func:`draw`."""
    return bool(_is_key.of(legend))


def columns(texts: Sequence[str], width: float, size: float = _SIZE) -> int:
    """Return how many entries of a key fit side by side.

    Args:
        texts: of the entries. width: inches. size: of the text, points.

    >>> columns(["median", "10–90% range"], 3.3), columns(["a" * 60, "b" * 60], 3.3)
    (2, 1)
    """
    longest = max(map(len, texts)) * _LETTER * size + _HANDLE
    return max(1, min(len(texts), int(72 * width / longest)))


def _sample(artists: Sequence[Artist]) -> Artist:
    """Return what stands for artists in the key: of their color, or neutral where they differ."""
    first = artists[0]
    if isinstance(first, Line2D):
        colors = {str(line.get_color()) for line in artists if isinstance(line, Line2D)}
        color = str(first.get_color()) if len(colors) == 1 else _NEUTRAL
        sample = Line2D([], [])
        sample.update_from(first)
        filled = first.get_markerfacecolor() not in ("none", "white")
        sample.set_color(color)
        sample.set_markeredgecolor(color)
        if filled:
            sample.set_markerfacecolor(color)
        sample.set(alpha=None, markersize=min(first.get_markersize(), 8.0))
        return sample
    if isinstance(first, Patch | PolyCollection):
        faces = [_face(artist) for artist in artists]
        face = faces[0] if len(set(faces)) == 1 else (0.27, 0.27, 0.27, faces[0][3])
        return Patch(facecolor=face, edgecolor="none")
    raise TypeError(f"a key shows lines, bands and patches, got {type(first).__name__}")


def _face(artist: Artist) -> tuple[float, float, float, float]:
    assert isinstance(artist, Patch | PolyCollection)
    face: Any = artist.get_facecolor()
    red, green, blue, alpha = face[0] if isinstance(artist, PolyCollection) else face
    return float(red), float(green), float(blue), float(alpha)
