"""Metrics by name: declared ones count first, built-in ones keep their unit behind a prefix."""

import pytest

from rnnlab.core import metrics
from rnnlab.core.metrics import Metric, lookup


def test_a_declared_metric_counts_before_a_built_in_one():
    own = [Metric("loss", "°C²", "lower"), Metric("margin", better="higher")]
    assert lookup("loss", own) == own[0]
    assert lookup("validation_margin", own).better == "higher"
    assert lookup("validation_loss", own).unit == "°C²"
    assert lookup("loss") == Metric("loss", "", "lower")
    assert lookup("solved_at").infinite == "never"
    assert (lookup("log10_h_at_10").unit, lookup("nothing_known")) == (
        "decades",
        Metric("nothing_known"),
    )


def test_of_declared_metrics_the_first_of_a_name_counts():
    declared = [Metric("rmse", "K", "lower"), Metric("rmse", "kW", "lower")]
    assert metrics.lookup("rmse", declared).unit == "K"
    assert metrics.lookup("validation_rmse", iter(declared)).unit == "K"


def test_json_and_back_keeps_the_first_of_a_name():
    own = [Metric("a", "s"), Metric("b", better="lower"), Metric("a", "ms")]
    assert metrics.from_json(metrics.as_json(own)) == own[:2]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((" ",), "needs a name"),
        (("loss", "", "low"), r"better of metric 'loss'.*'low'.*'lower'"),
        (("loss", None), "unit is a text, got None"),
    ],
)
def test_wrong_metrics_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Metric(*parts)
