"""A model one step at a time: streaming, sampling text, rolling out a forecast.

Inference is the same forward pass with the state carried along; in generation y_t is fed back as
x_{t+1}. A backward direction needs the end of the sequence first, so a bidirectional layer raises
an error. Programs are compiled once per model (without its init) and shapes.

Shapes: B batch, T_0 steps of the prompt, D features, O outputs, V symbols.
Source: the notes, inference and generation.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.nn import layers, models, unroll
from rnnlab.nn.meshes import automatic, batch_spec, varying_alike
from rnnlab.nn.params import PyTree

Array = jax.Array
Recurrent = models.Recurrent
Step = Callable[[PyTree, PyTree, Array], tuple[Array, PyTree]]


class Stream(NamedTuple):
    """A model that takes one step at a time, as :func:`stream` returns it."""

    start: Callable[..., PyTree]  # (params, batch_size, key=None) -> s_0
    step: Step  # (params, state, x_t) -> (y_t (B, O), state)


def stream(model: models.Model) -> Stream:
    """Return (start, step), which compute step by step what the whole-sequence pass does at once.

    Args:
        model: any of :mod:`rnnlab.nn.models`.
    Returns:
        ``step`` takes x_t (B, D), or symbols (B,), and returns y_t; for a many-to-one model the
        answer to the steps read so far. With ``pooling="mean"`` that is the mean of the answers,
        equal to the answer to the mean if g is the identity:
        W_hy (1/t) Σ h_s + b_y = (1/t) Σ (W_hy h_s + b_y).
    Raises:
        ValueError: a bidirectional layer; a mean over time with another g.
        TypeError: a model of another kind, an encoder-decoder for instance.

    >>> from rnnlab import LSTM
    >>> model = models.ManyToMany(LSTM(4), outputs=2)
    >>> params = model.init(jax.random.key(0), jnp.ones((3, 5, 1)))
    >>> start, step = stream(model)
    >>> y, state = step(params, start(params, batch_size=3), jnp.ones((3, 1)))
    >>> y.shape
    (3, 2)
    """
    model = _forward_only(model)

    def step(params: PyTree, state: PyTree, x: Array) -> tuple[Array, PyTree]:
        rank = 1 if model.symbols else 2
        if jnp.ndim(x) != rank:
            axes = "symbols (batch,)" if model.symbols else "(batch, features)"
            raise ValueError(f"x must be one step, {axes}, got shape {jnp.shape(x)}")
        if model.symbols:
            models.check_symbols(x[:, None], model.symbols)
        batch = batch_spec(x)
        specs = P(*batch), jax.tree.map(lambda part: P(*batch[: jnp.ndim(part)]), state)
        return automatic(partial(_step, model), params, state, x, out=lambda: specs)

    if isinstance(model, models.ManyToOne) and model.pooling == "mean":
        return _averaged(model, step)
    return Stream(partial(models.initial_state, model), step)


def _averaged(model: models.ManyToOne, step: Step) -> Stream:
    """Stream a mean over time; the state also holds the sum of the answers and their number."""
    if model.activation != "identity":
        raise ValueError(
            f"a mean over time streams through activation='identity' only, got {model.activation!r}"
        )

    def start(params: PyTree, batch_size: int, key: Array | None = None) -> PyTree:
        total = jnp.zeros((batch_size, model.outputs), params["params"]["W_hy"].dtype)
        inner = models.initial_state(model, params, batch_size, key)
        return inner, total, jnp.zeros((), jnp.int32)

    def averaged(params: PyTree, state: PyTree, x: Array) -> tuple[Array, PyTree]:
        inner, total, count = state
        y, inner = step(params, inner, x)
        total, count = total + y, count + 1
        return total / count.astype(total.dtype), (inner, total, count)

    return Stream(start, averaged)


def generate(
    model: models.Model,
    params: PyTree,
    prompt: ArrayLike,
    steps: int,
    key: Array | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
) -> Array:
    """Generate symbols after a prompt: x_{t+1} ~ softmax(y_t / temperature), fed back.

    Args:
        model: one with logits over the symbols that it reads, such as a language model.
        params: its parameters.
        prompt: (B, T_0) symbols, read first; T_0 ≥ 1.
        steps: symbols to generate.
        key: step t draws from ``fold_in(key, t)``; not needed at temperature 0.
        temperature: below 1 sharper, above 1 flatter; 0: the largest logit (the first of equals).
        top_k: draw among exactly the k largest logits; 0: among all.
    Returns:
        (B, steps) int32, the generated symbols.
    Raises:
        ValueError: a bidirectional layer, a model without logits over its own symbols, an invalid
            prompt, steps, temperature or top_k, or a missing key.
        TypeError: a prompt that is not whole numbers.
    Source: the notes, generation; top-k: Fan et al. 2018 (arXiv 1805.04833), §5.1.

    >>> from rnnlab import GRU
    >>> model = models.LanguageModel(GRU(4), symbols=5)
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 1), int))
    >>> generate(model, params, jnp.zeros((2, 3), int), steps=6, temperature=0).shape
    (2, 6)
    """
    model = _forward_only(model)
    V = model.symbols
    if not V or model.outputs != V or model.activation != "identity":
        raise ValueError(
            "generate feeds symbols back: the model must give logits over its own "
            f"symbols, got symbols={V}, outputs={model.outputs}, "
            f"activation={model.activation!r}"
        )
    steps = validate.whole("steps", steps)
    _check_prompt(prompt, "symbols (batch, time)", 2)
    models.check_symbols(prompt, V)
    # a positive temperature must be a normal float32; NaN fails both comparisons
    if not (temperature == 0 or np.finfo(np.float32).tiny <= temperature < math.inf):
        raise ValueError(
            f"temperature must be 0 (greedy) or a positive finite number, got {temperature!r}"
        )
    top_k = validate.whole("top_k", top_k, 0, V)
    greedy = temperature == 0
    prompt = jnp.asarray(prompt)
    if not greedy and key is None:
        raise ValueError(f"temperature={temperature} draws at random: give a key, or temperature=0")
    heat = None if greedy else jnp.float32(temperature)
    return automatic(
        lambda *args: _generate(model, *args, steps, 0 if greedy else top_k),
        params,
        prompt,
        None if greedy else key,
        heat,
        out=lambda: P(*batch_spec(prompt)),
    )


def rollout(model: models.Model, params: PyTree, prompt: ArrayLike, steps: int) -> Array:
    """Forecast after a prompt from the model's own forecasts: x_{t+1} = y_t, fed back.

    Args:
        model: one that predicts its next input, with O = D outputs.
        params: its parameters.
        prompt: (B, T_0, D) floats, read first; T_0 ≥ 1.
        steps: steps to predict.
    Returns:
        (B, steps, D), the forecast.
    Raises:
        ValueError: a bidirectional layer, a model of symbols, O ≠ D, an invalid prompt or steps.
        TypeError: a prompt that is not floats.
    Source: the notes, generation.

    >>> from rnnlab import GRU
    >>> model = models.ManyToOne(GRU(4), outputs=2)
    >>> params = model.init(jax.random.key(0), jnp.ones((1, 1, 2)))
    >>> rollout(model, params, jnp.ones((3, 5, 2)), steps=4).shape
    (3, 4, 2)
    """
    model = _forward_only(model)
    if model.symbols:
        raise ValueError(
            f"rollout feeds features back, got a model of {model.symbols} symbols: see generate"
        )
    steps = validate.whole("steps", steps)
    xs = unroll.check_inputs(prompt)
    _check_prompt(xs, "(batch, time, features)", 3)
    if model.outputs != xs.shape[-1]:
        raise ValueError(
            "rollout feeds outputs back: the model must give as many as it reads, "
            f"got {model.outputs} outputs, {xs.shape[-1]} features"
        )
    return automatic(
        lambda params, xs: _rollout(model, params, xs, steps),
        params,
        xs,
        out=lambda: P(*batch_spec(xs)),
    )


# ---- checks ------------------------------------------------------------------------------------


def _forward_only(model: models.Model) -> Recurrent:
    """Return the model without its init, if it is one layer that runs forwards only."""
    if not isinstance(model, Recurrent):
        raise TypeError(
            f"only the models of rnnlab.nn.models run step by step, got {type(model).__name__}"
        )
    _check_forward_only(model.layer)
    return models.without_init(model)


def _check_forward_only(layer: layers.Layer) -> None:
    if isinstance(layer, layers.Bidirectional):
        raise ValueError(
            "a Bidirectional layer can't run in real time: its backward half starts "
            f"at the end of the sequence; got {layer}"
        )
    for inner in layer.layers if isinstance(layer, layers.Stack) else ():
        _check_forward_only(inner)


def _check_prompt(prompt: ArrayLike, axes: str, rank: int) -> None:
    shape = jnp.shape(prompt)
    if len(shape) != rank or 0 in shape[1:]:
        raise ValueError(f"prompt must be {axes} with at least one step, got shape {shape}")


# ---- compiled ----------------------------------------------------------------------------------


def _advance(
    model: Recurrent, params: PyTree, state: PyTree, inputs: Array
) -> tuple[Array, PyTree]:
    """(y (B, O) after the last step of ``inputs``, state)."""
    y: PyTree
    y, state = model.apply(params, inputs, initial_state=state)
    return y if isinstance(model, models.ManyToOne) else y[:, -1], state


@partial(jax.jit, static_argnames=("model",))
def _step(model: Recurrent, params: PyTree, state: PyTree, x: Array) -> tuple[Array, PyTree]:
    return _advance(model, params, state, x[:, None])


@partial(jax.jit, static_argnames=("model", "steps", "top_k"))
def _generate(
    model: Recurrent,
    params: PyTree,
    prompt: Array,
    key: Array | None,
    temperature: Array | None,
    steps: int,
    top_k: int,
) -> Array:
    def choose(t: Array | int, logits: Array) -> Array:
        if temperature is None:
            return jnp.argmax(logits, axis=-1).astype(jnp.int32)
        assert key is not None
        # with the largest at 0 a temperature near 0 sends the others to −∞, without ∞ − ∞
        scaled = (logits - logits.max(-1, keepdims=True)) / temperature.astype(logits.dtype)
        key_t = jax.random.fold_in(key, t)
        if not top_k:
            return jax.random.categorical(key_t, scaled).astype(jnp.int32)
        # top_k rather than a threshold, which would admit ties beyond the k-th
        best, symbols = jax.lax.top_k(scaled, top_k)
        drawn = jax.random.categorical(key_t, best)
        return jnp.take_along_axis(symbols, drawn[:, None], axis=1)[:, 0].astype(jnp.int32)

    def body(carry: tuple[PyTree, Array], t: Array) -> tuple[tuple[PyTree, Array], Array]:
        state, symbol = carry
        logits, state = _advance(model, params, state, symbol[:, None])
        symbol = choose(t, logits)
        return (state, symbol), symbol

    params, prompt, key, temperature = varying_alike((params, prompt, key, temperature))
    logits, state = _advance(model, params, None, prompt)
    first = choose(0, logits)
    _, rest = jax.lax.scan(body, (state, first), jnp.arange(1, steps))
    return jnp.concatenate([first[:, None], rest.T], axis=1)


@partial(jax.jit, static_argnames=("model", "steps"))
def _rollout(model: Recurrent, params: PyTree, prompt: Array, steps: int) -> Array:
    def body(carry: tuple[PyTree, Array], _: None) -> tuple[tuple[PyTree, Array], Array]:
        state, y = carry
        y, state = _advance(model, params, state, y[:, None])
        return (state, y), y

    params, prompt = varying_alike((params, prompt))
    first, state = _advance(model, params, None, prompt)
    _, rest = jax.lax.scan(body, (state, first), length=steps - 1)
    return jnp.concatenate([first[:, None], jnp.moveaxis(rest, 0, 1)], axis=1)
