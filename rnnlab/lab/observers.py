"""Observers of a run at work: a function of the user's, and experiment trackers."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab.plan import Plan

if TYPE_CHECKING:
    from rnnlab.report.trackers import Tracker

Record = dict[str, Any]  # of metrics or results, decoded
OnMetrics = Callable[[int, Record, Record], object]


def check(on_metrics: object, trackers: Sequence[str]) -> None:
    """Refuse observers that cannot be used, before anything runs.

    Raises:
        UserError: no function; a tracker that does not exist or is not installed.
    """
    if on_metrics is not None and not callable(on_metrics):
        raise UserError(
            f"on_metrics is a function (member, overrides, record), got {on_metrics!r:.80}"
        )
    if trackers:
        from rnnlab.report import trackers as known

        try:
            known.check(trackers)
        except ValueError as error:
            raise UserError(str(error)) from None


class Observers:
    """The observers of one run.

    Args:
        plan: the run.
        run_dir: its directory, with what was logged before it was interrupted.
        on_metrics: takes (member, the member's overrides by dotted key, a record that it logged).
        trackers: opened trackers.
    """

    def __init__(
        self,
        plan: Plan,
        run_dir: Path,
        on_metrics: OnMetrics | None,
        trackers: "Sequence[Tracker]",
    ) -> None:
        self._plan, self._run_dir = plan, run_dir
        self._on_metrics, self._trackers = on_metrics, trackers
        # members of an interrupted run, whose trackers need what was logged before
        self._resuming = {record["member"] for record in self._records()} if trackers else set()

    def log(self, member: int, record: Mapping[str, object]) -> None:
        """Hand on a record that was written to metrics.jsonl."""
        if self._on_metrics is None and not self._trackers:
            return
        decoded = json_files.decode(json_files.encode(dict(record)))
        records = [decoded]
        if member in self._resuming:
            self._resuming.remove(member)
            records = [
                {name: json_files.decode(value) for name, value in line.items() if name != "member"}
                for line in self._records()
                if line["member"] == member
            ]
        for tracker in self._trackers:
            for each in records:
                tracker.log(member, each)
        if self._on_metrics is not None:
            self._call(member, decoded)

    def _call(self, member: int, record: Record) -> None:
        assert self._on_metrics is not None
        try:
            self._on_metrics(member, dict(self._plan.members[member]), record)
        except Exception as error:
            name = getattr(self._on_metrics, "__qualname__", repr(self._on_metrics))
            error.add_note(f"in on_metrics={name}, with a record of member {member}: {record}")
            raise

    def finish(self, member: int, results: Mapping[str, object]) -> None:
        """Hand on the results that were written to members.jsonl."""
        for tracker in self._trackers:
            tracker.finish(member, json_files.decode(dict(results)))

    def _records(self) -> list[Record]:
        """Return the whole lines of metrics.jsonl, without decoding."""
        lines = json_files.scan_jsonl(self._run_dir / run_files.METRICS)
        return [line.record for line in lines if line.record is not None]


@contextlib.contextmanager
def opened(
    plan: Plan, run_dir: Path, on_metrics: OnMetrics | None, trackers: Sequence[str]
) -> Iterator[Observers]:
    """Yield the observers of a run, and end its trackers' runs however it ends."""
    listed: list[Tracker] = []
    if trackers:
        from rnnlab.report.trackers import open_trackers

        listed = open_trackers(trackers, run_dir)
    try:
        yield Observers(plan, run_dir, on_metrics, listed)
    finally:
        for tracker in listed:
            tracker.close()
