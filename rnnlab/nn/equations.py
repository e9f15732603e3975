"""The equations of RNN, LSTM and GRU: one pure function per gate.

``W x`` in the maths is ``x @ W`` in code: kernels are (in, out), as ``jax.nn.initializers``
assume. Each gate has two separate blocks, ``W_i·[h, x] = W_hi h + W_xi x``, so that an
initialization scheme applies to each block as its theory defines it. Leading axes broadcast.

An option that changes the inside of a gate is a keyword of its function: ``gains`` (layer
normalization), ``peephole``. Wrappers *around* a cell are in :mod:`rnnlab.nn.wrappers`.

Shapes: D input, H hidden, P projected, O output; ``...`` any leading axes.
"""

import jax
import jax.numpy as jnp

from rnnlab.nn.activations import Activation, activation_function
from rnnlab.nn.affine import (
    Gains,
    Peephole,
    affine,
    check_bias,
    check_gate,
    check_kernel,
    check_units,
    check_vector,
    layer_norm,
)

Array = jax.Array


# ---- the simple recurrent network --------------------------------------------------------------


def rnn_hidden(
    h: Array,
    x: Array,
    W_hh: Array,
    W_xh: Array,
    b_h: Array,
    activation: Activation = "tanh",
    g_h: Array | None = None,
) -> Array:
    """h_t = f(W_hh h_{t−1} + W_xh x_t + b_h).

    Variant: with ``g_h`` the summed input is normalized, h_t = f(LN(W_hh h_{t−1} + W_xh x_t; g_h,
    b_h)) (Ba et al. 2016, eq. 4).

    Args:
        h: h_{t−1} (..., H). x: x_t (..., D).
        W_hh: (H, H). W_xh: (D, H). b_h, g_h: (H,).
        activation: f, "tanh", "relu", "identity" or any elementwise callable.
    Returns:
        h_t (..., H).
    Source: the notes, 前向传播的核心计算; Elman 1990.

    >>> one = jnp.ones((1, 1))
    >>> float(rnn_hidden(jnp.array([1.0]), jnp.array([2.0]), one, one, jnp.zeros(1), "identity")[0])
    3.0
    """
    if g_h is None:
        a = affine("rnn_hidden", h, x, W_hh, W_xh, b_h)
    else:
        check_gate("rnn_hidden", h, x, W_hh, W_xh, b_h)
        check_vector("rnn_hidden", "g_h", g_h, W_hh.shape[1])
        a = layer_norm(h @ W_hh + x @ W_xh, g_h, b_h)
    return activation_function(activation)(a)


def output(h: Array, W_hy: Array, b_y: Array, activation: Activation = "identity") -> Array:
    """y_t = g(W_hy h_t + b_y).

    Args:
        h: h_t (..., H). W_hy: (H, O). b_y: (O,).
        activation: g; "softmax" for class probabilities, "identity" for logits and regression.
    Returns:
        y_t (..., O).
    Source: the notes, 输出更新.
    """
    check_kernel("output", "h", h, "W_hy", W_hy)
    check_bias("output", b_y, W_hy.shape[1])
    return activation_function(activation)(h @ W_hy + b_y)


# ---- LSTM --------------------------------------------------------------------------------------


def forget_gate(
    h: Array,
    x: Array,
    W_hf: Array,
    W_xf: Array,
    b_f: Array,
    gains: Gains | None = None,
    peephole: Peephole | None = None,
) -> Array:
    """f_t = σ(W_f·[h_{t−1}, x_t] + b_f): the share of C_{t−1} that is kept.

    Variants: with ``gains`` each product is normalized separately over the H units of this gate,
    σ(LN(W_hf h_{t−1}; g_h) + LN(W_xf x_t; g_x) + b_f); with ``peephole`` the gate also sees the
    memory, σ(… + p_f*C_{t−1}), which is not normalized.

    Args:
        h: h_{t−1} (..., H), or (..., P) with a projection. x: x_t (..., D).
        W_hf: (H, H) or (P, H). W_xf: (D, H). b_f: (H,).
        gains: (g_x, g_h), each (H,).
        peephole: (p_f (H,), C_{t−1} (..., H)).
    Returns:
        f_t (..., H), between 0 and 1.
    Source: Gers, Schmidhuber & Cummins 2000; the notes, 遗忘门. Gains: Ba et al. 2016 (arXiv
        1607.06450), supplement, whose statistics are over all four gates together, with a bias per
        product. Peephole: Gers & Schmidhuber 2000, "Recurrent nets that time and count".
    """
    return jax.nn.sigmoid(affine("forget_gate", h, x, W_hf, W_xf, b_f, gains, peephole))


def input_gate(
    h: Array,
    x: Array,
    W_hi: Array,
    W_xi: Array,
    b_i: Array,
    gains: Gains | None = None,
    peephole: Peephole | None = None,
) -> Array:
    """i_t = σ(W_i·[h_{t−1}, x_t] + b_i): the share of C̃_t that is written.

    Args, variants and returns as :func:`forget_gate`; its ``peephole`` is (p_i, C_{t−1}).
    Source: Hochreiter & Schmidhuber 1997; the notes, 输入门.
    """  # an equation, no sentence
    return jax.nn.sigmoid(affine("input_gate", h, x, W_hi, W_xi, b_i, gains, peephole))


def candidate_memory(
    h: Array,
    x: Array,
    W_hc: Array,
    W_xc: Array,
    b_c: Array,
    gains: Gains | None = None,
) -> Array:
    """C̃_t = tanh(W_c·[h_{t−1}, x_t] + b_c): the candidate to write, between −1 and 1.

    Args and the variant ``gains`` as :func:`forget_gate`. Returns: C̃_t (..., H).
    Source: Hochreiter & Schmidhuber 1997; the notes, 候选记忆.
    """
    return jnp.tanh(affine("candidate_memory", h, x, W_hc, W_xc, b_c, gains))


def cell_state(f: Array, C: Array, i: Array, C_tilde: Array) -> Array:
    """C_t = f_t*C_{t−1} + i_t*C̃_t.

    Args:
        f, i: gates (..., H). C: C_{t−1} (..., H). C_tilde: C̃_t (..., H).
    Returns:
        C_t (..., H).
    Source: Gers et al. 2000; the notes, 更新记忆单元状态.

    >>> float(cell_state(jnp.float32(1), jnp.float32(5), jnp.float32(0), jnp.float32(-1)))
    5.0
    """
    check_units("cell_state", f=f, C=C, i=i, C_tilde=C_tilde)
    return f * C + i * C_tilde


def output_gate(
    h: Array,
    x: Array,
    W_ho: Array,
    W_xo: Array,
    b_o: Array,
    gains: Gains | None = None,
    peephole: Peephole | None = None,
) -> Array:
    """o_t = σ(W_o·[h_{t−1}, x_t] + b_o): the share of tanh(C_t) that is output.

    Args, variants and returns as :func:`forget_gate`; its ``peephole`` is (p_o, C_t), the memory
    *after* the update.
    Source: Hochreiter & Schmidhuber 1997; the notes, 输出门.
    """
    return jax.nn.sigmoid(affine("output_gate", h, x, W_ho, W_xo, b_o, gains, peephole))


def lstm_hidden(o: Array, C: Array, g_C: Array | None = None, b_C: Array | None = None) -> Array:
    """h_t = o_t*tanh(C_t).

    Variant: with ``g_C`` the output reads the normalized memory, h_t = o_t*tanh(LN(C_t; g_C,
    b_C)); C_t itself stays unnormalized in the state (Ba et al. 2016, supplement).

    Args:
        o: o_t (..., H). C: C_t (..., H). g_C, b_C: (H,).
    Returns:
        h_t (..., H); it is m_t if a projection follows.
    Source: Hochreiter & Schmidhuber 1997; the notes, 输出门.
    """
    check_units("lstm_hidden", o=o, C=C)
    if g_C is None:
        return o * jnp.tanh(C)
    check_units("lstm_hidden", C=C, g_C=g_C, **({} if b_C is None else {"b_C": b_C}))
    return o * jnp.tanh(layer_norm(C, g_C, b_C))


def lstm_projection(m: Array, W_mh: Array) -> Array:
    """h_t = W_mh m_t, m_t = o_t*tanh(C_t): the output, projected from H to P units and fed back.

    Args:
        m: m_t (..., H). W_mh: (H, P).
    Returns:
        h_t (..., P).
    Source: Sak, Senior & Beaufays 2014 (arXiv 1402.1128), r_t = W_rm m_t there; PyTorch's
        ``proj_size``.
    """
    check_kernel("lstm_projection", "m", m, "W_mh", W_mh)
    return m @ W_mh


# ---- GRU ---------------------------------------------------------------------------------------


def update_gate(
    h: Array,
    x: Array,
    W_hz: Array,
    W_xz: Array,
    b_z: Array,
    gains: Gains | None = None,
) -> Array:
    """z_t = σ(W_z·[h_{t−1}, x_t] + b_z): the share of h_{t−1} that is kept.

    Args, the variant ``gains`` and returns as :func:`forget_gate`. In the notes, PyTorch, Keras and
    cuDNN z keeps the past; Cho et al. 2014 and haiku swap z and 1−z.
    Source: the notes, 更新门.
    """
    return jax.nn.sigmoid(affine("update_gate", h, x, W_hz, W_xz, b_z, gains))


def reset_gate(
    h: Array,
    x: Array,
    W_hr: Array,
    W_xr: Array,
    b_r: Array,
    gains: Gains | None = None,
) -> Array:
    """r_t = σ(W_r·[h_{t−1}, x_t] + b_r): the share of h_{t−1} that the candidate sees.

    Args, the variant ``gains`` and returns as :func:`forget_gate`.
    Source: Cho et al. 2014 (arXiv 1406.1078), eq. 5; the notes, 重置门.
    """
    return jax.nn.sigmoid(affine("reset_gate", h, x, W_hr, W_xr, b_r, gains))


def candidate_hidden(
    r: Array,
    h: Array,
    x: Array,
    W_hh: Array,
    W_xh: Array,
    b_h: Array,
    b_hn: Array | None = None,
    gains: Gains | None = None,
) -> Array:
    """h̃_t = tanh(W_h·[r_t*h_{t−1}, x_t] + b_h).

    Variants: with ``b_hn`` the reset comes after the recurrent product, as in cuDNN, PyTorch and
    Keras (reset_after=True): h̃_t = tanh(W_xh x_t + b_h + r_t*(W_hh h_{t−1} + b_hn)). With
    ``gains`` both products are normalized: tanh(LN(W_hh (r_t*h_{t−1}); g_h) + LN(W_xh x_t; g_x) +
    b_h). With both, tanh(LN(W_xh x_t; g_x) + b_h + r_t*(LN(W_hh h_{t−1}; g_h) + b_hn)), the GRU of
    Ba et al. 2016, supplement.

    Args:
        r: r_t (..., H). h: h_{t−1} (..., H). x: x_t (..., D).
        W_hh: (H, H). W_xh: (D, H). b_h, b_hn: (H,). gains: (g_x, g_h), each (H,).
    Returns:
        h̃_t (..., H).
    Source: Cho et al. 2014, eq. 8; the notes, 生成候选隐藏状态.
    """
    check_units("candidate_hidden", r=r, h=h)
    if b_hn is None:
        return jnp.tanh(affine("candidate_hidden", r * h, x, W_hh, W_xh, b_h, gains))
    check_gate("candidate_hidden", h, x, W_hh, W_xh, b_h)
    check_bias("candidate_hidden", b_hn, W_hh.shape[1])
    from_x, from_h = x @ W_xh, h @ W_hh
    if gains is not None:
        for part, g in zip(("gains.x", "gains.h"), gains, strict=True):
            check_vector("candidate_hidden", part, g, W_hh.shape[1])
        from_x, from_h = layer_norm(from_x, gains.x), layer_norm(from_h, gains.h)
    return jnp.tanh(from_x + b_h + r * (from_h + b_hn))


def gru_hidden(z: Array, h: Array, h_tilde: Array) -> Array:
    """h_t = z_t*h_{t−1} + (1−z_t)*h̃_t.

    Args:
        z: z_t (..., H). h: h_{t−1} (..., H). h_tilde: h̃_t (..., H).
    Returns:
        h_t (..., H).
    Source: the notes, 隐藏状态更新; as PyTorch and cuDNN.

    >>> float(gru_hidden(jnp.float32(1), jnp.float32(5), jnp.float32(-1)))  # z = 1 copies h
    5.0
    """
    check_units("gru_hidden", z=z, h=h, h_tilde=h_tilde)
    return z * h + (1 - z) * h_tilde
