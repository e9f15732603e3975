"""``rnnlab new``: starting files for a cell, a task, a scheme or an experiment of one's own."""

import argparse

from rnnlab.cli.parsing import Commands, path
from rnnlab.core.errors import UserError


def add(commands: Commands) -> None:
    """Add ``new``."""
    parser = commands.add(
        "new",
        _new,
        usage="KIND NAME [--out=FILE]",
        summary="write a starting file: a cell, a task, a scheme or an experiment",
        description="""\
Write a file that works as it is, with comments that say what to change. KIND is cell, task, scheme
or experiment. An existing file is never overwritten.""",
    )
    parser.positionals("words", "KIND NAME", "what to write, and its name in configs")
    parser.value("out", "FILE", "the file to write [NAME.py]", type=path)


def _new(options: argparse.Namespace) -> int:
    if len(options.words) != 2:
        got = " ".join(options.words) or "nothing"
        raise UserError(f"new takes a kind and a name, as in `rnnlab new cell mgu`; got {got}")

    from rnnlab.lab.new import write

    kind, name = options.words
    written = write(kind, name, options.out)
    print(f"wrote {written.file}")
    print("next: " + "\n      ".join(written.commands))
    return 0
