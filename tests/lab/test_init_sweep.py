"""The config that experiments on initialization share: what they set, and nothing else, differs."""

from pathlib import Path

import pytest

from rnnlab.lab import init_sweep, sweep
from rnnlab.lab.descriptions import describe
from rnnlab.lab.load import load_experiment

FOLDER = Path(__file__).parents[2] / "experiments"
FILES = FOLDER / "learning" / "init_comparison.py", FOLDER / "benchmarks" / "speed_init_sweep.py"


@pytest.mark.parametrize("arg", ["", ":full"])
def test_the_experiments_differ_in_what_each_of_them_sets(arg):
    first, second = (
        sweep.flat_config(load_experiment(f"{path}{arg}").get_config()) for path in FILES
    )
    differ = {key for key in first | second if first.get(key) != second.get(key)}
    own = {"run.rates", "run.gated_rates", "run.tuning_seeds", "run.judged_seeds", "run.seeds"}
    own |= {"init.w_h", "run.seconds_per_group", "training.learning_rate"}
    if not arg:
        own |= {"training.steps", "training.eval_every"}
    assert own - {"training.learning_rate"} <= differ <= own


def test_tasks_are_longer_at_the_large_scale():
    small, full = (
        {task: init_sweep.task_options(scale, task, delay=30) for task in init_sweep.TASKS}
        for scale in ("small", "full")
    )
    assert small["delayed_recall"] == {"task.delay": 30, "task.solved_at": 0.05}
    assert full["delayed_recall"]["task.delay"] == 100
    assert small["pixel_digits"] == {"task.source": "digits", "task.solved_at": 0.7}
    assert full["adding"] == {"task.length": 200, "task.solved_at": 0.01}


def test_help_describes_the_keys_of_both_files():
    keys = describe(str(FILES[0]))
    for key, words in (
        ("run.gated_rates", "learning rates that are tried for every scheme of an LSTM or a GRU"),
        ("run.judged_seeds", "no sign test of 8 seeds decides"),
        ("run.scale", "scale of the tasks: small or full"),
        ("probes.at", "updates before which the gradient is measured"),
    ):
        assert words.lower() in keys[key].text.lower()
