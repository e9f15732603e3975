"""Adjoints of the named cells written out by hand, one step back at a time, in NumPy.

From the adjoints of (h_t, C_t) to those of (h_{t−1}, C_{t−1}), the totals at t and the step's share
of every recurrent kernel. Kernels are the library's, (in, out).
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from tests.helpers import oracles


class Back(NamedTuple):
    earlier: dict[str, np.ndarray]
    totals: dict[str, np.ndarray]
    shares: dict[str, np.ndarray]


def _slope(a):
    """σ'(a), without the cancellation of σ(1 − σ)."""
    e = np.exp(-np.abs(a))
    return e / (1 + e) ** 2


def _tanh_slope(a):
    return 4 * _slope(2 * a)


def _pre(p, gate, h, x):
    return h @ getattr(p, f"W_h{gate}") + x @ getattr(p, f"W_x{gate}") + getattr(p, f"b_{gate}")


def _rnn_back(p, before, x, d, slope):
    a = before["h"] @ p.W_hh + x @ p.W_xh + p.b_h
    da = d["h"] * slope(a)
    return Back({"h": p.W_hh @ da}, d, {"W_hh": np.outer(before["h"], da)})


def _lstm_back(p, before, x, d):
    h, C = before["h"], before["C"]
    a = {gate: _pre(p, gate, h, x) for gate in "fico"}
    f, i, o = (oracles.sigmoid(a[gate]) for gate in "fio")
    C_tilde = np.tanh(a["c"])
    new = f * C + i * C_tilde
    dh = d["h"]
    dC = d["C"] + dh * o * _tanh_slope(new)  # C_t reaches the loss through h_t as well
    da = {
        "f": dC * C * _slope(a["f"]),
        "i": dC * C_tilde * _slope(a["i"]),
        "c": dC * i * _tanh_slope(a["c"]),
        "o": dh * np.tanh(new) * _slope(a["o"]),
    }
    earlier = {"h": sum(getattr(p, f"W_h{g}") @ v for g, v in da.items()), "C": dC * f}
    return Back(earlier, {"h": dh, "C": dC}, {f"W_h{g}": np.outer(h, v) for g, v in da.items()})


def _gru_back(p, before, x, d, reset_after):
    h, dh = before["h"], d["h"]
    a_z, a_r = _pre(p, "z", h, x), _pre(p, "r", h, x)
    z, r = oracles.sigmoid(a_z), oracles.sigmoid(a_r)
    past = h @ p.W_hh + p.b_hn if reset_after else None
    a = x @ p.W_xh + p.b_h + (r * past if reset_after else (r * h) @ p.W_hh)
    da = dh * (1 - z) * _tanh_slope(a)
    da_z = dh * (h - np.tanh(a)) * _slope(a_z)
    if reset_after:
        da_r, share = da * past * _slope(a_r), np.outer(h, da * r)
        through = p.W_hh @ (da * r)
    else:
        da_r, share = (p.W_hh @ da) * h * _slope(a_r), np.outer(r * h, da)
        through = (p.W_hh @ da) * r
    earlier = {"h": dh * z + through + p.W_hz @ da_z + p.W_hr @ da_r}
    shares = {"W_hh": share, "W_hz": np.outer(h, da_z), "W_hr": np.outer(h, da_r)}
    return Back(earlier, d, shares)


BACK = {
    "rnn-tanh": partial(_rnn_back, slope=_tanh_slope),
    "rnn-relu": partial(_rnn_back, slope=lambda a: (a > 0) * 1.0),  # relu'(0) = 0
    "rnn-identity": partial(_rnn_back, slope=np.ones_like),
    "rnn-sigmoid": partial(_rnn_back, slope=_slope),
    "lstm": _lstm_back,
    "gru": partial(_gru_back, reset_after=False),
    "gru-reset-after": partial(_gru_back, reset_after=True),
}
