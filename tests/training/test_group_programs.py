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
    """Record the threads that compile, by the run option that tells groups apart.

    The first group's compilation ends when that of the second has begun.
    """
    threads, real = {}, trained.program
    begun = threading.Event()

    def compiled(key, count, share):
        main = threading.current_thread() is threading.main_thread()
        threads.setdefault(key.members_at_once, []).append("main" if main else "ahead")
        if not main:
            begun.set()
            if fails:
                raise RuntimeError("no memory")
        assert begun.wait(30)
        return real(key.setup, count, jax.local_devices(), key.mapping)

    monkeypatch.setattr(group_programs, "compiled", compiled)
    monkeypatch.setattr(signals, "in_command", lambda: True)
    return threads


def three_groups():
    one, two = (jobs(2, first=2 * n, run={"members_at_once": n}) for n in (1, 2))
    return jobs(2) + one + two


def test_the_next_programs_are_compiled_while_a_group_is_compiled_or_trains(tmp_path, monkeypatch):
    threads, sink = watched(monkeypatch), Recorder()
    runner.train(three_groups(), set(), tmp_path, "run", sink)
    assert threads == {0: ["main"], 1: ["ahead"], 2: ["ahead"]}
    assert set(sink.results) == set(range(6))


def test_what_fails_in_the_thread_is_compiled_again_where_it_is_needed(tmp_path, monkeypatch):
    threads, sink = watched(monkeypatch, fails=True), Recorder()
    runner.train(three_groups(), set(), tmp_path, "run", sink)
    assert threads == {0: ["main"], 1: ["ahead", "main"], 2: ["ahead", "main"]}
    assert set(sink.results) == set(range(6))


@pytest.mark.parametrize("measures", [True, False])
def test_nothing_is_compiled_while_a_member_is_measured(tmp_path, monkeypatch, measures):
    watched(monkeypatch)
    monkeypatch.setattr(group_programs.Ahead, "wait", lambda self: waited.append(len(sink.results)))
    waited, sink = [], Recorder()
    monkeypatch.setattr(Recorder, "measures", measures)
    runner.train(three_groups(), set(), tmp_path, "run", sink)
    assert waited == (list(range(6)) if measures else [])
