"""The .ts format of the time series classification archives: labeled series of several channels.

    # a comment (or %)
    @problemName Vowels
    @univariate false
    @dimensions 2
    @equalLength false
    @classLabel true a e
    @data
    1.0,2.0,2.5:0.1,0.2,0.2:a
    0.5,0.7:3.0,3.1:e

Each line is one series: channels separated by colons, the values of a channel by commas, the class
last. Channels of a series are equally long; series need not be. Written from the description of
the archives (Bagnall et al. 2018, arXiv 1811.00075).
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlab.data.files import decoded, read_bytes, split_lines


class Labeled(NamedTuple):
    """Series and their classes."""

    series: tuple[np.ndarray, ...]  # each (T_n, D) float64
    labels: np.ndarray  # (N,) int32, places in classes
    classes: tuple[str, ...]  # in the order of the file's header


# the only value that this reader supports, for keys that a file may leave out
_REQUIRED = {"timestamps": "false", "missing": "false", "targetlabel": "false"}


def read(path: str | Path, content: bytes | None = None) -> Labeled:
    """Read the labeled series of a .ts file.

    Args:
        path: the file, which may be compressed (.gz).
        content: its bytes, if they have been read already.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not a .ts file in UTF-8; a file with timestamps, with values to predict or
            without classes; a line that does not fit the header or the line before; a value that
            is missing or not finite. The message names the line.
    """
    text = decoded(read_bytes(str(path)) if content is None else content, path)
    lines = [(n, line.strip()) for n, line in enumerate(split_lines(text), 1)]
    lines = [(n, line) for n, line in lines if line and line[0] not in "#%"]
    header, rows = {}, []
    for place, (number, line) in enumerate(lines):
        if not line.startswith("@"):
            raise ValueError(
                f"{path}, line {number}: expected a line that begins with @ before "
                f"@data, got {_short(line)}"
            )
        key, *values = line[1:].split()
        if key.lower() == "data":
            rows = lines[place + 1 :]
            break
        header[key.lower()] = values
    else:
        raise ValueError(f"{path} is not a .ts file: it has no line @data")
    classes = _classes(path, header)
    if not rows:
        raise ValueError(f"{path} has no series after @data")
    channels = _channels(path, header, rows[0][1])
    place = {name: i for i, name in enumerate(classes)}
    series, labels = [], []
    for number, line in rows:
        where = f"{path}, line {number}"
        *values, label = line.split(":")
        if label.strip() not in place:
            raise ValueError(
                f"{where}: a class must be one of {', '.join(classes)}, got {_short(label.strip())}"
            )
        series.append(values_of(values, channels, where))
        labels.append(place[label.strip()])
    _check_lengths(path, header, series)
    return Labeled(tuple(series), np.array(labels, np.int32), classes)


def _classes(path: str | Path, header: dict[str, list[str]]) -> tuple[str, ...]:
    for key, value in _REQUIRED.items():
        got = header.get(key, [value])
        if [v.lower() for v in got] != [value]:
            raise ValueError(f"{path}: @{key} must be {value}, got {' '.join(got) or 'nothing'}")
    flag, *classes = header.get("classlabel", ["nothing"])
    if flag.lower() != "true" or len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(
            f"{path}: @classLabel must be true, followed by at least two distinct classes, "
            f"got {' '.join([flag, *classes])}"
        )
    return tuple(classes)


def _channels(path: str | Path, header: dict[str, list[str]], first: str) -> int:
    """Return the number of channels of the first series, which must be the header's."""
    channels = first.count(":")
    declared = header.get(
        "dimensions", ["1"] if header.get("univariate") == ["true"] else [str(channels)]
    )
    if declared != [str(channels)]:
        raise ValueError(
            f"{path}: @dimensions {' '.join(declared)}, but the first series has {channels} "
            "channels and a class"
        )
    if not channels:
        raise ValueError(
            f"{path}: expected channels and a class separated by colons, got {_short(first)}"
        )
    return channels


def _check_lengths(
    path: str | Path, header: dict[str, list[str]], series: list[np.ndarray]
) -> None:
    if header.get("equallength", ["false"])[0].lower() == "true":
        expected = header.get("serieslength", [str(len(series[0]))])
        for place, values in enumerate(series, 1):
            if [str(len(values))] != expected:
                raise ValueError(
                    f"{path}: @equalLength true, expected {' '.join(expected)} steps; "
                    f"series {place} has {len(values)}"
                )


def values_of(channels: list[str], expected: int, where: str) -> np.ndarray:
    """Parse one series from the texts of its channels.

    Args:
        channels: of each the values, separated by commas.
        expected: D, the number of channels.
        where: start of the message.
    Returns:
        (T, D) float64.
    Raises:
        ValueError: another number of channels, channels of different lengths, or a value that is
            not a finite number.

    >>> values_of(["1, 2", "3,4"], 2, "here").tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    if len(channels) != expected:
        raise ValueError(
            f"{where}: expected {expected} channels separated by colons, got {len(channels)}"
        )
    rows: list[list[float]] = []
    for place, channel in enumerate(channels, 1):
        row = []
        for text in channel.split(","):
            try:
                row.append(float(text))
            except ValueError:
                row.append(math.nan)
            if not math.isfinite(row[-1]):
                raise ValueError(
                    f"{where}, channel {place}, step {len(row)}: expected a finite number, "
                    f"got {_short(text)}"
                )
        if rows and len(row) != len(rows[0]):
            raise ValueError(
                f"{where}: channel {place} has {len(row)} steps, the first has {len(rows[0])}"
            )
        rows.append(row)
    return np.array(rows, np.float64).T


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
