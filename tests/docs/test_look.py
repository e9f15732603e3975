"""The check of what pages look like finds what is wrong, and nothing else."""

import pytest

from tests.helpers.browser import Browser, in_browser
from tests.scripts import check_look

GOOD = """<!doctype html><meta name="viewport" content="width=device-width"><style>
body { color: #222; background: #fff; } .large { font-size: 30px; color: #777; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #111; } .large { color: #999; }
}
.wide { overflow-x: auto; } .wide div { width: 900px; }
</style><p>Words</p><p class="large">Large words</p><div class="wide"><div>a table</div></div>
<p style="display: none; color: #fff">hidden</p>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def looked(browser, tmp_path, text):
    page = tmp_path / "page.html"
    page.write_text(text, encoding="utf-8")
    return [fault.partition(", ")[2] for fault in check_look.faults(browser, page)]


@in_browser
@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("", "", []),
        (
            "color: #222",
            "color: #999",
            ["light, 1280 pixels: 2 faint: 2.85: Words", "light, 360 pixels: 2 faint: 2.85: Words"],
        ),
        (
            "color: #ddd",
            "color: #555",
            ["dark, 1280 pixels: 2 faint: 2.53: Words", "dark, 360 pixels: 2 faint: 2.53: Words"],
        ),
        (  # by hand: #222 is like #909090 on white, #ddd like #777 on #111
            "<p>Words</p>",
            '<div style="opacity: 0.5"><p>Words</p></div>',
            [
                "light, 1280 pixels: 1 faint: 3.17: Words",
                "light, 360 pixels: 1 faint: 3.17: Words",
                "dark, 1280 pixels: 1 faint: 4.22: Words",
                "dark, 360 pixels: 1 faint: 4.22: Words",
            ],
        ),
        (
            "overflow-x: auto",
            "overflow-x: visible",
            ["light, 360 pixels: 908 pixels wide", "dark, 360 pixels: 908 pixels wide"],
        ),
    ],
)
def test_faint_words_and_wide_pages_are_found(browser, tmp_path, before, after, found):
    text = GOOD.replace(before, after) if before else GOOD
    faults = looked(browser, tmp_path, text)
    assert [fault.partition("; ")[0] for fault in faults] == found
