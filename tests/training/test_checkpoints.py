"""Checkpoints: whole or not at all; what is damaged is passed over, what is not ours refused."""

import errno
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import training
from rnnlab.core.errors import UserError
from rnnlab.training import checkpoints
from rnnlab.training.checkpoints import Checkpoints, digest
from tests.helpers import trained


@pytest.fixture(scope="module")
def tree():
    """A real state: nested, with scalars, whole numbers and empty parts."""
    member = trained.member(optimizer="adam", clip_norm=1.0)
    state = training.make_train(member.setup).start(member.key, member.params, member.hyper)
    return jax.tree.map(np.asarray, state)


def other(tree, k):
    """The same tree with other numbers in it."""
    return jax.tree.map(lambda a: (a + np.asarray(k).astype(a.dtype)).astype(a.dtype), tree)


@pytest.fixture
def two(tree, tmp_path):
    """Two checkpoints, the newest damaged by the test."""
    kept = Checkpoints(tmp_path / "c", "run")
    for k in (1, 2):
        kept.save(other(tree, k), {"k": k})
    return kept, tmp_path / "c"


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert isinstance(x, np.ndarray | np.generic)
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def numbers(folder):
    return sorted(int(path.name) for path in folder.iterdir())


def test_a_saved_tree_is_restored(tree, tmp_path):
    kept = Checkpoints(tmp_path / "deep/c", "run")
    assert kept.restore(tree) is None
    for k in (1, 2):
        kept.save(other(tree, k), {"seconds": [0.1 + k, 1e-300]})
    found, extra = Checkpoints(tmp_path / "deep/c", "run").restore(tree)
    same(found, other(tree, 2))
    assert extra == {"seconds": [2.1, 1e-300]}
    # a tree of shapes says as well what is wanted
    same(kept.restore(jax.eval_shape(lambda: tree))[0], other(tree, 2))
    kept.clear()
    assert kept.restore(tree) is None
    assert not (tmp_path / "deep/c").exists()


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_few_are_kept(keep, tmp_path):
    kept = Checkpoints(tmp_path, "run", keep)
    for k in range(6):
        kept.save({"a": np.full(3, k)}, {})
        assert numbers(tmp_path) == list(range(max(0, k + 1 - keep), k + 1))
    with pytest.raises(ValueError, match="keep must be a whole number of at least 1, got 0"):
        Checkpoints(tmp_path, "run", 0)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, truncate, lambda path: path.unlink()])
def test_damage_to_any_file_is_detected(damage, two, tree, capsys):
    """File by file: the one before is read, bit for bit, with a warning of one line."""
    kept, folder = two
    files = [path for path in folder.glob("1/**/*") if path.is_file()]
    assert len(files) > 4
    for file in files:
        whole = file.read_bytes()
        damage(file)
        found, extra = kept.restore(tree)
        assert extra == {"k": 1}
        same(found, other(tree, 1))
        said = capsys.readouterr().err
        assert said.startswith(f"rnnlab: {folder}/1 cannot be read (")
        assert said.endswith("; resuming from the checkpoint before it\n")
        assert said.count("\n") == 1
        file.write_bytes(whole)
    same(kept.restore(tree)[0], other(tree, 2))


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"version": 1}', b'{"version": 1, "sha'])
def test_a_checkpoint_without_its_description_was_never_finished(content, two, tree, capsys):
    kept, folder = two
    (folder / "1/rnnlab.json").unlink()
    if content is not None:
        (folder / "1/rnnlab.json").write_bytes(content)
    assert kept.restore(tree)[1] == {"k": 1}
    assert "resuming from the checkpoint before it" in capsys.readouterr().err


def test_a_changed_number_in_the_description_is_detected(two, tree):
    kept, folder = two
    path = folder / "1/rnnlab.json"
    path.write_text(path.read_text().replace('"k": 2', '"k": 7'))
    assert kept.restore(tree)[1] == {"k": 1}


def test_where_none_can_be_read_it_says_so(two, tree, capsys):
    kept, folder = two
    for number in (0, 1):
        (folder / str(number) / "rnnlab.json").unlink()
    assert kept.restore(tree) is None
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("resuming from the checkpoint before it")
    assert second.endswith("resuming from the start: there is none before it")


def test_a_damaged_one_does_not_count_among_those_that_are_kept(two, tree):
    kept, folder = two
    (folder / "1/rnnlab.json").unlink()
    kept.restore(tree)
    kept.save(other(tree, 3), {"k": 3})
    assert numbers(folder) == [0, 2]
    (folder / "2/rnnlab.json").unlink()
    assert kept.restore(tree)[1] == {"k": 1}


def test_one_that_was_cut_off_while_it_was_written_is_not_seen(two, tree):
    kept, folder = two
    shutil.copytree(folder / "1", folder / "2.tmp")
    assert kept.restore(tree)[1] == {"k": 2}
    kept.save(other(tree, 3), {"k": 3})
    assert numbers(folder) == [1, 2]


def test_another_model_s_checkpoint_is_skipped(two, tree, capsys):
    kept, _ = two
    wider = trained.member(hidden_size=6, optimizer="adam", clip_norm=1.0)
    state = training.make_train(wider.setup).start(wider.key, wider.params, wider.hyper)
    assert kept.restore(state) is None
    assert capsys.readouterr().err.count("cannot be read") == 2


def test_another_version_is_refused_and_left_alone(two, tree, monkeypatch):
    kept, folder = two
    before = digest({str(p): np.frombuffer(p.read_bytes(), np.uint8) for p in folder.glob("*/*.*")})
    monkeypatch.setattr(checkpoints, "VERSION", 2)
    with pytest.raises(UserError, match=r"/1 is a checkpoint of version 1; this rnnlab reads ver"):
        kept.restore(tree)
    after = digest({str(p): np.frombuffer(p.read_bytes(), np.uint8) for p in folder.glob("*/*.*")})
    assert before == after
    assert numbers(folder) == [0, 1]


def test_another_run_s_is_refused(two, tree):
    with pytest.raises(UserError, match="/1 belongs to another run: choose another --workdir"):
        Checkpoints(two[1], "another").restore(tree)


# what tensorstore says on a disk that is full
FULL = "RESOURCE_EXHAUSTED: Failed writing: No space left on device [os_error_code='28']"


@pytest.mark.parametrize("where", ["orbax", "description"])
def test_a_full_disk_costs_nothing_that_was_there(where, two, tree, monkeypatch):
    import orbax.checkpoint as ocp

    kept, folder = two

    def full(*_, **__):
        raise ValueError(FULL) if where == "orbax" else OSError(errno.ENOSPC, "No space left")

    with monkeypatch.context() as patch:
        if where == "orbax":
            patch.setattr(ocp.Checkpointer, "save", full)
        else:
            patch.setattr(checkpoints.json_files, "write_json", full)
        with pytest.raises(OSError, match="No space left") as caught:
            kept.save(other(tree, 3), {"k": 3})
    assert caught.value.errno == errno.ENOSPC
    assert numbers(folder) == [0, 1]  # no remains take up the space
    assert kept.restore(tree)[1] == {"k": 2}
    kept.save(other(tree, 3), {"k": 3})
    assert kept.restore(tree)[1] == {"k": 3}


def test_the_digest_is_of_every_bit_and_name():
    a = {"w": jnp.zeros(4), "b": jnp.ones(2)}
    assert digest(a) == digest(jax.tree.map(np.asarray, a))
    others = [
        {"w": jnp.zeros(4), "c": jnp.ones(2)},
        {"w": jnp.zeros((2, 2)), "b": jnp.ones(2)},
        {"w": -jnp.zeros(4), "b": jnp.ones(2)},
        {"w": jnp.zeros(4, jnp.int32), "b": jnp.ones(2)},
        {"w": jnp.zeros(4), "b": jnp.ones(2).at[1].set(np.nextafter(np.float32(1), 2))},
    ]
    assert len({digest(a), *map(digest, others)}) == 6


def test_the_description_is_plain_json(two):
    meta = json.loads((two[1] / "1/rnnlab.json").read_text())
    assert set(meta) == {"version", "identity", "files", "extra", "meta_sha256"}
    assert meta["version"] == checkpoints.VERSION == 1
