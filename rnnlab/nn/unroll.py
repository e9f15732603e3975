"""Run a cell over time.

Shapes: B batch (any leading axes, also none), T time, D input, H hidden.

Padding has no effect: with ``lengths`` the padded inputs are replaced by zeros before use, the
state is frozen there and the outputs are zero. Replacing the inputs, rather than freezing the
state alone, keeps a NaN in the padding out of the weight gradients.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import PartitionSpec as P
from jax.typing import ArrayLike

from rnnlab.core import validate
from rnnlab.core.errors import unknown
from rnnlab.nn import cells, contract
from rnnlab.nn.engines.auto import choose
from rnnlab.nn.engines.fused import Fused, fused
from rnnlab.nn.engines.newton import Newton, newton
from rnnlab.nn.engines.scan import over_features
from rnnlab.nn.engines.split import WHOLE, Split
from rnnlab.nn.meshes import automatic, batch_spec
from rnnlab.nn.params import PyTree
from rnnlab.nn.protocols import Cell, Stochastic

Array = jax.Array


ENGINES: dict[str, Callable[..., tuple[Array, PyTree, dict[str, Array]]]] = {
    **WHOLE,
    "fused_split": Split(),
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
    engine: str | Fused | Newton | Split = "auto",
) -> tuple[PyTree, ...]:
    """Run a cell over whole sequences: s_t, y_t = step(s_{t−1}, x_t) for t = 1 … T.

    Args:
        cell: any :class:`rnnlab.nn.protocols.Cell`.
        params: its parameters.
        xs: (B, T, D), floats. B may be any number of leading axes. Inputs, and parameters of
            several float dtypes, are promoted to the widest one; outputs and states have it.
        lengths: (B,) whole numbers, 0 … T: real steps of each sequence; None: all T. Inside a
            compiled function, where a value cannot raise an error, they count as clipped to 0 … T.
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
            same with O(√T) memory; "newton", all steps at once, for the same cells;
            "fused_split", fused on equal parts of the batch, one per CPU device
            (:mod:`rnnlab.nn.engines.split`); a :class:`Fused`, :class:`Newton` or :class:`Split`
            with other options; "auto": fused where it applies (:mod:`rnnlab.nn.engines.auto`),
            else scan.
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
    if not isinstance(engine, Fused | Newton | Split):
        validate.choice("engine", engine, ("auto", *ENGINES))
    contract.check_cell(cell)
    stochastic = isinstance(cell, Stochastic) and cell.stochastic
    if stochastic and not deterministic and key is None:
        raise ValueError(f"{cell} draws at every step: deterministic=False needs a key")
    params, xs, state, mask = checked(cell, params, xs, lengths, initial_state)
    taps = _check_taps(cell, params, state, xs, taps)
    options: dict[str, Any] = {}
    if resets is not None:
        options["resets"] = _resets(resets, mask, xs, reverse)
        contract.check_batched(cell, state, xs.shape[:-2], "resets need")
    if engine == "auto":
        engine = choose(cell, taps=taps)
    run = ENGINES[engine] if isinstance(engine, str) else engine
    of_part = run.run if isinstance(run, Split) else run
    if options and (of_part is newton or isinstance(of_part, Newton)):
        raise ValueError("engine 'newton' has no resets: use 'scan' or 'fused'")
    options["mask"] = None if mask is None else jnp.moveaxis(mask, -1, 0)
    options["key"] = None if deterministic else key
    plain = cells.without_init(cell)

    def over_time(params: PyTree, xs: Array, state: PyTree, options: dict[str, Any]) -> PyTree:
        return run(plain, params, xs, state, reverse=reverse, taps=taps, **options)

    def specs() -> PyTree:  # of the results, on a mesh with explicit axes
        batch = batch_spec(xs, xs.ndim - 2)
        of_state = jax.tree.map(lambda part: P(*batch[: part.ndim]), state)
        return P(None, *batch), of_state, P(None, *batch)

    try:
        ys, state, tapped = automatic(
            over_time, params, jnp.moveaxis(xs, -2, 0), state, options, out=specs
        )
    except TypeError as error:  # inside another jit JAX raises its own error, later
        by_hand = of_part is fused or isinstance(of_part, Fused)
        if "forward-mode" not in str(error) or not by_hand:
            raise
        raise TypeError(
            "engine 'fused' is differentiated in reverse mode only: for jvp and jacfwd "
            "use engine='scan'"
        ) from None
    ys, tapped = jax.tree.map(lambda y: jnp.moveaxis(y, 0, -2), (ys, tapped))
    if mask is not None:
        real = partial(over_features, mask)
        ys, tapped = jax.tree.map(lambda y: jnp.where(real(y), y, 0), (ys, tapped))
    return (ys, state, tapped) if taps else (ys, state)


# ---- checks at the boundary, shared with the probes --------------------------------------------


class Checked(NamedTuple):
    """Arguments of :func:`unroll`, checked and of one dtype; padded inputs are zero."""

    params: PyTree
    xs: Array  # (B…, T, D)
    state: PyTree  # s_0
    mask: Array | None  # (B…, T), true at the real steps


def checked(
    cell: Cell,
    params: PyTree,
    xs: ArrayLike,
    lengths: ArrayLike | None = None,
    initial_state: PyTree = None,
    *,
    measured: bool = False,
) -> Checked:
    """Check the arguments of a run of a cell over xs, and the cell's contract; promote the dtypes.

    Args:
        measured: for a probe: half precision is measured in float32.
    Raises:
        TypeError, ValueError: as :func:`unroll`.
    """
    xs = check_inputs(xs)
    *batch_shape, T, _ = xs.shape
    batch_shape = tuple(batch_shape)
    contract.check_cell(cell)
    mask = length_mask(lengths, batch_shape, T)
    check_params(cell, params, xs)
    params, xs = promoted(params, xs, measured)
    state = start_state(cell, params, batch_shape, initial_state)
    contract.check_step(cells.without_init(cell), params, state, _one_step(xs))
    if mask is not None:
        contract.check_batched(cell, state, batch_shape, "lengths need")
        xs = jnp.where(mask[..., None], xs, 0)
    return Checked(params, xs, state, mask)


def _one_step(xs: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((*xs.shape[:-2], xs.shape[-1]), xs.dtype)


def promoted(params: PyTree, xs: Array, measured: bool = False) -> tuple[PyTree, Array]:
    """Return float parameters and inputs, cast to the widest dtype among the parameters'.

    Args:
        measured: for a probe: at least float32.
    """
    dtype = _float_dtype(params, xs)
    if measured and jnp.finfo(dtype).bits < 32:
        dtype = jnp.dtype(jnp.float32)

    def cast(leaf: ArrayLike) -> Array:
        leaf = jnp.asarray(leaf)
        return leaf.astype(dtype) if contract.is_float(leaf) else leaf

    return jax.tree.map(cast, params), cast(xs)


def _float_dtype(params: PyTree, xs: Array) -> np.dtype:
    dtypes = {leaf.dtype for leaf in map(jnp.asarray, jax.tree.leaves(params))}
    floats = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*(floats or [xs.dtype]))


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
    """Check that ``params`` are this cell's, for inputs xs (..., D), and none narrower than xs.

    Raises:
        ValueError: another structure or shape. TypeError: xs of a wider dtype.
    """
    features = xs.shape[-1]
    expected = _params_like(cells.without_init(cell), features)
    if jax.tree.structure(params) != jax.tree.structure(expected):
        names = expected._fields if contract.is_named_tuple(expected) else ""
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
    dtype = _float_dtype(params, xs)
    with jax.numpy_dtype_promotion("standard"):
        wider = jnp.promote_types(xs.dtype, dtype)
    if wider != dtype:
        raise TypeError(f"xs are {xs.dtype}, the parameters {dtype}: cast one of them")


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
    return jnp.arange(T, dtype=jnp.int32) < real_steps(lengths, batch_shape, T)[..., None]


def real_steps(lengths: ArrayLike, batch_shape: tuple[int, ...], T: int) -> Array:
    """Return the number of real steps of each sequence, (B…) int32 in 0 … T.

    Known lengths outside 0 … T raise an error. Traced ones cannot: they are clipped, so that a mask
    and a count made of them agree.

    Raises:
        TypeError, ValueError: as :func:`length_mask`.
    """
    traced = isinstance(lengths, Tracer)
    if not traced:  # NumPy, for jnp traces even constants inside a compiled function
        lengths = np.asarray(lengths)
    assert isinstance(lengths, jax.Array | np.ndarray)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"lengths must be whole numbers, got {lengths.dtype}")
    if lengths.shape != batch_shape:
        raise ValueError(f"lengths must be {batch_shape}, one per sequence, got {lengths.shape}")
    if not traced:
        if lengths.size and (lengths.min() < 0 or lengths.max() > T):
            raise ValueError(f"lengths must lie in 0 … {T}, got {lengths.min()} … {lengths.max()}")
        return jnp.asarray(lengths.astype(np.int32))
    steps = jnp.asarray(lengths)
    if steps.dtype.itemsize < 4:  # which may not hold T
        steps = steps.astype(jnp.int32)
    return jnp.clip(steps, 0, T).astype(jnp.int32)


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
    default = contract.first_state(cell, params, batch_shape)
    if initial_state is None:
        return default
    if jax.tree.structure(initial_state) != jax.tree.structure(default):
        raise ValueError(
            f"initial_state must be a {type(default).__name__}{default._fields}, "
            f"got {type(initial_state).__name__}"
        )
    for (path, like), got in zip(
        jax.tree_util.tree_leaves_with_path(default), jax.tree.leaves(initial_state), strict=True
    ):
        if jnp.shape(got) != like.shape:
            raise ValueError(
                f"initial_state.{contract.part_name(path)} must be {like.shape}, "
                f"got {jnp.shape(got)}"
            )
    return jax.tree.map(lambda got, like: jnp.asarray(got, like.dtype), initial_state, default)


def _check_taps(
    cell: Cell, params: PyTree, state: PyTree, xs: Array, taps: str | Iterable[str]
) -> tuple[str, ...]:
    if isinstance(taps, str):  # it would be read letter by letter
        raise TypeError(f"taps must be a tuple of names, got {taps!r}: write ({taps!r},)")
    taps = tuple(taps)
    if not taps:
        return taps
    gates = contract.check_step(cells.without_init(cell), params, state, _one_step(xs)).gates
    known = (*gates, *state._fields)
    for tap in taps:
        if tap in gates and tap in state._fields:
            raise ValueError(
                f"tap {tap!r} is both a gate and a part of the state of {type(cell).__name__}: "
                "rename the gate"
            )
        if tap not in known:
            raise ValueError(unknown(f"tap of {type(cell).__name__}", tap, known))
    return taps
