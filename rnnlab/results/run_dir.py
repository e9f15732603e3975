"""Reading a run directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import json_files, run_files
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
        figures: name -> (path of the PNG, caption).
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
        return self.report.is_file()


def load_run(run_dir: str | os.PathLike[str]) -> Run:
    """Read a run directory, finished or not.

    Raises:
        UserError: when it is no run directory, or a file in it is broken.
    """
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    claims, figures = run_dir / run_files.CLAIMS, run_dir / run_files.FIGURES
    captions = json_files.read_json(figures) if figures.exists() else {}
    return Run(
        dir=run_dir,
        config=json_files.decode_config(info["config"]),
        table=read_table(run_dir),
        claims=[Verdict(**v) for v in json_files.read_json(claims)] if claims.exists() else [],
        figures={
            name: (run_dir / f"figures/{name}.png", entry["caption"])
            for name, entry in captions.items()
        },
        info=info,
    )
