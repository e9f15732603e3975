"""The plan of a run: the members of an experiment and a sweep, each checked before anything runs.

Each member's config is parsed once; the plan holds the result and hands it on.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from rnnlab.core import file_cache, json_files
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.catalog import is_shipped
from rnnlab.lab.key_names import check_key
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.ranges import check_numbers
from rnnlab.lab.sources import Code

if TYPE_CHECKING:
    from rnnlab.training.settings import MemberSpec


@dataclass(frozen=True)
class Plan:
    """The members of a run, checked and not begun: see :func:`make_plan`.

    Args:
        experiment: the file.
        config: the base config, locked.
        parts: the sweep, as ``sweeps.parts`` gives it.
        members: the overrides of each member, by dotted key.
        configs: the members' configs, locked.
        specs: the members' parsed configs, for an experiment that trains; else empty.
        groups: number of groups that the members form.
    """

    experiment: Experiment
    config: ConfigDict
    parts: list[sweeps.Part]
    members: list[dict[str, object]]
    configs: list[ConfigDict]
    specs: "list[MemberSpec]"
    groups: int

    @property
    def identity(self) -> dict[str, object]:
        """The identity of the run, as JSON: experiment, arg, config, sweep, digests of the code.

        The digests are those of what was loaded: the files of ``--use`` and the experiment's, each
        with the modules beside it.
        """
        return self._asked | {"code": [code.digests for code in self.experiment.codes]}

    @property
    def _asked(self) -> dict[str, object]:
        """The identity without the code."""
        axes = sweeps.as_json(self.parts)
        return {
            "experiment": self.experiment.name,
            "arg": self.experiment.arg,
            "config": json_files.encode(self.config.to_dict()),
            "sweep": json_files.encode(axes[0] if len(axes) == 1 else axes),
        }

    @property
    def hash(self) -> str:
        """The SHA-256 of the identity."""
        return _sha256(self.identity)

    @property
    def run_dir(self) -> Path:
        """The default run directory: runs/<experiment>-<hash of the config and the files' paths>.

        It stays the same when a file is edited, so that the change is noticed there.
        """
        places = [_place(code) for code in self.experiment.codes]
        return Path("runs") / f"{self.experiment.name}-{_sha256([self._asked, places])[:8]}"

    @property
    def changes(self) -> dict[str, object]:
        """The values and the sweep that differ from the file's own, as JSON.

        {"config": the default of each key that has another value, "sweep": whether the sweep is
        not the file's own}.
        """
        try:
            own = sweeps.parts(self.config, self.experiment.get_sweep(self.config))
        except ValueError:  # the file has no sweep for this config, and another was given
            own = None
        return {"config": json_files.encode(self._defaults), "sweep": own != self.parts}

    @property
    def _defaults(self) -> dict[str, sweeps.Value]:
        given = sweeps.flat_config(self.config)
        default = sweeps.flat_config(self.experiment.get_config())
        return {key: value for key, value in default.items() if given[key] != value}

    @property
    def notes(self) -> list[str]:
        """Values that reach a part of the members only, and members that cannot be exported."""
        return partial_effects(self._defaults, self.config, self.members) + self._kept_here()

    def _kept_here(self) -> list[str]:
        """Say which members PyTorch and Flax will have no place for, with the option to type."""
        if not self.specs:
            return []
        from rnnlab.interop.portable import resets_before

        names = [
            str(spec.config.cell.name)
            for spec in self.specs
            if "cell" in spec.config and resets_before(spec.setup.model)
        ]
        flag = "sweep" if any("cell.name" in overrides for overrides in self.members) else "config"
        return [
            f"members of cell.name={name} cannot be exported to PyTorch or Flax, whose GRUs reset "
            f"after the recurrent product: --{flag}.cell.name={name}-reset-after can"
            for name in dict.fromkeys(names)
            if name in ("gru", "bi-gru")
        ]

    @property
    def metrics(self) -> list[Metric]:
        """How results are read: the file's own metrics, then those of the members' tasks.

        Raises:
            UserError: the file's function returns something else.
        """
        listed = self.experiment.get_metrics(self.config)
        if self.specs:
            from rnnlab.tasks.base import metrics_of

            for task in dict.fromkeys(spec.setup.task for spec in self.specs):
                listed += metrics_of(task)
        return listed

    @property
    def seconds(self) -> float | None:
        """The estimated time, from run.seconds_per_member and run.seconds_per_group, if set."""
        flat = sweeps.flat_config(self.config)
        if not {"run.seconds_per_member", "run.seconds_per_group"} <= set(flat):
            return None
        members = sum(config.run.seconds_per_member for config in self.configs)
        return members + self.groups * flat["run.seconds_per_group"]


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _place(code: Code) -> str:
    """Return where a file lies, however its path was written; not where rnnlab is installed."""
    if is_shipped(code.path):
        return code.file
    path, here = code.path.resolve(), Path.cwd().resolve()
    return f"./{path.relative_to(here).as_posix()}" if path.is_relative_to(here) else str(path)


def make_plan(
    experiment: Experiment | str | os.PathLike[str],
    config: ConfigDict | None = None,
    *,
    sweep: sweeps.Sweep | None = None,
) -> Plan:
    """List the members of a run and check each of them; nothing runs and nothing is written.

    Data files that have changed since an earlier plan of this process are read again.

    Args:
        experiment: loaded, or its path or name (see :func:`rnnlab.lab.load.load_experiment`).
        config: the experiment's config with changed values; None: unchanged.
        sweep: axes in place of the file's get_sweep(config).

    Raises:
        UserError: an error in the config, the sweep or a member.
    """
    file_cache.refresh()
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    base = experiment.get_config()
    if config is None:
        config = base
    given, default = sweeps.flat_config(config), sweeps.flat_config(base)
    for key in given:
        check_key(default, key)
    changed = {key: value for key, value in given.items() if value != default[key]}
    config = sweeps.apply(base, changed)
    if sweep is not None:
        experiment.check_numbers(config)  # as get_sweep does
    else:
        sweep = experiment.get_sweep(config)
        check_effect(experiment, changed, config, {})
    parts = sweeps.parts(config, sweep)
    members = sweeps.expand(config, sweep)
    configs = [sweeps.apply(config, overrides) for overrides in members]
    specs = _checked(experiment, config, members, configs)
    if specs:
        groups = len({spec.group_key for spec in specs})
    else:
        groups = len({experiment.get_group(member) for member in configs})
    return Plan(experiment, config, parts, members, configs, specs, groups)


def _checked(
    experiment: Experiment,
    base: ConfigDict,
    members: list[dict[str, object]],
    configs: list[ConfigDict],
) -> "list[MemberSpec]":
    """Check every member; return the parsed configs of those that train."""
    specs = []
    default = sweeps.flat_config(base)
    for index, (overrides, config) in enumerate(zip(members, configs, strict=True)):
        try:
            check_numbers(overrides, default)
            if experiment.functions.check is not None:
                experiment.functions.check(config)
            if experiment.trains:
                from rnnlab.training.settings import MemberSpec

                spec = MemberSpec.from_config(config)
                spec.check_data()
                specs.append(spec)
        except MemoryError as error:
            raise UserError(
                f"member {index} ({words(overrides)}): its data do not fit into memory: {error}"
            ) from error
        except (ValueError, FileNotFoundError, ConnectionError) as error:
            raise UserError(f"member {index} ({words(overrides)}): {error}") from error
    return specs


def check_effect(
    experiment: Experiment,
    keys: Iterable[str],
    config: ConfigDict,
    axes: Mapping[str, Sequence[sweeps.Value]],
) -> None:
    """Refuse a value of the config that no member has and that changes none: it has no effect.

    Args:
        experiment: the file, whose sweep may be made from the config.
        keys: that were given a value.
        config: with these values.
        axes: of the sweep that were replaced.
    Raises:
        UserError: with the flag to use instead.
    """
    base, flat = experiment.get_config(), sweeps.flat_config(config)

    def parts(config: ConfigDict) -> list[sweeps.Part]:
        return sweeps.replace_axes(config, experiment.get_sweep(config), axes)

    def members(config: ConfigDict) -> list[sweeps.Flat]:
        flat, listed = sweeps.flat_config(config), parts(config)
        own = {key for part in listed for names in part for key in names}
        return [
            {key: value for key, value in (flat | overrides).items() if key in own}
            for overrides in sweeps.expand(config, listed)
        ]

    # a part that does not set the key has the config's value
    by_part = [{key for names in part for key in names} for part in parts(config)]
    for key in keys:
        if all(key in own for own in by_part) and not sweeps.changed_by(base, config, key, members):
            value = flat[key]
            raise UserError(
                f"{key}={value} has no effect: {key} is swept; use --sweep.{key}={value} "
                "(or give the sweep)"
            )


def partial_effects(
    keys: Iterable[str], config: ConfigDict, members: Sequence[Mapping[str, object]]
) -> list[str]:
    """Say which values of the config reach a part of the members only.

    Args:
        keys: that were given a value.
        config: with these values.
        members: the overrides of each member.
    """
    flat, lines = sweeps.flat_config(config), []
    for key in keys:
        values = [member.get(key, flat[key]) for member in members]
        others = list(dict.fromkeys(str(value) for value in values if value != flat[key]))
        if others:
            reached = sum(value == flat[key] for value in values)
            lines.append(
                f"{key}={flat[key]} reaches {reached} of {len(values)} members; the sweep gives "
                f"the others {', '.join(others)}"
            )
    return lines


def words(overrides: Mapping[str, object]) -> str:
    """Return a member's overrides on one line."""
    return " ".join(f"{key}={value}" for key, value in overrides.items()) or "the base config"
