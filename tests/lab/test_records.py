"""What a member logs and returns is checked at the call."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.core.errors import UserError
from rnnlab.core.json_files import decode
from rnnlab.core.nested import joined
from rnnlab.lab import records


def logged(*step, **metrics):
    """The record of one call of log."""
    written = []
    records.make_log(written.append)(*step, **metrics)
    [record] = written
    return record


@pytest.mark.parametrize(
    ("step", "metrics", "record"),
    [
        ((), {"loss": 0.5}, {"loss": 0.5}),
        ((3,), {"loss": 0.5}, {"step": 3, "loss": 0.5}),
        ((), {"step": 3, "loss": 0.5}, {"step": 3, "loss": 0.5}),
        ((np.int64(3),), {"index": 7, "record": 1}, {"step": 3, "index": 7, "record": 1}),
        ((jnp.int32(3),), {"loss": jnp.float32(0.5)}, {"step": 3, "loss": 0.5}),
        ((0,), {"a": -np.inf, "b": math.inf}, {"step": 0, "a": "-inf", "b": "inf"}),
        ((), {"norms": np.ones(2), "m": jnp.eye(2)}, {"norms": [1.0, 1.0], "m": [[1, 0], [0, 1]]}),
        ((), {"side": "left", "ok": np.bool_(True)}, {"side": "left", "ok": True}),
    ],
)
def test_a_call_is_one_record_of_the_member(step, metrics, record):
    assert logged(*step, **metrics) == record


def test_nan_comes_back_as_nan():
    assert math.isnan(decode(logged(1, loss=float("nan")))["loss"])
    assert math.isnan(decode(logged(1, loss=jnp.float32(np.nan)))["loss"])


HOW = r"log takes a step, if there is one, and metrics by name: log\(step, loss=0.5\)"


@pytest.mark.parametrize(
    ("step", "metrics", "message"),
    [
        (({"loss": 1},), {}, HOW + r"; got \{'loss': 1\}$"),
        ((5, {"loss": 1}), {}, HOW + r"; got 5, \{'loss': 1\}$"),
        (("loss", 0.5), {}, HOW + "; got 'loss', 0.5$"),
        (("loss",), {"x": 1}, HOW + "; got 'loss'$"),
        ((5,), {}, HOW + "; got no metrics$"),
        ((), {}, HOW + "; got no metrics$"),
        ((), {"step": 5}, HOW + "; got no metrics$"),
        ((0.5,), {"loss": 1}, "the step of log must be a whole number of at least 0, got 0.5; log"),
        ((-1,), {"loss": 1}, "the step of log must be a whole number of at least 0, got -1; log"),
        ((True,), {"loss": 1}, "the step of log must be a whole number of at least 0, got True"),
        ((None,), {"loss": 1}, "the step of log must be a whole number of at least 0, got None"),
        ((np.arange(2),), {"loss": 1}, "the step of log must be a whole number of at least 0"),
        ((), {"step": math.nan, "a": 1}, "the step of log must be a whole number"),
        ((1,), {"step": 2, "loss": 1}, "log got the step twice: 1 and step=2"),
        ((1,), {"member": 2}, "`member` is set by the run: log it under another name"),
        ((1,), {"loss": 1j}, "metric 'loss': a complex cannot be written as JSON: 1j"),
        ((1,), {"loss": np.ones(2) * 1j}, "metric 'loss': a complex number cannot be written"),
        ((1,), {"loss": object}, "metric 'loss': a type cannot be written as JSON"),
        ((1,), {"by": {1: 2.0}}, r"metric 'by': the keys of a record must be strings, got \[1\]"),
        ((1,), {"mode": "nan"}, "metric 'mode': the text 'nan' would be read as a number"),
    ],
)
def test_a_call_that_cannot_be_is_refused_in_one_line(step, metrics, message):
    with pytest.raises(UserError, match="^" + message) as info:
        logged(*step, **metrics)
    assert "\n" not in str(info.value)


def test_a_value_inside_of_jit_is_refused_in_one_line():
    log = records.make_log(lambda record: None)

    @jax.jit
    def step(x):
        log(1, loss=x)
        return x

    with pytest.raises(UserError, match="metric 'loss' has no value yet: it is traced by JAX"):
        step(1.0)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (None, "run must return a dict of results, got None"),
        ((0, {}), r"run must return a dict of results, got \(0, \{\}\)"),
        ({1: 2}, "run: the name of a result must be a string, got 1"),
        ({"x": 1j}, "result 'x': a complex cannot be written as JSON"),
        ({"expected": 1}, "run: result 'expected' is there already, by the run or by predict"),
        ({"status": "inf"}, "result 'status': the text 'inf' would be read as a number"),
    ],
)
def test_results_are_checked(results, message):
    assert records.results_record("run", {"x": np.ones(1)}, ["expected"]) == {"x": [1.0]}
    with pytest.raises(UserError, match=message):
        records.results_record("run", results, ["expected"])


def test_no_value_of_a_record_replaces_another():
    assert joined({"member": 1}, {"loss": 2}) == {"member": 1, "loss": 2}
    with pytest.raises(UserError, match="'member' is set by the run: give your score, metric"):
        joined({"member": 1}, {"member": 2})
