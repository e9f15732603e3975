"""Starting files for users' own cells, tasks, schemes and experiments."""

import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path

from rnnlab.core import registration, validate
from rnnlab.core.errors import UserError

EXPERIMENT = "experiment"
KINDS = (registration.CELL, registration.TASK, registration.SCHEME, EXPERIMENT)

_CELL = '''"""The cell NAME.

    rnnlab check FILE
    rnnlab run --use=FILE --config=gradient_vanishing --sweep.cell.name=NAME,lstm,gru
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

import rnnlab
from rnnlab import InitScheme
from rnnlab.nn.initializers import make
from rnnlab.nn.params import HiddenState  # a state of one part, h; write a NamedTuple for others


class Params(NamedTuple):
    """Parameters; kernels are (in, out), so that W x is x @ W."""

    W_xz: jax.Array  # (D, H)
    W_hz: jax.Array  # (H, H)
    b_z: jax.Array  # (H,)
    W_xh: jax.Array
    W_hh: jax.Array
    b_h: jax.Array


class Gates(NamedTuple):
    """Gate values that a step hands out, for figures and probes."""

    z: jax.Array


@rnnlab.register_cell("NAME")
@dataclass(frozen=True)
class CLASS:
    """h_t = z_t*h_{t-1} + (1 - z_t)*tanh(W_h x_t + alpha W_hh h_{t-1} + b_h), z_t = sigmoid(...).

    Fields after init are options with defaults: --config.cell.alpha=0.5, --sweep.cell.alpha=1,0.5.
    """

    hidden_size: int
    init: InitScheme = InitScheme()
    alpha: float = 1.0

    keep_gate = "z"  # the gate that multiplies the state: figures draw its product; or leave it out

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def init_params(self, key, input_size):
        # each block is drawn by its scheme, so that --sweep.init.w_h=... reaches it
        H = self.hidden_size
        z, h = self.init.gate("z"), self.init.gate("h")
        k = jax.random.split(key, 6)
        return Params(
            make(z.w_x, H)(k[0], (input_size, H)),
            make(z.w_h, H)(k[1], (H, H)),
            make(z.b, H)(k[2], (H,)),
            make(h.w_x, H)(k[3], (input_size, H)),
            make(h.w_h, H)(k[4], (H, H)),
            make(h.b, H)(k[5], (H,)),
        )

    def initial_state(self, params, batch_shape, key=None):
        # the batch axes in front, the dtype of the parameters
        return HiddenState(jnp.zeros((*batch_shape, self.hidden_size), params.b_h.dtype))

    def step(self, params, state, x, *, key=None, perturb=None):
        p = params
        z = jax.nn.sigmoid(x @ p.W_xz + state.h @ p.W_hz + p.b_z)
        candidate = jnp.tanh(x @ p.W_xh + self.alpha * (state.h @ p.W_hh) + p.b_h)
        h = z * state.h + (1 - z) * candidate
        if perturb is not None:  # probes of gradients add to the new state, before it is used
            h = h + perturb.h
        return HiddenState(h), h, Gates(z)  # new state, output, gates
'''

_TASK = '''"""The task NAME.

    rnnlab check FILE
    rnnlab run --use=FILE --config=mine.py      with tasks.config("NAME") in mine.py
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import rnnlab
from rnnlab.nn import losses
from rnnlab.tasks.base import Batch, Goal
from rnnlab.tasks.synthetic import Synthetic  # every batch is drawn from a key


@rnnlab.register_task("NAME")
@dataclass(frozen=True)
class CLASS(Synthetic):
    """Recall the first of T numbers.

    Fields are options with defaults: --config.task.length=50, --sweep.task.length=10,20,50.
    """

    length: int = 20  # T

    input_size = 1  # features of a step
    output_size = 1  # values to predict, or classes
    loss = "mse"  # or "cross_entropy", with whole numbers as targets
    many_to_one = True  # one target per sequence; False: one per step
    goal = Goal("loss", 0.005)  # solved at this loss or below

    def __post_init__(self) -> None:
        if self.length < 2:
            raise ValueError(f"task.length must be at least 2, got {self.length}")

    def baseline(self, data=()):
        # the loss of the best answer that remembers nothing: here the mean, 1/2
        return 1 / 12

    def sample(self, key, batch_size):
        xs = jax.random.uniform(key, (batch_size, self.length, 1), jnp.float32)
        targets, mask = xs[:, 0], jnp.ones(batch_size, bool)  # which targets count
        return Batch(xs, targets, mask)

    def score(self, outputs, batch):
        # further numbers may stand beside the loss
        return {"loss": losses.mse(outputs, batch.targets, batch.mask)}
'''

_SCHEME = '''"""The initialization scheme NAME.

    rnnlab check FILE
    rnnlab run --use=FILE --config=gradient_vanishing "--sweep.init.w_h=NAME(gain=0.9),orthogonal"
"""

import jax
import jax.numpy as jnp

import rnnlab


@rnnlab.register_scheme("NAME")
def SNAKE(gain=1.0, noise=0.01):
    """Return gain times the identity plus Gaussian noise. Options have defaults."""

    def init(key, shape, dtype=jnp.float32):
        # kernels are (in, out): W_xh (D, H), W_hh (H, H); biases are (H,)
        if len(shape) != 2:
            raise ValueError(f"scheme NAME draws a matrix, got shape {shape}")
        return gain * jnp.eye(*shape, dtype=dtype) + noise * jax.random.normal(key, shape, dtype)

    return init
'''

_EXPERIMENT = '''"""What does NAME ask? The first line is shown by `rnnlab list`.

    rnnlab run --config=FILE
"""

from ml_collections import ConfigDict

from rnnlab import InitScheme, tasks, training
from rnnlab.nn import layers

run = training.run  # train every member; or write run(config, key, log), which returns results


def get_config():
    # every value here is a flag, --config.task.length=50, and an axis, --sweep.task.length=20,50
    return ConfigDict(
        {
            "seed": 0,
            "task": tasks.config("adding", length=20),
            "cell": layers.config("gru", hidden_size=16),
            "init": InitScheme.config(),
            "training": training.config(
                steps=400, eval_every=100, learning_rate=3e-3, eval_batch_size=200
            ),
        }
    )


def get_sweep(config):
    # leave it out for a single member; figures(table) and claims(table) may be added
    return {"cell.name": ["gru", "lstm"], "seed": range(3)}
'''

_TEMPLATES = {
    registration.CELL: _CELL,
    registration.TASK: _TASK,
    registration.SCHEME: _SCHEME,
    EXPERIMENT: _EXPERIMENT,
}
_COMMANDS = {
    registration.CELL: (
        "rnnlab check FILE",
        "rnnlab run --use=FILE --config=gradient_vanishing --sweep.cell.name=NAME,lstm,gru",
    ),
    registration.TASK: (
        "rnnlab check FILE",
        'rnnlab new experiment mine    # and write tasks.config("NAME") in mine.py',
        "rnnlab run --use=FILE --config=mine.py",
    ),
    registration.SCHEME: (
        "rnnlab check FILE",
        "rnnlab run --use=FILE --config=gradient_vanishing --sweep.init.w_h=NAME,orthogonal",
    ),
    EXPERIMENT: ("rnnlab run --config=FILE --dry-run", "rnnlab run --config=FILE"),
}


@dataclass(frozen=True)
class Written:
    """A starting file that was written, and the commands to type next."""

    file: Path
    commands: tuple[str, ...]


def write(kind: str, name: str, out: str | os.PathLike[str] | None = None) -> Written:
    """Write a starting file, which works as it is.

    Args:
        kind: one of ``KINDS``.
        name: as configs will write it.
        out: the file; None: the name with ".py", in the current folder.
    Raises:
        UserError: another kind, a name that cannot be used, or a file that exists.
    """
    try:
        validate.choice("kind", kind, KINDS)
    except ValueError as error:
        raise UserError(str(error)) from None
    snake = re.sub(r"\W", "_", name)
    _check_name(kind, name, snake)
    file = Path(f"{snake}.py" if out is None else out)
    if file.suffix != ".py":
        raise UserError(f"--out must end with .py, got {file}")
    words = {
        "NAME": name,
        "CLASS": "".join(part[:1].upper() + part[1:] for part in snake.split("_")),
        "SNAKE": snake,
        "FILE": file.as_posix(),
    }

    bound = re.findall(r"(?:import|class|def|as) (\w+)", _TEMPLATES[kind])
    if taken := {words["CLASS"], snake} & {*bound, "Batch", "Goal"} - {"CLASS", "SNAKE"}:
        raise UserError(f"the file itself uses the name {min(taken)!r}: choose another name")

    def filled(text: str) -> str:
        return re.sub("|".join(words), lambda match: words[match[0]], text)

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:  # never overwrites
            opened.write(filled(_TEMPLATES[kind]))
    except FileExistsError:
        raise UserError(f"{file} exists and is not overwritten: give another --out=FILE") from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    return Written(file, tuple(map(filled, _COMMANDS[kind])))


def _check_name(kind: str, name: str, snake: str) -> None:
    if kind == EXPERIMENT:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise UserError(f"the name of an experiment is a file's, as my_series is; got {name!r}")
    else:
        registration.check_name(kind, name)
        if name in _shipped(kind):
            raise UserError(f"{kind} {name!r} comes with rnnlab: choose another name")
    if keyword.iskeyword(snake):
        raise UserError(f"{name!r} is a word of Python: choose another name")


def _shipped(kind: str) -> list[str]:
    """Return the names that are taken."""
    if kind == registration.CELL:
        from rnnlab.nn import layers

        return layers.names()
    if kind == registration.SCHEME:
        from rnnlab.nn import initializers

        return list(initializers.SCHEMES)
    from rnnlab.tasks import registry

    return list(registry.TASKS)
