"""The process that runs groups of members beside the command: see :mod:`rnnlab.lab.members`.

It reads pickled messages from stdin, first a :class:`Work`, then lists of (member, config); it
answers with ``None`` when it is ready, and for every list with a :class:`Run` per member and
``None``. What members print goes to stderr. It ends at the end of stdin.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from ml_collections import ConfigDict

from rnnlab.core import compilation_cache, host, signals
from rnnlab.core.compiled import CompiledPrograms
from rnnlab.core.notices import LeftOut
from rnnlab.lab import records
from rnnlab.lab.load import Experiment, Results, load_code
from rnnlab.lab.sources import Code

Values = dict[str, Any]  # of a config, nested

# not -m: what it pickles would belong to __main__
_COMMAND = "from rnnlab.lab.member_worker import main; main()"


class Work(NamedTuple):
    """What the process needs to know.

    Args:
        codes: the files to execute, the experiment's last. arg: the experiment's.
        cache: whether compiled programs may be kept on the disk.
    """

    codes: tuple[Code, ...]
    arg: str
    cache: bool


class Run(NamedTuple):
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

    Args:
        work: what it needs to know.
    """

    def __init__(self, work: Work) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)  # imports as this one does
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # a terminal's interrupt is for this process
        )
        self._send(work)

    def ready(self) -> bool:
        """Wait until it is ready; False: it has ended."""
        return self._receive() is None

    def run(self, members: Sequence[tuple[int, Values]]) -> Iterator[Run]:
        """Run members, and yield each as it ends; fewer where the process ends.

        Args:
            members: their numbers and configs.
        """
        self._send(members)
        while isinstance(said := self._receive(), Run):
            yield said

    def kill(self) -> None:
        """End it; a thread that waits for it goes on."""
        self._process.kill()

    def close(self) -> None:
        """Close its pipes, after its end."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # both are asked for
            with contextlib.suppress(BrokenPipeError):  # for what it has not read
                pipe.close()
        self._process.wait()

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended: no answer comes
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _receive(self) -> object:
        """Return an answer; the class EOFError where the process has ended."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except Exception:  # pickle raises any of them for half an answer
            return EOFError


def main() -> None:
    """Run what is asked for, until there is nothing more."""
    for number in signals.ENDING:  # the command decides when this process ends
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore", LeftOut)  # the command has said it
    asked = sys.stdin.buffer
    work: Work = pickle.load(asked)
    host.use_all_cores()
    with compilation_cache.kept(work.cache):
        try:
            _serve(work, asked, answers)
        except BrokenPipeError:  # the command has ended
            os._exit(1)


def _serve(work: Work, asked: IO[bytes], answers: IO[bytes]) -> None:
    experiment = load_code(work.codes, work.arg)
    compiled = CompiledPrograms()
    _answer(answers, pickle.dumps(None))
    with one_blas_thread(), contextlib.suppress(EOFError):  # there is nothing more to do
        while True:
            members: list[tuple[int, Values]] = pickle.load(asked)
            for member, values in members:
                compiled.let_go()
                _answer(answers, _run(experiment, member, values))
            _answer(answers, pickle.dumps(None))


def one_blas_thread() -> contextlib.AbstractContextManager[object]:
    """Let NumPy's products use one thread each: several processes share the cores."""
    from threadpoolctl import threadpool_limits  # which scikit-learn needs

    return threadpool_limits(1, user_api="blas")


def _run(experiment: Experiment, member: int, values: Values) -> bytes:
    """Return the pickled :class:`Run` of a member; the command meets its error, if it has one."""
    import jax

    config: Any = ConfigDict(values).lock()
    logged: list[records.Record] = []
    start = time.perf_counter()
    try:
        found = experiment.functions.run(
            config, jax.random.key(config.seed), records.make_log(logged.append)
        )
        return pickle.dumps(Run(member, time.perf_counter() - start, found, logged))
    except Exception:
        return pickle.dumps(Run(member, 0.0, None, []))


def _answer(answers: IO[bytes], pickled: bytes) -> None:
    answers.write(pickled)
    answers.flush()
