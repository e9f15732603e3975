"""The call that the modules of linen, nnx and Equinox share."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from rnnlab.nn.layers import Layer, draws_noise
from rnnlab.nn.params import PyTree

Array = jax.Array


def run(
    layer: Layer,
    params: PyTree,
    xs: Array,
    *,
    key: Array | None,
    deterministic: bool,
    give_key: str,
    return_state: bool,
    taps: Sequence[str] = (),
    **options: Any,
) -> PyTree:
    """Run a layer for a module: ys, or everything that ``layer.apply`` returns.

    Args:
        layer, params, xs, key, deterministic, taps, options: as of ``layer.apply``.
        give_key: how to give a key to this kind of module, for the message.
        return_state: whether the final state, and taps, are returned too.
    Raises:
        ValueError: noise without a key; taps that would not be returned; and as ``layer.apply``.
    """
    if not deterministic and key is None and draws_noise(layer):
        raise ValueError(f"{layer} draws noise, which needs a key: {give_key}")
    if taps and not return_state:
        raise ValueError(f"taps={tuple(taps)} are returned with return_state=True only")
    if taps:
        options["taps"] = tuple(taps)
    returned = layer.apply(params, xs, key=key, deterministic=deterministic, **options)
    return returned if return_state else returned[0]


def check_features(xs: ArrayLike, input_size: int) -> None:
    """Check the last axis of inputs.

    Raises:
        ValueError: another number of features.
    """
    shape = jnp.shape(xs)
    if shape[-1:] != (input_size,):
        raise ValueError(f"inputs must end in input_size={input_size} features, got shape {shape}")
