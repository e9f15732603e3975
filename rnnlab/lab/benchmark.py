"""Timing side by side: calls take turns in one process; results are compared beforehand."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused import Fused
from rnnlab.nn.engines.newton import Newton
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll

PyTree = Any
Pass = Callable[[PyTree, jax.Array, jax.Array], PyTree]  # of (params, xs, weights)


def turns(
    calls: Mapping[str, Callable[[], PyTree]],
    *,
    repeats: int,
    seconds: float = math.inf,
    least: int = 3,
    pause: float = 0.02,
) -> dict[str, list[float]]:
    """Return the milliseconds of each call, called in turns, after one round to warm up.

    Other load on the machine meets all calls alike, so divide times of the same turn. The time of a
    call includes waiting for its JAX arrays.

    Args:
        calls: by name.
        repeats: turns of each call.
        seconds: no turn begins later than this, except for the first ``least`` turns.
        least: turns that are always taken.
        pause: seconds before each call, in which another library's threads stop spinning.
    Returns:
        the times of each call, one per turn.

    >>> ms = turns({"one": lambda: 1, "two": lambda: 2}, repeats=4)
    >>> [len(values) for values in ms.values()]
    [4, 4]
    """
    ms: dict[str, list[float]] = {name: [] for name in calls}
    first_start = time.perf_counter()
    for turn in range(-1, repeats):
        if turn >= least and time.perf_counter() - first_start > seconds:
            break
        for name, call in calls.items():
            time.sleep(pause)
            start = time.perf_counter()
            jax.block_until_ready(call())
            if turn >= 0:
                ms[name].append(1e3 * (time.perf_counter() - start))
    return ms


def ratio(ms: Mapping[str, list[float]], side: str, over: str) -> tuple[float, float, float]:
    """Return the median of the turns' ratios of two calls' times, with their 10% and 90% quantiles.

    A turn's ratio compares what ran back to back, so that a machine that slows down for a while
    changes both of its times.

    Args:
        ms: as :func:`turns` returns it.
        side: the name of the numerator.
        over: the name of the denominator.

    >>> ratio({"a": [2.0, 4.0, 3.0], "b": [1.0, 2.0, 1.0]}, "a", "b")[0]
    2.0
    """
    low, middle, high = np.quantile(np.array(ms[side]) / np.array(ms[over]), (0.1, 0.5, 0.9))
    return float(middle), float(low), float(high)


def parse_size(size: str) -> tuple[int, int, int, int]:
    """Return (B, T, D, H) of a size "BxTxDxH".

    Raises:
        ValueError: any other text.

    >>> parse_size("32x100x64x128")
    (32, 100, 64, 128)
    """
    try:
        B, T, D, H = (int(part) for part in size.split("x"))
    except ValueError:
        raise ValueError(f"task.size must be BxTxDxH, four whole numbers, got {size!r}") from None
    for letter, number in zip("BTDH", (B, T, D, H), strict=True):
        validate.whole(f"{letter} of task.size", number)
    return B, T, D, H


def layer_config(
    size: str, *, repeats: int, seconds: float, seconds_per_member: float
) -> ConfigDict:
    """Return the config of a benchmark of one layer, swept over cells and sizes.

    Args:
        size: "BxTxDxH".
        repeats: timed turns of each side; fewer where a turn of all takes long, at least 5.
        seconds: seconds after which no further turn begins.
        seconds_per_member: estimated seconds per member, for ``--dry_run``.

    >>> layer_config("8x10x8x8", repeats=5, seconds=1, seconds_per_member=2).task.size
    '8x10x8x8'
    """
    config = ConfigDict(
        {
            "seed": 0,
            "cell": {"name": "lstm"},
            "task": {"size": size},  # batch, steps, features and units, as in 32x100x64x128
            "run": {
                "repeats": repeats,
                "seconds": seconds,
                "seconds_per_member": seconds_per_member,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def init_of(cell: str, *, bias: str = "zeros", **schemes: str) -> InitScheme:
    """Return schemes that draw every bias of a cell alike, the forget gate's too.

    Args:
        cell: its name, "lstm"; only an LSTM's forget bias has a default of its own.
        bias: the scheme of all biases.
        schemes: of the kernels, by the names of :class:`~rnnlab.nn.initializers.InitScheme`.

    >>> init_of("lstm").forget_bias, init_of("gru").forget_bias
    ('zeros', None)
    """
    return InitScheme(b=bias, forget_bias=bias if cell == "lstm" else None, **schemes)


def passes(cell: Cell, engine: str | Fused | Newton) -> dict[str, Pass]:
    """Return a layer's passes by an engine, as functions of (params, xs, weights), not compiled.

    Args:
        cell: the cell to unroll.
        engine: as :func:`rnnlab.nn.unroll.unroll` takes it.
    Returns:
        "forward": the outputs. "both": forward and backward, ∂/∂(params, xs) Σ weights * outputs.

    >>> from rnnlab import RNN
    >>> sorted(passes(RNN(4), "scan"))
    ['both', 'forward']
    """

    def forward(params: PyTree, xs: jax.Array, weights: jax.Array) -> jax.Array:
        del weights
        return unroll(cell, params, xs, engine=engine)[0]

    def both(params: PyTree, xs: jax.Array, weights: jax.Array) -> PyTree:
        def loss(params: PyTree, xs: jax.Array) -> jax.Array:
            return (forward(params, xs, weights) * weights).sum()

        return jax.grad(loss, (0, 1))(params, xs)

    return {"forward": forward, "both": both}


def largest_difference(got: PyTree, expected: PyTree) -> float:
    """Return max|a − b| / max|b|, the largest over the arrays of two trees.

    Raises:
        ValueError: trees of different structure.

    >>> largest_difference({"a": np.array([1.0, 2.5])}, {"a": np.array([1.0, 2.0])})
    0.25
    """
    if jax.tree.structure(got) != jax.tree.structure(expected):
        raise ValueError(
            f"expected results of structure {jax.tree.structure(expected)}, "
            f"got {jax.tree.structure(got)}"
        )
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    return max(float(np.abs(np.asarray(a) - b).max() / np.abs(b).max()) for a, b in pairs)
