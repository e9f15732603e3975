"""Layers: a cell over time, bidirectional pairs and stacks; layers by name, from a config.

Shapes: B batch (any leading axes, also none), T time, D input, H hidden.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from rnnlab.core import validate
from rnnlab.core.errors import CONFIG_HELP, unknown
from rnnlab.nn import cells, contract, wrappers
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.params import PyTree
from rnnlab.nn.protocols import Cell
from rnnlab.nn.unroll import unroll

Array = jax.Array
Applied = tuple[PyTree, ...]  # (ys, final state), and taps where asked for, as unroll returns


# ---- layers ------------------------------------------------------------------------------------


@runtime_checkable
class Layer(Protocol):
    """A module that initializes itself, runs over sequences, and nests.

    ``apply`` takes the options of :func:`rnnlab.unroll` and returns as it does.
    """

    @property
    def output_size(self) -> int: ...
    def init(self, key: Array, input_size: int) -> PyTree: ...
    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> PyTree: ...
    def apply(self, params: PyTree, xs: Array, **options: Any) -> Applied: ...


@dataclass(frozen=True)
class CellLayer:
    """One cell over time; constructed by :func:`as_layer`."""

    cell: Cell

    @property
    def output_size(self) -> int:
        """Features of y_t."""
        return self.cell.output_size

    def init(self, key: Array, input_size: int) -> PyTree:
        """Draw the cell's parameters."""
        return self.cell.init_params(key, input_size)

    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> PyTree:
        """Return the cell's s_0; random with a key."""
        return self.cell.initial_state(params, batch_shape, key)

    def apply(self, params: PyTree, xs: Array, **options: Any) -> Applied:
        """Run the cell over xs (B, T, D): :func:`rnnlab.unroll` with its options."""
        return unroll(self.cell, params, xs, **options)


def as_layer(cell: Cell | Layer) -> Layer:
    """Return the layer of one cell; a layer is returned as it is.

    Raises:
        TypeError: neither a cell nor a layer. ValueError: a cell that breaks the contract
            (:mod:`rnnlab.nn.contract`).

    >>> as_layer(cells.GRU(4)).output_size
    4
    """
    if isinstance(cell, Layer):
        return cell
    if isinstance(cell, type) or not any(hasattr(cell, name) for name in contract.MEMBERS):
        raise TypeError(f"expected a cell or a layer, got {type(cell).__name__}")
    contract.check_cell(cell)
    return CellLayer(cell)


class BothWays(NamedTuple):
    """Parameters, states or taps of both directions of a :class:`Bidirectional`."""

    forward: PyTree
    backward: PyTree


MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda a, b: jnp.concatenate([a, b], axis=-1),
    "sum": jnp.add,
    "mean": lambda a, b: (a + b) / 2,
    "product": jnp.multiply,
}


@dataclass(frozen=True)
class Bidirectional:
    """A layer forwards and a layer backwards: y_t = combine(h→_t, h←_t).

    Args:
        forward, backward: layers or cells. ``backward=None``: an equal layer with parameters of
            its own.
        merge: "concat", "sum", "mean" or "product".
    Raises:
        TypeError: neither cells nor layers.
        ValueError: an unknown merge; outputs of different sizes with a merge other than "concat".
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
        validate.choice("merge", self.merge, MERGES)
        sizes = self.forward.output_size, self.backward.output_size
        if self.merge != "concat" and sizes[0] != sizes[1]:
            raise ValueError(f"merge={self.merge!r} needs outputs of one size, got {sizes}")

    @property
    def output_size(self) -> int:
        """Features of y_t: the sum over both directions for "concat", else those of one."""
        if self.merge == "concat":
            return self.forward.output_size + self.backward.output_size
        return self.forward.output_size

    def init(self, key: Array, input_size: int) -> BothWays:
        """Draw the parameters of both directions, from separate keys."""
        key_f, key_b = jax.random.split(key)
        return BothWays(self.forward.init(key_f, input_size), self.backward.init(key_b, input_size))

    def initial_state(
        self, params: BothWays, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> BothWays:
        """Return s_0 of both directions; random with a key."""
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
    ) -> Applied:
        """Run both directions over xs (B, T, D) and merge their outputs step by step.

        The backward layer starts at each sequence's own end. Options as :func:`rnnlab.unroll`;
        states (and taps) are returned as :class:`BothWays`.
        """
        key_f, key_b = _split(key, 2)
        params = BothWays(*_check_parts("params", params, 2, self))
        starts = (None, None) if initial_state is None else initial_state
        start_f, start_b = _check_parts("initial_state", starts, 2, self)
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
        dropout: the dropout rate of a layer's outputs as inputs of the layer above.
        variational: one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv
            1512.05287). For masks on h_{t−1} and on the first layer's inputs see
            :class:`rnnlab.nn.wrappers.VariationalDropout`.
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
        object.__setattr__(self, "dropout", validate.rate("dropout", self.dropout))
        object.__setattr__(self, "variational", validate.flag("variational", self.variational))

    @property
    def output_size(self) -> int:
        """Features of the top layer's y_t."""
        return self.layers[-1].output_size

    def init(self, key: Array, input_size: int) -> tuple[PyTree, ...]:
        """Draw the parameters of each layer, bottom first."""
        sizes = (input_size, *(inner.output_size for inner in self.layers))
        keys = jax.random.split(key, len(self.layers))
        return tuple(
            inner.init(k, size) for inner, k, size in zip(self.layers, keys, sizes, strict=False)
        )

    def initial_state(
        self, params: PyTree, batch_shape: tuple[int, ...], key: Array | None = None
    ) -> tuple[PyTree, ...]:
        """Return s_0 of each layer; random with a key."""
        keys = _split(key, len(self.layers))
        return tuple(
            inner.initial_state(p, batch_shape, k)
            for inner, p, k in zip(self.layers, params, keys, strict=True)
        )

    def apply(
        self,
        params: PyTree,
        xs: Array,
        *,
        initial_state: PyTree = None,
        key: Array | None = None,
        deterministic: bool = True,
        **options: Any,
    ) -> Applied:
        """Run the layers in turn over xs (B, T, D), with dropout between them.

        Dropout scales the units it keeps by 1/(1−rate), draws a mask per step (with
        ``variational`` one for all steps), and acts only with ``deterministic=False``. Options as
        :func:`rnnlab.unroll`; states (and taps) are returned as tuples, bottom first.
        """
        drops = self.dropout > 0 and not deterministic
        if drops and key is None:
            raise ValueError(f"dropout={self.dropout} with deterministic=False needs a key")
        n = len(self.layers)
        params = _check_parts("params", params, n, self)
        starts = (None,) * n if initial_state is None else initial_state
        starts = _check_parts("initial_state", starts, n, self)
        keys = _split(key, 2 * n)
        ys, rests = xs, []
        for index, (inner, p, start) in enumerate(zip(self.layers, params, starts, strict=True)):
            if index > 0 and drops:
                drop = _drop_variational if self.variational else _drop
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


def _split(key: Array | None, n: int) -> Sequence[Array | None]:
    return (None,) * n if key is None else list(jax.random.split(key, n))


def _check_parts(name: str, value: PyTree, count: int, layer: Layer) -> Sequence[PyTree]:
    """Return ``value`` if it has one part per inner layer, else raise ValueError."""
    if not isinstance(value, tuple | list) or len(value) != count:
        got = len(value) if isinstance(value, tuple | list) else type(value).__name__
        raise ValueError(f"{name} of a {type(layer).__name__} must have {count} parts, got {got}")
    return value


def _drop(key: Array | None, ys: Array, rate: float) -> Array:
    assert key is not None
    # step t draws from its own key, so that masks do not depend on padding
    steps = jnp.arange(ys.shape[-2])
    shape = (*ys.shape[:-2], ys.shape[-1])
    kept = jax.vmap(
        lambda t: jax.random.bernoulli(jax.random.fold_in(key, t), 1 - rate, shape), out_axes=-2
    )(steps)
    return jnp.where(kept, ys / (1 - rate), 0)


def _drop_variational(key: Array | None, ys: Array, rate: float) -> Array:
    assert key is not None
    kept = jax.random.bernoulli(key, 1 - rate, (*ys.shape[:-2], 1, ys.shape[-1]))
    return jnp.where(kept, ys / (1 - rate), 0)


@runtime_checkable
class _HasDropout(Protocol):
    dropout: float


@runtime_checkable
class _MayDraw(Protocol):
    stochastic: bool


def draws_noise(part: object) -> bool:
    """Return whether a layer draws noise: by dropout, or by a stochastic cell anywhere in it.

    Layers of one's own are searched too: their fields, and attributes with the usual names.

    >>> draws_noise(Stack([cells.RNN(4), cells.RNN(4)], dropout=0.1)), draws_noise(cells.RNN(4))
    (True, False)
    """
    if isinstance(part, tuple | list):
        return any(map(draws_noise, part))
    if isinstance(part, _HasDropout) and validate.real(part.dropout) and part.dropout > 0:
        return True
    if isinstance(part, _MayDraw) and part.stochastic:
        return True
    names = {"layers", "forward", "backward", "cell", "inner"}
    names |= {f.name for f in fields(part)} if is_dataclass(part) else set()
    return any(
        draws_noise(inner)
        for inner in (getattr(part, name, None) for name in sorted(names))
        if isinstance(inner, tuple | list) or is_dataclass(inner) or isinstance(inner, Layer)
    )


# ---- by name, from a config --------------------------------------------------------------------


def names() -> list[str]:
    """Return the names of :func:`by_name`: every cell's, and every cell's after "bi-"."""
    return [*cells.CELLS, *(f"bi-{name}" for name in cells.CELLS)]


def by_name(name: str, hidden_size: int, init: InitScheme, **options: Any) -> Layer:
    """Return the layer that a config names: a cell's name, or "bi-" and a cell's name.

    Args:
        name: one of :func:`names`. hidden_size: H. init: schemes.
        options: options of the cell (``cells.OPTIONS``) and of its wrappers: the rates
            ``zoneout_h``, ``zoneout_C`` and ``recurrent_dropout``, and the flag ``residual``.
    Raises:
        ValueError: an unknown name (the nearest is suggested); an option that the cell does not
            have.

    >>> by_name("bi-gru", 4, InitScheme()).output_size
    8
    >>> by_name("lstm", 4, InitScheme(), peephole=True, zoneout_C=0.5).cell.rate
    (('C', 0.5),)
    """
    validate.choice("cell", name, names(), listing=CONFIG_HELP)
    wrapping = {key: options.pop(key) for key in cells.WRAPPER_OPTIONS if key in options}
    cell = cells.by_name(name.removeprefix("bi-"), hidden_size, init, **options)
    parts = {"h": "zoneout_h", "C": "zoneout_C"}
    rates = {part: wrapping[key] for part, key in parts.items() if wrapping.get(key)}
    if rates:
        cell = wrappers.Zoneout(cell, rates)
    if wrapping.get("recurrent_dropout"):
        cell = wrappers.VariationalDropout(cell, recurrent_rate=wrapping["recurrent_dropout"])
    if wrapping.get("residual"):
        cell = wrappers.Residual(cell)
    layer = as_layer(cell)
    return Bidirectional(layer) if name.startswith("bi-") else layer


def config(name: str, hidden_size: int, layers: int = 1, **changes: object) -> dict[str, object]:
    """Return the ``cell`` group of a config with every key; empty, 0 and False mean off.

    Of a registered cell (:func:`rnnlab.register_cell`) it has the options too.

    Args:
        name: the recurrent cell; "bi-" and a name: one that reads both ways.
        hidden_size: H, units of a layer; of one direction, if it reads both ways.
        layers: layers on top of each other.
        norm: "layer": layer normalization inside the gates; empty: none.
        projection: P, features that an LSTM's state is projected to; 0: none.
        peephole: whether an LSTM's gates see its cell state.
        zoneout_h, zoneout_C: rate at which a unit of the state keeps its value for a step.
        recurrent_dropout: rate on h_{t−1} as the gates see it, one mask per sequence.
        residual: whether every layer but the first adds its inputs to its outputs.
        dropout: rate between layers.
        variational: whether dropout between layers has one mask per sequence.
    Raises:
        ValueError: an unknown key in ``changes``; the nearest ones are suggested.

    >>> config("lstm", 64)["norm"], config("lstm", 64, zoneout_C=0.5)["zoneout_C"]
    ('', 0.5)
    """
    group: dict[str, object] = {
        "name": name,
        "hidden_size": hidden_size,
        "layers": layers,
        "norm": "",
        "projection": 0,
        "peephole": False,
        "zoneout_h": 0.0,
        "zoneout_C": 0.0,
        "recurrent_dropout": 0.0,
        "residual": False,
        "dropout": 0.0,
        "variational": False,
    }
    group |= cells.own_options(name.removeprefix("bi-"))
    for key in changes:
        if key not in group:
            raise ValueError(unknown("cell key", key, group, listing=CONFIG_HELP))
    return group | changes


def from_config(group: Mapping[str, Any], init: InitScheme) -> Layer:
    """Return the layer, or stack of layers, that a config's ``cell`` group describes.

    Args:
        group: as :func:`config` returns it; keys of options that are off may be missing. An
            option of another registered cell has no effect at its default.
        init: schemes.
    Raises:
        ValueError: an unknown key or name, numbers out of range, options that the cell does not
            have or that have no effect.

    >>> net = from_config(config("lstm", 8, layers=2, residual=True, norm="layer"), InitScheme())
    >>> net.layers[1].cell.inner.norm
    'layer'
    """
    validate.choice("cell", group["name"], names(), listing=CONFIG_HELP)  # before its options
    own = _own_options(group)
    count = validate.whole("cell.layers", group.get("layers", 1))
    on = {key: group[key] for key in group if group[key]}
    between = {key: on[key] for key in ("residual", "dropout", "variational") if key in on}
    if between and count == 1:
        raise ValueError(f"cell.{next(iter(between))} acts between layers: cell.layers is 1")
    if "variational" in between and "dropout" not in between:
        raise ValueError("cell.variational has no effect: cell.dropout is 0")
    options = {key: on[key] for key in (*cells.OPTIONS, *cells.WRAPPER_OPTIONS) if key in on}
    residual = options.pop("residual", False)
    options |= own
    name, H = group["name"], group["hidden_size"]
    first = by_name(name, H, init, **options)
    if count == 1:
        return first
    above = by_name(name, H, init, **options, residual=residual)
    dropout = between.get("dropout", 0.0)
    return Stack((first, *[above] * (count - 1)), dropout, "variational" in between)


def _own_options(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that only the group's registered cell has.

    Raises:
        ValueError: a key that no cell has, or one of another cell with a value of its own.
    """
    name = group["name"].removeprefix("bi-")
    own, known = cells.own_options(name), config("", 0)
    for key in group:
        if key in known or key in own:
            continue
        others = {other: cells.own_options(other) for other in cells.CELLS}
        having = {other: options[key] for other, options in others.items() if key in options}
        if not having:
            raise ValueError(unknown("cell key", key, {**known, **own}, listing=CONFIG_HELP))
        if group[key] not in having.values():
            raise ValueError(
                f"cell.{key}={group[key]!r} has no effect: cell {name!r} has no such option, only "
                f"{', '.join(having)}"
            )
    return {key: group[key] for key in own if key in group}


def cell_of(cell: Cell | Layer) -> Cell:
    """Return the cell of a layer of one cell, its init stripped; a cell likewise.

    Raises:
        TypeError: a layer of several cells, which a probe cannot take.
    """
    if isinstance(cell, CellLayer):
        return cells.without_init(cell.cell)
    if isinstance(cell, Layer):
        raise TypeError(
            f"a probe takes a cell or a layer of one cell, got {type(cell).__name__}; "
            "probe one cell, the others inside loss"
        )
    return cells.without_init(cell)
