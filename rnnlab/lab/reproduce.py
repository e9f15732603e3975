"""The experiments that come with rnnlab at their small defaults, and one page of what came out.

The page says of each published claim what was expected, what was measured, whether it holds, and
how many minutes it took. A run that was stopped goes on with the same command; an experiment that
cannot run here (its data are not installed, for instance) is named with the reason, and the
others go on.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError, unknown
from rnnlab.lab import load
from rnnlab.lab.plan import Plan, make_plan
from rnnlab.lab.run import run_plan
from rnnlab.report import page as report
from rnnlab.results.claims import Verdict
from rnnlab.results.run_dir import load_run

WORKDIR = Path("runs") / "reproduce"
_RECORD = "reproduce.json"  # {experiment: seconds}
_SPEED = "speed_"  # these time things, and want a machine that does nothing else


@dataclass(frozen=True)
class Part:
    """One experiment of the set: planned, or the reason why it cannot run.

    Args:
        name: of the experiment.
        plan: what it will do; None where it cannot.
        reason: why not.
    """

    name: str
    plan: Plan | None
    reason: str = ""


@dataclass(frozen=True)
class Reproduction:
    """What came out.

    Args:
        page: the page that says it.
        verdicts: by experiment, of those that ran.
        seconds: what each took, over all the times that it was begun.
        missing: the experiments that did not run, and why.
    """

    page: Path
    verdicts: dict[str, list[Verdict]]
    seconds: dict[str, float]
    missing: dict[str, str]


def names(*, everything: bool = True) -> list[str]:
    """The experiments that come with rnnlab, but for those that measure speed.

    Args:
        everything: also those that say ``REPRODUCE = False``, with which the set would take
            longer than half an hour on 2 cores.
    """
    return [
        found.name
        for found in load.find_shipped()
        if not found.name.startswith(_SPEED) and (everything or found.reproduce)
    ]


def plan(only: Sequence[str] = (), *, everything: bool = False) -> list[Part]:
    """Plan the set, the experiments that are named, or every experiment; nothing runs.

    Raises:
        UserError: a name that there is not.
    """
    known = names()
    for name in only:
        if name not in known:
            raise UserError(unknown("experiment", name, known))
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
) -> Reproduction:
    """Run what was planned, each experiment in a directory of its own, and write the page.

    Args:
        parts: as :func:`plan` gives them.
        workdir: for the runs and the page, reproduce.html.
        progress: whether to show progress on stderr.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    record = workdir / _RECORD
    seconds = json_files.read_json(record) if record.exists() else {}
    missing = {part.name: part.reason for part in parts if part.plan is None}
    done: list[str] = []
    for part in parts:
        if part.plan is None:
            continue
        if progress:
            print(f"rnnlab: {part.name}", file=sys.stderr)
        before = (workdir / part.name / run_files.REPORT).is_file()
        start = time.perf_counter()
        try:
            run_plan(part.plan, workdir / part.name, progress=progress)
            done.append(part.name)
        except UserError as error:
            missing[part.name] = str(error)
        except OSError:  # a full disk, say: nothing that the next experiment would be spared
            raise
        except Exception as error:
            traceback.print_exc()
            missing[part.name] = f"it failed: {type(error).__name__}: {error}"
        finally:
            if not before:
                spent = time.perf_counter() - start
                seconds[part.name] = round(seconds.get(part.name, 0.0) + spent, 3)
                json_files.write_json(record, seconds)
        # after every experiment: whoever stops it has the page of what is finished
        report.reproduction_report(workdir, done, seconds, missing)
    page = report.reproduction_report(workdir, done, seconds, missing)
    verdicts = {name: load_run(workdir / name).claims for name in done}
    return Reproduction(page, verdicts, {name: seconds.get(name, 0.0) for name in done}, missing)
