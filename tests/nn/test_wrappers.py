"""Zoneout, Residual, variational dropout: loops written out, statistics, probes, nesting."""

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    InitScheme,
    Residual,
    Stack,
    VariationalDropout,
    Zoneout,
    gradients,
    unroll,
)
from rnnlab.nn import cells, generation, models
from rnnlab.nn.engines.scan import sequence_masks
from rnnlab.nn.layers import as_layer
from rnnlab.nn.params import HiddenState, NoGates, RNNParams
from tests.helpers import oracles
from tests.helpers.sequences import applied, compiled, unrolled

B, T, D, H, P = 3, 6, 4, 5, 2
RATES = {"h": 0.2, "C": 0.6}


def random(*shape, seed=5):
    return 0.9 * np.random.default_rng(seed).standard_normal(shape)


def single(*shape, seed=5):
    return random(*shape, seed=seed).astype(np.float32)


def draw(cell, batch=(B,), seed=0, inputs=D):
    params = oracles.drawn(lambda: cell.init_params(jax.random.key(0), inputs), seed)
    return params, oracles.drawn(lambda: cell.initial_state(params, batch), seed + 1)


def assert_near(mean, expected, spread, count):
    """Within 4.5 standard errors, ``spread`` the standard deviation of one."""
    assert abs(mean - expected) < 4.5 * spread / np.sqrt(count)


# ---- zoneout -----------------------------------------------------------------------------------


def zoned(step, rates):
    """The oracle's step with the expectation of zoneout; a nudge comes after it."""

    def run(p, state, x, nudge=None):
        made, gates = step(p, state, x)
        new = {part: rates[part] * state[part] + (1 - rates[part]) * made[part] for part in made}
        return {part: oracles._nudged(value, nudge, part) for part, value in new.items()}, gates

    return run


ZONED = {
    "lstm": (Zoneout(LSTM(H), RATES), zoned(oracles.lstm_step, RATES)),
    "lstm-C": (Zoneout(LSTM(H), {"C": 0.6}), zoned(oracles.lstm_step, {"h": 0.0, "C": 0.6})),
    "projected": (Zoneout(LSTM(H, projection=P), RATES), zoned(oracles.lstm_step, RATES)),
    "gru": (Zoneout(GRU(H), 0.3), zoned(oracles.gru_step, {"h": 0.3})),
}


@pytest.mark.parametrize(
    ("name", "reverse"),
    [("lstm", False), ("lstm", True), ("lstm-C", False), ("projected", True), ("gru", False)],
)
def test_zoneout_is_its_expectation_without_a_key(name, reverse, x64):
    cell, step = ZONED[name]
    params, start = draw(cell)
    xs, lengths = random(B, T, D), np.array([6, 0, 4])
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))
    run = oracles.recurrence(step, p, x, s, lengths=lengths, reverse=reverse)
    ys, state, taps = unrolled(
        cell,
        params,
        xs,
        initial_state=start,
        lengths=lengths,
        reverse=reverse,
        taps=tuple(run.taps),
    )
    oracles.assert_close((ys, state._asdict(), taps), run, 1e-10)


def test_zoneout_keeps_units_at_its_rate(x64):
    # every unit is exactly the old or exactly the new one, by its own draw and at its own rate
    cell, N = Zoneout(LSTM(H), RATES), 4000
    params, start = draw(cell)
    x = random(B, D)

    def steps(key):
        made, quiet = (c.step(params, start, x)[0] for c in (cell.inner, cell))
        keys = jax.random.split(key, N)
        return made, quiet, jax.vmap(lambda key: cell.step(params, start, x, key=key))(keys)

    made, quiet, (new, y, gates) = compiled(steps, jax.random.key(1))
    np.testing.assert_array_equal(y, new.h)
    assert set(gates._fields) == {"f", "i", "C_tilde", "o"}
    kept = {}
    for part, rate in RATES.items():
        got, old, fresh, mean = (np.asarray(getattr(s, part)) for s in (new, start, made, quiet))
        kept[part] = got == old
        assert (kept[part] | np.isclose(got, fresh, rtol=1e-13, atol=0)).all()
        spread = np.sqrt(rate * (1 - rate))
        assert_near(kept[part].mean(), rate, spread, kept[part].size)
        for axis in (1, 2):  # each example and unit draws apart
            pairs = kept[part] & np.roll(kept[part], 1, axis)
            assert_near(pairs.mean(), rate**2, rate * np.sqrt(1 - rate**2), pairs.size / 2)
        share = kept[part].mean(0)
        assert (abs(share - rate) < 5 * spread / np.sqrt(N)).all()
        # the mean over draws is the step without a key
        error = abs(old - fresh) * 5 * spread / np.sqrt(N)
        assert (abs(got.mean(0) - mean) < error + 1e-12).all()
    both = (kept["h"] & kept["C"]).mean()
    assert_near(both, 0.12, np.sqrt(0.12 * 0.88), kept["h"].size)  # h and C draw apart


def counting(units):
    """Params of a linear network whose h counts the steps that were taken."""
    arrays = np.zeros((D, units)), np.eye(units), np.ones(units)
    return RNNParams(*(a.astype(np.float32) for a in arrays))


def test_zoneout_draws_anew_every_step():
    cell, params = Zoneout(RNN(64, "identity"), 0.5), counting(64)
    xs, options = single(B, T, D), {"key": jax.random.key(2), "deterministic": False}
    ys, _ = unrolled(cell, params, xs, **options)
    steps = np.diff(np.asarray(ys), axis=1, prepend=0)
    assert set(np.unique(steps)) == {0.0, 1.0}
    patterns = {tuple(column) for column in steps.transpose(0, 2, 1).reshape(-1, T)}
    assert len(patterns) > 50  # of 64 possible; 2 if the mask were one for all steps
    np.testing.assert_array_equal(ys, unrolled(cell, params, xs, **options)[0])
    other = unrolled(cell, params, xs, key=jax.random.key(3), deterministic=False)[0]
    assert (ys != other).any()
    quiet, _ = unrolled(cell, params, xs)
    np.testing.assert_allclose(quiet[0, :, 0], 0.5 * np.arange(1, T + 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_zoneout_under_the_probes(name, x64):
    cell, step = ZONED[name]
    params, start = draw(cell, (1,))
    xs, weights, eps = random(1, T, D), random(T, H, seed=8), 1e-6
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))

    def probes(params):
        options = {"initial_state": start}
        curve = gradients.adjoint_norms(
            cell, params, xs, lambda ys: (ys[0] * weights).sum(), **options
        )
        return curve, gradients.saturation(cell, params, xs)

    curve, shares = compiled(probes, params)

    def loss(t, part, vector):
        run = oracles.recurrence(step, p, x, s, nudges={t: {part: vector}})
        return (run.ys[0] * weights).sum()

    for t, part in itertools.product((0, 5), start._fields):
        slope = [(loss(t, part, e) - loss(t, part, -e)) / (2 * eps) for e in eps * np.eye(H)]
        norm = np.linalg.norm(slope)
        if norm < 1e-9:  # C_T is shown to no later step
            assert np.isneginf(curve.norms[part][0, t])
        else:
            assert 10 ** float(curve.norms[part][0, t]) == pytest.approx(norm, rel=1e-6)
    assert np.isfinite(gradients.jacobian_spectrum(cell, params, xs, [1, T])).all()
    assert {"h", *cell.gates} - set(shares) <= {"c", "h"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Zoneout(LSTM(H), 1.0), ValueError, r"zoneout rate must lie in \[0, 1\)"),
        (lambda: Zoneout(LSTM(H), {"C": -0.1}), ValueError, r"zoneout rate of C must .* got -0\.1"),
        (lambda: Zoneout(GRU(H), {"C": 0.1}), ValueError, "state part of zoneout: 'C'.*h"),
        (lambda: Zoneout(GRU(H), (0.1, 0.2)), ValueError, r"a mapping from parts.*\(0\.1, 0\.2\)"),
        (lambda: Zoneout(GRU(H), "half"), ValueError, "got 'half'"),
        (lambda: Zoneout(as_layer(GRU(H)), 0.1), TypeError, "Zoneout wraps a cell, got CellLayer"),
        (lambda: Residual(3), TypeError, "Residual wraps a cell, got int"),
        (lambda: VariationalDropout(GRU(H), 1.5), ValueError, r"input_rate must .* got 1\.5"),
        (
            lambda: VariationalDropout(GRU(H), 0.0, True),
            ValueError,
            "recurrent_rate must .* got True",
        ),
        (
            lambda: VariationalDropout(Zoneout(VariationalDropout(GRU(H), 0.1), 0.1), 0.1),
            ValueError,
            "VariationalDropout inside VariationalDropout",
        ),
        (
            lambda: Residual(GRU(H)).init_params(jax.random.key(0), D),
            ValueError,
            "x has 4 features, GRU gives 5",
        ),
        (
            lambda: Stack([GRU(H), Residual(LSTM(3))]).init(jax.random.key(0), D),
            ValueError,
            "x has 5 features, LSTM gives 3",
        ),
        (
            lambda: unroll(
                Zoneout(GRU(H), 0.1),
                GRU(H).init_params(jax.random.key(0), D),
                jnp.ones((1, 2, D)),
                deterministic=False,
            ),
            ValueError,
            "needs a key",
        ),
        (
            lambda: unroll(
                Zoneout(GRU(H), 0.1),
                GRU(H).init_params(jax.random.key(0), D),
                jnp.ones((1, 2, D)),
                engine="fused",
            ),
            ValueError,
            "fused.*wrappers",
        ),
    ],
)
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_wrappers_are_values():
    def make():
        return Residual(VariationalDropout(Zoneout(LSTM(H, InitScheme(b="1.0")), RATES), 0.1, 0.2))

    assert make() == make()
    assert hash(make()) == hash(make())
    assert cells.without_init(make()).inner.inner.inner == LSTM(H, InitScheme())
    assert cells.without_init(make()).inner.inner.rate == (("C", 0.6), ("h", 0.2))
    assert isinstance(make(), cells.Cell)
    assert make().stochastic
    assert not Residual(Zoneout(LSTM(H), {"h": 0.0})).stochastic
    assert not VariationalDropout(GRU(H)).stochastic
    assert (make().hidden_size, make().output_size, make().gates) == (H, H, ("f", "i", "c", "o"))


# ---- residual ----------------------------------------------------------------------------------


def test_residual_adds_its_input(x64):
    for inner in (GRU(D), LSTM(H, projection=D, norm="layer")):
        cell = Residual(inner)
        params, start = draw(cell)
        xs, lengths = random(B, T, D), np.array([6, 0, 4])
        options = {"initial_state": start, "lengths": lengths}
        ys, state = unrolled(cell, params, xs, **options)
        bare, same = unrolled(inner, params, xs, engine="scan", **options)
        real = (np.arange(T) < lengths[:, None])[..., None]
        oracles.assert_close(ys, bare + np.where(real, xs, 0), 1e-12)
        oracles.assert_close(state, same, 1e-12)


def test_residual_under_the_probes(x64):
    # y_t = x_t + h_t: the same derivative by h_t as without, where the loss sees the same
    cell, weights = Residual(LSTM(D)), random(B, T, D, seed=8)
    params, start = draw(cell)
    xs, norms = random(B, T, D), {}
    for c, seen in ((cell, xs), (cell.inner, 0.0)):

        def probes(params, c=c, seen=seen):
            def loss(ys):
                return ((ys - seen) ** 2 * weights).sum()

            curve = gradients.adjoint_norms(c, params, xs, loss, initial_state=start)
            return curve.norms, gradients.saturation(c, params, xs)

        norms[c] = compiled(probes, params)
    oracles.assert_close(norms[cell][0], norms[cell.inner][0], 1e-10)
    oracles.assert_close(norms[cell][1], norms[cell.inner][1], 1e-12)


# ---- variational dropout -----------------------------------------------------------------------


def masked(step, carries):
    """The oracle's step whose gates see masked x and h; ``carries``: h itself is kept unmasked."""

    def run(p, state, x, m_x, m_h):
        seen = {**state, "h": m_h * state["h"]}
        new, gates = step(p, seen, m_x * x)
        if carries:
            z = gates["z"]
            new = {"h": z * state["h"] + (1 - z) * gates["h_tilde"]}
        return new

    return run


DROPPED = {
    "rnn": (RNN(H), masked(lambda p, s, x: oracles.rnn_step(p, s, x, activation="tanh"), False)),
    "lstm": (LSTM(H, peephole=True), masked(oracles.lstm_step, False)),
    "projected": (LSTM(H, projection=P), masked(oracles.lstm_step, False)),
    "gru": (GRU(H), masked(oracles.gru_step, True)),
    "gru-after": (
        GRU(H, reset_after=True),
        masked(lambda p, s, x: oracles.gru_step(p, s, x, reset_after=True), True),
    ),
}


@pytest.mark.parametrize("name", DROPPED)
def test_the_same_mask_at_every_step(name, x64):
    inner, step = DROPPED[name]
    cell, key = VariationalDropout(inner, 0.4, 0.3), jax.random.key(4)
    params, start = draw(cell)
    xs, lengths = random(B, T, D), np.array([6, 3, 4])
    wider = np.pad(xs, ((0, 0), (0, 3), (0, 0)))
    options = {"initial_state": start, "lengths": lengths}

    def runs(params, key):
        noisy = {**options, "key": key, "deterministic": False}
        masks = sequence_masks(cell, params, np.moveaxis(xs, 1, 0), key)["masks"]
        by_key = [unroll(cell, params, x, **noisy) for x in (xs, wider)]
        return masks, *by_key, *(unroll(c, params, xs, **options)[0] for c in (cell, inner))

    masks, (ys, state), more, quiet, plain = compiled(runs, params, key)
    assert masks.x.shape == (B, D)
    assert masks.h.shape == start.h.shape
    p = oracles.to_numpy(params)
    for n in range(B):
        now = {part: np.asarray(leaf)[n] for part, leaf in start._asdict().items()}
        for t in range(lengths[n]):
            now = step(p, now, xs[n, t], masks.x[n], masks.h[n])
            np.testing.assert_allclose(ys[n, t], now["h"], rtol=1e-9, atol=1e-12)
        for part, value in now.items():
            np.testing.assert_allclose(getattr(state, part)[n], value, rtol=1e-9, atol=1e-12)
    # more padding, another batch of the same size: the same masks; without a key none
    np.testing.assert_array_equal(more[0][:, :T], ys)
    oracles.assert_close(quiet, plain, 1e-12)


def test_masks_drop_at_their_rates_and_keep_the_mean():
    cell, N = VariationalDropout(GRU(H), 0.4, 0.3), 3000
    params, _ = draw(cell)
    inputs_alone = VariationalDropout(GRU(H), 0.4)

    def drawn(key):
        return [c.draw_masks(key, params, (N,), D) for c in (cell, inputs_alone)]

    masks, one = compiled(drawn, jax.random.key(1))
    for mask, rate in ((masks.x, 0.4), (masks.h, 0.3)):
        values = np.unique(mask)
        np.testing.assert_allclose(values, [0, 1 / (1 - rate)], rtol=1e-6)
        kept = np.asarray(mask) > 0
        assert_near(kept.mean(), 1 - rate, np.sqrt(rate * (1 - rate)), kept.size)
        assert_near(mask.mean(), 1, np.sqrt(rate / (1 - rate)), kept.size)  # the mean stays
        both = (kept[:, 0] & kept[:, 1]).mean()
        assert_near(both, (1 - rate) ** 2, np.sqrt((1 - rate) ** 2 * (1 - (1 - rate) ** 2)), N)
    together = (masks.x[:, 0] > 0) & (masks.h[:, 0] > 0)
    assert_near(together.mean(), 0.42, np.sqrt(0.42 * 0.58), N)  # x and h draw apart
    assert one.h is None


def test_dropout_never_masks_the_carried_state():
    # z = 1 copies h: a mask on the state itself would kill or blow up a unit within a few steps
    cell = VariationalDropout(GRU(H), 0.5, 0.5)
    params = draw(cell)[0]._replace(b_z=np.full(H, 800.0, np.float32))
    start = HiddenState(single(B, H))
    ys, _ = unrolled(
        cell,
        params,
        single(B, T, D),
        initial_state=start,
        key=jax.random.key(0),
        deterministic=False,
    )
    np.testing.assert_array_equal(ys, np.broadcast_to(start.h[:, None], ys.shape))


def test_variational_dropout_leaves_the_keys_of_steps_alone():
    # zoneout inside draws as it does alone, whatever dropout draws around it
    inner, params = Zoneout(RNN(H, "identity"), 0.5), counting(H)
    xs, options = single(B, T, D), {"key": jax.random.key(2), "deterministic": False}
    alone, around = (
        unrolled(cell, params, xs, **options)[0] for cell in (inner, VariationalDropout(inner, 0.5))
    )
    np.testing.assert_array_equal(alone, around)


@dataclass(frozen=True)
class Plain:
    """A cell of one's own that knows of no masks."""

    hidden_size: int = 2
    state_parts = ("h",)

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def init_params(self, key, input_size):
        return RNNParams(jnp.ones((input_size, 2)), jnp.ones((2, 2)), jnp.zeros(2))

    def initial_state(self, params, batch_shape, key=None):
        return HiddenState(jnp.zeros((*batch_shape, 2)))

    def step(self, params, state, x, *, key=None, perturb=None) -> Any:
        h = state.h + x[..., :2]
        return HiddenState(h), h, NoGates()


def test_wrappers_around_a_user_s_cell():
    with pytest.raises(TypeError, match=r"takes masks, Plain\.step does not"):
        VariationalDropout(Zoneout(Plain(), 0.1), 0.0, 0.5)
    cell = Residual(VariationalDropout(Zoneout(Plain(), 0.5), 0.5))
    params = cell.init_params(jax.random.key(0), 2)
    ys, _ = unrolled(cell, params, np.ones((1, 3, 2), np.float32))
    np.testing.assert_allclose(ys[0, :, 0], [1.5, 2.0, 2.5])
    noisy, _ = unrolled(cell, params, single(B, T, 2), key=jax.random.key(0), deterministic=False)
    assert np.isfinite(noisy).all()


# ---- between layers ----------------------------------------------------------------------------


def test_a_stack_s_variational_dropout():
    copy, same = RNN(400, "identity"), np.eye(400, dtype=np.float32)
    net = Stack([copy, copy, copy], dropout=0.25, variational=True)
    params = (RNNParams(same, 0 * same, 0 * same[0]),) * 3
    xs = np.ones((B, T, 400), np.float32)
    options = {"key": jax.random.key(1), "deterministic": False}
    ys, states = applied(net, params, xs, **options)
    for t in range(1, T):
        np.testing.assert_array_equal(ys[:, t], ys[:, 0])
    kept = states[1].h > 0
    np.testing.assert_allclose(np.unique(states[1].h), [0, 4 / 3], rtol=1e-6)
    assert_near(kept.mean(), 0.75, np.sqrt(0.75 * 0.25), kept.size)
    both = (ys[:, 0] > 0).mean()
    assert_near(both, 0.75**2, np.sqrt(0.5625 * 0.4375), kept.size)  # levels draw apart
    assert (kept[0] != kept[1]).any()  # and so do examples
    each = applied(Stack([copy, copy, copy], dropout=0.25), params, xs, **options)[0]
    assert (each[:, 1] != each[:, 0]).any()


# ---- nesting, layers, models -------------------------------------------------------------------


def test_every_order_of_nesting(x64):
    wraps = [Residual, lambda c: Zoneout(c, 0.25), lambda c: VariationalDropout(c, 0.5, 0.5)]
    params, start = draw(LSTM(D))
    xs = random(B, T, D)
    reference = zoned(oracles.lstm_step, {"h": 0.25, "C": 0.25})
    p, s, x = oracles.to_numpy((params, start._asdict(), xs))
    expected = x + oracles.recurrence(reference, p, x, s).ys
    for order in itertools.permutations(wraps):
        cell = LSTM(D)
        for wrap in order:
            cell = wrap(cell)
        # Residual(Zoneout) and Zoneout(Residual) are one: zoneout is of the state, y_t reads it
        got = unrolled(cell, params, xs, initial_state=start)[0]
        oracles.assert_close(got, expected, 1e-10)
        if order[0] is Residual:  # with it innermost the others' draws must come through
            options = {"key": jax.random.key(0), "deterministic": False}
            noisy = unrolled(cell, params, xs, initial_state=start, **options)[0]
            assert (noisy != expected).any()


def test_nested_zoneout_equals_one_with_the_combined_rate(x64):
    cell = Zoneout(Zoneout(GRU(H), 0.5), 0.5)
    params, start = draw(cell)
    xs = random(B, T, D)
    got = unrolled(cell, params, xs, initial_state=start)[0]
    once = unrolled(Zoneout(GRU(H), 0.75), params, xs, initial_state=start)[0]
    oracles.assert_close(got, once, 1e-12)


NET = Stack(
    [
        VariationalDropout(Zoneout(LSTM(D, norm="layer", peephole=True), RATES), 0.1, 0.1),
        Residual(Zoneout(LSTM(2 * H, projection=D), 0.1)),
        Residual(GRU(D, norm="layer")),
    ],
    dropout=0.2,
    variational=True,
)


def test_generation_with_wrapped_states():
    model = models.LanguageModel(NET, symbols=7, embedding_size=D)
    params = oracles.drawn(lambda: model.init(jax.random.key(0), jnp.zeros((2, 3), int)))
    symbols = np.random.default_rng(0).integers(0, 7, (2, 5), np.int32)
    whole, last = applied(model, params, symbols)
    start, step = generation.stream(model)
    state = start(params, batch_size=2)
    for t in range(5):
        y, state = step(params, state, symbols[:, t])
        np.testing.assert_allclose(y, whole[:, t], rtol=2e-5, atol=1e-6)
    oracles.assert_close(state, last, 2e-5)
    assert generation.generate(model, params, symbols, steps=4, temperature=0).shape == (2, 4)


def test_both_ways_with_wrappers(x64):
    cell = Residual(Zoneout(GRU(D), 0.25))
    net = Bidirectional(cell)
    params, start = draw_layer(net)
    xs, lengths = random(B, T, D), np.array([6, 2, 4])
    ys, _ = applied(net, params, xs, initial_state=start, lengths=lengths)
    ahead = unrolled(cell, params.forward, xs, initial_state=start.forward, lengths=lengths)[0]
    back = unrolled(
        cell, params.backward, xs, initial_state=start.backward, lengths=lengths, reverse=True
    )[0]
    oracles.assert_close(ys, np.concatenate([ahead, back], -1), 1e-12)


def draw_layer(net):
    params = oracles.drawn(lambda: net.init(jax.random.key(0), D), 0)
    return params, oracles.drawn(lambda: net.initial_state(params, (B,)), 1)
