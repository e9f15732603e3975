"""Docstrings of rnnlab as reStructuredText for Sphinx.

Their equations are plain Unicode with indices after an underscore, which reStructuredText would
take for references and emphasis: here each part of a docstring is recognized, escaped and marked.
"""

import re

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
_NAME = r"(?:[a-z_]\w*|[A-Z]{1,2}_\w+)"
_NEXT = re.compile(rf"(?<=[.)]) (?={_NAME}(?:, {_NAME})*: )")
_LETTER = r"[A-Za-z\u0391-\u03a9\u03b1-\u03c9∂∇Σ][\u0300-\u036f]*[→←]?"
_INDEX = re.compile(rf"(?<![\w.])({_LETTER})_(?:\{{([^}}]+)\}}|(\w{{1,3}})(?![\w(]))")


def to_rst(docstring: str) -> str:
    """Return a docstring as reStructuredText: paragraphs, named sections, examples, tables."""
    parts: list[str] = []
    for block in _blocks(docstring):
        section = _SECTION.match(block[0])
        if block[0].startswith(">>>"):
            parts.append("\n".join(block))
        elif section and section[1].split(",")[0] in _SECTIONS:
            parts.append(_section(section[1], section[2] or "", block[1:]))
        elif block[0].startswith(("  ", "====")):
            shown = [line for line in block if set(line) - set("= ")]
            parts.append("::\n\n" + _indented(_dedent(shown)))
        elif block[0].startswith("- "):
            items = re.split(r"^- ", "\n".join(block), flags=re.M)[1:]
            parts.append("\n".join(f"- {inline(item)}" for item in items))
        else:
            equation = not parts and re.match(r"\S+ = ", block[0])
            text = inline(" ".join(block))
            # "\ " is nothing, and keeps a first word such as "2." from beginning a list
            parts.append((".. rst-class:: equation\n\n" if equation else "") + f"\\ {text}")
    return "\n\n".join(parts) + "\n"


def inline(text: str) -> str:
    """Return one line of reStructuredText: special characters escaped, indices lowered."""
    parts = re.split(r"(``.+?``|:\w+:`[^`]+`)", " ".join(text.split()))
    for place, part in enumerate(parts):
        if place % 2 and not part.startswith("``"):
            parts[place] = f"\\ {part}\\ "
        elif place % 2:
            parts[place] = f"\\ {part}\\ " if part.strip("`").strip() else part
        else:
            part = _INDEX.sub(lambda m: f"{m[1]}\0{m[2] or m[3]}\1", part)
            part = re.sub(r"(?<![\w*)])\*([A-Za-z][a-z ]*)\*(?![\w*(])", "\2\\1\3", part)
            part = re.sub(r"([\\*_|`])", r"\\\1", part)
            part = part.replace("\2", r"\ *").replace("\3", r"*\ ")
            parts[place] = re.sub("\0(.*?)\1", r"\\ :sub:`\1`\\ ", part)
    return "".join(parts)


def _blocks(docstring: str) -> list[list[str]]:
    """Return its lines by what they make: a paragraph, section, example, table, list or code."""
    found: list[list[str]] = []
    kind = ""
    for line in docstring.splitlines():
        section = _SECTION.match(line)
        if not line.strip():
            if kind in ("section", "code"):  # continued by what is indented after it
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
        return f"**{name}:** {inline(' '.join([rest, *map(str.strip, lines)]))}"
    items: list[str] = []
    for line in _dedent(lines).splitlines():
        if items and (line.startswith(" ") or not line):
            items[-1] += "\n" + line.strip()
        else:
            items.append(line)
    heading = {"Args": "Arguments"}.get(name, name)
    parts = [f"**{heading}:**"]
    for item in items:
        for one in _NEXT.split(item):
            named = _ITEM.match(one)
            if named:
                label = ", ".join(f"``{n}``" for n in named[1].split(", "))
                parts.append(f"{label}\n    \\ {inline(named[2])}")
            elif one.strip():
                parts.append(f"\\ {inline(one)}")
    return "\n\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def _dedent(lines: list[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n")
