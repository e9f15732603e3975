"""translation: the table by a loop, a tiny run that is asked, claims that turn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import rnnlab
from rnnlab import cli, training
from rnnlab.core.nested import with_overrides
from rnnlab.lab import rounds, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Table
from rnnlab.tasks.translation import Translation
from tests.helpers import judged
from tests.tasks.test_translation import by_table

FILE = Path(__file__).parents[2] / "experiments" / "language" / "translation.py"
LOADED = load_experiment(FILE)
MODULE = LOADED.module
SMALL = {
    "task.limit": 60,
    "task.max_length": 12,
    "task.embedding_size": 3,
    "cell.hidden_size": 3,
    "training.batch_size": 4,
    "training.steps": 4,
    "training.eval_every": 2,
    "training.eval_batch_size": 30,
    "training.eval_sample": 30,
}


def compared(long=0.12, table=0.5, along=0.9, wrong=0.4, error=0.1, config=None, **verdicts):
    """Judged members and comparisons, in which the first arm is better where nothing is said.

    Args:
        long: growth of the error with one vector, 0.05 with attention. table, wrong, error: of
            tokens by a table, of words, of tokens. along: of attention. verdicts: by comparison.
    """

    def describe(flat, arm):
        sign = (-1) ** flat["seed"]
        grown = long + 0.002 * sign if flat["task.attention"] == "none" else 0.05
        return {
            "token_error": error + 0.002 * sign,
            "by_length": np.linspace(0.1, 0.1 + grown, len(MODULE.LENGTHS)),
            "table_error": table,
            "sequence_error": wrong + 0.002 * sign,
            "along": along + 0.002 * sign,
        }

    return judged.compared(LOADED, describe, judged.against(**verdicts), config)


def signs(**changes):
    """One sign per claim, in order."""
    return judged.signs(LOADED, *compared(**changes))


def test_claims_can_come_out_the_other_way():
    assert signs() == "+++++++-"
    assert signs(attention_LSTM="worse", attention_RNN="undecided") == "-?+++++-"
    assert signs(long=0.07) == "++-++++-"
    assert signs(long=0.08) == "++?++++-"
    assert signs(vector="equivalent", gates="equivalent") == "+++-+++-"
    assert signs(gates="worse") == "++++-++-"
    assert signs(table=0.19) == "+++++-+-"
    assert signs(table=0.2) == "+++++?+-"
    assert signs(along=0.7) == "++++++--"
    assert signs(wrong=0.23) == "++++++++"


def test_a_published_figure_decides_nothing_about_other_pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"wort {i}\tword {i}\n" for i in range(40)))
    config = sweep.apply(LOADED.get_config(), {"task.path": str(path), "task.limit": 0})
    assert signs(config=config) == "+++++++?"


def test_lines_are_drawn_of_the_judged_members_of_each_arm():
    table, comparisons = compared()
    lines = {line for lines in MODULE.COMPARED.values() for line in lines}
    assert len(lines) == 5  # a GRU without attention takes no part
    for cell, way in lines:
        members = MODULE.of(table, comparisons, cell, way)
        assert [m.config["seed"] for m in members] == list(range(2, 10))
        assert {m.config["task"]["attention"] for m in members} == {way}
        assert len(MODULE.of(table, {}, cell, way)) == 8
    first = rounds.next_round(LOADED.get_comparisons(LOADED.get_config()), ())
    assert len(first) == 5 * 3 * MODULE.TUNING_SEEDS


def test_a_table_of_tokens_equals_a_loop():
    config = sweep.apply(LOADED.get_config(), SMALL)
    task = training.task_of(config)
    learn, judge, *_ = task.pairs()
    counts: dict[str, dict[str, int]] = {}
    names = task.vocabularies[1].words()
    for source, target in learn:
        for i, letter in enumerate(source):
            sound = target[i * len(target) // len(source)]
            counts.setdefault(letter, {}).setdefault(sound, 0)
            counts[letter][sound] += 1
    edits = sounds = 0
    for source, target in judge[:30]:
        said = [max(names, key=lambda s, c=c: counts.get(c, {}).get(s, 0)) for c in source]
        edits += by_table(said, target)
        sounds += len(target)
    assert np.isclose(MODULE.table_error(task, 30), edits / sounds)


def test_the_place_looked_at_is_ranked():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(5), (3, 6))
    found = np.array([6, 2, 4])
    expected = [
        spearmanr(range(n), [sum(s * a for s, a in enumerate(row)) for row in w[:n]])[0]
        for w, n in zip(weights, found, strict=True)
        if n >= 3
    ]
    assert np.isclose(MODULE.along(weights, found), np.mean(expected))


def test_what_is_shown_fits(tmp_path):
    assert MODULE.shown(Translation(max_length=9)) == ["knowledge", "physician"]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"ein Wort {i}\ta word {i}\n" for i in range(40)))
    texts = MODULE.shown(Translation(path=str(path)))
    assert len(texts) == 3
    assert all(text.startswith("ein Wort ") for text in texts)
    flat = np.full((2, 4, 3), 1 / 3)  # looks at the same place all the time
    assert np.isnan(MODULE.along(flat, np.array([4, 1])))


def test_a_small_run_draws_decides_and_is_asked(tmp_path, capsys):
    run = tmp_path / "run"
    axes = {"cell.name": ("bi-rnn-tanh",), "task.attention": ("general", "none")}
    config = sweep.apply(LOADED.get_config(), SMALL)
    rnnlab.run(FILE, config, sweep=axes, workdir=run, progress=False)
    found = rnnlab.load_run(run)
    assert set(found.figures) >= {"curves", "length"}
    # the maps are drawn of an LSTM, which takes twice as long to compile
    lstm = {"cell.name": "bi-lstm"}
    renamed = (replace(m, config=with_overrides(m.config, lstm)) for m in found.table)
    assert set(MODULE.figures(Table(renamed), {})) == {"curves", "length", "attention"}
    one, other = (member.result for member in found.table)
    shown = one["maps"][0]
    assert shown["source"] == list("knowledge")
    assert np.shape(shown["weights"]) in ((len(shown["said"]), 9), (0,))
    assert np.allclose(np.sum(shown["weights"], axis=-1), 1)
    assert "maps" not in other
    judged = np.average(one["by_length"], weights=one["by_length_n"])
    assert np.isclose(judged, one["token_error"])
    assert cli.main(["predict", str(run), "--text=Neural"]) == 0
    sounds = training.task_of(config).vocabularies[1].words()
    assert {*capsys.readouterr().out.split()} <= {*sounds, "…"}
    (tmp_path / "words.txt").write_text("neural\nnet\n")
    assert cli.main(["predict", str(run), f"--file={tmp_path / 'words.txt'}"]) == 0
    assert len(capsys.readouterr().out.split("\n")) == 3
    assert cli.main(["predict", str(run), "--text=neural", "--stream"]) != 0
    assert "can't run in real time" in capsys.readouterr().err


def test_two_layers_are_refused():
    with pytest.raises(ValueError, match=r"reads with one layer, got cell\.layers=2"):
        training.check(sweep.apply(LOADED.get_config(), {"cell.layers": 2}))
