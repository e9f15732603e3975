"""Descriptions of every key of an experiment's config, with what a value may be.

Each has one source: the section ``Args:`` of the class or function of the library that reads the
key, or the comment beside or above it in the experiment's file. Allowed names are asked of the
code that checks them, so that names registered by ``--use`` are among them; ranges are those of
:mod:`rnnlab.lab.ranges`.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.core.errors import UnknownName
from rnnlab.lab import key_comments, ranges
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.key_names import check_key
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.plan import own_sweep

# keys that the laboratory itself reads, whatever the experiment
_COMMON = {
    "seed": "Seed of all that a member draws: parameters, batches, masks",
    "run.seeds": "How many seeds the sweep has, counted from 0",
    "run.seconds_per_member": "Estimated seconds per member, for --dry_run",
    "run.seconds_per_group": "Estimated seconds to compile a group of members, for --dry_run",
    "probes.at": "Updates before which the gradient is measured, each a multiple of "
    "training.eval_every",
}

# config functions of the library, for groups that an experiment writes out itself
_GROUPS = {
    "training": ("rnnlab.training.settings", "config"),
    "cell": ("rnnlab.nn.layers", "config"),
    "init": ("rnnlab.nn.initializers", "InitScheme.config"),
    "run": ("rnnlab.training.runner", "config"),
}

_UNKNOWN = "no_such_name"  # given to a check, to hear the allowed names
_NARROWEST, _NAME_COLUMNS = 40, 30  # of the help
_BRIEF = 200  # letters of a description of several sentences
_LONG = 100  # letters of allowed names that are shown once per group


@dataclass(frozen=True)
class Key:
    """One key of a config.

    Args:
        name: dotted, as in "training.learning_rate".
        value: its default in the experiment.
        text: its description, one sentence; empty if there is none.
        allowed: what a value may be, in words; empty if anything of the default's type.
    """

    name: str
    value: sweeps.Value
    text: str
    allowed: str

    def __str__(self) -> str:
        return self.words(self.allowed)

    def words(self, allowed: str) -> str:
        """Return the description and what a value may be, as sentences, nothing twice."""
        names = re.findall(r"[\w.+-]+", allowed.removeprefix("one of "))
        if allowed.startswith("one of ") and all(f'"{name}"' in self.text for name in names):
            allowed = ""
        return " ".join(f"{_sentence(text)}." for text in (self.text, allowed) if text)


@dataclass(frozen=True)
class Descriptions:
    """The keys of an experiment's config and the axes of its sweep; prints as ``--help`` does.

    Args:
        file: the experiment's file, as it is shown.
        keys: in the config's order, which is alphabetical.
        axes: the values of each axis of the sweep, by the flag that sets them.
        comparisons: in words, by name.
    """

    file: str
    keys: tuple[Key, ...]
    axes: tuple[tuple[str, tuple[sweeps.Value, ...]], ...]
    comparisons: tuple[tuple[str, str], ...] = ()

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, name: str) -> Key:
        """Return the key of a dotted name.

        Raises:
            UserError: an unknown name, with the nearest ones.
        """
        check_key([key.name for key in self.keys], name)
        return next(key for key in self.keys if key.name == name)

    def __str__(self) -> str:
        return self.text()

    def text(self, columns: int | None = None) -> str:
        """Return the keys, group by group, and the axes, wrapped to ``columns`` (the terminal's).

        Raises:
            ValueError: columns that are not a whole number.
        """
        if columns is None:
            columns = min(100, shutil.get_terminal_size().columns)
        columns = max(_NARROWEST, validate.whole("columns", columns))
        parts = [f"Keys of {self.file}, with their defaults:"]
        for group, keys in self._groups():
            lines = [f"--config.{group}.KEY=VALUE" if group else "--config.KEY=VALUE"]
            shown: dict[str, str] = {}  # long lists of names, each with the key that shows it
            for key in keys:
                name, allowed = key.name.rpartition(".")[2], key.allowed
                if len(allowed) > _LONG:
                    allowed = f"names as of {shown[allowed]}" if allowed in shown else allowed
                    shown.setdefault(key.allowed, name)
                lines += _entry(f"{name}={key.value!r}", key.words(allowed), columns)
            parts.append("\n".join(lines))
        if self.axes:
            lines = ["Axes of its sweep, each replaced by --sweep.KEY=V1,V2,...:"]
            for key, values in self.axes:
                # keys that are zipped are changed in the file
                flag = f"  {key.replace(',', ' with ')}: " if "," in key else f"  --sweep.{key}="
                lines += _wrapped(flag + ",".join(map(str, values)), columns)
            parts.append("\n".join(lines))
        if self.comparisons:
            lines = ["Its comparisons; --compare.KEY=V1,V2,... replaces them, --sweep runs none:"]
            for name, words in self.comparisons:
                lines += _wrapped(f"  {name}: {words}", columns)
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _groups(self) -> list[tuple[str, list[Key]]]:
        """Return the keys by group; equal groups side by side once: "init.gates.{c,f}"."""
        found: list[tuple[list[str], list[Key]]] = []
        for group, grouped in groupby(self.keys, lambda key: key.name.rpartition(".")[0]):
            keys = list(grouped)
            parent, _, name = group.rpartition(".")
            if (
                found
                and parent
                and found[-1][0][0] == parent
                and _rows(found[-1][1]) == _rows(keys)
            ):
                found[-1][0].append(name)
            else:
                found.append(([parent, name], keys))
        return [
            (".".join(filter(None, (parent, _braced(names)))), keys)
            for (parent, *names), keys in found
        ]


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rows(keys: Iterable[Key]) -> list[tuple[object, ...]]:
    return [(key.name.rpartition(".")[2], key.value, key.text, key.allowed) for key in keys]


def _braced(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{{{','.join(names)}}}"


def describe(
    experiment: Experiment | str | os.PathLike[str], *, use: Sequence[str | os.PathLike[str]] = ()
) -> Descriptions:
    """Describe every key of an experiment's config: meaning, default, what a value may be.

    Args:
        experiment: a loaded one, or a path or name as :func:`rnnlab.lab.load.load_experiment`
            takes it.
        use: files that are executed before it.
    Raises:
        UserError: no such file, or one that is no experiment.

    >>> key = describe("gru_vs_lstm")["cell.hidden_size"]
    >>> key.value, key.allowed
    (32, 'a whole number of at least 1')
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment, use=use)
    config = experiment.get_config()
    flat = sweeps.flat_config(config)
    questions = experiment.get_comparisons(config)
    sweep = own_sweep(experiment, config, questions)
    parts = sweeps.parts(config, sweep) if sweep != [] else []
    arms: list[sweeps.Part] = [
        {(key,): [(value,)] for key, value in overrides.items()}
        for question in questions
        for overrides in question.arms.values()
    ]
    swept = _swept(config, [*parts, *arms])
    texts = _Texts(experiment, config, swept)
    choices = _Choices(experiment, config)
    keys = tuple(
        Key(key, value, texts.of(key), _allowed(key, value, choices.of(key, value)))
        for key, value in sorted(flat.items(), key=lambda item: _order(item[0]))
    )
    axes = [(key, tuple(values)) for part in sweeps.as_json(parts) for key, values in part.items()]
    compared = tuple((question.name, question.words) for question in questions)
    return Descriptions(experiment.file, keys, tuple(dict.fromkeys(axes)), compared)


def _order(key: str) -> tuple[str, str]:
    """Sort keys group by group: those of the top level first."""
    group, _, name = key.rpartition(".")
    return group, name


def _swept(config: ConfigDict, parts: Sequence[sweeps.Part]) -> dict[str, list[sweeps.Value]]:
    """Return the values that a sweep gives each key, the config's own first."""
    values = {key: [value] for key, value in sweeps.flat_config(config).items()}
    for part in parts:
        for keys, rows in part.items():
            for row in rows:
                for key, value in zip(keys, row, strict=True):
                    values[key].append(value)
    return values


def _entry(name: str, text: str, columns: int) -> list[str]:
    """Return the lines of one key: its text beside its name, or below a long one."""
    indent = " " * min(_NAME_COLUMNS, columns // 3)
    lines = textwrap.wrap(text, columns, initial_indent=indent, subsequent_indent=indent)
    first = f"  {name}"
    if len(first) + 2 > len(indent) or not lines:
        return [first, *lines]
    return [first + lines[0][len(first) :], *lines[1:]]


# ---- descriptions ------------------------------------------------------------------------------


class _Texts:
    """The descriptions of the keys of one experiment."""

    def __init__(
        self,
        experiment: Experiment,
        config: ConfigDict,
        swept: Mapping[str, Sequence[sweeps.Value]],
    ):
        texts = {
            str(code.path.parent / source.name): source.text.decode("utf-8-sig", "replace")
            for code in experiment.codes
            for source in code.sources
        }
        reader = key_comments.Reader(texts, documented)
        reader.read(experiment.functions.get_config)
        self._sources: list[Mapping[str, str]] = [reader.documented]
        task = _group(config, "task")
        if "name" in task:
            self._sources.append(_of_tasks(task, swept["task.name"]))
        self._sources += [reader.comments, _COMMON]
        for group in _GROUPS:
            if "optimizer" in _group(config, group) if group == "training" else group in config:
                self._sources.append(_of_group(group))
        if task or _group(config, "cell"):  # to which --use adds options
            self._sources.append(_of_registered(reader))

    def of(self, key: str) -> str:
        """Return the description of a key, "" if it has none."""
        if match := re.fullmatch(r"(init)\.gates\.\w+\.(\w+)", key):
            return f"As {match[1]}.{match[2]}, for this gate alone; empty: the same as there"
        texts = (source.get(key, "") for source in self._sources)
        return _sentence(_brief(next(filter(None, texts), "")))


def _group(config: ConfigDict, name: str) -> dict[str, Any]:
    """Return a group of a config, empty if it has none of that name."""
    group = config.get(name)
    return dict(group.items()) if isinstance(group, ConfigDict) else {}


def _brief(text: str) -> str:
    """Return as many of the first sentences as are not too long together, at least one."""
    first, *others = re.split(r"(?<=\.) (?=[A-Z])", text)
    for sentence in others:
        if len(first) + len(sentence) > _BRIEF:
            break
        first += f" {sentence}"
    return first


def _sentence(text: str) -> str:
    """Return the text as a sentence without its full stop."""
    text = key_comments.plain(text).rstrip(".;, ")
    first, rest = text[:1], text[1:]
    # neither a symbol (α, g) nor a name (arXiv) begins with a capital
    return first.upper() + rest if re.match(r"(a|[a-z]{2,})\b", text) else text


def documented(function: Callable[..., object]) -> dict[str, str]:
    """Return the descriptions of the keys that a config function makes, by name.

    They stand in the section ``Args:`` of its docstring, or in those of the classes that the
    docstring names, whose fields are keys of the config.

    Args:
        function: returns a config or a group of one.

    >>> from rnnlab.training import settings
    >>> documented(settings.config)["batch_size"]
    'B, sequences per update'
    """
    docstring = inspect.getdoc(function) or ""
    classes = [
        found
        for role in re.findall(r":class:`~?([\w.]+)`", docstring)
        if (found := _class_of(role, getattr(function, "__globals__", {}))) is not None
    ]
    found = key_comments.arguments(docstring)
    for cls in classes:
        found = _of_class(cls) | found
    return found


def _class_of(role: str, names: Mapping[str, Any]) -> type | None:
    module, _, name = role.rpartition(".")
    found = names.get(name)
    if found is None and module:
        with contextlib.suppress(ImportError):
            found = getattr(importlib.import_module(module), name, None)
    return found if isinstance(found, type) else None


def _fields(cls: type) -> list[str]:
    """Return the fields of a dataclass or a NamedTuple; of another class its parameters."""
    if is_dataclass(cls):
        return [f.name for f in fields(cls)]
    return list(getattr(cls, "_fields", ()) or inspect.signature(cls).parameters)


def _of_class(cls: type) -> dict[str, str]:
    """Return the descriptions of a class's fields: its own docstring's before its bases'."""
    names = _fields(cls)
    found: dict[str, str] = {}
    for base in cls.__mro__:
        texts = key_comments.arguments(base.__doc__, names)
        for name, text in texts.items():
            if match := re.fullmatch(r"as of (\w+)", text):
                other = vars(sys.modules[base.__module__]).get(match[1])
                texts[name] = _of_class(other).get(name, "") if isinstance(other, type) else ""
        found = texts | found
    return found


def _of_tasks(group: Mapping[str, Any], names: Iterable[sweeps.Value]) -> dict[str, str]:
    """Return the descriptions of a task group's keys, of the config's task before the swept."""
    from rnnlab import tasks

    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        options = dict(group) if name == group["name"] else {}
        with contextlib.suppress(ValueError, TypeError, OSError, ImportError):
            task = tasks.from_config(options | {"name": name})
            texts = _of_class(type(task))
            found = {f"task.{key}": text for key, text in texts.items()} | found
    return {"task.name": "The task to learn"} | found if found else {}


def _of_registered(reader: key_comments.Reader) -> dict[str, str]:
    """Return the descriptions of the options of every cell, and of the tasks that are loaded."""
    from rnnlab.nn import cells
    from rnnlab.tasks import registry

    found: dict[str, str] = {}
    for group, made in (("cell", cells.CELLS), ("task", registry.TASKS)):
        for function in made.values():
            cls = getattr(function, "func", function)  # a cell may be a partial
            if isinstance(cls, type):
                texts = reader.fields(cls) | _of_class(cls)
            else:
                texts = documented(cls) if callable(cls) else {}
            found = {f"{group}.{key}": text for key, text in texts.items()} | found
    return found


@lru_cache
def _of_group(group: str) -> dict[str, str]:
    """Return the descriptions of the keys of a group as the library makes it."""
    module, name = _GROUPS[group]
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    reader = key_comments.Reader({}, documented)
    reader.read(function)
    texts = reader.comments | documented(function)
    return {f"{group}.{key}": text for key, text in texts.items()}


# ---- what a value may be -----------------------------------------------------------------------


class _Choices:
    """The names that the values of an experiment's config may have."""

    def __init__(self, experiment: Experiment, config: ConfigDict):
        self._experiment, self._config = experiment, config
        self._trains = "optimizer" in _group(config, "training")

    def of(self, key: str, value: sweeps.Value) -> tuple[str, ...]:
        """Return the allowed names of a key; () where any text will do."""
        if not isinstance(value, str) or key.startswith("init.gates."):
            return ()
        checks = [self._check_library, self._check_own]
        if key.partition(".")[0] in ("cell", "task"):  # of which an experiment may allow fewer
            checks.reverse()
        return self._asked(checks[0], key) or self._asked(checks[1], key)

    def _asked(self, check: Callable[[str], object], key: str) -> tuple[str, ...]:
        """Return the names that ``check`` allows, by giving it one that nothing has."""
        try:
            with warnings.catch_warnings(action="ignore"):  # about data that it reads
                check(key)
        except Exception as error:  # a check of a user's file may raise anything here
            cause: BaseException | None = error
            while cause is not None:
                if isinstance(cause, UnknownName) and _UNKNOWN in str(cause):
                    return cause.allowed
                cause = cause.__cause__ or cause.__context__
        return ()

    def _check_own(self, key: str) -> None:
        if self._experiment.functions.check is not None:
            self._experiment.functions.check(sweeps.apply(self._config, {key: _UNKNOWN}))

    def _check_library(self, key: str) -> None:
        group, _, name = key.partition(".")
        if not name:
            return
        options: dict[str, Any] = _group(self._config, group) | {name: _UNKNOWN}
        if group == "task":
            from rnnlab import tasks

            # an experiment may have tasks of its own
            tasks.from_config(_group(self._config, "task"))
            tasks.from_config(options)
        elif "encoder" in self._config and group in ("encoder", "init"):
            from rnnlab.bert import encoder

            if group == "encoder":
                encoder.from_config(options, vocab_size=100, max_length=8)
            encoder.Init.from_config(options)
        elif group in ("cell", "init") or (self._trains and group in ("training", "run")):
            _check_training(key)


def _check_training(key: str) -> None:
    """Parse a small training's config with a name at ``key`` that nothing has."""
    from rnnlab.nn import layers
    from rnnlab.nn.initializers import InitScheme
    from rnnlab.training import runner, settings

    groups = {
        "task": {"name": "adding", "length": 4},
        "cell": layers.config("lstm", 2),
        "init": InitScheme.config(),
        "training": settings.config(),
        "run": runner.config(),
    }
    config = ConfigDict(groups)
    if key in sweeps.flat_config(config):
        settings.MemberSpec.from_config(sweeps.apply(config, {key: _UNKNOWN}))


def _allowed(key: str, value: sweeps.Value, choices: Sequence[str]) -> str:
    """Return in words what a value may be; "" for anything of the default's type."""
    if choices:
        plain = all(re.fullmatch(r"[\w.+-]+", name) for name in choices)
        return f"one of {', '.join(choices if plain else map(repr, choices))}"
    if isinstance(value, bool):
        return "True or False"
    several = isinstance(value, tuple)
    numbers = value if several else (value,)
    if not numbers or not all(map(validate.real, numbers)):
        return ""
    whole = all(isinstance(number, int) for number in numbers)
    kind = "whole number" if whole else "number"
    kind = f"{kind}s" if several else f"a {kind}"
    return f"{kind} {ranges.words(key)}".strip()
