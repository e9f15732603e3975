"""A cell of one's own takes part in every experiment that sweeps cells."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import flatten, with_overrides
from rnnlab.lab import facets, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@dataclass(frozen=True)
class Mine(rnnlab.RNN):
    """One that has no forget gate, so that a forget bias is refused."""


@pytest.fixture(autouse=True)
def mine():
    rnnlab.register_cell("mine")(Mine)


def swept(name, cells, seeds=1):
    loaded = load_experiment(EXPERIMENTS / f"{name}.py")
    config = loaded.get_config()
    if "seeds" in config.run:  # what compares has no sweep
        config = sweep.apply(config, {"run.seeds": seeds})
    axes = sweep.replace_axes(config, loaded.get_sweep(config), {"cell.name": cells})
    return loaded, config, axes


SWEEPING = [
    "gradients/gradient_vanishing",
    "gradients/init_gradients",
    "learning/forecasting",
    "learning/pixel_digits",
    "learning/spoken_vowels",
    "language/char_lm",
    "language/sentiment",
    "language/tagging",
]


@pytest.mark.parametrize("name", SWEEPING)
def test_it_is_planned_beside_the_others(name):
    loaded, config, axes = swept(name, ["mine", "gru"])
    members = [flatten(config.to_dict()) | m for m in sweep.expand(config, axes)]
    cells = [member["cell.name"] for member in members]
    assert set(cells) <= {"mine", "gru"}
    assert "mine" in cells
    # no part that is made for another cell, with its forget bias
    assert all(m["init.forget_bias"] == "" for m in members if m["cell.name"] == "mine")
    if loaded.functions.check is not None:
        first = next(m for m in sweep.expand(config, axes) if m.get("cell.name") == "mine")
        loaded.functions.check(sweep.apply(config, first))


def measured(name, cells, describe, seeds=1):
    loaded, config, axes = swept(name, cells, seeds)
    members = []
    for index, overrides in enumerate(sweep.expand(config, axes)):
        nested = with_overrides(config.to_dict(), overrides)
        members.append(Member(index, overrides, nested, 0.0, describe(flatten(nested))))
    return loaded, Table(members)


def drawn(config):
    """Results of init_gradients: the better, the longer the scheme's name."""
    decades = -float(len(config["init.w_h"]) + len(config["init.w_x"]) / 2)
    kernel = {"spectral_radius": 1.0, "largest_singular_value": 0.9, "sigma_w": 1.0}
    return (kernel if config["cell.name"] != "mine" else {}) | {
        "lyapunov_log10": -0.1,
        "slope_log10": -0.1,
        **{f"log10_at_{lag}": decades for lag in (10, 50, 100)},
        "worst_log10_at_100": -50.0,
        "overflowed": 0,
        "verdict": "vanishes",
        "log10_curve": np.linspace(0, decades, 110).tolist(),
    }


def test_init_gradients_answers_for_a_gru():
    loaded, table = measured("gradients/init_gradients", ["gru"], drawn)
    assert table.values("cell.name") == ["gru"]
    verdicts = claims.decide(loaded.get_claims(table))
    assert len(verdicts) == 7
    assert {v.verdict for v in verdicts} <= {"holds", "refuted"}
    assert not any("LSTM" in v.statement or "IRNN" in v.statement for v in verdicts)


def test_init_gradients_answers_for_several_cells_a_panel_each():
    loaded, table = measured("gradients/init_gradients", ["lstm", "mine"], drawn)
    verdicts = claims.decide(loaded.get_claims(table))
    statements = [v.statement for v in verdicts]
    assert len(set(statements)) == len(statements)
    assert sum(s.endswith("(an LSTM)") for s in statements) >= 5
    # without a matrix W_hh nothing is said of its spectrum
    assert not any("radius" in s and "(mine)" in s for s in statements)
    assert any("(mine)" in s for s in statements)
    assert any(s.startswith("An LSTM with b_f = 1") for s in statements)
    assert not [v for v in verdicts if v.verdict == "undecided"]
    figure, caption = facets.draw(loaded.get_figures, table, {})["schemes"]
    assert "A panel per value of cell.name." in caption
    assert {"lstm", "mine"} == set(table.values("cell.name"))
    figure.clear()


def test_claims_are_made_for_the_schemes_that_were_swept():
    loaded = load_experiment(EXPERIMENTS / "gradients" / "init_gradients.py")
    config = sweep.apply(loaded.get_config(), {"run.seeds": 1})
    asked = {"cell.name": ["gru"], "init.w_h": ["orthogonal", "he_normal"]}
    parts = sweep.replace_axes(config, loaded.get_sweep(config), asked)
    members = [
        Member(i, o, n := with_overrides(config.to_dict(), o), 0.0, drawn(flatten(n)))
        for i, o in enumerate(sweep.expand(config, parts))
    ]
    verdicts = claims.decide(loaded.get_claims(Table(members)))
    assert verdicts
    assert not [v for v in verdicts if v.verdict == "undecided"]


def test_names_that_only_this_run_has_are_found():
    loaded, table = measured("gradients/gradient_vanishing", ["mine", "lstm"], lambda config: {})
    info = {"config": loaded.get_config().to_dict()}
    assert facets.added_names(loaded, info, table) == {"cell.name": ["mine"]}
    loaded, table = measured("gradients/gradient_vanishing", ["gru", "lstm"], lambda config: {})
    assert facets.added_names(loaded, info, table) == {}


def test_one_that_takes_no_perturb_is_refused_before_anything_runs():
    @rnnlab.register_cell("deaf")
    @dataclass(frozen=True)
    class Deaf(Mine):
        def step(self, params, state, x, *, key=None):
            return super().step(params, state, x)

    _, _, axes = swept("gradients/gradient_vanishing", ["deaf"])
    with pytest.raises(ValueError, match=r"member 0 .*whose step takes perturb.*: Deaf.step does"):
        make_plan(EXPERIMENTS / "gradients" / "gradient_vanishing.py", sweep=axes)
