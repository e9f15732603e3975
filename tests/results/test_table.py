"""The table of members as a pandas DataFrame, against loops over the members."""

import math

import numpy as np

from rnnlab.results.table import Member, Table


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
    assert np.array_equal(frame["norm"].to_numpy(), TABLE.stack("norm"))


def test_groups_of_a_frame_are_the_groups_of_the_table():
    medians = TABLE.to_frame().groupby("cell.name")["norm"].median()
    for cell, members in TABLE.group_by("cell.name").items():
        assert medians[cell] == np.median(members.stack("norm"))


def test_a_result_named_like_a_config_key_has_a_column_of_its_own():
    (row,) = Table([Member(0, {}, {"seed": 7}, 0.1, {"seed": 3})]).to_frame().to_dict("records")
    assert (row["seed"], row["result.seed"]) == (7, 3)


def test_a_selection_without_members_keeps_the_columns_of_the_config():
    frame = TABLE.select(seed=9).to_frame()
    assert len(frame) == 0
    assert list(frame.columns) == ["cell.name", "task.lags", "seed", "seconds"]
