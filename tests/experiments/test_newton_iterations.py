"""newton_iterations: what it counts, what it predicts, and its claims."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.gradients.newton_forecast import iterations_for_exponent
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn import cells
from tests.helpers import untrained

FILE = Path(__file__).parents[2] / "experiments" / "gradients" / "newton_iterations.py"


def test_a_small_run_counts_and_draws(tmp_path):
    small = {"task.lengths": (8, 20), "newton.max_iterations": 12, "cell.hidden_size": 6}
    config = sweep.apply(load_experiment(FILE).get_config(), small)
    axes = {"cell.name": ("rnn-tanh", "gru"), "cell.gain": (0.3, 3.0), "seed": (0,)}
    rnnlab.run(FILE, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"iterations"}
    for member in run.table:
        r = member.result
        assert r["predicted"] == [
            min(iterations_for_exponent(r["exponent"], T), 12) for T in (8, 20)
        ]
        # each correction makes one more step right
        assert all(1 < n <= min(T + 1, 12) for n, T in zip(r["counted"], (8, 20), strict=True))
        assert all(ok or n == 12 for ok, n in zip(r["converged"], r["counted"], strict=True))
        assert max(r["error"]) < 1e-4
    tame, wild = run.table.select({"cell.gain": 0.3}), run.table.select({"cell.gain": 3.0})
    assert tame.each("exponent").max() < wild.each("exponent").min()
    assert tame.each("counted").max() < wild.each("counted")[:, 1].max()
    # not the whole map: only what needs no map is decided
    assert [c.verdict for c in run.claims] == ["undecided"] * 4 + ["holds"]


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def verdicts(counted=1.0, grown=0, chaos=3.0, error=1e-6):
        def describe(index, flat):
            exponent = 0.1 if flat["cell.gain"] > 2 else -flat["cell.gain"]
            predicted = np.array([5, 5, 5]) if exponent < 0 else np.array([20, 80, 120])
            counts = predicted * (counted if exponent < 0 else 1)
            if exponent > 0:
                counts = np.array([20, 20 * chaos, 120])
            return {
                "exponent": exponent,
                "predicted": predicted.tolist(),
                "counted": (counts + np.array([0, 0, grown])).tolist(),
                "error": [error] * 3,
            }

        table = untrained.measured(loaded, describe)
        return [claim.check()[0] for claim in loaded.module.claims(table)]

    assert verdicts() == [True] * 5
    assert verdicts(counted=2.1) == [True, False, True, True, True]
    assert verdicts(counted=0.4) == [True, False, True, True, True]
    assert verdicts(grown=3)[1:] == [True, False, True, True]
    assert verdicts(chaos=1.9)[3] is False
    assert verdicts(error=1.1e-5) == [True] * 4 + [False]


def test_counts_that_follow_nothing_refute_the_order():
    loaded = load_experiment(FILE)
    rng = np.random.default_rng(0)

    def describe(index, flat):
        return {
            "exponent": -0.1,
            "predicted": rng.integers(4, 128, 3).tolist(),
            "counted": rng.integers(4, 128, 3).tolist(),
            "error": [0.0] * 3,
        }

    table = untrained.measured(loaded, describe)
    assert loaded.module.claims(table)[0].check()[0] is False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "lstm"}, "unknown cell.name .lstm"),
        ({"cell.gain": 0.0}, "cell.gain must be a finite number above 0"),
        ({"task.measured_steps": 200}, "measured_steps must be a whole number of at least 201"),
        ({"task.lengths": (64, 64)}, "task.lengths must be at least two increasing lengths"),
    ],
)
def test_refusals(changes, words):
    loaded = load_experiment(FILE)
    with pytest.raises(ValueError, match=words):
        loaded.module.check(sweep.apply(loaded.get_config(), changes))
    assert set(loaded.module.CELLS) <= set(cells.CELLS)
