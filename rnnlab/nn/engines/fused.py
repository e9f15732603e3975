"""The named cells over time with a hand-written adjoint: the engine for training on CPUs.

Forwards, the rows [h_{t−1}, x_t, 1] of all steps lie in one array: a step fills in its h, takes one
product with the stacked weights and keeps its pre-activations. Backwards, the reverse loop carries
the adjoint of the state only and writes the adjoints of the pre-activations over the
pre-activations; then weights and biases get their gradient in one product with those rows, over all
steps at once. So a step's arrays are written once, in place, and no array over time is copied:
on CPUs page faults and copies cost an LSTM as much as its products do.

With ``Fused(recompute=True)`` all this is kept for √T steps at a time only.

In reverse mode only. Second derivatives are those of ``scan``: both passes say so to JAX.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rnnlab.nn import activations, cells
from rnnlab.nn.engines.scan import scan, select, varying_alike
from rnnlab.nn.params import GRUParams, HiddenState, LSTMParams, LSTMState, RNNParams

Array = jax.Array


def _sigmoid_slope(s: Array) -> Array:
    return s * (1 - s)


def _tanh_slope(a: Array) -> Array:
    return 1 - a * a


FEW = 8  # examples

# f'(a) by f(a)
SLOPES: dict[str, Callable[[Array], Array]] = {
    "tanh": _tanh_slope,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "identity": jnp.ones_like,
    "sigmoid": _sigmoid_slope,
}


@dataclass(frozen=True)
class Fused:
    """How the engine runs; ``unroll(..., engine=Fused(...))``, or "fused" for the defaults.

    Args:
        recompute: keep the states at the ends of about √T stretches of √T steps only, and run each
            stretch once more in the reverse pass: memory O(√T) besides inputs and outputs, for
            about 4/3 of the work. In configs: "fused_recompute".

    >>> Fused().recompute
    False
    """

    recompute: bool = False

    def __call__(self, cell: Any, params: Any, xs: Array, state: Any, **options: Any) -> Any:
        """:func:`fused` with these options."""
        return fused(cell, params, xs, state, recompute=self.recompute, **options)


def supports(cell: Any, taps: tuple[str, ...] = (), key: Array | None = None) -> bool:
    """Whether :func:`fused` runs this: RNN (named f), LSTM or GRU, without options or taps.

    Exactly these classes, for a subclass may step otherwise. They draw nothing: any key will do.

    >>> supports(cells.LSTM(4)), supports(cells.LSTM(4), taps=("f",))
    (True, False)
    >>> supports(cells.RNN(4, "relu")), supports(cells.RNN(4, jax.nn.softplus))
    (True, False)
    >>> supports(cells.LSTM(4, peephole=True)), supports(cells.GRU(4, norm="layer"))
    (False, False)
    """
    del key
    if type(cell) is cells.RNN:
        known = isinstance(cell.activation, str) and cell.activation in SLOPES
    else:
        known = type(cell) in (cells.LSTM, cells.GRU)
    options = any(getattr(cell, option, None) for option in cells.OPTIONS)
    return known and not options and not taps


# compiled on its own, as scan is
@partial(jax.jit, static_argnames=("cell", "reverse", "taps", "recompute"))
def fused(
    cell: Any,
    params: Any,
    xs: Array,
    state: Any,
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    key: Array | None = None,
    reverse: bool = False,
    taps: tuple[str, ...] = (),
    recompute: bool = False,
    norms: Any = None,
) -> tuple[Array, Any, dict[str, Array]]:
    """Run ``cell`` along the first axis; arguments and results are :func:`scan`'s.

    Args:
        recompute: as :class:`Fused` has it.
        norms: zeros of the structure of the state, leaves (T, ...). They change nothing; their
            "gradients" are ‖∂L/∂h_t‖, ‖∂L/∂C_t‖ of each step and example, the total derivatives,
            which the reverse pass has at hand (see
            :func:`rnnlab.gradients.adjoint.value_grad_and_norms`).
    Raises:
        ValueError: what :func:`supports` denies; parameters of the other kind of GRU.
        TypeError: from JAX, under forward-mode differentiation (jvp, jacfwd): use scan.

    >>> cell = cells.GRU(4)
    >>> params = cell.init_params(jax.random.key(0), 3)
    >>> ys, state, _ = fused(cell, params, jnp.ones((5, 2, 3)), cell.initial_state(params, (2,)))
    >>> ys.shape, state.h.shape
    ((5, 2, 4), (2, 4))
    """
    if not supports(cell, taps, key):
        raise ValueError(
            f"engine 'fused' runs RNN ({', '.join(SLOPES)}), LSTM and GRU, without wrappers, "
            f"options ({', '.join(cells.OPTIONS)}) or taps, got {cell} with taps={taps}: use "
            "engine 'scan'"
        )
    _equations(cell, params)  # refuses the params of another GRU
    if not xs.shape[0]:
        return scan(cell, params, xs, state, mask=mask, reverse=reverse)
    xs = xs.astype(jnp.result_type(xs, *jax.tree.leaves(params)))
    over = _Time(xs, mask, resets, norms)
    if reverse:
        over = jax.tree.map(lambda a: a[::-1], over)
    params, state, over = varying_alike((params, state, over))
    ys, state = (_in_stretches if recompute else _run)(cell, params, state, over)
    return (ys[::-1] if reverse else ys), state, {}


class _Time(NamedTuple):
    """What the steps are given, all (T, ..., ·)."""

    xs: Array
    mask: Array | None
    resets: Array | None
    norms: Any


def _in_stretches(cell: Any, params: Any, start: Any, over: _Time) -> tuple[Array, Any]:
    """_run over stretches of about √T steps, of which the reverse pass is left the first states."""
    T = over.xs.shape[0]
    root = math.isqrt(T)
    # one that divides T, where there is one: what is left over costs a copy of ys
    near = [n for n in range(max(root // 2, 1), 2 * root + 1) if T % n == 0]
    length = min(near, key=lambda n: abs(n - root), default=root)
    whole, rest = divmod(T, length)
    run = jax.checkpoint(partial(_run, cell))

    def body(state: Any, stretch: _Time) -> tuple[Any, Array]:
        ys, state = run(params, state, stretch)
        return state, ys

    def cut(a: Array) -> Array:
        return a[: whole * length].reshape(whole, length, *a.shape[1:])

    state, ys = jax.lax.scan(body, start, jax.tree.map(cut, over))
    ys = ys.reshape(-1, *ys.shape[2:])
    if rest:
        ys_rest, state = run(params, state, jax.tree.map(lambda a: a[whole * length :], over))
        ys = jnp.concatenate([ys, ys_rest])
    return ys, state


# ---- any cell ----------------------------------------------------------------------------------


class _Equations(Protocol):
    """A cell's step and the adjoint of it. ``row``: [h_{t−1}, x_t, 1] (..., H+D+1).

    ``kept``: arrays (..., ·) a step hands to its adjoint. The adjoint's ``d_pre`` are written over
    the first of them, one by one.
    """

    widths: ClassVar[tuple[int, ...]]  # of kept arrays, in H
    adjoints: ClassVar[tuple[int, ...]]  # of d_pre

    def pack(self, params: Any) -> Any:
        """The weights as the steps use them; once, outside the loops."""
        ...

    def step(self, weights: Any, row: Array, state: Any) -> tuple[Any, tuple[Array, ...]]:
        """(s_t, kept)."""
        ...

    def adjoint(self, weights: Any, h: Array, y: Array, kept: Any, d: Any) -> Any:
        """(∂L/∂s_{t−1}, d_pre, the total ∂L/∂s_t) by h = h_{t−1}, y = h_t and d.

        ``d``: ∂L/∂s_t part by part, the others held; h_t = o_t*tanh(C_t) hands its own on to C_t.
        """
        ...

    def gradients(self, params: Any, rows: Array, d_pre: Any, kept: Any) -> Any:
        """(∂L/∂params, ∂L/∂xs) by all steps' rows, d_pre, and what is kept and not written over."""
        ...


def _place(array: Array, t: Array) -> tuple[Array, ...]:
    # unsigned: JAX lets a signed index count from the end, at the price of a kernel a step
    return t.astype(jnp.uint32), *(jnp.uint32(0),) * (array.ndim - 1)


def _at(array: Array, t: Array) -> Array:
    return jax.lax.dynamic_slice(array, _place(array, t), (1, *array.shape[1:]))[0]


def _put(array: Array, value: Array, t: Array) -> Array:
    """``value`` into the first features of row t."""
    return jax.lax.dynamic_update_slice(array, value[None], _place(array, t))


def _empty(like: Array, features: int) -> Array:
    # not jnp.zeros: a constant varies over no mesh axis, and shard_map refuses it in a loop
    return jnp.broadcast_to(like.ravel()[:0].sum(), (*like.shape[:-1], features))


def _plain(cell: Any, params: Any, start: Any, over: _Time) -> tuple[Array, Any]:
    """What _run computes, by the definition: what second derivatives are taken of."""
    return scan(cell, params, over.xs, start, mask=over.mask, resets=over.resets)[:2]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _forwards(
    cell: Any, params: Any, start: Any, over: _Time
) -> tuple[tuple[Array, Any], tuple[Array, tuple[Array, ...]]]:
    """((ys, final state), (rows, kept)), the latter two (T, ..., ·)."""
    equations, H = _equations(cell, params), cell.hidden_size
    xs, mask, resets, _ = over
    weights = equations.pack(params)
    # [·, x_t, 1]: ones on both sides, for a pad is one pass over the array
    sides = [(0, 0, 0)] * (xs.ndim - 1) + [(H, 1, 0)]
    rows = jax.lax.pad(xs, jnp.ones((), xs.dtype), sides)
    kept = tuple(_empty(xs, width * H) for width in equations.widths)
    # a state made anew is not the one before it: then the next row does not hold the output
    ys = () if resets is None else (_empty(xs, H),)

    def body(t: Array, carry: Any) -> Any:
        rows, kept, ys, state = carry
        before = state if resets is None else _fresh(_at(resets, t), state)
        rows = _put(rows, before.h, t)
        new, keeps = equations.step(weights, _at(rows, t), before)
        kept = tuple(_put(array, value, t) for array, value in zip(kept, keeps, strict=True))
        ys = tuple(_put(array, new.h, t) for array in ys)
        return rows, kept, ys, new if mask is None else select(_at(mask, t), new, state)

    rows, kept, ys, final = jax.lax.fori_loop(0, xs.shape[0], body, (rows, kept, ys, start))
    ys = ys[0] if ys else jnp.concatenate([rows[1:, ..., :H], final.h[None]])
    if mask is not None:
        ys = jnp.where(mask[..., None], ys, 0)
    return (ys, final), (rows, kept)


def _fresh(reset: Array, state: Any) -> Any:
    """The named cells' own s_0, zeros, where ``reset`` is true; its adjoint is cut there alike."""
    return jax.tree.map(lambda s: jnp.where(reset[..., None], 0, s), state)


@_forwards.defjvp
def _forwards_jvp(cell: Any, primals: Any, tangents: Any) -> Any:
    params, start, over = primals
    results = _forwards(cell, *primals)

    def by_definition(params: Any, start: Any, xs: Array) -> Any:
        return _plain(cell, params, start, over._replace(xs=xs))

    moved = (*tangents[:2], tangents[2].xs)
    _, d_results = jax.jvp(by_definition, (params, start, over.xs), moved)
    # what is kept goes to _backwards alone, whose derivative does not look at it
    return results, (d_results, jax.tree.map(jnp.zeros_like, results[1]))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _backwards(
    cell: Any, params: Any, start: Any, over: _Time, residuals: Any, d: Any
) -> tuple[Any, Any, Array, Any]:
    """(∂L/∂params, ∂L/∂s_0, ∂L/∂xs, norms) by d = (∂L/∂ys, ∂L/∂final state)."""
    equations, H, T = _equations(cell, params), cell.hidden_size, over.xs.shape[0]
    _, mask, resets, norms = over
    weights = equations.pack(params)
    ys, rows, kept = residuals
    d_ys, d_final = d
    # the adjoints go where the pre-activations are, or without such where d_ys are; but not those
    # of a few examples: XLA:CPU (jaxlib 0.10.2) makes their products in a kernel of its own, which
    # reads once more what has been written over, and so copies whole arrays in every step
    count, few = len(equations.adjoints), math.prod(d_ys.shape[1:-1]) < FEW
    apart = tuple(_empty(d_ys, width * H) for width in equations.adjoints)
    over_d_ys = not kept and not few
    pre = apart if few else kept[:count] or (d_ys,)

    def body(k: Array, carry: Any) -> Any:
        d, pre, norms = carry
        t = T - 1 - k
        # what is written over is read first
        sources = kept if few else (*pre, *kept[count:])
        values = tuple(_at(array, t) for array in sources)
        d_y = values[0] if over_d_ys else _at(d_ys, t)
        new = d._replace(h=d.h + d_y)
        h = _at(rows, t)[..., :H]
        d_before, d_pre, total = equations.adjoint(weights, h, _at(ys, t), values, new)
        if resets is not None:
            d_before = _fresh(_at(resets, t), d_before)
        if mask is not None:  # where the state stood still, its adjoint does
            keep = _at(mask, t)
            d_before = select(keep, d_before, d)
            d_pre, total = jax.tree.map(lambda a: jnp.where(keep[..., None], a, 0), (d_pre, total))
        if norms is not None:
            norms = jax.tree.map(
                lambda array, a: _put(array, jnp.linalg.norm(a, axis=-1), t), norms, total
            )
        pre = tuple(_put(array, value, t) for array, value in zip(pre, d_pre, strict=True))
        return d_before, pre, norms

    d_start, pre, norms = jax.lax.fori_loop(0, T, body, (d_final, pre, norms))
    d_params, d_xs = equations.gradients(params, rows, pre, kept)
    return d_params, d_start, d_xs, norms


@_backwards.defjvp
def _backwards_jvp(cell: Any, primals: Any, tangents: Any) -> Any:
    params, start, over, _, d = primals

    def by_definition(params: Any, start: Any, xs: Array, d: Any) -> Any:
        def run(params: Any, start: Any, xs: Array) -> Any:
            return _plain(cell, params, start, over._replace(xs=xs))

        return jax.vjp(run, params, start, xs)[1](d)

    results = _backwards(cell, *primals)
    moved = (tangents[0], tangents[1], tangents[2].xs, tangents[4])
    _, d_results = jax.jvp(by_definition, (params, start, over.xs, d), moved)
    return results, (*d_results, jax.tree.map(jnp.zeros_like, results[3]))  # norms are read only


def _results(cell: Any, params: Any, start: Any, over: _Time) -> Any:
    return _forwards(cell, params, start, over)[0]


def _with_residuals(cell: Any, params: Any, start: Any, over: _Time) -> Any:
    results, (rows, kept) = _forwards(cell, params, start, over)
    return results, (params, start, over, (results[0], rows, kept))


def _pull(cell: Any, residuals: Any, d: Any) -> Any:
    d_params, d_start, d_xs, norms = _backwards(cell, *residuals, d)
    return d_params, d_start, _Time(d_xs, None, None, norms)


_run = jax.custom_vjp(_results, nondiff_argnums=(0,))
_run.defvjp(_with_residuals, _pull)


# ---- gates side by side ------------------------------------------------------------------------


def _join(*parts: Array) -> Array:
    return jnp.concatenate(parts, axis=-1)


def _stack(params: Any, gates: str) -> Array:
    """(H+D+1, kH): one product with a row is the affine map of k gates, the n-th in nH … (n+1)H."""
    return _join(
        *(
            jnp.concatenate(
                [
                    getattr(params, f"W_h{gate}"),
                    getattr(params, f"W_x{gate}"),
                    getattr(params, f"b_{gate}")[None],
                ]
            )
            for gate in gates
        )
    )


def _unstack(stacked: Array, gates: str, H: int) -> dict[str, Any]:
    """The gates' blocks of what is stacked like the weights."""
    blocks = {}
    for gate, block in zip(gates, jnp.split(stacked, len(gates), axis=-1), strict=True):
        blocks[f"W_h{gate}"], blocks[f"W_x{gate}"] = block[:H], block[H:-1]
        blocks[f"b_{gate}"] = block[-1]
    return blocks


def _over_time(rows: Array, d_pre: Array) -> Array:
    """Σ_t row_tᵀ d_pre_t, over the batch as well."""
    return rows.reshape(-1, rows.shape[-1]).T @ d_pre.reshape(-1, d_pre.shape[-1])


def _to_inputs(params: Any, gates: str, d_pre: Array) -> Array:
    return d_pre @ _join(*(getattr(params, f"W_x{gate}") for gate in gates)).T


def _split(array: Array, parts: int) -> list[Array]:
    return jnp.split(array, parts, axis=-1)


# ---- the equations and their adjoints ----------------------------------------------------------


class _Packed(NamedTuple):
    """Stacked weights, and the rows of them that h meets, transposed: (kH, H)."""

    W: Array
    transposed: Array


def _packed(params: Any, gates: str, H: int) -> _Packed:
    W = _stack(params, gates)
    return _Packed(W, W[:H].T)


@dataclass(frozen=True)
class _RNN:
    """h_t = f(a), a = W·[h_{t−1}, x_t] + b."""

    activation: str
    widths: ClassVar[tuple[int, ...]] = ()  # f' is known by h_t
    adjoints: ClassVar[tuple[int, ...]] = (1,)

    def pack(self, params: RNNParams) -> _Packed:
        return _packed(params, "h", params.W_hh.shape[0])

    def step(
        self, weights: _Packed, row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[()]]:
        return HiddenState(activations.ACTIVATIONS[self.activation](row @ weights.W)), ()

    def adjoint(
        self, weights: _Packed, h: Array, y: Array, kept: Any, d: HiddenState
    ) -> tuple[HiddenState, tuple[Array], HiddenState]:
        d_a = d.h * SLOPES[self.activation](y)
        return HiddenState(d_a @ weights.transposed), (d_a,), d

    def gradients(
        self, params: RNNParams, rows: Array, d_pre: Any, kept: Any
    ) -> tuple[RNNParams, Array]:
        (d_a,) = d_pre
        d_W = _unstack(_over_time(rows, d_a), "h", params.W_hh.shape[0])
        return RNNParams(**d_W), _to_inputs(params, "h", d_a)


@dataclass(frozen=True)
class _LSTM:
    """f, i, o = σ(a), C̃ = tanh(a_c), a = W·[h_{t−1}, x_t] + b; C_t and h_t as in cells.LSTM.

    σ is jax.nn.sigmoid: (1 + tanh(a/2))/2 is a little faster, but the small gates of a chrono
    initialization would lose their last digits.
    """

    widths: ClassVar[tuple[int, ...]] = (4, 1)  # a, C_{t−1}
    adjoints: ClassVar[tuple[int, ...]] = (4,)

    def pack(self, params: LSTMParams) -> _Packed:
        return _packed(params, "fioc", params.W_hf.shape[0])

    def _gates(self, a: Array) -> tuple[Array, Array, Array, Array]:
        f, i, o, c = _split(a, 4)
        return jax.nn.sigmoid(f), jax.nn.sigmoid(i), jax.nn.sigmoid(o), jnp.tanh(c)

    def step(
        self, weights: _Packed, row: Array, state: LSTMState
    ) -> tuple[LSTMState, tuple[Array, Array]]:
        a = row @ weights.W
        f, i, o, C_tilde = self._gates(a)
        C = f * state.C + i * C_tilde
        return LSTMState(o * jnp.tanh(C), C), (a, state.C)

    def adjoint(
        self, weights: _Packed, h: Array, y: Array, kept: Any, d: LSTMState
    ) -> tuple[LSTMState, tuple[Array], LSTMState]:
        a, C = kept
        f, i, o, C_tilde = self._gates(a)
        tanh_C = jnp.tanh(f * C + i * C_tilde)
        d_C = d.C + d.h * o * _tanh_slope(tanh_C)
        d_a = _join(
            d_C * C * _sigmoid_slope(f),
            d_C * C_tilde * _sigmoid_slope(i),
            d.h * tanh_C * _sigmoid_slope(o),
            d_C * i * _tanh_slope(C_tilde),
        )
        return LSTMState(d_a @ weights.transposed, d_C * f), (d_a,), LSTMState(d.h, d_C)

    def gradients(
        self, params: LSTMParams, rows: Array, d_pre: Any, kept: Any
    ) -> tuple[LSTMParams, Array]:
        (d_a,) = d_pre
        d_W = _unstack(_over_time(rows, d_a), "fioc", params.W_hf.shape[0])
        return LSTMParams(**d_W), _to_inputs(params, "fioc", d_a)


@dataclass(frozen=True)
class _GRU:
    """z, r = σ(W·[h_{t−1}, x_t] + b); h̃ = tanh(W_h·[r*h_{t−1}, x_t] + b_h); h_t as in cells.GRU."""

    widths: ClassVar[tuple[int, ...]] = (2, 1, 1)  # a of z and r, a of h̃, r*h_{t−1}
    adjoints: ClassVar[tuple[int, ...]] = (2, 1)

    def pack(self, params: GRUParams) -> tuple[_Packed, _Packed]:
        H = params.W_hh.shape[0]
        return _packed(params, "zr", H), _packed(params, "h", H)

    def step(
        self, weights: tuple[_Packed, _Packed], row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array, Array]]:
        gates, candidate = weights
        h = state.h
        a = row @ gates.W
        z, r = _split(jax.nn.sigmoid(a), 2)
        r_h = r * h
        a_h = _join(r_h, row[..., h.shape[-1] :]) @ candidate.W
        return HiddenState(z * h + (1 - z) * jnp.tanh(a_h)), (a, a_h, r_h)

    def adjoint(
        self, weights: tuple[_Packed, _Packed], h: Array, y: Array, kept: Any, d: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array], HiddenState]:
        gates, candidate = weights
        a, a_h, _ = kept
        z, r = _split(jax.nn.sigmoid(a), 2)
        h_tilde = jnp.tanh(a_h)
        d_h = d.h * (1 - z) * _tanh_slope(h_tilde)
        d_rh = d_h @ candidate.transposed
        d_zr = _join(d.h * (h - h_tilde) * _sigmoid_slope(z), d_rh * h * _sigmoid_slope(r))
        return HiddenState(d.h * z + d_rh * r + d_zr @ gates.transposed), (d_zr, d_h), d

    def gradients(
        self, params: GRUParams, rows: Array, d_pre: Any, kept: Any
    ) -> tuple[GRUParams, Array]:
        (d_zr, d_h), r_h, H = d_pre, kept[2], params.W_hh.shape[0]
        d_W = _unstack(_over_time(rows, d_zr), "zr", H)
        d_Wx = _over_time(rows[..., H:], d_h)
        d_xs = _to_inputs(params, "zr", d_zr) + _to_inputs(params, "h", d_h)
        d_W |= {"W_hh": _over_time(r_h, d_h), "W_xh": d_Wx[:-1], "b_h": d_Wx[-1]}
        return GRUParams(**d_W), d_xs


class _ResetAfterWeights(NamedTuple):
    """Of z, r and q by h, and the same transposed; of z, r and h̃ by [x, 1]; b_hn."""

    W_h: Array
    transposed: Array
    W_x: Array
    b_hn: Array


@dataclass(frozen=True)
class _GRUResetAfter:
    """As _GRU, but h̃ = tanh(W_xh x_t + b_h + r*q), q = W_hh h_{t−1} + b_hn.

    Two products, for q has no x and W_xh no h. Also that by x is taken step by step: of one over
    all steps the rounding would depend on how much padding there is.
    """

    widths: ClassVar[tuple[int, ...]] = (3, 1)  # a of z and r, and q; a of h̃
    adjoints: ClassVar[tuple[int, ...]] = (3, 1)

    def pack(self, params: GRUParams) -> _ResetAfterWeights:
        assert params.b_hn is not None  # _equations saw to it
        H = params.W_hh.shape[0]
        stacked = _stack(params, "zrh")
        return _ResetAfterWeights(stacked[:H], stacked[:H].T, stacked[H:], params.b_hn)

    def step(
        self, weights: _ResetAfterWeights, row: Array, state: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array]]:
        H = state.h.shape[-1]
        by_h, by_x = row[..., :H] @ weights.W_h, row[..., H:] @ weights.W_x
        a = by_h[..., : 2 * H] + by_x[..., : 2 * H]
        q = by_h[..., 2 * H :] + weights.b_hn
        z, r = _split(jax.nn.sigmoid(a), 2)
        a_h = by_x[..., 2 * H :] + r * q
        return HiddenState(z * state.h + (1 - z) * jnp.tanh(a_h)), (_join(a, q), a_h)

    def adjoint(
        self, weights: _ResetAfterWeights, h: Array, y: Array, kept: Any, d: HiddenState
    ) -> tuple[HiddenState, tuple[Array, Array], HiddenState]:
        a, a_h = kept
        z, r, q = _split(a, 3)
        z, r, h_tilde = jax.nn.sigmoid(z), jax.nn.sigmoid(r), jnp.tanh(a_h)
        d_h = d.h * (1 - z) * _tanh_slope(h_tilde)
        d_a = _join(d.h * (h - h_tilde) * _sigmoid_slope(z), d_h * q * _sigmoid_slope(r), d_h * r)
        return HiddenState(d.h * z + d_a @ weights.transposed), (d_a, d_h), d

    def gradients(
        self, params: GRUParams, rows: Array, d_pre: Any, kept: Any
    ) -> tuple[GRUParams, Array]:
        (d_a, d_h), H = d_pre, params.W_hh.shape[0]
        d_zr, by_x = d_a[..., : 2 * H], rows[..., H:]
        d_Wh = _over_time(rows[..., :H], d_a)
        d_Wx = _join(_over_time(by_x, d_zr), _over_time(by_x, d_h))
        d_b = d_a[..., 2 * H :].sum(range(d_a.ndim - 1))
        d_W = _unstack(jnp.concatenate([d_Wh, d_Wx]), "zrh", H)
        d_xs = _to_inputs(params, "zr", d_zr) + _to_inputs(params, "h", d_h)
        return GRUParams(**d_W, b_hn=d_b), d_xs


def _equations(cell: Any, params: Any) -> _Equations:
    if type(cell) is cells.RNN:
        return _RNN(str(cell.activation))  # supports() saw to it that this is a name
    if type(cell) is cells.LSTM:
        return _LSTM()
    if (params.b_hn is not None) != cell.reset_after:
        raise ValueError(
            f"a GRU with reset_after={cell.reset_after} got params "
            f"{'with' if params.b_hn is not None else 'without'} b_hn"
        )
    return _GRUResetAfter() if cell.reset_after else _GRU()
