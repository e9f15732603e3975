"""devices.py: JAX's own answer, and no JAX where there is nothing to ask."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from rnnlab.embeddings import devices, kernels

ROOT = Path(__file__).parents[2]
VARIABLES = ("JAX_PLATFORMS", "PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH")


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """No plugin is installed, no variable set: a folder where one can be put."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("jax_plugins", "libtpu"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_nothing_but_the_cpu(bare):
    assert not devices.accelerator_possible()
    (bare / "jax_plugins").mkdir()  # what an uninstalled plugin leaves behind
    assert not devices.accelerator_possible()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("jax_plugins/xla_cuda/__init__.py", ""),
        ("libtpu/__init__.py", ""),
        ("plugin-1.dist-info/entry_points.txt", "[jax_plugins]\nmine = plugin\n"),
    ],
)
def test_a_plugin_is_found(bare, path, text):
    (bare / path).parent.mkdir(parents=True)
    (bare / path).write_text(text, encoding="utf-8")
    assert devices.accelerator_possible()


@pytest.mark.parametrize(
    ("name", "value", "possible"),
    [
        ("JAX_PLATFORMS", "cpu", False),
        ("JAX_PLATFORMS", "cpu,cuda", False),
        ("JAX_PLATFORMS", "cuda", True),
        ("PJRT_NAMES_AND_LIBRARY_PATHS", "mine:mine.so", True),
    ],
)
def test_the_environment_decides(bare, monkeypatch, name, value, possible):
    monkeypatch.setenv(name, value)
    assert devices.accelerator_possible() == possible


def test_where_jax_is_there_it_is_asked(monkeypatch):
    monkeypatch.setattr(devices, "accelerator_possible", lambda: False)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert devices.default_backend() == "gpu"


def test_auto_chooses_numba_without_jax():
    if not kernels.available():
        pytest.skip("numba is not installed")
    code = (
        "import sys\n"
        "from rnnlab.embeddings import trainer\n"
        "print(trainer.engine_of(trainer.Settings()), 'jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.stdout.split() == ["numba", "False"], done.stderr
