"""Layers with a read-out, as Flax linen modules: classifier, tagger, language model.

A model is hashable and equal by value, so that it can be a static argument of a compiled program;
:func:`without_init` strips everything that the program does not depend on. Parameters are
``{"params": {"recurrent": the layer's own, "W_hy": (H, O), "b_y": (O,), "embedding": (V, E)}}``,
with ``embedding`` only in a model that embeds symbols.

Shapes: B batch, T time, D input, H the layer's outputs, O outputs, V symbols, E embedding.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.core import Tracer
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.nn import activations, cells, crf, equations, layers, unroll
from rnnlab.nn.initializers import Scheme, make
from rnnlab.nn.layers import Layer
from rnnlab.nn.meshes import automatic, batch_spec, take_rows
from rnnlab.nn.params import PyTree

Array = jax.Array


@runtime_checkable
class Model(Protocol):
    """A network that is trained: drawn by ``init``, run by ``apply``, as Flax modules are."""

    @property
    def layer(self) -> Any:
        """The recurrent layer, or another object whose ``dropout`` says if it draws noise."""
        ...

    def init(self, key: Array, inputs: PyTree, /) -> PyTree: ...
    def apply(self, params: PyTree, inputs: PyTree, /, **options: Any) -> Any: ...
    def without_init(self) -> Self: ...


M = TypeVar("M", bound=Model)

POOLINGS = ("last", "mean")


class _ReadOut(nn.Module):
    """A layer and a read-out of its outputs, by the subclass."""

    layer: Layer
    outputs: int
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    activation: activations.Activation = "identity"
    symbols: int = 0
    embedding_size: int = 0
    w_e: Scheme = "uniform(bound=0.1)"

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        self.outputs = validate.whole("outputs", self.outputs)
        self.symbols = validate.whole("symbols", self.symbols, 0)
        self.embedding_size = validate.whole("embedding_size", self.embedding_size, 0)
        _check_model(self)
        super().__post_init__()

    def without_init(self) -> Self:
        """Return the model with default schemes: everything that a compiled program depends on."""
        return _without_init(self)

    @nn.compact
    def __call__(
        self,
        inputs: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        initial_state: PyTree = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
    ) -> tuple[Array, PyTree]:
        """Read whole sequences; return the answers and the layer's final state.

        Args:
            inputs: (B, T, D) floats; (B, T) whole numbers for a model with ``symbols``.
            lengths, initial_state, key, deterministic, engine: as :func:`rnnlab.unroll`.
        Returns:
            (y, final state): y is (B, O) of a :class:`ManyToOne`, (B, T, O) of a
            :class:`ManyToMany`, whose y_t = g(b_y) past a sequence's length.
        Raises:
            ValueError: shapes that do not fit, or a known symbol outside 0 … V−1 (a traced one
                makes its sequence NaN).
            TypeError: floats for symbols, or whole numbers for features.
        """
        options = {"initial_state": initial_state, "key": key, "deterministic": deterministic}
        layer = self._layer_to_run()
        ys, state, _ = _run(self, layer, inputs, lengths, engine=engine, **options)
        return self._answers(ys, lengths), state

    def _layer_to_run(self) -> Layer:
        return self.layer

    def _answers(self, ys: Array, lengths: ArrayLike | None) -> Array:
        raise NotImplementedError


class ManyToOne(_ReadOut):
    """One answer per sequence: y = g(W_hy h_T + b_y), or g of the mean (1/T) Σ_t h_t.

    h_T is the layer's output at each sequence's last real step, and h = 0 for a sequence without
    real steps. A backward direction is read at step 0, where it has seen everything: a
    bidirectional layer (or the top one of a stack) gives combine(h→_T, h←_1) for every ``merge``,
    as in Keras. Its outputs at step T would hold a backward half that has seen one step only.

    Args:
        layer: a layer, or a cell.
        outputs: O.
        w_y, b_y: schemes of W_hy (H, O) and b_y (O,).
        activation: g; "identity" for logits and regression.
        symbols: V for inputs that are whole numbers 0 … V−1; 0: inputs are features.
        embedding_size: E, of a learned embedding (V, E); 0: symbols enter one-hot.
        w_e: the scheme of the embedding.
        pooling: "last": h_T; "mean": the mean of the outputs at a sequence's real steps.
    Raises:
        ValueError: an invalid size, scheme, activation or pooling.
        TypeError: ``layer`` is neither a layer nor a cell.
    Source: the notes, 输出更新.

    >>> model = ManyToOne(cells.LSTM(4), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.ones((2, 5, 1)))
    >>> y, state = model.apply(params, jnp.ones((2, 5, 1)), lengths=jnp.array([5, 2]))
    >>> y.shape, state.C.shape
    ((2, 3), (2, 4))
    """

    pooling: str = "last"

    def __post_init__(self) -> None:
        validate.choice("pooling", self.pooling, POOLINGS)
        super().__post_init__()

    def _layer_to_run(self) -> Layer:
        # merged outputs would not show the ends of the two directions
        return apart(self.layer) if self.pooling == "last" else self.layer

    def _answers(self, ys: Array, lengths: ArrayLike | None) -> Array:
        if self.pooling == "mean":
            return _read_out(self, mean_over_time(ys, lengths))
        last = None if lengths is None else last_step(lengths, ys)
        return _read_out(self, ends(self.layer, ys, last))


class ManyToMany(_ReadOut):
    """One answer per step: y_t = g(W_hy h_t + b_y).

    Args:
        As :class:`ManyToOne`, without ``pooling``; and
        crf: the answers are the scores (B, T, O, O) of :func:`rnnlab.nn.crf.edges`, with learned
            transitions from label to label, zero at first.
    Source: the notes, 输出更新.

    >>> model = ManyToMany(layers.Bidirectional(cells.GRU(4)), outputs=3)
    >>> params = model.init(jax.random.key(0), jnp.ones((2, 5, 1)))
    >>> model.apply(params, jnp.ones((2, 5, 1)))[0].shape
    (2, 5, 3)
    """

    crf: bool = False

    def __post_init__(self) -> None:
        self.crf = validate.flag("crf", self.crf)
        super().__post_init__()

    def _answers(self, ys: Array, lengths: ArrayLike | None) -> Array:
        y = _read_out(self, ys)
        if self.crf:
            y = crf.edges(y, _array(self, "transitions", "zeros", (self.outputs + 1, self.outputs)))
        return y


class LanguageModel(nn.Module):
    """The next symbol's distribution, p(x_{t+1} | x_1 … x_t) = softmax(W_hy h_t + b_y).

    Args:
        layer: a layer, or a cell.
        symbols: V.
        embedding_size: E; 0: symbols enter one-hot.
        tie: W_hy is the embedding transposed, which needs E = H (Press & Wolf 2017,
            arXiv 1608.05859); there is no parameter W_hy then.
        w_y, b_y, activation, w_e: as :class:`ManyToOne`.
    Raises:
        ValueError: an invalid size, scheme or activation; ``tie`` with E ≠ H.
        TypeError: ``layer`` is neither a layer nor a cell.

    >>> model = LanguageModel(cells.LSTM(4), symbols=7, embedding_size=4, tie=True)
    >>> params = model.init(jax.random.key(0), jnp.zeros((2, 5), int))
    >>> sorted(params["params"]), model.apply(params, jnp.zeros((2, 5), int))[0].shape
    (['b_y', 'embedding', 'recurrent'], (2, 5, 7))
    """

    layer: Layer
    symbols: int
    embedding_size: int = 0
    tie: bool = False
    w_y: Scheme = "xavier_uniform"
    b_y: Scheme = "zeros"
    activation: activations.Activation = "identity"
    w_e: Scheme = "uniform(bound=0.1)"

    def __post_init__(self) -> None:
        self.layer = layers.as_layer(self.layer)
        self.symbols = validate.whole("symbols", self.symbols)
        self.embedding_size = validate.whole("embedding_size", self.embedding_size, 0)
        self.tie = validate.flag("tie", self.tie)
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
        """Number of outputs, O = V."""
        return self.symbols

    def without_init(self) -> Self:
        """Return the model with default schemes: everything that a compiled program depends on."""
        return _without_init(self)

    @nn.compact
    def __call__(
        self,
        inputs: ArrayLike,
        *,
        lengths: ArrayLike | None = None,
        initial_state: PyTree = None,
        key: Array | None = None,
        deterministic: bool = True,
        engine: str = "auto",
    ) -> tuple[Array, PyTree]:
        """Read symbols (B, T); return logits (B, T, V) and the layer's final state.

        Args and errors as of :class:`ManyToMany`.
        """
        options = {"initial_state": initial_state, "key": key, "deterministic": deterministic}
        ys, state, embedding = _run(self, self.layer, inputs, lengths, engine=engine, **options)
        return _read_out(self, ys, embedding if self.tie else None), state


Recurrent = ManyToOne | ManyToMany | LanguageModel


# ---- shared by the models ----------------------------------------------------------------------


def _check_model(model: "_ReadOut | LanguageModel") -> None:
    if model.embedding_size and not model.symbols:
        raise ValueError(
            f"embedding_size={model.embedding_size} embeds symbols: set symbols to their number"
        )
    activations.activation_function(model.activation)
    for name in ("w_y", "b_y", "w_e"):
        try:
            make(getattr(model, name), model.layer.output_size)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def _without_init(model: PyTree) -> PyTree:
    layer = cells.without_init(model.layer)
    return model.clone(layer=layer, w_y="zeros", b_y="zeros", w_e="zeros")


def _parameter(
    model: "_ReadOut | LanguageModel", name: str, init: Callable[..., PyTree], *args: object
) -> PyTree:
    """Return the parameter ``name``, drawn by ``init`` if the model is being initialized.

    As ``model.param``, except that a missing parameter is a ValueError.
    """
    if model.is_initializing():
        return model.param(name, init, *args)
    if not model.has_variable("params", name):
        raise ValueError(f"params must hold {name!r}, got {sorted(model.variables['params'])}")
    return model.get_variable("params", name)


def _array(
    model: "_ReadOut | LanguageModel", name: str, scheme: Scheme, shape: tuple[int, ...]
) -> Array:
    value = _parameter(model, name, make(scheme, model.layer.output_size), shape)
    if jnp.shape(value) != shape:
        raise ValueError(f"params[{name!r}] must be {shape}, got {jnp.shape(value)}")
    return value


def _run(
    model: "_ReadOut | LanguageModel",
    layer: Layer,
    inputs: ArrayLike,
    lengths: ArrayLike | None,
    **options: Any,
) -> tuple[Array, PyTree, Array | None]:
    """Run ``layer``; return (ys (B, T, H), final state, the embedding or None)."""
    if not model.symbols:
        xs = unroll.check_inputs(inputs)
        check_steps("inputs", xs, "(batch, time, features)", 3)
        recurrent = _parameter(model, "recurrent", layer.init, xs.shape[-1])
        ys, state = layer.apply(recurrent, xs, lengths=lengths, **options)
        return ys, state, None
    check_symbols(inputs, model.symbols, lengths)
    features = model.embedding_size or model.symbols
    recurrent = _parameter(model, "recurrent", layer.init, features)
    symbols = jnp.asarray(inputs)
    embedding = None
    if model.embedding_size:
        shape = (model.symbols, model.embedding_size)
        embedding = _array(model, "embedding", model.w_e, shape)
        xs = take_rows(embedding, symbols)
    else:
        dtype = jnp.result_type(*jax.tree.leaves(recurrent))
        xs = jax.nn.one_hot(symbols, model.symbols, dtype=dtype)
    # an invalid symbol gives NaN, never another symbol's vector; padding is zeroed later
    known = (symbols >= 0) & (symbols < model.symbols)
    xs = jnp.where(known[..., None], xs, jnp.nan)
    ys, state = layer.apply(recurrent, xs, lengths=lengths, **options)
    return ys, state, embedding


def _read_out(model: "_ReadOut | LanguageModel", h: Array, embedding: Array | None = None) -> Array:
    if embedding is None:
        shape = (model.layer.output_size, model.outputs)
        W_hy = _array(model, "W_hy", model.w_y, shape)
    else:
        W_hy = embedding.T
    b_y = _array(model, "b_y", model.b_y, (model.outputs,))
    return equations.output(h, W_hy, b_y, model.activation)


def check_steps(name: str, inputs: ArrayLike, axes: str, rank: int) -> None:
    """Check the rank of ``inputs``, and that there is at least one step.

    Raises:
        ValueError: another rank, or no steps; ``name`` and ``axes`` stand in the message.
    """
    shape = jnp.shape(inputs)
    if len(shape) != rank:
        raise ValueError(f"{name} must be {axes}, got shape {shape}")
    if shape[1] == 0:
        raise ValueError(f"{name} must have at least one step, got shape {shape}")


def check_symbols(inputs: ArrayLike, V: int, lengths: ArrayLike | None = None) -> None:
    """Check that the real steps of inputs (B, T) are symbols 0 … V−1; traced values pass.

    Raises:
        ValueError: another shape, or a symbol outside the range. TypeError: no whole numbers.
    """
    if not isinstance(inputs, jax.Array | np.ndarray):
        inputs = np.asarray(inputs)
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        raise TypeError(f"inputs must be symbols, whole numbers, got {inputs.dtype}")
    check_steps("inputs", inputs, "symbols (batch, time)", 2)
    if isinstance(inputs, Tracer) or isinstance(lengths, Tracer):
        return
    symbols = np.asarray(inputs)
    if lengths is not None and np.shape(lengths) == symbols.shape[:1]:  # else the layer raises
        symbols = symbols[np.arange(symbols.shape[1]) < np.asarray(lengths)[:, None]]
    if symbols.size and (symbols.min() < 0 or symbols.max() >= V):
        raise ValueError(f"symbols must lie in 0 … {V - 1}, got {symbols.min()} … {symbols.max()}")


def mean_over_time(ys: Array, lengths: ArrayLike | None = None) -> Array:
    """(1/T) Σ_t y_t over the real steps of each sequence; 0 for a sequence without real steps.

    Args:
        ys: (B, T, H), zero past each length, as :func:`rnnlab.unroll` returns them.
        lengths: (B,); None: T. Traced ones count as clipped to 0 … T.
    Returns:
        (B, H).
    Raises:
        TypeError, ValueError: lengths that :func:`rnnlab.unroll` refuses.

    >>> mean_over_time(jnp.array([[[2.0], [4.0], [0.0]]]), jnp.array([2])).tolist()
    [[3.0]]
    """
    if lengths is None:
        return ys.mean(axis=1)
    steps = jnp.maximum(unroll.real_steps(lengths, ys.shape[:1], ys.shape[1]), 1)
    return ys.sum(axis=1) / steps.astype(ys.dtype)[:, None]


def last_step(lengths: ArrayLike, ys: Array) -> Array:
    """Return the index of each sequence's last real step, (B,) int32; 0 if it has none.

    Args:
        lengths: (B,). ys: (B, T, H).
    Raises:
        TypeError, ValueError: lengths that :func:`rnnlab.unroll` refuses.
    """
    return jnp.maximum(unroll.real_steps(lengths, ys.shape[:1], ys.shape[1]) - 1, 0)


def apart(layer: Layer) -> Layer:
    """Return the layer with merge="concat" in its top bidirectional layers."""
    if isinstance(layer, layers.Stack):
        return replace(layer, layers=(*layer.layers[:-1], apart(layer.layers[-1])))
    if isinstance(layer, layers.Bidirectional):
        forward, backward = apart(layer.forward), apart(layer.backward)
        return replace(layer, forward=forward, backward=backward, merge="concat")
    return layer


def ends(layer: Layer, ys: Array, last: Array | None, reverse: bool = False) -> Array:
    """Return each direction's output where it has seen the whole sequence, merged.

    Args:
        layer: the layer as it is.
        ys: (B, T, ·), the outputs of ``apart(layer)``.
        last: (B,) the last real step of each sequence; None: T − 1.
        reverse: whether ``layer`` itself runs backwards.
    Returns:
        h (B, H).
    """
    if isinstance(layer, layers.Stack):
        return ends(layer.layers[-1], ys, last, reverse)
    if isinstance(layer, layers.Bidirectional):
        split = apart(layer.forward).output_size
        h_f = ends(layer.forward, ys[..., :split], last, reverse)
        h_b = ends(layer.backward, ys[..., split:], last, not reverse)
        return layers.MERGES[layer.merge](h_f, h_b)
    if reverse:
        return ys[:, 0]
    if last is None:
        return ys[:, -1]
    return at_step(ys, last)


def at_step(ys: Array, step: Array) -> Array:
    """Return y of each sequence at one step: (B, T, H), (B,) -> (B, H)."""

    def take(ys: Array, step: Array) -> Array:
        return jnp.take_along_axis(ys, step[:, None, None], axis=1)[:, 0]

    return automatic(take, ys, step, out=lambda: P(*batch_spec(ys)))


# ---- functions of a model ----------------------------------------------------------------------


def without_init(model: M) -> M:
    """Return the model with default schemes: everything that a compiled program depends on.

    A sweep of schemes draws its parameters first and compiles once for all of them; see
    :func:`rnnlab.nn.cells.without_init`.

    >>> from rnnlab import InitScheme
    >>> a = ManyToOne(cells.RNN(4, init=InitScheme(w_h="identity")), 2, w_y="he_normal")
    >>> without_init(a) == without_init(ManyToOne(cells.RNN(4), 2))
    True
    """
    return model.without_init()


def initial_state(
    model: Model, params: PyTree, batch_size: int, key: Array | None = None
) -> PyTree:
    """Return s_0 of the model's layer, leaves (B, H); random with a key.

    Raises:
        ValueError: ``batch_size`` is no whole number of at least 1.
    """
    batch_size = validate.whole("batch_size", batch_size)
    return model.layer.initial_state(params["params"]["recurrent"], (batch_size,), key)


def count_params(params: PyTree) -> int:
    """Return the number of learned numbers in a pytree of arrays or shapes.

    >>> model = ManyToOne(cells.RNN(4), outputs=2)
    >>> count_params(model.init(jax.random.key(0), jnp.ones((1, 9, 3))))  # 3·4 + 4·4 + 4 + 4·2 + 2
    42
    """
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))
