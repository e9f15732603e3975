"""Notes about artists and figures, which go with them where they are pickled."""

from typing import Generic, TypeVar

from matplotlib.artist import Artist

Value = TypeVar("Value")


class Note(Generic[Value]):
    """A kind of note, kept in the artists that it is about.

    Args:
        name: a word of its own, by which artists keep it.

    >>> meaning = Note[str]("example")
    >>> artist = Artist()
    >>> meaning.put(artist, "the median")
    >>> meaning.of(artist), meaning.of(Artist())
    ('the median', None)
    """

    def __init__(self, name: str) -> None:
        self._name = f"_rnnlab_{name}"

    def put(self, artist: Artist, value: Value) -> None:
        """Write a note, in place of an earlier one."""
        vars(artist)[self._name] = value

    def of(self, artist: Artist) -> Value | None:
        """Return the note about an artist; None where there is none."""
        return vars(artist).get(self._name)

    def drop(self, artist: Artist) -> None:
        """Forget the note about an artist, if there is one."""
        vars(artist).pop(self._name, None)
