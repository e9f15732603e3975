"""How far a run is: a bar on a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_SPARSE_SECONDS = 30  # between lines where there is no terminal to draw a bar on


class Step(Protocol):
    """Called with how many members are done by now, and more in words."""

    def __call__(self, done: int, words: str = "") -> None: ...


@contextmanager
def shown(total: int, done: int, show: bool) -> Iterator[Step]:
    """Yields what to call as members are finished.

    Args:
        total: members. done: those that were finished before. show: False: say nothing.
    """
    if not show:
        yield lambda done, words="": None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        columns, rows = shutil.get_terminal_size()  # tqdm draws nothing where it finds 0 of them
        with tqdm(total=total, initial=done, unit="member", ncols=columns, nrows=rows) as bar:

            def draw(done: int, words: str = "") -> None:
                bar.set_postfix_str(words, refresh=False)
                bar.update(done - bar.n)
                bar.refresh()

            yield draw
    else:
        first, start = done, time.monotonic()
        said = start

        def say(done: int, words: str = "") -> None:
            nonlocal said
            now = time.monotonic()
            if now - said < _SPARSE_SECONDS:
                return
            said = now
            if not words and done > first:
                left = (now - start) / (done - first) * (total - done)
                words = f"about {left / 60:.1f} minutes left"
            print(f"rnnlab: {done} of {total} members, {words}", file=sys.stderr)

        yield say
