"""Regularizers that keep gradients from vanishing and exploding: Pascanu's Ω, and flossing.

``regularizer="omega"`` is Pascanu's Ω, which keeps the gradient's norm constant through time. In
the pre-activations a_t = W_hh h_{t−1} + W_xh x_t + b_h of a simple RNN, with δ_t = ∂L/∂a_t,

    Ω = Σ_t mean_B (‖∂a_{t+1}/∂a_t ᵀ δ_{t+1}‖² / ‖δ_{t+1}‖² − 1)² / Σ_t share_t,

over the steps and examples whose ‖δ_{t+1}‖² is at least :data:`BOUND` (share_t of the batch).
Only the *immediate* derivative with respect to W_hh is taken: δ and h are held constant.

Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), eqs 9–10; squares, average and bound as
in the authors' code (pascanur/trainingRNNs), with which they made their Fig. 7.

``regularizer="flossing"`` adds the squares of the first k Lyapunov exponents of every cell, on each
batch or on the first few sequences of it: :func:`rnnlab.gradients.flossing_loss`. Source: Engelken
2023 (arXiv 2312.17306); the author's code (RainerEngelken/GradientFlossing) takes one sequence.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.core import calls, validate
from rnnlab.core.errors import unknown
from rnnlab.gradients import flossing
from rnnlab.nn import cells, layers, models, norms, unroll
from rnnlab.nn.engines.fused_cells import SLOPES

Array = jax.Array
PyTree = Any  # parameters and states

BOUND = 1e-20  # of ‖δ‖²; a smaller gradient counts as zero
NAMES = ("none", "omega", "flossing")
EXPONENTS = 8  # that flossing pushes to zero where the config does not say


class Regularizer(NamedTuple):
    """A regularizer as its text says it."""

    name: str  # of NAMES
    exponents: int = 0  # k, that flossing pushes to zero
    sequences: int = 0  # of a batch, on which flossing measures them; 0: all


def parse(regularizer: str) -> Regularizer:
    """Return what a text says: a name, or "flossing(exponents=4, sequences=1)".

    Raises:
        ValueError: not of that form, an unknown name, or an invalid option.

    >>> tuple(parse("flossing(exponents=4)")), tuple(parse("omega"))
    (('flossing', 4, 0), ('omega', 0, 0))
    """
    form = "training.regularizer is a name or flossing(exponents=k, sequences=n)"
    name, options = calls.parse(str(regularizer), form)
    validate.choice("training.regularizer", name, NAMES)
    defaults = {"exponents": EXPONENTS, "sequences": 0} if name == "flossing" else {}
    for option in options:
        if option not in defaults:
            raise ValueError(unknown(f"option of regularizer {name!r}:", option, defaults))
    if not defaults:
        return Regularizer(name)
    given = defaults | options
    return Regularizer(
        name,
        validate.whole("training.regularizer: exponents", given["exponents"]),
        validate.whole("training.regularizer: sequences", given["sequences"], 0),
    )


def normalized(regularizer: str) -> str:
    """Return a regularizer with its options written out, so that equal ones are equal strings.

    >>> normalized("flossing"), normalized("flossing(sequences=1)"), normalized("omega()")
    ('flossing(exponents=8)', 'flossing(exponents=8, sequences=1)', 'omega')
    """
    name, k, sequences = parse(regularizer)
    some = f", sequences={sequences}" if sequences else ""
    return f"{name}(exponents={k}{some})" if k else name


def check_omega(layer: object) -> cells.RNN:
    """Return the simple RNN of a layer, for which Ω is defined; refuse any other layer.

    Raises:
        ValueError: anything but one simple RNN, one way, with a named activation.
    """
    cell = layer.cell if isinstance(layer, layers.CellLayer) else None
    # exactly this class: a subclass may have another step, and so has a normalized cell
    if type(cell) is not cells.RNN or cell.norm:
        raise ValueError(f"regularizer='omega' is defined for one simple RNN, got {layer}")
    validate.choice("activation for regularizer='omega':", cell.activation, SLOPES)
    return cell


def omega(W_hh: Array, activation: str, hs: Array, deltas: Array) -> Array:
    """Return Ω as a function of W_hh alone.

    Args:
        W_hh: (H, H). activation: f.
        hs: h_t (B, T, H). deltas: δ_t = ∂L/∂a_t (B, T, H), total derivatives.
    Returns:
        a scalar, 0 where every gradient is below the bound.
    """
    hs, deltas = jax.lax.stop_gradient((hs[:, :-1], deltas[:, 1:]))
    # the ratio is the same for δ·2^−e, whose squares do not leave the floats
    e = norms.exponent(jnp.max(jnp.abs(deltas), axis=-1, keepdims=True))
    deltas = norms.shift(deltas, -e)
    back = (deltas @ W_hh.T) * SLOPES[activation](hs)  # ‖∂a_{t+1}/∂a_tᵀ δ_{t+1}‖
    whole = jnp.sum(jnp.square(deltas), axis=-1)
    counts = norms.shift(whole, 2 * e[..., 0]) >= BOUND
    ratio = jnp.sum(jnp.square(back), axis=-1) / jnp.where(counts, whole, 1)
    term = jnp.where(counts, jnp.square(ratio - 1), 0)
    share = counts.astype(hs.dtype).mean(axis=0)
    return term.mean(axis=0).sum() / jnp.maximum(share.sum(), 1e-6)


def omega_gradient(
    model: models.Recurrent,
    params: PyTree,
    inputs: Array,
    loss: Callable[[Array], Array],
    initial_state: PyTree = None,
) -> Array:
    """Return ∂⁺Ω/∂W_hh of a model over one simple RNN, with δ of ``loss(outputs)``.

    One backward pass gives δ_t: it is the gradient of H further input features that are zero and
    enter through the identity.

    Args:
        model: a module of :mod:`rnnlab.nn.models` whose layer :func:`check_omega` accepts.
        params: its parameters. inputs: (B, T, D). loss: outputs ↦ scalar.
        initial_state: s_0, leaves (B, H); None: zeros.
    Returns:
        (H, H).
    Raises:
        ValueError: a model of symbols.
    """
    if model.symbols:
        raise ValueError(f"regularizer='omega' reads features, not symbols; got {model}")
    recurrent = params["params"]["recurrent"]
    cell = cells.without_init(check_omega(model.layer))
    W_hh = recurrent.W_hh
    H = W_hh.shape[0]
    wide = recurrent._replace(W_xh=jnp.concatenate([recurrent.W_xh, jnp.eye(H, dtype=W_hh.dtype)]))
    wide_params = {"params": {**params["params"], "recurrent": wide}}

    def loss_of(extra: Array) -> Array:
        widened = jnp.concatenate([inputs, extra], axis=-1)
        outputs, _ = model.apply(wide_params, widened, initial_state=initial_state)
        return loss(outputs)

    deltas = jax.grad(loss_of)(jnp.zeros((*inputs.shape[:-1], H), inputs.dtype))
    hs, _ = unroll.unroll(cell, recurrent, inputs, initial_state=initial_state)
    return jax.grad(omega)(W_hh, cell.activation, hs, deltas)


def layer_inputs(model: models.Recurrent, params: PyTree, inputs: Array) -> Array:
    """Return the sequences that a model's layer reads, (B, T, D): features, or embedded symbols."""
    if not model.symbols:
        return inputs
    if model.embedding_size:
        return jnp.take(params["params"]["embedding"], inputs, axis=0, mode="clip")
    return jax.nn.one_hot(inputs, model.symbols)


def flossing_gradient(
    model: models.Recurrent,
    params: PyTree,
    inputs: Array,
    asked: Regularizer,
    lengths: Array | None = None,
    initial_state: PyTree = None,
) -> PyTree:
    """Return ∂(Σ_{i≤k} λ_i²)/∂(parameters of the layer), on a batch or its first sequences.

    Args:
        model: a module of :mod:`rnnlab.nn.models`.
        params: its parameters. inputs: (B, T, D), or symbols (B, T).
        asked: k, exponents of every cell, and the sequences that are read.
        lengths: (B,) real steps. initial_state: of the layer; None: its own.
    """
    if asked.sequences:
        read = (inputs, lengths, initial_state)
        inputs, lengths, initial_state = jax.tree.map(lambda leaf: leaf[: asked.sequences], read)
    xs = layer_inputs(model, params, inputs)

    def loss(recurrent: PyTree) -> Array:
        return flossing.flossing_loss(
            model.layer,
            recurrent,
            xs,
            asked.exponents,
            lengths=lengths,
            initial_state=initial_state,
        )[0]

    return jax.grad(loss)(params["params"]["recurrent"])
