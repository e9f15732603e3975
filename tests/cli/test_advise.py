"""``rnnlab advise``."""

import csv
import re
from pathlib import Path

import pytest

from rnnlab import cli

SMALL = ("--config.cell.hidden_size=6", "--config.task.length=24")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_advice_is_printed_and_drawn(capsys):
    assert cli.main(["advise", "adding_problem", "--config.cell.name=gru", *SMALL]) == 0
    out = capsys.readouterr().out
    assert out.startswith("gru, 6 units, on adding: 16 sequences of 24 steps, 2 inputs; nothing")
    recommended = re.search(r'Recommended: --config\.init\.w_h="(.+?)" --config\.init\.forg', out)
    assert recommended, out
    assert "learning rates to try: --tune.training.learning_rate=" in out
    assert f"\n→{recommended[1]}" in out
    folder = Path("runs/advice-adding_problem-gru")
    text = (folder / "candidates.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert f"of {len(rows)} candidates" in out
    assert len(rows) >= 3 * (3 * 5 + 2)  # biases x (gains of three schemes, and two without)
    assert any(row["scheme"] == recommended[1] for row in rows)
    assert (folder / "advice.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "advice.svg").read_bytes()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "advise needs --config=FILE"),
        (["gradient_vanishing"], "advise is for experiments that train"),
        (["adding_problem", "--sweep.seed=0,1"], "no --sweep, --compare or --tune"),
        (["adding_problem", "--config.cell.nam=gru"], "did you mean"),
        (["adding_problem", "--spam=3"], "unknown flag '--spam'"),
        (["adding_problem", *SMALL, "--span=24"], "span must be a whole number from 1 to 23"),
        (["adding_problem", "--config.cell.layers=2"], "--config.cell.layers=1"),
    ],
)
def test_what_cannot_be_advised_is_said_in_one_line(args, words, capsys):
    assert cli.main(["advise", *args]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not Path("runs").exists()
