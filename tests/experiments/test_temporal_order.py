"""temporal_order: claims that can turn, success rates against a loop, figures of a tiny run."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.nested import flatten
from rnnlab.lab.load import load_experiment
from rnnlab.results.table import Table
from tests.helpers import untrained

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "temporal_order.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
# the longest length that each initialization solves with each method, as Fig. 7 has them in order
LONGEST = {
    ("sigmoid", "SGD"): 0,
    ("sigmoid", "clip"): 0,
    ("sigmoid", "clip + Ω"): 10,
    ("basic tanh", "SGD"): 10,
    ("basic tanh", "clip"): 20,
    ("basic tanh", "clip + Ω"): 50,
    ("smart tanh", "SGD"): 20,
    ("smart tanh", "clip"): 30,
    ("smart tanh", "clip + Ω"): 50,
}


def kind(flat):
    """(initialization, method) of a member."""
    inits = {"linear": MODULE.LINEAR} | MODULE.INITS
    (init,) = (n for n, v in inits.items() if v == tuple(flat[k] for k in MODULE.INIT_KEYS))
    values = tuple(flat[key] for key in MODULE.METHOD_KEYS)
    (method,) = (n for n, v in MODULE.METHODS.items() if v == values)
    return init, method


def describe(longest=LONGEST, linear=("diverged", "solved"), left=(0.7, 0.01)):
    """Results of members that solve what ``longest`` says; (SGD, clip) of the linear ones."""

    def of(flat):
        init, method = kind(flat)
        if init == "linear":
            place, high = method != "SGD", flat["training.learning_rate"] >= 0.1
            return {"status": linear[place] if high else "finished", "error": left[place]}
        solved = flat["task.length"] <= longest[init, method]
        return {"status": "solved" if solved else "finished", "error": 0.0 if solved else 0.7}

    return of


def verdicts(**options):
    return untrained.verdicts(LOADED, untrained.table(LOADED, describe(**options), seeds=2))


def test_each_claim_holds_of_members_as_they_are_claimed_to_be():
    found = verdicts()
    assert len(found) == 7
    assert set(found.values()) == {"holds"}


SPOILT = {
    "Plain SGD fails": {"longest": {k: LONGEST[k[0], "SGD"] for k in LONGEST}},
    "at least as long as with clipping alone": {
        "longest": LONGEST | {("smart tanh", "clip + Ω"): 20}
    },
    "Clipping alone raises": {"longest": LONGEST | {(k, "clip"): 0 for k in MODULE.INITS}},
    "smart tanh initialization solves more": {
        "longest": {
            k: LONGEST["smart tanh" if k[0] == "basic tanh" else k[0], k[1]] for k in LONGEST
        }
    },
    "sigmoid RNN is the worst": {"longest": LONGEST | {("sigmoid", m): 50 for m in MODULE.METHODS}},
    "keeps a linear RNN from diverging": {"linear": ("diverged", "diverged")},
    "no mere brake": {"left": (0.7, 0.6)},
}


@pytest.mark.parametrize("words", SPOILT)
def test_a_claim_turns_when_its_members_do(words):
    assert untrained.turned(verdicts(), verdicts(**SPOILT[words]), words) == ("holds", "refuted")


def test_divergence_that_clipping_does_not_cause_is_no_credit_to_it():
    calm = verdicts(linear=("finished", "solved"))
    assert untrained.turned(calm, calm, "keeps a linear RNN")[0] == "refuted"


def test_without_plain_sgd_its_claims_are_undecided():
    whole = untrained.table(LOADED, describe(), seeds=2)
    clipped = Table(m for m in whole if kind(flatten(m.config))[1] != "SGD")
    found = untrained.verdicts(LOADED, clipped)
    assert {v for s, v in found.items() if "SGD" in s or "diverg" in s} == {"undecided"}
    assert "holds" in found.values()


def test_the_success_rate_is_that_of_a_loop():
    rng = np.random.default_rng(2)
    status = iter(rng.choice(["solved", "finished", "diverged"], size=500))
    drawn = untrained.table(LOADED, lambda flat: {"status": str(next(status)), "error": 0.5})
    figure, _ = MODULE.figures(drawn)["success"]
    for name, ax in zip(MODULE.INITS, figure.axes, strict=True):
        for line, method in zip(ax.lines, MODULE.METHODS, strict=True):
            counts: dict[int, list[bool]] = {}
            for member in drawn:
                flat = flatten(member.config)
                if kind(flat) == (name, method):
                    counts.setdefault(flat["task.length"], []).append(
                        member.result["status"] == "solved"
                    )
            assert list(line.get_xdata()) == sorted(counts)
            rates = [sum(counts[x]) / len(counts[x]) for x in sorted(counts)]
            assert np.allclose(np.asarray(line.get_ydata(), float), rates, atol=0.02)


def test_figures_of_a_tiny_run(tmp_path):
    config = LOADED.get_config()
    with config.unlocked():
        config.cell.hidden_size = 16  # the sparse kernel has 15 nonzeros a unit
        config.training.update(steps=20, eval_every=10, eval_batch_size=50)
    fig7, linear = LOADED.get_sweep(config)
    # the sigmoid would be two more programs to compile
    inits = tuple(init for name, init in MODULE.INITS.items() if name != "sigmoid")
    fig7 |= {"task.length": (10,), "seed": (0,), MODULE.INIT_KEYS: inits}
    linear |= {"training.steps": (50,), "training.learning_rate": (0.1, 10.0), "seed": (0,)}
    made = rnnlab.run(
        LOADED, config, sweep=[fig7, linear], workdir=tmp_path / "run", progress=False
    ).table
    assert {m.result["status"] for m in made} >= {"finished", "diverged"}
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"success", "learning", "clipping"}
    assert all(path.stat().st_size > 20_000 for path, _ in run.figures.values())
    assert len(run.claims) == 7


def test_a_sweep_without_the_linear_rnn_has_no_figure_of_it():
    whole = untrained.table(LOADED, describe(), seeds=1)
    fig7 = Table(m for m in whole if kind(flatten(m.config))[0] != "linear")
    assert set(MODULE.figures(fig7)) == {"success", "learning"}


def test_full_is_the_scale_of_the_paper():
    config = load_experiment(PATH, "full").get_config()
    own = config.training
    assert (own.steps, own.learning_rate, own.batch_size) == (5_000_000, 0.01, 20)
    assert own.eval_batch_size == 10_000
    assert max(config.run.lengths) == 250
    assert config.run.seeds == 5
    assert config.task.solved_at == 0.01
    assert config.run.seconds_per_member > 3600
    with pytest.raises(ValueError, match="unknown scale"):
        LOADED.module.get_config("small")
