"""Activation functions by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import unknown

Array = jax.Array


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,  # relu'(0) = 0, which jnp.maximum does not give
    "identity": lambda a: a,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


Activation = str | Callable[[Array], Array]


def activation_function(activation: Activation) -> Callable[[Array], Array]:
    """The function an activation's name stands for; a callable is handed back.

    Raises:
        ValueError: an unknown name.

    >>> float(activation_function("relu")(-1.0))
    0.0
    """
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(unknown("activation", activation, ACTIVATIONS))
    return ACTIVATIONS[activation]
