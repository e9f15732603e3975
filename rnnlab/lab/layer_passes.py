"""A recurrent layer's schemes, and its passes by an engine, to be timed."""

from collections.abc import Callable
from typing import Any

import jax

from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused import Fused
from rnnlab.nn.engines.newton import Newton
from rnnlab.nn.engines.split import Split
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.unroll import unroll

PyTree = Any
Pass = Callable[[PyTree, jax.Array, jax.Array], PyTree]  # of (params, xs, weights)


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


def passes(cell: Cell, engine: str | Fused | Newton | Split) -> dict[str, Pass]:
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
