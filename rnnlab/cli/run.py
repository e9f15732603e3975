"""``rnnlab run`` and ``rnnlab list``: experiments."""

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnlab.cli import comparing, configs
from rnnlab.cli.export import write_export
from rnnlab.cli.parsing import (
    Commands,
    Parser,
    cache_switch,
    complain,
    count,
    names,
    path,
    positive,
    wants_help,
)
from rnnlab.core import host
from rnnlab.core.errors import UserError, unknown

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rnnlab.lab.load import Experiment
    from rnnlab.lab.plan import Plan
    from rnnlab.lab.ray_cluster import Cluster
    from rnnlab.results.run_dir import Run

_SHOWN = 6  # members that a dry run lists at most


def add(commands: Commands) -> None:
    """Add ``run`` and ``list``."""
    parser = commands.add(
        "run",
        _run,
        usage="NAME | --config=FILE[:SCALE] [options]",
        summary="run an experiment, or resume it, and print its claims",
        description="""\
Run every member of an experiment's sweep and write a run directory: figures, claims and
report.html. The same command resumes a run that was interrupted, repairs one that was damaged, and
prints the claims of a finished one. A run belongs to one config and to the files that it executed:
if one of them has changed since, the command is refused; give another --workdir, or --rerun.""",
        epilog="""\
With an experiment, --help also describes every key of its config and lists the axes of its sweep.
Dashes and underscores in a flag's name are the same.""",
        dotted=True,
    )
    parser.positionals("experiment", "NAME", "the experiment, in place of --config", most=1)
    parser.value(
        "config",
        "FILE[:SCALE]",
        "the experiment: a path or a bare name; FILE:full asks for the paper's scale",
        once=True,
    )
    parser.shown(
        "config.KEY",
        "VALUE",
        "set another value in its config: --config.cell.hidden_size=64, "
        '--config.init.w_h="orthogonal(gain=0.9)"',
    )
    parser.shown(
        "sweep.KEY",
        "V1,V2,...",
        "set other values on an axis of its sweep, or add an axis; nothing is compared then",
    )
    parser.value(
        "use",
        "FILE",
        "a Python file to execute first, so that the schemes, cells and tasks that it registers "
        "can be named in the config; may be given several times",
        type=path,
        repeated=True,
    )
    parser.value(
        "workdir",
        "DIR",
        "the run directory [runs/<experiment>-<hash of the config and the files' paths>]",
        type=path,
    )
    parser.switch("rerun", "delete everything in the run directory first, and run again")
    parser.switch("dry_run", "print members, groups and minutes; run and write nothing")
    parser.value(
        "export",
        "LIBRARY",
        "export the best member when the run is finished, as `rnnlab export` does, having checked "
        "before training that every member can be: torch, keras, flax or safetensors",
    )
    parser.switch("strict", "exit with status 1 when a verdict is not the expected one")
    cache_switch(parser)
    parser.switch("verbose", "print every row of the table, and claims with thresholds and sources")
    parser.value(
        "log",
        "NAME,NAME",
        "log to wandb, mlflow or tensorboard while the run goes: a run of the tracker per member, "
        "with its config, metrics and results",
        type=names,
        default=[],
    )
    comparing.add(parser)
    parser.section("options beyond one machine, for experiments that train; results stay the same")
    parser.value(
        "launcher",
        "NAME",
        "local, or ray: each group of members is a job on a running Ray cluster, and this process "
        "keeps the run directory [%(default)s]",
        default="local",
    )
    parser.value(
        "ray_address",
        "HOST:PORT",
        "the head of the cluster [auto: $RAY_ADDRESS, or the cluster on this machine]",
    )
    parser.value(
        "ray_cpus", "N", "CPUs per job [0: the cluster's CPUs, divided by the groups]", type=count
    )
    parser.value("ray_gpus", "N", "GPUs per job [0]", type=count)
    parser.value(
        "coordinator",
        "HOST:PORT",
        "run in several processes, each started with the same command: where process 0 listens, "
        "at that address alone, and which alone writes the run directory; auto: JAX finds it "
        "(Slurm, Open MPI, TPU), and process 0 listens at all addresses",
    )
    parser.value("num_processes", "N", "how many processes there are", type=positive)
    parser.value("process_id", "I", "the number of this process, from 0", type=count)
    commands.add(
        "list",
        _list,
        usage="",
        summary="list the experiments",
        description="""\
List the experiments in ./experiments and those that come with rnnlab, each with a one-line
description.""",
    )


# ---- run ---------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from rnnlab.lab.plan import make_plan
    from rnnlab.lab.run import follow, run_plan

    experiment = configs.experiment_of("run", options)
    config, asked = _asked(experiment, options)
    cluster = _cluster(options)
    if options.dry_run:
        plan = make_plan(experiment, config, **asked)
        _check_export(options, plan)
        print(_describe(plan, options.workdir))
        return 0
    host.use_all_cores()  # before planning, which uses JAX to check the members
    _join_processes(experiment, options)

    from rnnlab.core import compilation_cache
    from rnnlab.training import distributed

    # only now: the experiment's file may have set up JAX's cache itself
    with compilation_cache.kept(options.cache):
        with distributed.together():
            plan = make_plan(experiment, config, **asked)
            _check_export(options, plan)
            if not distributed.leads():
                follow(plan)
                return 0
            run = run_plan(
                plan, options.workdir, cluster=cluster, rerun=options.rerun, log=options.log
            )
        print_run(run, verbose=options.verbose)
        if options.export is not None:
            write_export(run.dir, options.export)
    return int(options.strict and not all(v.verdict == v.expected for v in run.claims))


def _check_export(options: argparse.Namespace, plan: "Plan") -> None:
    """Check that every member can be exported as --export asks, before it is trained."""
    if options.export is None:
        return
    if not plan.specs:
        raise UserError(f"--export is for members that train; {plan.experiment.file} has none")

    from rnnlab.lab.export import check

    check(plan.specs, options.export)


def print_run(run: "Run", *, verbose: bool = False) -> None:
    """Print the results of a finished run, its comparisons, its claims and where its files are.

    Args:
        run: the run.
        verbose: whether to print every row, and claims with thresholds and sources.
    """
    from rnnlab.core import run_files, terminal
    from rnnlab.results.claims import format_lines, format_table, summary
    from rnnlab.results.comparison_words import format_comparisons
    from rnnlab.results.text_table import MOST_ROWS, format_summary

    paint = terminal.paint()
    command = shlex.join(["rnnlab", "table", str(run.dir)])
    most = None if verbose else MOST_ROWS
    print(format_summary(run.summary(), run.name, command, paint=paint, most_rows=most))
    if run.comparisons:
        print(f"\n{format_comparisons(run.comparisons, paint=paint)}")
    if run.claims:
        lines = format_table(run.claims) if verbose else format_lines(run.claims, paint=paint)
        print(f"\n{lines}")
        if not verbose:
            print(summary(run.claims))
    print(f"\nreport: {run.report}")
    if run.figures:
        print(f"figures: {run.dir / 'figures'}")
    print(f"table: {run.dir / run_files.RESULTS}")


def _cluster(options: argparse.Namespace) -> "Cluster | None":
    """Return the cluster of --launcher=ray; None for --launcher=local."""
    if options.launcher == "ray":
        from rnnlab.lab.ray_cluster import Cluster

        return Cluster(options.ray_address or "auto", options.ray_cpus or 0, options.ray_gpus or 0)
    if options.launcher != "local":
        raise UserError(unknown("launcher", options.launcher, ("local", "ray")))
    for flag in ("ray_address", "ray_cpus", "ray_gpus"):
        if vars(options)[flag] is not None:
            raise UserError(f"--{flag} has no effect without --launcher=ray")
    return None


def _join_processes(experiment: "Experiment", options: argparse.Namespace) -> None:
    """Join the other processes of the run, if it has any."""
    if options.coordinator is None:
        if options.num_processes is not None or options.process_id is not None:
            raise UserError("--num_processes and --process_id need --coordinator=HOST:PORT")
        return
    if options.launcher == "ray":
        raise UserError("--coordinator and --launcher=ray exclude each other")
    if not experiment.trains:
        raise UserError(f"--coordinator is for members that train; {experiment.file} has none")

    from rnnlab.training import distributed

    distributed.initialize(options.coordinator, options.num_processes, options.process_id)


# ---- --config.KEY and --sweep.KEY --------------------------------------------------------------


def _asked(
    experiment: "Experiment", options: argparse.Namespace
) -> "tuple[ConfigDict, dict[str, Any]]":
    """Return the experiment's config with the values that the flags set, and what they ask for.

    What they ask for is further arguments of :func:`rnnlab.lab.plan.make_plan`, {} for the file's
    own sweep and comparisons.
    """
    from rnnlab.lab import sweep
    from rnnlab.lab.plan import check_effect

    config, given = configs.config_of(experiment, options)
    comparisons = comparing.comparison_of(
        experiment, config, options, given["compare"], given["tune"]
    )
    if comparisons is not None:
        if given["sweep"]:
            raise UserError("--sweep and --compare exclude each other: a run does one of them")
        return config, {"comparison": comparisons}
    if experiment.functions.comparison is not None and not given["sweep"]:
        return config, {}
    whole_sweep = sweep.replace_axes(config, experiment.get_sweep(config), given["sweep"])
    check_effect(experiment, configs.keys_in(options.dotted, "config"), config, given["sweep"])
    return config, {"sweep": whole_sweep, "axes": given["sweep"]}


# ---- words -------------------------------------------------------------------------------------


def keys(parser: Parser, args: Sequence[str]) -> str:
    """Return the help of the config and the sweep of the experiment that ``args`` name, if any."""
    options = parser.read([arg for arg in args if not wants_help([arg])])
    target = configs.target(options)
    if not target:
        return ""
    from rnnlab.lab.descriptions import describe

    return f"\n{describe(target, use=options.use or ())}\n"


def _describe(plan: "Plan", workdir: str | None) -> str:
    """Return the lines that a dry run prints."""
    from rnnlab.lab.plan import words

    count = len(plan.members)
    parts = [
        " x ".join(
            f"{len(rows)} {','.join(keys)}"
            if len(rows) > 1
            else words(dict(zip(keys, rows[0], strict=True)))
            for keys, rows in part.items()
        )
        or words({})
        for part in plan.parts
    ]
    if plan.questions:
        return _describe_comparisons(plan, workdir)
    shown = range(count) if count <= _SHOWN else [*range(_SHOWN - 2), count - 1]
    width = len(str(count))
    members = [f"  {index:>{width}}  {words(plan.members[index])}" for index in shown]
    if count > _SHOWN:
        members.insert(-1, f"  {'...':>{width}}  {count - _SHOWN + 1} more")
    minutes = "unknown: the config has no run.seconds_per_member and run.seconds_per_group"
    if plan.seconds is not None:
        minutes = f"about {plan.seconds / 60:.1f} minutes"
    return "\n".join(
        [
            f"{plan.experiment.file}, dry run: nothing runs and nothing is written",
            f"sweep      {parts[0]}",
            *(f"         + {part}" for part in parts[1:]),
            f"members    {count}{', identical ones once' * (len(parts) > 1)}",
            *members,
            f"groups     {plan.groups}",
            f"estimate   {minutes}",
            f"directory  {workdir or plan.run_dir}",
            *(f"note       {note}" for note in plan.notes),
        ]
    )


def _describe_comparisons(plan: "Plan", workdir: str | None) -> str:
    """Return the lines that a dry run of comparisons prints."""
    lines = [f"{plan.experiment.file}, dry run: nothing runs and nothing is written"]
    for question in plan.questions:
        grid = [f"{key}={','.join(map(str, values))}" for key, values in question.tune.items()]
        seeds = ", ".join(map(str, question.rule.looks))
        lines += [
            f"compare    {question.question}: {'; '.join(question.arms)}",
            f"score      {question.score}, {len(question.pairs)} "
            f"pair{'s' * (len(question.pairs) != 1)}",
            f"tuned      {' '.join(grid) or 'nothing'}"
            + f", {len(question.tuning_seeds)} seeds" * bool(grid),
            f"judged     on {seeds} seeds, until every pair is decided",
        ]
    first, most = len(plan.members), plan.members_at_most
    minutes = "unknown: the config has no run.seconds_per_member and run.seconds_per_group"
    if plan.seconds is not None:
        first_round, whole = plan.seconds / 60, (plan.seconds_at_most or 0) / 60
        minutes = f"about {first_round:.1f} minutes for the first round, at most {whole:.1f}"
    return "\n".join(
        [
            *lines,
            f"members    {first} in the first round, at most {most}",
            f"groups     {plan.groups}",
            f"estimate   {minutes}",
            f"directory  {workdir or plan.run_dir}",
            *(f"note       {note}" for note in plan.notes),
        ]
    )


def _list(options: argparse.Namespace) -> int:
    del options
    from rnnlab.lab import catalog

    experiments = catalog.find()
    if not experiments:
        complain("no experiments in ./experiments, and none came with rnnlab")
        return 1
    width = max(len(experiment.name) for experiment in experiments)
    for experiment in experiments:
        print(f"{experiment.name:<{width}}  {experiment.description}")
    return 0
