"""Read-only arrays, for objects that keep what they have computed from them."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


def frozen(values: ArrayLike, dtype: DTypeLike | None = None) -> np.ndarray:
    """Return a read-only array that nothing else can write to.

    Values are copied, unless they are an array that is read-only, as is what it is a view of.

    >>> mine = np.zeros(2)
    >>> its = frozen(mine)
    >>> mine[0] = 1
    >>> its.tolist(), frozen(its) is its
    ([0.0, 0.0], True)
    """
    given = values if isinstance(values, np.memmap) else np.asarray(values)
    array = given if dtype is None else given.astype(dtype, copy=False)
    if array is not given:  # converted, and so a copy
        return sealed(array)
    part: object = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return sealed(array.copy())
        part = part.base
    return array


def sealed(array: np.ndarray) -> np.ndarray:
    """Make an array, and what it is a view of, read-only; for arrays that nothing else holds."""
    part: object = array
    while isinstance(part, np.ndarray):
        part.flags.writeable = False
        part = part.base
    return array
