"""Initialization schemes, by name and as functions, applied block by block.

A scheme is a function ``init(key, shape, dtype) -> array`` returned by a factory of this module:
``orthogonal(gain=0.9)``. Configs and flags name the same scheme by the string
``"orthogonal(gain=0.9)"``; a plain number, ``"1.0"``, names a constant. Kernels are (in, out):
``W x`` in the maths is ``x @ W`` in code, so that fan-in is the first axis.

An :class:`InitScheme` assigns a scheme to each block, W_x, W_h, W_y and b, for the whole cell and
optionally for single gates. No gate is drawn as part of a packed kernel: the gates of a packed
"orthogonal" (H, 4H) kernel are not orthogonal.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from rnnlab import theory
from rnnlab.core import calls, registration, validate
from rnnlab.core.errors import CONFIG_HELP, unknown
from rnnlab.core.nested import HasItems
from rnnlab.nn import norms, searched

Initializer = Callable[..., jax.Array]
Scheme = str | float | Initializer

SCHEMES: dict[str, Callable[..., Initializer]] = {}
_SHIPPED: set[str] = set()  # names of the schemes of this file


def register_scheme(name: Callable[..., Any] | str | None = None, /) -> Any:
    """Register a scheme, so that configs and flags can name it.

    The factory that is decorated takes the scheme's options, all with defaults, and returns
    ``init(key, shape, dtype)``. An option called ``hidden_size`` defaults to the cell's H.

    Args:
        name: as configs write it; without one (``@register_scheme``) the factory's own name.
    Returns:
        the decorator, or what is decorated.
    Raises:
        UserError: a name that is taken or is no plain word; an option without a default.

    >>> @register_scheme("halves")
    ... def constant_half(value=0.5):
    ...     return lambda key, shape, dtype=float: jax.numpy.full(shape, value, dtype)
    >>> make("halves(value=2.0)")(jax.random.key(0), (2,)).tolist(), SCHEMES.pop("halves").__name__
    ([2.0, 2.0], 'constant_half')
    """
    return registration.decorator(name, _add_scheme, lambda factory: factory.__name__)


def _add_scheme(name: str, factory: Callable[..., Initializer]) -> None:
    registration.check_options(registration.SCHEME, name, factory, given=("hidden_size",))
    registration.register(registration.SCHEME, SCHEMES, _SHIPPED, name, factory)


def float_dtype() -> jnp.dtype:
    """Return the default float dtype: float32, or float64 under ``jax.enable_x64``."""
    return jnp.result_type(float)


def _check_matrix(scheme: str, shape: tuple[int, ...], *, square: bool = False) -> None:
    if len(shape) != 2 or (square and shape[0] != shape[1]):
        kind = "a square matrix" if square else "a matrix"
        raise ValueError(f"scheme {scheme!r} draws {kind}, got shape {tuple(shape)}")


def _in_float32(
    init: Initializer, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None
) -> jax.Array:
    """Draw half precision in float32 and cast: factorizations need the digits."""
    dtype = jnp.dtype(dtype or float_dtype())
    half = jnp.finfo(dtype).bits < 32
    return init(key, shape, jnp.float32 if half else dtype).astype(dtype)


# ---- biases ------------------------------------------------------------------------------------


@register_scheme
def zeros() -> Initializer:
    """Return the scheme of all zeros."""
    return constant(0.0)


@register_scheme
def constant(value: float = 0.0) -> Initializer:
    """Return the scheme whose entries all equal ``value``."""
    value = validate.number("constant: value", value)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        del key
        return jnp.full(shape, value, dtype or float_dtype())

    return init


@register_scheme
def chrono(t_max: int = 100) -> Initializer:
    """Return b_f = log u, u ~ U[1, T_max − 1]: gate memories spread over 1 … T_max steps.

    As a ``forget_bias`` of an LSTM it also sets b_i = −b_f, as in the paper.

    Args:
        t_max: the longest expected dependency, in steps; above 2.
    Source: Tallec & Ollivier 2018 (arXiv 1804.11188).
    """
    return Chrono(validate.number("chrono: t_max", t_max, above=2))


@dataclass(frozen=True)
class Chrono:
    """The initializer of :func:`chrono`; an LSTM ties b_i to its b_f."""

    t_max: float

    def __call__(
        self, key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None
    ) -> jax.Array:
        """Draw log u, u ~ U[1, T_max − 1]."""
        longest = self.t_max - 1.0
        return jnp.log(jax.random.uniform(key, shape, dtype or float_dtype(), 1.0, longest))


# ---- independent entries -----------------------------------------------------------------------


@register_scheme
def normal(std: float = 0.01) -> Initializer:
    """Return independent N(0, std²) entries; ``std`` is a standard deviation, not a variance."""
    std = validate.number("normal: std", std, least=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        return std * jax.random.normal(key, shape, dtype or float_dtype())

    return init


@register_scheme
def standard_normal() -> Initializer:
    """Return independent N(0, 1) entries."""
    return normal(std=1.0)


@register_scheme
def uniform(bound: float = 0.1) -> Initializer:
    """Return independent U(−bound, bound) entries."""
    bound = validate.number("uniform: bound", bound, above=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        return jax.random.uniform(key, shape, dtype or float_dtype(), -bound, bound)

    return init


@register_scheme
def torch_uniform(hidden_size: int | None = None) -> Initializer:
    """Return U(−1/√H, 1/√H) for every block, as PyTorch's nn.RNN, nn.LSTM and nn.GRU do.

    Args:
        hidden_size: H; inside an :class:`InitScheme` the cell fills it in.
    """
    if hidden_size is None:
        raise ValueError("torch_uniform needs hidden_size: torch_uniform(hidden_size=128)")
    return uniform(bound=1.0 / math.sqrt(validate.whole("torch_uniform: hidden_size", hidden_size)))


# ---- scaled by fan -----------------------------------------------------------------------------


def _fan_scheme(factory: Callable[..., Initializer]) -> Callable[..., Initializer]:
    """Register a variance-scaling scheme, with a clear error for a bias, which has no fan."""
    name = factory.__name__

    def checked() -> Initializer:
        inner = factory()

        def init(
            key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None
        ) -> jax.Array:
            _check_matrix(name, shape)
            return inner(key, shape, dtype or float_dtype())

        return init

    checked.__name__, checked.__doc__ = name, factory.__doc__
    return register_scheme(checked)


def _scaling(
    scale: float,
    fan: Literal["fan_in", "fan_avg"],
    distribution: Literal["uniform", "normal"],
) -> Initializer:
    return jax.nn.initializers.variance_scaling(scale, fan, distribution)


@_fan_scheme
def xavier_uniform() -> Initializer:
    """Return Var = 2/(fan_in + fan_out), uniform. Source: Glorot & Bengio 2010, eq. 16."""
    return _scaling(1.0, "fan_avg", "uniform")


@_fan_scheme
def xavier_normal() -> Initializer:
    """Return Var = 2/(fan_in + fan_out), normal, not truncated.

    Source: Glorot & Bengio 2010, eq. 12.
    """
    return _scaling(1.0, "fan_avg", "normal")


@_fan_scheme
def he_uniform() -> Initializer:
    """Return Var = 2/fan_in, uniform. Source: He et al. 2015 (arXiv 1502.01852), eq. 10."""
    return _scaling(2.0, "fan_in", "uniform")


@_fan_scheme
def he_normal() -> Initializer:
    """Return Var = 2/fan_in, normal, not truncated. Source: He et al. 2015, eq. 10."""
    return _scaling(2.0, "fan_in", "normal")


@_fan_scheme
def lecun_uniform() -> Initializer:
    """Return Var = 1/fan_in, uniform. Source: LeCun et al. 1998, Efficient BackProp, §4.6."""
    return _scaling(1.0, "fan_in", "uniform")


@_fan_scheme
def lecun_normal() -> Initializer:
    """Return Var = 1/fan_in, normal, not truncated. Source: LeCun et al. 1998, §4.6."""
    return _scaling(1.0, "fan_in", "normal")


@register_scheme
def mean_field(sigma_w: float = 1.0) -> Initializer:
    """Return N(0, σ_w²/fan_in), the ensemble of mean-field theory. Source: Chen et al. 2018."""
    sigma_w = validate.number("mean_field: sigma_w", sigma_w, least=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        _check_matrix("mean_field", shape)
        draw = jax.random.normal(key, shape, dtype or float_dtype())
        return sigma_w / math.sqrt(shape[0]) * draw

    return init


@register_scheme
def critical(
    sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> Initializer:
    """Return :func:`mean_field` at the σ_w where χ = 1, between vanishing and exploding.

    Args:
        sigma_b: standard deviation of the bias (give the cell ``b="normal(std=σ_b)"``).
        input_variance: variance of one entry of W_xh x_t.
        activation: "tanh", "relu" or "identity".
    Source: Chen, Pennington & Schoenholz 2018 (arXiv 1806.05394); :mod:`rnnlab.theory`.
    """
    return mean_field(theory.critical_sigma_w(sigma_b, input_variance, activation))


# ---- structured --------------------------------------------------------------------------------


@register_scheme
def orthogonal(gain: float = 1.0) -> Initializer:
    """Return gain · Q, QᵀQ = I, uniform over the orthogonal group. Source: Saxe et al. 2013."""
    gain = validate.number("orthogonal: gain", gain)
    inner = jax.nn.initializers.orthogonal(scale=gain)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        _check_matrix("orthogonal", shape)
        return _in_float32(inner, key, shape, dtype)

    return init


@register_scheme
def identity(gain: float = 1.0) -> Initializer:
    """Return gain · I, the IRNN's recurrent kernel.

    Source: Le, Jaitly & Hinton 2015 (arXiv 1504.00941).
    """
    gain = validate.number("identity: gain", gain)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        del key
        _check_matrix("identity", shape)
        return gain * jnp.eye(*shape, dtype=dtype or float_dtype())

    return init


def log_spectral_radius(W: jax.Array, squarings: int = 24) -> jax.Array:
    """Return log ρ(W) = lim log‖Wᵏ‖/k (Gelfand's formula), with k = 2^squarings.

    Repeated squaring runs on every device and under vmap, unlike a non-symmetric eigensolver, which
    TPUs lack; the error is of the order of 1e-6 in float32.

    Args:
        W: (H, H); half precision is computed in float32.
    """
    W = norms.wide(W)
    log_norm = jnp.zeros((), W.dtype)
    for level in range(squarings + 1):
        norm = norms.norm(W)
        log_norm = log_norm + jnp.log(norm) / 2.0**level
        W = W / norm
        if level < squarings:
            W = jnp.matmul(W, W, precision="highest")
    return log_norm


@register_scheme
def sparse(nonzeros: int = 15, spectral_radius: float = 0.95) -> Initializer:
    """Return ``nonzeros`` normal incoming weights per unit, rescaled to a spectral radius.

    Pascanu's "smart tanh" recurrent kernel.

    Args:
        nonzeros: incoming connections per unit (nonzero entries per column).
        spectral_radius: max |eigenvalue| after rescaling.
    Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), §4.1.1.
    """
    nonzeros = validate.whole("sparse: nonzeros", nonzeros)
    spectral_radius = validate.number("sparse: spectral_radius", spectral_radius, above=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> jax.Array:
        return _in_float32(draw, key, shape, dtype)

    def draw(key: jax.Array, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
        _check_matrix("sparse", shape, square=True)
        if shape[0] < nonzeros:
            raise ValueError(
                f"sparse(nonzeros={nonzeros}) needs at least {nonzeros} units, got {shape[0]}"
            )
        key_place, key_value = jax.random.split(key)
        place = jax.random.uniform(key_place, shape)
        kept = place <= jnp.sort(place, axis=0)[nonzeros - 1]
        W = jnp.where(kept, jax.random.normal(key_value, shape, dtype), 0)
        return W * (spectral_radius * jnp.exp(-log_spectral_radius(W)))

    return init


_SHIPPED.update(SCHEMES)


# ---- by name -----------------------------------------------------------------------------------


def parse(scheme: str) -> tuple[str, dict[str, Any]]:
    """Split ``"name(option=literal, …)"`` into its name and options.

    Raises:
        ValueError: not of that form, an unknown name, or an unknown option.

    >>> parse("orthogonal(gain=0.9)")
    ('orthogonal', {'gain': 0.9})
    >>> parse("1.5")
    ('constant', {'value': 1.5})
    """
    try:
        value = float(scheme)
    except ValueError:
        pass
    else:
        return "constant", {"value": value}
    name, options = calls.parse(scheme, "a scheme is a name, name(option=value) or a number")
    validate.choice("scheme", name, SCHEMES, listing=CONFIG_HELP)
    allowed = inspect.signature(SCHEMES[name]).parameters
    for option in options:
        if option not in allowed:
            raise ValueError(unknown(f"option of scheme {name!r}:", option, allowed))
    return name, options


def make(scheme: Scheme, hidden_size: int | None = None) -> Initializer:
    """Return the initializer that a scheme names.

    Args:
        scheme: a string, a number (a constant), or an initializer, which is returned as it is.
        hidden_size: H, for the schemes that need it.
    Returns:
        ``init(key, shape, dtype) -> array``.
    Raises:
        ValueError: an unknown scheme or option, or an invalid value.

    >>> import jax
    >>> make("identity(gain=2.0)")(jax.random.key(0), (2, 2)).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if callable(scheme):
        return scheme
    name, options = parse(str(scheme))
    if asked := searched.option(SCHEMES[name], options):
        raise ValueError(
            f"scheme {scheme!r}: its {asked} is searched on sequences: give a number, or search it "
            "by rnnlab.gradients.critical_on or in the init group of a config"
        )
    if "hidden_size" in inspect.signature(SCHEMES[name]).parameters and hidden_size is not None:
        options.setdefault("hidden_size", hidden_size)
    try:
        return SCHEMES[name](**options)
    except TypeError as error:
        raise ValueError(f"scheme {scheme!r}: {error}") from None


def _check(scheme: Scheme) -> None:
    # 1 is a placeholder, of hidden_size and of a number that is searched
    make(searched.resolved(scheme, 1.0, SCHEMES), hidden_size=1)


# ---- schemes by block --------------------------------------------------------------------------


@dataclass(frozen=True)
class GateScheme:
    """Schemes of one gate's blocks; None: the cell's own.

    >>> GateScheme(w_h="identity").w_h
    'identity'
    """

    w_x: Scheme | None = None
    w_h: Scheme | None = None
    b: Scheme | None = None

    def __post_init__(self) -> None:
        for scheme in (self.w_x, self.w_h, self.b):
            if scheme is not None:
                _check(scheme)


Gates = Any  # a mapping from gate letters to GateSchemes or to dicts of their fields
# keys of a config's init group that say what is done to the parameters once they are drawn
FLOSS = {"floss": 0, "floss_exponents": 8, "floss_learning_rate": 1e-3, "floss_sequences": 0}


@dataclass(frozen=True)
class InitScheme:
    """Schemes of the blocks of a cell and of its read-out.

    Args:
        w_x: input kernels W_x·, each (D, H).
        w_h: recurrent kernels W_h·, each (H, H).
        w_y: the read-out's kernel W_hy (H, O).
        b: every bias.
        forget_bias: the LSTM's b_f, the GRU's b_z (z keeps the past); None: the cell's own
            default, 1 for an LSTM, as ``b`` for a GRU. Zero is "0.0".
            ``"chrono(t_max=…)"`` also sets the LSTM's b_i = −b_f.
        gates: gate letter → :class:`GateScheme` (or a dict of its fields), which overrides the
            fields above: ``{"f": {"w_h": "identity"}}``; stored as sorted pairs.
    Raises:
        ValueError: an unknown or invalid scheme, naming the field.

    >>> InitScheme(w_h="orthogonal(gain=0.9)", gates={"c": {"w_h": "identity"}}).gates
    (('c', GateScheme(w_x=None, w_h='identity', b=None)),)
    """

    w_x: Scheme = "xavier_uniform"
    w_h: Scheme = "orthogonal"
    w_y: Scheme = "xavier_uniform"
    b: Scheme = "zeros"
    forget_bias: Scheme | None = None
    gates: Gates = ()

    def __post_init__(self) -> None:
        for name in ("w_x", "w_h", "w_y", "b", "forget_bias"):
            scheme = getattr(self, name)
            if scheme is not None:
                try:
                    _check(scheme)
                    if name == "w_y":
                        searched.refuse(scheme, SCHEMES)
                except ValueError as error:
                    raise ValueError(f"init.{name}: {error}") from None
        object.__setattr__(self, "gates", _gate_schemes(self.gates))  # hashable, as a cell must be

    @staticmethod
    def config(**changes: object) -> dict[str, object]:
        """Return the ``init`` group of a config with every key; an empty string means None.

        Its keys are the fields of :class:`InitScheme`, and those below. It lists the gates of every
        cell, so that one group fits all cells.

        Args:
            floss, floss_exponents, floss_learning_rate: steps (0: none), k and rate of gradient
                flossing (:func:`rnnlab.gradients.floss`) on training sequences before training.
            floss_sequences: how many of the first batch's sequences it reads; 0: all.

        >>> InitScheme.config(w_h="identity")["w_h"], sorted(InitScheme.config()["gates"])
        ('identity', ['c', 'f', 'h', 'i', 'o', 'r', 'z'])
        """
        group: dict[str, object] = {
            f.name: "" if f.default is None else f.default
            for f in fields(InitScheme)
            if f.name != "gates"
        }
        gates = {gate: {f.name: "" for f in fields(GateScheme)} for gate in "ficozrh"}
        return {**group, **FLOSS, **changes, "gates": gates}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "InitScheme":
        """Return the scheme that a config's ``init`` group describes, as :meth:`config` returns it.

        Raises:
            ValueError: a key that is no field of this class, or a bad scheme.
        """
        known = [f.name for f in fields(cls)]
        options = {}
        for name in config:
            if name not in known and name not in FLOSS:
                raise ValueError(unknown("init key", name, [*known, *FLOSS]))
            if config[name] != "" and name in known:
                options[name] = config[name]
        gates = {gate: dict(blocks) for gate, blocks in dict(options.pop("gates", {})).items()}
        named = {gate: blocks for gate, blocks in gates.items() if any(blocks.values())}
        return cls(**options, gates=named)

    def replace(self, **changes: Any) -> "InitScheme":
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def with_number(self, value: float) -> "InitScheme":
        """Return a copy with a number in place of every 'critical', as in "identity(gain=0.9)"."""
        return searched.resolved(self, value, SCHEMES)

    @property
    def is_searched(self) -> bool:
        """Whether a block has a number that is searched on sequences."""
        return self.with_number(1.0) != self

    def gate(
        self, letter: str, *, forgets: bool = False, forget_bias: Scheme | None = None
    ) -> GateScheme:
        """Return the schemes of gate ``letter``, with defaults filled in.

        Args:
            forgets: whether ``self.forget_bias`` is this gate's bias.
            forget_bias: the default where ``self.forget_bias`` is None; None: as ``b``.
        """
        override = dict(self.gates).get(letter, GateScheme())
        b = self.b
        if forgets:
            candidates = (self.forget_bias, forget_bias, self.b)
            b = next(scheme for scheme in candidates if scheme is not None)
        return GateScheme(
            w_x=self.w_x if override.w_x is None else override.w_x,
            w_h=self.w_h if override.w_h is None else override.w_h,
            b=b if override.b is None else override.b,
        )

    def check_gates(self, cell: str, letters: tuple[str, ...]) -> None:
        """Raise ValueError if a gate is named that ``cell`` does not have."""
        for letter, _ in self.gates:
            if letter not in letters:
                raise ValueError(unknown(f"gate of {cell} in init.gates:", letter, letters))

    @property
    def is_chrono(self) -> bool:
        """Whether ``forget_bias`` is the chrono scheme, which ties b_i to b_f."""
        if self.forget_bias is None:
            return False
        return isinstance(make(self.forget_bias, hidden_size=1), Chrono)


def _gate_schemes(gates: Gates) -> tuple[tuple[str, GateScheme], ...]:
    """Sorted (letter, scheme) pairs, from a dict or from such pairs."""
    pairs = list(gates.items()) if isinstance(gates, HasItems) else gates
    if isinstance(pairs, str) or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise ValueError(f"init.gates must be a dict from gate letters to schemes, got {gates!r}")
    letters = [letter for letter, _ in pairs]
    if len(set(letters)) < len(letters):
        raise ValueError(f"init.gates names a gate twice, got {letters}")
    return tuple(sorted((str(letter), _gate_scheme(letter, value)) for letter, value in pairs))


def _gate_scheme(letter: str, value: object) -> GateScheme:
    if isinstance(value, GateScheme):
        return value
    known = [f.name for f in fields(GateScheme)]
    if not isinstance(value, HasItems):
        raise ValueError(f"init.gates.{letter} must be a dict of {', '.join(known)}, got {value!r}")
    for name in value:
        if name not in known:
            raise ValueError(unknown(f"key of init.gates.{letter}:", name, known))
    try:
        return GateScheme(**{k: v for k, v in value.items() if v != ""})
    except ValueError as error:
        raise ValueError(f"init.gates.{letter}: {error}") from None
