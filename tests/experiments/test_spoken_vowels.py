"""spoken_vowels: warping against loops, a tiny run, and claims that can turn."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rnnlab
from rnnlab.lab import rounds, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.tasks.series_classes import SeriesClasses
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "learning" / "spoken_vowels.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module
SMALL = {
    "cell.hidden_size": 3,
    "training.steps": 4,
    "training.eval_every": 2,
    "run.rates": (1e-2,),
}


def signs(
    linear=0.9, warping=0.9, half=0.9, gru=75, streams=True, right=0.95, config=None, **verdicts
):
    """One sign per claim, in order; right: the mean accuracy of every network."""

    def describe(flat, arm):
        wobble = 0.002 * (-1) ** flat["seed"]
        return {
            "accuracy": right + wobble,
            "accuracy_linear": linear,
            "accuracy_warping": warping,
            "early": np.where(np.array(MODULE.SHARES) < 0.5, 0.1, half + wobble),
            "streams": streams and not arm.startswith("Bi-"),
            "recurrent_parameters": gru if arm == "GRU" else 100,
        }

    def verdict(name, a, b):
        return verdicts.get(f"{name}_{a}", verdicts.get(name, "better"))

    return judged.signs(LOADED, *judged.compared(LOADED, describe, verdict, config))


def test_claims_can_come_out_the_other_way():
    assert signs() == "++++++-+++++"
    assert signs(cells_GRU="worse", cells_RNN="equivalent") == "-+++++-+++++"
    assert signs(cells_GRU="undecided", cells_RNN="worse") == "?+-+++-+++++"
    assert signs(gru=76)[1] == "-"
    assert signs(linear=0.96) == "+++-++-+++++"
    assert signs(linear=0.9505, warping=0.96) == "+++?-+-+++++"
    assert signs(right=0.941) == "+++++?-+++++"
    assert signs(right=0.98) == "++++++++++++"
    assert signs(right=0.92) == "+++++--+++++"
    assert signs(ways_RNN="equivalent", ways_LSTM="worse", ways_GRU="undecided")[7:10] == "--?"
    assert signs(half=0.79)[10] == "-"
    assert signs(half=0.8)[10] == "?"
    assert signs(streams=False)[11] == "-"


def test_a_published_figure_decides_nothing_about_other_series():
    config = sweep.apply(LOADED.get_config(), {"task.source": "GunPoint"})
    assert signs(config=config) == "+++++??+++++"


def test_warping_equals_loops():
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(3, 6, 2)), rng.normal(size=(4, 5, 2))
    lengths, others = np.array([6, 2, 4]), np.array([5, 1, 3, 4])
    found = MODULE.warped(xs, lengths, ys, others)

    def distance(x, y, i, j):
        if i < 0 or j < 0:
            return 0.0 if i == j == -1 else np.inf
        before = min(distance(x, y, *at) for at in ((i - 1, j), (i, j - 1), (i - 1, j - 1)))
        return ((x[i] - y[j]) ** 2).sum() + before

    for n in range(3):
        for m in range(4):
            expected = distance(xs[n], ys[m], lengths[n] - 1, others[m] - 1)
            assert found[n, m] == pytest.approx(expected, rel=1e-5)


def test_the_other_answers_equal_loops():
    """On ragged utterances; the nearest among few, cut to their first frames."""
    task = SeriesClasses()
    data = task.load()
    assert len(set(data.lengths)) > 1
    parts = [
        [rows[:n].mean(axis=0) for rows, n in zip(series, lengths, strict=True)]
        for series, lengths in ((data.train, data.lengths), (data.test, data.test_lengths))
    ]
    assert np.allclose(MODULE.means(data.train, data.lengths), parts[0], atol=1e-6)
    linear = LogisticRegression(max_iter=5000).fit(parts[0], data.labels)
    said = linear.predict(parts[1])
    found = MODULE.other_answers(task)
    assert found["linear"] == np.mean(said == data.test_labels)
    assert found["warping"] == np.mean(MODULE.nearest(data) == data.test_labels)
    assert 0.8 < found["warping"] < 1

    data, nearest = SeriesClasses(max_length=9).load(), []
    for x, n in zip(data.test, data.test_lengths, strict=True):
        far = [
            MODULE.warped(x[None], n[None], y[None], m[None])[0, 0]
            for y, m in zip(data.train[::9], data.lengths[::9], strict=True)
        ]
        nearest.append(data.labels[::9][np.argmin(far)])
    few = data._replace(train=data.train[::9], lengths=data.lengths[::9], labels=data.labels[::9])
    assert MODULE.nearest(few).tolist() == nearest


def test_shares_heard():
    found = [MODULE.heard_of(jnp.arange(7, 30), share) for share in MODULE.SHARES]
    for k, lengths in enumerate(found, 1):
        assert lengths.tolist() == [-(-k * n // 10) for n in range(7, 30)]


def test_a_tiny_run_draws_its_figures(tmp_path):
    config = sweep.apply(LOADED.get_config(), SMALL)
    axes = {"cell.name": ("gru", "bi-rnn-tanh"), "seed": (0,)}
    table = rnnlab.run(LOADED, config, sweep=axes, workdir=tmp_path / "run", progress=False).table
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) >= {"accuracy", "early", "confusion"}
    for member in table:
        own = member.result
        confusion = np.array(own["confusion"])
        assert confusion.sum() == 370
        assert own["classes"] == [str(speaker) for speaker in range(1, 10)]
        accuracy = confusion.trace() / 370
        assert own["early"][-1] == pytest.approx(accuracy)
        assert own["accuracy"] == pytest.approx(accuracy)
    assert table.each("streams").tolist() == [True, False]
    assert table.each("recurrent_parameters").tolist() == [
        3 * (3 * 3 + 12 * 3 + 3),  # three blocks of W_h, W_x, b
        2 * (3 * 3 + 12 * 3 + 3),
    ]
    assert {claim.verdict for claim in run.claims} == {"undecided"}
    (reason,) = {claim.measured for claim in run.claims[2:3]}
    assert "this run compares nothing" in reason


def test_figures_are_of_the_judged_members_of_each_arm():
    def describe(flat, arm):
        size = 9
        return {
            "accuracy": 0.9,
            "accuracy_linear": 0.8,
            "accuracy_warping": 0.7,
            "early": np.linspace(0.1, 0.9, 10),
            "confusion": np.eye(size, dtype=int),
            "classes": [str(k) for k in range(size)],
        }

    table, comparisons = judged.compared(LOADED, describe)
    figures = MODULE.figures(table, comparisons)
    assert set(figures) == {"accuracy", "early", "confusion"}
    ticks = [text.get_text() for text in figures["accuracy"][0].axes[0].get_yticklabels()]
    assert ticks == [*MODULE.ANSWERS.values(), *MODULE.LINES]
    seeds = MODULE.SEEDS[0]
    assert (
        np.trace(MODULE.of(table, comparisons, "GRU").stack("confusion").sum(axis=0)) == 9 * seeds
    )


def test_comparisons_share_their_members():
    questions = LOADED.get_comparisons(LOADED.get_config())
    assert [question.name for question in questions] == [
        *("cells", "ways_RNN", "ways_LSTM", "ways_GRU")
    ]
    first = rounds.next_round(questions, ())
    assert len(first) == 6 * 4 * MODULE.TUNING_SEEDS
    # at most 4 rates more, and 16 judged seeds of 3 arms and of 3 pairs
    assert make_plan(LOADED).members_at_most == 6 * 8 * MODULE.TUNING_SEEDS + 9 * 16


def test_unknown_arguments_are_refused():
    with pytest.raises(ValueError, match="unknown scale 'big'"):
        MODULE.get_config("big")
