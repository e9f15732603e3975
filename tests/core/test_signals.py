"""Signals are remembered wherever they land, and obeyed where a run can stop."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time

import pytest

from rnnlab.core import signals
from rnnlab.core.signals import Interrupted


class Asked(Exception):
    """Raised by the handler of a library's user."""


def ask(*_):
    raise Asked


@pytest.fixture(autouse=True)
def handlers():
    """Put this process's handlers back; they are as a terminal has them, also under nohup."""
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    for number in signals.ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def wait(until):
    """Wait for the thread that listens; it hears a signal in milliseconds."""
    end = time.monotonic() + 10
    while not until():
        assert time.monotonic() < end
        time.sleep(0.005)


def stopped_by(error, contexts, work):
    """Run ``work`` in the contexts; return the error that ends it."""

    def run():
        with contextlib.ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            work()

    with pytest.raises(error) as info:
        run()
    return info.value


# ---- in a library ------------------------------------------------------------------------------


def test_one_in_a_callback_of_the_garbage_collector_is_not_lost(monkeypatch):
    """Python prints an exception there and goes on; check raises it again."""
    dropped, went_on = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: dropped.append(it.exc_type))

    def collected(phase, _):
        if phase == "stop":
            gc.callbacks.remove(collected)
            send()

    def work():
        gc.callbacks.append(collected)
        gc.collect()
        went_on.append(True)
        signals.check()

    watched = signals.watched({signal.SIGTERM: signals.interrupt})
    assert stopped_by(Interrupted, [watched], work).status == 143
    assert went_on
    assert dropped == [Interrupted]


def test_it_is_deferred_until_check_and_a_second_one_is_not():
    signal.signal(signal.SIGTERM, ask)

    def work():
        send()
        assert signals.asked()
        with pytest.raises(Asked):
            send()
        signals.check()

    stopped_by(Asked, [signals.watched(), signals.deferred()], work)
    assert signal.getsignal(signal.SIGTERM) is ask


def test_one_that_the_caller_has_obeyed_does_not_come_again():
    with signals.watched(dict.fromkeys(signals.ENDING, signals.interrupt)):
        with contextlib.suppress(Interrupted), signals.deferred():
            send(signal.SIGINT)
            signals.check()
        assert signals.asked()  # a callback of the garbage collector may have dropped the exception
        signals.obeyed()
        assert not signals.asked()
        send(signal.SIGINT)  # as where the thread hears it late
        with pytest.raises(Interrupted):
            send(signal.SIGTERM)
        signals.obeyed()


def test_it_is_obeyed_at_the_end_of_what_deferred_it_and_at_once_outside():
    signal.signal(signal.SIGTERM, ask)
    reached = []

    def work():
        with signals.deferred():
            with signals.deferred():
                send()
            reached.append("the inner end")
        reached.append("past the outer end")

    def limited():
        send()
        reached.append("past a limit that nothing here can keep")

    stopped_by(Asked, [signals.watched()], work)
    stopped_by(Asked, [signals.watched(), signals.deferred(5.0)], limited)
    assert reached == ["the inner end"]


def test_a_handler_that_only_takes_note_is_called_once():
    noted = []
    signal.signal(signal.SIGTERM, lambda number, _: noted.append(number))
    with signals.watched(), signals.deferred():
        send()
        signals.check()
        signals.check()
    assert noted == [signal.SIGTERM]


def test_what_is_ignored_or_ends_the_process_is_left_alone():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals.watched(), signals.watched():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    with signals.owned(), signals.deferred():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        send(signal.SIGINT)
        assert not signals.asked()


# ---- in a command of ours ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_at_once_where_nothing_defers(number, capfd):
    """Also while the main thread computes: another thread ends the process."""
    ended = []

    def work():
        signals.set_farewell("rnnlab: interrupted; resume with: rnnlab run")
        send(number)
        wait(lambda: ended)

    stopped_by(Interrupted, [signals.owned(ended.append)], work)
    assert ended[0] == 128 + number
    assert capfd.readouterr().err.startswith("rnnlab: interrupted; resume with: rnnlab run\n")
    assert signal.getsignal(number) == signal.SIG_DFL  # while Python tidies up


def test_a_command_defers_the_first_and_says_so_and_ends_on_the_second(capfd, monkeypatch):
    monkeypatch.setattr(signals, "_SECONDS_TO_SAY", 0.0)
    ended, said = [], []

    def work():
        send(signal.SIGTERM)
        wait(lambda: said.append(capfd.readouterr().err) or said[-1])
        assert ended == []
        send(signal.SIGINT)
        wait(lambda: ended)

    contexts = [signals.owned(ended.append), signals.deferred()]
    assert stopped_by(Interrupted, contexts, work).status == 143
    assert (
        "".join(said)
        == "rnnlab: interrupted; stops where it can resume (interrupt again to end at once)\n"
    )
    assert ended[0] == 130
    assert capfd.readouterr().err == ""  # the second one is quiet


def test_a_command_s_patience_ends():
    ended = []

    def work():
        start = time.monotonic()
        send()
        wait(lambda: ended)
        assert time.monotonic() - start > 0.19

    stopped_by(Interrupted, [signals.owned(ended.append), signals.deferred(0.2)], work)
    assert ended[0] == 143


def test_a_command_that_swallows_the_exception_is_ended_all_the_same(monkeypatch):
    monkeypatch.setattr(signals, "_SECONDS_TO_UNWIND", 0.1)
    ended = []

    def work():
        send()
        with contextlib.suppress(BaseException):
            signals.check()
        wait(lambda: ended)

    stopped_by(Interrupted, [signals.owned(ended.append), signals.deferred()], work)
    assert ended[0] == 143


def test_a_forked_process_has_the_handlers_of_before():
    """multiprocessing ends the workers of a pool by SIGTERM."""
    code = """
import os, signal, time
from rnnlab.core import signals
with signals.owned():
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(1)
    os.kill(child, signal.SIGTERM)
    print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (f"{int(signal.SIGTERM)}\n", "", 0)
