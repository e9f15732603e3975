"""A headless browser to move a page's controls in, by the DevTools protocol over two pipes."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), "")
in_browser = pytest.mark.skipif(not BROWSER, reason=f"none of {', '.join(BROWSERS)} is installed")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# the protocol's pipes are the descriptors 3 and 4
START = "import os, sys\nos.dup2(int(sys.argv[1]), 3)\nos.dup2(int(sys.argv[2]), 4)\n"
START += "os.execv(sys.argv[3], sys.argv[3:])"


def _away(descriptor: int) -> int:
    """Move a descriptor away from the numbers that a shell script uses."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(descriptor)
    return moved


class Browser:
    """One browser with one page, which notes every line of the console."""

    def __init__(self, profile: Path) -> None:
        hears, self._mouth = map(_away, os.pipe())
        self._ear, says = map(_away, os.pipe())
        command = [sys.executable, "-ISc", START, str(hears), str(says), BROWSER, *FLAGS]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(hears, says),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(hears)
        os.close(says)
        self._read = b""
        self._last = 0
        self._session = ""
        self.console: list[str] = []
        self._loaded = 0
        targets = self.ask("Target.getTargets")["targetInfos"]
        (page,) = (target["targetId"] for target in targets if target["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        self.ask("Browser.close")
        self._process.wait(30)
        os.close(self._ear)
        os.close(self._mouth)

    def ask(self, method: str, **params):
        """Give a command and return its answer."""
        self._last += 1
        asked = {"id": self._last, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._mouth, json.dumps(asked).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            pass
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _next(self) -> dict:
        """Return the next message; note what the page says on the way."""
        while b"\0" not in self._read:
            assert select.select([self._ear], [], [], 60)[0], "the browser does not answer"
            part = os.read(self._ear, 1 << 16)
            assert part, "the browser has ended"
            self._read += part
        text, _, self._read = self._read.partition(b"\0")
        message = json.loads(text)
        method, params = message.get("method", ""), message.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a)) for a in params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"])[:2000])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded += 1
        return message

    def open(self, address: str, width: int = 1280, scheme: str = "light") -> None:
        """Open a page and wait until it is loaded."""
        self.console.clear()
        mobile = width < 600
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.media(scheme)
        before = self._loaded
        self.ask("Page.navigate", url=address)
        while self._loaded == before:
            self._next()

    def media(self, scheme: str = "light", media: str = "") -> None:
        """Show the page in light or dark, on screen or in print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)

    def js(self, expression: str):
        """Return the value of an expression in the page, which may be a promise."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        for _ in range(400):
            if self.js(expression):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}; console: {self.console}")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one point of the window and let go at another."""
        move = {"button": "left", "buttons": 1, "clickCount": 1}
        self.point(*start)
        self._mouse("mousePressed", start, **move)
        self._mouse("mouseMoved", end, **move)
        self._mouse("mouseReleased", end, **move)

    def point(self, x: float, y: float) -> None:
        """Move the mouse to a point of the window."""
        self._mouse("mouseMoved", (x, y))

    def _mouse(self, kind: str, at: tuple[float, float], **more) -> None:
        self.ask("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **more)
