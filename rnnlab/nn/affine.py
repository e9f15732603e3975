"""The affine map inside every gate, W_h h + W_x x + b, with its options and shape checks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array


def check_gate(name: str, h: Array, x: Array, W_h: Array, W_x: Array, b: Array) -> None:
    """Check the last axes of a gate's inputs and blocks; leading axes broadcast.

    Raises:
        ValueError: a kernel, bias or input that does not fit.
    """
    for side, value, kernel, W in (("h", h, "W_h", W_h), ("x", x, "W_x", W_x)):
        check_kernel(name, side, value, kernel, W)
    units = W_h.shape[1]
    if W_x.shape[1] != units:
        raise ValueError(f"{name}: W_h makes {units} units, W_x makes {W_x.shape[1]}")
    check_bias(name, b, units)


def check_kernel(name: str, side: str, value: Array, kernel: str, W: Array) -> None:
    """Check that a kernel is a matrix (in, out) and takes the features of its input.

    Raises:
        ValueError: another rank, or another number of features.
    """
    if jnp.ndim(W) != 2:
        raise ValueError(f"{name}: {kernel} must be a matrix (in, out), got shape {jnp.shape(W)}")
    if jnp.shape(value)[-1:] != W.shape[:1]:
        raise ValueError(
            f"{name}: {side} has shape {jnp.shape(value)}, its kernel {kernel} {W.shape} takes "
            f"{W.shape[0]} features"
        )


def check_bias(name: str, b: Array, units: int) -> None:
    """Check the last axis of a bias: see :func:`check_vector`."""
    check_vector(name, "b", b, units)


def check_units(name: str, **values: Array) -> None:
    """Check that all values have the same last axis, H: an axis of 1 would broadcast silently.

    Raises:
        ValueError: last axes that differ.
    """
    if len({jnp.shape(value)[-1:] for value in values.values()}) > 1:
        shapes = ", ".join(f"{part} {jnp.shape(value)}" for part, value in values.items())
        raise ValueError(f"{name}: the last axes must be the same H units, got {shapes}")


def check_vector(name: str, part: str, value: Array, units: int) -> None:
    """Check that the last axis of ``value`` has ``units`` entries.

    Raises:
        ValueError: another size.
    """
    if jnp.shape(value)[-1:] != (units,):
        raise ValueError(f"{name}: {part} must end in {units} units, got shape {jnp.shape(value)}")


class Gains(NamedTuple):
    """The gains of one gate's two normalized products, each (H,)."""

    x: Array  # of LN(W_x x_t)
    h: Array  # of LN(W_h h_{t−1})


Peephole = tuple[Array, Array]  # (p (H,), the memory that the gate sees (..., H))


def affine(
    name: str,
    h: Array,
    x: Array,
    W_h: Array,
    W_x: Array,
    b: Array,
    gains: Gains | None = None,
    peephole: Peephole | None = None,
) -> Array:
    """Return W_h h + W_x x + b of the gate called ``name``.

    With ``gains`` it is LN(W_h h; g_h) + LN(W_x x; g_x) + b; ``peephole`` adds p*C. Shapes as
    :func:`rnnlab.nn.equations.forget_gate`; ``name`` stands in error messages.
    """
    check_gate(name, h, x, W_h, W_x, b)
    if gains is None:
        a = h @ W_h + x @ W_x + b
    else:
        for part, g in zip(("gains.x", "gains.h"), gains, strict=True):
            check_vector(name, part, g, W_h.shape[1])
        a = layer_norm(h @ W_h, gains.h) + layer_norm(x @ W_x, gains.x) + b
    if peephole is None:
        return a
    p, C = peephole
    check_vector(name, "p", p, W_h.shape[1])
    check_vector(name, "C", C, W_h.shape[1])
    return a + p * C


# ---- layer normalization -----------------------------------------------------------------------

LN_EPSILON = 1e-5  # added to the variance, which is 0 for h_0 = 0


def layer_norm(a: Array, g: Array, b: Array | None = None) -> Array:
    """LN(a) = g*(a − μ)/√(σ² + ε) + b, μ and σ² the mean and variance of a's units.

    Elsewhere written LN(a; g, b), or LN(a; g) without b.

    Args:
        a: (..., H); the H units of one gate, never those of several.
        g: gain (H,). b: bias (H,), or None if the gate adds its own.
    Returns:
        (..., H).
    Source: Ba, Kiros & Hinton 2016 (arXiv 1607.06450), eqs 3–4; ε = 1e-5 as in PyTorch.

    >>> layer_norm(jnp.array([1.0, 3.0]), jnp.ones(2)).round(3).tolist()
    [-1.0, 1.0]
    """
    check_vector("layer_norm", "g", g, jnp.shape(a)[-1])
    centered = a - jnp.mean(a, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
    normalized = g * (centered * jax.lax.rsqrt(variance + LN_EPSILON))
    if b is None:
        return normalized
    check_vector("layer_norm", "b", b, jnp.shape(a)[-1])
    return normalized + b
