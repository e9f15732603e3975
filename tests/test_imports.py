"""The rules of the layout: light imports, one direction, no private names, docstrings."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlab

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rnnlab"
FILES = sorted(PACKAGE.rglob("*.py"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.py"))
HEAVY = (
    "optax",
    "orbax",
    "datasets",
    "flax",
    "matplotlib",
    "torch",
    "sklearn",
    "tensorflow",
    "keras",
    "pandas",
)


# ---- light -------------------------------------------------------------------------------------


def python(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_imported():
    loaded = python(
        "import jax, rnnlab, sys\n"
        "rnnlab.LSTM, rnnlab.unroll, rnnlab.gradients, rnnlab.theory, rnnlab.register_scheme\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    ).split()
    assert "rnnlab" in loaded
    assert not set(loaded) & set(HEAVY)


def test_public_names_resolve():
    assert sorted(rnnlab.__all__) == sorted(set(rnnlab.__all__))
    for name in rnnlab.__all__:
        assert getattr(rnnlab, name) is not None
    assert set(rnnlab.__all__) <= set(dir(rnnlab))
    assert rnnlab.LSTM is importlib.import_module("rnnlab.nn.cells").LSTM
    with pytest.raises(AttributeError, match="'lstn'"):
        rnnlab.lstn  # noqa: B018


def test_modules_are_reached_by_their_names_alone():
    """``rnnlab.interop.torch.from_arrays`` without an import of its own."""
    paths = [p for p in FILES if p.name != "__init__.py" and len(p.relative_to(PACKAGE).parts) == 2]
    names = [f"{p.parent.name}.{p.stem}" for p in paths if p.parent.name != "cli"]
    names.remove("gradients.saturation")  # the name of its function
    missing = python(
        "import operator, rnnlab\n"
        f"for name in {names}:\n"
        "    try:\n"
        "        module = operator.attrgetter(name)(rnnlab)\n"
        "        assert module.__name__ == f'rnnlab.{name}', name\n"
        "    except ImportError as error:\n"
        "        assert 'pip install' in str(error), error\n"
    )
    assert missing == ""
    for package in ("nn", "tasks", "bert"):
        with pytest.raises(AttributeError, match=f"module 'rnnlab.{package}' has no attribute"):
            getattr(getattr(rnnlab, package), "nothing")  # noqa: B009


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


# Packages from the ground up; a package imports from rows above its own only, and never from
# its own row. The root of the package (rnnlab/__init__.py, __main__.py) stands on all of them.
ROWS = [
    ("core", "theory"),
    ("data", "nn"),
    ("gradients", "text", "interop"),
    ("sparse", "embeddings"),
    ("tasks",),
    ("training",),
    ("bert",),
    ("results",),
    ("plotting",),
    ("report",),
    ("lab",),
    ("cli",),
    ("",),
]
ROW = {package: k for k, row in enumerate(ROWS) for package in row}
# within nn, from the equations up
NN = [
    "activations",
    "initializers",
    "affine",
    "params",
    "protocols",
    "equations",
    "cells",
    "wrappers",
    "engines",
    "unroll",
]


def package_of(module):
    """The package of a dotted module name: "nn" of "rnnlab.nn.cells", "" of "rnnlab"."""
    package = module.split(".")[1] if "." in module else ""
    return "" if package == "__main__" else package


def named(path):
    """Modules of the project that a file names: imports anywhere, lazy ones and strings too."""
    found = set()
    for target in imported(path).values():
        found.add(home(target))
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        # "rnnlab.tasks.adding:Adding", import_module("rnnlab.x"): a string that is a module's name
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if name.startswith("rnnlab.") and home(name) in MODULES and home(name) != "rnnlab":
                found.add(home(name))
    return found


def arrows(files):
    """{(package, package it names): one file that does}, of files by module name."""
    found = {}
    for module, path in files.items():
        for other in named(path):
            pair = package_of(module), package_of(other)
            if pair[0] != pair[1]:
                found.setdefault(pair, f"{module} names {other}")
    return found


def check_arrows(files):
    for (package, other), where in arrows(files).items():
        assert ROW[other] < ROW[package], f"{package or 'root'} -> {other or 'root'}: {where}"


def test_every_package_has_its_row():
    assert {package_of(module) for module in MODULES} == set(ROW)
    at_root = {path.name for path in PACKAGE.glob("*.py")}
    assert at_root == {"__init__.py", "__main__.py", "theory.py"}


def test_imports_point_one_way():
    check_arrows(MODULES)


@pytest.mark.parametrize(
    "line",
    [
        "from rnnlab.training import runner",
        "def lazy():\n    from rnnlab.lab.run import run",
        "import rnnlab.report.page",
        'HOME = "rnnlab.bert.finetuning:TagPieces"',
    ],
)
def test_an_arrow_that_runs_up_is_found(line, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(line)
    with pytest.raises(AssertionError, match=r"tasks -> (training|lab|report|bert)"):
        check_arrows({"rnnlab.tasks.wrong": path})


@pytest.mark.parametrize("module", [m for m in sorted(MODULES) if m.startswith("rnnlab.nn.")])
def test_within_nn_imports_point_one_way(module):
    own = module.split(".")[2]
    for other in project_imports(module):
        part = other.removeprefix("nn.").split(".")[0]
        if own in NN and part in NN and part != own:
            assert NN.index(part) < NN.index(own), f"{module} imports {other}"


def test_theory_imports_nothing_of_the_project():
    assert not named(MODULES["rnnlab.theory"]) - {"rnnlab.theory"}


def test_no_circles_between_files():
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
    [*FILES, *EXPERIMENTS],
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
