"""The shipped experiments: real runs with few seeds, and narrowed ones."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import cli
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from tests.helpers import untrained

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").rglob("*.py"))


def _args(path):
    return ("", "full") if re.search(r"""["':]full\b""", path.read_text()) else ("",)


# less text to learn the pieces of words from and to cut into them, which is nearly all the time
SMALLER = {
    ("bert_pretraining", ""): {"task.limit": 1200},
    ("bert_pretraining", "full"): {"task.limit": 1500},
    ("bert_finetuning", "full"): {
        "task.source": "rotten_tomatoes",
        "training.eval_batch_size": 500,
    },
    ("bert_tagging", ""): {"task.limit": 2000},
    ("bert_tagging", "full"): {"task.limit": 3000},
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_member_of_every_experiment_is_valid(path):
    for arg in _args(path):
        loaded = load_experiment(path, arg)
        config = sweep.apply(loaded.get_config(), SMALLER.get((path.stem, arg), {}))
        planned = make_plan(loaded, config)
        assert planned.members
        assert planned.seconds


# as few seeds as decide every claim, and as small as all comes out as it does by default
@pytest.mark.parametrize(
    ("name", "smaller"),
    [
        ("gradient_vanishing", {"run.seeds": 2, "task.batch_size": 4, "cell.hidden_size": 32}),
        ("init_gradients", {"run.seeds": 1}),
    ],
    ids=["gradient_vanishing", "init_gradients"],
)
def test_a_run_of_few_seeds_decides_every_claim_as_expected(name, smaller, tmp_path, capsys):
    config = ROOT / "experiments" / "gradients" / f"{name}.py"
    flags = [f"--config={config}", f"--workdir={tmp_path}/run"]
    flags += [f"--config.{key}={value}" for key, value in smaller.items()]
    status = cli.main(["run", *flags, "--strict"])
    printed = capsys.readouterr().out
    assert status == 0, printed
    verdicts = json.loads((tmp_path / "run" / "claims.json").read_text())
    assert len(verdicts) >= 12
    assert all(v["verdict"] in ("holds", "refuted") for v in verdicts), "every claim is decided"
    assert all(v["verdict"] == "holds" for v in verdicts if v["closed_form"])
    assert "none unexpected" in printed
    page = (tmp_path / "run" / "report.html").read_text()
    run = rnnlab.load_run(tmp_path / "run")
    assert page.count('<img src="data:image/') == len(run.figures) >= 2


def test_a_narrowed_sweep_leaves_claims_undecided_and_still_reports(tmp_path):
    table = rnnlab.run(
        ROOT / "experiments" / "gradients" / "gradient_vanishing.py",
        sweep={"cell.name": ("gru",), "seed": (0,)},
        workdir=tmp_path / "run",
        progress=False,
    ).table
    assert len(table) == 1
    verdicts = {c.verdict for c in rnnlab.load_run(tmp_path / "run").claims}
    assert verdicts == {"undecided"}
    assert (tmp_path / "run" / "report.html").is_file()


def test_claims_can_come_out_the_other_way():
    """Spoil one result each, and the claim that rests on it turns."""
    loaded = load_experiment(ROOT / "experiments" / "gradients" / "init_gradients.py")

    def describe(index, flat):
        return {
            "spectral_radius": 0.5,  # orthogonal: must be 1
            "largest_singular_value": 0.9,
            "sigma_w": 1.0,
            "lyapunov_log10": -0.1,
            "slope_log10": 0.5,  # not the exponent
            "log10_at_100": float(index % 7) * 40 - 100,
            "worst_log10_at_100": 0.0,  # above 100·log10 0.9
            "overflowed": 0,
            "verdict": "vanishes",
        }

    table = untrained.measured(loaded, describe)
    verdicts = {c.statement: c.check()[0] for c in loaded.module.claims(table)}
    assert not verdicts["The top Lyapunov exponent is the slope of the gradient"]
    assert not any(v for s, v in verdicts.items() if "spectral radius" in s or "σ_max" in s)
    assert not verdicts["Zero or small random biases do not matter"]


def test_a_gradient_is_named_by_its_decades_at_lag_100():
    module = load_experiment(ROOT / "experiments" / "gradients" / "init_gradients.py").module
    words = [module.verdict(d, o) for d, o in ((-3.0, False), (0.0, False), (3.0, False))]
    assert words == ["vanishes", "keeps", "explodes"]
    assert module.verdict(0.0, True) == "explodes"
    assert module.verdict(-np.inf, False) == "vanishes"


def test_other_libraries_are_timed_without_jax():
    """The file of a benchmark is executed by every side's process, PyTorch's too."""
    names = [f"speed_{name}" for name in ("recurrent", "sweep", "bert", "embeddings", "sparse")]
    code = (
        "import sys; from rnnlab.lab.load import load_experiment; "
        f"print([name for name in {names} if load_experiment(name) and 'jax' in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
