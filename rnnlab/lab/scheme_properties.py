"""Properties that every initialization scheme has, ours and registered ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.lab.properties import Broken, Property, Skipped, expect_equal, expect_finite, identical
from rnnlab.nn.initializers import make

Array = jax.Array
H = 16  # units: enough for every shipped scheme
SHAPES = {"W_xh": (3, H), "W_hh": (H, H), "b_h": (H,)}  # what cells draw
_FEW = 0.5  # share of distinct values below which a constant draw is no sign of a fixed seed


def of_scheme(name: str) -> list[Property]:
    """Return the properties of a scheme, in order.

    Args:
        name: with options or without: "orthogonal(gain=0.9)".
    """
    of = _Scheme(name)
    return [
        Property("shapes", "It draws what is asked for.", of.shapes, basic=True),
        Property("dtype", "It draws the dtype that is asked for.", of.dtype),
        Property("finite", "Every entry is finite.", of.finite),
        Property("key", "The draw depends on the key, and on nothing else.", of.key),
        Property("jit", "The compiled draw agrees with it.", of.compiled),
    ]


class _Scheme:
    """One scheme, with the blocks of a cell that it can draw."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shown: dict[str, tuple[int, ...]] = {}

    def draw(self, shape: tuple[int, ...], seed: int = 0, dtype: Any = jnp.float32) -> Array:
        """Draw a block, as cells do."""
        return make(self.name, H)(jax.random.key(seed), shape, dtype)

    def shapes(self) -> None:
        refused = []
        for block, shape in SHAPES.items():
            try:
                drawn = self.draw(shape)
            except ValueError as error:  # as an identity refuses a bias
                refused.append(f"{block} {shape}: {error}")
                continue
            got = getattr(drawn, "shape", None)
            if got != shape:
                found = f"shape {got}" if got is not None else type(drawn).__name__
                raise Broken(f"asked for {block} of shape {shape}, it draws {found}")
            self.shown[block] = shape
        if not self.shown:
            raise Broken(f"it draws no block of a cell: {'; '.join(refused)}")
        for block, shape in self.shown.items():  # the dtype may be left out
            make(self.name, H)(jax.random.key(0), shape)
            del block

    def dtype(self) -> None:
        with jax.enable_x64(True):
            for shape in self.shown.values():
                for dtype in (jnp.float32, jnp.float64):
                    got = self.draw(shape, dtype=dtype).dtype
                    if got != dtype:
                        raise Broken(
                            f"asked for {np.dtype(dtype).name}, it draws {got}: pass dtype on"
                        )

    def finite(self) -> None:
        for block, shape in self.shown.items():
            expect_finite(self.draw(shape), block)

    def key(self) -> None:
        for block, shape in self.shown.items():
            drawn = self.draw(shape)
            expect_equal(self.draw(shape), drawn, f"the same key draws another {block}")
            if not identical(self.draw(shape, seed=1), drawn):
                return
        values = np.concatenate([np.ravel(self.draw(shape)) for shape in self.shown.values()])
        if len(np.unique(values)) > _FEW * values.size:
            raise Broken(
                "every key draws the same numbers, so that all seeds share one network: draw with "
                "jax.random and the key"
            )
        raise Skipped("every key draws the same: it is no random scheme")

    def compiled(self) -> None:
        scheme = make(self.name, H)
        for block, shape in self.shown.items():
            drawn = jax.jit(lambda key, shape=shape: scheme(key, shape, jnp.float32))(
                jax.random.key(0)
            )
            expect_equal(drawn, self.draw(shape), f"jax.jit of {block}", 1e-5)
