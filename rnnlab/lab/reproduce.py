"""The experiments that come with rnnlab, run at their small defaults, and one page of the claims.

The page shows for each published claim the expected verdict, the measurement, the verdict, and the
minutes. The same command resumes a set that was stopped; an experiment that cannot run here (its
data are not installed, for instance) is listed with the reason, and the others run.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files, run_files, validate
from rnnlab.core.errors import UserError, unknown
from rnnlab.lab import catalog
from rnnlab.lab.plan import Plan, make_plan
from rnnlab.lab.run import run_plan
from rnnlab.report import page as report
from rnnlab.report.saved_run import SavedRun, load_finished
from rnnlab.results.claims import Verdict

WORKDIR = Path("runs") / "reproduce"
_RECORD = "reproduce.json"  # {experiment: seconds}
_SPEED = "speed_"  # experiments that measure time, which needs an idle machine


@dataclass(frozen=True)
class Part:
    """One experiment of the set: its plan, or the reason why it cannot run.

    Args:
        name: the experiment's.
        plan: its plan; None where it cannot run.
        reason: why it cannot run.
    """

    name: str
    plan: Plan | None
    reason: str = ""


@dataclass(frozen=True)
class Reproduction:
    """The outcome of a set of experiments.

    Args:
        page: the path of the page.
        verdicts: by experiment, of those that ran.
        seconds: by experiment, the time that it took, interrupted runs included.
        missing: by experiment, why it did not run.
    """

    page: Path
    verdicts: dict[str, list[Verdict]]
    seconds: dict[str, float]
    missing: dict[str, str]


def names(*, everything: bool = True) -> list[str]:
    """Return the names of the experiments that come with rnnlab and do not measure speed.

    Args:
        everything: whether to include those with ``REPRODUCE = False``, with which the set would
            take longer than 40 minutes on 2 cores.
    """
    return [
        experiment.name
        for experiment in catalog.find_shipped()
        if not experiment.name.startswith(_SPEED) and (everything or experiment.reproduce)
    ]


def plan(only: Sequence[str] = (), *, everything: bool = False) -> list[Part]:
    """Plan the experiments of the set; nothing runs.

    Args:
        only: the names of the experiments to plan; empty: the set.
        everything: as :func:`names`.
    Raises:
        UserError: an unknown name.
    """
    known = names()
    for name in only:
        if name not in known:
            raise UserError(unknown("experiment", name, known, listing="rnnlab list"))
    parts = []
    for name in only or names(everything=everything):
        try:
            parts.append(Part(name, make_plan(name)))
        except (UserError, FileNotFoundError) as error:
            parts.append(Part(name, None, str(error)))
    return parts


def run(
    parts: Sequence[Part],
    workdir: str | os.PathLike[str] = WORKDIR,
    *,
    progress: bool = True,
    rerun: bool = False,
) -> Reproduction:
    """Run the planned experiments, each in a directory of its own, and write the page.

    Args:
        parts: as :func:`plan` returns them.
        workdir: the folder for the runs and the page, reproduce.html.
        progress: whether to show progress on stderr.
        rerun: whether to throw away what the experiments' directories have, and run again.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    record = workdir / _RECORD
    seconds = _read_seconds(record)
    missing = {part.name: part.reason for part in parts if part.plan is None}
    done: dict[str, SavedRun] = {}  # read once each: runs are large
    for part in parts:
        if part.plan is None:
            continue
        if progress:
            print(f"rnnlab: {part.name}", file=sys.stderr)
        if rerun:
            seconds.pop(part.name, None)
        finished_before = not rerun and run_files.is_finished(workdir / part.name)
        start = time.perf_counter()
        try:
            run_plan(part.plan, workdir / part.name, progress=progress, rerun=rerun)
            done[part.name] = load_finished(workdir / part.name)
        except UserError as error:
            missing[part.name] = str(error)
        except OSError:  # a full disk, for instance, which would stop the next experiment too
            raise
        except Exception as error:
            traceback.print_exc()
            missing[part.name] = f"it failed: {type(error).__name__}: {error}"
        finally:
            if not finished_before:
                spent = time.perf_counter() - start
                seconds[part.name] = round(seconds.get(part.name, 0.0) + spent, 3)
                json_files.write_json(record, seconds)
        # after every experiment, so that an interrupted set has a page of what is finished
        report.reproduction_report(workdir, done, seconds, missing)
    page = report.reproduction_report(workdir, done, seconds, missing)
    json_files.remove_parts(workdir, below=False)
    verdicts = {name: saved.verdicts for name, saved in done.items()}
    return Reproduction(page, verdicts, {name: seconds.get(name, 0.0) for name in done}, missing)


def _read_seconds(record: Path) -> dict[str, float]:
    """Return the recorded time of each experiment; those of a damaged file are lost."""
    if not record.exists():
        return {}
    try:
        seconds = json_files.read_json(record)
    except UserError:
        seconds = None
    if not isinstance(seconds, dict) or not all(map(validate.real, seconds.values())):
        print(f"rnnlab: {record} is damaged: the times before now are lost", file=sys.stderr)
        return {}
    return seconds
