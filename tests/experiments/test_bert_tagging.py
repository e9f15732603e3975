"""bert_tagging: a small run that is asked, and claims that can turn."""

from pathlib import Path

import pytest

import rnnlab
from rnnlab import cli
from rnnlab.bert import encoder
from rnnlab.core.notices import LeftOut
from rnnlab.lab import pretrained_sweep, sweep
from rnnlab.lab.load import load_experiment
from tests.helpers import judged

pytest.importorskip("tokenizers")
FILE = Path(__file__).parents[2] / "experiments" / "bert" / "bert_tagging.py"
PRETRAINING = FILE.parent / "bert_pretraining.py"


def test_a_small_run_starts_from_the_papers_characters_is_asked_and_decided(
    tmp_path, monkeypatch, capsys
):
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
    small = {
        "pretrained": str(daily),
        "task.max_length": 12,
        "task.limit": 60,
        "start.member": 0,
        # as few as "all", so that both comparisons have the same members
        "run.few_labels": 60,
        "run.few_steps": 2,
        "run.rates": (1e-3,),
    }
    monkeypatch.setattr(pretrained_sweep, "SEEDS", (2,))
    patch = pytest.MonkeyPatch()
    patch.setattr(pretrained_sweep, "few_of", lambda asked, *_: asked)
    monkeypatch.setattr("rnnlab.plotting.comparison_figures.draw", lambda *a: {})
    config = sweep.apply(loaded.get_config(), small | training)
    run = tmp_path / "run"
    found = rnnlab.run(loaded, config, workdir=run, progress=False)
    patch.undo()
    assert set(found.figures) == {"f1"}
    starts = {member.config["start"]["path"]: member.result for member in found.table}
    assert set(starts) == {"", str(daily)}
    random = starts[""]
    assert random["sha256"] != starts[str(daily)]["sha256"]
    assert 0 < random["lookup_f1"] < 0.5
    assert cli.main(["predict", str(run), "--text=江泽民在北京"]) == 0
    assert capsys.readouterr().out.strip().replace("[", "").startswith("江")

    def signs(f1=0.3, **verdicts):
        def describe(flat, arm):
            return {"f1": f1 + 1e-4 * (-1) ** flat["seed"], "lookup_f1": 0.11}

        def verdict(name, a, b):
            assert (a, b) == ("pre-trained", "random")
            return verdicts.get(name, "better")

        few = sweep.apply(config, {"run.few_labels": 40})
        return judged.signs(loaded, *judged.compared(loaded, describe, verdict, few))

    (few, most) = loaded.asked_comparisons(sweep.apply(config, {"run.few_labels": 40}))
    assert (few.fixed["task.limit"], most.fixed["task.limit"]) == (40, 60)
    with pytest.warns(LeftOut, match=r"run\.few_labels=60 is not fewer than the 60 sentences"):
        assert loaded.asked_comparisons(config)[0].fixed["task.limit"] == 15

    assert signs() == "+++"
    assert signs(f1=0.2) == "-++"
    assert signs(f1=0.22) == "?++"
    assert signs(few_labels="equivalent", all_labels="undecided") == "+-?"
    assert signs(few_labels="worse") == "+-+"
