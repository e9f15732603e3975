"""Members that were never trained, for tests of what an experiment says of its table."""

import math
from collections.abc import Callable
from typing import Any

from rnnlab.core.nested import flatten, with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import Experiment
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

Describe = Callable[[dict[str, Any]], dict[str, Any]]


def table(loaded: Experiment, describe: Describe, **run: Any) -> Table:
    """Every member of the default sweep with the results that ``describe`` gives it.

    Args:
        loaded: the experiment.
        describe: the member's config by dotted key ↦ results; "told" among them is a function
            step ↦ the scores logged at that step, in place of the results' own.
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


def measured(
    loaded: Experiment, describe: Callable[[int, dict[str, Any]], dict[str, Any]]
) -> Table:
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


def _member(
    index: int, overrides: dict[str, Any], nested: dict[str, Any], result: dict[str, Any]
) -> Member:
    told = result.pop("told", lambda step: result)
    own = nested["training"]
    status = result.setdefault("status", "finished")
    for at, name in (("solved_at", "solved"), ("diverged_at", "diverged")):
        result.setdefault(at, own["eval_every"] if status == name else math.inf)
    last = own["steps"] if status == "finished" else own["eval_every"]
    metrics = tuple(
        {"step": step, "train_loss": 1.0, "grad_norm_max": 1.0} | told(step)
        for step in range(own["eval_every"], last + 1, own["eval_every"])
    )
    return Member(index, overrides, nested, 0.0, result, metrics)


def verdicts(loaded: Experiment, spoiled: Table) -> dict[str, str]:
    """What becomes of each claim, by its statement."""
    return {v.statement: v.verdict for v in claims.decide(loaded.module.claims(spoiled))}


def turned(before: dict[str, str], after: dict[str, str], words: str) -> tuple[str, str]:
    """The verdicts on the one claim whose statement holds these words."""
    (statement,) = (s for s in before if words in s)
    return before[statement], after[statement]
