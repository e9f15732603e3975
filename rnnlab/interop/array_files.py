"""Files of named arrays, ``.safetensors`` and ``.npz``; nothing is unpickled."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from rnnlab.core.errors import UserError, install
from rnnlab.core.json_files import read_json

INDEX = ".safetensors.index.json"  # the end of the name of an index of shards


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.safetensors`` or ``.npz`` file by name.

    float16 and bfloat16 are widened to float32.

    Args:
        path: the file; or, of arrays shared out over several ``.safetensors`` files (shards), their
            ``.safetensors.index.json``.
    Raises:
        UserError: another kind of file, or one that cannot be read; an index that does not fit its
            shards.
    """
    path = Path(path)
    if path.name.endswith(INDEX):
        return _sharded(path)
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


def _sharded(index: Path) -> dict[str, np.ndarray]:
    """Read the arrays of all shards, each from the shard that the index names."""
    described = read_json(index)
    shards = described.get("weight_map") if isinstance(described, dict) else None
    if not isinstance(shards, dict) or not shards or not all(map(_is_name, shards.values())):
        raise UserError(
            f"{index}: a 'weight_map' of names of weights and of files beside it expected"
        )
    arrays: dict[str, np.ndarray] = {}
    wrong = []
    for file in sorted(set(shards.values())):
        path = index.with_name(file)
        if not path.is_file():
            raise UserError(f"{index} names the shard {file}, which is not beside it")
        held = read_arrays(path)
        expected = {name for name, shard in shards.items() if shard == file}
        wrong += [f"{file} lacks {name}" for name in sorted(expected - held.keys())]
        wrong += [f"{file} has {name}, unnamed there" for name in sorted(held.keys() - expected)]
        arrays |= held
    if wrong:
        raise UserError(f"{index} does not fit its {len(set(shards.values()))} shards: {wrong[0]}")
    return arrays


def _is_name(file: object) -> bool:
    return isinstance(file, str) and Path(file).name == file and file.endswith(".safetensors")


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
        raise UserError(f".safetensors files need safetensors: {install('vectors')}") from None
    return safetensors.numpy
