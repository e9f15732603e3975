"""Files of named arrays, ``.safetensors`` and ``.npz``; nothing is unpickled."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from rnnlab.core.errors import UserError


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.safetensors`` or ``.npz`` file by name.

    float16 and bfloat16 are widened to float32.

    Raises:
        UserError: another kind of file, or one that cannot be read.
    """
    path = Path(path)
    if path.suffix not in (".safetensors", ".npz"):
        raise UserError(
            f"{path}: weights are read from .safetensors and .npz files; others would "
            "have to be unpickled"
        )
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as packed:
                arrays = dict(packed)
        else:
            arrays = _safetensors().load_file(path)
    except UserError:
        raise
    except Exception as error:  # safetensors has an exception of its own
        raise UserError(f"{path} cannot be read: {error}") from None
    narrow = ("float16", "bfloat16")
    return {
        name: a.astype(np.float32) if a.dtype.name in narrow else a for name, a in arrays.items()
    }


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a ``.safetensors`` file that PyTorch's tools read as well.

    Raises:
        UserError: another kind of file; safetensors is not installed.
    """
    if Path(path).suffix != ".safetensors":
        raise UserError(f"{path}: weights are written to .safetensors files")
    _safetensors().save_file(dict(arrays), path, metadata={"format": "pt"})


def _safetensors() -> ModuleType:
    try:
        import safetensors.numpy
    except ImportError:
        raise UserError(
            ".safetensors files need safetensors: pip install 'rnnlab[vectors]'"
        ) from None
    return safetensors.numpy
