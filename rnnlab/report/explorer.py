"""The explorer of a page: charts of a run's members, whose axes the reader chooses.

Program and data stand in the page, compressed, and are unpacked when the reader comes to them, so
that a page opens as fast as without. Charts are drawn by uPlot (vendor/, MIT License).
"""

import base64
import gzip
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rnnlab.core import run_files
from rnnlab.core.json_files import Json
from rnnlab.report.explorer_data import POINTS, Source, payload
from rnnlab.results.table import read_table, read_unfinished

MOST = 900_000  # characters of data in a page
_FEWEST = 16  # points of a curve
_HERE = Path(__file__).parent
_LIBRARY, _LICENSE = "vendor/uPlot.iife.min.js", "vendor/uPlot.LICENSE"
_PROGRAM = (
    "explorer_parts.js",
    "explorer_model.js",
    "explorer_chart.js",
    "explorer_heat.js",
    "explorer_lines.js",
    "explorer_grids.js",
    "explorer_tables.js",
    "explorer.js",
)


@dataclass(frozen=True)
class Explorer:
    """The explorer of a page: its program and its data, compressed.

    Args:
        members: their number.
        program: its script, and
        data: what it shows, both compressed with gzip, as base64; empty where a server sends it.
    """

    members: int
    program: str
    data: str


@cache
def program() -> str:
    """Return the explorer's script as the page holds it: the library with its license, and ours."""
    library, terms, *own = (
        (_HERE / name).read_text("utf-8") for name in (_LIBRARY, _LICENSE, *_PROGRAM)
    )
    return _packed("\n".join([f"/*\n{terms}*/", library, *own]))


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 7, mtime=0)).decode()


def explorer(sources: Sequence[Source], most: int = MOST) -> Explorer | None:
    """Return the explorer of one run or of several beside each other; None without members.

    Args:
        sources: the runs.
        most: characters of data. Curves are thinned until they fit; if that is not enough, the
            largest are left out. The page says both.
    """
    members = sum(len(source.members) for source in sources)
    return Explorer(members, program(), _fitting(sources, most)) if members else None


def live() -> Explorer:
    """Return an explorer without data, which a server sends."""
    return Explorer(0, program(), "")


def _fitting(sources: Sequence[Source], most: int) -> str:
    points, too_large = POINTS, []
    while True:
        shown = payload(sources, points, too_large)
        packed = _packed(to_json(shown))
        sizes = {q["name"]: len(to_json(q["of"])) for q in shown["quantities"] if q["x"]}
        if len(packed) <= most or not sizes:
            return packed
        if points > _FEWEST:
            longest = max(map(len, shown["xs"]), default=_FEWEST)
            halved = min(points, longest) // 2 ** max(1, round(math.log2(len(packed) / most)))
            points = max(_FEWEST, halved)
        else:
            too_large.append(max(sizes, key=sizes.__getitem__))


def to_json(shown: Json) -> str:
    """Return the explorer's data as strict JSON without spaces."""
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def of_run(
    run_dir: str | os.PathLike[str], label: str = "", *, in_progress: bool = False
) -> Source:
    """Return a run as the explorer shows it.

    Args:
        run_dir: the run directory.
        label: its name among several.
        in_progress: whether to show members still at work, with what they have logged.
    Raises:
        UserError: it is no run directory, or a file in it is damaged.
    """
    finished = [*read_table(run_dir)]
    done = {member.index for member in finished}
    logging = read_unfinished(run_dir) if in_progress else []
    working = [member for member in logging if member.index not in done]
    return Source(
        label,
        run_files.read_config(run_dir),
        [*finished, *working],
        frozenset(member.index for member in working),
    )
