"""pixel_digits: a tiny run draws its figures, and every claim can turn."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.errors import Undecided
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "learning" / "pixel_digits.py"
SMALL = {
    "cell.hidden_size": 4,
    "training.steps": 4,
    "training.eval_every": 2,
    "training.batch_size": 3,
    "training.eval_batch_size": 6,
    "training.eval_sample": 6,
}
# accuracies (reading order, permuted) by line, with which every claim but the third holds
GOOD = {
    "tanh RNN, N(0, 0.001)": (0.3, 0.3),
    "tanh RNN, orthogonal": (0.9, 0.8),
    "IRNN": (0.9, 0.85),
    "LSTM": (0.95, 0.9),
    "GRU": (0.93, 0.88),
}


def verdicts(orthogonal_at=50, others_at=100, **spoilt):
    """One sign a claim, in order.

    Args:
        orthogonal_at, others_at: updates until that line has learned, and the others.
        spoilt: accuracies of the cell or scheme of a line.
    """
    loaded = load_experiment(FILE)
    lines = loaded.module.LINES
    assert set(GOOD) == set(lines)
    accuracies = {line: spoilt.get(line.split()[-1].strip("(.)"), GOOD[line]) for line in lines}
    config = loaded.get_config()
    members = []
    for index, overrides in enumerate(sweep.expand(config, loaded.get_sweep(config))):
        (line,) = (name for name, (own, _) in lines.items() if own.items() <= overrides.items())
        best = overrides["training.learning_rate"] == 4e-3
        accuracy = accuracies[line][overrides["task.permuted"]] if best else 0.0
        result = {"accuracy": accuracy, "loss": 1 - accuracy, "solved_at": np.inf}
        nested = with_overrides(config.to_dict(), overrides)
        at = orthogonal_at if line.endswith("orthogonal") else others_at
        told = tuple(
            {"step": step, "train_loss": 1.0, "accuracy": 0.75 if step >= at else 0.7}
            for step in range(50, 2001, 50)
        )
        members.append(Member(index, overrides, nested, 0.0, result, told))
    table = Table(members)
    with pytest.raises(Undecided):
        loaded.module.claims(table.select({"cell.name": "gru"}))[0].check()
    return "".join("-+"[bool(c.check()[0])] for c in loaded.module.claims(table))


def test_claims_can_come_out_the_other_way():
    assert verdicts() == "++-+++++++"
    assert verdicts(**{"0.001": (0.75, 0.7)}) == "----++++++"
    assert verdicts(orthogonal=(0.4, 0.4)) == "+++-++++++"
    assert verdicts(orthogonal_at=100) == "++-+-+++++"
    assert verdicts(orthogonal_at=3000, others_at=3000) == "++-+-+++++"
    assert verdicts(orthogonal_at=2000, others_at=3000) == "++-+++++++"
    assert verdicts(IRNN=(0.96, 0.955)) == "+++++---++"
    assert verdicts(LSTM=(0.85, 0.845)) == "++-++--+--"


def test_a_tiny_run_draws_what_a_narrowed_sweep_has(tmp_path):
    loaded = load_experiment(FILE)
    config = sweep.apply(loaded.get_config(), SMALL)
    axes = loaded.get_sweep(config)[2]  # the IRNN
    axes = axes | {"seed": (0,), "task.permuted": (False, True)}
    rnnlab.run(loaded, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"curves", "accuracy"}
    assert all(path.stat().st_size > 10_000 for path, _ in run.figures.values())
    decided = {c.statement: c.verdict for c in run.claims if c.verdict != "undecided"}
    assert list(decided) == ["Permuted pixels are harder for an IRNN"]
