"""Which engine ``engine="auto"`` means, and the measurements behind it."""

import jax

from rnnlab.nn.cells import Cell
from rnnlab.nn.engines import fused

# platform: the fastest engine in training, for the cells that it runs.
#
# "cpu": experiments/benchmarks/speed_engines.py, 2 cores, jax 0.10.2, float32: RNN, LSTM and both
# GRUs at seven shapes B x T x D x H from 8x10x8x8 to 128x35x512x512. Forward + backward, scan takes
# 1.0 to 4.6 times as long as fused in all 28 cases, whatever T and H. Newton is behind fused in all
# of them (1.24 against 1.08 times scan where it comes closest), and at T up to 100,000 too
# (experiments/benchmarks/speed_long.py). So there is no crossover. Members of a sweep are mapped
# one after another on CPUs and change nothing. Forward alone, fused takes 0.66 to 2.9 times as long
# as scan.
#
# Other platforms have not been measured.
TABLE = {"cpu": "fused"}
OTHERWISE = "fused"


def choose(cell: Cell, *, taps: tuple[str, ...] = ()) -> str:
    """Return the table's engine for this platform if it runs this cell, else "scan".

    >>> from rnnlab import LSTM
    >>> choose(LSTM(4)), choose(LSTM(4), taps=("f",)), choose(LSTM(4, norm="layer"))
    ('fused', 'scan', 'scan')
    """
    engine = TABLE.get(jax.default_backend(), OTHERWISE)
    return engine if engine != "fused" or fused.supports(cell, taps) else "scan"
