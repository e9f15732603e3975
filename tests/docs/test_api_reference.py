"""The API reference: built without a warning, whole, and without a broken link."""

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rnnlab"
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]
BUILD = """
import runpy, sys
sys.argv = ["docs/build.py", sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
assert "torch" not in sys.modules
"""


class Page(HTMLParser):
    """The anchors of a page, and where it points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        if own.get("id"):
            self.ids.append(own["id"])
        target = own.get("href") or own.get("src") or ""
        if target and not target.startswith("data:"):
            self.links.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{page, from the site's folder: its text}."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BUILD, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert re.match(rf"{len(FILES) + 1} pages: ", done.stdout)
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def pages(site):
    return {name: Page(text) for name, text in site.items() if name.endswith(".html")}


def page_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "/".join(parts[:-1] if parts[-1] == "__init__" else parts) + ".html"


def test_every_public_name_has_its_entry(pages):
    for path in FILES:
        ids = set(pages[page_of(path)].ids)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                names = {node.name}
                if isinstance(node, ast.ClassDef):
                    names |= {
                        f"{node.name}.{inner.name}"
                        for inner in node.body
                        if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
                    }
                assert names <= ids, (path.name, names - ids)


def test_no_link_is_broken(site, pages):
    count = 0
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), f"an anchor twice in {name}"
        for link in page.links:
            parts = urlsplit(link)
            assert not parts.scheme, f"{name} points outside: {link}"
            target = name
            if parts.path:
                folder = Path(name).parent / unquote(parts.path)
                target = Path(*_resolved(folder.parts)).as_posix()
            assert target in site, f"{name}: {link}"
            if parts.fragment:
                assert unquote(parts.fragment) in pages[target].ids, f"{name}: {link}"
                count += 1
    assert count > 3000


def _resolved(parts):
    found: list[str] = []
    for part in parts:
        if part == "..":
            found.pop()  # an IndexError: above the site
        else:
            found.append(part)
    return found


def test_every_module_is_on_the_first_page(pages):
    assert {page_of(path) for path in FILES} == set(pages["index.html"].links)


def test_a_docstring_is_written_as_it_is_meant(site):
    """An equation with its indices, arguments by name, an example; no sign of Markdown's."""
    equations = site["rnnlab/nn/equations.html"]
    start = equations.index('<section id="gru_hidden">')
    shown = equations[start : equations.index("</section>", start)]
    for part in (
        '<p class="equation">h<sub>t</sub> = z<sub>t</sub>*h<sub>t−1</sub> + '
        "(1−z<sub>t</sub>)*h̃<sub>t</sub>.</p>",
        "<dt><code>h_tilde</code></dt><dd>h̃<sub>t</sub> (..., H).</dd>",
        "<p><strong>Returns:</strong> h<sub>t</sub> (..., H).</p>",
        "<strong>Source:</strong> the notes, 隐藏状态更新; as PyTorch and cuDNN.",
        '<span class="gp">&gt;&gt;&gt; </span>',
    ):
        assert part in shown
    assert "Wrappers <em>around</em> a cell are in" in equations
    assert '<a href="wrappers.html">rnnlab.nn.wrappers</a>' in equations
    assert "Lv &amp; Zhai 2011 (BM25+, BM25L).</p>" in site["rnnlab/sparse/bm25.html"]
    assert not any("Alias for field number" in text for text in site.values())
    assert "jaxlib" not in shown
    assert "score(q, d)" in site["search.js"]
