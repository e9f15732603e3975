"""Checks and notices that tasks of texts share."""

import numpy as np

from rnnlab.core import validate
from rnnlab.core.notices import left_out


def check_corpus(
    *, limit: int, max_length: int, min_count: int, embedding_size: int, test_share: float
) -> None:
    """Check the sizes of a corpus, and the share of it that is held out.

    Raises:
        ValueError: one out of its range.

    >>> check_corpus(limit=0, max_length=9, min_count=1, embedding_size=4, test_share=0.1)
    """
    validate.whole("limit", limit, 0)
    validate.whole("max_length", max_length)
    validate.whole("min_count", min_count)
    validate.whole("embedding_size", embedding_size)
    validate.number("test_share", test_share, above=0, below=1)


def check_test_path(path: str, test_path: str) -> None:
    """Check that a file of held-out examples comes with one to learn from.

    Raises:
        ValueError: it does not.

    >>> check_test_path("train.txt", "test.txt")
    """
    if test_path and not path:
        raise ValueError(f"test_path={test_path!r} needs a path to learn from")


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
    """Say how many examples a limit leaves, where it leaves some out.

    Args:
        limit: 0: none. available: number of examples. what: the examples, in the plural.
    """
    if 0 < limit < available:
        left_out(f"{limit} of {available} {what} are used (task.limit)")
