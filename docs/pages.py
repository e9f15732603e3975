"""The pages of the site by their path in it, with links between them as the site has them."""

import ast
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import gallery
import reference

_LINK = re.compile(r"(!?\[[^\[\]]*\])\(([^()\s]+)\)")
_CODE = re.compile(r"^(`{3,}).*?^\1$", re.M | re.S)
_CHINESE = r"[\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"
# ends of lines at which a browser would show a blank within a sentence
_BROKEN = re.compile(
    rf"(?<={_CHINESE})\n(?={_CHINESE})|(?<=[，。；：、（）])\n(?=[\w\[{{$`])(?!```|\$\$)"
)
_LANGUAGES = ("English", "中文")
_MOVED = {
    "README.md": "index.md",
    "README.zh.md": "zh/index.md",
    "CHANGELOG.md": "reference/changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def collect(root: Path) -> dict[str, str | bytes]:
    """Return the site's pages and pictures: those of docs/, the notebooks, what is generated.

    Raises:
        ValueError: a link to a file that is not there.
    """
    links = Links(root)
    found: dict[str, str | bytes] = {}
    for path in sorted((root / "docs").rglob("*.md")):
        name = path.relative_to(root / "docs").as_posix()
        found[name] = links.moved(path.read_text(encoding="utf-8"), f"docs/{name}", name)
    for origin in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (root / origin).read_text(encoding="utf-8")
        found[_MOVED[origin]] = links.moved(text, origin, _MOVED[origin])
    for path in sorted((root / "notebooks").iterdir()):
        if path.suffix == ".ipynb":
            found[f"tutorials/{path.name}"] = _notebook(path, links)
        elif path.suffix == ".png":
            found[f"tutorials/{path.name}"] = path.read_bytes()
    for name, text in gallery.pages(root).items():
        moved = isinstance(text, str) and name.endswith(".md")
        found[name] = links.moved(text, f"docs/{name}", name) if moved else text
    found |= reference.pages(root)
    found |= links.cited_pages()
    return in_two_languages(found)


def in_two_languages(found: Mapping[str, str | bytes]) -> dict[str, str | bytes]:
    """Return pages where zh/NAME.md, if there is one, and NAME.md link to each other on top."""
    pages = dict(found)
    for name, text in found.items():
        if name.startswith("zh/") and isinstance(text, str):
            pages[name] = text = _sub_in_prose(_BROKEN, lambda _: "", text)
            twin = name.removeprefix("zh/")
            if isinstance(other := found.get(twin), str):
                pages[name] = _switch(text, name, twin, _LANGUAGES[0])
                pages[twin] = _switch(other, twin, name, _LANGUAGES[1])
    return pages


def _sub_in_prose(
    pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], text: str
) -> str:
    """Return Markdown with a pattern's matches changed, but in blocks of code."""
    found, end = [], 0
    for block in _CODE.finditer(text):
        found += [pattern.sub(change, text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*found, pattern.sub(change, text[end:])])


def _switch(text: str, page: str, twin: str, language: str) -> str:
    """Return a page with a link to its twin below the title."""
    target = PurePosixPath(os.path.relpath(twin, PurePosixPath(page).parent))
    title, _, rest = text.partition("\n")
    return f"{title}\n\n:::{{div}} language\n[{language}]({target})\n:::\n{rest}"


def write(contents: Mapping[str, str | bytes], folder: Path) -> None:
    """Write pages into a folder; those that are the same stay, so that Sphinx reads them once."""
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        if path.is_file() and path.relative_to(folder).as_posix() not in contents:
            path.unlink()
    for name, content in contents.items():
        path = folder / name
        data = content.encode() if isinstance(content, str) else content
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class Links:
    """Turns links between the repository's files into links between the site's pages.

    Args:
        root: the repository.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cited: dict[str, set[str]] = {}  # test file: functions

    def moved(self, text: str, origin: str, page: str) -> str:
        """Return a page's Markdown with its links as the site has them; code stays.

        Raises:
            ValueError: a link to a file that is not there.
        """
        return _sub_in_prose(_LINK, lambda match: self._link(match, origin, page), text)

    def _link(self, match: re.Match[str], origin: str, page: str) -> str:
        label, target = match[1], match[2]
        path, _, anchor = target.partition("#")
        if not path or "://" in target or path.startswith("mailto:"):
            return match[0]
        resolved = os.path.normpath(PurePosixPath(origin).parent / path)
        own = resolved.startswith("docs/")  # a page that is generated has no file here
        if not own and not (self._root / resolved).exists():
            raise ValueError(f"{origin} links to {target}, which is not there")
        place, anchor = self._place(resolved, label.strip("![]`"), anchor)
        relative = os.path.relpath(place, PurePosixPath(page).parent)
        return f"{label}({PurePosixPath(relative)}{'#' * bool(anchor)}{anchor})"

    def _place(self, resolved: str, label: str, anchor: str) -> tuple[str, str]:
        """Return the site's page for a file of the repository, and the anchor in it."""
        path = PurePosixPath(resolved)
        if resolved in _MOVED:
            return _MOVED[resolved], anchor
        match path.parts:
            case ("docs", *inside):
                return "/".join(inside), anchor
            case ("notebooks", *_):
                return f"tutorials/{path.name}", anchor
            case ("experiments", *_) if path.suffix == ".py":
                return f"gallery/{path.stem}.md", anchor
            case ("tests", *inside) if path.suffix == ".py":
                self._cited.setdefault(resolved, set()).add(label)
                return f"tests/{'/'.join(inside)[:-3]}.md", label
            case ("rnnlab", *_) if path.suffix == ".py":
                return f"reference/api/{resolved[:-3].replace('/', '.')}.rst", anchor
        raise ValueError(f"{resolved}: the site has no page for it")

    def cited_pages(self) -> dict[str, str]:
        """Return a page per test file that is linked to, with the functions that are cited."""
        return {
            f"tests/{file.removeprefix('tests/')[:-3]}.md": self._cited_page(file, names)
            for file, names in self._cited.items()
        }

    def _cited_page(self, file: str, names: set[str]) -> str:
        text = (self._root / file).read_text(encoding="utf-8")
        lines = text.splitlines()
        parts = ["---\norphan: true\nnosearch: true\n---\n", f"# {file}\n"]
        parts.append("Tests that the site's pages cite.\n")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name in names:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                code = "\n".join(lines[first - 1 : node.end_lineno])
                parts.append(f"## {node.name}\n\n````python\n{code}\n````\n")
        return "\n".join(parts)


def _notebook(path: Path, links: Links) -> str:
    """Return a notebook whose texts have the site's links."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            cell["source"] = links.moved(text, f"notebooks/{path.name}", f"tutorials/{path.name}")
    return json.dumps(notebook, ensure_ascii=False)
