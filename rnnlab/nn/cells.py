"""RNN, LSTM and GRU cells: parameters, state and step, made of :mod:`rnnlab.nn.equations`.

Shapes: D input, H hidden, P projected; ``...`` any leading axes.
"""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import unknown
from rnnlab.nn.activations import Activation, activation_function
from rnnlab.nn.affine import Gains
from rnnlab.nn.equations import (
    candidate_hidden,
    candidate_memory,
    cell_state,
    forget_gate,
    gru_hidden,
    input_gate,
    lstm_hidden,
    lstm_projection,
    output_gate,
    reset_gate,
    rnn_hidden,
    update_gate,
)
from rnnlab.nn.initializers import InitScheme, Scheme, make

Array = jax.Array


# ---- params, states, gates ---------------------------------------------------------------------


class RNNParams(NamedTuple):
    """Parameters of :class:`RNN`."""

    W_xh: Array  # (D, H)
    W_hh: Array  # (H, H)
    b_h: Array  # (H,)
    g_h: Array | None = None  # (H,), norm only


class LSTMNorm(NamedTuple):
    """What ``norm="layer"`` adds to an :class:`LSTM`."""

    f: Gains
    i: Gains
    c: Gains
    o: Gains
    g_C: Array  # (H,)
    b_C: Array  # (H,)


class Peepholes(NamedTuple):
    """What ``peephole=True`` adds to an :class:`LSTM`: diagonal kernels from the memory, (H,)."""

    f: Array  # p_f, from C_{t−1}
    i: Array  # p_i, from C_{t−1}
    o: Array  # p_o, from C_t


class LSTMParams(NamedTuple):
    """Parameters of :class:`LSTM`, gate by gate."""

    W_xf: Array  # (D, H)
    W_hf: Array  # (H, H); (P, H) with a projection
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
    W_mh: Array | None = None  # (H, P), projection only
    peepholes: Peepholes | None = None
    norm: LSTMNorm | None = None


class GRUNorm(NamedTuple):
    """What ``norm="layer"`` adds to a :class:`GRU`."""

    z: Gains
    r: Gains
    h: Gains


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
    norm: GRUNorm | None = None


class HiddenState(NamedTuple):
    """State of :class:`RNN` and :class:`GRU`."""

    h: Array  # (..., H)


class LSTMState(NamedTuple):
    """State of :class:`LSTM`."""

    h: Array  # (..., H); (..., P) with a projection
    C: Array  # (..., H)


class NoGates(NamedTuple):
    """A simple RNN has no gates."""


class LSTMGates(NamedTuple):
    """Gate values of one step of :class:`LSTM`, each (..., H)."""

    f: Array
    i: Array
    C_tilde: Array
    o: Array


class ProjectedGates(NamedTuple):
    """:class:`LSTMGates` and m_t = o_t*tanh(C_t), of an :class:`LSTM` with a projection."""

    f: Array
    i: Array
    C_tilde: Array
    o: Array
    m: Array


class GRUGates(NamedTuple):
    """Gate values of one step of :class:`GRU`, each (..., H)."""

    z: Array
    r: Array
    h_tilde: Array


class Masks(NamedTuple):
    """Factors drawn once a sequence, which a step multiplies by what is seen.

    0 where it is dropped, 1/(1 − rate) where it is kept; None: all is seen.
    """

    x: Array | None = None  # (..., D), of x_t; a cell's own step has no use for it
    h: Array | None = None  # (..., H), of h_{t−1} in the products of the gates


# ---- cells -------------------------------------------------------------------------------------


@runtime_checkable
class Cell(Protocol):
    """What a recurrence needs to run: any hashable object with these members is a cell.

    ``step`` gets ``perturb``, a state added to each part of the new state at the moment it is
    made (None: nothing is). The cotangent of ``perturb`` is the *total* derivative with respect
    to that part, so that ∂L/∂C_t includes the way through h_t = o_t*tanh(C_t).

    A cell that draws has ``stochastic = True``; without a ``key`` its step gives what is expected.
    One that draws something once for a whole sequence has ``draw_masks(key, params, batch_shape,
    input_size)``, and its step takes the result as ``masks`` (:mod:`rnnlab.nn.wrappers`).
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


def _seen(h: Array, masks: Masks | None) -> Array:
    """h_{t−1} as the gates see it; what carries h_{t−1} on past them is no product of theirs."""
    return h if masks is None or masks.h is None else h * masks.h


def _whole(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


NORMS = ("layer",)


def _check_sizes(hidden_size: Any, init: Any, norm: Any) -> None:
    _whole("hidden_size", hidden_size)
    if not isinstance(init, InitScheme):
        raise TypeError(f"init must be an InitScheme, got {type(init).__name__}")
    if norm is not None and norm not in NORMS:
        raise ValueError(unknown("norm", norm, NORMS))
    if norm is not None and hidden_size == 1:
        raise ValueError("norm='layer' of hidden_size=1 is always zero: it needs 2 units or more")


def _check_option(cell: Any, option: str, wanted: bool, block: str, value: Any) -> None:
    """Parameters of a cell with other options would run, and mean something else."""
    if (value is not None) != wanted:
        raise ValueError(
            f"{type(cell).__name__} with {option} got params "
            f"{'without' if value is None else 'with'} {block}"
        )


def _first_state(example: Array, batch_shape: tuple[int, ...], key: Array | None) -> Array:
    """Zeros, or N(0, 0.1²) with a key; made from ``example`` (H,), a parameter.

    A constant carry has no device placement of its own and shard_map refuses it in a scan.
    """
    shape = (*batch_shape, example.shape[-1])
    if key is None:
        return jnp.broadcast_to(example * 0, shape)
    return example * 0 + 0.1 * jax.random.normal(key, shape, example.dtype)


def _draw(
    init: InitScheme,
    key: Array,
    input_size: int,
    hidden_size: int,
    gate: str,
    *,
    forgets: bool = False,
    forget_bias: float | None = None,
    fed_back: int | None = None,
) -> tuple[Array, Array, Array]:
    """Draw (W_x, W_h, b) of one gate.

    Args:
        forgets: whether ``init.forget_bias`` is this gate's bias.
        forget_bias: the cell's own, where ``init`` names none; None: as its other biases.
        fed_back: rows of W_h; None: H.
    """
    _whole("input_size", input_size)
    scheme = init.gate(gate, forgets=forgets, forget_bias=forget_bias)
    key_x, key_h, key_b = jax.random.split(key, 3)

    def block(spec: Scheme | None, key: Array, shape: tuple[int, ...]) -> Array:
        assert spec is not None  # InitScheme.gate fills every field in
        return make(spec, hidden_size)(key, shape)

    return (
        block(scheme.w_x, key_x, (input_size, hidden_size)),
        block(scheme.w_h, key_h, (fed_back or hidden_size, hidden_size)),
        block(scheme.b, key_b, (hidden_size,)),
    )


FORGET_BIAS = 1.0  # b_f of an LSTM whose init names none


def _gains(like: Array) -> Gains:
    """Ones, made from a parameter (H,) so that they have its dtype and placement."""
    return Gains(jnp.ones_like(like), jnp.ones_like(like))


@dataclass(frozen=True)
class RNN:
    """h_t = f(W_hh h_{t−1} + W_xh x_t + b_h), the simple recurrent cell.

    Args:
        hidden_size: H, units.
        activation: f: "tanh", "relu", "identity", or an elementwise callable.
        init: schemes by block; ``forget_bias`` has no meaning here and is refused.
        norm: "layer": h_t = f(LN(W_hh h_{t−1} + W_xh x_t; g_h, b_h)), g_h = 1 at first.
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
    norm: str | None = field(default=None, kw_only=True)

    gates: ClassVar[tuple[str, ...]] = ("h",)
    state_parts: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init, self.norm)
        activation_function(self.activation)
        self.init.check_gates("rnn", self.gates)
        if self.init.forget_bias is not None:
            raise ValueError(
                "an RNN has no forget gate: init.forget_bias must be None, got "
                f"{self.init.forget_bias!r}"
            )

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> RNNParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        W_xh, W_hh, b_h = _draw(self.init, key, input_size, self.hidden_size, "h")
        return RNNParams(W_xh, W_hh, b_h, None if self.norm is None else jnp.ones_like(b_h))

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
        masks: Masks | None = None,
    ) -> tuple[HiddenState, Array, NoGates]:
        """One time step: (new state, output h_t (..., H), no gates)."""
        del key
        p = params
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "g_h", p.g_h)
        h = _seen(state.h, masks)
        h = rnn_hidden(h, x, p.W_hh, p.W_xh, p.b_h, self.activation, p.g_h)
        h = _plus(h, perturb, "h")
        return HiddenState(h), h, NoGates()


@dataclass(frozen=True)
class LSTM:
    """The long short-term memory: gates f, i, o, candidate C̃, states C and h.

    f_t, i_t, o_t = σ(W·[h_{t−1}, x_t] + b); C̃_t = tanh(W_c·[h_{t−1}, x_t] + b_c);
    C_t = f_t*C_{t−1} + i_t*C̃_t; h_t = o_t*tanh(C_t).

    Options, which go together in any way:

    - ``norm="layer"``: each gate's W_h h_{t−1} and W_x x_t normalized apart, and the memory where
      it is shown, h_t = o_t*tanh(LN(C_t; g_C, b_C)). Gains 1 and b_C = 0 at first.
    - ``projection=P``: m_t = o_t*tanh(C_t), h_t = W_mh m_t; h_t is fed back and put out, so that
      every W_h· is (P, H). W_mh lies on the way from h to h and is drawn as ``init.w_h``.
    - ``peephole=True``: f and i also see p*C_{t−1}, o sees p_o*C_t, none of it normalized. p = 0
      at first, an LSTM without.

    Args:
        hidden_size: H, units.
        init: schemes by block; gates are "f", "i", "c", "o". Unless ``init.forget_bias`` says
            otherwise, b_f = 1 (Jozefowicz et al. 2015; Keras).
        norm: "layer", or None.
        projection: P, or None.
        peephole: whether the gates see the memory.
    Raises:
        ValueError: a bad size, scheme or option.
    Source: Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000; Ba et al. 2016
        (arXiv 1607.06450), supplement; Sak et al. 2014 (arXiv 1402.1128); Gers &
        Schmidhuber 2000.

    >>> cell = LSTM(8, projection=3, peephole=True)
    >>> params = cell.init_params(jax.random.key(0), input_size=2)
    >>> state, y, gates = cell.step(params, cell.initial_state(params, ()), jnp.ones(2))
    >>> y.shape, state.C.shape, gates.m.shape
    ((3,), (8,), (8,))
    """

    hidden_size: int
    init: InitScheme = field(default_factory=InitScheme)
    norm: str | None = field(default=None, kw_only=True)
    projection: int | None = field(default=None, kw_only=True)
    peephole: bool = field(default=False, kw_only=True)

    gates: ClassVar[tuple[str, ...]] = ("f", "i", "c", "o")
    state_parts: ClassVar[tuple[str, ...]] = ("h", "C")

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init, self.norm)
        self.init.check_gates("lstm", self.gates)
        if self.projection is not None:
            _whole("projection", self.projection)
        if not isinstance(self.peephole, bool):
            raise ValueError(f"peephole must be True or False, got {self.peephole!r}")

    @property
    def output_size(self) -> int:
        """Features of y_t: H, or P of a projection."""
        return self.projection or self.hidden_size

    def init_params(self, key: Array, input_size: int) -> LSTMParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        H, P = self.hidden_size, self.projection
        drawn = [
            _draw(
                self.init,
                k,
                input_size,
                H,
                gate,
                forgets=gate == "f",
                forget_bias=FORGET_BIAS,
                fed_back=P,
            )
            for gate, k in zip(self.gates, jax.random.split(key, 4), strict=True)
        ]
        blocks: list[Any] = [block for gate in drawn for block in gate]
        params = LSTMParams(*blocks)
        own_b_i = dict(self.init.gates).get("i")
        if self.init.is_chrono and (own_b_i is None or own_b_i.b is None):
            params = params._replace(b_i=-params.b_f)
        if P is not None:
            W_mh = make(self.init.w_h, H)(jax.random.fold_in(key, 0), (H, P))
            params = params._replace(W_mh=W_mh)
        like = params.b_o
        if self.peephole:
            params = params._replace(peepholes=Peepholes(*(jnp.zeros_like(like) for _ in "fio")))
        if self.norm is not None:
            gains = (_gains(like) for _ in self.gates)
            norm = LSTMNorm(*gains, g_C=jnp.ones_like(like), b_C=jnp.zeros_like(like))
            params = params._replace(norm=norm)
        return params

    def initial_state(
        self, params: LSTMParams, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> LSTMState:
        """h_0 (H or P) and C_0 (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
        key_h, key_C = (None, None) if key is None else jax.random.split(key)
        return LSTMState(
            _first_state(params.b_o if params.W_mh is None else params.W_mh[0], batch_shape, key_h),
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
        masks: Masks | None = None,
    ) -> tuple[LSTMState, Array, LSTMGates | ProjectedGates]:
        """One time step: (new state, output h_t (..., H), gate values)."""
        del key
        p, h = params, _seen(state.h, masks)
        self._check_options(p)

        def options(gate: str, C: Array) -> dict[str, Any]:
            gains = None if p.norm is None else getattr(p.norm, gate)
            if gate == "c":
                return {"gains": gains}
            peephole = None if p.peepholes is None else (getattr(p.peepholes, gate), C)
            return {"gains": gains, "peephole": peephole}

        f = forget_gate(h, x, p.W_hf, p.W_xf, p.b_f, **options("f", state.C))
        i = input_gate(h, x, p.W_hi, p.W_xi, p.b_i, **options("i", state.C))
        C_tilde = candidate_memory(h, x, p.W_hc, p.W_xc, p.b_c, **options("c", state.C))
        C = _plus(cell_state(f, state.C, i, C_tilde), perturb, "C")
        o = output_gate(h, x, p.W_ho, p.W_xo, p.b_o, **options("o", C))
        m = lstm_hidden(o, C) if p.norm is None else lstm_hidden(o, C, p.norm.g_C, p.norm.b_C)
        if p.W_mh is None:
            h = _plus(m, perturb, "h")
            return LSTMState(h, C), h, LSTMGates(f, i, C_tilde, o)
        h = _plus(lstm_projection(m, p.W_mh), perturb, "h")
        return LSTMState(h, C), h, ProjectedGates(f, i, C_tilde, o, m)

    def _check_options(self, p: LSTMParams) -> None:
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "norm", p.norm)
        _check_option(self, f"peephole={self.peephole}", self.peephole, "peepholes", p.peepholes)
        has = self.projection is not None
        _check_option(self, f"projection={self.projection}", has, "W_mh", p.W_mh)


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
        norm: "layer": each gate's and the candidate's W_h h_{t−1} and W_x x_t normalized apart,
            gains 1 at first; with ``reset_after`` as Ba et al. 2016 have it.
    Raises:
        ValueError: a bad size, scheme or option.
    Source: Cho et al. 2014 (arXiv 1406.1078), z written as the notes and PyTorch have it; Ba et al.
        2016 (arXiv 1607.06450), supplement.
    """

    hidden_size: int
    reset_after: bool = False
    init: InitScheme = field(default_factory=InitScheme)
    norm: str | None = field(default=None, kw_only=True)

    gates: ClassVar[tuple[str, ...]] = ("z", "r", "h")
    state_parts: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        _check_sizes(self.hidden_size, self.init, self.norm)
        self.init.check_gates("gru", self.gates)

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> GRUParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        *keys, key_bias = jax.random.split(key, 4)
        drawn = [
            _draw(self.init, k, input_size, self.hidden_size, gate, forgets=gate == "z")
            for gate, k in zip(self.gates, keys, strict=True)
        ]
        blocks: list[Any] = [block for gate in drawn for block in gate]
        params = GRUParams(*blocks)
        if self.reset_after:
            scheme = self.init.gate("h").b
            assert scheme is not None
            b_hn = make(scheme, self.hidden_size)(key_bias, (self.hidden_size,))
            params = params._replace(b_hn=b_hn)
        if self.norm is not None:
            params = params._replace(norm=GRUNorm(*(_gains(params.b_h) for _ in self.gates)))
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
        masks: Masks | None = None,
    ) -> tuple[HiddenState, Array, GRUGates]:
        """One time step: (new state, output h_t (..., H), gate values)."""
        del key
        p, seen = params, _seen(state.h, masks)
        _check_option(self, f"reset_after={self.reset_after}", self.reset_after, "b_hn", p.b_hn)
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "norm", p.norm)
        of_z, of_r, of_h = (None, None, None) if p.norm is None else p.norm
        z = update_gate(seen, x, p.W_hz, p.W_xz, p.b_z, of_z)
        r = reset_gate(seen, x, p.W_hr, p.W_xr, p.b_r, of_r)
        h_tilde = candidate_hidden(r, seen, x, p.W_hh, p.W_xh, p.b_h, p.b_hn, of_h)
        h = _plus(gru_hidden(z, state.h, h_tilde), perturb, "h")
        return HiddenState(h), h, GRUGates(z, r, h_tilde)


def without_init(cell: Any) -> Any:
    """The cell (or layer of cells) with the default init: what a compiled program depends on.

    Cells are equal by value, their init included, and a static argument compiles anew for every
    value: strip the init once the parameters are drawn, and a sweep of schemes compiles once.

    >>> without_init(RNN(4, init=InitScheme(w_h="identity"))) == RNN(4)
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


class _Named(NamedTuple):
    """A cell by its name: the class, and what the name settles."""

    kind: Any
    settled: dict[str, Any]


# the names that configs use; a "bi-" in front makes a layer bidirectional (recurrence.by_name)
CELLS: dict[str, _Named] = {
    "rnn-tanh": _Named(RNN, {"activation": "tanh"}),
    "rnn-relu": _Named(RNN, {"activation": "relu"}),
    "rnn-identity": _Named(RNN, {"activation": "identity"}),
    "rnn-sigmoid": _Named(RNN, {"activation": "sigmoid"}),
    "lstm": _Named(LSTM, {}),
    "gru": _Named(GRU, {}),
    "gru-reset-after": _Named(GRU, {"reset_after": True}),
}


OPTIONS = ("norm", "projection", "peephole")


def by_name(name: str, hidden_size: int, init: InitScheme, **options: Any) -> Any:
    """The cell a config names.

    Args:
        name: a key of ``CELLS``.
        hidden_size: H.
        init: schemes.
        options: of ``OPTIONS``.
    Raises:
        ValueError: an unknown name, the nearest named; a scheme or an option the cell has no use
            for.

    >>> by_name("rnn-relu", 4, InitScheme()).activation
    'relu'
    """
    if name not in CELLS:
        raise ValueError(unknown("cell", name, CELLS))
    kind, settled = CELLS[name]
    own = [f.name for f in fields(kind) if f.name in OPTIONS]
    for option in options:
        if option not in own:
            raise ValueError(unknown(f"option of cell {name!r}:", option, own))
    return kind(hidden_size, init=init, **settled, **options)
