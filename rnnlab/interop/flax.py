"""Layers as Flax modules, and weights of Flax's recurrent cells, linen's and nnx's.

:class:`Linen` and :class:`Recurrent` put any cell or layer into a model of linen or of nnx, and
into your own training loop. The functions read and write the weights of Flax's own cells:

Kernels lie (in, out), as ours do. A cell's tree, its leaves "module/kernel" and "module/bias":

    linen                             modules, and the blocks of ours that they hold
    SimpleCell                        i: W_xh, b_h; h: W_hh
    LSTMCell, OptimizedLSTMCell       ii if ig io: W_x of i f c o; hi hf hg ho: W_h, b
    GRUCell                           ir iz in: W_x, b of r z h; hr hz: W_h; hn: W_hh, b_hn

    nnx
    SimpleCell                        dense_i: W_xh, b_h; dense_h: W_hh
    LSTMCell                          as linen's, "if" written "if_"
    OptimizedLSTMCell                 dense_i: W_x of i f c o side by side; dense_h: W_h, b
    GRUCell                           dense_i: W_x, b of r z h side by side; dense_h: W_h

Flax has one bias per gate, as here: every parameter comes back bit for bit. Its GRUs are our
``GRU(H, reset_after=True)``; nnx's has no b_hn (flax #5594): reading sets it to zero, writing
refuses one that is not zero. An ``activation_fn`` leaves no trace in the weights; ``residual=True``
of a SimpleCell, and other ``gate_fn``, have no counterpart.

Where a cell's tree lies in a model's depends on the model: ``["params"]["cell"]`` of an
``nn.RNN(cell)``, ``["params"]["LSTMCell_0"]`` where a compact module makes it. Pass the cell's own
tree; for a bidirectional layer a pair (forward, backward), for a stack a sequence of these, bottom
first.

Source: flax/linen/recurrent.py and flax/nnx/nn/recurrent.py.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen, nnx
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.interop import blocks
from rnnlab.interop.blocks import NamedCell, Part, Place, part
from rnnlab.interop.modules import check_features, run
from rnnlab.nn import cells
from rnnlab.nn.cells import Cell
from rnnlab.nn.layers import Bidirectional, Layer, Stack, as_layer, draws_noise

Array = jax.Array
PyTree = Any
_OURS = {"f": "f", "i": "i", "g": "c", "o": "o", "r": "r", "z": "z", "n": "h"}


# ---- layers as modules --------------------------------------------------------------------------


class Linen(linen.Module):
    """A cell or layer as a linen module.

    Its parameter "recurrent" is drawn by ``layer.init`` from linen's key and is what
    ``layer.apply``, :func:`rnnlab.unroll` and the probes take. Noise (zoneout, dropout) is drawn
    from the stream "dropout", as linen's own layers do.

    Args:
        layer: a cell, wrapped or registered ones too, a bidirectional layer, a stack, or a layer of
            your own.
    Raises:
        TypeError: neither a cell nor a layer. ValueError: a cell that breaks the contract.

    >>> from rnnlab import LSTM
    >>> module = Linen(LSTM(4))
    >>> variables = module.init(jax.random.key(0), np.ones((2, 5, 3), np.float32))
    >>> variables["params"]["recurrent"].W_xi.shape
    (3, 4)
    >>> module.apply(variables, np.ones((2, 5, 3), np.float32)).shape
    (2, 5, 4)
    """

    layer: Cell | Layer

    def __post_init__(self) -> None:
        self.layer = as_layer(self.layer)
        super().__post_init__()

    @linen.compact
    def __call__(
        self,
        xs: Array,
        *,
        lengths: ArrayLike | None = None,
        initial_state: PyTree = None,
        deterministic: bool = True,
        return_state: bool = False,
        **options: Any,
    ) -> PyTree:
        """Run the layer over xs (B, T, D).

        Args:
            xs, lengths, initial_state: as of :func:`rnnlab.unroll`.
            deterministic: False draws noise, which needs ``rngs={"dropout": key}``.
            return_state: whether to return the final state too.
            options: the other options of :func:`rnnlab.unroll`: resets, reverse, engine, taps.
        Returns:
            ys (B, T, H); with ``return_state`` (ys, final state), and taps if asked for.
        Raises:
            TypeError, ValueError: as :func:`rnnlab.unroll`; noise without its key.
        """
        layer = as_layer(self.layer)
        params = self.param("recurrent", layer.init, np.shape(xs)[-1])
        drawn = not deterministic and self.has_rng("dropout")
        return run(
            layer,
            params,
            xs,
            key=self.make_rng("dropout") if drawn else None,
            deterministic=deterministic,
            give_key='pass rngs={"dropout": key}',
            return_state=return_state,
            lengths=lengths,
            initial_state=initial_state,
            **options,
        )


class Recurrent(nnx.Module):
    """A cell or layer as an nnx module, whose parameters are ``nnx.Param``.

    They are drawn as ``layer.init(rngs.params(), input_size)`` draws them, and named as there:
    ``module.params.W_xi`` of an LSTM. ``module.train()`` and ``module.eval()`` turn the layer's
    noise (zoneout, dropout) on and off; it is drawn from the stream ``rngs.dropout``.

    Args:
        layer: a cell, wrapped or registered ones too, a bidirectional layer, a stack, or a layer of
            your own.
        input_size: D.
        rngs: the streams "params" and, for a layer that draws noise, "dropout".
    Raises:
        TypeError: neither a cell nor a layer. ValueError: a cell that breaks the contract, or an
            invalid input size.

    >>> from rnnlab import LSTM
    >>> module = Recurrent(LSTM(4), 3, rngs=nnx.Rngs(0))
    >>> module.params.W_xi.shape, module(np.ones((2, 5, 3), np.float32)).shape
    ((3, 4), (2, 5, 4))
    """

    def __init__(self, layer: Cell | Layer, input_size: int, *, rngs: nnx.Rngs) -> None:
        self.layer = as_layer(layer)
        self.input_size = validate.whole("input_size", input_size)
        self.output_size = self.layer.output_size
        drawn = self.layer.init(rngs.params(), self.input_size)
        self.params = nnx.data(jax.tree.map(nnx.Param, drawn))
        self.deterministic = False
        # a stream of its own, and no state besides parameters where nothing is drawn
        self.rngs = rngs.dropout.fork() if draws_noise(self.layer) else None

    def __call__(
        self,
        xs: Array,
        *,
        lengths: ArrayLike | None = None,
        initial_state: PyTree = None,
        deterministic: bool | None = None,
        return_state: bool = False,
        **options: Any,
    ) -> PyTree:
        """Run the layer over xs (B, T, D).

        Args:
            xs, lengths, initial_state: as of :func:`rnnlab.unroll`.
            deterministic: True turns noise off; None: as ``train()`` and ``eval()`` have set it.
            return_state: whether to return the final state too.
            options: the other options of :func:`rnnlab.unroll`: resets, reverse, engine, taps.
        Returns:
            ys (B, T, H); with ``return_state`` (ys, final state), and taps if asked for.
        Raises:
            TypeError, ValueError: as :func:`rnnlab.unroll`; inputs of another size.
        """
        check_features(xs, self.input_size)
        quiet = self.deterministic if deterministic is None else deterministic
        return run(
            self.layer,
            self.arrays,
            xs,
            key=None if quiet or self.rngs is None else self.rngs(),
            deterministic=quiet,
            give_key="pass rngs with a stream 'dropout' to Recurrent",
            return_state=return_state,
            lengths=lengths,
            initial_state=initial_state,
            **options,
        )

    @property
    def arrays(self) -> PyTree:
        """The parameters as ``layer.apply``, :func:`rnnlab.unroll` and the probes take them."""
        return jax.tree.map(
            lambda variable: variable[...],
            self.params,
            is_leaf=lambda part: isinstance(part, nnx.Variable),
        )


# ---- weights of Flax's cells --------------------------------------------------------------------


def from_linen(trees: PyTree, layer: Cell | Layer) -> PyTree:
    """Return the parameters of a layer from those of linen's cells.

    Args:
        trees: one cell's tree; (forward, backward) of a bidirectional layer; a sequence of
            levels for a stack.
        layer: a cell, a layer, a bidirectional layer or a stack of these.
    Raises:
        ValueError: lists every array that is missing, extra or of another shape, by its place;
            another nesting; options that Flax does not have.
        TypeError: another kind of cell.

    >>> from rnnlab import RNN
    >>> tree = to_linen(RNN(4).init_params(__import__("jax").random.key(0), 3), RNN(4))
    >>> tree["i"]["kernel"].shape, from_linen(tree, RNN(4)).W_xh.shape
    ((3, 4), (3, 4))
    """
    _check(layer, "linen")
    return blocks.read(layer, _leaves_by_place(layer, trees), _layout(_linen), "linen")


def to_linen(params: PyTree, layer: Cell | Layer) -> PyTree:
    """Return trees of linen's cells, nested as :func:`from_linen` takes them.

    Raises:
        ValueError, TypeError: as :func:`from_linen`; parameters of another layer.
    """
    _check(layer, "linen")
    return _trees(layer, blocks.write(layer, params, _layout(_linen), "linen"))


def from_nnx(trees: PyTree, layer: Cell | Layer, *, optimized: bool = False) -> PyTree:
    """Return the parameters of a layer from those of nnx's cells.

    Args:
        trees: ``nnx.to_pure_dict(nnx.state(cell, nnx.Param))``, or the state itself; nested as
            :func:`from_linen` takes them.
        layer: as :func:`from_linen`.
        optimized: whether LSTMs are OptimizedLSTMCells, whose kernels are packed.
    Raises:
        ValueError, TypeError: as :func:`from_linen`.
    """
    _check(layer, "nnx")
    layout = _layout(partial(_nnx, optimized=optimized))
    return blocks.read(layer, _leaves_by_place(layer, trees), layout, "nnx")


def to_nnx(params: PyTree, layer: Cell | Layer, *, optimized: bool = False) -> PyTree:
    """Return trees of nnx's cells; ``nnx.update(cell, tree)`` takes one.

    Raises:
        ValueError, TypeError: as :func:`from_nnx`; parameters of another layer; a GRU's b_hn that
            is not zero.
    """
    _check(layer, "nnx")
    layout = _layout(partial(_nnx, optimized=optimized))
    return _trees(layer, blocks.write(layer, params, layout, "nnx"))


def _check(layer: Cell | Layer, theirs: str) -> None:
    for place in blocks.places(layer, theirs):
        blocks.check_reset_after(place, theirs)
        blocks.check_no_projection(place, theirs)


# ---- layouts -----------------------------------------------------------------------------------


def _linen(cell: NamedCell) -> dict[str, Part]:
    if isinstance(cell, cells.RNN):
        return {"i/kernel": part("W_xh"), "i/bias": part("b_h"), "h/kernel": part("W_hh")}
    lstm = isinstance(cell, cells.LSTM)
    parts = {}
    for gate in "ifgo" if lstm else "rzn":
        ours = _OURS[gate]
        parts[f"i{gate}/kernel"] = part(f"W_x{ours}")
        parts[f"h{gate}/kernel"] = part(f"W_h{ours}")
        parts[f"h{gate}/bias" if lstm else f"i{gate}/bias"] = part(f"b_{ours}")
    return parts if lstm else {**parts, "hn/bias": part("b_hn")}


def _nnx(cell: NamedCell, optimized: bool) -> dict[str, Part]:
    lstm = isinstance(cell, cells.LSTM)
    if lstm and not optimized:
        return {name.replace("if/", "if_/"): array for name, array in _linen(cell).items()}
    order = "ifco" if lstm else "rzh" if isinstance(cell, cells.GRU) else "h"
    return {
        "dense_i/kernel": part(*(f"W_x{gate}" for gate in order)),
        "dense_h/kernel": part(*(f"W_h{gate}" for gate in order)),
        "dense_h/bias" if lstm else "dense_i/bias": part(*(f"b_{gate}" for gate in order)),
    }


def _layout(parts_of_cell: Callable[[NamedCell], dict[str, Part]]) -> blocks.Layout:
    def parts_of(place: Place) -> dict[str, Part]:
        prefix = _prefix(place.level, place.direction)
        return {f"{prefix}{name}": array for name, array in parts_of_cell(place.cell).items()}

    return parts_of


def _prefix(level: int, direction: int) -> str:
    return f"level {level}, {('forward', 'backward')[direction]}: "


# ---- trees -------------------------------------------------------------------------------------


def _leaves_by_place(layer: Cell | Layer, trees: PyTree) -> dict[str, object]:
    """Return all leaves, named by level, direction and path in the cell's tree."""
    layer = as_layer(layer)
    levels = layer.layers if isinstance(layer, Stack) else (layer,)
    trees = _sequence(trees, len(levels), "a stack") if isinstance(layer, Stack) else (trees,)
    leaves: dict[str, object] = {}
    for level, (inner, of_level) in enumerate(zip(levels, trees, strict=True)):
        both = isinstance(inner, Bidirectional)
        sides = _sequence(of_level, 2, "a bidirectional layer") if both else (of_level,)
        for direction, tree in enumerate(sides):
            if not isinstance(tree, Mapping):
                raise ValueError(f"a cell's tree must be a mapping, got {type(tree).__name__}")
            leaves |= _leaves(tree, _prefix(level, direction))
    return leaves


def _sequence(trees: PyTree, count: int, whole: str) -> Sequence[PyTree]:
    if not isinstance(trees, tuple | list):
        raise ValueError(
            f"trees of {whole} must be a sequence of {count}, got {type(trees).__name__}"
        )
    if len(trees) != count:
        raise ValueError(f"trees of {whole} must be {count}, got {len(trees)}")
    return trees


def _leaves(tree: Mapping[PyTree, object], prefix: str) -> dict[str, object]:
    leaves: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}/")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def _trees(layer: Cell | Layer, arrays: Mapping[str, np.ndarray]) -> PyTree:
    def tree(place: Place) -> dict[str, dict[str, np.ndarray]]:
        prefix = _prefix(place.level, place.direction)
        modules: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            if name.startswith(prefix):
                module, leaf = name.removeprefix(prefix).split("/")
                modules.setdefault(module, {})[leaf] = array
        return modules

    return blocks.nested(layer, map(tree, blocks.places(layer, "Flax")))
