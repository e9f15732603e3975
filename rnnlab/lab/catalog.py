"""The experiments that there are: in ./experiments, and those that come with rnnlab.

Files are found by their names and read, not executed.
"""

import ast
import contextlib
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rnnlab.core.errors import UserError, unknown


class Found(NamedTuple):
    """An experiment as :func:`find` lists it, without running its file.

    Args:
        name: the file's name without its ending.
        file: the path as it is shown.
        description: the first line of its docstring.
        reproduce: whether ``rnnlab reproduce`` runs it by default; not with a line
            ``REPRODUCE = False`` in the file.
    """

    name: str
    file: str
    description: str
    reproduce: bool = True


def shared_dirs() -> list[Path]:
    """Return the folders of shipped experiments: in the installed package or its source tree."""
    package = Path(__file__).parents[1]
    dirs = [package / "_experiments"]
    if (package.parent / "pyproject.toml").is_file():  # not site-packages/experiments
        dirs.append(package.parent / "experiments")
    return dirs


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the experiments that come with rnnlab."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in shared_dirs())


def find() -> list[Found]:
    """List the experiments in ./experiments, then those of rnnlab; the first of a name counts.

    Files are read, not executed: a description is the first line of a docstring.
    """
    return _find([Path("experiments"), *shared_dirs()])


def find_shipped() -> list[Found]:
    """List the experiments that come with rnnlab: see :func:`find`."""
    return _find(shared_dirs())


def _find(folders: Iterable[Path]) -> list[Found]:
    experiments: dict[str, Found] = {}
    for folder in folders:
        for path in _files(folder):
            found = _read(path, _shown(path, folder))
            if found is not None:
                experiments.setdefault(path.stem, found)
    return list(experiments.values())


def _read(path: Path, file: str) -> Found | None:
    """Return what a file says of itself; None for one that is no experiment.

    Nothing but the docstring is parsed: all that comes with rnnlab takes 0.2 s.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError("it holds null bytes")
        description = _description(text)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        return Found(path.stem, file, f"(not Python: {error})")
    if not re.search(r"^def get_config\(", text, re.MULTILINE):
        return None
    reproduce = not re.search(r"^REPRODUCE = False\b", text, re.MULTILINE)
    return Found(path.stem, file, description or "(no description)", reproduce)


def _description(text: str) -> str:
    """Return the first line of a file's docstring, "" for a file without one."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            with contextlib.suppress(ValueError, SyntaxError):  # an f-string is no docstring
                return str(ast.literal_eval(token.string)).strip().partition("\n")[0].rstrip()
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            break
    return ""


def _files(folder: Path) -> list[Path]:
    """Return the Python files of a folder of experiments and of its subfolders."""
    return sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])


def _shown(path: Path, folder: Path) -> str:
    """Return an experiment's path as it is printed and recorded: experiments/GROUP/NAME.py."""
    return (Path("experiments") / path.relative_to(folder)).as_posix()


def locate(text: str) -> tuple[Path, str]:
    """Return (the file, the path as it is printed) of an experiment's path or bare name.

    Raises:
        UserError: no such file, or a name that two files of one folder share.
    """
    given = Path(text if text.endswith(".py") else f"{text}.py")
    if given.is_file() and text.endswith(".py"):
        return given, given.as_posix()
    inside = given.relative_to("experiments") if given.parts[0] == "experiments" else given
    if not given.is_absolute():
        for folder in (Path("experiments"), *shared_dirs()):
            files = _files(folder)
            if len(inside.parts) == 1:  # a bare name
                matches = [path for path in files if path.name == inside.name]
            else:
                matches = [path for path in files if path.relative_to(folder) == inside]
            if len(matches) > 1:
                paths = " and ".join(_shown(path, folder) for path in matches)
                raise UserError(f"{text!r} may be {paths}: give the path")
            if matches:
                return matches[0], _shown(matches[0], folder)
    names = [experiment.name for experiment in find()]
    message = unknown("experiment", given.stem, names, listing="rnnlab list")
    raise UserError(f"no file {given.as_posix()}: {message}")
