"""Experiment files: finding them, loading them.

An experiment is a Python file with the functions of :class:`Functions`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core.errors import UserError, unknown
from rnnlab.lab import sweep as sweeps

if TYPE_CHECKING:
    import jax
    from matplotlib.figure import Figure

    from rnnlab.results.claims import Claim
    from rnnlab.results.table import Table
    from rnnlab.training.settings import Setup

PyTree = Any  # parameters
Results = Mapping[str, object]  # of a member, by name


@dataclass(frozen=True)
class Functions:
    """The functions of an experiment's file.

    Args:
        get_config: (arg) -> the base config; arg is optional, for a file with several scales.
        get_sweep: (config) -> the axes of the sweep.
        run: (config, key, log) -> one member's results; ``log(**record)`` logs metrics. A file
            that trains says ``run = rnnlab.training.runner.run``.
        figures: (table) -> {name: (Figure, caption)}.
        claims: (table) -> the claims.
        check: (config); raises ValueError for a member that cannot run. Optional, as are the rest.
        group: (config) -> a key that is equal for members whose estimated time is shared.
        predict: (config) -> results that are predicted, recorded before anything runs.
        measure: (config, setup, params) -> further results of a member that trained.
    """

    get_config: Callable[..., ConfigDict]
    get_sweep: Callable[[ConfigDict], sweeps.Sweep]
    run: Callable[[ConfigDict, jax.Array, Callable[..., None]], Results]
    figures: Callable[[Table], Mapping[str, tuple[Figure, str]]]
    claims: Callable[[Table], Iterable[Claim]]
    check: Callable[[ConfigDict], None] | None = None
    group: Callable[[ConfigDict], Hashable] | None = None
    predict: Callable[[ConfigDict], Results] | None = None
    measure: Callable[[ConfigDict, Setup, PyTree], Results] | None = None

    @classmethod
    def of(cls, module: ModuleType) -> Functions:
        """Take the functions of a file that has been executed.

        Raises:
            UserError: one is missing, or not callable.
        """
        functions = {
            f.name: getattr(module, f.name) for f in fields(cls) if hasattr(module, f.name)
        }
        missing = [name for name in _ARGUMENTS if not callable(functions.get(name))]
        if missing:
            calls = ", ".join(f"{name}({_ARGUMENTS[name]})" for name in missing)
            raise UserError(f"missing {calls}")
        for name, function in functions.items():
            if not callable(function):
                raise UserError(f"{name} must be a function, got {function!r:.80}")
        return cls(**functions)


_ARGUMENTS = {  # of the required functions
    "get_config": "arg=None",
    "get_sweep": "config",
    "run": "config, key, log",
    "figures": "table",
    "claims": "table",
}


@dataclass(frozen=True)
class Experiment:
    """An experiment's file, loaded.

    Args:
        name: the file's name without its ending.
        file: the path as it is shown and recorded.
        path: where it was found.
        arg: the scale after the colon, "full" for instance, or "".
        module: the file as a module.
        functions: the module's functions.
    """

    name: str
    file: str
    path: Path
    arg: str
    module: ModuleType
    functions: Functions

    @property
    def description(self) -> str:
        """The docstring of the file."""
        return inspect.cleandoc(self.module.__doc__ or "")

    @property
    def digest(self) -> str:
        """The SHA-256 of the file as it is now, by which a change is noticed."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def trains(self) -> bool:
        """Whether its members are trained in groups: it says ``run = runner.run``."""
        # the file has imported it, if so; other files do without JAX and optax
        runner = sys.modules.get("rnnlab.training.runner")
        return runner is not None and self.functions.run is runner.run

    def get_config(self) -> ConfigDict:
        """Return the file's base config, locked, at the scale ``arg``.

        Raises:
            UserError: an arg that the file refuses, or a config whose values are not plain: bool,
                int, float, str, None and tuples of these.
        """
        args = [self.arg] if self.arg else []
        try:
            inspect.signature(self.functions.get_config).bind(*args)
        except TypeError:
            raise UserError(f"{self.file} has one scale only, got {self.arg!r}") from None
        try:
            config = self.functions.get_config(*args)
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
        """Return the file's axes for this config."""
        return self.functions.get_sweep(config)


def _plain(value: object) -> bool:
    if type(value) is tuple:
        return all(map(_plain, value))
    return type(value) in (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Found:
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


def _shared_dirs() -> list[Path]:
    """Return the folders of shipped experiments: in the installed package or its source tree."""
    package = Path(__file__).parents[1]
    dirs = [package / "_experiments"]
    if (package.parent / "pyproject.toml").is_file():  # not site-packages/experiments
        dirs.append(package.parent / "experiments")
    return dirs


def find() -> list[Found]:
    """List the experiments in ./experiments, then those of rnnlab; the first of a name counts.

    Files are read, not executed: a description is the first line of a docstring.
    """
    return _find([Path("experiments"), *_shared_dirs()])


def find_shipped() -> list[Found]:
    """List the experiments that come with rnnlab: see :func:`find`."""
    return _find(_shared_dirs())


def _find(folders: Iterable[Path]) -> list[Found]:
    experiments: dict[str, Found] = {}
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
            experiments.setdefault(path.stem, Found(path.stem, file, description, reproduce))
    return list(experiments.values())


def _files(folder: Path) -> list[Path]:
    """Return the Python files of a folder of experiments and of its subfolders."""
    return sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])


def _shown(path: Path, folder: Path) -> str:
    """Return an experiment's path as it is printed and recorded: experiments/GROUP/NAME.py."""
    return (Path("experiments") / path.relative_to(folder)).as_posix()


def _not_python(error: SyntaxError) -> str:
    line = f", line {error.lineno}" if error.lineno else ""
    return f"not Python: {error.msg}{line}"


def _locate(text: str) -> tuple[Path, str]:
    """Return (the file, the path as it is printed) for a path or a bare name.

    Raises:
        UserError: no such file, or a name that two files of one folder share.
    """
    given = Path(text if text.endswith(".py") else f"{text}.py")
    if given.is_file() and text.endswith(".py"):
        return given, given.as_posix()
    inside = given.relative_to("experiments") if given.parts[0] == "experiments" else given
    if not given.is_absolute():
        for folder in (Path("experiments"), *_shared_dirs()):
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
    raise UserError(f"no file {given.as_posix()}: {unknown('experiment', given.stem, names)}")


def execute(source: bytes, path: Path) -> ModuleType:
    """Execute an experiment's source and return the module; the file need not be here."""
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
        arg: the scale, in place of what follows the colon.

    Raises:
        UserError: no such file, a file that is not Python, a failed import, or a missing function.
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
    try:
        functions = Functions.of(module)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    return Experiment(path.stem, shown, path, after if arg is None else arg, module, functions)
