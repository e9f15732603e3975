"""Forecasting of tables: several columns, sizes that follow from the data, units, validation."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import tasks
from rnnlab.core.metrics import Metric
from rnnlab.core.notices import LeftOut
from rnnlab.tasks.base import metrics_of
from rnnlab.tasks.forecasting import Forecasting

KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
TABLE = np.stack(
    [RNG.normal(20, 5, 120).cumsum(), RNG.normal(size=120), RNG.normal(0, 99, 120)], axis=1
).round(3)
NAMES = ("sales", "temp", "other")


def write(folder, values=TABLE, names=NAMES, name="a.csv", delimiter=",", comma="."):
    rows = [delimiter.join(("day", *names))]
    for day, row in enumerate(values):
        cells = [str(cell).replace(".", comma) for cell in row]
        rows.append(delimiter.join([f"day {day}", *cells]))
    (folder / name).write_text("\n".join(rows) + "\n")
    return str(folder / name)


def quiet(task):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOut)
        return task, task.load()


def split(values):
    """Training, validation and test part: the last fifth, and a tenth of what comes before."""
    end = len(values) - round(0.2 * len(values))
    return values[: end - round(0.1 * end)], values[end - round(0.1 * end) : end], values[end:]


@pytest.mark.parametrize(
    ("column", "inputs", "places"),
    [
        ("temp", "", [1]),
        ("temp, sales", "", [1, 0]),
        ("sales", "temp,sales,other", [1, 0, 2]),
        ("sales,temp", "other", [2]),
    ],
)
@pytest.mark.parametrize("horizon", [1, 3])
def test_several_columns(tmp_path, column, inputs, places, horizon):
    """Windows of the file, standardized by hand; targets are those of the file's later rows."""
    asked = [NAMES.index(name.strip()) for name in column.split(",")]
    task = Forecasting(
        path=write(tmp_path), column=column, inputs=inputs, window=4, horizon=horizon
    )
    data = task.load()
    train, validation, _ = split(TABLE)
    z = (TABLE - train.mean(axis=0)) / train.std(axis=0)
    assert (task.input_size, task.output_size) == (len(places), len(asked))
    n, m = len(train), len(train) + len(validation)
    for batch, first, end in (
        (task.batch(data, KEY, 2, 9), 0, n),
        (task.validation(data, KEY, 9), n, m),
        (task.test(data, KEY, 9), m, len(TABLE)),
    ):
        for xs, ys in zip(np.asarray(batch.inputs), np.asarray(batch.targets), strict=True):
            (t,) = [
                t
                for t in range(first, end - 3 - horizon)
                if np.allclose(z[t : t + 4, places], xs, atol=1e-4)
            ]
            np.testing.assert_allclose(ys, z[t + horizon : t + horizon + 4, asked], atol=1e-4)
            assert t + horizon + 4 <= end
    assert task.validation_size(data) == len(validation) - 4 - horizon + 1
    now = np.concatenate([np.ones((n - horizon, 1)), z[: n - horizon, places]], axis=1)
    ahead = z[horizon:n, asked]
    fit = np.linalg.pinv(now) @ ahead
    assert task.baseline(data) == pytest.approx(((ahead - now @ fit) ** 2).mean(), rel=1e-4)
    assert task.persistence(data) == pytest.approx(
        ((ahead - z[: n - horizon, asked]) ** 2).mean(), rel=1e-4
    )


def test_errors_are_in_the_units_of_the_data(tmp_path):
    path, train = write(tmp_path), split(TABLE)[0]
    for column in ("temp", "sales,temp"):
        task = Forecasting(path=path, column=column, window=4)
        batch = task.test(task.load(), KEY, 20)
        outputs = batch.targets + jax.random.normal(KEY, batch.targets.shape)
        places = [NAMES.index(name) for name in task.columns]
        error = np.asarray(outputs - batch.targets, np.float64)
        found = jax.jit(task.score)(outputs, batch)
        assert found["nrmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
        assert found["loss"] == pytest.approx((error**2).mean(), rel=1e-5)
        units = np.sqrt((error**2).mean(axis=(0, 1))) * train.std(axis=0)[places]
        names = [f"rmse_{name}" for name in task.columns] if len(places) > 1 else ["rmse"]
        assert [float(found[name]) for name in names] == pytest.approx(units.tolist(), rel=1e-5)
        assert set(found) == {"loss", "nrmse", *names}


def test_texts_of_several_columns(tmp_path):
    path, train = write(tmp_path), split(TABLE)[0]
    task = Forecasting(path=path, column="sales,temp", window=4)
    task.load()
    assert task.feeds_back
    assert not Forecasting(path=path, column="sales", inputs="temp", window=4).feeds_back
    tokens = task.tokens("1.5,2 3,-4; 5,6\n7,8")
    assert tokens == ["1.5,2", "3,-4", "5,6", "7,8"]
    expected = np.array([[1.5, 2], [3, -4], [5, 6], [7, 8]])
    z = (expected - train.mean(axis=0)[:2]) / train.std(axis=0)[:2]
    np.testing.assert_allclose(task.encode(tokens), z, rtol=1e-5)
    assert task.decode(z) == " 1.5,2 3,-4 5,6 7,8"
    said = task.label(jnp.asarray(z[1], jnp.float32))
    np.testing.assert_allclose([float(cell) for cell in said.split(",")], [3, -4], rtol=1e-4)
    with pytest.raises(ValueError, match=r"a step is made of 2 numbers, sales,temp; got '3'"):
        task.encode(["3"])
    with pytest.raises(ValueError, match=r"made of finite numbers, got '3,inf'"):
        task.encode(["3,inf"])
    restored = tasks.by_name("forecasting", path="gone.csv", column="a", window=4)
    record = {**task.stored(), "level": task.level.tolist(), "scale": task.scale.tolist()}
    again = restored.restored(record)
    assert again.encode(tokens).tolist() == task.encode(tokens).tolist()
    assert (again.input_size, again.output_size, again.columns) == (2, 2, ("sales", "temp"))


@pytest.mark.parametrize(
    ("rows", "horizon", "window", "sizes"),
    [
        (50, 1, 5, (34, 6, 10)),
        (200, 1, 20, (139, 21, 40)),
        (200, 20, 10, (130, 30, 40)),
        (2000, 1, 50, (1440, 160, 400)),
    ],
)
def test_sizes_follow_from_the_data(tmp_path, rows, horizon, window, sizes):
    path = write(tmp_path, RNG.normal(size=(rows, 1)).round(4), ("x",))
    task, data = quiet(Forecasting(path=path, horizon=horizon))
    assert task.length == window
    assert tuple(map(len, data)) == sizes
    batch = task.batch(data, KEY, 0, 32)
    assert len(batch.mask) == min(32, sizes[0] - window - horizon + 1)


def test_the_chosen_window_is_said(tmp_path):
    path = write(tmp_path, RNG.normal(size=(50, 1)).round(4), ("x",))
    with pytest.warns(LeftOut) as said:
        Forecasting(path=path).load()
    assert [str(warning.message) for warning in said] == [
        f"{path}: set aside day, not of numbers; used: x",
        f"{path} has 50 values: task.window=5 (at most 50), 34 to learn from, 6 for validation, "
        "10 held out",
    ]


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "date"}, "unknown column of task.column: 'date'"),
        ({"column": "tmp"}, "unknown column of task.column: 'tmp'; did you mean 'temp'"),
        ({"column": "temp,temp"}, "task.column names a column twice: temp, temp"),
        ({"column": "temp", "inputs": "sale"}, "task.inputs: 'sale'; did you mean 'sales'"),
        ({"column": "day"}, r"line 2: a number expected in column 'day' .* got 'day 0'"),
        ({}, r"numbers \(sales; temp; other\), or several .* --config\.task\.column=sales"),
    ],
)
def test_columns_that_cannot_be(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        Forecasting(path=write(tmp_path), **options).load()


@pytest.mark.filterwarnings("ignore::rnnlab.core.notices.LeftOut")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.csv is empty"),
        ("date,x\n", "has names of columns and no rows: date, x"),
        ("x\na\nb\nc\n", "has no column of numbers, only x"),
        ("date,x\n" + "".join(f"d{i},\n" for i in range(30)), "has no column of numbers, only d"),
        ("x\n" + "".join(f"{i}\n" for i in range(12)), "has 12 values, too few to forecast 1 step"),
        ("x\n" + "5\n" * 60, "column 'x' does not vary in its first 41 values, the training part"),
    ],
    ids=["empty", "header", "words", "missing", "short", "constant"],
)
def test_files_that_cannot_be(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        Forecasting(path=str(tmp_path / "a.csv")).load()


def test_a_constant_input_is_zero(tmp_path):
    values = TABLE.copy()
    values[:, 1] = 4.25
    with pytest.warns(LeftOut, match=r"set to 0, since it does not vary: 'temp' \(4\.25\)"):
        task, data = (
            (
                t := Forecasting(
                    path=write(tmp_path, values), column="sales", inputs="sales,temp", window=4
                )
            ),
            t.load(),
        )
    assert not data.train[:, 1].any()
    assert task.input_size == 2


def test_an_input_that_varies_only_later_is_refused(tmp_path):
    values = TABLE.copy()
    values[:, 1] = 0
    values[100:, 1] = 5000.0
    path = write(tmp_path, values)
    with pytest.raises(ValueError, match="input 'temp' does not vary in its first 86 values, the"):
        Forecasting(path=path, column="sales", inputs="sales,temp", window=4).load()
    Forecasting(path=path, column="sales", inputs="sales,other", window=4).load()


def test_an_error_names_the_option_of_inputs(tmp_path):
    path = write(tmp_path)
    with pytest.raises(ValueError, match=r"in column 'day' \(task\.column and task\.inputs\)"):
        Forecasting(path=path, column="sales", inputs="day").load()


@pytest.mark.parametrize("asked", [0, 3, 6])
@pytest.mark.parametrize("rows", [40, 47, 60, 300])
def test_the_longest_horizon_leaves_windows(tmp_path, rows, asked):
    """The longest is allowed, and one more is not, or is beyond half of the held-out part."""
    path = write(tmp_path, RNG.normal(size=(rows, 1)).round(4), ("x",))
    most = Forecasting(path=path, window=asked).longest_horizon()
    held_out = round(0.2 * rows)
    assert 1 <= most <= held_out // 2
    quiet(Forecasting(path=path, window=asked, horizon=most))
    if most < held_out // 2:
        with pytest.raises(ValueError, match="too few"):
            quiet(Forecasting(path=path, window=asked, horizon=most + 1))


def test_metrics_are_in_the_units_of_each_column(tmp_path):
    path = write(tmp_path, TABLE, ("gas_s", "temp", "other"))

    def read(column):
        task = Forecasting(path=path, column=column, window=4)
        return [(m.name, m.unit, m.better) for m in metrics_of(task)]

    assert read("temp") == [("rmse", "units of temp", "lower"), ("loss", "", "lower")]
    assert read("temp,gas_s") == [
        ("rmse_temp", "units of temp", "lower"),
        ("rmse_gas_s", "units of gas_s", "lower"),
        ("loss", "", "lower"),
    ]
    assert metrics_of(Forecasting(points=300))[0] == Metric("rmse", "data units", "lower")


def test_years_of_a_line_of_names_are_no_values(tmp_path):
    rows = [f"{('Mo', 'Tu', 'We')[i % 3]},{i % 5},{i * i % 7}" for i in range(60)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["day,2019,2020", *rows]))
    task, data = quiet(Forecasting(path=str(path), column="2019", window=4))
    assert task.columns == ("2019",)
    assert sum(map(len, data)) == 60
    first = data.train[:5, 0] * task.scale[0] + task.level[0]
    np.testing.assert_allclose(first, [0, 1, 2, 3, 4], atol=1e-5)


@pytest.mark.parametrize(("delimiter", "comma"), [(";", ","), ("\t", "."), ("|", ".")])
def test_other_ways_to_write_the_same_table(tmp_path, delimiter, comma):
    plain = Forecasting(path=write(tmp_path), column="sales,other", window=4).load()
    path = write(tmp_path, name="b.csv", delimiter=delimiter, comma=comma)
    other = Forecasting(path=path, column="sales,other", window=4).load()
    for ours, theirs in zip(plain, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)
