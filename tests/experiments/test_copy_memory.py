"""copy_memory: the measured baseline against a loop, claims that can turn, the figures."""

import math
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from rnnlab import training
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.comparison import Comparisons
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "copy_memory.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
BASELINE = 10 * math.log(8) / 120
# the loss at the end as a share of the baseline
LEFT = {
    "linear, orthogonal": 0.3,
    "linear, identity": 0.97,
    "tanh RNN": 1.0,
    "tanh, orthogonal": 0.99,
    "LSTM": 1.0,
    "GRU": 0.97,
}
CLAIMS = ("memoryless", "tanh", "LSTM", "GRU", "identity", "better: I", "better: LSTM", "tanh W_hh")


def describe(left=LEFT, memoryless=BASELINE, noise=0.01):
    """Members whose loss is what ``left`` says at the best rate, and higher at others."""

    def of(flat):
        models = MODULE.MODELS.items()
        model = next(n for n, own in models if all(flat[k] == v for k, v in own.items()))
        away = abs(math.log10(flat["training.learning_rate"] / 1e-3))
        share = left[model] * (1 + 0.1 * away + noise * math.sin(7 * flat["seed"] + len(model)))
        return {
            "loss": share * BASELINE,
            "recall": 0.5,
            "baseline": BASELINE,
            "memoryless": memoryless,
        }

    return of


def verdicts(**options):
    found = untrained.verdicts(LOADED, *untrained.compared(LOADED, describe(**options)))
    return dict(zip(CLAIMS, found.values(), strict=True))


USUAL = {name: "holds" for name in CLAIMS} | {"tanh W_hh": "refuted"}


def test_each_claim_comes_out_as_expected_of_members_as_they_are_claimed_to_be():
    assert verdicts() == USUAL


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"memoryless": 1.02 * BASELINE}, {"memoryless": "refuted"}),
        ({"left": LEFT | {"tanh RNN": 0.8}}, {"tanh": "refuted"}),
        ({"left": LEFT | {"tanh, orthogonal": 0.6}}, {"tanh W_hh": "holds"}),
        (
            {"left": LEFT | {"linear, identity": 0.2}},
            {"identity": "refuted", "better: I": "refuted"},
        ),
        ({"left": LEFT | {"LSTM": 0.3}}, {"LSTM": "refuted", "better: LSTM": "refuted"}),
        ({"left": LEFT | {"GRU": 0.5}}, {"GRU": "refuted"}),
        ({"left": LEFT | {"GRU": math.nan}}, {}),  # what diverged has not learned
    ],
)
def test_a_claim_turns_when_its_members_do(options, changed):
    assert verdicts(**options) == USUAL | changed


def test_seeds_that_disagree_decide_nothing():
    found = verdicts(left=LEFT | {"GRU": 0.9, "LSTM": 0.3, "linear, orthogonal": 0.29}, noise=0.4)
    assert found["GRU"] == "undecided"
    assert found["better: LSTM"] == "undecided"


def test_the_cost_of_remembering_nothing_is_that_of_a_loop():
    config = sweep.apply(LOADED.get_config(), {"task.delay": 3, "seed": 5})
    setup = training.setup_of(config)
    targets = np.asarray(setup.task.sample(jax.random.key(5), 5000).targets)
    cost = 0.0
    for step in range(targets.shape[1]):
        counts = Counter(targets[:, step].tolist())
        for count in counts.values():
            cost -= count / 5000 * math.log(count / 5000) / targets.shape[1]
    found = MODULE.measure(config, setup, None)["memoryless"]
    assert found == pytest.approx(cost, rel=1e-6)
    assert found == pytest.approx(10 * math.log(8) / 23, rel=0.01)


def test_without_comparisons_the_closed_form_alone_is_decided():
    table, _ = untrained.compared(LOADED, describe())
    found = list(untrained.verdicts(LOADED, table, Comparisons(())).values())
    assert found == ["holds"] + ["undecided"] * 7


def test_figures_have_a_line_per_model_and_the_closed_form():
    table, comparisons = untrained.compared(LOADED, describe())
    drawn = LOADED.get_figures(table, comparisons)
    assert set(drawn) == {"loss", "recall"}
    (ax,) = drawn["loss"][0].axes
    for line, model in zip(ax.lines, MODULE.MODELS, strict=False):
        assert np.asarray(line.get_ydata(), float) == pytest.approx(
            LEFT[model] * BASELINE, rel=0.02
        )
    labels = [text.get_text() for text in ax.texts if text.get_text()]
    assert sorted(labels) == sorted([*MODULE.MODELS, "10 ln 8/120"])
    assert list(ax.lines[-1].get_ydata()) == pytest.approx([BASELINE] * 2)


def test_full_is_the_scale_of_the_paper():
    config = load_experiment(PATH, "full").get_config()
    own = config.training
    assert config.run.delays == (100, 200, 300, 500)
    assert own.optimizer == "rmsprop(decay=0.9)"
    assert own.batch_size == 20
    with pytest.raises(ValueError, match="unknown scale"):
        MODULE.get_config("small")
