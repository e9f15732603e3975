"""Optimizers against PyTorch's: one update, a whole training, members of unlike rates together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from rnnlab import training
from rnnlab.training.optimizers import Hyper, Optimizer
from rnnlab.training.vectorized import Program
from tests.helpers import trained


def hyper(learning_rate=0.05, clip_norm=np.inf, weight_decay=0.0):
    return Hyper(*map(jnp.float32, (learning_rate, clip_norm, weight_decay, 0.0)))


class RMSprop(torch.optim.Optimizer):
    """PyTorch's has ε outside of the root; ours, as TensorFlow's and the papers', inside."""

    def __init__(self, params, lr, decay, eps):
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                square = self.state[p].setdefault("square", torch.zeros_like(p))
                square.mul_(group["decay"]).addcmul_(p.grad, p.grad, value=1 - group["decay"])
                p -= group["lr"] * p.grad / (square + group["eps"]).sqrt()


TORCH = {
    "sgd": lambda ps, lr: torch.optim.SGD(ps, lr=lr),
    "sgd(momentum=0.9)": lambda ps, lr: torch.optim.SGD(ps, lr=lr, momentum=0.9),
    "rmsprop": lambda ps, lr: RMSprop(ps, lr, decay=0.9, eps=1e-8),
    "adam": lambda ps, lr: torch.optim.Adam(ps, lr=lr, betas=(0.9, 0.999), eps=1e-8),
}


def clipped(params, bound):
    """torch's own adds 1e-6 to the norm."""
    norm = float(torch.sqrt(sum((p.grad**2).sum() for p in params)))
    for p in params:
        p.grad *= min(1.0, bound / norm)
    return norm


def test_rmsprop_is_pytorch_s_where_epsilon_does_not_count():
    ps = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2)]
    theirs = torch.optim.RMSprop([ps[0]], lr=0.05, alpha=0.9, eps=0)
    ours = RMSprop([ps[1]], lr=0.05, decay=0.9, eps=0)
    for g in np.random.default_rng(0).normal(size=(5, 3)):
        for p, optimizer in zip(ps, (theirs, ours), strict=True):
            p.grad = torch.tensor(g)
            optimizer.step()
    assert torch.allclose(ps[0], ps[1], rtol=1e-12)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("clip", [np.inf, 2.0])
def test_a_few_updates(name, clip, x64):
    """In float64: two arrays, whose norms are clipped together; gradients of all sizes."""
    rng = np.random.default_rng(0)
    shapes = {"W": (3, 4), "b": (4,)}
    start = {k: rng.normal(size=s) for k, s in shapes.items()}
    transform = Optimizer(name).transform(Hyper(0.05, clip, 0.0, 0.0))
    params = jax.tree.map(jnp.asarray, start)
    state = transform.init(params)
    theirs = {k: torch.nn.Parameter(torch.tensor(a)) for k, a in start.items()}
    optimizer = TORCH[name](list(theirs.values()), 0.05)
    norms = []
    for k in range(8):
        grads = {n: rng.normal(size=s) * 10.0 ** (-k) * 9 for n, s in shapes.items()}
        update, state = transform.update(jax.tree.map(jnp.asarray, grads), state, params)
        params = jax.tree.map(jnp.add, params, update)
        for n, p in theirs.items():
            p.grad = torch.tensor(grads[n])
        norms.append(clipped(list(theirs.values()), clip))
        optimizer.step()
        for n, p in theirs.items():
            np.testing.assert_allclose(params[n], p.detach().numpy(), rtol=1e-12)
    assert min(norms) < 2 < max(norms)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_is_decoupled_and_goes_with_the_schedule(name, x64):
    """W ← W − α s_k (u + λ W): AdamW's, with the rate of every step."""
    theirs = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    # without a gradient of its own the decay is all that SGD does
    optimizer = torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1, eps=1e-8)
    made = Optimizer(name, schedule="linear", steps=10)
    transform = made.transform(Hyper(0.05, jnp.inf, 0.1, 0.0))
    W = jnp.asarray(theirs.detach().numpy())
    state = transform.init(W)
    for k, g in enumerate(np.random.default_rng(1).normal(size=(5, 3))):
        optimizer.param_groups[0]["lr"] = rate = 0.05 * (1 - k / 10)
        update, state = transform.update(jnp.asarray(g), state, W)
        W = W + update
        if name == "adam":
            theirs.grad = torch.tensor(g)
            optimizer.step()
        else:
            with torch.no_grad():
                theirs -= rate * (torch.tensor(g) + 0.1 * theirs)
        # optax takes a schedule's share in float32
        np.testing.assert_allclose(W, theirs.detach().numpy(), rtol=1e-7)


def test_a_gradient_of_zero_moves_nothing():
    for name in TORCH:
        transform = Optimizer(name).transform(hyper(clip_norm=1.0))
        update, _ = transform.update(jnp.zeros(3), transform.init(jnp.ones(3)), jnp.ones(3))
        assert (update == 0).all()


FACTORS = [
    ("constant", 0, [1, 1, 1, 1]),
    ("constant", 2, [0, 0.5, 1, 1]),
    ("linear", 0, [1, 0.75, 0.5, 0.25]),
    ("linear", 2, [0, 0.5, 1, 0.5]),
    ("linear", 4, [0, 0.25, 0.5, 0.75]),
    ("cosine", 0, [(1 + np.cos(np.pi * s / 4)) / 2 for s in range(4)]),
    ("cosine", 1, [0, *((1 + np.cos(np.pi * s / 3)) / 2 for s in range(3))]),
]


@pytest.mark.parametrize(("schedule", "warmup", "factors"), FACTORS)
def test_schedules(schedule, warmup, factors):
    optimizer = Optimizer("sgd", schedule=schedule, warmup_steps=warmup, steps=4)
    transform = optimizer.transform(hyper(learning_rate=2.0))
    state = transform.init(jnp.zeros(1))
    for factor in factors:
        update, state = transform.update(jnp.ones(1), state, jnp.zeros(1))
        assert np.isclose(-update[0] / 2, factor, atol=1e-6)


# ---- members of unlike rates and bounds in one program, each against a loop in PyTorch ----------

STEPS = 12
MIXED = [(0.1, np.inf, 0.0), (0.02, 0.1, 0.0), (0.3, 0.05, 0.02), (1e-3, 1.0, 0.1)]


def numbers_of(name):
    """(rate, bound, decay) of each member; steps of the adaptive ones are as long as the rate."""
    scale = 0.1 if name in ("rmsprop", "adam") else 1.0
    return [(scale * rate, clip, decay) for rate, clip, decay in MIXED]


def mixed(name):
    """Members that differ in rate, bound, decay, scheme and seed; a schedule with a warm-up."""
    return [
        trained.member(
            seed=s,
            init={"w_h": ("orthogonal", "normal(std=0.3)")[s % 2], "b": "normal(std=0.2)"},
            optimizer=name,
            schedule="cosine",
            warmup_steps=3,
            steps=STEPS,
            eval_every=STEPS,
            learning_rate=rate,
            clip_norm=clip,
            weight_decay=decay,
            stop_when_solved=False,
        )
        for s, (rate, clip, decay) in enumerate(numbers_of(name))
    ]


def alone(member, name, rate, clip, decay):
    """The final parameters by a plain loop: PyTorch's gradient and optimizer, the same batches."""
    own = member.params["params"]
    arrays = trained.blocks(own)
    p = {n: torch.nn.Parameter(torch.tensor(np.asarray(a, np.float64))) for n, a in arrays.items()}
    optimizer = TORCH[name](list(p.values()), rate)
    key_data = jax.random.split(member.key, 3)[0]
    norms = []
    for step in range(STEPS):
        batch = member.setup.task.batch((), key_data, step, 4)
        xs = torch.tensor(np.asarray(batch.inputs, np.float64))
        h = torch.zeros(4, 5, dtype=torch.float64)
        for t in range(xs.shape[1]):
            h = torch.tanh(h @ p["W_hh"] + xs[:, t] @ p["W_xh"] + p["b_h"])
        y = h @ p["W_hy"] + p["b_y"]
        ((y - torch.tensor(np.asarray(batch.targets, np.float64))) ** 2).mean().backward()
        norms.append(clipped(list(p.values()), clip))
        factor = step / 3 if step < 3 else (1 + np.cos(np.pi * (step - 3) / (STEPS - 3))) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        with torch.no_grad():
            before = {n: a.clone() for n, a in p.items()}
        optimizer.step()
        with torch.no_grad():
            for n, a in p.items():
                a -= rate * factor * decay * before[n]
                a.grad = None
    return {n: a.detach().numpy() for n, a in p.items()}, norms


@pytest.mark.parametrize("name", ["sgd(momentum=0.9)", "adam"])
def test_every_member_of_a_mixed_program_is_the_one_trained_alone(name):
    members = mixed(name)
    made = Program(members[0].setup, len(members), jax.devices()[:2])
    states, hypers = made.start(members)
    states, progress = made.advance(states, hypers, range(len(members)))
    hosted = jax.tree.map(np.asarray, states.params)["params"]
    was_clipped = []
    for k, (member, numbers) in enumerate(zip(members, numbers_of(name), strict=True)):
        theirs, norms = alone(member, name, *numbers)
        got = trained.blocks(hosted)
        for n, value in theirs.items():
            np.testing.assert_allclose(got[n][k], value, rtol=2e-4, atol=2e-5)
        assert np.isclose(progress.grad_norm[k], np.mean(norms), rtol=1e-4)
        assert np.isclose(progress.grad_norm_max[k], np.max(norms), rtol=1e-4)
        was_clipped.append(np.mean(np.array(norms) > numbers[1]))
    assert was_clipped[0] == 0
    assert max(was_clipped) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adm"}, "unknown training.optimizer 'adm'; did you mean 'adam'"),
        ({"schedule": "cos"}, "unknown training.schedule 'cos'"),
        (
            {"name": "sgd(momentum=1.0)"},
            r"training.optimizer: sgd: momentum must lie in \[0, 1\), got 1.0",
        ),
        (
            {"name": "adam(b2=-0.1)"},
            r"training.optimizer: adam: b2 must lie in \[0, 1\), got -0.1",
        ),
        (
            {"name": "adam(eps=0)"},
            "training.optimizer: adam: eps must be a finite number above 0, got 0",
        ),
        ({"steps": 0}, "training.steps must be a whole number of at least 1, got 0"),
        (
            {"warmup_steps": 21, "steps": 20},
            "training.warmup_steps must be a whole number from 0 to 20, got 21",
        ),
    ],
)
def test_errors_name_the_value(options, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**options)


def test_optimizers_are_static():
    assert Optimizer("sgd") == Optimizer("sgd") != Optimizer("sgd", steps=7)
    assert hash(Optimizer("sgd")) == hash(Optimizer("sgd"))
    assert training.Settings().optimizer == Optimizer()
