"""Checks and notices that tasks of texts share."""

from collections.abc import Hashable, Sequence

import numpy as np

from rnnlab.core import validate
from rnnlab.core.notices import left_out


def check_corpus(
    *,
    limit: int,
    max_length: int,
    min_count: int,
    embedding_size: int,
    test_share: float,
    validation_share: float,
) -> None:
    """Check the sizes of a corpus, and the shares of it that are held out.

    Raises:
        ValueError: one out of its range.

    >>> check_corpus(
    ...     limit=0,
    ...     max_length=9,
    ...     min_count=1,
    ...     embedding_size=4,
    ...     test_share=0.1,
    ...     validation_share=0.1,
    ... )
    """
    validate.whole("limit", limit, 0)
    validate.whole("max_length", max_length)
    validate.whole("min_count", min_count)
    validate.whole("embedding_size", embedding_size)
    validate.number("test_share", test_share, above=0, below=1)
    validate.number("validation_share", validation_share, least=0, below=1)


def check_paths(path: str, test_path: str, validation_path: str = "") -> None:
    """Check that files of held-out examples come with one to learn from.

    Raises:
        ValueError: they do not, or the validation file is one of the others.

    >>> check_paths("train.txt", "test.txt", "validation.txt")
    """
    others = {"test_path": test_path, "validation_path": validation_path}
    for name, other in others.items():
        if other and not path:
            raise ValueError(f"{name}={other!r} needs a path to learn from")
    if validation_path and validation_path in (path, test_path):
        raise ValueError(
            f"validation_path must be another file than path and test_path, got {validation_path!r}"
        )


def without(
    examples: Sequence[Hashable],
    path: str,
    others: Sequence[Hashable],
    held_out: str,
    what: str,
) -> np.ndarray:
    """Return the places of a file's examples that another part does not hold out, in order.

    How many are left out is said.

    Args:
        examples: of the file ``path``. others: those of the part, of the file ``held_out``.
        what: the examples, in the plural.
    Raises:
        ValueError: none is left.

    >>> without(["a", "b"], "train.txt", ["c"], "test.txt", "sentences").tolist()
    [0, 1]
    """
    elsewhere = set(others)
    rows = [row for row, example in enumerate(examples) if example not in elsewhere]
    if not rows:
        raise ValueError(f"{path}: no {what} are left, all of them are held out in {held_out}")
    if len(rows) < len(examples):
        left_out(
            f"{path}: left out {len(examples) - len(rows)} of {len(examples)} {what}, which are "
            f"held out in {held_out}"
        )
    return np.array(rows)


def say_cut(lengths: np.ndarray, max_length: int, what: str, unit: str) -> None:
    """Say how many examples are longer than what is read of them.

    Args:
        lengths: (N,). max_length: what is read of each, at most.
        what: the examples, in the plural. unit: what lengths count, in the plural.
    """
    longer = lengths[lengths > max_length]
    if len(longer):
        left_out(
            f"{len(longer)} of {len(lengths)} {what} are cut to task.max_length={max_length}: "
            f"{int((longer - max_length).sum())} of {int(lengths.sum())} {unit} are left out"
        )


def say_limit(limit: int, available: int, what: str) -> None:
    """Say how many examples a limit leaves, where it leaves some out or there are fewer.

    Args:
        limit: 0: none. available: number of examples. what: the examples, in the plural.
    """
    if 0 < limit < available:
        left_out(f"{limit} of {available} {what} are used (task.limit)")
    if limit > available:
        left_out(f"task.limit={limit} is more than the {available} {what}: all are used")


def few_of(asked: int, available: int, key: str, what: str) -> int:
    """Return the number of examples of a comparison of few with all.

    A quarter of those available, which is said, where these are not more than asked.

    Args:
        asked: the number of the config's ``key``. available: all of them, after a limit.
        what: the examples, in the plural.
    Raises:
        ValueError: fewer than 2 are available.
    """
    if available < 2:
        raise ValueError(f"{key}: fewer than all {what} needs 2 or more, got {available}")
    if asked < available:
        return asked
    few = max(available // 4, 1)
    left_out(f"{key}={asked} is not fewer than the {available} {what}: {few} are used")
    return few


def check_each_class(
    labels: np.ndarray, classes: Sequence[str], what: str, unit: str, least: int = 5
) -> None:
    """Check that each class has enough examples.

    Args:
        labels: (N,) places in classes. what: the data. unit: the examples, in the plural.
    Raises:
        ValueError: one has not.

    >>> check_each_class(np.array([0, 1, 1]), ["no", "yes"], "a.csv", "texts", least=2)
    Traceback (most recent call last):
    ValueError: a.csv: at least 2 texts of each class are needed, got 1 of 'no'
    """
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < least:
        rarest = classes[int(counts.argmin())]
        raise ValueError(
            f"{what}: at least {least} {unit} of each class are needed, got {counts.min()} of "
            f"{rarest!r}"
        )
