"""A run's metrics in TensorBoard's format; needs ``rnnlab[tensorboard]``.

Each member is a TensorBoard run, named by its values on the swept axes. The HPARAMS tab compares
members by these values and by their results, which are the scalars ``result/NAME``.
"""

import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnlab.core import run_files
from rnnlab.core.errors import UserError, install
from rnnlab.core.json_files import Record, decode, decode_config
from rnnlab.core.nested import flatten

FOLDER = "tensorboard"  # in the run directory
_EVENTS = "events.out.tfevents."
_LONGEST = 150  # characters of a folder's name


class EventFiles:
    """Event files of a run's members, in a folder that is written anew.

    Args:
        folder: to write to; what an earlier call wrote there is removed.
        info: config.json of the run.
    Raises:
        UserError: tensorboardX is missing; the folder has other contents.
    """

    def __init__(self, folder: Path, info: Record) -> None:
        _clear(folder)
        self._folder, self._writer_class = folder, _writer_class()
        self._config = flatten(decode_config(info["config"]))
        self._overrides = run_files.overrides_of(info)
        self._axes = dict.fromkeys(key for overrides in self._overrides for key in overrides)
        self._names = member_names(self._overrides)
        self._writers: dict[int, Any] = {}
        self._places: dict[int, int] = {}
        self._results: dict[str, None] = {}

    def log(self, member: int, record: Mapping[str, object]) -> None:
        """Write a record at its ``step``, or at its position among the member's records."""
        events = self._events(member)
        place = self._places[member]
        self._places[member] += 1
        step = record.get("step", place)
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                events.add_scalar(name, value, step)

    def finish(self, member: int, results: Mapping[str, object]) -> None:
        """Write the results of a member that are numbers, and close its file."""
        from tensorboardX import summary

        events = self._events(member)
        for name, value in results.items():
            if isinstance(value, int | float):
                events.add_scalar(f"result/{name}", value, 0)
                self._results[f"result/{name}"] = None
        events.file_writer.add_summary(summary.hparams({}, {})[2])  # the session's end
        events.close()

    def close(self) -> None:
        """Close all files; write what the HPARAMS tab shows."""
        from tensorboardX import summary

        for events in self._writers.values():
            if events.file_writer is not None:  # it is at work
                events.close()
        if not self._writers:
            return
        hyper = {key: _hyper(self._config[key]) for key in self._axes}
        with self._writer_class(str(self._folder)) as events:
            experiment, _, _ = summary.hparams(hyper, self._results)
            events.file_writer.add_summary(experiment)

    def _events(self, member: int) -> Any:
        if member not in self._writers:
            from tensorboardX import summary

            events = self._writer_class(str(self._folder / self._names[member]))
            values = self._config | self._overrides[member]
            hyper = {key: _hyper(values[key]) for key in self._axes}
            events.file_writer.add_summary(summary.hparams(hyper, {})[1])  # the session's start
            self._writers[member], self._places[member] = events, 0
        return self._writers[member]


def write(run_dir: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write event files of all that a run has logged so far, one TensorBoard run per member.

    Every call writes the files anew from metrics.jsonl and members.jsonl, so that no step occurs
    twice when a run went back to a checkpoint. The run may still be at work.

    Args:
        run_dir: of any experiment. Records with a ``step`` are shown at that step, others at their
            position.
        out: the folder, in which each member has a folder of its own; None: run_dir/tensorboard.

    Returns:
        the folder, for ``tensorboard --logdir``.

    Raises:
        UserError: tensorboardX is missing; there is no such run; nothing was logged and no member
            is finished; ``out`` has other contents.
    """
    _writer_class()
    run_dir = Path(run_dir)
    info, logged, results = _read(run_dir)
    if not logged and not results:
        raise UserError(f"{run_dir} has logged nothing, so there is nothing to show")
    folder = run_dir / FOLDER if out is None else Path(out)
    files = EventFiles(folder, info)
    _replay(files, logged, results)
    files.close()
    return folder


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(f"event files need tensorboardX: {install('tensorboard')}") from None
    # it warns of every infinite number, such as the step of a member that was never solved
    logging.getLogger("tensorboardX.x2num").setLevel(logging.ERROR)
    return SummaryWriter


def open_files(run_dir: Path) -> EventFiles:
    """Return the event files of a run that begins or resumes, with its finished members in them."""
    info, logged, results = _read(run_dir)
    files = EventFiles(run_dir / FOLDER, info)
    _replay(files, {member: logged.get(member, []) for member in results}, results)
    return files


def _read(run_dir: Path) -> tuple[Record, dict[int, list[Record]], dict[int, Record]]:
    """Return (config.json, what members logged, results of finished members)."""
    info, records = run_files.read_records(run_dir)
    metrics, _, problems = run_files.scan_metrics(run_dir, records)
    if problems:
        raise UserError(f"{problems[0]}; {run_files.AGAIN}")
    logged = {
        member: list(map(decode, lines))
        for member, lines in sorted(metrics.items())
        if 0 <= member < info["members"]
    }
    return info, logged, {record["member"]: decode(record["result"]) for record in records}


def _replay(
    files: EventFiles,
    logged: Mapping[int, Iterable[Record]],
    results: Mapping[int, Record],
) -> None:
    for member in sorted({*logged, *results}):
        for record in logged.get(member, ()):
            files.log(member, record)
        if member in results:
            files.finish(member, results[member])


def member_names(overrides: Sequence[Mapping[str, object]]) -> list[str]:
    """Return a name per member that a folder can have: its values on the axes in which they differ.

    >>> member_names([{"cell.name": "gru", "T": 9, "seed": seed} for seed in (0, 1)])
    ['seed=0', 'seed=1']
    >>> member_names([{"cell.name": "gru", "T": 9}, {"cell.name": "lstm", "T": 8}])
    ['cell.name=gru,T=9', 'cell.name=lstm,T=8']
    """
    digits = len(str(len(overrides) - 1))
    keys = dict.fromkeys(key for values in overrides for key in values)
    fixed = {key for key in keys if len({repr(values.get(key)) for values in overrides}) == 1}
    if len(fixed) == len(keys):
        fixed = set()
    names = []
    for index, values in enumerate(overrides):
        number = f"member-{index:0{digits}d}"
        differing = [f"{key}={value}" for key, value in values.items() if key not in fixed]
        name = ",".join(differing) or number
        name = re.sub(r"[^\w.=,()\[\]+ -]", "_", name)
        names.append(name if len(name) <= _LONGEST else f"{number},{name}"[:_LONGEST])
    counts = Counter(names)  # values that differ only in signs that a folder cannot have
    return [
        f"member-{index:0{digits}d},{name}"[:_LONGEST] if counts[name] > 1 else name
        for index, name in enumerate(names)
    ]


def _hyper(value: object) -> object:
    """Return a value of a config as TensorBoard shows it: numbers, texts, true and false."""
    return value if isinstance(value, bool | int | float | str) else str(value)


def _clear(folder: Path) -> None:
    """Remove a folder that holds nothing but event files, as an earlier call wrote it.

    Raises:
        UserError: it holds something else.
    """
    if not folder.exists():
        return
    for path in folder.rglob("*"):
        if not path.is_dir() and not path.name.startswith(_EVENTS):
            raise UserError(
                f"{folder} holds {path.relative_to(folder)}, which is no event file: choose "
                "another folder"
            )
    shutil.rmtree(folder)
