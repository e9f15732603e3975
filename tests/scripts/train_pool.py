"""Train the pool of members from which tests/results/test_same_arms.py draws its comparisons.

    python tests/scripts/train_pool.py

One arm, a GRU on the adding problem, at four learning rates with 120 seeds each, takes about a
minute on 2 cores. The pool is tests/results/data/pool.json: by learning rate and seed the steps
until the task was solved, and by a second training that does not stop there the loss at the end.
"""

import json
import tempfile
from pathlib import Path

import rnnlab

POOL = Path(__file__).parents[1] / "results/data/pool.json"
RATES = (0.003, 0.01, 0.03, 0.1)
SEEDS = 120
CONFIG = {
    "task.length": 20,
    "cell.name": "gru",
    "cell.hidden_size": 16,
    "training.steps": 600,
    "training.eval_every": 20,
    "training.eval_batch_size": 200,
}


def train(stop: bool, result: str, steps: int) -> list[list[float]]:
    """Return a result of all members: by learning rate, then by seed."""
    changes = {"training.stop_when_solved": stop, "training.steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        run = rnnlab.run(
            "adding_problem",
            CONFIG | changes,
            sweep={"training.learning_rate": RATES, "seed": range(SEEDS)},
            workdir=f"{folder}/run",
        )
    groups = run.table.group_by("training.learning_rate")
    return [[member.result[result] for member in groups[rate]] for rate in RATES]


def main() -> None:
    """Write the pool."""
    pool = {
        "rates": RATES,
        "solved_at": train(True, "solved_at", 600),
        "loss": train(False, "loss", 200),
    }
    text = json.dumps(pool).replace("Infinity", "null").replace("NaN", "null")
    POOL.parent.mkdir(exist_ok=True)
    POOL.write_text(text + "\n")


if __name__ == "__main__":
    main()
