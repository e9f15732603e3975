"""The gradient at each time step and of each block, logged during training."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.gradients import adjoint
from rnnlab.nn import equations, losses, models, norms
from rnnlab.nn.contract import part_name
from rnnlab.tasks.base import lengths_of
from rnnlab.training.settings import Setup
from rnnlab.training.train import Train, TrainState

Array = jax.Array
PyTree = Any  # parameters and data sets


def features(setup: Setup, inputs: Array) -> Array:
    """Return the layer's inputs: symbols one-hot, as in a model without an embedding."""
    if not setup.task.symbols:
        return inputs
    return jax.nn.one_hot(inputs, setup.task.input_size, dtype=jnp.float32)


def probe(train: Train, state: TrainState, data: PyTree) -> dict[str, np.ndarray | float]:
    """Return the gradient of the next batch: at each time step, and of each block of parameters.

    Args:
        train: of a setup whose model is one cell (:attr:`Setup.cell`).
        state: the member before the update. data: of its task.
    Returns:
        {"adjoint_h": log10 ‖∂L/∂h_t‖ (T,), the median over the batch; "adjoint_C" for an LSTM;
        "grad_<block>": ‖∂L/∂block‖}, of the training loss, without Ω and without noise inside the
        model. −inf: exactly zero for half of the batch or more.
    """
    adjoints, blocks = gradients(train, state, data)
    curves = {f"adjoint_{part}": _median(np.asarray(norms)) for part, norms in adjoints.items()}
    return {**curves, **{f"grad_{name}": float(norm) for name, norm in blocks.items()}}


@partial(jax.jit, static_argnames="train")
def gradients(
    train: Train, state: TrainState, data: PyTree
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return (log10 ‖∂L/∂s_t‖ of each part of the state (B, T), ‖∂L/∂block‖ of each block)."""
    setup, params = train.setup, state.params["params"]
    batch, start = train.window(state, data)
    lengths = lengths_of(batch)
    model = setup.model
    assert isinstance(model, models.Recurrent)  # for the setup has a cell
    loss_of = losses.by_name(setup.task.loss)

    def loss(outputs: Array) -> Array:
        return loss_of(outputs, batch.targets, batch.mask, setup.settings.reduction)

    def read_out(ys: Array) -> Array:
        if not setup.task.many_to_one:
            h = ys
        elif isinstance(model, models.ManyToOne) and model.pooling == "mean":
            h = models.mean_over_time(ys, lengths)
        elif lengths is None:
            h = ys[:, -1]
        else:
            h = models.at_step(ys, models.last_step(lengths, ys))
        return loss(equations.output(h, params["W_hy"], params["b_y"], model.activation))

    def whole(params: PyTree) -> Array:
        outputs, _ = model.apply(params, batch.inputs, lengths=lengths, initial_state=start)
        return loss(outputs)

    xs = features(setup, batch.inputs)
    curve = adjoint.adjoint_norms(
        model.layer, params["recurrent"], xs, read_out, initial_state=start, lengths=lengths
    )
    grads = jax.grad(whole)(state.params)["params"]
    recurrent = _by_name(grads.pop("recurrent"))
    read_out_blocks = _by_name(grads)
    # a cell of one's own may call a block W_hy too
    blocks = {f"recurrent.{k}" if k in read_out_blocks else k: v for k, v in recurrent.items()}
    sizes = {name: norms.norm(block) for name, block in (blocks | read_out_blocks).items()}
    return curve.norms, sizes


def _by_name(tree: PyTree) -> dict[str, Array]:
    """Return the leaves by name; the blocks of an option lie deeper: norm.f.x."""
    return {part_name(place): leaf for place, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _median(log10_norms: np.ndarray) -> np.ndarray:
    return np.round(np.quantile(log10_norms, 0.5, axis=0, method="lower"), 4)
