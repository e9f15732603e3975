"""Initialization schemes, by name and as functions, applied block by block.

A scheme is a function ``init(key, shape, dtype) -> array`` made by a factory of this module:
``orthogonal(gain=0.9)``. The same scheme is named by the string ``"orthogonal(gain=0.9)"``, so
that configs and flags carry it; a plain number, ``"1.0"``, names a constant. Kernels are
(in, out): ``W x`` in the maths is ``x @ W`` in code, so that fan-in is the first axis.

An :class:`InitScheme` says which scheme each block gets: W_x, W_h, W_y and b, for the whole cell
and, where wanted, for one gate alone. No gate is ever drawn as part of a packed kernel: a packed
"orthogonal" (H, 4H) kernel has no orthogonal gate in it.
"""

import ast
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab import theory
from rnnlab.core.errors import unknown

Initializer = Callable[..., jax.Array]
Scheme = str | float | Initializer

SCHEMES: dict[str, Callable[..., Initializer]] = {}


def register_scheme(factory: Callable[..., Initializer]) -> Callable[..., Initializer]:
    """Make a scheme known by its factory's name, in configs and flags.

    Args:
        factory: takes the scheme's options, all with defaults, and returns
            ``init(key, shape, dtype)``. An option called ``hidden_size`` is filled in with the
            cell's own H when the string leaves it out.

    >>> import jax
    >>> @register_scheme
    ... def halves(value=0.5):
    ...     return lambda key, shape, dtype=float: jax.numpy.full(shape, value, dtype)
    >>> make("halves(value=2.0)")(jax.random.key(0), (2,)).tolist()
    [2.0, 2.0]
    >>> del SCHEMES["halves"]
    """
    SCHEMES[factory.__name__] = factory
    return factory


def float_dtype() -> Any:
    """The default float dtype: float32, or float64 under ``jax.enable_x64``."""
    return jnp.result_type(float)


def _number(name: str, value: Any, above: float = -math.inf, least: float = -math.inf) -> None:
    """Refuse what is no finite number, or not above (not at least) a bound."""
    wanted = "a finite number"
    if above > -math.inf:
        wanted += f" above {above:g}"
    if least > -math.inf:
        wanted += f" of at least {least:g}"
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or not math.isfinite(value) or not value > above or not value >= least:
        raise ValueError(f"{name} must be {wanted}, got {value!r}")


def _whole(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def _matrix(scheme: str, shape: tuple[int, ...], *, square: bool = False) -> None:
    if len(shape) != 2 or (square and shape[0] != shape[1]):
        kind = "a square matrix" if square else "a matrix"
        raise ValueError(f"scheme {scheme!r} draws {kind}, got shape {tuple(shape)}")


# ---- biases ------------------------------------------------------------------------------------


@register_scheme
def zeros() -> Initializer:
    """All zeros."""
    return constant(0.0)


@register_scheme
def constant(value: float = 0.0) -> Initializer:
    """Every entry equal to ``value`` (a forget-gate bias, say)."""
    _number("constant: value", value)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        del key
        return jnp.full(shape, value, dtype or float_dtype())

    return init


@register_scheme
def chrono(t_max: int = 100) -> Initializer:
    """b_f = log u, u ~ U[1, T_max − 1]: gate memories spread over 1 … T_max steps.

    As a ``forget_bias`` of an LSTM it also sets b_i = −b_f, as the paper has it.

    Args:
        t_max: the longest dependency expected, in steps; above 2.
    Source: Tallec & Ollivier 2018 (arXiv 1804.11188).
    """
    _number("chrono: t_max", t_max, above=2)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        return jnp.log(jax.random.uniform(key, shape, dtype or float_dtype(), 1.0, t_max - 1.0))

    init.ties_input_gate = True  # type: ignore[attr-defined]  # read by InitScheme.is_chrono
    return init


# ---- independent entries -----------------------------------------------------------------------


@register_scheme
def normal(std: float = 0.01) -> Initializer:
    """N(0, std²), entry by entry. ``std`` is a standard deviation, never a variance."""
    _number("normal: std", std, least=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        return std * jax.random.normal(key, shape, dtype or float_dtype())

    return init


@register_scheme
def standard_normal() -> Initializer:
    """N(0, 1), entry by entry."""
    return normal(std=1.0)


@register_scheme
def uniform(bound: float = 0.1) -> Initializer:
    """U(−bound, bound), entry by entry."""
    _number("uniform: bound", bound, above=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        return jax.random.uniform(key, shape, dtype or float_dtype(), -bound, bound)

    return init


@register_scheme
def torch_uniform(hidden_size: int | None = None) -> Initializer:
    """U(−1/√H, 1/√H) for every block: what PyTorch's nn.RNN, nn.LSTM and nn.GRU draw.

    Args:
        hidden_size: H; inside an :class:`InitScheme` the cell fills it in.
    """
    if hidden_size is None:
        raise ValueError("torch_uniform needs hidden_size: torch_uniform(hidden_size=128)")
    _whole("torch_uniform: hidden_size", hidden_size)
    return uniform(bound=1.0 / math.sqrt(hidden_size))


# ---- scaled by fan -----------------------------------------------------------------------------


def _fan_scheme(factory: Callable[..., Initializer]) -> Callable[..., Initializer]:
    """Register a variance scaling with a clear error where there is no fan (a bias)."""
    name = factory.__name__

    def checked() -> Initializer:
        inner = factory()

        def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
            _matrix(name, shape)
            return inner(key, shape, dtype or float_dtype())

        return init

    checked.__name__, checked.__doc__ = name, factory.__doc__
    return register_scheme(checked)


def _scaling(scale: float, fan: Any, distribution: Any) -> Initializer:
    return jax.nn.initializers.variance_scaling(scale, fan, distribution)


@_fan_scheme
def xavier_uniform() -> Initializer:
    """Var = 2/(fan_in + fan_out), uniform. Source: Glorot & Bengio 2010, eq. 16."""
    return _scaling(1.0, "fan_avg", "uniform")


@_fan_scheme
def xavier_normal() -> Initializer:
    """Var = 2/(fan_in + fan_out), normal (not truncated). Source: Glorot & Bengio 2010, eq. 12."""
    return _scaling(1.0, "fan_avg", "normal")


@_fan_scheme
def he_uniform() -> Initializer:
    """Var = 2/fan_in, uniform. Source: He et al. 2015 (arXiv 1502.01852), eq. 10."""
    return _scaling(2.0, "fan_in", "uniform")


@_fan_scheme
def he_normal() -> Initializer:
    """Var = 2/fan_in, normal (not truncated). Source: He et al. 2015, eq. 10."""
    return _scaling(2.0, "fan_in", "normal")


@_fan_scheme
def lecun_uniform() -> Initializer:
    """Var = 1/fan_in, uniform. Source: LeCun et al. 1998, Efficient BackProp, §4.6."""
    return _scaling(1.0, "fan_in", "uniform")


@_fan_scheme
def lecun_normal() -> Initializer:
    """Var = 1/fan_in, normal (not truncated). Source: LeCun et al. 1998, §4.6."""
    return _scaling(1.0, "fan_in", "normal")


@register_scheme
def mean_field(sigma_w: float = 1.0) -> Initializer:
    """N(0, σ_w²/fan_in): the ensemble of mean-field theory. Source: Chen et al. 2018."""
    _number("mean_field: sigma_w", sigma_w, least=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        _matrix("mean_field", shape)
        draw = jax.random.normal(key, shape, dtype or float_dtype())
        return sigma_w / math.sqrt(shape[0]) * draw

    return init


@register_scheme
def critical(
    sigma_b: float = 0.0, input_variance: float = 0.0, activation: str = "tanh"
) -> Initializer:
    """:func:`mean_field` at the σ_w where χ = 1, the edge between vanishing and exploding.

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
    """gain · Q with QᵀQ = I, uniform over the orthogonal group. Source: Saxe et al. 2013."""
    _number("orthogonal: gain", gain)
    inner = jax.nn.initializers.orthogonal(scale=gain)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        _matrix("orthogonal", shape)
        return inner(key, shape, dtype or float_dtype())

    return init


@register_scheme
def identity(gain: float = 1.0) -> Initializer:
    """gain · I: the IRNN's recurrent kernel. Source: Le, Jaitly & Hinton 2015 (1504.00941)."""
    _number("identity: gain", gain)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        del key
        _matrix("identity", shape)
        return gain * jnp.eye(*shape, dtype=dtype or float_dtype())

    return init


def log_spectral_radius(W: jax.Array, squarings: int = 24) -> jax.Array:
    """log ρ(W) = lim log‖Wᵏ‖/k (Gelfand), with k = 2^squarings.

    Repeated squaring runs on every device and under vmap, where a non-symmetric eigensolver
    does not exist (TPU); the error is of the order of 1e-6 in float32.
    """
    log_norm = jnp.zeros((), W.dtype)
    for level in range(squarings + 1):
        norm = jnp.linalg.norm(W)
        log_norm = log_norm + jnp.log(norm) / 2.0**level
        W = W / norm
        if level < squarings:
            W = jnp.matmul(W, W, precision="highest")
    return log_norm


@register_scheme
def sparse(nonzeros: int = 15, spectral_radius: float = 0.95) -> Initializer:
    """``nonzeros`` normal incoming weights a unit, rescaled to a set spectral radius.

    Pascanu's "smart tanh" recurrent kernel.

    Args:
        nonzeros: incoming connections of each unit (nonzeros in each column).
        spectral_radius: max |eigenvalue| after the rescaling.
    Source: Pascanu, Mikolov & Bengio 2013 (arXiv 1211.5063), §4.1.1.
    """
    _whole("sparse: nonzeros", nonzeros)
    _number("sparse: spectral_radius", spectral_radius, above=0)

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        _matrix("sparse", shape, square=True)
        if shape[0] < nonzeros:
            raise ValueError(
                f"sparse(nonzeros={nonzeros}) needs at least {nonzeros} units, got {shape[0]}"
            )
        key_place, key_value = jax.random.split(key)
        place = jax.random.uniform(key_place, shape)
        kept = place <= jnp.sort(place, axis=0)[nonzeros - 1]
        W = jnp.where(kept, jax.random.normal(key_value, shape, dtype or float_dtype()), 0)
        return W * (spectral_radius * jnp.exp(-log_spectral_radius(W)))

    return init


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
    try:
        node = ast.parse(scheme.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        if not isinstance(call.func, ast.Name) or call.args:
            raise SyntaxError
        name = call.func.id
        pairs = [(keyword.arg, ast.literal_eval(keyword.value)) for keyword in call.keywords]
        if any(option is None for option, _ in pairs):  # **{…}
            raise SyntaxError
    except (SyntaxError, ValueError, TypeError):
        raise ValueError(
            f"a scheme is a name, name(option=value) or a number, got {scheme!r}"
        ) from None
    options = {str(option): value for option, value in pairs}
    if len(options) < len(pairs):
        raise ValueError(
            f"scheme {scheme!r} gives an option twice: "
            f"{', '.join(str(option) for option, _ in pairs)}"
        )
    if name not in SCHEMES:
        raise ValueError(unknown("scheme", name, SCHEMES))
    allowed = inspect.signature(SCHEMES[name]).parameters
    for option in options:
        if option not in allowed:
            raise ValueError(unknown(f"option of scheme {name!r}:", option, allowed))
    return name, options


def make(scheme: Scheme, hidden_size: int | None = None) -> Initializer:
    """The function a scheme names.

    Args:
        scheme: a string, a number (a constant), or an initializer, which is handed back.
        hidden_size: H, for the schemes that ask for it.
    Returns:
        ``init(key, shape, dtype) -> array``.

    >>> import jax
    >>> make("identity(gain=2.0)")(jax.random.key(0), (2, 2)).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if callable(scheme):
        return scheme
    name, options = parse(str(scheme))
    if "hidden_size" in inspect.signature(SCHEMES[name]).parameters and hidden_size is not None:
        options.setdefault("hidden_size", hidden_size)
    try:
        return SCHEMES[name](**options)
    except TypeError as error:
        raise ValueError(f"scheme {scheme!r}: {error}") from None


def _check(scheme: Scheme) -> None:
    # hidden_size is a stand-in: only the string is being checked
    make(scheme, hidden_size=1)


# ---- which block gets which scheme -------------------------------------------------------------


@dataclass(frozen=True)
class GateScheme:
    """The schemes of one gate's blocks; None: the cell's own.

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


@dataclass(frozen=True)
class InitScheme:
    """Which scheme draws which block of a cell and of its read-out.

    Args:
        w_x: input kernels W_x·, each (D, H).
        w_h: recurrent kernels W_h·, each (H, H).
        w_y: the read-out's kernel W_hy (H, O).
        b: biases.
        forget_bias: the LSTM's b_f, the GRU's b_z (z keeps the past); None: the cell's own
            default, 1 for an LSTM, as ``b`` for a GRU. Zero is "0.0".
            ``"chrono(t_max=…)"`` also sets the LSTM's b_i = −b_f.
        gates: gate letter → :class:`GateScheme` (or a dict of its fields), which wins over the
            fields above: ``{"f": {"w_h": "identity"}}``.

    >>> InitScheme(w_h="orthogonal(gain=0.9)", gates={"c": {"w_h": "identity"}}).gates
    (('c', GateScheme(w_x=None, w_h='identity', b=None)),)
    """

    w_x: Scheme = "xavier_uniform"
    w_h: Scheme = "orthogonal"
    w_y: Scheme = "xavier_uniform"
    b: Scheme = "zeros"
    forget_bias: Scheme | None = None
    gates: Any = ()

    def __post_init__(self) -> None:
        for name in ("w_x", "w_h", "w_y", "b", "forget_bias"):
            scheme = getattr(self, name)
            if scheme is not None:
                try:
                    _check(scheme)
                except ValueError as error:
                    raise ValueError(f"init.{name}: {error}") from None
        object.__setattr__(self, "gates", _gate_schemes(self.gates))  # hashable, so that cells are

    @staticmethod
    def config(**changes: str) -> dict[str, Any]:
        """The ``init`` group of a config, every key present; an empty string stands for None.

        Gates that a cell does not have stay empty: one group serves every cell.

        >>> InitScheme.config(w_h="identity")["w_h"], sorted(InitScheme.config()["gates"])
        ('identity', ['c', 'f', 'h', 'i', 'o', 'r', 'z'])
        """
        group: dict[str, Any] = {
            f.name: "" if f.default is None else f.default
            for f in fields(InitScheme)
            if f.name != "gates"
        }
        gates = {gate: {f.name: "" for f in fields(GateScheme)} for gate in "ficozrh"}
        return {**group, **changes, "gates": gates}

    @classmethod
    def from_config(cls, config: Any) -> "InitScheme":
        """From a config's ``init`` group, as :meth:`config` lays it out.

        Raises:
            ValueError: a key that is no field of this class, or a bad scheme.
        """
        known = [f.name for f in fields(cls)]
        options = {}
        for name in config:
            if name not in known:
                raise ValueError(unknown("init key", name, known))
            if config[name] != "":
                options[name] = config[name]
        gates = {g: dict(blocks) for g, blocks in dict(options.pop("gates", {})).items()}
        return cls(**options, gates={g: b for g, b in gates.items() if any(b.values())})

    def replace(self, **changes: Any) -> "InitScheme":
        """A copy with some fields changed."""
        return replace(self, **changes)

    def gate(
        self, letter: str, *, forgets: bool = False, forget_bias: Scheme | None = None
    ) -> GateScheme:
        """The schemes of gate ``letter``, defaults filled in.

        Args:
            forgets: whether ``self.forget_bias`` is this gate's bias.
            forget_bias: what it then is where ``self.forget_bias`` is None; None: as ``b``.
        """
        own = dict(self.gates).get(letter, GateScheme())
        b = self.b
        if forgets:
            named = (self.forget_bias, forget_bias, self.b)
            b = next(scheme for scheme in named if scheme is not None)
        return GateScheme(
            w_x=self.w_x if own.w_x is None else own.w_x,
            w_h=self.w_h if own.w_h is None else own.w_h,
            b=b if own.b is None else own.b,
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
        return getattr(make(self.forget_bias, hidden_size=1), "ties_input_gate", False)


def _gate_schemes(gates: Any) -> tuple[tuple[str, GateScheme], ...]:
    """Sorted (letter, scheme) pairs, from a dict or from such pairs."""
    # a ConfigDict has items() but is no Mapping
    pairs = list(gates.items()) if hasattr(gates, "items") else gates
    if isinstance(pairs, str) or not all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
        raise ValueError(f"init.gates must be a dict from gate letters to schemes, got {gates!r}")
    letters = [letter for letter, _ in pairs]
    if len(set(letters)) < len(letters):
        raise ValueError(f"init.gates names a gate twice, got {letters}")
    return tuple(sorted((str(letter), _gate_scheme(letter, value)) for letter, value in pairs))


def _gate_scheme(letter: str, value: Any) -> GateScheme:
    if isinstance(value, GateScheme):
        return value
    known = [f.name for f in fields(GateScheme)]
    if not hasattr(value, "items"):
        raise ValueError(f"init.gates.{letter} must be a dict of {', '.join(known)}, got {value!r}")
    for name in value:
        if name not in known:
            raise ValueError(unknown(f"key of init.gates.{letter}:", name, known))
    try:
        return GateScheme(**{k: v for k, v in value.items() if v != ""})
    except ValueError as error:
        raise ValueError(f"init.gates.{letter}: {error}") from None
