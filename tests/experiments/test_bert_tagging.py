"""bert_tagging: a small run that is asked, and claims that can turn."""

from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from rnnlab.bert import encoder
from rnnlab.core.errors import Undecided
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

pytest.importorskip("tokenizers")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "bert_tagging.py"
PRETRAINING = FILE.parent / "bert_pretraining.py"


def test_a_small_run_starts_from_the_papers_characters_and_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(encoder.SIZES, "tiny", (1, 64))  # which compiles sooner
    training = {
        "training.batch_size": 4,
        "training.steps": 2,
        "training.eval_every": 1,
        "training.warmup_steps": 1,
        "training.eval_batch_size": 20,
        "training.eval_sample": 20,
    }
    before = load_experiment(PRETRAINING)
    task = {"task.corpus": "people_daily", "task.limit": 20, "task.length": 29}
    config = sweep.apply(before.get_config(), task | training)
    daily = tmp_path / "daily"
    axes = {"init.attention": ("orthogonal",)}
    rnnlab.run(PRETRAINING, config, sweep=axes, workdir=daily, progress=False)

    loaded = load_experiment(FILE)
    small = {"pretrained": str(daily), "task.max_length": 12, "start.member": 0} | training
    config = sweep.apply(loaded.get_config(), small)
    assert len(sweep.expand(config, loaded.get_sweep(config))) == 8
    axes = {
        ("start.path", "task.pieces"): [("", str(daily)), (str(daily), str(daily))],
        "task.limit": (60,),
    }
    run = tmp_path / "run"
    rnnlab.run(FILE, config, sweep=axes, workdir=run, progress=False)
    found = rnnlab.load_run(run)
    assert set(found.figures) == {"f1"}
    assert "undecided" not in {c.verdict for c in found.claims}
    random, started = (member.result for member in found.table)
    assert random["sha256"] != started["sha256"]
    assert 0 < random["lookup_f1"] < 0.5
    assert cli.main(["predict", str(run), "--text=江泽民在北京"]) == 0
    assert capsys.readouterr().out.strip().replace("[", "").startswith("江")


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    base = sweep.apply(loaded.get_config(), {"pretrained": "there"})

    def verdicts(few=0.33, random=0.60, started=0.63, lookup=0.11, pretrained="there"):
        members = []
        config = sweep.apply(base, {"pretrained": pretrained})
        for index, own in enumerate(sweep.expand(config, loaded.get_sweep(config))):
            limited, warm = own["task.limit"] == config.run.few_labels, bool(own["start.path"])
            f1 = (few if warm else 0.30) if limited else (started if warm else random)
            nested = with_overrides(config.to_dict(), own)
            members.append(Member(index, own, nested, 0.0, {"f1": f1, "lookup_f1": lookup}))
        found = []
        for claim in loaded.module.claims(Table(members)):
            try:
                found.append("-+"[claim.check()[0]])
            except Undecided:
                found.append("?")
        return "".join(found)

    assert verdicts() == "++++"
    assert verdicts(lookup=0.31) == "-+++"
    assert verdicts(random=0.5, started=0.54) == "+-++"
    assert verdicts(few=0.31) == "++-+"
    assert verdicts(started=0.61) == "+++-"
    assert verdicts(pretrained="") == "++??"
