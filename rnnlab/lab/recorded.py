"""The files that made a run, loaded again: only texts whose digests the run recorded.

A run directory may come from somebody else, so nothing in it is executed unless that is asked for:
a file is executed where it lay when the run began, if it is still the same; the copy of it in the
directory's ``used/`` only with ``trust``.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import catalog, load
from rnnlab.lab.load import Experiment
from rnnlab.lab.sources import EXPERIMENT, Code, Source, copies

Record = dict[str, Any]  # of JSON


def record_of(experiment: Experiment) -> list[Record]:
    """Return the entry ``files`` of config.json: each file's path, digest and copy."""
    return [
        {
            "role": code.role,
            "file": code.file,
            "path": str(code.path.absolute()),
            "sources": [
                {"name": s.name, "sha256": s.digest, "copy": f"{run_files.USED}/{names[s.name]}"}
                for s in code.sources
            ],
        }
        for code, names in zip(experiment.codes, copies(experiment.codes), strict=True)
    ]


def keep(experiment: Experiment, run_dir: Path) -> list[str]:
    """Write the executed files to ``used/`` of a run directory, where they are not there yet.

    Returns:
        the names of the copies that were there, but damaged.
    """
    damaged = []
    for code, entry in zip(experiment.codes, record_of(experiment), strict=True):
        for source, named in zip(code.sources, entry["sources"], strict=True):
            path = run_files.inside(run_dir, named["copy"])
            found = run_files.digest_of(path)
            if found != source.digest:
                if found:
                    damaged.append(named["copy"])
                path.parent.mkdir(parents=True, exist_ok=True)
                json_files.write_bytes(path, source.text)
    return damaged


def load_recorded(run_dir: str | os.PathLike[str], *, trust: bool = False) -> Experiment:
    """Load the experiment of a run, and before it the files that it uses.

    What they register (schemes, cells, tasks) is registered again.

    Args:
        run_dir: the run directory.
        trust: whether files inside the run directory may be executed.
    Raises:
        UserError: no such run; a file that is gone or has changed since the run began, or lies
            inside the directory without ``trust``, or cannot be executed here, by its name.
    """
    info = run_files.read_config(run_dir)
    entries = info.get("files")
    try:
        codes = [_recorded(Path(run_dir), entry, trust) for entry in entries or ()]
        arg, roles = str(info["arg"]), [code.role for code in codes]
    except (LookupError, TypeError, AttributeError):
        codes, arg, roles = [], "", []
    if roles[-1:] != [EXPERIMENT]:
        raise UserError(f"{Path(run_dir) / run_files.CONFIG} does not say which files made the run")
    try:
        return load.load_code(codes, arg)
    except UserError:
        raise
    except Exception as error:  # whatever a file raises that needs what is not here
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{codes[-1].file} cannot be executed: {reason}") from error


def _recorded(run_dir: Path, entry: Mapping[str, Any], trust: bool) -> Code:
    """Return a recorded file as it was read from the first place that has its text."""
    file, reasons = entry["file"], []
    recorded = [(s["name"], s["sha256"], s["copy"]) for s in entry["sources"]]
    for path in dict.fromkeys(_places(entry)):
        texts, reason = _read(run_dir, [(path.parent / n, n, d) for n, d, _ in recorded], trust)
        if not reason:
            main, *beside = texts
            return Code(entry["role"], file, path, main, tuple(beside))
        reasons.append(reason)
    copy = run_files.inside(run_dir, recorded[0][2])
    if trust:
        kept = [(run_files.inside(run_dir, c), n, d) for n, d, c in recorded]
        texts, reason = _read(run_dir, kept, trust)
        if not reason:
            main, *beside = texts
            return Code(entry["role"], file, copy, main, tuple(beside))
        raise UserError(reason)
    # the most telling: a file that is there and is another, before one that is not there
    reason = min(reasons, key=lambda words: "there is no" in words)
    raise UserError(f"{reason}; --trust executes the copy {copy}, if you trust who made it")


def _places(entry: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the paths at which a recorded file may lie: as it was given, and in full."""
    if entry["role"] == EXPERIMENT:
        try:
            yield catalog.locate(entry["file"])[0]
        except UserError:
            yield Path(entry["file"])
    else:
        yield Path(entry["file"]).expanduser()
    yield Path(entry["path"])


def _read(
    run_dir: Path, files: list[tuple[Path, str, str]], trust: bool
) -> tuple[list[Source], str]:
    """Return (the files' texts, why they cannot be had: "" if they can).

    Args:
        files: (path, name, SHA-256) of each.
    """
    texts = []
    for path, name, digest in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return [], f"{run_dir} names the file {name!r}: not read"
        if not path.is_file():
            return [], f"there is no {path}, which made the run"
        if not trust and path.resolve().is_relative_to(run_dir.resolve()):
            return [], f"{path} lies inside {run_dir}, from where nothing is executed"
        text = path.read_bytes()
        if hashlib.sha256(text).hexdigest() != digest:
            return [], f"{path} has changed since the run began"
        texts.append(Source(name, text))
    return texts, ""
