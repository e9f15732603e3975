"""Strings that name calls are parsed, never evaluated."""

import pytest

from rnnlab.core import calls

FORM = "it is a name or name(option=value)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam", ("adam", {})),
        (" sgd( momentum = 0.9, nesterov=True ) ", ("sgd", {"momentum": 0.9, "nesterov": True})),
        ("f(a=-1e-3, b=None, c='x', d={5: (1, 2)})", None),
    ],
)
def test_names_and_literal_options(text, expected):
    options = {"a": -1e-3, "b": None, "c": "x", "d": {5: (1, 2)}}
    assert calls.parse(text, FORM) == (expected or ("f", options))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f(",
        "f(1)",
        "f(a=g())",
        "f(**{'a': 1})",
        "a.b",
        "a.b(c=1)",
        "f(a=b)",
        "1 + 1",
        "(" * 999,
    ],
)
def test_all_else_is_refused(text):
    with pytest.raises(ValueError, match=r"it is a name or name\(option=value\), got"):
        calls.parse(text, FORM)
