"""The report: the contents of the pages, and how a browser shows them."""

import base64
import html
import json
import math
import os
import re
import shlex
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from matplotlib.figure import Figure

from rnnlab import cli
from rnnlab.core import json_files, run_files
from rnnlab.core.errors import UserError
from rnnlab.lab import sweep
from rnnlab.lab.load import load_experiment
from rnnlab.lab.plan import make_plan
from rnnlab.plotting import rendering
from rnnlab.report.page import compare_report, write_report
from tests.helpers.browser import BROWSER, FLAGS, in_browser

HOLDS = {
    "statement": "αQ keeps exactly α^k",
    "source": "Saxe et al. 2013",
    "threshold": "error ≤ 0.01 decades",
    "expected": "holds",
    "verdict": "holds",
    "measured": "largest error 2e-06",
    "closed_form": True,
    "as_expected": True,
}
REFUTED = HOLDS | {
    "statement": "An LSTM with b_f = 0 keeps its gradient",
    "source": "the notes, claim 17",
    "expected": "refuted",
    "verdict": "refuted",
    "closed_form": False,
}
CONFIG = {
    "cell": {"name": "rnn", "hidden_size": 8},
    "init": {"w_h": "normal", "w_x": "normal", "b": ""},
    "task": {"lags": (1, 2), "noise": 1e-5},
    "seed": 0,
}
NORMS = [-3.5, float("-inf"), float("nan"), -20.25, 1e-9, 7.0]


@cache
def png(width: float = 4.0) -> bytes:
    """A figure, drawn once."""
    figure = Figure(figsize=(width, 2))
    figure.subplots().plot([0, 1])
    return rendering.png(figure)


def make_run(
    run_dir: Path,
    *,
    config=CONFIG,
    claims=(HOLDS, REFUTED),
    figures=None,
    files=("png",),
    logged=(),
    **info,
) -> Path:
    """A finished run, whose report is an old one."""
    (run_dir / "figures").mkdir(parents=True)
    captions = {"gradient_curves": "Gradient against lag. Dashed: theory."}
    captions = captions if figures is None else figures
    svg = b'<svg viewBox="0 0 230.4 400"/>'
    contents = {"png": png(), "phone.svg": svg, "svg": b"<svg/>" * 9999, "csv": b"panel,x\n"}
    for name in captions:
        for ending in files:
            (run_dir / "figures" / f"{name}.{ending}").write_bytes(contents[ending])
    json_files.write_json(
        run_dir / "figures.json",
        {name: {"caption": caption, "files": list(files)} for name, caption in captions.items()},
    )
    json_files.write_json(run_dir / "claims.json", list(claims))
    run_files.write_config(
        run_dir,
        {
            "experiment": "vanishing",
            "file": "experiments/vanishing.py",
            "arg": "",
            "description": "What is left.\n\n    rnnlab run\n\nSet --config.seed=1\nhere.",
            "config": config,
            "sweep": {"cell.name": ["rnn", "lstm"], "seed": [0, 1, 2]},
            "hash": "0123456789abcdef",
            "members": len(NORMS),
            "started": "2026-01-02T03:04:05+00:00",
            "environment": {"python": "3.11.7", "device": "cpu", "cores": 2},
        }
        | info,
    )
    members = [
        {
            "member": index,
            "overrides": {"cell.name": "rnn" if index < 3 else "lstm", "seed": index % 3},
            "seconds": 20.5,
            "result": {"norm": norm, "curve": [0.0, norm], "overflowed": index == 1},
        }
        for index, norm in enumerate(NORMS)
    ]
    for record in logged:  # of member 0
        line = json_files.to_line({"member": 0, **record})
        json_files.append_lines(run_dir / "metrics.jsonl", line)
        members[0]["logged"] = run_files.chained(members[0].get("logged", ""), line)
    for member in members:
        append_member(run_dir, member)
    (run_dir / run_files.RESULTS).write_text("cell.name,members\n")
    (run_dir / "report.html").write_text("an old page")
    run_files.write_digests(run_dir)
    return run_dir


def append_member(run_dir: Path, member: dict) -> None:
    """Append a line to members.jsonl."""
    run_files.append_member(run_dir, run_files.read_config(run_dir)["hash"], member)


class Page(HTMLParser):
    """The tags of a page, its visible text, and the rows of the members table."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.members: list[list[str]] = []
        self._words: list[str] = []
        self._inside: list[str] = []
        self._sortable = False
        self.feed(text)
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)
        if tag == "table":
            self._sortable = "data-sortable" in dict(attrs)
        elif tag == "tr" and self._sortable:
            self.members.append([])
        elif tag in ("td", "th") and self._sortable:
            self.members[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._sortable = False

    def handle_data(self, data):
        if self._inside and self._inside[-1] not in ("script", "style"):
            self._words.append(data)
        if self._sortable and self.members and self.members[-1]:
            self.members[-1][-1] += data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def column(self, name: str) -> list[str]:
        place = self.members[0].index(name)
        return [row[place] for row in self.members[1:]]


def read(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


# ---------------------------------------------------------------------------------- on the page


def test_report_shows_the_run(tmp_path):
    path = write_report(make_run(tmp_path / "run", arg="full"))
    assert path == tmp_path / "run" / "report.html"
    page = read(path)
    for words in (
        "vanishing:full",
        "What is left.",
        "2 claims: 1 holds, 1 refuted, 0 undecided; none unexpected",
        *(REFUTED[k] for k in ("statement", "source", "threshold", "measured")),
        "✓ holds",
        "✗ refuted",
        "closed form: must hold",
        "Gradient against lag. Dashed: theory.",
        "total time, all members 2 min 3 s",
        "2026-01-02 03:04 UTC",
        "hidden_size 8",
        "lags (1, 2)",
        "Left empty: b",
        "python 3.11.7",
        "rnnlab run --config=experiments/vanishing.py:full",
    ):
        assert words in page.text, words
    assert page.text.count("closed form: must hold") == 1  # of the one that is
    (image,) = page.all("img")
    assert image["alt"] == "gradient curves: Gradient against lag."
    assert (image["width"], image["height"]) == ("480", "240")


def test_the_order_of_the_page(tmp_path):
    """The first figure, the results, the claims, then the rest."""
    figures = {"gradient_curves": "First.", "spectrum": "Second."}
    run = make_run(tmp_path / "run", figures=figures)
    text = write_report(run).read_text("utf-8")
    marks = ["figure-gradient_curves", "results", "claims", "claim-1", "figures", "figure-spectrum"]
    marks += ["about", "members", "config", "environment", "again"]
    places = [text.index(f'id="{mark}"') for mark in marks]
    assert places == sorted(places)
    assert text.count('id="figure-gradient_curves"') == 1
    assert "Second." not in text[: places[1]]
    page = read(run / "report.html")
    assert {a["href"] for a in page.all("a") if (a["href"] or "").startswith("#")} <= {
        f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes
    }


def test_a_figure_has_a_picture_for_phones_and_its_files(tmp_path):
    run = make_run(tmp_path / "a", files=("png", "svg", "csv", "phone.svg"))
    page = read(write_report(run))
    (source,) = page.all("source")
    assert (source["width"], source["height"]) == ("384", "667")
    assert source["media"].startswith("(max-width")
    files = {a["href"] for a in page.all("a")} - {None}
    beside = [f"figures/gradient_curves.{ending}" for ending in ("png", "svg", "csv")]
    assert {*beside} <= files
    assert "data (CSV)" in page.text
    compared = compare_report([run, make_run(tmp_path / "b")], tmp_path / "deep" / "c.html")
    assert {f"../a/{name}" for name in beside} <= {a["href"] for a in read(compared).all("a")}
    for ending in ("svg", "csv", "phone.svg"):  # each has a digest
        path = run / "figures" / f"gradient_curves.{ending}"
        kept = path.read_bytes()
        path.write_bytes(kept + b" ")
        with pytest.raises(UserError, match=rf"gradient_curves\.{re.escape(ending)} is not what"):
            write_report(run)
        path.write_bytes(kept)


def test_the_smaller_picture_is_inside_the_page_without_loss(tmp_path):
    run = make_run(tmp_path / "run", files=("png", "svg"))
    (image,) = read(write_report(run)).all("img")
    head, _, content = (image["src"] or "").partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == png()
    svg = b'<svg viewBox="0 0 288 144"><path d="M 1.5 2"/></svg>'
    (run / "figures/gradient_curves.svg").write_bytes(svg)
    run_files.write_digests(run)
    (image,) = read(write_report(run)).all("img")
    head, _, content = (image["src"] or "").partition(",")
    assert head == "data:image/svg+xml"
    assert unquote(content) == svg.decode()
    assert not re.search(r"\s", content)  # which would end the address of a phone's picture


def test_an_expected_verdict_is_no_alarm_and_an_unexpected_one_is(tmp_path):
    quiet = read(write_report(make_run(tmp_path / "quiet")))
    assert not [t for t in quiet.all("tr") if t.get("class") == "unexpected"]
    assert "! unexpected" not in quiet.text
    surprise = REFUTED | {"verdict": "holds", "as_expected": False}
    loud = read(write_report(make_run(tmp_path / "loud", claims=[HOLDS, surprise])))
    assert "1 unexpected" in loud.text
    assert "holds (expected: refuted)" in loud.text
    assert "✓ holds ! unexpected" in loud.text
    (row,) = [t for t in loud.all("tr") if t.get("class") == "unexpected"]
    assert row["id"] == "claim-2"
    assert "#claim-2" in [a["href"] for a in loud.all("a")]


def test_members_table(tmp_path):
    page = read(write_report(make_run(tmp_path / "run")))
    assert page.members[0] == ["member", "cell.name", "seed", "norm", "overflowed", "seconds"]
    assert page.column("norm") == ["-3.5", "-inf", "nan", "-20.25", "1e-09", "7"]
    assert page.column("cell.name") == ["rnn"] * 3 + ["lstm"] * 3
    assert page.column("overflowed")[:2] == ["False", "True"]
    assert "Results that are lists are in members.jsonl: curve ." in page.text


def test_a_member_shows_the_base_value_of_what_another_overrides(tmp_path):
    run = make_run(tmp_path / "run", members=7)
    extra = {"member": 6, "overrides": {"init.w_h": "zeros"}, "seconds": 1.0, "result": {}}
    append_member(run, extra)
    page = read(write_report(run))
    assert page.column("init.w_h") == ["normal"] * 6 + ["zeros"]
    assert page.column("cell.name")[-1] == "rnn"
    assert page.column("norm")[-1] == ""


def test_the_page_needs_nothing_from_outside(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", hash="f" * 16)
    for path in (write_report(a), compare_report([a, b], tmp_path / "compare.html")):
        page = read(path)
        assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
        for tag, attributes in page.tags:
            for name in ("src", "href", "srcset", "action"):
                value = attributes.get(name) or "#"
                beside = tag == "a" and re.fullmatch(r"(\w+/)?figures/\w+\.(png|svg|csv)", value)
                assert beside or value.startswith(("#", "data:")), (tag, value[:80])
        assert not re.search(r"@import|url\(|https?://", path.read_text("utf-8"))
        (policy,) = [
            m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
        ]
        assert "default-src 'none'" in (policy["content"] or "")
        assert any(m.get("name") == "viewport" for m in page.all("meta"))


def test_what_comes_from_a_run_is_escaped(tmp_path):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    claim = HOLDS | {k: evil for k in ("statement", "source", "threshold", "measured")}
    run = make_run(
        tmp_path / "run",
        claims=[claim | {"as_expected": False}],
        figures={"curves": evil},
        config=CONFIG | {"text": evil},
        description=f"{evil}\n\n{evil}",
        experiment=evil,
        file=evil,
        arg=evil,
        sweep={"seed": [evil]},
        environment={"device": evil, "cores": 2},
        members=7,
    )
    extra = {"member": 6, "overrides": {"text": evil}, "seconds": 1.0, "result": {evil: evil}}
    append_member(run, extra)
    for path in (
        write_report(run),
        compare_report([run, make_run(tmp_path / "b")], tmp_path / "c"),
    ):
        page = read(path)
        assert len(page.all("script")) == 1
        assert all("onerror" not in image for image in page.all("img"))
        assert evil in page.text


@pytest.mark.parametrize(
    "name",
    ["config.json", "members.jsonl", "claims.json", "figures.json", "figures/gradient_curves.png"],
)
def test_a_missing_file_is_named(tmp_path, name):
    run = make_run(tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(run)
    assert (run / "report.html").read_text() == "an old page"


def test_a_broken_file_is_named(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "figures/gradient_curves.png").write_bytes(png(width=5.0))
    with pytest.raises(UserError, match=r"gradient_curves\.png is not what was written"):
        write_report(run)
    (run / "figures/gradient_curves.png").write_bytes(b"GIF89a" + bytes(99))
    with pytest.raises(UserError, match=r"gradient_curves\.png is not a PNG"):
        write_report(run)
    json_files.write_json(run / "claims.json", [{"statement": "no more"}])
    with pytest.raises(UserError, match=r"claims\.json"):
        write_report(run)


def test_the_page_is_replaced_at_once(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    before = write_report(run).read_bytes()
    json_files.write_json(run / "claims.json", [])
    run_files.write_digests(run)

    def full(*paths):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert write_report(run).read_bytes() != before


def test_a_run_without_claims_figures_and_sweep(tmp_path):
    run = make_run(tmp_path / "run", claims=[], figures={}, sweep={}, description="")
    (run / "members.jsonl").write_bytes(b"")
    for name in ("report.html", "digests.json"):  # none of its members is finished
        (run / name).unlink()
    page = read(write_report(run))
    assert "makes no claims" in page.text
    assert "No figures were drawn" in page.text
    assert "0 of 6" in page.text


UNDECIDED = HOLDS | {"verdict": "undecided", "measured": "no members"}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([HOLDS, REFUTED], "Every verdict is the one that the experiment’s file expects."),
        ([UNDECIDED] * 6, "No claim is decided: the reasons stand beside them."),
        (
            [HOLDS, UNDECIDED, REFUTED],
            "1 of 3 claims is undecided; every other verdict is the one that the experiment’s "
            "file expects.",
        ),
        ([HOLDS, UNDECIDED | {"as_expected": False}], None),
    ],
)
def test_verdicts_count_as_expected_only_where_they_are(tmp_path, claims, said):
    page = read(write_report(make_run(tmp_path / "run", claims=claims)))
    sentences = ("Every verdict", "No claim is decided", "every other verdict")
    assert [s for s in sentences if s in page.text] == [s for s in sentences if s in (said or "")]
    assert said is None or said in page.text


def test_a_description_is_not_told_of_a_run_that_changes_the_config(tmp_path):
    """Prose on the Mackey–Glass series stood over forecasts of another file."""
    about = {"description": "The Mackey–Glass series.\n\nMeasured: 0.02."}
    usual = write_report(make_run(tmp_path / "usual", **about)).read_text("utf-8")
    assert "The Mackey–Glass series." in usual.partition("<details>")[0]
    changes = {"config": {"task.noise": 0.5, "task.lags": [3]}, "sweep": True}
    page = write_report(make_run(tmp_path / "mine", changes=changes, **about)).read_text("utf-8")
    before, _, details = page.partition("<details>")
    assert "Mackey" not in before
    assert "its default config and sweep, not of this run" in details
    assert "The Mackey–Glass series." in details
    text = " ".join(read(tmp_path / "mine" / "report.html").text.split())
    assert "task.noise 1e-05 (default: 0.5)" in text
    assert "task.lags (1, 2) (default: (3,))" in text
    assert "The sweep is not the experiment’s own" in text


def test_a_sample_of_the_test_set_is_named(tmp_path):
    assert "a sample" not in read(write_report(make_run(tmp_path / "all"))).text
    run = make_run(tmp_path / "run", members=len(NORMS) + 3)
    scored = {"scored": 1000, "held_out": 4628, "scored_unit": "sequences"}
    whole = scored | {"scored": 4628}
    for index, result in enumerate((scored, scored, whole)):
        line = {"member": len(NORMS) + index, "overrides": {}, "seconds": 1.0, "result": result}
        append_member(run, line)
    assert "1,000 of 4,628 sequences, a sample" in read(write_report(run)).text


EXPERIMENT = '''
"""One."""
from ml_collections import ConfigDict

def get_config(arg=None):
    return ConfigDict({"task": {"lags": (1, 2), "names": ("a",), "noise": 0.5, "path": "",
        "shuffle": True}, "cell": {"name": "rnn"}, "init": {"w_h": "normal"}, "seed": 0}).lock()

def get_sweep(config):
    return {"cell.name": ["rnn", "lstm"], "seed": range(2)}

def run(config, key, log): return {}
def figures(table): return {}
def claims(table): return []
'''


def test_the_full_command_makes_the_same_run(tmp_path, capsys):
    source = tmp_path / "one file.py"
    source.write_text(EXPERIMENT)
    one = load_experiment(source)
    changes = {"task.path": "a b/$x'y.csv", "task.lags": (3,), "task.noise": 1e-9}
    changes |= {"task.shuffle": False, "init.w_h": "normal(std=0.1, mean=2)"}
    axes = {"cell.name": ["gru(a=1, b=2)", "a,b", ""], "seed": [3], "task.names": [("b", "c")]}
    plan = make_plan(one, sweep.apply(one.get_config(), changes), sweep=axes)
    page = write_report(make_run(tmp_path / "run", **plan.identity, file=str(source)))
    command = html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", page.read_text("utf-8"), re.S)[-1])
    command = command.replace("\\\n", "")  # as a shell does, and shlex does not
    assert cli.main([*shlex.split(command)[1:], "--dry_run"]) == 0
    assert str(plan.run_dir) in capsys.readouterr().out


# ---------------------------------------------------------------------------------- comparisons


def test_compare_shows_what_differs(tmp_path):
    bigger = CONFIG | {"cell": {"name": "rnn", "hidden_size": 64}}
    other = HOLDS | {"verdict": "undecided", "measured": "no members"}
    figures = {"gradient_curves": "Here too.", "spectrum": "Only here."}
    a = make_run(tmp_path / "a")
    environment = {"python": "3.13.1", "device": "cpu", "cores": 2}
    b = make_run(
        tmp_path / "b", config=bigger, claims=[other], figures=figures, environment=environment
    )
    out = compare_report([a, b], tmp_path / "deep" / "compare.html")
    page = read(out)
    assert out == tmp_path / "deep" / "compare.html"
    assert "cell.hidden_size 8 64" in page.text
    assert "python 3.11.7 3.13.1" in page.text
    for same in ("init.w_h", "cell.name", "device"):
        assert same not in page.text
    assert page.text.count("verdicts differ") == 1
    assert page.text.count("not claimed") == 1  # REFUTED, by b
    assert "? undecided" in page.text
    assert len(page.all("img")) == 3
    assert page.text.count("not drawn in this run") == 1


def test_compare_lays_learning_curves_over_each_other(tmp_path):
    records = [{"step": s, "train_loss": 1 / s, "loss": 2 / s} for s in (1, 2)]
    a, b = (make_run(tmp_path / name, logged=records) for name in "ab")
    c = make_run(tmp_path / "c")
    page = read(compare_report([a, b], tmp_path / "ab.html"))
    assert "Learning curves" in page.text
    assert len(page.all("img")) == 3
    assert "Learning curves" not in read(compare_report([a, c], tmp_path / "ac.html")).text


def test_compare_matches_claims_of_one_statement_by_source_and_place(tmp_path):
    again = HOLDS | {"measured": "the second time"}
    sourced = HOLDS | {"source": "elsewhere"}
    a = make_run(tmp_path / "a", claims=[HOLDS, again, sourced])
    b = make_run(tmp_path / "b", claims=[sourced, HOLDS, again])
    page = read(compare_report([a, b], tmp_path / "c.html"))
    assert "not claimed" not in page.text
    assert "the second time ✓ holds the second time" in page.text
    assert page.text.count("✓ holds") == 6


def test_compare_of_equal_configs_and_names(tmp_path):
    a, b = make_run(tmp_path / "x" / "run"), make_run(tmp_path / "y" / "run")
    page = read(compare_report([a, b], tmp_path / "c.html"))
    assert "Nowhere: the runs have the same config and sweep." in page.text
    assert str(a) in page.text
    assert str(b) in page.text


def test_compare_needs_two_finished_runs(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    with pytest.raises(UserError, match="two run directories or more, got 1"):
        compare_report([a], tmp_path / "c.html")
    with pytest.raises(UserError, match=r"b is given twice: a comparison takes different runs"):
        compare_report([a, b, tmp_path / "x" / ".." / "b"], tmp_path / "c.html")
    (b / "claims.json").unlink()
    with pytest.raises(UserError, match=r"b is not a finished run: it has no claims\.json"):
        compare_report([a, b], tmp_path / "c.html")


# ------------------------------------------------------------------------------------ in Chromium


# A browser's window cannot be as narrow as a phone, but a frame in it can.
PHONE = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<iframe width="360" height="800" style="border:0" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const shown = {{...page.documentElement.dataset, inner: page.defaultView.innerWidth}};
  const column = () => [...page.querySelectorAll("[data-sortable] tbody tr")].map(
    row => row.cells[3].textContent);
  const th = page.querySelector("th[data-column=norm]");
  if (th) for (const way of ["first", "second"]) {{
    th.querySelector("button").click();
    shown[way] = [th.getAttribute("aria-sort"), ...column()];
  }}
  const image = page.querySelector("img"), before = image.clientWidth;
  image.click();
  shown.zoomed = image.clientWidth - before;
  shown.overflowZoomed = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  document.body.innerHTML = "<pre>" + JSON.stringify(shown) + "</pre>";
}});</script>
"""


def dump(url: str, profile: Path) -> str:
    """The page after loading; any line on the console is a failure."""
    done = subprocess.run(
        [
            BROWSER,
            *FLAGS,
            "--enable-logging=stderr",
            "--v=0",
            "--window-size=1280,800",
            f"--user-data-dir={profile}",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, "\n".join(console)
    return done.stdout


def on_a_phone(path: Path) -> dict:
    wrapper = path.with_name("phone.html")
    wrapper.write_text(PHONE.format(page=html.escape(path.read_text("utf-8"))), "utf-8")
    dumped = re.search(r"<pre>(.*?)</pre>", dump(wrapper.as_uri(), path.parent / "profile"))
    assert dumped, "the page did not load"
    return json.loads(html.unescape(dumped[1]))


@pytest.fixture
def wide_run(tmp_path):
    """A run whose figures, columns, names and words are all too wide for a phone."""
    long = "w" * 120
    run = make_run(
        tmp_path / "run",
        experiment="gradient_vanishing_" + "x" * 60,
        claims=[HOLDS, REFUTED | {"statement": long, "measured": long, "as_expected": False}],
        figures={"one": f"First. {long}", "two": "Second."},
        config=CONFIG | {"key_" * 20: "orthogonal(gain=0.9)" * 8},
        description=f"What is left {long}.\n\n    rnnlab run {long}\n\nSet --config.{long}=1.",
        environment={"device": "cpu", "cores": 2, "platform": long},
    )
    (run / "figures/two.png").write_bytes(png(width=12))
    run_files.write_digests(run)
    return run


@in_browser
def test_report_on_a_phone(wide_run):
    shown = on_a_phone(write_report(wide_run))
    assert shown["inner"] == 360
    assert (shown["drawn"], shown["images"]) == ("2", "2")
    assert int(shown["overflow"]) <= 0
    assert shown["zoomed"] > 0
    assert shown["overflowZoomed"] <= 0
    by_value = ["-inf", "-20.25", "-3.5", "1e-09", "7", "nan"]
    assert shown["first"] == ["ascending", *by_value]
    assert shown["second"] == ["descending", *by_value[4::-1], "nan"]


@in_browser
def test_comparison_on_a_phone(wide_run, tmp_path):
    other = make_run(tmp_path / ("other" * 20), figures={"one": "First."})
    shown = on_a_phone(compare_report([wide_run, other], tmp_path / "compare.html"))
    assert shown["inner"] == 360
    assert (shown["drawn"], shown["images"]) == ("3", "3")
    assert int(shown["overflow"]) <= 0


@in_browser
def test_the_address_can_ask_for_an_order(tmp_path):
    path = write_report(make_run(tmp_path / "run"))
    page = Page(dump(path.as_uri() + "#sort=-norm", tmp_path / "profile"))
    norms = [float(norm) for norm in page.column("norm")]
    assert norms[:5] == sorted(norms[:5], reverse=True)
    assert math.isnan(norms[5])
    order = {th["data-column"]: th["aria-sort"] for th in page.all("th") if "aria-sort" in th}
    assert order["norm"] == "descending"
    assert order["seconds"] == "none"
    by_name = Page(dump(path.as_uri() + "#sort=cell.name", tmp_path / "profile"))
    assert by_name.column("cell.name") == ["lstm"] * 3 + ["rnn"] * 3
    assert by_name.column("member") == ["3", "4", "5", "0", "1", "2"]  # equal ones stay in order
