"""The order of examples, and what is held out."""

import jax
import numpy as np
import pytest

from rnnlab.data import splits


@pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (13, 4), (5, 5), (7, 1)])
def test_an_epoch_visits_every_example_at_most_once(n, batch_size):
    order = splits.Shuffled(n, seed=3)
    indices = jax.jit(lambda position: order.indices(position, batch_size))
    batches = n // batch_size
    epochs = []
    for epoch in range(4):
        seen = np.concatenate([indices(epoch * batches + k) for k in range(batches)])
        assert len(set(seen.tolist())) == batches * batch_size
        assert set(seen.tolist()) <= set(range(n))
        # the definition: a permutation of the epoch's own key
        key = jax.random.fold_in(jax.random.key(3), epoch)
        np.testing.assert_array_equal(seen, jax.random.permutation(key, n)[: len(seen)])
        epochs.append(tuple(seen.tolist()))
    assert len(set(epochs)) == 4


def test_the_order_is_a_function_of_seed_and_position():
    indices = splits.Shuffled(50, seed=1).indices
    later = np.asarray(indices(17, 8))
    for position in (3, 17):  # whatever was asked before
        again = np.asarray(indices(position, 8))
    np.testing.assert_array_equal(later, again)
    assert again.dtype == np.int32
    assert (np.asarray(splits.Shuffled(50, seed=2).indices(17, 8)) != later).any()
    traced = jax.jit(lambda seed, p: splits.shuffled_indices(jax.random.key(seed), 50, p, 8))(1, 17)
    np.testing.assert_array_equal(traced, later)


def test_an_order_that_cannot_be_is_named():
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        splits.Shuffled(0)
    for batch_size in (0, 6):
        with pytest.raises(ValueError, match=f"1 to 5, the number of examples, got {batch_size}"):
            splits.Shuffled(5).indices(0, batch_size)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.99])
def test_every_class_is_on_both_sides_and_no_row_is_lost(share):
    labels = np.array([0] * 7 + [1] * 2 + [2] * 40)
    train, test = splits.split_by_class(labels, share)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(labels)))
    for label, size in enumerate([7, 2, 40]):
        held_out = int((labels[test] == label).sum())
        assert held_out == min(max(round(share * size), 1), size - 1)
    again = splits.split_by_class(labels, share)
    assert [rows.tolist() for rows in again] == [train.tolist(), test.tolist()]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("counts", [(1,), (2, 3), (40, 7, 1), (5,) * 9])
def test_validation_rows_are_a_share_of_every_class(share, counts):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    learn, held = splits.validation_rows(labels, share)
    assert sorted([*learn, *held]) == list(range(len(labels)))
    assert learn.tolist() == sorted(learn)
    taken, left = np.bincount(labels[held], minlength=len(counts)), np.bincount(labels[learn])
    assert left.min() >= 1
    most = sum(count - 1 for count in counts)
    assert len(held) == min(int(share * len(labels) + 0.5), most)
    for number, count in zip(taken, counts, strict=True):
        assert abs(number - share * count) <= 1 or number == count - 1
    again = splits.validation_rows(labels, share)
    assert [part.tolist() for part in again] == [learn.tolist(), held.tolist()]
