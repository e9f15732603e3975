"""One-step forecasting: the next value of a series, at every step of a window."""

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
from rnnlab.data.hugging_face import is_table, load_column
from rnnlab.data.splits import shuffled_indices
from rnnlab.data.tables import GAPS, read_column
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal, PredictableDefaults
from rnnlab.tasks.stored import Record, Stored

Array = jax.Array

SOURCES = ("mackey_glass", "csv")


class Series(NamedTuple):
    """A series, split in time, in units of the training part's standard deviation."""

    train: np.ndarray  # (N,) float32, mean 0 and variance 1
    test: np.ndarray  # (M,) float32, what comes after


@dataclass(frozen=True)
class Forecasting(Stored, PredictableDefaults):
    """x_{t+horizon} from x_1 … x_t, at every step of windows of a series.

    The last ``test_share`` of the series is held out; mean and standard deviation are those of
    the part before it. No window contains values of both parts.

    Args:
        source: "mackey_glass" (:func:`mackey_glass`), or "csv", a column of the file ``path``.
        path, column: a file to learn from, in place of ``source``, and the column's name where it
            has several of numbers (:mod:`rnnlab.data.tables`). A table of another kind, or a name
            on the hub, is read as :func:`rnnlab.data.hugging_face.load_table` does.
        gaps: what to do about empty cells of the column: "refuse" them by their lines, "drop"
            their rows, or "interpolate" them from their neighbors.
        points: values of the Mackey–Glass series.
        window: T. horizon: steps ahead.
        solved_at: the loss, a mean squared error in squared standard deviations, that counts as
            solved.
    Raises:
        ValueError: an option out of its range, or options that do not go together; on first use of
            the data, a column that does not vary.

    >>> task = Forecasting(points=500, window=20)
    >>> batch = task.batch(task.load(), jax.random.key(0), 0, batch_size=4)
    >>> bool((batch.inputs[:, 1:] == batch.targets[:, :-1]).all())
    True
    """

    name: ClassVar[str] = "forecasting"

    source: str = "mackey_glass"
    path: str = ""
    column: str = ""
    gaps: str = GAPS[0]
    points: int = 5000
    window: int = 50
    horizon: int = 1
    test_share: float = 0.2
    solved_at: float = 1e-3

    def __post_init__(self) -> None:
        validate.choice("source", self.source, SOURCES)
        if self.source == "csv" and not self.path:
            raise ValueError("source 'csv' needs path, a CSV file")
        validate.choice("gaps", self.gaps, GAPS)
        if not self.path and (self.column or self.gaps != GAPS[0]):
            raise ValueError(
                f"source {self.source!r} reads no file, got column={self.column!r}, "
                f"gaps={self.gaps!r}"
            )
        validate.whole("points", self.points)
        validate.whole("window", self.window)
        validate.whole("horizon", self.horizon)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("solved_at", self.solved_at, above=0, finite=False)

    @property
    def length(self) -> int:
        """T, the window."""
        return self.window

    @property
    def input_size(self) -> int:
        """D, one value per step."""
        return 1

    @property
    def output_size(self) -> int:
        """O, the value ahead."""
        return 1

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

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the series, not standardized: (training part, held-out part)."""
        if self.path:
            series = _column(self.path, self.column, self.gaps)
        else:
            series = mackey_glass(self.points)
        n = len(series) - round(len(series) * self.test_share)
        for part, size in (("training", n), ("held-out", len(series) - n)):
            if size < self.window + self.horizon:
                raise ValueError(
                    f"the {part} part has {size} values, too few for a window of "
                    f"{self.window} and horizon {self.horizon}"
                )
        if series[:n].min() == series[:n].max():
            raise ValueError(
                f"{self.path}: the series does not vary in its first {n} values, the training part"
            )
        return series[:n], series[n:]

    @property
    def level(self) -> float:
        """The value that the model reads as 0, in the units of the series."""
        return self.memory["level"] if self.kept else float(self._parts()[0].mean())

    @property
    def scale(self) -> float:
        """One unit of the outputs, in the units of the series."""
        if self.kept:
            return self.memory["scale"]
        spread = float(self._parts()[0].std())
        return spread if spread > 0 else 1.0

    def stored(self) -> Record:
        """Return :attr:`level` and :attr:`scale`."""
        return {"level": self.level, "scale": self.scale}

    def load(self) -> Series:
        """Return both parts, standardized by the first.

        Raises:
            ValueError: a part shorter than a window and its horizon, or a file that does not fit;
                data that have changed since a run stored the task.
            FileNotFoundError: no file at ``path``.
        """
        self.check_same()
        return Series(*(((x - self.level) / self.scale).astype(np.float32) for x in self._parts()))

    def baseline(self, data: Series) -> float:
        """Return the loss of the best a + b x_t for x_{t+horizon}, fitted to the training part."""
        now, ahead = self._pairs(data)
        design = np.stack([np.ones_like(now), now], axis=1)
        fit = np.linalg.lstsq(design, ahead, rcond=None)[0]
        return float(np.square(ahead - design @ fit).mean())

    def persistence(self, data: Series) -> float:
        """Return the loss, on the training part, of the prediction x_t: that nothing changes."""
        now, ahead = self._pairs(data)
        return float(np.square(ahead - now).mean())

    def _pairs(self, data: Series) -> tuple[np.ndarray, np.ndarray]:
        train = np.asarray(data.train, np.float64)
        return train[: -self.horizon], train[self.horizon :]

    def batch(self, data: Series, key: Array, index: int | Array, batch_size: int) -> Batch:
        """Return windows of the training part, in the order of ``shuffled_indices``."""
        starts = len(data.train) - self.window - self.horizon + 1
        return self._batch(data.train, shuffled_indices(key, starts, index, batch_size))

    def test_size(self, data: Series) -> int:
        """Return the number of different windows of the held-out part."""
        return len(data.test) - self.window - self.horizon + 1

    def test(self, data: Series, key: Array, batch_size: int) -> Batch:
        """Return windows whose starts are spread evenly over the held-out part.

        There are at most as many as there are different ones.
        """
        starts = self.test_size(data)
        count = min(batch_size, starts)
        return self._batch(data.test, jnp.asarray(np.arange(count) * starts // count, jnp.int32))

    def _batch(self, series: np.ndarray | Array, starts: Array) -> Batch:
        steps = starts[:, None] + jnp.arange(self.window)
        values = jnp.asarray(series)[:, None]
        return Batch(values[steps], values[steps + self.horizon], jnp.ones(steps.shape, bool))

    # ---- for predictions, see rnnlab.tasks.base.Predictable ----

    def tokens(self, text: str) -> list[str]:
        """Return the numbers of a text, separated by blanks, commas or semicolons."""
        return re.findall(r"[^\s,;]+", text)

    def encode(self, tokens: list[str]) -> np.ndarray:
        """Return values of the series as the model reads them: (T, 1) float32, standardized.

        Raises:
            ValueError: a token that is no finite number.
        """
        values = []
        for token in tokens:
            try:
                values.append(float(token))
            except ValueError:
                raise ValueError(f"a series is made of numbers, got {token!r}") from None
            if not math.isfinite(values[-1]):
                raise ValueError(f"a series is made of finite numbers, got {token!r}")
        return ((np.array(values) - self.level) / self.scale).astype(np.float32)[:, None]

    def decode(self, values: np.ndarray) -> str:
        """Return standardized values (N, 1) in the units of the series, each after a blank.

        Six digits, as many as float32 has.

        >>> task = Forecasting(points=500, window=20)
        >>> task.decode(task.encode(["1.0", "0.9"]))
        ' 1 0.9'
        """
        level, scale = self.level, self.scale
        return "".join(f" {level + scale * float(value):.6g}" for value in values[:, 0])

    def say(self, tokens: list[str], outputs: Array) -> str:
        """Return the value ``horizon`` steps after the last, from outputs (T, 1)."""
        del tokens
        return self.label(outputs[-1])

    @property
    def streams(self) -> bool:
        """True: a forecast after every value."""
        return True

    def label(self, output: Array) -> str:
        """Return the value predicted at a step, in the units of the series."""
        return self.decode(np.asarray(output)[None])[1:]

    @property
    def feeds_back(self) -> bool:
        """Whether a forecast is the next step's input: one step ahead."""
        return self.horizon == 1

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return "loss" in squared standard deviations, "rmse" in the units of the series."""
        loss = losses.mse(outputs, batch.targets, batch.mask)
        return {"loss": loss, "rmse": jnp.sqrt(loss) * self.scale}


@lru_cache(maxsize=4)
def _column(path: str, column: str, gaps: str) -> np.ndarray:
    # our own reader for a local table in text: it names the line that does not fit
    text = Path(path).suffix in (".csv", ".tsv") or not is_table(path)
    if text and Path(path).expanduser().is_file():
        return read_column(path, column, gaps)
    return load_column(path, column, gaps=gaps)


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
