"""Sequences for gradient probes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from rnnlab.core.notices import LeftOut
from rnnlab.data import sequences


def test_digits_are_whole_images_and_the_label_is_the_first_image_s():
    xs, labels, classes = sequences.by_name("digits", 3, 5, 150)
    assert xs.shape == (5, 150, 1)
    assert xs.dtype == np.float32
    assert classes == 10
    bundle = load_digits()
    rows = {tuple(row): label for row, label in zip(bundle.data / 16, bundle.target, strict=True)}
    for x, label in zip(xs[:, :, 0], labels, strict=True):
        assert rows[tuple(x[:64].tolist())] == label
        assert tuple(x[64:128].tolist()) in rows
    again = sequences.by_name("digits", 3, 5, 150)
    assert (again.xs == xs).all()
    assert (sequences.by_name("digits", 4, 5, 150).xs != xs).any()


def test_digits_are_read_once_and_a_batch_is_a_copy(monkeypatch):
    first = sequences.digits(3, 5, 150)
    monkeypatch.setattr("sklearn.datasets.load_digits", None)
    expected = first.xs.copy()
    first.xs[:], first.labels[:] = 7, 7
    again = sequences.digits(3, 5, 150)
    assert (again.xs == expected).all()
    assert (again.labels != 7).any()


def test_text_is_windows_of_the_file(tmp_path):
    words = "猫 喜欢 吃 鱼。the cat likes fish\n" * 9
    (tmp_path / "a.txt").write_text(words, encoding="utf-8")
    xs, labels, classes = sequences.by_name("text", 0, 6, 20, str(tmp_path / "a.txt"))
    alphabet = sorted(set(words))
    assert xs.shape == (6, 20, classes)
    assert classes == len(alphabet)
    for x, label in zip(xs, labels, strict=True):
        assert (x.sum(axis=1) == 1).all()
        read = "".join(alphabet[i] for i in x.argmax(axis=1))
        assert read in words
        assert alphabet[label] == read[0]


def test_csv_is_standardized_windows(tmp_path):
    rng = np.random.default_rng(0)
    table = np.column_stack([np.arange(50.0), rng.normal(5, 3, 50), np.full(50, 7.0)])
    file = tmp_path / "a.csv"
    file.write_text("t,a,c\n" + "\n".join(",".join(map(repr, r)) for r in table.tolist()))
    with pytest.warns(LeftOut, match=r"a\.csv: set to 0, since it does not vary: 'c' \(7\)"):
        xs, labels, classes = sequences.by_name("csv", 0, 8, 10, str(file))
    assert xs.shape == (8, 10, 3)
    assert classes == 2
    t = xs[:, :, 0] * table[:, 0].std() + table[:, 0].mean()
    np.testing.assert_allclose(np.diff(t, axis=1), 1, atol=1e-4)  # consecutive rows
    place = np.round(t).astype(int)
    a = (table[:, 1] - table[:, 1].mean()) / table[:, 1].std()
    np.testing.assert_allclose(xs[:, :, 1], a[place], atol=1e-5)
    assert (xs[:, :, 2] == 0).all()  # a constant column stays a column
    assert (labels == (xs[:, 0, 0] > 0)).all()


def test_columns_of_dates_are_set_aside_and_gaps_are_the_user_s_choice(tmp_path):
    values = np.random.default_rng(1).normal(size=40).round(3)
    days = [f"2018-01-{i + 1:02}" for i in range(40)]
    file = tmp_path / "a.csv"
    rows = [f"{d},{v}" for d, v in zip(days, values, strict=True)]
    file.write_text("day,level\n" + "\n".join(rows))
    with pytest.warns(LeftOut, match="set aside day, not of numbers; used: level"):
        xs = sequences.by_name("csv", 0, 4, 9, str(file)).xs
    z = ((values - values.mean()) / values.std()).astype(np.float32)
    windows = {tuple(z[i : i + 9].tolist()) for i in range(31)}
    assert all(tuple(x.tolist()) in windows for x in xs[:, :, 0])
    gap = tmp_path / "gap.csv"
    gap.write_text("level\n" + "\n".join(str(v) if i != 5 else "" for i, v in enumerate(values)))
    dropped = np.delete(values, 5)
    with pytest.warns(LeftOut, match="left out 1 of 40 rows, with empty cells: line 7"):
        xs = sequences.by_name("csv", 0, 1, 38, str(gap), "drop").xs
    z = (dropped - dropped.mean()) / dropped.std()
    np.testing.assert_allclose(xs[0, :, 0], z[:38], atol=1e-6)


def test_a_short_file_is_strung_together_and_a_path_alone_is_read(tmp_path):
    """Windows of half of the file, one after the other, cut at the length that is asked for."""
    values = np.random.default_rng(3).normal(size=30).round(3)
    file = tmp_path / "short.csv"
    file.write_text("x\n" + "\n".join(map(str, values)))
    with pytest.warns(LeftOut, match=r"30 are no more than a sequence of 40 steps .* of 15"):
        found = sequences.by_name("digits", 0, 3, 40, str(file))
    z = ((values - values.mean()) / values.std()).astype(np.float32)
    windows = {tuple(z[i : i + 15].tolist()) for i in range(16)}
    for x in found.xs[..., 0]:
        assert tuple(x[:15].tolist()) in windows
        assert tuple(x[15:30].tolist()) in windows
        assert tuple(x[30:].tolist()) in {w[:10] for w in windows}
    assert (found.labels == (found.xs[:, 0, 0] > 0)).all()
    text = tmp_path / "a.txt"
    text.write_text("abcd" * 20)
    assert sequences.by_name("digits", 0, 3, 10, str(text)).xs.shape == (3, 10, 4)


def test_a_table_that_does_not_vary_is_refused(tmp_path):
    file = tmp_path / "flat.csv"
    file.write_text("x\n" + "0.1\n" * 30)  # whose deviation is 1e-17, not 0
    with pytest.raises(ValueError, match=r"flat\.csv: column 'x' \(0\.1\) does not vary"):
        sequences.by_name("csv", 0, 2, 5, str(file))


def test_noise_is_white():
    xs = sequences.by_name("noise", 0, 64, 500).xs
    assert abs(xs.mean()) < 0.03
    assert xs.std() == pytest.approx(1, abs=0.02)


def test_bad_arguments_are_refused(tmp_path):
    def refused(error, words, *arguments):
        with pytest.raises(error, match=words):
            sequences.by_name(*arguments)

    short = tmp_path / "short.txt"
    short.write_text("abc")
    latin = tmp_path / "latin.txt"
    latin.write_bytes("é".encode("latin-1") * 300)
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b\n1,2\n3\n")
    words = tmp_path / "words.csv"
    words.write_text("a,b\n1,2\n3,x\n")
    gap = tmp_path / "gap.csv"
    gap.write_text("a\n1\nnan\n")
    refused(ValueError, "did you mean 'digits'", "digit", 0, 2, 10)
    refused(ValueError, "batch_size must be .* at least 1, got 0", "noise", 0, 0, 10)
    refused(ValueError, "'noise' reads no file", "noise", 0, 2, 10, "x")
    refused(FileNotFoundError, "no file 'x'", "digits", 0, 2, 10, "x")
    refused(ValueError, "needs task.path", "csv", 0, 2, 10)
    refused(FileNotFoundError, "no file", "text", 0, 2, 10, str(tmp_path / "none"))
    refused(ValueError, "characters: at least 8 are needed, got 3", "text", 0, 2, 10, str(short))
    refused(ValueError, "is not UTF-8", "text", 0, 2, 10, str(latin))
    refused(ValueError, "line 3: 2 columns expected, as in line 1", "csv", 0, 2, 1, str(ragged))
    refused(ValueError, "line 3: a finite number expected", "csv", 0, 2, 1, str(words))
    refused(ValueError, "column 'a' is empty in line 3; set", "csv", 0, 2, 1, str(gap))
    refused(ValueError, "task.name='noise' reads no table", "noise", 0, 2, 10, "", "drop")


def test_the_default_text_names_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sequences.encoded.cache_clear()
    with pytest.raises(ValueError, match=r"pip install -e '\.\[data\]'"):
        sequences.by_name("text", 0, 2, 10)
