"""The pages of docs/howto: a page's blocks marked ```python run are one program that ends."""

import os
import re
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs/howto").glob("*.md"))


def blocks(page):
    """The page's blocks to run, with blank lines before, so that errors name the page's lines."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```python run\n(.*?)^```$", text, re.M | re.S)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


def test_there_are_pages_that_run():
    assert {"bert", "text-features", "word-vectors"} <= {
        page.stem for page in PAGES if blocks(page)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs(page, tmp_path, monkeypatch):
    """In a folder of its own, without extras that are not installed, and within its own names."""
    if page.stem == "bert":
        pytest.importorskip("tokenizers")
        pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "numba", None)  # it compiles for seconds and finds the same
    names = {"__name__": "__main__"}
    for line, code in blocks(page):
        exec(compile("\n" * line + code, os.fspath(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_read(page):
    """One title, and links to files that are there."""
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.S), re.M)) == 1
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (page.parent / target).exists(), target
