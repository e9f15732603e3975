"""Run a cell over time.

Shapes: B batch (any leading axes, also none), T time, D input, H hidden.

Padding has no effect: with ``lengths`` the padded inputs are replaced by zeros before use, the
state is frozen there and the outputs are zero. Replacing the inputs, rather than freezing the
state alone, keeps a NaN in the padding out of the weight gradients.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.nn import cells
from rnnlab.nn.engines.auto import choose
from rnnlab.nn.engines.fused import Fused, fused
from rnnlab.nn.engines.newton import Newton, newton
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.params import PyTree
from rnnlab.nn.protocols import Cell, Stochastic

Array = jax.Array


ENGINES: dict[str, Callable[..., tuple[Array, PyTree, dict[str, Array]]]] = {
    "scan": scan,
    "fused": fused,
    "fused_recompute": Fused(recompute=True),
    "newton": newton,
}


def unroll(
    cell: Cell,
    params: PyTree,
    xs: ArrayLike,
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    initial_state: PyTree = None,
    key: Array | None = None,
    deterministic: bool = True,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    engine: str | Fused | Newton = "auto",
) -> tuple[PyTree, ...]:
    """Run a cell over whole sequences: s_t, y_t = step(s_{t−1}, x_t) for t = 1 … T.

    Args:
        cell: any :class:`rnnlab.nn.protocols.Cell`.
        params: its parameters.
        xs: (B, T, D), floats. B may be any number of leading axes.
        lengths: (B,) whole numbers, 0 … T: real steps of each sequence; None: all T.
        resets: (B, T) booleans, true at the first step of each episode where several episodes share
            a row: the state before that step is the cell's own s_0. ``initial_state`` applies to
            the row's first step only. Neither states nor gradients cross a reset. With ``reverse``
            (and backwards in a bidirectional layer) each episode starts at its own end; a reset on
            padding is ignored. Engine "newton" does not support resets.
        initial_state: s_0, leaves (B, H); None: the cell's own (zeros).
            ``cell.initial_state(params, (B,), key)`` draws a random one.
        key: for a stochastic cell; step t draws from ``fold_in(key, t)``.
        deterministic: True turns a stochastic cell's noise off.
        reverse: read from each sequence's own end to its start; outputs keep the order of xs.
        taps: names of states or gates to return as well ("C", "f", …).
        engine: "scan", the definition; "fused", the same with a hand-written adjoint, for RNN, LSTM
            and GRU without options, wrappers and taps, reverse mode only; "fused_recompute", the
            same with O(√T) memory; "newton", all steps at once, for the same cells; a
            :class:`Fused` or :class:`Newton` with other options; "auto": fused where it applies
            (:mod:`rnnlab.nn.engines.auto`), else scan.
    Returns:
        (ys (B, T, H), final state with leaves (B, H)), and with ``taps`` a third item
        {tap: (B, T, H)}. Outputs and taps past a sequence's length are zero; the final state is
        the one after its last real step.
    Raises:
        TypeError: xs that are not floats; lengths that are not whole numbers; resets that are not
            booleans; forward mode with the engine "fused".
        ValueError: shapes that do not fit, lengths outside 0 … T, unknown taps or engines, a cell
            or an option that the engine does not support.

    >>> import jax
    >>> cell = cells.LSTM(4)
    >>> params = cell.init_params(jax.random.key(0), input_size=3)
    >>> ys, state, values = unroll(cell, params, jax.numpy.ones((2, 5, 3)), taps=("f",))
    >>> ys.shape, state.C.shape, values["f"].shape
    ((2, 5, 4), (2, 4), (2, 5, 4))
    """
    xs = check_inputs(xs)
    batch_shape, T = xs.shape[:-2], xs.shape[-2]
    mask = length_mask(lengths, batch_shape, T)
    if not isinstance(engine, Fused | Newton):
        validate.choice("engine", engine, ("auto", *ENGINES))
    stochastic = isinstance(cell, Stochastic) and cell.stochastic
    if stochastic and not deterministic and key is None:
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
    except TypeError as error:  # inside another jit JAX raises its own error, later
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


# ---- checks at the boundary, shared with the probes --------------------------------------------


def check_inputs(xs: ArrayLike) -> Array:
    """Return ``xs`` as an array (B…, T, D) of floats.

    Raises:
        TypeError: not floats. ValueError: fewer than two axes.
    """
    xs = jnp.asarray(xs)
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        raise TypeError(f"xs must be floats, got {xs.dtype}; embed or one-hot symbols first")
    if xs.ndim < 2:
        raise ValueError(f"xs must be (batch, time, features), got shape {xs.shape}")
    return xs


def check_params(cell: Cell, params: PyTree, xs: Array) -> None:
    """Check that ``params`` are this cell's, for inputs xs (..., D), and no narrower than xs.

    Raises:
        ValueError: another structure or shape. TypeError: xs of a wider dtype.
    """
    features = xs.shape[-1]
    expected = _params_like(cells.without_init(cell), features)
    if jax.tree.structure(params) != jax.tree.structure(expected):
        names = expected._fields if is_named_tuple(expected) else ""
        raise ValueError(
            f"params must be {type(expected).__name__}{names} for this cell, "
            f"got {type(params).__name__}"
        )
    for (path, leaf), like in zip(
        jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(expected), strict=True
    ):
        if jnp.shape(leaf) != like.shape:
            raise ValueError(
                f"params{jax.tree_util.keystr(path)} must be {like.shape} for x of "
                f"{features} features, got {jnp.shape(leaf)}"
            )
    dtype = jnp.result_type(*jax.tree.leaves(params))
    if jnp.promote_types(xs.dtype, dtype) != dtype:
        raise TypeError(f"xs are {xs.dtype}, the parameters {dtype}: cast one of them")


def is_named_tuple(value: PyTree) -> bool:
    """Whether ``value`` is an instance of a NamedTuple class."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


@lru_cache(maxsize=256)
def _params_like(cell: Cell, input_size: int) -> PyTree:
    # outside any trace in progress: the cached shapes outlive it
    with jax.ensure_compile_time_eval():
        return jax.eval_shape(lambda key: cell.init_params(key, input_size), jax.random.key(0))


def length_mask(lengths: ArrayLike | None, batch_shape: tuple[int, ...], T: int) -> Array | None:
    """Return (B…, T), true at the real steps; None without lengths.

    Raises:
        TypeError: lengths that are not whole numbers. ValueError: a shape other than (B…), or
            known lengths outside 0 … T.
    """
    if lengths is None:
        return None
    traced = isinstance(lengths, Tracer)
    if not traced:  # NumPy, for jnp traces even constants inside a compiled function
        lengths = np.asarray(lengths)
    assert isinstance(lengths, jax.Array | np.ndarray)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"lengths must be whole numbers, got {lengths.dtype}")
    if lengths.shape != batch_shape:
        raise ValueError(f"lengths must be {batch_shape}, one per sequence, got {lengths.shape}")
    if not traced and lengths.size and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(f"lengths must lie in 0 … {T}, got {lengths.min()} … {lengths.max()}")
    return jnp.arange(T, dtype=jnp.int32) < jnp.asarray(lengths, jnp.int32)[..., None]


def _resets(resets: ArrayLike, mask: Array | None, xs: Array, reverse: bool) -> Array:
    """(T, B…), true at the steps before which the state is reset, in the order of reading."""
    resets = jnp.asarray(resets)
    if resets.dtype != jnp.bool_:
        raise TypeError(
            f"resets must be booleans, true at an episode's first step, got {resets.dtype}"
        )
    if resets.shape != xs.shape[:-1]:
        raise ValueError(f"resets must be {xs.shape[:-1]}, one per step, got {resets.shape}")
    if mask is not None:  # a reset on padding must not reset the end of a row
        resets = resets & mask
    if reverse:  # an episode is entered at its last step, just before the next one's first
        resets = jnp.concatenate([resets[..., 1:], jnp.zeros_like(resets[..., :1])], axis=-1)
    return jnp.moveaxis(resets, -1, 0)


def start_state(
    cell: Cell, params: PyTree, batch_shape: tuple[int, ...], initial_state: PyTree
) -> PyTree:
    """Return s_0: ``initial_state``, checked and cast, or the cell's own if that is None.

    Raises:
        ValueError: another structure or shape than the cell's own s_0.
    """
    default = cell.initial_state(params, batch_shape)
    if initial_state is None:
        return default
    if jax.tree.structure(initial_state) != jax.tree.structure(default):
        raise ValueError(
            f"initial_state must be a {type(default).__name__}{default._fields}, "
            f"got {type(initial_state).__name__}"
        )
    for name, got, like in zip(default._fields, initial_state, default, strict=True):
        if jnp.shape(got) != like.shape:
            raise ValueError(f"initial_state.{name} must be {like.shape}, got {jnp.shape(got)}")
    return jax.tree.map(lambda got, like: jnp.asarray(got, like.dtype), initial_state, default)


def _check_taps(
    cell: Cell, params: PyTree, state: PyTree, xs: Array, taps: str | Iterable[str]
) -> tuple[str, ...]:
    if isinstance(taps, str):  # it would be read letter by letter
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
