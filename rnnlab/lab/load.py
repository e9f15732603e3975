"""Experiment files: finding them, loading them.

An experiment is a Python file with the functions of :class:`Functions`.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core.errors import UserError, unknown
from rnnlab.lab import ranges, sources
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.sources import Code

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
        run: (config, key, log) -> one member's results; ``log(step, loss=0.5)`` logs metrics, and
            the step may be left out. A file that trains says ``run = rnnlab.training.runner.run``.
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
            UserError: one is missing, not a function, or takes other arguments.
        """
        functions = {
            f.name: getattr(module, f.name) for f in fields(cls) if hasattr(module, f.name)
        }
        missing = [name for name in _REQUIRED if name not in functions]
        if missing:
            raise UserError(f"missing {', '.join(map(_call, missing))}")
        for name, function in functions.items():
            if not callable(function):
                raise UserError(f"{name} must be a function, {_call(name)}, got {_brief(function)}")
            _check_arguments(name, function)
        return cls(**functions)


_ARGUMENTS = {  # get_config may also take none, in a file of one scale
    "get_config": ("arg=None",),
    "get_sweep": ("config",),
    "run": ("config", "key", "log"),
    "figures": ("table",),
    "claims": ("table",),
    "check": ("config",),
    "group": ("config",),
    "predict": ("config",),
    "measure": ("config", "setup", "params"),
}
_REQUIRED = ("get_config", "get_sweep", "run", "figures", "claims")


def _call(name: str) -> str:
    return f"{name}({', '.join(_ARGUMENTS[name])})"


def _check_arguments(name: str, function: Callable[..., object]) -> None:
    """Refuse a function that cannot be called as the run will call it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C may have no signature
        return
    given = () if name == "get_config" else _ARGUMENTS[name]
    try:
        signature.bind(*given)
    except TypeError:
        raise UserError(f"{name} is called as {_call(name)}, got {name}{signature}") from None


def _brief(value: object) -> str:
    """Return a value as a message shows it: what it is, and how it begins."""
    return f"{value!r:.80} ({type(value).__name__})"


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
        code: the text that was executed, with that of the modules beside the file.
        used: the files that were executed before it.
    """

    name: str
    file: str
    path: Path
    arg: str
    module: ModuleType
    functions: Functions
    code: Code
    used: tuple[Code, ...] = ()

    @property
    def description(self) -> str:
        """The docstring of the file."""
        return inspect.cleandoc(self.module.__doc__ or "")

    @property
    def digest(self) -> str:
        """The SHA-256 of the file as it was loaded, by which a change is noticed."""
        return self.code.main.digest

    @property
    def codes(self) -> tuple[Code, ...]:
        """Everything that was executed, in order: the files that it uses, then its own."""
        return *self.used, self.code

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
            raise self.wrong("get_config", "a ConfigDict", config)
        _check_config(self.file, config)
        return config.lock()

    def check_numbers(self, config: ConfigDict) -> None:
        """Refuse a number of the config that is out of its range: see :mod:`rnnlab.lab.ranges`.

        Raises:
            UserError: the number, and its range.
        """
        default = sweeps.flat_config(self.get_config())
        try:
            ranges.check_numbers(sweeps.flat_config(config), default)
        except ValueError as error:
            raise UserError(str(error)) from None

    def get_sweep(self, config: ConfigDict) -> sweeps.Sweep:
        """Return the file's axes for this config.

        Raises:
            UserError: a number of the config out of its range; get_sweep returns something else,
                or a wrong axis.
        """
        self.check_numbers(config)
        try:
            axes = self.functions.get_sweep(config)
            sweeps.parts(config, axes)
        except ValueError as error:
            raise UserError(f"{self.file}: get_sweep: {error}") from error
        return axes

    def get_group(self, config: ConfigDict) -> Hashable:
        """Return the key of the group whose estimated time a member shares.

        Raises:
            UserError: group returns what cannot be a key.
        """
        key = None if self.functions.group is None else self.functions.group(config)
        try:
            hash(key)
        except TypeError:
            allowed = "a key, such as a string or a tuple"
            raise self.wrong("group", allowed, key) from None
        return key

    def get_figures(self, table: Table) -> dict[str, tuple[Figure, str]]:
        """Return the figures with their captions, by name.

        Raises:
            UserError: figures returns something else, or a name that is no file's.
        """
        from matplotlib.figure import Figure  # slow to import

        figures = self.functions.figures(table)
        allowed = "a dict of (matplotlib Figure, caption) by name"
        if not isinstance(figures, Mapping):
            raise self.wrong("figures", allowed, figures)
        for name, drawn in figures.items():
            if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
                raise UserError(
                    f"{self.file}: a figure's name is a file's, of letters, digits, - and _; "
                    f"got {name!r:.80}"
                )
            match drawn:
                case (Figure(), str()):
                    continue
            raise self.wrong("figures", f"(matplotlib Figure, caption) for {name!r}", drawn)
        return dict(figures)

    def get_claims(self, table: Table) -> list[Claim]:
        """Return the claims.

        Raises:
            UserError: claims returns something else.
        """
        from rnnlab.results.claims import Claim

        claims = self.functions.claims(table)
        allowed = "a list of claims, each made by a function under @rnnlab.results.claims.claim"
        if not isinstance(claims, Iterable) or isinstance(claims, str | Mapping):
            raise self.wrong("claims", allowed, claims)
        claims = list(claims)
        for claim in claims:
            if not isinstance(claim, Claim):
                raise self.wrong("claims", allowed, claim)
        return claims

    def wrong(self, name: str, allowed: str, got: object) -> UserError:
        """Return the error for what a function of the file returned."""
        return UserError(f"{self.file}: {_call(name)} must return {allowed}, got {_brief(got)}")


def _check_config(file: str, config: ConfigDict) -> None:
    """Refuse a config that flags, sweeps and config.json could not name or hold."""
    try:
        odd = [key for key in _keys(config) if not _is_name(key)]
    except TypeError:  # ConfigDict sorts its keys, which fails for strings beside numbers
        odd = ["a number"]
    if odd:
        raise UserError(
            f"{file}: a key of the config must be a name, as in --config.task.length, "
            f"got {odd[0]!r:.80}"
        )
    for key, value in sweeps.flat_config(config).items():
        if not _plain(value):
            raise UserError(
                f"{file}: {key} is {value!r:.80}: a config holds bool, int, float, str, "
                "None and tuples of these"
            )
    if type(config.get("seed")) is not int:
        raise UserError(f"{file}: a config needs an int `seed` at its top level")


def _is_name(key: object) -> bool:
    return isinstance(key, str) and key.isidentifier()


def _keys(config: Mapping[Any, object] | ConfigDict) -> Iterator[object]:
    for key, value in config.items():
        yield key
        if isinstance(value, Mapping | ConfigDict):
            yield from _keys(value)


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


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the experiments that come with rnnlab."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in _shared_dirs())


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
                description = f"({sources.not_python(error)})"
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


def load_experiment(
    path_or_name: str | os.PathLike[str],
    arg: str | None = None,
    *,
    use: Sequence[str | os.PathLike[str]] = (),
) -> Experiment:
    """Load an experiment's file.

    Args:
        path_or_name: a path ("mine/x.py"), or the name of an experiment in ./experiments, or else
            of one that comes with rnnlab ("x"; "learning/x" where a name is not enough). ":full"
            after either is the ``arg``.
        arg: the scale, in place of what follows the colon.
        use: Python files that are executed before it, in order, so that what they register has a
            name in its config.

    Raises:
        UserError: no such file, a file that is not Python, a failed import, or a missing function.
    """
    text, colon, after = os.path.expanduser(path_or_name).partition(".py:")
    if colon:
        text += ".py"
    elif not text.endswith(".py"):
        text, _, after = text.partition(":")
    used = [_read_used(os.fspath(file)) for file in use]
    path, shown = locate(text)
    code = sources.read(path, shown)
    return load_code([*used, code], after if arg is None else arg)


def _read_used(file: str) -> Code:
    path = Path(file).expanduser()
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"--use={file}: there is no such Python file")
    return sources.read(path, path.as_posix(), sources.USE)


def load_code(codes: Sequence[Code], arg: str) -> Experiment:
    """Execute files that were read, of which the last is the experiment's.

    Raises:
        UserError: one that is not Python, a failed import, or a missing function.
    """
    module = [execute(code) for code in codes][-1]
    code = codes[-1]
    try:
        functions = Functions.of(module)
    except UserError as error:
        raise UserError(f"{code.file}: {error}") from None
    used = tuple(codes[:-1])
    return Experiment(code.path.stem, code.file, code.path, arg, module, functions, code, used)


def execute(code: Code) -> ModuleType:
    """Execute a file that was read.

    Raises:
        UserError: it is not Python, or an import in it fails.
    """
    try:
        return code.execute()
    except SyntaxError as error:
        raise UserError(f"{code.file} is {sources.not_python(error)}") from error
    except ImportError as error:
        raise UserError(f"{code.file} cannot be loaded: {error}") from error
