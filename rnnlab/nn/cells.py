"""RNN, LSTM and GRU cells: parameters, state and step, made of :mod:`rnnlab.nn.equations`.

Shapes: D input, H hidden, P projected; ``...`` any leading axes.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp

from rnnlab.core import registration, validate
from rnnlab.core.errors import CONFIG_HELP, UserError, unknown
from rnnlab.nn.activations import Activation, activation_function
from rnnlab.nn.affine import Gains, Peephole
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
from rnnlab.nn.params import (
    GRUGates,
    GRUNorm,
    GRUParams,
    HiddenState,
    LSTMGates,
    LSTMNorm,
    LSTMParams,
    LSTMState,
    Masks,
    NoGates,
    Peepholes,
    ProjectedGates,
    PyTree,
    RNNParams,
)
from rnnlab.nn.protocols import Cell

Array = jax.Array
T = TypeVar("T")


# ---- shared by the cells -----------------------------------------------------------------------


def _add(value: Array, perturb: HiddenState | LSTMState | None, part: str) -> Array:
    return value if perturb is None else value + getattr(perturb, part)


def _masked(h: Array, masks: Masks | None) -> Array:
    """h_{t−1} as the gates see it; the state that bypasses the gates is never masked."""
    return h if masks is None or masks.h is None else h * masks.h


NORMS = ("layer",)


def _check_arguments(cell: "RNN | LSTM | GRU") -> None:
    """Check the arguments that all cells share; store a NumPy size as an int."""
    hidden_size = validate.whole("hidden_size", cell.hidden_size)
    object.__setattr__(cell, "hidden_size", hidden_size)
    if not isinstance(cell.init, InitScheme):
        raise TypeError(f"init must be an InitScheme, got {type(cell.init).__name__}")
    if cell.norm is not None:
        validate.choice("norm", cell.norm, NORMS)
        if hidden_size == 1:
            raise ValueError(
                "norm='layer' with hidden_size=1 always gives zero: use 2 units or more"
            )
    cell.init.check_gates(type(cell).__name__.lower(), cell.gates)


def _check_option(cell: Cell, option: str, expected: bool, block: str, value: PyTree) -> None:
    """Refuse parameters of a cell with other options: they would run and mean something else."""
    if (value is not None) != expected:
        raise ValueError(
            f"{type(cell).__name__} with {option} got params "
            f"{'without' if value is None else 'with'} {block}"
        )


def _first_state(example: Array, batch_shape: tuple[int, ...], key: Array | None) -> Array:
    """Zeros, or N(0, 0.1²) with a key; derived from ``example`` (H,), a parameter.

    A constant carry has no device placement of its own, and shard_map refuses it in a scan.
    """
    shape = (*batch_shape, example.shape[-1])
    if key is None:
        return jnp.broadcast_to(example * 0, shape)
    return example * 0 + 0.1 * jax.random.normal(key, shape, example.dtype)


def _draw_gate(
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
        forget_bias: the cell's default where ``init.forget_bias`` is None; None: as ``init.b``.
        fed_back: rows of W_h; None: H.
    """
    D = validate.whole("input_size", input_size)
    scheme = init.gate(gate, forgets=forgets, forget_bias=forget_bias)
    key_x, key_h, key_b = jax.random.split(key, 3)

    def draw(block: Scheme | None, key: Array, shape: tuple[int, ...]) -> Array:
        assert block is not None  # InitScheme.gate fills every field in
        return make(block, hidden_size)(key, shape)

    return (
        draw(scheme.w_x, key_x, (D, hidden_size)),
        draw(scheme.w_h, key_h, (fed_back or hidden_size, hidden_size)),
        draw(scheme.b, key_b, (hidden_size,)),
    )


FORGET_BIAS = 1.0  # b_f of an LSTM whose init has no forget_bias


def _gains(like: Array) -> Gains:
    """Ones with the dtype and placement of a parameter (H,)."""
    return Gains(jnp.ones_like(like), jnp.ones_like(like))


# ---- cells -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RNN:
    """The simple recurrent cell, h_t = f(W_hh h_{t−1} + W_xh x_t + b_h).

    Args:
        hidden_size: H, units.
        activation: f: "tanh", "relu", "identity", or an elementwise callable.
        init: schemes by block; ``forget_bias`` must be None.
        norm: "layer": h_t = f(LN(W_hh h_{t−1} + W_xh x_t; g_h, b_h)), g_h drawn as 1.
    Raises:
        ValueError: an invalid size, activation, norm or scheme.
        TypeError: ``init`` is no InitScheme.
    Source: the notes, 前向传播的核心计算; Elman 1990.

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
        _check_arguments(self)
        activation_function(self.activation)
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
        W_xh, W_hh, b_h = _draw_gate(self.init, key, input_size, self.hidden_size, "h")
        return RNNParams(W_xh, W_hh, b_h, None if self.norm is None else jnp.ones_like(b_h))

    def initial_state(
        self, params: RNNParams, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> HiddenState:
        """Return h_0 (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
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
        """Run one time step; return (new state, output h_t (..., H), no gates)."""
        del key
        p = params
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "g_h", p.g_h)
        h = _masked(state.h, masks)
        h = rnn_hidden(h, x, p.W_hh, p.W_xh, p.b_h, self.activation, p.g_h)
        h = _add(h, perturb, "h")
        return HiddenState(h), h, NoGates()


@dataclass(frozen=True)
class LSTM:
    """The long short-term memory: gates f, i and o, candidate C̃, states h and C.

    f_t, i_t, o_t = σ(W·[h_{t−1}, x_t] + b); C̃_t = tanh(W_c·[h_{t−1}, x_t] + b_c);
    C_t = f_t*C_{t−1} + i_t*C̃_t; h_t = o_t*tanh(C_t).

    Options, in any combination:

    - ``norm="layer"``: the products W_h h_{t−1} and W_x x_t of each gate are normalized
      separately, and so is the memory in the output, h_t = o_t*tanh(LN(C_t; g_C, b_C)). Gains are
      drawn as 1, b_C as 0.
    - ``projection=P``: m_t = o_t*tanh(C_t), h_t = W_mh m_t. h_t is both the output and the state
      that is fed back, so every W_h· is (P, H). W_mh is drawn with ``init.w_h``.
    - ``peephole=True``: f and i also see p*C_{t−1} and o sees p_o*C_t, not normalized. p is drawn
      as 0, which equals an LSTM without peepholes.

    Args:
        hidden_size: H, units.
        init: schemes by block; gates are "f", "i", "c", "o". b_f = 1 where ``init.forget_bias`` is
            None (Jozefowicz et al. 2015; Keras).
        norm: "layer", or None.
        projection: P, or None.
        peephole: whether the gates see the memory.
    Raises:
        ValueError: an invalid size, scheme or option. TypeError: ``init`` is no InitScheme.
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
    keep_gate: ClassVar[str] = "f"

    def __post_init__(self) -> None:
        _check_arguments(self)
        if self.projection is not None:
            projection = validate.whole("projection", self.projection)
            object.__setattr__(self, "projection", projection)
        object.__setattr__(self, "peephole", validate.flag("peephole", self.peephole))

    @property
    def output_size(self) -> int:
        """Features of y_t: H, or P with a projection."""
        return self.projection or self.hidden_size

    def init_params(self, key: Array, input_size: int) -> LSTMParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        H, P = self.hidden_size, self.projection
        f, i, c, o = (
            _draw_gate(
                self.init,
                gate_key,
                input_size,
                H,
                gate,
                forgets=gate == "f",
                forget_bias=FORGET_BIAS,
                fed_back=P,
            )
            for gate, gate_key in zip(self.gates, jax.random.split(key, 4), strict=True)
        )
        params = LSTMParams(*f, *i, *c, *o)
        input_scheme = dict(self.init.gates).get("i")
        if self.init.is_chrono and (input_scheme is None or input_scheme.b is None):
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
        """Return h_0 (*batch_shape, H or P) and C_0 (*batch_shape, H).

        Zeros, or N(0, 0.1²) with a key.
        """
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
        """Run one time step; return (new state, output h_t (..., H), gate values)."""
        del key
        p, h = params, _masked(state.h, masks)
        self._check_options(p)

        def gains(gate: str) -> Gains | None:
            return None if p.norm is None else getattr(p.norm, gate)

        def peephole(gate: str, C: Array) -> Peephole | None:
            return None if p.peepholes is None else (getattr(p.peepholes, gate), C)

        f = forget_gate(h, x, p.W_hf, p.W_xf, p.b_f, gains("f"), peephole("f", state.C))
        i = input_gate(h, x, p.W_hi, p.W_xi, p.b_i, gains("i"), peephole("i", state.C))
        C_tilde = candidate_memory(h, x, p.W_hc, p.W_xc, p.b_c, gains("c"))
        C = _add(cell_state(f, state.C, i, C_tilde), perturb, "C")
        o = output_gate(h, x, p.W_ho, p.W_xo, p.b_o, gains("o"), peephole("o", C))
        m = lstm_hidden(o, C) if p.norm is None else lstm_hidden(o, C, p.norm.g_C, p.norm.b_C)
        if p.W_mh is None:
            h = _add(m, perturb, "h")
            return LSTMState(h, C), h, LSTMGates(f, i, C_tilde, o)
        h = _add(lstm_projection(m, p.W_mh), perturb, "h")
        return LSTMState(h, C), h, ProjectedGates(f, i, C_tilde, o, m)

    def _check_options(self, p: LSTMParams) -> None:
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "norm", p.norm)
        _check_option(self, f"peephole={self.peephole}", self.peephole, "peepholes", p.peepholes)
        projects = self.projection is not None
        _check_option(self, f"projection={self.projection}", projects, "W_mh", p.W_mh)


@dataclass(frozen=True)
class GRU:
    """The gated recurrent unit: gates z and r, candidate h̃, state h.

    z_t, r_t = σ(W·[h_{t−1}, x_t] + b); h̃_t = tanh(W_h·[r_t*h_{t−1}, x_t] + b_h);
    h_t = z_t*h_{t−1} + (1−z_t)*h̃_t.

    Args:
        hidden_size: H, units.
        reset_after: apply r after the recurrent product, which then has its own bias b_hn: the
            GRU of cuDNN, PyTorch, Flax and Keras. The other one cannot be exported to PyTorch or
            Flax; in a config this one is ``cell.name=gru-reset-after``.
        init: schemes by block; gates are "z", "r", "h"; ``forget_bias`` sets b_z.
        norm: "layer": the products W_h h_{t−1} and W_x x_t of each gate and of the candidate are
            normalized separately, with gains drawn as 1; with ``reset_after`` this is the GRU of
            Ba et al. 2016. Or None.
    Raises:
        ValueError: an invalid size, scheme or option. TypeError: ``init`` is no InitScheme.
    Source: Cho et al. 2014 (arXiv 1406.1078), with z as in the notes and in PyTorch; Ba et al. 2016
        (arXiv 1607.06450), supplement.

    >>> cell = GRU(3)
    >>> params = cell.init_params(jax.random.key(0), input_size=2)
    >>> state, y, gates = cell.step(params, cell.initial_state(params, (5,)), jnp.ones((5, 2)))
    >>> y.shape, gates.z.shape
    ((5, 3), (5, 3))
    """

    hidden_size: int
    reset_after: bool = False
    init: InitScheme = field(default_factory=InitScheme)
    norm: str | None = field(default=None, kw_only=True)

    gates: ClassVar[tuple[str, ...]] = ("z", "r", "h")
    state_parts: ClassVar[tuple[str, ...]] = ("h",)
    keep_gate: ClassVar[str] = "z"

    def __post_init__(self) -> None:
        _check_arguments(self)
        object.__setattr__(self, "reset_after", validate.flag("reset_after", self.reset_after))

    @property
    def output_size(self) -> int:
        """Features of y_t: H."""
        return self.hidden_size

    def init_params(self, key: Array, input_size: int) -> GRUParams:
        """Draw the parameters for inputs of D = ``input_size`` features."""
        *keys, key_bias = jax.random.split(key, 4)
        z, r, h = (
            _draw_gate(self.init, gate_key, input_size, self.hidden_size, gate, forgets=gate == "z")
            for gate, gate_key in zip(self.gates, keys, strict=True)
        )
        params = GRUParams(*z, *r, *h)
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
        """Return h_0 (*batch_shape, H): zeros, or N(0, 0.1²) with a key."""
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
        """Run one time step; return (new state, output h_t (..., H), gate values)."""
        del key
        p, masked = params, _masked(state.h, masks)
        _check_option(self, f"reset_after={self.reset_after}", self.reset_after, "b_hn", p.b_hn)
        _check_option(self, f"norm={self.norm!r}", self.norm is not None, "norm", p.norm)
        gains_z, gains_r, gains_h = (None, None, None) if p.norm is None else p.norm
        z = update_gate(masked, x, p.W_hz, p.W_xz, p.b_z, gains_z)
        r = reset_gate(masked, x, p.W_hr, p.W_xr, p.b_r, gains_r)
        h_tilde = candidate_hidden(r, masked, x, p.W_hh, p.W_xh, p.b_h, p.b_hn, gains_h)
        h = _add(gru_hidden(z, state.h, h_tilde), perturb, "h")
        return HiddenState(h), h, GRUGates(z, r, h_tilde)


def without_init(cell: T) -> T:
    """Return the cell (or layer of cells) with the default init: all that compilation depends on.

    Cells are equal by value, their init included, and a static argument compiles anew for every
    value. With the init stripped once the parameters are drawn, a sweep of schemes compiles once.

    Args:
        cell: a cell, a layer, a tuple of them, or any other dataclass that holds them.
    Returns:
        A copy of the same class; what is no dataclass and no tuple is returned as it is.

    >>> without_init(RNN(4, init=InitScheme(w_h="identity"))) == RNN(4)
    True
    """
    return _strip_init(cell)


_DEFAULT_INIT = InitScheme()  # made, and its schemes checked, once


def _strip_init(value: PyTree) -> PyTree:
    if isinstance(value, InitScheme):
        return _DEFAULT_INIT
    if isinstance(value, tuple):
        return tuple(_strip_init(inner) for inner in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return replace(value, **{f.name: _strip_init(getattr(value, f.name)) for f in fields(value)})


# ---- by name -----------------------------------------------------------------------------------

# names in configs; "bi-" before a name makes a layer bidirectional (layers.by_name)
CELLS: dict[str, Callable[..., Cell]] = {
    "rnn-tanh": partial(RNN, activation="tanh"),
    "rnn-relu": partial(RNN, activation="relu"),
    "rnn-identity": partial(RNN, activation="identity"),
    "rnn-sigmoid": partial(RNN, activation="sigmoid"),
    "lstm": LSTM,
    "gru": GRU,
    "gru-reset-after": partial(GRU, reset_after=True),
}
_SHIPPED = frozenset(CELLS)

OPTIONS = ("norm", "projection", "peephole")


def register_cell(name: Callable[..., Any] | str | None = None, /) -> Any:
    """Register a cell, so that configs and flags can name it.

    The decorated class is called as ``Cell(hidden_size, init=InitScheme(…), **options)``. Its
    options have defaults, and a config sets them in its group ``cell``.

    Args:
        name: as configs write it; without one (``@register_cell``) the class' own in snake case.
    Returns:
        the decorator, or what is decorated.
    Raises:
        UserError: a name that is taken or is no plain word; a class that takes no hidden_size or
            no init, or whose options have no defaults, the name of a key that configs have for
            every cell, or (norm, projection, peephole) a default that is not off.

    >>> @register_cell("mine")
    ... @dataclass(frozen=True)
    ... class Mine(GRU):
    ...     alpha: float = 0.5
    >>> by_name("mine", 4, InitScheme(), alpha=0.2).alpha, own_options("mine")["alpha"]
    (0.2, 0.5)
    >>> del CELLS["mine"]
    """
    return registration.decorator(
        name, _add_cell, lambda cell: registration.snake_case(cell.__name__)
    )


_GIVEN = ("hidden_size", "init")  # arguments of a registered cell that are no options
# keys that configs have for every cell
LAYER_OPTIONS = ("name", "layers", "dropout", "variational")
WRAPPER_OPTIONS = ("zoneout_h", "zoneout_C", "recurrent_dropout", "residual")


def _add_cell(name: str, cell: Callable[..., Cell]) -> None:
    taken = (*LAYER_OPTIONS, *WRAPPER_OPTIONS)
    registration.check_options(registration.CELL, name, cell, _GIVEN, taken, off=OPTIONS)
    arguments = inspect.signature(cell).parameters
    if missing := [argument for argument in _GIVEN if argument not in arguments]:
        raise UserError(
            f"cell {name!r} is called as {getattr(cell, '__name__', name)}(hidden_size, init=…): "
            f"it takes no {' and no '.join(missing)}"
        )
    if name.startswith("bi-"):
        raise UserError(f'cell {name!r}: "bi-" before any cell\'s name already reads both ways')
    registration.register(registration.CELL, CELLS, _SHIPPED, name, cell)


def own_options(name: str) -> dict[str, object]:
    """Return the options of a registered cell with their defaults; {} of those of this file.

    Those that a config can hold: bool, int, float, str, None and tuples.
    """
    if name in _SHIPPED or name not in CELLS:
        return {}
    return registration.plain_options(CELLS[name], (*_GIVEN, *OPTIONS))


def by_name(name: str, hidden_size: int, init: InitScheme, **options: object) -> Cell:
    """Return the cell that a config names.

    Args:
        name: a key of ``CELLS``.
        hidden_size: H.
        init: schemes.
        options: names in ``OPTIONS``; of a registered cell its own.
    Raises:
        ValueError: an unknown name (the nearest is suggested); a scheme or an option that the cell
            does not have.

    >>> by_name("rnn-relu", 4, InitScheme()).activation
    'relu'
    """
    validate.choice("cell", name, CELLS, listing=CONFIG_HELP)
    parameters = inspect.signature(CELLS[name]).parameters
    allowed = [option for option in OPTIONS if option in parameters] + list(own_options(name))
    for option in options:
        if option not in allowed:
            raise ValueError(unknown(f"option of cell {name!r}:", option, allowed))
    return CELLS[name](hidden_size, init=init, **options)
