"""bert_finetuning: a small run that is asked, and claims that can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.bert import encoder, heads, huggingface, wordpiece
from rnnlab.lab import pretrained_sweep, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.claims import decide
from rnnlab.results.table import Member, Table
from rnnlab.tasks.reviews import MovieReviews
from tests.helpers import judged

pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "bert_finetuning.py"
LOADED = load_experiment(FILE)


SMALL = {
    "task.max_length": 12,
    "task.limit": 60,
    "training.batch_size": 4,
    "training.steps": 2,
    "training.eval_every": 1,
    "training.warmup_steps": 1,
    "training.eval_batch_size": 20,
    "training.eval_sample": 20,
    # as few as "all", so that both comparisons have the same members
    "run.few_labels": 60,
    "run.few_steps": 2,
    "run.rates": (1e-3,),
}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A checkpoint's folder: random weights, pieces of some reviews."""
    path = tmp_path_factory.mktemp("weights") / "pretrained"
    tokenizer = wordpiece.train(MovieReviews().split().texts[:300], 300)
    pieces = wordpiece.pieces_of(tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
        config = encoder.Config.named(
            "tiny", vocab_size=len(pieces), max_length=12, activation="gelu_tanh"
        )
        shapes = jax.eval_shape(
            lambda: heads.Pretraining(config).init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
        )
        params = jax.tree.map(lambda a: 0.1 * jax.random.normal(jax.random.key(1), a.shape), shapes)
        huggingface.save(path, params, config)
        (path / "vocab.txt").write_text("\n".join(pieces) + "\n")
        yield str(path)


def test_a_small_run_draws_decides_and_is_asked(pretrained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained_sweep, "SEEDS", (2,))
    monkeypatch.setattr("rnnlab.plotting.comparison_figures.draw", lambda *a: {})
    run = tmp_path / "run"
    found = rnnlab.run(LOADED, SMALL | {"pretrained": pretrained}, workdir=run, progress=False)
    assert set(found.figures) == {"accuracy"}
    assert len(found.table) == 4
    starts = {member.config["start"]["path"]: member.result for member in found.table}
    assert set(starts) == {"", pretrained}
    assert starts[""]["sha256"] != starts[pretrained]["sha256"]
    assert starts[""]["judged"] == 20
    assert 0.3 < starts[""]["words_accuracy"] < 1
    assert [one.name for one in found.comparisons] == ["few_labels", "all_labels"]
    assert cli.main(["predict", str(run), "--text=a great film"]) == 0
    assert capsys.readouterr().out.split()[0] in ("good", "bad")


def test_weights_are_compared_by_number_of_labels_with_the_same_pieces():
    config = sweep.apply(
        LOADED.get_config(), {"pretrained": "there", "task.limit": 900, "run.few_labels": 70}
    )
    few, most = LOADED.asked_comparisons(config)
    assert (
        few.arms
        == most.arms
        == {
            "pre-trained": {"start.path": "there", "task.pieces": "there"},
            "random": {"start.path": "", "task.pieces": "there"},
        }
    )
    assert few.fixed == {"task.limit": 70, "training.steps": config.run.few_steps}
    assert most.fixed == {"task.limit": 900, "training.steps": config.training.steps}
    assert few.question == "On rotten_tomatoes with 70 labels"


def test_without_pretrained_weights_one_member_learns_and_claims_say_what_to_type():
    plan = make_plan(LOADED, sweep.apply(LOADED.get_config(), {"task.limit": 50}))
    assert plan.members == [{}]
    (config,) = plan.configs
    table = Table([Member(0, {}, config.to_dict(), 0.0, {})])
    for one in decide(LOADED.get_claims(table)):
        assert one.verdict == "undecided"
        assert "give --config.pretrained=DIR, a run of bert_pretraining.py" in one.measured


def test_claims_can_come_out_the_other_way(pretrained):
    config = sweep.apply(LOADED.get_config(), SMALL | {"pretrained": pretrained})

    def signs(accuracy=0.74, **verdicts):
        def describe(flat, arm):
            return {"accuracy": accuracy + 0.002 * (-1) ** flat["seed"], "words_accuracy": 0.75}

        def verdict(name, a, b):
            assert (a, b) == ("pre-trained", "random")
            return verdicts.get(name, "better")

        return judged.signs(LOADED, *judged.compared(LOADED, describe, verdict, config))

    assert signs() == "++-"
    assert signs(few_labels="worse", all_labels="equivalent") == "---"
    assert signs(few_labels="undecided") == "?+-"
    assert signs(accuracy=0.76) == "+++"
    assert signs(accuracy=0.75) == "++?"
