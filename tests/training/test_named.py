"""Optimizers and schedules of optax by name, against optax itself called with the same numbers."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from rnnlab import training
from rnnlab.training import named, register_optimizer, register_schedule
from rnnlab.training.optimizers import Hyper, Optimizer

RATE, STEPS = 0.05, 4
KEY = jax.random.key(0)
SHAPES = {"recurrent": (5, 3), "b": (3,), "W_hy": (3, 2)}
PARAMS = {
    name: jax.random.normal(jax.random.fold_in(KEY, k), shape)
    for k, (name, shape) in enumerate(SHAPES.items())
}
GRADS = {
    name: jax.random.normal(jax.random.fold_in(KEY, 9 + k), (STEPS, *shape))
    for k, (name, shape) in enumerate(SHAPES.items())
}


def matrices(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def rate(count):
    return RATE * 0.5 * (1 + jnp.cos(jnp.pi * count / STEPS))


def loss(params):
    return sum(jnp.sum(jnp.cos(leaf) ** 2) for leaf in jax.tree.leaves(params))


def trained(transform, grads=GRADS, **extra):
    """The parameters after a plain loop over the gradients."""

    def body(k, carry):
        params, state = carry
        given = jax.tree.map(lambda g: g[k], grads)
        more = {name: of(params) for name, of in extra.items()}
        with jax.numpy_dtype_promotion("standard"):
            updates, state = transform.update(given, state, params, **more)
            return jax.tree.map(jnp.add, params, updates), state

    with jax.numpy_dtype_promotion("standard"):
        start = PARAMS, transform.init(PARAMS)
    return jax.lax.fori_loop(0, STEPS, body, start)[0]


def hyper(optimizer, learning_rate=RATE, clip_norm=np.inf, weight_decay=0.0):
    numbers = map(jnp.float32, (learning_rate, clip_norm, weight_decay, 0.0))
    return Hyper(*numbers, numbers=optimizer.numbers())


THEIRS = {
    "adafactor(decay_rate=0.7)": lambda: optax.adafactor(rate, decay_rate=0.7),
    "lion(b1=0.95)": lambda: optax.lion(rate, b1=0.95, weight_decay=0.1, mask=matrices),
    "muon(adam_learning_rate=0.025)": lambda: contrib.muon(
        rate,
        adam_learning_rate=lambda count: rate(count) / 2,
        weight_decay=0.1,
        weight_decay_mask=matrices,
    ),
    "nadam(eps=1e-5)": lambda: optax.nadam(rate, eps=1e-5),
    "sgd(momentum=0.8, nesterov=True)": lambda: optax.sgd(rate, 0.8, nesterov=True),
    "rmsprop(momentum=0.8, centered=True)": lambda: optax.rmsprop(
        rate, momentum=0.8, centered=True
    ),
    "lamb(b2=0.99)": lambda: optax.lamb(rate, b2=0.99, weight_decay=0.1, mask=matrices),
    "lars(momentum=0.8)": lambda: optax.lars(
        rate, momentum=0.8, weight_decay=0.1, weight_decay_mask=matrices
    ),
    "novograd": lambda: optax.novograd(rate, weight_decay=0.1),
    "prodigy(betas=(0.8, 0.99))": lambda: contrib.prodigy(
        rate, betas=(0.8, 0.99), weight_decay=0.1
    ),
}


@pytest.fixture(scope="module")
def both():
    """Ours by traced numbers and optax by constants, each optimizer a loop of one program."""
    names = list(THEIRS)
    ours = {name: Optimizer(name, schedule="cosine", steps=STEPS) for name in names}
    decay = {name: 0.1 if name in _decayed() else 0.0 for name in names}
    hypers = {name: hyper(ours[name], weight_decay=decay[name]) for name in names}

    def run(hypers, grads):
        return {n: trained(ours[n].static().transform(h), grads) for n, h in hypers.items()}

    theirs = jax.jit(lambda grads: {n: trained(make(), grads) for n, make in THEIRS.items()})
    return jax.jit(run)(hypers, GRADS), theirs(GRADS)


def _decayed():
    return {
        name
        for name in THEIRS
        if name.split("(")[0] in ("lion", "muon", "lamb", "lars", "novograd", "prodigy")
    }


@pytest.mark.parametrize("name", THEIRS)
def test_an_optimizer_of_optax_equals_optax_s_own(name, both):
    ours, theirs = (side[name] for side in both)
    for block, value in theirs.items():
        np.testing.assert_allclose(ours[block], value, rtol=2e-6, atol=1e-6)
        assert (value != PARAMS[block]).any()


def test_every_optimizer_of_optax_runs_by_its_name():
    """Its state keeps its types through an update, and nothing in it is compared when traced."""
    names = named.optimizers()
    assert {"adafactor", "lion", "muon", "sm3", "noisy_sgd", "lbfgs", "sophia", "dog"} <= set(names)
    for name in names:
        optimizer = Optimizer(name, schedule="linear", steps=STEPS).static()

        def update(numbers, params, optimizer=optimizer):
            transform = optimizer.transform(numbers)
            state = optimizer.init(params, numbers, KEY)
            return state, *transform.update(
                params, state, params, value=loss(params), value_fn=loss
            )

        before, updates, after = jax.eval_shape(update, hyper(optimizer), PARAMS)
        assert jax.tree.map(str, before) == jax.tree.map(str, after), name
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {np.dtype("float32")}


def test_the_loss_is_given_to_those_that_read_it():
    def ours(name):
        optimizer = Optimizer(name, steps=STEPS)
        transform = optimizer.transform(hyper(optimizer, learning_rate=1.0))
        return trained(transform, value=loss, value_fn=lambda params: loss)

    theirs = trained(contrib.momo(1.0), value=loss)
    for block, value in jax.jit(lambda: ours("momo"))().items():
        np.testing.assert_allclose(value, theirs[block], rtol=1e-5)


def test_noise_is_that_of_the_member():
    optimizer = Optimizer("noisy_sgd", steps=STEPS)
    states = [optimizer.init(PARAMS, hyper(optimizer), jax.random.key(seed)) for seed in (0, 1, 0)]
    data = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(s)]) for s in states]
    assert (data[0] == data[2]).all()
    assert (data[0] != data[1]).any()


# ---- weight decay ------------------------------------------------------------------------------


def test_decay_is_decoupled_where_optax_s_optimizer_has_none():
    """W ← (1 − α s λ) W, here of adabelief, whatever its direction; of all arrays."""
    optimizer = Optimizer("adabelief", schedule="linear", steps=STEPS)

    def after(weight_decay):
        transform = optimizer.transform(hyper(optimizer, weight_decay=weight_decay))
        state, params = transform.init(PARAMS), PARAMS
        grads = jax.tree.map(lambda g: g[0], GRADS)
        for _ in range(2):
            updates, state = transform.update(grads, state, params)
            params = jax.tree.map(jnp.add, params, updates)
        return params

    plain, decayed = (jax.jit(after)(jnp.float32(decay)) for decay in (0.0, 0.3))
    for block, W in PARAMS.items():
        first = RATE * 0.3 * W
        middle = W - RATE * np.sign(GRADS[block][0])  # adabelief's first step: nearly ±α
        expected = first + 0.75 * RATE * 0.3 * middle
        np.testing.assert_allclose(plain[block] - decayed[block], expected, rtol=0.1, atol=2e-3)


@pytest.mark.parametrize("name", ["lion(weight_decay=0.1)", "adafactor(weight_decay_rate=0.1)"])
def test_a_decay_given_twice_is_refused(name):
    optimizer = Optimizer(name)
    optimizer.check_decay(0.0)
    with pytest.raises(ValueError, match=r"given twice.*weight_decay=0\.2; leave one out"):
        optimizer.check_decay(0.2)
    with pytest.raises(ValueError, match="given twice"):
        optimizer.transform(Hyper(0.1, np.inf, 0.2, 0.0))


def test_a_decay_that_repeats_optax_s_default_is_given():
    """It was taken for one that is left out, so that the config's 0 replaced it."""
    for name, default, other in (("adamw", 1e-4, 0.3), ("lion", 1e-3, 0.3)):
        setups = [Optimizer(f"{name}(weight_decay={x})") for x in (default, other)]
        assert setups[0].static() == setups[1].static()
        for optimizer, decay in zip(setups, (default, other), strict=True):
            transform = optimizer.static().transform(hyper(optimizer, learning_rate=1.0))
            still = jax.tree.map(jnp.zeros_like, PARAMS)
            updates, _ = transform.update(still, transform.init(PARAMS), PARAMS)
            for block, W in PARAMS.items():
                expected = -decay * W if W.ndim > 1 else 0.0 * W
                np.testing.assert_allclose(updates[block], expected, rtol=1e-5, atol=1e-9)


# ---- schedules ---------------------------------------------------------------------------------

SCHEDULES = {
    "exponential_decay(decay_rate=0.1)": optax.exponential_decay(1.0, 20, 0.1),
    "exponential_decay(decay_rate=0.5, end_value=0.4, transition_steps=5, staircase=True)": (
        optax.exponential_decay(1.0, 5, 0.5, staircase=True, end_value=0.4)
    ),
    "warmup_cosine_decay_schedule(warmup_steps=5, end_value=0.1)": (
        optax.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20, 0.1)
    ),
    "warmup_exponential_decay_schedule(warmup_steps=5, decay_rate=0.2)": (
        optax.warmup_exponential_decay_schedule(0.0, 1.0, 5, 15, 0.2)
    ),
    "warmup_constant_schedule(warmup_steps=4, peak_value=0.5)": (
        optax.warmup_constant_schedule(0.0, 0.5, 4)
    ),
    "piecewise_constant_schedule(boundaries_and_scales={5: 0.5, 12: 0.1})": (
        optax.piecewise_constant_schedule(1.0, {5: 0.5, 12: 0.1})
    ),
    "piecewise_interpolate_schedule(interpolate_type='cosine', boundaries_and_scales={9: 0.5})": (
        optax.piecewise_interpolate_schedule("cosine", 1.0, {9: 0.5})
    ),
    "polynomial_schedule(power=2, end_value=0.1)": optax.polynomial_schedule(1.0, 0.1, 2, 20),
    "linear_schedule": optax.linear_schedule(1.0, 0.0, 20),
    "cosine_decay_schedule(alpha=0.1)": optax.cosine_decay_schedule(1.0, 20, 0.1),
    "cosine_onecycle_schedule(pct_start=0.25)": optax.cosine_onecycle_schedule(20, 1.0, 0.25),
    "linear_onecycle_schedule": optax.linear_onecycle_schedule(20, 1.0),
    "constant_schedule(value=0.5)": optax.constant_schedule(0.5),
    "sgdr_schedule(cosine_kwargs=[{'init_value': 0, 'peak_value': 1, 'warmup_steps': 2, "
    "'decay_steps': 10}, {'init_value': 0.0, 'peak_value': 0.5, 'warmup_steps': 2, "
    "'decay_steps': 10}])": optax.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": p, "warmup_steps": 2, "decay_steps": 10}
            for p in (1.0, 0.5)
        ]
    ),
}


def factors(optimizer):
    """α · schedule of every update, by sgd's steps on a gradient of one."""
    transform = optimizer.static().transform

    def run(numbers):
        one = jnp.ones(1)
        made = transform(numbers)

        def body(state, _):
            updates, state = made.update(one, state, one)
            return state, -updates[0]

        return jax.lax.scan(body, optimizer.init(one, numbers), None, optimizer.updates)[1]

    return run


def test_every_schedule_of_optax_is_a_factor_of_the_learning_rate():
    optimizers = {s: Optimizer("sgd", schedule=s, steps=20) for s in SCHEDULES}
    hypers = {s: hyper(o, learning_rate=2.0) for s, o in optimizers.items()}
    every = jax.jit(lambda hypers: {s: factors(optimizers[s])(h) for s, h in hypers.items()})
    with jax.numpy_dtype_promotion("standard"):
        theirs = jax.jit(lambda: {s: jax.vmap(f)(jnp.arange(20)) for s, f in SCHEDULES.items()})()
    for schedule, ours in every(hypers).items():
        expected = np.broadcast_to(theirs[schedule], 20)
        np.testing.assert_allclose(ours / 2, expected, rtol=1e-5, atol=1e-6, err_msg=schedule)
    covered = {schedule.split("(")[0] for schedule in SCHEDULES}
    assert covered == set(named.schedules()) - set(named.SHORT)


def test_the_warm_up_of_the_config_comes_before_a_schedule_or_into_it():
    def values(schedule, warmup):
        optimizer = Optimizer("sgd", schedule=schedule, warmup_steps=warmup, steps=20)
        return factors(optimizer)(hyper(optimizer, learning_rate=1.0))

    decay = values("exponential_decay(init_value=0.5, decay_rate=0.1)", 4)
    expected = [0.5 * k / 4 for k in range(4)] + [0.5 * 0.1 ** (k / 16) for k in range(16)]
    np.testing.assert_allclose(decay, expected, rtol=1e-5, atol=1e-7)
    inside = "warmup_cosine_decay_schedule"
    with_steps = values(f"{inside}(warmup_steps=4)", 0)
    np.testing.assert_allclose(values(inside, 4), with_steps, atol=1e-7)


def test_functions_are_schedules_and_transformations_optimizers():
    def halved(count):
        return 0.5**count

    optimizer = Optimizer(optax.sgd(1.0, momentum=0.9), schedule=halved, steps=STEPS)
    assert optimizer == optimizer.static()
    assert hash(optimizer) == hash(optimizer.static())
    ours = trained(optimizer.transform(hyper(optimizer)))
    trace = optax.chain(optax.trace(0.9), optax.scale_by_schedule(lambda k: -RATE * 0.5**k))
    for block, value in trained(trace).items():
        np.testing.assert_allclose(ours[block], value, rtol=1e-5)


# ---- what is static ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "programs"),
    [
        (["lion", "lion(b1=0.95)", "lion(b1=0.5, b2=0)"], 1),
        (["sgd", "sgd(nesterov=False)"], 1),
        (["sgd(momentum=0)", "sgd(momentum=0.9)", "sgd( momentum = 1e-3 )"], 1),
        (["sgd", "sgd(momentum=0.9)"], 2),
        (["prodigy(betas=(0.8, 0.9))", "prodigy(betas=[0.9, 0.99])", "prodigy"], 1),
        (["adafactor", "adafactor(min_dim_size_to_factor=2)"], 2),
        (["muon(ns_steps=5)", "muon(ns_steps=6)"], 2),
    ],
)
def test_numbers_share_a_program_and_structure_does_not(names, programs):
    assert len({Optimizer(name).static() for name in names}) == programs


def test_the_numbers_of_schedules_share_a_program_where_no_branch_depends_on_them():
    def programs(template, *values):
        made = [Optimizer(schedule=template.replace("X", str(v)), steps=20) for v in values]
        return len({optimizer.static() for optimizer in made})

    assert programs("exponential_decay(decay_rate=X)", 0.1, 0.9) == 1
    assert programs("exponential_decay(decay_rate=X, end_value=0.1)", 0.1, 2) == 2
    assert programs("piecewise_constant_schedule(boundaries_and_scales={5: X})", 0.1, 0.5) == 1
    assert programs("piecewise_constant_schedule(boundaries_and_scales={X: 0.1})", 5, 6) == 2
    assert programs("cosine_onecycle_schedule(peak_value=X)", 0.5, 1.0) == 1
    assert programs("cosine_onecycle_schedule(div_factor=X)", 5, 25.0) == 2


def test_stand_ins_are_never_trained_with():
    static = Optimizer("adam(b1=0.8)", ema_decay=0.9).static()
    bare = Hyper(0.1, np.inf, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"stands for optimizers of any numbers: .*hyper_of"):
        static.transform(bare)
    config = training.config(optimizer="adam(b1=0.8)", ema_decay=0.9)
    assert training.hyper_of(config).numbers.keys() == static.numbers().keys()


# ---- your own ----------------------------------------------------------------------------------


@pytest.fixture
def own():
    """An optimizer with another rate for the recurrent kernel, and a schedule."""

    @register_optimizer
    def slow_recurrent(learning_rate, weight_decay=0.0, mask=None, share=0.1):
        def labels(params):
            return {name: "slow" if name == "recurrent" else "rest" for name in params}

        assert callable(learning_rate)
        slow = optax.adam(lambda count: share * learning_rate(count))
        rest = optax.adamw(learning_rate, weight_decay=weight_decay, mask=mask)
        return optax.partition({"slow": slow, "rest": rest}, labels)

    @register_schedule
    def square(steps, least=0.0):
        return lambda count: jnp.maximum(least, (1 - count / steps) ** 2)

    yield slow_recurrent
    del named._registered[named.OPTIMIZER]["slow_recurrent"]
    del named._registered[named.SCHEDULE]["square"]
    named.parse_optimizer.cache_clear()


def test_a_registered_optimizer_with_a_rate_per_block(own):
    optimizer = Optimizer("slow_recurrent(share=0.2)", schedule="square(least=0.1)", steps=STEPS)
    assert set(optimizer.numbers()) == {"optimizer.share", "schedule.least"}
    ours = trained(optimizer.static().transform(hyper(optimizer, weight_decay=0.1)))

    def rate(count):
        return RATE * jnp.maximum(0.1, (1 - count / STEPS) ** 2)

    theirs = {
        "recurrent": optax.adam(lambda count: 0.2 * rate(count)),
        "b": optax.adam(rate),
        "W_hy": optax.adamw(rate, weight_decay=0.1),
    }
    for block, transform in theirs.items():
        expected = trained(optax.masked(transform, {n: n == block for n in PARAMS}))[block]
        np.testing.assert_allclose(ours[block], expected, rtol=1e-5, atol=1e-6)


def test_names_of_optax_are_not_registered_again():
    def lion(learning_rate):
        return optax.lion(learning_rate)

    with pytest.raises(ValueError, match="'lion' is an optimizer of optax"):
        register_optimizer(lion)


# ---- the boundary ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "lionn"}, "unknown training.optimizer 'lionn'; did you mean 'lion'"),
        ({"name": "momentum"}, "unknown training.optimizer 'momentum'"),
        ({"name": "lion(beta1=0.9)"}, "unknown option of training.optimizer 'lion': 'beta1'"),
        ({"name": "lion(b1='x')"}, "lion: b1 must lie in"),
        ({"name": "lion(0.9)"}, "an optimizer is a name or name"),
        ({"name": "lion(b1=f())"}, "an optimizer is a name or name"),
        ({"name": "__import__('os')"}, "an optimizer is a name or name"),
        ({"name": "adam(b1=0.9, b1=0.8)"}, "gives an option twice|is a name or name"),
        ({"name": "adam(learning_rate=0.1)"}, "learning_rate is training.learning_rate=0.1"),
        ({"name": "adam(nesterov=1)"}, "adam: nesterov must be True or False, got 1"),
        ({"name": "adafactor(min_dim_size_to_factor=0.5)"}, "must be a whole number"),
        ({"name": "adam(eps=1e-60)"}, "float32 cannot hold 1e-60"),
        ({"name": "adam(mask=True)"}, "unknown option of training.optimizer 'adam': 'mask'"),
        ({"name": "prodigy(betas=(0.9,))"}, "betas must have 2 values"),
        ({"name": "dpsgd"}, "takes one gradient per example"),
        ({"name": "schedule_free"}, "use schedule_free_adamw"),
        ({"name": "muon(preconditioning='x')"}, "muon"),
        ({"name": 3}, "must be a string or an optax GradientTransformation, got 3"),
        ({"schedule": 3}, "must be a string or a function, got 3"),
        ({"schedule": "exponential_decay"}, r"needs decay_rate: .*decay_rate=0\.1"),
        ({"schedule": "exponential_decay(decay_rate=0)"}, "decay_rate must be a finite number abo"),
        ({"schedule": "exponential_decay(decay=1)"}, "'decay'; did you mean 'decay_rate'"),
        ({"schedule": "warmup_cosine_decay_schedule"}, r"or training\.warmup_steps"),
        (
            {"schedule": "warmup_constant_schedule(warmup_steps=3)", "warmup_steps": 3},
            "the warm-up is given twice",
        ),
        ({"schedule": "piecewise_constant_schedule(boundaries_and_scales={3: -1})"}, "negative"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"accumulate_steps": 3}, "training.steps must be a multiple of accumulate_steps=3"),
        ({"accumulate_steps": 2, "name": "lbfgs"}, "accumulate_steps must be 1, got 2"),
        ({"ema_decay": 1.0}, r"training.ema_decay must lie in \[0, 1\), got 1.0"),
    ],
)
def test_errors_name_the_value(options, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**{"steps": 20} | options)


def test_the_page_of_optimizers_names_them():
    page = (Path(named.__file__).parents[2] / "docs/howto/optimizers.md").read_text()
    listed = {
        name
        for row in re.findall(r"^\| optax.*`([a-z0-9_ ]+)` \|$", page, re.M)
        for name in row.split()
    }
    assert listed <= set(named.optimizers())
    assert len(listed) > 40
    assert set(re.findall(r"`(\w+(?:_schedule|_decay))`[,.]", page)) <= set(named.schedules())
