"""Trained parameters of a member, saved and loaded: params/<member>.npz of a run directory."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.nested import with_overrides
from rnnlab.training import settings
from rnnlab.training.settings import Setup

PyTree = Any  # parameters

PARAMS = "params"  # in a run directory: <member>.npz


def params_file(run_dir: str | os.PathLike[str], index: int) -> Path:
    """Return the path of a member's trained parameters: params/<member>.npz."""
    return Path(run_dir) / PARAMS / f"{index}.npz"


def save_params(run_dir: Path, index: int, params: PyTree) -> None:
    """Write a member's parameters, each array under its path in the tree."""
    arrays = {
        jax.tree_util.keystr(place): np.asarray(leaf)
        for place, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    write_params(run_dir, index, packed.getvalue())


def write_params(run_dir: Path, index: int, packed: bytes) -> None:
    """Write a member's parameters, packed by :func:`save_params` here or on another machine."""
    path = params_file(run_dir, index)
    path.parent.mkdir(exist_ok=True)
    json_files.write_bytes(path, packed)


def load_params(run_dir: str | os.PathLike[str], index: int) -> tuple[Setup, PyTree]:
    """Return a finished member's (setup, trained parameters).

    Raises:
        UserError: no such run or member, or a file that does not fit the member's model.
    """
    from ml_collections import ConfigDict

    run_dir = Path(run_dir)
    info = run_files.read_config(run_dir)
    base = json_files.decode_config(info["config"])
    for line in json_files.read_jsonl(run_dir / run_files.MEMBERS):
        if line["member"] == index:
            overrides = json_files.decode_config(line["overrides"])
            break
    else:
        raise UserError(f"{run_dir} has no finished member {index}")
    config = ConfigDict(with_overrides(base, overrides))
    setup = settings.setup_of(config)
    like = jax.eval_shape(lambda: settings.draw_params(setup.model, jax.random.key(0), setup.task))
    path = params_file(run_dir, index)
    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
            arrays = dict(packed)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}") from None

    def read(place: jax.tree_util.KeyPath, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = jax.tree_util.keystr(place)
        if name not in arrays or arrays[name].shape != leaf.shape:
            raise UserError(f"{path} does not fit member {index}: {name} must be {leaf.shape}")
        return jnp.asarray(arrays[name])

    return setup, jax.tree_util.tree_map_with_path(read, like)
