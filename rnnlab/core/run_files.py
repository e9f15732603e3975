"""Names of the files of a run directory; its config and its finished members, read."""

import os
from pathlib import Path
from typing import Any

from rnnlab.core.errors import UserError
from rnnlab.core.json_files import decode, decode_config, read_json, read_jsonl
from rnnlab.core.nested import with_overrides

CONFIG, MEMBERS, METRICS = "config.json", "members.jsonl", "metrics.jsonl"
CLAIMS, FIGURES, REPORT = "claims.json", "figures.json", "report.html"
PREDICTIONS = "predictions.json"  # of each member, written before anything runs


def read_config(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """config.json of a run directory, as it stands.

    Raises:
        UserError: when there is none.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise UserError(f"{run_dir} is no run directory: it has no {CONFIG}")
    return read_json(path)


def read_members(run_dir: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The finished members of a run directory, by index.

    Returns:
        a dict for each: ``index``, ``overrides`` (by dotted key), ``config`` (whole, nested),
        ``seconds`` and ``result``.

    Raises:
        UserError: when the directory is no run directory, or a file in it is broken.
    """
    base = decode_config(read_config(run_dir)["config"])
    members = []
    for record in sorted(read_jsonl(Path(run_dir) / MEMBERS), key=lambda line: line["member"]):
        overrides = decode_config(record["overrides"])
        members.append(
            {
                "index": record["member"],
                "overrides": overrides,
                "config": with_overrides(base, overrides),
                "seconds": record["seconds"],
                "result": decode(record["result"]),
            }
        )
    return members
