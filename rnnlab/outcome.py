"""What a trained member leaves behind: results, parameters, and looks inside while it learns."""

import io
import math
import os
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab import cells, gradients, losses, models, records, recurrence, training
from rnnlab.checkpoints import digest
from rnnlab.records import UserError
from rnnlab.tasks.base import lengths_of
from rnnlab.training import STATUS, Setup, Train, TrainState

PARAMS = "params"  # in a run directory: <member>.npz


def results(train: Train, state: TrainState, told: Any, data: Any) -> dict[str, Any]:
    """What is recorded of a member that has stopped.

    Args:
        train: its training function. state: its last state, host arrays.
        told: its last :class:`~rnnlab.training.Progress`, Python numbers.
        data: of its task.
    Returns:
        status ("solved", "finished", "diverged"), steps, solved_at and diverged_at (steps; inf:
        never), the last scores, the task's memoryless baseline, the number of parameters and
        their SHA-256; for one that diverged overflow_at_t, the first time step whose state is not
        finite in the forward pass of the batch it diverged on (−1: the forward pass is finite, or
        the model is not one cell, one way, without an embedding).
    """
    setup, step = train.setup, int(state.step)
    status = STATUS[int(state.status)]
    found = {
        "status": status,
        "steps": step,
        "solved_at": step if status == "solved" else math.inf,
        "diverged_at": step if status == "diverged" else math.inf,
        "train_loss": told.train_loss,
        **told.score,
        "baseline": float(setup.task.baseline(data)),
        "params": models.count_params(state.params),
        "sha256": digest(state.params),
    }
    if status == "diverged":
        found["overflow_at_t"] = _overflow_at(train, state, data)
    return found


def _overflow_at(train: Train, state: TrainState, data: Any) -> int:
    model = train.setup.model
    if not isinstance(model.layer, recurrence.CellLayer) or getattr(model, "embedding_size", 0):
        return -1
    batch, start = train.window(state, data)
    ys, _ = recurrence.unroll(
        model.layer.cell,
        state.params["params"]["recurrent"],
        _features(train.setup, batch.inputs),
        initial_state=start,
    )
    lost = ~np.isfinite(np.asarray(ys)).all(axis=(0, 2))
    return int(np.argmax(lost)) if lost.any() else -1


def _features(setup: Setup, inputs: Any) -> Any:
    """What the layer reads: symbols one-hot, as a model without an embedding has them."""
    if not setup.task.symbols:
        return inputs
    return jax.nn.one_hot(inputs, setup.task.input_size, dtype=jnp.float32)


# ---- probes ------------------------------------------------------------------------------------


def check_probe(setup: Setup) -> None:
    """Refuse a model that :func:`probe` cannot look into.

    Raises:
        ValueError: anything but one cell, one way, without an embedding.
    """
    model = setup.model
    if not isinstance(model.layer, recurrence.CellLayer) or getattr(model, "embedding_size", 0):
        raise ValueError(f"probes.at needs one layer, one way, without an embedding; got {model}")


def probe(train: Train, state: TrainState, data: Any) -> dict[str, Any]:
    """The gradient of the next batch: at each time step, and of each block of parameters.

    Returns:
        {"adjoint_h": log10 ‖∂L/∂h_t‖ (T,), the median over the batch; "adjoint_C" for an LSTM;
        "grad_<block>": ‖∂L/∂block‖}, of the loss that is trained on, without Ω and without noise
        inside the model. −inf: exactly zero for half of the batch or more.
    """
    adjoints, blocks = _look(train, state, data)
    found: dict[str, Any] = {f"adjoint_{k}": _median(np.asarray(v)) for k, v in adjoints.items()}
    return found | {f"grad_{name}": float(norm) for name, norm in blocks.items()}


@partial(jax.jit, static_argnames="train")
def _look(train: Train, state: TrainState, data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(log10 ‖∂L/∂s_t‖ of each part of the state (B, T), ‖∂L/∂block‖ of each block)."""
    setup, own = train.setup, state.params["params"]
    batch, start = train.window(state, data)
    lengths = lengths_of(batch)
    loss_of = losses.by_name(setup.task.loss)

    def loss(outputs: Any) -> Any:
        return loss_of(outputs, batch.targets, batch.mask, setup.settings.reduction)

    def read_out(ys: Any) -> Any:
        if not setup.task.many_to_one:
            h = ys
        elif getattr(setup.model, "pooling", "last") == "mean":
            h = models.mean_over_time(ys, lengths)
        elif lengths is None:
            h = ys[:, -1]
        else:
            last = jnp.maximum(lengths - 1, 0)
            h = jnp.take_along_axis(ys, last[:, None, None], axis=1)[:, 0]
        return loss(cells.output(h, own["W_hy"], own["b_y"], setup.model.activation))

    def whole(params: Any) -> Any:
        outputs, _ = setup.model.apply(params, batch.inputs, lengths=lengths, initial_state=start)
        return loss(outputs)

    xs = _features(setup, batch.inputs)
    curve = gradients.adjoint_norms(
        setup.model.layer, own["recurrent"], xs, read_out, initial_state=start, lengths=lengths
    )
    grads = jax.grad(whole)(state.params)["params"]
    blocks = grads.pop("recurrent")._asdict() | grads
    norms = {  # the blocks of an option lie deeper: norm.f.x
        jax.tree_util.keystr(place, simple=True, separator="."): jnp.linalg.norm(block)
        for place, block in jax.tree_util.tree_leaves_with_path(blocks)
    }
    return curve.norms, norms


def _median(log10_norms: np.ndarray) -> np.ndarray:
    return np.round(np.quantile(log10_norms, 0.5, axis=0, method="lower"), 4)


# ---- parameters --------------------------------------------------------------------------------


def params_file(run_dir: str | os.PathLike[str], index: int) -> Path:
    """Where a member's trained parameters are: params/<member>.npz."""
    return Path(run_dir) / PARAMS / f"{index}.npz"


def save_params(run_dir: Path, index: int, params: Any) -> None:
    """Write a member's parameters, each array under its path in the tree."""
    arrays = {
        jax.tree_util.keystr(place): np.asarray(leaf)
        for place, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    write_params(run_dir, index, packed.getvalue())


def write_params(run_dir: Path, index: int, packed: bytes) -> None:
    """Write a member's parameters, as :func:`save_params` packed them, here or elsewhere."""
    path = params_file(run_dir, index)
    path.parent.mkdir(exist_ok=True)
    records.write_bytes(path, packed)


def load_params(run_dir: str | os.PathLike[str], index: int) -> tuple[Setup, Any]:
    """A finished member again: (its setup, its trained parameters).

    Raises:
        UserError: no such run or member, or a file that does not fit the member's model.
    """
    from ml_collections import ConfigDict

    run_dir = Path(run_dir)
    info = records.read_config(run_dir)
    base = records.decode_config(info["config"])
    for line in records.read_jsonl(run_dir / records.MEMBERS):
        if line["member"] == index:
            overrides = records.decode_config(line["overrides"])
            break
    else:
        raise UserError(f"{run_dir} has no finished member {index}")
    config = ConfigDict(records.with_overrides(base, overrides))
    setup = training.setup_of(config)
    like = jax.eval_shape(lambda: training.draw_params(setup.model, jax.random.key(0), setup.task))
    path = params_file(run_dir, index)
    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
            arrays = dict(packed)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}") from None

    def read(place: Any, shape: Any) -> Any:
        name = jax.tree_util.keystr(place)
        if name not in arrays or arrays[name].shape != shape.shape:
            raise UserError(f"{path} does not fit member {index}: {name} must be {shape.shape}")
        return jnp.asarray(arrays[name])

    return setup, jax.tree_util.tree_map_with_path(read, like)
