"""Parts of a side, as the workers of a sweep: a process each, working at the same time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rnnlab.lab import outputs
from rnnlab.lab.sides import Made, Timed, passes

Message = dict[str, Any]  # of JSON, a line each


class Parts:
    """The processes of a side's parts.

    Args:
        commands: that start them, one per part.
    """

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._parts = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for command in commands
        ]

    def passes(self) -> dict[str, Timed]:
        """Return the passes that all parts have; a call ends when all parts have ended theirs.

        Raises:
            ValueError: parts with other passes each.
            ChildProcessError: a part failed; its own error is on stderr.
        """
        first, *others = [self._hear(part)["passes"] for part in self._parts]
        if any(other != first for other in others):
            raise ValueError(f"the parts of a side have other passes each: {[first, *others]}")
        return {name: self._together(name, compared) for name, compared in first.items()}

    def _together(self, name: str, compared: int) -> Timed:
        def call() -> None:
            self._ask({"call": name})

        def gather(output: None) -> outputs.Arrays:
            del output
            found: outputs.Arrays = {}
            for reply in self._ask({"outputs": name}):
                more = outputs.load(Path(reply["file"]))
                if twice := found.keys() & more.keys():
                    raise ValueError(f"two parts of a side have an output {sorted(twice)[0]!r}")
                found |= more
            return found

        return Timed(call, outputs=gather, compared=compared)

    def _ask(self, message: Message) -> list[Message]:
        """Send a message to all parts, and wait for all replies."""
        line = json.dumps(message).encode() + b"\n"
        for part in self._parts:
            assert part.stdin is not None
            part.stdin.write(line)
            part.stdin.flush()
        return [self._hear(part) for part in self._parts]

    def _hear(self, part: "subprocess.Popen[bytes]") -> Message:
        assert part.stdout is not None
        line = part.stdout.readline()
        if not line:
            number = self._parts.index(part) + 1
            raise ChildProcessError(f"part {number} of {len(self._parts)} ended: see above")
        return json.loads(line)


def replies() -> Callable[[Message], None]:
    """Return what writes a message to stdout, a line each; all else goes to stderr from now on."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply

    def reply(message: Message) -> None:
        pipe.write(json.dumps(message).encode() + b"\n")
        pipe.flush()

    return reply


def serve(made: Made, file: Path) -> None:
    """Make the calls of one part when asked to, until stdin is closed.

    Args:
        made: what the part's factory returned.
        file: for its outputs.
    Raises:
        ValueError: a pass with work before its calls, which would be timed.
    """
    reply = replies()
    calls = passes(made)
    if early := [name for name, call in calls.items() if call.before is not None]:
        raise ValueError(f"a part of a side has no `before`, got one for {early[0]!r}")
    reply({"passes": {name: call.compared for name, call in calls.items()}})
    last = {}
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "call" in message:
            last[message["call"]] = calls[message["call"]].once()
            reply({})
            continue
        name = message["outputs"]
        read = calls[name].outputs
        output = last.pop(name)
        outputs.save(file, outputs.flatten(output if read is None else read(output)))
        reply({"file": str(file)})
