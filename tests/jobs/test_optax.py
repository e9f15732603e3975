"""Job 11: adafactor, lion, muon and an exponential schedule swept by one command."""

import json
import shlex
from pathlib import Path

from rnnlab import cli

COMMAND = Path(__file__).parent / "job_11_optimizers/command.sh"
# added to the user's command, so that the test costs seconds
TINY = [
    "--sweep.cell.name=rnn-tanh",
    "--sweep.task.length=4",
    "--sweep.seed=0",
    "--sweep.training.learning_rate=0.003",
    "--config.cell.hidden_size=3",
    "--config.training.steps=4",
    "--config.training.eval_every=2",
    "--config.training.eval_batch_size=4",
    "--workdir=mine",
]


def test_optimizers_and_a_schedule_swept_by_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    [line] = COMMAND.read_text().replace("\\\n", "").splitlines()
    assert cli.main([*shlex.split(line)[1:], *TINY]) == 0
    lines = (tmp_path / "mine/members.jsonl").read_text().splitlines()
    members = [json.loads(line) for line in lines]
    swept = [tuple(member["overrides"].values()) for member in members]
    for value in ("adafactor", "lion(b1=0.95)", "muon", "exponential_decay(decay_rate=0.1)"):
        assert sum(value in values for values in swept) in (2, 3), value
    assert len({member["result"]["sha256"] for member in members}) == len(members) == 6
    assert {member["result"]["status"] for member in members} <= {"finished", "solved"}
    capsys.readouterr()
