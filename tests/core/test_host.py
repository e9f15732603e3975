"""rnnlab/core/host.py: what a container allows counts, not what the machine has."""

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
