"""One recurrent layer to be timed: its config, its schemes, and its passes by an engine."""

from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from rnnlab.core import validate
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused import Fused
from rnnlab.nn.engines.newton import Newton
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll

PyTree = Any
Pass = Callable[[PyTree, jax.Array, jax.Array], PyTree]  # of (params, xs, weights)


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
    size: str, *, rounds: int, seconds: float, seconds_per_member: float
) -> ConfigDict:
    """Return the config of a benchmark of one layer, swept over cells and sizes.

    Args:
        size: "BxTxDxH".
        rounds: rounds in which each side has a process of its own, at least 5.
        seconds: for which a process times each pass.
        seconds_per_member: estimated seconds per member, for ``--dry_run``.

    >>> layer_config("8x10x8x8", rounds=5, seconds=1, seconds_per_member=2).task.size
    '8x10x8x8'
    """
    config = ConfigDict(
        {
            "seed": 0,
            "cell": {"name": "lstm"},
            "task": {"size": size},  # batch, steps, features and units, as in 32x100x64x128
            "run": {
                "rounds": rounds,  # in each of which every side has a process of its own
                "seconds": seconds,  # for which a process times each pass, back to back
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
