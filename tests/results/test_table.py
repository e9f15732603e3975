"""The table of members: selections, groups, and the pandas DataFrame against loops."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.core import json_files, run_files
from rnnlab.core.errors import Pooled, Undecided
from rnnlab.results.table import Member, Table, read_table


def member(index: int, cell: str, seed: int, **result: object) -> Member:
    config = {"cell": {"name": cell}, "task": {"lags": (1, 2)}, "seed": seed}
    return Member(index, {"cell.name": cell, "seed": seed}, config, 0.5 + index, dict(result))


TABLE = Table(
    member(4 * i + s, cell, s, norm=-math.inf if s else float(i), curve=[i, s])
    for i, cell in enumerate(("rnn", "lstm"))
    for s in range(3)
)


def test_a_frame_has_a_row_per_member_and_a_column_per_value():
    frame = TABLE.to_frame()
    assert frame.index.tolist() == [m.index for m in TABLE]
    assert frame.index.name == "member"
    assert list(frame.columns) == ["cell.name", "task.lags", "seed", "norm", "curve", "seconds"]
    assert frame["cell.name"].tolist() == ["rnn"] * 3 + ["lstm"] * 3
    assert frame["task.lags"].tolist() == [(1, 2)] * 6
    assert frame["curve"].tolist() == [m.result["curve"] for m in TABLE]
    assert frame["seconds"].tolist() == [m.seconds for m in TABLE]
    assert np.array_equal(frame["norm"].to_numpy(), TABLE.each("norm"))


def test_groups_of_a_frame_are_the_groups_of_the_table():
    medians = TABLE.to_frame().groupby("cell.name")["norm"].median()
    for cell, members in TABLE.group_by("cell.name").items():
        assert medians[cell] == np.median(members.stack("norm"))


def test_a_result_named_like_a_config_key_has_a_column_of_its_own():
    (row,) = Table([Member(0, {}, {"seed": 7}, 0.1, {"seed": 3})]).to_frame().to_dict("records")
    assert (row["seed"], row["result.seed"]) == (7, 3)


def test_a_result_named_seconds_is_kept_beside_the_time_of_the_member():
    (row,) = Table([Member(0, {}, {"seed": 7}, 0.25, {"seconds": 3})]).to_frame().to_dict("records")
    assert (row["result.seconds"], row["seconds"]) == (3, 0.25)


def test_logged_metrics_are_a_row_per_record():
    rng = np.random.default_rng(0)
    losses = rng.uniform(1, 2, (2, 3))
    table = Table(
        Member(
            index,
            {"cell.name": cell},
            {"cell": {"name": cell}, "seed": 0},
            0.5,
            {},
            tuple({"step": 10 * k, "loss": losses[index, k], "member": 9} for k in range(3)),
        )
        for index, cell in enumerate(("rnn", "gru"))
    )
    frame = table.metrics_frame()
    assert list(frame.columns) == ["member", "cell.name", "step", "loss", "metric.member"]
    assert frame["member"].tolist() == [0, 0, 0, 1, 1, 1]
    assert frame["cell.name"].tolist() == ["rnn"] * 3 + ["gru"] * 3
    assert frame["step"].tolist() == [0, 10, 20] * 2
    assert np.array_equal(frame["loss"].to_numpy(), losses.ravel())
    without = Table([Member(0, {}, {}, 0.5, {}, ({"loss": 1.0}, {"loss": 2.0}))]).metrics_frame()
    assert without["step"].tolist() == [0, 1]
    assert list(Table([]).metrics_frame().columns) == ["member", "step"]


def test_a_selection_without_members_keeps_the_columns_of_the_config():
    frame = TABLE.select(seed=9).to_frame()
    assert len(frame) == 0
    assert list(frame.columns) == ["cell.name", "task.lags", "seed", "seconds"]


@pytest.fixture
def table() -> Table:
    cells = [(c, s) for c in ("rnn", "lstm", "gru") for s in range(2)]
    return Table(
        member(i, c, s, norm=float(i), curve=[i, -math.inf]) for i, (c, s) in enumerate(cells)
    )


def test_select_matches_the_whole_config(table):
    chosen = table.select(**{"cell.name": ("rnn", "gru")}, seed=1)
    assert [m.index for m in chosen] == [1, 5]
    assert [m.index for m in table.select({"cell.name": {"lstm"}})] == [2, 3]
    assert len(table.select(seed=range(2))) == 6
    assert len(table.select({"task.lags": (1, 2)})) == 6  # the tuple itself
    assert len(table.select({"task.lags": [(1, 2), (3,)]})) == 6  # one of these tuples
    assert len(table.select({"task.lags": (2, 1)})) == 0


def test_select_refuses_a_key_that_no_member_has(table):
    with pytest.raises(KeyError, match=r"unknown config key 'cell\.nam'.*'cell\.name'") as info:
        table.select({"cell.nam": "rnn"})
    assert str(info.value).startswith("unknown")  # not the repr that a KeyError prints
    with pytest.raises(KeyError):  # an empty selection still knows the keys
        table.select(seed=9).select(sed=1)


def test_stack_of_nothing_is_undecided_and_says_what_was_selected(table):
    with pytest.raises(Undecided, match=r"no member with cell\.name=rnn, seed=9") as info:
        table.select({"cell.name": "rnn"}).select(seed=9).stack("norm")
    assert info.value.criteria == {"cell.name": "rnn", "seed": 9}
    with pytest.raises(Undecided, match="no members"):
        Table([]).stack("norm")


def test_stack(table):
    assert table.each("norm").tolist() == [0, 1, 2, 3, 4, 5]
    assert table.select({"cell.name": "gru"}).stack("norm").tolist() == [4, 5]
    curves = table.each("curve")
    assert curves.shape == (6, 2)
    assert np.isneginf(curves[:, 1]).all()
    with pytest.raises(KeyError, match=r"member 0 .*unknown result 'nrom'.*'norm'"):
        table.each("nrom")
    odd = Table([*table, member(6, "rnn", 2, norm=0.0, curve=[1])])
    with pytest.raises(ValueError, match=r"'curve' differs in shape.*\(1,\) in member 6"):
        odd.each("curve")
    ragged = Table([member(0, "rnn", 0, curve=[[1], [1, 2]])])
    with pytest.raises(ValueError, match="member 0, result 'curve'"):
        ragged.stack("curve")


RATES = Table(
    Member(i, {}, {"cell": {"name": c, "bias": b}, "rate": r, "seed": s}, 0.1, {"loss": r + s})
    for i, (c, b, r, s) in enumerate(
        (c, b, r, s)
        for c, b in (("rnn", ""), ("lstm", "1.0"))
        for r in (0.001, 0.003, 0.01)
        for s in range(5)
    )
)


def test_one_number_of_members_of_several_rates_is_refused_and_names_the_rates():
    lstm = RATES.select({"cell.name": "lstm"})
    with pytest.raises(
        Pooled, match=r"rate \(0\.001, 0\.003, 0\.01\).*--sweep\.rate=0\.001"
    ) as info:
        lstm.stack("loss")
    assert info.value.axes == {"rate": [0.001, 0.003, 0.01]}
    assert isinstance(info.value, Undecided)  # a claim that pools is undecided
    with pytest.raises(Pooled) as info:
        RATES.stack("loss")
    assert list(info.value.axes) == ["cell.name", "cell.bias", "rate"]
    with pytest.raises(Pooled):  # a slice forgets nothing
        lstm[:10].stack("loss")


def test_what_names_the_axis_may_pool_it_and_seeds_are_pooled_by_nature():
    expected = [r + s for r in (0.001, 0.003, 0.01) for s in range(5)]
    lstm = RATES.select({"cell.name": "lstm"})
    assert lstm.over("rate").stack("loss").tolist() == pytest.approx(expected)
    assert lstm.select(rate=(0.001, 0.01)).stack("loss").size == 10
    assert [t.stack("loss").size for t in lstm.group_by("rate").values()] == [5, 5, 5]
    assert lstm.each("loss").tolist() == pytest.approx(expected)
    # the bias follows from the cell that is named
    assert RATES.select({"cell.name": ("rnn", "lstm"), "rate": 0.01}).stack("loss").size == 10
    with pytest.raises(Pooled, match=r"cell\.name"):  # but the cell is not named by the rate
        RATES.select(rate=0.01).stack("loss")
    with pytest.raises(KeyError, match="unknown config key 'rat'"):
        RATES.over("rat")


def test_values_and_groups_keep_the_order(table):
    assert table.values("cell.name") == ["rnn", "lstm", "gru"]
    groups = table.group_by("cell.name")
    assert list(groups) == ["rnn", "lstm", "gru"]
    assert [m.index for m in groups["lstm"]] == [2, 3]
    assert groups["lstm"].criteria == {"cell.name": "lstm"}
    assert table[1].index == 1
    assert [m.index for m in table[4:]] == [4, 5]
    assert table.select(seed=9).values("cell.name") == []
    with pytest.raises(KeyError):
        table.group_by("cell")


def test_read_table(tmp_path: Path):
    config = {"cell": {"name": "rnn"}, "task": {"lags": (1, 2)}, "seed": 0}
    run_files.write_config(tmp_path, {"config": config, "hash": "run"})
    for i in (1, 0):  # finished in another order
        line = {
            "overrides": {"seed": i, "task.lags": [i]},
            "seconds": 0.5,
            "result": {"n": -np.inf},
        }
        logged = json_files.to_line({"member": i, "loss": math.nan})
        json_files.append_lines(tmp_path / run_files.METRICS, logged)
        line["logged"] = run_files.chained("", logged)
        run_files.append_member(tmp_path, "run", {"member": i, **line})
    unfinished = json_files.to_line({"member": 2, "loss": 1.0})
    json_files.append_lines(tmp_path / run_files.METRICS, unfinished)
    table = read_table(tmp_path)
    assert [m.index for m in table] == [0, 1]
    assert table[1].config == {"cell": {"name": "rnn"}, "task": {"lags": (1,)}, "seed": 1}
    assert table[1].result == {"n": -math.inf}
    assert len(table[1].metrics) == 1
    assert math.isnan(table[1].metrics[0]["loss"])
