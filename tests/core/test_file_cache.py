"""Files are read once while a run goes on, and again by the next plan if they have changed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core import file_cache
from rnnlab.lab.plan import make_plan


@dataclass(frozen=True)
class Named:
    path: str
    places: tuple[str, ...] = ()


@pytest.fixture
def read():
    @file_cache.read_once(4)
    def read(named, start=0):
        calls.append(named)
        return Path(named.path or named.places[0]).read_text()[start:]

    calls: list = []
    read.calls = calls  # type: ignore[attr-defined]
    return read


@pytest.mark.parametrize("nested", [False, True])
def test_a_changed_file_is_read_again_after_a_refresh(tmp_path, read, nested):
    file_cache.refresh()  # files of earlier tests may have changed
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    file.write_text("old")
    other.write_text("same")
    named = Named("", (str(file),)) if nested else Named(str(file))
    assert read(named) == read(named) == "old"
    assert read(Named(str(other))) == "same"
    file_cache.refresh()
    assert read(named) == "old"
    assert len(read.calls) == 2  # nothing has changed: nothing is read again
    file.write_text("new text")
    assert read(named) == "old"  # as it was when the run began
    file_cache.refresh()
    assert read(named) == "new text"
    assert read(named, start=4) == "text"


def test_a_table_edited_in_one_process_is_planned_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def scale(factor):
        np.savetxt("mine.csv", factor * np.sin(np.arange(400.0)), header="x", comments="")
        plan = make_plan("forecasting", None, sweep=SWEEP)
        return plan.specs[0].setup.task.scale[0]

    file_cache.refresh()
    assert scale(3.0) == pytest.approx(3 * scale(1.0), rel=1e-6)


SWEEP = {"task.path": ["mine.csv"], "cell.name": ["gru"], "task.horizon": [1]}
