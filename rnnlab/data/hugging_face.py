"""Texts and tables through Hugging Face ``datasets``: local files first, then names on the hub.

A data set is parsed once, then memory-mapped from the cache as Arrow. A local file never touches
the network.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rnnlab.data.files import suffix
from rnnlab.data.tables import Numbers, filled, named_columns

if TYPE_CHECKING:
    from datasets import Dataset

_Options = dict[str, str | bool | list[str]]
# a cell "NA" is a text, not a missing one; the mark of UTF-8 belongs to no name
_AS_WRITTEN: _Options = {"keep_default_na": False, "na_values": [""], "encoding": "utf-8-sig"}
# suffix of a table: (reader of datasets.Dataset, its options)
_READERS: dict[str, tuple[str, _Options]] = {
    ".csv": ("from_csv", _AS_WRITTEN),
    ".tsv": ("from_csv", {**_AS_WRITTEN, "sep": "\t"}),
    ".json": ("from_json", {}),
    ".jsonl": ("from_json", {}),
    ".parquet": ("from_parquet", {}),
}


def is_table(path: str) -> bool:
    """Return whether a name ends like one of the tables that :func:`load_table` reads.

    >>> is_table("a.parquet"), is_table("a.txt")
    (True, False)
    """
    return suffix(path) in _READERS


def load_text(
    path_or_name: str, split: str = "train", column: str = "text", cache: str = ""
) -> "Dataset":
    """Load a text as a data set of one column, one row per line or per document of a table.

    Args:
        path_or_name: a local file (.csv, .tsv, .json, .jsonl, .parquet: a table with ``column``;
            else UTF-8 lines, whose column is "text"), or a name on the hub, "name:configuration"
            where a data set has several.
        split: of a data set on the hub; a local file is all "train".
        column: the column that holds the text.
        cache: folder for the Arrow files; empty: that of ``datasets``.
    Raises:
        FileNotFoundError: neither a file nor on the hub.
        ConnectionError: the hub cannot be reached.
        ValueError: no such split or column, or a file that does not parse.
    """
    table = _load(path_or_name, split, cache, other="from_text")
    if column not in table.column_names:
        raise ValueError(f"{path_or_name!r} has no column {column!r}, only {table.column_names}")
    return table.select_columns([column])


def load_table(path_or_name: str, split: str = "train", cache: str = "") -> "Dataset":
    """Load a table: a local .csv, .tsv, .json, .jsonl or .parquet file, or a name on the hub.

    Args:
        path_or_name, split, cache: as in :func:`load_text`.
    Raises:
        FileNotFoundError, ConnectionError, ValueError: as :func:`load_text`; ValueError also for a
            file of another kind.
    """
    return _load(path_or_name, split, cache, other="")


def load_columns(
    path_or_name: str,
    columns: Sequence[str],
    split: str = "train",
    gaps: str = "refuse",
    option: str = "task.column",
) -> Numbers:
    """Load columns of numbers of a table, in the order of its rows.

    Args:
        path_or_name, split: as in :func:`load_text`.
        columns, option: as of :func:`rnnlab.data.tables.read_columns`.
        gaps: what to do about rows without a value, see :func:`rnnlab.data.tables.filled`.
    Raises:
        FileNotFoundError, ConnectionError, ValueError: as :func:`load_table`; ValueError also for
            no such column, a value in it that is not a finite number, or gaps that are refused.
    """
    table = load_table(path_or_name, split)
    names = table.column_names
    numbers = [name for name in names if _is_of_numbers(table, name)]
    chosen = named_columns(path_or_name, columns, names, numbers, option)
    values = np.stack([_values(path_or_name, table, name) for name in chosen], axis=1)
    lines = np.arange(len(values))
    return Numbers(chosen, filled(path_or_name, chosen, values, lines, gaps, unit="row"))


def _values(path_or_name: str, table: "Dataset", column: str) -> np.ndarray:
    try:
        cells = [np.nan if value is None else value for value in table[column]]
        values = np.array(cells, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{path_or_name}: column {column!r} is not all numbers") from None
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise ValueError(
            f"{path_or_name}: column {column!r} must be finite, row {infinite[0]} is "
            f"{values[infinite[0]]}"
        )
    return values


def _is_of_numbers(table: "Dataset", name: str) -> bool:
    dtype = getattr(table.features[name], "dtype", "")
    return str(dtype).startswith(("int", "uint", "float", "decimal"))


def _load(name: str, split: str, cache: str, other: str) -> "Dataset":
    """Load a local file or a data set of the hub.

    Args:
        other: reader of local files whose suffix is not a table's; empty: they are refused.
    """
    if not name:
        raise ValueError("a file or the name of a data set expected, got ''")
    file = Path(name).expanduser()
    if file.is_file():
        return _local(file, split, cache, other)
    # a name that looks like a path is not looked up on the hub: a typo would wait for the network
    if suffix(name) in (".txt", *_READERS) or name[0] in "/.~" or name.count("/") > 1:
        raise FileNotFoundError(f"no file {name!r}")
    return _from_hub(name, split, cache)


def _local(file: Path, split: str, cache: str, other: str) -> "Dataset":
    if split != "train":
        raise ValueError(f"{str(file)!r}: a local file has the one split 'train', got {split!r}")
    reader, options = _READERS.get(suffix(str(file)), (other, {"encoding": "utf-8-sig"}))
    if not reader:
        raise ValueError(f"{str(file)!r}: a table must be one of {', '.join(_READERS)}")
    if not file.stat().st_size:
        raise ValueError(f"{str(file)!r} is empty")
    from datasets import Dataset

    # not load_dataset("csv", …), which reports every use to the hub
    try:
        with _quiet():
            return getattr(Dataset, reader)(str(file), cache_dir=cache or None, **options)
    except Exception as error:  # pyarrow, pandas and datasets each have their own errors
        raise ValueError(f"{str(file)!r} cannot be read: {_first_line(error)}") from None


def _from_hub(name: str, split: str, cache: str) -> "Dataset":
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    data_set, _, configuration = name.partition(":")
    try:
        with _quiet(), contextlib.nullcontext() if _reachable(data_set) else _offline():
            return datasets.load_dataset(
                data_set, configuration or None, split=split, cache_dir=cache or None
            )  # type: ignore[return-value]
    except DatasetNotFoundError:
        raise FileNotFoundError(
            f"no file {name!r}, and no public data set of that name on the hub"
        ) from None
    except ConnectionError:  # also raised in offline mode
        raise ConnectionError(
            f"no file {name!r}, and the hub cannot be reached for a data set of that name: "
            f"give a local file, or load it once online, which caches it"
        ) from None
    except Exception as error:
        raise ValueError(
            f"data set {name!r}, split {split!r} cannot be loaded: {_first_line(error)}"
        ) from None


def _reachable(data_set: str) -> bool:
    """Return whether the hub answers a single request; load_dataset retries for half a minute."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(data_set, timeout=10)
    except (HfHubHTTPError, ValueError):  # an answer, or an invalid name: load_dataset reports it
        return True
    except Exception:  # any error of the library that sends the request
        return False
    return True


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Load from the cache only."""
    from datasets import config
    from huggingface_hub import constants

    before = config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _first_line(error: BaseException) -> str:
    """Return the first line of the innermost cause; the outer errors say nothing specific."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Turn off progress bars and the log of retries; errors are reported in one line."""
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
