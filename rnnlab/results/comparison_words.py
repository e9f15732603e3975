"""Comparisons in words: the sentences that answer their questions, each with its numbers."""

import itertools
import math
import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnlab.core import terminal
from rnnlab.core.metrics import HIGHER
from rnnlab.core.terminal import Paint
from rnnlab.results.comparison import Arm, ComparisonResult, Pair, turned
from rnnlab.results.statistics import BETTER, COMPARISON_ERROR, EQUIVALENT, UNDECIDED, WORSE
from rnnlab.results.summary import value_words
from rnnlab.results.table import Value

MARKS = {BETTER: "✓", WORSE: "✗", EQUIVALENT: "≈", UNDECIDED: "?", "": "·"}
_STYLES = {BETTER: "good", WORSE: "bad", EQUIVALENT: "bold", UNDECIDED: "dim", "": "dim"}
_MOST_SENTENCES = 3  # of pairs, and of arms that no other beats; more are grouped
_LISTED = 6  # pairs that a group names


@dataclass(frozen=True)
class Sentence:
    """A sentence on a comparison.

    Args:
        verdict: "better", "worse", "equivalent" or "undecided"; "": a note.
        text: with its full stop.
    """

    verdict: str
    text: str

    @property
    def mark(self) -> str:
        """The mark of its verdict."""
        return MARKS[self.verdict]


# ---- numbers -----------------------------------------------------------------------------------


def digits(value: float) -> str:
    """Return a number with three significant digits, thousands separated.

    >>> digits(1923.4), digits(0.04217), digits(480.0), digits(-0.5), digits(float("inf"))
    ('1,920', '0.0422', '480', '-0.5', 'inf')
    """
    if not math.isfinite(value) or value == 0 or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def percent(level: float) -> str:
    """Return the level of an interval, with as many digits as its distance to 1 needs.

    >>> percent(0.95), percent(1 - 0.05 / 3), percent(1 - 0.05 / 84)
    ('95%', '98.3%', '99.94%')
    """
    error = 100 * (1 - level)
    places = max(1, 1 - math.floor(math.log10(error))) if error > 0 else 0
    text = f"{100 * level:.{places}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def failed(result: ComparisonResult) -> str:
    """Return the word for a score that is not finite: "never" for times, "diverged" for others."""
    return "never" if result.times else "diverged"


def score_words(result: ComparisonResult, value: float) -> str:
    """Return a score with its unit, "never" or "diverged" where it is not finite."""
    return digits(value) + unit(result) if math.isfinite(value) else failed(result)


def unit(result: ComparisonResult) -> str:
    """Return the unit after a space; "" where the score's name has it, and for shares."""
    words = result.how_read.unit
    named = words in ("", "share") or words in result.score.replace("_", " ")
    return "" if named else f" {words}"


def score_name(result: ComparisonResult) -> str:
    """Return what is compared: "steps until solved", or "test loss"."""
    if result.times:
        return f"{result.how_read.unit or 'steps'} until solved"
    return "test " + result.score.removeprefix("test_").replace("_", " ")


def key_words(key: str) -> str:
    """Return a tuned key as sentences and figures name it.

    >>> key_words("training.learning_rate")
    'learning rate'
    """
    return key.rpartition(".")[2].replace("_", " ")


def config_words(value: Value) -> str:
    """Return a config's value, a number without the digits that only arithmetic left.

    >>> config_words(0.1 * 3), config_words("adam")
    ('0.3', 'adam')
    """
    return f"{value:.6g}" if isinstance(value, float) else value_words(value)


def tuned_words(arm: Arm) -> str:
    """Return the chosen values of an arm: "learning rate 0.03"; "" where nothing is tuned."""
    return ", ".join(f"{key_words(key)} {config_words(value)}" for key, value in arm.tuned.items())


def tunes(result: ComparisonResult) -> bool:
    """Whether more than one value was tried for an arm; a key of one value has it for all arms."""
    lists = [*result.tune.values(), *(arm.grid for arm in result.arms)]
    return any(len(values) > 1 for values in lists)


def by_loss(result: ComparisonResult, arm: Arm) -> bool:
    """Whether an arm never solved while it was tuned, so that its loss chose its values."""
    scores = [score for point in arm.grid for score in point.scores]
    return result.times and len(arm.grid) > 1 and not any(map(math.isfinite, scores))


def median(scores: Iterable[float], result: ComparisonResult) -> float:
    """Return the median of scores, in which those that are not finite are worst; ∞ is one of them.

    The median of an even number is ∞ where one of the middle two is.
    """
    worst = -math.inf if result.better == HIGHER else math.inf
    middle = statistics.median(s if math.isfinite(s) else worst for s in scores)
    return middle if math.isfinite(middle) else math.inf


def finite(scores: Iterable[float]) -> int:
    """Return the number of scores that are finite: seeds that solved, or did not diverge."""
    return sum(map(math.isfinite, scores))


def paired(result: ComparisonResult, pair: Pair) -> tuple[list[float], list[float]]:
    """Return the test scores of both arms on the seeds that a verdict rests on, in their order."""
    a, b = result.arm(pair.a), result.arm(pair.b)
    first, second = (dict(zip(arm.seeds, arm.test, strict=True)) for arm in (a, b))
    seeds = [seed for seed in a.seeds if seed in second][: pair.seeds]
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


# ---- one pair ----------------------------------------------------------------------------------


def sentence(result: ComparisonResult, pair: Pair) -> Sentence:
    """Return the verdict on two arms as a sentence, the better arm first."""
    if pair.verdict == WORSE:
        pair = turned(pair, ratios=result.ratios)
    if pair.verdict == BETTER:
        said = f"{pair.a} is better than {pair.b}"
    elif pair.verdict == EQUIVALENT:
        said = f"{pair.a} and {pair.b} are equivalent"
    else:
        said = f"{pair.a} and {pair.b} are undecided after {seeds_words(pair.seeds)}"
    return Sentence(pair.verdict, f"{_opening(result)}{said}: {evidence(result, pair)}.")


def evidence(result: ComparisonResult, pair: Pair) -> str:
    """Return the numbers behind a verdict: scores, effect with its interval, tuned values, seeds.

    Scores are means, whose difference or ratio is the effect; times are medians over seeds, and so
    are scores of which one diverged.
    """
    parts = [_scores(result, pair)]
    if effect := _effect(result, pair):
        parts.append(effect)
    if tuned := _tuned(result, pair):
        parts.append(tuned)
    if pair.verdict != UNDECIDED:
        return ", ".join([*parts, seeds_words(pair.seeds)])
    return "; ".join([", ".join(parts), *open_words(pair)])


def open_words(pair: Pair) -> list[str]:
    """Return why a pair is undecided, and what would probably decide it, as far as known."""
    words = [pair.reason] if pair.reason else []
    if pair.needs:
        words.append(f"about {digits(pair.needs)} seeds would probably decide")
    return words


def _scores(result: ComparisonResult, pair: Pair) -> str:
    sides = paired(result, pair)
    all_finite = all(finite(side) == len(side) for side in sides)
    if result.times:
        verb = "solves" if pair.verdict in (BETTER, WORSE) else "solve"
        first, second = (median(side, result) for side in sides)
        solved, of = [*map(finite, sides)], seeds_words(len(sides[0]))
        if not math.isfinite(first):
            return f"{verb} in {solved[0]} of {of} against {solved[1]}"
        texts = [score_words(result, first), _bare(result, second)]
        if not all_finite:
            texts = [
                f"{texts[0]} ({solved[0]} of {of})",
                f"{texts[1]} ({solved[1]} of {len(sides[1])})",
            ]
        return f"{verb} in {texts[0]} against {texts[1]}"
    name = score_name(result)
    if all_finite and all(sides):
        first, second = (mean(side, ratio=result.relative) for side in sides)
        return f"{name} {digits(first)} against {digits(second)}{unit(result)}"
    first, second = (score_words(result, median(side, result)) for side in sides)
    counts = [
        f"{len(side) - finite(side)} of {seeds_words(len(side))} of {arm} diverged"
        for arm, side in zip((pair.a, pair.b), sides, strict=True)
        if finite(side) < len(side)
    ]
    return ", ".join([f"median {name} {first} against {second}", *counts])


def _bare(result: ComparisonResult, value: float) -> str:
    return digits(value) if math.isfinite(value) else failed(result)


def mean(scores: Sequence[float], *, ratio: bool) -> float:
    """Return the mean whose difference, or ratio, is the effect of a pair."""
    if ratio and min(scores) > 0:
        return statistics.geometric_mean(scores)
    return statistics.fmean(scores)


def _effect(result: ComparisonResult, pair: Pair) -> str:
    """Return the difference or the ratio with its interval, or in how many seeds an arm is ahead.

    Of a better arm it is its lead, a ratio above 1 or the difference with its direction.
    """
    lead = pair.verdict == BETTER
    if not all(map(math.isfinite, (pair.difference, *pair.interval))):
        return ahead_words(result, pair)
    if lead and result.better != HIGHER:
        pair = turned(pair, ratios=result.ratios)
    low, high = map(digits, pair.interval)
    interval = f"[{percent(result.level)} interval {low} to {high}]"
    if result.ratios:
        words = f"ratio {digits(pair.difference)} {interval}"
    elif lead:
        words = f"{result.better} by {digits(pair.difference)} {interval}"
    else:
        words = f"difference {digits(pair.difference)} {interval}"
    return f"{words}, within {margin_words(result)}" if pair.verdict == EQUIVALENT else words


def ahead_words(result: ComparisonResult, pair: Pair) -> str:
    """Return in how many seeds arm a is ahead of b and behind: "sooner in 15 of 16, later in 1".

    It stands for an effect that is not finite; "" where all seeds are ties.
    """
    a, b = paired(result, pair)
    ahead = sum(_ahead(result, x, y) for x, y in zip(a, b, strict=True))
    behind = sum(_ahead(result, y, x) for x, y in zip(a, b, strict=True))
    words = ("sooner", "later") if result.times else ("lower", "higher")
    first, second = words if result.better != HIGHER else words[::-1]
    parts = [f"{first} in {ahead} of {len(a)}"] * bool(ahead)
    parts += [f"{second} in {behind}" + f" of {len(a)}" * (not ahead)] * bool(behind)
    return ", ".join(parts)


def _ahead(result: ComparisonResult, x: float, y: float) -> bool:
    """Whether score x is better than y; scores that are not finite are worst, and equal."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.isfinite(x) and not math.isfinite(y)
    return x > y if result.better == HIGHER else x < y


def _tuned(result: ComparisonResult, pair: Pair) -> str:
    a, b = result.arm(pair.a).tuned, result.arm(pair.b).tuned
    words = []
    for key in dict.fromkeys([*a, *b]):
        first, second = (config_words(arm[key]) if key in arm else "none" for arm in (a, b))
        if first == second:
            words.append(f"{key_words(key)} {first} for both")
        else:
            words.append(f"{key_words(key)}s {first} and {second}")
    return "tuned " * (tunes(result) and bool(words)) + ", ".join(words)


def _opening(result: ComparisonResult) -> str:
    question = result.question.strip()
    if not question:
        return ""
    return f"{question} " if question.endswith("?") else f"{question.removesuffix('.')}, "


def seeds_words(count: int) -> str:
    """Return a number of seeds in words."""
    return f"{count:,} seed{'s' * (count != 1)}"


def listing(words: Sequence[str]) -> str:
    """Return words with commas and an "and" between them."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


# ---- one comparison ----------------------------------------------------------------------------


def sentences(result: ComparisonResult) -> list[Sentence]:
    """Return the sentences that answer the question of a comparison, the winners first.

    Up to three pairs have a sentence each. Of more, the arms that no other beats have one each,
    and the rest is grouped; every pair stands in the table of the page.
    """
    if len(result.pairs) <= _MOST_SENTENCES:
        answers = [sentence(result, pair) for pair in result.pairs]
        order = [BETTER, EQUIVALENT, UNDECIDED]
        answers.sort(key=lambda said: order.index(said.verdict))
    elif result.reference is not None:
        answers = _against_reference(result, result.reference)
    else:
        answers = _all_pairs(result)
    return [*answers, *_notes(result, grouped=len(result.pairs) > _MOST_SENTENCES)]


def unbeaten(result: ComparisonResult) -> list[Arm]:
    """Return the arms that no other arm beats, those that beat most others first."""
    beaten = {name for pair in result.pairs if (name := _loser(pair))}
    wins = {arm.name: 0 for arm in result.arms}
    for pair in result.pairs:
        if loser := _loser(pair):
            wins[pair.b if loser == pair.a else pair.a] += 1
    arms = [arm for arm in result.arms if arm.name not in beaten]
    return sorted(arms, key=lambda arm: -wins[arm.name])


def _loser(pair: Pair) -> str:
    return {BETTER: pair.b, WORSE: pair.a}.get(pair.verdict, "")


def _arm_words(result: ComparisonResult, arm: Arm) -> str:
    return f"{arm.name} ({score_words(result, median(arm.test, result))})"


def _against_reference(result: ComparisonResult, reference: str) -> list[Sentence]:
    """Return a sentence per verdict, each with the arms that have it."""
    pairs = [result.pair(arm.name, reference) for arm in result.arms if arm.name != reference]
    standard = _arm_words(result, result.arm(reference))
    heads = {
        BETTER: f"better than {standard}",
        EQUIVALENT: f"equivalent to {standard}, within {margin_words(result)}",
        WORSE: f"worse than {standard}",
        UNDECIDED: f"undecided against {standard}",
    }
    answers = []
    for verdict, head in heads.items():
        listed = [_beside_reference(result, pair) for pair in pairs if pair.verdict == verdict]
        if listed:
            opening = _opening(result) if not answers else ""
            text = f"{opening}{head}: {'; '.join(listed)}."
            answers.append(Sentence(verdict, text if opening else text[0].upper() + text[1:]))
    return answers


def _beside_reference(result: ComparisonResult, pair: Pair) -> str:
    arm = result.arm(pair.a)
    words = [score_words(result, median(arm.test, result))]
    if math.isfinite(pair.difference):
        low, high = map(digits, pair.interval)
        effect = "ratio" if result.ratios else "difference"
        words.append(f"{effect} {digits(pair.difference)} [{low} to {high}]")
    if pair.verdict == UNDECIDED:
        words += open_words(pair)
    return f"{pair.a} ({', '.join(words)})"


def _all_pairs(result: ComparisonResult) -> list[Sentence]:
    """Return the sentences on the arms that no other beats, then the other pairs by verdict."""
    verdicts = {pair.verdict for pair in result.pairs}
    count, opening = len(result.arms), _opening(result)
    if verdicts == {EQUIVALENT}:
        arms = ", ".join(_arm_words(result, arm) for arm in result.arms)
        words = f"{opening}all {count} arms are equivalent, within {margin_words(result)}: {arms}."
        return [Sentence(EQUIVALENT, words)]
    best = unbeaten(result)
    if verdicts == {UNDECIDED}:
        return [_several_best(result, best)]
    if len(best) > _MOST_SENTENCES or not best:
        answers, alone = [_several_best(result, best)], set()
    else:
        answers = [_best(result, arm) for arm in best]
        alone = {arm.name for arm in best}
    if beaten := _beaten(result):
        answers.append(Sentence(WORSE, f"Beaten: {beaten}."))
    rest = [pair for pair in result.pairs if not {pair.a, pair.b} & alone]
    for verdict, word in ((EQUIVALENT, "Equivalent"), (UNDECIDED, "Undecided")):
        pairs = [pair for pair in rest if pair.verdict == verdict]
        if pairs:
            more = f"; and {len(pairs) - _LISTED} more pairs, in the table of the report"
            listed = "; ".join(f"{pair.a} and {pair.b}" for pair in pairs[:_LISTED])
            listed += more * (len(pairs) > _LISTED) + _enough(pairs)
            also = "Also " * bool(alone)
            answers.append(Sentence(verdict, f"{also}{word.lower() if also else word}: {listed}."))
    return answers


def _best(result: ComparisonResult, arm: Arm) -> Sentence:
    """Return the sentence on an arm that no other beats."""
    pairs = [result.pair(arm.name, other.name) for other in result.arms if other.name != arm.name]
    won = [pair for pair in pairs if pair.verdict == BETTER]
    opening, others = _opening(result), len(pairs)
    if len(won) == others:
        closest = min(won, key=lambda pair: _distance(result, result.arm(pair.b)))
        head = f"{arm.name} is better than each of the {others} others"
        said = f"{evidence(result, closest)} ({closest.b}, the next)"
        return Sentence(BETTER, f"{opening}{head}: {said}.")
    words = [f"better than {len(won)} of the {others} others"] if won else []
    for verdict, head in ((EQUIVALENT, "equivalent to"), (UNDECIDED, "undecided against")):
        if alike := [pair for pair in pairs if pair.verdict == verdict]:
            words.append(f"{head} {listing([pair.b for pair in alike])}{_enough(alike)}")
    numbers = [
        score_words(result, median(arm.test, result)),
        "tuned " * (tunes(result) and bool(arm.tuned)) + tuned_words(arm),
        seeds_words(len(arm.test)),
    ]
    level = all(pair.verdict == EQUIVALENT for pair in pairs)
    verdict = BETTER if won else EQUIVALENT if level else UNDECIDED
    named = f"{arm.name} ({', '.join(filter(None, numbers))})"
    return Sentence(verdict, f"{opening}no arm beats {named}: {'; '.join(words)}.")


def _distance(result: ComparisonResult, arm: Arm) -> float:
    """Return the median score of an arm, turned so that lower is better."""
    middle = median(arm.test, result)
    return -middle if result.better == HIGHER and math.isfinite(middle) else middle


def _enough(pairs: Sequence[Pair]) -> str:
    """Return how many seeds would probably decide pairs, in parentheses; "" where unknown."""
    needs = sorted(pair.needs for pair in pairs if pair.needs)
    if not needs:
        return ""
    most = f" to {digits(needs[-1])}" * (needs[-1] > needs[0])
    return f" (about {digits(needs[0])}{most} seeds would probably decide)"


def _several_best(result: ComparisonResult, best: Sequence[Arm]) -> Sentence:
    """Return one sentence on more unbeaten arms than have one each."""
    opening, most = _opening(result), max(pair.seeds for pair in result.pairs)
    if all(pair.verdict == UNDECIDED for pair in result.pairs):
        head = f"the {len(result.arms)} arms are undecided after {seeds_words(most)}"
        head += _enough(result.pairs)
        best = result.arms
    elif best:
        head = f"no arm beats any of these {len(best)}"
    else:
        head = "every arm is beaten by another"
        best = result.arms
    arms = ", ".join(_arm_words(result, arm) for arm in best)
    decided = any(_loser(pair) for pair in result.pairs)
    return Sentence(BETTER if decided else UNDECIDED, f"{opening}{head}: {arms}.")


def _beaten(result: ComparisonResult) -> str:
    """Return the arms that others beat, each with those that do."""
    words = []
    for arm in result.arms:
        by = [
            pair.b if pair.a == arm.name else pair.a
            for pair in result.pairs
            if _loser(pair) == arm.name
        ]
        if by:
            named = listing(by) if len(by) <= _MOST_SENTENCES else f"{len(by)} others"
            words.append(f"{_arm_words(result, arm)} by {named}")
    return "; ".join(words)


def _notes(result: ComparisonResult, *, grouped: bool) -> list[Sentence]:
    """Return what a reader has to know beside the verdicts: edges of the grid, diverged seeds.

    Sentences on single pairs have the counts of seeds already.
    """
    notes = []
    if edge := [f"{tuned_words(arm)} of {arm.name}" for arm in result.arms if arm.at_edge]:
        text = f"Chosen at the edge of the grid, so perhaps not the best: {'; '.join(edge)}."
        notes.append(Sentence("", text))
    if blind := [
        f"{tuned_words(arm)} of {arm.name}" for arm in result.arms if by_loss(result, arm)
    ]:
        text = f"Chosen by the loss, for no tuning seed solved: {'; '.join(blind)}."
        notes.append(Sentence("", text))
    lost = [
        f"{len(arm.test) - finite(arm.test)} of {seeds_words(len(arm.test))} of {arm.name}"
        for arm in result.arms
        if finite(arm.test) < len(arm.test)
    ]
    if lost and grouped:
        word = "Never solved" if result.times else "Diverged"
        notes.append(Sentence("", f"{word}, which counts as worst: {'; '.join(lost)}."))
    return notes


# ---- margins and errors ------------------------------------------------------------------------


def zone(result: ComparisonResult) -> tuple[float, float]:
    """Return the interval of equivalent differences, or ratios: ±δ, 1/(1+δ) to 1+δ."""
    delta = result.equivalent
    return (1 / (1 + delta), 1 + delta) if result.ratios else (-delta, delta)


def margin_words(result: ComparisonResult) -> str:
    """Return the zone of equivalence: "25%" of ratios, "±0.02" of differences."""
    if result.ratios:
        return f"{digits(100 * result.equivalent)}%"
    return f"±{digits(result.equivalent)}{unit(result)}"


def expected_false(results: Sequence[ComparisonResult]) -> str:
    """Return how many of several comparisons are expected to err at most; "" of fewer than two."""
    if len(results) < 2:
        return ""
    most = digits(COMPARISON_ERROR * len(results))
    return (
        f"Each of these {len(results)} comparisons errs with at most {percent(COMPARISON_ERROR)}: "
        f"expect a false verdict in at most {most} of them."
    )


def counts(results: Sequence[ComparisonResult]) -> str:
    """Return one line: how many pairs are decided, and how.

    >>> counts([])
    '0 comparisons: 0 pairs better or worse, 0 equivalent, 0 undecided'
    """
    pairs = [pair.verdict for result in results for pair in result.pairs]
    apart = pairs.count(BETTER) + pairs.count(WORSE)
    return (
        f"{len(results)} comparison{'s' * (len(results) != 1)}: {apart} "
        f"pair{'s' * (apart != 1)} better or worse, {pairs.count(EQUIVALENT)} equivalent, "
        f"{pairs.count(UNDECIDED)} undecided"
    )


# ---- the terminal ------------------------------------------------------------------------------


def format_comparisons(
    results: Sequence[ComparisonResult], width: int | None = None, paint: Paint = terminal.plain
) -> str:
    """Return the sentences of comparisons for a terminal, each with the mark of its verdict.

    Args:
        results: the comparisons.
        width: columns; None: the terminal's.
        paint: colors.
    """
    columns = width or terminal.columns()
    lines = []
    for said in itertools.chain.from_iterable(map(sentences, results)):
        first, *rest = textwrap.wrap(said.text, columns - 2, break_on_hyphens=False)
        style = "dim" if not said.verdict else ""
        lines.append(f"{paint(said.mark, _STYLES[said.verdict])} {paint(first, style)}")
        lines += [f"  {paint(line, style)}" for line in rest]
    if note := expected_false(results):
        lines += [paint(line, "dim") for line in textwrap.wrap(note, columns)]
    return "\n".join(lines)
