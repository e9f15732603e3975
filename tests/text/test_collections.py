"""Readers of test collections, on files written here, and what packages bring along."""

import importlib.util

import numpy as np
import pytest

from rnnlab.text import collections

DOCUMENTS = """.I 7
.T
wings
.A
smith,j.
.W
wings in a slipstream .
 they lift .
.I 9
.T
.W
"""
QUERIES = """.I 001
.W
what lifts
.I 004
.W
what is hot
"""
JUDGMENTS = "1 7 1\n1 9 -1\n\n2 9 4\n"


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, content in (("all", DOCUMENTS), ("qry", QUERIES), ("rel", JUDGMENTS)):
        paths.append(tmp_path / name)
        paths[-1].write_text(content)
    return paths


def test_smart_files_are_read(files):
    ids, texts = collections.read_smart(files[0])
    assert ids == [7, 9]
    assert texts == ["wings\nwings in a slipstream .\n they lift .", ""]
    assert collections.read_smart(files[0], "A")[1] == ["smith,j.", ""]


def test_judgments_of_three_and_of_four_columns(files, tmp_path):
    assert collections.read_judgments(files[2]) == [(1, 7, 1), (1, 9, -1), (2, 9, 4)]
    trec = tmp_path / "trec"
    trec.write_text("1 0 7 1\n1 0 9 -1\n2 0 9 4\n")
    assert collections.read_judgments(trec) == collections.read_judgments(files[2])


def test_a_collection_maps_queries_by_position(files):
    found = collections.smart_collection(*files, gains={1: 4.0, 4: 1.0, -1: 0.0})
    assert found.queries == ["what lifts", "what is hot"]
    assert found.judgments == [{0: 4.0, 1: 0.0}, {1: 1.0}]
    files[2].write_text("4 9 1\n")
    by_id = collections.smart_collection(*files, by_position=False)
    assert by_id.judgments == [{}, {1: 1.0}]
    with pytest.raises(ValueError, match="judges query 4, which does not exist"):
        collections.smart_collection(*files)


def test_cranfield_s_grades_are_turned_round(files, tmp_path):
    for path, name in zip(files, ("cran.all.1400", "cran.qry", "cranqrel"), strict=True):
        path.rename(tmp_path / name)
    found = collections.cranfield(tmp_path)
    assert found.documents == ["wings in a slipstream .\n they lift .", ""]
    assert found.judgments == [{0: 4.0, 1: 0.0}, {1: 1.0}]
    (tmp_path / "cran.qry").unlink()
    with pytest.raises(FileNotFoundError, match=r"cran\.qry"):
        collections.cranfield(tmp_path)


def test_other_files_are_refused_by_line(files):
    for content, words in (
        ("hello\n", "line 1: SMART begins with .I"),
        (".I x\n", "line 1: expected an id"),
        ("", "not a SMART file"),
    ):
        files[0].write_text(content)
        with pytest.raises(ValueError, match=words):
            collections.read_smart(files[0])
    for content, words in (
        ("1 2 3\n1 2\n", "line 2: expected whole numbers 'query 0 document grade'"),
        ("1 a 3\n", "line 1"),
        ("\n", "holds no judgment"),
    ):
        files[2].write_text(content)
        with pytest.raises(ValueError, match=words):
            collections.read_judgments(files[2])
    files[0].write_text(DOCUMENTS)
    files[2].write_text("1 8 1\n")
    with pytest.raises(ValueError, match="judges document 8"):
        collections.smart_collection(*files)
    files[2].write_text("1 7 3\n")
    with pytest.raises(ValueError, match="grade 3 of query 1 has no gain"):
        collections.smart_collection(*files, gains={1: 1.0})


def test_latin_1_is_read(files):
    files[0].write_bytes(".I 1\n.W\nthéorie\n".encode("latin-1"))
    assert collections.read_smart(files[0])[1] == ["théorie"]


def test_lee_is_judged_by_people(monkeypatch):
    found = collections.lee(least=0.0)
    assert len(found.documents) == len(found.queries) == len(found.judgments) == 50
    assert all(i not in gains for i, gains in enumerate(found.judgments))
    table = np.array([[gains.get(j, 1.0) for j in range(50)] for gains in found.judgments])
    np.testing.assert_array_equal(table, table.T)
    assert table.min() >= 0.2
    assert found.judgments[0][32] == 0.96  # of the first line, the 33rd document
    fewer = collections.lee()
    assert {g for gains in fewer.judgments for g in gains.values()} <= set(np.unique(table))
    assert min(g for gains in fewer.judgments for g in gains.values()) >= 0.5
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="gensim"):
        collections.lee()


def test_known_items_are_words_of_their_review():
    found = collections.known_items(documents=300, queries=40, words=5, seed=1)
    assert len(found.documents) == 300
    assert len(set(found.documents)) == 300
    for query, gains in zip(found.queries, found.judgments, strict=True):
        ((place, gain),) = gains.items()
        assert gain == 1
        assert len(query.split()) == 5
        assert all(word in found.documents[place].lower() for word in query.split())
    assert found == collections.known_items(documents=300, queries=40, words=5, seed=1)
    with pytest.raises(ValueError, match="queries must be a whole number from 1 to"):
        collections.known_items(documents=10, queries=11)
    with pytest.raises(ValueError, match="documents must be a whole number from 1 to"):
        collections.known_items(documents=0)
