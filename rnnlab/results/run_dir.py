"""Reading a run directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.results.claims import Verdict
from rnnlab.results.table import Config, Record, Table, read_table


@dataclass(frozen=True)
class Run:
    """The contents of a run directory.

    Args:
        dir: the directory.
        config: the base config, nested.
        table: the finished members.
        claims: the verdicts; empty before the run is finished.
        figures: name -> (path of the PNG, caption); empty before the run is finished.
        info: config.json, with environment, hash and sweep.
    """

    dir: Path
    config: Config
    table: Table
    claims: list[Verdict]
    figures: dict[str, tuple[Path, str]]
    info: Record

    @property
    def report(self) -> Path:
        """The path of the report, which is written last."""
        return self.dir / run_files.REPORT

    @property
    def finished(self) -> bool:
        """Whether the report has been written."""
        return run_files.is_finished(self.dir)


def load_run(run_dir: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not.

    Raises:
        UserError: when it is no run directory, or a file in it is damaged.
    """
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    table = read_table(run_dir)
    run_files.check_kept(run_dir)
    claims, captions = [], {}
    if run_files.is_finished(run_dir):
        run_files.check_drawn(run_dir)
        claims, captions = read_verdicts(run_dir), run_files.read_figures(run_dir)
    return Run(
        dir=run_dir,
        config=json_files.decode_config(info["config"]),
        table=table,
        claims=claims,
        figures={
            name: (run_dir / f"figures/{name}.png", caption) for name, caption in captions.items()
        },
        info=info,
    )


def read_verdicts(run_dir: str | os.PathLike[str]) -> list[Verdict]:
    """Read claims.json of a run.

    Raises:
        UserError: it is missing or damaged.
    """
    path = Path(run_dir) / run_files.CLAIMS
    if not path.is_file():
        raise UserError(f"{run_dir} is not a finished run: it has no {run_files.CLAIMS}")
    try:
        return [Verdict(**verdict) for verdict in json_files.read_json(path)]
    except TypeError as error:
        raise UserError(f"{path} is no list of verdicts: {error}") from None
