"""Equal parts of a batch on the CPU devices of this process, each by another engine.

The rows of a batch meet only in the gradients of the parameters, which ``jax.shard_map`` sums over
the devices. So each core runs a loop of its own over its part, where otherwise the cores share the
small products of every step and wait for each other after each of them.

For one network that is trained alone: the members of a run use the devices already.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rnnlab.core import host, validate
from rnnlab.nn import contract
from rnnlab.nn.cells import Cell
from rnnlab.nn.engines.fused import Fused, fused
from rnnlab.nn.engines.newton import Newton, newton
from rnnlab.nn.engines.scan import scan
from rnnlab.nn.meshes import on_a_mesh
from rnnlab.nn.protocols import Stochastic

Array = jax.Array
PyTree = Any
Device = Any  # a jax.Device, which type checkers do not take for a type
Engine = Callable[..., tuple[Array, PyTree, dict[str, Array]]]

WHOLE: dict[str, Engine] = {
    "scan": scan,
    "fused": fused,
    "fused_recompute": Fused(recompute=True),
    "newton": newton,
}  # engines that run the whole batch on one device
_NAME = "engine 'fused_split'"
_ROWS, _OVER_TIME = P("batch"), P(None, "batch")  # of arrays (B, ...) and (T, B, ...)


@dataclass(frozen=True)
class Split:
    """Options of the engine: ``unroll(..., engine=Split(...))``; "fused_split" means the defaults.

    The first batch axis is split into one part per CPU device. Their number is JAX's
    ``jax_num_cpu_devices``, which has to be set before JAX is first used:
    ``jax.config.update("jax_num_cpu_devices", 2)``. Results lie on all devices, split as the batch
    is; a part's products may round differently than the whole batch's.

    Args:
        engine: runs each part: "scan", "fused", "fused_recompute", "newton", a :class:`Fused
            <rnnlab.nn.engines.fused.Fused>` or a :class:`Newton <rnnlab.nn.engines.newton.Newton>`
            without a guess.
    Raises:
        ValueError: another engine.

    >>> Split().engine
    'fused'
    """

    engine: str | Fused | Newton = "fused"

    def __post_init__(self) -> None:
        if not isinstance(self.engine, Fused | Newton):
            validate.choice("engine of Split", self.engine, WHOLE)
        elif isinstance(self.engine, Newton) and self.engine.guess is not None:
            raise ValueError("Split takes a Newton without a guess, which is of the whole batch")

    @property
    def run(self) -> Engine:
        """The engine of each part, as a function."""
        return WHOLE[self.engine] if isinstance(self.engine, str) else self.engine

    def __call__(
        self,
        cell: Cell,
        params: PyTree,
        xs: Array,
        state: PyTree,
        *,
        mask: Array | None = None,
        resets: Array | None = None,
        key: Array | None = None,
        reverse: bool = False,
        taps: tuple[str, ...] = (),
        norms: PyTree = None,
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """Run ``cell`` along the first axis of xs (T, B, ..., D), its second axis in parts.

        Arguments and results are :func:`rnnlab.nn.engines.scan.scan`'s; ``norms`` are
        :func:`rnnlab.nn.engines.fused.fused`'s.

        Raises:
            ValueError: fewer than two CPU devices, another platform; arrays that are on a mesh or
                committed to another device already; no batch axis, or one that the number of
                devices does not divide; a cell that draws noise; what the parts' engine refuses.
        """
        devices = _devices()
        over_time = {"mask": mask, "resets": resets, "norms": norms}
        given = {name: array for name, array in over_time.items() if array is not None}
        _check_placed((params, xs, state, given), devices)
        _check_batch(xs.shape, len(devices))
        contract.check_batched(cell, state, xs.shape[1:-1], f"{_NAME} needs")
        if key is not None and isinstance(cell, Stochastic) and cell.stochastic:
            raise ValueError(
                f"{_NAME} runs no cell that draws noise, for every part would draw the same, got "
                f"{cell}: use engine='scan', or deterministic=True"
            )
        mesh = Mesh(np.array(devices), ("batch",))
        return _in_parts(self.run, mesh, cell, reverse, tuple(taps), params, xs, state, given)


# compiled on its own, as scan is
@partial(jax.jit, static_argnums=range(5))
def _in_parts(
    run: Engine,
    mesh: Mesh,
    cell: Cell,
    reverse: bool,
    taps: tuple[str, ...],
    params: PyTree,
    xs: Array,
    state: PyTree,
    over_time: dict[str, PyTree],
) -> tuple[Array, PyTree, dict[str, Array]]:
    def part(
        params: PyTree, xs: Array, state: PyTree, over_time: dict[str, PyTree]
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        return run(cell, params, xs, state, reverse=reverse, taps=taps, **over_time)

    return jax.shard_map(
        part,
        mesh=mesh,
        in_specs=(P(), _OVER_TIME, _ROWS, _OVER_TIME),
        out_specs=(_OVER_TIME, _ROWS, _OVER_TIME),
    )(params, xs, state, over_time)


# ---- checks ------------------------------------------------------------------------------------


def _devices() -> Sequence[Device]:
    """Return the CPU devices of this process, two or more."""
    platform = jax.default_backend()
    if platform != "cpu":
        raise ValueError(
            f"{_NAME} splits a batch over CPU devices, JAX computes on {platform!r}: use "
            "engine='fused'"
        )
    devices = jax.local_devices()
    if len(devices) < 2:
        raise ValueError(
            f"{_NAME} needs two CPU devices or more, JAX has {len(devices)}: call "
            f'jax.config.update("jax_num_cpu_devices", {max(2, host.cores())}) before JAX is first '
            "used"
        )
    return devices


def _check_placed(arrays: PyTree, devices: Sequence[Device]) -> None:
    if on_a_mesh(arrays):
        raise ValueError(
            f"{_NAME} splits a batch over the CPU devices, which a mesh around it uses already "
            "(shard_map, explicit axes or jax.set_mesh): use engine='fused' there"
        )
    for leaf in jax.tree.leaves(arrays):
        if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer) or not leaf.committed:
            continue
        on = leaf.sharding.device_set
        if on != set(devices):
            raise ValueError(
                f"{_NAME} runs on {len(devices)} CPU devices, got an array that was put on "
                f"{', '.join(sorted(map(str, on)))}: pass it uncommitted, as "
                "jnp.asarray(np.asarray(x))"
            )


def _check_batch(shape: tuple[int, ...], count: int) -> None:
    """Check xs (T, B, ..., D)."""
    if len(shape) < 3:
        raise ValueError(
            f"{_NAME} splits the batch, got xs without a batch axis: use engine='fused'"
        )
    size = shape[1]
    if not isinstance(size, int):
        raise ValueError(f"{_NAME} needs a known batch size, got {size}: use engine='fused'")
    if size % count:
        raise ValueError(
            f"{_NAME} splits the first batch axis over {count} CPU devices: its size must be a "
            f"multiple of {count}, got {size}; or use engine='fused'"
        )
