"""tagging: a tiny run draws its figures, and every claim can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import image

import rnnlab
from rnnlab.lab import rounds, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn import layers, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.tagging import Tagging
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "language" / "tagging.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module
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


def compared(
    f1=0.5, cost=2.0, ahead=0.0, back=1.0, refuses=True, lookup=0.1, config=None, **verdicts
):
    """Judged members and comparisons, in which the first arm is better if nothing is said.

    Args:
        f1: of every member. cost: of both ways. lookup: the table's F1.
        ahead, back: what the second half moves, one way and both ways.
        refuses: streaming both ways. config: changed.
        verdicts: of comparisons, "field_BiLSTM" for a Bi-LSTM's.
    """

    def describe(flat, arm):
        both = arm.startswith("Bi-")
        return {
            "f1": f1 + 0.002 * (-1) ** flat["seed"],
            "lookup_f1": lookup,
            "moved": back if both else ahead,
            "streams": not (both and refuses),
            **({"cost": cost} if both and not flat["task.crf"] else {}),
        }

    given = {name.replace("BiLSTM", "Bi-LSTM"): verdict for name, verdict in verdicts.items()}
    return judged.compared(LOADED, describe, judged.against(**given), config)


def signs(**changes):
    return judged.signs(LOADED, *compared(**changes))


def test_claims_can_come_out_the_other_way():
    assert signs() == "+++++++++"
    assert signs(ways_RNN="equivalent", ways_LSTM="worse", ways_GRU="undecided") == "--?++++++"
    assert signs(cost=1.2) == signs(cost=3.0) == "+++-+++++"
    assert signs(ahead=1e-9) == signs(back=0.0) == signs(refuses=False) == "++++-++++"
    assert signs(field_BiLSTM="worse") == "+++++-+++"
    assert signs(field_LSTM="equivalent", gates="worse") == "++++++--+"
    assert signs(gates="undecided") == "+++++++?+"
    assert signs(lookup=0.3) == "++++++++-"
    assert signs(lookup=0.25) == "++++++++?"


def test_tokens_of_a_file_are_words(tmp_path):
    path = tmp_path / "own.conll"
    path.write_text("".join(f"Ann{i} B-PER\nsaw O\nRome B-LOC\n\n" for i in range(40)))
    config = sweep.apply(LOADED.get_config(), SMALL | {"task.path": str(path)})
    table, comparisons = compared(config=config)
    *_, last = LOADED.get_claims(table, comparisons)
    assert last.statement == "Entities are in the context, not in the words"
    assert "each word's commonest label" in last.threshold
    assert comparisons["gates"].question == "On the entities of own.conll"


def test_lines_are_drawn_of_the_judged_members_of_each_arm():
    table, comparisons = compared()
    for line, settings in MODULE.LINES.items():
        members = MODULE.of(table, comparisons, line)
        assert [m.config["seed"] for m in members] == list(range(2, 10))
        assert {m.config["cell"]["name"] for m in members} == {settings["cell.name"]}
        assert len(MODULE.of(table, {}, line)) == 8


def test_comparisons_share_their_members():
    questions = LOADED.get_comparisons(LOADED.get_config())
    first = rounds.next_round(questions, ())
    assert len(first) == 8 * 3 * MODULE.TUNING_SEEDS
    assert {len(question.pairs) for question in questions} == {1}


def test_only_both_ways_see_the_future():
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
        found.append(MODULE.future(model, params, task, data))
    assert found[0] == {"moved": 0.0, "streams": True}
    assert found[1]["moved"] > 1e-3
    assert not found[1]["streams"]
    one = Tagging(limit=40, max_length=1)  # no token comes before another
    assert MODULE.future(model, params, one, one.load()) == {"moved": 0.0, "streams": False}


def test_a_tiny_run_draws_what_a_sweep_has_and_times_a_cell_once(tmp_path):
    config = sweep.apply(LOADED.get_config(), SMALL)
    axes = {"cell.name": ("bi-rnn-tanh",), "seed": (0, 1)}
    rnnlab.run(LOADED, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) >= {"curves", "f1"}
    for path, _ in run.figures.values():
        assert image.imread(path)[..., :3].std() > 0.02  # not blank
    first, second = (member.result for member in run.table)
    assert first["cost"] == second["cost"] > 0
    assert np.isfinite(first["loss"])
    assert first["lookup_f1"] == MODULE.lookup(Tagging(limit=40, max_length=8, embedding_size=3))
    decided = [c.statement for c in run.claims if c.verdict != "undecided"]
    assert decided == ["Both ways cost twice one way"]


def test_unknown_arguments_are_refused():
    with pytest.raises(ValueError, match=r"unknown scale 'big'.*allowed: full"):
        MODULE.get_config("big")
