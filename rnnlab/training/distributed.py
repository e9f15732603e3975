"""One run in several processes, on one machine or many: JAX's distributed runtime.

Every process is given the same command and runs the same programs in step. The devices of a
program are those of all processes together, and the members of a group are spread over them.
Whatever steers a run (the time, a signal, the files on the disk) differs from process to process,
so it is exchanged. Process 0 leads: it alone writes the run directory.

In a run of one process all of this does nothing.
"""

import contextlib
import ipaddress
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from rnnlab.core.errors import UserError

Tree = TypeVar("Tree")  # any pytree: the same structure comes back
Value = TypeVar("Value")  # of JSON

_SECONDS_TO_MEET = 300.0  # between the start of the first process and that of the last


def initialize(
    coordinator: str, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the other processes of a run; before the first use of JAX.

    Args:
        coordinator: "HOST:PORT", where process 0 listens, on that address alone; "auto" where JAX
            detects it (Slurm, Open MPI, TPU, Kubernetes), and listens on all addresses.
        num_processes: processes of the run.
        process_id: of this process, from 0 on.
    Raises:
        UserError: flags that do not go together, or processes that do not join in time.
    """
    options: dict[str, Any] = {}
    if coordinator != "auto":
        if num_processes is None or process_id is None:
            raise UserError("--coordinator=HOST:PORT needs --num_processes and --process_id")
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id must lie in 0 … {num_processes - 1}, for --num_processes is "
                f"{num_processes}; got {process_id}"
            )
        host, port = endpoint("--coordinator", coordinator)
        options = {
            "coordinator_address": coordinator,
            "num_processes": num_processes,
            "process_id": process_id,
        }
        if process_id == 0:
            options["coordinator_bind_address"] = bind_address(host, port)
        _meet(host, port, process_id)
    if hasattr(jax.config, "jax_enable_preemption_service"):
        jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM from Python
    failed: list[Exception] = []

    def join() -> None:
        try:
            jax.distributed.initialize(**options, initialization_timeout=10 * int(_SECONDS_TO_MEET))
        except (RuntimeError, ValueError) as error:
            failed.append(error)

    # in a thread: it cannot be interrupted, and on its own timeout it ends the process
    thread = threading.Thread(target=join, daemon=True)
    thread.start()
    end = time.monotonic() + _SECONDS_TO_MEET
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.1)
    if thread.is_alive():
        raise UserError(
            f"not all {num_processes or ''} processes joined within {_SECONDS_TO_MEET:.0f} seconds"
        )
    if failed:
        reason = f"{failed[0]}".splitlines()[0]
        raise UserError(f"--coordinator={coordinator}: cannot join other processes: {reason}")


def endpoint(flag: str, address: str) -> tuple[str, int]:
    """Return (host, port) of an address.

    Raises:
        UserError: an address that is not HOST:PORT.

    >>> endpoint("--coordinator", "[::1]:1234")
    ('::1', 1234)
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535 or "/" in host:
        raise UserError(f"{flag} must be HOST:PORT or auto, got {address!r}")
    return host.strip("[]"), int(port)


def _meet(host: str, port: int, process_id: int) -> None:
    """Wait until process 0 listens; in process 0, check that it can.

    Raises:
        UserError: it cannot, or does not in time.
    """
    if process_id == 0:
        _check_free(host, port)
        return
    end = time.monotonic() + _SECONDS_TO_MEET
    while True:
        try:
            socket.create_connection((host, port), 5.0).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(f"process 0 does not answer at {host}:{port}: {error}") from None
        time.sleep(0.2)


def _check_free(host: str, port: int) -> None:
    listening, number = endpoint("JAX_COORDINATOR_BIND_ADDRESS", bind_address(host, port))
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((listening, number))
        except OSError as error:
            raise UserError(
                f"process 0 cannot listen at {host}:{port}: {error}; HOST must be an address of "
                "its machine (JAX_COORDINATOR_BIND_ADDRESS=HOST:PORT sets another to listen at)"
            ) from None
    if ipaddress.ip_address(listening).is_loopback and not _is_loopback(host):
        print(
            f"rnnlab: {host} is {listening} on this machine, where no other machine can reach it; "
            "if others take part, give this machine's address",
            file=sys.stderr,
        )


def bind_address(host: str, port: int) -> str:
    """Return where process 0 listens: at the address of its host and at no other.

    JAX_COORDINATOR_BIND_ADDRESS sets another one.

    Raises:
        UserError: a host without an address.

    >>> bind_address("127.0.0.1", 1234), bind_address("::1", 1234)
    ('127.0.0.1:1234', '[::1]:1234')
    """
    if "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
        return os.environ["JAX_COORDINATOR_BIND_ADDRESS"]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(f"--coordinator: no address of the host {host!r}: {error}") from None
    family, *_, (address, *_) = found[0]
    return f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"


def _is_loopback(host: str) -> bool:
    """Return whether a host is written as an address, or name, that never leaves the machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def alone() -> bool:
    """Return whether the run has one process."""
    return jax.process_count() == 1


def leads() -> bool:
    """Return whether this is the process that writes."""
    return jax.process_index() == 0


def gather(tree: Tree) -> Tree:
    """Return a tree of arrays on the host, whole, whichever process's devices hold them."""
    if alone():
        return jax.tree.map(np.asarray, tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def exchange(value: Value) -> list[Value]:
    """Return every process's value, in the order of the processes; values of JSON."""
    if alone():
        return [value]
    from jax.experimental import multihost_utils

    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(data.size))
    padded = np.pad(data, (0, int(sizes.max()) - data.size))
    rows = multihost_utils.process_allgather(padded)
    return [
        json.loads(row[:size].astype(np.uint8).tobytes())
        for row, size in zip(rows, sizes, strict=True)
    ]


def agree(value: Value) -> Value:
    """Return the leader's value, in every process."""
    return exchange(value)[0]


def agree_tree(tree: Tree) -> Tree:
    """Return the leader's tree of arrays, in every process; only the values may differ."""
    if alone():
        return tree
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(tree)


@contextlib.contextmanager
def followers() -> Iterator[Callable[[object], None]]:
    """Yield the function by which the leader sends an order to the other processes.

    The others wait for each in :func:`agree`, which returns the order; None after the last.
    """
    called = False

    def call(order: object) -> None:
        nonlocal called
        called = True
        agree(order)

    try:
        yield call
    except BaseException:
        if not called:  # else the others may be at work, and notice when this process ends
            agree(None)
        raise
    agree(None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Report in one line that another process was lost; JAX uses many.

    An unexpected error is printed in full, and ends the process at once.

    Raises:
        UserError: another process was lost.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            raise UserError(
                "another process of this run was lost; finished members are kept: rerun the "
                "command of every process to resume"
            ) from error
        traceback.print_exc()
        leave(1)


def leave(status: int) -> None:
    """End a failed process at once if others run with it: they notice, and end too.

    An orderly exit would wait for them, and they for this process.
    """
    if jax.distributed.is_initialized():
        # the last messages must arrive; the runtime is the leader's, which therefore ends last
        time.sleep(2.0 if leads() else 1.0)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
