"""trainability: the grid, predictions, claims that can turn, figures of a tiny real run."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab import theory
from rnnlab.core import json_files, run_files
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.nn.initializers import parse
from rnnlab.results import claims
from rnnlab.results.table import Member, Table

PATH = Path(__file__).parents[2] / "experiments" / "learning" / "trainability.py"
LOADED = load_experiment(PATH)
MODULE = LOADED.module
CONFIG = LOADED.get_config()
MEMBERS = sweep.expand(CONFIG, LOADED.get_sweep(CONFIG))
CONFIGS = [sweep.apply(CONFIG, overrides) for overrides in MEMBERS]
PREDICTIONS = [MODULE.predict(config) for config in CONFIGS]


def table(spoil=lambda predicted, delay, seed: None, keep=lambda config: True):
    """Every member trains if and only if that was predicted, unless ``spoil`` says otherwise."""
    members = []
    for index, (overrides, config, prediction) in enumerate(
        zip(MEMBERS, CONFIGS, PREDICTIONS, strict=True)
    ):
        if keep(config):
            trained = spoil(prediction, config.task.delay, config.seed)
            trained = prediction["predicted"] if trained is None else trained
            result = prediction | {"error": 0.0 if trained else 0.75}
            members.append(Member(index, overrides, config.to_dict(), 0.0, result))
    return Table(members)


def verdicts(of):
    return [v.verdict for v in claims.decide(MODULE.claims(of))]


def test_the_grid_is_half_near_the_line_and_half_of_it_is_predicted_to_train():
    for loaded in (LOADED, load_experiment(PATH, "full")):
        config = loaded.get_config()
        members = [
            sweep.apply(config, o)
            for o in sweep.expand(config, loaded.get_sweep(config))
            if o["seed"] == 0
        ]
        predictions = [loaded.module.predict(c) for c in members]
        ratio = np.array(
            [
                c.task.delay / t["predicted_length"]
                for c, t in zip(members, predictions, strict=True)
            ]
        )
        assert np.mean((ratio >= 0.5) & (ratio <= 2)) == 0.5
        assert np.mean([t["predicted"] for t in predictions]) == 0.5
        assert np.mean([t["chaotic"] for t in predictions]) == 0.5


def test_predictions_against_the_mean_field_written_out():
    """χ = σ_w² E φ'(√q z)² at the fixed point of q, by iteration and Gauss–Hermite."""
    z, weight = np.polynomial.hermite_e.hermegauss(200)
    weight /= weight.sum()
    # noise .015 in each of 4 entries, read through N(0, 1): the variance of an entry of W_xh x_t
    v = 4 * 0.015**2
    for config, prediction in list(zip(CONFIGS, PREDICTIONS, strict=True))[:: 3 * 7]:
        sigma_w = float(config.init.w_h.removeprefix("orthogonal(gain=").removesuffix(")"))
        q = 1.0
        for _ in range(20_000):
            q = sigma_w**2 * weight @ np.tanh(np.sqrt(q) * z) ** 2 + v
        chi = sigma_w**2 * weight @ np.cosh(np.sqrt(q) * z) ** -4
        assert prediction["input_variance"] == pytest.approx(v)
        assert prediction["predicted_length"] == pytest.approx(6 / abs(np.log(chi)), rel=1e-3)
        assert prediction["predicted"] == (config.task.delay <= 6 / abs(np.log(chi)))
        assert prediction["chaotic"] == (chi > 1)


def test_the_input_moves_the_critical_point_and_the_line_with_it():
    assert MODULE.critical_sigma(CONFIG) == pytest.approx(1.087, abs=1e-3)
    quiet = sweep.apply(CONFIG, {"task.noise": 0.0})
    assert MODULE.critical_sigma(quiet) == 1.0
    # σ_w with the larger gain lies on the other side, at the same predicted length
    for chaotic in (False, True):
        sigma = MODULE.sigma_at(50.0, MODULE.critical_sigma(CONFIG), 9e-4, chaotic)
        assert theory.trainable_length(sigma, input_variance=9e-4) == pytest.approx(50.0)
        assert (sigma > MODULE.critical_sigma(CONFIG)) == chaotic
    assert {parse(c.init.w_h)[0] for c in CONFIGS} == {"orthogonal"}


# ---- claims ------------------------------------------------------------------------------------


def test_a_prediction_that_comes_true_holds():
    assert verdicts(table()) == ["holds"] * 5


def test_claims_turn_where_the_prediction_fails():
    def shift(prediction, delay, seed):  # one of the four near ratios on the wrong side, everywhere
        return delay <= prediction["predicted_length"] * 2**0.5

    assert verdicts(table(shift))[:3] == ["refuted"] * 3

    def chaos_never_trains(prediction, delay, seed):
        return False if prediction["chaotic"] else None

    hits, ordered, chaotic, critical, _ = verdicts(table(chaos_never_trains))
    assert (hits, ordered, chaotic, critical) == ("refuted", "holds", "refuted", "refuted")

    def without_input(prediction, delay, seed):
        return prediction["predicted_without_input"]

    assert verdicts(table(without_input))[4] == "refuted"


def test_balanced_accuracy_is_what_a_guess_of_the_majority_does_not_have():
    def most_train(prediction, delay, seed):  # all but the six cells farthest off in order
        return prediction["chaotic"] or delay < 3.9 * prediction["predicted_length"]

    cells = MODULE.Cells(table(most_train))
    trained = cells.trained
    assert cells.majority() == pytest.approx(trained.mean()) == pytest.approx(90 / 96)
    true_positive = np.mean([p for p, t in zip(cells.predicted, trained, strict=True) if t])
    true_negative = np.mean([not p for p, t in zip(cells.predicted, trained, strict=True) if not t])
    assert cells.balanced() == pytest.approx((true_positive + true_negative) / 2)
    assert cells.right.mean() == pytest.approx((48 + 6) / 96)
    ratio = [
        m.config["task"]["delay"] / m.result["predicted_length"]
        for m in table()[:: CONFIG.run.seeds]
    ]
    assert cells.near.tolist() == [0.5 <= r <= 2 for r in ratio]


def test_a_cell_is_the_median_over_its_seeds():
    def one_seed_fails(prediction, delay, seed):
        return False if seed == 0 else None

    def two_seeds_fail(prediction, delay, seed):
        return False if seed < 2 else None

    assert verdicts(table(one_seed_fails)) == ["holds"] * 5
    assert not MODULE.Cells(table(two_seeds_fail)).trained.any()


def test_undecided_on_a_narrowed_map_or_where_all_is_alike():
    narrowed = table(keep=lambda config: config.task.delay != 48)
    assert verdicts(narrowed) == ["undecided"] * 5
    assert verdicts(table(lambda *_: True))[0] == "undecided"


# ---- a run -------------------------------------------------------------------------------------


def test_tiny_run_predicts_first_and_draws(tmp_path):
    config = LOADED.get_config()
    with config.unlocked():
        config.cell.hidden_size = 4
        config.training.update(steps=4, eval_every=2, batch_size=2, eval_batch_size=4)
        config.grid.update(lengths=(6, 8), ratios=(-0.5, 0.5))
        config.run.seeds = 1
    results = rnnlab.run(PATH, config, workdir=tmp_path / "run", progress=False).table
    assert len(results) == 8
    file = tmp_path / "run" / run_files.PREDICTIONS
    assert file.stat().st_mtime_ns <= (tmp_path / "run" / run_files.MEMBERS).stat().st_mtime_ns
    assert [p["predicted"] for p in json_files.read_json(file)] == [
        member.config["task"]["delay"] <= member.result["predicted_length"] for member in results
    ]
    figure = MODULE.figures(results)["trainability"][0]
    scatter, cells = figure.axes[1], figure.axes[0].patches
    assert len(cells) == 8
    drawn = np.concatenate(
        [line.get_ydata() for line in scatter.lines if line.get_marker() in "os"]
    )
    assert sorted(drawn) == sorted(1 - results.each("error"))
