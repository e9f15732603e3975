"""Experiment files, loaded; :mod:`rnnlab.lab.catalog` finds them.

An experiment is a Python file with the functions of :class:`Functions`.
"""

from __future__ import annotations

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

from rnnlab.core import registration
from rnnlab.core.errors import UserError, one_edit_away
from rnnlab.core.metrics import Metric
from rnnlab.core.registration import Registered
from rnnlab.lab import catalog, ranges, sources
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.comparison import Comparison, Question, resolve
from rnnlab.lab.sources import Code

if TYPE_CHECKING:
    import jax
    from matplotlib.figure import Figure

    from rnnlab.results.claims import Claim
    from rnnlab.results.comparison import Comparisons
    from rnnlab.results.table import Table
    from rnnlab.training.settings import Setup

_EXECUTED: dict[str, tuple[Code, ...]] = {}  # by module

PyTree = Any  # parameters
Results = Mapping[str, object]  # of a member, by name


@dataclass(frozen=True)
class Functions:
    """The functions of an experiment's file, of which get_config and run are required.

    Args:
        get_config: (arg) -> the base config; arg is optional, for a file with several scales.
        run: (config, key, log) -> one member's results; ``log(step, loss=0.5)`` logs metrics, and
            the step may be left out. A file that trains says ``run = rnnlab.training.runner.run``.
        get_sweep: (config) -> the axes of the sweep; without it there is one member.
        figures: (table) or (table, comparisons) -> {name: (Figure, caption)}; without it those of
            :mod:`rnnlab.plotting.default_figures`.
        claims: (table) or (table, comparisons) -> the claims; without it there are none. The
            comparisons are :class:`rnnlab.results.comparison.Comparisons`.
        check: (config); raises ValueError for a member that cannot run.
        group: (config) -> a key that is equal for members whose estimated time is shared.
        predict: (config) -> results that are predicted, recorded before anything runs.
        measure: (config, setup, params) -> further results of a member that trained.
        comparison: (config) -> a :class:`rnnlab.lab.comparison.Comparison` or a list of them, whose
            members are run beside those of the sweep.
        get_metrics: (config) -> how results are read, :class:`rnnlab.core.metrics.Metric`s, the
            headline of the table of results first.
    """

    get_config: Callable[..., ConfigDict]
    run: Callable[[ConfigDict, jax.Array, Callable[..., None]], Results]
    get_sweep: Callable[[ConfigDict], sweeps.Sweep] | None = None
    figures: Callable[..., Mapping[str, tuple[Figure, str]]] | None = None
    claims: Callable[..., Iterable[Claim]] | None = None
    check: Callable[[ConfigDict], None] | None = None
    group: Callable[[ConfigDict], Hashable] | None = None
    predict: Callable[[ConfigDict], Results] | None = None
    measure: Callable[[ConfigDict, Setup, PyTree], Results] | None = None
    comparison: Callable[[ConfigDict], Comparison | Iterable[Comparison]] | None = None
    get_metrics: Callable[[ConfigDict], Iterable[Metric]] | None = None

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
        _check_typos(module, functions)
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
    "comparison": ("config",),
    "get_metrics": ("config",),
}
_REQUIRED = ("get_config", "run")
_COMPARISONS = "comparisons"  # a second argument, of figures and claims


def _call(name: str) -> str:
    return f"{name}({', '.join(_ARGUMENTS[name])})"


def _check_arguments(name: str, function: Callable[..., object]) -> None:
    """Refuse a function that cannot be called as the run will call it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one written in C may have no signature
        return
    given = () if name == "get_config" else _ARGUMENTS[name]
    if name in ("figures", "claims") and _takes_comparisons(function):
        given = (*given, _COMPARISONS)
    try:
        signature.bind(*given)
    except TypeError:
        raise UserError(f"{name} is called as {_call(name)}, got {name}{signature}") from None


def _takes_comparisons(function: Callable[..., object]) -> bool:
    """Whether a function of the table takes the comparisons beside it."""
    try:
        return _COMPARISONS in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _check_typos(module: ModuleType, found: Mapping[str, object]) -> None:
    """Refuse a function whose name is nearly that of an optional one, which would not be called."""
    for name, value in vars(module).items():
        own = inspect.isfunction(value) and value.__module__ == module.__name__
        if not own or name in _ARGUMENTS or name.startswith("_"):
            continue
        meant = next(iter(one_edit_away(name, set(_ARGUMENTS) - set(found))), None)
        if meant is not None:
            raise UserError(f"a run does not call {name}: did you mean {_call(meant)}?")


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
        registered: the names that all these files registered.
    """

    name: str
    file: str
    path: Path
    arg: str
    module: ModuleType
    functions: Functions
    code: Code
    used: tuple[Code, ...] = ()
    registered: tuple[Registered, ...] = ()

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

    @property
    def parallel(self) -> bool:
        """Whether its groups may run at the same time: it says ``PARALLEL = True``.

        Raises:
            UserError: another value, or a file without groups of its own to run.
        """
        parallel = getattr(self.module, "PARALLEL", False)
        if not isinstance(parallel, bool):
            raise UserError(f"{self.file}: PARALLEL must be True or False, got {_brief(parallel)}")
        if parallel and (self.trains or self.functions.group is None):
            raise UserError(
                f"{self.file}: PARALLEL = True is for a run of its own with group(config), whose "
                "groups run at the same time"
            )
        return parallel

    def get_config(self) -> ConfigDict:
        """Return the file's base config, locked, at the scale ``arg``.

        The options of registered cells are in its group ``cell``, if it has one, and those of
        registered tasks in the group ``task`` of an experiment that trains.

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
        self._add_own_options(config)
        _check_config(self.file, config)
        return config.lock()

    def _add_own_options(self, config: ConfigDict) -> None:
        """Add the options of registered cells and tasks, at their defaults, where they are missing.

        So ``--use=mine.py`` makes them known to the flags of any experiment.
        """
        if not self.registered:
            return
        from rnnlab.nn import cells  # JAX, which `rnnlab list` does without
        from rnnlab.tasks import registry

        groups = {"cell": cells.own_options}
        if self.trains:
            groups["task"] = registry.own_options
        for kind, options_of in groups.items():
            names = [r.name for r in self.registered if r.kind == kind]
            group = config.get(kind)
            if not isinstance(group, ConfigDict) or "name" not in group:
                continue
            own = [group["name"], *names] if group["name"] in names else names
            with config.unlocked():
                for name in own:
                    for option, default in options_of(name).items():
                        if option not in group and default is not ...:
                            group[option] = default

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
        if self.functions.get_sweep is None:
            return {}
        try:
            axes = self.functions.get_sweep(config)
            sweeps.parts(config, axes)
        except ValueError as error:
            raise UserError(f"{self.file}: get_sweep: {error}") from error
        return axes

    def get_comparisons(self, config: ConfigDict) -> tuple[Question, ...]:
        """Return the file's comparisons, checked; () if it has none.

        Raises:
            UserError: comparison returns something else, or what cannot be compared.
        """
        return resolve(self, config, self.asked_comparisons(config))

    def asked_comparisons(self, config: ConfigDict) -> list[Comparison]:
        """Return the file's comparisons as it gives them.

        Raises:
            UserError: comparison returns something else.
        """
        if self.functions.comparison is None:
            return []
        try:
            asked = self.functions.comparison(config)
        except ValueError as error:
            raise UserError(f"{self.file}: comparison: {error}") from error
        listed = [asked] if isinstance(asked, Comparison) else asked
        if not isinstance(listed, list | tuple):
            raise self.wrong("comparison", "a rnnlab.Comparison, or a list of them", asked)
        for one in listed:
            if not isinstance(one, Comparison):
                raise self.wrong("comparison", "a rnnlab.Comparison, or a list of them", one)
        return list(listed)

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

    def get_metrics(self, config: ConfigDict) -> list[Metric]:
        """Return how the file says that its results are read.

        Raises:
            UserError: get_metrics returns something else.
        """
        if self.functions.get_metrics is None:
            return []
        try:
            metrics = self.functions.get_metrics(config)
        except ValueError as error:
            raise UserError(f"{self.file}: get_metrics: {error}") from error
        allowed = "a list of rnnlab.core.metrics.Metric"
        if not isinstance(metrics, Iterable) or isinstance(metrics, str | Mapping):
            raise self.wrong("get_metrics", allowed, metrics)
        metrics = list(metrics)
        for metric in metrics:
            if not isinstance(metric, Metric):
                raise self.wrong("get_metrics", allowed, metric)
        return metrics

    def get_figures(
        self, table: Table, comparisons: Comparisons | None = None
    ) -> dict[str, tuple[Figure, str]]:
        """Return the figures with their captions, by name.

        Args:
            table: the members. comparisons: of the run; None: it has none.

        Raises:
            UserError: figures returns something else, or a name that is no file's.
        """
        from matplotlib.figure import Figure  # slow to import

        if self.functions.figures is None:
            from rnnlab.plotting import default_figures

            return default_figures.draw(table)
        figures = _read(self.functions.figures, table, comparisons)
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

    def get_claims(self, table: Table, comparisons: Comparisons | None = None) -> list[Claim]:
        """Return the claims.

        Args:
            table: the members. comparisons: of the run; None: it has none.

        Raises:
            UserError: claims returns something else.
        """
        from rnnlab.results.claims import Claim

        if self.functions.claims is None:
            return []
        claims = _read(self.functions.claims, table, comparisons)
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


def _read(function: Callable[..., Any], table: Table, comparisons: Comparisons | None) -> Any:
    """Call a function that reads results, with the comparisons if it takes them."""
    if not _takes_comparisons(function):
        return function(table)
    from rnnlab.results.comparison import Comparisons

    return function(table, Comparisons(()) if comparisons is None else comparisons)


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
        use: Python files, or one, that are executed before it, in order, so that what they register
            has a name in its config.

    Raises:
        UserError: no such file, a file that is not Python, a failed import, or a missing function.
    """
    text, colon, after = os.path.expanduser(path_or_name).partition(".py:")
    if colon:
        text += ".py"
    elif not text.endswith(".py"):
        text, _, after = text.partition(":")
    files = [use] if isinstance(use, str | os.PathLike) else use
    used = [_read_used(os.fspath(file), f"--use={os.fspath(file)}") for file in files]
    path, shown = catalog.locate(text)
    code = sources.read(path, shown)
    return load_code([*used, code], after if arg is None else arg)


def _read_used(file: str, shown: str) -> Code:
    path = Path(file).expanduser()
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"{shown}: there is no such Python file")
    return sources.read(path, path.as_posix(), sources.USE)


def load_used(file: str, registered: list[Registered]) -> None:
    """Execute a file as ``--use`` does.

    Args:
        file: its path.
        registered: the names that files before it registered; those of this one are appended.
    Raises:
        UserError: no such Python file, or as :func:`execute`.
    """
    code = _read_used(file, file)
    with registration.recorded(code.file, registered):
        execute(code)


def load_code(codes: Sequence[Code], arg: str) -> Experiment:
    """Execute files that were read, of which the last is the experiment's.

    Raises:
        UserError: one that is not Python, a failed import, a missing function, or two files that
            register one name.
    """
    registered: list[Registered] = []
    modules = []
    for code in codes:
        with registration.recorded(code.file, registered):
            modules.append(execute(code))
    code, module = codes[-1], modules[-1]
    try:
        functions = Functions.of(module)
    except UserError as error:
        raise UserError(f"{code.file}: {error}") from None
    _EXECUTED[module.__name__] = tuple(codes)
    return Experiment(
        code.path.stem,
        code.file,
        code.path,
        arg,
        module,
        functions,
        code,
        used=tuple(codes[:-1]),
        registered=tuple(registered),
    )


def codes_of(module: str) -> tuple[Code, ...]:
    """Return what was executed for an experiment's file: the files that it uses, then its own.

    Args:
        module: the file's name as a module, which its functions have as ``__module__``.
    Raises:
        ValueError: a module that :func:`load_experiment` has not loaded.
    """
    if module not in _EXECUTED:
        raise ValueError(
            f"{module} is no experiment's file that rnnlab.lab.load.load_experiment has loaded: "
            "write the function into one"
        )
    return _EXECUTED[module]


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
