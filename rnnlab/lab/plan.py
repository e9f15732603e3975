"""The plan of a run: the members of an experiment and a sweep, each checked before anything runs.

Each member's config is parsed once; the plan holds the result and hands it on.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import Experiment, load_experiment

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
        """The identity of the run: experiment, arg, config and sweep, as JSON."""
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
        return hashlib.sha256(json.dumps(self.identity).encode()).hexdigest()

    @property
    def run_dir(self) -> Path:
        """The default run directory: runs/<experiment>-<hash>."""
        return Path("runs") / f"{self.experiment.name}-{self.hash[:8]}"

    @property
    def seconds(self) -> float | None:
        """The estimated time, from run.seconds_per_member and run.seconds_per_group, if set."""
        flat = sweeps.flat_config(self.config)
        if not {"run.seconds_per_member", "run.seconds_per_group"} <= set(flat):
            return None
        members = sum(config.run.seconds_per_member for config in self.configs)
        return members + self.groups * flat["run.seconds_per_group"]


def make_plan(
    experiment: Experiment | str | os.PathLike[str],
    config: ConfigDict | None = None,
    *,
    sweep: sweeps.Sweep | None = None,
) -> Plan:
    """List the members of a run and check each of them; nothing runs and nothing is written.

    Args:
        experiment: loaded, or its path or name (see :func:`rnnlab.lab.load.load_experiment`).
        config: the experiment's config with changed values; None: unchanged.
        sweep: axes in place of the file's get_sweep(config).

    Raises:
        UserError: an error in the config, the sweep or a member.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment)
    base = experiment.get_config()
    if config is None:
        config = base
    given, default = sweeps.flat_config(config), sweeps.flat_config(base)
    for key in given:
        sweeps.check_key(default, key)
    changed = {key: value for key, value in given.items() if value != default[key]}
    config = sweeps.apply(base, changed)
    if sweep is None:
        sweep = experiment.get_sweep(config)
        check_no_axis(changed, config, sweep)
    parts = sweeps.parts(config, sweep)
    members = sweeps.expand(config, sweep)
    configs = [sweeps.apply(config, overrides) for overrides in members]
    specs = _checked(experiment, members, configs)
    group = experiment.functions.group
    if specs:
        groups = len({spec.group_key for spec in specs})
    else:
        groups = len({group(member) for member in configs}) if group else 1
    return Plan(experiment, config, parts, members, configs, specs, groups)


def _checked(
    experiment: Experiment, members: list[dict[str, object]], configs: list[ConfigDict]
) -> "list[MemberSpec]":
    """Check every member; return the parsed configs of those that train."""
    specs = []
    for index, (overrides, config) in enumerate(zip(members, configs, strict=True)):
        try:
            if experiment.functions.check is not None:
                experiment.functions.check(config)
            if experiment.trains:
                from rnnlab.training.settings import MemberSpec

                spec = MemberSpec.from_config(config)
                spec.check_data()
                specs.append(spec)
        except (ValueError, FileNotFoundError, ConnectionError) as error:
            raise UserError(f"member {index} ({words(overrides)}): {error}") from error
    return specs


def check_no_axis(keys: Mapping[str, object], config: ConfigDict, axes: sweeps.Sweep) -> None:
    """Refuse a value for a key that the sweep sets: it would have no effect.

    Raises:
        UserError: with the flag to use instead.
    """
    swept = {key for part in sweeps.parts(config, axes) for names in part for key in names}
    for key, value in keys.items():
        if key in swept:
            raise UserError(
                f"{key}={value} has no effect: {key} is swept; use --sweep.{key}={value} "
                "(or give the sweep)"
            )


def words(overrides: Mapping[str, object]) -> str:
    """Return a member's overrides on one line."""
    return " ".join(f"{key}={value}" for key, value in overrides.items()) or "the base config"
