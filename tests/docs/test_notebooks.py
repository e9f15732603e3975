"""Every notebook runs, and is what its text source says."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _read(path):
    import jupytext

    return jupytext.read(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_paired_source_is_the_same(path):
    notebook, source = _read(path), _read(path.with_suffix(".py"))
    assert [c.source for c in notebook.cells] == [c.source for c in source.cells]
    kept = [o for c in notebook.cells for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in kept), "figures are kept in the notebook"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter packages
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONWARNINGS", "error::RuntimeWarning")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent)]))
    notebook = _read(path)
    # of a cell; far above what one takes, for a loaded machine is no failure
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    assert all(o.output_type != "error" for c in notebook.cells for o in c.get("outputs", ()))


def test_there_are_notebooks():
    assert NOTEBOOKS
