"""Writes the API reference, a static site, from the docstrings of rnnlab.

    python docs/build.py [FOLDER]     (default: site; needs rnnlab[docs])

pdoc finds modules, signatures and sources. What stands in a docstring is turned into HTML here:
its equations are plain Unicode, in which pdoc's Markdown would take * and _ for emphasis.
"""

import html
import json
import pkgutil
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import jax

from rnnlab.core.errors import install

try:
    import pdoc
except ImportError:
    sys.exit(f"the API reference is built by pdoc: {install('docs')}")
import pdoc.doc
import pdoc.render
import pdoc.search
import pygments
from jinja2 import pass_context
from markupsafe import Markup
from pdoc.render_helpers import link
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonConsoleLexer

import rnnlab

HERE = Path(__file__).parent
_SECTION = re.compile(r"([A-Z][a-z]+(?:,? (?:and )?[a-z]+)*):(?: (.*))?$")
_SECTIONS = {
    "Args",
    "Attributes",
    "Raises",
    "Returns",
    "Shapes",
    "Init",
    "Memory",
    "Source",
    "Sources",
    "Variant",
    "Variants",
}
_NAMED = {"Args", "Attributes", "Raises"}
# "name: what it is", or several names; and where another begins on the same line
_ITEM = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*): ?(.*)$", re.S)
_NEXT = re.compile(r"(?<=[.)]) (?=[a-z_]\w*(?:, [a-z_]\w*)*: )")
_LETTER = r"[A-Za-z\u0391-\u03a9\u03b1-\u03c9∂∇Σ][\u0300-\u036f]*[→←]?"
_INDEX = re.compile(rf"(?<![\w.])({_LETTER})_(?:\{{([^}}]+)\}}|(\w{{1,3}})(?![\w(]))")


class Html(str):
    """What a template takes in place of pdoc's Markdown, with the table of contents it asks for."""

    toc_html = ""


# ---- docstrings --------------------------------------------------------------------------------


def to_html(docstring: str) -> Html:
    """Return a docstring as HTML: paragraphs, named sections, examples, tables unchanged."""
    parts, first = [], True
    for block in _blocks(docstring):
        section = _SECTION.match(block[0])
        if block[0].startswith(">>>"):
            parts.append(_example(block))
        elif section and section[1].split(",")[0] in _SECTIONS:
            parts.append(_section(section[1], section[2] or "", block[1:]))
        elif block[0].startswith(("  ", "====")):
            shown = [line for line in block if set(line) - set("= ")]
            parts.append(f"<pre>{html.escape(_dedent(shown))}</pre>")
        elif block[0].startswith("- "):
            items = re.split(r"^- ", "\n".join(block), flags=re.M)[1:]
            parts.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
        else:
            kind = ' class="equation"' if first and re.match(r"\S+ = ", block[0]) else ""
            parts.append(f"<p{kind}>{_inline(' '.join(block))}</p>")
        first = False
    return Html("\n".join(parts))


def _blocks(docstring: str) -> list[list[str]]:
    """Its lines, those together that make a paragraph, a section, an example, a table or code."""
    found: list[list[str]] = []
    kind = ""
    for line in docstring.splitlines():
        section = _SECTION.match(line)
        if not line.strip():
            if kind in ("section", "code"):  # they go on with what is indented after it
                found[-1].append("")
            else:
                kind = ""
            continue
        indented = line.startswith("  ")
        if section and section[1].split(",")[0] in _SECTIONS:
            new = "note" if section[2] else "section"
        elif kind == "table" or (kind in ("section", "code", "list") and indented):
            new = ""
        elif line.startswith(">>>"):
            new = "" if kind == "example" else "example"
        elif kind in ("example", "note"):
            new = ""
        elif line.startswith("===="):
            new = "table"
        elif line.startswith("- "):
            new = "" if kind == "list" else "list"
        elif indented and kind != "text":
            new = "code"
        elif kind == "text":
            new = ""
        else:
            new = "text"
        if new:
            kind = new
            found.append([])
        found[-1].append(line)
    return found


def _section(name: str, rest: str, lines: list[str]) -> str:
    if name not in _NAMED:
        return (
            f"<p><strong>{name}:</strong> {_inline(' '.join([rest, *map(str.strip, lines)]))}</p>"
        )
    items: list[str] = []
    for line in _dedent(lines).splitlines():
        if items and (line.startswith(" ") or not line):
            items[-1] += "\n" + line.strip()
        else:
            items.append(line)
    pairs = []
    for item in items:
        for one in _NEXT.split(item):
            named = _ITEM.match(one)
            if named:
                label = ", ".join(f"<code>{html.escape(n)}</code>" for n in named[1].split(", "))
                pairs.append(f"<dt>{label}</dt><dd>{_inline(named[2])}</dd>")
            elif one.strip():
                pairs.append(f'<dd class="whole">{_inline(one)}</dd>')
    heading = {"Args": "Arguments"}.get(name, name)
    return f'<p class="section"><strong>{heading}:</strong></p><dl>{"".join(pairs)}</dl>'


def _inline(text: str) -> str:
    """Escaped text; ``code`` and references marked, indices lowered."""
    parts = re.split(r"(``.+?``|:\w+:`[^`]+`)", " ".join(text.split()))
    for place, part in enumerate(parts):
        if place % 2:
            own = part.strip("`") if part.startswith("``") else part.split("`")[1].lstrip("~")
            parts[place] = f"<code>{html.escape(own)}</code>"
        else:
            part = _INDEX.sub(lambda m: f"{m[1]}\0{m[2] or m[3]}\1", html.escape(part))
            part = re.sub(r"(?<![\w*)])\*([A-Za-z][a-z ]*)\*(?![\w*(])", r"<em>\1</em>", part)
            parts[place] = part.replace("\0", "<sub>").replace("\1", "</sub>")
    return "".join(parts)


def _example(lines: list[str]) -> str:
    formatter = HtmlFormatter(cssclass="pdoc-code codehilite")
    return pygments.highlight("\n".join(lines), PythonConsoleLexer(), formatter)


def _dedent(lines: list[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n")


# ---- the site ----------------------------------------------------------------------------------


def modules() -> list[str]:
    """Return the modules of the reference: all of rnnlab but those that are run."""
    found = pkgutil.walk_packages(rnnlab.__path__, "rnnlab.")
    return ["rnnlab", *sorted(m.name for m in found if not m.name.endswith("__main__"))]


def _own(module: pdoc.doc.Module) -> pdoc.doc.Module:
    """Return the module without private names and names of other projects (jax.Array)."""
    for name, member in list(module.members.items()):
        foreign = member.kind in ("class", "function") and not _ours(member.taken_from[0])
        if name.startswith("_") or foreign:
            del module.members[name]
        elif isinstance(member, pdoc.doc.Class):
            _without_boilerplate(member)
    return module


def _without_boilerplate(cls: pdoc.doc.Class) -> None:
    """Leave out what Python says of every NamedTuple, and scikit-learn's routing of metadata."""
    for name, member in list(cls.members.items()):
        made = member.docstring.startswith("Create new instance of ")
        if made or re.fullmatch(r"set_\w+_request", name):
            del cls.members[name]
        elif member.docstring.startswith("Alias for field number "):
            member.docstring = ""


def _ours(module: str) -> bool:
    return module.split(".")[0] == "rnnlab"


@pass_context
def _link(context: Any, spec: tuple[str, str], text: str | None = None) -> Markup:
    """pdoc's link to (module, name), but for private names, a base class say: they have no page."""
    if any(part.startswith("_") and part != "__init__" for part in spec[1].split(".")):
        return Markup.escape(text or spec[1])
    return link(context, spec, text)


def build(folder: Path) -> list[Path]:
    """Write the site and return its pages.

    Raises:
        Warning: whatever pdoc warns of, a module that cannot be imported or a name that is none.
    """
    jax.Array.__qualname__ = "Array"  # in signatures: its own is jaxlib._jax.Array
    # pdoc looks into a module's own names, and ours are resolved on first use
    for name in rnnlab.__all__:
        vars(rnnlab)[name] = getattr(rnnlab, name)
    taken: Any = pdoc.search
    taken.to_markdown, taken.to_html = lambda docstring, *_: docstring, to_html
    # the reader's browser makes the index: the same site with Node.js and without, a third as large
    drawn: Any = pdoc.render
    drawn.precompile_index = lambda entries, _: json.dumps(entries)
    pdoc.render.env.filters |= {"to_markdown": str, "to_html": to_html, "link": _link}
    pdoc.render.env.filters["summary"] = lambda doc: _inline(doc.docstring.split("\n\n")[0])
    pdoc.render.configure(
        template_directory=HERE / "templates", footer_text=f"rnnlab {rnnlab.__version__}"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # a TypedDict keeps no trace of which of its bases a key is from
        warnings.filterwarnings("ignore", message="Cannot determine where .* is taken from")
        # not pdoc.pdoc, which leaves out what a package's __all__ does not name
        found = {name: _own(pdoc.doc.Module.from_name(name)) for name in modules()}
        pages = {
            f"{name.replace('.', '/')}.html": pdoc.render.html_module(module, found)
            for name, module in found.items()
        }
        pages["index.html"] = pdoc.render.html_index(found)
        pages["search.js"] = pdoc.render.search_index(found)
    for name, content in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return sorted(folder.rglob("*.html"))


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    print(f"{len(build(target))} pages: {target / 'index.html'}")
