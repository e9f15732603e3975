"""The compiled programs of groups of members; on a CPU the next ones are compiled ahead.

XLA compiles a program on one core for seconds. Meanwhile the groups before it train.
"""

import contextlib
from concurrent import futures
from types import TracebackType

import jax

from rnnlab.core import host, signals
from rnnlab.training import distributed
from rnnlab.training.settings import GroupKey
from rnnlab.training.vectorized import Program

_MEMORY_SHARE = 0.7  # of the machine's memory that a program may take


def _serves(program: Program | None, key: GroupKey, count: int) -> bool:
    """Return whether a program that was compiled for other members of a group has room for these.

    Empty slots cost nothing where members take turns, and the time of a member each where they run
    side by side.

    Args:
        program: of the group; None: there is none. key: of the group. count: of its members.
    """
    if program is None:
        return False
    needed = min(key.members_at_once or count, count)
    return program.capacity >= needed and (
        program.mapping == "lax_map" or program.capacity <= 2 * needed
    )


def compiled(key: GroupKey, count: int, memory_share: float) -> Program:
    """Compile the program of a group, for as many of its members at once as the memory holds.

    Args:
        key: of the group. count: of its members.
        memory_share: of the machine's memory, where other jobs train on it too.
    """
    most = min(key.members_at_once or count, count)
    return _fitting(Program(key.setup, most, mapping=key.mapping), memory_share)


def _fitting(program: Program, share: float) -> Program:
    """Return the program, or one with fewer members where the memory would not hold it."""
    room = share * _MEMORY_SHARE * min(distributed.exchange(_memory()))
    if program.mapping == "lax_map":  # every device of a CPU has the same memory
        room /= len(program.mesh.local_devices)
    while program.bytes_per_device > room and program.slots > 1:
        slots = max(1, min(program.slots - 1, int(program.slots * room / program.bytes_per_device)))
        capacity = slots * program.mesh.size
        program = Program(program.setup, capacity, list(program.mesh.devices), program.mapping)
    return program


def _memory() -> int:
    """Return the bytes of one device's memory, or of the machine's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    return host.memory()


class Ahead:
    """Programs of the next groups, compiled in a thread while those before train.

    Only in a command whose members train on its CPU. A context: at its end the thread has ended.

    Args:
        memory_share: as of :func:`compiled`.
    """

    def __init__(self, memory_share: float) -> None:
        self._share = memory_share
        self._thread = futures.ThreadPoolExecutor(1)
        self._making: dict[tuple[GroupKey, int], futures.Future[Program]] = {}

    def begin(self, key: GroupKey, count: int, before: Program | None) -> None:
        """Compile the program of a group after those that were begun, unless an earlier one serves.

        Args:
            key: of the group. count: of its members. before: the earlier one.
        """
        on_cpu = distributed.alone() and jax.local_devices()[0].platform == "cpu"
        begun = (key, count) in self._making
        if begun or not signals.in_command() or not on_cpu or _serves(before, key, count):
            return
        self._making[key, count] = self._thread.submit(compiled, key, count, self._share)

    def wait(self) -> None:
        """Wait until nothing is being compiled."""
        futures.wait(self._making.values())

    def take(self, key: GroupKey, count: int, before: Program | None) -> Program:
        """Return the program of a group: the earlier one, or one that is compiled by now.

        Args:
            key, count, before: as of :meth:`begin`.
        """
        making = self._making.pop((key, count), None)
        if before is not None and _serves(before, key, count):
            return before
        if making is not None:
            with contextlib.suppress(Exception):  # compiled again here, where the error is met
                return making.result()
        return compiled(key, count, self._share)

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
