"""Results of a trained member: scores, the step of an overflow, probes, parameters."""

import math
import pickle
import zipfile
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab import gradients, training
from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.nn import losses, models
from rnnlab.training import DIVERGED, FINISHED, SOLVED, gradient_log, results
from rnnlab.training.checkpoints import digest
from rnnlab.training.params import load_params, save_params
from rnnlab.training.settings import MemberSpec
from tests.helpers import trained

SPREAD = {"w_x": "normal(std=0.5)", "w_h": "normal(std=0.4)", "b": "normal(std=0.3)"}


def begun(**options):
    """(training function, state before the first update)."""
    m = trained.member(init=SPREAD, **options)
    train = training.make_train(m.setup)
    return train, train.start(m.key, m.params, m.hyper)


def last_chunk(**score):
    return SimpleNamespace(train_loss=0.25, score=score)


@pytest.mark.parametrize(
    ("status", "words", "solved_at", "diverged_at"),
    [
        (SOLVED, "solved", 7, math.inf),
        (FINISHED, "finished", math.inf, math.inf),
        (DIVERGED, "diverged", math.inf, 7),
    ],
)
def test_results(status, words, solved_at, diverged_at):
    train, state = begun()
    state = state._replace(status=jnp.int32(status), step=jnp.int32(7))
    found = results.results(train, state, last_chunk(loss=0.5, accuracy=0.9), ())
    overflow = found.pop("overflow_at_t", None)
    assert overflow == (-1 if status == DIVERGED else None)
    assert found == {
        "status": words,
        "steps": 7,
        "solved_at": solved_at,
        "diverged_at": diverged_at,
        "train_loss": 0.25,
        "loss": 0.5,
        "accuracy": 0.9,
        "baseline": pytest.approx(1 / 6),
        "params": 2 * 5 + 5 * 5 + 5 + 5 * 1 + 1,
        "sha256": digest(state.params),
    }


@pytest.mark.parametrize("window", [0, 8])
def test_overflow_at_t_is_the_first_step_that_is_not_finite(window):
    """h_t = W h_{t−1} + …, W = 1e10·I: the state passes float32's end within a few steps."""
    task = {"name": "copy_memory", "delay": 4}
    train, state = begun(cell="rnn-identity", task=task, window=window)
    own = state.params["params"]
    W_hh = 1e10 * jnp.eye(5)
    own = {**own, "recurrent": own["recurrent"]._replace(W_hh=W_hh)}
    carry = jax.tree.map(lambda c: c + 1e25, state.carry)
    state = state._replace(
        params={"params": own}, status=jnp.int32(DIVERGED), step=jnp.int32(4), carry=carry
    )
    batch, start = train.window(state, ())
    h = np.zeros((4, 5)) if start is None else np.asarray(start.h, np.float64)
    assert (start is None) == (window == 0)
    expected = -1
    for t in range(batch.inputs.shape[1]):
        h = h * 1e10 + np.asarray(batch.inputs)[:, t] @ np.asarray(own["recurrent"].W_xh)
        h = h + np.asarray(own["recurrent"].b_h)
        if np.abs(h).max() > np.finfo(np.float32).max:
            expected = t
            break
    assert 0 < expected < 6
    found = results.results(train, state, last_chunk(loss=math.nan), ())
    assert found["overflow_at_t"] == expected


def test_the_overflow_of_an_embedding_model_is_not_located():
    task = {"name": "tagging", "limit": 20, "max_length": 6, "embedding_size": 3}
    train, state = begun(cell="rnn-tanh", task=task)
    state = state._replace(status=jnp.int32(DIVERGED))
    data = train.setup.task.load()
    assert results.results(train, state, last_chunk(loss=math.nan), data)["overflow_at_t"] == -1


@pytest.mark.parametrize(
    ("cell", "task", "options"),
    [
        ("rnn-tanh", {"name": "adding", "length": 10}, {}),
        (
            "lstm",
            {"name": "copy_memory", "delay": 4},
            {"window": 8, "reduction": "sum_over_time"},
        ),
    ],
)
def test_a_probe_is_the_gradient_of_the_loss_that_is_trained_on(cell, task, options):
    """∂L/∂h_t by autodiff, to what is added to the state of each step of a plain loop.

    ∂L/∂C_t is total: C_t reaches the loss by h_t = o_t tanh(C_t) too.
    """
    train, state = begun(cell=cell, task=task, **options)
    state = state._replace(step=jnp.int32(4), carry=jax.tree.map(lambda c: c + 0.3, state.carry))
    found = gradient_log.probe(train, state, ())
    batch, start = train.window(state, ())
    model, own = train.setup.model, state.params["params"]
    loss_of, T = losses.by_name(train.setup.task.loss), batch.inputs.shape[1]
    state_0 = start if start is not None else models.initial_state(model, state.params, 4)

    def loss(added):
        s, hs = state_0, []
        for t in range(T):
            s = model.layer.cell.step(own["recurrent"], s, batch.inputs[:, t])[0]
            if "C" in added:
                o, C = s.h / jnp.tanh(s.C), s.C + added["C"][:, t]
                s = s._replace(h=o * jnp.tanh(C), C=C)
            s = s._replace(h=s.h + added["h"][:, t])
            hs.append(s.h)
        y = (hs[-1] if train.setup.task.many_to_one else jnp.stack(hs, 1)) @ own["W_hy"]
        reduction = train.setup.settings.reduction
        return loss_of(y + own["b_y"], batch.targets, batch.mask, reduction)

    parts = ("h", "C") if cell == "lstm" else ("h",)
    with jax.default_matmul_precision("highest"):
        added = jax.jit(jax.grad(loss))({part: jnp.zeros((4, T, 5)) for part in parts})
    for part, gradient in added.items():
        norms = np.sort(np.linalg.norm(gradient, axis=-1), axis=0)
        assert norms.min() > 0
        # of four examples, the lower of the two in the middle
        np.testing.assert_allclose(found[f"adjoint_{part}"], np.log10(norms[1]), atol=1e-3)
    assert len(found["adjoint_h"]) == T
    assert ("adjoint_C" in found) == (cell == "lstm")
    gradient = jax.jit(train.gradient)
    grads = gradient(state.params, trained.member().hyper, batch, start)[2]["params"]
    blocks = trained.blocks(grads)
    for name, block in blocks.items():
        assert np.isclose(found[f"grad_{name}"], np.linalg.norm(block), rtol=1e-4), name
    assert all(value > 0 for name, value in found.items() if name.startswith("grad_"))


def test_a_probe_agrees_with_adjoint_norms():
    train, state = begun()
    batch, _ = train.window(state, ())
    own = state.params["params"]

    def loss(ys):
        y = ys[:, -1] @ own["W_hy"] + own["b_y"]
        return losses.mse(y, batch.targets)

    curve = gradients.adjoint_norms(train.setup.model.layer, own["recurrent"], batch.inputs, loss)
    expected = np.sort(np.asarray(curve.h), axis=0)[1]
    np.testing.assert_allclose(
        gradient_log.probe(train, state, ())["adjoint_h"], expected, atol=1e-3
    )


def test_only_one_cell_is_probed():
    with pytest.raises(ValueError, match="one layer, one way, without an embedding"):
        MemberSpec.from_config(trained.config(layers=2, probes=(0,)))
    spec = MemberSpec.from_config(trained.config(probes=(0,)))
    assert spec.probe_steps == (0,)
    assert spec.setup.cell == spec.setup.model.layer.cell


# ---- parameters --------------------------------------------------------------------------------


@pytest.fixture
def run_dir(tmp_path):
    """A run of two members, member 1 an LSTM that is finished."""
    base = trained.config()
    run_files.write_config(tmp_path, {"config": base.to_dict()})
    params = trained.member(cell="lstm", hidden_size=3, seed=5, init=SPREAD).params
    save_params(tmp_path, 1, params)
    write_line(tmp_path)
    return tmp_path, params


def write_line(folder):
    """Write the line of member 1, with the digest of its parameters."""
    overrides = {"cell.name": "lstm", "cell.hidden_size": 3}
    line = {"member": 1, "overrides": overrides, "seconds": 1.0, "result": {}}
    line["params"] = run_files.digest_of(folder / "params/1.npz")
    (folder / "members.jsonl").unlink(missing_ok=True)
    run_files.append_member(folder, "", line)


def test_parameters_come_back_with_their_setup(run_dir):
    folder, params = run_dir
    setup, found = load_params(folder, 1)
    assert setup == trained.member(cell="lstm", hidden_size=3).setup
    assert jax.tree.structure(found) == jax.tree.structure(params)
    assert digest(found) == digest(params)


def test_parameters_need_no_optimizer_of_the_user_s(run_dir):
    folder, params = run_dir
    base = trained.config().to_dict()
    base["training"] |= {"optimizer": "my_own(share=0.1)", "schedule": "mine"}
    run_files.write_config(folder, {"config": base})
    assert digest(load_params(folder, 1)[1]) == digest(params)


def test_parameters_that_cannot_be_had_are_named(run_dir, tmp_path):
    folder, _ = run_dir
    with pytest.raises(UserError, match="has no finished member 0"):
        load_params(folder, 0)
    with pytest.raises(UserError, match="is no run directory"):
        load_params(folder / "nowhere", 0)
    save_params(folder, 1, trained.member(cell="lstm", hidden_size=4).params)
    with pytest.raises(UserError, match=r"params/1.npz is not what was written"):
        load_params(folder, 1)
    write_line(folder)
    with pytest.raises(UserError, match=r"does not fit member 1: .* must be .*, got float32"):
        load_params(folder, 1)
    (folder / "params/1.npz").write_bytes(b"PK\x03\x04 cut off")
    write_line(folder)
    with pytest.raises(UserError, match=r"params/1\.npz cannot be read"):
        load_params(folder, 1)
    (folder / "params/1.npz").unlink()
    with pytest.raises(UserError, match=r"params/1\.npz is missing"):
        load_params(folder, 1)


def test_a_small_file_cannot_fill_the_memory(run_dir):
    """An .npz of 4 GB of zeros, packed into a few kilobytes, is refused before it is unpacked."""
    folder, _ = run_dir
    path = folder / "params/1.npz"
    with np.load(path) as packed:
        arrays = dict(packed)
    name = next(iter(arrays))

    def write(header, content=b"", method=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", method) as packed, packed.open(f"{name}.npy", "w") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.write(content)
        write_line(folder)

    own = {"descr": "<f4", "fortran_order": False, "shape": arrays[name].shape}
    write(own | {"shape": (2**20, 2**10)}, bytes(2**20), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"1\.npz cannot be read: .* is compressed"):
        load_params(folder, 1)
    write(own | {"shape": (2**20, 2**10)})
    with pytest.raises(UserError, match=r"must be float32\(.*\), got float32\(1048576, 1024\)"):
        load_params(folder, 1)
    write(own)  # the header fits, what it announces is not there
    with pytest.raises(UserError, match=r"1\.npz cannot be read"):
        load_params(folder, 1)
    write(own | {"descr": "|O"}, pickle.dumps([0.0]))
    with pytest.raises(UserError, match=r"must be float32\(.*\), got object"):
        load_params(folder, 1)
