"""The files of a run directory as the pages need them: members, verdicts, figures."""

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.results.claims import Verdict, summary
from rnnlab.results.comparison import ComparisonResult, read_comparisons
from rnnlab.results.run_dir import read_verdicts
from rnnlab.results.table import Record

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = 120 / 72  # of a figure's PNG, per point of its SVG
_LINKED = {run_files.PNG: "PNG", run_files.SVG: "SVG", run_files.CSV: "data (CSV)"}


@dataclass(frozen=True)
class Image:
    """An image inside a page.

    Args:
        src: a data URI.
        width, height: pixels of the PNG, which keep the page from moving while it loads.
    """

    src: str
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """A figure of a run as a page embeds it.

    Args:
        name: the file's name without its ending.
        caption: the text below it.
        image: the figure.
        phone: the same with a panel per row; None where the figure is narrow, or a table.
        folder: where its files lie; None: it has none.
        endings: of its files.
    """

    name: str
    caption: str
    image: Image
    phone: Image | None = None
    folder: Path | None = None
    endings: Sequence[str] = ()

    def links(self, page: Path) -> list[tuple[str, str]]:
        """Return (what it is, address) of the figure's files, as seen from a page's folder."""
        if self.folder is None:
            return []
        folder = Path(os.path.relpath(self.folder, page)).as_posix()
        return [
            (word, quote(f"{folder}/{self.name}.{ending}"))
            for ending, word in _LINKED.items()
            if ending in self.endings
        ]

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    @property
    def alt(self) -> str:
        """The name and the caption's first sentence; the whole caption stands below it."""
        return f"{self.title}: {re.split(r'(?<=[.;:]) ', self.caption, maxsplit=1)[0]}"


@dataclass(frozen=True)
class SavedRun:
    """A finished run, as its files describe it.

    Args:
        dir: the run directory.
        info: config.json.
        members: the lines of members.jsonl, by index.
        verdicts: claims.json.
        figures: by name.
        comparisons: comparison.json; [] where the run compares nothing.
    """

    dir: Path
    info: Record
    members: list[Record]
    verdicts: list[Verdict]
    figures: dict[str, Picture]
    comparisons: list[ComparisonResult] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The experiment's name, with its scale after a colon."""
        return self.info["experiment"] + (f":{self.info['arg']}" if self.info["arg"] else "")

    @property
    def unexpected(self) -> list[int]:
        """Numbers of the claims whose verdict is not the expected one, from 1."""
        return [number for number, v in enumerate(self.verdicts, 1) if not v.as_expected]

    @property
    def undecided(self) -> int:
        """Number of claims that this run cannot decide."""
        return sum(v.verdict == "undecided" for v in self.verdicts)

    @property
    def summary(self) -> str:
        """How many claims hold, are refuted, undecided and unexpected."""
        return summary(self.verdicts)

    @property
    def seconds(self) -> float:
        """The time that all members took."""
        return sum(member["seconds"] for member in self.members)


def load_saved(run_dir: str | os.PathLike[str]) -> SavedRun:
    """Read the files of a finished run.

    Raises:
        UserError: when one of them is missing or damaged, by its name.
    """
    run_dir = Path(run_dir)
    info, members = run_files.read_records(run_dir)
    _existing(run_dir, run_files.MEMBERS)
    return SavedRun(
        dir=run_dir,
        info=info,
        members=members,
        verdicts=read_verdicts(run_dir),
        figures={
            name: _read_picture(run_dir, name, caption, endings)
            for (name, caption), endings in zip(
                run_files.read_figures(run_dir).items(),
                run_files.figure_files(run_dir).values(),
                strict=True,
            )
        },
        comparisons=read_comparisons(run_dir),
    )


def load_finished(run_dir: str | os.PathLike[str]) -> SavedRun:
    """Read the files of a finished run, each compared with its digest.

    Raises:
        UserError: the run is not finished, or a file of it is missing or damaged, by its name.
    """
    saved = load_saved(run_dir)
    run_files.check_kept(run_dir)
    run_files.check_drawn(run_dir)
    return saved


def _existing(run_dir: Path, name: str) -> Path:
    path = run_dir / name
    if not path.is_file():
        raise UserError(f"{run_dir} is not a finished run: it has no {name}")
    return path


def _read_picture(run_dir: Path, name: str, caption: str, endings: Sequence[str]) -> Picture:
    read = {e: _existing(run_dir, f"figures/{name}.{e}").read_bytes() for e in endings}
    for ending, content in read.items():
        if ending.endswith(run_files.PNG) and not content.startswith(_PNG):
            raise UserError(f"{run_dir}/figures/{name}.{ending} is not a PNG image")
    phone = next((read[ending] for ending in run_files.PHONES if ending in read), None)
    return Picture(
        name=name,
        caption=caption,
        image=embed(read[run_files.PNG], read.get(run_files.SVG)),
        phone=embed(phone) if phone else None,
        folder=run_dir / "figures",
        endings=endings,
    )


def embed(*pictures: bytes | None) -> Image:
    """Return the smallest of a figure's pictures as an image inside the page.

    Args:
        pictures: PNG or SVG of one size; None: there is none.
    """
    found = [picture for picture in pictures if picture is not None]
    width, height = _size(found[0])
    return Image(min(map(_uri, found), key=len), width, height)


def _size(picture: bytes) -> tuple[int, int]:
    """Return the pixels of a PNG, or those that an SVG of the same size would have."""
    if picture.startswith(_PNG):
        return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    box = re.search(rb'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)
    width, height = map(float, box.groups()) if box else (0.0, 0.0)
    return round(_PIXELS * width), round(_PIXELS * height)


def _uri(picture: bytes) -> str:
    """Return a picture as a data URI."""
    if picture.startswith(_PNG):
        return f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    # no blanks: they would end the address in a srcset
    return f"data:image/svg+xml,{quote(picture, safe='=,;.-+*!@$')}"
