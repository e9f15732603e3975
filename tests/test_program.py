"""A group as one program: the same bits in any company, on any number of devices; one compile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import program, training
from rnnlab.checkpoints import digest
from rnnlab.program import Program
from rnnlab.training import DIVERGED, FINISHED
from tests import trained

DEVICES = jax.devices()


def group(n=5, **options):
    """Members that differ in seed, scheme, rate and clipping."""
    schemes = ("orthogonal", "identity", "normal(std=0.1)")
    return [
        trained.member(
            seed=s,
            init={"w_h": schemes[s % 3]},
            learning_rate=10.0 ** -(1 + s % 3),
            clip_norm=(1.0, np.inf)[s % 2],
            **options,
        )
        for s in range(n)
    ]


def bits(members, chunks=2, devices=DEVICES, mapping="auto"):
    """(SHA-256 of every member's final params, progress of every chunk)."""
    made = Program(members[0].setup, len(members), devices, mapping)
    states, hypers = made.start(members)
    told = []
    for _ in range(chunks):
        states, progress = made.advance(states, hypers, range(len(members)))
        told.append(jax.tree.map(np.asarray, progress))
    hosted = jax.tree.map(np.asarray, states.params)
    return [digest(jax.tree.map(lambda a, i=i: a[i], hosted)) for i in range(len(members))], told


def test_there_are_two_devices_to_test_with():
    assert len(DEVICES) >= 2


@pytest.mark.parametrize("cell", ["rnn-tanh", "lstm", "gru"])
def test_bits_are_the_same_alone_in_pairs_and_on_any_devices(cell):
    members = group(cell=cell)
    whole, _ = bits(members, devices=DEVICES[:2])
    assert len(set(whole)) == len(members)
    assert bits(members, devices=DEVICES[:1])[0] == whole
    assert [bits([m])[0][0] for m in members] == whole
    assert bits(members[1:3])[0] == whole[1:3]
    assert bits(members[::-1])[0] == whole[::-1]


def test_bits_of_truncated_bptt_and_of_omega():
    for options in (
        {"task": {"name": "copy_memory", "delay": 4}, "window": 8},
        {"regulariser": "omega", "omega": 2.0},
    ):
        members = group(3, **options)
        whole, _ = bits(members, devices=DEVICES[:2])
        assert [bits([m], devices=DEVICES[:1])[0][0] for m in members] == whole


def test_a_vmapped_program_agrees():
    members = group(cell="gru")
    mapped, batched = (bits(members, mapping=m)[1] for m in ("lax_map", "vmap"))
    for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(batched), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mapping", ["lax_map", "vmap"])
def test_members_that_are_not_asked_for_stand_still(mapping):
    members = group(4)
    made = Program(members[0].setup, 4, DEVICES[:2], mapping)
    states, hypers = made.start(members)
    before = jax.tree.map(np.asarray, states)
    states, _ = made.advance(states, hypers, [1, 2])
    assert np.asarray(states.step).tolist() == [0, 10, 10, 0]
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(states), strict=True):
        assert (old[[0, 3]] == np.asarray(new)[[0, 3]]).all()
    states, _ = made.advance(states, hypers, [0, 1, 2, 3])
    states, _ = made.advance(states, hypers, [0, 3])
    assert np.asarray(states.status).tolist() == [FINISHED] * 4
    whole, _ = bits(members, devices=DEVICES[:2], mapping=mapping)
    hosted = jax.tree.map(np.asarray, states.params)
    assert [digest(jax.tree.map(lambda a, i=i: a[i], hosted)) for i in range(4)] == whole


def test_one_that_diverges_leaves_the_others_alone():
    members = group(3, cell="rnn-identity", optimizer="sgd")
    lost = members[1]._replace(
        hyper=members[1].hyper._replace(learning_rate=jnp.float32(1e30), clip_norm=jnp.float32(9))
    )
    alone = [bits([m])[0][0] for m in members]
    made = Program(lost.setup, 3, DEVICES)
    states, hypers = made.start([members[0], lost, members[2]])
    for _ in range(2):
        states, _ = made.advance(states, hypers, range(3))
    assert np.asarray(states.status).tolist() == [FINISHED, DIVERGED, FINISHED]
    hosted = jax.tree.map(np.asarray, states.params)
    found = [digest(jax.tree.map(lambda a, i=i: a[i], hosted)) for i in range(3)]
    assert [found[0], found[2]] == [alone[0], alone[2]]
    assert all(np.isfinite(leaf[1]).all() for leaf in jax.tree.leaves(hosted))


def test_a_group_is_compiled_once(monkeypatch):
    traced = []
    real = training.Train.update

    def update(self, *args):
        traced.append(1)
        return real(self, *args)

    monkeypatch.setattr(training.Train, "update", update)
    members = group(4)
    made = Program(members[0].setup, 4, DEVICES)
    states, hypers = made.start(members)
    for active in ([0], [0, 1, 2, 3], [2]):
        states, _ = made.advance(states, hypers, active)
    once = len(traced)
    assert made._jitted._cache_size() <= 1
    states, _ = made.advance(states, hypers, [1])
    assert len(traced) == once > 0


def test_the_data_lie_on_every_device_once():
    member = trained.member(task={"name": "pixel_digits"}, steps=10, eval_batch_size=20)
    made = Program(member.setup, 4, DEVICES[:2])
    states, hypers = made.start([member] * 4)
    states, progress = made.advance(states, hypers, range(4))
    assert np.unique(np.asarray(progress.train_loss)).size == 1
    for leaf in jax.tree.leaves(made.data):
        assert leaf.sharding.is_fully_replicated
    assert made.bytes_a_device > 0


def test_errors():
    setup = trained.member().setup
    with pytest.raises(ValueError, match=r"unknown run.mapping 'map'"):
        Program(setup, 1, mapping="map")
    with pytest.raises(ValueError, match="room for a member, got capacity=0"):
        Program(setup, 0)
    assert program.MAPPINGS == ("auto", "lax_map", "vmap")
