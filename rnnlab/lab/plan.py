"""A run, planned: the members of an experiment and a sweep, each checked before anything runs."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import Experiment, load_experiment


@dataclass(frozen=True)
class Plan:
    """What a run will do, checked and not begun: see :func:`make_plan`.

    Args:
        experiment: the file.
        config: the base config, locked.
        parts: the sweep, as ``sweeps.parts`` gives it.
        members: what each member overrides, by dotted key.
        configs: the members' configs, ConfigDicts, locked.
        groups: how many groups of equal static config they form.
    """

    experiment: Experiment
    config: ConfigDict
    parts: list[sweeps.Part]
    members: list[dict[str, Any]]
    configs: list[Any]
    groups: int

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two runs the same: experiment, arg, config and sweep, as JSON."""
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
        """Where the run goes when nobody says: runs/<experiment>-<hash>."""
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
    """Work out the members of a run and check each of them; nothing runs and nothing is written.

    Args:
        experiment: loaded, or what :func:`load` takes.
        config: the experiment's config with other values in it; as the file has it if None.
        sweep: axes in place of the file's get_sweep(config).

    Raises:
        UserError: for whatever is wrong with the config, the sweep or a member.
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
    checks = [getattr(experiment.module, "check", lambda config: None)]
    group = getattr(experiment.module, "group", lambda config: None)
    if experiment.trains:
        from rnnlab.training import runner

        checks.append(runner.check)
        group = runner.group_key
    for index, member in enumerate(configs):
        try:
            for check in checks:
                check(member)
        except (ValueError, FileNotFoundError, ConnectionError) as error:
            raise UserError(f"member {index} ({words(members[index])}): {error}") from error
    return Plan(experiment, config, parts, members, configs, len({group(c) for c in configs}))


def check_no_axis(keys: Mapping[str, Any], config: ConfigDict, axes: sweeps.Sweep) -> None:
    """Refuse a value for a key that the sweep sets, which would have no effect.

    Raises:
        UserError: saying what to do.
    """
    swept = {key for part in sweeps.parts(config, axes) for names in part for key in names}
    for key, value in keys.items():
        if key in swept:
            raise UserError(
                f"{key}={value} has no effect, for {key} is an axis of the sweep: "
                f"use --sweep.{key}={value} (or give the sweep)"
            )


def words(overrides: Mapping[str, Any]) -> str:
    """What a member overrides, on one line."""
    return " ".join(f"{key}={value}" for key, value in overrides.items()) or "the base config"
