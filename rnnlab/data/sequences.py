"""Sequences of any length for gradient probes: real data and white noise.

Each source returns ``(xs (B, T, D) float32, labels (B,) int32, classes)``. The label belongs to
the *start* of the sequence, so that a loss on the last step has to reach all the way back.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnnlab.core.file_cache import read_once
from rnnlab.core.notices import left_out
from rnnlab.core.validate import choice, whole
from rnnlab.data.files import encoded, suffix
from rnnlab.data.tables import read_table, scale_of


class Sequences(NamedTuple):
    """A batch of sequences, with the classes of their starts."""

    xs: np.ndarray  # (B, T, D) float32
    labels: np.ndarray  # (B,) int32
    classes: int


def digits(seed: int, batch_size: int, length: int, path: str = "") -> Sequences:
    """Return scikit-learn's 1,797 handwritten digits, pixel by pixel, concatenated at random.

    A sequence is a whole 8x8 image (64 steps, row by row), followed by others drawn at random, cut
    at ``length``. D = 1, pixels from 0 to 1; the label is the first image's digit.

    Source: scikit-learn ``load_digits`` (UCI Optical Recognition of Handwritten Digits).
    """
    del path
    images, classes = _all_digits()
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(images), size=(batch_size, -(-length // images.shape[1])))
    xs = images[chosen].reshape(batch_size, -1)[:, :length, None]
    return Sequences(xs, classes[chosen[:, 0]], 10)


@functools.cache  # a sweep's members share them
def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return (images (1797, 64) float32, classes (1797,) int32)."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    return np.asarray(images).astype(np.float32) / 16.0, np.asarray(classes).astype(np.int32)


def text(seed: int, batch_size: int, length: int, path: str = "") -> Sequences:
    """Return one-hot characters of a text, in windows at random places (:func:`places`).

    D is the number of distinct characters; the label is the window's first character.

    Args:
        path: a UTF-8 file; empty: the State of the Union speeches of ``rnnlab[data]``.
    """
    alphabet, codes = encoded(path)
    steps = places(len(codes), seed, batch_size, length, f"{path or 'the text'}: characters")
    windows = codes[steps]
    xs = np.eye(len(alphabet), dtype=np.float32)[windows]
    return Sequences(xs, windows[:, 0].astype(np.int32), len(alphabet))


def table(
    seed: int, batch_size: int, length: int, path: str = "", gaps: str = "refuse"
) -> Sequences:
    """Return rows of a table as time steps, columns standardized, in windows at random places.

    See :func:`places`. The label says whether the first column that varies starts above its mean.

    Args:
        path: a CSV file, or another that :mod:`rnnlab.data.tables` reads: its columns of numbers
            are used, others (of dates, for example) set aside; one that does not vary is 0.
        gaps: what to do about empty cells: "refuse", "drop" or "interpolate".
    Raises:
        ValueError: no table, no column of numbers that varies, or too few rows.
    """
    if not path:
        raise ValueError("task.name='csv' needs task.path, a CSV file")
    names, values = _read(path, gaps)
    steps = places(len(values), seed, batch_size, length, f"{path}: rows")
    mean, spread = scale_of(values, names, path)
    values = (values - mean) / spread
    xs = values[steps].astype(np.float32)
    first = int((values != 0).any(axis=0).argmax())
    return Sequences(xs, (xs[:, 0, first] > 0).astype(np.int32), 2)


def places(count: int, seed: int, batch_size: int, length: int, what: str) -> np.ndarray:
    """Return the places (B, T) of windows in data of ``count`` steps, drawn at random.

    Where the data are not longer than a window, a window is strung together from shorter ones of
    half of the data each, which is said once.

    Args:
        what: the data and their steps in the message.
    Raises:
        ValueError: fewer than 8 steps.

    >>> places(20, 0, 2, 3, "a.csv: rows").shape
    (2, 3)
    """
    rng = np.random.default_rng(seed)
    if count > length:
        return rng.integers(count - length, size=batch_size)[:, None] + np.arange(length)
    if count < _LEAST:
        raise ValueError(f"{what}: at least {_LEAST} are needed, got {count}")
    size = count // 2
    left_out(
        f"{what}: {count} are no more than a sequence of {length} steps (task.length), which is "
        f"strung together from windows of {size}"
    )
    starts = rng.integers(count - size + 1, size=(batch_size, -(-length // size)))
    return (starts[..., None] + np.arange(size)).reshape(batch_size, -1)[:, :length]


_LEAST = 8  # steps of data
_read = read_once(2)(read_table)  # a sweep's members read the same file


def noise(seed: int, batch_size: int, length: int, path: str = "") -> Sequences:
    """Return white noise N(0, 1), D = 1; the label says whether the first value is positive."""
    if path:
        raise ValueError(f"task.name='noise' reads no file, got task.path={path!r}")
    xs = np.random.default_rng(seed).standard_normal((batch_size, length, 1)).astype(np.float32)
    return Sequences(xs, (xs[:, 0, 0] > 0).astype(np.int32), 2)


SOURCES: dict[str, Callable[[int, int, int, str], Sequences]] = {
    "digits": digits,
    "text": text,
    "csv": table,
    "noise": noise,
}


def by_name(
    name: str, seed: int, batch_size: int, length: int, path: str = "", gaps: str = "refuse"
) -> Sequences:
    """Return a batch from the source with a name of :data:`SOURCES`.

    Args:
        path: the file of "text" or "csv"; with "digits", which are no file, the file is read in
            their place: one that ends with .txt as "text", any other as "csv".
        gaps: of "csv", see :func:`table`.
    Raises:
        ValueError: an unknown name, sizes below 1, or data that do not fit.
        FileNotFoundError: no file at ``path``.

    >>> by_name("digits", seed=0, batch_size=2, length=100).xs.shape
    (2, 100, 1)
    """
    choice("task", name, SOURCES)
    batch_size, length = whole("batch_size", batch_size), whole("length", length)
    if name == "digits" and path:
        name = "text" if suffix(path) == ".txt" else "csv"
    if name == "csv":
        return table(seed, batch_size, length, path, gaps)
    if gaps != "refuse":
        raise ValueError(f"task.name={name!r} reads no table, got task.gaps={gaps!r}")
    return SOURCES[name](seed, batch_size, length, path)
