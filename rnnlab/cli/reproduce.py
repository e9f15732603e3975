"""``rnnlab reproduce``: the experiments that come with rnnlab, on one page."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.cli.parsing import Commands, cache_switch, names, path

if TYPE_CHECKING:
    from rnnlab.lab.reproduce import Part


def add(commands: Commands) -> None:
    """Add ``reproduce``."""
    parser = commands.add(
        "reproduce",
        _reproduce,
        usage="[options]",
        summary="run every experiment at its small default and write one page",
        description="""\
Run the experiments that come with rnnlab at their small defaults and write one page: each published
claim, the expected verdict, the measurement, the verdict, and the minutes. Experiments that
measure speed are left out, and so are those on texts (--all): without them the set takes about 40
minutes on 2 cores. The same command resumes a set that was interrupted.""",
    )
    parser.switch("all", "run those on texts too (word vectors, BERT, ...)")
    parser.value("only", "NAME,NAME,...", "run these experiments only", type=names, default=[])
    parser.value("workdir", "DIR", "for the runs and reproduce.html [runs/reproduce]", type=path)
    parser.switch("rerun", "delete the runs of these experiments first, and run them again")
    parser.switch("dry_run", "print experiments, members and minutes; run and write nothing")
    parser.switch(
        "strict",
        "exit with status 1 when a verdict is not the expected one or an experiment cannot run",
    )
    cache_switch(parser)


def _reproduce(options: argparse.Namespace) -> int:
    from rnnlab.core import compilation_cache, host, terminal
    from rnnlab.lab import reproduce
    from rnnlab.results.claims import format_lines, summary

    host.use_all_cores()
    parts = reproduce.plan(options.only, everything=options.all)
    if options.dry_run:
        for part in parts:
            print(f"{part.name:<20}  {_describe(part)}")
        print(_left_out(options.only, parts), end="")
        return 0
    with compilation_cache.kept(options.cache):
        results = reproduce.run(parts, options.workdir or reproduce.WORKDIR, rerun=options.rerun)
    for name, verdicts in results.verdicts.items():
        print(f"{name} ({results.seconds[name] / 60:.1f} minutes)")
        if verdicts:
            print(format_lines(verdicts, paint=terminal.paint()))
    for name, reason in results.missing.items():
        print(f"{name} did not run: {reason}")
    print(_left_out(options.only, parts), end="")
    verdicts = [verdict for verdicts in results.verdicts.values() for verdict in verdicts]
    minutes = sum(results.seconds.values()) / 60
    print(f"{len(results.verdicts)} experiments in {minutes:.1f} minutes; {summary(verdicts)}")
    print(f"page: {results.page}")
    unexpected = not all(verdict.verdict == verdict.expected for verdict in verdicts)
    return int(options.strict and (unexpected or bool(results.missing)))


def _describe(part: "Part") -> str:
    if part.plan is None:
        return part.reason
    minutes = (part.plan.seconds_at_most or 0) / 60
    if part.plan.questions:
        return f"at most {part.plan.members_at_most} members, {minutes:.1f} minutes"
    return f"{len(part.plan.members)} members, about {minutes:.1f} minutes"


def _left_out(only: Sequence[str], parts: "Sequence[Part]") -> str:
    """Return a line that names the experiments that are left out for time, or nothing."""
    from rnnlab.lab import reproduce

    planned = {part.name for part in parts}
    left_out = [] if only else [name for name in reproduce.names() if name not in planned]
    return f"left out for time (--all): {', '.join(left_out)}\n" if left_out else ""
