"""``rnnlab watch``: what it refuses, and how it ends."""

import os
import signal
import threading

import pytest

from rnnlab import cli
from tests.helpers import saved_runs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.save_run(
        tmp_path_factory.mktemp("runs") / "run", saved_runs.gradient_members()[:1]
    )


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ([], "watch takes one run directory, got 0"),
        (["RUN", "RUN"], "watch takes one run directory, got 2"),
        (["nowhere"], "nowhere is no run directory: it has no config.json"),
        (["RUN", "--port=x"], "--port: expected a whole number, got 'x'"),
        (["RUN", "--port=65536"], "port must be a whole number from 0 to 65535, got 65536"),
    ],
)
def test_what_is_refused_is_said_in_one_line(run, capsys, args, line):
    assert cli.main(["watch", *(str(run) if arg == "RUN" else arg for arg in args)]) == 2
    assert capsys.readouterr().err == f"rnnlab: {line}\n"


def test_ctrl_c_ends_it(run, capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        assert cli.main(["watch", str(run), "--port=0"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    out, err = capsys.readouterr()
    assert out.startswith(f"watching {run}: http://127.0.0.1:")
    assert out.endswith("/ (Ctrl-C ends it)\n")
    assert err == ""
