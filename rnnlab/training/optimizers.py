"""Optimizers by name: optax transforms whose rates and bounds differ from member to member.

The numbers that a config can sweep without compiling anew are those of :class:`Hyper`; the kind of
optimizer, its schedule and its momenta are static.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnlab.core import validate
from rnnlab.nn import norms

Scalar = jax.Array | float


class Hyper(NamedTuple):
    """The numbers that differ from member to member of one compiled program; scalars."""

    learning_rate: Scalar
    clip_norm: Scalar  # of the global norm; inf: no clipping
    weight_decay: Scalar
    omega: Scalar  # the weight of Pascanu's regularizer, where the program has it


@dataclass(frozen=True)
class Optimizer:
    """W ← W − α · schedule(step) · u, with u the optimizer's direction for the clipped gradient.

    Args:
        name: "sgd", "momentum", "rmsprop", "adam", "adamw" or "lamb". The last two are Adam whose
            weight decay spares biases and scales (arrays of fewer than two axes); "lamb"
            gives each block a step as long as ‖W‖ (You et al. 2020, arXiv 1904.00962, alg. 2).
        momentum: of "momentum".
        decay: of the squares in "rmsprop".
        b1, b2: of "adam", "adamw" and "lamb".
        eps: of "rmsprop", under the root (PyTorch has it outside), and of the Adams.
        schedule: "constant", "linear" or "cosine" to zero at ``steps``.
        warmup_steps: of a linear rise from 0 before the schedule.
        steps: updates in all.
    Rules that sum squares ("rmsprop" and the Adams) take gradients of a global norm above 2^60 as
    of that norm: with ν = ∞ a parameter would never move again.

    Raises:
        ValueError: an unknown name or schedule; a number out of its range.
    Source: the notes' W ← W − α ∂L/∂W is "sgd"; weight decay is decoupled (Loshchilov & Hutter
    2019): u + λW.
    """

    name: str = "adam"
    momentum: float = 0.9
    decay: float = 0.9
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    schedule: str = "constant"
    warmup_steps: int = 0
    steps: int = 1000

    def __post_init__(self) -> None:
        validate.choice("training.optimizer", self.name, _RULES)
        validate.choice("training.schedule", self.schedule, _SCHEDULES)
        for key in ("momentum", "decay", "b1", "b2"):
            self._set(key, validate.rate(f"training.{key}", getattr(self, key)))
        self._set("eps", validate.number("training.eps", self.eps, above=0))
        self._set("steps", validate.whole("training.steps", self.steps, 1))
        warmup = validate.whole("training.warmup_steps", self.warmup_steps, 0, self.steps)
        self._set("warmup_steps", warmup)

    def _set(self, key: str, value: float) -> None:
        object.__setattr__(self, key, value)

    def transform(self, hyper: Hyper) -> optax.GradientTransformation:
        """Return the optax transform of one member; ``hyper`` may hold traced values."""
        chain = optax.chain(
            _clip(hyper.clip_norm, self.name in _SQUARES),
            _RULES[self.name](self, self._rate(hyper.learning_rate), hyper.weight_decay),
        )

        def update(
            updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
        ) -> tuple[optax.Updates, optax.OptState]:
            with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
                return chain.update(updates, state, params)

        return optax.GradientTransformation(chain.init, update)

    def _rate(self, learning_rate: Scalar) -> optax.Schedule:
        factor = _SCHEDULES[self.schedule](self.steps - self.warmup_steps)
        if self.warmup_steps:
            rise = optax.linear_schedule(0.0, 1.0, self.warmup_steps)
            factor = optax.join_schedules([rise, factor], [self.warmup_steps])
        return lambda count: learning_rate * factor(count)


_SQUARES = ("rmsprop", "adam", "adamw", "lamb")  # rules that sum squared gradients
_LARGEST = 2.0**60  # whose square a sum in float32 can hold


def _clip(most: Scalar, squares: bool) -> optax.GradientTransformation:
    """Bound the global norm, as ``optax.clip_by_global_norm`` does, whose squares may overflow."""
    bound = jnp.minimum(most, _LARGEST) if squares else most
    return optax.stateless(lambda updates, _: norms.clip(updates, bound))


def _descent(
    direction: optax.GradientTransformation, rate: optax.Schedule, weight_decay: Scalar
) -> optax.GradientTransformation:
    return optax.chain(
        direction,
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(rate),
    )


def _matrices(params: optax.Params) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


_RULES: dict[str, Callable[[Optimizer, optax.Schedule, Scalar], optax.GradientTransformation]] = {
    "sgd": lambda o, rate, decay: _descent(optax.identity(), rate, decay),
    "momentum": lambda o, rate, decay: _descent(optax.trace(decay=o.momentum), rate, decay),
    "rmsprop": lambda o, rate, decay: _descent(
        optax.scale_by_rms(decay=o.decay, eps=o.eps), rate, decay
    ),
    "adam": lambda o, rate, decay: optax.adamw(
        rate, b1=o.b1, b2=o.b2, eps=o.eps, weight_decay=decay
    ),
    "adamw": lambda o, rate, decay: optax.adamw(
        rate, b1=o.b1, b2=o.b2, eps=o.eps, weight_decay=decay, mask=_matrices
    ),
    "lamb": lambda o, rate, decay: optax.lamb(
        rate, b1=o.b1, b2=o.b2, eps=o.eps, weight_decay=decay, mask=_matrices
    ),
}


_SCHEDULES: dict[str, Callable[[int], optax.Schedule]] = {
    "constant": lambda steps: optax.constant_schedule(1.0),
    "linear": lambda steps: optax.linear_schedule(1.0, 0.0, max(steps, 1)),
    "cosine": lambda steps: optax.cosine_decay_schedule(1.0, max(steps, 1)),
}
