"""speed_long: it checks first what it times, and its bounds can be missed."""

from pathlib import Path

import pytest

import rnnlab
from rnnlab.lab import layer_passes, sweep
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_long.py"


def test_a_small_run_times_checks_and_draws(tmp_path, monkeypatch):
    benchmarks.in_process(monkeypatch)
    config = sweep.apply(load_experiment(FILE).get_config(), {"run.seconds": 1e-6})
    axes = {"cell.name": ("gru",), "cell.hidden_size": (3,), "task.length": (8, 20)}
    rnnlab.run(FILE, config, sweep=axes, workdir=tmp_path / "run", progress=False)
    run = rnnlab.load_run(tmp_path / "run")
    assert set(run.figures) == {"time_forward", "time_both", "memory"}
    for member in run.table:
        r = member.result
        assert r["newton_both_mib"] > 0
        for name in ("forward", "both"):
            assert r["ms"][name].keys() == {"scan", "fused", "newton"}
            for engine, ms in r["ms"][name].items():
                assert len(ms) == 5
                assert min(ms) > 0
                assert 0 <= r[f"{engine}_{name}_difference"] < 1e-5
    assert [c.verdict for c in run.claims] == ["holds", *["undecided"] * 3]


def test_an_engine_that_is_off_is_not_timed(monkeypatch):
    benchmarks.in_process(monkeypatch)
    module = load_experiment(FILE).module
    real = layer_passes.unroll

    def off(*args, engine, **options):
        ys, state = real(*args, engine=engine, **options)
        return ys * (1.0001 if engine == "newton" else 1), state

    monkeypatch.setattr(layer_passes, "unroll", off)
    config = sweep.apply(module.get_config(), {"task.length": 5, "cell.hidden_size": 2})
    with pytest.raises(AssertionError, match=r"newton, forward: off by 1\.0e-04 from scan"):
        module.run(config, None, None)


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)

    def of(platform="cpu", difference=1e-6, newton=0.5, fused=1.5, small=2.0):
        def describe(index, flat):
            del index
            ratio = small if flat["cell.hidden_size"] == 4 else newton
            if flat["task.length"] < 10_000:
                ratio = 0.1  # short ones do not count
            return benchmarks.result(
                {
                    "forward": {"scan": 3.0, "newton": 1.0, "fused": 1.0},
                    "both": {"scan": 1.0, "newton": 1 / ratio, "fused": 1 / fused},
                },
                platform=platform,
                newton_forward_difference=0.0,
                newton_both_difference=difference,
            )

        return loaded.module.claims(untrained.measured(loaded, describe))

    def verdicts(**changes):
        return [v.verdict == "holds" for v in claims.decide(of(**changes))]

    assert verdicts() == [True, True, False, True]
    assert verdicts(small=0.9, newton=1.1, fused=0.9) == [True, False, True, False]
    assert verdicts(difference=2e-5)[0] is False
    assert [c.expected for c in of()] == ["holds", "refuted", "refuted", "holds"]
    assert [c.expected for c in of(platform="gpu")] == ["holds"] * 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cell.name": "rnn-relu"}, "unknown cell.name"),
        ({"task.length": 0}, "task.length must be a whole number of at least 1"),
        ({"run.rounds": 2}, "run.rounds must be a whole number of at least 5"),
    ],
)
def test_refusals(changes, words):
    loaded = load_experiment(FILE)
    with pytest.raises(ValueError, match=words):
        loaded.module.check(sweep.apply(loaded.get_config(), changes))
