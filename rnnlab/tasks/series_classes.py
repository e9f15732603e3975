"""Classes of series: vowels, gestures, outlines; of any length, with any number of channels."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.data import series_files, series_tables
from rnnlab.data.files import checked, packaged
from rnnlab.data.series_files import Labeled, values_of
from rnnlab.data.splits import split_by_class, validation_rows
from rnnlab.data.tables import GAPS, scale_of
from rnnlab.tasks.checks import check_paths, say_cut, without
from rnnlab.tasks.classification import Classification, Sequences
from rnnlab.tasks.stored import Record, Stored

# source: SHA-256 of its two files, the same in sktime 1.2.0 and aeon 1.6.0
SOURCES = {
    "JapaneseVowels": (
        "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
        "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
    ),
    "BasicMotions": (
        "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
        "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
    ),
    "ItalyPowerDemand": (
        "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
        "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
    ),
    "GunPoint": (
        "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
        "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
    ),
    "ArrowHead": (
        "a83c470aaf611a5f5284377cce27a5fc9f6292bc3d110257b0fd4905ced5ee72",
        "5417dab42626d41df5e435bb22458c2df40dfad4bcd3b59559bbe72e20e84904",
    ),
    "OSULeaf": (
        "86b9d6e860414ffd26cebc62fff84ffb37fa588ef3e5bf79e4094a437c36ddfc",
        "6c549dd354f9e42d5985fa5fab75321ca9acefc7873457e71467fc8a31f107ce",
    ),
    "ACSF1": (
        "0646b90dc4843e02baed6b2ba345c5601a4991b6796565489cef1b2d92a7537b",
        "93e8aaeb44a10af181d24a156e60da7021193cd990ca28f263fccf3b905bfebf",
    ),
}


class _Known(NamedTuple):
    classes: tuple[str, ...]
    mean: np.ndarray  # (D,) of all steps to learn from
    spread: np.ndarray  # (D,), 1 for a channel that never changes
    length: int  # T


class _Read(NamedTuple):
    data: Sequences  # in units of the training steps' standard deviation, per channel
    known: _Known


@dataclass(frozen=True)
class SeriesClasses(Stored, Classification):
    """One class per series (T_n, D), read after its last step.

    x_d ← (x_d − mean_d) / std_d, over all steps of the series to learn from.

    Args:
        source: of ``rnnlab[data]``: "JapaneseVowels" (270 to learn from and 370 held out, 12
            channels of 7 to 29 steps: which of nine men says /ae/; Kudo et al. 1999),
            "BasicMotions" (40 and 40, 6 x 100, 4 classes), "ItalyPowerDemand" (67 and 1,029, 24
            steps, 2), "GunPoint" (50 and 150, 150, 2), "ArrowHead" (36 and 175, 251, 3), "OSULeaf"
            (200 and 242, 427, 6), "ACSF1" (100 and 100, 1,460, 10). Each with its own split.
        path: a .ts file or a table of your own to learn from, in place of ``source``: see
            :func:`rnnlab.data.series_tables.read_labeled`.
        label_column: of a table, the column of classes, where its name is not a usual one.
        series_column: of a table with one step per row, the column that tells series apart.
        gaps: of a table, what to do about empty cells inside a series: "refuse" them by their
            lines, "drop" the steps, or "interpolate" them from their neighbors.
        test_path: a file of held-out series; empty: a share of ``path`` is held out. Those that
            ``path`` has too are not learned from.
        validation_path: a file of validation series; empty: a share is held out. Those of the
            test set are left out of it, and those that ``path`` has too are not learned from.
        test_share: that share, class by class, drawn with a fixed seed.
        validation_share: the share of the series to learn from that is the validation set, class
            by class.
        max_length: T; longer series are cut off. 0: the longest.
        solved_at: the accuracy that counts as solved.
    Raises:
        ValueError: an option out of its range.

    >>> import jax
    >>> task = SeriesClasses()
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=4).inputs.shape
    (4, 29, 12)
    >>> len(data.train), len(data.test), len(data.validation), task.classes[-1]
    (243, 370, 27, '9')
    """

    name: ClassVar[str] = "series_classes"

    source: str = "JapaneseVowels"
    path: str = ""
    label_column: str = ""
    series_column: str = ""
    gaps: str = GAPS[0]
    test_path: str = ""
    validation_path: str = ""
    test_share: float = 0.2
    validation_share: float = 0.1
    max_length: int = 0
    solved_at: float = 0.95

    def __post_init__(self) -> None:
        validate.choice("source", self.source, SOURCES)
        validate.choice("gaps", self.gaps, GAPS)
        for key, default in (("label_column", ""), ("series_column", ""), ("gaps", GAPS[0])):
            value = getattr(self, key)
            if value != default and not self.path:
                raise ValueError(f"task.{key}={value!r} needs task.path, a table")
        check_paths(self.path, self.test_path, self.validation_path)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("validation_share", self.validation_share, least=0, below=1)
        validate.whole("max_length", self.max_length, 0)
        validate.number("solved_at", self.solved_at, above=0, most=1)

    @property
    def length(self) -> int:
        """T, the longest series or ``max_length``."""
        return self._known.length

    @property
    def input_size(self) -> int:
        """D, channels."""
        return len(self._known.mean)

    @property
    def symbols(self) -> bool:
        """Values are real numbers."""
        return False

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the file's header."""
        return self._known.classes

    @property
    def _known(self) -> _Known:
        return _remembered(self.kept) if self.kept else _read(self).known

    def stored(self) -> Record:
        """Return the classes, each channel's mean and standard deviation, and T."""
        return self._known._asdict()

    def load(self) -> Sequences:
        """Return both parts, standardized by the first and padded to T.

        Raises:
            ValueError: the source is not installed, a file that does not fit, or two files that do
                not fit together; data that have changed since a run stored the task.
            FileNotFoundError: no file at a path.
        """
        self.check_same()
        return _read(self).data

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def texts(self, lines: list[str]) -> list[str]:
        """Return the series among the lines of a .ts file; of another file all of its lines.

        >>> task = SeriesClasses("ItalyPowerDemand")
        >>> task.texts(["# a comment", "@data", "1,2:1", "", "3,4:2"]), task.texts(["1,2", "", "3"])
        (['1,2:1', '3,4:2'], ['1,2', '', '3'])
        """
        if not any(line.lstrip().startswith("@") for line in lines):
            return lines
        return [line for line in lines if line.strip()[:1] not in ("@", "#", "%", "")]

    def tokens(self, text: str) -> list[str]:
        """Return the steps of a series as a .ts file has it, without its class.

        A step is its channels' values.

        Raises:
            ValueError: another number of channels, or a value that is no finite number.

        >>> SeriesClasses("ItalyPowerDemand").tokens("0.5, 1,2.25:1")
        ['0.5', '1.0', '2.25']
        """
        channels, D = text.split(":"), self.input_size
        if len(channels) == D + 1 and channels[-1].strip() in self.classes:
            channels = channels[:-1]
        values = values_of(channels, D, "a series")
        return [",".join(map(repr, step)) for step in values.tolist()]

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return steps (T, D) float32 as the model reads them, standardized."""
        values = np.array([[float(value) for value in step.split(",")] for step in tokens])
        return ((values - self._known.mean) / self._known.spread).astype(np.float32)


def _packaged(source: str, part: str, digest: str) -> Labeled:
    file = packaged(
        "sktime", f"datasets/data/{source}/{source}_{part}.ts", f"the series of {source!r}", "aeon"
    )
    return series_files.read(file, checked(file.read_bytes(), digest, f"{file} is another file"))


def _parts(task: SeriesClasses) -> tuple[Labeled, Labeled, Labeled]:
    """Return the series to learn from, those of the test, and those of the validation set."""

    def read(path: str) -> Labeled:
        return series_tables.read_labeled(path, task.label_column, task.series_column, task.gaps)

    if not task.path:
        train, test = (
            _packaged(task.source, part, digest)
            for part, digest in zip(("TRAIN", "TEST"), SOURCES[task.source], strict=True)
        )
    elif task.test_path:
        train = read(task.path)
        test = _same(task, train, task.test_path, read(task.test_path))
        train = _without(train, task.path, test, task.test_path)
    else:
        train, test = _split(read(task.path), task.test_share)
    if task.validation_path:
        validation = _same(task, train, task.validation_path, read(task.validation_path))
        held_out = task.test_path or task.path
        validation = _without(validation, task.validation_path, test, held_out)
        return _without(train, task.path, validation, task.validation_path), test, validation
    rows, held = validation_rows(train.labels, task.validation_share)
    return _chosen(train, rows), test, _chosen(train, held)


def _same(task: SeriesClasses, train: Labeled, path: str, held_out: Labeled) -> Labeled:
    """Return held-out series with the classes of those to learn from."""
    channels = [part.series[0].shape[1] for part in (train, held_out)]
    unknown = [name for name in held_out.classes if name not in train.classes]
    if channels[0] != channels[1] or unknown:
        raise ValueError(
            f"{task.path} and {path} must have the same channels and classes, got {channels[0]} of "
            f"{', '.join(train.classes)} and {channels[1]} of {', '.join(held_out.classes)}"
        )
    number = np.array([train.classes.index(name) for name in held_out.classes], np.int32)
    return Labeled(held_out.series, number[held_out.labels], train.classes)


def _without(part: Labeled, path: str, others: Labeled, held_out: str) -> Labeled:
    """Leave out the series of a file that another one holds out."""

    def keys(of: Labeled) -> list[tuple[tuple[int, ...], bytes]]:
        return [(series.shape, series.tobytes()) for series in of.series]

    return _chosen(part, without(keys(part), path, keys(others), held_out, "series"))


def _split(whole: Labeled, share: float) -> tuple[Labeled, Labeled]:
    counts = np.bincount(whole.labels, minlength=len(whole.classes))
    if counts.min() < 2:
        raise ValueError(
            f"two series or more of class {whole.classes[counts.argmin()]!r} are "
            f"needed to hold one out, got {counts.min()}"
        )
    train, test = split_by_class(whole.labels, share)
    return _chosen(whole, train), _chosen(whole, test)


def _chosen(whole: Labeled, rows: np.ndarray) -> Labeled:
    return Labeled(tuple(whole.series[i] for i in rows), whole.labels[rows], whole.classes)


@read_once(8)  # every method and member reads the same series
def _read(task: SeriesClasses) -> _Read:
    parts = _parts(task)
    steps = np.concatenate(parts[0].series)
    channels = [f"channel {place}" for place in range(1, steps.shape[1] + 1)]
    mean, spread = scale_of(steps, channels, task.path or task.source)
    longest = max(len(series) for part in parts for series in part.series)
    T = min(longest, task.max_length or longest)
    arrays = []
    named = ("to learn from", "held out", "of the validation set")
    for part, name in zip(parts, named, strict=True):
        say_cut(np.array([len(own) for own in part.series], int), T, f"series {name}", "steps")
        lengths = np.array([min(len(series), T) for series in part.series], np.int32)
        rows = np.zeros((len(lengths), T, len(mean)), np.float32)
        for row, series, length in zip(rows, part.series, lengths, strict=True):
            row[:length] = ((series - mean) / spread)[:length]
        arrays += [rows, lengths, part.labels]
    return _Read(Sequences(*arrays), _Known(parts[0].classes, mean, spread, T))


@lru_cache(maxsize=8)
def _remembered(kept: str) -> _Known:
    record = json.loads(kept)
    mean, spread = (np.array(record[name], np.float64) for name in ("mean", "spread"))
    return _Known(tuple(record["classes"]), mean, spread, record["length"])
