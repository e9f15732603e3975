"""memory_gradients: its derivative by hand, its errors, and its claims."""

from pathlib import Path

import jax
import numpy as np
import pytest

import rnnlab
from rnnlab.core.errors import Undecided
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from tests.helpers import untrained

FILE = Path(__file__).parents[2] / "experiments" / "gradients" / "memory_gradients.py"


def test_the_derivative_is_the_recursion_by_hand():
    module = load_experiment(FILE).module
    lam = 0.83
    xs = np.asarray(jax.random.normal(jax.random.key(0), (3, 17, 1)), np.float64)
    h, dh = np.zeros(3), np.zeros(3)
    for t in range(17):
        dh = h + lam * dh
        h = lam * h + xs[:, t, 0]
    got = module._last(jax.numpy.float32(lam), jax.numpy.asarray(xs, jax.numpy.float32))
    np.testing.assert_allclose(got, (h, dh), rtol=1e-5)


def test_means_and_errors_of_a_small_run(tmp_path):
    config = sweep.apply(load_experiment(FILE).get_config(), {"task.sequences": 50})
    axes = {"unit.lam": (0.5, 0.99), "seed": (0, 1)}
    rnnlab.run(FILE, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"second_moments"}
    assert [c.verdict for c in run.claims] == ["holds"] * 3
    assert run.table.each("steps").tolist() == [20, 20, 1000, 1000]
    for member in run.table:
        r, lam = member.result, member.config["unit"]["lam"]
        # the sums of the closed forms, term by term
        ks = np.arange(20_000)
        exact = {"h": np.sum(lam ** (2.0 * ks)), "dh": np.sum(ks**2 * lam ** (2.0 * ks - 2))}
        for part, value in exact.items():
            off = r[f"{part}_second_moment"] / value - 1
            assert r[f"{part}_relative_error"] == pytest.approx(off, abs=1e-6)
            assert r[f"{part}_standard_errors_off"] == pytest.approx(5 * off, abs=1e-5)  # √(50/2)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def verdicts(off=0.5, grown=1e6):
        def describe(index, flat):
            long = flat["unit.lam"] == 0.99
            return {
                "h_second_moment": 10.0 if long else 1.0,
                "dh_second_moment": grown if long else 1.0,
                "h_relative_error": 0.01,
                "dh_relative_error": 0.01,
                "h_standard_errors_off": 0.5,
                "dh_standard_errors_off": off if index == 7 else 0.5,
            }

        table = untrained.measured(loaded, describe)
        with pytest.raises(Undecided):
            loaded.module.claims(table.select({"unit.lam": 0.9}))[2].check()
        return [claim.check()[0] for claim in loaded.module.claims(table)]

    assert verdicts() == [True, True, True]
    assert verdicts(off=-4.1) == [True, False, True]
    assert verdicts(grown=99.0) == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit.lam": 1.0}, r"unit.lam must lie in \[0, 1\)"),
        ({"task.sequences": 1}, "task.sequences must be a whole number of at least 2"),
    ],
)
def test_refusals(changes, words):
    loaded = load_experiment(FILE)
    with pytest.raises(ValueError, match=words):
        loaded.module.check(sweep.apply(loaded.get_config(), changes))
