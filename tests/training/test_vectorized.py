"""A group as one program, compiled once. Its exact bits are in test_runner.py, in one process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.training import DIVERGED, FINISHED
from rnnlab.training.checkpoints import digest
from rnnlab.training.settings import MAPPINGS
from rnnlab.training.vectorized import Program
from tests.helpers import trained

DEVICES = jax.devices()[:2]
COMPILED = "/jax/core/compile/backend_compile_duration"


def group(n=5, **options):
    """Members that differ in seed, scheme, rate and clipping."""
    schemes = ("orthogonal", "identity", "normal(std=0.1)")
    return [
        trained.member(
            seed=s,
            init={"w_h": schemes[s % 3]},
            learning_rate=10.0 ** -(1 + s % 3),
            clip_norm=(1.0, np.inf)[s % 2],
            **{"steps": 40, **options},
        )
        for s in range(n)
    ]


def run(members, devices=DEVICES, mapping="auto"):
    """(final states, progress of each of the four chunks), host arrays."""
    made = trained.program(members[0].setup, len(members), devices, mapping)
    states, hypers = made.start(members)
    history = []
    for _ in range(4):
        states, progress = made.advance(states, hypers, range(len(members)))
        history.append(jax.tree.map(lambda a: np.asarray(a)[: len(members)], progress))
    return jax.tree.map(np.asarray, states), history


def digests(states, count):
    """The SHA-256 of each member's params."""
    return [digest(jax.tree.map(lambda a, i=i: a[i], states.params)) for i in range(count)]


def bits(members, devices=DEVICES, mapping="auto"):
    """The SHA-256 of each member's final params."""
    return digests(run(members, devices, mapping)[0], len(members))


def test_there_are_two_devices_to_test_with():
    assert len(DEVICES) == 2


@pytest.mark.parametrize("mapping", ["lax_map", "vmap"])
def test_members_that_are_not_active_are_frozen(mapping):
    members = group()
    made = trained.program(members[0].setup, 5, DEVICES, mapping)
    states, hypers = made.start(members)
    before = jax.tree.map(np.array, states)
    states, _ = made.advance(states, hypers, [1, 2])
    assert np.asarray(states.step).tolist()[:5] == [0, 10, 10, 0, 0]
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(states), strict=True):
        assert (old[[0, 3, 4]] == np.asarray(new)[[0, 3, 4]]).all()
    for active in ([0, 1, 2, 3], [0, 3, 4], range(5), [4, 4], range(5)):
        states, _ = made.advance(states, hypers, active)
    assert np.asarray(states.status).tolist()[:5] == [FINISHED] * 5
    assert digests(jax.tree.map(np.asarray, states), 5) == bits(members, mapping=mapping)
    frozen = jax.tree.map(np.array, states)
    states, _ = made.advance(states, hypers, range(5))  # they have ended: nothing more is done
    for old, new in zip(jax.tree.leaves(frozen), jax.tree.leaves(states), strict=True):
        np.testing.assert_array_equal(old[:5], np.asarray(new)[:5])


@pytest.mark.parametrize("mapping", ["lax_map", "vmap"])
def test_one_that_diverges_leaves_the_others_alone(mapping):
    members = group()
    rate = members[1].hyper._replace(learning_rate=jnp.float32(1e30))
    mixed = [members[0], members[1]._replace(hyper=rate), *members[2:]]
    states, history = run(mixed, mapping=mapping)
    assert states.status.tolist()[:5] == [FINISHED, DIVERGED, *[FINISHED] * 3]
    assert 0 < states.step[1] < 10
    assert [progress.step[1] for progress in history] == [states.step[1]] * 4
    found, whole = digests(states, 5), bits(members, mapping=mapping)
    assert found[0] == whole[0]
    assert found[2:] == whole[2:]
    assert all(np.isfinite(leaf[1]).all() for leaf in jax.tree.leaves(states.params))


def test_once_compiled_it_serves_all_members():
    """Members of other schemes, rates and seeds, any of them at a time: nothing is compiled."""
    members = group()
    made = trained.program(members[0].setup, 5, DEVICES)
    others = [
        trained.member(seed=90 + s, init={"w_h": "normal(std=0.2)"}, steps=40) for s in range(5)
    ]
    started = [made.start(some) for some in (members, others)]
    compiled = []

    def heard(event, _, **__):
        compiled.append(event)

    made.advance(*started[0], [0])  # what is compiled around it, once
    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        states, hypers = started[1]
        for active in ([0], range(5), [2], [4, 1]):
            states, _ = made.advance(states, hypers, active)
        assert COMPILED not in compiled
        jax.jit(lambda x: x * 3.25)(jnp.ones(3))
        assert COMPILED in compiled  # it would have been heard
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)


def test_the_data_lie_on_every_device_once():
    member = trained.member(
        task={"name": "pixel_digits"}, steps=10, eval_batch_size=20, eval_sample=20
    )
    made = Program(member.setup, 4, DEVICES)
    states, hypers = made.start([member] * 4)
    states, progress = made.advance(states, hypers, range(4))
    assert np.unique(np.asarray(progress.train_loss)).size == 1
    for leaf in jax.tree.leaves(made.data):
        assert leaf.sharding.is_fully_replicated
    images = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(made.host_data))
    assert images < made.bytes_per_device < 20 * images


def test_slots_that_are_left_are_filled():
    made = Program(trained.member().setup, 5, DEVICES)
    assert (made.slots, made.capacity) == (3, 6)
    placed = made.place({"a": np.arange(10.0).reshape(5, 2)})["a"]
    np.testing.assert_array_equal(placed, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [8, 9]])
    assert Program(trained.member().setup, 1, DEVICES).mesh.size == 1


def test_errors():
    setup = trained.member().setup
    with pytest.raises(ValueError, match=r"unknown run.mapping 'map'"):
        Program(setup, 1, mapping="map")
    with pytest.raises(ValueError, match="capacity must be a whole number of at least 1, got 0"):
        Program(setup, 0)
    assert MAPPINGS == ("auto", "lax_map", "vmap")
