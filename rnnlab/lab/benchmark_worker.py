"""The process of one side of a benchmark: ``python -m rnnlab.lab.benchmark_worker REQUEST``.

:mod:`rnnlab.lab.benchmark` starts it. It executes the experiment's file as the benchmark has read
it, makes its side, and writes what is asked for into a file. It ends when the benchmark does.
"""

import base64
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core import json_files
from rnnlab.lab import benchmark_parts, memory_peak, outputs, timing
from rnnlab.lab.load import load_code
from rnnlab.lab.sides import Side, Timed, passes
from rnnlab.lab.sources import Code, Source

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


def answer(module: ModuleType, request: Request, file: Path | None = None) -> Request:
    """Do what a request asks for.

    Args:
        module: the experiment's file.
        request: as :mod:`rnnlab.lab.benchmark` writes it.
        file: of the request, for a side of several processes.
    Returns:
        of "outputs" the peaks of memory and the files with the outputs, of "time" the times of the
        calls, each by the name of the pass.
    """
    config, folder = config_of(request), Path(request["folder"])
    if request["task"] == PREPARE:
        getattr(module, request["prepare"])(config, folder)
        return {}
    side = side_of(module, request)
    with _made(side, file) as calls:
        if request["task"] == TIME:
            found = {name: timing.measure(call, request["seconds"]) for name, call in calls.items()}
            return {name: times._asdict() for name, times in found.items()}
        peaks = request["peaks"] and callable(side.make)  # of one process
        return _outputs(calls, Path(request["outputs"]), peaks=peaks)


def config_of(request: Request) -> ConfigDict:
    """Return the config of a request."""
    return ConfigDict(json_files.decode_config(request["config"])).lock()


def side_of(module: ModuleType, request: Request) -> Side:
    """Return the side of a request."""
    sides = getattr(module, request["sides"])
    return sides(config_of(request), Path(request["folder"]))[request["side"]]


@contextlib.contextmanager
def _made(side: Side, file: Path | None) -> Iterator[dict[str, Timed]]:
    """Return the passes of a side, made here or in a process per part."""
    if callable(side.make):
        yield passes(side.make())
        return
    assert file is not None, "a side of several processes is made in a worker only"
    parts = benchmark_parts.Parts([command(file, part) for part in range(len(side.make))])
    try:
        yield parts.passes()
    finally:
        parts.close()


def _outputs(calls: Mapping[str, Timed], folder: Path, *, peaks: bool) -> Request:
    """Write the outputs of each pass to a file; measure a call's peak of memory if asked to."""
    found = {}
    for index, (name, call) in enumerate(calls.items()):
        file = folder / f"{index}.npz"
        outputs.save(file, outputs.flatten(call.compare()))
        found[name] = {"file": str(file), "peak_mib": memory_peak.of(call) if peaks else None}
    return found


def _end_with_benchmark() -> None:
    """End this process and its parts when stdin is closed, however the benchmark has ended."""
    while os.read(0, 1):  # not by sys.stdin, whose lock would be held at the end of the process
        pass
    os.killpg(0, signal.SIGKILL)


def main(file: str, part: str | None = None) -> None:
    """Answer the request in a file, or serve one part of it."""
    request: Request = json_files.read_json(file)
    if part is None:
        threading.Thread(target=_end_with_benchmark, daemon=True).start()
    module = load_code(decode_codes(request["codes"]), "").module
    if part is None:
        json_files.write_json(request["answer"], answer(module, request, Path(file)))
        return
    make = side_of(module, request).make
    assert not callable(make)
    benchmark_parts.serve(make[int(part)](), Path(file).with_suffix(f".{part}.npz"))


if __name__ == "__main__":
    main(*sys.argv[1:])
