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


LAYOUTS = {  # a file of judgments: what it says
    # as the collections are distributed
    "Cranfield": ("1 28 2 \n1 35 -1 \n2 29 1 \n", [(1, 28, 2), (1, 35, -1), (2, 29, 1)]),
    "CISI": (
        "     1     28\t0\t0.000000\n     1     35\t0\t0.000000\n     2     29\t0\t0.000000\n",
        [(1, 28, 1), (1, 35, 1), (2, 29, 1)],
    ),
    "CACM": (
        "01 1410  0 0\n01 1572  0 0\n02 2434  0 0\n",
        [(1, 1410, 1), (1, 1572, 1), (2, 2434, 1)],
    ),
    "MED": ("1 0 28 1\n2 0 29 1\n", [(1, 28, 1), (2, 29, 1)]),
    "TREC": ("1 Q0 28 2\n2 Q0 29 0\n", [(1, 28, 2), (2, 29, 0)]),
    "TREC, nothing relevant": ("1 0 28 0\n", [(1, 28, 0)]),
    # and near them
    "pairs": ("1 28\n2 29\n", [(1, 28, 1), (2, 29, 1)]),
    "three columns of 0": ("1 28 0\n2 29 0.0\n", [(1, 28, 1), (2, 29, 1)]),
    "TREC without grades": ("1 0 28\n2 0 29\n", [(1, 28, 1), (2, 29, 1)]),
    "grades in the third column": ("1 28 2 0.0\n2 29 0 0.0\n", [(1, 28, 2), (2, 29, 0)]),
    "grades in the fourth column": ("1 28 0 1.000\n2 29 0 3.000\n", [(1, 28, 1), (2, 29, 3)]),
    "CRLF, blanks, a mark and comments": (
        "\ufeff# of 1983\r\n\r\n1 28 2\r\n \r\n2 29 1\r\n\r\n",
        [(1, 28, 2), (2, 29, 1)],
    ),
    "a header": ("query\titer\tdocument\trelevance\n1\t0\t28\t2\n", [(1, 28, 2)]),
    "commas": ("qid,docid,grade\n1,28,2\n", [(1, 28, 2)]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_judgments_in_every_layout(layout, tmp_path):
    content, judgments = LAYOUTS[layout]
    file = tmp_path / "judgments"
    file.write_bytes(content.encode())
    assert collections.read_judgments(file) == judgments


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1 28 2\n1 35\n", "line 2: expected whole numbers"),
        ("1 28 2\nquery document grade\n", "line 2: expected whole numbers"),
        ("1 28 0.5\n", "line 1: expected whole numbers"),
        ("1 28 nan\n", "line 1: expected whole numbers"),
        ("1 28 0 0 0\n", "line 1: expected whole numbers"),
        ("1 28 2 3\n2 29 1 1\n", "both columns after the document hold numbers"),
        ("query document grade\n", "holds no judgment"),
    ],
)
def test_other_judgments_are_refused(content, words, tmp_path):
    file = tmp_path / "judgments"
    file.write_text(content)
    with pytest.raises(ValueError, match=words):
        collections.read_judgments(file)


CISI = """.I 1
.T
18 Editions of the Dewey
.A
Comaromi, J.P.
.W
   The present study is a history
of the first 18.
.X
1	5	1
.I 2
.T
Use made of libraries
.A
Jones
.W
A report.
.X
2	5	2
"""
CACM = """.I 1
.T
Preliminary Report
.B
CACM December, 1958
.A
Perlis, A. J.
.K
algol
.C
1.1
.N
CA581203 JB March 22, 1978  8:28 PM
.X
100	5	1
.I 2
.T Extraction of Roots
.W
Words of it
.NET is no field, nor is .T
"""


def test_titles_are_in_by_default(tmp_path):
    """The collections as they are: every field, some of them alone, text on the field's line."""
    (tmp_path / "CISI.ALL").write_bytes(CISI.replace("\n", "\r\n").encode())
    (tmp_path / "CISI.QRY").write_text(
        ".I 1\n.W\nWhat about Dewey?\n.I 2\n.T\nlibraries\n.W\nuse\n"
    )
    (tmp_path / "CISI.REL").write_text("     1      1\t0\t0.000000\n     2      2\t0\t0.000000\n")
    (tmp_path / "CISI.BLN").write_text("#q1= #and ('dewey');\n")
    found = collections.smart(tmp_path)
    assert found.documents == [
        "18 Editions of the Dewey\n   The present study is a history\nof the first 18.",
        "Use made of libraries\nA report.",
    ]
    assert found.queries == ["What about Dewey?", "libraries\nuse"]
    assert found.judgments == [{0: 1.0}, {1: 1.0}]
    everything = collections.read_smart(tmp_path / "CISI.ALL", "TAWX")[1][1]
    assert everything == "Use made of libraries\nJones\nA report.\n2\t5\t2"

    folder = tmp_path / "cacm"
    folder.mkdir()
    (folder / "cacm.all").write_text(CACM)
    (folder / "query.text").write_text(".I 1\n.W\n roots\n.N\n 1. Someone\n")
    (folder / "qrels.text").write_text("01 2  0 0\n")
    found = collections.smart(folder)
    assert found.documents == [
        "Preliminary Report",
        "Extraction of Roots\nWords of it\n.NET is no field, nor is .T",
    ]
    assert found.queries == [" roots"]
    assert found.judgments == [{1: 1.0}]
    assert collections.read_smart(folder / "cacm.all", "KCBN")[1][0].split("\n") == [
        "CACM December, 1958",
        "algol",
        "1.1",
        "CA581203 JB March 22, 1978  8:28 PM",
    ]


def test_a_title_that_the_words_repeat_is_there_once(tmp_path):
    """Cranfield's: as before, the words alone, except where a document has none."""
    entry = ".I {n}\n.T\nwing {n}\n.W\nwing {n} .\nin a slipstream\n"
    documents = "".join(entry.format(n=n) for n in range(1, 20))
    documents += ".I 20\n.T\nsphere, oseens\n.W\nsphere, oseen's .\n.I 21\n.T\nalone\n.W\n"
    paths = [tmp_path / name for name in ("a", "q", "j")]
    for path, content in zip(paths, (documents, ".I 1\n.W\nwing\n", "1 1 1\n"), strict=True):
        path.write_text(content)
    texts = collections.smart_collection(*paths).documents
    assert texts[0] == "wing 1 .\nin a slipstream"
    assert texts[19:] == ["sphere, oseen's .", "alone"]
    assert (
        collections.smart_collection(*paths, fields="TW").documents[0].startswith("wing 1\nwing 1")
    )


def test_a_folder_without_or_with_several_of_a_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        collections.smart(tmp_path / "none")
    with pytest.raises(
        FileNotFoundError, match=r"one file of documents expected, .*CISI\.ALL, got none"
    ):
        collections.smart(tmp_path)
    for name in ("MED.ALL", "MED.QRY", "MED.REL", "old.rel"):
        (tmp_path / name).write_text("")
    with pytest.raises(
        FileNotFoundError, match=r"one file of judgments .*several: MED\.REL, old\.rel"
    ):
        collections.smart(tmp_path)


@pytest.mark.parametrize(
    ("content", "fields", "words"),
    [
        (".I 1\n.W\na\n.I 1\n.W\nb\n", "TW", "line 4: id 1 occurs again, it is that of line 1"),
        (".I 1\nlost\n.W\na\n", "TW", "line 2: a field such as .W expected after .I, got 'lost'"),
        (".I 1\n.W\na\n", "tw", "field of a SMART file 't'"),
        (".I 1\n.W\na\n", "", "unknown field of a SMART file"),
        (".I 1\n.W\na\n", "T", "has no field of 'T', it has 'W'"),
    ],
)
def test_nothing_of_a_smart_file_is_lost_in_silence(content, fields, words, tmp_path):
    file = tmp_path / "all"
    file.write_text(content)
    with pytest.raises(ValueError, match=words):
        collections.read_smart(file, fields)


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


def test_numbers_of_the_made_collections_are_in_range():
    """NaN judged every document irrelevant; no words made empty queries."""
    with pytest.raises(ValueError, match="least must be a finite number, got nan"):
        collections.lee(float("nan"))
    for words in (0, -1, 2.5):
        with pytest.raises(ValueError, match="words must be a whole number of at least 1"):
            collections.known_items(words=words)


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
