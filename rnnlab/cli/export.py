"""``rnnlab export``: a trained member for use in another library."""

import argparse
import os
import shlex

from rnnlab.cli.parsing import Commands, cache_switch, count, path, refusing_in_one_line
from rnnlab.core.errors import UserError


def add(commands: Commands) -> None:
    """Add ``export``."""
    parser = commands.add(
        "export",
        _export,
        usage="DIR --to=torch|keras|flax|safetensors [options]",
        summary="write a trained member for PyTorch, Keras or Flax",
        description="""\
Write a trained member of a run, read-out and embedding included, as weights and a short script,
load.py, that builds the model in the other library, loads the weights and compares its outputs with
those of rnnlab. The vocabulary, labels or scaling go along as stored.json. safetensors takes every
member, under rnnlab's own names.""",
    )
    parser.positionals("dirs", "DIR", "a run directory")
    parser.value("to", "LIBRARY", "the library: torch, keras, flax or safetensors")
    parser.value(
        "member", "N", "a member of the run, or best [the best by its task's score]", type=_member
    )
    parser.value("out", "FOLDER", "the folder to write [DIR/export/LIBRARY_MEMBER]", type=path)
    parser.switch(
        "trust",
        "execute the experiment's file, for the cell or task that it registers, even if it lies "
        "inside DIR",
    )
    cache_switch(parser)


def _member(text: str) -> int | None:
    if text == "best":
        return None
    try:
        return count(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a member's number, or best, got {text!r}"
        ) from None


def _export(options: argparse.Namespace) -> int:
    if len(options.dirs) != 1:
        raise UserError(f"export takes one run directory, got {len(options.dirs)}")
    if options.to is None:
        raise UserError("export needs --to=LIBRARY: torch, keras, flax or safetensors")

    from rnnlab.core import compilation_cache

    with refusing_in_one_line(), compilation_cache.kept(options.cache):
        write_export(options.dirs[0], options.to, options.member, options.out, options.trust)
    return 0


def write_export(
    run_dir: str | os.PathLike[str],
    to: str,
    member: int | None = None,
    out: str | None = None,
    trust: bool = False,
) -> None:
    """Export a member (see :func:`rnnlab.lab.export.export`) and print how to load it."""
    from rnnlab.lab import export

    folder = export.export(run_dir, to, member=member, out=out, trust=trust)
    print(f"exported: python {shlex.quote(f'{folder}/load.py')} loads it and compares the outputs")
    for note in export.notes(folder):
        print(f"note: {note}")
