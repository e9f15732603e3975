"""Comparisons of an experiment as results that are made up decide them: nothing is trained."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from rnnlab.core.nested import flatten, with_overrides
from rnnlab.lab import rounds, sweep
from rnnlab.lab.config import Config
from rnnlab.lab.load import Experiment
from rnnlab.results.comparison import Comparisons
from rnnlab.results.table import Member, Table

Outcome = Callable[[Mapping[str, Any]], tuple[dict[str, Any], tuple[dict[str, Any], ...]]]


def decided(experiment: Experiment, config: Config, outcome: Outcome) -> tuple[Table, Comparisons]:
    """Return the judged members and the decided comparisons of an experiment.

    Args:
        experiment: with ``comparison(config)``; the members of its sweep take part too.
        config: of the experiment.
        outcome: a member's (results, metrics), from its whole config by dotted key.
    """
    base = config.to_dict()
    questions = experiment.get_comparisons(config)
    members: list[Member] = []

    def add(overrides: Mapping[str, Any], phase: str) -> None:
        nested = with_overrides(base, overrides)
        result, metrics = outcome(flatten(nested))
        result = {"sha256": ""} | result  # as training leaves one
        members.append(Member(len(members), dict(overrides), nested, 0.0, result, metrics, phase))

    if experiment.functions.get_sweep is not None:
        for overrides in sweep.expand(config, experiment.get_sweep(config)):
            add(overrides, "")
    while wanted := rounds.next_round(questions, members):
        for one in wanted:
            add(one.overrides, one.phase)
    return Table(members).judged(), Comparisons(rounds.results(questions, members))


def scatter(seed: int, name: str) -> float:
    """Return a number between −1 and 1, another for every seed and every name."""
    return random.Random(f"{seed} {name}").uniform(-1, 1)
