"""scikit-learn's handwritten digits.

Source: the file of ``sklearn.datasets.load_digits`` (UCI Optical Recognition of Handwritten
Digits), read without importing scikit-learn, which takes a second.
"""

import functools
import gzip

import numpy as np

from rnnlab.data.files import packaged


@functools.cache  # a sweep's members share them
def read() -> tuple[np.ndarray, np.ndarray]:
    """Return (images (1797, 64) uint8, 0 … 16 row by row, classes (1797,) int32), read-only.

    >>> images, classes = read()
    >>> images.shape, int(images.max()), classes[:4].tolist()
    ((1797, 64), 16, [0, 1, 2, 3])
    """
    file = packaged("sklearn", "datasets/data/digits.csv.gz", "the handwritten digits")
    rows = np.loadtxt(gzip.decompress(file.read_bytes()).decode().splitlines(), delimiter=",")
    images, classes = rows[:, :-1].astype(np.uint8), rows[:, -1].astype(np.int32)
    for array in (images, classes):
        array.flags.writeable = False
    return images, classes
