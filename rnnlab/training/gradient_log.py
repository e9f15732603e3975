"""The gradient at each time step and of each block, logged during training."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.gradients import adjoint
from rnnlab.nn import equations, layers, losses, models
from rnnlab.tasks.base import lengths_of
from rnnlab.training.settings import Setup
from rnnlab.training.train import Train, TrainState


def features(setup: Setup, inputs: Any) -> Any:
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
    if not isinstance(model.layer, layers.CellLayer) or getattr(model, "embedding_size", 0):
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
        return loss(equations.output(h, own["W_hy"], own["b_y"], setup.model.activation))

    def whole(params: Any) -> Any:
        outputs, _ = setup.model.apply(params, batch.inputs, lengths=lengths, initial_state=start)
        return loss(outputs)

    xs = features(setup, batch.inputs)
    curve = adjoint.adjoint_norms(
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
