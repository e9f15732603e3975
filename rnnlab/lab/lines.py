"""Lines of a comparison: named settings of a sweep, with one member per seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.core.errors import Undecided
from rnnlab.results.table import Table

_CELLS = {"rnn-tanh": "a tanh RNN", "rnn-relu": "a ReLU RNN", "rnn-identity": "a linear RNN"}
_CELLS |= {"lstm": "an LSTM", "gru": "a GRU"}


def cell_in_words(name: str) -> str:
    """Return a cell's name with its article, for a sentence; an unknown one's as it is.

    >>> cell_in_words("lstm"), cell_in_words("bi-gru"), cell_in_words("mgu")
    ('an LSTM', 'a Bi-GRU', 'mgu')
    """
    if name.startswith("bi-"):
        return f"a Bi-{cell_in_words(name[3:]).removeprefix('an ').removeprefix('a ')}"
    return _CELLS.get(name, name)


class Labels(dict[str, str]):
    """Labels of cells by their names in configs; a cell of one's own has its name as its label.

    >>> cells = Labels({"gru": "GRU", "lstm": "LSTM"})
    >>> cells["gru"], cells["mgu"]
    ('GRU', 'mgu')
    """

    def __missing__(self, name: str) -> str:
        return name

    def place(self, name: str, table: Table) -> int:
        """Return which :func:`rnnlab.plotting.plots.look` a cell has: others follow the labeled.

        Args:
            name: of the cell. table: the members that are drawn.
        """
        others = [other for other in table.values("cell.name") if other not in self]
        return [*self, *others].index(name)


class Lines(dict[str, Mapping[str, object]]):
    """Settings by the name of their line: {"LSTM": {"cell.name": "lstm"}, …}.

    A line whose name starts with "Bi-" reads both ways.
    """

    def members(self, table: Table, line: str) -> Table:
        """Return the members of a line, one per seed."""
        return table.select(self[line])

    def present(self, table: Table) -> list[str]:
        """Return the lines that a narrowed sweep still has, in order."""
        return [line for line in self if len(self.members(table, line))]

    def median(self, table: Table, line: str, result: str) -> float:
        """Return the median of a result over the seeds of a line.

        Raises:
            Undecided: no member of the line.
        """
        return float(np.median(self.members(table, line).stack(result)))

    def directions(self, table: Table) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the results of the members that read one way, and of those that read both ways.

        Raises:
            Undecided: none of either.
        """
        one_way, both_ways = (
            [
                member.result
                for line in self.present(table)
                if line.startswith("Bi-") == both
                for member in self.members(table, line)
            ]
            for both in (False, True)
        )
        if not one_way or not both_ways:
            raise Undecided("needs members one way and both ways")
        return one_way, both_ways
