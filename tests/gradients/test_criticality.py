"""Gains at which the top Lyapunov exponent is just below 0, also on sequences not searched on."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnlab import GRU, LSTM, RNN, InitScheme, Zoneout, gradients, unroll
from rnnlab.gradients import criticality
from rnnlab.gradients.criticality import with_init
from rnnlab.nn import initializers
from rnnlab.nn.params import HiddenState, RNNParams

D, H, SEEDS = 3, 16, (0, 1)
XS, HELD_OUT = np.random.default_rng(0).standard_normal((2, 24, 40, D)).astype(np.float32)


@dataclass(frozen=True)
class Leaky:
    """h_t = a h_{t−1} + (1−a) sin(W_hh h_{t−1} + W_xh x_t + b_h), a cell of one's own."""

    hidden_size: int
    init: InitScheme = field(default_factory=InitScheme)
    kept: float = 0.6

    @property
    def output_size(self):
        return self.hidden_size

    def init_params(self, key, input_size):
        return RNN(self.hidden_size, init=self.init).init_params(key, input_size)

    def initial_state(self, params, batch_shape, key=None):
        return RNN(self.hidden_size).initial_state(params, batch_shape, key)

    def step(self, params: RNNParams, state, x, *, key=None, perturb=None):
        a = state.h @ params.W_hh + x @ params.W_xh + params.b_h
        h = self.kept * state.h + (1 - self.kept) * jnp.sin(a)
        h = h if perturb is None else h + perturb.h
        return HiddenState(h), h, None


@pytest.fixture
def registered():
    """Schemes of one's own: proportional to their number, not so, and with two numbers."""

    def plain(spread=1.0):
        return lambda key, shape, dtype=float: spread * jax.random.normal(key, shape)

    def squared(spread=1.0):
        return lambda key, shape, dtype=float: spread**2 * jax.random.normal(key, shape)

    def two(spread=1.0, shift=0.0):
        return lambda key, shape, dtype=float: shift + spread * jax.random.normal(key, shape)

    for scheme in (plain, squared, two):
        initializers.register_scheme(scheme)
    yield
    for scheme in (plain, squared, two):
        del initializers.SCHEMES[scheme.__name__]


def exponent(cell, found, xs):
    """λ_1 as the growth of a random perturbation of s_0, pushed forward through all steps."""
    cell, rates = with_init(cell, found.init), []
    for seed in SEEDS:
        params = cell.init_params(jax.random.key(seed), D)
        start = cell.initial_state(params, (len(xs),))
        flat, restore = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], start))
        direction = restore(jax.random.normal(jax.random.key(0), (flat.size, 1))[:, 0])
        direction = jax.tree.map(lambda d, s: jnp.broadcast_to(d, s.shape), direction, start)

        def last(state, cell=cell, params=params):
            return unroll(cell, params, xs, initial_state=state, engine="scan")[1]

        pushed = jax.jit(lambda s, d, last=last: jax.jvp(last, (s,), (d,))[1])(start, direction)
        before, after = (
            np.concatenate(jax.tree.leaves(tree), axis=-1) for tree in (direction, pushed)
        )
        rates.append(np.log(np.linalg.norm(after, axis=1) / np.linalg.norm(before, axis=1)))
    return np.mean(rates) / xs.shape[1]


CELLS = [RNN(H), GRU(H), LSTM(H), Leaky(H)]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_the_exponent_of_held_out_sequences_is_within_a_hundredth_of_zero(cell):
    found = gradients.critical_on("orthogonal", cell, XS, seeds=SEEDS)
    assert found.converged
    assert -criticality.TOLERANCE <= found.exponent <= 0
    assert found.init.w_h == f"orthogonal(gain={found.gain})"
    assert found.exponent == pytest.approx(exponent(cell, found, XS), abs=1e-4)
    assert abs(exponent(cell, found, HELD_OUT)) < 0.01
    before, after = found.tried.index(found.gain) - 1, found.tried.index(found.gain) + 1
    assert found.exponents[before] < found.exponent < found.exponents[after]


def test_a_linear_cell_has_its_gain_in_closed_form():
    """λ_1 of αQ is ln α: the gain is 1 from below; the same number in every scheme's own unit."""
    xs, cell = XS[:, :12], RNN(H, "identity")
    found = gradients.critical_on("orthogonal", cell, xs, seeds=(0,), tolerance=1e-3)
    assert np.exp(-1e-3) <= found.gain <= 1 + 1e-5
    assert found.searched == pytest.approx((1 / 32, 32))
    short = gradients.critical_on("orthogonal", cell, xs, seeds=(0,), low=0.1, high=0.9)
    assert not short.converged
    assert short.searched == (0.1, 0.9)
    assert short.gain == pytest.approx(0.9)
    assert short.exponent == pytest.approx(np.log(0.9), abs=1e-4)


def test_no_gain_is_a_result():
    """tanh units that see only themselves contract for every gain."""
    found = gradients.critical_on("identity", RNN(H), 2 * XS, seeds=(0,))
    assert not found.converged
    assert found.exponent == max(found.exponents) < -0.01


def test_a_scheme_without_a_gain_has_its_forget_bias_searched():
    found = gradients.critical_on("xavier_uniform", LSTM(H), XS, seeds=(0,))
    assert found.converged
    assert found.init.w_h == "xavier_uniform"
    assert found.init.forget_bias == f"constant(value={found.gain})"
    assert found.searched == (-10, 10)
    with pytest.raises(ValueError, match=r"'xavier_uniform' has no number to search, and RNN has"):
        gradients.critical_on("xavier_uniform", RNN(H), XS)


def test_searches_of_a_cell_share_one_program_and_repeat(registered, caplog):
    del registered
    xs, cell = XS[:4, :10], RNN(5)
    with jax.log_compiles():
        first = gradients.critical_on("orthogonal", cell, xs, seeds=(0, 1))
        again = gradients.critical_on("orthogonal(gain='critical')", cell, xs, seeds=(0, 1))
        other = gradients.critical_on("plain", cell, xs, seeds=(2, 3))
    assert again == first
    assert other.init.w_h == f"plain(spread={other.gain})"
    compiled = [r for r in caplog.records if "XLA compilation of jit(_exponents" in r.getMessage()]
    assert len(compiled) == 1


def test_a_wrapped_cell_keeps_its_other_schemes():
    cell = Zoneout(LSTM(H, init=InitScheme(forget_bias="-1.0")), {"C": 0.1})
    found = gradients.critical_on("mean_field(sigma_w='critical')", cell, XS[:8], seeds=(0,))
    assert found.init == InitScheme(w_h=f"mean_field(sigma_w={found.gain})", forget_bias="-1.0")


@pytest.mark.parametrize(
    ("scheme", "options", "words"),
    [
        ("squared", {}, "not proportional to the number that is 'critical'"),
        ("two", {}, "has several numbers: write 'critical' for one of spread, shift"),
        ("orthogonal", {"seeds": ()}, "needs at least one seed"),
        ("orthogonal", {"tolerance": 0}, "tolerance must be a finite number above 0, got 0"),
        ("orthogonal", {"low": -1.0}, "low must be a finite number above 0, got -1"),
        ("orthogonal", {"low": 2.0, "high": 1.0}, "high must be a finite number above 2, got 1"),
        ("orthogonal", {"discard": 4}, "discard must be a whole number from 0 to 3, got 4"),
        ("orthogonal", {"lengths": np.array([1, 2]), "discard": 2}, "no sequence has a step"),
        ("orthogonl", {}, "did you mean 'orthogonal'"),
    ],
)
def test_bad_requests_are_refused(registered, scheme, options, words):
    del registered
    with pytest.raises(ValueError, match=words):
        gradients.critical_on(scheme, RNN(3), XS[:2, :4], **options)


def test_cells_that_draw_nothing_from_the_scheme_are_refused():
    class Bare:
        """No field init."""

    with pytest.raises(ValueError, match=r"a cell with a field init, .* Bare has none"):
        gradients.critical_on("orthogonal", Bare(), XS)
    with pytest.raises(ValueError, match=r"xs must have shape \(B, T, D\), got \(4, 2\)"):
        gradients.critical_on("orthogonal", RNN(3), XS[0, :4, :2])
    fixed = RNN(3, init=InitScheme(gates={"h": {"w_h": "identity"}}))
    with pytest.raises(ValueError, match="does not reach the cell's parameters"):
        gradients.critical_on("orthogonal", fixed, XS)
