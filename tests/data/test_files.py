"""Lines and columns: as written, without the mark of UTF-8, by every reader of the library."""

import codecs
import json

import numpy as np
import pytest

from rnnlab.bert import pretraining
from rnnlab.core.notices import LeftOut
from rnnlab.data import files, hugging_face, series_files, tables
from rnnlab.embeddings import evaluation, word2vec_format
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.translation import Translation
from rnnlab.text import collections, corpora, entities
from rnnlab.text.vocabulary import Vocabulary

ODD = "a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h\ri"  # where str.splitlines cuts, and we do not


def write(folder, name, content):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


# ---- every reader ----

PAIRS = "a b\tx y\nb\tx\nc\ty\n"
# name of the file, its content, how it is read
READERS = {
    "text": ("a.txt", "ab\ncd\n", files.read_text),
    "lines": ("a.txt", "ab\ncd\n", files.read_lines),
    "stream of lines": (
        "a.txt",
        "ab\ncd\n",
        lambda path: [line for part in corpora.lines(path, 3) for line in part.to_pylist()],
    ),
    "characters": ("a.txt", "abba" * 20, lambda path: Characters(path, batch_size=2).alphabet),
    "windows of text": ("a.txt", "ab" * 20, lambda path: files.encoded(path)[0].tolist()),
    "paragraphs": ("a.txt", "a b\nc\n\nd\n", pretraining.documents),
    "CoNLL": ("a.conll", "Oslo B-LOC\nis O\n", entities.read_columns),
    "labeled lines": ("a.txt", "good\ta\nbad\tb\n", lambda path: corpora.read_labeled(path)[::2]),
    "labeled .csv": ("a.csv", "text,label\na,x\nb,y\n", lambda path: corpora.read_labeled(path)[0]),
    "labeled .jsonl": (
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n',
        lambda path: corpora.read_labeled(path)[0],
    ),
    "table of numbers": ("a.csv", "x,y\n1,2\n3,5\n", lambda path: tables.read_table(path).names),
    "column": ("a.csv", "1\n2\n", lambda path: tables.read_columns(path, []).values.tolist()),
    "rows of .csv": (
        "a.csv",
        "text,n\nab,1\n",
        lambda path: hugging_face.load_table(path, cache=path + ".cache").column_names,
    ),
    "rows of .jsonl": (
        "a.jsonl",
        '{"text": "ab"}\n',
        lambda path: hugging_face.load_table(path, cache=path + ".cache").to_dict(),
    ),
    "rows of .txt": (
        "a.txt",
        "ab\ncd\n",
        lambda path: hugging_face.load_text(path, cache=path + ".cache").to_dict(),
    ),
    "series": (
        "a.ts",
        "@classLabel true a b\n@data\n1,2:a\n",
        lambda path: series_files.read(path).classes,
    ),
    "pairs": ("a.tsv", PAIRS, lambda path: Translation(path=path).pairs()),
    "SMART": ("a.all", ".I 1\n.W\nab\n", collections.read_smart),
    "judgments": ("a.rel", "1 2 1\n", collections.read_judgments),
    "vocabulary": (
        "a.tsv",
        "# tokens\t5\na\t3\nb\t2\n",
        lambda path: (Vocabulary.load(path).words(), Vocabulary.load(path).total),
    ),
    "vectors": ("a.vec", "2 1\na 1\nb 2\n", lambda path: word2vec_format.read_text(path).words),
    "vectors without a header": (
        "a.txt",
        "a 1\nb 2\n",
        lambda path: word2vec_format.read_text(path, header=False).words,
    ),
    "similarities": ("a.tsv", "a\tb\t1\n", evaluation.pairs),
    "analogies": ("a.txt", ": x\na b c d\n", evaluation.questions),
}


@pytest.mark.parametrize("name", READERS)
def test_a_mark_at_the_beginning_is_no_part_of_what_is_read(name, tmp_path):
    file, content, read = READERS[name]
    plain = write(tmp_path, file, content)
    (tmp_path / "marked").mkdir()
    marked = write(tmp_path / "marked", file, codecs.BOM_UTF8 + content.encode())
    assert read(marked) == read(plain)


# of bytes, of Latin-1 too, or read by datasets
_OTHERS = ("rows of", "SMART", "judgments", "vectors")


@pytest.mark.parametrize("name", [name for name in READERS if not name.startswith(_OTHERS)])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_one_clear_line(name, encoding, tmp_path):
    file, content, read = READERS[name]
    path = write(tmp_path, file, content.encode(encoding))
    with pytest.raises(ValueError, match=r"is not UTF-8 (but UTF-(16|32): convert|text)") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert file in str(caught.value)


# ---- lines ----


def test_only_newlines_end_a_line(tmp_path):
    content = f"{ODD}\r\n\n last \n"
    path = write(tmp_path, "a.txt", content)
    expected = [ODD, "", " last "]
    assert files.read_lines(path) == expected
    assert [line for part in corpora.lines(path, 5) for line in part.to_pylist()] == expected
    assert files.read_text(path) == content.replace("\r\n", "\n")


def test_joined_files_keep_no_mark(tmp_path):
    path = write(tmp_path, "a.txt", (codecs.BOM_UTF8 + b"one\n") * 2 + "t\ufeffwo".encode())
    expected = ["one", "one", "t\ufeffwo"]
    assert files.read_lines(path) == expected
    for size in (1, 2, 5, 100):
        assert [line for part in corpora.lines(path, size) for line in part.to_pylist()] == expected


def test_latin_1_and_old_line_ends_are_named(tmp_path):
    latin = write(tmp_path, "a.txt", b"a\r\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 2, is not UTF-8 \(byte 0xe9\): if it is"):
        files.read_lines(latin)
    with pytest.raises(ValueError, match=r"ends its lines with \\r alone: convert"):
        files.read_lines(write(tmp_path, "b.txt", "a\rb\rc"))


# ---- columns ----


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", 'a,b\n"x, ""y""\nz",1\n\n,2\n', [["a", "b"], ['x, "y"\nz', "1"], ["", "2"]]),
        ("a.csv", "a; b\n1,5; 2\n", [["a", "b"], ["1,5", "2"]]),
        ("a.csv", "a|b\n1|2\n", [["a", "b"], ["1", "2"]]),
        ("a.csv", "0,1;0,2\n0,3;0,4\n", [["0,1", "0,2"], ["0,3", "0,4"]]),
        ("a.csv", 'a, b\n1, "2, 3"\n', [["a", "b"], ["1", "2, 3"]]),
        ("a.tsv", 'a\tb\n"x ""y""\t1\n"\t2\n"it\'s"\t3\n', None),
        ("a.csv", "\n\na\n1\n\n2\n\n", [["a"], ["1"], [""], ["2"]]),
    ],
)
def test_rows_as_written(tmp_path, name, content, expected):
    if name == "a.tsv":
        expected = [["a", "b"], ['"x ""y""', "1"], ['"', "2"], ["it's", "3"]]
    assert [row.cells for row in files.read_rows(write(tmp_path, name, content)).rows] == expected


def test_rows_know_their_lines(tmp_path):
    rows = files.read_rows(write(tmp_path, "a.csv", '\nt,n\n"a\nb",1\n\nc,2\n')).rows
    assert [row.line for row in rows] == [2, 3, 6]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "a,b\n1,2\n3\n", "line 3: 2 columns expected, as in line 1, got 1: '3'"),
        ("a.csv", "a,b\n1,2,3\n1,2\n3,4\n", "line 2: 2 columns expected, as in line 1, got 3"),
        ("a.csv", 'a,b\n1,2\n"3,4\n5,6\n', "line 3, is no row of a table: unexpected end of data"),
        ("a.csv", 'a,b\n"1"x,2\n', "line 2, is no row of a table: ',' expected after '\"'"),
        ("a.tsv", 'a\tb\n"x\ny"\t1\n', "line 2: 2 columns expected, as in line 1, got 1"),
        ("a.csv", "\n \n", "is empty"),
    ],
)
def test_ragged_rows_are_named_by_line(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        files.read_rows(write(tmp_path, name, content))


def test_long_cells_are_read(tmp_path):
    path = write(tmp_path, "a.csv", "a,b\n" + "x" * 200_000 + ",1\n")
    assert len(files.read_rows(path).rows[1].cells[0]) == 200_000


# ---- the text column of a table, through datasets ----


def test_texts_of_tables_are_as_written(tmp_path):
    path = write(tmp_path, "a.csv", "text,n\nNA,1\nnull,2\n007,3\n")
    text = hugging_face.load_text(path, cache=str(tmp_path / "c"))["text"][:]
    assert text == ["NA", "null", "007"]


# ---- numbers ----


def test_the_first_line_is_read_where_it_has_no_names(tmp_path):
    path = write(tmp_path, "a.csv", "2018-01-01,0.5\n2018-01-02,0.7\n")
    with pytest.warns(LeftOut) as said:
        read = tables.read_table(path)
    assert [str(warning.message) for warning in said] == [
        f"{path}: set aside 1, not of numbers; used: 2",
        f"{path}: line 1 has no names, so its columns are called 1, 2, …",
    ]
    assert read.names == ("2",)
    assert read.values.tolist() == [[0.5], [0.7]]


@pytest.mark.parametrize(
    ("content", "names", "values"),
    [
        ("t  x\n0  1.5\n1  2.5\n", ("t", "x"), [[0, 1.5], [1, 2.5]]),
        ("t;x\n0;-1,5\n1;2,5e1\n", ("t", "x"), [[0, -1.5], [1, 25]]),
        (",x\n0,4\n1,5\n2,7\n", ("x",), [[4], [5], [7]]),  # pandas numbers its rows
        ('a,b\n"1",x\n"2",y\n', ("a",), [[1], [2]]),
    ],
)
def test_tables_of_numbers(tmp_path, content, names, values):
    read = tables.read_table(write(tmp_path, "a.csv", content))
    assert read.names == names
    assert read.values.tolist() == values


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("d,n\n1.1.,x\n", "", "has no column of numbers, only d, n"),
        (
            "a,b\n1,2\n2,3\n",
            "",
            r"numbers \(a; b\), or several .* --config\.task\.column=a; got ''",
        ),
        ("a,b\n1,2\n,3\n", "", r"numbers \(a: empty in line 3, see task\.gaps; b\), or"),
        ("a,a\n1,2\n2,3\n", "a", "has several columns 'a': give them different names"),
        ("sales,b\n1,2\n2,3\n", "sale", r"of task\.column: 'sale'; did you mean 'sales'"),
        ("d,n\n1.1.,1\n2.1.,2\n", "d", r"line 2: a number expected in column 'd' .* '1\.1\.' \(c"),
        ("n\n1\n2\n3x\n", "n", "line 4: a finite number expected in column 'n', got '3x'"),
        ("n\n1\ninf\n", "n", "line 3: a finite number expected in column 'n', got 'inf'"),
        ('d,n\nx,"1,234"\ny,"1,5"\nz,1\nu,2\n', "n", "line 2: a finite number .* got '1,234'"),
        ("n\n1\n\n2\n", "n", "column 'n' is empty in line 3; set task.gaps"),
        ("n,m\n", "n", "has names of columns and no rows: n, m"),
    ],
)
def test_columns_that_are_no_series(tmp_path, content, column, message):
    with pytest.raises(ValueError, match=message):
        tables.read_columns(write(tmp_path, "a.csv", content), [column] if column else [])


def test_gaps_at_an_end_cannot_be_interpolated(tmp_path):
    path = write(tmp_path, "a.csv", "n,m\n1,1\n2,NA\n")
    with pytest.raises(ValueError, match=r"line 3: column 'm' is empty at an end .* \"drop\""):
        tables.read_columns(path, ["m"], "interpolate")
    with pytest.raises(ValueError, match="every row has an empty cell"):
        tables.read_table(write(tmp_path, "b.csv", "n,m\n1,\n,2\n"), "drop")


def test_scales_survive_squares_out_of_range():
    values = np.array([[1e200, 1e-200], [-1e200, -1e-200], [0, 0]])
    scale = tables.scale_of(values, ["big", "small"], "x")
    expected = np.sqrt(2 / 3) * np.array([1e200, 1e-200])
    np.testing.assert_allclose(scale.spread, expected, rtol=1e-12)


def test_json_readers_of_labels_name_the_line(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="line 2: the label is empty"):
        corpora.read_labeled(path)


def test_columns_of_one_name_are_both_read(tmp_path):
    path = write(tmp_path, "a.csv", "a,a\n1,2\n3,5\n")
    assert tables.read_table(path).values.tolist() == [[1, 2], [3, 5]]


@pytest.mark.parametrize(
    ("content", "width"), [("a\tb\tc\n1\t\t\n2\t3\t\n", 3), ("a\tb\t\n1\t2\t\n", 2)]
)
def test_empty_cells_at_the_end_of_a_row_of_tabs(tmp_path, content, width):
    rows = files.read_rows(write(tmp_path, "a.tsv", content)).rows
    expected = [(line.split("\t") + [""] * width)[:width] for line in content.splitlines()]
    assert [row.cells for row in rows] == expected


def test_a_row_of_tabs_that_is_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: 3 columns expected, as in line 1, got 2"):
        files.read_rows(write(tmp_path, "a.tsv", "a\tb\tc\n1\t2\n"))
