"""An experiment's file in, a run directory out.

:mod:`rnnlab.loading` says what such a file holds. :func:`plan` works out its members and checks
each of them before anything runs; :func:`run` runs those that are not finished yet, draws the
figures, decides the claims and writes the report. A run that was stopped, in whatever way, goes
on where it was: a member counts once its line in members.jsonl is whole.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

import rnnlab
from rnnlab import machine, progress, records
from rnnlab import sweep as sweeps
from rnnlab.claims import Verdict, decide
from rnnlab.loading import Experiment, load
from rnnlab.records import Table, Undecided, UserError

if TYPE_CHECKING:
    from rnnlab import runner
    from rnnlab.cluster import Cluster


# --------------------------------------------------------------------------------------- plans


@dataclass(frozen=True)
class Plan:
    """What a run will do, checked and not begun: see :func:`plan`.

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
            "config": records.encode(self.config.to_dict()),
            "sweep": records.encode(axes[0] if len(axes) == 1 else axes),
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


def plan(
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
        experiment = load(experiment)
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
        from rnnlab import runner

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


# ---------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Run:
    """A run directory, read.

    Args:
        dir: the directory.
        config: the base config, nested.
        table: the finished members.
        claims: the verdicts; none before the run is finished.
        figures: name -> (path of the PNG, caption).
        info: config.json as it stands: environment, hash, sweep and all.
    """

    dir: Path
    config: dict[str, Any]
    table: Table
    claims: list[Verdict]
    figures: dict[str, tuple[Path, str]]
    info: dict[str, Any]

    @property
    def report(self) -> Path:
        """The page of the report, which is written last."""
        return self.dir / records.REPORT

    @property
    def finished(self) -> bool:
        """Whether the report is there."""
        return self.report.is_file()


def load_run(run_dir: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not.

    Raises:
        UserError: when it is none, or a file in it is broken.
    """
    run_dir = Path(run_dir)
    info = records.read_config(run_dir)
    claims, figures = run_dir / records.CLAIMS, run_dir / records.FIGURES
    captions = records.read_json(figures) if figures.exists() else {}
    return Run(
        dir=run_dir,
        config=records.decode_config(info["config"]),
        table=records.read_table(run_dir),
        claims=[Verdict(**v) for v in records.read_json(claims)] if claims.exists() else [],
        figures={n: (run_dir / f"figures/{n}.png", c["caption"]) for n, c in captions.items()},
        info=info,
    )


def run(
    experiment: Experiment | str | os.PathLike[str],
    config: ConfigDict | None = None,
    *,
    sweep: sweeps.Sweep | None = None,
    workdir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    cluster: "Cluster | None" = None,
) -> Table:
    """Run an experiment, or go on with it, or read it where it is finished.

    Args:
        experiment: what :func:`load` takes or returns.
        config: the experiment's config with other values in it.
        sweep: axes in place of the file's own.
        workdir: the run directory; runs/<experiment>-<hash> if None.
        progress: whether to show progress on stderr.
        cluster: a :class:`rnnlab.cluster.Cluster` whose nodes train the members; here if None.

    Returns:
        the table of finished members; ``rnnlab.load_run`` gives claims and figures besides.

    Raises:
        UserError: for whatever is wrong with config, sweep or directory, before anything runs.
    """
    planned = plan(experiment, config, sweep=sweep)
    return execute(planned, workdir, progress=progress, cluster=cluster).table


def execute(
    plan: Plan,
    workdir: str | os.PathLike[str] | None = None,
    *,
    progress: bool = True,
    cluster: "Cluster | None" = None,
) -> Run:
    """Run what was planned: see :func:`run`; on the nodes of a cluster if one is given."""
    from rnnlab import distributed  # it loads JAX, which a look at a run does not need

    run_dir = plan.run_dir if workdir is None else Path(workdir)
    if cluster is not None and not (run_dir / records.REPORT).is_file():
        if not plan.experiment.trains:
            raise UserError(
                f"--launcher=ray takes groups of members that train; those of "
                f"{plan.experiment.file} run here, one by one"
            )
        cluster.connect()
    with distributed.followers() as call, _owned(run_dir):
        _begin(plan, run_dir)
        _predict(plan, run_dir)
        if not (run_dir / records.REPORT).is_file():
            _run_members(plan, run_dir, progress, cluster, call)
            finish(plan.experiment, run_dir)
    return load_run(run_dir)


def follow(plan: Plan) -> None:
    """Take part in a run that process 0 leads, and writes: its :func:`execute` calls for this.

    Raises:
        UserError: that run is another one.
    """
    from rnnlab import distributed, runner

    order = distributed.agree(None)
    if order is not None:
        _check_same(plan, order["hash"])
        runner.train(_jobs(plan), set(order["done"]), Path(), plan.hash, runner.Sink())


def finish(experiment: Experiment, run_dir: str | os.PathLike[str]) -> None:
    """Draw the figures, decide the claims and write the report, from the saved members."""
    from rnnlab import report  # matplotlib and jinja2 load when they are needed

    run_dir = Path(run_dir)
    table = records.read_table(run_dir)
    try:
        figures = experiment.module.figures(table)
    except Undecided as reason:  # a narrowed sweep lacks members that a figure shows
        _say(f"no figures: {experiment.file} cannot draw them: {reason}")
        figures = {}
    _save_figures(experiment, figures, run_dir)
    verdicts = decide(experiment.module.claims(table))
    records.write_json(run_dir / records.CLAIMS, [dataclasses.asdict(v) for v in verdicts])
    report.write_report(run_dir)


def rewrite(run_dir: str | os.PathLike[str]) -> Run:
    """Write the report of a run again, with figures and claims made anew from saved results.

    Where the experiment's file is gone, the saved figures and claims stay.

    Raises:
        UserError: when not all members are finished: the report is what marks a finished run.
    """
    from rnnlab import report

    run_dir = Path(run_dir)
    info = records.read_config(run_dir)
    done = len(records.read_jsonl(run_dir / records.MEMBERS))
    if done < info["members"]:
        raise UserError(
            f"{run_dir} has {done} of {info['members']} members: finish it with the command "
            "that began it"
        )
    try:
        experiment = load(info["file"], info["arg"])
    except UserError as error:
        if not (run_dir / records.CLAIMS).exists():
            raise
        _say(f"figures and claims stay as they are: {error}")
        report.write_report(run_dir)
    else:
        _note_change(experiment, info)
        finish(experiment, run_dir)
    return load_run(run_dir)


# -------------------------------------------------------------------------------------- inside


def _say(message: str) -> None:
    print(f"rnnlab: {message}", file=sys.stderr)


@contextlib.contextmanager
def _owned(run_dir: Path) -> Iterator[None]:
    """Make the directory and hold it, so that the same command given twice does not run twice."""
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
                pass  # a file system without locks: go on without
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _begin(plan: Plan, run_dir: Path) -> None:
    """Write config.json, or find that the directory holds this very run."""
    if not (run_dir / records.CONFIG).exists():
        # .…tmp: the remains of a write that was killed
        if [path for path in run_dir.iterdir() if path.suffix != ".tmp"]:
            raise UserError(f"{run_dir} is not empty and is no run directory: choose another")
        records.write_json(run_dir / records.CONFIG, _info(plan))
        return
    info = records.read_config(run_dir)
    if info["hash"] != plan.hash:
        lines = "\n".join(f"  {line}" for line in _differences(info, plan.identity))
        raise UserError(
            f"{run_dir} holds a run with another config (there -> now); "
            f"choose another --workdir\n{lines}"
        )
    if not (run_dir / records.REPORT).is_file():
        _note_change(plan.experiment, info)


def _note_change(experiment: Experiment, info: Mapping[str, Any]) -> None:
    if info["file_sha256"] != experiment.digest:
        _say(f"{experiment.file} has changed since this run began")


def _info(plan: Plan) -> dict[str, Any]:
    return {
        **plan.identity,
        "file": plan.experiment.file,
        "file_sha256": plan.experiment.digest,
        "description": plan.experiment.description,
        "hash": plan.hash,
        "members": len(plan.members),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "environment": environment(),
    }


def environment() -> dict[str, Any]:
    """Versions, device and cores: what a result depends on besides its config."""
    import jax

    return {
        "rnnlab": rnnlab.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": machine.cores(),
    }


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys in which two identities differ, as "cell.name: lstm -> gru"."""

    def flat(identity: Mapping[str, Any]) -> dict[str, Any]:
        axes = identity["sweep"]
        named = {str(i): a for i, a in enumerate(axes)} if isinstance(axes, list) else axes
        heads = {name: identity[name] for name in ("experiment", "arg")}
        return heads | records.flatten(identity["config"]) | records.flatten(named, "sweep.")

    before, now = flat(old), flat(new)
    return [
        f"{key}: {before.get(key, '(none)')} -> {now.get(key, '(none)')}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key, "(none)") != now.get(key, "(none)")
    ] or ["the axes of the sweep stand in another order"]


def _predict(plan: Plan, run_dir: Path) -> None:
    """Write down what the experiment predicts of each member, before any of them runs."""
    predict = getattr(plan.experiment.module, "predict", None)
    path = run_dir / records.PREDICTIONS
    if predict is not None and not path.exists():
        records.write_json(path, [_encoded(predict(config)) for config in plan.configs])


class _Output:
    """The files that members' metrics and results go to; a line of results ends a member."""

    def __init__(self, plan: Plan, run_dir: Path) -> None:
        self.plan = plan
        self.members, self.metrics = run_dir / records.MEMBERS, run_dir / records.METRICS
        predictions = run_dir / records.PREDICTIONS
        self.predicted = records.read_json(predictions) if predictions.exists() else None
        self.done = {record["member"] for record in records.read_jsonl(self.members)}
        records.keep_jsonl(self.members, lambda record: True)  # cut off a half-written line

    def log(self, index: int, record: Mapping[str, Any]) -> None:
        if "member" in record:
            raise ValueError("a record's `member` is set by the run: log another name")
        records.append_jsonl(self.metrics, {"member": index, **record})

    def finish(self, index: int, seconds: float, result: Mapping[str, Any]) -> None:
        predicted = self.predicted[index] if self.predicted else {}
        line = {
            "member": index,
            "overrides": self.plan.members[index],
            "seconds": round(seconds, 6),
            "result": predicted | _encoded(result),
        }
        records.append_jsonl(self.members, line, durable=True)
        self.done.add(index)


def _run_members(
    plan: Plan,
    run_dir: Path,
    show: bool,
    cluster: "Cluster | None",
    call: Callable[[Any], None],
) -> None:
    output = _Output(plan, run_dir)
    if len(output.done) == len(plan.members):
        return
    if show:
        _say(f"{run_dir}: {len(output.done)} of {len(plan.members)} members are finished")
    with progress.shown(len(plan.members), len(output.done), show) as step:
        if plan.experiment.trains:
            _train(plan, run_dir, output, step, cluster, call)
        else:
            _run_each(plan, run_dir, output, step)


def _run_each(plan: Plan, run_dir: Path, output: _Output, step: progress.Step) -> None:
    """Members one by one, by the experiment's own ``run``."""
    import jax

    # what an interrupted member had logged
    records.keep_jsonl(output.metrics, lambda record: record["member"] in output.done)
    for index, config in enumerate(plan.configs):
        if index in output.done:
            continue

        def log(index: int = index, /, **record: Any) -> None:
            output.log(index, record)

        start = time.perf_counter()
        try:
            result = plan.experiment.module.run(config, jax.random.key(config.seed), log)
            output.finish(index, time.perf_counter() - start, result)
        except Exception as error:
            error.add_note(
                f"in member {index} ({words(plan.members[index])}); the members before it "
                f"are kept in {run_dir}"
            )
            raise
        step(len(output.done))


def _train(
    plan: Plan,
    run_dir: Path,
    output: _Output,
    step: progress.Step,
    cluster: "Cluster | None",
    call: Callable[[Any], None],
) -> None:
    """Members that train, group by group, here or on the nodes of a cluster."""
    from rnnlab import runner

    measure = getattr(plan.experiment.module, "measure", None)

    class Sink(runner.Sink):
        def log(self, index: int, record: dict[str, Any]) -> None:
            output.log(index, record)

        def finish(self, index: int, seconds: float, result: dict[str, Any]) -> None:
            output.finish(index, seconds, result)

        def rewind(self, steps: dict[int, int]) -> None:
            def valid(record: Mapping[str, Any]) -> bool:
                step = steps.get(record["member"])
                return step is None or (step > 0 and record["step"] <= step)

            records.keep_jsonl(output.metrics, valid)

        def measure(self, config: Any, setup: Any, params: Any) -> dict[str, Any]:
            return {} if measure is None else measure(config, setup, params)

        def say(self, tally: runner.Tally) -> None:
            step(len(output.done), str(tally))

    jobs = _jobs(plan)
    if cluster is None:
        call({"hash": plan.hash, "done": sorted(output.done)})
        _check_same(plan, plan.hash)
        runner.train(jobs, set(output.done), run_dir, plan.hash, Sink())
    else:
        cluster.train(plan.experiment, jobs, set(output.done), run_dir, plan.hash, Sink())


def _jobs(plan: Plan) -> "list[runner.Job]":
    import jax

    from rnnlab import runner

    return [runner.Job(i, c, jax.random.key(c.seed)) for i, c in enumerate(plan.configs)]


def _check_same(plan: Plan, wanted: str) -> None:
    from rnnlab import distributed

    if not all(distributed.exchange(plan.hash == wanted)):
        raise UserError(
            "the processes of a run must be given the same command, but for --process_id: "
            "one of them has another config"
        )


def _encoded(result: Any) -> dict[str, Any]:
    if not isinstance(result, Mapping):
        raise TypeError(f"run must return a dict of results, got {result!r:.80}")
    encoded = {}
    for name, value in result.items():
        try:
            encoded[name] = records.encode(value)
        except TypeError as error:
            raise TypeError(f"result {name!r}: {error}") from error
    return encoded


def _save_figures(experiment: Experiment, figures: Any, run_dir: Path) -> None:
    from rnnlab import plots  # and matplotlib, which takes its time

    captions = {}
    (run_dir / "figures").mkdir(exist_ok=True)
    for name, drawn in figures.items():
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError(f"{experiment.file}: a figure's name is a file's, got {name!r}")
        match drawn:
            case (figure, str() as caption) if hasattr(figure, "savefig"):
                captions[name] = {"caption": caption}
            case _:
                raise TypeError(f"{experiment.file}: figure {name!r} must be (Figure, caption)")
        records.write_bytes(run_dir / "figures" / f"{name}.png", plots.png(figure))
        figure.clear()
        if "matplotlib.pyplot" in sys.modules:  # which keeps the figures that it made
            sys.modules["matplotlib.pyplot"].close(figure)
    records.write_json(run_dir / records.FIGURES, captions)
