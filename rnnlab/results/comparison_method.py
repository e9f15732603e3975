"""How a comparison was tuned and judged, in two or three sentences with its own numbers."""

import itertools

from rnnlab.results.comparison import ComparisonResult
from rnnlab.results.comparison_words import (
    config_words,
    key_words,
    listing,
    margin_words,
    percent,
    seeds_words,
    tunes,
)
from rnnlab.results.statistics import COMPARISON_ERROR


def tuning_words(result: ComparisonResult) -> str:
    """Return in a sentence or two how the arms were tuned."""
    if not tunes(result):
        shared = dict(result.arms[0].overrides)
        for arm in result.arms:
            shared = {k: v for k, v in shared.items() if arm.overrides.get(k) == v}
        fixed = ", ".join(f"{key_words(key)} {config_words(v)}" for key, v in shared.items())
        return f"Nothing was tuned: every arm has {fixed or 'the values of the config'}."
    grid = " x ".join(
        f"{key_words(key)} {', '.join(map(config_words, values))}"
        for key, values in result.tune.items()
    )
    seeds = len(result.tuning_seeds)
    words = (
        f"Every arm was tuned with the same budget over {grid}, on {seeds_words(seeds)} apart from "
        "the judged ones, by the validation score's mean over a value and its neighbors."
    )
    added: dict[str, dict[str, None]] = {}
    for arm, (key, asked) in itertools.product(result.arms, result.tune.items()):
        for point in arm.grid:
            if point.extended and point.values[key] not in asked:
                added.setdefault(key, {})[config_words(point.values[key])] = None
    if added:
        listed = "; ".join(f"{key_words(key)} {', '.join(values)}" for key, values in added.items())
        words += f" A best value at the grid's edge extended it for all arms: {listed}."
    return words


def judging_words(result: ComparisonResult) -> str:
    """Return in a sentence or two how the pairs were judged, with the numbers of the comparison."""
    stages = f"{listing([*map(str, result.looks)])} fresh seeds"
    more = " (more only for pairs that were still undecided)" * (len(result.looks) > 1)
    pairs = f"{len(result.pairs)} pair{'s' * (len(result.pairs) != 1)}"
    looks = f"{len(result.looks)} look{'s' * (len(result.looks) != 1)}"
    margin = margin_words(result)
    if result.times:
        rule = (
            "better and worse are an exact sign test's, in which never counts as worst; "
            "equivalent arms solve in every seed, and the interval of the ratio of their times "
            f"lies within {margin}"
        )
    else:
        what, none = ("ratio", 1) if result.relative else ("difference", 0)
        rule = (
            f"the interval of the {what} lies off {none} for better and worse, and wholly within "
            f"{margin} for equivalent; where a seed diverged, which counts as worst, an exact sign "
            "test says better or worse"
        )
    return (
        f"Judged by test scores, paired by seed, after {stages}{more}: {rule}. The level is "
        f"{percent(result.level)} for {pairs} at {looks}, so that the whole comparison "
        f"errs with at most {percent(COMPARISON_ERROR)}."
    )
