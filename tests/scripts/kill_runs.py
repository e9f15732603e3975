"""Signals at random moments of three runs: none is swallowed, and resumed runs end the same.

    python tests/scripts/kill_runs.py --kills=100

One experiment trains two groups of members (kill.py), the second has members of its own that run
one by one, the third runs such members in two processes. Each is run undisturbed, then again and
again with Ctrl-C, SIGTERM, SIGHUP and kill -9 at any moment: while Python starts, while programs
are compiled, between groups, inside of members, while figures and the report are made. The same
command is given after each until the run is finished; then everything that it holds is compared. A
signal counts as swallowed if the process does not end by it although its report was not written
yet, or takes long, or shows a traceback.
"""

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnlab.core import json_files, run_files
from tests.scripts import kill

SOURCE = '''
"""Members that run one by one, log now and then, and leave garbage with finalizers."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from rnnlab.results.claims import Claim


class Garbage:
    """A cycle, so that the collector finds it, with a finalizer that takes a while."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0.001)


def get_config(arg=None):
    return ConfigDict({"seed": 0, "steps": 6}).lock()


def get_sweep(config):
    return {"seed": range(4)}


def run(config, key, log):
    @jax.jit
    def step(x):
        return jnp.tanh(x @ x) + config.seed

    x, times = jax.random.normal(key, (40, 40)), []
    for number in range(config.steps):
        start = time.perf_counter()
        while time.perf_counter() - start < 0.05:
            Garbage()
            times.append(number)
        x = step(x)
        if number % 3 == 0:
            log(number, norm=jnp.linalg.norm(x))
    return {"x": x[0], "seed_twice": 2 * config.seed}


def figures(table):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot(table.stack("x").T)
    return {"last": (figure, "The last rows.")}


def claims(table):
    def grows():
        return bool((np.diff(table.stack("seed_twice")) == 2).all()), "2 per seed"

    return [Claim("seeds count", "arithmetic", "by 2", "holds", grows, True)]
'''

GROUPS = """
PARALLEL = True


def group(config):
    return config.seed % 2
"""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
EXPERIMENTS = {"tiny": "two", "steps": "", "groups": ""}  # and their scale
SECONDS_TO_END = 120.0


def left(out: Path) -> dict[str, Any]:
    """Return what a finished run holds, without times.

    Raises:
        AssertionError: remains of checkpoints, or files that a killed process was writing.
    """
    remains = [path for path in out.rglob("*") if path.suffix == ".tmp"]
    assert not remains, remains
    assert not (out / run_files.CHECKPOINTS).exists()
    members, metrics = {}, {}
    for line in json_files.read_jsonl(out / run_files.MEMBERS):
        assert line["member"] not in members, line
        del line["seconds"], line["sha256"]  # the line's digest is of its time too
        line["result"].pop("ms_per_step", None)
        members[line["member"]] = line
    for record in json_files.read_jsonl(out / run_files.METRICS):
        metrics.setdefault(record["member"], []).append(record)
    params = {path.name: path.read_bytes() for path in (out / "params").glob("*")}
    claims = json.loads((out / run_files.CLAIMS).read_text())
    return {"members": members, "metrics": metrics, "params": params, "claims": claims}


def begin(folder: Path, name: str, out: Path, devices: int = 2) -> subprocess.Popen[str]:
    """Start the command of an experiment."""
    arg = EXPERIMENTS[name]
    command = [sys.executable, "-m", "rnnlab", "run", f"--workdir={out}"]
    return subprocess.Popen(
        [*command, f"--config=experiments/{name}.py{arg and ':' + arg}"],
        cwd=folder,
        env=kill.environment(folder, devices),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(out: Path) -> int:
    """Return the number of finished members of a run, which may not have begun."""
    return len(json_files.read_jsonl(out / run_files.MEMBERS))


def log_size(out: Path) -> int:
    """Return the bytes that members have logged."""
    path = out / run_files.METRICS
    return path.stat().st_size if path.exists() else 0


def moments(out: Path, members: int) -> dict[str, Callable[[], bool]]:
    """Return tests of how far a process has come, by the phase that begins there."""
    done, logged = finished(out), log_size(out)
    return {
        "start-up": lambda: True,
        "compiling": lambda: (out / run_files.CONFIG).is_file(),
        "a member": lambda: log_size(out) > logged,
        "between members": lambda: finished(out) > done,
        "report": lambda: finished(out) == members,
    }


def disturb(
    folder: Path, name: str, out: Path, rng: random.Random, seconds: float, members: int
) -> str:
    """Run the command and send it a signal; return the signal and what it met.

    Args:
        seconds: of an undisturbed run. members: of the run.
    Returns:
        "", if the run had finished before.
    Raises:
        AssertionError: the signal was swallowed, late, or not quiet.
    """
    sent = rng.choice(SIGNALS)
    met, reached = rng.choice(list(moments(out, members).items()))
    process = begin(folder, name, out, devices=rng.choice((1, 2)))
    while not reached() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, seconds / (4 if met == "start-up" else 20)))
    over = (out / run_files.REPORT).is_file()
    if process.poll() is not None:
        kill.finish(process)
        return ""
    process.send_signal(sent)
    start = time.monotonic()
    _, said = process.communicate(timeout=SECONDS_TO_END)
    took = time.monotonic() - start
    report = f"{sent.name} in {name}, {met}: status {process.returncode}, {took:.1f} s, {said}"
    if process.returncode == 0:
        assert over, f"swallowed: {report}"
        return ""
    assert process.returncode in (-sent, 128 + sent), report
    assert "Exception ignored" not in said, report
    if process.returncode == 128 + sent:
        assert "Traceback" not in said, report
        assert said.splitlines()[-1].startswith("rnnlab: interrupted; finished members"), report
    return f"{sent.name} {'after the' if over else 'in'} {met}"


def main() -> None:
    """Disturb, resume and compare, as often as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # a shell's background job is born with Ctrl-C ignored, and would hand that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng, made, runs = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        kill.write_experiment(folder)
        tiny = folder / "experiments/tiny.py"  # with fewer steps: most of the time is start-up
        tiny.write_text(
            kill.SOURCE.replace("steps=600", "steps=180").replace("(0, 300)", "(0, 90)")
        )
        (folder / "experiments/steps.py").write_text(SOURCE)
        (folder / "experiments/groups.py").write_text(SOURCE + GROUPS)
        whole, seconds = {}, {}
        for name in EXPERIMENTS:
            start, out = time.monotonic(), folder / name
            kill.finish(begin(folder, name, out))
            seconds[name] = time.monotonic() - start
            whole[name] = left(out)
            print(f"{name}: {seconds[name]:.1f} s undisturbed", flush=True)
        most = max(1, options.kills // len(EXPERIMENTS))  # so that few kills meet both, too
        for name in itertools.cycle(EXPERIMENTS):
            if made.total() >= options.kills:
                break
            out, runs, took = folder / f"run-{runs}", runs + 1, Counter[str]()
            while took.total() < min(most, options.kills - made.total()):
                members = len(whole[name]["members"])
                met = disturb(folder, name, out, rng, seconds[name], members)
                if not met:
                    break
                took[met] += 1
                print(f"  {met}", flush=True)
            kill.finish(begin(folder, name, out))
            assert left(out) == whole[name], f"run {runs} of {name} ended otherwise"
            made += took
            print(f"run {runs} of {name}: {dict(took)}; ends as the undisturbed one", flush=True)
    print(f"{made.total()} signals in {runs} runs, none swallowed, all runs equal to the bit")
    print(", ".join(f"{count} {met}" for met, count in sorted(made.items())))


if __name__ == "__main__":
    main()
