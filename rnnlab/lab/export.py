"""A trained member for use elsewhere: its weights, and a script that reproduces its outputs.

A folder of an export holds

    load.py            builds the model in the other library, loads the weights, and compares its
                       outputs with the expected ones (``load_nnx.py`` too, for Flax)
    weights.npz        or weights.safetensors: arrays by name, nothing pickled
    example.npz        inputs, lengths, and rnnlab's outputs for them
    stored.json        the vocabulary, labels or scaling, where the task has learned any
    export.json        where the member comes from, and its config
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from rnnlab.bert.heads import Bert
from rnnlab.core import json_files
from rnnlab.core.errors import UnknownName, UserError, unknown
from rnnlab.core.run_files import read_members
from rnnlab.core.version import __version__
from rnnlab.interop import flax_script, keras_script, portable, torch_script
from rnnlab.interop.array_files import read_arrays, write_arrays
from rnnlab.lab.recorded import load_recorded
from rnnlab.nn.models import Model
from rnnlab.nn.params import PyTree
from rnnlab.tasks.base import Restorable
from rnnlab.training import settings
from rnnlab.training.params import load_params, setup_of_trained
from rnnlab.training.predict import best_member

if TYPE_CHECKING:
    from rnnlab.training.settings import MemberSpec, Setup

TARGETS = ("torch", "keras", "flax", "safetensors")

_RECORD = "export.json"
_STORED = "stored.json"
_WEIGHTS = "weights.safetensors"
_FILES = ("load.py", "load_nnx.py", "weights.npz", "weights_nnx.npz", _WEIGHTS, _STORED)
_STEPS = 6  # of the example, at most: float32 loses accuracy from step to step


class _Written(NamedTuple):
    """Files of an export, by name."""

    arrays: dict[str, dict[str, np.ndarray]]
    scripts: dict[str, str]
    notes: tuple[str, ...] = ()


def export(
    run_dir: str | os.PathLike[str],
    to: str,
    *,
    member: int | None = None,
    out: str | os.PathLike[str] | None = None,
    trust: bool = False,
) -> Path:
    """Write a trained member, its read-out and embedding included, for another library.

    Args:
        run_dir: the run directory.
        to: "torch", "keras", "flax" (linen, and nnx where it has the cell), or "safetensors": the
            arrays under rnnlab's names, of every member.
        member: its index; None: the best by its task's score.
        out: the folder to write; None: ``export/<to>_<member>`` in the run directory. One that an
            export wrote before is written again.
        trust: whether to execute the run's own files even if they lie inside ``run_dir``, for the
            cell or task that they register.
    Returns:
        the folder.
    Raises:
        UserError: no such run or member; the library lacks something that the model has, with what
            to do instead; a folder with other files.
    """
    _check_target(to)
    run_dir = Path(run_dir)
    try:
        index, setup, params = _loaded(run_dir, member)
    except UnknownName as error:  # the run's own files may register it
        try:
            load_recorded(run_dir, trust=trust)
        except UserError as reason:
            raise UserError(f"{error}; {reason}") from None
        index, setup, params = _loaded(run_dir, member)
    name = json.dumps(str(run_dir))  # a path cannot end the script's docstring
    title = f"Load member {index} of {name} and reproduce its outputs."
    written = _written(setup, params, to, title)
    folder = run_dir / f"export/{to}_{index}" if out is None else Path(out)
    config = next(record["config"] for record in read_members(run_dir) if record["index"] == index)
    record = {
        "run": str(run_dir),
        "member": index,
        "to": to,
        "rnnlab": __version__,
        "notes": list(written.notes),
        "config": json_files.encode(config),
    }
    _write(folder, written, _example(setup, params, to != "safetensors"), record)
    if isinstance(setup.task, Restorable):
        json_files.write_json(folder / _STORED, json_files.encode(setup.task.stored()))
    return folder


def notes(folder: str | os.PathLike[str]) -> list[str]:
    """Return what an export lacks, in words."""
    return json_files.read_json(Path(folder) / _RECORD)["notes"]


def check(specs: "Iterable[MemberSpec]", to: str) -> None:
    """Check, before they are trained, that members can be exported.

    Args:
        specs: of a plan.
        to: as of :func:`export`.
    Raises:
        UserError: the first member that cannot be, why, and what to type instead.
    """
    _check_target(to)
    for index, setup in enumerate(spec.setup for spec in specs):
        try:
            _check(setup, to)
        except UserError as error:
            raise UserError(f"member {index} cannot be exported: {error}") from None


def read(folder: str | os.PathLike[str]) -> tuple[Model, PyTree]:
    """Return (model, parameters) of a member exported with ``to="safetensors"``.

    Raises:
        UserError: another folder, or weights that do not fit.
        ValueError: a cell or task that is not registered: import the file that does it first.
    """
    folder = Path(folder)
    if not (folder / _WEIGHTS).is_file() or not (folder / _RECORD).is_file():
        raise UserError(f"{folder} is no export with --to=safetensors: it lacks {_WEIGHTS}")
    config = json_files.decode_config(json_files.read_json(folder / _RECORD)["config"])
    task = settings.task_of(ConfigDict(config))
    if isinstance(task, Restorable):
        task = task.restored(json_files.read_json(folder / _STORED))
    setup = setup_of_trained(config, task)
    like = jax.eval_shape(lambda: settings.draw_params(setup.model, jax.random.key(0), task))
    arrays, shapes = read_arrays(folder / _WEIGHTS), _named(like)
    for name, leaf in shapes.items():
        if name not in arrays or arrays[name].shape != leaf.shape:
            got = arrays[name].shape if name in arrays else "none"
            raise UserError(f"{folder / _WEIGHTS}: {name} must be {leaf.shape}, got {got}")
    leaves = [jnp.asarray(arrays[name]) for name in shapes]
    return setup.model, jax.tree.unflatten(jax.tree.structure(like), leaves)


def _loaded(run_dir: Path, member: int | None) -> "tuple[int, Setup, PyTree]":
    index = best_member(run_dir) if member is None else member
    return (index, *load_params(run_dir, index))


def _check_target(to: str) -> None:
    if to not in TARGETS:
        raise UserError(unknown("library", to, TARGETS))


# ---- the files ---------------------------------------------------------------------------------


def _check(setup: "Setup", to: str) -> portable.Parts | None:
    """Return the description of a member's model for a library, None for safetensors."""
    if to == "safetensors":
        return None
    if isinstance(setup.model, Bert):
        raise UserError(
            f"a BERT is not exported with --to={to}: rnnlab.bert.huggingface.save writes it for "
            "transformers, and --to=safetensors takes every member"
        )
    parts = portable.described(setup.model, setup.task.input_size, to)
    if to == "torch":
        try:
            torch_script.check(parts)
        except ValueError as error:
            raise UserError(f"{error}; --to=safetensors takes every member") from None
    return parts


def _written(setup: "Setup", params: PyTree, to: str, title: str) -> _Written:
    parts, own = _check(setup, to), params["params"]
    if parts is None:
        arrays = {name: np.asarray(leaf) for name, leaf in _named(params).items()}
        return _Written({_WEIGHTS: arrays}, {"load.py": _SAFETENSORS.format(title=title)})
    if to == "torch":
        arrays = {"weights.npz": torch_script.arrays(parts, own)}
        return _Written(arrays, {"load.py": torch_script.script(parts, title)})
    if to == "keras":
        arrays = {"weights.npz": keras_script.arrays(parts, own)}
        return _Written(arrays, {"load.py": keras_script.script(parts, title)})
    arrays = {"weights.npz": flax_script.linen_arrays(parts, own)}
    scripts = {"load.py": flax_script.linen_script(parts, title)}
    lack = flax_script.nnx_lacks(parts)
    if lack:
        note = f"{lack}: load.py is for linen; rnnlab.interop.flax.Recurrent is this layer in nnx"
        return _Written(arrays, scripts, (note,))
    arrays["weights_nnx.npz"] = flax_script.nnx_arrays(parts, own)
    return _Written(arrays, scripts | {"load_nnx.py": flax_script.nnx_script(parts, title)})


def _named(params: PyTree) -> dict[str, Any]:
    """Return the leaves by name: "recurrent.W_xi", "recurrent.0.forward.W_xi", "W_hy"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator=".").removeprefix("params."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


def _example(setup: "Setup", params: PyTree, exact: bool) -> dict[str, np.ndarray]:
    """Return random inputs of four lengths, and the outputs for them; no data are read.

    Args:
        setup, params: of the member.
        exact: compute the outputs in float64 and round them once, so that another library's differ
            by its own rounding only.
    """
    task, rng = setup.task, np.random.default_rng(0)
    T = min(task.length, _STEPS)
    if task.symbols:
        inputs = rng.integers(0, task.input_size, (4, T))
    else:
        inputs = rng.standard_normal((4, T, task.input_size)).astype(np.float32)
    lengths = np.array([T, max(1, T // 2), 1, T])
    model: Any = setup.model
    with jax.enable_x64(exact), jax.default_matmul_precision("highest"):
        if exact:
            params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), params)
        xs = inputs.astype(np.float64) if exact and not task.symbols else inputs
        outputs, _ = model.apply(params, jnp.asarray(xs), lengths=jnp.asarray(lengths))
        if exact:
            outputs = np.asarray(outputs, np.float32)
    leaves = _named(outputs)
    several = {f"outputs.{name}": np.asarray(leaf) for name, leaf in leaves.items()}
    named = {"outputs": np.asarray(leaves[""])} if list(leaves) == [""] else several
    return {"inputs": inputs, "lengths": lengths} | named


_SAFETENSORS = '''\
"""{title}"""

from pathlib import Path

import jax
import numpy as np
from rnnlab.lab.export import read

files = Path(__file__).parent
model, params = read(files)  # weights.safetensors, by name, in the model that was trained
example = dict(np.load(files / "example.npz"))
with jax.default_matmul_precision("highest"):
    outputs, _ = model.apply(params, example["inputs"], lengths=example["lengths"])
expected = [example[name] for name in example if name.startswith("outputs")]
for ours, theirs in zip(jax.tree.leaves(outputs), expected, strict=True):
    difference = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)
    print(f"largest difference, relative to the largest output: {{difference:.1e}}")
    assert difference <= 1e-6
'''


def _write(
    folder: Path,
    written: _Written,
    example: Mapping[str, np.ndarray],
    record: Mapping[str, object],
) -> None:
    if folder.is_dir():
        if any(folder.iterdir()) and not (folder / _RECORD).is_file():
            raise UserError(f"{folder} holds other files: choose another --out")
    elif folder.exists():
        raise UserError(f"{folder} is a file: choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:  # of an export to another library
        (folder / name).unlink(missing_ok=True)
    writers: dict[str, Callable[[Path, Mapping[str, np.ndarray]], None]] = {
        ".npz": _write_npz,
        ".safetensors": write_arrays,
    }
    for name, arrays in {**written.arrays, "example.npz": example}.items():
        writers[Path(name).suffix](folder / name, arrays)
    for name, text in written.scripts.items():
        json_files.write_bytes(folder / name, text.encode())
    json_files.write_json(folder / _RECORD, record)


def _write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
