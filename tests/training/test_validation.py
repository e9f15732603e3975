"""The validation set chooses the parameters that a member keeps, and when it stops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import training
from rnnlab.tasks.adding import Adding
from rnnlab.tasks.base import Batch, sequences_to_validate
from rnnlab.training import FINISHED, STOPPED, results
from rnnlab.training.settings import MemberSpec
from tests.helpers import trained

# so high a rate that the loss goes up and down
ROUGH = {"steps": 24, "eval_every": 2, "learning_rate": 0.3, "stop_when_solved": False}


def looks(**settings):
    """Train chunk by chunk without choosing: (train, states, validation losses by plain calls)."""
    m = trained.member(**(ROUGH | settings))
    train = training.make_train(m.setup)
    state, task = train.start(m.key, m.params, m.hyper), m.setup.task
    advance = jax.jit(train.advance)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), 3)
    batch = task.test((), key, m.setup.settings.eval_batch_size)
    states, found = [], []
    for _ in range(m.setup.settings.optimizer.steps // m.setup.settings.eval_every):
        state, _ = advance(state, m.hyper, ())
        outputs = np.asarray(m.setup.model.apply(state.params, batch.inputs)[0], np.float64)
        states.append(state)
        found.append(float(np.mean((outputs - np.asarray(batch.targets)) ** 2)))
    return m, states, np.array(found)


@pytest.fixture(scope="module")
def rough():
    return looks()


def chosen(**settings):
    m = trained.member(**(ROUGH | settings))
    return m, *jax.jit(training.make_train(m.setup))(m.key, m.hyper, m.params)


def test_the_best_look_is_kept(rough):
    _, states, expected = rough
    best = int(expected.argmin())
    assert 0 < best < len(expected) - 1, "neither the first nor the last may be the best"
    assert np.sort(expected)[1] > 1.05 * expected.min(), "no other look may be as good"
    m, state, progress = chosen(keep_best=True)
    np.testing.assert_allclose(progress.score["validation_loss"], expected, rtol=0.02)
    assert int(state.best.step) == 2 * (best + 1)
    trained_params = jax.tree.leaves(states[best].params)
    for got, want in zip(jax.tree.leaves(state.best.params), trained_params, strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.02)
    for got, want in zip(*map(jax.tree.leaves, (state.params, states[-1].params)), strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.02)
    last = jax.tree.map(lambda a: a[-1].item(), progress)
    host = jax.tree.map(np.asarray, state)
    found = results.results(training.make_train(m.setup), host, last, ())
    assert (found["status"], found["steps"], found["best_step"]) == ("finished", 24, 2 * (best + 1))
    assert found["loss"] == progress.score["loss"][best].item() != last.score["loss"]
    assert found["validation_loss"] == progress.score["validation_loss"][best].item()
    assert found["sha256"] == results.digest(host.best.params) != results.digest(host.params)


def test_a_member_stops_when_its_patience_ends(rough):
    _, states, expected = rough
    waited, best, stop = 0, np.inf, None
    for look, value in enumerate(expected):
        waited, best = (0, value) if value < best else (waited + 1, best)
        if waited == 3:
            stop = look
            break
    assert stop is not None
    assert stop < len(expected) - 1
    _, state, progress = chosen(patience=3)
    assert int(state.status) == STOPPED
    assert int(state.step) == 2 * (stop + 1)
    assert (np.asarray(progress.step)[stop:] == state.step).all()
    assert jax.tree.leaves(state.best.params) == []
    for got, want in zip(*map(jax.tree.leaves, (state.params, states[stop].params)), strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.02)
    assert int(chosen(patience=100)[1].status) == FINISHED


def test_of_equal_looks_the_earliest_is_the_best():
    _, state, _ = chosen(keep_best=True, learning_rate=0.0)
    assert (int(state.best.step), int(state.best.waited)) == (2, 11)


def test_a_score_that_is_no_number_is_never_the_best():
    m = trained.member(keep_best=True)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)

    def look(state, step, value):
        score = {"loss": jnp.float32(1), "validation_loss": jnp.float32(value)}
        return state._replace(best=train._better(state._replace(step=jnp.int32(step)), score))

    state = state._replace(best=state.best._replace(score={"loss": 0.0, "validation_loss": np.nan}))
    steps = []
    for step, value in enumerate((np.nan, 5.0, np.nan, np.inf, 4.0, 4.0), 1):
        state = look(state, step, value)
        steps.append(int(state.best.step))
    assert steps == [0, 2, 2, 2, 5, 5]
    assert int(state.best.waited) == 1


def test_a_metric_that_should_be_high_is_maximized():
    m = trained.member(task={"name": "copy_memory", "delay": 3}, keep_best=True)
    assert m.setup.task.goal[::2] == ("recall", False)
    train = training.make_train(m.setup)
    state = train.start(m.key, m.params, m.hyper)
    for step, value in enumerate((0.2, 0.6, 0.4), 1):
        score = jax.tree.map(jnp.ones_like, state.best.score)
        score |= {"validation_recall": jnp.float32(value)}
        state = state._replace(best=train._better(state._replace(step=jnp.int32(step)), score))
    assert int(state.best.step) == 2


@pytest.mark.parametrize("settings", [{}, {"keep_best": True}, {"patience": 3}])
def test_what_chooses_also_decides_that_the_task_is_solved(monkeypatch, settings):
    """A test set that is solved by chance must not end what validation chooses."""
    scores = {"loss": jnp.float32(0.0)}
    monkeypatch.setattr(training.Train, "score", lambda self, state, data: dict(scores))
    monkeypatch.setattr(
        training.Train, "validate", lambda self, state, data: {"validation_loss": jnp.float32(1.0)}
    )
    m = trained.member(stop_when_solved=True, **settings)
    train = training.make_train(m.setup)
    state, _ = train.advance(train.start(m.key, m.params, m.hyper), m.hyper, ())
    assert training.STATUS[int(state.status)] == ("running" if settings else "solved")


def test_drawn_tasks_pay_nothing_unless_they_choose():
    _, state, progress = chosen()
    assert state.best == ()
    assert not any(name.startswith("validation_") for name in progress.score)


@pytest.mark.compiled_for_users
def test_the_best_is_bit_identical_alone_grouped_and_resumed(tmp_path):
    """Three members with their bests: alone, as one group, and after a stop in the middle."""
    settings = ROUGH | {"keep_best": True, "patience": 6, "run": {"checkpoint_seconds": 0.0}}
    jobs = [trained.job(i, **settings) for i in range(3)]

    def run(name, chosen, before=None):
        sink = trained.Recorder(before)
        training.runner.train(chosen, sink.done, tmp_path / name, "run", sink)
        return sink

    whole = run("whole", jobs)
    alone = run("alone", jobs[1:2])
    killed = trained.Recorder(stop_after=8)
    with pytest.raises(trained.Recorder.Stopped):
        training.runner.train(jobs, set(), tmp_path / "cut", "run", killed)
    cut = run("cut", jobs, killed)
    assert alone.results[1] == whole.results[1]
    assert cut.results == whole.results
    assert {r["best_step"] for r in whole.results.values()} != {24}
    for job in jobs:
        files = [tmp_path / name / f"params/{job.index}.npz" for name in ("whole", "cut")]
        assert files[0].read_bytes() == files[1].read_bytes()


# ---- what there is no validation set for -------------------------------------------------------


class Held(Adding):
    """A task with a test set, as a user's own, and no validation set."""

    def test_size(self, data) -> int:
        return 5


class Validated(Held):
    """One with a validation set."""

    def validation_size(self, data) -> int:
        return 7

    def validation(self, data, key, batch_size) -> Batch:
        return self.sample(jax.random.key(5), 7)


def test_a_test_set_never_chooses():
    spec = MemberSpec.from_config(trained.config(keep_best=True), task=Held(length=10))
    with pytest.raises(ValueError, match=r"training\.keep_best=True chooses by validation seq"):
        spec.check_data()
    spec = MemberSpec.from_config(trained.config(patience=2), task=Held(length=10))
    with pytest.raises(ValueError, match=r"training\.patience=2 .* its class needs validation\("):
        spec.check_data()
    spec = MemberSpec.from_config(trained.config(patience=2), task=Validated(length=10))
    spec.check_data()
    assert sequences_to_validate(spec.setup.task, (), 0, 4) == 7
    assert sequences_to_validate(spec.setup.task, (), 3, 4) == 3
    assert sequences_to_validate(Held(length=10), (), 0, 4) == 0


def test_a_validation_set_is_scored_at_every_look_without_being_asked():
    task = Validated(length=10)
    m = MemberSpec.from_config(trained.config(), task=task).draw(jax.random.key(0))
    _, progress = jax.jit(training.make_train(m.setup))(m.key, m.hyper, m.params)
    assert {"validation_loss", "loss"} <= set(progress.score)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": -1}, r"training\.patience must be a whole number of at least 0, got -1"),
        ({"keep_best": 2}, r"training\.keep_best must be"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        MemberSpec.from_config(trained.config(**settings))
