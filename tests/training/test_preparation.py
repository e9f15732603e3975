"""Parameters that depend on training sequences: critical gains and flossing, before and during."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import RNN, gradients, training
from rnnlab.gradients.driven import layer_exponents
from rnnlab.nn import models
from rnnlab.nn.encoder_decoder import EncoderDecoder
from rnnlab.nn.layers import as_layer
from rnnlab.training import regularizers, settings
from rnnlab.training.runner import train
from tests.helpers import trained

CRITICAL = {"w_h": "orthogonal(gain='critical')"}
H = 5  # of trained.config


def first_batch(member):
    """The sequences of the first update."""
    train, data = training.make_train(member.setup), member.setup.task.load()
    state = train.start(member.key, member.params, member.hyper)
    return train.window(state, data)[0]


def test_a_member_has_the_critical_gain_of_its_own_draw_on_its_first_batch():
    member = trained.member(seed=3, init=CRITICAL)
    gain = member.record["critical_number"]
    names = ("number", "exponent", "error", "converged")
    assert set(member.record) == {f"critical_{name}" for name in names}
    plain = trained.member(seed=3, init={"w_h": f"orthogonal(gain={gain})"})
    for a, b in zip(jax.tree.leaves(member.params), jax.tree.leaves(plain.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert member.setup == plain.setup  # one program for both
    assert plain.record == {}
    batch = first_batch(member)
    found = gradients.lyapunov_exponents(
        RNN(H), member.params["params"]["recurrent"], batch.inputs, 1
    )
    assert float(found.mean()) == pytest.approx(member.record["critical_exponent"], abs=1e-5)
    assert member.record["critical_converged"]
    assert trained.member(seed=4, init=CRITICAL).record["critical_number"] != gain


@pytest.mark.parametrize("read", [0, 1])
def test_flossing_before_training_is_that_of_the_library(read):
    options = {"floss": 7, "floss_exponents": 2, "floss_learning_rate": 0.02}
    options["floss_sequences"] = read
    member = trained.member(seed=3, init=options)
    drawn = trained.member(seed=3)
    batch = first_batch(drawn)
    own = drawn.params["params"]
    expected = gradients.floss(RNN(H), own["recurrent"], batch.inputs[: read or None], 7, 2, 0.02)
    for a, b in zip(member.params["params"]["recurrent"], expected.params, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6) if a is not None else None
    np.testing.assert_array_equal(member.params["params"]["W_hy"], own["W_hy"])
    assert member.record["floss_before"] == pytest.approx(expected.loss[0], rel=1e-5)
    assert member.record["floss_after"] == pytest.approx(expected.loss[-1], rel=1e-5)
    assert member.record["floss_skipped"] == 0


def test_of_truncated_bptt_it_is_the_first_window_and_of_a_stack_the_largest_exponent():
    task = {"name": "copy_memory", "delay": 4}
    init = {**CRITICAL, "forget_bias": "0.0"}
    member = trained.member(seed=3, cell="lstm", layers=2, task=task, window=8, init=init)
    xs = first_batch(member).inputs
    assert xs.shape == (4, 8, 10)  # a window
    stack, own = member.setup.model.layer, member.params["params"]["recurrent"]
    tops = [float(e.mean()) for e in layer_exponents(stack, own, xs, 1)]
    assert max(tops) == pytest.approx(member.record["critical_exponent"], abs=1e-5)


@pytest.mark.parametrize("embedding_size", [0, 3])
def test_the_layer_of_a_model_reads_what_the_regularizer_measures(embedding_size):
    symbols = np.array([[1, 4, 2, 0], [3, 3, 1, 2]])
    model = models.ManyToOne(RNN(H), 2, symbols=5, embedding_size=embedding_size)
    params = model.init(jax.random.key(0), symbols)
    xs = regularizers.layer_inputs(model, params, symbols)
    state = model.layer.apply(params["params"]["recurrent"], xs)[1]
    np.testing.assert_allclose(state.h, model.apply(params, symbols)[1].h, atol=1e-6)


def test_results_of_a_run_hold_the_record(tmp_path):
    sink = trained.Recorder()
    init = {**CRITICAL, "floss": 2, "floss_exponents": 1}
    job = trained.job(0, init=init, steps=10)
    train([job], set(), tmp_path, "run", sink)
    record = job.spec.draw(job.key).record
    assert len(record) == 7
    assert {name: sink.results[0][name] for name in record} == record


@pytest.mark.parametrize(("option", "read"), [("", None), (", sequences=1", 1)])
def test_the_regularizer_adds_the_gradient_of_the_squared_exponents(option, read):
    member = trained.member(seed=3, regularizer=f"flossing(exponents=2{option})", omega=0.5)
    plain = trained.member(seed=3)
    batch = first_batch(member)
    grads, without = (
        jax.jit(training.make_train(m.setup).gradient)(m.params, m.hyper, batch)[2]["params"]
        for m in (member, plain)
    )

    def loss(recurrent):
        exponents = gradients.lyapunov_exponents(RNN(H), recurrent, batch.inputs[:read], 2)
        return jnp.square(exponents).sum(axis=1).mean()

    extra = jax.grad(loss)(member.params["params"]["recurrent"])
    for g, w, e in zip(
        *map(jax.tree.leaves, (grads["recurrent"], without["recurrent"], extra)), strict=True
    ):
        np.testing.assert_allclose(g, w + 0.5 * e, atol=1e-5)
    np.testing.assert_array_equal(grads["W_hy"], without["W_hy"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init": {"floss": -1}}, "init.floss must be a whole number of at least 0, got -1"),
        (
            {"init": {"floss": 1, "floss_exponents": 6}},
            "init.floss_exponents must be at most 5, the features of a state, got 6",
        ),
        (
            {"init": {"floss": 1, "floss_exponents": 2, "floss_sequences": 33}, "batch_size": 32},
            "init.floss_sequences must be a whole number from 0 to 32, got 33",
        ),
        (
            {"init": {"floss": 1, "floss_learning_rate": 0.0}},
            "init.floss_learning_rate must be a finite number above 0, got 0.0",
        ),
        ({"regularizer": "flossing(exponents=6)"}, "regularizer must be at most 5, .* got 6"),
        (
            {"regularizer": "flossing(sequences=33)", "batch_size": 32},
            "sequences must be a whole number from 0 to 32, got 33",
        ),
        ({"regularizer": "flossing(k=2)"}, "unknown option of regularizer 'flossing': 'k'"),
        ({"regularizer": "omega(exponents=2)"}, "unknown option of regularizer 'omega'"),
        ({"regularizer": "flossing(exponents=0)"}, "exponents must be a whole number of at least"),
        ({"regularizer": "flosing"}, "did you mean 'flossing'"),
        ({"init": {"w_h": "critical(sigma_b='critical')"}}, "not proportional to the number"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):  # before anything is drawn
        training.MemberSpec.from_config(trained.config(**options))


def test_a_model_of_a_task_s_own_is_refused():
    model = EncoderDecoder(as_layer(RNN(3)), as_layer(RNN(3)), outputs=4, symbols=4, steps=2)
    with pytest.raises(ValueError, match=r"init\.floss needs a layer with a read-out .*Encoder"):
        settings.checked_layer("init.floss", model)
