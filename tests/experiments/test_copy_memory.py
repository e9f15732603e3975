"""copy_memory: the measured baseline against a loop, claims that can turn, a tiny real run."""

import math
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.nested import flatten
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Table
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "copy_memory.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
BASELINE = 10 * math.log(8) / 120
# the loss at the end as a share of the baseline
LEFT = {
    "linear, orthogonal": 0.3,
    "linear, identity": 0.95,
    "tanh RNN": 1.0,
    "tanh, orthogonal": 0.2,
    "LSTM": 1.0,
    "GRU": 0.97,
}


def model(flat):
    return next(n for n, own in MODULE.MODELS.items() if all(flat[k] == v for k, v in own.items()))


def describe(left=LEFT, memoryless=BASELINE):
    def of(flat):
        loss = left[model(flat)] * BASELINE
        return {
            "loss": loss,
            "recall": 0.5,
            "baseline": BASELINE,
            "memoryless": memoryless,
        }

    return of


def verdicts(**options):
    return untrained.verdicts(LOADED, untrained.table(LOADED, describe(**options), seeds=2))


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    found = verdicts()
    assert len(found) == 7
    assert set(found.values()) == {"holds"}


SPOILT = {
    "To remember nothing": {"memoryless": 1.02 * BASELINE},
    "A tanh RNN ends at": {"left": LEFT | {"tanh RNN": 0.9}},
    "Orthogonal suits copy": {"left": LEFT | {"linear, orthogonal": 0.6}},
    "Orthogonal W_hh makes a tanh RNN": {"left": LEFT | {"tanh, orthogonal": 0.99}},
    "With W_hh = I": {"left": LEFT | {"linear, identity": 0.4}},
    "An LSTM is stuck": {"left": LEFT | {"LSTM": 0.85}},
    "So is a GRU": {"left": LEFT | {"GRU": 0.5}},
}


@pytest.mark.parametrize("words", SPOILT)
def test_a_claim_turns_when_its_members_do(words):
    assert untrained.turned(verdicts(), verdicts(**SPOILT[words]), words) == ("holds", "refuted")


def test_the_loss_at_the_end_is_the_mean_of_the_last_looks():
    falling = untrained.table(
        LOADED, lambda flat: describe()(flat) | {"logged": lambda step: {"loss": 1 / step}}, seeds=1
    )
    own = falling[0].config["training"]
    looks = np.arange(own["eval_every"], own["steps"] + 1, own["eval_every"])[-MODULE.END :]
    expected = np.mean([1 / step for step in looks]) / BASELINE
    one = falling.select(MODULE.MODELS["GRU"])
    assert MODULE.at_end(one) == pytest.approx(expected, rel=1e-12)


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


def test_one_model_alone_decides_its_own_claim():
    whole = untrained.table(LOADED, describe(), seeds=1)
    alone = Table(m for m in whole if model(flatten(m.config)) == "GRU")
    found = untrained.verdicts(LOADED, alone)
    decided = [statement for statement, verdict in found.items() if verdict != "undecided"]
    assert len(decided) == 2
    assert any("GRU" in statement for statement in decided)


def test_figures_of_a_tiny_run(tmp_path):
    config = LOADED.get_config()
    with config.unlocked():
        config.training.update(steps=20, eval_every=10, eval_batch_size=20)
        config.run.update(seeds=2, delays=(3,))
    parts = [
        part | {"cell.hidden_size": (4,)}
        for part, name in zip(LOADED.get_sweep(config), MODULE.MODELS, strict=True)
        if name in ("linear, orthogonal", "linear, identity")  # one program
    ]
    made = rnnlab.run(LOADED, config, sweep=parts, workdir=tmp_path / "run", progress=False).table
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"loss", "recall"}
    assert all(path.stat().st_size > 20_000 for path, _ in run.figures.values())
    assert len(run.claims) == 7
    figure, _ = MODULE.figures(made)["loss"]
    assert list(figure.axes[0].lines[-1].get_ydata()) == pytest.approx([10 * math.log(8) / 23] * 2)


def test_full_is_the_scale_of_the_paper():
    config = load_experiment(PATH, "full").get_config()
    own = config.training
    assert config.run.delays == (100, 200, 300, 500)
    assert (own.optimizer, own.learning_rate) == ("rmsprop(decay=0.9)", 1e-3)
    assert own.batch_size == 20
    with pytest.raises(ValueError, match="unknown scale"):
        MODULE.get_config("small")
