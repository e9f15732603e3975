"""``rnnlab watch``: the page of a run in progress."""

import argparse

from rnnlab.cli.parsing import Commands, refusing_in_one_line, whole
from rnnlab.core import signals
from rnnlab.core.errors import UserError

_INTERRUPTED = 130
_SECONDS = 0.2  # between looks for a signal


def add(commands: Commands) -> None:
    """Add ``watch``."""
    parser = commands.add(
        "watch",
        _watch,
        usage="DIR [--port=N]",
        summary="show a run in progress in the browser",
        description="""\
Serve the page of a run on this machine alone: how many members are finished, and their results and
metrics in the explorer. The page refreshes itself as members end, and links to the report when the
run is finished. Ctrl-C ends it; the run is not touched.""",
    )
    parser.positionals("dirs", "DIR", "a run directory, of a run in progress or finished")
    parser.value("port", "N", "the port; 0: any free one [%(default)s]", default=8765, type=whole)


def _watch(options: argparse.Namespace) -> int:
    if len(options.dirs) != 1:
        raise UserError(f"watch takes one run directory, got {len(options.dirs)}")

    from rnnlab.report.watch import WatchServer

    with refusing_in_one_line():
        server = WatchServer(options.dirs[0], options.port)
    server.timeout = _SECONDS
    with server:
        print(f"watching {options.dirs[0]}: {server.address} (Ctrl-C ends it)", flush=True)
        try:
            with signals.deferred():
                while True:
                    server.handle_request()
                    signals.check()
        except signals.Interrupted as stop:
            if stop.status != _INTERRUPTED:
                raise
            signals.obeyed()  # it is how a watch ends
    return 0
