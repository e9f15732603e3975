"""Do verdicts survive other seeds and a finer grid?

    python tests/scripts/flips.py --workdir=DIR [NAME ...]

Runs each named experiment twice: as it is, and with other base seeds and a grid that is three times
finer. A pair flips where one run says better and the other worse, or one says better or worse and
the other equivalent. Prints a line per pair that flips, and the counts; exits with status 1 if more
than 1 in 20 of the verdicts that both runs decide flip. Both runs resume; a finished run of the
experiment in DIR/NAME is the first one.
"""

import argparse
import dataclasses
import itertools
from pathlib import Path

import rnnlab
from rnnlab.lab import sweep
from rnnlab.lab.comparison import Comparison, further
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import ComparisonResult, read_comparisons

FINER, OTHER_SEED, MOST = 3, 1000, 1 / 20


def finer(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return a grid with two more values in equal ratios between each pair of neighbors."""
    if not further(values, lambda value: True):
        return values
    between = [
        float(f"{low * (high / low) ** (step / FINER):.3g}")
        for low, high in itertools.pairwise(values)
        for step in range(FINER)
    ]
    return (*between, values[-1])


def again(name: str) -> tuple[dict[str, int], list[Comparison]]:
    """Return (changed values, comparisons) of the second run."""
    experiment = load_experiment(name)
    changes = {"seed": OTHER_SEED}
    config = sweep.apply(experiment.get_config(), changes)
    resolved = experiment.get_comparisons(config)
    asked = experiment.asked_comparisons(config)
    return changes, [
        dataclasses.replace(one, tune={key: finer(values) for key, values in question.tune.items()})
        for one, question in zip(asked, resolved, strict=True)
    ]


def verdicts(results: list[ComparisonResult]) -> dict[tuple[str, str, str], str]:
    """Return every pair's verdict by comparison and arms."""
    return {
        (result.name, pair.a, pair.b): pair.verdict for result in results for pair in result.pairs
    }


def main() -> int:
    """Run the experiments; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--workdir", required=True, type=Path)
    options = parser.parse_args()
    decided, flipped, opened = 0, 0, 0
    for name in options.names:
        before = read_comparisons(options.workdir / name)
        if not before:
            before = rnnlab.run(name, workdir=options.workdir / name).comparisons
        changes, comparisons = again(name)
        folder = options.workdir / f"{name}-again"
        second = rnnlab.run(name, changes, comparison=comparisons, workdir=folder)
        after = verdicts(second.comparisons)
        for pair, verdict in verdicts(before).items():
            if "undecided" in (verdict, after[pair]):
                opened += verdict != after[pair]
                continue
            decided += 1
            if verdict != after[pair]:
                flipped += 1
                print(f"{name}: {pair}: {verdict}, then {after[pair]}")
    print(
        f"{decided} verdicts decided by both runs, {flipped} of them flipped; {opened} by one alone"
    )
    return int(flipped > MOST * decided)


if __name__ == "__main__":
    raise SystemExit(main())
