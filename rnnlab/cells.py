"""The equations: one pure function a gate, and the cells made of them.

``W x`` in the maths is ``x @ W`` in code: kernels are (in, out), as ``jax.nn.initializers``
assume. Each gate keeps its two blocks apart, ``W_i·[h, x] = W_hi h + W_xi x``, so that a scheme
applies to a block as its theory means it. Nothing here knows of batches: leading axes broadcast.

Shapes: D input, H hidden, O output; ``...`` any leading axes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rnnlab.errors import unknown
from rnnlab.initializers import InitScheme, Scheme, make

Array = jax.Array

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,  # relu'(0) = 0, which jnp.maximum does not give
    "identity": lambda a: a,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}
Activation = str | Callable[[Array], Array]


def activation_function(activation: Activation) -> Callable[[Array], Array]:
    """The function an activation's name stands for; a callable is handed back.

    Raises:
        ValueError: an unknown name.

    >>> float(activation_function("relu")(-1.0))
    0.0
    """
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(unknown("activation", activation, ACTIVATIONS))
    return ACTIVATIONS[activation]


def _check(name: str, h: Array, x: Array, W_h: Array, W_x: Array, b: Array) -> None:
    """Last axes only: everything in front of them broadcasts."""
    for side, value, kernel, W in (("h", h, "W_h", W_h), ("x", x, "W_x", W_x)):
        _check_kernel(name, side, value, kernel, W)
    units = W_h.shape[1]
    if W_x.shape[1] != units:
        raise ValueError(f"{name}: W_h makes {units} units, W_x makes {W_x.shape[1]}")
    _check_bias(name, b, units)


def _check_kernel(name: str, side: str, value: Array, kernel: str, W: Array) -> None:
    if jnp.ndim(W) != 2:
        raise ValueError(f"{name}: {kernel} must be a matrix (in, out), got shape {jnp.shape(W)}")
    if jnp.shape(value)[-1:] != W.shape[:1]:
        raise ValueError(
            f"{name}: {side} has shape {jnp.shape(value)}, its kernel {kernel} {W.shape} takes "
            f"{W.shape[0]} features"
        )


def _check_bias(name: str, b: Array, units: int) -> None:
    if jnp.shape(b)[-1:] != (units,):
        raise ValueError(f"{name}: b must end in {units} units, got shape {jnp.shape(b)}")


def _check_units(name: str, **values: Array) -> None:
    """All of them H wide: a stray axis of 1 would broadcast and hide a mistake."""
    if len({jnp.shape(value)[-1:] for value in values.values()}) > 1:
        shapes = ", ".join(f"{part} {jnp.shape(value)}" for part, value in values.items())
        raise ValueError(f"{name}: the last axes must be the same H units, got {shapes}")


def _affine(name: str, h: Array, x: Array, W_h: Array, W_x: Array, b: Array) -> Array:
    """W_h h + W_x x + b of the gate called ``name``."""
    _check(name, h, x, W_h, W_x, b)
    return h @ W_h + x @ W_x + b


# ---- the simple recurrent network --------------------------------------------------------------


def rnn_hidden(
    h: Array, x: Array, W_hh: Array, W_xh: Array, b_h: Array, activation: Activation = "tanh"
) -> Array:
    """h_t = f(W_hh h_{t−1} + W_xh x_t + b_h).

    Args:
        h: h_{t−1} (..., H). x: x_t (..., D).
        W_hh: (H, H). W_xh: (D, H). b_h: (H,).
        activation: f, "tanh", "relu", "identity" or any elementwise callable.
    Returns:
        h_t (..., H).
    Source: the notes, 前向传播的核心计算; Elman 1990.

    >>> one = jnp.ones((1, 1))
    >>> float(rnn_hidden(jnp.array([1.0]), jnp.array([2.0]), one, one, jnp.zeros(1), "identity")[0])
    3.0
    """
    return activation_function(activation)(_affine("rnn_hidden", h, x, W_hh, W_xh, b_h))


def output(h: Array, W_hy: Array, b_y: Array, activation: Activation = "identity") -> Array:
    """y_t = g(W_hy h_t + b_y).

    Args:
        h: h_t (..., H). W_hy: (H, O). b_y: (O,).
        activation: g; "softmax" for class probabilities, "identity" for logits and regression.
    Returns:
        y_t (..., O).
    Source: the notes, 输出更新.
    """
    _check_kernel("output", "h", h, "W_hy", W_hy)
    _check_bias("output", b_y, W_hy.shape[1])
    return activation_function(activation)(h @ W_hy + b_y)


# ---- LSTM --------------------------------------------------------------------------------------


def forget_gate(h: Array, x: Array, W_hf: Array, W_xf: Array, b_f: Array) -> Array:
    """f_t = σ(W_f·[h_{t−1}, x_t] + b_f): the share of C_{t−1} that is kept.

    Args:
        h: h_{t−1} (..., H). x: x_t (..., D). W_hf: (H, H). W_xf: (D, H). b_f: (H,).
    Returns:
        f_t (..., H), between 0 and 1.
    Source: Gers, Schmidhuber & Cummins 2000; the notes, 遗忘门.
    """
    return jax.nn.sigmoid(_affine("forget_gate", h, x, W_hf, W_xf, b_f))


def input_gate(h: Array, x: Array, W_hi: Array, W_xi: Array, b_i: Array) -> Array:
    """i_t = σ(W_i·[h_{t−1}, x_t] + b_i): the share of C̃_t that is written.

    Args and returns as :func:`forget_gate`.
    Source: Hochreiter & Schmidhuber 1997; the notes, 输入门.
    """
    return jax.nn.sigmoid(_affine("input_gate", h, x, W_hi, W_xi, b_i))


def candidate_memory(h: Array, x: Array, W_hc: Array, W_xc: Array, b_c: Array) -> Array:
    """C̃_t = tanh(W_c·[h_{t−1}, x_t] + b_c): what may be written, between −1 and 1.

    Args as :func:`forget_gate`. Returns: C̃_t (..., H).
    Source: Hochreiter & Schmidhuber 1997; the notes, 候选记忆.
    """
    return jnp.tanh(_affine("candidate_memory", h, x, W_hc, W_xc, b_c))


def cell_state(f: Array, C: Array, i: Array, C_tilde: Array) -> Array:
    """C_t = f_t*C_{t−1} + i_t*C̃_t.

    Args:
        f, i: gates (..., H). C: C_{t−1} (..., H). C_tilde: C̃_t (..., H).
    Returns:
        C_t (..., H).
    Source: Gers et al. 2000; the notes, 更新记忆单元状态.

    >>> float(cell_state(jnp.float32(1), jnp.float32(5), jnp.float32(0), jnp.float32(-1)))
    5.0
    """
    _check_units("cell_state", f=f, C=C, i=i, C_tilde=C_tilde)
    return f * C + i * C_tilde


def output_gate(h: Array, x: Array, W_ho: Array, W_xo: Array, b_o: Array) -> Array:
    """o_t = σ(W_o·[h_{t−1}, x_t] + b_o): the share of tanh(C_t) that is shown.

    Args and returns as :func:`forget_gate`.
    Source: Hochreiter & Schmidhuber 1997; the notes, 输出门.
    """
    return jax.nn.sigmoid(_affine("output_gate", h, x, W_ho, W_xo, b_o))


def lstm_hidden(o: Array, C: Array) -> Array:
    """h_t = o_t*tanh(C_t).

    Args:
        o: o_t (..., H). C: C_t (..., H).
    Returns:
        h_t (..., H).
    Source: Hochreiter & Schmidhuber 1997; the notes, 输出门.
    """
    _check_units("lstm_hidden", o=o, C=C)
    return o * jnp.tanh(C)


# ---- GRU ---------------------------------------------------------------------------------------


def update_gate(h: Array, x: Array, W_hz: Array, W_xz: Array, b_z: Array) -> Array:
    """z_t = σ(W_z·[h_{t−1}, x_t] + b_z): the share of h_{t−1} that is kept.

    Args and returns as :func:`forget_gate`. The notes, PyTorch, Keras and cuDNN let z keep the
    past; Cho et al. 2014 and haiku write it the other way round.
    Source: the notes, 更新门.
    """
    return jax.nn.sigmoid(_affine("update_gate", h, x, W_hz, W_xz, b_z))


def reset_gate(h: Array, x: Array, W_hr: Array, W_xr: Array, b_r: Array) -> Array:
    """r_t = σ(W_r·[h_{t−1}, x_t] + b_r): the share of h_{t−1} that the candidate sees.

    Args and returns as :func:`forget_gate`.
    Source: Cho et al. 2014 (arXiv 1406.1078), eq. 5; the notes, 重置门.
    """
    return jax.nn.sigmoid(_affine("reset_gate", h, x, W_hr, W_xr, b_r))


def candidate_hidden(
    r: Array,
    h: Array,
    x: Array,
    W_hh: Array,
    W_xh: Array,
    b_h: Array,
    b_hn: Array | None = None,
) -> Array:
    """h̃_t = tanh(W_h·[r_t*h_{t−1}, x_t] + b_h).

    Variant: with ``b_hn`` the reset comes after the recurrent product, as in cuDNN, PyTorch and
    Keras (reset_after=True): h̃_t = tanh(W_xh x_t + b_h + r_t*(W_hh h_{t−1} + b_hn)).

    Args:
        r: r_t (..., H). h: h_{t−1} (..., H). x: x_t (..., D).
        W_hh: (H, H). W_xh: (D, H). b_h, b_hn: (H,).
    Returns:
        h̃_t (..., H).
    Source: Cho et al. 2014, eq. 8; the notes, 生成候选隐藏状态.
    """
    _check_units("candidate_hidden", r=r, h=h)
    if b_hn is None:
        return jnp.tanh(_affine("candidate_hidden", r * h, x, W_hh, W_xh, b_h))
    _check("candidate_hidden", h, x, W_hh, W_xh, b_h)
    _check_bias("candidate_hidden", b_hn, W_hh.shape[1])
    return jnp.tanh(x @ W_xh + b_h + r * (h @ W_hh + b_hn))


def gru_hidden(z: Array, h: Array, h_tilde: Array) -> Array:
    """h_t = z_t*h_{t−1} + (1−z_t)*h̃_t.

    Args:
        z: z_t (..., H). h: h_{t−1} (..., H). h_tilde: h̃_t (..., H).
    Returns:
        h_t (..., H).
    Source: the notes, 隐藏状态更新; as PyTorch and cuDNN.

    >>> float(gru_hidden(jnp.float32(1), jnp.float32(5), jnp.float32(-1)))  # z = 1 copies h
    5.0
    """
    _check_units("gru_hidden", z=z, h=h, h_tilde=h_tilde)
    return z * h + (1 - z) * h_tilde


# ---- params, states, gates ---------------------------------------------------------------------


class RNNParams(NamedTuple):
    """Parameters of :class:`RNN`."""

    W_xh: Array  # (D, H)
    W_hh: Array  # (H, H)
    b_h: Array  # (H,)


class LSTMParams(NamedTuple):
    """Parameters of :class:`LSTM`, gate by gate."""

    W_xf: Array  # (D, H)
    W_hf: Array  # (H, H)
    b_f: Array  # (H,)
    W_xi: Array
    W_hi: Array
    b_i: Array
    W_xc: Array
    W_hc: Array
    b_c: Array
    W_xo: Array
    W_ho: Array
    b_o: Array


class GRUParams(NamedTuple):
    """Parameters of :class:`GRU`, gate by gate."""

    W_xz: Array  # (D, H)
    W_hz: Array  # (H, H)
    b_z: Array  # (H,)
    W_xr: Array
    W_hr: Array
    b_r: Array
    W_xh: Array
    W_hh: Array
    b_h: Array
    b_hn: Array | None = None  # (H,), reset_after only


class HiddenState(NamedTuple):
    """State of :class:`RNN` and :class:`GRU`."""

    h: Array  # (..., H)


class LSTMState(NamedTuple):
    """State of :class:`LSTM`."""

    h: Array  # (..., H)
    C: Array  # (..., H)


class NoGates(NamedTuple):
    """A simple RNN has no gates."""


class LSTMGates(NamedTuple):
    """Gate values of one step of :class:`LSTM`, each (..., H)."""

    f: Array
    i: Array
    C_tilde: Array
    o: Array


class GRUGates(NamedTuple):
    """Gate values of one step of :class:`GRU`, each (..., H)."""

    z: Array
    r: Array
    h_tilde: Array


# ---- cells -------------------------------------------------------------------------------------


@runtime_checkable
class Cell(Protocol):
    """What a recurrence needs to run: any hashable object with these members is a cell.

    ``step`` gets ``perturb``, a state added to each part of the new state at the moment it is
    made (None: nothing is). The cotangent of ``perturb`` is the *total* derivative with respect
    to that part, so that ∂L/∂C_t includes the way through h_t = o_t*tanh(C_t).
    """

    @property
    def hidden_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    def init_params(self, key: Array, input_size: int) -> Any: ...
    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> Any: ...
    def step(
        self,
        params: Any,
        state: Any,
        x: Array,
        *,
        key: Array | None = None,
        perturb: Any = None,
    ) -> tuple[Any, Array, Any]: ...


def _plus(value: Array, perturb: Any, part: str) -> Array:
    return value if perturb is None else value + getattr(perturb, part)


def _check_sizes(hidden_size: Any, init: Any) -> None:
    if not isinstance(hidden_size, int) or isinstance(hidden_size, bool) or hidden_size < 1:
        raise ValueError(f"hidden_size must be a whole number of at least 1, got {hidden_size!r}")
    if not isinstance(init, InitScheme):
        raise TypeError(f"init must be an InitScheme, got {type(init).__name__}")


def _first_state(example: Array, batch_shape: tuple[int, ...], key: Array | None) -> Array:
    """Zeros, or N(0, 0.1²) with a key; made from ``example`` (H,), a parameter.

    A constant carry has no device placement of its own and shard_map refuses it in a scan.
    """
    shape = (*batch_shape, example.shape[-1])
    if key is None:
        return jnp.broadcast_to(example * 0, shape)
    return example * 0 + 0.1 * jax.random.normal(key, shape, example.dtype)


def _draw(
    init: InitScheme, key: Array, input_size: int, hidden_size: int, gate: str, forgets: bool
) -> tuple[Array, Array, Array]:
    """(W_x, W_h, b) of one gate."""
    if not isinstance(input_size, int) or input_size < 1:
        raise ValueError(f"input_size must be a whole number of at least 1, got {input_size!r}")
    scheme = init.gate(gate, forgets=forgets)
    key_x, key_h, key_b = jax.random.split(key, 3)

    def block(spec: Scheme | None, key: Array, shape: tuple[int, ...]) -> Array:
        assert spec is not None  # InitScheme.gate fills every field in
        return make(spec, hidden_size)(key, shape)

    return (
        block(scheme.w_x, key_x, (input_size, hidden_size)),
        block(scheme.w_h, key_h, (hidden_size, hidden_size)),
        block(scheme.b, key_b, (hidden_size,)),
    )


@dataclass(frozen=True)
class RNN:
    """h_t = f(W_hh h_{t−1} + W_xh x_t + b_h), the simple recurrent cell.

    Args:
        hidden_size: H, units.
        activation: f: "tanh", "relu", "identity", or an elementwise callable.
        init: schemes by block; ``forget_bias`` has no meaning here and is refused.
    Raises:
        ValueError: a bad size, activation or scheme.

    >>> import jax
    >>> cell = RNN(3)
    >>> params = cell.init_params(jax.random.key(0), input_size=2)
    >>> state = cell.initial_state(params, (5,))
    >>> state, y, gates = cell.step(params, state, jax.numpy.ones((5, 2)))
    >>> y.shape
    (5, 3)
    """

    hidden_size: int
    activation: Activation = "tanh"
    init: InitScheme = field(default_factory=InitScheme)

    gates: ClassVar[tuple[str, ...]] = ("h",)
    state_parts: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init)
        activation_function(self.activation)
        self.init.check_gates("rnn", self.gates)
        if self.init.forget_bias is not None:
            raise ValueError("an RNN has no forget gate: init.forget_bias must be None, got "
                             f"{self.init.forget_bias!r}")  # fmt: skip

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> RNNParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        W_xh, W_hh, b_h = _draw(self.init, key, input_size, self.hidden_size, "h", False)
        return RNNParams(W_xh, W_hh, b_h)

    def initial_state(
        self, params: RNNParams, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> HiddenState:
        """h_0 (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
        return HiddenState(_first_state(params.b_h, batch_shape, key))

    def step(
        self,
        params: RNNParams,
        state: HiddenState,
        x: Array,
        *,
        key: Array | None = None,
        perturb: HiddenState | None = None,
    ) -> tuple[HiddenState, Array, NoGates]:
        """One time step: (new state, output h_t (..., H), no gates)."""
        del key
        h = rnn_hidden(state.h, x, params.W_hh, params.W_xh, params.b_h, self.activation)
        h = _plus(h, perturb, "h")
        return HiddenState(h), h, NoGates()


@dataclass(frozen=True)
class LSTM:
    """The long short-term memory: gates f, i, o, candidate C̃, states C and h.

    f_t, i_t, o_t = σ(W·[h_{t−1}, x_t] + b); C̃_t = tanh(W_c·[h_{t−1}, x_t] + b_c);
    C_t = f_t*C_{t−1} + i_t*C̃_t; h_t = o_t*tanh(C_t).

    Args:
        hidden_size: H, units.
        init: schemes by block; gates are "f", "i", "c", "o".
    Raises:
        ValueError: a bad size or scheme.
    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    hidden_size: int
    init: InitScheme = field(default_factory=InitScheme)

    gates: ClassVar[tuple[str, ...]] = ("f", "i", "c", "o")
    state_parts: ClassVar[tuple[str, ...]] = ("h", "C")

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init)
        self.init.check_gates("lstm", self.gates)

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> LSTMParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        drawn = [
            _draw(self.init, k, input_size, self.hidden_size, gate, gate == "f")
            for gate, k in zip(self.gates, jax.random.split(key, 4), strict=True)
        ]
        params = LSTMParams(*(block for gate in drawn for block in gate))
        own_b_i = dict(self.init.gates).get("i")
        if self.init.is_chrono and (own_b_i is None or own_b_i.b is None):
            params = params._replace(b_i=-params.b_f)
        return params

    def initial_state(
        self, params: LSTMParams, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> LSTMState:
        """h_0 and C_0, each (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
        key_h, key_C = (None, None) if key is None else jax.random.split(key)
        return LSTMState(
            _first_state(params.b_o, batch_shape, key_h),
            _first_state(params.b_f, batch_shape, key_C),
        )

    def step(
        self,
        params: LSTMParams,
        state: LSTMState,
        x: Array,
        *,
        key: Array | None = None,
        perturb: LSTMState | None = None,
    ) -> tuple[LSTMState, Array, LSTMGates]:
        """One time step: (new state, output h_t (..., H), gate values)."""
        del key
        p, h = params, state.h
        f = forget_gate(h, x, p.W_hf, p.W_xf, p.b_f)
        i = input_gate(h, x, p.W_hi, p.W_xi, p.b_i)
        C_tilde = candidate_memory(h, x, p.W_hc, p.W_xc, p.b_c)
        o = output_gate(h, x, p.W_ho, p.W_xo, p.b_o)
        C = _plus(cell_state(f, state.C, i, C_tilde), perturb, "C")
        h = _plus(lstm_hidden(o, C), perturb, "h")
        return LSTMState(h, C), h, LSTMGates(f, i, C_tilde, o)


@dataclass(frozen=True)
class GRU:
    """The gated recurrent unit: gates z and r, candidate h̃, one state.

    z_t, r_t = σ(W·[h_{t−1}, x_t] + b); h̃_t = tanh(W_h·[r_t*h_{t−1}, x_t] + b_h);
    h_t = z_t*h_{t−1} + (1−z_t)*h̃_t.

    Args:
        hidden_size: H, units.
        reset_after: apply r after the recurrent product, with a bias of its own: the GRU of
            cuDNN, PyTorch and Keras.
        init: schemes by block; gates are "z", "r", "h"; ``forget_bias`` sets b_z.
    Raises:
        ValueError: a bad size or scheme.
    Source: Cho et al. 2014 (arXiv 1406.1078), z written as the notes and PyTorch have it.
    """

    hidden_size: int
    reset_after: bool = False
    init: InitScheme = field(default_factory=InitScheme)

    gates: ClassVar[tuple[str, ...]] = ("z", "r", "h")
    state_parts: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init)
        self.init.check_gates("gru", self.gates)

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> GRUParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        *keys, key_bias = jax.random.split(key, 4)
        drawn = [
            _draw(self.init, k, input_size, self.hidden_size, gate, gate == "z")
            for gate, k in zip(self.gates, keys, strict=True)
        ]
        params = GRUParams(*(block for gate in drawn for block in gate))
        if self.reset_after:
            scheme = self.init.gate("h").b
            assert scheme is not None
            b_hn = make(scheme, self.hidden_size)(key_bias, (self.hidden_size,))
            params = params._replace(b_hn=b_hn)
        return params

    def initial_state(
        self, params: GRUParams, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> HiddenState:
        """h_0 (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
        return HiddenState(_first_state(params.b_h, batch_shape, key))

    def step(
        self,
        params: GRUParams,
        state: HiddenState,
        x: Array,
        *,
        key: Array | None = None,
        perturb: HiddenState | None = None,
    ) -> tuple[HiddenState, Array, GRUGates]:
        """One time step: (new state, output h_t (..., H), gate values)."""
        del key
        p, h = params, state.h
        if (p.b_hn is not None) != self.reset_after:
            raise ValueError(f"a GRU with reset_after={self.reset_after} got params "
                             f"{'with' if p.b_hn is not None else 'without'} b_hn")  # fmt: skip
        z = update_gate(h, x, p.W_hz, p.W_xz, p.b_z)
        r = reset_gate(h, x, p.W_hr, p.W_xr, p.b_r)
        h_tilde = candidate_hidden(r, h, x, p.W_hh, p.W_xh, p.b_h, p.b_hn)
        h = _plus(gru_hidden(z, h, h_tilde), perturb, "h")
        return HiddenState(h), h, GRUGates(z, r, h_tilde)


def rnn(hidden_size: int, activation: Activation = "tanh", init: InitScheme | None = None) -> RNN:
    """An :class:`RNN`; default init: W_hh orthogonal, W_xh Xavier, b zero.

    >>> rnn(8, "relu").activation
    'relu'
    """
    return RNN(hidden_size, activation, init or InitScheme())


def lstm(hidden_size: int, init: InitScheme | None = None) -> LSTM:
    """An :class:`LSTM`; default init: W_h orthogonal gate by gate, b_f = 1, other b zero.

    b_f = 1 follows Jozefowicz et al. 2015 and Keras; an ``init`` of your own is taken as it is.

    >>> lstm(8).init.forget_bias
    1.0
    """
    return LSTM(hidden_size, init or InitScheme(forget_bias=1.0))


def gru(hidden_size: int, reset_after: bool = False, init: InitScheme | None = None) -> GRU:
    """A :class:`GRU`; default init: W_h orthogonal gate by gate, b zero.

    >>> gru(8, reset_after=True).reset_after
    True
    """
    return GRU(hidden_size, reset_after, init or InitScheme())


def without_init(cell: Any) -> Any:
    """The cell (or layer of cells) with the default init: what a compiled program depends on.

    Cells are equal by value, their init included, and a static argument compiles anew for every
    value: strip the init once the parameters are drawn, and a sweep of schemes compiles once.

    >>> without_init(rnn(4, init=InitScheme(w_h="identity"))) == rnn(4)
    True
    """
    if isinstance(cell, tuple):
        return tuple(without_init(inner) for inner in cell)
    if not is_dataclass(cell) or isinstance(cell, type):
        return cell
    changes = {}
    for f in fields(cell):
        value = getattr(cell, f.name)
        changes[f.name] = InitScheme() if isinstance(value, InitScheme) else without_init(value)
    return replace(cell, **changes)


def _named(build: Callable[..., Any], **options: Any) -> Callable[[int, InitScheme], Any]:
    return lambda hidden_size, init: build(hidden_size, init=init, **options)


# the names that configs use; a "bi-" in front makes a layer bidirectional (recurrence.by_name)
CELLS: dict[str, Callable[[int, InitScheme], Any]] = {
    "rnn-tanh": _named(RNN, activation="tanh"),
    "rnn-relu": _named(RNN, activation="relu"),
    "rnn-identity": _named(RNN, activation="identity"),
    "rnn-sigmoid": _named(RNN, activation="sigmoid"),
    "lstm": _named(LSTM),
    "gru": _named(GRU),
    "gru-reset-after": _named(GRU, reset_after=True),
}


def by_name(name: str, hidden_size: int, init: InitScheme) -> Any:
    """The cell a config names.

    Args:
        name: a key of ``CELLS``.
        hidden_size: H.
        init: schemes.
    Raises:
        ValueError: an unknown name, the nearest named; a scheme the cell has no use for.

    >>> by_name("rnn-relu", 4, InitScheme()).activation
    'relu'
    """
    if name not in CELLS:
        raise ValueError(unknown("cell", name, CELLS))
    return CELLS[name](hidden_size, init)
