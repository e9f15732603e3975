"""tagging: a tiny run draws its figures, and every claim can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.results.table import Member, Table
from rnnlab.tasks.tagging import Tagging

FILE = Path(__file__).parents[2] / "experiments" / "language" / "tagging.py"
SMALL = {
    "task.limit": 40,
    "task.max_length": 8,
    "task.embedding_size": 3,
    "cell.hidden_size": 3,
    "training.steps": 4,
    "training.eval_every": 2,
    "training.batch_size": 4,
    "training.eval_batch_size": 20,
    "training.eval_sample": 20,
    "run.turns": 2,
}
GOOD = {
    "RNN": 0.5,
    "Bi-RNN": 0.6,
    "LSTM": 0.55,
    "Bi-LSTM": 0.65,
    "GRU": 0.56,
    "Bi-GRU": 0.66,
    "LSTM + CRF": 0.57,
    "Bi-LSTM + CRF": 0.7,
}


def verdicts(cost=2.0, ahead=0.0, back=1.0, refuses=True, lookup=0.1, **f1):
    """One sign a claim, in order.

    Args:
        cost: of both ways. ahead, back: what the second half moves, one way and both ways.
        refuses: streaming both ways. lookup: the table's F1. f1: of lines, "Bi-" as "Bi".
    """
    loaded = load_experiment(FILE)
    config, members = loaded.get_config(), []
    assert set(GOOD) == set(loaded.module.LINES)
    for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
        (line,) = (
            name for name, own in loaded.module.LINES.items() if own.items() <= overrides.items()
        )
        both = line.startswith("Bi-")
        found = f1.get(line.replace("-", "").replace(" + ", "_"), GOOD[line])
        result = {
            "f1": found,
            "cost": cost,
            "moved": back if both else ahead,
            "streams": not (both and refuses),
            "lookup_f1": lookup,
        }
        nested = with_overrides(config.to_dict(), overrides)
        members.append(Member(index, overrides, nested, 0.0, result, ()))
    claims = loaded.module.claims(Table(members))
    return "".join("-+"[bool(claim.check()[0])] for claim in claims)


def test_claims_can_come_out_the_other_way():
    assert verdicts() == "+++++++++"
    assert verdicts(BiRNN=0.51) == "-++++++++"
    assert verdicts(BiLSTM=0.56) == "+-+++++++"
    assert verdicts(BiGRU=0.57) == "++-++++++"
    assert verdicts(cost=1.2) == verdicts(cost=3.0) == "+++-+++++"
    assert verdicts(ahead=1e-9) == verdicts(back=0.0) == verdicts(refuses=False) == "++++-++++"
    assert verdicts(BiLSTM_CRF=0.65) == "+++++-+++"
    assert verdicts(LSTM_CRF=0.55) == "++++++-++"
    assert verdicts(LSTM=0.5) == "+++++++-+"
    assert verdicts(lookup=0.3) == "++++++++-"


def test_only_both_ways_see_the_future():
    future = load_experiment(FILE).module.future
    task = Tagging(limit=40, max_length=8)
    data, found = task.load(), []
    for layer in ("lstm", "bi-lstm"):
        model = models.ManyToMany(
            layers.by_name(layer, 3, InitScheme()),
            outputs=3,
            symbols=task.input_size,
            embedding_size=2,
            w_e="normal(std=1.0)",
        )
        params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
        found.append(future(model, params, task, data))
    assert found[0] == {"moved": 0.0, "streams": True}
    assert found[1]["moved"] > 1e-3
    assert not found[1]["streams"]


def test_a_tiny_run_draws_what_a_narrowed_sweep_has(tmp_path):
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL)
    axes = loaded.get_sweep(config)[1] | {"seed": (0,)}
    assert axes["cell.name"] == ("bi-rnn-tanh",)
    rnnlab.run(loaded, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"curves", "f1"}
    assert all(path.stat().st_size > 10_000 for path, _ in run.figures.values())
    result = run.table[0].result
    assert result["cost_low"] <= result["cost"] <= result["cost_high"]
    assert np.isfinite(result["loss"])
    decided = [c.statement for c in run.claims if c.verdict != "undecided"]
    assert decided == ["Both ways cost twice one way"]


def test_unknown_arguments_are_refused():
    with pytest.raises(ValueError, match=r"unknown scale 'big'.*allowed: full"):
        load_experiment(FILE).module.get_config("big")
