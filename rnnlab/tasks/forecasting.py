"""Forecasting: values of a series some steps ahead, at every step of a window."""

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.core.file_cache import read_once
from rnnlab.core.metrics import LOWER, Metric
from rnnlab.core.notices import left_out
from rnnlab.data.files import number, suffix
from rnnlab.data.hugging_face import is_table, load_columns, load_table
from rnnlab.data.splits import evenly_spaced, shuffled_indices
from rnnlab.data.tables import GAPS, named_columns, names_of, read_columns, scale_of, split_names
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal, PredictableDefaults
from rnnlab.tasks.stored import Record, Stored

Array = jax.Array

SOURCES = ("mackey_glass", "csv")


WINDOW = 50  # steps, where the series is long enough
LEAST_WINDOW = 3  # steps, of a window that follows from the data


class Series(NamedTuple):
    """The columns of a series, split in time, in standard deviations of the training part.

    The columns to predict come first, then the other inputs.
    """

    train: np.ndarray  # (N, C) float32, each column of mean 0 and variance 1
    validation: np.ndarray  # (K, C) float32, the next
    test: np.ndarray  # (M, C) float32, the last part


class _Known(NamedTuple):
    """The part of a series task that a run stores."""

    columns: tuple[str, ...]  # C names
    inputs: tuple[int, ...]  # D places in columns
    outputs: int  # O, the first columns
    window: int
    level: np.ndarray  # (C,) of the training part: its mean
    scale: np.ndarray  # (C,) its standard deviation; 1 for an input that does not vary


class _Read(NamedTuple):
    parts: tuple[np.ndarray, np.ndarray, np.ndarray]  # training, validation, test; float64
    known: _Known


@dataclass(frozen=True)
class Forecasting(Stored, PredictableDefaults):
    """x_{t+horizon} from x_1 … x_t, at every step of windows of a series.

    The last ``test_share`` of the series is held out, and of what comes before the last
    ``validation_share``; mean and standard deviation are those of the part before both. No window
    contains values of two parts.

    Args:
        source: "mackey_glass" (:func:`mackey_glass`), or "csv", columns of the file ``path``.
        path: a file to learn from, in place of ``source`` (:mod:`rnnlab.data.tables`). A table of
            another kind, or a name on the hub, is read as
            :func:`rnnlab.data.hugging_face.load_table` does.
        column: the column to predict, where the file has several of numbers; or several, with
            commas between.
        inputs: the columns to predict from, with commas between; empty: those to predict.
        gaps: what to do about empty cells of the columns: "refuse" them by their lines, "drop"
            their rows, or "interpolate" them from their neighbors.
        points: values of the Mackey–Glass series.
        window: T, values of the series that are read at once; 0: 50, or fewer where the held-out
            part is short.
        horizon: steps ahead.
        test_share: the share of the series, its end, that is held out.
        validation_share: the last share of what comes before, the validation set; at least a
            window and its horizon, unless 0.
        solved_at: the loss, a mean squared error in squared standard deviations, that counts as
            solved.
    Raises:
        ValueError: an option out of its range, or options that do not go together; on first use of
            the data, a column to predict that does not vary in the training part, an input that
            varies only later, or a series that is too short.

    >>> task = Forecasting(points=500, window=20)
    >>> batch = task.batch(task.load(), jax.random.key(0), 0, batch_size=4)
    >>> bool((batch.inputs[:, 1:] == batch.targets[:, :-1]).all())
    True
    """

    name: ClassVar[str] = "forecasting"

    source: str = "mackey_glass"
    path: str = ""
    column: str = ""
    inputs: str = ""
    gaps: str = GAPS[0]
    points: int = 5000
    window: int = 0
    horizon: int = 1
    test_share: float = 0.2
    validation_share: float = 0.1
    solved_at: float = 1e-3

    def __post_init__(self) -> None:
        validate.choice("source", self.source, SOURCES)
        if self.source == "csv" and not self.path:
            raise ValueError("source 'csv' needs path, a CSV file")
        validate.choice("gaps", self.gaps, GAPS)
        if not self.path and (self.column or self.inputs or self.gaps != GAPS[0]):
            raise ValueError(
                f"source {self.source!r} reads no file, got column={self.column!r}, "
                f"inputs={self.inputs!r}, gaps={self.gaps!r}"
            )
        if self.inputs and not self.column:
            raise ValueError(
                f"inputs={self.inputs!r} needs column, the column to predict from them"
            )
        validate.whole("points", self.points)
        validate.whole("window", self.window, least=0)
        validate.whole("horizon", self.horizon)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("validation_share", self.validation_share, least=0, below=1)
        validate.number("solved_at", self.solved_at, above=0, finite=False)

    @property
    def length(self) -> int:
        """T, the window."""
        return self.window or self._known.window

    @property
    def input_size(self) -> int:
        """D, columns to predict from."""
        return len(self._known.inputs)

    @property
    def output_size(self) -> int:
        """O, columns to predict."""
        return self._known.outputs

    @property
    def symbols(self) -> bool:
        """Values are real numbers."""
        return False

    @property
    def loss(self) -> str:
        """Mean squared error."""
        return "mse"

    @property
    def many_to_one(self) -> bool:
        """False: a target at every step."""
        return False

    @property
    def goal(self) -> Goal:
        """The loss is at most ``solved_at``."""
        return Goal("loss", self.solved_at)

    @property
    def _known(self) -> _Known:
        return _remembered(self.kept) if self.kept else _read(self).known

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns to predict; of Mackey–Glass "x"."""
        return self._known.columns[: self.output_size]

    @property
    def level(self) -> np.ndarray:
        """The values that the model reads as 0, (C,), in the units of the data."""
        return self._known.level

    @property
    def scale(self) -> np.ndarray:
        """One standard deviation of each column, (C,), in the units of the data."""
        return self._known.scale

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The headline: the error of each column to predict, in its own units."""
        if self.output_size == 1:
            unit = f"units of {self.columns[0]}" if self.path else "data units"
            return (Metric("rmse", unit, LOWER),)
        return tuple(Metric(f"rmse_{name}", f"units of {name}", LOWER) for name in self.columns)

    def longest_horizon(self) -> int:
        """Return the number of steps ahead for which half of the held-out part is left.

        Fewer where a window of the held-out part would be shorter than allowed; at least 1.
        """
        held_out = round(len(_values(self)[1]) * self.test_share)
        spare = held_out - (self.window or 2 * LEAST_WINDOW - 1)
        return max(1, min(held_out // 2, spare))

    def stored(self) -> Record:
        """Return the columns, their mean and standard deviation, and the window."""
        return self._known._asdict()

    def load(self) -> Series:
        """Return all parts, standardized by the first.

        Raises:
            ValueError: a part shorter than a window and its horizon, or a file that does not fit;
                data that have changed since a run stored the task.
            FileNotFoundError: no file at ``path``.
        """
        self.check_same()
        read = _read(self)
        return Series(*(((x - self.level) / self.scale).astype(np.float32) for x in read.parts))

    def baseline(self, data: Series) -> float:
        """Return the loss of the best a + b x_t for x_{t+horizon}, fitted to the training part.

        x_t are all inputs.
        """
        train = np.asarray(data.train, np.float64)[:, list(self._known.inputs)]
        now, ahead = train[: -self.horizon], self._pairs(data)[1]
        design = np.concatenate([np.ones((len(now), 1)), now], axis=1)
        fit = np.linalg.lstsq(design, ahead, rcond=None)[0]
        return float(np.square(ahead - design @ fit).mean())

    def persistence(self, data: Series) -> float:
        """Return the loss, on the training part, of the prediction x_t: that nothing changes."""
        now, ahead = self._pairs(data)
        return float(np.square(ahead - now).mean())

    def _pairs(self, data: Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns to predict now, and so many steps ahead."""
        train = np.asarray(data.train, np.float64)[:, : self.output_size]
        return train[: -self.horizon], train[self.horizon :]

    def windows(self, part: np.ndarray | Array) -> int:
        """Return the number of different windows of a part; 0 of an empty one."""
        return max(len(part) - self.length - self.horizon + 1, 0)

    def batch(self, data: Series, key: Array, index: int | Array, batch_size: int) -> Batch:
        """Return windows of the training part, in the order of ``shuffled_indices``.

        At most as many as there are.
        """
        starts = self.windows(data.train)
        rows = shuffled_indices(key, starts, index, min(batch_size, starts))
        return self._batch(data.train, rows)

    def test_size(self, data: Series) -> int:
        """Return the number of different windows of the held-out part."""
        return self.windows(data.test)

    def test(self, data: Series, key: Array, batch_size: int) -> Batch:
        """Return windows whose starts are spread evenly over the held-out part.

        There are at most as many as there are different ones.
        """
        return self._spread(data.test, batch_size)

    def validation_size(self, data: Series) -> int:
        """Return the number of different windows of the validation part."""
        return self.windows(data.validation)

    def validation(self, data: Series, key: Array, batch_size: int) -> Batch:
        """Return windows of the validation part, as :meth:`test` does of the held-out one."""
        return self._spread(data.validation, batch_size)

    def _spread(self, part: np.ndarray | Array, batch_size: int) -> Batch:
        return self._batch(part, jnp.asarray(self._starts(part, batch_size), jnp.int32))

    def _starts(self, part: np.ndarray | Array, batch_size: int) -> np.ndarray:
        starts = self.windows(part)
        count = min(batch_size, starts)
        return evenly_spaced(count, starts)

    def test_windows(self, data: Series, batch_size: int) -> np.ndarray:
        """Return the steps of :meth:`test`'s windows, as places (N, T) in the held-out part."""
        return self._starts(data.test, batch_size)[:, None] + np.arange(self.length)

    def whole(self, data: Series) -> np.ndarray:
        """Return the inputs of the whole held-out part, (M, D)."""
        return np.asarray(data.test)[:, list(self._known.inputs)]

    def _batch(self, part: np.ndarray | Array, starts: Array) -> Batch:
        steps = starts[:, None] + jnp.arange(self.length)
        values, outputs = jnp.asarray(part), self.output_size
        inputs = values[:, jnp.asarray(self._known.inputs)]
        ahead = values[:, :outputs][steps + self.horizon]
        return Batch(inputs[steps], ahead, jnp.ones(steps.shape, bool))

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the steps of a text: numbers, separated by blanks, commas or semicolons.

        Of several inputs a step is their numbers with commas between, and blanks, semicolons or
        line ends separate steps.
        """
        return re.findall(r"[^\s,;]+" if self.input_size == 1 else r"[^\s;]+", text)

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return steps of the series as the model reads them: (T, D) float32, standardized.

        Raises:
            ValueError: a step that is not made of D finite numbers.
        """
        D, rows = self.input_size, []
        for token in tokens:
            values = [number(cell) for cell in token.split(",")]
            if len(values) != D:
                names = ",".join(self._known.columns[place] for place in self._known.inputs)
                raise ValueError(f"a step is made of {D} numbers, {names}; got {token!r}")
            known = [value for value in values if value is not None]
            if len(known) < D:
                raise ValueError(f"a series is made of numbers, got {token!r}")
            if not all(map(math.isfinite, known)):
                raise ValueError(f"a series is made of finite numbers, got {token!r}")
            rows.append(known)
        places = list(self._known.inputs)
        steps = np.array(rows, np.float64).reshape(len(rows), D)
        return ((steps - self.level[places]) / self.scale[places]).astype(np.float32)

    def decode(self, values: np.ndarray) -> str:
        """Return standardized outputs (N, O) in the units of the data, each step after a blank.

        Six digits, as many as float32 has.

        >>> task = Forecasting(points=500, window=20)
        >>> task.decode(task.encode(["1.0", "0.9"]))
        ' 1 0.9'
        """
        outputs = slice(self.output_size)
        steps = self.level[outputs] + self.scale[outputs] * np.asarray(values, np.float64)
        return "".join(" " + ",".join(f"{value:.6g}" for value in step) for step in steps)

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the values ``horizon`` steps after the last, from outputs (T, O)."""
        del tokens
        return self.label(outputs[-1])

    @property
    def streams(self) -> bool:
        """True: a forecast after every step."""
        return True

    def label(self, output: Array) -> str:
        """Return the values predicted at a step, in the units of the data."""
        return self.decode(np.asarray(output)[None])[1:]

    @property
    def feeds_back(self) -> bool:
        """Whether a forecast is the next step's input: one step ahead, of all inputs."""
        return self.horizon == 1 and self._known.inputs == tuple(range(self.output_size))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the errors of outputs (B, T, O).

        Returns:
            "loss" in squared standard deviations; "nrmse" = √loss, in standard deviations of the
            training part; "rmse" in the units of the data, or of several columns one
            "rmse_COLUMN" each.
        """
        loss = losses.mse(outputs, batch.targets, batch.mask)
        score = {"loss": loss, "nrmse": jnp.sqrt(loss)}
        if self.output_size == 1:
            return score | {"rmse": jnp.sqrt(loss) * float(self.scale[0])}
        for place, name in enumerate(self.columns):
            column = slice(place, place + 1)
            error = losses.mse(outputs[..., column], batch.targets[..., column], batch.mask)
            score[f"rmse_{name}"] = jnp.sqrt(error) * float(self.scale[place])
        return score


@read_once(8)  # sizes are asked for often, and members share their series
def _read(task: Forecasting) -> _Read:
    (names, inputs, outputs), values = _values(task)
    what = task.path or task.source
    train, test, window = _sizes(len(values), task, what)
    parts = values[:train], values[train : len(values) - test], values[len(values) - test :]
    still = parts[0].min(axis=0) == parts[0].max(axis=0)
    for name, flat in zip(names[:outputs], still, strict=False):
        if flat:
            raise ValueError(
                f"{what}: column {name!r} does not vary in its first {train} values, the training "
                "part: there is nothing to learn"
            )
    later = (values[train:] != parts[0][0]).any(axis=0)
    for name, flat in zip(names[outputs:], (still & later)[outputs:], strict=True):
        if flat:
            raise ValueError(
                f"{what}: input {name!r} does not vary in its first {train} values, the training "
                "part; leave it out of task.inputs"
            )
    scale = scale_of(parts[0], names, what)
    return _Read(parts, _Known(names, inputs, outputs, window, scale.mean, scale.spread))


@lru_cache(maxsize=8)
def _remembered(kept: str) -> _Known:
    record = json.loads(kept)
    level, scale = (np.array(record[name], np.float64) for name in ("level", "scale"))
    columns, inputs = tuple(record["columns"]), tuple(record["inputs"])
    return _Known(columns, inputs, record["outputs"], record["window"], level, scale)


def _sizes(n: int, task: Forecasting, what: str) -> tuple[int, int, int]:
    """Return (values to learn from, values held out, the window) of a series of n values."""
    horizon, test = task.horizon, round(n * task.test_share)
    window = task.window or min(WINDOW, (test - horizon + 1) // 2)
    if window < min(LEAST_WINDOW, task.window or LEAST_WINDOW):
        raise ValueError(
            f"{what} has {n} values, too few to forecast {horizon} step{'s' * (horizon > 1)} "
            f"ahead: of the {test} that are held out, windows of at least {LEAST_WINDOW} steps and "
            f"{horizon} to predict need {2 * LEAST_WINDOW + horizon - 1}"
        )
    least, rest = window + horizon, n - test
    validation = round(rest * task.validation_share)
    validation = max(validation, least) if task.validation_share else 0
    for part, size in (("training", rest - validation), ("held-out", test)):
        if size < least:
            raise ValueError(
                f"the {part} part has {max(size, 0)} values, too few for a window of {window} and "
                f"horizon {horizon}"
            )
    if not task.window and window < WINDOW:
        left_out(
            f"{what} has {n} values: task.window={window} (at most {WINDOW}), {rest - validation} "
            f"to learn from, {validation} for validation, {test} held out"
        )
    return rest - validation, test, window


_Columns = tuple[tuple[str, ...], tuple[int, ...], int]  # names, places of inputs, outputs


def _values(task: Forecasting) -> tuple[_Columns, np.ndarray]:
    """Return the columns that are used, and their values (N, C)."""
    if not task.path:
        return (("x",), (0,), 1), mackey_glass(task.points)[:, None]
    return _columns(task.path, task.column, task.inputs, task.gaps)


@read_once(4)
def _columns(path: str, column: str, inputs: str, gaps: str) -> tuple[_Columns, np.ndarray]:
    # our own reader for a local table in text: it names the line that does not fit
    text = suffix(path) in (".csv", ".tsv") or not is_table(path)
    local = text and Path(path).expanduser().is_file()
    read = read_columns if local else load_columns
    known = names_of(path) if local else load_table(path).column_names
    asked, given = split_names(column, known), split_names(inputs, known)
    for names, option in ((asked, "task.column"), (given, "task.inputs")):
        if names:
            named_columns(path, names, known, known, option)
    option = "task.column and task.inputs" if given else "task.column"
    found = read(path, tuple(dict.fromkeys((*asked, *given))), gaps=gaps, option=option)
    outputs = len(asked) or len(found.names)
    places = tuple(map(found.names.index, given or found.names[:outputs]))
    return (found.names, places, outputs), found.values


@lru_cache(maxsize=4)
def mackey_glass(points: int) -> np.ndarray:
    """Return the series dx/dt = 0.2 x(t−17) / (1 + x(t−17)¹⁰) − 0.1 x(t), one value per unit of t.

    It is chaotic. Runge–Kutta of order 4 in steps of 0.1, the delayed value between steps
    interpolated; x = 1.2 up to t = 0, and the first 1,000 values are left out. Nothing is random.

    Returns:
        (points,) float64.
    Source: Mackey & Glass 1977.

    >>> series = mackey_glass(2000)
    >>> bool(0.2 < series.min() < 0.5 and 1.2 < series.max() < 1.4)
    True
    """
    step, steps, delay, skipped = 0.1, 10, 170, 1000

    def growth(x: float) -> float:
        x2 = x * x
        # products, not **: the same bits on every machine; chaos amplifies any difference
        x4 = x2 * x2
        return 0.2 * x / (1 + x4 * x4 * x2)

    x = [1.2] * (delay + 1)
    for _ in range((skipped + points - 1) * steps):
        now, early, late = x[-1], x[-1 - delay], x[-delay]
        g0, g1, g2 = growth(early), growth((early + late) / 2), growth(late)
        k1 = g0 - 0.1 * now
        k2 = g1 - 0.1 * (now + step / 2 * k1)
        k3 = g1 - 0.1 * (now + step / 2 * k2)
        k4 = g2 - 0.1 * (now + step * k3)
        x.append(now + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(x[delay + skipped * steps :: steps])
