"""bert_finetuning: a small run that is asked, and claims that can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.bert import encoder, heads, huggingface, wordpiece
from rnnlab.core.errors import UserError
from rnnlab.core.notices import LeftOut
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
    "run.few_labels": 40,
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
    # as few as "all", so that both comparisons have the same members
    monkeypatch.setattr(pretrained_sweep, "few_of", lambda asked, *_: asked)
    few = {"run.few_labels": 60, "pretrained": pretrained}
    monkeypatch.setattr("rnnlab.plotting.comparison_figures.draw", lambda *a: {})
    run = tmp_path / "run"
    found = rnnlab.run(LOADED, SMALL | few, workdir=run, progress=False)
    assert set(found.figures) == {"accuracy"}
    assert len(found.table) == 4
    starts = {member.config["start"]["path"]: member.result for member in found.table}
    assert set(starts) == {"", pretrained}
    assert starts[""]["sha256"] != starts[pretrained]["sha256"]
    assert starts[""]["judged"] == 20
    assert 0.3 < starts[""]["words_accuracy"] < 1
    labels = MovieReviews().split().test_labels[:20]
    assert starts[""]["chance"] == max(np.mean(labels == k) for k in (0, 1))
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


def test_few_labels_are_fewer_than_all():
    def limits(**changes):
        changes = {key.replace("__", "."): value for key, value in changes.items()}
        given = {"pretrained": "there"} | changes
        compared = LOADED.asked_comparisons(sweep.apply(LOADED.get_config(), given))
        return [one.fixed["task.limit"] for one in compared]

    assert limits() == [500, 0]
    with pytest.warns(LeftOut, match=r"run\.few_labels=500 is not fewer than the 400 texts"):
        assert limits(task__limit=400) == [100, 400]
    with pytest.warns(LeftOut, match=r"run\.few_labels=9000 is not fewer than the 6824 texts"):
        assert limits(run__few_labels=9000) == [1706, 0]
    with pytest.raises(UserError, match=r"run\.few_labels: fewer than all texts to learn from"):
        limits(task__limit=1)


def test_labels_of_one_class_are_refused_before_any_member(tmp_path):
    path = tmp_path / "mine.tsv"
    rows = [f"{'bad' if k < 9 else 'good'}\ttext {k}" for k in range(10)]
    path.write_text("\n".join(rows) + "\n")
    config = sweep.apply(LOADED.get_config(), {"task.path": str(path), "task.limit": 1})
    with pytest.raises(ValueError, match=r"mine\.tsv: at least 2 texts of each class are needed"):
        LOADED.module.check(config)


def test_chance_and_the_regression_are_drawn_at_their_values():
    config = LOADED.get_config().to_dict()
    result = {"words_accuracy": 0.8, "chance": 0.4, "judged": 9, "loss": 1.0}
    steps = [{"step": s, "train_loss": 1.0, "accuracy": 0.5} for s in range(32, 321, 32)]
    table = Table([Member(0, {}, config, 0.0, result, tuple(steps))])
    figure, caption = LOADED.get_figures(table)["accuracy"]
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert levels == [0.8, 0.4]
    low, high = figure.axes[0].get_ylim()
    assert low < 0.4
    assert high > 0.8
    assert "the most frequent class, 40.0%" in caption


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
