"""Shared by the tests of comparisons: an experiment whose scores are those of a formula."""

SOURCE = '''
"""Scores of a formula, in no time."""

import math

from ml_collections import ConfigDict

import rnnlab
from rnnlab.core.metrics import Metric
from rnnlab.results.comparison_claims import as_good, better

ran = []  # (arm, rate, seed) of every member that ran
hook = lambda config: None
BEST = {"good": 0.01, "same": 0.01, "poor": 0.1, "wide": 0.01}  # the rate at which each is best
FLOOR = {"good": 1.0, "same": 1.0, "poor": 2.0, "wide": 1.0}


def get_config(arg=None):
    return ConfigDict(
        {
            "seed": 0,
            "arm": "good",
            "training": {"learning_rate": 0.001},
            "run": {"seconds_per_member": 1.0, "seconds_per_group": 0.0},
        }
    ).lock()


def noise(seed, arm):
    return math.sin(12.9898 * seed + len(arm)) * (0.8 if arm == "wide" else 0.004)


def run(config, key, log):
    ran.append((config.arm, config.training.learning_rate, config.seed))
    hook(config)
    decades = math.log10(config.training.learning_rate / BEST[config.arm])
    score = FLOOR[config.arm] + decades**2 + noise(config.seed, config.arm)
    log(0, score=score)
    # the test score is another number than the validation score, which chooses the rate
    return {"score": score, "validation_score": score + 0.5}


def get_metrics(config):
    return [Metric("score", better="lower")]


def comparison(config):
    return rnnlab.Comparison(
        arms={name: {"arm": name} for name in ("good", "same", "poor")},
        tune={"training.learning_rate": (0.001, 0.003, 0.01)},
        equivalent=0.05,
        tuning_seeds=2,
        seeds=(4, 8),
        question="On a formula",
        name="formula",
    )


def claims(table, comparisons):
    same = {"comparisons": comparisons, "name": "formula", "source": "the formula"}
    return [
        better("Good beats poor", arms=("good", "poor"), **same),
        better("Good beats same", arms=("good", "same"), expected="refuted", **same),
        as_good("Same is as good", arms=("same", "good"), **same),
    ]
'''
