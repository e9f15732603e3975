"""Sequences for gradient probes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

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
    refused(ValueError, "reads no file", "digits", 0, 2, 10, "x")
    refused(ValueError, "needs task.path", "csv", 0, 2, 10)
    refused(FileNotFoundError, "no file", "text", 0, 2, 10, str(tmp_path / "none"))
    refused(ValueError, "3 characters is too short for length 10", "text", 0, 2, 10, str(short))
    refused(ValueError, "is not UTF-8", "text", 0, 2, 10, str(latin))
    refused(ValueError, "line 3: 2 numbers expected", "csv", 0, 2, 1, str(ragged))
    refused(ValueError, "line 3: 2 numbers expected", "csv", 0, 2, 1, str(words))
    refused(ValueError, "line 3: every value must be finite", "csv", 0, 2, 1, str(gap))


def test_the_default_text_names_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sequences.encoded.cache_clear()
    with pytest.raises(ValueError, match=r"pip install 'rnnlab\[data\]'"):
        sequences.by_name("text", 0, 2, 10)
