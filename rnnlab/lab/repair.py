"""Damage in a run directory, repaired by the command that began the run.

A member whose line, metrics or parameters are not what was written is dropped with all that it
left, and so is run again; what is drawn from the results is drawn again. Each damage is said in
one line.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnlab.core import json_files, run_files
from rnnlab.core.json_files import Record
from rnnlab.core.nested import joined

Say = Callable[[str], None]


def repair(run_dir: Path, info: Record, say: Say) -> bool:
    """Drop what is damaged; return whether the run is finished and whole.

    Args:
        run_dir: the run directory, locked.
        info: config.json.
        say: takes a line for each damage.
    """
    records, problems = run_files.scan_members(run_dir, info)
    logged, digests, metric_problems = run_files.scan_metrics(run_dir, records)
    lost: dict[int, str] = {}
    for record in records:
        member = record["member"]
        problem = run_files.params_problem(run_dir, record)
        if record.get("logged", "") != digests.get(member, ""):
            problem = f"{run_dir / run_files.METRICS} does not have what member {member} logged"
        if problem:
            lost[member] = problem
    for problem in problems:
        say(f"{problem}: the line is dropped")
    for problem in metric_problems:
        if "line" in problem:
            say(f"{problem}: the line is dropped")
    for problem in lost.values():
        say(f"{problem}: the member is run again")
    strays = [member for member in logged if not 0 <= member < info["members"]]
    if problems or metric_problems or lost or strays:
        _keep_good(run_dir, {r["member"] for r in records} - set(lost), lost, info)
    missing = info["members"] - (len(records) - len(lost))
    if missing and run_files.is_finished(run_dir):
        say(f"{run_dir / run_files.MEMBERS} lacks {missing} of {info['members']} members")
    problem = run_files.drawn_problem(run_dir)
    if not missing and not problem:
        return True
    if run_files.is_finished(run_dir) and problem:
        say(f"{problem}: it is written again")
    for name in (run_files.DIGESTS, run_files.REPORT):  # the run is not finished any more
        (run_dir / name).unlink(missing_ok=True)
    return False


def _keep_good(run_dir: Path, good: set[int], lost: Mapping[int, str], info: Record) -> None:
    """Rewrite members.jsonl with the good members and metrics.jsonl without the lost ones."""
    members, metrics = run_dir / run_files.MEMBERS, run_dir / run_files.METRICS
    lines, kept = [], set(good)
    for line in json_files.scan_jsonl(members):
        record = line.record
        if record is None or not run_files.is_sealed(record, info["hash"]):
            continue
        if record["member"] in kept:  # the first of a doubled line
            kept.remove(record["member"])
            lines.append(line.text)
    _replace(members, lines)
    _replace(
        metrics,
        [
            line.text
            for line in json_files.scan_jsonl(metrics)
            if line.record is not None
            and type(member := line.record.get("member")) is int
            and 0 <= member < info["members"]
            and member not in lost
        ],
    )


def _replace(path: Path, lines: Sequence[bytes]) -> None:
    content = b"".join(line + b"\n" for line in lines)
    if path.exists() and path.read_bytes() != content:
        json_files.write_bytes(path, content)


def tidy(run_dir: Path) -> None:
    """Remove what killed processes left in a run whose members are finished."""
    json_files.remove_parts(run_dir)
    shutil.rmtree(run_dir / run_files.CHECKPOINTS, ignore_errors=True)


class Metrics:
    """metrics.jsonl of a run at work, with the digest of what each member has logged.

    Args:
        run_dir: the run directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / run_files.METRICS
        self.keep(lambda record: True)  # cut off a half-written line

    def _read(self) -> dict[int, str]:
        return run_files.scan_metrics(self.path.parent, ())[1]

    def append(self, member: int, record: Mapping[str, object]) -> None:
        """Append a record of a member."""
        line = json_files.to_line(joined({"member": member}, record))
        json_files.append_lines(self.path, line)
        self._digests[member] = run_files.chained(self.digest(member), line)

    def digest(self, member: int) -> str:
        """Return the digest of what a member has logged; "" if it has logged nothing."""
        return self._digests.get(member, "")

    def sync(self) -> None:
        """Wait until the file is on the disk."""
        json_files.sync(self.path)

    def keep(self, valid: Callable[[Record], bool]) -> None:
        """Reduce the file to the records for which ``valid`` is true."""
        json_files.keep_jsonl(self.path, valid)
        self._digests = self._read()

    def rewind(self, steps: Mapping[int, int]) -> None:
        """Drop what members logged after these steps; at step 0 nothing of a member is kept."""
        # the file grows with every member: it is read only where there may be something to drop
        if not any(self.digest(member) for member in steps):
            return

        def valid(record: Record) -> bool:
            step = steps.get(record["member"])
            return step is None or (step > 0 and record["step"] <= step)

        self.keep(valid)

    def cut(self, logged: Mapping[int, str]) -> None:
        """Reduce members' records to the first ones, whose digests are given."""
        ends = {member: digest == "" for member, digest in logged.items()}
        digests = dict.fromkeys(logged, "")
        lines = []
        for line in json_files.scan_jsonl(self.path):
            if line.record is None:
                continue
            member = line.record["member"]
            if member in logged:
                if ends[member]:
                    continue
                digests[member] = run_files.chained(digests[member], line.text)
                ends[member] = digests[member] == logged[member]
            lines.append(line.text)
        _replace(self.path, lines)
        self._digests = self._read()

    def begins_with(self, logged: Mapping[str, str], done: set[int]) -> bool:
        """Whether the file has the records that a checkpoint goes with.

        Args:
            logged: digests by member, as the checkpoint has them.
            done: members that are finished, whose metrics are checked by their own lines.
        """
        waiting = {int(member): d for member, d in logged.items() if d and int(member) not in done}
        digests = dict.fromkeys(waiting, "")
        for line in json_files.scan_jsonl(self.path):
            member: Any = line.record["member"] if line.record else None
            if member in waiting:
                digests[member] = run_files.chained(digests[member], line.text)
                if digests[member] == waiting[member]:
                    del waiting[member]
        return not waiting
