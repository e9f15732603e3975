"""A sweep over optimizers: one program per optimizer; averages and accumulated gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnnlab import training
from rnnlab.training import group_programs, runner
from rnnlab.training.optimizers import Hyper, Optimizer
from tests.helpers import trained
from tests.helpers.trained import Recorder

SWEPT = ["lion(b1=0.9)", "lion(b1=0.95)", "lion", "adafactor"]
RUN = {"checkpoint_seconds": 0.0}


def jobs(indices=(0, 1, 2, 3)):
    """Members of one seed, each with an optimizer of the sweep."""
    made = []
    for index in indices:
        config = trained.config(
            seed=7,
            hidden_size=3,
            task={"name": "adding", "length": 4},
            run=RUN,
            optimizer=SWEPT[index],
            schedule=f"exponential_decay(decay_rate={0.1 * (index + 1)})",
            ema_decay=0.5 + 0.1 * index,
            weight_decay=0.01,
            stop_when_solved=False,
            steps=30,
        )
        spec = training.MemberSpec.from_config(config)
        made.append(runner.Job(index, spec, jax.random.key(7)))
    return made


@pytest.fixture
def compilations(monkeypatch):
    """The programs that are compiled, in order."""
    made = []
    original = jax.stages.Lowered.compile

    def compile(self, *args, **more):
        made.append(self)
        return original(self, *args, **more)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)

    def program(setup, capacity, mapping):
        return trained.program(setup, capacity, jax.devices()[:1], mapping)

    monkeypatch.setattr(group_programs, "Program", program)  # a resumed run compiles nothing anew
    return made


def results(members, folder, sink=None, done=frozenset()):
    sink = sink or Recorder()
    runner.train(members, set(done), folder, "optimizers", sink)
    return {index: result["sha256"] for index, result in sink.results.items()}


@pytest.mark.compiled_for_users
def test_a_program_per_optimizer_and_the_same_bits_alone_in_a_group_and_resumed(
    tmp_path, compilations
):
    whole = results(jobs(), tmp_path / "whole")
    assert len(compilations) == 2  # lion, adafactor
    assert len(set(whole.values())) == len(SWEPT)
    alone = results(jobs([1]), tmp_path / "alone")
    assert alone == {1: whole[1]}
    stopped = Recorder(stop_after=3)
    lions, compiled = jobs([0, 1, 2]), len(compilations)
    with pytest.raises(Recorder.Stopped):
        results(lions, tmp_path / "resumed", stopped)
    again = Recorder(stopped)
    found = results(lions, tmp_path / "resumed", again, again.done)
    assert found == {k: whole[k] for k in (0, 1, 2)}
    assert any(any(steps.values()) for steps in again.rewound)
    assert len(compilations) == compiled


def test_stored_and_scored_parameters_are_the_averaged_ones():
    """After k updates Σ γ^(k−i) W_i / Σ γ^(k−i), by a loop over a member without averages."""
    plain, averaged = (
        trained.member(
            optimizer="sgd(momentum=0.9)", ema_decay=decay, learning_rate=0.3, eval_every=1, steps=5
        )
        for decay in (0.0, 0.8)
    )
    assert set(averaged.hyper.numbers) == {"optimizer.momentum", "ema_decay"}
    train, other = training.make_train(plain.setup), training.make_train(averaged.setup)
    state = train.start(plain.key, plain.params, plain.hyper)
    mean = other.start(averaged.key, averaged.params, averaged.hyper)
    start = jax.tree.map(lambda a, b: bool((a == b).all()), other.evaluated(mean), plain.params)
    assert all(jax.tree.leaves(start))  # nothing to average yet
    update, update_mean = jax.jit(train.update), jax.jit(other.update)
    seen = []
    for _ in range(5):
        state, mean = update(state, plain.hyper, ())[0], update_mean(mean, averaged.hyper, ())[0]
        seen.append(jax.tree.leaves(state.params))
    weights = 0.8 ** np.arange(4, -1, -1)
    for k, found in enumerate(jax.tree.leaves(other.evaluated(mean))):
        expected = sum(w * step[k] for w, step in zip(weights, seen, strict=True)) / weights.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(jax.tree.leaves(mean.params)[k], seen[-1][k], rtol=1e-4)
    as_plain = mean._replace(params=other.evaluated(mean), opt_state=state.opt_state)
    scores = other.score(mean, ())["loss"], train.score(as_plain, ())["loss"]
    assert np.isclose(*scores, rtol=1e-5)
    assert not np.isclose(scores[0], train.score(state, ())["loss"], rtol=1e-3)


def test_results_say_that_parameters_are_averaged():
    stored = {}
    for decay in (0.0, 0.9):
        made = trained.config(ema_decay=decay, steps=10, optimizer="sgd")
        stored[decay] = training.run(made, jax.random.key(0), lambda **record: None)
    assert "averaged_params" not in stored[0.0]
    assert stored[0.9]["averaged_params"] is True
    assert stored[0.0]["sha256"] != stored[0.9]["sha256"]


def test_schedule_free_is_scored_where_optax_says():
    optimizer = Optimizer("schedule_free_sgd(b1=0.8)", steps=4)
    assert optimizer.averages
    params = {"W": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)}
    theirs = optax.contrib.schedule_free_sgd(0.1, b1=0.8)
    transform = optimizer.transform(Hyper(0.1, np.inf, 0.0, 0.0))
    states = transform.init(params), theirs.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(3):
            grads = jax.tree.map(jnp.sin, params)
            updates, ours = transform.update(grads, states[0], params)
            states = ours, theirs.update(grads, states[1], params)[1]
            params = optax.apply_updates(params, updates)
        expected = optax.contrib.schedule_free_eval_params(states[1], params)
    for name, value in optimizer.evaluated(states[0], params).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5)
        assert abs(value - params[name]).max() > 1e-4


def test_accumulated_gradients_are_a_mean_of_batches():
    """Two batches of an update, clipped together; the schedule counts updates."""
    optimizer = Optimizer("adam", schedule="linear", steps=6, accumulate_steps=2, ema_decay=0.5)
    assert optimizer.updates == 3
    transform = optimizer.transform(Hyper(0.1, 1.0, 0.0, 0.0))
    theirs = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adam(optax.linear_schedule(0.1, 0.0, 3))
    )
    ours = other = jnp.array([1.0, -2.0, 0.5])
    states = transform.init(ours), theirs.init(other)
    means = []
    for k in range(3):
        grads = np.random.default_rng(k).normal(size=(2, 3)).astype(np.float32)
        for grad in grads:
            updates, first = transform.update(jnp.asarray(grad), states[0], ours)
            ours, states = ours + updates, (first, states[1])
        with jax.numpy_dtype_promotion("standard"):
            updates, second = theirs.update(jnp.asarray(grads.mean(0)), states[1], other)
        other, states = other + updates, (states[0], second)
        np.testing.assert_allclose(ours, other, rtol=1e-5)
        means.append(np.asarray(ours))
    expected = (means[0] / 4 + means[1] / 2 + means[2]) / 1.75
    np.testing.assert_allclose(optimizer.evaluated(states[0], ours), expected, rtol=1e-5)
