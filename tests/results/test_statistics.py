"""Verdicts against SciPy and loops, and simulated comparisons whose right verdicts are known."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from rnnlab.results.statistics import (
    BETTER,
    EQUIVALENT,
    UNDECIDED,
    VERDICTS,
    WORSE,
    Rule,
    best,
    decide,
    follow,
    interval,
    seeds_needed,
    smoothed,
    verdicts,
)

INF, NAN = math.inf, math.nan
OPPOSITE = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}


# ---- the rule ----------------------------------------------------------------------------------


def test_level_is_shared_by_pairs_and_looks():
    assert Rule(0.1).level == pytest.approx(0.05 / 3)
    assert Rule(0.1, pairs=28, looks=(8, 16)).level == pytest.approx(0.05 / 56)
    assert Rule(0.1).bound == 0.1
    assert Rule(0.25, times=True).bound == Rule(0.25, relative=True).bound == math.log(1.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, "margin must be a finite number above 0, got 0.0"),
        ({"margin": NAN}, "margin must be"),
        ({"pairs": 0}, "pairs must be a whole number of at least 1"),
        ({"looks": ()}, "at least one number of seeds"),
        ({"looks": (1, 8)}, "looks must be a whole number of at least 2, got 1"),
        ({"looks": (8, 8)}, r"looks must rise, as \(8, 16, 32\) do, got \(8, 8\)"),
        ({"looks": (16, 8)}, "looks must rise"),
        ({"times": True, "higher": True}, "drop higher or times"),
    ],
)
def test_rule_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Rule(**{"margin": 0.1} | options)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([1.0, 2.0], [1.0], {}, r"paired by seed, got shapes \(2,\) and \(1,\)"),
        (1.0, 2.0, {}, "paired by seed"),
        ([1.0], [2.0], {}, "at least 2 seeds, got 1"),
        ([[1.0, 2.0]], [[1.0, 2.0]], {}, r"a must have shape \(n,\)"),
        ([1.0, 0.0], [1.0, 1.0], {"relative": True}, "by their ratio must be above 0, got 0"),
        ([1.0, 1.0], [INF, -3.0], {"times": True}, "times to solve must be above 0, got -3"),
    ],
)
def test_scores_refused(a, b, options, message):
    with pytest.raises(ValueError, match=message):
        decide(a, b, Rule(0.1, **options))


# ---- one decision ------------------------------------------------------------------------------


def expected_interval(d, level):
    """The interval of one sample, by SciPy's t interval and skewness."""
    d = np.asarray(d, float)
    if (d == d[0]).all():
        return d[0], d[0], d[0]
    plain = stats.ttest_1samp(d, 0).confidence_interval(1 - level)
    t = stats.t(len(d) - 1).ppf(1 - level / 2)
    skewness = stats.skew(d, bias=False)
    longer = stats.sem(d) * 2 * abs(skewness) * (1 + 2 * t**2) / (6 * math.sqrt(len(d)))
    low, high = plain.low, plain.high
    return d.mean(), low - longer * (skewness < 0), high + longer * (skewness > 0)


def expected_verdict(a, b, rule):
    """The verdict seed by seed, by SciPy's binomial test."""
    both_fail = above = below = 0
    d = []
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        fails_x, fails_y = not math.isfinite(x), not math.isfinite(y)
        if fails_x or fails_y:
            d = None
            both_fail += fails_x and fails_y
            above += fails_y and not fails_x if rule.higher else fails_x and not fails_y
            below += fails_x and not fails_y if rule.higher else fails_y and not fails_x
        else:
            above, below = above + (x > y), below + (x < y)
            if d is not None:
                d.append(math.log(x / y) if rule.relative or rule.times else x - y)
    if both_fail > len(a) / 2:
        return UNDECIDED
    if d is not None:
        margin = math.log(1 + rule.margin) if rule.relative or rule.times else rule.margin
        _, low, high = expected_interval(d, 0.05 / rule.pairs / len(rule.looks))
        if max(-low, high) < margin:
            return EQUIVALENT
    if d is not None and not rule.times:
        side = int(low > 0) - int(high < 0)
    else:
        trials = above + below
        significant = trials and stats.binomtest(above, trials).pvalue <= rule.level
        side = ((above > below) - (above < below)) * bool(significant)
    if not side:
        return UNDECIDED
    return BETTER if (side > 0) == rule.higher else WORSE


def drawn(rng, rule):
    """Scores of two arms: apart or not, skewed or not, tied, failing."""
    n = int(rng.choice([2, 5, 8, 16, 32]))
    a, b = rng.normal(size=(2, n)) if rng.random() < 0.5 else rng.exponential(size=(2, n))
    a = a * rng.choice([0.05, 1.0, 3.0]) + rng.choice([0.0, 0.3, -1.0, 2.5])
    if rng.random() < 0.3:
        a = b + 0.05 * rng.normal(size=n) + rng.choice([0.0, 0.3])
    if rng.random() < 0.3:
        a, b = np.round(a), np.round(b)
    if rule.relative or rule.times:
        a, b = np.exp(a), np.exp(b)
    for scores in (a, b):
        if rng.random() < 0.4:
            scores[rng.random(n) < rng.choice([0.1, 0.9])] = rng.choice([INF, NAN, -INF])
    return a, b


KINDS = [{}, {"higher": True}, {"relative": True}, {"relative": True, "higher": True}]
KINDS = [*KINDS, {"times": True}]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind) or "scores")
def test_decision_matches_scipy(kind):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        rule = Rule(rng.choice([0.05, 0.5, 2.0]), pairs=int(rng.choice([1, 6])), **kind)
        a, b = drawn(rng, rule)
        found = decide(a, b, rule)
        seen.add(found.verdict)
        assert found.verdict == expected_verdict(a, b, rule)
        assert found.seeds == len(a)
        assert (found.reason == "") == (found.verdict != UNDECIDED)
        if np.isfinite([a, b]).all():
            d = np.log(a / b) if rule.ratios else a - b
            three = found.difference, found.low, found.high
            np.testing.assert_allclose(three, expected_interval(d, rule.level), atol=1e-12)
        else:
            assert np.isnan([found.difference, found.low, found.high]).all()
        turned = decide(b, a, rule)
        assert turned.verdict == OPPOSITE[found.verdict]
        np.testing.assert_allclose(turned.low, -found.high, atol=1e-12)
        if not rule.ratios:
            mirrored = decide(-a, -b, Rule(rule.margin, rule.pairs, higher=not rule.higher))
            assert mirrored.verdict == found.verdict
    assert seen == set(VERDICTS)


def test_many_pairs_at_once_are_decided_as_one_by_one():
    rng = np.random.default_rng(1)
    a, b = rng.exponential(size=(2, 5, 7, 8)) * 2 ** rng.normal(size=(5, 7, 1))
    a[rng.random(a.shape) < 0.03] = NAN
    rule = Rule(2.0)
    many = verdicts(a, b, rule)
    for i, j in np.ndindex(5, 7):
        one = decide(a[i, j], b[i, j], rule)
        assert one.verdict == VERDICTS[many.verdict[i, j]]
        assert np.array_equal(
            [one.difference, one.low, one.high],
            [many.difference[i, j], many.low[i, j], many.high[i, j]],
            equal_nan=True,
        )


def test_interval_of_symmetric_differences_is_the_t_interval():
    half = np.random.default_rng(2).normal(size=(3, 6))
    d = 0.7 + np.concatenate([half, -half], axis=-1)
    _, low, high = interval(d, 0.01)
    plain = stats.ttest_1samp(d, 0, axis=-1).confidence_interval(0.99)
    np.testing.assert_allclose([low, high], [plain.low, plain.high], rtol=1e-12)


def test_interval_of_equal_differences_has_no_length():
    assert np.mean([0.1] * 12) != 0.1  # rounding is no spread
    mean, low, high = interval([0.1] * 12, 0.02)
    assert low == mean == high


def test_interval_of_large_and_tiny_differences():
    d = np.random.default_rng(3).exponential(size=9)
    for scale in (1e150, 1e-150):
        np.testing.assert_allclose(np.array(interval(d * scale, 0.02)) / scale, interval(d, 0.02))


@pytest.mark.parametrize(
    ("a", "b", "options", "verdict", "reason"),
    [
        # no spread
        ([0.4] * 8, [0.4] * 8, {}, EQUIVALENT, ""),
        ([0.45] * 8, [0.4] * 8, {}, EQUIVALENT, ""),
        ([0.6] * 8, [0.4] * 8, {}, WORSE, ""),
        ([0.6] * 8, [0.4] * 8, {"higher": True}, BETTER, ""),
        ([200.0] * 8, [200.0] * 8, {"times": True}, EQUIVALENT, ""),
        # a difference of the margin itself is not within it, whatever its rounding
        ([0.1 + k / 7 for k in range(8)], [k / 7 for k in range(8)], {}, WORSE, ""),
        ([0.3] * 8, [0.2] * 8, {}, WORSE, ""),
        # failures
        ([NAN] * 8, [1.0] * 8, {}, WORSE, ""),
        ([NAN] * 8, [1.0] * 8, {"higher": True}, WORSE, ""),
        ([-INF] * 8, [1.0] * 8, {}, WORSE, ""),
        ([300.0] * 8, [INF] * 8, {"times": True}, BETTER, ""),
        ([NAN] * 8, [NAN] * 8, {}, UNDECIDED, "both diverge"),
        ([INF] * 8, [INF] * 8, {"times": True}, UNDECIDED, "neither solves"),
        (
            [INF] * 5 + [9.0] * 3,
            [INF] * 5 + [9.0] * 3,
            {"times": True},
            UNDECIDED,
            "neither solves",
        ),
        ([INF] * 4 + [9.0] * 4, [INF] * 4 + [9.0] * 4, {"times": True}, UNDECIDED, "too few seeds"),
        ([NAN] + [1.0] * 7, [NAN] + [1.0] * 7, {}, UNDECIDED, "too few seeds"),
        # ties are dropped: 7 of 7 are enough at 1.67%, 6 of 6 are not
        ([2.0] * 8, [2.0] + [9.0] * 7, {"times": True}, BETTER, ""),
        ([2.0] * 8, [2.0] * 2 + [9.0] * 6, {"times": True}, UNDECIDED, "too few seeds"),
    ],
)
def test_special_scores(a, b, options, verdict, reason):
    found = decide(a, b, Rule(0.1, **options))
    assert (found.verdict, found.reason) == (verdict, reason)


# ---- looks -------------------------------------------------------------------------------------


def at_looks(a, b, rule):
    """Verdicts of many pairs (..., n) by :func:`follow`, as places in VERDICTS."""
    final = np.full(a.shape[:-1], VERDICTS.index(UNDECIDED))
    for look in rule.looks:
        still = final == VERDICTS.index(UNDECIDED)
        final[still] = verdicts(a[still][:, :look], b[still][:, :look], rule).verdict
    return final


@pytest.mark.parametrize("kind", [{}, {"times": True}], ids=["scores", "times"])
def test_first_decision_is_final(kind):
    rng = np.random.default_rng(4)
    rule = Rule(0.8, **kind)
    a, b = np.exp(0.4 * rng.normal(size=(2, 120, 40)))
    a *= np.exp(rng.choice([0.0, 0.3, 0.6], size=(120, 1)))
    a[rng.random(a.shape) < 0.01] = NAN
    together = at_looks(a, b, rule)
    used = set()
    for x, y, place in zip(a, b, together, strict=True):
        decisions = [decide(x[:n], y[:n], rule) for n in (8, 16, 32)]
        decided = [d for d in decisions if d.verdict != UNDECIDED]
        final = decided[0] if decided else decisions[-1]
        found = follow(x, y, rule)
        assert repr(found) == repr(final)  # NaN is not equal to itself
        assert found.verdict == VERDICTS[place]
        used.add((found.seeds, found.verdict == UNDECIDED))
        between = follow(x[:20], y[:20], rule)
        assert (between.seeds, between.verdict) == (
            (found.seeds, found.verdict) if found.seeds < 32 else (16, UNDECIDED)
        )
    assert used == {(8, False), (16, False), (32, False), (32, True)}


def test_before_the_first_look_nothing_is_decided():
    for n in (0, 1, 7):
        found = follow([1.0] * n, [2.0] * n, Rule(0.1))
        assert (found.verdict, found.seeds, found.reason) == (UNDECIDED, n, f"{n} of 8 seeds")
    assert follow([1.0] * 8, [2.0] * 8, Rule(0.1)).verdict == BETTER


# ---- simulated comparisons ---------------------------------------------------------------------

REPEATS = 2000
MOST = 0.05 + 2 * math.sqrt(0.05 * 0.95 / REPEATS)
SHAPES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "rounded": lambda rng, shape: np.round(rng.normal(size=shape)),
    "mostly tied": lambda rng, shape: np.round(0.6 * rng.normal(size=shape)),
}


def wrong(scores, rule, pairs, *kinds):
    """Per verdict, which of the comparisons (REPEATS, arms, 32) have such a pair."""
    found = np.array([at_looks(scores[:, i], scores[:, j], rule) for i, j in pairs])
    return [(found == VERDICTS.index(verdict)).any(0) for verdict in kinds]


def errors(scores, margin, **kind):
    """Share of comparisons that err: better or worse by chance; at the margin equivalent; better.

    Args:
        scores: (REPEATS, arms, 32) of equal arms.
        margin: by which arm 0 is then made worse; of ratios for times.
    """
    arms = scores.shape[1]
    pairs = list(combinations(range(arms), 2))
    first = [pair for pair in pairs if pair[0] == 0]
    apart = scores.copy()
    apart[:, 0] = apart[:, 0] * (1 + margin) if "times" in kind else apart[:, 0] + margin
    tiny = Rule(margin / 1000, len(pairs), **kind)  # so that equivalence does not protect
    better, worse = wrong(scores, tiny, pairs, BETTER, WORSE)
    rule = Rule(margin, len(pairs), **kind)
    at_margin = wrong(apart, rule, first, EQUIVALENT, BETTER)
    return [share.mean() for share in (better | worse, *at_margin)]


@pytest.mark.parametrize("arms", [2, 4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_scores_err_in_at_most_5_percent(shape, arms):
    scores = SHAPES[shape](np.random.default_rng(5), (REPEATS, arms, 32))
    assert max(errors(scores, 1.0)) <= MOST


@pytest.mark.parametrize("arms", [2, 4, 8])
@pytest.mark.parametrize("never", [0.0, 0.05, 0.4, 0.8])
def test_times_err_in_at_most_5_percent(never, arms):
    rng = np.random.default_rng(6)
    times = rng.lognormal(6, 0.5, size=(REPEATS, arms, 32))
    times[rng.random(times.shape) < never] = INF
    assert max(errors(times, 0.25, times=True)) <= MOST


def test_scores_of_which_some_diverge_err_in_at_most_5_percent():
    rng = np.random.default_rng(7)
    scores = rng.exponential(size=(REPEATS, 4, 32))
    scores[rng.random(scores.shape) < 0.1] = NAN
    assert max(errors(scores, 1.0)) <= MOST


def against_constant(rng, noise, arms):
    """Scores of mean 0 of which arm 0 alone varies much."""
    scores = 0.01 * rng.normal(size=(REPEATS, arms, 32))
    scores[:, 0] = noise(rng, (REPEATS, 32))
    return scores


@pytest.mark.parametrize("arms", [2, 4, 8])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_skewed_arm_against_constant_ones_errs_in_at_most_5_percent(sign, arms):
    def noise(rng, shape):
        return sign * (rng.exponential(size=shape) - 1)

    scores = against_constant(np.random.default_rng(8), noise, arms)
    assert max(errors(scores, 2.0)) <= MOST


def test_limits_of_the_interval(monkeypatch):
    """Errors that the module states: of t alone, of very skewed scores, of rare failures."""

    def exponential(rng, shape):
        return rng.exponential(size=shape) - 1

    def lognormal(rng, shape):
        return rng.lognormal(size=shape) - math.exp(0.5)

    def rare(rng, shape):
        return (rng.random(shape) < 0.2) - 0.2

    def by_chance(noise):
        return errors(against_constant(np.random.default_rng(9), noise, 2), 1.0)[0]

    assert 0.08 < by_chance(lognormal) < 0.12
    assert by_chance(rare) == pytest.approx(0.8**8, abs=0.03)
    monkeypatch.setattr("rnnlab.results.statistics._SKEWNESS", 0.0)  # t alone
    assert 0.09 < by_chance(exponential) < 0.13
    assert 0.17 < by_chance(lognormal) < 0.23


@pytest.mark.parametrize(
    ("seeds", "effect", "of_t", "least"),
    [
        (8, 2.0, 0.977, 0.85),
        (8, 3.0, 1.0, 0.97),
        (16, 1.0, 0.887, 0.80),
        (16, 1.5, 0.999, 0.98),
        (32, 0.7, 0.916, 0.87),
        (32, 1.0, 0.999, 0.99),
    ],
)
def test_power_for_normal_scores(seeds, effect, of_t, least):
    """Effects in standard deviations; the power of t alone by the noncentral t distribution."""
    rule = Rule(0.05)
    critical = stats.t(seeds - 1).ppf(1 - rule.level / 2)
    bound = stats.nct(seeds - 1, effect * math.sqrt(seeds)).sf(critical)
    assert bound == pytest.approx(of_t, abs=1.5e-3)
    d = effect + np.random.default_rng(10).normal(size=(REPEATS, seeds))
    worse = (verdicts(d, np.zeros_like(d), rule).verdict == VERDICTS.index(WORSE)).mean()
    assert least <= worse <= bound + 2 * math.sqrt(bound * (1 - bound) / REPEATS)


@pytest.mark.parametrize(
    ("seeds", "margin", "least"), [(8, 3.0, 0.95), (16, 1.5, 0.9), (32, 1.0, 0.9)]
)
def test_power_for_equal_arms(seeds, margin, least):
    d = np.random.default_rng(11).normal(size=(REPEATS, seeds))
    found = verdicts(d, np.zeros_like(d), Rule(margin)).verdict
    assert (found == VERDICTS.index(EQUIVALENT)).mean() >= least


@pytest.mark.parametrize(("seeds", "wins"), [(8, 1.0), (16, 0.9), (32, 0.8)])
def test_power_for_times(seeds, wins):
    """Better by the sign test: the binomial distribution gives its power."""
    rule = Rule(0.25, times=True)
    rng = np.random.default_rng(12)
    a = np.full((REPEATS, seeds), 900.0)
    b = np.where(rng.random(a.shape) < wins, INF, 100.0)
    losses = max(
        k for k in range(seeds) if stats.binomtest(k, seeds).pvalue <= rule.level and k < seeds / 2
    )
    power = stats.binom(seeds, 1 - wins).cdf(losses)
    found = (verdicts(a, b, rule).verdict == VERDICTS.index(BETTER)).mean()
    assert found == pytest.approx(power, abs=3 * math.sqrt(0.25 / REPEATS))


# ---- how many seeds ----------------------------------------------------------------------------


def decided(a, b, rule):
    return (verdicts(a, b, rule).verdict != VERDICTS.index(UNDECIDED)).mean()


@pytest.mark.parametrize(
    ("shift", "spread", "margin"), [(0.4, 1.0, 0.05), (0.0, 1.0, 0.5), (-0.3, 1.5, 1.0)]
)
def test_seeds_needed_decide_with_a_probability_of_80_percent(shift, spread, margin):
    rng = np.random.default_rng(13)
    half = rng.normal(size=8)
    d = np.concatenate([half, -half])  # no skewness
    d = shift + spread * d / d.std(ddof=1)
    rule = Rule(margin)
    n = seeds_needed(d, np.zeros(16), rule)
    assert n is not None
    assert n > 16

    def share(seeds):
        new = shift + spread * rng.normal(size=(1000, seeds))
        return decided(new, np.zeros_like(new), rule)

    assert 0.7 < share(n) < 0.9
    assert share(n // 2) < 0.6


def test_seeds_needed_of_the_sign_test():
    rule = Rule(0.25, times=True)
    a, b = np.full(20, 100.0), np.array([200.0] * 12 + [INF] + [50.0] * 5 + [100.0] * 2)
    n = seeds_needed(a, b, rule)

    def power(seeds):
        trials = round(seeds * 18 / 20)
        k = np.arange(trials // 2)
        rejects = 2 * stats.binom(trials, 0.5).cdf(k) <= rule.level
        return stats.binom(trials, 5 / 18).pmf(k)[rejects].sum()

    assert power(n) >= 0.8
    assert power(n - 1) < 0.8


@pytest.mark.parametrize(
    ("a", "b", "options", "expected"),
    [
        ([INF] * 8, [INF] * 8, {"times": True}, None),
        ([NAN] * 8, [NAN] * 8, {}, None),
        ([INF, 1.0] * 4, [1.0, INF] * 4, {"times": True}, None),  # each wins half of the seeds
        ([INF, 1.0] * 4, [INF, 1.0] * 4, {"times": True}, None),  # ties only
        ([5.0] * 8, [1.0] * 8, {}, 8),  # decided
        ([1.0] * 6, [INF] * 6, {"times": True}, 7),  # 2 / 2⁷ ≤ 0.05/3
        ([1.0, -1.0] * 4, [0.0] * 8, {"margin": 1e-3}, None),
        ([1.0] * 8, [INF] * 8, {"times": True, "pairs": 28}, 12),  # 2 / 2¹² ≤ 0.05/84
    ],
)
def test_seeds_needed_of_special_scores(a, b, options, expected):
    assert seeds_needed(a, b, Rule(**{"margin": 0.25} | options)) == expected


# ---- tuning ------------------------------------------------------------------------------------


def expected_smoothed(scores, times):
    """The mean over a value and its neighbors, value by value; no failures."""
    own = np.mean(np.log(scores) if times else scores, axis=-1)
    result = np.empty_like(own)
    for place in np.ndindex(own.shape):
        terms = [own[place]]
        for axis, size in enumerate(own.shape):
            lower, upper = (list(place) for _ in range(2))
            lower[axis], upper[axis] = place[axis] - 1, place[axis] + 1
            if lower[axis] < 0 or upper[axis] >= size:
                terms += [own[place]] * 2  # extrapolated: x + d and x − d
            else:
                terms += [own[tuple(lower)], own[tuple(upper)]]
        result[place] = np.mean(terms)
    return np.exp(result) if times else result


@pytest.mark.parametrize("grid", [(5,), (1,), (2,), (3, 4), (3, 1, 3)])
@pytest.mark.parametrize("times", [False, True])
def test_smoothed_is_the_mean_over_neighbors(grid, times):
    scores = np.random.default_rng(14).lognormal(size=(*grid, 3))
    np.testing.assert_allclose(smoothed(scores, times=times), expected_smoothed(scores, times))
    values = [tuple(range(size)) for size in grid]
    for higher in (False, True):
        extreme = np.argmax if higher else np.argmin
        place = np.unravel_index(extreme(expected_smoothed(scores, False)), grid)
        assert best(scores, values, higher=higher) == place


GRID = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@pytest.mark.parametrize(
    ("scores", "kind", "place"),
    [
        ([5, 4, 3, 4, 5], {}, 2),
        ([1, 1, 1, 1, 1], {}, 0),  # a tie: the smallest value
        ([3, 1, 3], {}, 1),  # best in the middle of three
        ([4, 3, 2, 1], {}, 3),  # best at an end
        ([2.2, 1.0, 0.5, 0.9], {}, 2),  # beside an end
        # failures: never chosen before a value without, and the worst score as a neighbor
        ([NAN, 5, NAN], {}, 1),
        ([INF, 2000, 600, INF], {"times": True}, 2),
        ([INF, 2000, 900, 500, INF], {"times": True}, 3),
        ([3.0, 2.0, 0.9, 0.7, NAN], {}, 2),  # 0.7 has a diverging neighbor
        ([2.3, 2.2, 0.7, NAN], {}, 2),  # but is chosen where it is far better
        ([INF, INF, INF], {"times": True}, 0),
        ([0.1, 0.5, 0.9, NAN, NAN], {"higher": True}, 2),
        ([-INF, 0.5, 0.9], {"higher": True}, 2),
        ([0.1, 0.7, 0.85, 0.9, NAN], {"higher": True}, 2),  # 0.9 has a diverging neighbor
    ],
)
def test_best_value(scores, kind, place):
    scores = np.array(scores, float)[:, None]
    assert best(scores, [GRID[: len(scores)]], **kind) == (place,)
    # a second tuned key of one value changes nothing
    assert best(scores[:, None], [GRID[: len(scores)], (1.0,)], **kind) == (place, 0)


def test_values_with_fewer_failed_seeds_come_first():
    scores = np.array([[0.1, NAN, 0.1], [0.1, 0.1, NAN], [7.0, 8.0, 9.0]])
    assert np.array_equal(smoothed(scores), [INF, INF, 8.0])
    assert best(scores, [(1, 2, 3)]) == (2,)
    # where all failed on one seed, the failed one counts as the worst score at hand
    scores[2, 0] = NAN
    filled = np.where(np.isfinite(scores), scores, 9.0)
    np.testing.assert_allclose(smoothed(scores), expected_smoothed(filled, False))
    assert np.array_equal(smoothed(np.full((2, 3), NAN), higher=True), [-INF, -INF])


def test_ties_go_to_the_smaller_values():
    scores = np.ones((3, 3, 2))
    scores[0, 0] = NAN
    assert best(scores, [(1, 2, 3), (0.1, 0.2, 0.3)]) == (0, 1)
    rates = np.array([0.3, 0.1 + 0.2, 0.3, 0.9, 0.9])[:, None]  # equal up to rounding
    assert best(rates, [GRID]) == (0,)
    assert best([[1.0], [1.0]], [("adam", "sgd")]) == (0,)


@pytest.mark.parametrize(
    ("scores", "values", "message"),
    [
        ([1.0, 2.0], [(1, 2)], r"scores must be \(grid axes ..., seeds\), got shape \(2,\)"),
        ([[], []], [(1, 2)], r"got shape \(2, 0\)"),
        ([[1.0], [2.0]], [(1, 2, 3)], r"scores must have shape \(3,\), got \(2,\)"),
        ([[1.0], [2.0]], [(2, 1)], r"the values of a grid must rise, got \(2, 1\)"),
        ([[1.0], [2.0]], [(1, 1)], "must rise"),
    ],
)
def test_best_refuses(scores, values, message):
    with pytest.raises(ValueError, match=message):
        best(scores, values)
    with pytest.raises(ValueError, match="times to solve must be above 0, got -2"):
        smoothed([[1.0], [-2.0]], times=True)


def test_values_without_an_order_have_no_neighbors():
    scores = [[1.0], [0.9], [3.0]]
    assert best(scores, [("adam", "sgd", "rmsprop")]) == (1,)
    assert best([[0.9], [1.0], [3.0]], [("sgd", "adam", "rmsprop")]) == (0,)
    assert np.array_equal(smoothed(scores, [("adam", "sgd", "rmsprop")]), [1.0, 0.9, 3.0])
