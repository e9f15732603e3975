"""One self-contained HTML page for a run, and one that lays several runs side by side.

A page is made of what lies in the run directory and of nothing else, so that it can be made again
without the experiment or JAX; a comparison draws its learning curves, nothing else here is drawn.
Pictures, style and script are inside it: it opens from a mail, from a disk, without a network. The
page itself is page.html.j2.
"""

import base64
import datetime
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.json_files import decode_config
from rnnlab.core.nested import flatten
from rnnlab.results.claims import Verdict, summary
from rnnlab.results.table import read_table

_MARKS = {"holds": "✓", "refuted": "✗", "undecided": "?"}
REPRODUCTION = "reproduce.html"
_ABSENT = object()  # a key that a run does not have, which differs from None


def write_report(run_dir: str | os.PathLike[str]) -> Path:
    """Write report.html of a run from its files, replacing an older one at once.

    Args:
        run_dir: with config.json, members.jsonl, claims.json, figures.json and figures/.

    Returns:
        the path of the page.

    Raises:
        UserError: when one of those files is missing or broken, by its name.
    """
    run = _load(run_dir)
    config = flatten(run.info["config"])
    axes = _axes(run.info["sweep"])
    swept = {key for _, keys, _ in axes for key in keys.split(",")}
    columns, rows, lists = _members(run, config)
    page = _render(
        "report",
        title=f"{run.name} · {summary(run.verdicts)}",
        run=run,
        blocks=_blocks(run.info["description"]),
        seconds=_duration(sum(member["seconds"] for member in run.members)),
        started=_moment(run.info["started"]),
        columns=columns,
        rows=rows,
        lists=lists,
        groups=_groups(config, swept),
        axes=axes,
        command=_command(run.info),
        full_command=_full_command(run.info, config, swept),
    )
    path = run.dir / run_files.REPORT
    json_files.write_bytes(path, page)
    return path


def compare_report(run_dirs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Path:
    """Write one page over several finished runs: what differs, claims and figures side by side.

    Args:
        run_dirs: two run directories or more.
        out: the page; its folder is made where there is none.

    Returns:
        the path of the page.

    Raises:
        UserError: for fewer than two runs, or when a file of a run is missing or broken.
    """
    if len(run_dirs) < 2:
        raise UserError(f"a comparison takes two run directories or more, got {len(run_dirs)}")
    runs = [_load(run_dir) for run_dir in run_dirs]
    names = [run.dir.resolve().name for run in runs]
    labels = [
        name if names.count(name) == 1 else str(run_dir)
        for name, run_dir in zip(names, run_dirs, strict=True)
    ]
    identities = [
        {key: run.info[key] for key in ("experiment", "arg")}
        | flatten(run.info["config"])
        | {
            f"sweep: {keys}" + f" (part {part})" * (part > 1): text
            for part, keys, text in _axes(run.info["sweep"])
        }
        for run in runs
    ]
    page = _render(
        "compare",
        title=f"{len(runs)} runs compared: " + ", ".join(labels),
        runs=runs,
        labels=labels,
        started=[_moment(run.info["started"]) for run in runs],
        seconds=[_duration(sum(m["seconds"] for m in run.members)) for run in runs],
        config_rows=_differing(identities),
        environment_rows=_differing([run.info["environment"] for run in runs]),
        claim_rows=_claim_rows(runs),
        figure_names=list(dict.fromkeys(name for run in runs for name in run.figures)),
        curves=_curves(runs, labels),
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    json_files.write_bytes(out, page)
    return out


def reproduction_report(
    workdir: Path, names: Sequence[str], seconds: Mapping[str, float], missing: Mapping[str, str]
) -> Path:
    """Write one page over a set of runs: every claim, what was expected and what was measured.

    Args:
        workdir: where the runs lie, each in a directory of its name; the page goes there too.
        names: the runs, finished.
        seconds: by name, what each took.
        missing: what did not run, and why.

    Returns:
        the path of the page, reproduce.html.
    """
    runs = [_load(workdir / name) for name in names]
    verdicts = [verdict for run in runs for verdict in run.verdicts]
    page = _render(
        "reproduce",
        title=f"rnnlab reproduce · {summary(verdicts)}",
        runs=runs,
        names=names,
        summary=summary(verdicts),
        unexpected=[
            (name, place, run.verdicts[place - 1])
            for name, run in zip(names, runs, strict=True)
            for place in run.unexpected
        ],
        counts=[[sum(v.verdict == kind for v in run.verdicts) for kind in _MARKS] for run in runs],
        seconds=[_duration(seconds.get(name, 0.0)) for name in names],
        total=_duration(sum(seconds.get(name, 0.0) for name in names)),
        leads=[(_blocks(run.info["description"]) or [("p", "")])[0][1] for run in runs],
        missing=missing,
    )
    path = workdir / REPRODUCTION
    json_files.write_bytes(path, page)
    return path


# --------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Figure:
    name: str
    caption: str
    src: str  # a data URI
    width: int
    height: int

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")

    @property
    def alt(self) -> str:
        """The name and the caption's first sentence: the whole caption stands below anyway."""
        return f"{self.title}: {re.split(r'(?<=[.;:]) ', self.caption, maxsplit=1)[0]}"


@dataclass(frozen=True)
class _Run:
    dir: Path
    info: dict[str, Any]
    members: list[dict[str, Any]]
    verdicts: list[Verdict]
    figures: dict[str, _Figure]

    @property
    def name(self) -> str:
        return self.info["experiment"] + (f":{self.info['arg']}" if self.info["arg"] else "")

    @property
    def unexpected(self) -> list[int]:
        """Places of the claims whose verdict is not the expected one, from 1."""
        return [place for place, v in enumerate(self.verdicts, 1) if not v.as_expected]

    @property
    def summary(self) -> str:
        return summary(self.verdicts)


def _load(run_dir: str | os.PathLike[str]) -> _Run:
    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    members = json_files.read_jsonl(_there(run_dir, run_files.MEMBERS))
    claims = _there(run_dir, run_files.CLAIMS)
    try:
        verdicts = [Verdict(**verdict) for verdict in json_files.read_json(claims)]
    except TypeError as error:
        raise UserError(f"{claims} is no list of verdicts: {error}") from None
    captions = json_files.read_json(_there(run_dir, run_files.FIGURES))
    return _Run(
        dir=run_dir,
        info=info,
        members=sorted(members, key=lambda member: member["member"]),
        verdicts=verdicts,
        figures={name: _figure(run_dir, name, c["caption"]) for name, c in captions.items()},
    )


def _there(run_dir: Path, name: str) -> Path:
    path = run_dir / name
    if not path.is_file():
        raise UserError(f"{run_dir} is not a finished run: it has no {name}")
    return path


def _figure(run_dir: Path, name: str, caption: str) -> _Figure:
    path = _there(run_dir, f"figures/{name}.png")
    data = path.read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise UserError(f"{path} is not a PNG image")
    return _inline(name, caption, data)


def _curves(runs: Sequence[_Run], labels: Sequence[str]) -> _Figure | None:
    """The runs' learning curves over each other; None where no two have one in common."""
    from rnnlab.plotting import plots, run_curves  # and matplotlib, which a report needs not

    tables = {label: read_table(run.dir) for label, run in zip(labels, runs, strict=True)}
    figure = run_curves.draw(tables)
    if figure is None:
        return None
    caption = "Medians over the members of each run, with the 10–90% range."
    return _inline("learning_curves", caption, plots.png(figure))


def _inline(name: str, caption: str, data: bytes) -> _Figure:
    # the size, from the header, keeps the page from jumping about while it loads
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    src = "data:image/png;base64," + base64.b64encode(data).decode()
    return _Figure(name, caption, src, width, height)


# --------------------------------------------------------------------------------- what is shown


def _render(kind: str, **values: Any) -> bytes:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show": _show, "flags": _flags}
    template = environment.get_template("page.html.j2")
    return template.render(kind=kind, marks=_MARKS, **values).encode()


def _show(value: Any) -> str:
    """A value of a config, as Python would write it; words without quotes."""
    if value is _ABSENT:
        return "–"
    if isinstance(value, str) and value:
        return value
    return repr(decode_config(value)) if isinstance(value, list) else repr(value)


def _flags(text: str) -> list[str]:
    """The text cut at command-line flags: every second piece is one."""
    return re.split(r"(--\w[\w.=-]*\w)", text)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _moment(iso: str) -> str:
    return datetime.datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M %Z").strip()


def _blocks(description: str) -> list[tuple[str, str]]:
    """The docstring as ("p" | "pre", text): what it indents is a command, the rest flows."""
    blocks = []
    for block in re.split(r"\n\s*\n", description.strip("\n")):
        lines = block.splitlines()
        if block and all(line.startswith((" ", "\t")) for line in lines):
            blocks.append(("pre", "\n".join(line.strip() for line in lines)))
        elif block:
            blocks.append(("p", " ".join(line.strip() for line in lines)))
    return blocks


def _axes(sweep: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """(part, keys, values in words) for every axis of the sweep."""
    parts = [sweep] if isinstance(sweep, Mapping) else sweep
    return [
        (number, keys, ", ".join(map(_show, values)))
        for number, part in enumerate(parts, 1)
        for keys, values in part.items()
    ]


def _groups(config: Mapping[str, Any], swept: set[str]) -> list[dict[str, Any]]:
    """The config by its top-level groups; keys left empty, which may be many, as one list."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in config.items():
        head, dot, rest = key.partition(".")
        name, short = (head, rest) if dot else ("", key)
        group = groups.setdefault(name, {"name": name, "rows": [], "empty": []})
        if value == "" and key not in swept:
            group["empty"].append(short)
        else:
            group["rows"].append((short, _show(value), key in swept))
    return sorted(groups.values(), key=lambda group: group["name"] != "")


@dataclass(frozen=True)
class _Cell:
    text: str
    number: str | None  # as JavaScript's Number() reads it; None where it is a word
    base: bool = False  # not set by the sweep: the base config's value


def _cell(value: Any, base: bool = False) -> _Cell:
    if value is _ABSENT:
        return _Cell("", None)
    value = json_files.decode(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _Cell(_show(value), None, base)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return _Cell(text, repr(value).replace("inf", "Infinity").replace("nan", "NaN"), base)


def _members(
    run: _Run, config: Mapping[str, Any]
) -> tuple[list[tuple[str, bool]], list[list[_Cell]], list[str]]:
    """Columns (name, whether numeric), rows of cells, and the names of results left out."""
    overrides = dict.fromkeys(key for member in run.members for key in member["overrides"])
    results = dict.fromkeys(key for member in run.members for key in member["result"])
    lists = [
        key
        for key in results
        if any(isinstance(member["result"].get(key), list | dict) for member in run.members)
    ]
    scalars = [key for key in results if key not in lists]
    rows = [
        [
            _cell(member["member"]),
            *(
                _cell(member["overrides"].get(key, config.get(key)), key not in member["overrides"])
                for key in overrides
            ),
            *(_cell(member["result"].get(key, _ABSENT)) for key in scalars),
            _cell(float(member["seconds"])),
        ]
        for member in run.members
    ]
    names = ["member", *overrides, *scalars, "seconds"]
    numeric = [all(cell.number or not cell.text for cell in cells) for cells in zip(*rows)]  # noqa: B905
    return list(zip(names, numeric or [False] * len(names), strict=True)), rows, lists


# ----------------------------------------------------------------------------- how it is remade


def _command(info: Mapping[str, Any]) -> str:
    target = info["file"] + (f":{info['arg']}" if info["arg"] else "")
    return shlex.join(["rnnlab", "run", f"--config={target}"])


def _full_command(info: Mapping[str, Any], config: Mapping[str, Any], swept: set[str]) -> str:
    """The command with every value spelled out, for a run that was given others than the file's.

    A run directory does not record which flags were given. The command line cannot set a key
    whose value is None, nor the axes of a sweep of several parts.
    """
    flags = [
        f"--config.{key}={value if isinstance(value, str) else repr(decode_config(value))}"
        for key, value in config.items()
        if key not in swept and value is not None
    ]
    if isinstance(info["sweep"], Mapping):
        flags += [
            f"--sweep.{key}={','.join(map(_sweep_word, values))}"
            for key, values in info["sweep"].items()
            if "," not in key
        ]
    return " \\\n  ".join([_command(info), *map(shlex.quote, flags)])


def _sweep_word(value: Any) -> str:
    if not isinstance(value, str):
        return repr(decode_config(value))
    if value and not re.search(r"[\s,'\"]", value):
        return value
    return f'"{value}"' if '"' not in value else f"'{value}'"


# ------------------------------------------------------------------------------------ comparison


def _differing(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """The keys whose values are not the same in every column, with those values."""
    rows = []
    for key in dict.fromkeys(key for column in columns for key in column):
        values = [column.get(key, _ABSENT) for column in columns]
        if any(value != values[0] for value in values):
            rows.append((key, values))
    return rows


def _claim_rows(runs: Iterable[_Run]) -> list[list[Verdict | None]]:
    """A row for each statement, in the order of the runs: its verdict in each run, if any."""
    columns = []
    for run in runs:
        column: dict[tuple[str, str, int], Verdict] = {}
        for v in run.verdicts:
            again = sum((v.statement, v.source) == key[:2] for key in column)
            column[v.statement, v.source, again] = v
        columns.append(column)
    keys = dict.fromkeys(key for column in columns for key in column)
    return [[column.get(key) for column in columns] for key in keys]
