"""Activation functions by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.core import validate

Array = jax.Array


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,  # relu'(0) = 0, not so with jnp.maximum
    "identity": lambda a: a,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


Activation = str | Callable[[Array], Array]


def activation_function(activation: Activation) -> Callable[[Array], Array]:
    """Return the activation function of that name; a callable is returned as it is.

    Raises:
        ValueError: an unknown name; the nearest is suggested.

    >>> float(activation_function("relu")(-1.0))
    0.0
    """
    if callable(activation):
        return activation
    return ACTIVATIONS[validate.choice("activation", activation, ACTIVATIONS)]
