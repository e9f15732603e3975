"""Pages of docs: a page's blocks marked ```python run are one program that ends."""

import os
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab.nn import initializers

ROOT = Path(__file__).parents[2]
HOWTO = sorted((ROOT / "docs/howto").glob("*.md"))


def blocks(page):
    """The page's blocks to run, with blank lines before, so that errors name the page's lines."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python run\n(.*?)^```$", text, re.M | re.S)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


RUN = [page for page in [*sorted((ROOT / "docs/concepts").glob("*.md")), *HOWTO] if blocks(page)]


def test_there_are_pages_that_run():
    assert {
        "bert",
        "text-features",
        "word-vectors",
        "weights-in-and-out",
        "my-cell",
        "my-scheme",
        "my-task",
        "train",
        "critical-init",
        "adjoint",
        "advise",
        "engines",
        "equations",
        "initialization",
        "mean-field",
    } == {page.stem for page in RUN}


# what a page's names hold at its end
FOUND = {
    "train": lambda names: _learned(names, "loss"),
    "my-task": lambda names: _learned(names, "error"),
    "my-cell": lambda names: np.isfinite(names["curve"].h).all() and (names["curve"].h < 1).all(),
    "equations": lambda names: names["ys"].shape == (8, 20, 64),
    "engines": lambda names: names["ys"].shape == (8, 100, 64),
    "adjoint": lambda names: names["curve"].h.min() < -200,
    "mean-field": lambda names: abs(names["theory"].chi(names["sigma_w"], sigma_b=0.1) - 1) < 1e-6,
}


def _learned(names, score):
    """Every update was made, and the parameters moved."""
    learned, drawn = (jax.tree.leaves(p) for p in (names["state"].params, names["params"]))
    moved = [not np.array_equal(a, b) for a, b in zip(learned, drawn, strict=True)]
    values = names["progress"].score[score]
    return names["state"].step == 40 and all(moved) and np.isfinite(values).all()


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch):
    """In a folder of its own, without extras that are not installed, and within its own names."""
    if page.stem == "bert":
        pytest.importorskip("tokenizers")
        pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "numba", None)  # it compiles for seconds and finds the same
    monkeypatch.setattr(initializers, "SCHEMES", dict(initializers.SCHEMES))
    names = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, os.fspath(page), "exec"), names)
    assert FOUND.get(page.stem, bool)(names)


def test_the_experiment_of_one_file_runs(tmp_path):
    page = (ROOT / "docs/howto/write-an-experiment.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(# mine.py\n.*?)```", page, re.S)
    assert code
    (tmp_path / "mine.py").write_text(code[1], encoding="utf-8")
    table = rnnlab.run(tmp_path / "mine.py", workdir=tmp_path / "run", progress=False).table
    assert len(table) == 6
    (claim,) = rnnlab.load_run(tmp_path / "run").claims
    assert claim.verdict == "holds"


@pytest.mark.parametrize("page", HOWTO, ids=lambda page: page.stem)
def test_a_page_can_be_read(page):
    """One title, and links to files that are there."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.S), re.M)) == 1
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (page.parent / target).exists(), target
