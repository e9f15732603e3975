"""Kill a training run at random moments, many times; it must end as if undisturbed.

    python tests/scripts/kill.py --kills=20

Runs a small sweep undisturbed, on one CPU device and on two, then again with kill -9 at random
moments, the same command given after each, until all kills are made; then compares the results
bit by bit. test_kills.py does the same with RNNLAB_KILLS kills.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rnnlab.core import json_files, run_files
from tests.helpers.compiling import FOR_USERS

SOURCE = '''
"""A sweep to be killed: one member diverges, the others go to the end."""

from ml_collections import ConfigDict

from rnnlab import training
from rnnlab.training import runner
from rnnlab import InitScheme

run = runner.run


def get_config(arg=None):
    return ConfigDict(
        {
            "seed": 0,
            "task": {"name": "copy_memory", "delay": 4, "solved_at": 1.0},
            "cell": {"name": "rnn-tanh", "hidden_size": 5, "layers": 1},
            "init": InitScheme.config(),
            "training": training.config(
                steps=600, eval_every=30, window=8, batch_size=4, eval_batch_size=8,
                optimizer="adam", clip_norm=1.0,
            ),
            "probes": {"at": (0, 300)},
            "run": runner.config(checkpoint_seconds=0.01, cells=2 if arg == "two" else 1),
        }
    ).lock()


def get_sweep(config):
    return [
        {
            "cell.name": ("rnn-tanh", "gru")[: config.run.cells],
            "training.learning_rate": (1e-3, 1e-2),
            "seed": (0, 1),
        },
        {"training.learning_rate": (3e38,), "seed": (7,)},
    ]


def figures(table):
    return {}


def claims(table):
    return []
'''


def write_experiment(folder: Path) -> None:
    """Write experiments/tiny.py into the folder; tiny.py:two has two groups of members."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "experiments/tiny.py").write_text(SOURCE)


def command(out: Path | str, arg: str = "") -> list[str]:
    """Return the command that begins the run in ``out``, and resumes it."""
    config = f"--config=experiments/tiny.py{arg and ':' + arg}"
    return [sys.executable, "-m", "rnnlab", "run", config, f"--workdir={out}"]


def compile_cache(folder: Path) -> dict[str, str]:
    """Return the environment in which processes share what they compile."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def environment(folder: Path, devices: int) -> dict[str, str]:
    """Return the environment of a command: its CPU devices, and a shared compilation cache."""
    return {
        **os.environ,
        **FOR_USERS,  # exact bits are compared
        "JAX_NUM_CPU_DEVICES": str(devices),
        **compile_cache(folder),
    }


def begin(folder: Path, out: Path | str, arg: str = "", devices: int = 2) -> subprocess.Popen[str]:
    """Start the command in ``folder``."""
    return subprocess.Popen(
        command(out, arg),
        cwd=folder,
        env=environment(folder, devices),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the command to succeed; return its stderr."""
    _, said = process.communicate()
    if process.returncode:
        raise AssertionError(f"exit status {process.returncode}: {said}")
    return said


def left_by(out: Path) -> dict[int, Any]:
    """Return each member's results, metrics and parameters in a finished run, without times.

    Raises:
        AssertionError: a member twice, or remains of checkpoints.
    """
    lines = json_files.read_jsonl(out / run_files.MEMBERS)
    found = {}
    for line in lines:
        index, result = line["member"], line["result"]
        del result["ms_per_step"]
        params = (out / "params" / f"{index}.npz").read_bytes()
        found[index] = {"overrides": line["overrides"], "result": result, "params": params}
        found[index]["metrics"] = []
    for record in json_files.read_jsonl(out / run_files.METRICS):
        found[record.pop("member")]["metrics"].append(record)
    count = json.loads((out / run_files.CONFIG).read_text())["members"]
    assert sorted(line["member"] for line in lines) == list(range(count)), lines
    assert not (out / "checkpoints").exists()
    return found


def _metrics_state(out: Path) -> tuple[int, int] | None:
    """Return a value that changes as soon as members log metrics."""
    path = out / run_files.METRICS
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None


def under_way(process: subprocess.Popen[str], out: Path) -> bool:
    """Wait until members train; false where the command ends before."""
    before = _metrics_state(out)
    while _metrics_state(out) == before:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def killed(folder: Path, out: Path, kills: int, seed: int, arg: str = "") -> tuple[int, list[str]]:
    """Run the command with at most so many kills; return (kills made, the last stderr's lines).

    Three in four kills come within about a second after members begin to log; the others at any
    time from the start of the process on.
    """
    rng, made, finished = random.Random(seed), 0, set[int]()
    while made < kills:
        process = begin(folder, out, arg, devices=2 - made % 2)
        started = time.monotonic()
        if rng.random() < 0.75:
            if under_way(process, out):
                time.sleep(rng.uniform(0, 1.2))
        else:
            time.sleep(rng.uniform(0, 6))
        if process.poll() is not None:
            return made, finish(process).splitlines()
        process.kill()
        process.communicate()
        made += 1
        now = {line["member"] for line in json_files.read_jsonl(out / run_files.MEMBERS)}
        assert finished <= now, f"members {finished - now} are lost"
        finished = now
        print(f"kill {made}, {time.monotonic() - started:.1f} s in: {len(now)} members finished")
    return made, finish(begin(folder, out, arg, devices=2 - made % 2)).splitlines()


def main() -> None:
    """Kill, resume and compare, as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_experiment(folder)
        for devices in (1, 2):
            finish(begin(folder, folder / f"whole-{devices}", "two", devices))
        whole, made, runs = left_by(folder / "whole-1"), 0, 0
        assert left_by(folder / "whole-2") == whole, "two devices give other bits than one"
        while made < options.kills:
            out = folder / f"killed-{runs}"
            took, said = killed(folder, out, options.kills - made, options.seed + runs, "two")
            made, runs = made + took, runs + 1
            assert left_by(out) == whole, f"run {runs} ended otherwise"
            skipped = sum("cannot be read" in line for line in said)
            print(f"run {runs}: {took} kills, ends as the undisturbed one", end="")
            print(f"; {skipped} checkpoints skipped" if skipped else "")
    print(f"{made} kills in {runs} runs of {len(whole)} members: nothing lost, nothing twice")


if __name__ == "__main__":
    main()
