"""Sizes that follow from the data: batches of few examples, windows of short streams."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import training
from rnnlab.core.notices import LeftOut
from rnnlab.training.settings import MemberSpec
from tests.helpers import trained


@pytest.fixture
def series(tmp_path):
    values = np.random.default_rng(0).normal(size=60).cumsum().round(3)
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(map(str, values)))
    return {"name": "forecasting", "path": str(tmp_path / "a.csv"), "window": 5}


@pytest.fixture
def text(tmp_path):
    letters = np.random.default_rng(0).choice(list("abcd "), 120)
    (tmp_path / "a.txt").write_text("".join(letters))
    return {"name": "characters", "path": str(tmp_path / "a.txt"), "batch_size": 4}


def said(config):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LeftOut)
        MemberSpec.from_config(config).check_data()
    return [str(warning.message) for warning in caught]


def test_a_batch_larger_than_the_data_has_all_of_it(series):
    config = trained.config(task=series, batch_size=99)
    assert said(config) == [
        "training.batch_size=99 is more than the 37 sequences to learn from: each batch has all 37"
    ]
    member = training.member(config, jax.random.key(0))
    task, data = member.setup.task, member.setup.task.load()
    batch = task.batch(data, jax.random.key(1), 5, 99)
    windows = {tuple(data.train[k : k + 5, 0].tolist()) for k in range(37)}
    assert {tuple(x) for x in np.asarray(batch.inputs[..., 0]).tolist()} == windows
    state, _ = jax.jit(training.make_train(member.setup))(
        member.key, member.hyper, member.params, data
    )
    assert int(state.step) == 20


def test_states_are_carried_only_from_batch_to_batch_of_one_size(series):
    config = trained.config(task={**series, "window": 6}, batch_size=99, window=3)
    with pytest.raises(ValueError, match="batch_size must be at most 35, the sequences to learn"):
        MemberSpec.from_config(config).check_data()


@pytest.mark.parametrize(("window", "read", "left"), [(5, 5, 4), (24, 24, 0), (99, 24, 0)])
def test_windows_of_a_stream(text, window, read, left):
    """Step s reads window s mod n of pass s div n, of 24 steps; what is left over is said."""
    config = trained.config(task=text, window=window)
    notices = said(config)
    assert [n for n in notices if "is more than the 24 steps of a stream" in n] == (
        [f"training.window=99 is more than the 24 steps of a stream: windows have {read}"]
        if window == 99
        else []
    )
    expected = f"windows of {read} steps leave out {left} of the 24 steps of a stream, others in "
    assert [n[: len(expected)] for n in notices if "leave out" in n] == [expected] * (left > 0)
    member = training.member(config, jax.random.key(0))
    train, task, data = training.make_train(member.setup), member.setup.task, None
    data = task.load()
    assert task.length == 24
    start = train.start(member.key, member.params, member.hyper)
    key = jax.random.split(jax.random.wrap_key_data(start.key), 3)[0]
    for step in range(9):
        batch, _ = train.window(start._replace(step=jnp.int32(step)), data)
        whole = task.batch(data, key, step // (24 // read), 4)
        first = step % (24 // read) * read
        np.testing.assert_array_equal(batch.inputs, whole.inputs[:, first : first + read])
        np.testing.assert_array_equal(batch.targets, whole.targets[:, first : first + read])
