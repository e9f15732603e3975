"""A run's metrics in TensorBoard's format; needs ``rnnlab[tensorboard]``."""

import os
import re
import shutil
from pathlib import Path
from typing import TypeGuard

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError, install

FOLDER = "tensorboard"  # in the run directory


def write(run_dir: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write event files of all that a run has logged so far, one TensorBoard run per member.

    Every call writes the files anew from metrics.jsonl, so that no step occurs twice when a run
    went back to a checkpoint. The run may still be at work.

    Args:
        run_dir: of any experiment. Records with a ``step`` are shown at that step, others at their
            position.
        out: the folder, in which each member has a folder of its own; None: run_dir/tensorboard.

    Returns:
        the folder, for ``tensorboard --logdir``.

    Raises:
        UserError: tensorboardX is missing; there is no such run; nothing was logged; ``out`` has
            other contents.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(f"event files need tensorboardX: {install('tensorboard')}") from None
    run_dir = Path(run_dir)
    plan = run_files.read_config(run_dir)
    records = run_files.read_records(run_dir)[1]
    metrics, _, problems = run_files.scan_metrics(run_dir, records)
    if problems:
        raise UserError(f"{problems[0]}; {run_files.AGAIN}")
    logged = {member: list(map(json_files.decode, lines)) for member, lines in metrics.items()}
    if not logged:
        raise UserError(f"{run_dir} has logged nothing, so there is nothing to show")
    folder = run_dir / FOLDER if out is None else Path(out)
    _clear(folder)
    digits = len(str(plan["members"] - 1))
    for member, records in sorted(logged.items()):
        with SummaryWriter(str(folder / f"member-{member:0{digits}d}")) as events:
            for place, record in enumerate(records):
                for name, value in record.items():
                    if name != "step" and _scalar(value):
                        events.add_scalar(name, value, record.get("step", place))
    return folder


def _scalar(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float)


def _clear(folder: Path) -> None:
    """Remove the folders that an earlier call wrote, and nothing else."""
    if not folder.exists():
        return
    for path in folder.iterdir():
        if not (path.is_dir() and re.fullmatch(r"member-\d+", path.name)):
            raise UserError(
                f"{folder} holds {path.name}, which is no member of a run: choose another folder"
            )
    shutil.rmtree(folder)
