"""The table of results, against pandas; what it refuses; how it fits a terminal."""

import io
import math

import numpy as np
import pandas as pd
import pytest

from rnnlab.core import terminal
from rnnlab.core.errors import UserError
from rnnlab.core.metrics import Metric
from rnnlab.results.summary import summarize, to_csv
from rnnlab.results.table import Member, Table
from rnnlab.results.text_table import format_summary

CELLS, LENGTHS, SEEDS = ("rnn", "lstm", "gru"), (10, 20), range(4)
LOSS = Metric("loss", "nats", "lower")


def made(seeds=SEEDS, **more) -> Table:
    """Cells x lengths x seeds with random results, the seeds first."""
    rng = np.random.default_rng(3)
    keys = [(c, t, s) for s in seeds for c in CELLS for t in LENGTHS]
    return Table(
        Member(
            index,
            {"cell.name": c, "task.length": t, "seed": s},
            {
                "cell": {"name": c, "bias": "1.0" if c == "lstm" else ""},
                "task": {"length": t},
                "run": {"seeds": 4},
                "seed": s,
            },
            rng.uniform(1, 2),
            {
                "status": "finished",
                "steps": 40,
                "loss": rng.uniform(0.5, 2),
                "accuracy": rng.uniform(),
                "curve": [0.5, index],
                **more,
            },
        )
        for index, (c, t, s) in enumerate(keys)
    )


TABLE = made()


def test_rows_are_medians_and_ranges_over_seeds():
    summary = summarize(TABLE, [LOSS])
    grouped = TABLE.to_frame().groupby(["cell.name", "task.length"])
    assert summary.axes == ["cell.name", "task.length"]
    assert [tuple(row.values.values()) for row in summary.rows] == [
        (c, t) for c in CELLS for t in LENGTHS
    ]
    for name in ("loss", "accuracy", "seconds"):
        for row in summary.rows:
            values = grouped[name].get_group(tuple(row.values.values()))
            expected = (values.median(), values.min(), values.max())
            assert row.cells[name][:3] == pytest.approx(expected, rel=1e-12)
            assert row.cells[name].members == row.members == 4
    assert summary.shown == ["loss", "accuracy", "seconds"]  # the rest is equal in all rows
    assert summary.same["status"] == "finished"
    assert summary.same["steps"].median == 40


def test_the_best_is_marked_where_better_is_known_and_per_task():
    summary = summarize(TABLE, [LOSS])
    medians = TABLE.to_frame().groupby(["cell.name", "task.length"], sort=False)
    loss, accuracy = medians["loss"].median(), medians["accuracy"].median()
    places = {key: place for place, key in enumerate(loss.index)}
    for name, series, best in (("loss", loss, "idxmin"), ("accuracy", accuracy, "idxmax")):
        keys = [getattr(series.xs(t, level=1, drop_level=False), best)() for t in LENGTHS]
        assert summary.best[name] == {places[key] for key in keys}
    assert summary.within == ["task.length"]
    assert summary.best["seconds"] == set()
    equal = Table(Member(i, {}, {"a": i}, 0.5, {"loss": 1.0}) for i in range(2))
    assert summarize(equal, [LOSS]).best["loss"] == set()


def test_nan_counts_as_worst_and_is_never_best():
    values = {"a": [math.nan, 1.0, 2.0], "b": [math.nan] * 3, "c": [1.5, 1.5, 1.5]}
    table = Table(
        Member(i, {"name": n}, {"name": n, "seed": s}, 0.5, {"loss": v, "accuracy": v})
        for i, (n, s, v) in enumerate((n, s, v) for n in values for s, v in enumerate(values[n]))
    )
    summary = summarize(table, [LOSS])
    a, b, c = (row.cells for row in summary.rows)
    assert a["loss"][:2] == (2.0, 1.0)
    assert math.isnan(a["loss"].highest)
    assert a["accuracy"][::2] == (1.0, 2.0)  # median, highest: where higher is better
    assert math.isnan(a["accuracy"].lowest)
    assert all(map(math.isnan, b["loss"][:3]))
    assert summary.best["loss"] == summary.best["accuracy"] == {2}
    assert c["loss"][:3] == (1.5, 1.5, 1.5)


def test_a_diverged_member_is_the_worst_whatever_its_last_score():
    """Its score is of the parameters before; a rate at which all diverge is never the best."""
    table = made()
    for member in table:
        if member.config["cell"]["name"] == "rnn":
            member.result.update(status="diverged", loss=1e-6, steps=3)
    summary = summarize(table, [LOSS])
    cells = [row.cells for row in summary.rows]
    rows = [row.values["cell.name"] for row in summary.rows]
    assert all(
        math.isnan(c["loss"].median) == (r == "rnn") for c, r in zip(cells, rows, strict=True)
    )
    assert all(c["steps"].median == 3 for c, r in zip(cells, rows, strict=True) if r == "rnn")
    assert all(rows[place] != "rnn" for place in summary.best["loss"])


def test_only_seeds_are_folded():
    with pytest.raises(UserError, match=r"task\.length \(10, 20\).*--by=cell\.name,task\.length$"):
        summarize(TABLE, by=["cell.name"])
    with pytest.raises(UserError, match=r"unknown axis 'cell\.nam'.*'cell\.name'"):
        summarize(TABLE, by=["cell.nam"])
    rows = summarize(TABLE, by=["task.length", "cell.name", "seed"]).rows
    assert len(rows) == len(TABLE)
    assert [r.values["seed"] for r in rows[:5]] == [0, 1, 2, 3, 0]
    one = TABLE.select({"task.length": 10})
    assert [r.members for r in summarize(one, by=["cell.name"]).rows] == [4, 4, 4]


def test_members_without_the_key_of_a_row_are_not_folded():
    """rnnlab once showed two settings of an experiment without cells as two seeds."""
    configs = [{"cell": {"name": "gru"}, "seed": 0}, {"n": 2, "seed": 0}, {"n": 3, "seed": 0}]
    table = Table(Member(i, {}, c, 1.0, {"loss": 0.5 + i}) for i, c in enumerate(configs))
    with pytest.raises(UserError, match=r"differ in n \(.*2, 3\).*--by=cell\.name,n$"):
        summarize(table, by=["cell.name"])
    rows = summarize(table, by=["cell.name", "n"]).rows
    assert [row.cells["loss"].median for row in rows] == [0.5, 1.5, 2.5]


def test_what_follows_from_an_axis_is_no_axis():
    tied = Table(
        Member(i, {"cell": c, "bias": b, "seed": s}, {"cell": c, "bias": b, "seed": s}, 1.0, {})
        for i, (c, b, s) in enumerate((c, b, s) for c, b in (("a", ""), ("b", "1")) for s in (0, 1))
    )
    summary = summarize(tied)
    assert (summary.axes, summary.follow) == (["cell"], ["bias"])
    assert [row.members for row in summary.rows] == [2, 2]
    frame = pd.read_csv(io.StringIO(to_csv(summary)), keep_default_na=False)
    assert frame[["cell", "bias"]].values.tolist() == [["a", ""], ["b", "1"]]


def test_results_that_are_no_numbers():
    results = [
        {"status": "finished", "overflow": False},
        {"status": "diverged", "overflow": True, "at": 3},
        {"status": "finished", "overflow": False},
    ]
    table = Table(Member(s, {}, {"seed": s}, 1.0, r) for s, r in enumerate(results))
    (row,) = summarize(table).rows
    assert row.cells["status"] == "2 finished, 1 diverged"
    assert row.cells["overflow"] == "2 False, 1 True"
    assert row.cells["at"].members == 1
    assert "3 (1 of 3)" in format_summary(summarize(table), "x", "x", width=80)
    curves = Table(Member(i, {}, {"a": i}, 1.0, {"norms": [1.0, 0.5 + i]}) for i in range(2))
    assert [row.cells["norms[-1]"].median for row in summarize(curves).rows] == [0.5, 1.5]
    with pytest.raises(UserError, match=r"curve is a list.*to_frame\(\)"):
        summarize(TABLE, names=["curve"])
    with pytest.raises(UserError, match=r"unknown result 'los'.*'loss'"):
        summarize(TABLE, names=["los"])
    with pytest.raises(UserError, match="no member is finished"):
        summarize(Table([]))


def test_csv_has_every_number_in_full():
    frame = pd.read_csv(io.StringIO(to_csv(summarize(TABLE, [LOSS]))))
    grouped = TABLE.to_frame().groupby(["cell.name", "task.length"], sort=False)["loss"]
    expected = pd.DataFrame({"loss": grouped.median(), "lowest": grouped.min()}).reset_index()
    assert frame["cell.name"].tolist() == expected["cell.name"].tolist()
    np.testing.assert_allclose(frame["loss"], expected["loss"], rtol=1e-15)
    np.testing.assert_allclose(frame["loss.lowest"], expected["lowest"], rtol=1e-15)
    np.testing.assert_allclose(frame["loss.highest"], grouped.max().tolist(), rtol=1e-15)
    assert frame["members"].tolist() == [4] * 6
    assert set(frame["status"]) == {"finished"}
    only = to_csv(summarize(TABLE, [LOSS]), ["accuracy"]).splitlines()[0]
    assert only == "cell.name,task.length,members,accuracy,accuracy.lowest,accuracy.highest"


# ---- in a terminal -----------------------------------------------------------------------------


def text(table=TABLE, width=100, **options) -> str:
    """The table as a terminal shows it."""
    return format_summary(
        summarize(table, [LOSS]), "title", "rnnlab table DIR", width=width, **options
    )


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_left_out_in_silence(width):
    lines = text(made(perplexity=2.5, bits=1.5), width).splitlines()
    assert max(map(terminal.width, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    for name in ("loss", "accuracy", "seconds", "perplexity 2.5", "bits 1.5"):
        assert name in whole
    assert ("not shown: " in whole) == (width < 200)
    assert whole.startswith("title: median [lowest, highest] over 4 seeds; * best for each")


def test_units_and_the_best_stand_in_the_table():
    lines = text(width=200).splitlines()
    assert "(nats)" in lines[3]
    starred = [line.split()[0] for line in lines[4:10] if line.split()[5] == "*"]
    loss = TABLE.to_frame().groupby(["task.length", "cell.name"])["loss"].median()
    assert sorted(starred) == sorted(loss[t].idxmin() for t in LENGTHS)


def test_many_rows_are_cut_with_a_line_that_says_so():
    table = Table(
        Member(i, {"n": i}, {"n": i, "seed": 0}, 1.0, {"loss": 50.0 - i}) for i in range(40)
    )
    lines = text(table, most_rows=5).splitlines()
    assert "34 more rows: rnnlab table DIR" in lines
    assert [line.split()[0] for line in lines if line[:1].isdigit()][:5] == list("01234")
    (best,) = (line for line in lines if line.endswith("*"))  # is shown, wherever it stands
    assert best.split()[:2] == ["39", "11"]
    assert "more row" not in text(table)


def test_one_row_is_a_line_per_result():
    lines = text(TABLE.select({"cell.name": "rnn", "task.length": 10})).splitlines()
    assert lines[2].startswith("loss ")
    assert lines[2].endswith(" nats")
    assert "*" not in "".join(lines)


def test_colors_are_outside_of_the_text():
    colored = text(paint=terminal.color)
    assert "\033[32;1m" in colored
    codes = ("bold", "dim", "good")
    plain = colored
    for style in codes:
        plain = plain.replace(terminal.color("x", style).split("x")[0], "")
    assert plain.replace("\033[0m", "") == text()
