"""One recurrent layer to be timed, for sides of any library: its config, weights and inputs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from rnnlab.core import validate

Blocks = dict[str, np.ndarray]  # of a cell, by name


class Case(NamedTuple):
    """The inputs of every side.

    Args:
        blocks: parameters by our names: "W_xi" (D, H), "W_hi" (H, H), "b_i" (H,).
        xs: (B, T, D).
        weights: of the outputs in the loss, whose gradient is taken: (B, T, H).
    """

    blocks: Blocks
    xs: np.ndarray
    weights: np.ndarray


def parse_size(size: str) -> tuple[int, int, int, int]:
    """Return (B, T, D, H) of a size "BxTxDxH".

    Raises:
        ValueError: any other text.

    >>> parse_size("32x100x64x128")
    (32, 100, 64, 128)
    """
    try:
        B, T, D, H = (int(part) for part in size.split("x"))
    except ValueError:
        raise ValueError(f"task.size must be BxTxDxH, four whole numbers, got {size!r}") from None
    for letter, number in zip("BTDH", (B, T, D, H), strict=True):
        validate.whole(f"{letter} of task.size", number)
    return B, T, D, H


def layer_config(
    size: str, *, full: bool, rounds: int, seconds: float, seconds_per_member: float
) -> ConfigDict:
    """Return the config of a benchmark of one layer, swept over cells and sizes.

    Args:
        size: "BxTxDxH".
        full: whether everything is measured, in new processes each round.
        rounds: rounds in which each side has a turn, at least 5.
        seconds: for which a turn times each pass.
        seconds_per_member: estimated seconds per member, for ``--dry_run``.

    >>> layer_config("8x1x8x8", full=False, rounds=5, seconds=1, seconds_per_member=2).task.size
    '8x1x8x8'
    """
    config = ConfigDict(
        {
            "seed": 0,
            "cell": {"name": "lstm"},
            "task": {"size": size},  # batch, steps, features and units, as in 32x100x64x128
            "run": {
                "full": full,  # whether all is measured, in new processes each round
                "rounds": rounds,  # in each of which every side has a turn in its process
                "seconds": seconds,  # for which a turn times each pass, back to back
                "seconds_per_member": seconds_per_member,
                "seconds_per_group": 0.0,
            },
        }
    )
    return config.lock()


def draw(size: str, gates: Sequence[str], seed: int, biases: Sequence[str] = ()) -> Case:
    """Draw a case by NumPy, so that no side has another library's arrays in its process.

    The recurrent blocks are orthogonal times 0.9, the others Xavier's, uniform. Biases are random
    too: a side that has lost one must not go unseen.

    Args:
        size: "BxTxDxH".
        gates: the cell's, by the letters of its blocks: "ifco".
        seed: of the draws.
        biases: names of further biases (H,), such as "b_hn".

    >>> sorted(draw("2x3x4x5", "h", 0).blocks)
    ['W_hh', 'W_xh', 'b_h']
    """
    B, T, D, H = parse_size(size)
    rng = np.random.default_rng(seed)
    blocks = {}
    for gate in gates:
        limit = (6 / (D + H)) ** 0.5
        blocks[f"W_x{gate}"] = rng.uniform(-limit, limit, (D, H))
        blocks[f"W_h{gate}"] = 0.9 * np.linalg.qr(rng.normal(size=(H, H)))[0]
        blocks[f"b_{gate}"] = 0.1 * rng.normal(size=H)
    blocks |= {name: 0.1 * rng.normal(size=H) for name in biases}
    xs, weights = rng.normal(size=(B, T, D)), rng.normal(size=(B, T, H))
    return Case(
        {name: block.astype(np.float32) for name, block in blocks.items()},
        xs.astype(np.float32),
        weights.astype(np.float32),
    )
