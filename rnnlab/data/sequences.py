"""Sequences of any length for gradient probes: real data and white noise.

Each source returns ``(xs (B, T, D) float32, labels (B,) int32, classes)``. The label belongs to
the *start* of the sequence, so that a loss on the last step has to reach all the way back.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rnnlab.core.validate import choice, whole
from rnnlab.data.files import encoded
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
    _no_path("digits", path)
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = bundle.data.astype(np.float32) / 16.0  # type: ignore[union-attr]
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(images), size=(batch_size, -(-length // images.shape[1])))
    xs = images[chosen].reshape(batch_size, -1)[:, :length, None]
    labels = bundle.target[chosen[:, 0]].astype(np.int32)  # type: ignore[union-attr]
    return Sequences(xs, labels, 10)


def text(seed: int, batch_size: int, length: int, path: str = "") -> Sequences:
    """Return one-hot characters of a text, in windows at random places.

    D is the number of distinct characters; the label is the window's first character.

    Args:
        path: a UTF-8 file; empty: the State of the Union speeches of ``rnnlab[data]``.
    """
    alphabet, codes = encoded(path)
    if len(codes) <= length:
        raise ValueError(f"text of {len(codes)} characters is too short for length {length}")
    rng = np.random.default_rng(seed)
    starts = rng.integers(len(codes) - length, size=batch_size)
    windows = codes[starts[:, None] + np.arange(length)]
    xs = np.eye(len(alphabet), dtype=np.float32)[windows]
    return Sequences(xs, windows[:, 0].astype(np.int32), len(alphabet))


def table(
    seed: int, batch_size: int, length: int, path: str = "", gaps: str = "refuse"
) -> Sequences:
    """Return rows of a table as time steps, columns standardized, in windows at random places.

    The label says whether the first column that varies starts above its mean.

    Args:
        path: a CSV file, or another that :mod:`rnnlab.data.tables` reads: its columns of numbers
            are used, others (of dates, for example) set aside; one that does not vary is 0.
        gaps: what to do about empty cells: "refuse", "drop" or "interpolate".
    Raises:
        ValueError: no table, no column of numbers that varies, or fewer rows than ``length``.
    """
    if not path:
        raise ValueError("task.name='csv' needs task.path, a CSV file")
    names, values = _read(path, gaps)
    if len(values) <= length:
        raise ValueError(f"{path} has {len(values)} rows, too few for length {length}")
    mean, spread = scale_of(values, names, path)
    values = (values - mean) / spread
    starts = np.random.default_rng(seed).integers(len(values) - length, size=batch_size)
    xs = values[starts[:, None] + np.arange(length)].astype(np.float32)
    first = int((values != 0).any(axis=0).argmax())
    return Sequences(xs, (xs[:, 0, first] > 0).astype(np.int32), 2)


_read = lru_cache(maxsize=2)(read_table)  # a sweep's members read the same file


def noise(seed: int, batch_size: int, length: int, path: str = "") -> Sequences:
    """Return white noise N(0, 1), D = 1; the label says whether the first value is positive."""
    _no_path("noise", path)
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
        path: the file of "text" or "csv". gaps: of "csv", see :func:`table`.
    Raises:
        ValueError: an unknown name, sizes below 1, or data that do not fit.
        FileNotFoundError: no file at ``path``.

    >>> by_name("digits", seed=0, batch_size=2, length=100).xs.shape
    (2, 100, 1)
    """
    choice("task", name, SOURCES)
    batch_size, length = whole("batch_size", batch_size), whole("length", length)
    if name == "csv":
        return table(seed, batch_size, length, path, gaps)
    if gaps != "refuse":
        raise ValueError(f"task.name={name!r} reads no table, got task.gaps={gaps!r}")
    return SOURCES[name](seed, batch_size, length, path)


def _no_path(name: str, path: str) -> None:
    if path:
        raise ValueError(f"task.name={name!r} reads no file, got task.path={path!r}")
