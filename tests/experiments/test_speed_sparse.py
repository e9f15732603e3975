"""speed_sparse: all sides do the same, and the bounds can be missed."""

import io
from pathlib import Path

import pytest
import scipy.sparse as sp

from rnnlab.core.errors import UserError
from rnnlab.lab import sweep
from rnnlab.lab.benchmark import Timed
from rnnlab.lab.load import load_experiment
from rnnlab.results import claims
from tests.helpers import benchmarks, untrained

FILE = Path(__file__).parents[2] / "experiments" / "benchmarks" / "speed_sparse.py"


def small(**changes):
    settings = {"task.documents": 300, "run.seconds": 1e-6} | changes
    return sweep.apply(load_experiment(FILE).get_config(), settings)


@pytest.fixture(scope="module")
def module():
    return load_experiment(FILE).module


@pytest.fixture(scope="module")
def texts(module, tmp_path_factory):
    """The sentences of every test, cut once: reading the reviews takes longer than the rest."""
    folder = tmp_path_factory.mktemp("sparse")
    module.prepare(small(), folder)
    return (folder / "sentences.json").read_text(encoding="utf-8")


@pytest.fixture
def prepared(module, texts, monkeypatch):
    def prepare(config, folder):
        (folder / "sentences.json").write_text(texts, encoding="utf-8")

    monkeypatch.setattr(module, "prepare", prepare)
    benchmarks.in_process(monkeypatch, module)


@pytest.mark.usefixtures("prepared")
def test_all_sides_of_every_contest_do_the_same(module):
    for name, contest in module.CONTESTS.items():
        result = module.run(small(**{"task.contest": name}), None, lambda **record: None)
        assert result["ms"]["call"].keys() == {"rnnlab", *contest.theirs}
        assert max(result["difference"]["call"].values()) <= contest.same
        assert result["others_cpu"] is None or result["others_cpu"] >= 0


@pytest.mark.usefixtures("prepared")
def test_other_outputs_are_seen(module, monkeypatch):
    one = sp.csr_array([[1.0, 0.0], [0.0, 2.0]])
    for other, words in (
        (one * (1 + 1e-9), r"off those of rnnlab by 1\.0e-09"),
        (sp.csr_array([[1.0, 1.0], [0.0, 2.0]]), "of shape"),
    ):
        wrong = module.Contest(
            lambda config, texts: Timed(lambda: one, outputs=module.matrix),
            {
                "nobody": lambda config, texts, other=other: Timed(
                    lambda: other, outputs=module.matrix
                )
            },
            (),
        )
        monkeypatch.setitem(module.CONTESTS, "bag of words", wrong)
        with pytest.raises(UserError, match=words):
            module.run(small(), None, None)


def table_of(loaded, factor):
    def describe(index, flat):
        del index
        contest = loaded.module.CONTESTS[flat["task.contest"]]
        slowest = dict.fromkeys(contest.theirs, 1e4)
        fastest = {list(contest.theirs)[-1]: 10 * factor * (contest.bound or 1)}
        times = slowest | fastest | {"rnnlab": 10.0}
        return benchmarks.result({"call": times}, difference={"call": dict.fromkeys(times, 0.0)})

    return untrained.measured(loaded, describe)


@pytest.mark.parametrize(("factor", "verdict"), [(1.01, "holds"), (0.99, "refuted")])
def test_claims_can_come_out_the_other_way(factor, verdict):
    loaded = load_experiment(FILE)
    decided = claims.decide(loaded.module.claims(table_of(loaded, factor)))
    assert [v.verdict for v in decided] == [verdict] * 5


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_figure_is_drawn_whatever_the_times(factor):
    loaded = load_experiment(FILE)
    (figure, _) = loaded.module.figures(table_of(loaded, factor))["speed"]
    figure.savefig(io.BytesIO(), dpi=50)  # a layout that fails would warn


def test_bad_configs_are_refused():
    for change, message in (
        ({"task.contest": "bag of word"}, "did you mean 'bag of words'"),
        ({"task.documents": 0}, "task.documents must be a whole number of at least 1, got 0"),
        ({"run.rounds": 0}, "run.rounds must be a whole number of at least 5, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            load_experiment(FILE).module.check(small(**change))
