"""bert_finetuning: a small run that is asked, and claims that can turn."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.bert import encoder, heads, huggingface, wordpiece
from rnnlab.core.errors import Undecided
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table
from rnnlab.tasks.reviews import MovieReviews

pytest.importorskip("tokenizers")
pytest.importorskip("safetensors")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "bert_finetuning.py"


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A checkpoint's folder: random weights, pieces of some reviews."""
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    path = tmp_path / "pretrained"
    tokenizer = wordpiece.train(MovieReviews().split().texts[:300], 300)
    pieces = wordpiece.pieces_of(tokenizer)
    config = encoder.Config.named(
        "tiny", vocab_size=len(pieces), max_length=12, activation="gelu_tanh"
    )
    shapes = jax.eval_shape(
        lambda: heads.Pretraining(config).init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    )
    params = jax.tree.map(lambda a: 0.1 * jax.random.normal(jax.random.key(1), a.shape), shapes)
    huggingface.save(path, params, config)
    (path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return str(path)


def test_a_small_run_draws_decides_and_is_asked(pretrained, tmp_path, capsys):
    small = {
        "pretrained": pretrained,
        "task.max_length": 12,
        "training.batch_size": 4,
        "training.steps": 2,
        "training.eval_every": 1,
        "training.warmup_steps": 1,
        "training.eval_batch_size": 20,
        "training.eval_sample": 20,
    }
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), small)
    assert len(sweep.expand(config, loaded.get_sweep(config))) == 8
    axes = {
        ("start.path", "task.pieces"): [("", pretrained), (pretrained, pretrained)],
        "task.limit": (60,),
    }
    run = tmp_path / "run"
    rnnlab.run(FILE, config, sweep=axes, workdir=run, progress=False)
    found = rnnlab.load_run(run)
    assert set(found.figures) == {"accuracy"}
    assert "undecided" not in {c.verdict for c in found.claims}
    random, started = (member.result for member in found.table)
    assert random["sha256"] != started["sha256"]
    assert random["judged"] == 20
    assert 0.3 < random["words_accuracy"] < 1
    assert cli.main(["predict", str(run), "--text=a great film"]) == 0
    assert capsys.readouterr().out.split()[0] in ("good", "bad")


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    base = sweep.apply(loaded.get_config(), {"pretrained": "there"})

    def verdicts(few=0.62, most=0.74, loss=0.55, pretrained="there", words=0.76):
        members = []
        config = sweep.apply(base, {"pretrained": pretrained})
        for index, own in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            limited, started = own["task.limit"] > 0, bool(own["start.path"])
            accuracy = (few if limited else most) if started else (0.57 if limited else 0.70)
            result = {
                "accuracy": accuracy,
                "loss": loss if started else 0.6,
                "words_accuracy": words,
                "judged": 1706,
            }
            nested = with_overrides(config.to_dict(), own)
            members.append(Member(index, own, nested, 0.0, result))
        found = []
        for claim in loaded.module.claims(Table(members)):
            try:
                found.append("-+"[claim.check()[0]])
            except Undecided:
                found.append("?")
        return "".join(found)

    assert verdicts() == "+++-"
    assert verdicts(few=0.60) == "-++-"  # .57 and two standard errors are .604
    assert verdicts(most=0.72, words=0.68) == "+-++"
    assert verdicts(loss=0.61) == "++--"
    assert verdicts(pretrained="") == "????"
