"""speed_sweep: all sides learn the same, and the bounds can be missed."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core.errors import Undecided, UserError
from rnnlab.lab import outputs, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results import claims
from rnnlab.results.table import Table
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_sweep.py"
SMALL = {
    "task.length": 6,
    "cell.hidden_size": 4,
    "training.batch_size": 3,
    "training.eval_batch_size": 2,
    "training.eval_every": 2,
    "training.steps": 2000,
    "training.learning_rate": 0.03,
    "init.forget_bias": "0.0",
    "run.members": 3,
    "run.seconds": 1e-6,
}


def small(cell):
    own = {} if cell == "lstm" else {"init.forget_bias": ""}
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | {"cell.name": cell} | own)


@pytest.fixture(scope="module")
def module():
    return load_experiment(FILE).module


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru-reset-after"])
def test_every_way_learns_the_same(module, monkeypatch, tmp_path, cell):
    config = small(cell)
    module.prepare(config, tmp_path)
    every = module.sides(config, tmp_path)
    expected = outputs.flatten(every["rnnlab"].make().compare())
    assert expected.keys() == {"member 0", "member 1", "member 2"}
    assert all(np.abs(way).max() > 0 for way in expected.values())
    for side in ("torch_1_thread", "torch", "torch_stacked"):
        off = outputs.largest_difference(every[side].make().compare(), expected)
        assert 0 < off <= module.SAME, side
    parts = {}
    for make in every["torch_processes"].make:
        parts |= make().compare()
    assert outputs.largest_difference(parts, expected) <= module.SAME
    # a tenth of a percent of the learning rate is seen
    with config.unlocked():
        config.training.learning_rate *= 1.001
    for side in ("torch", "torch_stacked"):
        quicker = module.sides(config, tmp_path)[side].make().compare()
        assert outputs.largest_difference(quicker, expected) > module.SAME


def test_each_member_has_batches_of_its_own(module, tmp_path):
    module.prepare(small("rnn-tanh"), tmp_path)
    (_, first, targets), (_, second, _) = (module.read(tmp_path, number) for number in range(2))
    assert first.shape == (2, 3, 6, 1)  # updates, B, T, D
    assert targets.shape == (2, 3)
    assert (first != second).any()
    assert (first[0] != first[1]).any()


def table_of(loaded, factor, **more):
    def describe(index, flat):
        del index
        bound = loaded.module.CELLS[flat["cell.name"]][2]
        ours, theirs = 10.0, 10 * factor * bound
        times = dict.fromkeys(loaded.module.TORCH, 2 * theirs) | {"rnnlab": ours}
        fastest = {"rnn-tanh": "torch_stacked", "lstm": "torch_processes"}
        times[fastest.get(flat["cell.name"], "torch")] = theirs
        return benchmarks.result({"call": times}, devices=2, **more)

    return untrained.measured(loaded, describe)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def verdicts(factor, **more):
        table = table_of(loaded, factor, **more)
        return {v.verdict for v in claims.decide(loaded.module.claims(table))}

    assert verdicts(1.01) == {"holds"}
    assert verdicts(0.99) == {"refuted"}
    assert verdicts(1.01, others_cpu=0.2) == {"undecided"}
    with pytest.raises(Undecided):
        loaded.module.claims(Table(table_of(loaded, 2.0)[:1]))[1].check()


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_figure_is_drawn_whatever_the_times(factor):
    loaded = load_experiment(FILE)
    (figure, _) = loaded.module.figures(table_of(loaded, factor))["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "gru"}, "unknown cell.name"),
        ({"task.name": "adding"}, "one class a sequence"),
        ({"training.optimizer": "sgd"}, "training.optimizer must be adam"),
        ({"run.rounds": 3}, "run.rounds must be a whole number of at least 5"),
    ],
)
def test_refusals(module, changes, words):
    config = sweep.apply(load_experiment(FILE).get_config(), changes)
    with pytest.raises(ValueError, match=words):
        module.check(config)


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        make_plan(FILE)
