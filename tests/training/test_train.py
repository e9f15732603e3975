"""One member trained: against NumPy by hand, against PyTorch, and its own promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from rnnlab import training
from rnnlab.nn import losses, models
from rnnlab.tasks import by_name
from rnnlab.tasks.base import Batch
from rnnlab.training import DIVERGED, FINISHED, RUNNING, SOLVED
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.regularizers import omega_gradient
from tests.helpers import trained

HYPER = Hyper(jnp.float32(0.05), jnp.float32(jnp.inf), jnp.float32(0), jnp.float32(0))


def hyper(**changes):
    return HYPER._replace(**{k: jnp.float32(v) for k, v in changes.items()})


# schemes under which no array of a simple RNN starts at zero
SPREAD = {"w_x": "normal(std=0.5)", "w_h": "normal(std=0.4)", "b": "normal(std=0.3)"}


def many_to_many(**options):
    return trained.member(task={"name": "copy_memory", "delay": 4}, **options)


def copied(params):
    """The parameters of a simple RNN and its read-out, in float64."""
    own = params["params"]
    arrays = trained.blocks(own)
    return {name: np.asarray(a, np.float64) for name, a in arrays.items()}


# ---- BPTT --------------------------------------------------------------------------------------


def test_one_update_by_hand():
    """W ← W − α ∂L/∂W, L the squared error of the last step, BPTT written out."""
    m = trained.member(optimizer="sgd", seed=3, init=SPREAD)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    batch, _ = train.window(state, ())
    p = copied(m.params)
    xs, targets = np.asarray(batch.inputs, np.float64), np.asarray(batch.targets, np.float64)
    B, T, _ = xs.shape
    hs = [np.zeros((B, 5))]
    for t in range(T):
        hs.append(np.tanh(hs[-1] @ p["W_hh"] + xs[:, t] @ p["W_xh"] + p["b_h"]))
    y = hs[-1] @ p["W_hy"] + p["b_y"]
    dy = 2 * (y - targets) / B
    grads = {"W_hy": hs[-1].T @ dy, "b_y": dy.sum(0)}
    grads |= {name: np.zeros_like(p[name]) for name in ("W_xh", "W_hh", "b_h")}
    dh = dy @ p["W_hy"].T
    for t in reversed(range(T)):
        da = dh * (1 - hs[t + 1] ** 2)
        grads["W_hh"] += hs[t].T @ da
        grads["W_xh"] += xs[:, t].T @ da
        grads["b_h"] += da.sum(0)
        dh = da @ p["W_hh"].T
    new, loss, norm = jax.jit(train.update)(state, hyper(learning_rate=0.1), ())
    assert np.isclose(loss, ((y - targets) ** 2).mean(), rtol=1e-5)
    assert np.isclose(norm, np.sqrt(sum((g**2).sum() for g in grads.values())), rtol=1e-5)
    for name, got in copied(new.params).items():
        np.testing.assert_allclose(got, p[name] - 0.1 * grads[name], rtol=1e-4, atol=1e-6)


def test_one_update_by_hand_with_a_loss_at_every_step():
    """Claim 13 of the notes: L = Σ_t L_t, ∂L/∂W = Σ_t ∂L_t/∂W, W ← W − α ∂L/∂W."""
    m = many_to_many(optimizer="sgd", reduction="sum_over_time", seed=2, init=SPREAD)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    batch, _ = train.window(state, ())
    p = copied(m.params)
    xs, targets = np.asarray(batch.inputs, np.float64), np.asarray(batch.targets)
    mask = np.asarray(batch.mask)
    grads, total = {name: np.zeros_like(a) for name, a in p.items()}, 0.0
    for x, target, counts in zip(xs, targets, mask, strict=True):  # one sequence at a time
        hs = [np.zeros(5)]
        for x_t in x:
            hs.append(np.tanh(hs[-1] @ p["W_hh"] + x_t @ p["W_xh"] + p["b_h"]))
        for last in range(len(x)):  # the loss of each step, back through all steps before it
            if not counts[last]:
                continue
            y = hs[last + 1] @ p["W_hy"] + p["b_y"]
            share = np.exp(y - y.max()) / np.exp(y - y.max()).sum()
            total -= np.log(share[target[last]]) / len(xs)
            dy = (share - np.eye(len(share))[target[last]]) / len(xs)
            grads["W_hy"] += np.outer(hs[last + 1], dy)
            grads["b_y"] += dy
            dh = p["W_hy"] @ dy
            for t in range(last, -1, -1):
                da = dh * (1 - hs[t + 1] ** 2)
                grads["W_hh"] += np.outer(hs[t], da)
                grads["W_xh"] += np.outer(x[t], da)
                grads["b_h"] += da
                dh = p["W_hh"] @ da
    new, loss, _ = jax.jit(train.update)(state, hyper(learning_rate=0.01), ())
    assert np.isclose(loss, total, rtol=1e-5)
    for name, got in copied(new.params).items():
        np.testing.assert_allclose(got, p[name] - 0.01 * grads[name], rtol=1e-4, atol=1e-6)


def test_the_loss_of_a_sequence_is_the_sum_over_its_steps():
    batch = Batch(jnp.zeros((2, 3, 1)), jnp.array([[0, 1, 1], [1, 1, 0]]), jnp.ones((2, 3), bool))
    batch = batch._replace(mask=batch.mask.at[1, 2].set(False))
    logits = jax.random.normal(jax.random.key(0), (2, 3, 2))
    p = np.exp(np.asarray(logits, np.float64))
    p /= p.sum(-1, keepdims=True)
    each = [-np.log(p[b, t, batch.targets[b, t]]) for b, t in np.argwhere(np.asarray(batch.mask))]
    args = logits, batch.targets, batch.mask
    assert np.isclose(losses.cross_entropy(*args), np.mean(each), rtol=1e-5)
    summed = losses.cross_entropy(*args, reduction="sum_over_time")
    assert np.isclose(summed, np.sum(each) / 2, rtol=1e-5)


def test_a_nan_where_nothing_counts_stays_out():
    outputs = jnp.array([[1.0], [jnp.nan]])
    mask = jnp.array([True, False])
    grad = jax.grad(lambda y: losses.mse(y, jnp.zeros((2, 1)), mask))(outputs)
    assert np.asarray(grad)[0] == 2
    assert losses.mse(outputs, jnp.zeros((2, 1)), mask) == 1


# ---- a run of one member -----------------------------------------------------------------------


def test_training_learns_and_stops_when_solved():
    # 1/12 is solved by looking at the last value alone; 0.02 is not
    m = trained.member(
        task={"name": "adding", "length": 4, "solved_at": 0.02},
        hidden_size=16,
        steps=3000,
        eval_every=100,
        batch_size=32,
        eval_batch_size=200,
        learning_rate=5e-3,
    )
    train = jax.jit(training.make_train(m.setup))
    state, progress = train(m.key, m.hyper, m.params)
    assert state.status == SOLVED
    assert 0 < state.step < 3000
    assert state.step % 100 == 0
    losses_seen = np.asarray(progress.score["loss"])
    first = int(state.step) // 100 - 1
    assert losses_seen[first] <= 0.02 < losses_seen[:first].min()
    assert (np.asarray(progress.step)[first:] == state.step).all()


def test_without_the_rule_it_goes_to_the_end():
    task = {"name": "adding", "length": 4, "solved_at": 100.0}
    for stop, ends in ((True, (10, SOLVED)), (False, (20, FINISHED))):
        m = trained.member(task=task, stop_when_solved=stop)
        state, _ = jax.jit(training.make_train(m.setup))(m.key, m.hyper, m.params)
        assert (int(state.step), int(state.status)) == ends


def test_chunks_one_by_one_are_the_whole():
    m = trained.member(steps=30)
    train = training.make_train(m.setup)
    whole, progress = jax.jit(train)(m.key, m.hyper, m.params)
    state, advance = train.start(m.key, m.params, m.hyper), jax.jit(train.advance)
    for chunk in range(3):
        state, alone = advance(state, m.hyper, ())
        assert np.isclose(alone.train_loss, progress.train_loss[chunk], rtol=1e-6)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert int(state.status) == FINISHED


def test_divergence_is_marked_and_frozen():
    m = trained.member(cell="rnn-identity", optimizer="sgd", learning_rate=30.0)
    train = training.make_train(m.setup)
    state, progress = train(m.key, m.hyper, m.params)
    assert int(state.status) == DIVERGED
    assert 0 < int(state.step) < 10
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert not np.isfinite(np.asarray(progress.grad_norm_max)[0])
    assert np.asarray(progress.step).tolist() == [int(state.step)] * 2


def test_clipping_keeps_the_step_short():
    m = trained.member(optimizer="sgd", clip_norm=1e-3, learning_rate=1.0)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    new, _, norm = jax.jit(train.update)(state, m.hyper, ())
    moved = jax.tree.map(jnp.subtract, new.params, state.params)
    length = np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(moved)))
    assert norm > 1e-2
    assert np.isclose(length, 1e-3, rtol=1e-3)


def test_every_update_sees_another_batch_and_the_key_decides_which():
    m = trained.member()
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    later = state._replace(step=state.step + 1)
    other = train.start(jax.random.key(99), m.params, m.hyper)
    first = train.window(state, ())[0].inputs
    assert not (first == train.window(later, ())[0].inputs).all()
    assert not (first == train.window(other, ())[0].inputs).all()
    assert (first == train.window(state, ())[0].inputs).all()


# ---- truncated BPTT ----------------------------------------------------------------------------


def test_windows_carry_the_state_and_cut_the_gradient():
    """Against PyTorch: a detached state between windows, an update after each."""
    m = many_to_many(optimizer="sgd", window=8, learning_rate=0.1, seed=1, init=SPREAD)
    assert m.setup.windows == 3
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    p = {n: torch.nn.Parameter(torch.tensor(a)) for n, a in copied(m.params).items()}
    whole = m.setup.task.batch((), train._keys(state)[0], 0, 4)
    xs = torch.tensor(np.asarray(whole.inputs, np.float64))
    targets = torch.tensor(np.asarray(whole.targets), dtype=torch.int64)
    h = torch.zeros(4, 5, dtype=torch.float64)
    update = jax.jit(train.update)
    for w in range(3):
        state, loss, _ = update(state, m.hyper, ())
        h = h.detach()
        outputs = []
        for t in range(8 * w, 8 * w + 8):
            h = torch.tanh(h @ p["W_hh"] + xs[:, t] @ p["W_xh"] + p["b_h"])
            outputs.append(h @ p["W_hy"] + p["b_y"])
        theirs = torch.nn.functional.cross_entropy(
            torch.stack(outputs, 1).reshape(32, -1), targets[:, 8 * w : 8 * w + 8].reshape(-1)
        )
        theirs.backward()
        with torch.no_grad():
            for leaf in p.values():
                leaf -= 0.1 * leaf.grad
                leaf.grad = None
        assert np.isclose(float(loss), theirs.item(), rtol=1e-5)
        np.testing.assert_allclose(state.carry.h, h.detach().numpy(), rtol=1e-4, atol=1e-6)
    for name, got in copied(state.params).items():
        np.testing.assert_allclose(got, p[name].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_new_sequence_starts_afresh():
    m = many_to_many(window=8)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    state = state._replace(step=jnp.int32(3), carry=jax.tree.map(lambda c: c + 0.7, state.carry))
    _, start = train.window(state, ())
    assert (start.h == 0).all()
    _, start = train.window(state._replace(step=jnp.int32(4)), ())
    assert np.allclose(start.h, 0.7)


def test_omega_starts_where_the_window_does():
    """Ω of a window is that of its own states, which go on from the window before."""
    m = many_to_many(window=8, regularizer="omega", init=SPREAD)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    state = state._replace(step=jnp.int32(1), carry=jax.tree.map(lambda c: c + 0.7, state.carry))
    batch, start = train.window(state, ())

    def loss_of(outputs):
        return losses.cross_entropy(outputs, batch.targets, batch.mask)

    extra = omega_gradient(m.setup.model, m.params, batch.inputs, loss_of, start)
    other = omega_gradient(m.setup.model, m.params, batch.inputs, loss_of)
    gradient = jax.jit(train.gradient)
    with_omega, without = (
        gradient(m.params, hyper(omega=w), batch, start)[2]["params"]["recurrent"]
        for w in (3.0, 0.0)
    )
    np.testing.assert_allclose(with_omega.W_hh - without.W_hh, 3 * extra, rtol=1e-4, atol=1e-6)
    assert np.abs(extra - other).max() > 1e-2 * np.abs(extra).max()
    np.testing.assert_array_equal(with_omega.W_xh, without.W_xh)


def test_one_window_is_no_window():
    found = []
    for m in (many_to_many(), many_to_many(window=24)):
        train = training.make_train(m.setup)
        state, update = train.start(m.key, m.params, m.hyper), jax.jit(train.update)
        for _ in range(4):
            state = update(state, m.hyper, ())[0]
        found.append(jax.tree.leaves(state.params))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


# ---- noise inside the model --------------------------------------------------------------------


def test_dropout_draws_while_it_trains_and_not_when_it_is_tested():
    from rnnlab import RNN
    from rnnlab.nn import layers

    task = by_name("adding", length=6)
    layer = layers.Stack([RNN(8), RNN(8)], dropout=0.5)
    model = models.ManyToOne(layer, 1)
    settings = training.Settings(Optimizer(steps=10), eval_every=10, batch_size=4)
    train = training.make_train(training.Setup(task, model, settings))
    params = training.draw_params(model, jax.random.key(1), task)
    state = train.start(jax.random.key(0), params, HYPER)
    batch, _ = train.window(state, ())
    gradient, score = jax.jit(train.gradient), jax.jit(train.score)
    noisy = [gradient(state.params, HYPER, batch, None, jax.random.key(k))[0] for k in (0, 1, 0)]
    assert noisy[0] == noisy[2] != noisy[1]
    assert score(state, ())["loss"] == score(state, ())["loss"]
    # the noise of an update is that of its step
    update = jax.jit(train.update)
    assert update(state, HYPER, ())[1] == update(state, HYPER, ())[1] not in noisy


# ---- the boundary ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adm"}, "unknown training.optimizer 'adm'; did you mean 'adam'"),
        ({"schedule": "cos"}, "unknown training.schedule 'cos'"),
        ({"steps": 25}, "multiple of eval_every=10, got 25"),
        ({"steps": 0}, "training.steps must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "training.batch_size must be a whole number of at least 1, got 0"),
        (
            {"optimizer": "sgd(momentum=1.0)"},
            r"training.optimizer: sgd: momentum must lie in \[0, 1\), got 1.0",
        ),
        ({"reduction": "sum"}, "unknown training.reduction 'sum'"),
        ({"regularizer": "omga"}, "did you mean 'omega'"),
        ({"regularizer": "omega", "cell": "lstm"}, "defined for one simple RNN"),
        ({"window": 5}, "needs a target at every step"),
        ({"window": 5, "task": {"name": "copy_memory", "delay": 4}}, "must divide .* 24 steps"),
        ({"window": -1}, "training.window must be a whole number of at least 0, got -1"),
        ({"warmup_steps": 21}, "training.warmup_steps must be a whole number from 0 to 20, got 21"),
        (
            {"learning_rate": -1.0},
            "training.learning_rate must be a finite number at least 0, got -1.0",
        ),
        ({"learning_rate": np.inf}, "training.learning_rate must be a finite number"),
        ({"clip_norm": float("nan")}, "training.clip_norm must be a number at least 0, got nan"),
        ({"clip_norm": 0.0}, "training.clip_norm=0.0 would leave no gradient"),
        ({"eval_every": 0}, "training.eval_every must be a whole number of at least 1, got 0"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"layers": 0}, "cell.layers"),
        ({"init": {"w_h": "orthogonl"}}, "did you mean 'orthogonal'"),
        ({"task": {"name": "addin", "length": 4}}, "did you mean 'adding'"),
        ({"task": {"name": "adding", "lenght": 4}}, "did you mean 'length'"),
        ({"cell": "lstn"}, "did you mean 'lstm'"),
        ({"engine": "fast"}, "unknown training.engine 'fast'"),
        ({"engine": "fused_split"}, "which the members of a run use already: use 'auto'"),
    ],
)
def test_errors_name_the_key_and_the_value(options, message):
    with pytest.raises(ValueError, match=message):
        training.check(trained.config(**options))


def test_one_that_is_trained_outside_a_run_may_split_its_batch():
    member = trained.member(engine="fused_split")
    one = training.make_train(member.setup)
    program = jax.make_jaxpr(one)(member.key, member.hyper, member.params)
    assert "shard_map" in str(program)


def test_data_that_are_not_there_or_too_few_are_missed_before_anything_runs(tmp_path):
    missing = {"path": str(tmp_path / "nowhere.txt")}
    for task in ({"name": "forecasting", "source": "csv"}, {"name": "characters"}):
        with pytest.raises(FileNotFoundError, match=r"task\.path: no file '.*nowhere.txt'"):
            training.check(trained.config(task=task | missing))
    (tmp_path / "text").write_text("abc" * 200)
    text = {"name": "characters", "path": str(tmp_path / "text"), "batch_size": 4}
    training.check(trained.config(task=text))
    with pytest.raises(ValueError, match="batch_size"):
        training.check(trained.config(task=text, batch_size=5))


def test_an_unknown_training_key_is_refused():
    with pytest.raises(ValueError, match="unknown training key 'step'; did you mean 'steps'"):
        training.config(step=3)


def test_members_that_differ_in_numbers_and_schemes_share_a_setup():
    setups = [
        trained.member(seed=s, init={"w_h": w, "w_y": y}, learning_rate=r, clip_norm=c).setup
        for s, w, y, r, c in [
            (0, "orthogonal", "he_normal", 1e-3, 1.0),
            (1, "identity", "xavier_uniform", 1e-2, np.inf),
        ]
    ]
    assert setups[0] == setups[1]
    assert hash(setups[0]) == hash(setups[1])
    assert setups[0] != trained.member(batch_size=5).setup
    assert trained.member(seed=0).params is not None
    assert RUNNING == 0
