"""The page of a run in progress, served on this machine alone.

Nothing but the page is served: the page itself, whether it has changed, the data of its explorer
and, when the run is finished, its report. Other addresses are not found, and names other than this
machine's own are refused, so that no page of the web can read a run through the reader's browser.
"""

import errno
import json
import math
import os
import socketserver
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.core.json_files import Json
from rnnlab.core.validate import whole
from rnnlab.report import page
from rnnlab.report.explorer import of_run, to_json
from rnnlab.report.explorer_data import payload

HOST = "127.0.0.1"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_GROWTH = 1.1  # of the log, after which curves of members at work are drawn again


def state(run_dir: str | os.PathLike[str]) -> Json:
    """Return how far a run is.

    Returns:
        ``done`` and ``of``, numbers of members; ``finished``, whether its report is written;
        ``version``, which changes when a member ends or the log has grown by a tenth.
    Raises:
        UserError: it is no run directory.
    """
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    members = run_dir / run_files.MEMBERS
    stat = members.stat() if members.is_file() else None
    done = _lines(members, stat.st_size, stat.st_mtime_ns) if stat else 0
    of = info.get("members", done)
    log = run_dir / run_files.METRICS
    logged = log.stat().st_size if log.is_file() else 0
    finished = (run_dir / run_files.DIGESTS).is_file()
    grown = int(math.log(logged + 1, _GROWTH))
    return {
        "done": done,
        "of": of,
        "finished": finished,
        "version": f"{done}-{of}-{grown}-{int(finished)}",
    }


@lru_cache(maxsize=4)
def _lines(path: Path, size: int, changed: int) -> int:
    """Return the number of lines of a file, counted again when its size or time has changed."""
    del size, changed
    return path.read_bytes().count(b"\n")


class WatchServer(ThreadingHTTPServer):
    """Serves the page of a run on 127.0.0.1.

    Args:
        run_dir: the run directory.
        port: 0 for any free one.
    Raises:
        ValueError: a port out of range.
        UserError: no run directory; a port that is in use, or that needs other rights.
    """

    daemon_threads = True

    def __init__(self, run_dir: str | os.PathLike[str], port: int) -> None:
        whole("port", port, 0, 65535)
        self.run_dir = Path(run_dir)
        run_files.read_config(run_dir)
        self.routes: Mapping[str, Callable[[], tuple[str, bytes] | None]] = {
            "/": lambda: (_HTML, page.watch_page(self.run_dir, state(self.run_dir))),
            "/state.json": lambda: (_JSON, to_json(state(self.run_dir)).encode()),
            "/data.json": lambda: (_JSON, self._data()),
            "/report.html": self._report,
        }
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"port {port} is in use: choose another with --port=N, or any free one with "
                    "--port=0"
                ) from None
            if error.errno == errno.EACCES:
                raise UserError(
                    f"port {port} is not open to you: choose one above 1023 with --port=N"
                ) from None
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing where a page was closed before its answer was written."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{HOST}:{self.server_port}/"

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def _data(self) -> bytes:
        return to_json(payload([of_run(self.run_dir, in_progress=True)])).encode()

    def _report(self) -> tuple[str, bytes] | None:
        if not (self.run_dir / run_files.DIGESTS).is_file():
            return None
        return _HTML, (self.run_dir / run_files.REPORT).read_bytes()


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "rnnlab", ""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, WatchServer)
        name = self.headers.get("Host", "").rsplit(":", 1)[0]  # a tunnel has a port of its own
        if name not in (HOST, "localhost"):
            self._answer(403, "text/plain", b"ask for 127.0.0.1\n")
            return
        try:
            route = server.routes.get(self.path)
            found = route() if route else None
        except (UserError, OSError) as error:
            self._answer(500, _JSON, json.dumps({"problem": str(error)}).encode())
            return
        if found is None:
            self._answer(404, "text/plain", b"not part of the page\n")
        else:
            self._answer(200, *found)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the terminal is the user's."""
