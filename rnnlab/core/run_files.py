"""Names of the files in a run directory; readers that notice damage.

What a run writes can be checked. config.json and every line of members.jsonl carry the SHA-256 of
what they hold; a member's line also has the digests of the metrics that it logged and of its
parameters, and digests.json, written last, those of the files that are drawn from the results.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rnnlab.core import json_files
from rnnlab.core.errors import UserError
from rnnlab.core.json_files import Record, decode, decode_config
from rnnlab.core.nested import with_overrides

CONFIG, MEMBERS, METRICS = "config.json", "members.jsonl", "metrics.jsonl"
CLAIMS, FIGURES, REPORT = "claims.json", "figures.json", "report.html"
COMPARISON = "comparison.json"  # verdicts on arms, of a run that compares
RESULTS = "results.csv"  # a row per combination of the swept axes
PNG, SVG, CSV = "png", "svg", "csv"  # endings of a figure's files
PHONES = "phone.svg", "phone.png"  # one of them, of a figure that is wide
CHECKPOINTS = "checkpoints"  # a folder, while members train
PREDICTIONS = "predictions.json"  # written for each member before anything runs
DIGESTS = "digests.json"  # of a finished run, written last
USED = "used"  # the Python files that a run executes, copied
PARAMS = "params"  # the trained parameters: <member>.npz

AGAIN = "finish it with the command that began it"  # which runs what is missing
ANEW = "choose another --workdir, or --rerun to throw away what it has and run again"
_SEAL = "sha256"


# ---- digests -----------------------------------------------------------------------------------


def sealed(record: Mapping[str, object], run: str = "") -> Record:
    """Return a record with ``sha256``, the digest of its other keys and of the run.

    Args:
        record: of values that JSON can hold.
        run: the run's hash, so that a record of another run is noticed.

    >>> is_sealed(sealed({"member": 0})), is_sealed({"member": 0})
    (True, False)
    """
    body = {key: json_files.encode(value) for key, value in record.items() if key != _SEAL}
    return body | {_SEAL: _digest_of(body, run)}


def is_sealed(record: object, run: str = "") -> bool:
    """Whether a record is what :func:`sealed` returned for this run."""
    if not isinstance(record, dict) or not isinstance(record.get(_SEAL), str):
        return False
    body = {key: value for key, value in record.items() if key != _SEAL}
    return record[_SEAL] == _digest_of(body, run)


def _digest_of(body: Mapping[str, object], run: str) -> str:
    text = json.dumps([run, body], ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def chained(before: str, line: bytes) -> str:
    """Return the digest of lines of metrics, from that of the lines before and the next one.

    Args:
        before: "" for the first line.
        line: without its newline.
    """
    return hashlib.sha256(before.encode() + line).hexdigest()


def digest_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file; "" if there is none."""
    path = Path(path)
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inside(run_dir: str | os.PathLike[str], name: object) -> Path:
    """Return the path of a file that a run directory names, which must lie in it.

    Raises:
        UserError: an absolute path, or one with "..".

    >>> inside("run", "used/mine.py").as_posix()
    'run/used/mine.py'
    """
    parts = PurePosixPath(name).parts if isinstance(name, str) else ()
    plain = all(part != ".." and not set(part) & set("/\\:\0") for part in parts)
    if not parts or not plain:
        raise UserError(f"{run_dir} names the file {name!r}, which does not lie in it: not read")
    return Path(run_dir, *parts)


# ---- config.json -------------------------------------------------------------------------------


def read_config(run_dir: str | os.PathLike[str]) -> Record:
    """Read config.json of a run directory, without decoding.

    Raises:
        UserError: there is no such file, or it is not what a run wrote.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise UserError(f"{run_dir} is no run directory: it has no {CONFIG}")
    info = json_files.read_json(path)
    if not is_sealed(info):
        raise UserError(f"{path} is not what was written: its digest is another")
    return info


def overrides_of(info: Record) -> list[Record]:
    """Return the values that the sweep set for each member, by dotted key.

    Args:
        info: config.json.
    Raises:
        UserError: an earlier rnnlab wrote it, which did not list them.
    """
    if "overrides" not in info:
        raise UserError(f"an earlier rnnlab made this run, and did not list its members: {ANEW}")
    return [decode_config(overrides) for overrides in info["overrides"]]


def write_config(run_dir: str | os.PathLike[str], info: Mapping[str, object]) -> None:
    """Write config.json with its digest: see :func:`sealed`."""
    json_files.write_json(Path(run_dir) / CONFIG, sealed(info))


# ---- members.jsonl -----------------------------------------------------------------------------


def append_member(run_dir: str | os.PathLike[str], run: str, record: Mapping[str, object]) -> None:
    """Append the line of a finished member, sealed, and wait until it is on disk.

    Args:
        run: the run's hash.
    """
    line = json_files.to_line(sealed(record, run))
    json_files.append_lines(Path(run_dir) / MEMBERS, line, durable=True)


def scan_members(run_dir: str | os.PathLike[str], info: Record) -> tuple[list[Record], list[str]]:
    """Return (lines of members.jsonl that are whole, what is wrong with the others).

    Args:
        info: config.json.
    """
    path = Path(run_dir) / MEMBERS
    good: dict[int, Record] = {}
    problems = []
    for line in json_files.scan_jsonl(path):
        record, problem = line.record, ""
        if not line.written:
            continue  # the run was stopped here
        if record is None:
            problem = f"is not a JSON record: {line.problem}"
        elif not is_sealed(record, str(info.get("hash", ""))) or not _is_member(record, info):
            problem = "is not what was written: its digest is another"
        elif record["member"] in good:
            problem = f"has member {record['member']} a second time"
        else:
            good[record["member"]] = record
        if problem:
            problems.append(f"{path}, line {line.number}, {problem}")
    return list(good.values()), problems


def _is_member(record: Record, info: Record) -> bool:
    """Whether a line has a member's keys; a seal can be forged by who made the directory."""
    index = record.get("member")
    return (
        type(index) is int
        and 0 <= index < info.get("members", index + 1)
        and isinstance(record.get("overrides"), dict)
        and isinstance(record.get("result"), dict)
        and isinstance(record.get("seconds"), int | float)
    )


def read_records(run_dir: str | os.PathLike[str]) -> tuple[Record, list[Record]]:
    """Read (config.json, the lines of finished members by index), without decoding.

    Raises:
        UserError: the directory is no run directory, or one of the two files is damaged.
    """
    info = read_config(run_dir)
    records, problems = scan_members(run_dir, info)
    missing = info.get("members", 0) - len(records)
    if not problems and missing > 0 and is_finished(run_dir):
        problems = [f"{Path(run_dir) / MEMBERS} lacks {missing} of {info['members']} members"]
    if problems:
        raise UserError(f"{problems[0]}; {AGAIN}")
    return info, sorted(records, key=lambda record: record["member"])


def read_members(run_dir: str | os.PathLike[str]) -> list[Record]:
    """Read the finished members of a run directory, sorted by index.

    Returns:
        a dict per member: ``index``, ``overrides`` (by dotted key), ``config`` (complete, nested),
        ``seconds``, ``result`` and ``phase``.
    Raises:
        UserError: the directory is no run directory, or a file in it is damaged.
    """
    info, records = read_records(run_dir)
    return [member_of(run_dir, info, record) for record in records]


def member_of(run_dir: str | os.PathLike[str], info: Record, record: Record) -> Record:
    """Decode a line of members.jsonl: see :func:`read_members`.

    Raises:
        UserError: overrides that do not fit the config.
    """
    overrides = decode_config(record["overrides"])
    try:
        config = with_overrides(decode_config(info["config"]), overrides)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{run_dir}: the overrides of member {record['member']} do not fit {CONFIG}"
        ) from None
    return {
        "index": record["member"],
        "overrides": overrides,
        "config": config,
        "seconds": record["seconds"],
        "result": decode(record["result"]),
        "phase": phase_of(info, record["member"]),
    }


def phase_of(info: Record, member: int) -> str:
    """Return what a member was trained for, in a run that compares arms; else "".

    Args:
        info: config.json.
    """
    phases = info.get("phases", ())
    return phases[member] if member < len(phases) else ""


def params_file(run_dir: str | os.PathLike[str], index: int) -> Path:
    """Return the path of a member's trained parameters: params/<member>.npz."""
    return Path(run_dir) / PARAMS / f"{index}.npz"


def params_problem(run_dir: str | os.PathLike[str], record: Record) -> str:
    """Return what is wrong with a finished member's parameters; "" if nothing is.

    Args:
        record: its line of members.jsonl; without ``params``, the digest, it has none.
    """
    path = params_file(run_dir, record["member"])
    if "params" not in record or digest_of(path) == record["params"]:
        return ""
    if not path.is_file():
        return f"{path} is missing"
    return f"{path} is not what was written: its digest is another"


def stored_file(run_dir: str | os.PathLike[str], digest: str) -> Path:
    """Return the path of what a run stored of a task, by its digest."""
    return Path(run_dir) / "stored" / f"{digest[:16]}.json"


def check_kept(run_dir: str | os.PathLike[str]) -> None:
    """Check parameters, predictions, what is stored of tasks, and the copies of Python files.

    Raises:
        UserError: one of them is missing or damaged.
    """
    info, records = read_records(run_dir)
    problems = [params_problem(run_dir, record) for record in records]
    kept = {
        inside(run_dir, source["copy"]): source["sha256"]
        for entry in info.get("files", ())
        for source in entry["sources"]
    }
    digests = [entry["sha256"] for entry in info.get("stored", ()) if entry["sha256"]]
    kept |= {stored_file(run_dir, digest): digest for digest in digests}
    if not records and not is_finished(run_dir):
        kept = {}  # the run has just begun
    elif predicted := info.get("predictions_sha256", ""):
        kept[Path(run_dir) / PREDICTIONS] = predicted
    for path, digest in kept.items():
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif digest_of(path) != digest:
            problems.append(f"{path} is not what was written: its digest is another")
    for problem in filter(None, problems):
        raise UserError(f"{problem}; {AGAIN}")


# ---- metrics.jsonl -----------------------------------------------------------------------------


def scan_metrics(
    run_dir: str | os.PathLike[str], records: Iterable[Record]
) -> tuple[dict[int, list[Record]], dict[int, str], list[str]]:
    """Return (metrics by member, their digests by member, what is wrong with the file).

    Args:
        records: lines of finished members, whose metrics are compared with the recorded digest.
    """
    path = Path(run_dir) / METRICS
    logged: dict[int, list[Record]] = {}
    digests: dict[int, str] = {}
    problems = []
    for line in json_files.scan_jsonl(path):
        member = line.record.pop("member", None) if line.record else None
        if line.record is not None and type(member) is int:
            logged.setdefault(member, []).append(line.record)
            digests[member] = chained(digests.get(member, ""), line.text)
        elif line.written:
            reason = line.problem or "it names no member"
            problems.append(f"{path}, line {line.number}, is not a record of metrics: {reason}")
    problems += [
        f"{path} does not have the metrics that member {record['member']} logged"
        for record in records
        if record.get("logged", "") != digests.get(record["member"], "")
    ]
    return logged, digests, problems


# ---- files of a finished run -------------------------------------------------------------------


def is_finished(run_dir: str | os.PathLike[str]) -> bool:
    """Whether the run was finished, even if a file has been damaged since."""
    return any((Path(run_dir) / name).is_file() for name in (REPORT, DIGESTS))


def drawn_files(run_dir: str | os.PathLike[str]) -> list[str]:
    """Return the names of the files that are drawn from a run's results.

    Raises:
        UserError: config.json or figures.json is missing or damaged.
    """
    names = [
        f"figures/{name}.{ending}"
        for name, endings in figure_files(run_dir).items()
        for ending in endings
    ]
    compared = [COMPARISON] if read_config(run_dir).get("comparisons") else []
    return [RESULTS, CLAIMS, *compared, FIGURES, *names, REPORT]


def read_figures(run_dir: str | os.PathLike[str]) -> dict[str, str]:
    """Return the captions of figures.json, by the figure's name.

    Raises:
        UserError: it is missing or damaged, or names a file elsewhere.
    """
    return {name: entry["caption"] for name, entry in _figures(run_dir).items()}


def figure_files(run_dir: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Return the endings of a figure's files in figures/, by the figure's name: PNG at least.

    Raises:
        UserError: as :func:`read_figures`.
    """
    endings = {name: entry.get("files", [PNG]) for name, entry in _figures(run_dir).items()}
    for name, found in endings.items():
        if not isinstance(found, list) or not {PNG} <= {*found} <= {PNG, SVG, CSV, *PHONES}:
            raise UserError(
                f"{Path(run_dir) / FIGURES}: the figure {name} has no such files: {found}"
            )
    return endings


def _figures(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Return figures.json."""
    path = Path(run_dir) / FIGURES
    if not path.is_file():
        raise UserError(f"{run_dir} is not a finished run: it has no {FIGURES}")
    captions: Any = json_files.read_json(path)
    if not isinstance(captions, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("caption"), str)
        for entry in captions.values()
    ):
        raise UserError(f"{path} holds no figures by name with a caption each")
    for name in captions:
        if not is_figure_name(name):
            raise UserError(f"{path} names the figure {name!r}, which is no file's name: not read")
    return captions


def is_figure_name(name: str) -> bool:
    """Whether a name can be that of a figure's file: letters, digits, "_" and "-".

    >>> is_figure_name("loss-curves"), is_figure_name("../loss")
    (True, False)
    """
    return re.fullmatch(r"[\w-]+", name) is not None


def write_digests(run_dir: str | os.PathLike[str]) -> None:
    """Write digests.json, which marks a finished run."""
    digests = {name: digest_of(Path(run_dir) / name) for name in drawn_files(run_dir)}
    json_files.write_json(Path(run_dir) / DIGESTS, sealed({"files": digests}))


def drawn_problem(run_dir: str | os.PathLike[str], but: str = "") -> str:
    """Return what is wrong with the files that are drawn from the results; "" if nothing is.

    Args:
        but: a file that is not checked, since it is written next.
    """
    run_dir = Path(run_dir)
    path = run_dir / DIGESTS
    if not path.is_file():
        return f"{run_dir} is not finished: it has no {DIGESTS}"
    try:
        digests = json_files.read_json(path)
        if not is_sealed(digests) or not isinstance(digests.get("files"), dict):
            return f"{path} is not what was written: its digest is another"
        for name in drawn_files(run_dir):
            if name == but:
                continue
            if not (run_dir / name).is_file():
                return f"{run_dir / name} is missing"
            if digest_of(run_dir / name) != digests["files"].get(name):
                return f"{run_dir / name} is not what was written: its digest is another"
    except UserError as error:
        return str(error)
    return ""


def check_drawn(run_dir: str | os.PathLike[str], but: str = "") -> None:
    """Check the files that are drawn from a finished run's results.

    Args:
        but: a file that is not checked, since it is written next.
    Raises:
        UserError: the run is not finished, or one of them is damaged.
    """
    problem = drawn_problem(run_dir, but)
    if problem:
        raise UserError(f"{problem}; {AGAIN}")
