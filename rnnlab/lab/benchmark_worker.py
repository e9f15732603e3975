"""The process of one side of a benchmark: ``python -m rnnlab.lab.benchmark_worker REQUEST``.

:mod:`rnnlab.lab.benchmark` starts it. It executes the experiment's file as the benchmark has read
it, makes its side, and answers tasks that come by stdin, a line each. It ends when the benchmark
does.
"""

import base64
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core import json_files
from rnnlab.lab import benchmark_parts, memory_peak, outputs
from rnnlab.lab.load import load_code
from rnnlab.lab.sides import Side, Timed, passes
from rnnlab.lab.sources import Code, Source
from rnnlab.lab.timing import Timer

Request = dict[str, Any]  # of JSON
_MODULE = "rnnlab.lab.benchmark_worker"  # also where this file is __main__
PREPARE, OUTPUTS, TIME = "prepare", "outputs", "time"  # tasks


def command(request: Path, *part: int) -> list[str]:
    """Return the command that answers a request, or one part of it."""
    return [sys.executable, "-P", "-m", _MODULE, str(request), *map(str, part)]


def encode_codes(codes: Sequence[Code]) -> list[Request]:
    """Return the texts of files as JSON holds them."""
    return [
        {
            "role": code.role,
            "file": code.file,
            "path": str(code.path),
            "sources": [
                {"name": part.name, "text": base64.b64encode(part.text).decode("ascii")}
                for part in code.sources
            ],
        }
        for code in codes
    ]


def decode_codes(codes: Sequence[Request]) -> list[Code]:
    """Invert :func:`encode_codes`."""
    decoded = []
    for code in codes:
        main, *beside = [
            Source(part["name"], base64.b64decode(part["text"])) for part in code["sources"]
        ]
        decoded.append(Code(code["role"], code["file"], Path(code["path"]), main, tuple(beside)))
    return decoded


class Worker:
    """The tasks of one side, in its process, which keeps its calls from one task to the next.

    Args:
        module: the experiment's file.
        request: as :mod:`rnnlab.lab.benchmark` writes it.
        file: of the request, for a side of several processes.
    """

    def __init__(self, module: ModuleType, request: Request, file: Path | None = None) -> None:
        self._module, self._request, self._file = module, request, file
        self._timers: dict[str, Timer] = {}

    def answer(self, task: Request) -> Request:
        """Do what is asked for.

        Args:
            task: "task" and its details: none of "prepare"; "folder" (for the files) and "peaks"
                (whether to measure memory) of "outputs"; "seconds" and "passes" (None: all) of
                "time".
        Returns:
            of "outputs" the files with the outputs and the peaks of memory, of "time" the times of
            the calls, each by the name of the pass.
        """
        if task["task"] == PREPARE:
            prepare = getattr(self._module, self._request["prepare"])
            prepare(config_of(self._request), Path(self._request["folder"]))
            return {}
        side = side_of(self._module, self._request)
        if not self._timers:
            self._timers = {name: Timer(call) for name, call in self._made(side).items()}
        if task["task"] == TIME:
            chosen = self._timers if task["passes"] is None else task["passes"]
            return {
                name: self._timers[name].measure(task["seconds"])._asdict()
                for name in chosen
                if name in self._timers
            }
        return self._outputs(Path(task["folder"]), peaks=task["peaks"] and callable(side.make))

    def _made(self, side: Side) -> dict[str, Timed]:
        """Return the passes of a side, made here or in a process per part."""
        if callable(side.make):
            return passes(side.make())
        assert self._file is not None, "a side of several processes is made in a worker only"
        # they end with the group of this process
        commands = [command(self._file, part) for part in range(len(side.make))]
        return benchmark_parts.Parts(commands).passes()

    def _outputs(self, folder: Path, *, peaks: bool) -> Request:
        """Write the outputs of each pass to a file; measure a call's peak of memory if asked to."""
        found = {}
        for index, (name, timer) in enumerate(self._timers.items()):
            file = folder / f"{index}.npz"
            outputs.save(file, outputs.flatten(timer.compare()))
            peak = memory_peak.of(timer.timed) if peaks else None  # of one process
            found[name] = {"file": str(file), "peak_mib": peak}
        return found


def config_of(request: Request) -> ConfigDict:
    """Return the config of a request."""
    return ConfigDict(json_files.decode_config(request["config"])).lock()


def side_of(module: ModuleType, request: Request) -> Side:
    """Return the side of a request."""
    sides = getattr(module, request["sides"])
    return sides(config_of(request), Path(request["folder"]))[request["side"]]


def _listen(tasks: "queue.SimpleQueue[Request]") -> None:
    """Take tasks from stdin; end this process and its parts when it is closed.

    It is closed however the benchmark has ended.
    """
    line = b""
    while part := os.read(0, 1 << 16):  # not by sys.stdin, whose lock is held at the process's end
        line += part
        if line.endswith(b"\n"):  # a task is sent when the last one is answered
            tasks.put(json.loads(line))
            line = b""
    os.killpg(0, signal.SIGKILL)


def main(file: str, part: str | None = None) -> None:
    """Answer the tasks of the request in a file, or serve one part of its side."""
    request: Request = json_files.read_json(file)
    if part is not None:
        module = load_code(decode_codes(request["codes"]), "").module
        make = side_of(module, request).make
        assert not callable(make)
        benchmark_parts.serve(make[int(part)](), Path(file).with_suffix(f".{part}.npz"))
        return
    tasks: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    reply = benchmark_parts.replies()
    worker = Worker(load_code(decode_codes(request["codes"]), "").module, request, Path(file))
    while True:
        reply(worker.answer(tasks.get()))


if __name__ == "__main__":
    main(*sys.argv[1:])
