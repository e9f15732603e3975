"""Commands whose output is closed, full, or read by nobody end properly."""

import os
import subprocess
import sys

import pytest

from rnnlab.core import streams

LIST, WRONG = "list", "run --config=nowhere"


@pytest.mark.skipif(sys.platform == "win32", reason="no sh")
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (f"{LIST} >&-", 0, ""),
        (f"{LIST} 2>&- >/dev/null", 0, ""),
        (f"{WRONG} 2>&-", 2, ""),  # and not on stdout
        (f"{WRONG} <&- >&- 2>&-", 2, ""),
        (f"{LIST} >/dev/full", 1, "rnnlab: no space left on the disk; finished members are kept"),
    ],
)
def test_closed_streams_end_properly(command, status, said):
    script = f"exec {sys.executable} -m rnnlab {command}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == bool(said)


def test_what_nobody_reads_is_noticed_and_discarded_on_both_streams(monkeypatch):
    """A pipe whose reader is gone, as in ``rnnlab run ... 2>&1 | head``."""
    for name in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        with open(write, "w", buffering=1) as stream, monkeypatch.context() as patch:
            patch.setattr(sys, name, stream)
            with pytest.raises(BrokenPipeError):
                stream.write("x\n")
            assert streams.unread()
            assert not streams.unread()
            stream.write("y\n")
            streams.flush()


def test_a_standard_stream_that_is_none_is_opened(monkeypatch):
    """Python has None for a stream that was closed when it started."""
    monkeypatch.setattr(sys, "stdout", None)
    streams.open_missing()
    with sys.stdout as stream:
        print("x", file=stream)
        assert stream.name == os.devnull
