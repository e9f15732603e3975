"""Names of runs beside each other."""

import pytest

from rnnlab.report.run_names import run_names


@pytest.mark.parametrize(
    ("differing", "names"),
    [
        (
            [("cell.name", ["rnn", "gru", "gru"]), ("seed", [0, 0, 1])],
            ["cell.name=rnn, seed=0", "cell.name=gru, seed=0", "cell.name=gru, seed=1"],
        ),
        ([("a", [1, 1, 1.5]), ("b", [1, 2, 3]), ("c", ["x", "y", "z"])], ["b=1", "b=2", "b=3"]),
        (
            [("sweep: cell.name", ["rnn, lstm", "gru", "rnn"])],
            ["cell.name=rnn, lstm", "cell.name=gru", "cell.name=rnn"],
        ),
        ([("a", [1, 1, 2])], ["a=1 (x)", "a=1 (y)", "a=2"]),
        ([], ["x", "y", "z"]),
        (
            [("a", ["w" * 60 + "1", "w" * 60 + "2", "v"])],
            [f"a={'w' * 39}… (x)", f"a={'w' * 39}… (y)", "a=v"],
        ),
    ],
)
def test_runs_are_named_by_the_fewest_keys_that_tell_them_apart(differing, names):
    assert run_names(differing, ["x", "y", "z"]) == names
