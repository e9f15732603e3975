"""An experiment's file in, a run directory out.

:mod:`rnnlab.lab.load` describes such a file. :func:`rnnlab.lab.plan.make_plan` lists its members
and checks each of them before anything runs; :func:`run` runs those that are not finished yet,
draws the figures, decides the claims and writes the report. An interrupted run resumes: a member
is finished once its line in members.jsonl is complete.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core import compilation_cache, json_files, progress, run_files, signals
from rnnlab.core.errors import UserError
from rnnlab.core.notices import say
from rnnlab.lab import identity, members, observers, records, repair
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.comparison import Comparison
from rnnlab.lab.finish import finish
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.observers import Observers, OnMetrics
from rnnlab.lab.plan import Plan, make_plan, words
from rnnlab.results.run_dir import Run, load_run
from rnnlab.results.table import read_table

if TYPE_CHECKING:
    import jax

    from rnnlab.lab.ray_cluster import Cluster
    from rnnlab.training import runner
    from rnnlab.training.settings import GroupKey
    from rnnlab.training.vectorized import Program

    Programs = dict[GroupKey, Program]

Record = dict[str, Any]  # of JSON, or results that become JSON


def run(
    experiment: Experiment | str | os.PathLike[str],
    config: ConfigDict | Mapping[str, sweeps.Value] | None = None,
    *,
    sweep: sweeps.Sweep | None = None,
    comparison: Comparison | Sequence[Comparison] | None = None,
    workdir: str | os.PathLike[str] | None = None,
    use: Sequence[str | os.PathLike[str]] = (),
    progress: bool = True,
    cluster: "Cluster | None" = None,
    rerun: bool = False,
    on_metrics: OnMetrics | None = None,
    log: Sequence[str] = (),
    cache: bool = True,
) -> Run:
    """Run an experiment, resume it, or read it if it is finished.

    Args:
        experiment: loaded, or its path or name (see :func:`rnnlab.lab.load.load_experiment`).
        config: the experiment's config with changed values, or these values by dotted key:
            ``{"cell.name": "gru"}``.
        sweep: axes in place of the file's own; nothing is compared then.
        comparison: in place of the file's own and of its sweep: see
            :class:`rnnlab.lab.comparison.Comparison`.
        workdir: the run directory; runs/<experiment>-<hash> if None.
        use: files to execute first, which register cells, tasks and schemes of your own.
        progress: whether to show progress on stderr.
        cluster: a :class:`rnnlab.lab.ray_cluster.Cluster` whose nodes train the members; None:
            they run on this machine.
        rerun: whether to throw away what the run directory has, and run again.
        on_metrics: called as ``f(member, overrides, record)`` with each record that a member logs,
            while the run goes: the member's number, the values that the sweep gave it by dotted
            key, and metrics by name. An error in it ends the run, as one of the experiment's.
        log: trackers to log to, of "wandb", "mlflow", "tensorboard".
        cache: whether compiled programs are kept for the next process: see
            :func:`rnnlab.core.compilation_cache.kept`.

    Returns:
        the run, as ``rnnlab.load_run`` reads it: its table, claims and figures.

    Raises:
        UserError: an error in the config, the sweep or the directory, before anything runs; a
            directory that belongs to another config, other code or another rnnlab.
    """
    if not isinstance(experiment, Experiment):
        experiment = load_experiment(experiment, use=use)
    elif use:
        raise UserError("use: the experiment is loaded already: give it to load_experiment")
    if config is not None and not isinstance(config, ConfigDict):
        config = sweeps.apply(experiment.get_config(), config)
    with compilation_cache.kept(cache):
        planned = make_plan(experiment, config, sweep=sweep, comparison=comparison)
        return run_plan(
            planned,
            workdir,
            progress=progress,
            cluster=cluster,
            rerun=rerun,
            on_metrics=on_metrics,
            log=log,
        )


def run_plan(
    plan: Plan,
    workdir: str | os.PathLike[str] | None = None,
    *,
    progress: bool = True,
    cluster: "Cluster | None" = None,
    rerun: bool = False,
    on_metrics: OnMetrics | None = None,
    log: Sequence[str] = (),
    cache: bool = True,
) -> Run:
    """Run a plan: see :func:`run`."""
    from rnnlab.training import distributed  # it loads JAX, which reading a run does not need

    trackers = [log] if isinstance(log, str) else list(log)
    observers.check(on_metrics, trackers)
    run_dir = plan.run_dir if workdir is None else Path(workdir)
    if cluster is not None and (rerun or not run_files.is_finished(run_dir)):
        if not plan.experiment.trains:
            raise UserError(
                f"--launcher=ray takes groups of members that train; those of "
                f"{plan.experiment.file} run here, one by one"
            )
        cluster.connect()
    for note in plan.notes:
        say(note)
    used = compilation_cache.kept(cache)
    with signals.watched(), distributed.followers() as call, _owned(run_dir), used:
        if rerun:
            identity.throw_away(run_dir)
        info = identity.begin(plan, run_dir, say)
        plan = identity.caught_up(plan, info)
        identity.restore_predictions(plan, run_dir, info, say)
        if not repair.repair(run_dir, info, say):
            current: Plan | None = plan
            programs: Programs | None = {} if plan.questions else None  # by group, for all rounds
            while current is not None:
                with observers.opened(current, run_dir, on_metrics, trackers) as seen:
                    _run_members(current, run_dir, progress, cluster, call, seen, programs)
                current = _next_round(current, run_dir)
            finish(plan.experiment, run_dir)
        elif trackers:
            say(f"{run_dir} is finished: nothing is logged to {', '.join(trackers)}")
        repair.tidy(run_dir)
    return load_run(run_dir)


def follow(plan: Plan) -> None:
    """Take part in a run that process 0 leads and writes, in its :func:`run_plan`.

    Raises:
        UserError: process 0 runs another config.
    """
    from rnnlab.training import distributed, runner

    programs: Programs | None = {} if plan.questions else None  # as process 0 keeps them
    while (order := distributed.agree(None)) is not None:
        _check_same(plan, order["hash"])
        # of rounds that only process 0, which has the results, can know
        more = json_files.decode_config(order["members"])[len(plan.members) :]
        if more:
            plan = plan.extended(more, order["phases"], order["begun"])
        done = set(order["done"])
        jobs = _jobs(plan, done)
        runner.train(jobs, done, Path(), plan.hash, runner.Sink(), programs=programs)


def _next_round(plan: Plan, run_dir: Path) -> Plan | None:
    """Return the plan with the members that the comparisons need next; None when all are decided.

    They are listed in config.json before any of them is trained.
    """
    if not plan.questions:
        return None
    following = plan.following(read_table(run_dir))
    if following is not None:
        identity.extend(following, run_dir, say)
    return following


# ---- the run directory -------------------------------------------------------------------------


@contextlib.contextmanager
def _owned(run_dir: Path) -> Iterator[None]:
    """Create the directory and lock it: the same command, given twice, runs once."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {run_dir}: {error.strerror}") from error
    handle = None
    try:
        with contextlib.suppress(ImportError):  # not on Windows
            import fcntl

            handle = os.open(run_dir, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"another process is running in {run_dir}") from None
            except OSError:
                pass  # a file system without locks
        yield
    finally:
        if handle is not None:
            os.close(handle)


class _Output:
    """The files of members' metrics and results; a line of results marks a finished member."""

    def __init__(self, plan: Plan, run_dir: Path, info: Record, seen: Observers) -> None:
        self.plan, self.run_dir, self.seen = plan, run_dir, seen
        members = run_dir / run_files.MEMBERS
        predictions = run_dir / run_files.PREDICTIONS
        predicts = plan.experiment.functions.predict is not None
        self.predicted = json_files.read_json(predictions) if predicts else None
        self.done = {record["member"] for record in run_files.scan_members(run_dir, info)[0]}
        json_files.keep_jsonl(members, lambda record: True)  # cut off a half-written line
        self.metrics = repair.Metrics(run_dir)

    def log(self, index: int, record: Mapping[str, object]) -> None:
        self.metrics.append(index, record)
        self.seen.log(index, record)

    def finish(self, index: int, seconds: float, result: Mapping[str, object]) -> None:
        predicted = self.predicted[index] if self.predicted else {}
        self.metrics.sync()
        line = {
            "member": index,
            "overrides": self.plan.members[index],
            "seconds": round(seconds, 6),
            "result": predicted
            | records.results_record(f"{self.plan.experiment.file}: run", result, predicted),
            "logged": self.metrics.digest(index),
        }
        params = run_files.params_file(self.run_dir, index)
        if self.plan.experiment.trains and params.is_file():
            line["params"] = run_files.digest_of(params)
        run_files.append_member(self.run_dir, self.plan.hash, line)
        self.done.add(index)
        self.seen.finish(index, line["result"])


def _run_members(
    plan: Plan,
    run_dir: Path,
    show: bool,
    cluster: "Cluster | None",
    call: Callable[[object], None],
    seen: Observers,
    programs: "Programs | None",
) -> None:
    output = _Output(plan, run_dir, run_files.read_config(run_dir), seen)
    if len(output.done) == len(plan.members):
        return
    if show:
        say(f"{run_dir}: {len(output.done)} of {_count(plan)} are finished")
    with progress.shown(len(plan.members), len(output.done), show) as step:
        if plan.experiment.trains:
            _train(plan, run_dir, output, step, cluster, call, programs)
        else:
            _run_each(plan, run_dir, output, step)


def _count(plan: Plan) -> str:
    """Return how many members there are, in a comparison those so far, and the most."""
    if not plan.questions:
        return f"{len(plan.members)} members"
    most = max(plan.members_at_most, len(plan.members))
    return f"{len(plan.members)} members ({plan.phases[-1]}; at most {most} in all)"


def _run_each(plan: Plan, run_dir: Path, output: _Output, step: progress.Step) -> None:
    """Run members by the experiment's own ``run``."""
    # drop the metrics of an interrupted member
    output.metrics.keep(lambda record: record["member"] in output.done)
    waiting = [index for index in range(len(plan.members)) if index not in output.done]
    error: Exception | None = None
    try:
        for ended in members.finished(plan, waiting, output.log):
            with members.failing(ended.member):
                output.finish(*ended)
            step(len(output.done))
    except members.MemberError as failed:
        failed.error.add_note(
            f"in member {failed.member} ({words(plan.members[failed.member])}); the members that "
            f"are finished are kept in {run_dir}"
        )
        error = failed.error
    if error is not None:  # with its own cause
        raise error


def _train(
    plan: Plan,
    run_dir: Path,
    output: _Output,
    step: progress.Step,
    cluster: "Cluster | None",
    call: Callable[[object], None],
    programs: "Programs | None",
) -> None:
    """Train members group by group, on this machine or on the nodes of a cluster."""
    from rnnlab.training import runner
    from rnnlab.training.settings import MemberSpec

    class Sink(runner.Sink):
        @property
        def measures(self) -> bool:
            return plan.experiment.functions.measure is not None

        def log(self, index: int, record: Record) -> None:
            output.log(index, record)

        def finish(self, index: int, seconds: float, result: Record) -> None:
            output.finish(index, seconds, result)

        def rewind(self, steps: dict[int, int]) -> None:
            output.metrics.rewind(steps)

        def logged(self, members: Sequence[int]) -> dict[str, str]:
            output.metrics.sync()  # a checkpoint must not be newer than the metrics on the disk
            return {str(index): output.metrics.digest(index) for index in members}

        def resumed(self, logged: Mapping[str, str]) -> None:
            digests = {int(index): digest for index, digest in logged.items()}
            output.metrics.cut({i: digest for i, digest in digests.items() if i not in output.done})

        def measure(self, spec: MemberSpec, params: object) -> Mapping[str, object]:
            return records.measured(plan.experiment.functions, spec, params)

        def say(self, tally: runner.Tally) -> None:
            step(len(output.done), str(tally))

    jobs = _jobs(plan, output.done)
    _drop_unfit_checkpoints(plan, run_dir, output)
    if cluster is None:
        members = json_files.encode(plan.members) if plan.questions else []
        later = {"members": members, "phases": plan.phases, "begun": plan.begun}
        call({"hash": plan.hash, "done": sorted(output.done)} | later)
        _check_same(plan, plan.hash)
        runner.train(jobs, set(output.done), run_dir, plan.hash, Sink(), programs=programs)
    else:
        cluster.train(plan.experiment, jobs, set(output.done), run_dir, plan.hash, Sink())


def _drop_unfit_checkpoints(plan: Plan, run_dir: Path, output: _Output) -> None:
    """Remove checkpoints that go with metrics which are not there any more."""
    from rnnlab.training import runner

    def fits(extra: Record) -> bool:
        return output.metrics.begins_with(extra.get("logged", {}), output.done)

    for folder in sorted((run_dir / run_files.CHECKPOINTS).glob("*")):
        checkpoints = runner.checkpoints_of(run_dir, folder.name, plan.hash, 1)
        for number in checkpoints.drop_unless(fits):
            say(
                f"{folder / str(number)} goes with metrics that {run_files.METRICS} has lost: it "
                "is not resumed from"
            )


def _key(config: Any) -> "jax.Array":
    import jax

    return jax.random.key(config.seed)


def _jobs(plan: Plan, done: set[int]) -> "list[runner.Job]":
    """Return the members of the last round, and those of earlier ones that are not finished."""
    from rnnlab.training import runner

    return [
        runner.Job(index, spec, _key(spec.config))
        for index, spec in enumerate(plan.specs)
        if index >= plan.begun or index not in done
    ]


def _check_same(plan: Plan, leader: str) -> None:
    from rnnlab.training import distributed

    if not all(distributed.exchange(plan.hash == leader)):
        raise UserError(
            "the processes of a run must be given the same command, except for --process_id: "
            "one of them has another config"
        )
