"""Trained parameters of a member, saved and loaded: params/<member>.npz of a run directory."""

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.core.run_files import params_file
from rnnlab.nn import initializers
from rnnlab.tasks.base import Task
from rnnlab.training import named, settings, stored
from rnnlab.training.settings import Setup

PyTree = Any  # parameters


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

    The task is the one of the training, with the vocabulary, labels and scale that the run stored
    (:mod:`rnnlab.training.stored`): its data are not read. Nothing is drawn or trained, so a
    scheme, an optimizer or a schedule that was registered need not be known.

    Raises:
        UserError: no such run or member, a stored file that is missing or has changed, or
            parameters that do not fit the member's model.
        ValueError: a cell or a task that is not registered.
    """
    run_dir = Path(run_dir)
    info, records = run_files.read_records(run_dir)
    record = next((record for record in records if record["member"] == index), None)
    if record is None:
        raise UserError(f"{run_dir} has no finished member {index}")
    nested = run_files.member_of(run_dir, info, record)["config"]
    problem = run_files.params_problem(run_dir, record)
    if problem:
        raise UserError(f"{problem}; {run_files.AGAIN}")
    task = stored.restore(run_dir, info, ConfigDict(nested))
    setup = setup_of_trained(nested, task)
    like = jax.eval_shape(lambda: settings.draw_params(setup.model, jax.random.key(0), setup.task))
    path = params_file(run_dir, index)
    leaves, tree = jax.tree_util.tree_flatten_with_path(like)
    shapes = {jax.tree_util.keystr(place): leaf for place, leaf in leaves}
    try:
        arrays = read_arrays(path, shapes)
    except ValueError as error:
        raise UserError(f"{path} does not fit member {index}: {error}") from None
    return setup, jax.tree.unflatten(tree, [jnp.asarray(arrays[name]) for name in shapes])


def setup_of_trained(config: Mapping[str, Any], task: Task) -> Setup:
    """Return the setup of a trained member, whose parameters are loaded and not drawn.

    A scheme, an optimizer or a schedule that an experiment registered need not be known.

    Args:
        config: of the member, nested. task: as it was trained.
    Raises:
        ValueError: a cell or a task that is not registered.
    """
    try:
        return settings.setup_of(ConfigDict(config), task)
    except ValueError:
        known = {**config, "training": _known_optimizer(config["training"])}
        if "init" in config:
            known["init"] = _known_schemes(config["init"])
        return settings.setup_of(ConfigDict(known), task)


def _known_schemes(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's ``init`` group with "zeros" for each scheme that is not registered."""
    return {
        key: _known_schemes(value) if isinstance(value, Mapping) else _known_scheme(value)
        for key, value in group.items()
    }


def _known_scheme(scheme: object) -> object:
    if isinstance(scheme, str) and scheme:
        try:
            initializers.parse(scheme)
        except ValueError:  # it was known when the run began
            return "zeros"
    return scheme


def _known_optimizer(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's ``training`` group without an optimizer or a schedule of the user's."""
    known = dict(group)
    if named.unregistered(named.OPTIMIZER, group["optimizer"]):
        known["optimizer"] = "adam"
    if named.unregistered(named.SCHEDULE, group["schedule"]):
        known["schedule"] = "constant"
    return known


def read_arrays(path: Path, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, np.ndarray]:
    """Read the named arrays of an .npz file, nothing else; nothing is unpickled.

    The header of an array is compared with what is expected before the array is unpacked, so that
    a small file cannot fill the memory.

    Args:
        path: of the file.
        shapes: the shape and dtype of each array, by its name.
    Raises:
        ValueError: an array that is missing, or of another shape or dtype.
        UserError: a file that cannot be read.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as packed:
            for name, expected in shapes.items():
                arrays[name] = _read_array(packed, name, expected)
    except _Unfit:
        raise
    except _UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return arrays


class _Unfit(ValueError):
    """An array other than the expected one."""


# raised by zipfile and NumPy for a file that is no .npz, is cut off, encrypted or packed otherwise
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def _read_array(packed: zipfile.ZipFile, name: str, expected: jax.ShapeDtypeStruct) -> np.ndarray:
    words = f"{name} must be {expected.dtype}{expected.shape}"
    member = f"{name}.npy"
    if member not in packed.namelist():
        raise _Unfit(f"{words}, and is missing")
    if packed.getinfo(member).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, as rnnlab does not write it")
    with packed.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in read_header:
            raise ValueError(f"{name} has version {version} of the .npy format")
        shape, _, dtype = read_header[version](file)
    # NumPy writes bfloat16, which it does not know, as two bytes without a meaning
    raw = dtype.kind == "V" and dtype.itemsize == expected.dtype.itemsize
    if shape != expected.shape or not (dtype == expected.dtype or raw):
        raise _Unfit(f"{words}, got {dtype}{shape}")
    with packed.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return array.view(expected.dtype) if raw else array
