"""Every notebook runs, and is what its text source says."""

import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
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


@pytest.fixture(scope="module")
def kernel():
    """One kernel, so that JAX is imported and started once; a notebook's names go with it."""
    manager = pytest.importorskip("jupyter_client").manager
    environment = os.environ | {
        "PYTHONWARNINGS": "error::RuntimeWarning",
        "PYTHONPATH": str(FOLDER.parent),
        # small programs: compiling them is most of the time, and this halves it
        "XLA_FLAGS": "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true",
    }
    started, client = manager.start_new_kernel(kernel_name="python3", env=environment)
    yield started
    client.stop_channels()
    started.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter packages
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, kernel):
    nbclient = pytest.importorskip("nbclient")
    notebook = _read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset -f"))
    # no bound that a loaded machine could reach: what hangs is CI's to end
    nbclient.NotebookClient(notebook, km=kernel, timeout=900).execute()
    assert all(o.output_type != "error" for c in notebook.cells for o in c.get("outputs", ()))


def test_there_are_notebooks():
    assert NOTEBOOKS
