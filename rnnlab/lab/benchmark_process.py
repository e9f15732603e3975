"""Start the process of one side of a benchmark, ask it for tasks, and end it."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rnnlab.core import child, json_files, signals
from rnnlab.core.errors import UserError
from rnnlab.lab import benchmark_worker
from rnnlab.lab.benchmark_worker import Request

_SECONDS_TO_LOOK = 0.5  # between looks for a signal
_DOING = {  # by task
    benchmark_worker.PREPARE: "while it prepared the benchmark",
    benchmark_worker.OUTPUTS: "while its outputs were computed",
    benchmark_worker.TIME: "while it was timed",
}


class Process:
    """The process of one side, or of what prepares a benchmark.

    It sleeps between its tasks, in a read of a pipe. A signal that ends the benchmark ends the
    process too, with what it has started; so does the end of the benchmark, whatever its cause.

    Args:
        request: see :mod:`rnnlab.lab.benchmark_worker`.
        env: environment variables beside those of this process.
    """

    def __init__(self, request: Request, env: Mapping[str, str]) -> None:
        self._request, self._task = request, ""
        folder = Path(tempfile.mkdtemp(prefix=".side", dir=request["folder"]))
        file = folder / "request.json"
        json_files.write_json(file, request)
        self._errors = folder / "stderr"  # not a pipe: what nobody reads would fill it up
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                benchmark_worker.command(file),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"PYTHONPATH": child.search_path()} | dict(env),
                start_new_session=True,
            )

    @property
    def group(self) -> int:
        """The number of its group of processes, which has its parts in it."""
        return self._process.pid

    def ask(self, task: str, **details: object) -> Request:
        """Send a task, and return its answer.

        Args:
            task, details: as of :meth:`rnnlab.lab.benchmark_worker.Worker.answer`.
        Raises:
            UserError: the process failed; one line with the end of its stderr.
        """
        self.send(task, **details)
        return self.receive()

    def send(self, task: str, **details: object) -> None:
        """Send a task and do not wait: see :meth:`ask`."""
        self._task = task
        line = json.dumps({"task": task, **details}).encode() + b"\n"
        pipe = _pipe(self._process.stdin)
        with contextlib.suppress(BrokenPipeError):  # it has failed: receive() says why
            pipe.write(line)
            pipe.flush()

    def receive(self) -> Request:
        """Wait for the answer of the task that was sent: see :meth:`ask`."""
        pipe, line = _pipe(self._process.stdout).fileno(), b""
        while not line.endswith(b"\n"):
            wait({"": self})
            part = os.read(pipe, 1 << 16)
            if not part:
                raise UserError(self._failure())
            line += part
        return json.loads(line)

    def answers(self) -> IO[bytes]:
        """Return the pipe that has the answers."""
        return _pipe(self._process.stdout)

    def close(self) -> None:
        """End the process and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        _pipe(self._process.stdout).close()

    def _failure(self) -> str:
        status = self._process.wait()
        errors = self._errors.read_text(encoding="utf-8", errors="replace")
        file, side = self._request["file"], self._request["side"]
        who = f"side {side!r}" if side else self._request["prepare"]
        return f"{file}: {who} failed {_DOING[self._task]}: {_reason(status, errors, file)}"


def wait(processes: Mapping[str, Process]) -> str:
    """Return the name of a process that has answered or ended, looking for signals meanwhile."""
    pipes = {process.answers(): name for name, process in processes.items()}
    while not (ready := select.select(list(pipes), [], [], _SECONDS_TO_LOOK)[0]):
        signals.check()
    return pipes[ready[0]]


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # all are asked for
    return pipe


def _reason(status: int, errors: str, file: str) -> str:
    r"""Return why a process failed: its signal, or the last line of stderr and where it happened.

    >>> _reason(1, 'File "/a/mine.py", line 3, in make\nOSError: no such file\n', "mine.py")
    'OSError: no such file (mine.py, line 3)'
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing"
    if status < 0:
        name = signal.Signals(-status).name
        memory = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"it was ended by {name}{memory}" + (f"; its last line: {last}" if lines else "")
    name = re.escape(Path(file).name)
    places = re.findall(rf'File ".*{name}", line (\d+)', errors)
    return last + (f" ({Path(file).name}, line {places[-1]})" if places else "")
