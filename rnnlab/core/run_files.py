"""Names of the files in a run directory; readers of its config and its finished members."""

import os
from pathlib import Path

from rnnlab.core.errors import UserError
from rnnlab.core.json_files import Record, decode, decode_config, read_json, read_jsonl
from rnnlab.core.nested import with_overrides

CONFIG, MEMBERS, METRICS = "config.json", "members.jsonl", "metrics.jsonl"
CLAIMS, FIGURES, REPORT = "claims.json", "figures.json", "report.html"
PREDICTIONS = "predictions.json"  # written for each member before anything runs


def read_config(run_dir: str | os.PathLike[str]) -> Record:
    """Read config.json of a run directory, without decoding.

    Raises:
        UserError: there is no such file, or it is not JSON.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise UserError(f"{run_dir} is no run directory: it has no {CONFIG}")
    return read_json(path)


def read_members(run_dir: str | os.PathLike[str]) -> list[Record]:
    """Read the finished members of a run directory, sorted by index.

    Returns:
        a dict per member: ``index``, ``overrides`` (by dotted key), ``config`` (complete, nested),
        ``seconds`` and ``result``.
    Raises:
        UserError: the directory is no run directory, or a file in it is broken.
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
