"""kernels.py and blocks.py: both equal loops over pairs, and so each other."""

import jax
import numpy as np
import pytest

from rnnlab.embeddings import blocks, huffman, kernels, trainer
from rnnlab.embeddings.plans import Plan, windows
from rnnlab.embeddings.trainer import JaxEngine, NumbaEngine, Settings, Start

V, D, N, W, K = 9, 8, 45, 2, 3
RATES = 0.1, 0.02
CASES = [
    ("skipgram", False),
    ("skipgram", True),
    ("cbow", False),
    ("cbow", True),
    ("fasttext", False),
]
WORDS = ["the", "of", "walk", "walks", "walked", "a", "it", "talk", "misspelled"]


def begun(method, tree, **options):
    """Random tables, neither of them zero, and what words stand for."""
    rng = np.random.default_rng(1)
    settings = Settings(
        **{"size": D, "window": W, "negatives": 0 if tree else K, "buckets": 11} | options
    )
    paths = huffman.paths(np.array([50, 30, 20, 10, 5, 4, 3, 2, 1])) if tree else None
    rows = V + (11 if method == "fasttext" else 0)
    W_in, W_out = (rng.normal(size=(r, D)).astype(np.float32) for r in (rows, V - tree))
    bags = np.zeros(0, np.int32), np.zeros(V + 1, np.int64)
    if method == "fasttext":
        bags = trainer.word_bags(WORDS, settings)
    return Start(method, settings, W_in, W_out, paths, *bags)


def planned(group, S, seed=0):
    """Words that come again in a window, samples that are the center, centers without context."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, V, N).astype(np.int32)
    left, right = windows(np.array([0, 1, 20, 20, N]), W, rng)
    plan = Plan(ids, left, right, rng.integers(0, V, (-(-N // group), S)).astype(np.int32))
    assert not left[0] + right[0]
    return plan


def sigma(x):
    return 1 / (1 + np.exp(-x))


def by_loops(start, plan, block=1, group=1, bound=np.inf):
    """Both tables after the plan, float64: the pairs of each block from the same parameters."""
    W_in, W_out = start.W_in.astype(float), start.W_out.astype(float)
    blocks_ = -(-N // block)
    for i in range(blocks_):
        rate = RATES[0] + (RATES[1] - RATES[0]) * i / blocks_
        steps = [np.zeros_like(W_in), np.zeros_like(W_out)]
        pairs = [np.zeros(len(W_in)), np.zeros(len(W_out))]

        def add(table, row, slope, weight=0.0, steps=steps, pairs=pairs):
            steps[table][row] += slope
            pairs[table][row] += weight

        for t in range(i * block, min((i + 1) * block, N)):
            center(start, plan, t, W_in, W_out, plan.negatives[t // group], add)
        for table, step, count in zip((W_in, W_out), steps, pairs, strict=True):
            table -= rate * np.minimum(1, bound / np.maximum(count, 1e-9))[:, None] * step
    return W_in, W_out


def by_pairs(start, plan):
    """As by_loops for FastText, but every pair of a center has K samples of its own, and steps."""
    W_in, W_out = start.W_in.astype(float), start.W_out.astype(float)
    S = plan.negatives.shape[1]
    for t in range(N):
        rate = RATES[0] + (RATES[1] - RATES[0]) * t / N
        bag = start.bags[start.bag_offsets[plan.ids[t]] : start.bag_offsets[plan.ids[t] + 1]]
        context = [j for j in range(t - plan.left[t], t + plan.right[t] + 1) if j != t]
        h = np.mean([W_in[r] for r in bag], axis=0)
        moved = np.zeros(D)
        for p, j in enumerate(context):
            samples = [plan.negatives[t, (p * K + k) % S] for k in range(K)]
            g_h, steps = np.zeros(D), []
            for row, label, _ in outputs(start, plan.ids[j], samples):
                e = sigma(W_out[row] @ h) - label
                g_h += e * W_out[row]
                steps.append((row, e * h))
            for row, slope in steps:
                W_out[row] -= rate * slope
            step = -rate * (g_h / len(bag) if start.settings.share else g_h)
            h, moved = h + step, moved + step
        for r in bag:
            W_in[r] += moved
    return W_in, W_out


def center(start, plan, t, W_in, W_out, samples, add):
    """−∂L/∂(rows) of the pairs of one center."""
    word, method = plan.ids[t], start.method
    context = [plan.ids[j] for j in range(t - plan.left[t], t + plan.right[t] + 1) if j != t]
    if not context:
        return
    if method == "skipgram":
        bags, targets = [[w] for w in context], [word]
    elif method == "cbow":
        bags, targets = [context], [word]
    else:
        bags, targets = [start.bags[start.bag_offsets[word] : start.bag_offsets[word + 1]]], context
    for bag in bags:
        h = np.mean([W_in[r] for r in bag], axis=0)
        g_h, members = np.zeros(D), 0
        for target in targets:
            for row, label, weight in outputs(start, target, samples):
                e = weight * (sigma(W_out[row] @ h) - label)
                g_h += e * W_out[row]
                add(1, row, e * h, weight)
            members += 1
        for r in bag:
            add(0, r, g_h / len(bag) if start.settings.share else g_h, members)


def outputs(start, target, samples):
    """(row of W_out, was it there, weight)."""
    if start.tree is None:
        yield target, 1, 1
        for s in samples:
            if s != target:
                yield s, 0, start.settings.negatives / len(samples)
        return
    part = slice(start.tree.offsets[target], start.tree.offsets[target + 1])
    for node, sign in zip(start.tree.nodes[part], start.tree.signs[part], strict=True):
        yield node, (1 + sign) / 2, 1


def compare(engine, expected, start):
    for found, wanted, before in zip(
        engine.parameters(), expected, (start.W_in, start.W_out), strict=True
    ):
        assert np.abs(wanted - before).max() > 0.2
        assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(("method", "tree"), CASES)
def test_numba_equals_loops(method, tree, share):
    pytest.importorskip("numba")
    start = begun(method, tree, share=share, samples=7 if method == "fasttext" else 0)
    S = 0 if tree else NumbaEngine(start).samples
    plan = planned(1, S)
    expected = by_pairs(start, plan) if method == "fasttext" else by_loops(start, plan)
    engine = NumbaEngine(begun(method, tree, share=share, samples=start.settings.samples))
    engine.train(plan, *RATES)
    compare(engine, expected, start)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize(("method", "tree"), CASES)
def test_jax_equals_loops(method, tree, share):
    start = begun(method, tree, share=share, samples=5, group=4, groups=3, bound=6.0)
    plan = planned(4, 0 if tree else 5)
    expected = by_loops(start, plan, block=12, group=4, bound=6.0)
    unbounded = by_loops(start, plan, block=12, group=4)
    assert np.abs(unbounded[1] - expected[1]).max() > 0.03  # the bound is met
    engine = JaxEngine(start, capacity=60)
    engine.train(plan, *RATES)
    compare(engine, expected, start)
    assert not np.asarray(engine.state.pairs_in).any()  # counts are zero between blocks
    assert not np.asarray(engine.state.pairs_out).any()


@pytest.mark.parametrize(("method", "tree"), CASES)
def test_the_engines_are_one_definition(method, tree):
    """Blocks of one center with samples of its own (FastText: one pair): the same parameters."""
    pytest.importorskip("numba")
    options = {"group": 1, "groups": 1, "samples": K, "bound": 1e9}
    plan = planned(1, 0 if tree else K)
    if method == "fasttext":
        plan = plan._replace(left=np.minimum(plan.left, 1), right=np.zeros(N, np.int32))
    start = begun(method, tree, **options)
    by_jax, by_numba = JaxEngine(start, N), NumbaEngine(begun(method, tree, **options))
    for rates in (RATES, (0.1, 0.0)):
        by_jax.train(plan, *rates)
        by_numba.train(plan, *rates)
    for a, b in zip(by_jax.parameters(), by_numba.parameters(), strict=True):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def test_the_kernel_s_sigmoid():
    numba = pytest.importorskip("numba")
    sigmoid = kernels.helpers(8)[0]

    @numba.njit
    def over(x, out):
        for i in range(len(x)):
            out[i] = sigmoid(x[i])

    x = np.linspace(-40, 40, 4001).astype(np.float32)
    out = np.empty_like(x)
    over(x, out)
    assert np.abs(out - sigma(x.astype(float))).max() < 2e-7 + sigma(-18)


def test_in_sight():
    mask = np.asarray(blocks.in_sight(jax.numpy.array([0, 1]), jax.numpy.array([2, 0]), 2))
    # tokens −2 … 3 of centers 0 and 1
    assert mask.tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 1, 0, 0, 0]]


def test_a_plan_fills_up():
    plan = planned(4, 5)
    rules = blocks.Rules("skipgram", False, W, K, False, 3, 4, 1.0)
    filled, count = blocks.fill(plan, rules, 60)
    assert count == 4  # 45 centers in blocks of 12
    assert len(filled.left) == 60
    assert len(filled.ids) == 60 + 2 * W
    assert filled.ids[W : W + N].tolist() == plan.ids.tolist()
    assert not filled.left[N:].any()


def test_columns_are_whole_registers():
    assert [kernels.padded(n) for n in (1, 8, 100)] == [8, 8, 104]
