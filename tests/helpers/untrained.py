"""Tables of members that were never trained, for tests of an experiment's claims."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rnnlab.core.nested import flatten, with_overrides
from rnnlab.lab import plan, rounds, sweep
from rnnlab.lab.load import Experiment
from rnnlab.results import claims
from rnnlab.results.comparison import Comparisons
from rnnlab.results.table import Member, Table

Values = dict[str, Any]  # by config key, or by result
Describe = Callable[[Values], Values]


def table(loaded: Experiment, describe: Describe, **run: object) -> Table:
    """Return every member of the default sweep with the results of ``describe``.

    Args:
        loaded: the experiment.
        describe: the member's config by dotted key ↦ results. "logged" among them is a function
            step ↦ the scores logged at that step; without it the results are logged.
        run: other values in the config's group run.
    """
    config = loaded.get_config()
    with config.unlocked():
        config.run.update(run)
    members = []
    for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
        nested = with_overrides(config.to_dict(), overrides)
        members.append(_member(index, overrides, nested, describe(flatten(nested))))
    return Table(members)


def compared(
    loaded: Experiment, describe: Describe, changes: Mapping[str, Any] | None = None
) -> tuple[Table, Comparisons]:
    """Return the members of an experiment's comparisons, but for the tuning's, and the verdicts.

    Args:
        loaded: the experiment.
        describe: as of :func:`table`.
        changes: values of the config by dotted key.
    """
    config = sweep.apply(loaded.get_config(), dict(changes or {}))
    questions = loaded.get_comparisons(config)
    own = plan.own_sweep(loaded, config, questions)
    wanted = [
        rounds.Wanted("", values) for values in (sweep.expand(config, own) if own != [] else ())
    ]
    wanted += rounds.next_round(questions, ())
    members: list[Member] = []
    while wanted:
        for phase, values in wanted:
            nested = with_overrides(config.to_dict(), values)
            result = {"sha256": ""} | describe(flatten(nested))  # as of a trained member
            members.append(replace(_member(len(members), values, nested, result), phase=phase))
        wanted = rounds.next_round(questions, members)
    everything = Table(members)
    return everything.judged(), Comparisons(rounds.results(questions, everything))


def measured(loaded: Experiment, describe: Callable[[int, Values], Values]) -> Table:
    """Return every member of the default sweep of an experiment that measures and does not train.

    Args:
        loaded: the experiment.
        describe: the member's index and its config by dotted key ↦ results.
    """
    config = loaded.get_config()
    members = []
    for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
        nested = with_overrides(config.to_dict(), overrides)
        members.append(Member(index, overrides, nested, 0.0, describe(index, flatten(nested))))
    return Table(members)


def _member(index: int, overrides: Values, nested: Values, result: Values) -> Member:
    scores_at = result.pop("logged", lambda step: result)
    training = nested["training"]
    status = result.setdefault("status", "finished")
    for at, name in (("solved_at", "solved"), ("diverged_at", "diverged")):
        result.setdefault(at, training["eval_every"] if status == name else math.inf)
    last = training["steps"] if status == "finished" else training["eval_every"]
    metrics = tuple(
        {"step": step, "train_loss": 1.0, "grad_norm_max": 1.0} | scores_at(step)
        for step in range(training["eval_every"], last + 1, training["eval_every"])
    )
    return Member(index, overrides, nested, 0.0, result, metrics)


def verdicts(
    loaded: Experiment, changed: Table, comparisons: Comparisons | None = None
) -> dict[str, str]:
    """Return the verdict on each claim, by its statement."""
    decided = claims.decide(loaded.get_claims(changed, comparisons))
    return {v.statement: v.verdict for v in decided}


def turned(before: dict[str, str], after: dict[str, str], words: str) -> tuple[str, str]:
    """Return both verdicts on the one claim whose statement has these words."""
    (statement,) = (s for s in before if words in s)
    return before[statement], after[statement]
