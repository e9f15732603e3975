"""speed_sweep: both sides learn the same, and the bounds can be missed."""

import copy
import importlib.util
import io
from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.errors import Undecided, UserError
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.table import Member, Table
from rnnlab.training import settings

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_sweep.py"
SMALL = {
    "task.length": 6,
    "cell.hidden_size": 4,
    "training.batch_size": 3,
    "training.eval_batch_size": 2,
    "training.eval_every": 2,
    "training.steps": 8,
    "training.learning_rate": 0.03,
    "run.members": 3,
    "run.repeats": 2,
}


def small(**changes):
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | changes)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("speed") / "run"
    rnnlab.run(FILE, small(), workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_small_run_times_both_sides_and_draws(ran):
    module = load_experiment(FILE).module
    assert [m.config["cell"]["name"] for m in ran.table] == list(module.CELLS)
    for member in ran.table:
        r = member.result
        assert 0 < r["difference"] <= module.SAME  # two programs: not the very same bits
        assert r["devices"] == len(jax.devices())
        ms = {record["side"]: np.array(record["ms"]) for record in member.metrics}
        assert all(len(values) == 2 and (values > 0).all() for values in ms.values())
        assert r["torch_ms"] == min(np.median(v) for k, v in ms.items() if k != "rnnlab")
        assert r["ratio_low"] <= r["ratio"] <= r["ratio_high"]
    assert set(ran.figures) == {"speed"}
    assert ran.figures["speed"][0].stat().st_size > 10_000


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_figure_is_drawn_whatever_the_times(ran, factor):
    table = copy.deepcopy(ran.table)
    for member in table:
        member.result["rnnlab_ms"] *= factor
    (figure, _) = load_experiment(FILE).module.figures(table)["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm"])
def test_the_check_sees_a_side_that_learns_something_else(cell, monkeypatch):
    module = load_experiment(FILE).module
    config = small(**{"cell.name": cell})
    real = training.hyper_of

    def quicker(group):
        return real(group)._replace(learning_rate=1.001 * real(group).learning_rate)

    monkeypatch.setattr(settings, "hyper_of", quicker)  # a tenth of a percent is seen
    with pytest.raises(AssertionError, match="differ by"):
        module.run(config, jax.random.key(0), lambda **record: None)


def test_each_side_reads_its_own_members_batches():
    module = load_experiment(FILE).module
    config = small()
    members = [training.member(config, jax.random.key(seed)) for seed in range(2)]
    theirs = module.Theirs(config, training.make_train(members[0].setup), members)
    first, second = (np.stack([xs for xs, _ in batches]) for _, _, batches in theirs.members)
    assert first.shape == (2, 6, 3, 1)  # updates, T, B, D
    assert (first != second).any()
    assert (first[0] != first[1]).any()


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()

    def verdicts(ratio):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            bound = loaded.module.CELLS[overrides["cell.name"]][2]
            result = {
                "ratio": ratio * bound,
                "ratio_low": 1.0,
                "ratio_high": 9.0,
                "devices": 2,
                "rnnlab_ms": 1.0,
                "torch_ms": 2.0,
                "difference": 1e-6,
            }
            nested = with_overrides(config.to_dict(), overrides)
            members.append(Member(index, overrides, nested, 0.0, result))
        claims = loaded.module.claims(Table(members))
        with pytest.raises(Undecided):
            loaded.module.claims(Table(members[:1]))[1].check()
        return [claim.check()[0] for claim in claims]

    assert verdicts(1.01) == [True, True]
    assert verdicts(0.99) == [False, False]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "gru"}, "unknown cell.name"),
        ({"task.name": "adding"}, "one class a sequence"),
        ({"training.optimizer": "sgd"}, "training.optimizer must be adam"),
        ({"run.repeats": 3}, "end before run.repeats=3"),
    ],
)
def test_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        load_experiment(FILE).module.check(small(**changes))


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        make_plan(FILE)
