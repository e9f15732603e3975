"""The parts that two pages in different languages must share."""

import ast
import re


def _blocks(text):
    return re.findall(r"^```(?:bash|python)(?: run)?\n(.*?)^```$", text, re.M | re.S)


def _commands(text):
    """The lines of code, without their comments and docstrings."""
    return [
        re.sub(r"\s*#.*|\"\"\".*\"\"\"", "", line)
        for block in _blocks(text)
        for line in block.splitlines()
    ]


def _names(text):
    """The names in `code` in the text, without the blocks."""
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    return sorted(re.findall(r"`([^`\n]+)`", prose))


PARTS = {
    "commands": _commands,
    "names": _names,
    "links": lambda text: sorted(re.findall(r"\]\(([^)#]+)\)", text)),
    "numbers": lambda text: sorted(re.findall(r"\d*\.\d+x?|\d+[x%]|10⁻[⁰-⁹·]+", text)),
    "headings": lambda text: re.findall(r"^#+(?= )", text, re.M),
    "tables": lambda text: [line.count(" | ") for line in re.findall(r"^\|.*\|$", text, re.M)],
}


def python(text):
    """The Python blocks of a page."""
    return re.findall(r"^```python(?: run)?\n(.*?)^```$", text, re.M | re.S)


def program(text):
    """The Python of a page as one syntax tree, without its docstrings."""
    tree = ast.parse("\n".join(python(text)))
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)
