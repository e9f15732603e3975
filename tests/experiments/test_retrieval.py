"""retrieval: rankings of a small collection, and every claim can turn."""

from pathlib import Path

import numpy as np
import pytest

import rnnlab
from rnnlab.core.errors import UserError
from rnnlab.core.nested import with_overrides
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.results.table import Member, Table

FILE = Path(__file__).parents[2] / "experiments" / "text_features" / "retrieval.py"
SMALL = {"task.documents": 300, "task.queries": 30}


def small(**changes):
    return sweep.apply(load_experiment(FILE).get_config(), SMALL | changes)


def narrowed(module):
    """One of each kind of member."""
    names = ("known_items", "lee")
    return {"task.collection": names, "ranker.name": (*module.RANKERS, "formula")}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("retrieval") / "run"
    wanted = narrowed(load_experiment(FILE).module)
    rnnlab.run(FILE, small(), sweep=wanted, workdir=workdir, progress=False)
    return rnnlab.load_run(workdir)


def test_a_small_run_ranks_and_draws(ran):
    assert set(ran.figures) == {"rankers", "formula"}  # the grid is not whole
    assert all(path.stat().st_size > 10_000 for path, _ in ran.figures.values())
    verdicts = [c.verdict for c in ran.claims]
    assert "undecided" not in verdicts
    assert all(c.verdict == "holds" for c in ran.claims if c.closed_form)
    for name, queries in (("known_items", 30), ("lee", 48)):
        chosen = ran.table.select({"task.collection": name, "ranker.name": "lucene"})
        result = chosen[0].result
        assert result["queries"] == len(result["ndcg_by_query"]) == queries
        assert result["ndcg"] == pytest.approx(np.mean(result["ndcg_by_query"]), abs=1e-5)
        assert 0 < result["average_precision"] <= 1


def test_variants_of_one_ranking_rank_alike(ran):
    """BM25+ at δ, and ATIRE, differ from Lucene's by their idf; floored equals the notes' not."""
    found = ran.table.select({"task.collection": "known_items"}).group_by("ranker.name")
    by_name = {name: t.stack("ndcg")[0] for name, t in found.items() if name != "formula"}
    assert by_name["lucene"] > by_name["tf-idf cosine"] > by_name["tf-idf"]


def test_the_grid_is_drawn_where_it_is_whole(ran):
    loaded = load_experiment(FILE)
    members = []
    for index, overrides in enumerate(sweep.expand(small(), loaded.get_sweep(small()))):
        nested = with_overrides(small().to_dict(), overrides)
        result = (
            loaded.module.formula()
            if nested["ranker"]["name"] == "formula"
            else {
                "ndcg": 0.5 + 0.01 * (index % 7),
                "documents": 3,
                "queries": 4,
                "average_precision": 0.5,
                "recall": 0.5,
                "ndcg_by_query": [0.5, 0.6, 0.4, 0.5],
            }
        )
        members.append(Member(index, overrides, nested, 0.0, result))
    assert "grid" in loaded.module.figures(Table(members))


def test_claims_can_come_out_the_other_way():
    loaded = load_experiment(FILE)
    config, measured = small(), loaded.module.formula()
    overridden = [
        (overrides, with_overrides(config.to_dict(), overrides))
        for overrides in sweep.expand(config, loaded.get_sweep(config))
    ]

    def verdicts(bm25=0.8, tfidf=0.5, usual=0.8, spoil=None):
        formula = measured | (spoil(measured) if spoil else {})
        members = []
        for index, (overrides, nested) in enumerate(overridden):
            own = nested["ranker"]
            at_default = (own["k1"], own["b"]) == (1.5, 0.75)
            value = tfidf if own["name"] in loaded.module.TFIDF else bm25
            result = (
                formula
                if own["name"] == "formula"
                else {
                    "ndcg": usual if at_default else 0.82,
                    "ndcg_by_query": value + np.array([0.0, 0.1, -0.1, 0.0]),
                }
            )
            members.append(Member(index, overrides, nested, 0.0, result))
        claims = loaded.module.claims(Table(members))
        return "".join("+-"[not claim.check()[0]] for claim in claims)

    assert verdicts() == "++++++++++"
    assert verdicts(tfidf=0.8) == "----++++++"
    assert verdicts(usual=0.7) == "++++--++++"
    assert verdicts(spoil=lambda f: {"by_tf": [f["tf"]] * 8}) == "++++++-+++"
    assert verdicts(spoil=lambda f: {"by_length": [f["lengths"]] * 5}) == "+++++++-++"
    assert verdicts(spoil=lambda f: {"idf": np.full(101, np.inf)}) == "++++++++--"


def test_a_collection_from_a_path(tmp_path):
    (tmp_path / "cran.all.1400").write_text(
        "".join(
            f".I {i}\n.W\n{text}\n"
            for i, text in enumerate(["red cat", "blue dog", "green bird and cat", ""], start=1)
        )
    )
    (tmp_path / "cran.qry").write_text(".I 5\n.W\ncat red\n.I 9\n.W\ndog\n")
    (tmp_path / "cranqrel").write_text("1 1 1\n1 3 4\n2 2 2\n")
    config = small(**{"task.path": str(tmp_path)})
    loaded = load_experiment(FILE)
    assert loaded.get_sweep(config)[0]["task.collection"] == ("smart",)
    config = sweep.apply(config, {"task.collection": "smart", "ranker.name": "lucene"})
    result = loaded.module.run(config, None, None)
    assert result["ndcg"] == 1
    assert result["documents"] == 4
    config = sweep.apply(config, {"task.best_grade": 4})
    assert loaded.module.run(config, None, None)["ndcg"] < 1  # now document 3 is the better one


def test_titles_are_searched_in_a_collection_from_a_path(tmp_path):
    for name, content in {
        "CISI.ALL": ".I 1\n.T\nred cat\n.W\na b\n.I 2\n.T\nblue dog\n.W\na b\n.I 3\n.W\na\n",
        "CISI.QRY": ".I 1\n.W\ndog\n.I 2\n.W\nred\n",
        "CISI.REL": " 1  2\t0\t0.000000\n 2  1\t0\t0.000000\n",
    }.items():
        (tmp_path / name).write_text(content)
    loaded = load_experiment(FILE)
    changes = {"task.path": str(tmp_path), "task.collection": "smart", "ranker.name": "lucene"}
    for best_grade in (1, 4):
        config = sweep.apply(small(**changes), {"task.best_grade": best_grade})
        result = loaded.module.run(config, None, None)
        assert (result["documents"], result["queries"]) == (3, 2)
        assert result["average_precision"] == result["ndcg"] == 1


def test_bad_configs_are_refused():
    for changes, words in (
        ({"ranker.name": "bm26"}, "did you mean"),
        ({"task.collection": "lea"}, "did you mean 'lee'"),
        ({"ranker.b": 2.0}, r"b must lie in \[0, 1\]"),
        ({"task.best_grade": 2}, "must be 1 or 4"),
        ({"task.path": "/no/such/folder"}, "no folder"),
    ):
        with pytest.raises(ValueError, match=words):
            load_experiment(FILE).module.check(small(**changes))
    with pytest.raises(UserError, match="unknown scale 'fully'; did you mean 'full'"):
        make_plan(load_experiment(FILE, "fully"))
