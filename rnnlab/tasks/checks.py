"""Checks of the options that tasks of texts share."""

from rnnlab.core import validate


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
