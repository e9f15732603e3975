"""Layers with a read-out, as Flax linen modules: classifier, tagger, language model.

A model is hashable and equal by value, so that it is a static argument of a compiled program;
:func:`without_init` leaves of it what the program depends on. Parameters are laid out as
``{"params": {"recurrent": the layer's own, "W_hy": (H, O), "b_y": (O,), "embedding": (V, E)}}``,
the last for a model that embeds symbols.

Shapes: B batch, T time, D input, H the layer's outputs, O outputs, V symbols, E embedding.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.core import Tracer

from rnnlab.core.errors import unknown
from rnnlab.nn import activations, cells, crf, equations, layers, unroll
from rnnlab.nn.initializers import Scheme, make

Array = jax.Array


POOLINGS = ("last", "mean")


class ManyToOne(nn.Module):
    """y = g(W_hy h_T + b_y): one answer a sequence; or of the mean over time, (1/T) Σ_t h_t.

    h_T is the layer's output at each sequence's last real step; only that step is read out, and a
    sequence of no real steps reads h = 0. A direction that runs backwards is read at step 0, where
    it has seen everything: a bidirectional layer (or the top one of a stack) gives
    combine(h→_T, h←_1) for every ``merge``, as Keras has it. ``ys[:, T]`` would hold a backward
    half that has seen one step only.

    Args:
        layer: a layer, or a cell.
        outputs: O.
        w_y, b_y: schemes of W_hy (H, O) and b_y (O,).
        activation: g; "identity" for logits and regression.
        symbols: V for inputs that are whole numbers 0 … V−1; 0: inputs are features.
        embedding_size: E, of a learned embedding (V, E); 0: symbols enter one-hot.
        w_e: the scheme of the embedding.
        pooling: "last": h_T is read; "mean": the mean of the outputs at a sequence's real steps.
    Raises:
        ValueError, TypeError: sizes, schemes, a pooling or a layer that are none.
    Source: the notes, 输出更新.

    >>> model = ManyToOne(cells.LSTM(4), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.ones((2, 5, 1)))
    >>> y, state = model.apply(params, jnp.ones((2, 5, 1)), lengths=jnp.array([5, 2]))
    >>> y.shape, state.C.shape
    ((2, 3), (2, 4))
    """

    layer: Any
    outputs: int
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    activation: activations.Activation = "identity"
    symbols: int = 0
    embedding_size: int = 0
    w_e: Scheme = "uniform(bound=0.1)"
    pooling: str = "last"

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        _check_model(self)
        if self.pooling not in POOLINGS:
            raise ValueError(unknown("pooling", self.pooling, POOLINGS))
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        inputs: Array,
        *,
        lengths: Array | None = None,
        initial_state: Any = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
    ) -> tuple[Array, Any]:
        """Read whole sequences, answer once.

        Args:
            inputs: (B, T, D) floats; (B, T) whole numbers for a model with ``symbols``.
            lengths, initial_state, key, deterministic, engine: as :func:`rnnlab.unroll`.
        Returns:
            (y (B, O), the layer's final state).
        Raises:
            ValueError: shapes that do not fit, or a concrete symbol outside 0 … V−1 (one that is
                only known when the program runs makes its sequence NaN).
            TypeError: floats for symbols, or the other way round.
        """
        # each direction apart: from merged outputs the two ends could not be told
        layer = apart(self.layer) if self.pooling == "last" else self.layer
        ys, state, _ = _run(
            self,
            layer,
            inputs,
            lengths,
            initial_state=initial_state,
            key=key,
            deterministic=deterministic,
            engine=engine,
        )
        if self.pooling == "mean":
            return _read_out(self, mean_over_time(ys, lengths)), state
        last = None if lengths is None else jnp.maximum(jnp.asarray(lengths, jnp.int32) - 1, 0)
        return _read_out(self, ends(self.layer, ys, last)), state


class ManyToMany(nn.Module):
    """y_t = g(W_hy h_t + b_y): one answer a step.

    Args:
        As :class:`ManyToOne`; and
        crf: answers are the scores (B, T, O, O) of :func:`rnnlab.nn.crf.edges`, with learned
            transitions from label to label, zero at first.
    Source: the notes, 输出更新.

    >>> model = ManyToMany(recurrence.bidirectional(cells.GRU(4)), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.ones((2, 5, 1)))
    >>> model.apply(params, jnp.ones((2, 5, 1)))[0].shape
    (2, 5, 3)
    """

    layer: Any
    outputs: int
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    activation: activations.Activation = "identity"
    symbols: int = 0
    embedding_size: int = 0
    w_e: Scheme = "uniform(bound=0.1)"
    crf: bool = False

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        _check_model(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        inputs: Array,
        *,
        lengths: Array | None = None,
        initial_state: Any = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
    ) -> tuple[Array, Any]:
        """(y (B, T, O), final state); the rest as :class:`ManyToOne`.

        Past a sequence's length h_t is zero, so that y_t = g(b_y) there, whatever the padding.
        """
        ys, state, _ = _run(
            self,
            self.layer,
            inputs,
            lengths,
            initial_state=initial_state,
            key=key,
            deterministic=deterministic,
            engine=engine,
        )
        y = _read_out(self, ys)
        if self.crf:
            y = crf.edges(y, _array(self, "transitions", "zeros", (self.outputs + 1, self.outputs)))
        return y, state


class LanguageModel(nn.Module):
    """p(x_{t+1} | x_1 … x_t) = softmax(y_t), y_t = W_hy h_t + b_y, over V symbols.

    Args:
        layer: a layer, or a cell.
        symbols: V.
        embedding_size: E; 0: symbols enter one-hot.
        tie: W_hy is the embedding transposed, which needs E = H (Press & Wolf 2017,
            arXiv 1608.05859); there is no parameter W_hy then.
        w_y, b_y, activation, w_e: as :class:`ManyToOne`.

    >>> model = LanguageModel(cells.LSTM(4), symbols=7, embedding_size=4, tie=True)
    >>> params = model.init(jax.random.key(0), jnp.zeros((2, 5), int))
    >>> sorted(params["params"]), model.apply(params, jnp.zeros((2, 5), int))[0].shape
    (['b_y', 'embedding', 'recurrent'], (2, 5, 7))
    """

    layer: Any
    symbols: int
    embedding_size: int = 0
    tie: bool = False
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    activation: activations.Activation = "identity"
    w_e: Scheme = "uniform(bound=0.1)"

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        _whole("symbols", self.symbols, 1)
        _check_model(self)
        features = self.layer.output_size
        if self.tie and self.embedding_size != features:
            raise ValueError(
                f"tie=True needs embedding_size = {features}, the layer's outputs, "
                f"got {self.embedding_size}"
            )
        super().__post_init__()

    @property
    def outputs(self) -> int:
        """O: V."""
        return self.symbols

    @nn.compact
    def __call__(
        self,
        inputs: Array,
        *,
        lengths: Array | None = None,
        initial_state: Any = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
    ) -> tuple[Array, Any]:
        """Logits (B, T, V) for symbols (B, T), and the final state; see :class:`ManyToMany`."""
        ys, state, embedding = _run(
            self,
            self.layer,
            inputs,
            lengths,
            initial_state=initial_state,
            key=key,
            deterministic=deterministic,
            engine=engine,
        )
        return _read_out(self, ys, embedding if self.tie else None), state


Model = ManyToOne | ManyToMany | LanguageModel


# ---- what the models share ---------------------------------------------------------------------


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _check_model(model: Model) -> None:
    _whole("outputs", model.outputs, 1)
    _whole("symbols", model.symbols, 0)
    _whole("embedding_size", model.embedding_size, 0)
    if model.embedding_size and not model.symbols:
        raise ValueError(
            f"embedding_size={model.embedding_size} embeds symbols: say how many "
            "there are with symbols"
        )
    activations.activation_function(model.activation)
    for name in ("w_y", "b_y", "w_e"):
        try:
            make(getattr(model, name), model.layer.output_size)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _parameter(model: Model, name: str, init: Any, *args: Any) -> Any:
    """``model.param``, whose own check of shapes would raise no ValueError."""
    if model.is_initializing():
        return model.param(name, init, *args)
    if not model.has_variable("params", name):
        raise ValueError(f"params must hold {name!r}, got {sorted(model.variables['params'])}")
    return model.get_variable("params", name)


def _array(model: Model, name: str, scheme: Scheme, shape: tuple[int, ...]) -> Array:
    value = _parameter(model, name, make(scheme, model.layer.output_size), shape)
    if jnp.shape(value) != shape:
        raise ValueError(f"params[{name!r}] must be {shape}, got {jnp.shape(value)}")
    return value


def _run(
    model: Model, layer: Any, inputs: Any, lengths: Any, **options: Any
) -> tuple[Array, Any, Array | None]:
    """(ys (B, T, H) of ``layer``, final state, the embedding if there is one)."""
    embedding = None
    if model.symbols:
        check_symbols(inputs, model.symbols, lengths)
        features = model.embedding_size or model.symbols
    else:
        inputs = unroll.check_inputs(inputs)
        _check_shape(inputs, "(batch, time, features)", 3)
        features = inputs.shape[-1]
    recurrent = _parameter(model, "recurrent", layer.init, features)
    if model.symbols:
        symbols = jnp.asarray(inputs)
        if model.embedding_size:
            shape = (model.symbols, model.embedding_size)
            embedding = _array(model, "embedding", model.w_e, shape)
            xs = jnp.take(embedding, symbols, axis=0, mode="clip")
        else:
            dtype = jnp.result_type(*jax.tree.leaves(recurrent))
            xs = jax.nn.one_hot(symbols, model.symbols, dtype=dtype)
        # a symbol that is none must not pass for another, or for nothing; padding is cut off later
        known = (symbols >= 0) & (symbols < model.symbols)
        inputs = jnp.where(known[..., None], xs, jnp.nan)
    ys, state = layer.apply(recurrent, inputs, lengths=lengths, **options)
    return ys, state, embedding


def _read_out(model: Model, h: Array, embedding: Array | None = None) -> Array:
    if embedding is None:
        shape = (model.layer.output_size, model.outputs)
        W_hy = _array(model, "W_hy", model.w_y, shape)
    else:
        W_hy = embedding.T
    b_y = _array(model, "b_y", model.b_y, (model.outputs,))
    return equations.output(h, W_hy, b_y, model.activation)


def _check_shape(inputs: Any, wanted: str, rank: int) -> None:
    shape = jnp.shape(inputs)
    if len(shape) != rank:
        raise ValueError(f"inputs must be {wanted}, got shape {shape}")
    if shape[1] == 0:
        raise ValueError(f"inputs must have at least one step, got shape {shape}")


def check_symbols(inputs: Any, V: int, lengths: Any = None) -> None:
    """Refuse what is no symbol, 0 … V−1, at a real step of (B, T), as far as it is known yet.

    Raises:
        ValueError: another shape, or a symbol outside the range. TypeError: no whole numbers.
    """
    if not hasattr(inputs, "dtype"):
        inputs = np.asarray(inputs)
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        raise TypeError(f"inputs must be symbols, whole numbers, got {inputs.dtype}")
    _check_shape(inputs, "symbols (batch, time)", 2)
    if isinstance(inputs, Tracer) or isinstance(lengths, Tracer):
        return
    symbols = np.asarray(inputs)
    if lengths is not None and np.shape(lengths) == symbols.shape[:1]:  # else the layer objects
        symbols = symbols[np.arange(symbols.shape[1]) < np.asarray(lengths)[:, None]]
    if symbols.size and (symbols.min() < 0 or symbols.max() >= V):
        raise ValueError(f"symbols must lie in 0 … {V - 1}, got {symbols.min()} … {symbols.max()}")


def mean_over_time(ys: Array, lengths: Array | None = None) -> Array:
    """(1/T) Σ_t y_t over the real steps of each sequence; 0 for one without any.

    Args:
        ys: (B, T, H), zero past each length, as :func:`rnnlab.unroll` returns them.
        lengths: (B,); None: T.
    Returns:
        (B, H).

    >>> mean_over_time(jnp.array([[[2.0], [4.0], [0.0]]]), jnp.array([2])).tolist()
    [[3.0]]
    """
    if lengths is None:
        return ys.mean(axis=1)
    steps = jnp.maximum(jnp.asarray(lengths), 1).astype(ys.dtype)
    return ys.sum(axis=1) / steps[:, None]


def apart(layer: Any) -> Any:
    """The layer with the outputs of its top directions side by side, whatever its merge."""
    if isinstance(layer, layers.Stack):
        return replace(layer, layers=(*layer.layers[:-1], apart(layer.layers[-1])))
    if isinstance(layer, layers.Bidirectional):
        forward, backward = apart(layer.forward), apart(layer.backward)
        return replace(layer, forward=forward, backward=backward, merge="concat")
    return layer


def ends(layer: Any, ys: Array, last: Array | None, reverse: bool = False) -> Array:
    """h (B, H) where each direction has seen everything, merged; ys are of :func:`apart`."""
    if isinstance(layer, layers.Stack):
        return ends(layer.layers[-1], ys, last, reverse)
    if isinstance(layer, layers.Bidirectional):
        split = apart(layer.forward).output_size
        ahead = ends(layer.forward, ys[..., :split], last, reverse)
        back = ends(layer.backward, ys[..., split:], last, not reverse)
        return layers.MERGES[layer.merge](ahead, back)
    if reverse:
        return ys[:, 0]
    if last is None:
        return ys[:, -1]
    return jnp.take_along_axis(ys, last[:, None, None], axis=1)[:, 0]


# ---- around a model ----------------------------------------------------------------------------


def without_init(model: Any) -> Any:
    """The model with its schemes stripped: what a compiled program depends on.

    A sweep of schemes draws its parameters first and compiles once for all of them; see
    :func:`rnnlab.nn.cells.without_init`.

    >>> a = ManyToOne(cells.RNN(4, init=InitScheme(w_h="identity")), 2, w_y="he_normal")
    >>> without_init(a) == without_init(ManyToOne(cells.RNN(4), 2))
    True
    """
    if hasattr(model, "without_init"):  # one that is not made of layers
        return model.without_init()
    return model.clone(layer=cells.without_init(model.layer), w_y="zeros", b_y="zeros", w_e="zeros")


def initial_state(model: Any, params: Any, batch_size: int, key: Array | None = None) -> Any:
    """s_0 of the model's layer, leaves (B, H); random with a key."""
    _whole("batch_size", batch_size, 1)
    return model.layer.initial_state(params["params"]["recurrent"], (batch_size,), key)


def count_params(params: Any) -> int:
    """How many numbers a model learns; of any pytree of arrays or shapes.

    >>> model = ManyToOne(cells.RNN(4), outputs=2)
    >>> count_params(model.init(jax.random.key(0), jnp.ones((1, 9, 3))))  # 3·4 + 4·4 + 4 + 4·2 + 2
    42
    """
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))
