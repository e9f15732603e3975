"""Progress of a run: a bar on a terminal, else a line from time to time."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_SPARSE_SECONDS = 30  # between lines, without a terminal


class Step(Protocol):
    """A callback with the number of finished members and a comment."""

    def __call__(self, done: int, words: str = "") -> None: ...


@contextmanager
def shown(total: int, done: int, show: bool) -> Iterator[Step]:
    """Yield a callback to call as members finish.

    Args:
        total: number of members.
        done: number of members finished before.
        show: False: print nothing.
    """
    if not show:
        yield lambda done, words="": None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        columns, rows = shutil.get_terminal_size()  # tqdm draws nothing for a size of 0
        with tqdm(total=total, initial=done, unit="member", ncols=columns, nrows=rows) as bar:

            def draw(done: int, words: str = "") -> None:
                bar.set_postfix_str(words, refresh=False)
                bar.update(done - bar.n)
                bar.refresh()

            yield draw
    else:
        first, start = done, time.monotonic()
        printed = start

        def print_line(done: int, words: str = "") -> None:
            nonlocal printed
            now = time.monotonic()
            if now - printed < _SPARSE_SECONDS:
                return
            printed = now
            if not words and done > first:
                left = (now - start) / (done - first) * (total - done)
                words = f"about {left / 60:.1f} minutes left"
            print(f"rnnlab: {done} of {total} members, {words}", file=sys.stderr)

        yield print_line
