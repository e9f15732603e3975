"""``rnnlab check``: users' cells, schemes and tasks, property by property."""

import argparse
from typing import TYPE_CHECKING

from rnnlab.cli.parsing import Commands, cache_switch
from rnnlab.core.errors import UserError

if TYPE_CHECKING:
    from rnnlab.lab.check import Checked

_MARKS = {"holds": "✓", "broken": "✗", "skipped": "–"}


def add(commands: Commands) -> None:
    """Add ``check``."""
    parser = commands.add(
        "check",
        _check,
        usage="FILE... [--verbose]",
        summary="check the cells, schemes and tasks that your files register",
        description="""\
Execute the files, as `rnnlab run --use=FILE` does, and check what they register by the properties
that rnnlab's own cells, schemes and tasks have: contract, shapes, dtypes, gradients against finite
differences, engines, padding, batches, resets, keys. One line per property: ✓ it holds, ✗ what to
change, – it does not apply. The exit status is 1 if a property is broken.""",
    )
    parser.positionals("files", "FILE", "a Python file; several may be given")
    parser.switch("verbose", "say what each property means")
    cache_switch(parser)


def _check(options: argparse.Namespace) -> int:
    if not options.files:
        raise UserError("check needs a file: rnnlab check mine.py")

    from rnnlab.core import compilation_cache
    from rnnlab.lab.check import check_files

    with compilation_cache.kept(options.cache):
        found = check_files(options.files)
    for checked in found:
        print("\n".join(_lines(checked, options.verbose)))
    broken = sum(not outcome.passed for checked in found for outcome in checked.outcomes)
    names = ", ".join(f"{c.registered.kind} {c.registered.name}" for c in found if not c.passed)
    print(f"{broken} broken in {names}" if broken else "all properties hold")
    return int(broken > 0)


def _lines(checked: "Checked", verbose: bool) -> list[str]:
    kind, name, file = checked.registered
    width = max(len(outcome.name) for outcome in checked.outcomes)
    lines = [f"{kind} {name} ({file})"]
    for outcome in checked.outcomes:
        shown = verbose or outcome.status != "holds"
        line = f"  {_MARKS[outcome.status]} {outcome.name:<{width}}"
        lines.append(f"{line}  {outcome.message}" if shown else line.rstrip())
    return lines
