"""n-gram language models against nltk, and modified Kneser–Ney against Python loops."""

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from nltk.lm import MLE, KneserNeyInterpolated, Lidstone
from nltk.lm.preprocessing import padded_everygram_pipeline

from rnnlab.sparse.language_model import (
    END,
    FALLBACK,
    START,
    UNKNOWN,
    NgramLanguageModel,
    modified_discounts,
)


def sentences(count, seed, words=14):
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, words + 1)
    p /= p.sum()
    return [
        [f"w{code}" for code in rng.choice(words, rng.integers(1, 9), p=p)] for _ in range(count)
    ]


TRAIN, TEST = sentences(60, 0), sentences(12, 1, words=18)  # some words of it are unseen
OTHERS = {
    "mle": lambda n: (MLE(n), {}),
    "add_k": lambda n: (Lidstone(0.3, n), {"k": 0.3}),
    "kneser_ney": lambda n: (KneserNeyInterpolated(n, discount=0.4), {"discount": 0.4}),
}


def contexts(order, seed=3):
    """Seen and unseen ones, of all lengths, of a document's beginning and end."""
    padded = [[START] * (order - 1) + s + [END] * (order - 1) for s in TRAIN[:6] + TEST[:6]]
    seen = [s[max(0, i - m) : i] for s in padded for m in range(order) for i in range(m, len(s))]
    rng = np.random.default_rng(seed)
    return [seen[i] for i in rng.choice(len(seen), min(60, len(seen)), replace=False)]


# ---- against nltk ------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", OTHERS)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_scores_are_nltk_s(smoothing, order):
    theirs, options = OTHERS[smoothing](order)
    theirs.fit(*padded_everygram_pipeline(order, TRAIN))
    ours = NgramLanguageModel(order, smoothing, **options).fit(TRAIN)
    words = ["w0", "w3", "w13", "w17", END, START, UNKNOWN]
    for context in contexts(order):
        for word in words:
            expected = theirs.score(word, context)
            assert ours.score(word, context) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("smoothing", OTHERS)
def test_perplexity_is_nltk_s(smoothing):
    order, known = 3, [s for s in TEST if all(w in {w for t in TRAIN for w in t} for w in s)]
    theirs, options = OTHERS[smoothing](order)
    theirs.fit(*padded_everygram_pipeline(order, TRAIN))
    ours = NgramLanguageModel(order, smoothing, **options).fit(TRAIN)
    texts = TRAIN[:8] if smoothing == "mle" else known
    grams = [
        tuple(padded[i : i + order])
        for s in texts
        for padded in [[START] * (order - 1) + s + [END]]
        for i in range(len(padded) - order + 1)
    ]
    assert ours.perplexity(texts) == pytest.approx(theirs.perplexity(grams), rel=1e-9)


def test_rare_words_become_unknown_as_in_nltk():
    from nltk.lm import Vocabulary

    flat = [w for s in TRAIN for w in s]
    least = sorted(Counter(flat).values())[2] + 1
    known = Vocabulary([*flat, *[START, END] * 99], unk_cutoff=least)
    theirs = KneserNeyInterpolated(2, discount=0.2, vocabulary=known)
    masked = [list(theirs.vocab.lookup(s)) for s in TRAIN]
    grams, padded = padded_everygram_pipeline(2, masked)
    theirs.fit(grams)
    del padded
    ours = NgramLanguageModel(2, "kneser_ney", discount=0.2, min_count=least).fit(TRAIN)
    assert ours.symbols.count(UNKNOWN) == 1
    rare = next(w for w, c in Counter(flat).items() if c < least)
    assert rare not in ours.symbols
    for word, context in itertools.product(["w0", "w1"], (["w0"], [UNKNOWN], ["w2"])):
        expected = theirs.score(word, context)
        assert ours.score(word, context) == pytest.approx(expected, rel=1e-9)
    assert ours.score(rare, ["w0"]) == ours.score("never", ["w0"]) > 0


# ---- modified Kneser–Ney, written out ----------------------------------------------------------


def modified_by_hand(order, pad):
    """Chen & Goodman 1999, one dictionary an order; returns p(word, context)."""
    end = [END] * max(order - 1, 1)
    texts = [([START] * (order - 1) + s + end) if pad else s for s in TRAIN]
    raw = {
        m: Counter(tuple(t[i : i + m]) for t in texts for i in range(len(t) - m + 1))
        for m in range(1, order + 1)
    }
    adjusted = {order: dict(raw[order])}
    for m in range(1, order):
        adjusted[m] = dict.fromkeys(raw[m], 0)
        for gram in raw[m + 1]:
            adjusted[m][gram[1:]] += 1
    discounts, by_context = {}, {}
    for m in range(1, order + 1):
        adjusted[m] = {g: a for g, a in adjusted[m].items() if g[-1] != START and a > 0}
        n = Counter(adjusted[m].values())
        discounts[m] = modified_discounts([n[1], n[2], n[3], n[4]]) or FALLBACK
        by_context[m] = defaultdict(list)
        for gram, a in adjusted[m].items():
            by_context[m][gram[:-1]].append(a)
    V = len({w for s in TRAIN for w in s}) + 1 + pad

    def p(word, context):
        context = context[max(0, len(context) - order + 1) :]
        lower = p(word, context[1:]) if context else 1 / V
        m = len(context) + 1
        counts = by_context[m].get(tuple(context))
        if not counts:
            return lower
        D = (0.0, *discounts[m])
        a = adjusted[m].get((*context, word), 0)
        gamma = sum(D[min(other, 3)] for other in counts) / sum(counts)
        return (a - D[min(a, 3)]) / sum(counts) + gamma * lower

    return p, discounts


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_modified_kneser_ney_is_the_loop(order, pad):
    by_hand, discounts = modified_by_hand(order, pad)
    ours = NgramLanguageModel(order, pad=pad).fit(TRAIN)
    assert ours.discounts == [pytest.approx(discounts[m]) for m in range(1, order + 1)]
    words = ["w0", "w3", "w13", "w17", *[END] * pad]
    for context in contexts(order):
        if pad or not {START, END} & set(context):
            for word in words:
                expected = by_hand(word, context)
                assert ours.score(word, context) == pytest.approx(expected, rel=1e-12)
    texts = TRAIN[:3] + TEST[:3]
    scored = ours.probabilities(texts)
    assert np.diff(scored.offsets).tolist() == [len(s) + pad for s in texts]
    expected = [
        by_hand(w, [*before, *s[:i]])
        for s in texts
        for before in [[START] * (order - 1) * pad]
        for i, w in enumerate([*s, *[END] * pad])
    ]
    np.testing.assert_allclose(scored.probabilities, expected, rtol=1e-12)
    logs = [math.log(p) for p in expected]
    assert ours.perplexity(texts) == pytest.approx(math.exp(-sum(logs) / len(logs)))


def test_discounts_are_estimated_and_can_be_given():
    texts = sentences(300, 5, words=200)
    ours = NgramLanguageModel(2).fit(texts)
    found = np.bincount(ours.counts.levels[1].counts, minlength=5)[1:5]
    assert ours.discounts[1] == modified_discounts(found) != FALLBACK
    given = NgramLanguageModel(2, discount=(0.2, 0.3, 0.4)).fit(texts)
    assert given.discounts == [(0.2, 0.3, 0.4)] * 2
    assert given.score("w1", ["w0"]) != ours.score("w1", ["w0"])
    assert modified_discounts([0, 1, 1, 1]) is None
    assert modified_discounts([9, 1, 9, 9]) is None  # D₂ would be below 0


# ---- whole distributions -----------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", ["mle", "add_k", "kneser_ney", "modified_kneser_ney"])
@pytest.mark.parametrize("pad", [True, False])
def test_distributions_are_the_scores_and_sum_to_one(smoothing, pad):
    ours = NgramLanguageModel(3, smoothing, pad=pad).fit(TRAIN)
    for context in ([], ["w0"], ["w1", "w0"], ["w5", "w9"], ["never", "w0"], ["w0", "never"]):
        p = ours.distribution(context)
        by_score = [ours.score(symbol, context) for symbol in ours.symbols]
        np.testing.assert_allclose(p, by_score, rtol=1e-12)
        if smoothing == "mle":
            assert min(abs(p.sum()), abs(p.sum() - 1)) < 1e-12
        elif smoothing == "kneser_ney" and not pad:  # as nltk's, see the docstring
            assert 1 - 1e-12 < p.sum() < 1.05
        else:
            assert p.sum() == pytest.approx(1, rel=1e-12)


def test_samples_follow_the_distribution():
    for smoothing in ("mle", "add_k", "kneser_ney", "modified_kneser_ney"):
        ours = NgramLanguageModel(2, smoothing, pad=False).fit(TRAIN)
        drawn = [ours.sample(1, ["w1"], seed=seed)[0] for seed in range(1500)]
        share = np.array([drawn.count(symbol) for symbol in ours.symbols]) / len(drawn)
        # four standard errors
        p = ours.distribution(["w1"])
        assert (np.abs(share - p) <= 4 * np.sqrt(p * (1 - p) / 1500) + 1e-9).all(), smoothing


def test_a_sample_ends_and_repeats():
    ours = NgramLanguageModel(3).fit(TRAIN)
    first = ours.sample(50, seed=4)
    assert first == ours.sample(50, seed=4) != ours.sample(50, seed=5)
    lengths = [len(ours.sample(200, seed=s)) for s in range(40)]
    assert max(lengths) < 200
    assert START not in first
    assert END not in first
    assert ours.sample(0) == []


def test_text_is_tokenized():
    ours = NgramLanguageModel(2, "mle").fit(["The cat. The dog!"])
    assert ours.score("cat", ["the"]) == 0.5
    assert ours.num_ngrams == [5, 5]  # the cat dog <s> </s>; <s> the, the cat, …


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 0}, "order must be a whole number"),
        ({"order": 2.5}, "order must be a whole number"),
        ({"min_count": 0}, "min_count must be a whole number"),
        ({"smoothing": "kneser_nay"}, "did you mean 'kneser_ney'"),
        ({"smoothing": "add_k", "k": 0.0}, "k must be a finite number above 0"),
        (
            {"smoothing": "kneser_ney", "discount": 1.5},
            "discount of kneser_ney must be .* at most 1, got 1.5",
        ),
        ({"smoothing": "mle", "discount": 0.5}, "mle has no discount"),
        ({"discount": (0.5, 1.5)}, "discount must be"),
        ({"discount": (0.5, 2.5, 1.0)}, "discount must be"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        NgramLanguageModel(**options)


def test_bad_documents_are_refused():
    for empty in ([], ["", " "]):
        with pytest.raises(ValueError, match="no token in any document"):
            NgramLanguageModel(2).fit(empty)
    with pytest.raises(TypeError, match="document 1 is None"):
        NgramLanguageModel(2).fit(["a", None])
    ours = NgramLanguageModel(2, pad=False).fit(TRAIN)
    with pytest.raises(ValueError, match="no perplexity"):
        ours.perplexity([[]])
    with pytest.raises(TypeError, match="list of words"):
        ours.score("w1", "w0")
    with pytest.raises(ValueError, match="length must be a whole number of at least 0"):
        ours.sample(-1)
    assert NgramLanguageModel(2, "kneser_ney").fit(TRAIN).perplexity([["never"]]) == float("inf")
