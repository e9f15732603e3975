"""Compiled programs are let go once the process has grown by them, and not before."""

from functools import partial

import jax

from rnnlab.core import compiled

MB = 2**20


def test_they_are_let_go_when_the_process_has_grown(monkeypatch):
    sizes = iter([300 * MB, 700 * MB, 900 * MB, 350 * MB, 861 * MB, 862 * MB, 350 * MB])
    dropped = []
    monkeypatch.setattr(compiled.host, "resident", lambda: next(sizes))
    monkeypatch.setattr(compiled.host, "memory", lambda: 2048 * MB)
    monkeypatch.setattr(jax, "clear_caches", lambda: dropped.append("dropped"))
    settle = partial(dropped.append, "settled")
    programs = compiled.CompiledPrograms()  # at 300 MB
    assert not programs.let_go(settle)  # at 700 MB: what groups share is not compiled again
    assert programs.let_go(settle)  # at 900 MB, then at 350
    assert not programs.let_go()  # at 861 MB
    assert programs.let_go()
    assert dropped == ["settled", "dropped", "dropped"]


def test_a_large_machine_keeps_the_groups_of_a_run_of_several_rounds(monkeypatch):
    sizes = iter([300 * MB, 2300 * MB, 2400 * MB, 400 * MB])
    monkeypatch.setattr(compiled.host, "resident", lambda: next(sizes))
    monkeypatch.setattr(compiled.host, "memory", lambda: 16 * 1024 * MB)
    monkeypatch.setattr(jax, "clear_caches", lambda: None)
    programs = compiled.CompiledPrograms()
    assert not programs.let_go()
    assert programs.let_go()
