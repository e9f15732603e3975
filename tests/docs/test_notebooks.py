"""Every notebook runs, and is what its text source says."""

import ast
import io
import sys
import types
from pathlib import Path

import jax
import matplotlib
import pytest
from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# less training, after which all that a notebook asserts still holds
SMALLER = {
    "both_ways": {
        "limit=2000": "limit=800",
        "steps=300": "steps=120",
        "eval_every=100": "eval_every=60",
    },
    "dense_layer": {
        '("hidden", "classes"), 300': '("hidden", "classes"), 60',
        "some_digits, 300)": "some_digits, 60)",
        "inside, 300": "inside, 60",
        "3000, 1e-3": "800, 1e-3",
        "some_digits, 3000)": "some_digits, 400)",
        "pairs, 800": "pairs, 500",
    },
    "gates": {"steps=300": "steps=100", "eval_every=300": "eval_every=100"},
    "gru_or_lstm": {"steps=1000": "steps=50", "repeats=7": "repeats=1"},
}


def _read(path):
    import jupytext

    return jupytext.read(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_paired_source_is_the_same(path):
    notebook, source = _read(path), _read(path.with_suffix(".py"))
    assert [c.source for c in notebook.cells] == [c.source for c in source.cells]
    kept = [o for c in notebook.cells for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", {}) for o in kept), "figures are kept in the notebook"


def _show(value) -> None:
    """Make what a notebook shows of a cell's last expression."""
    if isinstance(value, Figure):
        value.savefig(io.BytesIO(), dpi=30)
    repr(value)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path, monkeypatch):
    """Every cell, to the end; all in one process, for a kernel each would import JAX anew."""
    module = types.ModuleType(path.stem)
    monkeypatch.setitem(sys.modules, path.stem, module)
    smaller = SMALLER.get(path.stem, {})
    replaced = set()
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.legacy_prng_key("allow"),
        matplotlib.rc_context(),
    ):
        for number, cell in enumerate(c for c in _read(path).cells if c.cell_type == "code"):
            source = "\n".join(line for line in cell.source.splitlines() if line[:1] != "%")
            for written, less in smaller.items():
                if written in source:
                    source = source.replace(written, less)
                    replaced.add(written)
            body = ast.parse(source).body
            last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
            place = f"{path.name}, code cell {number}"
            exec(compile(ast.Module(body, []), place, "exec"), vars(module))
            if last is not None:
                _show(eval(compile(ast.Expression(last.value), place, "eval"), vars(module)))
    assert replaced == set(smaller)


def test_there_are_notebooks():
    assert NOTEBOOKS
