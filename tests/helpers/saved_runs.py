"""Run directories of small runs whose results are known: gradients, and training that diverges."""

from pathlib import Path

import numpy as np

from rnnlab.core import json_files, run_files
from rnnlab.core.nested import with_overrides

CELLS, SCHEMES = ("rnn", "gru"), ("orthogonal", "normal(std=0.01)", "he_normal")
RATES = (1e-3, 0.01, 0.1)
SEEDS, LAGS = (0, 1, 2), 60
CONFIG = {
    "cell": {"name": "rnn", "hidden_size": 8},
    "init": {"w_h": "orthogonal"},
    "task": {"length": LAGS, "lengths": (4, 16, 64)},
    "training": {"learning_rate": 0.01},
    "seed": 0,
}
HASH = "0123456789abcdef"
DIVERGED = {"cell.name": "gru", "training.learning_rate": 0.1, "seed": 2}


def save_run(run_dir: Path, saved, *, config=CONFIG, logged=None, finished=True, **info) -> Path:
    """Write a run of members given as (overrides, result); ``logged``: records by member."""
    (run_dir / "figures").mkdir(parents=True)
    base = {
        "experiment": "small",
        "file": "experiments/small.py",
        "arg": "",
        "description": "A small run.",
        "config": config,
        "sweep": {},
        "hash": HASH,
        "members": len(saved),
        "overrides": [overrides for overrides, _ in saved],
        "started": "2026-01-02T03:04:05+00:00",
        "environment": {"python": "3.11.7", "device": "cpu", "cores": 2, "rnnlab": "0", "jax": "0"},
    }
    run_files.write_config(run_dir, base | info)
    for index in range(len(saved)):
        save_member(run_dir, index, *saved[index], (logged or {}).get(index, ()))
    if finished:
        finish(run_dir)
    return run_dir


def save_member(run_dir: Path, index: int, overrides, result, records=()) -> None:
    """Append a member and what it logged."""
    chain = ""
    for record in records:
        line = json_files.to_line({"member": index, **record})
        json_files.append_lines(run_dir / "metrics.jsonl", line)
        chain = run_files.chained(chain, line)
    body = {"member": index, "overrides": overrides, "seconds": 1.5, "result": result}
    body |= {"logged": chain} if chain else {}
    line = json_files.to_line(run_files.sealed(body, HASH))
    json_files.append_lines(run_dir / "members.jsonl", line)


def finish(run_dir: Path) -> None:
    """Write what a finished run has besides its members."""
    json_files.write_json(run_dir / "figures.json", {})
    json_files.write_json(run_dir / "claims.json", [])
    (run_dir / run_files.RESULTS).write_text("cell.name,members\n")
    (run_dir / "report.html").write_text("an old page")
    run_files.write_digests(run_dir)


def gradient_members():
    """Curves over the lag, a spectrum, scalars, an array per member and words."""
    rng = np.random.default_rng(0)
    members = []
    for cell in CELLS:
        for scheme in SCHEMES:
            slope = rng.uniform(-3, 0.3)
            for seed in SEEDS:
                curve = slope * np.arange(LAGS) + rng.normal(0, 0.3, LAGS)
                result = {
                    "h": curve,
                    "log10_at_50": float(curve[50]),
                    "spectrum_10": np.sort(rng.normal(size=8))[::-1],
                    "by_length": rng.uniform(1, 9, 3),
                    "jacobians": rng.normal(size=(5, 3, 4)),
                    "weights": rng.normal(size=(3, 4)),
                    "verdict": "vanishes" if slope < -1 else "keeps",
                    "sha256": "ab" * 32,
                    "texts": ["not", "numbers"],
                }
                if (cell, scheme) == ("rnn", "he_normal"):
                    result["h"][40:] = -np.inf
                members.append(({"cell.name": cell, "init.w_h": scheme, "seed": seed}, result))
    return members


def training_members(steps=(10, 20, 30, 40)):
    """(members, logged) of a search for a rate, one of whose members diverges at step 25."""
    rng = np.random.default_rng(1)
    members, logged = [], {}
    for cell in CELLS:
        for rate in RATES:
            for seed in SEEDS:
                overrides = {"cell.name": cell, "training.learning_rate": rate, "seed": seed}
                losses = rng.uniform(0.05, 2.0, len(steps))
                records = [
                    {"step": step, "loss": float(loss), "grad_norm": float(rng.uniform(1, 2))}
                    for step, loss in zip(steps, losses, strict=True)
                ]
                result = {"status": "finished", "loss": float(losses[-1]), "diverged_at": np.inf}
                if overrides == DIVERGED:
                    records = [*records[:2], {"step": 25, "loss": np.nan, "grad_norm": np.inf}]
                    # its score is of the parameters before, and would be the best of all
                    result = {"status": "diverged", "loss": 0.001, "diverged_at": 25}
                logged[len(members)] = records
                members.append((overrides, result))
    return members, logged


METRICS = [{"name": "loss", "unit": "nats", "better": "lower", "infinite": "inf"}]


def training_run(run_dir: Path, **more) -> Path:
    """Write the run of :func:`training_members`."""
    members, logged = training_members()
    return save_run(run_dir, members, logged=logged, metrics=METRICS, **more)


def config_of(overrides) -> dict:
    """Return the config of a member."""
    return with_overrides(CONFIG, overrides)
