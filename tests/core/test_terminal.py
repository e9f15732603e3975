"""Widths and colors of a terminal."""

import io
import sys

import pytest

from rnnlab.core import terminal


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "env", "colored"),
    [
        (Screen, {}, True),
        (Screen, {"NO_COLOR": ""}, True),  # an empty one does not count: no-color.org
        (Screen, {"NO_COLOR": "1"}, False),
        (Screen, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colors_are_for_terminals_that_want_them(monkeypatch, stream, env, colored):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", stream())
    assert ("\033" in terminal.paint()("loss", "good")) == colored


def test_width_counts_columns():
    assert [terminal.width(text) for text in ("abc", "词向量", "e\u0301", "")] == [3, 6, 1, 0]
    assert terminal.cut("词向量", 4) == "词…"
    assert terminal.padded("词", 4) == "词  "


def test_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "123")
    assert terminal.columns() == 123
