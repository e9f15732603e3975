"""Cells of one's own: what keeps the contract runs everywhere, what breaks it is named."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import (
    Bidirectional,
    Residual,
    Stack,
    VariationalDropout,
    Zoneout,
    gradients,
    tasks,
    training,
    unroll,
)
from rnnlab.nn import crf, generation, models
from rnnlab.nn.encoder_decoder import EncoderDecoder, Pair
from rnnlab.nn.initializers import InitScheme
from rnnlab.nn.layers import as_layer
from rnnlab.nn.params import HiddenState
from rnnlab.tasks.model import model_for_task
from rnnlab.training import gradient_log
from rnnlab.training.optimizers import Optimizer
from tests.helpers import trained

B, T, D, H = 2, 3, 2, 2
LENGTHS = np.array([3, 1])
KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (B, T, D))


class Weights(NamedTuple):
    W_x: jax.Array
    W_hh: jax.Array


@dataclass(frozen=True)
class Base:
    """h_t = tanh(W_hh h_{t−1} + W_x x_t), without a bias; gates None."""

    hidden_size: int = H
    output_size = property(lambda self: self.hidden_size)

    def init_params(self, key, input_size):
        key_x, key_h = jax.random.split(key)
        W_x = jax.random.normal(key_x, (input_size, self.hidden_size))
        return Weights(W_x, jax.random.normal(key_h, (self.hidden_size, self.hidden_size)))

    def initial_state(self, params, batch_shape, key=None) -> Any:
        return HiddenState(jnp.zeros((*batch_shape, self.hidden_size)))

    def step(self, params, state, x, *, key=None, perturb=None) -> Any:
        h = jnp.tanh(state.h @ params.W_hh + x @ params.W_x)
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, None


class DictGates(Base):
    """Gates and parameters by name; a gate z, which saturates."""

    def init_params(self, key, input_size):
        return super().init_params(key, input_size)._asdict()

    def step(self, params, state, x, *, key=None, perturb=None):
        z = jax.nn.sigmoid(state.h @ params["W_hh"] + x @ params["W_x"])
        h = z * state.h + (1 - z) * jnp.tanh(x @ params["W_x"])
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, {"z": z}


class Deep(NamedTuple):
    fast: HiddenState
    slow: jax.Array  # (..., 2, H)


class Nested(Base):
    """A state in a state, and one of two feature axes."""

    def initial_state(self, params, batch_shape, key=None):
        slow = jnp.zeros((*batch_shape, 2, self.hidden_size))
        return Deep(super().initial_state(params, batch_shape), slow)

    def step(self, params, state, x, *, key=None, perturb=None):
        h = jnp.tanh(state.slow.sum(-2) @ params.W_hh + x @ params.W_x)
        h = h if perturb is None else h + perturb.fast.h
        slow = 0.5 * state.slow + jnp.stack([h, state.fast.h], axis=-2)
        slow = slow if perturb is None else slow + perturb.slow
        return Deep(HiddenState(h), slow), h, {}


class Counted(NamedTuple):
    t: jax.Array  # (...) int32
    h: jax.Array


class Counting(Base):
    """The step's number in the state."""

    def initial_state(self, params, batch_shape, key=None):
        return Counted(
            jnp.zeros(batch_shape, jnp.int32), super().initial_state(params, batch_shape).h
        )

    def step(self, params, state, x, *, key=None, perturb=None):
        share = 1 / (1 + state.t.astype(x.dtype))[..., None]
        h = jnp.tanh(share * (state.h @ params.W_hh) + x @ params.W_x)
        h = h if perturb is None else h + perturb.h
        return Counted(state.t + 1, h), h, None


class Apart(Base):
    """An output that is no part of the state, and whose step takes neither perturb nor **."""

    def step(self, params, state, x, *, key=None):
        h = jnp.tanh(state.h @ params.W_hh + x @ params.W_x)
        return HiddenState(h), 2 * h + state.h, HiddenState(h)


CELLS_OF_OTHERS = [Base(), DictGates(), Nested(), Counting(), Apart()]


def by_steps(cell, params, xs, lengths):
    """Each example by itself, step by step, as far as it goes."""
    outputs, states = [], []
    for x, length in zip(xs, lengths, strict=True):
        state, ys = cell.initial_state(params, ()), np.zeros((T, cell.output_size))
        for t in range(length):
            state, ys[t], _ = cell.step(params, state, x[t])
        outputs.append(ys)
        states.append(state)
    return np.stack(outputs), jax.tree.map(lambda *parts: np.stack(parts), *states)


@pytest.mark.parametrize("cell", CELLS_OF_OTHERS, ids=lambda cell: type(cell).__name__)
def test_it_runs_as_its_steps_do(cell):
    params = cell.init_params(KEY, D)
    ys, state = unroll(cell, params, XS, lengths=LENGTHS)
    expected, final = by_steps(cell, params, XS, LENGTHS)
    np.testing.assert_allclose(ys, expected, rtol=1e-5, atol=1e-6)
    assert jax.tree.structure(state) == jax.tree.structure(final)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state, final)


def _layers(cell):
    yield cell, {}
    yield cell, {"resets": jnp.zeros((B, T), bool), "reverse": True}
    yield Bidirectional(cell, merge="sum"), {}
    yield Stack([cell, Residual(Zoneout(cell, 0.2)), Bidirectional(cell)], dropout=0.1), {}
    yield VariationalDropout(Zoneout(Residual(cell), 0.2), input_rate=0.1), {}


def _in_every_place(cell):
    """Trace it in layers, models, generation and training, with gradients."""
    for layer, options in _layers(cell):
        layer = as_layer(layer)
        params = layer.init(KEY, D)
        options |= {"lengths": LENGTHS, "key": KEY, "deterministic": False}
        jax.vjp(partial(layer.apply, **options), params, XS)
    symbols = jnp.ones((B, T), jnp.int32)
    for model in (
        models.ManyToOne(cell, 2),
        models.ManyToOne(cell, 2, pooling="mean"),
        models.ManyToMany(Bidirectional(cell), 2, crf=True),
    ):
        params = model.init(KEY, XS)
        y, _ = model.apply(params, XS, lengths=LENGTHS)
        if y.ndim == 4:
            crf.viterbi(y)
    language = models.LanguageModel(cell, 4, embedding_size=2)
    params = language.init(KEY, symbols)
    generation.generate(language, params, symbols, steps=2, temperature=0)
    forecast = models.ManyToOne(cell, D)
    start, step = generation.stream(forecast)
    params = forecast.init(KEY, XS)
    step(params, start(params, B), XS[:, 0])
    generation.rollout(forecast, params, XS, steps=2)
    translate = EncoderDecoder(cell, cell, outputs=3, symbols=4, steps=2, embedding_size=2)
    translate.apply(translate.init(KEY, symbols), Pair(symbols, symbols[:, :2]), lengths=LENGTHS)
    task = tasks.by_name("adding", length=T)
    model = model_for_task(task, cell, InitScheme())
    settings = training.Settings(Optimizer(steps=2), eval_every=2, batch_size=2, eval_batch_size=2)
    train = training.make_train(training.Setup(task, model, settings))
    start = train.start(KEY, training.draw_params(model, KEY, task), trained.HYPER)
    train.advance(start, trained.HYPER, ())
    return train, start


@pytest.mark.parametrize("cell", CELLS_OF_OTHERS, ids=lambda cell: type(cell).__name__)
def test_it_runs_in_every_place(cell):
    jax.eval_shape(lambda: _in_every_place(cell) and None)


@pytest.mark.parametrize("cell", CELLS_OF_OTHERS[:-1], ids=lambda cell: type(cell).__name__)
def test_it_runs_in_every_probe(cell):
    params = cell.init_params(KEY, D)

    def probes():
        def loss(ys):
            return ys[:, -1].sum()

        curve = gradients.adjoint_norms(cell, params, XS, loss, lengths=LENGTHS)
        wrapped = gradients.adjoint_norms(Zoneout(cell, 0.2), params, XS, loss)
        return (
            curve.norms,
            wrapped.norms,
            gradients.weight_contributions(cell, params, XS, loss, chunk=2),
            gradients.step_jacobians(cell, params, XS),
            gradients.lyapunov_exponents(cell, params, XS),
            gradients.saturation(cell, params, XS, lengths=LENGTHS),
        )

    norms, _, weights, jacobians, exponents, saturated = jax.eval_shape(probes)
    n = {"Nested": H + 2 * H}.get(type(cell).__name__, H)
    assert set(norms) == ({"fast.h", "slow"} if isinstance(cell, Nested) else {"h"})
    assert weights.shape == (B, T)
    assert jacobians.shape == (B, T, n, n)
    assert exponents.shape == (B, n)
    assert set(saturated) == ({"h", "z"} if isinstance(cell, DictGates) else {"h"})


def test_adjoints_of_a_nested_state_beside_autodiff():
    """∂L/∂s_t by a perturbation of each step's state, added by hand."""
    cell, params = Nested(), Nested().init_params(KEY, D)

    def loss(nudges):
        state = cell.initial_state(params, (B,))
        for t in range(T):
            nudge = jax.tree.map(lambda leaf, t=t: leaf[t], nudges)
            state, y, _ = cell.step(params, state, XS[:, t], perturb=nudge)
        return (y**2).sum()

    zeros = jax.tree.map(lambda s: jnp.zeros((T, *s.shape)), cell.initial_state(params, (B,)))
    expected = jax.jit(jax.grad(loss))(zeros)
    curve = gradients.adjoint_norms(cell, params, XS, lambda ys: (ys[:, -1] ** 2).sum())
    for name, leaf in (("fast.h", expected.fast.h), ("slow", expected.slow)):
        norms = np.linalg.norm(np.asarray(leaf, np.float64).reshape(T, B, -1), axis=-1).T
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(curve.norms[name], np.log10(norms), atol=1e-5)


def test_a_step_counter_has_no_gradient_but_counts():
    cell, params = Counting(), Counting().init_params(KEY, D)
    J = gradients.step_jacobians(cell, params, XS)
    state, rows = cell.initial_state(params, (B,)), []
    for t in range(T):
        new, _, _ = cell.step(params, state, XS[:, t])
        slope = 1 - np.asarray(new.h) ** 2
        rows.append(slope[:, :, None] * np.asarray(params.W_hh).T / (1 + t))
        state = new
    np.testing.assert_allclose(J, np.stack(rows, axis=1), rtol=1e-4, atol=1e-6)


def test_zoneout_of_an_output_apart_from_the_state():
    """The state is mixed; the output is the cell's own, from before zoneout."""
    cell, params = Apart(), Apart().init_params(KEY, D)
    state = HiddenState(jnp.ones((B, H)))
    new, y, _ = Zoneout(cell, 0.25).step(params, state, XS[:, 0])
    proposed, own, _ = cell.step(params, state, XS[:, 0])
    np.testing.assert_array_equal(y, own)
    np.testing.assert_allclose(new.h, 0.25 + 0.75 * proposed.h, rtol=1e-6)
    with pytest.raises(ValueError, match=r"state part of zoneout: 'C' \(allowed: h\)"):
        Zoneout(cell, {"C": 0.1}).initial_state(params, (B,))


def test_gradient_log_of_a_cell_with_a_dict():
    task = tasks.by_name("adding", length=T)
    model = model_for_task(task, DictGates(), InitScheme())
    settings = training.Settings(Optimizer(steps=2), eval_every=2, batch_size=2, eval_batch_size=2)
    train = training.make_train(training.Setup(task, model, settings))
    start = train.start(KEY, training.draw_params(model, KEY, task), trained.HYPER)
    _, blocks = jax.eval_shape(lambda: gradient_log.gradients(train, start, ()))
    assert set(blocks) == {"W_x", "W_hh", "W_hy", "b_y"}


# ---- what breaks the contract ------------------------------------------------------------------


def _with(**members):
    return type("Mine", (Base,), members)()


def _returning(**changes):
    """A cell whose step's results are changed."""

    def step(self, params, state, x, *, key=None, perturb=None):
        parts = dict(
            zip(("state", "output", "gates"), Base.step(self, params, state, x), strict=True)
        )
        parts |= {name: change(parts[name]) for name, change in changes.items()}
        return tuple(parts.values())

    return _with(step=step)


class Thawed(Base):
    __hash__ = None  # type: ignore[assignment]


BROKEN = {
    "no members": (object(), TypeError, "expected a cell or a layer, got object"),
    "no step": (
        type("Mine", (), {"hidden_size": 2, "output_size": 2, "init_params": 0})(),
        TypeError,
        "Mine is no cell: it has no initial_state, no step",
    ),
    "not hashable": (Thawed(), ValueError, r"Thawed must be hashable .* @dataclass\(frozen=True\)"),
    "sizes": (
        _with(output_size=0.5),
        ValueError,
        "Mine.output_size must be a whole number of at least 1, got 0.5",
    ),
    "step without key": (
        _with(step=lambda self, params, state, x: None),
        ValueError,
        r"Mine must have step\(params, state, x, \*, key=None, perturb=None\), got step\(",
    ),
    "initial_state without key": (
        _with(initial_state=lambda self, params, batch_shape: None),
        ValueError,
        r"Mine must have initial_state\(params, batch_shape, key=None\), got initial_state\(",
    ),
    "a state that is an array": (
        _with(
            initial_state=lambda self, params, batch_shape, key=None: jnp.zeros((*batch_shape, H))
        ),
        ValueError,
        r"Mine.initial_state must return a NamedTuple, such as HiddenState\(h\), got \w*Array",
    ),
    "a state of words": (
        _with(initial_state=lambda self, params, batch_shape, key=None: HiddenState("h")),  # type: ignore[arg-type]
        ValueError,
        r"Mine.initial_state must return arrays, got h = 'h'",
    ),
    "two results": (
        _with(step=lambda self, params, state, x, *, key=None: (state, state.h)),
        ValueError,
        r"Mine.step must return \(state, output, gates\), got tuple of 2",
    ),
    "another structure": (
        _returning(state=lambda s: (s.h,)),
        ValueError,
        "Mine.step must return a state as it was given",
    ),
    "another dtype": (
        _returning(state=lambda s: HiddenState(s.h.astype(jnp.bfloat16))),
        ValueError,
        r"Mine.step must not change .*: h is float32 \(2, 2\) before .* bfloat16 \(2, 2\) after",
    ),
    "a wider output": (
        _returning(output=lambda y: jnp.concatenate([y, y], -1)),
        ValueError,
        r"Mine.step must return an output of floats \(2, 2\), .* got float32 \(2, 4\)",
    ),
    "whole outputs": (
        _returning(output=lambda y: y.astype(jnp.int32)),
        ValueError,
        r"Mine.step must return an output of floats .* got int32 \(2, 2\)",
    ),
    "gates as a list": (
        _returning(gates=lambda _: [1.0]),
        ValueError,
        "Mine.step must return gates as a NamedTuple, a dict or None, got list",
    ),
    "words as gates": (
        _returning(gates=lambda _: "none"),
        ValueError,
        "Mine.step must return gates as a NamedTuple, a dict or None, got str",
    ),
    "a step that needs a key": (
        _with(
            step=lambda self, params, state, x, *, key=None: (
                state,
                state.h + jax.random.normal(key, state.h.shape),
                None,
            )
        ),
        ValueError,
        "Mine.step must run without a key too",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_contract_is_named(case):
    cell, kind, message = BROKEN[case]
    with pytest.raises(kind, match=message):
        as_layer(cell).apply(cell.init_params(KEY, D), XS)


class Shared(Counting):
    """A counter that all examples share."""

    def initial_state(self, params, batch_shape, key=None):
        return super().initial_state(params, batch_shape)._replace(t=jnp.zeros((), jnp.int32))


def test_a_state_without_batch_axes_runs_without_lengths():
    cell, params = Shared(), Shared().init_params(KEY, D)
    ys, state = unroll(cell, params, XS)
    np.testing.assert_allclose(ys, by_steps(cell, params, XS, [T, T])[0], rtol=1e-5, atol=1e-6)
    assert state.t == T
    message = r" a state whose parts start with the batch axes \(2,\): t of Shared has shape \(\)"
    with pytest.raises(ValueError, match="lengths need" + message):
        unroll(cell, params, XS, lengths=LENGTHS)
    with pytest.raises(ValueError, match="resets need" + message):
        unroll(cell, params, XS, resets=jnp.zeros((B, T), bool))
    with pytest.raises(ValueError, match="a probe needs" + message):
        gradients.step_jacobians(cell, params, XS)


def test_probes_say_what_they_need():
    cell, params = Apart(), Apart().init_params(KEY, D)
    for probed in (cell, Zoneout(cell, 0.1)):
        with pytest.raises(ValueError, match="adjoint_norms needs a cell whose step takes perturb"):
            gradients.adjoint_norms(probed, params, XS, jnp.sum)
    renamed = {"kernel": params.W_hh}
    with pytest.raises(ValueError, match=r"parameters called W_h…: there are kernel"):
        gradients.weight_contributions(cell, renamed, XS, jnp.sum)


def test_a_gate_called_as_a_part_of_the_state_cannot_be_tapped():
    cell, params = Apart(), Apart().init_params(KEY, D)
    with pytest.raises(ValueError, match="tap 'h' is both a gate and a part of the state of Apart"):
        unroll(cell, params, XS, taps=("h",))
