"""An experiment's file in, a run directory out.

:mod:`rnnlab.lab.load` describes such a file. :func:`rnnlab.lab.plan.make_plan` lists its members
and checks each of them before anything runs; :func:`run` runs those that are not finished yet,
draws the figures, decides the claims and writes the report. An interrupted run resumes: a member
is finished once its line in members.jsonl is complete.
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from rnnlab.core import host, json_files, progress, run_files
from rnnlab.core.errors import Undecided, UserError
from rnnlab.core.nested import flatten
from rnnlab.core.version import __version__
from rnnlab.lab import sweep as sweeps
from rnnlab.lab.load import Experiment, load_experiment
from rnnlab.lab.plan import Plan, make_plan, words
from rnnlab.results.claims import decide
from rnnlab.results.run_dir import Run, load_run
from rnnlab.results.table import Table, read_table

if TYPE_CHECKING:
    import jax
    from matplotlib.figure import Figure

    from rnnlab.lab.ray_cluster import Cluster
    from rnnlab.training import runner

Record = dict[str, Any]  # of JSON, or results that become JSON


def run(
    experiment: Experiment | str | os.PathLike[str],
    config: ConfigDict | None = None,
    *,
    sweep: sweeps.Sweep | None = None,
    workdir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    cluster: "Cluster | None" = None,
) -> Table:
    """Run an experiment, resume it, or read its table if it is finished.

    Args:
        experiment: loaded, or its path or name (see :func:`rnnlab.lab.load.load_experiment`).
        config: the experiment's config with changed values.
        sweep: axes in place of the file's own.
        workdir: the run directory; runs/<experiment>-<hash> if None.
        progress: whether to show progress on stderr.
        cluster: a :class:`rnnlab.lab.ray_cluster.Cluster` whose nodes train the members; None:
            they run on this machine.

    Returns:
        the table of finished members; ``rnnlab.load_run`` also gives claims and figures.

    Raises:
        UserError: an error in the config, the sweep or the directory, before anything runs.
    """
    planned = make_plan(experiment, config, sweep=sweep)
    return run_plan(planned, workdir, progress=progress, cluster=cluster).table


def run_plan(
    plan: Plan,
    workdir: str | os.PathLike[str] | None = None,
    *,
    progress: bool = True,
    cluster: "Cluster | None" = None,
) -> Run:
    """Run a plan: see :func:`run`."""
    from rnnlab.training import distributed  # it loads JAX, which reading a run does not need

    run_dir = plan.run_dir if workdir is None else Path(workdir)
    if cluster is not None and not (run_dir / run_files.REPORT).is_file():
        if not plan.experiment.trains:
            raise UserError(
                f"--launcher=ray takes groups of members that train; those of "
                f"{plan.experiment.file} run here, one by one"
            )
        cluster.connect()
    with distributed.followers() as call, _owned(run_dir):
        _begin(plan, run_dir)
        _predict(plan, run_dir)
        if not (run_dir / run_files.REPORT).is_file():
            _run_members(plan, run_dir, progress, cluster, call)
            finish(plan.experiment, run_dir)
    return load_run(run_dir)


def follow(plan: Plan) -> None:
    """Take part in a run that process 0 leads and writes, in its :func:`run_plan`.

    Raises:
        UserError: process 0 runs another config.
    """
    from rnnlab.training import distributed, runner

    order = distributed.agree(None)
    if order is not None:
        _check_same(plan, order["hash"])
        runner.train(_jobs(plan), set(order["done"]), Path(), plan.hash, runner.Sink())


def finish(experiment: Experiment, run_dir: str | os.PathLike[str]) -> None:
    """Draw the figures, decide the claims and write the report, from the saved members."""
    from rnnlab.report import page  # matplotlib and jinja2 load when they are needed

    run_dir = Path(run_dir)
    table = read_table(run_dir)
    try:
        figures = experiment.functions.figures(table)
    except Undecided as reason:  # a narrowed sweep lacks members that a figure shows
        _say(f"no figures: {experiment.file} cannot draw them: {reason}")
        figures = {}
    _save_figures(experiment, figures, run_dir)
    verdicts = decide(experiment.functions.claims(table))
    json_files.write_json(run_dir / run_files.CLAIMS, [dataclasses.asdict(v) for v in verdicts])
    page.write_report(run_dir)


def rewrite(run_dir: str | os.PathLike[str]) -> Run:
    """Write the report of a run again, with new figures and claims from the saved results.

    If the experiment's file is gone, the saved figures and claims stay.

    Raises:
        UserError: members that are not finished; a report marks a finished run.
    """
    from rnnlab.report import page

    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    done = len(json_files.read_jsonl(run_dir / run_files.MEMBERS))
    if done < info["members"]:
        raise UserError(
            f"{run_dir} has {done} of {info['members']} members: finish it with the command "
            "that began it"
        )
    try:
        experiment = load_experiment(info["file"], info["arg"])
    except UserError as error:
        if not (run_dir / run_files.CLAIMS).exists():
            raise
        _say(f"figures and claims stay as they are: {error}")
        page.write_report(run_dir)
    else:
        _note_change(experiment, info)
        finish(experiment, run_dir)
    return load_run(run_dir)


# ---- the run directory -------------------------------------------------------------------------


def _say(message: str) -> None:
    print(f"rnnlab: {message}", file=sys.stderr)


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


def _begin(plan: Plan, run_dir: Path) -> None:
    """Write config.json, or check that the directory holds this run."""
    if not (run_dir / run_files.CONFIG).exists():
        # .…tmp: the remains of a write that was killed
        if [path for path in run_dir.iterdir() if path.suffix != ".tmp"]:
            raise UserError(f"{run_dir} is not empty and is no run directory: choose another")
        json_files.write_json(run_dir / run_files.CONFIG, _info(plan))
        return
    info = run_files.read_config(run_dir)
    if info["hash"] != plan.hash:
        lines = "\n".join(f"  {line}" for line in _differences(info, plan.identity))
        raise UserError(
            f"{run_dir} holds a run with another config (there -> now); "
            f"choose another --workdir\n{lines}"
        )
    if not (run_dir / run_files.REPORT).is_file():
        _note_change(plan.experiment, info)


def _note_change(experiment: Experiment, info: Record) -> None:
    if info["file_sha256"] != experiment.digest:
        _say(f"{experiment.file} has changed since this run began")


def _info(plan: Plan) -> Record:
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


def environment() -> dict[str, str | int]:
    """Return versions, device and cores: results depend on them besides the config."""
    import jax

    return {
        "rnnlab": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": host.cores(),
    }


def _differences(old: Record, new: Record) -> list[str]:
    """Return the keys in which two identities differ, as "cell.name: lstm -> gru"."""

    def flat(identity: Record) -> Record:
        axes = identity["sweep"]
        named = {str(i): a for i, a in enumerate(axes)} if isinstance(axes, list) else axes
        heads = {name: identity[name] for name in ("experiment", "arg")}
        return heads | flatten(identity["config"]) | flatten(named, "sweep.")

    before, now = flat(old), flat(new)
    return [
        f"{key}: {before.get(key, '(none)')} -> {now.get(key, '(none)')}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key, "(none)") != now.get(key, "(none)")
    ] or ["the axes of the sweep stand in another order"]


def _predict(plan: Plan, run_dir: Path) -> None:
    """Record the experiment's predictions for each member, before any of them runs."""
    predict = plan.experiment.functions.predict
    path = run_dir / run_files.PREDICTIONS
    if predict is not None and not path.exists():
        json_files.write_json(path, [_encoded(predict(config)) for config in plan.configs])


class _Output:
    """The files of members' metrics and results; a line of results marks a finished member."""

    def __init__(self, plan: Plan, run_dir: Path) -> None:
        self.plan = plan
        self.members, self.metrics = run_dir / run_files.MEMBERS, run_dir / run_files.METRICS
        predictions = run_dir / run_files.PREDICTIONS
        self.predicted = json_files.read_json(predictions) if predictions.exists() else None
        self.done = {record["member"] for record in json_files.read_jsonl(self.members)}
        json_files.keep_jsonl(self.members, lambda record: True)  # cut off a half-written line

    def log(self, index: int, record: Mapping[str, object]) -> None:
        if "member" in record:
            raise ValueError("a record's `member` is set by the run: log another name")
        json_files.append_jsonl(self.metrics, {"member": index, **record})

    def finish(self, index: int, seconds: float, result: Mapping[str, object]) -> None:
        predicted = self.predicted[index] if self.predicted else {}
        line = {
            "member": index,
            "overrides": self.plan.members[index],
            "seconds": round(seconds, 6),
            "result": predicted | _encoded(result),
        }
        json_files.append_jsonl(self.members, line, durable=True)
        self.done.add(index)


def _run_members(
    plan: Plan,
    run_dir: Path,
    show: bool,
    cluster: "Cluster | None",
    call: Callable[[object], None],
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
    """Run members one by one, by the experiment's own ``run``."""
    # drop the metrics of an interrupted member
    json_files.keep_jsonl(output.metrics, lambda record: record["member"] in output.done)
    for index, config in enumerate(plan.configs):
        if index in output.done:
            continue

        def log(index: int = index, /, **record: object) -> None:
            output.log(index, record)

        start = time.perf_counter()
        try:
            result = plan.experiment.functions.run(config, _key(config), log)
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
    call: Callable[[object], None],
) -> None:
    """Train members group by group, on this machine or on the nodes of a cluster."""
    from rnnlab.training import runner
    from rnnlab.training.settings import MemberSpec

    measure = plan.experiment.functions.measure

    class Sink(runner.Sink):
        def log(self, index: int, record: Record) -> None:
            output.log(index, record)

        def finish(self, index: int, seconds: float, result: Record) -> None:
            output.finish(index, seconds, result)

        def rewind(self, steps: dict[int, int]) -> None:
            def valid(record: Record) -> bool:
                step = steps.get(record["member"])
                return step is None or (step > 0 and record["step"] <= step)

            json_files.keep_jsonl(output.metrics, valid)

        def measure(self, spec: MemberSpec, params: object) -> Mapping[str, object]:
            return {} if measure is None else measure(spec.config, spec.setup, params)

        def say(self, tally: runner.Tally) -> None:
            step(len(output.done), str(tally))

    jobs = _jobs(plan)
    if cluster is None:
        call({"hash": plan.hash, "done": sorted(output.done)})
        _check_same(plan, plan.hash)
        runner.train(jobs, set(output.done), run_dir, plan.hash, Sink())
    else:
        cluster.train(plan.experiment, jobs, set(output.done), run_dir, plan.hash, Sink())


def _key(config: ConfigDict) -> "jax.Array":
    import jax

    return jax.random.key(config.seed)


def _jobs(plan: Plan) -> "list[runner.Job]":
    from rnnlab.training import runner

    return [runner.Job(index, spec, _key(spec.config)) for index, spec in enumerate(plan.specs)]


def _check_same(plan: Plan, leader: str) -> None:
    from rnnlab.training import distributed

    if not all(distributed.exchange(plan.hash == leader)):
        raise UserError(
            "the processes of a run must be given the same command, except for --process_id: "
            "one of them has another config"
        )


def _encoded(result: object) -> Record:
    if not isinstance(result, Mapping):
        raise TypeError(f"run must return a dict of results, got {result!r:.80}")
    encoded = {}
    for name, value in result.items():
        try:
            encoded[name] = json_files.encode(value)
        except TypeError as error:
            raise TypeError(f"result {name!r}: {error}") from error
    return encoded


def _save_figures(
    experiment: Experiment, figures: "Mapping[str, tuple[Figure, str]]", run_dir: Path
) -> None:
    from matplotlib.figure import Figure  # slow to import

    from rnnlab.plotting import plots

    captions = {}
    (run_dir / "figures").mkdir(exist_ok=True)
    for name, drawn in figures.items():
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError(f"{experiment.file}: a figure's name is a file's, got {name!r}")
        match drawn:
            case (Figure() as figure, str() as caption):
                captions[name] = {"caption": caption}
            case _:
                raise TypeError(f"{experiment.file}: figure {name!r} must be (Figure, caption)")
        json_files.write_bytes(run_dir / "figures" / f"{name}.png", plots.png(figure))
        figure.clear()
        if "matplotlib.pyplot" in sys.modules:  # pyplot keeps the figures that it made
            sys.modules["matplotlib.pyplot"].close(figure)
    json_files.write_json(run_dir / run_files.FIGURES, captions)
