"""Experiment files: finding them, loading them.

An experiment is a Python file with ``get_config``, ``get_sweep``, ``run``, ``figures`` and
``claims``; where wanted, also ``check(config)``, ``group(config)``, ``predict(config)`` (what is
written down before anything runs) and, for one that trains, ``measure(config, setup, params)``.
"""

import ast
import hashlib
import inspect
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core.errors import UserError, unknown
from rnnlab.lab import sweep as sweeps

_PARTS = ("get_config", "get_sweep", "run", "figures", "claims")


@dataclass(frozen=True)
class Experiment:
    """An experiment's file, loaded.

    Args:
        name: the file's name without its ending.
        file: the path as it is shown and recorded.
        path: where it was found.
        arg: what followed the colon, "full" for instance, or "".
        module: the file as a module.
    """

    name: str
    file: str
    path: Path
    arg: str
    module: ModuleType

    @property
    def description(self) -> str:
        """The docstring of the file."""
        return inspect.cleandoc(self.module.__doc__ or "")

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, to notice that it changed."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def trains(self) -> bool:
        """Whether its members are trained in groups: it says ``run = runner.run``."""
        return getattr(self.module.run, "trains_groups", False)

    def get_config(self) -> ConfigDict:
        """The file's base config, locked, at the scale that ``arg`` asks for.

        Raises:
            UserError: for an arg that the file refuses, and for a config whose values are not
                plain: bool, int, float, str, None and tuples of these.
        """
        args = [self.arg] if self.arg else []
        try:
            inspect.signature(self.module.get_config).bind(*args)
        except TypeError:
            raise UserError(f"{self.file} has one scale only, got {self.arg!r}") from None
        try:
            config = self.module.get_config(*args)
        except ValueError as error:
            raise UserError(f"{self.file}: {error}") from error
        if not isinstance(config, ConfigDict):
            raise UserError(f"{self.file}: get_config must return a ConfigDict, got {config!r:.80}")
        for key, value in sweeps.flat_config(config).items():
            if not _plain(value):
                raise UserError(
                    f"{self.file}: {key} is {value!r:.80}: a config holds bool, int, float, str, "
                    "None and tuples of these"
                )
        if type(config.get("seed")) is not int:
            raise UserError(f"{self.file}: a config needs an int `seed` at its top level")
        return config.lock()

    def get_sweep(self, config: ConfigDict) -> sweeps.Sweep:
        """The file's axes for this config."""
        return self.module.get_sweep(config)


def _plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_plain, value))
    return type(value) in (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Found:
    """An experiment that was found, without running its file: see :func:`find`.

    Args:
        name: the file's name without its ending.
        file: the path as it is shown.
        description: the first line of its docstring.
        reproduce: whether ``rnnlab reproduce`` runs it unasked; a line ``REPRODUCE = False`` in
            the file says no.
    """

    name: str
    file: str
    description: str
    reproduce: bool = True


def _shared_dirs() -> list[Path]:
    """Where experiments lie beside ./experiments: in the installed package, in its source tree."""
    package = Path(__file__).parents[1]
    dirs = [package / "_experiments"]
    if (package.parent / "pyproject.toml").is_file():  # not site-packages/experiments
        dirs.append(package.parent / "experiments")
    return dirs


def find() -> list[Found]:
    """The experiments in ./experiments, then those that come with rnnlab; a name counts once.

    Files are read, not executed: a description is the first line of a docstring.
    """
    return _find([Path("experiments"), *_shared_dirs()])


def find_shipped() -> list[Found]:
    """The experiments that come with rnnlab: see :func:`find`."""
    return _find(_shared_dirs())


def _find(folders: Iterable[Path]) -> list[Found]:
    found: dict[str, Found] = {}
    for folder in folders:
        for path in _files(folder):
            reproduce = True
            try:
                tree = ast.parse(path.read_bytes())
            except SyntaxError as error:
                description = f"({_not_python(error)})"
            else:
                functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
                if "get_config" not in functions:
                    continue
                lines = (ast.get_docstring(tree) or "").splitlines()
                description = lines[0] if lines else "(no description)"
                reproduce = not any(ast.unparse(n) == "REPRODUCE = False" for n in tree.body)
            file = _shown(path, folder)
            found.setdefault(path.stem, Found(path.stem, file, description, reproduce))
    return list(found.values())


def _files(folder: Path) -> list[Path]:
    """The Python files of a folder of experiments, and of the folders in it."""
    return sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])


def _shown(path: Path, folder: Path) -> str:
    """The path of an experiment as it is printed and recorded: experiments/GROUP/NAME.py."""
    return (Path("experiments") / path.relative_to(folder)).as_posix()


def _not_python(error: SyntaxError) -> str:
    line = f", line {error.lineno}" if error.lineno else ""
    return f"not Python: {error.msg}{line}"


def _locate(text: str) -> tuple[Path, str]:
    """(the file, the path as it is printed) of a path or a bare name.

    Raises:
        UserError: no such file, or a name that two files of one folder have.
    """
    given = Path(text if text.endswith(".py") else f"{text}.py")
    if given.is_file() and text.endswith(".py"):
        return given, given.as_posix()
    inside = given.relative_to("experiments") if given.parts[0] == "experiments" else given
    if not given.is_absolute():
        for folder in (Path("experiments"), *_shared_dirs()):
            files = _files(folder)
            if len(inside.parts) == 1:  # a bare name
                found = [path for path in files if path.name == inside.name]
            else:
                found = [path for path in files if path.relative_to(folder) == inside]
            if len(found) > 1:
                paths = " and ".join(_shown(path, folder) for path in found)
                raise UserError(f"{text!r} may be {paths}: give the path")
            if found:
                return found[0], _shown(found[0], folder)
    names = [experiment.name for experiment in find()]
    raise UserError(f"no file {text}: {unknown('experiment', given.stem, names)}")


def execute(source: bytes, path: Path) -> ModuleType:
    """The module that an experiment's source makes; the file itself need not be here."""
    # Compiled here, not by importlib, which would leave a __pycache__ beside the user's file.
    module = ModuleType(f"rnnlab_experiment_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look it up
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def load_experiment(path_or_name: str | os.PathLike[str], arg: str | None = None) -> Experiment:
    """Load an experiment's file.

    Args:
        path_or_name: a path ("mine/x.py"), or the name of an experiment in ./experiments, or else
            of one that comes with rnnlab ("x"; "learning/x" where a name is not enough). ":full"
            after either is the ``arg``.
        arg: what get_config is asked for, in place of what follows the colon.

    Raises:
        UserError: when there is no such file, it is not Python, an import of it fails, or it lacks
            one of its functions.
    """
    text, colon, after = os.fspath(path_or_name).partition(".py:")
    if colon:
        text += ".py"
    elif not text.endswith(".py"):
        text, _, after = text.partition(":")
    path, shown = _locate(text)
    try:
        module = execute(path.read_bytes(), path)
    except SyntaxError as error:
        raise UserError(f"{shown} is {_not_python(error)}") from error
    except ImportError as error:
        raise UserError(f"{shown} cannot be loaded: {error}") from error
    missing = [name for name in _PARTS if not callable(getattr(module, name, None))]
    if missing:
        raise UserError(f"{shown} is no experiment: it lacks {', '.join(missing)}")
    return Experiment(path.stem, shown, path, after if arg is None else arg, module)
