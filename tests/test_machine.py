"""rnnlab/machine.py: what a container allows counts, not what the machine has."""

import os

import pytest

from rnnlab import machine


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_what_the_container_allows(name, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.memory() == whole
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("1048576\n")
    assert machine.memory() == 2**20
    for none in ("max\n", f"{2**63 - 4096}\n"):  # what each version writes without a limit
        (tmp_path / name).write_text(none)
        assert machine.memory() == whole
