"""The plan of a run: the members of an experiment and a sweep, each checked before anything runs.

Each member's config is parsed once; the plan holds the result and hands it on.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core import file_cache, json_files
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.lab import rounds
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.asked import Flags, comparison_flags
from rnnlab.lab.catalog import is_shipped
from rnnlab.lab.comparison import SOLVED_AT, Comparison, Question, resolve, stops_when_solved
from rnnlab.lab.key_names import check_key
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.ranges import check_numbers
from rnnlab.lab.sources import Code
from rnnlab.results.table import Member

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
        questions: comparisons, whose members follow those of the sweep and are listed round by
            round: see :meth:`following`.
        phases: of each member, as :attr:`rnnlab.results.table.Member.phase`.
        begun: the members of earlier rounds, which are finished.
        flags: those that ask for the sweep or the comparisons in place of the file's own, as
            config.json records them; None where no flags can.
    """

    experiment: Experiment
    config: ConfigDict
    parts: list[sweeps.Part]
    members: list[dict[str, object]]
    configs: list[ConfigDict]
    specs: "list[MemberSpec]"
    groups: int
    questions: tuple[Question, ...] = ()
    phases: tuple[str, ...] = ()
    begun: int = 0
    flags: Flags | None = field(default_factory=dict)

    @cached_property  # every line of members.jsonl names its hash
    def identity(self) -> dict[str, object]:
        """The identity of the run, as JSON: experiment, arg, config, sweep, digests of the code.

        The digests are those of what was loaded: the files of ``--use`` and the experiment's, each
        with the modules beside it.
        """
        return self._asked | {"code": [code.digests for code in self.experiment.codes]}

    @cached_property
    def _asked(self) -> dict[str, object]:
        """The identity without the code."""
        axes = sweeps.as_json(self.parts)
        asked: dict[str, object] = {
            "experiment": self.experiment.name,
            "arg": self.experiment.arg,
            "config": json_files.encode(self.config.to_dict()),
            "sweep": json_files.encode(axes[0] if len(axes) == 1 else axes),
        }
        if self.questions:
            asked["comparisons"] = [question.as_json() for question in self.questions]
        return asked

    @cached_property
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
        not the file's own, "comparisons": whether the comparisons are not, "flags": those that ask
        for them, by name; None where no flags can}.
        """
        own, asked = None, None
        try:
            asked = self.experiment.get_comparisons(self.config)
            axes = own_sweep(self.experiment, self.config, asked)
            own = sweeps.parts(self.config, axes) if axes != [] else []
        except ValueError:  # the file has no sweep for this config, and another was given
            pass
        return {
            "config": json_files.encode(self._defaults),
            "sweep": own != self.parts,
            "comparisons": asked != self.questions,
            "flags": json_files.encode(self.flags),
        }

    @property
    def _defaults(self) -> dict[str, sweeps.Value]:
        given = sweeps.flat_config(self.config)
        default = sweeps.flat_config(self.experiment.get_config())
        return {key: value for key, value in default.items() if given[key] != value}

    @property
    def notes(self) -> list[str]:
        """Values that reach a part of the members only, and members that cannot be exported."""
        keys = [key for key in self._defaults if not (self.questions and key == "seed")]
        tuned = {key for question in self.questions for key in question.tune}
        notes = [
            f"{key}={value} is not used, because it is tuned: --tune.{key}={value} keeps it"
            for key, value in sweeps.flat_config(self.config).items()
            if key in keys and key in tuned
        ]
        if any(map(stops_when_solved, self.specs)):
            notes += [
                f"members stop when they solve the task: a lower or higher {score} after that is "
                f"not seen (--config.training.stop_when_solved=False, or --score={SOLVED_AT})"
                for score in dict.fromkeys(question.score for question in self.questions)
                if score != SOLVED_AT
            ]
        others = [key for key in keys if key not in tuned]
        return notes + partial_effects(others, self.config, self.members) + self._kept_here()

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
        flag = "config"
        if any("cell.name" in overrides for overrides in self.members):
            flag = "compare" if self.questions else "sweep"
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
        configs: Any = self.configs  # whose values have no static types
        members = sum(config.run.seconds_per_member for config in configs)
        return members + self.groups * flat["run.seconds_per_group"]

    @property
    def seconds_at_most(self) -> float | None:
        """The estimated time if no pair is decided before the last look and every grid grows."""
        if self.seconds is None or not self.questions:
            return self.seconds
        compiled = self.groups * sweeps.flat_config(self.config)["run.seconds_per_group"]
        # the programs of the first round are kept for the others
        configs: Any = self.configs
        dearest = max(config.run.seconds_per_member for config in configs)
        return dearest * self.members_at_most + compiled

    @property
    def members_at_most(self) -> int:
        """The most members that the run can need, those of all rounds."""
        swept = len(self.phases) - sum(map(bool, self.phases))
        judged = sum(len(question.arms) * len(question.seeds) for question in self.questions)
        # comparisons that tune the same arm alike share these members; at tuned values they may not
        tuned = {
            repr((sorted(arm.items()), question.tune, question.tuning_seeds)): question
            for question in self.questions
            for arm in question.arms.values()
        }
        return swept + judged + sum(question.tuning_at_most for question in tuned.values())

    def following(self, finished: Sequence[Member]) -> "Plan | None":
        """Return the plan with the members of the next round; None when there is no other.

        Args:
            finished: all members of this plan.
        """
        wanted = rounds.next_round(self.questions, finished)
        if not wanted:
            return None
        phases = (*self.phases, *(one.phase for one in wanted))
        return self.extended([one.overrides for one in wanted], phases, len(self.members))

    def extended(
        self, members: Sequence[Mapping[str, sweeps.Value]], phases: Sequence[str], begun: int
    ) -> "Plan":
        """Return the plan with further members.

        Args:
            members: the overrides of each. phases: of all members, old and new.
            begun: the number of members of the rounds before the last.
        """
        configs = [sweeps.apply(self.config, overrides) for overrides in members]
        specs = _checked(self.experiment, self.config, members, configs, len(self.members))
        return dataclasses.replace(
            self,
            members=[*self.members, *map(dict, members)],
            configs=[*self.configs, *configs],
            specs=[*self.specs, *specs],
            phases=tuple(phases),
            begun=begun,
        )


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
    comparison: "Comparison | Sequence[Comparison] | None" = None,
    axes: Mapping[str, Sequence[sweeps.Value]] | None = None,
) -> Plan:
    """List the members of a run and check each of them; nothing runs and nothing is written.

    Data files that have changed since an earlier plan of this process are read again.

    Args:
        experiment: loaded, or its path or name (see :func:`rnnlab.lab.load.load_experiment`).
        config: the experiment's config with changed values; None: unchanged.
        sweep: axes in place of the file's get_sweep(config); nothing is compared then.
        comparison: in place of the file's comparison(config) and of its sweep.
        axes: those of the file's sweep that flags replaced in ``sweep``, for the record; None:
            Python gave the sweep.

    Raises:
        UserError: an error in the config, the sweep, a comparison or a member.
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
    if sweep is not None and comparison is not None:
        raise UserError("a run has a sweep or a comparison: both were given")
    questions: tuple[Question, ...] = ()
    flags: Flags | None = {}
    experiment.check_numbers(config)
    if comparison is not None:
        if not isinstance(comparison, Comparison) and not comparison:
            raise UserError("comparison: expected a rnnlab.Comparison or a list of them, got none")
        asked = [comparison] if isinstance(comparison, Comparison) else list(comparison)
        questions = resolve(experiment, config, asked)
        own: Sequence[Comparison] = ()
        with contextlib.suppress(ValueError):  # the file has none for this config
            own = experiment.asked_comparisons(config)
        flags = comparison_flags(own, asked, questions, sweeps.flat_config(config))
    elif sweep is None:
        questions = experiment.get_comparisons(config)
    else:
        flags = None if axes is None else {"sweep": dict(axes)}
    if sweep is None:
        sweep = [] if comparison is not None else own_sweep(experiment, config, questions)
        if not questions:
            check_effect(experiment, changed, config, {})
    if questions and sweep == []:  # all its members are those of the comparisons
        parts, members = [], []
    else:
        parts, members = sweeps.parts(config, sweep), sweeps.expand(config, sweep)
    wanted = rounds.next_round(questions, ())
    phases = ("",) * len(members) + tuple(one.phase for one in wanted)
    members += [dict(one.overrides) for one in wanted]
    configs = [sweeps.apply(config, overrides) for overrides in members]
    specs = _checked(experiment, config, members, configs)
    if specs:
        groups = len({spec.group_key for spec in specs})
    else:
        groups = len({experiment.get_group(member) for member in configs})
    plan = Plan(
        experiment,
        config,
        parts,
        members,
        configs,
        specs,
        groups,
        questions,
        phases,
        flags=flags,
    )
    if questions and comparison is None:
        _check_reach(plan, changed)
    elif questions:
        for key in changed:
            arms = [arm for question in questions for arm in question.arms.values()]
            if all(key in arm and arm[key] != changed[key] for arm in arms):
                raise UserError(f"{key} has no effect: every arm of the comparison sets it")
    return plan


def own_sweep(
    experiment: Experiment, config: ConfigDict, questions: Sequence[Question]
) -> sweeps.Sweep:
    """Return the file's sweep; none where the file compares and has no sweep beside it."""
    if questions and experiment.functions.get_sweep is None:
        return []
    return experiment.get_sweep(config)


def _check_reach(plan: Plan, keys: Iterable[str]) -> None:
    """Refuse a value of the config that every member of the comparisons overrides.

    Raises:
        UserError: with what to change instead.
    """
    base = sweeps.flat_config(plan.experiment.get_config())
    for key in keys:
        if key == "seed" or not all(key in overrides for overrides in plan.members):
            continue
        other = sweeps.apply(plan.config, {key: base[key]})
        if plan.experiment.get_comparisons(other) == plan.questions:
            raise UserError(
                f"{key} has no effect: the comparisons of {plan.experiment.file} set it; "
                f"--compare.{key}=V1,V2 compares its values, --tune.{key}=V1,V2 tunes it"
            )


def _checked(
    experiment: Experiment,
    base: ConfigDict,
    members: Sequence[Mapping[str, object]],
    configs: Sequence[ConfigDict],
    first: int = 0,
) -> "list[MemberSpec]":
    """Check every member; return the parsed configs of those that train."""
    specs = []
    default = sweeps.flat_config(base)
    for index, (overrides, config) in enumerate(zip(members, configs, strict=True), first):
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
                f"{key}={flat[key]} reaches {reached} of {len(values)} members; the others have "
                f"{', '.join(others)}"
            )
    return lines


def words(overrides: Mapping[str, object]) -> str:
    """Return a member's overrides on one line."""
    return " ".join(f"{key}={value}" for key, value in overrides.items()) or "the base config"
