"""Labeled series from tables: a row each, or a step per row; against the rows themselves."""

import gzip

import numpy as np
import pytest

from rnnlab.core.notices import LeftOut
from rnnlab.data import series_files
from rnnlab.data.series_tables import read_labeled
from rnnlab.data.tables import read_cells
from rnnlab.tasks.series_classes import SeriesClasses

RNG = np.random.default_rng(0)
ROWS = [(("up", "down")[i % 2], RNG.normal(size=3 + i % 3).round(3)) for i in range(12)]


def write(folder, content, name="a.csv"):
    (folder / name).write_text(content)
    return str(folder / name)


def wide(delimiter=",", comma=".", label="label", lead=""):
    lines = [delimiter.join([lead + label, *(f"t{k}" for k in range(5))])]
    for name, values in ROWS:
        cells = [str(value).replace(".", comma) for value in values]
        lines.append(delimiter.join([name, *cells, *[""] * (5 - len(cells))]))
    return "\n".join(lines) + "\n"


def long():
    """Two channels: the values, and their squares; with a column of times."""
    lines = ["step,who,kind,x,y"]
    for n, (name, values) in enumerate(ROWS):
        lines += [f"{t},s{n},{name},{x},{(x * x).round(6)}" for t, x in enumerate(values)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (wide(), {}),
        (wide(";", ","), {}),
        (wide("\t", label="Class"), {}),
        (wide(label="kind"), {}),
        (wide(label="kind"), {"label": "kind"}),
        (wide(lead="\ufeff"), {}),
        ("\n".join(wide().splitlines()[1:]), {"label": "1"}),
    ],
    ids=["commas", "decimal commas", "tabs", "the only words", "named", "a mark", "no names"],
)
def test_a_series_per_row(tmp_path, content, options):
    read = read_labeled(write(tmp_path, content), **options)
    assert read.classes == ("down", "up")
    assert [read.classes[k] for k in read.labels] == [name for name, _ in ROWS]
    for found, (_, values) in zip(read.series, ROWS, strict=True):
        assert found[:, 0].tolist() == values.tolist()


PLAIN = ["up,0.5,0.7,0.9", "down,0.4,0.1,", "up,1.5,1.7,1.9"]


@pytest.mark.parametrize("lead", ["label,1,2,3", "label,0,1,2", "kind,0,1,2", "Class,7,5,3"])
def test_names_may_be_numbers(tmp_path, lead):
    """The module's own example, what pandas writes, and a usual name beside other numbers."""
    read = read_labeled(write(tmp_path, "\n".join([lead, *PLAIN])))
    assert read.classes == ("down", "up")
    assert [series[:, 0].tolist() for series in read.series] == [
        [0.5, 0.7, 0.9],
        [0.4, 0.1],
        [1.5, 1.7, 1.9],
    ]


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
def test_names_that_are_numbers_beside_numbers_of_rows(tmp_path):
    rows = [f"{i},0.5,0.{i},0.7,{'ab'[i % 2]}" for i in range(4)]
    read = read_labeled(write(tmp_path, "\n".join([",0,1,2,label", *rows])))
    assert read.classes == ("a", "b")
    assert read.series[3][:, 0].tolist() == [0.5, 0.3, 0.7]


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
@pytest.mark.parametrize("lead", ["down,1,2,3", "up,0,1,2", "left,3,2,1", "left,1,2,4", "x,0.5,2,"])
def test_a_table_without_names_loses_no_row(tmp_path, lead):
    cells = read_cells(write(tmp_path, "\n".join([lead, *PLAIN])))
    assert not cells.named
    assert len(cells.rows) == 4


def test_a_class_called_like_a_column_is_no_name(tmp_path):
    cells = read_cells(write(tmp_path, "day,0.5,0.7\nnight,0.1,0.2\nday,0.6,0.7\n"))
    assert not cells.named


def test_classes_may_be_numbers(tmp_path):
    read = read_labeled(write(tmp_path, "class,a\n1,0.5\n2,0.6\nx,0.7\n1,0.8\n"))
    assert (read.classes, read.labels.tolist()) == (("1", "2", "x"), [0, 1, 2, 0])


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
def test_a_step_per_row(tmp_path):
    path = write(tmp_path, long())
    read = read_labeled(path, label="kind", series="who")
    assert [read.classes[k] for k in read.labels] == [name for name, _ in ROWS]
    for found, (_, values) in zip(read.series, ROWS, strict=True):
        np.testing.assert_allclose(found, np.stack([values, values**2], axis=1), atol=1e-6)
    usual = read_labeled(write(tmp_path, long().replace("who", "id").replace("kind", "label")))
    assert [one.tolist() for one in usual.series] == [one.tolist() for one in read.series]


def test_what_is_set_aside_is_said(tmp_path):
    with pytest.warns(LeftOut, match=r"set aside step; values are of x, y"):
        read_labeled(write(tmp_path, long()), label="kind", series="who")
    numbered = "\n".join(
        f"{k},{line}" for k, line in zip(["id", *range(12)], wide().splitlines(), strict=True)
    )
    with pytest.warns(LeftOut, match=r"set aside id; values are of t0, t1, t2, t3, t4"):
        read = read_labeled(write(tmp_path, numbered))
    assert read.series[0][:, 0].tolist() == ROWS[0][1].tolist()


def test_compressed_files(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(wide().encode()))
    assert len(read_labeled(path).series) == 12
    series = "@classLabel true a b\n@data\n1,2:a\n3:b\n"
    packed = tmp_path / "a.ts.gz"
    packed.write_bytes(gzip.compress(series.encode()))
    assert read_labeled(packed).series[0].tolist() == series_files.read(packed).series[0].tolist()
    packed.write_bytes(gzip.compress(series.encode())[:-9])
    with pytest.raises(ValueError, match=r"a\.ts\.gz cannot be unpacked"):
        read_labeled(packed)


def test_gaps(tmp_path):
    path = write(tmp_path, "label,a,b,c\nx,1,,4\ny,2,3,\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 2: column 'values' is empty in column 3"):
        read_labeled(path)
    with pytest.warns(LeftOut, match="interpolated"):
        read = read_labeled(path, gaps="interpolate")
    assert [one[:, 0].tolist() for one in read.series] == [[1, 2.5, 4], [2, 3]]
    with pytest.warns(LeftOut, match="left out 1 of 3 rows"):
        assert read_labeled(path, gaps="drop").series[0][:, 0].tolist() == [1, 4]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("label,a\nx,1\nx,2\n", {}, "at least 2 classes expected in column 'label', got x"),
        ("label,a\nx,1\n,2\n", {}, r"line 3: the class is empty \(column 'label'\)"),
        ("label,a,b\nx,1,2\ny,,\n", {}, "line 3: a series without a value"),
        ("k,a\n1,1\n2,2\n", {}, "task.label_column must name the column of classes, one of k, a"),
        (
            "label,a\nx,1\ny,2\n",
            {"label": "lable"},
            "of task.label_column: 'lable'; did you mean 'label'",
        ),
        ("label,a\nx,1\ny,2\n", {"series": "b"}, "unknown column of task.series_column: 'b'"),
        (
            "label,a\nx,1\ny,2\n",
            {"series": "label"},
            "task.series_column and task.label_column are the same",
        ),
        ("label,w\nx,u\ny,v\n", {}, "has no column of numbers beside"),
        ("label,a\nx,1\ny,2\ny,3z\n", {}, "line 4: a finite number expected in column 'a'"),
        ("id,label,a\n1,x,1\n1,y,2\n2,y,3\n", {}, "line 3: class 'y' of series '1', which is 'x'"),
        ("id,label,a\n1,x,1\n1,,2\n2,y,3\n", {}, "line 3: column 'label' is empty"),
        ("label,a,a\nx,1,2\ny,3,4\n", {}, "has several columns 'a': give them different names"),
        ("label,a\n", {}, "has names of columns and no rows"),
        ("", {}, "is empty"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, content, options, message):
    with pytest.raises(ValueError, match=message):
        read_labeled(write(tmp_path, content), **options)


def test_a_ts_file_has_no_columns(tmp_path):
    path = write(tmp_path, "@classLabel true a b\n@data\n1,2:a\n3:b\n", "a.ts")
    with pytest.raises(ValueError, match=r"a \.ts file has no task\.label_column, got 'y'"):
        read_labeled(path, label="y")


def test_the_task_reads_tables_with_its_own_test_and_validation_files(tmp_path):
    path = write(tmp_path, wide())
    lines = wide().splitlines()
    test = write(tmp_path, "\n".join(lines[:4]), "b.csv")
    validation = write(tmp_path, "\n".join([lines[0], *lines[3:7]]), "c.csv")
    task = SeriesClasses(path=path, test_path=test, validation_path=validation)
    with pytest.warns(LeftOut) as said:
        data = task.load()
    assert [str(warning.message) for warning in said] == [
        f"{path}: left out 3 of 12 series, which are held out in {test}",
        f"{validation}: left out 1 of 4 series, which are held out in {test}",
        f"{path}: left out 3 of 9 series, which are held out in {validation}",
    ]
    assert (len(data.train), len(data.test), len(data.validation)) == (6, 3, 3)
    values = np.concatenate([values for _, values in ROWS[6:]])
    expected = (ROWS[4][1] - values.mean()) / values.std()
    np.testing.assert_allclose(data.validation[1, : len(expected), 0], expected, atol=1e-6)
    assert data.validation_labels.tolist() == [0, 1, 0]
    with pytest.raises(
        ValueError, match=r"no series are left, all of them are held out in .*b\.cs"
    ):
        SeriesClasses(path=test, test_path=write(tmp_path, wide(), "b.csv")).load()
    again = SeriesClasses(
        path=path, validation_path=write(tmp_path, wide(), "d.csv"), test_share=0.5
    )
    with pytest.raises(
        ValueError, match=r"a\.csv: no series are left, all of them are held out in"
    ):
        again.load()
