"""The programs of groups: one of an earlier round serves again, the next is compiled ahead."""

import threading

import jax
import pytest

from rnnlab.core import signals
from rnnlab.training import group_programs, runner
from tests.helpers import trained
from tests.training.test_runner import Recorder, jobs


class Fake:
    """A program of a size."""

    def __init__(self, capacity, mapping="lax_map"):
        self.capacity, self.mapping = capacity, mapping


@pytest.mark.parametrize(
    ("capacity", "mapping", "members_at_once", "count", "serves"),
    [
        (4, "lax_map", 0, 4, True),
        (4, "lax_map", 0, 1, True),
        (4, "lax_map", 0, 5, False),
        (4, "lax_map", 3, 9, True),
        (4, "vmap", 0, 2, True),
        (4, "vmap", 0, 1, False),  # as slow as four members
    ],
)
def test_an_earlier_program_serves_if_it_has_room(
    monkeypatch, capacity, mapping, members_at_once, count, serves
):
    key = jobs(1)[0].spec.group_key._replace(members_at_once=members_at_once)
    made = Fake(9)
    monkeypatch.setattr(group_programs, "compiled", lambda *args: made)
    before = Fake(capacity, mapping)
    with group_programs.Ahead(1.0) as ahead:
        assert ahead.take(key, count, before) is (before if serves else made)
        assert ahead.take(key, count, None) is made


def watched(monkeypatch, fails=False):
    """Record who compiles; a second program is compiled while the first group trains."""
    threads, real = [], trained.program
    begun = threading.Event()

    def compiled(key, count, share):
        threads.append(threading.current_thread())
        if threads[-1] is not threading.main_thread():
            begun.set()
            if fails:
                raise RuntimeError("no memory")
        return real(key.setup, count, jax.local_devices(), key.mapping)

    monkeypatch.setattr(group_programs, "compiled", compiled)
    monkeypatch.setattr(signals, "in_command", lambda: True)
    return threads, begun


def test_the_next_program_is_compiled_while_a_group_trains(tmp_path, monkeypatch):
    threads, begun = watched(monkeypatch)

    class Sink(Recorder):
        def log(self, index, record):
            assert begun.wait(30)
            super().log(index, record)

    sink = Sink()
    members = jobs(2) + jobs(2, first=2, run={"members_at_once": 1})
    runner.train(members, set(), tmp_path, "run", sink)
    assert [thread is threading.main_thread() for thread in threads] == [True, False]
    assert set(sink.results) == {0, 1, 2, 3}


def test_what_fails_in_the_thread_is_compiled_again_where_it_is_needed(tmp_path, monkeypatch):
    threads, _ = watched(monkeypatch, fails=True)
    sink = Recorder()
    members = jobs(2) + jobs(2, first=2, run={"members_at_once": 1})
    runner.train(members, set(), tmp_path, "run", sink)
    assert [thread is threading.main_thread() for thread in threads] == [True, False, True]
    assert set(sink.results) == {0, 1, 2, 3}
