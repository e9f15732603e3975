"""The flags of ``rnnlab run`` that compare: --compare.KEY, --tune.KEY and how it is decided."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rnnlab.cli.parsing import Parser, positive
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import HIGHER, LOWER

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from rnnlab.lab.comparison import Comparison
    from rnnlab.lab.load import Experiment

Values = dict[str, list[Any]]  # by key


def add(parser: Parser) -> None:
    """Add the flags that say how a comparison is decided."""
    parser.section("comparisons: arms tuned alike, judged on fresh seeds, each pair decided")
    parser.shown(
        "compare.KEY",
        "V1,V2,...",
        "compare these values, in place of the sweep; several keys: their product",
    )
    parser.shown(
        "tune.KEY",
        "V1,V2,...",
        "values to try for each arm, by validation score; one value: it is not tuned "
        "[training.learning_rate=0.001,0.003,0.01,0.03]",
    )
    parser.value("score", "NAME", "the result to compare [the steps to solve, or the headline]")
    parser.value("better", "lower|higher", "which scores are better, where the name does not say")
    parser.value(
        "equivalent",
        "X",
        "the difference that does not matter [0.25 of times and 0.05 of errors, as ratios; 0.01 of "
        "scores of which higher is better]",
        type=float,
    )
    parser.switch("relative", "whether --equivalent is a share of the score", default=None)
    parser.value("reference", "ARM", "compare each arm with this one only [all pairs]")
    parser.value("tuning_seeds", "N", "seeds of the tuning [3]", type=positive)
    parser.value("seeds", "N,N,...", "judged seeds at which pairs are looked at [8,16,32]")


def comparison_of(
    experiment: Experiment,
    config: ConfigDict,
    options: argparse.Namespace,
    compared: Mapping[str, Sequence[Any]],
    tuned: Mapping[str, Sequence[Any]],
) -> list[Comparison] | None:
    """Return the comparisons that the flags ask for; None where they ask for none.

    Args:
        experiment: the file, whose own comparisons the flags may change.
        config: with its changed values.
        options: the values of the flags.
        compared: values of --compare by key. tuned: values of --tune by key.
    Raises:
        UserError: flags without anything to compare.
    """
    from rnnlab.lab.asked import RULE
    from rnnlab.lab.comparison import Comparison

    given = {name: vars(options)[name] for name in RULE}
    changes = {name: value for name, value in given.items() if value is not None}
    if "seeds" in changes:
        changes["seeds"] = _counts(changes["seeds"])
    if tuned:
        changes["tune"] = dict(tuned)
    if changes.get("better", LOWER) not in (LOWER, HIGHER):
        raise UserError(f"--better: expected lower or higher, got {changes['better']!r}")
    if compared:
        return [Comparison(arms=dict(compared), **changes)]
    if not changes:
        return None
    own = experiment.asked_comparisons(config)
    if not own:
        flag = f"--tune.{next(iter(tuned))}" if tuned else f"--{next(iter(changes))}"
        raise UserError(
            f"{flag} has no effect: {experiment.file} compares nothing by itself; name what to "
            "compare: --compare.KEY=V1,V2"
        )
    return [dataclasses.replace(one, **changes) for one in own]


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise UserError(f"--seeds: expected numbers such as 8,16,32, got {text!r}") from None
