"""Many members as one compiled program, over all devices.

Members of one :class:`~rnnlab.training.settings.Setup` lie side by side along a first axis, split
over the devices by ``shard_map``. On a CPU a device takes its members one after the other (batched
products are slow there), in a loop whose length is an argument: members that have stopped cost
nothing, and one program serves one member or a hundred, so that a member's results are
bit-identical alone, in a group and after a restart. On a GPU or TPU the members are ``vmap``ped.
"""

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rnnlab.core import validate
from rnnlab.training import distributed
from rnnlab.training.optimizers import Hyper
from rnnlab.training.settings import MAPPINGS, Member, Setup, draw_params
from rnnlab.training.train import Progress, Train, TrainState, make_train

Array = jax.Array
PyTree = Any  # a data set
Device = Any  # a jax.Device, which type checkers do not take for a type
Tree = TypeVar("Tree")  # any pytree: the result has the same structure


class Program:
    """The compiled program of a group, and the devices it runs on.

    Args:
        setup: of all members.
        capacity: members that it holds at a time; rounded up to fill the devices evenly.
        devices: all devices if None.
        mapping: "lax_map", "vmap", or "auto": the first on a CPU.
    Raises:
        ValueError: an unknown mapping, or no room for a member.
    """

    def __init__(
        self,
        setup: Setup,
        capacity: int,
        devices: Sequence[Device] | None = None,
        mapping: str = "auto",
    ) -> None:
        validate.choice("run.mapping", mapping, MAPPINGS)
        capacity = validate.whole("capacity", capacity, 1)
        devices = list(jax.devices() if devices is None else devices)
        if distributed.alone():  # otherwise every process has a part in every program
            devices = devices[:capacity]
        self.setup = setup
        self.train = make_train(setup)
        self.mesh = Mesh(np.array(devices), ("members",))
        self.slots = math.ceil(capacity / len(devices))  # on each device
        self.capacity = self.slots * len(devices)
        if mapping == "auto":
            mapping = "lax_map" if devices[0].platform == "cpu" else "vmap"
        self.mapping = mapping

    # ---- placing ----

    def _put(self, tree: Tree, spec: P) -> Tree:
        sharding = NamedSharding(self.mesh, spec)

        def put(leaf: jax.typing.ArrayLike) -> Array:
            leaf = np.asarray(leaf)
            return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

        return jax.tree.map(put, tree)

    @cached_property
    def data(self) -> PyTree:
        """The task's data set, on every device."""
        return self._put(self.host_data, P())

    @cached_property
    def host_data(self) -> PyTree:
        """The task's data set, as it was loaded."""
        return self.setup.task.load()

    def stack(self, trees: Sequence[Tree]) -> Tree:
        """Put members' trees side by side, one per slot, on the devices."""
        hosted = [jax.tree.map(np.asarray, tree) for tree in trees]
        return self.place(jax.tree.map(lambda *leaves: np.stack(leaves), *hosted))

    def place(self, stacked: Tree) -> Tree:
        """Put a stacked tree of host arrays on the devices; the last member fills empty slots."""

        def full(leaf: np.ndarray) -> np.ndarray:
            return np.concatenate([leaf, np.repeat(leaf[-1:], self.capacity - len(leaf), axis=0)])

        return self._put(jax.tree.map(full, stacked), P("members"))

    def start(self, members: Sequence[Member]) -> tuple[TrainState, Hyper]:
        """Return (states, hypers) of the members, before the first update."""
        states = [self.train.start(m.key, m.params, m.hyper) for m in members]
        return self.stack(states), self.stack([m.hyper for m in members])

    # ---- running ----

    def advance(
        self, states: TrainState, hypers: Hyper, active: Sequence[int]
    ) -> tuple[TrainState, Progress]:
        """Train the members in the slots ``active`` for one chunk; the others are frozen.

        Args:
            states, hypers: as :meth:`start` gives them; the states' memory is donated.
            active: slots; each device works through its own.
        Returns:
            (states, progress with leaves (capacity,)); the progress of slots that are not active
            is meaningless.
        """
        order = np.zeros((self.mesh.size, self.slots), np.int32)
        counts = np.zeros(self.mesh.size, np.int32)
        for slot in sorted(set(active)):
            device, place = divmod(slot, self.slots)
            order[device, counts[device]] = place
            counts[device] += 1
        chosen = self._put((order.reshape(-1), counts), P("members"))
        return self.compiled(states, hypers, self.data, *chosen)

    @cached_property
    def compiled(self) -> jax.stages.Compiled:
        """The program, compiled ahead: once, and its memory can be measured."""
        states, hypers = self._shapes
        order = self._shape((self.capacity,), jnp.int32, P("members"))
        counts = self._shape((self.mesh.size,), jnp.int32, P("members"))
        data = jax.tree.map(lambda a: self._shape(a.shape, a.dtype, P()), self.data)
        return self._jitted.lower(states, hypers, data, order, counts).compile()

    @cached_property
    def _jitted(self) -> jax.stages.Wrapped:
        one_device = _loop if self.mapping == "lax_map" else _batched
        sharded = jax.shard_map(
            partial(one_device, self.train),
            mesh=self.mesh,
            in_specs=(P("members"), P("members"), P(), P("members"), P("members")),
            out_specs=P("members"),
            check_vma=False,
        )
        return jax.jit(sharded, donate_argnums=0)

    def _shape(
        self, shape: tuple[int, ...], dtype: jax.typing.DTypeLike, spec: P
    ) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(self.mesh, spec))

    @cached_property
    def _shapes(self) -> tuple[TrainState, Hyper]:
        def one() -> tuple[TrainState, Hyper]:
            key, zero = jax.random.key(0), jnp.zeros((), jnp.float32)
            params = draw_params(self.setup.model, key, self.setup.task)
            numbers = self.setup.settings.optimizer.numbers()
            hyper = Hyper(zero, zero, zero, zero, jax.tree.map(jnp.asarray, numbers))
            return self.train.start(key, params, hyper), hyper

        return jax.tree.map(
            lambda a: self._shape((self.capacity, *a.shape), a.dtype, P("members")),
            jax.eval_shape(one),
        )

    @property
    def bytes_per_device(self) -> int:
        """Memory of the program on one device: states, data and temporaries."""
        use: Any = self.compiled.memory_analysis()
        return use.argument_size_in_bytes + use.temp_size_in_bytes + use.output_size_in_bytes


def _take(tree: Tree, index: Array | int) -> Tree:
    return jax.tree.map(
        lambda a: jax.lax.dynamic_index_in_dim(a, index, axis=0, keepdims=False), tree
    )


def _write(tree: Tree, index: Array, new: Tree) -> Tree:
    return jax.tree.map(
        lambda a, n: jax.lax.dynamic_update_index_in_dim(a, n, index, axis=0), tree, new
    )


def _loop(
    train: Train, states: TrainState, hypers: Hyper, data: PyTree, order: Array, counts: Array
) -> tuple[TrainState, Progress]:
    """Advance one device's members, one after the other."""
    advance = jax.jit(train.advance, inline=True)  # traced once, not again in the loop
    shape = jax.eval_shape(advance, _take(states, 0), _take(hypers, 0), data)[1]
    progress = jax.tree.map(lambda s: jnp.zeros((order.shape[0], *s.shape), s.dtype), shape)

    def body(j: Array, carry: tuple[TrainState, Progress]) -> tuple[TrainState, Progress]:
        states, progress = carry
        slot = order[j]
        new, chunk = advance(_take(states, slot), _take(hypers, slot), data)
        return _write(states, slot, new), _write(progress, slot, chunk)

    return jax.lax.fori_loop(0, counts[0], body, (states, progress))


def _batched(
    train: Train, states: TrainState, hypers: Hyper, data: PyTree, order: Array, counts: Array
) -> tuple[TrainState, Progress]:
    """Advance one device's members at once; those that are not listed keep their status."""
    slots = jnp.arange(order.shape[0])
    listed = slots < counts[0]
    active = jnp.zeros_like(listed).at[order].max(listed)
    # a member that is no longer RUNNING does nothing
    paused = states._replace(status=jnp.where(active, states.status, -1))
    new, progress = jax.vmap(train.advance, in_axes=(0, 0, None))(paused, hypers, data)
    status = jnp.where(active, new.status, states.status)
    return new._replace(status=status), progress
