"""Files of word vectors: opened whether compressed or not, and words that occur again.

Compressed files (gzip's .gz, in which vectors are published) are known by their first bytes.
"""

import gzip
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import install
from rnnlab.data.files import BYTE_ORDER_MARK

_GZIP, _BOM = b"\x1f\x8b", BYTE_ORDER_MARK.encode()
_RATIO = 1032  # bytes that one compressed byte can hold at most (zlib's documentation)
_FIRST = 2**16  # bytes of a line that are looked at
_FEWEST = 4  # numbers on a line of a file without a header
_OTHERS = {
    b"PK\x03\x04": "a .zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}


class Opened(NamedTuple):
    """A file that is read from its start, decompressed."""

    stream: BufferedIOBase
    most: int  # bytes that it can hold at most
    exact: bool  # whether it holds as many


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Opened]:
    """Open a file of vectors; a UTF-8 mark at its start is skipped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another compression than gzip's; on reading, a file that is cut off or damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    with open(path, "rb") as file:
        start = file.read(6)
        for magic, kind in _OTHERS.items():
            if start.startswith(magic):
                raise ValueError(f"{path} is {kind}: unpack it first (.gz is read as it is)")
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if not start.startswith(_GZIP):
            file.seek(len(_BOM) if start.startswith(_BOM) else 0)
            yield Opened(file, size, exact=True)
            return
        try:
            with gzip.open(file) as unpacked:
                if unpacked.peek(len(_BOM)).startswith(_BOM):
                    unpacked.read(len(_BOM))
                yield Opened(unpacked, _RATIO * size, exact=False)
        except EOFError:
            raise ValueError(f"{path} is cut off: its compressed data end too early") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None


def first_of_each(
    path: str | os.PathLike[str], words: Sequence[str], place: str, first: int = 1
) -> np.ndarray:
    """Return the places of the words at their first occurrence, (distinct words,).

    Words that occur again are left out with one warning, which names the path and the place.

    Args:
        words: of a file, in its order.
        place: "line", for instance; ``first``: the number of the first word's.
    """
    seen: dict[str, int] = {}
    kept = np.array([seen.setdefault(word, row) == row for row, word in enumerate(words)], bool)
    if not kept.all():
        again = int(np.argmin(kept))
        word, repeated = words[again], len(words) - len(seen)
        warnings.warn(
            f"{path}, {place} {again + first}: the word {word!r} occurs again, its first vector "
            f"({place} {seen[word] + first}) is kept; {repeated} of {len(words)} vectors are left "
            "out",
            stacklevel=4,
        )
    return np.flatnonzero(kept)


def looks_like_vectors(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as vectors do rather than a text: V D, or a word and many numbers.

    Args:
        path: of a text file of word2vec, fastText or GloVe, compressed or not, or a binary one of
            word2vec.
    Raises:
        FileNotFoundError, ValueError: as :func:`opened`.
    """
    with opened(path) as file:
        first, second = (file.stream.readline(_FIRST).split() for _ in range(2))
    if is_header(b" ".join(first)):
        D = int(first[1])
        text = len(second) > D and are_numbers(second[-D:])
        return D > 0 and (text or b"\0" in b" ".join(second))
    D = len(first) - 1
    return (
        D >= _FEWEST
        and len(second) == len(first)
        and all(are_numbers(line[1:]) for line in (first, second))
    )


def is_header(line: bytes) -> bool:
    """Whether a line is "V D", the first of word2vec's files."""
    parts = line.split()
    return len(parts) == 2 and all(map(bytes.isdigit, parts))


def are_numbers(cells: Sequence[bytes]) -> bool:
    """Whether all cells are finite numbers."""
    try:
        return np.isfinite([float(cell) for cell in cells]).all().item()
    except ValueError:
        return False


def safetensors_package() -> ModuleType:
    """Import safetensors with its part for NumPy.

    Raises:
        ImportError: it is not installed; the message has the command.
    """
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(f"saved vectors are safetensors files: {install('vectors')}") from None
    return safetensors
