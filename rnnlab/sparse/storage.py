"""Sparse matrices larger than memory: written part by part, read memory-mapped."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from rnnlab.sparse.analysis import CsrArray

_ARRAYS = ("data", "indices", "indptr")


def write_csr(folder: str | os.PathLike[str], parts: Iterable[CsrArray]) -> tuple[int, int]:
    """Write the rows of all parts into one matrix, with one part in memory at a time.

    The folder gets data.bin, indices.bin and indptr.bin (raw, native byte order) and, last,
    shape.json, without which an incomplete folder is not read.

    Args:
        folder: new, or empty.
        parts: csr_array, all of one width and dtype, as from ``BagOfWords.transform_chunks``.
    Returns:
        the shape of the matrix.
    Raises:
        FileExistsError: the folder is not empty.
        ValueError: no parts, or parts of different width or dtype.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shape = write_csr(folder, [sp.csr_array(np.eye(2)), sp.csr_array([[0.0, 5.0]])])
    ...     read_csr(folder).toarray().tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 5.0]]
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    rows, entries, kind = 0, 0, None
    data, indices, indptr = ((folder / f"{name}.bin").open("wb") for name in _ARRAYS)
    with data, indices, indptr:
        indptr.write(np.zeros(1, np.int64).tobytes())
        for part in parts:
            kind = kind or (part.shape[1], part.dtype.str)
            if (part.shape[1], part.dtype.str) != kind:
                raise ValueError(
                    f"a part has {part.shape[1]} columns of {part.dtype}, the first "
                    f"{kind[0]} of {kind[1]}"
                )
            data.write(np.ascontiguousarray(part.data).tobytes())
            indices.write(part.indices.astype(np.int32).tobytes())
            indptr.write((part.indptr[1:].astype(np.int64) + entries).tobytes())
            rows, entries = rows + part.shape[0], entries + int(part.indptr[-1])
    if kind is None:
        raise ValueError("no parts to write")
    index = np.int32 if entries < 2**31 else np.int64  # scipy needs one type for both
    _rewrite(folder / "indices.bin", np.int32, index)
    _rewrite(folder / "indptr.bin", np.int64, index)
    shape = {
        "shape": [rows, kind[0]],
        "dtype": kind[1],
        "index": np.dtype(index).str,
        "entries": entries,
    }
    (folder / "shape.json").write_text(json.dumps(shape))
    return rows, kind[0]


def _rewrite(file: Path, old: DTypeLike, new: DTypeLike) -> None:
    """Convert the numbers of a file to another type, one block at a time."""
    if old == new:
        return
    part = file.with_suffix(".part")
    with file.open("rb") as source, part.open("wb") as target:
        while block := source.read(1 << 24):
            target.write(np.frombuffer(block, old).astype(new).tobytes())
    os.replace(part, file)


def read_csr(folder: str | os.PathLike[str]) -> CsrArray:
    """Read a matrix that :func:`write_csr` wrote, memory-mapped and read-only.

    Raises:
        FileNotFoundError: no matrix there.
        ValueError: a file whose size differs from shape.json.
    """
    folder = Path(folder)
    if not (folder / "shape.json").is_file():
        raise FileNotFoundError(f"{folder} holds no matrix (no shape.json)")
    about = json.loads((folder / "shape.json").read_text())
    rows, columns = about["shape"]
    entries = about["entries"]
    arrays = []
    index = np.dtype(about["index"])
    sizes = (entries, np.dtype(about["dtype"])), (entries, index), (rows + 1, index)
    for name, (size, kind) in zip(_ARRAYS, sizes, strict=True):
        file = folder / f"{name}.bin"
        if file.stat().st_size != size * kind.itemsize:
            raise ValueError(
                f"{file} has {file.stat().st_size} bytes, expected {size * kind.itemsize}"
            )
        # an empty file cannot be mapped
        arrays.append(np.memmap(file, kind, "r") if size else np.zeros(0, kind))
    return sp.csr_array(tuple(arrays), shape=(rows, columns), copy=False)
