"""A run's metrics as TensorBoard reads them; needs ``rnnlab[tensorboard]``."""

import importlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError

FOLDER = "tensorboard"  # in the run directory


def write(run_dir: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write event files of all that a run has logged so far, a TensorBoard run for each member.

    metrics.jsonl stays what counts: the files are made of it anew at every call, so that those of
    a run that went back to a checkpoint hold no step twice. A run may still be at work meanwhile.

    Args:
        run_dir: of any experiment. Records with a ``step`` are shown at it, others at their place.
        out: the folder, in which every member has one of its own; run_dir/tensorboard if None.

    Returns:
        the folder, for ``tensorboard --logdir``.

    Raises:
        UserError: tensorboardX is missing; no such run; nothing was logged; ``out`` holds
            something else.
    """
    try:
        writer: Any = importlib.import_module("tensorboardX").SummaryWriter
    except ImportError:
        raise UserError(
            "event files need tensorboardX: pip install 'rnnlab[tensorboard]'"
        ) from None
    run_dir = Path(run_dir)
    plan = run_files.read_config(run_dir)
    logged: dict[int, list[dict[str, Any]]] = {}
    for record in json_files.read_jsonl(run_dir / run_files.METRICS):
        logged.setdefault(record["member"], []).append(json_files.decode(record))
    if not logged:
        raise UserError(f"{run_dir} has logged nothing: there is nothing to show")
    folder = run_dir / FOLDER if out is None else Path(out)
    _clear(folder)
    digits = len(str(plan["members"] - 1))
    for member, told in sorted(logged.items()):
        with writer(str(folder / f"member-{member:0{digits}d}")) as events:
            for place, record in enumerate(told):
                for name, value in record.items():
                    if name not in ("member", "step") and _scalar(value):
                        events.add_scalar(name, value, record.get("step", place))
    return folder


def _scalar(value: Any) -> bool:
    return isinstance(value, int | float)


def _clear(folder: Path) -> None:
    """Remove what an earlier call wrote, and nothing else."""
    if not folder.exists():
        return
    for path in folder.iterdir():
        if not (path.is_dir() and re.fullmatch(r"member-\d+", path.name)):
            raise UserError(
                f"{folder} holds {path.name}, which is no member of a run: choose another folder"
            )
    shutil.rmtree(folder)
