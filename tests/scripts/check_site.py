"""Check a built site: whole, and without a broken link.

    python docs/build.py && python tests/scripts/check_site.py [FOLDER]     (default: site)

Every link and anchor resolves, nothing is loaded from elsewhere, every picture has a text, every
public name of rnnlab has its entry, every experiment its page, no section is empty, and a page
names the language that it is written in.
"""

import ast
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src"}
HEADINGS = {"h1", "h2", "h3"}


class Page(HTMLParser):
    """The anchors of a page, where it points to, and the headings that nothing follows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.without_text: list[str] = []
        self.empty: list[str] = []
        self.language = ""
        self._heading, self._level = "", "h1"
        self._open = False
        self._in_article = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note a tag's anchor and target."""
        own = dict(attrs)
        self.ids.add(own.get("id") or "")
        if tag == "html":
            self.language = own.get("lang") or ""
        if tag == "article":
            self._in_article = True
        if target := own.get(LOADED.get(tag, "")):
            self.loaded.append(target)
        elif target := own.get("href"):
            self.links.append(target)
        if tag == "img":
            self._content()
            if not own.get("alt"):
                self.without_text.append(own.get("src") or "")
        if tag in HEADINGS and self._in_article:
            if self._heading and tag <= self._level:
                self.empty.append(self._heading)
            self._heading, self._open, self._level = "", True, tag

    def handle_endtag(self, tag):
        """Note the end of a heading, and of the page's own part with an empty section."""
        if tag in HEADINGS:
            self._open = False
        if tag == "article":
            if self._heading:
                self.empty.append(self._heading)
            self._in_article, self._heading = False, ""

    def handle_data(self, data):
        """Collect a heading's words; other words fill its section."""
        if self._open:
            self._heading += data
        elif data.strip() and self._in_article:
            self._content()

    def _content(self):
        if not self._open:
            self._heading = ""


def faults(folder: Path) -> list[str]:
    """Return what is wrong with a site, a line each."""
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    pages = {
        name: Page((folder / name).read_text(encoding="utf-8"))
        for name in sorted(files)
        if name.endswith(".html") and not name.startswith("_static/")  # templates of the theme
    }
    found = []
    for name, page in pages.items():
        found += [f"{name}: a picture without a text: {src}" for src in page.without_text]
        found += [f"{name}: an empty section: {title}" for title in page.empty]
        if page.language != (expected := "zh-Hans" if name.startswith("zh/") else "en"):
            found.append(f"{name}: its language is {page.language!r}, not {expected!r}")
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    found.append(f"{name}: loaded from elsewhere: {link}")
                continue
            target = name
            if parts.path:
                path = (folder / name).parent / unquote(parts.path)
                target = path.resolve().relative_to(folder.resolve()).as_posix()
            if target not in files:
                found.append(f"{name}: {link}")
            elif target in pages and unquote(parts.fragment) not in pages[target].ids | {""}:
                found.append(f"{name}: no such anchor: {link}")
    return found + _missing(pages)


def _missing(pages: dict[str, Page]) -> list[str]:
    """Return the public names and experiments without an entry."""
    found = []
    for path in sorted((ROOT / "rnnlab").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if parts[-1] == "__main__" or module == "rnnlab":
            continue
        page = pages.get(f"reference/api/{module}.html")
        if page is None:
            found.append(f"no page: {module}")
            continue
        names = public_names(path)
        found += [f"no entry: {module}.{n}" for n in names if f"{module}.{n}" not in page.ids]
    for path in (ROOT / "experiments").glob("*/*.py"):
        if f"gallery/{path.stem}.html" not in pages:
            found.append(f"no page of the gallery: {path.stem}")
    return found


def public_names(path: Path) -> list[str]:
    """Return the public functions, classes and methods that a file defines."""
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            names.append(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            names += [
                f"{node.name}.{method.name}"
                for method in inner
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
            ]
    return names


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
    print("\n".join([*lines, f"{len(lines)} faults"]))
    sys.exit(bool(lines))
