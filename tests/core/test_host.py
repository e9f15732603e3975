"""rnnlab/core/host.py: what a container allows counts, and what other processes use."""

import os

import pytest

from rnnlab.core import host


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_what_the_container_allows(name, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert host.memory() == whole
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1048576\n")
    assert host.memory() == 2**20
    for none in ("max\n", f"{2**63 - 4096}\n"):  # what each version writes without a limit
        (tmp_path / name).write_text(none)
        assert host.memory() == whole


STAT = """\
cpu  9999 0 0 9999 0 0 0 0 0 0
cpu0 {user} 10 20 {idle} 5 1 2 3 77 0
cpu1 100 10 20 300 5 1 2 3 77 0
cpu7 9999 0 0 9999 0 0 0 0 0 0
intr 1 2 3
"""


def test_the_cpu_s_time_is_of_usable_cores_without_idling(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    monkeypatch.setattr(os, "times", lambda: (0.5, 0.25, 1.0, 0.25, 99.0))
    (tmp_path / "stat").write_text(STAT.format(user=100, idle=300))
    before = host.cpu_time()
    # user + nice + system + irq + softirq + steal of both; idling and waiting are in the total
    assert before == pytest.approx((2 * 1.36, 2 * 4.41, 2.0))
    # a second later: of 2 s of CPU, 0.8 s busy, 0.5 s of them this process's
    (tmp_path / "stat").write_text(STAT.format(user=180, idle=420))
    after = host.cpu_time()
    assert after is not None
    after = after._replace(own=after.own + 0.5)
    assert host.others_share(before, after) == pytest.approx(0.3 / 2.0)
    assert host.others_share(before, after._replace(own=99.0)) == 0  # of rounding
    (tmp_path / "stat").unlink()
    assert host.cpu_time() is None
    assert host.others_share(before, None) is None


def test_time_of_groups_of_processes_is_own(tmp_path, monkeypatch):
    for pid, name, group, used in ((7, "a b", 5, 30), (8, "(x) 9", 5, 12), (9, "c", 6, 99)):
        (tmp_path / f"{pid}").mkdir()
        fields = [pid, f"({name})", "S", 1, group, *[0] * 8, used, 1, 2, 3, 4]
        (tmp_path / f"{pid}" / "stat").write_text(" ".join(map(str, fields)))
    (tmp_path / "11").mkdir()  # a process that has just ended
    (tmp_path / "self").mkdir()
    (tmp_path / "stat").write_text(STAT.format(user=100, idle=300))
    monkeypatch.setattr(host, "_PROC", tmp_path)
    monkeypatch.setattr(host, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    monkeypatch.setattr(os, "times", lambda: (0.5, 0.25, 1.0, 0.25, 99.0))
    assert host.cpu_time().own == 2.0
    # user and system time of both processes, and of their children that have ended
    assert host.cpu_time([5]).own == pytest.approx(2.0 + 0.30 + 0.12 + 2 * 0.06)


def test_the_processor_and_its_governor(tmp_path, monkeypatch):
    for name in ("_CPU_INFO", "_GOVERNOR"):
        monkeypatch.setattr(host, name, tmp_path / name)
    assert host.processor() is None
    assert host.governor() is None
    (tmp_path / "_CPU_INFO").write_text("vendor\t: X\nmodel name\t: A 9\nmodel name\t: B\n")
    (tmp_path / "_GOVERNOR").write_text("performance\n")
    assert (host.processor(), host.governor()) == ("A 9", "performance")
    assert host.load() is None or host.load() >= 0
