"""What the layout promises: light imports, one direction, no private names, docstrings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlab

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rnnlab"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("optax", "orbax", "datasets", "flax", "matplotlib", "torch", "sklearn", "tensorflow",
         "keras")  # fmt: skip


# ---- light -------------------------------------------------------------------------------------


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_imported():
    loaded = python(
        "import jax, rnnlab, sys\n"
        "rnnlab.lstm, rnnlab.unroll, rnnlab.gradients, rnnlab.theory, rnnlab.register_scheme\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    ).split()
    assert "rnnlab" in loaded
    assert not set(loaded) & set(HEAVY)


def test_public_names_resolve():
    assert sorted(rnnlab.__all__) == sorted(set(rnnlab.__all__))
    for name in rnnlab.__all__:
        assert getattr(rnnlab, name) is not None
    assert set(rnnlab.__all__) <= set(dir(rnnlab))
    assert rnnlab.lstm is rnnlab.cells.lstm
    with pytest.raises(AttributeError, match="'lstn'"):
        rnnlab.lstn  # noqa: B018


# ---- one way -----------------------------------------------------------------------------------


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def nodes(tree):
    """Every node of a file but those only a type checker reads."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo.extend(node.orelse)
            continue
        yield node
        todo.extend(ast.iter_child_nodes(node))


def imported(path):
    """{name in the file: the project's module or module.attribute it stands for}."""
    found = {}
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "rnnlab":
                    found[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if (node.module or "").split(".")[0] == "rnnlab":
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def home(target):
    """The module a target lives in: itself, or the one it is an attribute of."""
    return target if target in MODULES else target.rpartition(".")[0]


def project_imports(module):
    targets = {home(target) for target in imported(MODULES[module]).values()}
    return {target.removeprefix("rnnlab.") for target in targets} - {module}


# DESIGN's chain, bottom first: a file imports from lines above its own only
CHAIN = [
    {"errors", "theory"},
    {"initializers"},
    {"cells"},
    {"wrappers"},
    {"engines"},
    {"recurrence"},
    {"gradients", "models", "losses"},
    {"training"},
    {"sweep"},
    {"experiment"},
    {"cli"},
]
# beside the chain: what it may import
ALLOWED = {
    "theory": set(),
    "errors": set(),
    "initializers": {"errors", "theory"},
    "cells": {"errors", "initializers"},
    "engines": {"cells", "errors", "engines"},
    "wrappers": {"cells", "errors"},
    "recurrence": {"cells", "engines", "errors", "initializers", "wrappers"},
}
PLACE = {name: k for k, names in enumerate(CHAIN) for name in names}


def top(module):
    return module.removeprefix("rnnlab.").split(".")[0]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module):
    imports, own = project_imports(module), top(module)
    for other in imports:
        if own in PLACE and top(other) in PLACE and top(other) != own:
            assert PLACE[top(other)] < PLACE[own], f"{module} imports {other}"
        if own in ALLOWED:
            assert top(other) in ALLOWED[own], f"{module} imports {other}"
    if own == "experiment":
        assert not {top(other) for other in imports} & {"sparse", "embeddings", "bert"}
    if own in ("sparse", "embeddings", "bert"):
        others = {"sparse", "embeddings", "bert"} - {own}
        assert not {top(other) for other in imports} & others


def test_no_circles():
    graph = {m: {f"rnnlab.{o}" for o in project_imports(m)} & set(MODULES) for m in MODULES}
    done = set()

    def visit(module, path):
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted((ROOT / "experiments").glob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_private_name_of_another_file(path):
    names = imported(path)

    def private(name):
        return name.startswith("_") and not name.startswith("__")

    for target in names.values():
        assert not any(private(part) for part in target.split(".")), target
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and private(node.attr):
            base = ast.unparse(node.value).split(".")[0]
            assert base not in names, f"line {node.lineno}: {ast.unparse(node)}"


# ---- documented --------------------------------------------------------------------------------


def public_definitions(module):
    """Top-level public functions and classes, and the methods of the latter.

    By syntax: a NamedTuple or a dataclass without a docstring is given one at run time.
    """
    for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            # the members of a protocol are documented where they are defined
            if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                        yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("module", sorted(MODULES))
def test_public_names_are_documented(module):
    missing = [name for name, node in public_definitions(module) if not ast.get_docstring(node)]
    assert not missing


def test_everything_exported_is_documented():
    for name in rnnlab.__all__:
        assert (getattr(rnnlab, name).__doc__ or "").strip(), name
