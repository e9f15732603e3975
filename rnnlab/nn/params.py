"""Parameters, states and gate values of the cells, as NamedTuples.

Shapes: D input, H hidden, P projected; ``...`` any leading axes.
"""

from typing import Any, NamedTuple

import jax

from rnnlab.nn.affine import Gains

Array = jax.Array
PyTree = Any  # parameters or states of any cell, layer or model: NamedTuples, tuples, dicts


# ---- parameters --------------------------------------------------------------------------------


class RNNParams(NamedTuple):
    """Parameters of a simple RNN."""

    W_xh: Array  # (D, H)
    W_hh: Array  # (H, H)
    b_h: Array  # (H,)
    g_h: Array | None = None  # (H,), norm only


class LSTMNorm(NamedTuple):
    """Parameters that ``norm="layer"`` adds to an LSTM."""

    f: Gains
    i: Gains
    c: Gains
    o: Gains
    g_C: Array  # (H,)
    b_C: Array  # (H,)


class Peepholes(NamedTuple):
    """Parameters that ``peephole=True`` adds to an LSTM: diagonal kernels, each (H,)."""

    f: Array  # p_f, from C_{t−1}
    i: Array  # p_i, from C_{t−1}
    o: Array  # p_o, from C_t


class LSTMParams(NamedTuple):
    """Parameters of an LSTM, gate by gate."""

    W_xf: Array  # (D, H)
    W_hf: Array  # (H, H); (P, H) with a projection
    b_f: Array  # (H,)
    W_xi: Array
    W_hi: Array
    b_i: Array
    W_xc: Array
    W_hc: Array
    b_c: Array
    W_xo: Array
    W_ho: Array
    b_o: Array
    W_mh: Array | None = None  # (H, P), projection only
    peepholes: Peepholes | None = None
    norm: LSTMNorm | None = None


class GRUNorm(NamedTuple):
    """Parameters that ``norm="layer"`` adds to a GRU."""

    z: Gains
    r: Gains
    h: Gains


class GRUParams(NamedTuple):
    """Parameters of a GRU, gate by gate."""

    W_xz: Array  # (D, H)
    W_hz: Array  # (H, H)
    b_z: Array  # (H,)
    W_xr: Array
    W_hr: Array
    b_r: Array
    W_xh: Array
    W_hh: Array
    b_h: Array
    b_hn: Array | None = None  # (H,), reset_after only
    norm: GRUNorm | None = None


# ---- states ------------------------------------------------------------------------------------


class HiddenState(NamedTuple):
    """State of a simple RNN or a GRU."""

    h: Array  # (..., H)


class LSTMState(NamedTuple):
    """State of an LSTM."""

    h: Array  # (..., H); (..., P) with a projection
    C: Array  # (..., H)


# ---- gate values -------------------------------------------------------------------------------


class NoGates(NamedTuple):
    """Gate values of a simple RNN: none."""


class LSTMGates(NamedTuple):
    """Gate values of one LSTM step, each (..., H)."""

    f: Array
    i: Array
    C_tilde: Array
    o: Array


class ProjectedGates(NamedTuple):
    """Gate values of one step of an LSTM with a projection, and m_t = o_t*tanh(C_t); (..., H)."""

    f: Array
    i: Array
    C_tilde: Array
    o: Array
    m: Array


class GRUGates(NamedTuple):
    """Gate values of one GRU step, each (..., H)."""

    z: Array
    r: Array
    h_tilde: Array


# ---- dropout masks -----------------------------------------------------------------------------


class Masks(NamedTuple):
    """Dropout factors drawn once per sequence: 0 (dropped) or 1/(1 − rate); None: no dropout."""

    x: Array | None = None  # (..., D), of x_t; a cell's own step ignores it
    h: Array | None = None  # (..., H), of h_{t−1} in the products of the gates
