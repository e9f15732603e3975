"""Layers: a cell over time, bidirectional pairs and stacks; by name from a config.

Shapes: B batch (any leading axes, also none), T time, D input, H hidden.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import unknown
from rnnlab.nn import cells, wrappers
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll

Array = jax.Array


# ---- layers ------------------------------------------------------------------------------------


@runtime_checkable
class Layer(Protocol):
    """What initializes itself, runs over sequences, and nests."""

    @property
    def output_size(self) -> int: ...
    def init(self, key: Array, input_size: int) -> Any: ...
    def initial_state(
        self, params: Any, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> Any: ...
    def apply(self, params: Any, xs: Array, **options: Any) -> Any: ...


@dataclass(frozen=True)
class CellLayer:
    """One cell over time; made by :func:`as_layer`."""

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


def as_layer(cell: Any) -> Layer:
    """Return the layer of one cell; a layer is handed back as it is.

    Raises:
        TypeError: neither a cell nor a layer.

    >>> as_layer(cells.GRU(4)).output_size
    4
    """
    if isinstance(cell, Layer):
        return cell
    if not isinstance(cell, cells.Cell):
        raise TypeError(f"expected a cell or a layer, got {type(cell).__name__}")
    return CellLayer(cell)


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
    """y_t = combine(h→_t, h←_t): one layer forwards, one backwards.

    Args:
        forward, backward: layers or cells; one alone is used for both (parameters apart).
        merge: "concat", "sum", "mean" or "product".
    Raises:
        TypeError: neither cells nor layers. ValueError: an unknown merge, or outputs that differ
            in size where they are merged unit by unit.
    Source: Schuster & Paliwal 1997; the notes, Bi-RNN.

    >>> Bidirectional(cells.LSTM(4)).output_size
    8
    """

    forward: Layer
    backward: Layer = None  # type: ignore[assignment]  # the forward layer's twin
    merge: str = "concat"

    def __post_init__(self) -> None:
        backward = self.forward if self.backward is None else self.backward
        object.__setattr__(self, "forward", as_layer(self.forward))
        object.__setattr__(self, "backward", as_layer(backward))
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
    """Layers on top of each other, with dropout between them.

    Args:
        layers: layers or cells, bottom first.
        dropout: the rate at which an output is dropped on its way to the layer above.
        variational: one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv
            1512.05287); on h_{t−1} and on the first layer's inputs it is
            :class:`rnnlab.nn.wrappers.VariationalDropout`'s.
    Raises:
        TypeError: neither cells nor layers. ValueError: no layers, or a rate outside [0, 1).

    >>> Stack([cells.LSTM(4), Bidirectional(cells.GRU(3))], dropout=0.1).output_size
    6
    """

    layers: tuple[Layer, ...]
    dropout: float = 0.0
    variational: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(as_layer(inner) for inner in self.layers))
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
    layer = as_layer(cell)
    return Bidirectional(layer) if name.startswith("bi-") else layer


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
    return Stack([first] + [above] * (group["layers"] - 1), dropout, "variational" in between)


def cell_of(cell: Any) -> Any:
    """Return the cell of a layer of one cell, its init stripped; a cell is handed back.

    Raises:
        TypeError: a layer of several cells, which a probe cannot look into.
    """
    if isinstance(cell, CellLayer):
        return cells.without_init(cell.cell)
    if isinstance(cell, Layer):
        raise TypeError(
            f"a probe takes a cell or a layer of one cell, got {type(cell).__name__}; "
            "probe one cell, the others inside loss"
        )
    return cells.without_init(cell)
