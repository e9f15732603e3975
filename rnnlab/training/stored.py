"""What a run stores of its tasks when it begins: stored/<digest>.json of a run directory.

Predictions need more of the data than parameters: a vocabulary, labels, a scale. A task that is
:class:`rnnlab.tasks.base.Restorable` says what, and gets it back when a trained member is loaded,
so that nothing is read again from the training data. Members whose tasks differ have an entry
each; equal contents are one file. config.json has the entries::

    "stored": [{"task": the group of the config, "sha256": of the content, or null,
                "files": {a file that the group names: its SHA-256}}]
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.core.json_files import Record
from rnnlab.core.nested import flatten
from rnnlab.core.run_files import ANEW, stored_file
from rnnlab.tasks.base import Restorable, Task
from rnnlab.training.settings import Config, MemberSpec, task_of

STORED = "stored"  # a folder of a run directory, and the key of config.json


@dataclass(frozen=True)
class Memory:
    """What the tasks of a run store.

    Args:
        entries: of config.json, one per distinct task.
        contents: by their SHA-256.
    """

    entries: list[Record]
    contents: dict[str, bytes]

    def write(self, run_dir: Path) -> None:
        """Write the contents that are missing or damaged."""
        for digest, content in self.contents.items():
            path = stored_file(run_dir, digest)
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(exist_ok=True)
                json_files.write_bytes(path, content)

    def check(self, run_dir: Path, entries: object) -> None:
        """Refuse data that have changed since the run began.

        Args:
            entries: of the run's config.json.
        Raises:
            UserError: a file of a task, or what is learned from its data, is another now.
        """
        known = checked(run_dir, entries)
        if [entry["task"] for entry in known] != [entry["task"] for entry in self.entries]:
            raise UserError(f"{run_dir}/config.json is damaged: {STORED!r} names other tasks")
        for now, before in zip(self.entries, known, strict=True):
            name = now["task"].get("name")
            changed = [f for f, digest in before["files"].items() if now["files"].get(f) != digest]
            if changed or now != before:
                what = f"{', '.join(changed)} of" if changed else "the data of"
                raise UserError(
                    f"{what} task {name!r} changed since {run_dir} began: bring back the old "
                    f"data, {ANEW}"
                )


def collect(specs: Sequence[MemberSpec]) -> Memory:
    """Return what the members' tasks store; data are read."""
    entries: dict[str, Record] = {}
    contents = {}
    for spec in specs:
        group = _group(spec.config)
        key = json.dumps(group)
        if key in entries:
            continue
        digest, task = None, spec.setup.task
        if isinstance(task, Restorable):
            content = _content(task, group.get("name"))
            digest = hashlib.sha256(content).hexdigest()
            contents[digest] = content
        entries[key] = {"task": group, "sha256": digest, "files": _files(group)}
    return Memory(list(entries.values()), contents)


def _content(task: Restorable, name: object) -> bytes:
    """Return what a task stores, having seen that it comes back with the same sizes."""
    try:
        record = json_files.encode(task.stored())
        content = json.dumps(record, ensure_ascii=False, allow_nan=False)
        again = task.restored(json.loads(content))
    except (TypeError, LookupError) as error:
        raise UserError(f"task {name!r} cannot be stored and restored: {error!r}") from error
    for size in ("length", "input_size", "output_size"):
        got, expected = getattr(again, size), getattr(task, size)
        if got != expected:
            raise UserError(
                f"task {name!r}, restored from what it stores, must have {size}={expected}, "
                f"got {got}"
            )
    return content.encode()


def restore(run_dir: Path, info: Mapping[str, object], config: Config) -> Task:
    """Return the task of a member's config as it was when the run began.

    Args:
        info: the run's config.json, not decoded.
    Raises:
        UserError: nothing is stored of it, or a file is missing or has changed.
    """
    task, group = task_of(config), _group(config)
    entries = checked(run_dir, info.get(STORED, []))
    entry = next((entry for entry in entries if entry["task"] == group), None)
    if not isinstance(task, Restorable):
        if entry is not None:
            _check_files(run_dir, entry)
        return task
    if entry is None or entry["sha256"] is None:
        raise UserError(
            f"{run_dir}/config.json names nothing stored of task {group.get('name')!r}: the run "
            "must be made again"
        )
    return task.restored(_read(run_dir, entry["sha256"]))


def checked(run_dir: Path, entries: object) -> list[Record]:
    """Return the entries of a config.json.

    Raises:
        UserError: they are of another form.
    """
    form = {"task": dict, "sha256": str | None, "files": dict}
    if isinstance(entries, list) and all(
        isinstance(entry, dict)
        and entry.keys() == form.keys()
        and all(isinstance(entry[key], kind) for key, kind in form.items())
        for entry in entries
    ):
        return entries
    raise UserError(f"{run_dir}/config.json is damaged: {STORED!r} is no list of stored tasks")


def _group(config: Config) -> Record:
    return json_files.encode(config.task.to_dict())


def _read(run_dir: Path, digest: str) -> Record:
    path = stored_file(run_dir, digest)
    heal = "give the command that began the run again to store it anew"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing, which predictions need: {heal}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"{path} is not what the run stored, its SHA-256 differs: {heal}")
    return json.loads(content)


# ---- files of tasks that store nothing ---------------------------------------------------------


def _files(group: Record) -> dict[str, str]:
    """Return the SHA-256 of every file that a task's options name."""
    return {
        name: hashlib.sha256(Path(name).expanduser().read_bytes()).hexdigest()
        for name in _strings(group)
        if _is_file(name)
    }


def _strings(group: Record) -> Iterator[str]:
    for value in flatten(group).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and item:
                yield item


def _is_file(name: str) -> bool:
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no home: no path
        return False


def _check_files(run_dir: Path, entry: Record) -> None:
    for name, digest in entry["files"].items():
        task = f"task {entry['task'].get('name')!r} stores nothing of it (see Restorable)"
        if not _is_file(name):
            raise UserError(f"{name}, from which {run_dir} was trained, is missing: {task}")
        if _files({"": name})[name] != digest:
            raise UserError(f"{name} has changed since {run_dir} was trained: {task}")
