"""bert_pretraining: a small run on a text of its own, and claims that can turn."""

import math
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.bert import encoder
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table
from rnnlab.training import runner

pytest.importorskip("tokenizers")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "bert_pretraining.py"


def test_a_small_run_draws_and_decides(tmp_path, monkeypatch):
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    rng = np.random.default_rng(0)
    topics = ("bank money loan", "river water fish", "king crown castle", "star moon sky")
    parts = [
        " ".join(" ".join(rng.choice(topic.split(), 4)) + "." for _ in range(10))
        for topic in topics * 3
    ]
    (tmp_path / "text.txt").write_text("\n\n".join(parts))
    small = {
        "task.corpus": str(tmp_path / "text.txt"),
        "task.limit": 0,
        "task.length": 16,
        "task.vocab_size": 80,
        "task.test_share": 0.3,
        "training.batch_size": 4,
        "training.steps": 4,
        "training.eval_every": 2,
        "training.warmup_steps": 1,
        "training.eval_batch_size": 20,
        "training.eval_sample": 20,
    }
    config = sweep.apply(load_experiment(FILE).get_config(), small)
    runner.check(config)
    rnnlab.run(FILE, config, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"losses"}
    assert "undecided" not in {c.verdict for c in run.claims}
    assert len(run.table) == 2
    for member in run.table:
        result = member.result
        assert result["baseline"] == pytest.approx(result["unigram"] + math.log(2))
        assert 1 < result["pairs"] <= 20


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config = loaded.get_config()

    def verdicts(words=6.0, right=0.55, loss=6.7):
        members = []
        for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            result = {
                "word_loss": words,
                "next_accuracy": right,
                "loss": loss,
                "pairs": 2500,
                "unigram": 7.2,
                "baseline": 7.9,
                "next_loss": 0.67,
            }
            nested = with_overrides(config.to_dict(), overrides)
            members.append(Member(index, overrides, nested, 0.0, result))
        return "".join("+-"[not c.check()[0]] for c in loaded.module.claims(Table(members)))

    assert verdicts() == "+++"
    assert verdicts(words=7.3) == "-++"
    assert verdicts(right=0.529) == "+-+"  # .5 + 3·.01
    assert verdicts(loss=8.0) == "++-"
