"""Tasks on a text and on a series, and n-grams as a baseline; against NumPy."""

import itertools
import math
from collections import Counter
from typing import Any

import datasets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from huggingface_hub import HfApi
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from rnnlab.core.notices import LeftOut
from rnnlab.data.tables import read_columns
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting, Series, mackey_glass
from rnnlab.tasks.ngram_baseline import ngram_bits, ngram_probabilities
from tests.helpers.small_data import RHYME

KEY = jax.random.key(5)


def series_file(folder, rows=120):
    """A column of dates, one of numbers that drift, another of numbers."""
    rng = np.random.default_rng(1)
    drift = np.arange(rows) + rng.normal(0, 3, rows)
    lines = [f"2020-{k},{x!r},{k}" for k, x in enumerate(drift.tolist())]
    file = folder / "series.csv"
    file.write_text("\n".join(["date,value,k", *lines]) + "\n")
    return str(file), drift


# ---- characters --------------------------------------------------------------------------------


def test_streams_concatenated_are_the_text(rhyme):
    task = Characters(rhyme, batch_size=5, test_share=0.2, validation_share=0.0)
    data = task.load()
    alphabet = sorted(set(RHYME))
    assert task.alphabet == "".join(alphabet)
    assert task.input_size == task.output_size == len(alphabet)
    cut = len(RHYME) - round(0.2 * len(RHYME))
    read = lambda codes: "".join(alphabet[k] for k in np.asarray(codes).ravel())  # noqa: E731
    assert read(data.train) == RHYME[:cut]
    assert read(data.test) == RHYME[cut:]
    steps = (cut - 1) // 5
    assert task.length == steps
    starts = set()
    for index in range(6):
        batch = task.batch(data, KEY, index, 5)
        assert batch.inputs.shape == (5, steps)
        start = int(jax.random.randint(jax.random.fold_in(KEY, index), (), 0, cut))
        ring = RHYME[start:cut] + RHYME[:start]
        assert read(batch.inputs) == ring[: 5 * steps]
        assert read(batch.targets) == ring[1 : 5 * steps + 1]
        starts.add(start)
    assert len(starts) > 3


def test_held_out_streams_are_of_the_last_part(rhyme):
    for length in (4, 1000):
        task = Characters(rhyme, test_share=0.25, test_length=length)
        data = task.load()
        held = len(data.test)
        steps = (held - 1) // 3
        batch = task.test(data, KEY, 3)
        for row in range(3):
            here = data.test[row * steps :][: min(length, steps)]
            ahead = data.test[row * steps + 1 :][: min(length, steps)]
            np.testing.assert_array_equal(batch.inputs[row], here)
            np.testing.assert_array_equal(batch.targets[row], ahead)


def test_a_limit_takes_the_start_of_the_text_with_its_alphabet(rhyme):
    task = Characters(rhyme, batch_size=2, limit=20)
    data = task.load()
    codes = np.concatenate(data)
    assert "".join(task.alphabet[k] for k in codes) == RHYME[:20]
    assert task.alphabet == "".join(sorted(set(RHYME[:20])))
    with pytest.warns(LeftOut, match=rf"task\.limit=9999 is more than the {len(RHYME)} char"):
        more = Characters(rhyme, limit=9999).load()
    assert len(np.concatenate(more)) == len(RHYME)


def test_a_text_from_the_hub_is_its_rows(monkeypatch, tmp_path):
    table = datasets.Dataset.from_dict({"text": ["ab", None, "ba"] * 9})
    monkeypatch.setattr(HfApi, "dataset_info", lambda *arguments, **options: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *arguments, **options: table)
    task = Characters("someone/some-text", batch_size=2)
    text = "\n".join(["ab", "", "ba"] * 9)
    assert "".join(task.alphabet[k] for k in np.concatenate(task.load())) == text
    with pytest.raises(FileNotFoundError, match="no file"):
        Characters(str(tmp_path / "none.txt")).load()


def test_characters_score_in_bits(rhyme):
    task = Characters(rhyme, batch_size=3)
    data = task.load()
    batch = task.batch(data, KEY, 0, 3)
    size = task.output_size
    score = task.score(jnp.zeros((*batch.mask.shape, size)), batch)
    assert score["loss"] == pytest.approx(math.log(size), rel=1e-6)
    assert score["bits_per_character"] == pytest.approx(math.log2(size), rel=1e-6)
    assert score["perplexity"] == pytest.approx(size, rel=1e-5)
    counts = Counter(data.train.tolist())
    entropy = -sum(k / len(data.train) * math.log(k / len(data.train)) for k in counts.values())
    assert task.baseline(data) == pytest.approx(entropy, rel=1e-9)
    # and it is what the shares of the characters score, up to the two that a pass leaves out
    shares = jnp.asarray([counts[k] / len(data.train) for k in range(size)], jnp.float32)
    answer = jnp.broadcast_to(jnp.log(jnp.maximum(shares, 1e-30)), (*batch.mask.shape, size))
    assert task.score(answer, batch)["loss"] == pytest.approx(entropy, rel=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"limit": -1}, "limit must be a whole number of at least 0, got -1"),
        ({"test_length": 0}, "test_length must be a whole number of at least 1, got 0"),
        ({"test_share": 0.0}, r"test_share must be a finite number above 0 and below 1, got 0\.0"),
        ({"solved_at": 0.0}, r"above 0, got 0\.0"),
    ],
)
def test_a_characters_config_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        Characters(**options)


def test_streams_that_cannot_be_are_named(rhyme):
    task = Characters(rhyme, batch_size=4, limit=30)
    data = task.load()
    with pytest.raises(ValueError, match="must be the task's 4, got 5"):
        task.batch(data, KEY, 0, 5)
    assert task.test(data, KEY, 3).inputs.shape == (2, 1)  # of 3 characters
    with pytest.raises(ValueError, match="training text of 24 characters is too short for 40"):
        Characters(rhyme, batch_size=40, limit=30).length  # noqa: B018


# ---- n-grams -----------------------------------------------------------------------------------


def witten_bell(train, context, symbol, size):
    """The definition, on tuples: p(symbol | context)."""
    n = len(context)
    follow = [
        train[k + n] for k in range(len(train) - n) if tuple(train[k : k + n]) == tuple(context)
    ]
    lower = witten_bell(train, context[1:], symbol, size) if n else 1 / size
    different = len(set(follow))
    if not follow:
        return lower
    return (follow.count(symbol) + different * lower) / (len(follow) + different)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngrams_are_as_defined(order):
    rng = np.random.default_rng(order)
    train = np.minimum(rng.geometric(0.4, 200), 6).astype(np.uint8)  # 0 and 7 do not occur
    test = rng.integers(0, 8, 60).astype(np.uint8)
    p = ngram_probabilities(train, test, order, size=8)
    expected = [
        witten_bell(train.tolist(), test[max(t - order + 1, 0) : t].tolist(), int(test[t]), 8)
        for t in range(len(test))
    ]
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    bits = ngram_bits(train, test, order, size=8)
    assert bits == pytest.approx(-np.mean(np.log2(expected)), rel=1e-12)


def test_probabilities_sum_to_one_whatever_the_context():
    train = np.array([0, 1, 2, 0, 1, 3, 0, 1, 2, 2])
    for context in itertools.product(range(5), repeat=2):  # 4 was never seen
        texts = [np.array([*context, symbol]) for symbol in range(5)]
        total = sum(ngram_probabilities(train, text, 3, size=5)[-1] for text in texts)
        assert total == pytest.approx(1, abs=1e-12)


def test_ngrams_of_short_texts_and_what_they_refuse():
    one = np.array([1])
    assert ngram_probabilities(one, one, order=4).tolist() == [0.75]
    # 2 ends the training text: seen, but followed by nothing
    p = ngram_probabilities(np.arange(3), np.array([2, 0]), order=2)
    np.testing.assert_allclose(p, 1 / 3)
    # an alphabet whose 5-grams would not fit 64 bits as plain numbers
    wide = np.arange(40) * 100_000
    assert ngram_bits(wide, wide, order=5, size=4_000_000) < 2
    refused: list[tuple[Any, str]] = [
        ((one, one, 0), "order must be a whole number of at least 1, got 0"),
        ((one, np.array([3]), 1, 3), "0 to 2, got 1 to 3"),
        ((one, np.array([-1]), 1), "got -1 to 1"),
        ((np.array([], int), one, 1), "train must be whole numbers"),
        ((one, np.array([1.0]), 1), "test must be whole numbers"),
    ]
    for arguments, words in refused:
        with pytest.raises(ValueError, match=words):
            ngram_probabilities(*arguments)


# ---- forecasting -------------------------------------------------------------------------------


def test_a_series_is_standardized_by_its_past(tmp_path):
    file, drift = series_file(tmp_path)
    options = {"column": "value", "window": 8, "horizon": 3}
    task = Forecasting(path=file, test_share=0.25, validation_share=0.0, **options)
    data = Series(*(part[:, 0] for part in task.load()))
    assert data.validation.size == 0
    past, later = drift[:90], drift[90:]
    np.testing.assert_allclose(data.train, (past - past.mean()) / past.std(), atol=1e-6)
    np.testing.assert_allclose(data.test, (later - past.mean()) / past.std(), atol=1e-6)
    assert data.test.mean() > 1  # the drift is not standardized away
    assert task.scale == pytest.approx(past.std())

    starts = 90 - 8 - 3 + 1
    seen = []
    for index in range(starts // 10):
        batch = task.batch(task.load(), KEY, index, 10)
        for x, y in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True):
            (start,) = np.flatnonzero(data.train == x[0])
            np.testing.assert_array_equal(x, data.train[start : start + 8])
            np.testing.assert_array_equal(y, data.train[start + 3 : start + 11])
            seen.append(start)
    assert len(seen) == len(set(seen))  # an epoch has no window twice

    test = task.test(task.load(), KEY, 7)
    first = [int(np.flatnonzero(data.test == x[0])[0]) for x in test.inputs[..., 0]]
    assert first == [k * 20 // 7 for k in range(7)]  # 30 − 8 − 3 + 1 = 20 windows
    for start, x, y in zip(first, test.inputs[..., 0], test.targets[..., 0], strict=True):
        np.testing.assert_array_equal(x, data.test[start : start + 8])
        np.testing.assert_array_equal(y, data.test[start + 3 : start + 11])
    assert len(task.test(task.load(), KEY, 500).inputs) == 20


def test_forecasting_baselines_and_units(tmp_path):
    file, drift = series_file(tmp_path)
    task = Forecasting(path=file, column="value", window=8, horizon=2, validation_share=0.0)
    data = task.load()
    z = (drift[:96] - drift[:96].mean()) / drift[:96].std()
    slope, offset = np.polyfit(z[:-2], z[2:], 1)
    residual = z[2:] - slope * z[:-2] - offset
    assert task.baseline(data) == pytest.approx((residual**2).mean(), rel=1e-4)
    assert task.persistence(data) == pytest.approx(((z[2:] - z[:-2]) ** 2).mean(), rel=1e-4)
    assert task.baseline(data) < task.persistence(data)
    batch = task.test(data, KEY, 4)
    score = jax.jit(task.score)(batch.targets + 0.5, batch)
    assert score["loss"] == pytest.approx(0.25, rel=1e-5)
    assert score["nrmse"] == pytest.approx(0.5, rel=1e-5)
    assert score["rmse"] == pytest.approx(0.5 * drift[:96].std(), rel=1e-5)


def test_the_forecasting_baseline_is_the_loss_of_that_answer():
    """Errors on windows of the best line and of repeating the last value."""
    task = Forecasting(points=3000, horizon=4)
    data = task.load()
    slope, offset = np.polyfit(data.train[:-4, 0], data.train[4:, 0], 1)
    batches = [task.batch(data, KEY, k, 500) for k in range(4)]
    for answer, expected in (
        (lambda x: slope * x + offset, task.baseline(data)),
        (lambda x: x, task.persistence(data)),
    ):
        found = np.mean([task.score(answer(batch.inputs), batch)["loss"] for batch in batches])
        assert found == pytest.approx(expected, rel=0.03)
    assert 0.01 < task.baseline(data) < 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1] * 50, r"a\.csv: column 'only' does not vary in its first 34 values, the training"),
        ([7] * 45 + [8] * 5, "does not vary in its first 34 values, the training part"),
    ],
)
def test_a_constant_series_is_refused(tmp_path, values, message):
    file = tmp_path / "a.csv"
    file.write_text("only\n" + "\n".join(map(str, values)))
    with pytest.raises(ValueError, match=message):
        Forecasting(path=str(file), window=5).load()


def test_gaps_are_the_user_s_choice(tmp_path):
    file, values = tmp_path / "a.csv", np.sin(np.arange(60.0)).round(4)
    cells = ["" if i in (7, 8) else str(x) for i, x in enumerate(values)]
    file.write_text("d;x\n" + "\n".join(f"d{i};{x.replace('.', ',')}" for i, x in enumerate(cells)))
    with pytest.raises(ValueError, match=r"column 'x' is empty in lines 9, 10; set task\.gaps"):
        Forecasting(path=str(file), window=5).load()
    kept = np.delete(values, (7, 8))
    filled = values.copy()
    filled[7:9] = values[6] + (values[9] - values[6]) * np.array([1 / 3, 2 / 3])
    for gaps, series in (("drop", kept), ("interpolate", filled)):
        data = Forecasting(path=str(file), gaps=gaps, window=5, validation_share=0.0).load()
        n = len(series) - round(len(series) * 0.2)
        expected = (series - series[:n].mean()) / series[:n].std()
        np.testing.assert_allclose(np.concatenate(data)[:, 0], expected, atol=1e-6)


def test_mackey_glass_is_the_equation():
    series = mackey_glass(1500)
    np.testing.assert_array_equal(series[:400], mackey_glass(400))
    smooth = CubicSpline(np.arange(1500), series)
    inner = np.arange(30, 1470)
    late = series[inner - 17]
    slope = 0.2 * late / (1 + late**10) - 0.1 * series[inner]
    np.testing.assert_allclose(smooth(inner, 1), slope, atol=2e-3)
    assert np.abs(slope).max() > 0.05


def test_mackey_glass_against_a_finer_integration():
    """Interval by interval of the delay; chaos lets errors grow as e^(.007 t)."""
    ends = 17 * np.arange(1, 68)
    pieces, x = [lambda t: 1.2], 1.2
    for end in ends:

        def slope(t, x, past=pieces[-1]):
            late = past(t - 17)
            return 0.2 * late / (1 + late**10) - 0.1 * x

        done = solve_ivp(
            slope,
            (end - 17, end),
            [x],
            method="DOP853",
            rtol=1e-8,
            atol=1e-10,
            max_step=1.0,
            dense_output=True,
        )
        pieces.append(lambda t, of=done.sol: of(t)[0])
        x = done.y[0, -1]
    finer = [pieces[1 + t // 17](t) for t in range(1000, 1100)]
    ours = mackey_glass(100)
    np.testing.assert_allclose(ours[:10], finer[:10], atol=2e-3)
    np.testing.assert_allclose(ours, finer, atol=2e-2)
    assert np.std(finer) > 0.1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "cvs"}, "did you mean 'csv'"),
        ({"source": "csv"}, "needs path"),
        ({"column": "x"}, "reads no file, got column='x'"),
        ({"gaps": "drop"}, "reads no file, got column='', inputs='', gaps='drop'"),
        ({"path": "x", "inputs": "a"}, "inputs='a' needs column, the column to predict"),
        ({"validation_share": 1.0}, r"validation_share must be a finite number at least 0 and b"),
        ({"path": "x", "gaps": "fill"}, "unknown gaps 'fill'"),
        ({"window": -1}, "window must be a whole number of at least 0, got -1"),
        ({"horizon": 0}, "horizon must be a whole number of at least 1, got 0"),
        ({"points": 0}, "points must be a whole number of at least 1, got 0"),
        ({"test_share": 1.5}, r"test_share must be a finite number above 0 and below 1, got 1\.5"),
        ({"solved_at": -1.0}, r"above 0, got -1\.0"),
    ],
)
def test_a_forecasting_config_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        Forecasting(**options)


def test_series_that_do_not_fit_are_named(tmp_path):
    file, drift = series_file(tmp_path)
    np.testing.assert_allclose(read_columns(file, ["value"]).values[:, 0], drift)
    with pytest.raises(ValueError, match="held-out part has 24 values, too few for a window of 24"):
        Forecasting(path=file, column="value", window=24).load()
    with pytest.raises(ValueError, match="training part has 24 values"):
        Forecasting(
            path=file, column="value", window=24, test_share=0.8, validation_share=0.0
        ).load()
    with pytest.raises(ValueError, match=r"one of its columns of numbers \(value; k\), or"):
        Forecasting("csv", file).load()
    with pytest.raises(ValueError, match="line 2: a number expected in column 'date'"):
        Forecasting(path=file, column="date").load()
    with pytest.raises(FileNotFoundError, match="no file"):
        Forecasting("csv", str(tmp_path / "none.csv")).load()
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="line 3: 2 columns expected, as in line 1, got 1: '3'"):
        read_columns(str(other), ["b"])
    other.write_bytes("\ufeffa,b\n1,2\n3,4\n".encode())  # as spreadsheets write it
    assert read_columns(str(other), ["a"]).values[:, 0].tolist() == [1.0, 3.0]
    other.write_bytes(b"a\n\xe9\n")
    with pytest.raises(ValueError, match=r"other\.csv, line 2, is not UTF-8 \(byte 0xe9\): if it"):
        read_columns(str(other), [])
    other.write_text("a\n" + "1" * 200_000 + "\n")
    with pytest.raises(
        ValueError, match=r"line 2: a finite number expected in column 'a', got '11"
    ):
        read_columns(str(other), [])
    other.write_text("a\n1\nnan\n")
    with pytest.raises(ValueError, match="column 'a' is empty in line 3"):
        read_columns(str(other), [])
