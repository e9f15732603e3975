"""An experiment's file in, a run directory out.

An experiment is a Python file with ``get_config``, ``get_sweep``, ``run``, ``figures`` and
``claims`` (and, where wanted, ``check`` and ``group``). :func:`plan` works out its members and
checks each of them before anything runs; :func:`run` runs those that are not finished yet, draws
the figures, decides the claims and writes the report. A run that was stopped, in whatever way,
goes on where it was: a member counts once its line in members.jsonl is whole.
"""

import ast
import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

import rnnlab
from rnnlab import records
from rnnlab import sweep as sweeps
from rnnlab.claims import Verdict, decide
from rnnlab.errors import unknown
from rnnlab.records import Table, Undecided, UserError

_PARTS = ("get_config", "get_sweep", "run", "figures", "claims")
_SPARSE_SECONDS = 30  # between lines of progress where there is no terminal to draw a bar on
_DPI = 150


# ---------------------------------------------------------------------------- experiment files


@dataclass(frozen=True)
class Experiment:
    """An experiment's file, loaded.

    Args:
        name: the file's name without its ending.
        file: the path as it is shown and recorded.
        path: where it was found.
        arg: what followed the colon, "full" for instance, or "".
        module: the file as a module.
    """

    name: str
    file: str
    path: Path
    arg: str
    module: ModuleType

    @property
    def description(self) -> str:
        """The docstring of the file."""
        return inspect.cleandoc(self.module.__doc__ or "")

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, to notice that it changed."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def get_config(self) -> ConfigDict:
        """The file's base config, locked, at the scale that ``arg`` asks for.

        Raises:
            UserError: for an arg that the file refuses, and for a config whose values are not
                plain: bool, int, float, str, None and tuples of these.
        """
        try:
            config = self.module.get_config(*([self.arg] if self.arg else []))
        except ValueError as error:
            raise UserError(f"{self.file}: {error}") from error
        if not isinstance(config, ConfigDict):
            raise UserError(f"{self.file}: get_config must return a ConfigDict, got {config!r:.80}")
        for key, value in sweeps.flat_config(config).items():
            if not _plain(value):
                raise UserError(
                    f"{self.file}: {key} is {value!r:.80}: a config holds bool, int, float, str, "
                    "None and tuples of these"
                )
        if type(config.get("seed")) is not int:
            raise UserError(f"{self.file}: a config needs an int `seed` at its top level")
        return config.lock()

    def get_sweep(self, config: ConfigDict) -> sweeps.Sweep:
        """The file's axes for this config."""
        return self.module.get_sweep(config)


def _plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_plain, value))
    return type(value) in (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Found:
    """An experiment that was found, without running its file: see :func:`find`."""

    name: str
    file: str
    description: str


def _shared_dirs() -> list[Path]:
    """Where experiments lie beside ./experiments: in the installed package, in its source tree."""
    package = Path(rnnlab.__file__).parent
    dirs = [package / "_experiments"]
    if (package.parent / "pyproject.toml").is_file():  # not site-packages/experiments
        dirs.append(package.parent / "experiments")
    return dirs


def find() -> list[Found]:
    """The experiments in ./experiments, then those that come with rnnlab; a name counts once.

    Files are read, not executed: a description is the first line of a docstring.
    """
    found: dict[str, Found] = {}
    for folder in [Path("experiments"), *_shared_dirs()]:
        for path in sorted(folder.glob("*.py")):
            try:
                tree = ast.parse(path.read_bytes())
            except SyntaxError as error:
                description = f"(not Python: {error.msg}, line {error.lineno})"
            else:
                functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
                if "get_config" not in functions:
                    continue
                lines = (ast.get_docstring(tree) or "").splitlines()
                description = lines[0] if lines else "(no description)"
            found.setdefault(path.stem, Found(path.stem, f"experiments/{path.name}", description))
    return list(found.values())


def _locate(text: str) -> Path:
    given = Path(text if text.endswith(".py") else f"experiments/{text}.py")
    places = [given]
    if given.parent in (Path(), Path("experiments")):
        places += [folder / given.name for folder in _shared_dirs()]
    for path in places:
        if path.is_file():
            return path
    names = [experiment.name for experiment in find()]
    raise UserError(f"no file {given}: {unknown('experiment', given.stem, names)}")


def load(path_or_name: str | os.PathLike[str], arg: str | None = None) -> Experiment:
    """Load an experiment's file.

    Args:
        path_or_name: "experiments/x.py", "experiments/x.py:full", or "x": ./experiments first,
            then the experiments that come with rnnlab.
        arg: what get_config is asked for, in place of what follows the colon.

    Raises:
        UserError: when there is no such file, or it lacks one of its functions.
    """
    text, colon, after = os.fspath(path_or_name).partition(".py:")
    if colon:
        text += ".py"
    elif not text.endswith(".py"):
        text, _, after = text.partition(":")
    path = _locate(text)
    shown = path if path == Path(text) else Path("experiments") / path.name
    # Compiled here, not by importlib, which would leave a __pycache__ beside the user's file.
    module = ModuleType(f"rnnlab_experiment_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and pickle look it up
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    missing = [name for name in _PARTS if not callable(getattr(module, name, None))]
    if missing:
        raise UserError(f"{shown.as_posix()} is no experiment: it lacks {', '.join(missing)}")
    return Experiment(path.stem, shown.as_posix(), path, after if arg is None else arg, module)


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
    check = getattr(experiment.module, "check", lambda config: None)
    for index, member in enumerate(configs):
        try:
            check(member)
        except ValueError as error:
            raise UserError(f"member {index} ({words(members[index])}): {error}") from error
    group = getattr(experiment.module, "group", lambda config: None)
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
) -> Table:
    """Run an experiment, or go on with it, or read it where it is finished.

    Args:
        experiment: what :func:`load` takes or returns.
        config: the experiment's config with other values in it.
        sweep: axes in place of the file's own.
        workdir: the run directory; runs/<experiment>-<hash> if None.
        progress: whether to show progress on stderr.

    Returns:
        the table of finished members; ``rnnlab.load_run`` gives claims and figures besides.

    Raises:
        UserError: for whatever is wrong with config, sweep or directory, before anything runs.
    """
    return execute(plan(experiment, config, sweep=sweep), workdir, progress=progress).table


def execute(
    plan: Plan, workdir: str | os.PathLike[str] | None = None, *, progress: bool = True
) -> Run:
    """Run what was planned: see :func:`run`."""
    run_dir = plan.run_dir if workdir is None else Path(workdir)
    with _owned(run_dir):
        _begin(plan, run_dir)
        if not (run_dir / records.REPORT).is_file():
            _run_members(plan, run_dir, progress)
            finish(plan.experiment, run_dir)
    return load_run(run_dir)


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

    usable = getattr(os, "sched_getaffinity", None)  # what a container allows, where known
    return {
        "rnnlab": rnnlab.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "numpy")},
        "platform": platform.platform(),
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": len(usable(0)) if usable else os.cpu_count(),
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


def _run_members(plan: Plan, run_dir: Path, show: bool) -> None:
    members, metrics = run_dir / records.MEMBERS, run_dir / records.METRICS
    done = {record["member"] for record in records.read_jsonl(members)}
    if len(done) == len(plan.members):
        return
    import jax

    # What an interrupted member left behind: half a line, and what it had logged.
    records.keep_jsonl(members, lambda record: True)
    records.keep_jsonl(metrics, lambda record: record["member"] in done)
    if show:
        _say(f"{run_dir}: {len(done)} of {len(plan.members)} members are finished")
    with _progress(len(plan.members), len(done), show) as step:
        for index, config in enumerate(plan.configs):
            if index in done:
                continue

            def log(index: int = index, /, **record: Any) -> None:
                if "member" in record:
                    raise ValueError("a record's `member` is set by the run: log another name")
                records.append_jsonl(metrics, {"member": index, **record})

            start = time.perf_counter()
            try:
                result = plan.experiment.module.run(config, jax.random.key(config.seed), log)
                result = _encoded(result)
            except Exception as error:
                error.add_note(
                    f"in member {index} ({words(plan.members[index])}); the members before it "
                    f"are kept in {run_dir}"
                )
                raise
            line = {
                "member": index,
                "overrides": plan.members[index],
                "seconds": round(time.perf_counter() - start, 6),
                "result": result,
            }
            records.append_jsonl(members, line)
            step()


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


@contextlib.contextmanager
def _progress(total: int, done: int, show: bool) -> Iterator[Any]:
    """Yields what to call when a member is finished: a bar, or a line now and then."""
    if not show:
        yield lambda: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        columns, rows = shutil.get_terminal_size()  # tqdm draws nothing where it finds 0 of them
        with tqdm(total=total, initial=done, unit="member", ncols=columns, nrows=rows) as bar:
            yield bar.update
    else:
        start = said = time.monotonic()
        first = done

        def step() -> None:
            nonlocal done, said
            done += 1
            now = time.monotonic()
            if now - said >= _SPARSE_SECONDS:
                said = now
                left = (now - start) / (done - first) * (total - done)
                _say(f"{done} of {total} members, about {left / 60:.1f} minutes left")

        yield step


def _save_figures(experiment: Experiment, figures: Any, run_dir: Path) -> None:
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
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=_DPI)  # a PNG is Agg's, whatever the backend
        records.write_bytes(run_dir / "figures" / f"{name}.png", png.getvalue())
        figure.clear()
        if "matplotlib.pyplot" in sys.modules:  # which keeps the figures that it made
            sys.modules["matplotlib.pyplot"].close(figure)
    records.write_json(run_dir / records.FIGURES, captions)
