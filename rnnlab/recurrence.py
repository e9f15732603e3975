"""A cell over time: ``unroll``, and the layers made of it.

Shapes: B batch (any leading axes, also none), T time, D input, H hidden.

Padding never matters: with ``lengths`` the padded inputs are replaced by zeros before they are
used, the state stands still on them and the outputs there are zero. Doing it at the boundary,
rather than on the state alone, keeps a NaN in the padding out of the weight gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rnnlab import cells, wrappers
from rnnlab.engines.choice import choose
from rnnlab.engines.fused import Fused, fused
from rnnlab.engines.newton import Newton, newton
from rnnlab.engines.scan import scan
from rnnlab.errors import unknown
from rnnlab.initializers import InitScheme

Array = jax.Array

ENGINES: dict[str, Callable[..., tuple[Array, Any, dict[str, Array]]]] = {
    "scan": scan,
    "fused": fused,
    "fused_recompute": Fused(recompute=True),
    "newton": newton,
}


def unroll(
    cell: cells.Cell,
    params: Any,
    xs: Array,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    initial_state: Any = None,
    key: Array | None = None,
    deterministic: bool = True,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    engine: str | Fused | Newton = "auto",
) -> Any:
    """Run a cell over whole sequences: s_t, y_t = step(s_{t−1}, x_t) for t = 1 … T.

    Args:
        cell: any :class:`rnnlab.cells.Cell`.
        params: its parameters.
        xs: (B, T, D), floats. B may be any number of leading axes.
        lengths: (B,) whole numbers, 0 … T: real steps of each sequence; None: all T.
        resets: (B, T) booleans, true at the first step of an episode (of several packed into one
            row): the state before that step is the cell's own s_0, not ``initial_state``, which is
            of the row's first step alone. Nothing crosses a reset, gradients included. With
            ``reverse`` (and backwards in a bidirectional layer) each episode starts afresh at its
            own end; a reset on padding does nothing. Not with engine "newton".
        initial_state: s_0, leaves (B, H); None: the cell's own (zeros).
            ``cell.initial_state(params, (B,), key)`` draws a random one.
        key: for a stochastic cell; step t draws from ``fold_in(key, t)``.
        deterministic: True turns a stochastic cell's noise off.
        reverse: read from each sequence's own end to its start; outputs keep the order of xs.
        taps: names of states or gates to hand out as well ("C", "f", …).
        engine: "scan", the definition; "fused", the same with a hand-written adjoint, for RNN, LSTM
            and GRU without options, wrappers and taps, in reverse mode only; "fused_recompute", it
            with √T memory; "newton", all steps at once, for the same cells; :class:`Fused` or
            :class:`Newton` with options of their own; "auto": fused where it can
            (:mod:`rnnlab.engines.choice`), else scan.
    Returns:
        (ys (B, T, H), final state with leaves (B, H)), and with ``taps`` a third:
        {tap: (B, T, H)}. Outputs and taps past a sequence's length are zero; the final state is
        the one after its last real step.
    Raises:
        TypeError: xs that are not floats; lengths that are not whole numbers, resets that are not
            booleans; forward mode where the engine is "fused".
        ValueError: shapes that do not fit, lengths outside 0 … T, unknown taps or engines, what an
            engine cannot run.

    >>> import jax
    >>> cell = cells.lstm(4)
    >>> params = cell.init_params(jax.random.key(0), input_size=3)
    >>> ys, state, values = unroll(cell, params, jax.numpy.ones((2, 5, 3)), taps=("f",))
    >>> ys.shape, state.C.shape, values["f"].shape
    ((2, 5, 4), (2, 4), (2, 5, 4))
    """
    xs = check_inputs(xs)
    batch_shape, T = xs.shape[:-2], xs.shape[-2]
    mask = length_mask(lengths, batch_shape, T)
    if not isinstance(engine, (Fused, Newton)) and engine not in ("auto", *ENGINES):
        raise ValueError(unknown("engine", engine, ("auto", *ENGINES)))
    if getattr(cell, "stochastic", False) and not deterministic and key is None:
        raise ValueError(f"{cell} draws at every step: deterministic=False needs a key")
    check_params(cell, params, xs)
    state = start_state(cell, params, batch_shape, initial_state)
    taps = _check_taps(cell, params, state, xs, taps)
    options = {} if resets is None else {"resets": _resets(resets, mask, xs, reverse)}
    if engine == "auto":
        engine = choose(cell, taps=taps)
    run = ENGINES[engine] if isinstance(engine, str) else engine
    if options and (run is newton or isinstance(run, Newton)):
        raise ValueError("engine 'newton' has no resets: use 'scan' or 'fused'")

    if mask is not None:
        xs = jnp.where(mask[..., None], xs, 0)
    try:
        ys, state, tapped = run(
            cells.without_init(cell),
            params,
            jnp.moveaxis(xs, -2, 0),
            state,
            mask=None if mask is None else jnp.moveaxis(mask, -1, 0),
            key=None if deterministic else key,
            reverse=reverse,
            taps=taps,
            **options,
        )
    except TypeError as error:  # inside another jit JAX itself says it, and later
        if "forward-mode" not in str(error) or not (run is fused or isinstance(run, Fused)):
            raise
        raise TypeError(
            "engine 'fused' is differentiated in reverse mode only: for jvp and jacfwd "
            "use engine='scan'"
        ) from None
    ys, tapped = jax.tree.map(lambda y: jnp.moveaxis(y, 0, -2), (ys, tapped))
    if mask is not None:
        ys, tapped = jax.tree.map(lambda y: jnp.where(mask[..., None], y, 0), (ys, tapped))
    return (ys, state, tapped) if taps else (ys, state)


# ---- checks at the boundary (the probes of gradients.py stand on the same) ---------------------


def check_inputs(xs: Any) -> Array:
    """``xs`` as an array (B…, T, D) of floats, or a TypeError or ValueError."""
    xs = jnp.asarray(xs)
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise TypeError(f"xs must be floats, got {xs.dtype}; embed or one-hot symbols first")
    if xs.ndim < 2:
        raise ValueError(f"xs must be (batch, time, features), got shape {xs.shape}")
    return xs


def check_params(cell: Any, params: Any, xs: Array) -> None:
    """Refuse parameters of another cell, or of other sizes, or a dtype that xs would change.

    Raises:
        ValueError: another structure or shape. TypeError: xs of a wider dtype.
    """
    features = xs.shape[-1]
    wanted = _params_like(cells.without_init(cell), features)
    if jax.tree.structure(params) != jax.tree.structure(wanted):
        names = getattr(wanted, "_fields", "")
        raise ValueError(f"params must be {type(wanted).__name__}{names} for this cell, "
                         f"got {type(params).__name__}")  # fmt: skip
    for (path, leaf), like in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(wanted), strict=True
    ):
        if jnp.shape(leaf) != like.shape:
            raise ValueError(f"params{jax.tree_util.keystr(path)} must be {like.shape} for x of "
                             f"{features} features, got {jnp.shape(leaf)}")  # fmt: skip
    own = jnp.result_type(*jax.tree.leaves(params))
    if jnp.promote_types(xs.dtype, own) != own:
        raise TypeError(f"xs are {xs.dtype}, the parameters {own}: cast one of them")


@lru_cache(maxsize=256)
def _params_like(cell: Any, input_size: int) -> Any:
    # not inside whatever is being traced: the cached shapes outlive it
    with jax.ensure_compile_time_eval():
        return jax.eval_shape(lambda key: cell.init_params(key, input_size), jax.random.key(0))


def length_mask(lengths: Any, batch_shape: tuple[int, ...], T: int) -> Any:
    """(B…, T), true at the real steps; None without lengths."""
    if lengths is None:
        return None
    dtype = jnp.result_type(lengths if hasattr(lengths, "dtype") else jnp.asarray(lengths))
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"lengths must be whole numbers, got {dtype}")
    known = not isinstance(lengths, Tracer)
    if known:  # in NumPy: jnp would trace even constants inside a compiled function
        lengths = np.asarray(lengths)
    if lengths.shape != batch_shape:
        raise ValueError(f"lengths must be {batch_shape}, one a sequence, got {lengths.shape}")
    if known and lengths.size and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(f"lengths must lie in 0 … {T}, got {lengths.min()} … {lengths.max()}")
    return jnp.arange(T, dtype=jnp.int32) < jnp.asarray(lengths, jnp.int32)[..., None]


def _resets(resets: Any, mask: Array | None, xs: Array, reverse: bool) -> Array:
    """(T, B…), true at the steps before which the state starts afresh, in the order of reading."""
    resets = jnp.asarray(resets)
    if resets.dtype != jnp.bool_:
        raise TypeError(f"resets must be booleans, true at an episode's first step, got "
                        f"{resets.dtype}")  # fmt: skip
    if resets.shape != xs.shape[:-1]:
        raise ValueError(f"resets must be {xs.shape[:-1]}, one a step, got {resets.shape}")
    if mask is not None:  # else the end of a row would start afresh where padding is marked
        resets = resets & mask
    if reverse:  # an episode is entered at its end: the step before the next one's first
        resets = jnp.concatenate([resets[..., 1:], jnp.zeros_like(resets[..., :1])], axis=-1)
    return jnp.moveaxis(resets, -1, 0)


def start_state(cell: Any, params: Any, batch_shape: tuple[int, ...], initial_state: Any) -> Any:
    """s_0: the one given, its structure and shapes checked, or the cell's own."""
    own = cell.initial_state(params, batch_shape)
    if initial_state is None:
        return own
    expected = jax.tree.structure(own)
    if jax.tree.structure(initial_state) != expected:
        raise ValueError(f"initial_state must be a {type(own).__name__}{own._fields}, "
                         f"got {type(initial_state).__name__}")  # fmt: skip
    for name, got, want in zip(own._fields, initial_state, own, strict=True):
        if jnp.shape(got) != want.shape:
            raise ValueError(f"initial_state.{name} must be {want.shape}, got {jnp.shape(got)}")
    return jax.tree.map(lambda got, want: jnp.asarray(got, want.dtype), initial_state, own)


def _check_taps(cell: Any, params: Any, state: Any, xs: Array, taps: Any) -> tuple[str, ...]:
    if isinstance(taps, str):  # would be taken letter by letter
        raise TypeError(f"taps must be a tuple of names, got {taps!r}: write ({taps!r},)")
    taps = tuple(taps)
    if not taps:
        return taps
    new, _, gates = jax.eval_shape(cell.step, params, state, xs[..., 0, :])
    known = (*gates._fields, *new._fields)
    for tap in taps:
        if tap not in known:
            raise ValueError(unknown(f"tap of {type(cell).__name__}", tap, known))
    return taps


# ---- layers ------------------------------------------------------------------------------------


@runtime_checkable
class Layer(Protocol):
    """What initialises itself, runs over sequences, and nests."""

    @property
    def output_size(self) -> int: ...
    def init(self, key: Array, input_size: int) -> Any: ...
    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> Any: ...
    def apply(self, params: Any, xs: Array, **options: Any) -> Any: ...


@dataclass(frozen=True)
class CellLayer:
    """One cell over time; made by :func:`layer`."""

    cell: Any

    @property
    def output_size(self) -> int:
        """Features of y_t."""
        return self.cell.output_size

    def init(self, key: Array, input_size: int) -> Any:
        """The cell's parameters."""
        return self.cell.init_params(key, input_size)

    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> Any:
        """The cell's s_0; random with a key."""
        return self.cell.initial_state(params, batch_shape, key)

    def apply(self, params: Any, xs: Array, **options: Any) -> Any:
        """:func:`unroll` with its options."""
        return unroll(self.cell, params, xs, **options)


class BothWays(NamedTuple):
    """Something of each direction: parameters, states or taps of a :class:`Bidirectional`."""

    forward: Any
    backward: Any


MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda a, b: jnp.concatenate([a, b], axis=-1),
    "sum": jnp.add,
    "mean": lambda a, b: (a + b) / 2,
    "product": jnp.multiply,
}


@dataclass(frozen=True)
class Bidirectional:
    """y_t = combine(h→_t, h←_t); made by :func:`bidirectional`."""

    forward: Layer
    backward: Layer
    merge: str = "concat"

    def __post_init__(self) -> None:
        if self.merge not in MERGES:
            raise ValueError(unknown("merge", self.merge, MERGES))
        sizes = self.forward.output_size, self.backward.output_size
        if self.merge != "concat" and sizes[0] != sizes[1]:
            raise ValueError(f"merge={self.merge!r} needs outputs of one size, got {sizes}")

    @property
    def output_size(self) -> int:
        """Features of y_t: both directions' for "concat", one's otherwise."""
        if self.merge == "concat":
            return self.forward.output_size + self.backward.output_size
        return self.forward.output_size

    def init(self, key: Array, input_size: int) -> BothWays:
        """Parameters of both directions, drawn apart."""
        key_f, key_b = jax.random.split(key)
        return BothWays(self.forward.init(key_f, input_size), self.backward.init(key_b, input_size))

    def initial_state(
        self, params: BothWays, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> BothWays:
        """s_0 of both directions; random with a key."""
        key_f, key_b = _split(key, 2)
        return BothWays(
            self.forward.initial_state(params.forward, batch_shape, key_f),
            self.backward.initial_state(params.backward, batch_shape, key_b),
        )

    def apply(
        self,
        params: BothWays,
        xs: Array,
        *,
        initial_state: BothWays | None = None,
        key: Array | None = None,
        reverse: bool = False,
        **options: Any,
    ) -> Any:
        """Both directions over xs (B, T, D), merged step by step.

        The backward layer starts at each sequence's own end. Options as :func:`unroll`;
        states (and taps) come back as :class:`BothWays`.
        """
        key_f, key_b = _split(key, 2)
        params = BothWays(*_parts("params", params, 2, self))
        starts = (None, None) if initial_state is None else initial_state
        start_f, start_b = _parts("initial_state", starts, 2, self)
        ys_f, *rest_f = self.forward.apply(
            params.forward, xs, initial_state=start_f, key=key_f, reverse=reverse, **options
        )
        ys_b, *rest_b = self.backward.apply(
            params.backward, xs, initial_state=start_b, key=key_b, reverse=not reverse, **options
        )
        rest = (BothWays(f, b) for f, b in zip(rest_f, rest_b, strict=True))
        return (MERGES[self.merge](ys_f, ys_b), *rest)


@dataclass(frozen=True)
class Stack:
    """Layers on top of each other; made by :func:`stack`."""

    layers: tuple[Layer, ...]
    dropout: float = 0.0
    variational: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a stack needs at least one layer, got none")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    @property
    def output_size(self) -> int:
        """Features of the top layer's y_t."""
        return self.layers[-1].output_size

    def init(self, key: Array, input_size: int) -> tuple[Any, ...]:
        """Parameters of each layer, bottom first."""
        sizes = (input_size, *(inner.output_size for inner in self.layers))
        keys = jax.random.split(key, len(self.layers))
        return tuple(
            inner.init(k, size) for inner, k, size in zip(self.layers, keys, sizes, strict=False)
        )

    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> tuple[Any, ...]:
        """s_0 of each layer; random with a key."""
        keys = _split(key, len(self.layers))
        return tuple(
            inner.initial_state(p, batch_shape, k)
            for inner, p, k in zip(self.layers, params, keys, strict=True)
        )

    def apply(
        self,
        params: Any,
        xs: Array,
        *,
        initial_state: Any = None,
        key: Array | None = None,
        deterministic: bool = True,
        **options: Any,
    ) -> Any:
        """The layers in turn over xs (B, T, D), dropout between them.

        Dropout scales what it keeps by 1/(1−rate), draws a mask for every step (with
        ``variational`` one for all of them), and acts only with ``deterministic=False``. Options
        as :func:`unroll`; states (and taps) come back as tuples, bottom first.
        """
        drops = self.dropout > 0 and not deterministic
        if drops and key is None:
            raise ValueError(f"dropout={self.dropout} with deterministic=False needs a key")
        n = len(self.layers)
        params = _parts("params", params, n, self)
        starts = (None,) * n if initial_state is None else initial_state
        starts = _parts("initial_state", starts, n, self)
        keys = _split(key, 2 * n)
        ys, rests = xs, []
        for index, (inner, p, start) in enumerate(zip(self.layers, params, starts, strict=True)):
            if index > 0 and drops:
                drop = _drop_alike if self.variational else _drop
                ys = drop(keys[2 * index + 1], ys, self.dropout)
            ys, *rest = inner.apply(
                p,
                ys,
                initial_state=start,
                key=keys[2 * index],
                deterministic=deterministic,
                **options,
            )
            rests.append(rest)
        return (ys, *zip(*rests, strict=True))


def _split(key: Array | None, n: int) -> Any:
    return (None,) * n if key is None else jax.random.split(key, n)


def _parts(name: str, value: Any, count: int, layer: Any) -> Any:
    """``value``, if it has one part for each of the layer's inner layers."""
    if not isinstance(value, tuple | list) or len(value) != count:
        got = f"{len(value)}" if isinstance(value, tuple | list) else type(value).__name__
        raise ValueError(f"{name} of a {type(layer).__name__} must have {count} parts, got {got}")
    return value


def _drop(key: Any, ys: Array, rate: float) -> Array:
    # step t draws from its own key, so that more padding draws no other masks
    steps = jnp.arange(ys.shape[-2])
    shape = (*ys.shape[:-2], ys.shape[-1])
    kept = jax.vmap(
        lambda t: jax.random.bernoulli(jax.random.fold_in(key, t), 1 - rate, shape), out_axes=-2
    )(steps)
    return jnp.where(kept, ys / (1 - rate), 0)


def _drop_alike(key: Any, ys: Array, rate: float) -> Array:
    kept = jax.random.bernoulli(key, 1 - rate, (*ys.shape[:-2], 1, ys.shape[-1]))
    return jnp.where(kept, ys / (1 - rate), 0)


def layer(cell: Any) -> Layer:
    """A layer of one cell; a layer is handed back as it is.

    >>> layer(cells.gru(4)).output_size
    4
    """
    if isinstance(cell, Layer):
        return cell
    if not isinstance(cell, cells.Cell):
        raise TypeError(f"expected a cell or a layer, got {type(cell).__name__}")
    return CellLayer(cell)


def bidirectional(forward: Any, backward: Any = None, merge: str = "concat") -> Bidirectional:
    """One layer forwards, one backwards: y_t = combine(h→_t, h←_t).

    Args:
        forward, backward: layers or cells; one alone is used for both (parameters apart).
        merge: "concat", "sum", "mean" or "product".
    Source: Schuster & Paliwal 1997; the notes, Bi-RNN.

    >>> bidirectional(cells.lstm(4)).output_size
    8
    """
    return Bidirectional(layer(forward), layer(forward if backward is None else backward), merge)


def stack(layers: Any, dropout: float = 0.0, variational: bool = False) -> Stack:
    """Layers on top of each other, with dropout between them.

    Args:
        layers: layers or cells, bottom first.
        dropout: the rate at which an output is dropped on its way to the layer above.
        variational: one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv
            1512.05287); on h_{t−1} and on the first layer's inputs it is
            :class:`rnnlab.wrappers.VariationalDropout`'s.

    >>> stack([cells.lstm(4), bidirectional(cells.gru(3))], dropout=0.1).output_size
    6
    """
    return Stack(tuple(layer(inner) for inner in layers), dropout, variational)


NAMES = (*cells.CELLS, *(f"bi-{name}" for name in cells.CELLS))
AROUND = ("zoneout_h", "zoneout_C", "recurrent_dropout", "residual")  # keys of by_name


def by_name(name: str, hidden_size: int, init: InitScheme, **options: Any) -> Layer:
    """The layer a config names: a cell's name, or "bi-" and a cell's name.

    Args:
        name: of ``NAMES``. hidden_size: H. init: schemes.
        options: of the cell (``cells.OPTIONS``), and of what goes around it: ``zoneout_h``,
            ``zoneout_C``, ``recurrent_dropout`` (rates), ``residual`` (whether).
    Raises:
        ValueError: an unknown name, the nearest named; an option the cell has no use for.

    >>> by_name("bi-gru", 4, InitScheme()).output_size
    8
    >>> by_name("lstm", 4, InitScheme(), peephole=True, zoneout_C=0.5).cell.rate
    (('C', 0.5),)
    """
    if name not in NAMES:
        raise ValueError(unknown("cell", name, NAMES))
    around = {key: options.pop(key) for key in AROUND if key in options}
    cell = cells.by_name(name.removeprefix("bi-"), hidden_size, init, **options)
    parts = {"h": "zoneout_h", "C": "zoneout_C"}
    rates = {part: around[key] for part, key in parts.items() if around.get(key)}
    if rates:
        cell = wrappers.Zoneout(cell, rates)
    if around.get("recurrent_dropout"):
        cell = wrappers.VariationalDropout(cell, recurrent_rate=around["recurrent_dropout"])
    if around.get("residual"):
        cell = wrappers.Residual(cell)
    return bidirectional(cell) if name.startswith("bi-") else layer(cell)


def config(name: str, hidden_size: int, layers: int = 1, **changes: Any) -> dict[str, Any]:
    """The ``cell`` group of a config, every key present; what is empty, 0 or False is off.

    >>> config("lstm", 64)["norm"], config("lstm", 64, zoneout_C=0.5)["zoneout_C"]
    ('', 0.5)
    """
    group: dict[str, Any] = {
        "name": name,
        "hidden_size": hidden_size,
        "layers": layers,
        "norm": "",  # "layer": inside the gates
        "projection": 0,  # P, of an LSTM
        "peephole": False,  # of an LSTM
        "zoneout_h": 0.0,
        "zoneout_C": 0.0,
        "recurrent_dropout": 0.0,  # one mask a sequence, on what the gates see of h
        "residual": False,  # around every layer but the first
        "dropout": 0.0,  # between layers
        "variational": False,  # that dropout with one mask a sequence
    }
    for key in changes:
        if key not in group:
            raise ValueError(unknown("cell key", key, group))
    return group | changes


def from_config(group: Any, init: InitScheme) -> Layer:
    """The layer, or stack of layers, of a config's ``cell`` group.

    Args:
        group: as :func:`config` lays it out; an experiment may leave out what it never turns on.
        init: schemes.
    Raises:
        ValueError: an unknown key or name, numbers out of range, options that do not fit the cell
            or have nothing to act on.

    >>> net = from_config(config("lstm", 8, layers=2, residual=True, norm="layer"), InitScheme())
    >>> net.layers[1].cell.inner.norm
    'layer'
    """
    known = config("", 0)
    for key in group:
        if key not in known:
            raise ValueError(unknown("cell key", key, known))
    if group["layers"] < 1:
        raise ValueError(f"cell.layers must be at least 1, got {group['layers']}")
    on = {key: group[key] for key in group if group[key]}
    between = {key: on[key] for key in ("residual", "dropout", "variational") if key in on}
    if between and group["layers"] == 1:
        raise ValueError(f"cell.{next(iter(between))} acts between layers: cell.layers is 1")
    if "variational" in between and "dropout" not in between:
        raise ValueError("cell.variational is of cell.dropout, which is 0")
    options = {key: on[key] for key in (*cells.OPTIONS, *AROUND) if key in on}
    residual = options.pop("residual", False)
    name, H = group["name"], group["hidden_size"]
    first = by_name(name, H, init, **options)
    if group["layers"] == 1:
        return first
    above = by_name(name, H, init, **options, residual=residual)
    dropout = between.get("dropout", 0.0)
    return stack([first] + [above] * (group["layers"] - 1), dropout, "variational" in between)
