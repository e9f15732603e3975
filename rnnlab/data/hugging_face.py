"""Texts and tables through Hugging Face ``datasets``: local files first, hub names when online.

Read once, then memory-mapped from the cache as Arrow. A local file never touches the network.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset
    from jax import Array
else:
    Array = Any  # as in base.py

_SPLIT_SEED = 0

# of tables; suffix: (the reader of datasets.Dataset, its options)
_READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("from_csv", {}),
    ".tsv": ("from_csv", {"sep": "\t"}),
    ".json": ("from_json", {}),
    ".jsonl": ("from_json", {}),
    ".parquet": ("from_parquet", {}),
}


def is_table(path: str) -> bool:
    """Whether a name looks like one of the tables that are read here, by its ending.

    >>> is_table("a.parquet"), is_table("a.txt")
    (True, False)
    """
    return Path(path).suffix in _READERS


def load_text(
    path_or_name: str, split: str = "train", column: str = "text", cache: str = ""
) -> "Dataset":
    """A text as a data set of one column: a row a line, or a row a document of a table.

    Args:
        path_or_name: a local file (.csv, .tsv, .json, .jsonl, .parquet: a table with ``column``;
            else UTF-8 lines, whose column is "text"), or a name on the hub, "name:configuration"
            where a data set has several.
        split: of a hub's data set; a local file is all "train".
        cache: a folder for the Arrow files; empty: that of ``datasets``.
    Raises:
        FileNotFoundError: neither a file nor on the hub. ConnectionError: the hub is out of
            reach. ValueError: no such split or column, or a file that does not parse.
    """
    table = _load(path_or_name, split, cache, other="from_text")
    if column not in table.column_names:
        raise ValueError(f"{path_or_name!r} has no column {column!r}, only {table.column_names}")
    return table.select_columns([column])


def load_table(path_or_name: str, split: str = "train", cache: str = "") -> "Dataset":
    """A table: a local .csv, .tsv, .json, .jsonl or .parquet file, or a name on the hub.

    Args and raises as :func:`load_text`; ValueError also for a file of another kind.
    """
    return _load(path_or_name, split, cache, other="")


def load_column(path_or_name: str, column: str, split: str = "train") -> np.ndarray:
    """One column (N,) float64 of a table, in the order of its rows.

    Args:
        column: may be empty where there is only one. The others as :func:`load_table`.
    Raises:
        as :func:`load_table`; ValueError also for no such column, or values in it that are no
        finite numbers.
    """
    table = load_table(path_or_name, split)
    names = table.column_names
    if not column and len(names) == 1:
        column = names[0]
    if column not in names:
        raise ValueError(f"{path_or_name!r}: task.column must name one of {names}, got {column!r}")
    try:
        values = np.array(table[column], np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{path_or_name!r}: column {column!r} is not all numbers") from None
    lost = np.flatnonzero(~np.isfinite(values))
    if lost.size:
        raise ValueError(
            f"{path_or_name!r}: column {column!r} must be finite, row {lost[0]} is "
            f"{values[lost[0]]}"
        )
    return values


def _load(name: str, split: str, cache: str, other: str) -> "Dataset":
    """``other``: the reader of local files of no known suffix; empty: they are refused."""
    if not name:
        raise ValueError("a file or the name of a data set expected, got ''")
    file = Path(name).expanduser()
    if file.is_file():
        return _local(file, split, cache, other)
    # what looks like a path is not asked of the hub: a typing error would wait for the network
    if file.suffix in (".txt", *_READERS) or name[0] in "/.~" or name.count("/") > 1:
        raise FileNotFoundError(f"no file {name!r}")
    return _from_hub(name, split, cache)


def _local(file: Path, split: str, cache: str, other: str) -> "Dataset":
    if split != "train":
        raise ValueError(f"{str(file)!r}: a local file has the one split 'train', got {split!r}")
    reader, options = _READERS.get(file.suffix, (other, {}))
    if not reader:
        raise ValueError(f"{str(file)!r}: a table must be one of {', '.join(_READERS)}")
    if not file.stat().st_size:
        raise ValueError(f"{str(file)!r} is empty")
    from datasets import Dataset

    # the readers and not load_dataset("csv", …): that reports every use to the hub
    try:
        with _quiet():
            return getattr(Dataset, reader)(str(file), cache_dir=cache or None, **options)
    except Exception as error:  # pyarrow, pandas and datasets each have their own
        raise ValueError(f"{str(file)!r} cannot be read: {_first_line(error)}") from None


def _from_hub(name: str, split: str, cache: str) -> "Dataset":
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    data_set, _, configuration = name.partition(":")
    try:
        with _quiet(), contextlib.nullcontext() if _answers(data_set) else _offline():
            return datasets.load_dataset(
                data_set, configuration or None, split=split, cache_dir=cache or None
            )  # type: ignore[return-value]
    except DatasetNotFoundError:
        raise FileNotFoundError(
            f"no file {name!r}, and no data set of that name on the hub that all may read"
        ) from None
    except ConnectionError:  # offline mode, too
        raise ConnectionError(
            f"no file {name!r}, and the hub cannot be reached for a data set of that name: "
            f"give a local file, or load it once online, which caches it"
        ) from None
    except Exception as error:
        raise ValueError(
            f"data set {name!r}, split {split!r} cannot be loaded: {_first_line(error)}"
        ) from None


def _answers(data_set: str) -> bool:
    """Whether the hub answers, asked once: load_dataset tries for half a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(data_set, timeout=10)
    except (HfHubHTTPError, ValueError):  # an answer, or no name of one: load_dataset tells
        return True
    except Exception:  # the error of whatever library carries the request
        return False
    return True


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """From the cache or not at all."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _first_line(error: BaseException) -> str:
    """What the innermost cause says: the outer ones only say that something went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no log of a hub's retries: errors are told in one line."""
    import datasets
    import huggingface_hub.utils as hub

    bars = not datasets.utils.are_progress_bars_disabled()
    levels = hub.logging.get_verbosity(), datasets.logging.get_verbosity()
    datasets.utils.disable_progress_bars()
    hub.logging.set_verbosity(logging.CRITICAL)
    datasets.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hub.logging.set_verbosity(levels[0])
        datasets.logging.set_verbosity(levels[1])
        if bars:
            datasets.utils.enable_progress_bars()


# ---- order -------------------------------------------------------------------------------------


def shuffled_indices(key: Array, n: int, position: Any, batch_size: int) -> Array:
    """Which of n examples are in batch ``position``, reshuffled every epoch.

    An epoch has ⌊n / batch_size⌋ batches and no example twice; the n mod batch_size that it
    leaves out are others every time. Its order is the permutation of fold_in(key, epoch).

    Args:
        position: whole number from 0 on, may be traced.
    Returns:
        (batch_size,) int32 from 0 … n−1.
    Raises:
        ValueError: batch_size below 1 or above n.
    """
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be 1 to {n}, the number of examples, got {batch_size}")
    import jax

    position = jax.numpy.asarray(position, jax.numpy.int32)
    batches = n // batch_size
    order = jax.random.permutation(jax.random.fold_in(key, position // batches), n)
    return jax.lax.dynamic_slice(order, (position % batches * batch_size,), (batch_size,))


def split_by_class(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(training, held out) rows, of every class at least one of each, both in random order.

    The same for the same labels (N,), in every run.

    >>> [rows.tolist() for rows in split_by_class(np.array([0, 1, 0, 1, 0]), 0.3)]
    [[0, 1, 2], [3, 4]]
    """
    rng = np.random.default_rng(_SPLIT_SEED)
    train, test = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held = min(max(round(share * len(rows)), 1), len(rows) - 1)
        test.append(rows[:held])
        train.append(rows[held:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


@dataclass(frozen=True)
class Shuffled:
    """Examples in an order whose whole state is one number: :func:`shuffled_indices` of a seed.

    >>> order = Shuffled(n=6, seed=0)
    >>> sorted(int(i) for position in range(3) for i in order.indices(position, batch_size=2))
    [0, 1, 2, 3, 4, 5]
    """

    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")

    def indices(self, position: Any, batch_size: int) -> Array:
        """The examples (batch_size,) int32 of batch ``position``."""
        import jax

        return shuffled_indices(jax.random.key(self.seed), self.n, position, batch_size)
