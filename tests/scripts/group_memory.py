"""Peak memory of a run of many groups, each of which compiles a program of its own.

    python tests/scripts/group_memory.py --groups=200

Trains one small member per group, in this process, and prints the peak of its memory as groups
end; what a group compiled must be let go, so that the peak at the end is close to that at 20.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from rnnlab.training import runner
from tests.helpers import trained


def peak() -> float:
    """Return the peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """Return the memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def jobs(groups: int, cell: str, probes: tuple[int, ...]) -> list[runner.Job]:
    """Return one job per group: each has a length of its sequences, and a hidden size, of its own.

    Args:
        groups: how many.
        cell: of every member.
        probes: steps before which the gradient is probed, which compiles more.
    """
    return [
        trained.job(
            index,
            cell=cell,
            task={"name": "adding", "length": 10 + index},
            hidden_size=5 + index % 40,
            probes=probes,
        )
        for index in range(groups)
    ]


class Peaks(runner.Sink):
    """Keeps the peak of the memory at the end of each group."""

    def __init__(self) -> None:
        self.peaks: list[float] = []
        self.started = time.perf_counter()

    def finish(self, index: int, seconds: float, result: dict[str, object]) -> None:
        self.peaks.append(peak())
        if len(self.peaks) % 10 == 0:
            print(
                f"{len(self.peaks):>4} groups: now {resident():.0f} MB, peak {self.peaks[-1]:.0f} "
                f"MB, {time.perf_counter() - self.started:.0f} s",
                flush=True,
            )


def main() -> None:
    """Train the groups; fail if the peak at the end is 25% above that at 20 groups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--noprobes", action="store_true", help="which makes groups faster")
    options = parser.parse_args()
    members = jobs(options.groups, options.cell, () if options.noprobes else (0,))
    sink = Peaks()
    with tempfile.TemporaryDirectory() as folder:
        runner.train(members, set(), Path(folder), "memory", sink)
    early, late = sink.peaks[min(19, len(sink.peaks) - 1)], sink.peaks[-1]
    print(
        f"peak {early:.0f} MB at 20 groups, {late:.0f} MB at {options.groups}: {late / early:.2f}"
    )
    if late > 1.25 * early:
        raise SystemExit("memory grows with the groups")


if __name__ == "__main__":
    main()
