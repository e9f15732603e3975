"""Start the process of one side of a benchmark, wait for its answer, and end it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rnnlab.core import json_files, signals
from rnnlab.core.errors import UserError
from rnnlab.lab import benchmark_worker
from rnnlab.lab.benchmark_worker import Request

_SECONDS_TO_LOOK = 0.5  # between looks for a signal
_DOING = {  # by task
    benchmark_worker.PREPARE: "while it prepared the benchmark",
    benchmark_worker.OUTPUTS: "while its outputs were computed",
    benchmark_worker.TIME: "while it was timed",
}


def ask(request: Request, env: Mapping[str, str]) -> Request:
    """Return the answer of a process of its own.

    A signal that ends the benchmark ends the process too, with what it has started.

    Args:
        request: with "task", "side", "file" and "answer"; see :mod:`rnnlab.lab.benchmark_worker`.
        env: environment variables beside those of this process.
    Raises:
        UserError: the process failed; one line with the end of its stderr.
    """
    file, answer = Path(f"{request['answer']}.request"), Path(request["answer"])
    json_files.write_json(file, request)
    # imports as this process does
    path = os.pathsep.join(entry for entry in sys.path if entry)
    read, write = os.pipe()  # the process ends when the writing end is closed, by a kill too
    try:
        process = subprocess.Popen(
            benchmark_worker.command(file),
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path} | dict(env),
            start_new_session=True,
        )
    finally:
        os.close(read)
    try:
        errors = _wait(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        os.close(write)
    if process.returncode:
        side = f"side {request['side']!r}" if request["side"] else request["prepare"]
        why = _reason(process.returncode, errors, request["file"])
        raise UserError(f"{request['file']}: {side} failed {_DOING[request['task']]}: {why}")
    return json_files.decode(json_files.read_json(answer))


def _wait(process: "subprocess.Popen[bytes]") -> str:
    """Return the stderr of a process that has ended, looking for signals meanwhile."""
    while True:
        try:
            return process.communicate(timeout=_SECONDS_TO_LOOK)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            signals.check()


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
