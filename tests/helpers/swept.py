"""Shared by the tests of several machines: a sweep of three groups, and its results."""

import contextlib
import json
import sys
import time

from rnnlab.core import json_files, run_files

EXPERIMENT = '''
"""A sweep of three groups, with a measurement and a scheme of the file's own."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from rnnlab import register_scheme, training
from rnnlab.training import runner
from rnnlab import InitScheme

run = runner.run


@register_scheme
def thirds(value=1 / 3):
    return lambda key, shape, dtype=float: value * jax.random.normal(key, shape, dtype)


def get_config(arg=None):
    return ConfigDict({
        "seed": 0,
        "task": {"name": "adding", "length": 8},
        "cell": {"name": "rnn-tanh", "hidden_size": 8, "layers": 1},
        "init": InitScheme.config(w_h="thirds"),
        "training": training.config(
            steps=STEPS, eval_every=100, batch_size=8, eval_batch_size=16, stop_when_solved=False
        ),
        "run": runner.config(checkpoint_seconds=0.2),
    })


def get_sweep(config):
    return {"task.length": [8, 9, 10], "seed": range(2)}


def measure(config, setup, params):
    if BAD:
        raise ValueError("this member cannot be measured")
    return {"norm": jnp.linalg.norm(params["params"]["recurrent"].W_hh)}


def figures(table):
    return {}


def claims(table):
    return []
'''


def write(path, steps=300, bad=False):
    """Write the experiment's file."""
    path.write_text(EXPERIMENT.replace("STEPS", str(steps)).replace("BAD", str(bad)))
    return path


def command(file, run_dir, *flags):
    """Return the command line of a run in its own process."""
    options = [f"--config={file}", f"--workdir={run_dir}", *flags]
    return [sys.executable, "-m", "rnnlab", "run", *options]


def wait(until, process, seconds=120):
    """Wait until a condition holds, as long as a process runs."""
    for _ in range(20 * seconds):
        if until():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"not within {seconds} seconds: {process.communicate()}")


def batches(run_dir, since=0.0):
    """Return the batches that have a checkpoint written after a time."""
    found = set()
    for path in (run_dir / "checkpoints").glob("*/*/rnnlab.json"):
        with contextlib.suppress(FileNotFoundError):  # removed by now
            if path.stat().st_mtime > since:
                found.add(path.parent.parent.name)
    return found


def outcome_of(run_dir):
    """Return a run's results, metrics and parameters, without times."""
    members = json_files.read_jsonl(run_dir / run_files.MEMBERS)
    for member in members:
        del member["seconds"], member["result"]["ms_per_step"], member["sha256"]
    metrics = [json.dumps(record) for record in json_files.read_jsonl(run_dir / run_files.METRICS)]
    params = {path.name: path.read_bytes() for path in (run_dir / "params").iterdir()}
    return sorted(members, key=lambda member: member["member"]), sorted(metrics), params
