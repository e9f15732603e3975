"""Tasks that read tables through ``datasets``: the same data as from a plain file."""

import numpy as np
import pytest

from rnnlab.data.hugging_face import load_columns
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def write(tmp_path):
    """Write columns as a Parquet file; its path."""
    import pyarrow.parquet as pq

    def write(**columns):
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return str(path)

    return write


def test_a_series_from_a_table_is_the_one_from_a_csv(write, tmp_path):
    series = np.random.default_rng(0).normal(size=60).round(6)
    csv = tmp_path / "series.csv"
    csv.write_text("day,value\n" + "\n".join(f"d{i},{x}" for i, x in enumerate(series)))
    path = write(day=[f"d{i}" for i in range(60)], value=series)
    from_csv = Forecasting(path=str(csv), column="value", window=5).load()
    from_table = Forecasting(path=path, column="value", window=5).load()
    np.testing.assert_array_equal(from_csv.train, from_table.train)
    np.testing.assert_array_equal(from_csv.test, from_table.test)
    np.testing.assert_array_equal(load_columns(path, ["value"]).values[:, 0], series)


def test_a_text_from_a_table_is_its_rows_joined(write, tmp_path):
    rows = ["to be", "or not", "to be, that is the question"]
    plain = tmp_path / "plain.txt"
    plain.write_text("\n".join(rows))
    path = write(text=rows)
    one, other = (Characters(str(p), batch_size=1, test_share=0.3) for p in (plain, path))
    assert one.alphabet == other.alphabet
    np.testing.assert_array_equal(one.load().train, other.load().train)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("b", [1.0, 2.0], r"unknown column of task\.column: 'b'.*allowed: a"),
        ("a", ["x", "y"], "column 'a' is not all numbers"),
        ("a", [1.0, None], "column 'a' is empty in row 1; set task.gaps"),
        ("", [1.0, float("inf")], "column 'a' must be finite, row 1 is inf"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(write, column, values, message):
    with pytest.raises(ValueError, match=message):
        load_columns(write(a=values), [column] if column else [])


def test_the_one_column_of_numbers_is_taken_and_its_gaps_are_the_user_s_choice(write):
    path = write(day=["a", "b", "c", "d"], value=[1.0, None, 3.0, 7.0])
    assert load_columns(path, [], gaps="drop").values[:, 0].tolist() == [1, 3, 7]
    assert load_columns(path, [], gaps="interpolate").values[:, 0].tolist() == [1, 2, 3, 7]
    with pytest.raises(ValueError, match=r"must name one of its columns of numbers \(a; b\), or"):
        load_columns(write(a=[1, 2], b=[3, 4]), [])
    both = load_columns(write(a=[1.0, 2.0], b=[3.0, 4.0]), ["b", "a"])
    assert (both.names, both.values.tolist()) == (("b", "a"), [[3, 1], [4, 2]])
