"""The process that runs groups of members beside the command: see :mod:`rnnlab.lab.members`.

It reads pickled messages from stdin, first a :class:`Work`, then lists of (member, config); it
answers with ``None`` when it is ready, and for every list with a :class:`Ended` per member and
``None``. What members print goes to stderr. It ends with the command, at the end of stdin.
"""

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from ml_collections import ConfigDict

from rnnlab.core import child, compilation_cache, host, signals
from rnnlab.core.compiled import CompiledPrograms
from rnnlab.core.notices import LeftOut
from rnnlab.lab import records
from rnnlab.lab.load import Experiment, Results, load_code
from rnnlab.lab.sources import Code

Values = dict[str, Any]  # of a config, nested

# not -m: what it pickles would belong to __main__
_COMMAND = "from rnnlab.lab.member_worker import main; main()"


class Work(NamedTuple):
    """The first message to a process: what it needs for every member that follows.

    Args:
        codes: the files to execute, the experiment's last. arg: the experiment's.
        cache: whether compiled programs may be kept on the disk.
    """

    codes: tuple[Code, ...]
    arg: str
    cache: bool


class Ended(NamedTuple):
    """A member that has ended.

    Args:
        member: its number. seconds: that it took. results: None: it raised an error.
        logged: the lines of its metrics.
    """

    member: int
    seconds: float
    results: Results | None
    logged: list[records.Record]


class Process:
    """A second process that runs members; this side of it.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        # a session of its own: a terminal's interrupt is for the command
        self._process = child.start(["-c", _COMMAND], {}, start_new_session=True)

    def ready(self, work: Work) -> bool:
        """Tell it what it needs to know, and wait until it is ready; False: it has ended."""
        return self._send(work) and self._receive() is None

    def run(self, members: Sequence[tuple[int, Values]]) -> Iterator[Ended]:
        """Run members, and yield each as it ends; fewer where the process ends.

        Args:
            members: their numbers and configs.
        """
        if not self._send(members):
            return
        while isinstance(said := self._receive(), Ended):
            yield said

    def kill(self) -> None:
        """End it; what waits for it in another thread returns."""
        self._process.kill()

    def close(self) -> None:
        """Wait for its end, and close its pipes."""
        child.end(self._process)

    def _send(self, message: object) -> bool:
        """Send a message; False: the process has ended, or the message cannot be pickled."""
        with contextlib.suppress(Exception):
            pipe = child.stdin(self._process)
            pipe.write(pickle.dumps(message))
            pipe.flush()
            return True
        return False

    def _receive(self) -> object:
        """Return an answer; the class EOFError where the process has ended."""
        with contextlib.suppress(Exception):  # pickle raises any of them for half an answer
            return pickle.load(child.stdout(self._process))
        return EOFError


def one_blas_thread() -> contextlib.AbstractContextManager[object]:
    """Let NumPy's products use one thread each: several processes share the cores."""
    from threadpoolctl import threadpool_limits  # which scikit-learn needs

    return threadpool_limits(1, user_api="blas")


# ---- the other side ----------------------------------------------------------------------------


def main() -> None:
    """Run what is asked for, until the command has nothing more, or has ended."""
    for number in signals.ENDING:  # the command decides when this process ends
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore", LeftOut)  # the command has said it
    asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=[asked], daemon=True).start()
    work: Work = asked.get()
    host.use_all_cores()
    with compilation_cache.kept(work.cache):
        _serve(work, asked, answers)


def _listen(asked: "queue.SimpleQueue[Any]") -> None:
    """Read messages; at the end of stdin the command has ended, and so does this process."""
    with contextlib.suppress(Exception):
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    os._exit(1)


def _serve(work: Work, asked: "queue.SimpleQueue[Any]", answers: IO[bytes]) -> None:
    experiment = load_code(work.codes, work.arg)
    compiled = CompiledPrograms(host.cores())
    _answer(answers, pickle.dumps(None))
    with one_blas_thread():
        while True:
            members: Sequence[tuple[int, Values]] = asked.get()
            for member, values in members:
                compiled.let_go()
                _answer(answers, _run(experiment, member, values))
            _answer(answers, pickle.dumps(None))


def _run(experiment: Experiment, member: int, values: Values) -> bytes:
    """Return the pickled :class:`Ended` of a member; the command meets its error, if it has one."""
    import jax

    config: Any = ConfigDict(values).lock()
    logged: list[records.Record] = []
    start = time.perf_counter()
    try:
        found = experiment.functions.run(
            config, jax.random.key(config.seed), records.make_log(logged.append)
        )
        return pickle.dumps(Ended(member, time.perf_counter() - start, found, logged))
    except Exception:
        return pickle.dumps(Ended(member, 0.0, None, []))


def _answer(answers: IO[bytes], pickled: bytes) -> None:
    try:
        answers.write(pickled)
        answers.flush()
    except BrokenPipeError:  # the command has ended
        os._exit(1)
