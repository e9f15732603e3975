"""Pages of the reference that are generated: modules, commands, keys of configs."""

import ast
import inspect
import os
import re
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import docstrings

import rnnlab
from rnnlab import cli
from rnnlab.core import notices
from rnnlab.lab import catalog
from rnnlab.lab.descriptions import Descriptions, Key

# the groups of the reference, in the order in which a reader meets them
GROUPS = {
    "nn": "Networks: equations, cells, layers, engines",
    "gradients": "Probes of gradients",
    "theory": "Closed forms",
    "tasks": "Tasks",
    "training": "Training",
    "lab": "Experiments, sweeps, comparisons",
    "results": "Results",
    "plotting": "Figures",
    "report": "Reports",
    "interop": "Weights of other libraries",
    "sparse": "Texts as counts",
    "embeddings": "Word vectors",
    "bert": "BERT",
    "text": "Texts and tokens",
    "data": "Data",
    "core": "Errors, checks, files",
    "cli": "The command line's own modules",
}
SHARED = {
    "": "Every experiment",
    "cell": "The cell",
    "init": "Initialization",
    "training": "Training",
    "run": "The run",
    "probes": "Probes during training",
}


def pages(root: Path) -> dict[str, str]:
    """Return the generated pages by their path in the site."""
    return _modules(root) | {
        "reference/cli.md": commands_page(),
        "reference/config-keys.md": _shared_keys(root),
    }


# ---- modules -----------------------------------------------------------------------------------


def modules(root: Path) -> list[str]:
    """Return the dotted names of all modules of rnnlab but those that are run."""
    names = []
    for path in sorted((root / "rnnlab").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] != "__main__" and not any(p.startswith("_") for p in parts[:-1]):
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def _modules(root: Path) -> dict[str, str]:
    names = modules(root)
    found = {f"reference/api/{name}.rst": _module(name) for name in names if name != "rnnlab"}
    for package in {name.rpartition(".")[0] for name in names} - {"", "rnnlab"}:
        inner = [name for name in names if name.rpartition(".")[0] == package]
        found[f"reference/api/{package}.rst"] += _listing(root, "Modules", inner)
    found["reference/api/rnnlab.rst"] = _public_names()
    found["reference/api/index.rst"] = _groups(root)
    return found


def _module(name: str) -> str:
    return f"{_title(name)}.. automodule:: {name}\n\n"


def _title(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n\n"


def _first_sentence(root: Path, module: str) -> str:
    path = root / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstrings.inline(text.split("\n\n")[0])


def _listing(root: Path, title: str, names: Iterable[str]) -> str:
    listed = [(name, _first_sentence(root, name)) for name in names]
    rows = "".join(f":doc:`{name} <{name}>`\n    {text}\n\n" for name, text in listed)
    tree = "".join(f"   {name} <{name}>\n" for name, _ in listed)
    return f"{_title(title, '-')}{rows}.. toctree::\n   :hidden:\n\n{tree}"


def _groups(root: Path) -> str:
    parts = [
        _title("API"),
        "Every public name with its equation, shapes, errors and source; ``[source]`` beside a "
        "name shows its code. Most programs need only the names of ``import rnnlab``.\n\n",
        ":doc:`import rnnlab <rnnlab>`\n    The names to begin with.\n\n",
    ]
    for package, title in GROUPS.items():
        sentence = _first_sentence(root, f"rnnlab.{package}")
        parts.append(f":doc:`{title} <rnnlab.{package}>`\n    ``rnnlab.{package}``. {sentence}\n\n")
    tree = "".join(f"   {title} <rnnlab.{package}>\n" for package, title in GROUPS.items())
    parts.append(f".. toctree::\n   :hidden:\n\n   import rnnlab <rnnlab>\n{tree}")
    return "".join(parts)


def _public_names() -> str:
    names, packages = [], []
    for name in sorted(rnnlab.__all__, key=str.lower):
        member = getattr(rnnlab, name)
        text = docstrings.inline((inspect.getdoc(member) or "").split("\n\n")[0])
        if inspect.ismodule(member):
            packages.append(f":doc:`rnnlab.{name} <rnnlab.{name}>`\n    \\ {text}\n\n")
        elif hasattr(member, "__module__"):
            home = f"{member.__module__}.{member.__qualname__}"
            names.append(f":py:obj:`rnnlab.{name} <{home}>`\n    \\ {text}\n\n")
    return "".join(
        [
            _title("import rnnlab"),
            "``import rnnlab`` is quick: what a name needs is loaded when it is first used.\n\n",
            *names,
            _title("Packages", "-"),
            *packages,
        ]
    )


# ---- commands ----------------------------------------------------------------------------------


def commands_page() -> str:
    """Return the page of the command line: every command's help."""
    os.environ["COLUMNS"] = "88"  # of the help
    known = cli.commands()
    parts = [
        "# Command line\n",
        "What `rnnlab COMMAND --help` prints. Dashes and underscores in a flag's name are equal, "
        "and so are `--flag=value` and `--flag value`.\n",
        f"```text\n{known.parser.format_help()}```\n",
    ]
    for name, parser in known.parsers.items():
        parts.append(f"## {name}\n\n```text\n{parser.format_help()}```\n")
    return "\n".join(parts)


# ---- keys --------------------------------------------------------------------------------------


def _shared_keys(root: Path) -> str:
    shared: dict[str, dict[str, Key]] = {group: {} for group in SHARED}
    task: dict[str, dict[str, Key]] = {}
    for found in catalog.find_shipped():
        for key in described(root / found.file):
            group = key.name.split(".")[0] if "." in key.name else ""
            if group == "task":
                task.setdefault(found.name, {})[key.name] = key
            elif group in shared and (group or key.name == "seed"):
                shared[group].setdefault(_one_gate(key.name), key)
    parts = [
        "# Keys of a config\n",
        "Every key is a flag, `--config.KEY=VALUE`, and an axis of a sweep, `--sweep.KEY=V1,V2`. "
        "`rnnlab run NAME --help` describes those of one experiment, with its defaults. Here are "
        "the keys that experiments share; those of one experiment are on its page in the "
        "[gallery](../gallery/index.md).\n",
    ]
    for group, title in SHARED.items():
        parts.append(f"## {title}\n\n{key_table(shared[group].values(), defaults=False)}")
    parts.append("## Tasks\n\nThe group `task` has the keys of the experiment's task.\n")
    for name, keys in task.items():
        parts.append(f"### Of {name}\n\n{key_table(keys.values())}")
    return "\n".join(parts)


@cache
def described(file: Path) -> Descriptions:
    """Return the keys of an experiment's config, described once per build."""
    with warnings.catch_warnings(action="ignore", category=notices.LeftOut):
        return rnnlab.describe(file)


def key_table(keys: Iterable[Key], *, defaults: bool = True) -> str:
    """Return keys as a definition list: name, default, meaning, what a value may be."""
    parts = []
    for key in keys:
        name = key.name if defaults else _one_gate(key.name)
        value = f" = `{key.value!r}`" if defaults else ""
        text = escaped(str(key)) or "No description."
        parts.append(f"`{name}`{value}\n: {text}\n")
    return "\n".join(parts)


def _one_gate(name: str) -> str:
    """Return the name of a key with a gate's place for the gate."""
    return re.sub(r"gates\.\w+\.", "gates.GATE.", name)


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it."""
    return re.sub(r"([\\*_<>\[\]|`$#~])", r"\\\1", text)
