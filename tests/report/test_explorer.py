"""The explorer in a browser: three questions answered by its controls, and every control moved."""

import json
import re
import time

import numpy as np
import pytest

from rnnlab.report.page import compare_report, write_report
from tests.helpers import saved_runs
from tests.helpers.browser import Browser, in_browser
from tests.helpers.saved_runs import CELLS, DIVERGED, LAGS, RATES, SCHEMES

pytestmark = in_browser

# what a reader does: set a control, choose values of a filter, read a table
READER = """
const explore = document.querySelector(".explorer");
const control = name => explore.querySelector(`[name="${name}"]`);
window.put = (name, value) => {
  const c = control(name);
  if (c.disabled || !c.offsetParent) throw new Error(`${name} cannot be moved`);
  if (c.type === "checkbox") { c.click(); return; }
  c.value = value;
  if (c.value !== String(value)) throw new Error(`${name} has no ${value}: ${c.value}`);
  c.dispatchEvent(new Event(c.type === "range" ? "input" : "change", {bubbles: true}));
};
window.only = (axis, ...values) => {
  const box = [...explore.querySelectorAll(".filter")].find(
    f => f.querySelector("summary").textContent.startsWith(axis + ":"));
  box.open = true;
  box.querySelectorAll("button")[1].click();
  for (const value of values) box.querySelector(`input[value="${value}"]`).click();
  return box.querySelector("summary").textContent;
};
window.rows = name => [...explore.querySelectorAll(`.scroll.${name} tr`)].map(
  row => [...row.cells].map(cell => cell.textContent));
window.notes = () => explore.querySelector(".note[aria-live]").textContent;
window.choices = name => [...control(name).options].map(option => option.value);
window.state = name =>
  control(name).type === "checkbox" ? control(name).checked : control(name).value;
window.frame = selector => {
  const node = explore.querySelector(selector);
  node.scrollIntoView({block: "center"});
  const {left, top, width, height} = node.getBoundingClientRect();
  return [left, top, width, height];
};
window.inked = () => [...explore.querySelectorAll("canvas")].map(canvas => {
  const text = canvas.toDataURL();
  let sum = 0;
  for (let k = 0; k < text.length; k++) sum = (sum * 31 + text.charCodeAt(k)) % 1000003;
  return sum;
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The reports of the two runs, and the page that compares them with a third."""
    folder = tmp_path_factory.mktemp("runs")
    gradients = saved_runs.save_run(folder / "a1b2c3", saved_runs.gradient_members())
    training = saved_runs.training_run(folder / "d4e5f6")
    members, logged = saved_runs.training_members()
    wider = json.loads(json.dumps(saved_runs.CONFIG)) | {"cell": {"name": "rnn", "hidden_size": 32}}
    wider["task"]["lengths"] = tuple(wider["task"]["lengths"])
    other = saved_runs.save_run(
        folder / "0a9b8c", members[:9], logged=logged, metrics=saved_runs.METRICS, config=wider
    )
    found = {"gradients": write_report(gradients), "training": write_report(training)}
    return found | {"compare": compare_report([training, other], folder / "compare.html")}


def opened(browser, page, **how):
    """Open a page's explorer by scrolling to it."""
    browser.open(page.as_uri(), **how)
    assert browser.js("!('open' in document.querySelector('.explorer').dataset)")
    browser.js("document.querySelector('.explorer').scrollIntoView()")
    browser.wait("'open' in document.querySelector('.explorer').dataset")
    browser.js(READER)


def put(browser, **values):
    for name, value in values.items():
        browser.js(f"put({json.dumps(name)}, {json.dumps(value)})")


def frame(browser, name):
    """Where an element is, once the page has stopped moving: it does so while it is drawn."""
    before, place = None, browser.js(f"frame('{name}')")
    while place != before:
        time.sleep(0.2)
        before, place = place, browser.js(f"frame('{name}')")
    return place


def in_corner(browser, right, down):
    """Return the tooltip near the upper right corner of a heat map."""
    left, top, width, _ = frame(browser, "canvas")
    browser.point(left + width - right, top + down)
    browser.wait("!explore.querySelector('.tip').hidden")
    return browser.js("explore.querySelector('.tip').textContent")


def number(text):
    """The first number of a cell."""
    return float(re.match(r"[−\d.e]+", text)[0].replace("−", "-"))


# ---- the three questions


def test_which_scheme_keeps_most_gradient_at_lag_50_for_a_gru(browser, pages):
    opened(browser, pages["gradients"])
    put(browser, show="curve:h", x="lag", color="init.w_h")
    assert browser.js("only('cell.name', 'gru')") == "cell.name: 1 of 2"
    put(browser, exact=50)
    head, *rows = browser.js("rows('values')")
    at_50 = head.index("at lag 50")
    medians = {
        scheme: np.median(
            [
                result["h"][50]
                for overrides, result in saved_runs.gradient_members()
                if (overrides["cell.name"], overrides["init.w_h"]) == ("gru", scheme)
            ]
        )
        for scheme in SCHEMES
    }
    best_first = sorted(medians, key=medians.__getitem__, reverse=True)
    assert [row[head.index("init.w_h")] for row in rows] == best_first
    for row in rows:
        np.testing.assert_allclose(
            number(row[at_50]), medians[row[head.index("init.w_h")]], rtol=2e-3
        )
    assert not browser.console


def test_which_learning_rate_is_best_per_cell(browser, pages):
    opened(browser, pages["training"])
    put(browser, show="result:loss", x="training.learning_rate", color="cell.name")
    assert browser.js("state('logx')") is True  # rates are two decades apart
    head, *rows = browser.js("rows('values')")
    members, _ = saved_runs.training_members()
    for row in rows:
        cell = row[head.index("cell.name")]
        medians = {}
        for rate in RATES:
            losses = [
                np.nan if r["status"] == "diverged" else r["loss"]
                for o, r in members
                if (o["cell.name"], o["training.learning_rate"]) == (cell, rate)
            ]
            medians[rate] = np.median([np.inf if np.isnan(loss) else loss for loss in losses])
        # of the rate at which a seed diverged, that seed counts as worst
        for name, found in (("lowest", min), ("highest", max)):
            best = found(medians, key=medians.__getitem__)
            shown = row[head.index(f"{name} (at training.learning_rate)")]
            said, at = re.fullmatch(r"(\S+) \((\S+)\)", shown).groups()
            np.testing.assert_allclose(float(said), medians[best], rtol=1e-3)
            assert float(at) == best
    assert {row[head.index("cell.name")] for row in rows} == set(CELLS)
    assert not browser.console


def test_which_seed_diverged(browser, pages):
    opened(browser, pages["training"])
    assert "Diverged: 1 of 18 members" in browser.js("explore.textContent")
    head, row = browser.js("rows('diverged')")
    found = dict(zip(head, row, strict=True))
    assert {key: found[key] for key in DIVERGED} == {k: str(v) for k, v in DIVERGED.items()}
    assert found["at step"] == "25"
    members, logged = saved_runs.training_members()
    which = [overrides for overrides, _ in members].index(DIVERGED)
    assert found["member"] == f"member {which}"
    np.testing.assert_allclose(
        number(found["last finite loss"]), logged[which][1]["loss"], rtol=1e-3
    )
    assert "× 1 member: no finite value after it." in browser.js("notes()")
    browser.js(f"only('training.learning_rate', '{RATES[0]}')")
    assert "Diverged: 0 of 6 members" in browser.js("explore.textContent")


# ---- every control


def test_every_control_is_moved_and_changes_what_is_drawn(browser, pages):
    opened(browser, pages["gradients"])
    before = browser.js("inked()")
    assert len(before) == 2  # a panel per cell
    moves = [
        {"show": "curve:by_length"},
        {"x": "task.lengths"},
        {"x": "place"},
        {"show": "curve:h"},
        {"seeds": "every"},
        {"seeds": "median"},
        {"color": "cell.name"},
        {"color": "init.w_h"},
        {"facet": "init.w_h"},
        {"facet": "cell.name"},
        {"logx": True},
        {"logx": True},
        {"at": 20},
        {"exact": 30},
        {"from": 10},
        {"to": 30},
        {"show": "curve:spectrum_10"},
        {"logy": True},
        {"x": "init.w_h"},
        {"draw": "heat"},
        {"at": 3},
        {"show": "array:jacobians"},
        {"at": 2},
        {"show": "array:weights"},
        {"show": "result:log10_at_50"},
        {"draw": "lines"},
    ]
    same = []
    for move in moves:
        was = browser.js("inked()")
        put(browser, **move)
        if browser.js("inked()") == was:
            same.append(move)
    assert same == []
    put(browser, show="curve:h")
    moved = {name for move in moves for name in move} | {
        "sort",
        "reset",
        "rows",
    }
    named = browser.js("[...explore.querySelectorAll('[name]')].map(c => c.name)")
    assert set(named) == moved
    first = browser.js("rows('values')[1]")
    put(browser, sort="lowest")
    assert browser.js("rows('values').at(-1)") == first
    put(browser, x="lag", logx=True, **{"from": 0, "to": 20})  # from the least place above 0
    said = browser.js("[12345, 1.23456e-4, -0.51239, 1e7, Infinity].map(explorerChart.number)")
    assert said == ["12345", "1.235e−4", "−0.5124", "1e7", "∞"]
    assert not browser.console


def test_filters_legend_zoom_and_hover(browser, pages):
    opened(browser, pages["gradients"])
    put(browser, show="curve:h", x="lag", color="init.w_h", facet="", exact=10)
    assert "18 members in 6 lines: the median over 3 seeds" in browser.js("notes()")
    assert "Lines of one color differ in cell.name" in browser.js("notes()")
    assert "−∞ (exactly zero) cannot be drawn; 1 line with such values." in browser.js("notes()")
    whole = browser.js("inked()")
    browser.js("explore.querySelector('.legend button').click()")
    assert (
        browser.js("explore.querySelector('.legend button').getAttribute('aria-pressed')")
        == "false"
    )
    assert browser.js("inked()") != whole
    assert len(browser.js("rows('values')")) == 1 + 4
    browser.js("explore.querySelector('.legend button').click()")
    assert browser.js("inked()") == whole
    box = frame(browser, ".u-over")
    left, top, width, height = box
    browser.drag((left + 0.25 * width, top + 50), (left + 0.75 * width, top + 60))
    browser.wait("state('from') !== ''")
    zoom = [float(browser.js(f"state('{name}')")) for name in ("from", "to")]
    np.testing.assert_allclose(zoom, [0.25 * (LAGS - 1), 0.75 * (LAGS - 1)], atol=0.5)
    browser.js("control('reset').click()")
    assert browser.js("inked()") == whole
    # the pointer on a line says its value
    browser.wait("state('from') === ''")
    left, top, width, height = frame(browser, ".u-over")
    for k in range(8, 60):
        browser.point(left + width * 20 / (LAGS - 1), top + height * k / 60)
        if not browser.js("explore.querySelector('.tip').hidden"):
            break
    label, said, spread, who = browser.js(
        "[...explore.querySelector('.tip').children].map(c => c.textContent)"
    )
    cell, scheme = re.fullmatch(r"cell.name=(.+), init.w_h=(.+)", label).groups()
    values = [
        result["h"][20]
        for o, result in saved_runs.gradient_members()
        if (o["cell.name"], o["init.w_h"]) == (cell, scheme)
    ]
    assert said.startswith("lag 20: ")
    np.testing.assert_allclose(number(said.removeprefix("lag 20: ")), np.median(values), atol=6e-3)
    assert spread.startswith("median of 3, [")
    assert who.count("member") == 3
    browser.js("only('init.w_h')")
    assert "No member is left" in browser.js("notes()")
    assert not browser.console


def test_a_heat_map_has_the_medians_of_its_cells(browser, pages):
    opened(browser, pages["gradients"])
    put(browser, show="curve:h", draw="heat", x="init.w_h", exact=12)
    said = in_corner(browser, 30, 20)
    cell, scheme, value = re.fullmatch(r"cell.name (.+), init.w_h (.+): (.+)", said).groups()
    assert (cell, scheme) == (CELLS[0], SCHEMES[-1])
    values = [
        result["h"][12]
        for o, result in saved_runs.gradient_members()
        if (o["cell.name"], o["init.w_h"]) == (cell, scheme)
    ]
    np.testing.assert_allclose(number(value), np.median(values), atol=6e-3)
    put(browser, show="array:jacobians", exact=3)
    browser.js("only('cell.name', 'rnn')")
    browser.js(f"only('init.w_h', '{SCHEMES[0]}')")
    browser.js("only('seed', '1')")
    assert browser.js("explore.querySelectorAll('canvas').length") == 1
    said = in_corner(browser, 30, 10)
    assert said.startswith("row 0, column 3: ")
    expected = saved_runs.gradient_members()[1][1]["jacobians"][3, 0, 3]
    np.testing.assert_allclose(number(said.removeprefix("row 0, column 3: ")), expected, atol=2e-3)
    assert not browser.console


# ---- several runs, many members, and how it looks


def test_compare_names_runs_by_what_differs(browser, pages):
    opened(browser, pages["compare"])
    names = ["cell.hidden_size=8", "cell.hidden_size=32"]
    assert "run" in browser.js("choices('color')")
    put(browser, show="metric:loss", x="step", color="run")
    legend = browser.js("[...explore.querySelectorAll('.legend button')].map(b => b.textContent)")
    assert legend == names
    text = browser.js("explore.textContent")
    assert "d4e5f6" not in text
    put(browser, draw="heat", x="training.learning_rate", rows="run")
    was = browser.js("inked()")
    put(browser, rows="cell.name")
    assert browser.js("inked()") != was
    assert "Cells pool members that differ in run" in browser.js("notes()")
    heads = browser.js(
        "[...document.querySelectorAll('#config + .scroll th')].map(t => t.textContent)"
    )
    assert heads[1:3] == names
    assert not browser.console


def test_a_thousand_members_are_down_sampled_and_say_so(browser, tmp_path):
    rng = np.random.default_rng(5)
    members = [
        ({"cell.name": CELLS[k % 2], "seed": k}, {"curve": rng.normal(size=60).cumsum()})
        for k in range(1000)
    ]
    members[1][1]["curve"] = rng.normal(size=600).cumsum()
    page = write_report(saved_runs.save_run(tmp_path / "run", members))
    assert page.stat().st_size < 1.5e6
    opened(browser, page)
    put(browser, show="curve:curve", seeds="every")
    notes = browser.js("notes()")
    assert "1,000 members in 1,000 lines" in notes
    assert re.search(r"Down-sampled: at most \d+ points of a curve are kept.* of up to 600", notes)
    assert "first 100 of 1000 rows" in browser.js("explore.textContent")
    assert not browser.console


@pytest.mark.parametrize("name", ["gradients", "training", "compare"])
def test_on_a_phone_and_in_the_dark(browser, pages, name):
    opened(browser, pages[name], width=360, scheme="dark")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.js(overflow) <= 0
    dark = browser.js("inked()")
    browser.media("light")
    browser.wait(
        f"JSON.stringify(inked()) !== {json.dumps(json.dumps(dark, separators=(',', ':')))}"
    )
    unnamed = browser.js(
        "[...explore.querySelectorAll('input, select')].filter("
        "c => !c.labels.length && !c.getAttribute('aria-label')).map(c => c.name)"
    )
    assert unnamed == []
    assert not browser.console


def test_print_hides_the_controls(browser, pages):
    browser.open(pages["training"].as_uri())
    browser.media(media="print")
    shown = "document.querySelector('{}')?.checkVisibility()"
    assert browser.js(shown.format(".explorer")) is False  # it was not opened
    opened(browser, pages["training"])
    browser.media(media="print")
    assert browser.js(shown.format(".explorer .controls")) is False
    assert browser.js(shown.format(".explorer .filters")) is False
    assert browser.js(shown.format(".explorer canvas")) is True
    table = "document.querySelector('.scroll.values')"
    assert browser.js(f"{table}.clientHeight >= {table}.firstChild.clientHeight")  # no row is cut
    browser.media()


def test_words_of_a_run_are_text_and_not_tags(browser, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    members = [({"cell.name": f"{evil}{k}", "seed": 0}, {evil: 1.0 + k}) for k in range(2)]
    page = write_report(saved_runs.save_run(tmp_path / "run", members))
    opened(browser, page)
    assert browser.js("document.querySelectorAll('.explorer img').length") == 0
    assert evil in browser.js("explore.textContent")
    assert not browser.console
