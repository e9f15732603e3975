"""Options by their names in a config: what is built, trained, saved and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from rnnlab import InitScheme, Residual, VariationalDropout, Zoneout, training
from rnnlab.lab.load import load_experiment
from rnnlab.nn import cells
from rnnlab.nn import layers as recurrence
from rnnlab.nn.layers import Stack, from_config
from rnnlab.training import gradient_log
from tests.helpers import oracles, trained
from tests.helpers.sequences import applied, compiled

INIT = InitScheme()
EVERY = {
    "norm": "layer",
    "projection": 3,
    "peephole": True,
    "zoneout_h": 0.05,
    "zoneout_C": 0.5,
    "recurrent_dropout": 0.1,
    "residual": True,
    "dropout": 0.2,
    "variational": True,
}


def test_nothing_is_on_by_default():
    assert from_config(recurrence.config("lstm", 8), INIT) == recurrence.as_layer(cells.LSTM(8))
    assert from_config({"name": "lstm", "hidden_size": 8, "layers": 1}, INIT) == from_config(
        recurrence.config("lstm", 8), INIT
    )
    two = from_config(recurrence.config("gru", 8, 2), INIT)
    assert two == recurrence.Stack([cells.GRU(8)] * 2)


def test_every_key_is_honored():
    net = from_config(recurrence.config("lstm", 8, 2, **EVERY), INIT)
    cell = VariationalDropout(
        Zoneout(
            cells.LSTM(8, INIT, norm="layer", projection=3, peephole=True), {"h": 0.05, "C": 0.5}
        ),
        recurrent_rate=0.1,
    )
    assert isinstance(net, Stack)
    assert [inner.cell for inner in net.layers] == [cell, Residual(cell)]
    assert (net.dropout, net.variational) == (0.2, True)
    assert set(EVERY) == set(recurrence.config("", 0)) - {"name", "hidden_size", "layers"}
    for key, value in EVERY.items():  # each makes a difference of its own
        without = {k: v for k, v in EVERY.items() if k not in (key, "variational")}
        plain, changed = (
            from_config(recurrence.config("lstm", 8, 2, **options), INIT)
            for options in (without, {**without, key: value, "dropout": 0.2})
        )
        assert plain != changed, key


@pytest.mark.parametrize(
    ("name", "layers", "changes", "message"),
    [
        ("gru", 1, {"peephole": True}, "unknown option of cell 'gru': 'peephole'"),
        ("rnn-tanh", 1, {"projection": 4}, "unknown option of cell 'rnn-tanh': 'projection'"),
        ("lstm", 1, {"norm": "batch"}, "unknown norm 'batch'"),
        ("gru", 1, {"zoneout_C": 0.5}, "unknown state part of zoneout: 'C'"),
        ("lstm", 1, {"zoneout_h": 1.5}, r"zoneout rate of h must lie in \[0, 1\), got 1\.5"),
        ("lstm", 1, {"dropout": 0.5}, r"cell\.dropout acts between layers"),
        ("lstm", 1, {"residual": True}, r"cell\.residual acts between layers"),
        ("lstm", 2, {"variational": True}, r"cell\.variational has no effect: cell\.dropout is 0"),
        ("lstm", 0, {}, r"cell\.layers must be a whole number of at least 1, got 0"),
        ("lstm", 1, {"projection": -1}, "projection must be a whole number .* got -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, layers, changes, message):
    with pytest.raises(ValueError, match=message):
        from_config(recurrence.config(name, 8, layers, **changes), INIT)


def test_unknown_keys():
    with pytest.raises(ValueError, match=r"unknown cell key 'peepholes'; did you mean 'peephole'"):
        recurrence.config("lstm", 8, peepholes=True)
    with pytest.raises(ValueError, match="unknown cell key 'nrom'"):
        from_config({"name": "lstm", "hidden_size": 8, "layers": 1, "nrom": ""}, INIT)


@pytest.mark.parametrize("experiment", ["adding_problem", "chrono", "copy_memory", "pixel_digits"])
def test_experiments_hold_every_key(experiment):
    module = load_experiment(experiment).module
    for argument in (None, "full"):
        config = module.get_config(argument)
        assert set(config.cell) == set(recurrence.config("", 0))
        config.cell.norm = "layer"  # what --config.cell.norm=layer does
        assert training.setup_of(config).model.layer.cell.norm == "layer"


def setup(layers=2, probes=(), **options):
    made = trained.config(cell="lstm", layers=2, probes=probes)
    with made.unlocked():
        made.cell = ConfigDict(recurrence.config("lstm", 6, layers, **options))
    return training.setup_of(made)


def drawn(of):
    """A batch, and random parameters that are not zero."""
    batch = of.task.test(of.task.load(), jax.random.key(0), 4)
    return batch, oracles.drawn(lambda: of.model.init(jax.random.key(0), batch.inputs))


def test_every_block_of_a_member_with_everything_learns():
    of = setup(**{**EVERY, "projection": 4})
    batch, params = drawn(of)

    def loss(params, key):
        outputs, _ = of.model.apply(params, batch.inputs, deterministic=False, key=key)
        return jnp.square(outputs - 1).sum()

    gradient = compiled(jax.grad(loss), params, jax.random.key(1))
    for path, slope in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(slope).all(), jax.tree_util.keystr(path)
        assert np.asarray(slope).any(), jax.tree_util.keystr(path)


def test_noise_is_for_training_alone():
    noisy, plain = setup(dropout=0.5), setup()
    train, quiet = (training.make_train(of) for of in (noisy, plain))
    assert train._draws
    assert not quiet._draws
    for options in (
        {"zoneout_C": 0.1},
        {"recurrent_dropout": 0.1},
        {"variational": True, "dropout": 0.1},
    ):
        assert training.make_train(setup(**options))._draws, options
    assert not training.make_train(setup(norm="layer", residual=True))._draws
    batch, params = drawn(noisy)
    outputs = [applied(of.model, params, batch.inputs)[0] for of in (noisy, plain)]
    np.testing.assert_array_equal(*outputs)
    assert np.isfinite(outputs[0]).all()


def test_probes_of_a_member_name_the_blocks_of_an_option():
    options = {"norm": "layer", "projection": 3, "peephole": True, "zoneout_C": 0.5}
    of = setup(1, (0,), **options)
    _, params = drawn(of)
    train = training.make_train(of)
    hyper = trained.HYPER._replace(numbers=of.settings.optimizer.numbers())
    state = train.start(jax.random.key(0), params, hyper)
    found = gradient_log.probe(train, state, of.task.load())
    assert {"grad_W_mh", "grad_peepholes.o", "grad_norm.f.x", "grad_norm.g_C"} <= set(found)
    assert len(found["adjoint_h"]) == len(found["adjoint_C"]) == 10
    assert all(np.isfinite(value).all() for key, value in found.items() if "grad" in key)
